//! Orders that no notice announced, budgets, and the emergency release.

use std::time::Duration;

use anyhow::{Result, ensure};
use touchstone_centra_double::{Budgets, Centra, Kind, Order, Quota, Settings as ShopSettings};
use touchstone_schema::centra::{ConnectionSettings, Effect, HoldOutcome, HoldState, WantedBy};
use touchstone_tests::{Backend, eventually};

use super::fixture::HeldShop;
use crate::pipeline::fixture::{PATIENCE, events};

on_both_ways_to_run!(
    the_sweep_finds_what_no_notice_announced_over_several_pages,
    the_emergency_release_resumes_what_is_known_and_what_is_not,
    an_order_that_waits_survives_a_restart_of_the_notifier,
    three_notifiers_settle_each_order_once_and_tell_of_a_deadline_once,
);

async fn the_sweep_finds_what_no_notice_announced_over_several_pages(shop: HeldShop) -> Result<()> {
    let ids: Vec<_> = (1..=130)
        .map(|number| {
            let order = Order::ordinary(number);
            let id = order.id.clone();
            shop.centra.put(order);
            id
        })
        .collect();
    shop.centra.put(Order::ordinary(500).with_status("DELETED").with_on_hold(false));
    shop.set(ConnectionSettings::default()).await?;
    let all = eventually(PATIENCE * 2, "every order to be settled", async || {
        ids.iter().all(|id| shop.applied(id).len() == 1).then_some(())
    });
    all.await?;
    ensure!(ids.iter().all(|id| shop.asked(id) == 1));
    Ok(())
}

async fn the_emergency_release_resumes_what_is_known_and_what_is_not(shop: HeldShop) -> Result<()> {
    let keep = ConnectionSettings { on_critical: Effect::Keep, ..ConnectionSettings::default() };
    shop.set(keep).await?;
    let waiting = shop.hold(Order::suspicious(1)).await?;
    shop.in_state(&waiting, HoldState::Waiting).await?;
    let mismatched = shop.hold(Order::ordinary(2).with_hold(&["WAITING_FOR_FRAUD_CHECK", "PAYMENT_MISMATCH"])).await?;
    shop.put_off(&mismatched, "PAYMENT_MISMATCH").await?;
    let unheard = Order::suspicious(3);
    let unheard_id = unheard.id.clone();
    shop.centra.put(unheard);

    let store = &shop.pipeline.door.keys.mine.tenant.store_id;
    let released = shop.pipeline.system().release_holds(store, shop.pipeline.door.clock.now()).await?;
    assert_eq!(released, 2);
    for id in [&waiting, &mismatched, &unheard_id] {
        assert_eq!(shop.ended(id).await?, [HoldOutcome::Resumed], "{id}");
        assert_eq!(shop.applied(id), [Kind::Resume], "{id}");
        assert_eq!(shop.holds(id).await?[0].wanted, Some((Effect::Resume, WantedBy::Release)));
    }
    Ok(())
}

async fn an_order_that_waits_survives_a_restart_of_the_notifier(mut shop: HeldShop) -> Result<()> {
    shop.set(ConnectionSettings { on_critical: Effect::Keep, ..ConnectionSettings::default() }).await?;
    let id = shop.hold(Order::suspicious(1)).await?;
    shop.in_state(&id, HoldState::Waiting).await?;
    shop.stop_notifiers().await?;
    let unheard = shop.hold(Order::ordinary(2)).await?;
    shop.notify();
    assert_eq!(shop.ended(&unheard).await?, [HoldOutcome::Resumed]);
    assert_eq!(shop.holds(&id).await?[0].state, HoldState::Waiting);
    assert_eq!(shop.asked(&id), 0);
    Ok(())
}

async fn three_notifiers_settle_each_order_once_and_tell_of_a_deadline_once(mut shop: HeldShop) -> Result<()> {
    shop.notify();
    shop.notify();
    // Every other order is cancelled by its verdict; the deadline of the others has passed when they are judged.
    let settings = ConnectionSettings {
        on_low: Effect::Keep,
        on_approve: Effect::Keep,
        review_deadline_minutes: 0,
        ..ConnectionSettings::default()
    };
    shop.set(settings).await?;
    let mut ids = Vec::new();
    for number in 1..=24 {
        let order = if number % 2 == 0 { Order::suspicious(number) } else { Order::ordinary(number) };
        ids.push(shop.hold(order).await?);
    }
    for (number, id) in (1..).zip(&ids) {
        if number % 2 == 0 {
            assert_eq!(shop.ended(id).await?, [HoldOutcome::Cancelled], "{number}");
            assert_eq!((shop.applied(id), shop.asked(id)), (vec![Kind::Cancel], 1), "{number}");
        } else {
            shop.put_off(id, "the review deadline has passed").await?;
            assert_eq!(events(&shop.transaction(id).await?), ["order.scored", "order.action_failed"], "{number}");
        }
    }
    Ok(())
}

/// Half of what the shop says is left, and not a request more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_other_half_of_the_budget_is_left_to_others() -> Result<()> {
    let quota = Quota { ten_seconds: 40, hour: 100_000 };
    let window = Duration::from_secs(2);
    let budgets = Budgets { requests: quota, mutations: quota, ten_seconds: window, ..Budgets::default() };
    let settings = ShopSettings { budgets, ..ShopSettings::default() };
    let shop = HeldShop::open_with(Backend::embedded()?, settings, ConnectionSettings::default()).await?;
    settle_many(&shop.centra, &shop, 24).await?;
    assert_eq!(shop.centra.requests().refused_for_budget, 0, "{:?}", shop.centra.requests());
    Ok(())
}

/// A shop that does not know the question is taken to have what is usual.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shop_that_does_not_tell_its_budget_is_spared_too() -> Result<()> {
    let settings = ShopSettings { tells_rate_limits: false, budgets: Budgets::modest(), ..ShopSettings::default() };
    let shop = HeldShop::open_with(Backend::embedded()?, settings, ConnectionSettings::default()).await?;
    settle_many(&shop.centra, &shop, 12).await?;
    assert_eq!(shop.centra.requests().refused_for_budget, 0, "{:?}", shop.centra.requests());
    Ok(())
}

async fn settle_many(centra: &Centra, shop: &HeldShop, orders: i32) -> Result<()> {
    let mut ids = Vec::new();
    for number in 1..=orders {
        ids.push(shop.hold(Order::ordinary(number)).await?);
    }
    eventually(PATIENCE * 2, "every order to be settled", async || {
        ids.iter().all(|id| centra.applied(id).len() == 1).then_some(())
    })
    .await
}
