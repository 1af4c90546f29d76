//! What became of an order counts with the next one that shares something with it: at once, from either way to run, and
//! also when Redis has just been flushed.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use touchstone_tests::SignedClient;

use super::fixture::{Pipeline, told};
use super::hot_history::flush;
use crate::ingest::fixture::order;

on_both_ways_to_run![
    outcomes_change_the_next_verdict_of_an_order_that_shares_something,
    a_rejection_by_a_person_changes_the_next_verdict,
];

/// Scores an order of the same customer, a minute later.
async fn next(pipeline: &Pipeline, client: &SignedClient, id: &str) -> Result<Value> {
    pipeline.door.clock.advance(Duration::from_secs(60));
    told(&client.analyze(&order(id)).await?, 200)
}

fn points_of(verdict: &Value, code: &str) -> Option<i64> {
    let reasons = verdict["reasons"].as_array()?;
    reasons.iter().find(|reason| reason["code"] == code)?["points"].as_i64()
}

async fn report(client: &SignedClient, verdict: &Value, kind: &str) -> Result<()> {
    let id = verdict["transaction_id"].as_str().context("it has an id")?;
    let outcome = json!({"type": kind, "occurred_at": "2026-01-02T03:04:05Z"});
    told(&client.post(&format!("/v1/transactions/{id}/outcome"), &outcome).await?, 200).map(drop)
}

async fn outcomes_change_the_next_verdict_of_an_order_that_shares_something(pipeline: &mut Pipeline) -> Result<()> {
    pipeline.score();
    let client = pipeline.client();
    let first = next(pipeline, &client, "C-1").await?;
    let second = next(pipeline, &client, "C-2").await?;
    assert_eq!(points_of(&second, "prior_chargeback"), None);

    report(&client, &first, "chargeback_opened").await?;
    let third = next(pipeline, &client, "C-3").await?;
    assert_eq!(points_of(&third, "prior_chargeback"), Some(40), "{third}");
    report(&client, &second, "fraud_confirmed").await?;
    assert_eq!(points_of(&next(pipeline, &client, "C-4").await?, "prior_chargeback"), Some(50));

    if pipeline.door.backend.redis_url.is_some() {
        flush(&pipeline.door.backend).await?;
        assert_eq!(points_of(&next(pipeline, &client, "C-5").await?, "prior_chargeback"), Some(50));
    }
    report(&client, &first, "chargeback_reversed").await?;
    let cleared = next(pipeline, &client, "C-6").await?;
    assert_eq!(points_of(&cleared, "prior_chargeback"), Some(40), "the first was no fraud after all: {cleared}");
    Ok(())
}

async fn a_rejection_by_a_person_changes_the_next_verdict(pipeline: &mut Pipeline) -> Result<()> {
    pipeline.apply_policy(&json!({"bands": {"medium": 0, "high": 100, "critical": 101}})).await?;
    pipeline.score();
    let client = pipeline.client();
    let first = next(pipeline, &client, "D-1").await?;
    let id = first["transaction_id"].as_str().context("it has an id")?;
    let decision = json!({"decision": "reject", "reviewer": "ada"});
    told(&client.post(&format!("/v1/transactions/{id}/decision"), &decision).await?, 200)?;
    assert_eq!(points_of(&next(pipeline, &client, "D-2").await?, "prior_rejected"), Some(20));
    Ok(())
}
