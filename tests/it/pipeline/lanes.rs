//! Two lanes, one submission: promises, copies, late redeliveries, and the sweep behind them.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::json;
use touchstone_schema::limits;
use touchstone_schema::submission::{Answer, Submission};

use super::fixture::{Pipeline, events, revisions, shown, stored_bytes, told};
use crate::ingest::fixture::order;

on_both_ways_to_run![
    promised_order_gets_exactly_one_verdict_when_the_scorer_comes,
    interactive_and_durable_copy_of_one_submission_make_one_revision,
    late_redelivery_of_a_scored_submission_changes_nothing,
    promise_without_a_message_is_swept_and_scored,
    promise_past_its_attempts_reads_failed_and_is_left_alone,
];

async fn promised_order_gets_exactly_one_verdict_when_the_scorer_comes(pipeline: &mut Pipeline) -> Result<()> {
    let client = pipeline.client();
    let promise = client.analyze(&order("L-1")).await?;
    let promised = told(&promise, 202)?;
    assert_eq!(promised["status"], "pending");
    assert_eq!(shown(&client, &promised["transaction_id"]).await?["status"], "pending");

    pipeline.score();
    let id = promised["transaction_id"].as_str().context("it has an id")?;
    assert_eq!(promise.header("location"), format!("/v1/transactions/{id}"));
    pipeline.settled(&client, id).await?;
    pipeline.pass_durable_lane("L-1-last").await?;
    let scored = shown(&client, &promised["transaction_id"]).await?;
    assert_eq!((revisions(&scored), events(&scored)), (1, vec!["order.scored"]), "{scored}");
    assert!(told(&client.get("/v1/transactions?status=pending").await?, 200)?["transactions"][0].is_null());
    let again = told(&client.analyze(&order("L-1")).await?, 200)?;
    assert_eq!(again["scored_at"], scored["verdict"]["scored_at"]);
    Ok(())
}

async fn interactive_and_durable_copy_of_one_submission_make_one_revision(pipeline: &mut Pipeline) -> Result<()> {
    let durable = pipeline.submission(&order("L-2"))?;
    let deadline = pipeline.door.clock.now() + limits::VERDICT_WAIT;
    let interactive = Submission { deadline: Some(deadline), ..durable.clone() };
    let body = serde_json::to_vec(&interactive)?;
    pipeline.system().promise(&[&durable], pipeline.door.clock.now()).await?;
    pipeline.score();
    let (answer, published) = tokio::join!(
        pipeline.door.queue.request(body.into(), deadline),
        pipeline.enqueue(std::slice::from_ref(&durable))
    );
    published?;
    let Answer::Verdict { verdict } = serde_json::from_slice(&answer?)? else { anyhow::bail!("no verdict") };
    pipeline.pass_durable_lane("L-2-last").await?;
    let client = pipeline.client();
    let scored = shown(&client, &json!(durable.transaction_id)).await?;
    assert_eq!((revisions(&scored), events(&scored)), (1, vec!["order.scored"]), "{scored}");
    assert_eq!(scored["verdict"], serde_json::from_str::<serde_json::Value>(verdict.get())?);
    assert!(told(&client.get("/v1/transactions?status=pending").await?, 200)?["transactions"][0].is_null());
    Ok(())
}

async fn late_redelivery_of_a_scored_submission_changes_nothing(pipeline: &mut Pipeline) -> Result<()> {
    pipeline.score();
    let submission = pipeline.submission(&order("L-3"))?;
    pipeline.enqueue(std::slice::from_ref(&submission)).await?;
    let client = pipeline.client();
    let before = pipeline.settled(&client, submission.transaction_id.as_str()).await?;
    pipeline.door.clock.advance(Duration::from_secs(7_200));
    pipeline.enqueue(&[submission.clone(), submission.clone()]).await?;
    pipeline.pass_durable_lane("L-3-last").await?;
    let after = shown(&client, &json!(submission.transaction_id)).await?;
    assert_eq!(after, before);

    // Also when a newer revision was scored meanwhile.
    let newer = stored_bytes(&client.analyze(&order("L-3")).await?)?;
    pipeline.enqueue(std::slice::from_ref(&submission)).await?;
    pipeline.pass_durable_lane("L-3-very-last").await?;
    let after = shown(&client, &json!(submission.transaction_id)).await?;
    assert_eq!(revisions(&after), 2);
    assert_eq!(stored_bytes(&client.analyze(&order("L-3")).await?)?, newer);
    Ok(())
}

async fn promise_without_a_message_is_swept_and_scored(pipeline: &mut Pipeline) -> Result<()> {
    let submission = pipeline.submission(&order("L-4"))?;
    pipeline.system().promise(&[&submission], pipeline.door.clock.now()).await?;
    pipeline.door.clock.advance(limits::PENDING_SWEEP_AGE);
    pipeline.score();
    let scored = pipeline.settled(&pipeline.client(), submission.transaction_id.as_str()).await?;
    assert_eq!((revisions(&scored), events(&scored)), (1, vec!["order.scored"]), "{scored}");
    assert_eq!(scored["received_at"], submission.received_at.to_rfc3339());
    Ok(())
}

async fn promise_past_its_attempts_reads_failed_and_is_left_alone(pipeline: &mut Pipeline) -> Result<()> {
    let submission = pipeline.submission(&order("L-5"))?;
    pipeline.system().promise(&[&submission], pipeline.door.clock.now()).await?;
    for _ in 0..limits::PENDING_ATTEMPTS {
        pipeline.door.clock.advance(limits::PENDING_SWEEP_AGE);
        assert_eq!(pipeline.system().claim_overdue(pipeline.door.clock.now(), 9).await?.len(), 1);
    }
    pipeline.door.clock.advance(limits::PENDING_SWEEP_AGE);
    assert!(pipeline.system().claim_overdue(pipeline.door.clock.now(), 9).await?.is_empty());
    let client = pipeline.client();
    let failed = shown(&client, &json!(submission.transaction_id)).await?;
    assert_eq!((&failed["status"], &failed["verdict"]), (&json!("failed"), &json!(null)));
    let listed = told(&client.get("/v1/transactions?status=failed").await?, 200)?;
    assert_eq!(listed["transactions"][0]["order_id"], "L-5");

    // The merchant may send it again, and then it has a verdict like any other.
    pipeline.door.clock.advance(limits::PENDING_SWEEP_AGE);
    pipeline.score();
    told(&client.analyze(&order("L-5")).await?, 200)?;
    let scored = shown(&client, &json!(submission.transaction_id)).await?;
    assert_eq!((&scored["status"], revisions(&scored)), (&json!("review"), 1));
    assert!(told(&client.get("/v1/transactions?status=failed").await?, 200)?["transactions"][0].is_null());
    Ok(())
}
