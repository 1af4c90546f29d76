//! What the verdict, a person and the review deadline make of a held order.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use touchstone_centra_double::{Kind, Order};
use touchstone_schema::centra::{ConnectionSettings, Effect, HoldOutcome, HoldState, WantedBy};
use touchstone_tests::eventually;

use super::fixture::{HeldShop, PATH};
use crate::ingest::centra::{sample, tell};
use crate::pipeline::fixture::{PATIENCE, events, revisions, told};

on_both_ways_to_run!(
    the_documents_notification_is_settled_within_two_seconds,
    a_harmless_order_is_resumed_and_a_critical_one_cancelled,
    an_order_is_screened_once_however_often_and_by_whatever_name_it_is_announced,
    a_late_notice_of_a_settled_order_changes_nothing,
    an_order_held_again_is_screened_again,
    a_decision_settles_an_order_that_waits,
    an_order_that_is_scored_again_while_it_waits_is_judged_again,
    the_review_deadline_does_what_the_store_chose,
    a_deadline_that_keeps_tells_a_person_once,
    a_shadow_store_resumes_every_order_and_keeps_what_it_would_have_done,
);

/// The vendor's own sample, through the door, with the reference of an order of the shop.
async fn the_documents_notification_is_settled_within_two_seconds(shop: HeldShop) -> Result<()> {
    for (order, kind) in [(Order::ordinary(4711), Kind::Resume), (Order::suspicious(4712), Kind::Cancel)] {
        let id = order.id.clone();
        let mut notice = sample();
        notice["order"]["order"] = json!(order.reference());
        shop.centra.put(order);
        let url = format!("{}/v1/centra/{PATH}", shop.pipeline.door.url);
        let answer = tell(&url, notice.to_string()).await?;
        ensure!(answer.status == 202, "{answer:?}");
        eventually(Duration::from_secs(2), "the order to be settled", async || {
            (shop.applied(&id) == [kind]).then_some(())
        })
        .await?;
    }
    Ok(())
}

async fn a_harmless_order_is_resumed_and_a_critical_one_cancelled(shop: HeldShop) -> Result<()> {
    let (good, bad) = (shop.hold(Order::ordinary(1)).await?, shop.hold(Order::suspicious(2)).await?);
    assert_eq!(shop.ended(&good).await?, [HoldOutcome::Resumed], "{:?}", shop.transaction(&good).await?["verdict"]);
    assert_eq!(shop.ended(&bad).await?, [HoldOutcome::Cancelled], "{:?}", shop.transaction(&bad).await?["verdict"]);
    assert_eq!((shop.applied(&good), shop.applied(&bad)), (vec![Kind::Resume], vec![Kind::Cancel]));

    let (good, bad) = (shop.transaction(&good).await?, shop.transaction(&bad).await?);
    assert_eq!((&good["status"], events(&good)), (&json!("approved"), vec!["order.scored", "order.resumed"]));
    assert_eq!((&bad["status"], events(&bad)), (&json!("cancelled"), vec!["order.scored", "order.cancelled"]));
    let cancelled = shop.centra.mutations().into_iter().find(|mutation| mutation.kind == Kind::Cancel);
    let cancelled = cancelled.context("it was asked for")?;
    assert_eq!(cancelled.response_key, "cancelOrder");
    let input = &cancelled.arguments["input"];
    assert_eq!(
        (&input["reason"], &input["emailOptions"], &input["stockAction"], &input["cancelAuthorization"]),
        (
            &json!("FRAUD_CHECK_REJECTED"),
            &json!({"sendEmail": false}),
            &json!({"releaseItemsBackToWarehouse": true}),
            &json!(true)
        )
    );
    Ok(())
}

async fn an_order_is_screened_once_however_often_and_by_whatever_name_it_is_announced(shop: HeldShop) -> Result<()> {
    let order = Order::ordinary(7);
    let (id, number) = (order.id.clone(), order.number);
    shop.centra.put(order);
    for reference in [id.clone(), number.to_string(), format!("#{number}"), id.clone(), number.to_string()] {
        shop.announce(&id, &reference).await?;
    }
    let outcomes = shop.ended(&id).await?;
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == HoldOutcome::Resumed).count(), 1, "{outcomes:?}");
    ensure!(
        outcomes.iter().all(|one| matches!(one, HoldOutcome::Resumed | HoldOutcome::Duplicate | HoldOutcome::NotHeld))
    );
    assert_eq!((shop.applied(&id), shop.asked(&id)), (vec![Kind::Resume], 1));
    let transaction = shop.transaction(&id).await?;
    assert_eq!((revisions(&transaction), events(&transaction)), (1, vec!["order.scored", "order.resumed"]));
    Ok(())
}

async fn a_late_notice_of_a_settled_order_changes_nothing(shop: HeldShop) -> Result<()> {
    let id = shop.hold(Order::ordinary(3)).await?;
    assert_eq!(shop.ended(&id).await?, [HoldOutcome::Resumed]);
    shop.announce(&id, &id).await?;
    let other = shop.hold(Order::ordinary(4)).await?;
    shop.ended(&other).await?;
    let mut outcomes = shop.ended(&id).await?;
    outcomes.sort_by_key(|outcome| *outcome == HoldOutcome::NotHeld);
    assert_eq!(outcomes, [HoldOutcome::Resumed, HoldOutcome::NotHeld]);
    assert_eq!((shop.asked(&id), revisions(&shop.transaction(&id).await?)), (1, 1));
    Ok(())
}

async fn an_order_held_again_is_screened_again(shop: HeldShop) -> Result<()> {
    let id = shop.hold(Order::ordinary(5)).await?;
    assert_eq!(shop.ended(&id).await?, [HoldOutcome::Resumed]);
    ensure!(shop.centra.hold_again(&id, &["WAITING_FOR_FRAUD_CHECK"]));
    shop.announce(&id, &id).await?;
    shop.in_state(&id, HoldState::Closed).await?;
    eventually(PATIENCE, "the second resume", async || (shop.applied(&id).len() == 2).then_some(())).await?;
    assert_eq!(shop.ended(&id).await?, [HoldOutcome::Resumed, HoldOutcome::Resumed]);
    let transaction = shop.transaction(&id).await?;
    let expected = vec!["order.scored", "order.resumed", "order.rescored", "order.resumed"];
    assert_eq!((revisions(&transaction), events(&transaction)), (2, expected));
    Ok(())
}

async fn a_decision_settles_an_order_that_waits(shop: HeldShop) -> Result<()> {
    shop.set(ConnectionSettings { on_critical: Effect::Keep, ..ConnectionSettings::default() }).await?;
    let client = shop.pipeline.client();
    for (number, decision, kind, outcome) in
        [(11, "approve", Kind::Resume, HoldOutcome::Resumed), (12, "reject", Kind::Cancel, HoldOutcome::Cancelled)]
    {
        let id = shop.hold(Order::suspicious(number)).await?;
        let hold = shop.in_state(&id, HoldState::Waiting).await?;
        assert_eq!(shop.asked(&id), 0);
        let transaction = hold.transaction_id.context("it was read")?;
        let body = json!({"decision": decision, "reviewer": "Ann"});
        let answer = client.post(&format!("/v1/transactions/{transaction}/decision"), &body).await?;
        told(&answer, 200)?;
        assert_eq!(shop.ended(&id).await?, [outcome]);
        assert_eq!((shop.applied(&id), shop.asked(&id)), (vec![kind], 1));
        let hold = shop.holds(&id).await?.remove(0);
        assert_eq!(hold.wanted.map(|(_, by)| by), Some(WantedBy::Decision));
    }
    Ok(())
}

async fn an_order_that_is_scored_again_while_it_waits_is_judged_again(shop: HeldShop) -> Result<()> {
    shop.set(ConnectionSettings { on_critical: Effect::Keep, ..ConnectionSettings::default() }).await?;
    let id = shop.hold(Order::suspicious(15)).await?;
    let hold = shop.in_state(&id, HoldState::Waiting).await?;
    shop.set(ConnectionSettings::default()).await?;
    let transaction = hold.transaction_id.context("it was read")?;
    let path = format!("/v1/transactions/{transaction}/reanalyze");
    told(&shop.pipeline.client().act(&path).await?, 200)?;
    assert_eq!(shop.ended(&id).await?, [HoldOutcome::Cancelled]);
    assert_eq!((shop.applied(&id), revisions(&shop.transaction(&id).await?)), (vec![Kind::Cancel], 2));
    Ok(())
}

async fn the_review_deadline_does_what_the_store_chose(shop: HeldShop) -> Result<()> {
    for (number, effect, kind) in [(21, Effect::Resume, Kind::Resume), (22, Effect::Cancel, Kind::Cancel)] {
        let settings = ConnectionSettings {
            on_critical: Effect::Keep,
            review_deadline_minutes: 0,
            on_deadline: effect,
            ..ConnectionSettings::default()
        };
        shop.set(settings).await?;
        let id = shop.hold(Order::suspicious(number)).await?;
        shop.ended(&id).await?;
        assert_eq!(shop.applied(&id), [kind]);
        assert_eq!(shop.holds(&id).await?[0].wanted, Some((effect, WantedBy::Deadline)));
    }
    Ok(())
}

async fn a_deadline_that_keeps_tells_a_person_once(shop: HeldShop) -> Result<()> {
    let settings =
        ConnectionSettings { on_critical: Effect::Keep, review_deadline_minutes: 0, ..ConnectionSettings::default() };
    shop.set(settings).await?;
    let id = shop.hold(Order::suspicious(31)).await?;
    shop.put_off(&id, "the review deadline has passed").await?;
    // Another order goes its way meanwhile, and nothing more is told of the first.
    let other = shop.hold(Order::ordinary(32)).await?;
    shop.ended(&other).await?;
    assert_eq!(shop.asked(&id), 0);
    assert_eq!(events(&shop.transaction(&id).await?), ["order.scored", "order.action_failed"]);
    Ok(())
}

async fn a_shadow_store_resumes_every_order_and_keeps_what_it_would_have_done(shop: HeldShop) -> Result<()> {
    let door = &shop.pipeline.door;
    let change = touchstone_platform::store::accounts::StoreChange {
        mode: Some(touchstone_schema::tenant::StoreMode::Shadow),
        ..Default::default()
    };
    let store = &door.keys.mine.tenant.store_id;
    ensure!(shop.pipeline.system().change_store(store, &change, door.clock.now()).await?);
    door.directory.refresh_now().await?;
    let (good, bad) = (shop.hold(Order::ordinary(41)).await?, shop.hold(Order::suspicious(42)).await?);
    for (id, would_have) in [(&good, Effect::Resume), (&bad, Effect::Cancel)] {
        assert_eq!(shop.ended(id).await?, [HoldOutcome::Resumed]);
        assert_eq!(shop.applied(id), [Kind::Resume]);
        let hold = shop.holds(id).await?.remove(0);
        assert_eq!((hold.would_have, hold.wanted), (Some(would_have), Some((Effect::Resume, WantedBy::Shadow))));
    }
    Ok(())
}
