//! Live and test keys, live and shadow stores: each in a world of its own.

use anyhow::Result;
use serde_json::json;
use touchstone_platform::store::accounts::StoreChange;
use touchstone_schema::tenant::StoreMode;

use super::fixture::{Pipeline, codes, shown, told};
use crate::ingest::fixture::order;

on_both_ways_to_run![
    test_keys_open_a_world_of_their_own,
    another_store_neither_sees_nor_changes_a_scored_order,
    shadow_store_says_so_in_its_verdicts,
    order_of_a_store_made_a_moment_ago_is_scored,
];

async fn test_keys_open_a_world_of_their_own(pipeline: &mut Pipeline) -> Result<()> {
    let trial = pipeline.door.add_test_key(&pipeline.door.keys.mine).await?;
    pipeline.door.directory.refresh_now().await?;
    pipeline.score();
    let (live, test) = (pipeline.client(), pipeline.door.client(&trial));
    let mut other = order("W-1");
    other["amount"] = json!("55.00");
    let real = told(&live.analyze(&order("W-1")).await?, 200)?;
    let tried = told(&test.analyze(&other).await?, 200)?;
    assert_eq!((&real["mode"], &tried["mode"]), (&json!("live"), &json!("test")));
    assert_ne!(real["transaction_id"], tried["transaction_id"]);

    for (client, own, foreign) in [(&live, &real, &tried), (&test, &tried, &real)] {
        let listed = told(&client.get("/v1/transactions").await?, 200)?;
        assert_eq!(listed["transactions"].as_array().map(Vec::len), Some(1), "{listed}");
        assert_eq!(listed["transactions"][0]["transaction_id"], own["transaction_id"]);
        shown(client, &own["transaction_id"]).await?;
        let foreign = foreign["transaction_id"].as_str().unwrap_or_default();
        told(&client.get(&format!("/v1/transactions/{foreign}")).await?, 404)?;
        told(&client.act(&format!("/v1/transactions/{foreign}/reanalyze")).await?, 404)?;
        let decision = json!({"decision": "approve", "reviewer": "eve"});
        told(&client.post(&format!("/v1/transactions/{foreign}/decision"), &decision).await?, 404)?;
    }

    // What is tried is no history of what is real.
    for number in 0..4 {
        told(&test.analyze(&order(&format!("W-1-{number}"))).await?, 200)?;
    }
    let verdict = told(&live.analyze(&order("W-1-real")).await?, 200)?;
    assert!(!codes(&verdict).contains(&"email_velocity"), "{verdict}");
    let verdict = told(&test.analyze(&order("W-1-tried")).await?, 200)?;
    assert!(codes(&verdict).contains(&"email_velocity"), "{verdict}");
    Ok(())
}

async fn another_store_neither_sees_nor_changes_a_scored_order(pipeline: &mut Pipeline) -> Result<()> {
    pipeline.score();
    let (mine, theirs) = (pipeline.client(), pipeline.door.client(&pipeline.door.keys.theirs));
    let verdict = told(&mine.analyze(&order("W-0")).await?, 200)?;
    let before = shown(&mine, &verdict["transaction_id"]).await?;
    let path = format!("/v1/transactions/{}", verdict["transaction_id"].as_str().unwrap_or_default());
    told(&theirs.get(&path).await?, 404)?;
    let decision = json!({"decision": "approve", "reviewer": "eve"});
    let outcome = json!({"type": "legitimate", "occurred_at": "2026-05-04T12:00:00Z", "amount": 1});
    for (route, body) in
        [("decision", decision.to_string()), ("outcome", outcome.to_string()), ("reanalyze", String::new())]
    {
        told(&theirs.send(hyper::Method::POST, &format!("{path}/{route}"), body).await?, 404)?;
    }
    assert_eq!(shown(&mine, &verdict["transaction_id"]).await?, before);

    // The same order id is another transaction there.
    let other = told(&theirs.analyze(&order("W-0")).await?, 200)?;
    assert_ne!(other["transaction_id"], verdict["transaction_id"]);
    assert_eq!(shown(&mine, &verdict["transaction_id"]).await?, before);
    Ok(())
}

async fn shadow_store_says_so_in_its_verdicts(pipeline: &mut Pipeline) -> Result<()> {
    let trial = pipeline.door.add_test_key(&pipeline.door.keys.mine).await?;
    let change = StoreChange { mode: Some(StoreMode::Shadow), ..StoreChange::default() };
    let store = &pipeline.door.keys.mine.tenant.store_id;
    pipeline.system().change_store(store, &change, pipeline.door.clock.now()).await?;
    pipeline.door.directory.refresh_now().await?;
    pipeline.score();
    assert_eq!(told(&pipeline.client().analyze(&order("W-2")).await?, 200)?["mode"], "shadow");
    assert_eq!(told(&pipeline.door.client(&trial).analyze(&order("W-2")).await?, 200)?["mode"], "test");
    Ok(())
}

/// The scorer's directory may have been read just before the store was made.
async fn order_of_a_store_made_a_moment_ago_is_scored(pipeline: &mut Pipeline) -> Result<()> {
    let directory = pipeline.door.open_directory().await?;
    let key = pipeline.door.add_store().await?;
    pipeline.door.directory.refresh_now().await?;
    pipeline.score_with(directory);
    told(&pipeline.door.client(&key).analyze(&order("W-3")).await?, 200)?;
    Ok(())
}
