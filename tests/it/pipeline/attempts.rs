//! Payments that failed: told by a Centra shop, they count for the next order that shares something with them, and the
//! merchant is told of each once.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use touchstone_platform::queue::{Disposition, Lane};
use touchstone_platform::random;
use touchstone_platform::store::SystemReason;
use touchstone_platform::store::accounts::EndpointRow;
use touchstone_platform::store::deliveries::Left;
use touchstone_schema::event::{Event, EventBatch, EventKind};
use touchstone_schema::history::{Happening, HistoryKeyKind};
use touchstone_schema::ids::EndpointId;
use touchstone_schema::tenant::Surface;
use touchstone_schema::time::Timestamp;
use touchstone_tests::eventually;

use super::fixture::{PATIENCE, Pipeline, codes, told};
use super::hot_history::flush;
use crate::ingest::centra::{sample, tell};
use crate::ingest::fixture::order;

on_both_ways_to_run![
    failed_payments_change_the_verdict_of_the_next_order_that_shares_something,
    notice_that_is_repeated_counts_once,
    merchant_is_told_of_each_failed_payment_once,
    failed_payments_of_another_store_count_for_nothing,
];

/// The notice of a failed payment of Ada's: each `number` is another attempt.
fn failed(number: usize) -> Value {
    let mut notice = sample();
    notice["notificationType"] = json!("failedPaymentAttempt");
    notice["billingAddress"]["email"] = json!("ada@example.com");
    notice["device_details"]["ip_address"] = json!("81.2.69.142");
    notice["paymentDetails"]["pspReference"] = json!(format!("attempt {number}"));
    notice
}

/// Tells of attempts, and waits until the scorer is through with them.
async fn tell_all(pipeline: &Pipeline, url: &str, attempts: &[usize], marker: &str) -> Result<()> {
    for number in attempts {
        let answer = tell(url, failed(*number).to_string()).await?;
        ensure!(answer.status == 202, "{answer:?}");
    }
    pipeline.pass_durable_lane(marker).await
}

async fn verdict(pipeline: &Pipeline, id: &str, change: impl FnOnce(&mut Value)) -> Result<Value> {
    let mut order = order(id);
    change(&mut order);
    told(&pipeline.client().analyze(&order).await?, 200)
}

async fn failed_payments_change_the_verdict_of_the_next_order_that_shares_something(
    pipeline: &mut Pipeline,
) -> Result<()> {
    let (_, url) = pipeline.door.connect_shop(&pipeline.door.keys.mine).await?;
    pipeline.score();
    let counts = |verdict: &Value, code: &str| codes(verdict).contains(&code);
    tell_all(pipeline, &url, &[1, 2], "F-1").await?;
    let before = verdict(pipeline, "F-2", |_| {}).await?;
    assert!(!counts(&before, "declines_per_email"), "{before}");
    tell_all(pipeline, &url, &[3], "F-3").await?;
    let after = verdict(pipeline, "F-4", |_| {}).await?;
    assert!(counts(&after, "declines_per_email") && !counts(&after, "declines_per_ip"), "{after}");
    assert!(after["risk_score"].as_u64() > before["risk_score"].as_u64(), "{before} {after}");

    let by_address = verdict(pipeline, "F-5", |order| {
        order["customer"]["email"] = json!("bob@example.com");
        order["ip_address"] = json!("81.2.69.142");
    });
    let by_address = by_address.await?;
    assert!(counts(&by_address, "declines_per_ip") && !counts(&by_address, "declines_per_email"), "{by_address}");

    if pipeline.door.backend.redis_url.is_some() {
        flush(&pipeline.door.backend).await?;
        assert!(counts(&verdict(pipeline, "F-6", |_| {}).await?, "declines_per_email"), "the store has them too");
    }
    pipeline.door.clock.advance(Duration::from_secs(86_401));
    let late = verdict(pipeline, "F-7", |_| {}).await?;
    assert!(!counts(&late, "declines_per_email"), "{late}");
    Ok(())
}

async fn notice_that_is_repeated_counts_once(pipeline: &mut Pipeline) -> Result<()> {
    let (_, url) = pipeline.door.connect_shop(&pipeline.door.keys.mine).await?;
    // Before the scorer runs they wait together; afterwards they come one by one.
    for number in [1, 1, 2, 1] {
        assert_eq!(tell(&url, failed(number).to_string()).await?.status, 202);
        pipeline.door.clock.advance(Duration::from_secs(1));
    }
    pipeline.score();
    pipeline.pass_durable_lane("F-10").await?;
    tell_all(pipeline, &url, &[1, 2, 2], "F-11").await?;
    let entries = pipeline.system().history_page(None, Timestamp::from_millis(0), 100).await?;
    let attempts: Vec<_> = entries.iter().filter(|one| one.entry.what == Happening::FailedAttempt).collect();
    assert_eq!(attempts.len(), 2, "{attempts:?}");
    for attempt in attempts {
        let keys: Vec<_> = attempt.entry.keys.iter().map(|(kind, _)| kind).collect();
        use HistoryKeyKind::{Address, Email, Ip, Phone};
        assert_eq!(keys, [Email, Phone, Ip, Address]);
        assert_eq!((attempt.entry.amount.minor(), attempt.entry.declines), (0, 1));
    }
    let scored = verdict(pipeline, "F-12", |_| {}).await?;
    assert!(!codes(&scored).contains(&"declines_per_email"), "{scored}");
    Ok(())
}

async fn merchant_is_told_of_each_failed_payment_once(pipeline: &mut Pipeline) -> Result<()> {
    let mine = pipeline.door.keys.mine.clone();
    let now = pipeline.door.clock.now();
    let id = EndpointId::mint(now, random::bytes());
    let endpoint = EndpointRow {
        events: vec![EventKind::PaymentFailed],
        ..EndpointRow::new(id, mine.tenant.store_id.clone(), "https://shop.example/hook", vec![1], now)
    };
    pipeline.door.store.system(SystemReason::Operator).add_endpoint(&endpoint).await?;
    let (connection, url) = pipeline.door.connect_shop(&mine).await?;
    pipeline.score();
    tell_all(pipeline, &url, &[1, 1, 2], "F-20").await?;
    tell_all(pipeline, &url, &[2, 1], "F-21").await?;

    let expected = json!({
        "order_id": "#ORDER_REF", "mode": "live", "connection_id": connection, "occurred_at": now.to_rfc3339(),
    });
    let announced = announced(pipeline, 2).await?;
    for event in &announced {
        assert_eq!((event.surface, &event.transaction_id), (Some(Surface::Centra), &None));
        assert_eq!(serde_json::from_str::<Value>(event.data.get())?, expected);
    }
    // The outbox has the same two, and their deliveries are planned once.
    let waiting = pipeline.system().unplanned(now + Duration::from_secs(60), 100).await?;
    let planned = pipeline.system().plan(&waiting, now, now + Duration::from_secs(60), Left::default()).await?;
    let mut ids: Vec<_> = planned.iter().map(|delivery| delivery.event.id.clone()).collect();
    let mut told: Vec<_> = announced.into_iter().map(|event| event.id).collect();
    ids.sort();
    told.sort();
    assert_eq!(ids, told);
    for delivery in planned {
        assert_eq!((delivery.event.kind, delivery.event.transaction_id), (EventKind::PaymentFailed, None));
        assert_eq!(serde_json::from_str::<Value>(delivery.event.data.get())?, expected);
    }
    let listed = pipeline.client().get("/v1/transactions").await?.json()?;
    let orders = listed["transactions"].as_array().context("a list")?.iter().map(|one| one["order_id"].as_str());
    assert!(orders.flatten().all(|id| id.starts_with("F-2")), "an attempt is no transaction: {listed}");
    Ok(())
}

/// The failed payments that the events lane tells of, this many.
async fn announced(pipeline: &Pipeline, count: usize) -> Result<Vec<Event>> {
    let mut lane = pipeline.door.queue.consume(Lane::Events, 64).await?;
    let mut found = Vec::<Event>::new();
    while found.len() < count {
        let taken = tokio::time::timeout(PATIENCE, lane.next(64)).await.context("no event is announced")?;
        for delivery in &taken {
            let batch: EventBatch = serde_json::from_slice(&delivery.body)?;
            found.extend(batch.events.into_iter().filter(|event| event.kind == EventKind::PaymentFailed));
        }
        lane.settle(taken.into_iter().map(|delivery| (delivery, Disposition::Ack)).collect()).await?;
    }
    Ok(found)
}

async fn failed_payments_of_another_store_count_for_nothing(pipeline: &mut Pipeline) -> Result<()> {
    let (_, url) = pipeline.door.connect_shop(&pipeline.door.keys.theirs).await?;
    pipeline.score();
    tell_all(pipeline, &url, &[1, 2, 3, 4], "F-30").await?;
    let mine = verdict(pipeline, "F-31", |_| {}).await?;
    assert!(!codes(&mine).contains(&"declines_per_email"), "{mine}");
    let theirs = pipeline.door.client(&pipeline.door.keys.theirs);
    eventually(PATIENCE, "their own order to be scored", async || {
        theirs.analyze(&order("F-32")).await.ok().filter(|answer| answer.status == 200)
    })
    .await?;
    let theirs = told(&theirs.analyze(&order("F-32")).await?, 200)?;
    assert!(codes(&theirs).contains(&"declines_per_email"), "{theirs}");
    Ok(())
}
