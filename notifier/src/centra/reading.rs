//! Reads orders that were announced and hands those that the shop holds for us to the scorer.

use std::collections::HashMap;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use touchstone_platform::queue::Lane;
use touchstone_platform::store::holds::{Ending, Hold, HoldMove};
use touchstone_schema::centra::{HoldOutcome, HoldState};
use touchstone_schema::ids::TransactionId;
use touchstone_schema::json::Json;
use touchstone_schema::submission::{Submission, SubmissionKind};
use touchstone_schema::tenant::{KeyMode, Surface, Tenant};

use super::judging::VERDICT_WITHIN;
use super::next::{Next, OrderState, after_announcement};
use super::operations::READ_ORDERS;
use super::order::document;
use super::shop::{Shop, Stop};

/// An order that was read: where it stands, and all of it.
struct Read {
    state: OrderState,
    text: Box<RawValue>,
}

/// What was read, under every name that a notice may use.
type ByName = HashMap<String, Read>;

pub(super) async fn run(shop: &Shop<'_>, holds: Vec<Hold>) -> Result<(), Stop> {
    if holds.is_empty() {
        return Ok(());
    }
    let orders = match read(shop, &holds).await? {
        Ok(orders) => orders,
        Err(why) => {
            for hold in &holds {
                shop.worker.later(hold, &why).await?;
            }
            return Ok(());
        }
    };
    let mut submitted = Vec::new();
    for hold in &holds {
        if let Some(submission) = follow(shop, hold, find(hold, &orders)).await? {
            submitted.push((hold, submission));
        }
    }
    submit(shop, submitted).await
}

/// An order may be announced by its id, its number, or `#` and its number: by id is tried first (contract).
fn find<'a>(hold: &Hold, orders: &'a ByName) -> Option<&'a Read> {
    let name = hold.centra_id.as_deref().unwrap_or(&hold.reference);
    orders.get(name).or_else(|| orders.get(&number_of(name)?.to_string()))
}

fn number_of(name: &str) -> Option<i32> {
    name.strip_prefix('#').unwrap_or(name).parse().ok()
}

async fn read(shop: &Shop<'_>, holds: &[Hold]) -> Result<Result<ByName, String>, Stop> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Found {
        #[serde(default)]
        by_id: Vec<Box<RawValue>>,
        #[serde(default)]
        by_number: Vec<Box<RawValue>>,
    }
    let names = holds.iter().map(|hold| hold.centra_id.as_deref().unwrap_or(&hold.reference));
    let (ids, numbers): (Vec<_>, Vec<_>) =
        (names.clone().filter(|name| !name.starts_with('#')).collect(), names.filter_map(number_of).collect());
    let variables = json!({
        "byId": !ids.is_empty(), "byNumber": !numbers.is_empty(), "ids": ids, "numbers": numbers,
        "limit": ids.len().max(numbers.len()),
    });
    let data = match shop.ask(&READ_ORDERS, &variables).await? {
        Ok(data) => data,
        Err(error) => return Ok(Err(error.to_string())),
    };
    let Ok(found) = serde_json::from_str::<Found>(data.get()) else {
        return Ok(Err("the shop's answer is not what was asked for".to_owned()));
    };
    let mut orders = ByName::new();
    for text in found.by_id {
        if let Ok(state) = serde_json::from_str::<OrderState>(text.get()) {
            orders.insert(state.id.clone(), Read { state, text });
        }
    }
    for text in found.by_number {
        if let Ok(state) = serde_json::from_str::<OrderState>(text.get()) {
            orders.insert(state.number.to_string(), Read { state, text });
        }
    }
    Ok(Ok(orders))
}

/// What follows for one of them; its submission when it is to be screened.
async fn follow(shop: &Shop<'_>, hold: &Hold, order: Option<&Read>) -> Result<Option<Submission>, Stop> {
    let (worker, system) = (shop.worker, shop.worker.system());
    let held_before = match order {
        Some(order) if !order.state.is_held_for_us() => system.held_before(hold, &order.state.id).await?,
        _ => false,
    };
    match after_announcement(hold, order.map(|order| &order.state), held_before, shop.now()) {
        Next::Screen => match order {
            Some(order) => return name_and_prepare(shop, hold, order).await,
            None => worker.later(hold, "the shop does not know this order").await?,
        },
        Next::End(ending) => {
            let event = system.end_hold(hold, &ending, shop.now()).await?;
            worker.announce(event).await;
        }
        Next::LookAgain(why) | Next::Person(why) => worker.later(hold, &why).await?,
        Next::Send(_) => worker.later(hold, "it was not screened yet").await?,
    }
    Ok(None)
}

async fn name_and_prepare(shop: &Shop<'_>, hold: &Hold, order: &Read) -> Result<Option<Submission>, Stop> {
    let system = shop.worker.system();
    let Some(profile) = shop.worker.with.directory.snapshot().store(&shop.connection.store_id).cloned() else {
        shop.worker.later(hold, "the store is not known").await?;
        return Ok(None);
    };
    let OrderState { id, number, .. } = &order.state;
    let transaction = TransactionId::of_order(&profile.data_key, KeyMode::Live, Surface::Centra, id);
    if !system.name_hold(hold, id, *number, &transaction).await? {
        let ending = Ending {
            outcome: HoldOutcome::Duplicate,
            tells: None,
            status: None,
            detail: Some("another hold is of this order".to_owned()),
            warnings: Vec::new(),
        };
        system.end_hold(hold, &ending, shop.now()).await?;
        return Ok(None);
    }
    // The emergency release does not wait for verdicts.
    if let Some((effect, by)) = hold.wanted {
        system.want(hold, effect, by, None, shop.now()).await?;
        return Ok(None);
    }
    let notice = system.notice_of(hold, id, *number).await?;
    match document(order.text.get(), notice.as_deref()) {
        Ok(document) => Ok(submission(hold, id, transaction, document)),
        Err(error) => {
            let (store, request_id) = (&hold.store_id, &hold.request_id);
            tracing::error!(error = &error as &dyn std::error::Error, order = %id, %store, %request_id, "cannot be screened");
            let error = Some(error.to_string());
            let to = HoldMove { state: HoldState::Waiting, due_at: hold.deadline_at, attempts: 0, error };
            system.move_hold(hold, &to).await?;
            Ok(None)
        }
    }
}

fn submission(hold: &Hold, order_id: &str, transaction_id: TransactionId, document: String) -> Option<Submission> {
    let body_hash = Json::parse_text(&document).ok()?.canonical_hash();
    Some(Submission {
        version: Submission::VERSION,
        id: hold.submission_id.clone(),
        tenant: Tenant { store_id: hold.store_id.clone(), mode: KeyMode::Live },
        surface: Surface::Centra,
        kind: SubmissionKind::Held,
        transaction_id,
        order_id: order_id.to_owned(),
        body_hash,
        received_at: hold.opened_at,
        deadline: None,
        request_id: hold.request_id.clone(),
        trace: None,
        document: RawValue::from_string(document).ok()?,
    })
}

/// The holds are moved first: a verdict may come before this returns.
async fn submit(shop: &Shop<'_>, submitted: Vec<(&Hold, Submission)>) -> Result<(), Stop> {
    let mut bodies = Vec::new();
    for (hold, submission) in submitted {
        let due_at = shop.now() + VERDICT_WITHIN;
        let to = HoldMove { state: HoldState::Screening, due_at, attempts: 0, error: None };
        if shop.worker.system().move_hold(hold, &to).await?
            && let Ok(body) = serde_json::to_vec(&submission)
        {
            bodies.push(Bytes::from(body));
        }
    }
    if !bodies.is_empty()
        && let Err(error) = shop.worker.with.queue.publish(Lane::Durable, bodies).await
    {
        // They are submitted anew when no verdict comes.
        tracing::warn!(error = &error as &dyn std::error::Error, "orders could not be handed to the scorer yet");
    }
    Ok(())
}
