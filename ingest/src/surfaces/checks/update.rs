//! `PATCH /v2/risk/order` and `PATCH /v2/risk/cart`: what became of what was checked.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;
use touchstone_platform::store::history::Remembered;
use touchstone_platform::store::transactions::{CheckUpdated, NewCheckUpdate};
use touchstone_schema::checks::{Subject, Update, read_update};
use touchstone_schema::event::Event;
use touchstone_schema::input::Handling;
use touchstone_schema::tenant::StoreProfile;

use super::basic;
use super::document::{CartUpdateDocument, OrderUpdateDocument, UpdateResult, updated};
use crate::admit::{Ticket, admit};
use crate::door::{Door, SharedDoor};
use crate::order_body::{handling, read_json};
use crate::problem::Problem;
use crate::surfaces::{Knock, announce, remember};

/// Update a transaction
///
/// Only `order_id` is required; what is left out stays, and an empty text clears. The members may also lie within a member
/// `transaction`. Each update is an event, and labels among it count for the next orders that share card, e-mail or
/// device.
#[utoipa::path(patch, path = "/v2/risk/order", tag = "Checks", request_body = OrderUpdateDocument,
    responses((status = 200, description = "Applied.", body = UpdateResult)))]
pub(crate) async fn order(State(door): State<SharedDoor>, knock: Knock) -> Result<Response, Problem> {
    update(&door, &knock, Subject::Transaction).await
}

/// Update a cart
///
/// As a transaction is updated, with `cart_id`, the statuses of carts, and the payment block.
#[utoipa::path(patch, path = "/v2/risk/cart", tag = "Checks", request_body = CartUpdateDocument,
    responses((status = 200, description = "Applied.", body = UpdateResult)))]
pub(crate) async fn cart(State(door): State<SharedDoor>, knock: Knock) -> Result<Response, Problem> {
    update(&door, &knock, Subject::Cart).await
}

async fn update(door: &Door, knock: &Knock, subject: Subject) -> Result<Response, Problem> {
    let caller = basic::authenticate(&door.dependencies, &knock.headers).await?;
    let store = Arc::clone(&caller.store);
    let ticket = admit(&door.dependencies, caller, None, &knock.arrival).await?;
    let answer = match knock.read(door, move |headers, body| read(headers, body, &store, subject)).await {
        Ok(update) => answer(door, knock, &ticket, &update).await,
        Err(problem) => Err(problem),
    };
    ticket.settle(door, answer).await
}

/// Reads an update of an acceptable content type.
pub(crate) fn read(
    headers: &HeaderMap,
    body: &[u8],
    store: &StoreProfile,
    subject: Subject,
) -> Result<Update, Problem> {
    let handling = of_update(handling(headers, store));
    read_update(&read_json(headers, body)?, subject, handling).map_err(Problem::invalid_fields)
}

/// An update whose fields cannot be read is refused: without them it would say something else.
const fn of_update(handling: Handling) -> Handling {
    match handling {
        Handling::Lenient | Handling::Complete => Handling::Complete,
        Handling::Strict => Handling::Strict,
    }
}

async fn answer(door: &Door, knock: &Knock, ticket: &Ticket, update: &Update) -> Result<Response, Problem> {
    let (tenant, profile) = (&ticket.caller.key.tenant, &ticket.caller.store);
    let id = update.subject.transaction_id(&profile.data_key, tenant.mode, &update.id);
    let request_id = knock.arrival.request_id.clone();
    let new = NewCheckUpdate { update, is_conversion: false, now: knock.arrival.at, request_id };
    let store = door.dependencies.store.tenant(tenant);
    match knock.stored(store.update_check(&id, &new)).await? {
        CheckUpdated::Applied(event, learnt, flags) => {
            pass_on(door, knock, *event, learnt).await;
            updated(&update.id, flags, update.unknown.clone())
        }
        CheckUpdated::Already => Err(Problem::internal()),
        CheckUpdated::Duplicate => {
            let detail = "Expected a time of which no update was told before.";
            Err(Problem::told_before(update.pointer("updated_on"), detail))
        }
        CheckUpdated::Invalid(faults) => Err(Problem::invalid_fields(faults)),
        CheckUpdated::NotFound => {
            let detail = "Expected an id that was checked before.";
            Err(Problem::not_found(detail).of_field(update.pointer(update.subject.id_member())))
        }
    }
}

/// Lets hot history and the notifier know of a committed update.
pub(super) async fn pass_on(door: &Door, knock: &Knock, event: Event, learnt: Vec<Remembered>) {
    for learnt in learnt {
        remember(door, Some(learnt), knock.arrival.at).await;
    }
    announce(door, event).await;
}
