//! Article numbers that pass for card numbers, and orders too long to be read where their connection is served.

use anyhow::Result;
use serde_json::{Value, json};
use touchstone_schema::limits::READ_INLINE_BYTES;

use super::checks::{check, client as checks_client};
use super::fixture::{Pipeline, codes, stored_bytes, told};
use crate::ingest::fixture::order;

on_both_ways_to_run![
    a_rule_on_an_article_number_that_looks_like_a_card_fires,
    a_long_order_is_screened_once_and_another_under_its_id_is_a_conflict,
];

/// An EAN that passes for a Visa number.
const EAN: &str = "4006381300063";

async fn a_rule_on_an_article_number_that_looks_like_a_card_fires(pipeline: &mut Pipeline) -> Result<()> {
    let rule = json!({"name": "ean", "points": 25, "enabled": true, "mode": "live", "when": {"logic": "or", "conditions": [
        {"field": "line_items.sku", "op": "contains", "value": EAN},
    ]}});
    pipeline.apply_policy(&json!({"rules": [rule]})).await?;
    pipeline.score();

    let mut signed = order("ean-1");
    signed["line_items"] = json!([{"sku": EAN, "quantity": 1, "price": "48.50"}]);
    let verdict = told(&pipeline.client().analyze(&signed).await?, 200)?;
    assert!(codes(&verdict).contains(&"rule_ean"), "{verdict}");

    let mut checked = check("ean-2");
    checked["products"] = json!([{"product_id": EAN, "title": "Boots", "price": 129.90, "quantity": 1}]);
    let risk = told(&checks_client(pipeline).check(&checked).await?, 200)?;
    let tags = risk["data"]["tags"].as_array().cloned().unwrap_or_default();
    assert!(tags.iter().any(|tag| tag["id"] == "rule_ean"), "{risk}");
    Ok(())
}

async fn a_long_order_is_screened_once_and_another_under_its_id_is_a_conflict(pipeline: &mut Pipeline) -> Result<()> {
    pipeline.score();
    let client = pipeline.client();
    let long = |amount: &str| -> Value {
        let mut document = order("long-1");
        document["amount"] = json!(amount);
        document["notes"] = json!("x".repeat(READ_INLINE_BYTES));
        document
    };
    let first = client.analyze(&long("10.00")).await?;
    told(&first, 200)?;
    assert_eq!(stored_bytes(&client.analyze(&long("10.00")).await?)?, stored_bytes(&first)?);
    told(&client.analyze(&long("11.00")).await?, 409)?;

    let mut broken = long("10.00").to_string();
    broken.pop();
    assert_eq!(client.send(hyper::Method::POST, "/v1/analyze", broken).await?.status, 400);
    let mut checked = check("long-2");
    checked["notes"] = json!("x".repeat(READ_INLINE_BYTES));
    told(&checks_client(pipeline).check(&checked).await?, 200)?;
    Ok(())
}
