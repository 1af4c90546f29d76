//! Resumes and cancels, and looks after orders that wait for a person.
//!
//! Guarantee: each request follows a reading of its order, within the lease; that it is sent is committed first, so that
//! whoever comes after a crash knows that it may have taken effect.

use std::collections::HashMap;

use futures_util::StreamExt as _;
use serde::Deserialize;
use serde_json::{Value, json};
use touchstone_platform::store::holds::{Hold, HoldMove, NEVER};
use touchstone_schema::centra::{ConnectionSettings, Effect, HoldState, OrderArgument, StockAction, WantedBy};
use touchstone_schema::limits::SHOP_WARNINGS;

use super::next::{Next, OrderState, before_acting, done, while_waiting};
use super::operations::{READ_STATES, cancel, resume};
use super::shop::{Shop, Stop};

/// Orders read and acted upon together: few enough that none has changed much meanwhile.
const TOGETHER: usize = 10;
/// Mutations under way at one shop.
const CONCURRENCY: usize = 4;
/// Times that the shop may refuse one with an error of its own before a person has to look.
const REFUSALS: u32 = 5;

pub(super) async fn run(shop: &Shop<'_>, holds: Vec<Hold>) -> Result<(), Stop> {
    if holds.iter().any(|hold| hold.state == HoldState::Acting) {
        // Before the orders are read, so that nothing is asked between reading an order and acting on it.
        shop.arguments().await?;
    }
    for together in holds.chunks(TOGETHER) {
        shop.keep().await?;
        let orders = match read(shop, together).await? {
            Ok(orders) => orders,
            Err(why) => {
                for hold in together {
                    shop.worker.later(hold, &why).await?;
                }
                continue;
            }
        };
        let acts: Vec<_> = together
            .iter()
            .map(|hold| follow(shop, hold, hold.centra_id.as_ref().and_then(|id| orders.get(id))))
            .collect();
        let mut acts = futures_util::stream::iter(acts).buffer_unordered(CONCURRENCY);
        // All are seen to their end: one that is dropped half-way would leave its outcome unknown.
        let mut stop = Ok(());
        while let Some(acted) = acts.next().await {
            stop = stop.and(acted);
        }
        stop?;
    }
    Ok(())
}

async fn read(shop: &Shop<'_>, holds: &[Hold]) -> Result<Result<HashMap<String, OrderState>, String>, Stop> {
    #[derive(Deserialize)]
    struct Found {
        orders: Vec<OrderState>,
    }
    let ids: Vec<_> = holds.iter().filter_map(|hold| hold.centra_id.as_deref()).collect();
    if ids.is_empty() {
        return Ok(Ok(HashMap::new()));
    }
    let data = match shop.ask(&READ_STATES, &json!({"ids": ids, "limit": ids.len()})).await? {
        Ok(data) => data,
        Err(error) => return Ok(Err(error.to_string())),
    };
    let Ok(found) = serde_json::from_str::<Found>(data.get()) else {
        return Ok(Err("the shop's answer is not what was asked for".to_owned()));
    };
    Ok(Ok(found.orders.into_iter().map(|order| (order.id.clone(), order)).collect()))
}

async fn follow(shop: &Shop<'_>, hold: &Hold, order: Option<&OrderState>) -> Result<(), Stop> {
    let (worker, system, now) = (shop.worker, shop.worker.system(), shop.now());
    let wanted = match (hold.state, hold.wanted) {
        (HoldState::Acting, Some(wanted)) => wanted,
        _ => return wait(shop, hold, order).await,
    };
    match before_acting(hold, wanted, order, now) {
        Next::Send(effect) => send(shop, hold, effect).await,
        Next::End(ending) => {
            let event = system.end_hold(hold, &ending, now).await?;
            worker.announce(event).await;
            Ok(())
        }
        Next::Person(why) => give_up(shop, hold, &why).await,
        Next::LookAgain(why) => Ok(worker.later(hold, &why).await?),
        Next::Screen => Ok(()),
    }
}

/// One that waits for a person: it may have been settled at the shop, or its deadline has come.
async fn wait(shop: &Shop<'_>, hold: &Hold, order: Option<&OrderState>) -> Result<(), Stop> {
    let (worker, system, now) = (shop.worker, shop.worker.system(), shop.now());
    if hold.centra_id.is_some()
        && let Some(ending) = while_waiting(order)
    {
        let event = system.end_hold(hold, &ending, now).await?;
        worker.announce(event).await;
        return Ok(());
    }
    if hold.ended_by.is_some() {
        let error = hold.last_error.clone();
        system.move_hold(hold, &HoldMove { state: HoldState::Waiting, due_at: NEVER, attempts: 0, error }).await?;
        return Ok(());
    }
    if now < hold.deadline_at {
        let (due_at, error) = (hold.deadline_at, hold.last_error.clone());
        system.move_hold(hold, &HoldMove { state: HoldState::Waiting, due_at, attempts: 0, error }).await?;
        return Ok(());
    }
    match shop.connection.settings.on_deadline {
        Effect::Keep => give_up(shop, hold, "the review deadline has passed, and it stays on hold").await,
        effect => {
            system.want(hold, effect, WantedBy::Deadline, None, now).await?;
            Ok(())
        }
    }
}

/// Gives it to a person; the deadline, when it is still to come, decides otherwise, unless the merchant reported how the
/// order ended.
async fn give_up(shop: &Shop<'_>, hold: &Hold, why: &str) -> Result<(), Stop> {
    let now = shop.now();
    let waits_for_deadline = now < hold.deadline_at && hold.ended_by.is_none();
    let due_at = if waits_for_deadline { hold.deadline_at } else { NEVER };
    let (order, store, request_id) = (hold.centra_id.as_deref(), &hold.store_id, &hold.request_id);
    tracing::warn!(order, %store, %request_id, why, "a held order is left to a person");
    let event = shop.worker.system().give_up_hold(hold, why, due_at, now).await?;
    shop.worker.announce(event).await;
    Ok(())
}

/// What a mutation answers.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Payload {
    #[serde(default)]
    user_errors: Vec<Told>,
    #[serde(default)]
    user_warnings: Vec<Told>,
}

#[derive(Deserialize)]
struct Told {
    message: String,
}

async fn send(shop: &Shop<'_>, hold: &Hold, effect: Effect) -> Result<(), Stop> {
    let (worker, system) = (shop.worker, shop.worker.system());
    let Some(id) = hold.centra_id.as_deref() else { return Ok(()) };
    let arguments = shop.arguments().await?;
    let by = arguments.of(effect);
    let mut variables = naming(id, by);
    let operation = match effect {
        Effect::Cancel => {
            variables["input"] = cancellation(&shop.connection.settings);
            cancel(by)
        }
        Effect::Resume | Effect::Keep => resume(by),
    };
    // Nothing is sent that the lease might not outlive, or that is not wanted any more, or once the process is to end.
    if worker.shutdown.is_cancelled() {
        return Err(Stop::Shutdown);
    }
    shop.keep().await?;
    if !system.send_hold(hold, effect, shop.now()).await? {
        return Ok(());
    }
    let answer = shop.ask(operation, &variables).await;
    if let Err(Stop::Paused | Stop::NotOurs) = &answer {
        // Refused or never sent: nothing was done.
        system.settle_hold(hold).await?;
    }
    let payload = match answer? {
        Ok(data) => payload(data.get()),
        // Whether it was done the next reading shows.
        Err(error) => {
            worker.later(hold, &error.to_string()).await?;
            if error.refuses_an_argument() {
                shop.arguments_refused(arguments).await?;
            }
            return Ok(());
        }
    };
    let Some(payload) = payload else {
        return Ok(worker.later(hold, "the shop's answer is not what was asked for").await?);
    };
    if let Some(refusal) = payload.user_errors.first() {
        system.settle_hold(hold).await?;
        return refused(shop, hold, &refusal.message).await;
    }
    let warnings = payload.user_warnings.into_iter().take(SHOP_WARNINGS).map(|warning| warning.message).collect();
    let event = system.end_hold(hold, &done(effect, warnings), shop.now()).await?;
    metrics::counter!("touchstone_centra_actions_total", "effect" => effect.as_str()).increment(1);
    let (store, request_id) = (&hold.store_id, &hold.request_id);
    tracing::info!(order = id, %store, %request_id, effect = effect.as_str(), "a held order is settled");
    worker.announce(event).await;
    Ok(())
}

/// The shop answered, and did nothing.
async fn refused(shop: &Shop<'_>, hold: &Hold, message: &str) -> Result<(), Stop> {
    let why = format!("the shop refuses: {}", message.chars().take(300).collect::<String>());
    if hold.attempts + 1 >= REFUSALS {
        return give_up(shop, hold, &why).await;
    }
    Ok(shop.worker.later(hold, &why).await?)
}

fn payload(data: &str) -> Option<Payload> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Answer {
        #[serde(alias = "cancelOrder")]
        resume_order: Payload,
    }
    serde_json::from_str::<Answer>(data).ok().map(|answer| answer.resume_order)
}

/// The variables that name an order.
fn naming(id: &str, by: OrderArgument) -> Value {
    match by {
        OrderArgument::Order => json!({"order": {"id": id}}),
        OrderArgument::Id => json!({"id": id}),
    }
}

/// The input of a cancellation (contract: Centra connector).
fn cancellation(settings: &ConnectionSettings) -> Value {
    let stock = match (settings.warehouse, settings.stock) {
        (Some(warehouse), _) => json!({"sendItemsToDifferentWarehouse": {"id": warehouse}}),
        (None, StockAction::Release) => json!({"releaseItemsBackToWarehouse": true}),
        (None, StockAction::Remove) => json!({"removeItemsFromStock": true}),
    };
    json!({
        "reason": "FRAUD_CHECK_REJECTED",
        "emailOptions": {"sendEmail": settings.send_email},
        "stockAction": stock,
        "cancelAuthorization": settings.cancel_authorization,
        "comment": "Cancelled by the fraud check of Touchstone",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cancellation_names_exactly_one_thing_to_do_with_the_articles() {
        let stock = |settings: ConnectionSettings| cancellation(&settings)["stockAction"].clone();
        assert_eq!(stock(ConnectionSettings::default()), json!({"releaseItemsBackToWarehouse": true}));
        let remove = ConnectionSettings { stock: StockAction::Remove, ..ConnectionSettings::default() };
        assert_eq!(stock(remove.clone()), json!({"removeItemsFromStock": true}));
        let elsewhere = ConnectionSettings { warehouse: Some(7), ..remove };
        assert_eq!(stock(elsewhere), json!({"sendItemsToDifferentWarehouse": {"id": 7}}));
    }

    #[test]
    fn the_answers_of_both_mutations_are_read() {
        let answered = r#"{"order": null, "userErrors": [{"message": "no", "path": null}], "userWarnings": []}"#;
        for name in ["resumeOrder", "cancelOrder"] {
            let payload = payload(&format!(r#"{{"{name}": {answered}}}"#)).unwrap();
            assert_eq!((payload.user_errors[0].message.as_str(), payload.user_warnings.len()), ("no", 0));
        }
        assert!(payload(r#"{"resumeOrder": null}"#).is_none() && payload("{}").is_none());
    }
}
