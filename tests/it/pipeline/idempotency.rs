//! The same order again, another order under the same id, and the end of the hour (contracts.md section 1).

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result};
use hyper::Method;
use serde_json::{Value, json};

use super::fixture::{Pipeline, events, revisions, shown, stored_bytes, told};
use crate::ingest::fixture::order;

on_both_ways_to_run![
    sixteen_identical_orders_at_once_get_one_verdict_one_revision_and_one_event,
    another_spelling_of_the_same_json_is_the_same_order,
    another_order_under_the_id_is_refused_for_an_hour_and_a_new_revision_afterwards,
    repetitions_and_conflicts_are_answered_while_no_scorer_runs,
];

const HOUR: Duration = Duration::from_secs(3_600);

fn with_amount(id: &str, amount: &str) -> Value {
    let mut order = order(id);
    order["amount"] = json!(amount);
    order
}

async fn sixteen_identical_orders_at_once_get_one_verdict_one_revision_and_one_event(
    pipeline: &mut Pipeline,
) -> Result<()> {
    pipeline.score();
    let client = pipeline.client();
    let order = order("I-1");
    let answers = futures_util::future::try_join_all((0..16).map(|_| client.analyze(&order))).await?;
    let verdicts: BTreeSet<_> = answers.iter().map(stored_bytes).collect::<Result<_>>()?;
    assert_eq!(verdicts.len(), 1, "{verdicts:?}");

    pipeline.door.clock.advance(HOUR - Duration::from_millis(1));
    let later = client.analyze(&order).await?;
    assert!(verdicts.contains(&stored_bytes(&later)?), "{later:?}");
    let transaction = shown(&client, &later.json()?["transaction_id"]).await?;
    assert_eq!((revisions(&transaction), events(&transaction)), (1, vec!["order.scored"]), "{transaction}");
    Ok(())
}

async fn another_spelling_of_the_same_json_is_the_same_order(pipeline: &mut Pipeline) -> Result<()> {
    pipeline.score();
    let client = pipeline.client();
    let send = async |text: &str| client.send(Method::POST, "/v1/analyze", text.to_owned()).await;
    let first = r#"{"order_id":"I-2","amount":129.90,"currency":"EUR","customer":{"email":"ada@example.com"}}"#;
    let stored = stored_bytes(&send(first).await?)?;
    for again in [
        r#"{"currency":"EUR","customer":{"email":"ada@example.com"},"amount":129.90,"order_id":"I-2"}"#,
        "{ \"order_id\" : \"I-2\",\r\n\t\"amount\": 129.9, \"currency\":\"EUR\",\"customer\":{\"email\":\"ada@example.com\"} }\n",
        r#"{"order_id":"I-2","amount":1.299e2,"currency":"EUR","customer":{"email":"ada@example.com"}}"#,
        r#"{"order_id":"\u0049-2","amount":12990E-2,"currency":"EUR","customer":{"email":"ada\u0040example.com"}}"#,
    ] {
        assert_eq!(stored_bytes(&send(again).await?)?, stored, "{again}");
    }
    let other = r#"{"order_id":"I-2","amount":"129.90","currency":"EUR","customer":{"email":"ada@example.com"}}"#;
    told(&send(other).await?, 409)?;
    Ok(())
}

async fn another_order_under_the_id_is_refused_for_an_hour_and_a_new_revision_afterwards(
    pipeline: &mut Pipeline,
) -> Result<()> {
    pipeline.score();
    let client = pipeline.client();
    let first = told(&client.analyze(&with_amount("I-3", "20.00")).await?, 200)?;
    pipeline.door.clock.advance(HOUR - Duration::from_millis(1));
    let problem = told(&client.analyze(&with_amount("I-3", "21.00")).await?, 409)?;
    assert_eq!((&problem["code"], &problem["field"]), (&json!("order_conflict"), &json!("/order_id")));
    for (name, value) in first.as_object().context("it is an object")? {
        assert!(name == "duration_ms" || problem[name] == *value, "{name} in {problem}");
    }

    pipeline.door.clock.advance(Duration::from_millis(1));
    let second = told(&client.analyze(&with_amount("I-3", "21.00")).await?, 200)?;
    assert_eq!(second["transaction_id"], first["transaction_id"]);
    assert_ne!(second["scored_at"], first["scored_at"]);
    let transaction = shown(&client, &first["transaction_id"]).await?;
    assert_eq!((revisions(&transaction), events(&transaction)), (2, vec!["order.scored", "order.rescored"]));
    assert_eq!(transaction["revisions"][0]["verdict"]["scored_at"], first["scored_at"]);
    assert_eq!(transaction["verdict"]["scored_at"], second["scored_at"]);

    // The hour begins anew with the revision.
    told(&client.analyze(&with_amount("I-3", "20.00")).await?, 409)?;
    assert_eq!(told(&client.analyze(&with_amount("I-3", "21.00")).await?, 200)?["scored_at"], second["scored_at"]);
    Ok(())
}

async fn repetitions_and_conflicts_are_answered_while_no_scorer_runs(pipeline: &mut Pipeline) -> Result<()> {
    pipeline.score();
    let client = pipeline.client();
    let stored = stored_bytes(&client.analyze(&order("I-4")).await?)?;
    pipeline.stop_scoring().await?;
    assert_eq!(stored_bytes(&client.analyze(&order("I-4")).await?)?, stored);
    let problem = told(&client.analyze(&with_amount("I-4", "5")).await?, 409)?;
    assert_eq!(problem["order_id"], "I-4");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flushed_redis_makes_no_second_transaction_of_an_order() -> Result<()> {
    let mut pipeline = Pipeline::production().await?;
    pipeline.score();
    let client = pipeline.client();
    let stored = stored_bytes(&client.analyze(&order("I-5")).await?)?;
    let url = pipeline.door.backend.redis_url.clone().context("production has Redis")?;
    let mut redis = redis::Client::open(url)?.get_multiplexed_async_connection().await?;
    redis::cmd("FLUSHDB").query_async::<()>(&mut redis).await?;

    assert_eq!(stored_bytes(&client.analyze(&order("I-5")).await?)?, stored);
    redis::cmd("FLUSHDB").query_async::<()>(&mut redis).await?;
    told(&client.analyze(&with_amount("I-5", "5")).await?, 409)?;
    let listed = told(&client.get("/v1/transactions").await?, 200)?;
    assert_eq!(listed["transactions"].as_array().map(Vec::len), Some(1), "{listed}");
    Ok(())
}
