//! What a store lists is blocked or allowed: at once, by any of its names, until it expires or is taken off.

use std::time::Duration;

use anyhow::{Context, Result};
use hyper::Method;
use serde_json::{Value, json};
use touchstone_tests::{SignedClient, touchstone_json};

use super::fixture::{Pipeline, told};
use crate::ingest::fixture::order;

on_both_ways_to_run![
    listed_orders_are_blocked_or_allowed_until_the_entry_goes,
    an_order_is_listed_by_its_own_values_and_only_in_its_world,
    entries_that_make_no_sense_are_refused_by_field,
];

async fn list(pipeline: &Pipeline, client: &SignedClient, entry: &Value) -> Result<String> {
    let listed = told(&client.post("/v1/lists", entry).await?, 200)?;
    pipeline.door.directory.refresh_now().await?;
    Ok(listed["id"].as_str().context("it has an id")?.to_owned())
}

async fn score_and_codes(client: &SignedClient, document: &Value) -> Result<(u64, Vec<String>)> {
    let verdict = told(&client.analyze(document).await?, 200)?;
    let codes = serde_json::from_value(verdict["reason_codes"].clone())?;
    let points: i64 =
        verdict["reasons"].as_array().into_iter().flatten().filter_map(|one| one["points"].as_i64()).sum();
    let score = verdict["risk_score"].as_u64().context("it has a score")?;
    assert_eq!(points.clamp(0, 100), i64::try_from(score)?, "the reasons add up");
    Ok((score, codes))
}

async fn listed_orders_are_blocked_or_allowed_until_the_entry_goes(pipeline: &mut Pipeline) -> Result<()> {
    pipeline.score();
    let client = pipeline.client();
    let from = |id: &str| {
        let mut document = order(id);
        document["ip_address"] = json!("203.0.113.7");
        document
    };
    let (usual, codes) = score_and_codes(&client, &from("L-1")).await?;
    assert!(usual > 0 && !codes.contains(&"list_block".to_owned()), "{codes:?}");

    let end = (pipeline.door.clock.now() + Duration::from_secs(600)).to_rfc3339();
    let allow = json!({"list": "allow", "subject": "ip", "value": "203.0.113.0/24", "expires_at": end});
    list(pipeline, &client, &allow).await?;
    let (score, codes) = score_and_codes(&client, &from("L-2")).await?;
    assert_eq!((score, codes.contains(&"list_allow".to_owned())), (0, true), "{codes:?}");

    let block = json!({"list": "block", "subject": "email", "value": "Ada+x@example.com", "note": "chargeback"});
    let id = list(pipeline, &client, &block).await?;
    assert_eq!(list(pipeline, &client, &block).await?, id, "listed once");
    let (score, codes) = score_and_codes(&client, &from("L-3")).await?;
    assert_eq!((score, codes.contains(&"list_block".to_owned())), (100, true), "{codes:?}");
    let shown = told(&client.get("/v1/lists?list=block").await?, 200)?;
    assert_eq!((&shown["entries"][0]["value"], &shown["entries"][1]), (&json!("A…@example.com"), &Value::Null));

    assert_eq!(client.send(Method::DELETE, &format!("/v1/lists/{id}"), "").await?.status, 204);
    assert_eq!(client.send(Method::DELETE, &format!("/v1/lists/{id}"), "").await?.status, 404);
    pipeline.door.directory.refresh_now().await?;
    assert_eq!(score_and_codes(&client, &from("L-4")).await?.0, 0);
    pipeline.door.clock.advance(Duration::from_secs(600));
    let (score, codes) = score_and_codes(&client, &from("L-5")).await?;
    assert!(score > 0 && !codes.contains(&"list_allow".to_owned()), "{score} {codes:?}");
    Ok(())
}

async fn an_order_is_listed_by_its_own_values_and_only_in_its_world(pipeline: &mut Pipeline) -> Result<()> {
    pipeline.catch_up();
    pipeline.score();
    let (mine, theirs) = (pipeline.client(), pipeline.door.client(&pipeline.door.keys.theirs));
    let verdict = told(&mine.analyze(&order("L-6")).await?, 200)?;
    let transaction = verdict["transaction_id"].as_str().context("it has an id")?;
    let store = pipeline.door.keys.mine.tenant.store_id.clone();
    let add =
        ["list", "add", "--store", store.as_str(), "--list", "block", "--subject", "email", "--of-order", transaction];
    let added = touchstone_json(&pipeline.door.backend, &add).await?;
    assert_eq!(added["added"], true);
    pipeline.door.directory.refresh_now().await?;
    pipeline.catch_up();
    assert_eq!(score_and_codes(&mine, &order("L-7")).await?.0, 100);
    assert!(score_and_codes(&theirs, &order("L-8")).await?.0 < 100, "another store's list");

    let entry = added["id"].as_str().context("it has an id")?;
    let remove = ["list", "remove", "--store", store.as_str(), "--id", entry];
    assert_eq!(touchstone_json(&pipeline.door.backend, &remove).await?["removed"], true);
    let show = ["list", "show", "--store", store.as_str()];
    assert_eq!(touchstone_json(&pipeline.door.backend, &show).await?["entries"], json!([]));
    Ok(())
}

async fn entries_that_make_no_sense_are_refused_by_field(pipeline: &mut Pipeline) -> Result<()> {
    let client = pipeline.client();
    for (entry, field) in [
        (json!({"list": "grey", "subject": "email", "value": "ann@example.com"}), "/list"),
        (json!({"list": "block", "subject": "shoe size", "value": "45"}), "/subject"),
        (json!({"list": "block", "subject": "ip", "value": "10.0.0.0/40"}), "/value"),
        (json!({"list": "block", "subject": "email"}), "/value"),
        (json!({"list": "block", "subject": "email", "value": "*@shop.example"}), "/value"),
        (json!({"list": "block", "subject": "email", "value": "a@x.example,b@x.example"}), "/value"),
        (json!({"list": "block", "subject": "ip", "value": "203.0.113.7/24"}), "/value"),
        (json!({"list": "block", "subject": "address", "value": "10 High St; SW1A 1AA; Britain"}), "/value"),
        (
            json!({"list": "block", "subject": "phone", "value": "5550100", "expires_at": "2001-01-01T00:00:00Z"}),
            "/expires_at",
        ),
    ] {
        let problem = told(&client.post("/v1/lists", &entry).await?, 422)?;
        assert_eq!(problem["field"], field, "{problem}");
    }
    told(&client.get("/v1/lists?list=grey").await?, 422)?;
    Ok(())
}
