//! `touchstone history rekey` over the history that files brought.

use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};
use touchstone_tests::{Backend, touchstone, touchstone_json};

use super::fixture::{Shop, ago, lines, order};

const DAY: Duration = Duration::from_secs(86_400);

fn of(answer: &Value) -> [&Value; 4] {
    ["looked_at", "changed", "without_document", "resumed"].map(|name| &answer[name])
}

async fn orders_of_files_lose_the_keys_of_their_addresses_alone(backend: &Backend) -> Result<()> {
    let shop = Shop::open(backend).await?;
    let with_address = |number: usize| {
        let mut order = order(number, ago(DAY * 3));
        order["device"] = json!({"ip_address": "81.2.69.142"});
        order
    };
    let orders: Vec<_> = (0..4).map(with_address).collect();
    let file = shop.write("orders.jsonl", lines(&orders))?;
    shop.backfill(&[&file]).await?;
    let addresses = "history WHERE ip IS NOT NULL";
    let emails = "history WHERE email IS NOT NULL";
    let entries = shop.count("history").await?;
    assert_eq!(shop.count(addresses).await?, entries);

    let dry = touchstone_json(backend, &["history", "rekey", "--dry-run"]).await?;
    assert_eq!(of(&dry), [&json!(entries), &json!(entries), &json!(entries), &json!(false)]);
    assert_eq!((&dry["dry_run"], shop.count(addresses).await?), (&json!(true), entries));
    let one = touchstone_json(backend, &["history", "rekey", "--store", &shop.store]).await?;
    assert_eq!(of(&one), of(&dry));
    assert_eq!((shop.count(addresses).await?, shop.count(emails).await?), (0, entries));
    let filled = backend.redis_url.as_ref().map(|_| entries);
    assert_eq!(one["entries_in_cache"], json!(filled));
    let again = touchstone_json(backend, &["history", "rekey"]).await?;
    assert_eq!(of(&again), [&json!(entries), &json!(0), &json!(entries), &json!(false)]);

    let read_again = shop.backfill(&[&shop.write("again.jsonl", lines(&orders))?]).await?;
    assert_eq!(read_again["refused"], 0, "the same rows do not contradict: {read_again}");
    let unknown = ["history", "rekey", "--store", "store_01ARZ3NDEKTSV4RRFFQ69G5FAV"];
    assert_eq!(touchstone(backend, &unknown).await?.code, Some(1));
    Ok(())
}

#[tokio::test]
async fn orders_of_files_lose_the_keys_of_their_addresses_alone_when_embedded() -> Result<()> {
    orders_of_files_lose_the_keys_of_their_addresses_alone(&Backend::embedded()?).await
}

#[tokio::test]
async fn orders_of_files_lose_the_keys_of_their_addresses_alone_in_production() -> Result<()> {
    let backend = Backend::production().await?;
    touchstone_json(&backend, &["migrate"]).await?;
    orders_of_files_lose_the_keys_of_their_addresses_alone(&backend).await
}
