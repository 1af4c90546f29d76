//! Callers who want every field in its documented form: by a request's header, or by the store's setting.

use anyhow::Result;
use hyper::Method;
use serde_json::json;

use super::warnings::{order, warnings};
use crate::pipeline::fixture::{Pipeline, told};

on_both_ways_to_run![a_request_or_a_store_may_ask_for_strict_reading,];

async fn a_request_or_a_store_may_ask_for_strict_reading(pipeline: &mut Pipeline) -> Result<()> {
    pipeline.score();
    let client = pipeline.client();
    let mut odd = order("S-1");
    odd["created_at"] = json!("2026-05-04 12:00:00");
    odd["line_items"][0]["price"] = json!("free");
    let send = async |id: &str, prefer: Option<&str>| {
        odd["order_id"].clone_from(&json!(id));
        let mut request = client.request(Method::POST, "/v1/analyze", odd.to_string())?;
        if let Some(prefer) = prefer {
            request.headers_mut().insert("prefer", prefer.parse()?);
        }
        client.execute(request).await
    };
    let mut send = send;
    for prefer in ["handling=strict", "respond-async, Handling=\"strict\"; foo", "handling=strict, handling=lenient"] {
        let refused = told(&send("S-1", Some(prefer)).await?, 422)?;
        let fields: Vec<_> = refused["errors"].as_array().into_iter().flatten().map(|one| &one["field"]).collect();
        assert_eq!(fields, ["/line_items/0/price", "/created_at"], "{prefer}");
    }
    for (id, prefer) in [("S-1", None), ("S-2", Some("handling=lenient")), ("S-3", Some("handling=odd"))] {
        let verdict = told(&send(id, prefer).await?, 200)?;
        assert_eq!(warnings(&verdict), [("malformed", "/line_items/0/price")], "{prefer:?}");
    }
    pipeline.set_strict_input(true).await?;
    told(&send("S-4", None).await?, 422)?;
    told(&send("S-4", Some("handling=lenient")).await?, 200)?;
    pipeline.set_strict_input(false).await?;
    told(&send("S-5", None).await?, 200)?;
    Ok(())
}
