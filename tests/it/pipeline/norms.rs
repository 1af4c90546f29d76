//! What is usual at a store, told by its own orders.

use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};
use touchstone_scorer::score::norms::LEAST_ORDERS;

use super::backtest::backtest;
use super::fixture::{Pipeline, codes, told};
use crate::ingest::fixture::order;

on_both_ways_to_run![the_day_after_its_two_hundredth_order_a_store_is_judged_by_its_own,];

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);

/// Whether the order is large by the standards of a store that sells for 20 EUR; by those of all stores it is not.
fn is_large(verdict: &Value) -> bool {
    let codes = codes(verdict);
    let fired = ["high_amount", "amount_outlier"].map(|code| codes.contains(&code));
    assert_eq!(fired[0], fired[1], "{verdict}");
    fired[0]
}

/// Has so many small orders of other customers scored.
async fn sell(pipeline: &Pipeline, name: &str, count: usize) -> Result<()> {
    let small = (1..count).map(|number| {
        let mut small = order(&format!("{name}-{number}"));
        small["amount"] = json!("20.00");
        small["customer"] = json!({"email": format!("{name}-{number}@example.com")});
        pipeline.submission(&small)
    });
    pipeline.enqueue(&small.collect::<Result<Vec<_>>>()?).await?;
    pipeline.pass_durable_lane(name).await
}

async fn the_day_after_its_two_hundredth_order_a_store_is_judged_by_its_own(pipeline: &mut Pipeline) -> Result<()> {
    pipeline.score();
    let client = pipeline.client();
    let judged = async |id: &str| told(&client.analyze(&order(id)).await?, 200);
    sell(pipeline, "N-first", LEAST_ORDERS - 2).await?;
    assert!(!is_large(&judged("N-early").await?));

    // With one order fewer than it takes.
    pipeline.door.clock.advance(DAY);
    assert!(!is_large(&judged("N-one-less").await?));
    pipeline.door.clock.advance(SECOND);
    assert!(!is_large(&judged("N-same-day").await?), "now there are enough, but not before this day");

    pipeline.door.clock.advance(DAY);
    let verdict = judged("N-next-day").await?;
    assert!(is_large(&verdict));
    let theirs = pipeline.door.client(&pipeline.door.keys.theirs);
    assert!(!is_large(&told(&theirs.analyze(&order("N-theirs")).await?, 200)?));

    pipeline.door.clock.advance(SECOND);
    let comparison = backtest(pipeline, &json!({}), &json!({"disabled": ["amount_outlier"]})).await?;
    let changed: Vec<_> = comparison.most_changed.iter().map(|order| order.order_id.as_str()).collect();
    assert_eq!(changed, ["N-next-day"], "each order is judged as of its day");
    assert_eq!(json!(comparison.most_changed[0].current.0), verdict["risk_score"]);
    Ok(())
}
