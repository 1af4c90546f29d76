//! Looks through a shop for held orders that no notice announced, and for waiting ones that it does not hold any more.
//!
//! Guarantee: an order that the shop holds for us is found by the first sweep after it was held, whatever became of its
//! notice. Failure: a sweep that breaks off is begun anew soon.

use std::collections::HashSet;
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use touchstone_platform::store::holds::{DueSweep, HeldOrder, HoldMove};
use touchstone_schema::centra::HoldState;
use touchstone_schema::time::Timestamp;

use super::next::OrderState;
use super::operations::LIST_HELD;
use super::shop::{Shop, Stop};

/// Orders of one page.
const PAGE: usize = 100;
/// Most pages of one sweep; what is beyond them the next one finds.
const PAGES: usize = 500;
/// Wait before a sweep that broke off is begun anew.
const BROKEN_OFF: Duration = Duration::from_secs(30);
/// Age of a token from which its end is warned of: by default it is valid for 30 days (contract: Centra connector).
const TOKEN_WARNING: Duration = Duration::from_secs(25 * 86_400);

pub(super) async fn run(shop: &Shop<'_>, sweep: &DueSweep) -> Result<(), Stop> {
    let (system, id) = (shop.worker.system(), &shop.connection.id);
    let started = shop.now();
    match look_through(shop, sweep).await? {
        Ok(held) => {
            look_again_at_the_others(shop, &held, started).await?;
            let next = started + Duration::from_secs(60 * u64::from(shop.connection.settings.sweep_minutes));
            system.swept(id, sweep, shop.now(), next).await?;
            warn_of_token(shop, started);
        }
        Err(why) => {
            tracing::warn!(connection = %id, store = %shop.connection.store_id, why, "a sweep broke off");
            system.sweep_later(id, sweep, shop.now() + BROKEN_OFF).await?;
        }
    }
    Ok(())
}

/// Opens holds for what is found; all that the shop holds for us, or why the sweep broke off.
async fn look_through(shop: &Shop<'_>, sweep: &DueSweep) -> Result<Result<HashSet<String>, String>, Stop> {
    #[derive(Deserialize)]
    struct Page {
        orders: Vec<OrderState>,
    }
    let mut held = HashSet::new();
    for page in 1..=PAGES {
        let data = match shop.ask(&LIST_HELD, &json!({"limit": PAGE, "page": page})).await? {
            Ok(data) => data,
            Err(error) => return Ok(Err(error.to_string())),
        };
        let Ok(Page { orders }) = serde_json::from_str(data.get()) else {
            return Ok(Err("the shop's answer is not what was asked for".to_owned()));
        };
        let is_last = orders.len() < PAGE;
        let found = orders.into_iter().filter(OrderState::is_held_for_us);
        let found: Vec<_> = found.map(|order| HeldOrder { centra_id: order.id, number: order.number }).collect();
        // A sweep takes its time, and a hold has the deadline of when it was found.
        let directory = shop.worker.with.directory.snapshot();
        let connection = directory.connection(&shop.connection.id).map_or(&shop.connection, AsRef::as_ref);
        let opened = shop.worker.system().open_found(connection, &found, sweep.releasing, shop.now()).await?;
        if opened > 0 {
            metrics::counter!("touchstone_centra_swept_total").increment(opened);
            tracing::info!(connection = %shop.connection.id, orders = opened, "held orders were found without a notice");
        }
        held.extend(found.into_iter().map(|order| order.centra_id));
        if is_last {
            break;
        }
    }
    Ok(Ok(held))
}

/// Orders that wait for a person and are not held any more were settled at the shop.
async fn look_again_at_the_others(shop: &Shop<'_>, held: &HashSet<String>, now: Timestamp) -> Result<(), Stop> {
    for hold in shop.worker.system().waiting_holds(&shop.connection.id, now).await? {
        if hold.centra_id.as_ref().is_some_and(|id| !held.contains(id)) {
            let error = hold.last_error.clone();
            let to = HoldMove { state: HoldState::Waiting, due_at: now, attempts: 0, error };
            shop.worker.system().move_hold(&hold, &to).await?;
        }
    }
    Ok(())
}

fn warn_of_token(shop: &Shop<'_>, now: Timestamp) {
    let age = now.since(shop.connection.token_set_at);
    let days = age.as_secs() / 86_400;
    metrics::gauge!("touchstone_centra_token_age_days", "connection" => shop.connection.id.to_string())
        .set(days as f64);
    if age >= TOKEN_WARNING {
        tracing::warn!(
            connection = %shop.connection.id, store = %shop.connection.store_id, days,
            "the access token of this shop ends soon: make a new one and run touchstone centra set-token"
        );
    }
}
