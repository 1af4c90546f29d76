//! Same orders, same history, same policy: the same bytes of assessment, whichever way to run and whichever batches.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::fixture::Pipeline;
use crate::ingest::fixture::order;

/// Orders that share a card, an e-mail, an address and a device with those before, and fire a good deal.
fn orders() -> Vec<Value> {
    let order_with = |number: usize| {
        let mut order = order(&format!("D-{number}"));
        order["amount"] = json!(format!("{}.00", 40 * (number + 1)));
        order["customer"]["email"] =
            json!(if number.is_multiple_of(3) { "ada@example.com" } else { "eve@mailinator.com" });
        order["customer"]["last_name"] = json!(["Byron", "Lovelace"][number % 2]);
        order["ip_address"] = json!("24.28.1.1");
        order["device"] = json!({"fingerprint_id": "d-1", "accept_language": "de-DE", "time_zone": "Asia/Tokyo"});
        order["billing_address"] =
            json!({"address1": "500 Oak Street", "city": "Austin", "postal_code": "78701", "country": "US"});
        order["shipping_address"] =
            json!({"address1": "1 Main St", "city": "Berlin", "postal_code": "10115", "country": "DE"});
        order["payment"] = json!({
            "method": "card", "card_bin": "411111", "card_last4": format!("{:04}", number / 2), "avs_result": "N",
            "cvv_result": "M", "decline_count": number % 3
        });
        order["line_items"] =
            json!([{"sku": "G-1", "name": "Gift card", "quantity": 3, "price": 40, "is_digital": true}]);
        order
    };
    (0..12).map(order_with).collect()
}

/// The assessments of all orders as text, in their order.
async fn assessments(pipeline: &mut Pipeline, in_one_batch: bool) -> Result<Vec<String>> {
    let client = pipeline.client();
    let mut submissions = Vec::new();
    if !in_one_batch {
        pipeline.score();
    }
    for order in orders() {
        let submission = pipeline.submission(&order)?;
        if !in_one_batch {
            pipeline.enqueue(std::slice::from_ref(&submission)).await?;
            pipeline.settled(&client, submission.transaction_id.as_str()).await?;
        }
        submissions.push(submission);
        pipeline.door.clock.advance(Duration::from_secs(90));
    }
    if in_one_batch {
        pipeline.enqueue(&submissions).await?;
        pipeline.score();
    }
    let mut found = Vec::new();
    for submission in &submissions {
        let transaction = pipeline.settled(&client, submission.transaction_id.as_str()).await?;
        let mut verdict = transaction["verdict"].as_object().context("it has a verdict")?.clone();
        verdict.retain(|name, _| !["transaction_id", "scored_at"].contains(&name.as_str()));
        found.push(serde_json::to_string(&verdict)?);
    }
    Ok(found)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn assessments_are_the_same_on_both_ways_to_run_and_in_any_batches() -> Result<()> {
    let mut embedded = Box::pin(Pipeline::embedded()).await?;
    let expected = assessments(&mut embedded, false).await?;
    assert!(expected.iter().any(|text| text.contains("\"rule_card_testing\"")), "{expected:?}");
    assert_eq!(assessments(&mut Box::pin(Pipeline::production()).await?, false).await?, expected);
    assert_eq!(assessments(&mut Box::pin(Pipeline::embedded()).await?, true).await?, expected);
    assert_eq!(assessments(&mut Box::pin(Pipeline::production()).await?, true).await?, expected);
    Ok(())
}
