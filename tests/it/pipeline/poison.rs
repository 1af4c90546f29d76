//! Messages that nobody can process: set aside with a reason, shown, replayed, and in nobody's way.

use anyhow::{Context, Result};
use bytes::Bytes;
use serde_json::{Value, json};
use touchstone_platform::queue::Lane;
use touchstone_schema::limits;
use touchstone_tests::{eventually, touchstone_json};

use super::fixture::{PATIENCE, Pipeline, revisions, shown, told};
use crate::ingest::fixture::order;

on_both_ways_to_run![
    garbage_and_unknown_formats_are_set_aside_and_the_pipeline_goes_on,
    dead_letters_name_the_place_of_a_fault_and_no_personal_data,
    order_that_could_not_be_scored_is_scored_after_mending_and_replay,
    waiting_order_that_could_not_be_scored_is_scored_after_replay_though_nobody_waits,
];

async fn dead_letters(pipeline: &Pipeline, count: usize) -> Result<Vec<Value>> {
    eventually(PATIENCE, "the dead letters", async || {
        let listed = touchstone_json(&pipeline.door.backend, &["dead-letter", "list"]).await.ok()?;
        listed["dead_letters"].as_array().filter(|letters| letters.len() == count).cloned()
    })
    .await
}

fn reasons(letters: &[Value]) -> Vec<&str> {
    let mut reasons: Vec<_> = letters.iter().filter_map(|letter| letter["reason"].as_str()).collect();
    reasons.sort_unstable();
    reasons
}

async fn garbage_and_unknown_formats_are_set_aside_and_the_pipeline_goes_on(pipeline: &mut Pipeline) -> Result<()> {
    pipeline.score();
    let mut unknown = serde_json::to_value(pipeline.submission(&order("P-1"))?)?;
    unknown["version"] = json!(200);
    let bodies = vec![Bytes::from_static(b"\xffgarbage"), Bytes::from(unknown.to_string())];
    pipeline.door.queue.publish(Lane::Durable, bodies).await?;
    pipeline.pass_durable_lane("P-1-last").await?;

    let letters = dead_letters(pipeline, 2).await?;
    let told_reasons = reasons(&letters);
    assert!(told_reasons[0].starts_with("not a submission: "), "{told_reasons:?}");
    assert_eq!(told_reasons[1], "submission format 200 is not known to this build");
    assert!(letters.iter().all(|letter| letter["lane"] == "durable"), "{letters:?}");

    let replayed = touchstone_json(&pipeline.door.backend, &["dead-letter", "replay", "--all"]).await?;
    assert_eq!(replayed["replayed"], 2);
    pipeline.catch_up();
    assert_eq!(reasons(&dead_letters(pipeline, 2).await?), told_reasons);
    told(&pipeline.client().analyze(&order("P-2")).await?, 200)?;
    Ok(())
}

async fn dead_letters_name_the_place_of_a_fault_and_no_personal_data(pipeline: &mut Pipeline) -> Result<()> {
    const EMAIL: &str = "ann.lee@example.net";
    pipeline.score();
    let submission = |id: &str| anyhow::Ok(serde_json::to_value(pipeline.submission(&order(id))?)?);
    let mut not_a_submission = submission("P-11")?;
    not_a_submission["kind"] = json!(EMAIL);
    let mut not_an_order = submission("P-12")?;
    not_an_order["document"]["currency"] = json!(EMAIL);
    let mut wrong_member = submission("P-13")?;
    wrong_member["document"]["amount"] = json!({EMAIL: EMAIL});
    let bodies = [not_a_submission, not_an_order, wrong_member].map(|body| Bytes::from(body.to_string()));
    pipeline.door.queue.publish(Lane::Durable, bodies.to_vec()).await?;
    pipeline.pass_durable_lane("P-11-last").await?;

    let letters = dead_letters(pipeline, 3).await?;
    let told_reasons = reasons(&letters);
    assert!(told_reasons[0].starts_with("not a submission: fault at line 1 column "), "{told_reasons:?}");
    assert_eq!(
        told_reasons[1..],
        ["the order is not valid: fault at /amount", "the order is not valid: fault at /currency"]
    );
    let listed = touchstone_tests::touchstone(&pipeline.door.backend, &["dead-letter", "list"]).await?;
    assert!(!listed.stdout.contains(EMAIL), "{}", listed.stdout);
    Ok(())
}

async fn order_that_could_not_be_scored_is_scored_after_mending_and_replay(pipeline: &mut Pipeline) -> Result<()> {
    pipeline.apply_policy(&json!({"nonsense": true})).await?;
    pipeline.score();
    let submission = pipeline.submission(&order("P-3"))?;
    pipeline.system().promise(&[&submission], pipeline.door.clock.now()).await?;
    pipeline.enqueue(std::slice::from_ref(&submission)).await?;
    let client = pipeline.client();
    let id = submission.transaction_id.as_str();
    assert_eq!(pipeline.settled(&client, id).await?["status"], "failed");
    let letters = dead_letters(pipeline, 1).await?;
    let reason = letters[0]["reason"].as_str().context("it has a reason")?;
    assert!(reason.starts_with("the stored policy cannot be used: "), "{reason}");

    let version = pipeline.apply_policy(&json!({})).await?;
    let letter = letters[0]["id"].as_str().context("it has an id")?;
    let replayed = touchstone_json(&pipeline.door.backend, &["dead-letter", "replay", "--id", letter]).await?;
    assert_eq!(replayed["replayed"], 1);
    pipeline.catch_up();
    eventually(PATIENCE, "the verdict", async || {
        let transaction = shown(&client, &json!(id)).await.ok()?;
        (transaction["verdict"]["policy_version"] == version && revisions(&transaction) == 1).then_some(())
    })
    .await?;
    assert!(told(&client.get("/v1/transactions?status=failed").await?, 200)?["transactions"][0].is_null());
    assert!(dead_letters(pipeline, 0).await?.is_empty());
    Ok(())
}

async fn waiting_order_that_could_not_be_scored_is_scored_after_replay_though_nobody_waits(
    pipeline: &mut Pipeline,
) -> Result<()> {
    pipeline.apply_policy(&json!({"nonsense": true})).await?;
    pipeline.score();
    let client = pipeline.client();
    told(&client.analyze(&order("P-4")).await?, 500)?;
    assert_eq!(dead_letters(pipeline, 1).await?[0]["lane"], "interactive");

    pipeline.apply_policy(&json!({})).await?;
    pipeline.catch_up();
    pipeline.door.clock.advance(limits::VERDICT_WAIT);
    touchstone_json(&pipeline.door.backend, &["dead-letter", "replay", "--all"]).await?;
    eventually(PATIENCE, "the verdict", async || {
        let listed = told(&client.get("/v1/transactions").await.ok()?, 200).ok()?["transactions"].clone();
        (listed[0]["order_id"] == "P-4" && listed[0]["risk_score"].is_u64()).then_some(())
    })
    .await
}
