//! A reading that is killed and started again.

use std::time::Duration;

use anyhow::Result;
use serde_json::Value;
use touchstone_tests::{Backend, eventually, touchstone, touchstone_running};

use super::fixture::{PATIENCE, Shop, ago, counts, csv, order, sheet};
use crate::cli_policy::on_both_ways_to_run;

on_both_ways_to_run![
    killed_reading_is_gone_on_with_without_a_duplicate_or_a_gap,
    reading_whose_rows_the_database_refused_is_gone_on_with_when_it_takes_them,
];

/// Enough for several commits.
const ROWS: usize = 20_000;

async fn killed_reading_is_gone_on_with_without_a_duplicate_or_a_gap(backend: &Backend) -> Result<()> {
    let shop = Box::pin(Shop::open(backend)).await?;
    let begin = ago(Duration::from_secs(86_400 * 30));
    let mut orders: Vec<Value> =
        (0..ROWS).map(|number| order(number, begin + Duration::from_secs(number as u64))).collect();
    for refused in [10, ROWS / 2, ROWS - 10] {
        orders[refused]["transaction"]["ordered_on"] = Value::from("never");
    }
    // What was recognised of it is what the second process goes on with.
    let file = shop.write("orders.csv", sheet(&orders))?;
    let running = touchstone_running(backend, shop.folder.path(), &shop.call(&[&file, "--json"]))?;
    eventually(PATIENCE, "some of it to be committed", async || {
        (shop.count("backfilled").await.ok()? > 0).then_some(())
    })
    .await?;
    drop(running);
    let committed = shop.count("backfilled").await?;
    anyhow::ensure!(committed < ROWS as u64 - 3, "it was done before it could be killed");

    let answer = shop.backfill(&[&file]).await?;
    let orders = ROWS as u64 - 3;
    // Each row counts once, whichever of the two processes read it.
    assert_eq!(counts(&answer), [orders, 0, 3]);
    assert_eq!(shop.count("backfilled").await?, orders);
    assert_eq!(shop.count("history WHERE what = 'order'").await?, orders);
    assert_eq!(shop.count("history WHERE what = 'fulfilled'").await?, orders);
    assert_eq!(shop.count("backfills").await?, 1);
    assert_eq!(shop.count("backfills WHERE separator = 'semicolon' AND decimal_mark = 'comma'").await?, 1);
    assert_eq!(shop.count("backfilled WHERE amount_minor = 2050").await?, orders);
    assert_eq!(answer["sources"][0]["decimal"], "comma");
    let refused = std::fs::read_to_string(answer["refused_file"].as_str().unwrap_or_default())?;
    assert_eq!(refused.lines().count(), 3);
    Ok(())
}

async fn reading_whose_rows_the_database_refused_is_gone_on_with_when_it_takes_them(backend: &Backend) -> Result<()> {
    let shop = Box::pin(Shop::open(backend)).await?;
    let orders = [order(1, ago(Duration::from_secs(86_400)))];
    let file = shop.write("orders.csv", csv(&orders))?;
    shop.refuse("backfilled").await?;
    let refused = touchstone(backend, &shop.call(&[&file])).await?;
    anyhow::ensure!(refused.code == Some(1) && refused.stderr.contains("the rows cannot be kept"), "{refused:?}");
    assert_eq!(shop.count("backfills WHERE leased_until = 0").await?, 1, "nobody waits for its lease");
    shop.accept("backfilled").await?;
    assert_eq!(counts(&shop.backfill(&[&file]).await?), [1, 0, 0]);
    assert_eq!(shop.count("backfills").await?, 1);
    assert_eq!(shop.count("audit_log WHERE action = 'backfill.begin' AND actor = 'operator'").await?, 1);
    Ok(())
}
