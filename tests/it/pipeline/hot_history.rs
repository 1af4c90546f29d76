//! History in Redis: read instead of the store's, mended from it, and never the cause of another verdict.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};
use touchstone_platform::cache::HotHistory;
use touchstone_schema::history::{HistoryByKey, HistoryKey, KeyedEntry};
use touchstone_schema::limits::HISTORY_SPAN;
use touchstone_schema::time::Timestamp;
use touchstone_tests::servers::Servers;
use touchstone_tests::{Backend, eventually, touchstone, touchstone_json};

use super::fixture::{PATIENCE, Pipeline};
use crate::ingest::fixture::order;

fn hot(pipeline: &Pipeline) -> Result<&dyn HotHistory> {
    pipeline.door.cache.history().context("production keeps hot history")
}

/// Waits until history is held in full.
async fn healed(pipeline: &Pipeline) -> Result<()> {
    let now = pipeline.door.clock.now();
    eventually(PATIENCE, "history to be filled", async || {
        hot(pipeline).ok()?.load(&[], now).await.ok().flatten().map(drop)
    })
    .await
}

/// Scores an order of a customer on the lane where nobody waits. Its verdict, as stored, without what names the order.
async fn verdict(pipeline: &Pipeline, customer: usize, card: usize) -> Result<String> {
    let mut order = order(&format!("H-{customer}-{card}"));
    order["customer"]["email"] = json!(format!("customer-{customer}@example.com"));
    order["payment"] = json!({"method": "card", "card_fingerprint": format!("fp_{customer}_{card}")});
    let submission = pipeline.submission(&order)?;
    pipeline.enqueue(std::slice::from_ref(&submission)).await?;
    let rows = pipeline.door.store.tenant(&submission.tenant);
    let stored = eventually(PATIENCE, "the order to be scored", async || {
        let found = rows.transaction(&submission.transaction_id).await.ok()??;
        found.revisions.first().map(|revision| revision.verdict.clone())
    })
    .await?;
    let mut verdict: Map<String, Value> = serde_json::from_str(&stored)?;
    verdict.retain(|name, _| !["transaction_id", "order_id", "scored_at"].contains(&name.as_str()));
    Ok(serde_json::to_string(&verdict)?)
}

/// Empties Redis.
pub(super) async fn flush(backend: &Backend) -> Result<()> {
    let url = backend.redis_url.clone().context("production has a Redis")?;
    let mut connection = redis::Client::open(url)?.get_multiplexed_async_connection().await?;
    Ok(redis::cmd("FLUSHDB").query_async(&mut connection).await?)
}

/// What Redis holds under every key that the store knows.
async fn held(pipeline: &Pipeline) -> Result<HistoryByKey> {
    let entries = pipeline.system().history_page(None, Timestamp::from_millis(0), 1_000).await?;
    let keys: BTreeSet<HistoryKey> = entries.into_iter().map(KeyedEntry::from).flat_map(|keyed| keyed.keys).collect();
    let keys: Vec<_> = keys.into_iter().collect();
    let since = pipeline.door.clock.now() - HISTORY_SPAN;
    hot(pipeline)?.load(&keys, since).await?.context("history is complete")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verdicts_are_the_same_with_redis_full_flushed_and_down() -> Result<()> {
    let mut servers = Box::pin(Servers::start()).await?;
    let backend = Backend::on(&servers.addresses()).await?;
    let mut pipeline = Box::pin(Pipeline::open(backend)).await?;
    pipeline.score();
    healed(&pipeline).await?;
    for customer in 0..3 {
        for card in 0..3 {
            verdict(&pipeline, customer, card).await?;
        }
    }
    let full = verdict(&pipeline, 0, 9).await?;
    assert!(full.contains("\"rule_card_testing\""), "{full}");

    flush(&pipeline.door.backend).await?;
    assert_eq!(verdict(&pipeline, 1, 9).await?, full);
    healed(&pipeline).await?;

    let before = held(&pipeline).await?;
    servers.redis.stop().await?;
    assert_eq!(verdict(&pipeline, 2, 9).await?, full);
    servers.redis.restart().await?;
    healed(&pipeline).await?;
    let after = held(&pipeline).await?;
    for (key, entries) in before {
        assert!(entries.iter().all(|entry| after[&key].contains(entry)), "something of {key:?} was lost");
    }
    assert_eq!(after.values().flatten().filter(|entry| entry.received_at == pipeline.door.clock.now()).count(), 24);
    pipeline.stop_scoring().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rebuilt_history_is_what_was_there() -> Result<()> {
    let mut pipeline = Box::pin(Pipeline::production()).await?;
    pipeline.catch_up();
    pipeline.score();
    healed(&pipeline).await?;
    for card in 0..5 {
        verdict(&pipeline, card % 2, card).await?;
    }
    let written = eventually(PATIENCE, "the last order to be remembered", async || {
        let held = held(&pipeline).await.ok()?;
        (held.values().flatten().count() == 10).then_some(held)
    })
    .await?;
    pipeline.stop_scoring().await?;

    flush(&pipeline.door.backend).await?;
    for _ in 0..2 {
        let told = touchstone_json(&pipeline.door.backend, &["history", "rebuild"]).await?;
        assert_eq!((&told["entries"], &told["complete"]), (&json!(5), &json!(true)));
        assert_eq!(held(&pipeline).await?, written);
    }
    Ok(())
}

#[tokio::test]
async fn embedded_history_needs_no_rebuilding() -> Result<()> {
    let backend = Backend::embedded()?;
    touchstone_json(&backend, &["migrate"]).await?;
    let printed = touchstone(&backend, &["history", "rebuild"]).await?;
    assert_eq!(printed.code, Some(1));
    assert!(printed.stderr.contains("nothing to rebuild"), "{}", printed.stderr);
    Ok(())
}
