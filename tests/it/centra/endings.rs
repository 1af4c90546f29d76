//! What is done with an order that is not simply held for us.

use anyhow::{Context, Result, ensure};
use hyper::Method;
use serde_json::json;
use touchstone_centra_double::{Kind, Order};
use touchstone_platform::store::holds::NEVER;
use touchstone_schema::centra::{ConnectionSettings, Effect, HoldOutcome, HoldState, WantedBy};
use touchstone_schema::ids::TransactionId;
use touchstone_tests::eventually;

use super::fixture::HeldShop;
use crate::pipeline::fixture::{PATIENCE, events, told};

const OURS: &str = "WAITING_FOR_FRAUD_CHECK";

on_both_ways_to_run!(
    an_order_that_is_not_held_yet_is_read_again_and_screened_then,
    deleted_archived_and_cancelled_orders_are_left_alone,
    an_order_that_the_shop_does_not_know_is_given_up,
    an_order_that_waits_for_something_else_too_is_settled_after_that,
    a_payment_mismatch_and_an_unknown_reason_are_for_a_person,
    a_person_may_decide_in_spite_of_a_payment_mismatch,
    an_order_that_a_person_resumed_before_us_is_not_cancelled,
    an_order_that_a_person_cancelled_before_us_is_not_resumed,
    an_order_that_is_as_wanted_already_is_not_asked_for,
    a_report_that_says_what_becomes_of_the_goods_is_asked_of_the_shop_once,
    a_report_that_does_not_leaves_the_order_to_a_person_at_the_shop,
    of_a_decision_and_a_report_at_once_the_shop_is_asked_for_one,
);

async fn an_order_that_is_not_held_yet_is_read_again_and_screened_then(shop: HeldShop) -> Result<()> {
    let id = shop.hold(Order::ordinary(1).with_hold(&["WAITING_FOR_PAYMENT"])).await?;
    shop.put_off(&id, "does not hold it for us").await?;
    assert_eq!(shop.asked(&id), 0);
    ensure!(shop.centra.hold_again(&id, &[OURS]));
    assert_eq!(shop.ended(&id).await?, [HoldOutcome::Resumed]);
    assert_eq!(shop.applied(&id), [Kind::Resume]);
    Ok(())
}

async fn deleted_archived_and_cancelled_orders_are_left_alone(shop: HeldShop) -> Result<()> {
    for (number, status) in [(11, "DELETED"), (12, "ARCHIVED"), (13, "CANCELLED")] {
        let id = shop.hold(Order::ordinary(number).with_status(status).with_on_hold(true)).await?;
        assert_eq!(shop.ended(&id).await?, [HoldOutcome::NotHeld], "{status}");
        assert_eq!(shop.asked(&id), 0, "{status}");
    }
    // The document's own example: deleted, with the reason still there.
    let id = shop.hold(Order::ordinary(14).with_status("DELETED").with_on_hold(false)).await?;
    assert_eq!(shop.ended(&id).await?, [HoldOutcome::NotHeld]);
    Ok(())
}

async fn an_order_that_the_shop_does_not_know_is_given_up(shop: HeldShop) -> Result<()> {
    let id = "00000000000000000000000000000000";
    shop.announce(id, id).await?;
    assert_eq!(shop.ended(id).await?, [HoldOutcome::Unknown]);
    assert_eq!(shop.asked(id), 0);
    Ok(())
}

async fn an_order_that_waits_for_something_else_too_is_settled_after_that(shop: HeldShop) -> Result<()> {
    for (number, reason) in [
        (21, "WAITING_FOR_PAYMENT"),
        (22, "WAITING_FOR_CHECK_FIRST_ALLOCATION"),
        (23, "WAITING_FOR_GIFT_CARD_AUTHORIZATION"),
    ] {
        let id = shop.hold(Order::ordinary(number).with_hold(&[OURS, reason])).await?;
        shop.put_off(&id, reason).await?;
        assert_eq!(shop.asked(&id), 0, "{reason}");
        ensure!(shop.centra.hold_again(&id, &[OURS]));
        assert_eq!(shop.ended(&id).await?, [HoldOutcome::Resumed], "{reason}");
        assert_eq!(shop.applied(&id), [Kind::Resume], "{reason}");
    }
    Ok(())
}

async fn a_payment_mismatch_and_an_unknown_reason_are_for_a_person(shop: HeldShop) -> Result<()> {
    // The double's schema knows no other reasons, so the unknown one is told by none of its values.
    let id = shop.hold(Order::ordinary(31).with_hold(&[OURS, "PAYMENT_MISMATCH"])).await?;
    let hold = shop.put_off(&id, "PAYMENT_MISMATCH").await?;
    assert_eq!((hold.state, hold.wanted, hold.due_at), (HoldState::Waiting, None, hold.deadline_at));
    assert_eq!(shop.asked(&id), 0);
    assert_eq!(events(&shop.transaction(&id).await?), ["order.scored", "order.action_failed"]);
    Ok(())
}

async fn a_person_may_decide_in_spite_of_a_payment_mismatch(shop: HeldShop) -> Result<()> {
    let settings = ConnectionSettings { on_critical: Effect::Keep, ..ConnectionSettings::default() };
    shop.set(settings).await?;
    let id = shop.hold(Order::suspicious(41).with_hold(&[OURS, "PAYMENT_MISMATCH"])).await?;
    let hold = shop.in_state(&id, HoldState::Waiting).await?;
    let transaction = hold.transaction_id.context("it was read")?;
    let body = json!({"decision": "reject", "reviewer": "Ann"});
    let path = format!("/v1/transactions/{transaction}/decision");
    told(&shop.pipeline.client().post(&path, &body).await?, 200)?;
    assert_eq!(shop.ended(&id).await?, [HoldOutcome::Cancelled]);
    assert_eq!(shop.applied(&id), [Kind::Cancel]);
    Ok(())
}

/// The order waits for a person, who goes to the shop instead; the sweep sees that it is not held any more.
async fn an_order_that_a_person_resumed_before_us_is_not_cancelled(shop: HeldShop) -> Result<()> {
    settled_at_the_shop(&shop, 51, "reject", |shop, id| shop.centra.resume_by_person(id), "approved").await
}

async fn an_order_that_a_person_cancelled_before_us_is_not_resumed(shop: HeldShop) -> Result<()> {
    settled_at_the_shop(&shop, 61, "approve", |shop, id| shop.centra.cancel_by_person(id), "cancelled").await
}

async fn settled_at_the_shop(
    shop: &HeldShop,
    number: i32,
    decision: &str,
    settle: impl Fn(&HeldShop, &str) -> bool,
    status: &str,
) -> Result<()> {
    let keep = ConnectionSettings { on_critical: Effect::Keep, ..ConnectionSettings::default() };
    shop.set(keep.clone()).await?;
    // Found out when somebody decides the other way here.
    let id = shop.hold(Order::suspicious(number)).await?;
    let hold = shop.in_state(&id, HoldState::Waiting).await?;
    ensure!(settle(shop, &id));
    let transaction = hold.transaction_id.context("it was read")?;
    let body = json!({"decision": decision, "reviewer": "Ann"});
    let path = format!("/v1/transactions/{transaction}/decision");
    told(&shop.pipeline.client().post(&path, &body).await?, 200)?;
    assert_eq!(shop.ended(&id).await?, [HoldOutcome::Overtaken]);
    assert_eq!(shop.asked(&id), 0);
    let shown = shop.transaction(&id).await?;
    assert_eq!((&shown["status"], events(&shown).last().copied()), (&json!(status), Some("order.action_failed")));

    // Found out by the sweep when nobody does.
    let id = shop.hold(Order::suspicious(number + 1)).await?;
    shop.in_state(&id, HoldState::Waiting).await?;
    ensure!(settle(shop, &id));
    shop.set(keep).await?;
    assert_eq!(shop.ended(&id).await?, [HoldOutcome::Overtaken]);
    assert_eq!((shop.asked(&id), &shop.transaction(&id).await?["status"]), (0, &json!(status)));
    Ok(())
}

async fn an_order_that_is_as_wanted_already_is_not_asked_for(shop: HeldShop) -> Result<()> {
    shop.set(ConnectionSettings { on_critical: Effect::Keep, ..ConnectionSettings::default() }).await?;
    let id = shop.hold(Order::suspicious(71)).await?;
    let hold = shop.in_state(&id, HoldState::Waiting).await?;
    ensure!(shop.centra.cancel_by_person(&id));
    let transaction = hold.transaction_id.context("it was read")?;
    let body = json!({"decision": "reject", "reviewer": "Ann"});
    let path = format!("/v1/transactions/{transaction}/decision");
    told(&shop.pipeline.client().post(&path, &body).await?, 200)?;
    assert_eq!(shop.ended(&id).await?, [HoldOutcome::Cancelled]);
    assert_eq!(shop.asked(&id), 0);
    eventually(PATIENCE, "the event", async || {
        let shown = shop.transaction(&id).await.ok()?;
        (events(&shown).last() == Some(&"order.cancelled")).then_some(())
    })
    .await
}

async fn report(shop: &HeldShop, transaction: &TransactionId, kind: &str) -> Result<()> {
    let body = json!({"type": kind, "occurred_at": "2026-05-04T00:00:00Z"});
    let path = format!("/v1/transactions/{transaction}/outcome");
    told(&shop.pipeline.client().post(&path, &body).await?, 200).map(drop)
}

async fn a_report_that_says_what_becomes_of_the_goods_is_asked_of_the_shop_once(shop: HeldShop) -> Result<()> {
    shop.set(ConnectionSettings { on_critical: Effect::Keep, ..ConnectionSettings::default() }).await?;
    for (number, kind, asked, status) in [
        (81, "cancelled", Kind::Cancel, "cancelled"),
        (82, "fraud_confirmed", Kind::Cancel, "cancelled"),
        (83, "fulfilled", Kind::Resume, "approved"),
    ] {
        let id = shop.hold(Order::suspicious(number)).await?;
        let hold = shop.in_state(&id, HoldState::Waiting).await?;
        let transaction = hold.transaction_id.context("it was read")?;
        for _ in 0..2 {
            report(&shop, &transaction, kind).await?;
        }
        let ended = if asked == Kind::Cancel { HoldOutcome::Cancelled } else { HoldOutcome::Resumed };
        assert_eq!(shop.ended(&id).await?, [ended], "{kind}");
        assert_eq!((shop.applied(&id), shop.asked(&id)), (vec![asked], 1), "{kind}");
        assert_eq!(shop.holds(&id).await?[0].wanted.map(|(_, by)| by), Some(WantedBy::Outcome), "{kind}");
        let shown = shop.transaction(&id).await?;
        assert_eq!((&shown["status"], &shown["ended_by"]), (&json!(status), &json!(kind)));
        let path = format!("/v1/transactions/{transaction}/decision");
        let decision = json!({"decision": "approve", "reviewer": "Ann"});
        told(&shop.pipeline.client().post(&path, &decision).await?, 409)?;
    }
    Ok(())
}

async fn a_report_that_does_not_leaves_the_order_to_a_person_at_the_shop(shop: HeldShop) -> Result<()> {
    // The deadline would resume it, and has passed when the report comes.
    let settings =
        ConnectionSettings { on_critical: Effect::Keep, on_deadline: Effect::Resume, ..ConnectionSettings::default() };
    shop.set(settings.clone()).await?;
    for (number, kind) in [(91, "refunded"), (92, "chargeback_opened")] {
        let id = shop.hold(Order::suspicious(number)).await?;
        let hold = shop.in_state(&id, HoldState::Waiting).await?;
        let transaction = hold.transaction_id.context("it was read")?;
        report(&shop, &transaction, kind).await?;
        let hold = shop.put_off(&id, kind).await?;
        assert_eq!((hold.state, hold.wanted, hold.due_at), (HoldState::Waiting, None, NEVER), "{kind}");
        // Scored again it would be cancelled, by settings of its own.
        shop.set(ConnectionSettings { on_critical: Effect::Cancel, ..settings.clone() }).await?;
        told(
            &shop
                .pipeline
                .client()
                .send(Method::POST, &format!("/v1/transactions/{transaction}/reanalyze"), "")
                .await?,
            200,
        )?;
        let other = shop.hold(Order::ordinary(number + 10)).await?;
        shop.ended(&other).await?;
        eventually(PATIENCE, "the hold to wait for a person again", async || {
            let hold = shop.holds(&id).await.ok()?.into_iter().next()?;
            (hold.state == HoldState::Waiting && hold.due_at == NEVER && hold.ended_by.is_some()).then_some(())
        })
        .await?;
        assert_eq!((shop.asked(&id), &shop.transaction(&id).await?["status"]), (0, &json!("closed")), "{kind}");
        shop.set(settings.clone()).await?;
        // A person settles it at the shop; the sweep finds out.
        ensure!(shop.centra.resume_by_person(&id));
        shop.set(settings.clone()).await?;
        assert_eq!(shop.ended(&id).await?, [HoldOutcome::Overtaken], "{kind}");
        assert_eq!(shop.asked(&id), 0, "{kind}");
    }
    Ok(())
}

async fn of_a_decision_and_a_report_at_once_the_shop_is_asked_for_one(shop: HeldShop) -> Result<()> {
    shop.set(ConnectionSettings { on_critical: Effect::Keep, ..ConnectionSettings::default() }).await?;
    for number in 111..115 {
        let id = shop.hold(Order::suspicious(number)).await?;
        let hold = shop.in_state(&id, HoldState::Waiting).await?;
        let transaction = hold.transaction_id.context("it was read")?;
        let client = shop.pipeline.client();
        let (path, body) =
            (format!("/v1/transactions/{transaction}/decision"), json!({"decision": "approve", "reviewer": "Ann"}));
        let (decided, reported) = tokio::join!(client.post(&path, &body), report(&shop, &transaction, "cancelled"));
        reported?;
        let decided = decided?;
        ensure!([200, 409].contains(&decided.status.as_u16()), "{decided:?}");
        shop.ended(&id).await?;
        let applied = shop.applied(&id);
        ensure!(applied.len() == 1, "once, never both: {applied:?}");
        ensure!(decided.status == 200 || applied == [Kind::Cancel], "what was refused is not done: {applied:?}");
    }
    Ok(())
}
