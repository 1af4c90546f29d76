//! Scoring recorded orders again: with the history that they had, and without leaving a trace.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use touchstone_platform::enrichment::Enricher;
use touchstone_schema::policy::StoredPolicy;
use touchstone_schema::verdict::Action;
use touchstone_scorer::backtest::{Backtest, Comparison};
use touchstone_scorer::score::policy::Policy;

use super::fixture::{Pipeline, START, codes, shown, told};
use crate::ingest::fixture::order;

on_both_ways_to_run![orders_are_scored_again_with_the_history_that_they_had, what_was_recorded_is_as_it_was_afterwards,];

fn policy(pipeline: &Pipeline, document: &Value) -> Result<Policy> {
    let store_id = pipeline.door.keys.mine.tenant.store_id.clone();
    Ok(Policy::from_stored(&StoredPolicy { store_id, version: 9, document: document.to_string() })?)
}

pub(super) async fn backtest(pipeline: &Pipeline, current: &Value, candidate: &Value) -> Result<Comparison> {
    let tenant = &pipeline.door.keys.mine.tenant;
    let snapshot = pipeline.door.directory.snapshot();
    let profile = snapshot.store(&tenant.store_id).context("the directory knows the store")?;
    let backtest = Backtest {
        store: &pipeline.door.store,
        tenant,
        data_key: &profile.data_key,
        own_domains: &profile.input.own_domains,
        current: &policy(pipeline, current)?,
        candidate: &policy(pipeline, candidate)?,
        enrichment: &Enricher::built_in().snapshot(),
    };
    Ok(backtest.run(START, pipeline.door.clock.now(), |_, _| {}).await?)
}

/// Orders of one customer with a card of its own each, ten minutes apart: the third is one card too many.
async fn card_testing(pipeline: &mut Pipeline) -> Result<Vec<Value>> {
    pipeline.score();
    let client = pipeline.client();
    let mut verdicts = Vec::new();
    for card in 0..4 {
        let mut order = order(&format!("B-{card}"));
        order["payment"] = json!({"method": "card", "card_fingerprint": format!("fp_{card}"), "card_last4": "4242"});
        verdicts.push(told(&client.analyze(&order).await?, 200)?);
        pipeline.door.clock.advance(Duration::from_secs(600));
    }
    Ok(verdicts)
}

async fn orders_are_scored_again_with_the_history_that_they_had(pipeline: &mut Pipeline) -> Result<()> {
    let verdicts = card_testing(pipeline).await?;
    let fired: Vec<_> = verdicts.iter().map(|verdict| codes(verdict).contains(&"cards_per_email")).collect();
    assert_eq!(fired, [false, false, true, true]);

    let without = json!({"disabled": ["cards_per_email"]});
    let comparison = backtest(pipeline, &json!({}), &without).await?;
    assert_eq!((comparison.orders, comparison.unreadable), (4, 0));
    let mut changed = comparison.most_changed;
    changed.sort_by_key(|order| order.received_at);
    // Were later orders its history, the first order would change too; were none, no order would.
    let ids: Vec<_> = changed.iter().map(|order| order.order_id.as_str()).collect();
    assert_eq!(ids, ["B-2", "B-3"]);
    for (order, verdict) in changed.iter().zip(&verdicts[2..]) {
        assert_eq!(json!(order.current.0), verdict["risk_score"], "as it was scored then");
        assert!(order.reasons.iter().any(|reason| reason.code == "cards_per_email" && reason.candidate.is_none()));
    }
    Ok(())
}

async fn what_was_recorded_is_as_it_was_afterwards(pipeline: &mut Pipeline) -> Result<()> {
    let verdicts = card_testing(pipeline).await?;
    let client = pipeline.client();
    let before = shown(&client, &verdicts[3]["transaction_id"]).await?;
    let directory = pipeline.system().directory_versions().await?.accounts;
    let held = json!({"actions": {"low": "hold", "medium": "hold", "high": "hold", "critical": "hold"}});
    let comparison = backtest(pipeline, &json!({}), &held).await?;
    assert_eq!(comparison.candidate.money[&("EUR", Action::Hold)].orders, 4);
    assert_eq!(shown(&client, &verdicts[3]["transaction_id"]).await?, before);
    assert_eq!(pipeline.system().directory_versions().await?.accounts, directory);
    Ok(())
}
