//! `POST /v1/orders`: an order is checked, placed and promised.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use http::header::LOCATION;
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::value::RawValue;
use tokio::time::timeout_at;
use touchstone_platform::queue::Lane;
use touchstone_platform::random;
use touchstone_platform::store::placed::{NewPlacedOrder, PlacedOrder, Placing};
use touchstone_schema::card::{self, CardInPayment};
use touchstone_schema::fault::Fault;
use touchstone_schema::ids::{PlacedOrderId, SubmissionId, TransactionId};
use touchstone_schema::input::Handling;
use touchstone_schema::json::Json;
use touchstone_schema::limits;
use touchstone_schema::money::Currency;
use touchstone_schema::order::Order;
use touchstone_schema::submission::{Submission, SubmissionKind};
use touchstone_schema::tenant::{StoreProfile, Surface};

use super::canonical::{self, Facts};
use super::{check, location, trial};
use crate::admit::{Ticket, admit};
use crate::auth::Caller;
use crate::door::{Door, SharedDoor};
use crate::http::service::Arrival;
use crate::order_body::{handling, read_json};
use crate::problem::{PlacedBefore, Problem};
use crate::surfaces::Knock;

/// Times that a number is drawn: one in 10^8 is taken when there are 10^8 orders.
const DRAWS: usize = 8;

/// An order that may be placed.
#[derive(Debug)]
pub(crate) struct Received {
    facts: Facts,
    /// As it was sent, card numbers masked.
    pub(crate) original: String,
    /// What the scorer reads.
    pub(crate) document: Box<RawValue>,
    /// Of the order as it was sent.
    hash: String,
}

/// Submit an order
///
/// The order is kept and screened; what became of it is told at `Location` and by webhook. All faults are told at once.
#[utoipa::path(post, path = "/v1/orders", tag = "Orders",
    responses((status = 202, description = "Kept; it is found at `Location`. The body is empty.",
        headers(("Location" = String, description = "`/v1/orders/{orderId}`")))))]
pub(crate) async fn submit(State(door): State<SharedDoor>, knock: Knock) -> Result<Response, Problem> {
    let caller = knock.authenticate_key(&door).await?;
    let ticket = admit(&door.dependencies, caller, None, &knock.arrival).await?;
    let store = Arc::clone(&ticket.caller.store);
    let answer = match knock.read(&door, move |headers, body| read(headers, body, &store)).await {
        Ok(received) => place(&door, &knock, &ticket, received).await,
        Err(problem) => Err(problem),
    };
    ticket.settle(&door, answer).await
}

/// Reads an order of an acceptable content type.
pub(crate) fn read(headers: &HeaderMap, body: &[u8], store: &StoreProfile) -> Result<Received, Problem> {
    let document = read_json(headers, body)?;
    let currency = Currency::from_code(&store.currency).ok_or_else(|| {
        tracing::error!(store = %store.store_id, "the store's currency is not known");
        Problem::internal()
    })?;
    receive(document, body, currency, handling(headers, store))
}

fn receive(mut document: Json<'_>, body: &[u8], currency: Currency, handling: Handling) -> Result<Received, Problem> {
    let hash = document.canonical_hash();
    let screened = card::screen(&mut document);
    let read = check::read(&document, currency, handling);
    let mut faults = read.as_ref().err().cloned().unwrap_or_default();
    if let Err(CardInPayment { pointer }) = &screened {
        faults.retain(|fault| fault.pointer != *pointer);
        faults
            .insert(0, Fault::new(pointer, "expected no full card number, only bin and lastFour; nothing was stored"));
    }
    if !faults.is_empty() {
        return Err(Problem::bad_fields(faults));
    }
    let (order, warnings) = read.map_err(Problem::bad_fields)?;
    let facts = canonical::facts(&order, currency).ok_or_else(Problem::internal)?;
    let original = if screened.is_ok_and(|masked| masked) {
        document.to_json_string()
    } else {
        String::from_utf8_lossy(body).into_owned()
    };
    let document = canonical_order(&canonical::document(&order, currency, &warnings)).ok_or_else(|| {
        tracing::error!("an order without faults did not become a canonical one");
        Problem::internal()
    })?;
    Ok(Received { facts, original, document, hash })
}

/// The canonical order once it is certain that the scorer reads it, without card numbers: a value may stand in a field of
/// another name, or in other digits, than it came in.
fn canonical_order(document: &str) -> Option<Box<RawValue>> {
    let mut canonical = Json::parse_text(document).ok()?;
    card::mask(&mut canonical);
    Order::parse(&canonical).ok()?;
    RawValue::from_string(canonical.to_json_string()).ok()
}

async fn place(door: &Door, knock: &Knock, ticket: &Ticket, received: Received) -> Result<Response, Problem> {
    let sender = &ticket.caller.key.tenant;
    let Received { facts, original, document, hash } = received;
    let mut order = placed_order(&ticket.caller, facts, &knock.arrival);
    let submission = Submission {
        version: Submission::VERSION,
        id: SubmissionId::mint(knock.arrival.at, random::bytes()),
        tenant: order.world(sender),
        surface: Surface::Orders,
        kind: SubmissionKind::Order,
        transaction_id: order.transaction_id.clone(),
        order_id: order.order_number.clone(),
        body_hash: hash,
        received_at: knock.arrival.at,
        deadline: None,
        request_id: knock.arrival.request_id.clone(),
        trace: knock.arrival.trace.clone(),
        document,
    };
    for id in std::iter::repeat_with(|| PlacedOrderId::mint(random::bytes())).flatten().take(DRAWS) {
        order.id = id;
        let new = NewPlacedOrder { order: &order, document: &original, submission: &submission };
        match knock.stored(door.dependencies.store.tenant(sender).place(&new)).await? {
            Placing::Placed => {
                confirm(door, &knock.arrival, &submission).await?;
                return Ok(accepted(id));
            }
            Placing::Duplicate { id, document } => {
                let is_same = says_the_same(&document, &original);
                let before = PlacedBefore { id, location: location(id), is_same };
                return Err(Problem::order_number_used(before));
            }
            Placing::NumberTaken => {}
        }
    }
    tracing::error!(request_id = %knock.arrival.request_id, "no number could be drawn for an order");
    Err(Problem::unavailable())
}

/// Whether two orders, as they were kept, say the same: the order of members, blanks and the spelling of escapes say nothing.
fn says_the_same(one: &str, other: &str) -> bool {
    let hash = |text: &str| Json::parse_text(text).ok().map(|document| document.canonical_hash());
    one == other || hash(one).is_some_and(|one| hash(other) == Some(one))
}

/// The order as it is answered of; its number is drawn when it is placed.
fn placed_order(caller: &Caller, facts: Facts, arrival: &Arrival) -> PlacedOrder {
    let (store, sender) = (&caller.store, &caller.key.tenant);
    let is_trial = trial::answer(&facts.order_number, facts.total).is_some();
    let mode = PlacedOrder::world_of(sender, is_trial).mode;
    PlacedOrder {
        id: PlacedOrderId::from_i64(0),
        transaction_id: TransactionId::of_placed(
            &store.data_key,
            mode,
            sender.mode,
            &facts.site_name,
            &facts.order_number,
        ),
        is_trial,
        site_name: facts.site_name,
        order_number: facts.order_number,
        product: store.product,
        customer_id: facts.customer_id,
        amount: facts.total,
        is_usa: facts.is_usa,
        ships_to_billing: facts.ships_to_billing,
        avs_code: facts.avs_code,
        shipping_method: facts.shipping_method,
        placed_at: arrival.at,
    }
}

/// Puts the order on its lane; returns when the broker has it for good. The sweep finds what does not get there.
async fn confirm(door: &Door, arrival: &Arrival, submission: &Submission) -> Result<(), Problem> {
    let body = serde_json::to_vec(submission).map_err(|error| {
        tracing::error!(%error, request_id = %arrival.request_id, "a submission could not be written");
        Problem::internal()
    })?;
    let published = door.dependencies.queue.publish(Lane::Durable, vec![Bytes::from(body)]);
    match timeout_at(arrival.instant + limits::PROMISE_WAIT, published).await {
        Ok(Ok(())) => {
            metrics::counter!("touchstone_orders_promised_total").increment(1);
            Ok(())
        }
        Ok(Err(error)) => {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(request_id = %arrival.request_id, order = %submission.transaction_id, error, "not confirmed");
            Err(Problem::unavailable())
        }
        Err(_) => {
            tracing::warn!(request_id = %arrival.request_id, order = %submission.transaction_id, "confirmed too late");
            Err(Problem::unavailable())
        }
    }
}

/// 202 with nothing but the place.
fn accepted(id: PlacedOrderId) -> Response {
    let mut response = Response::new(axum::body::Body::empty());
    *response.status_mut() = StatusCode::ACCEPTED;
    if let Ok(location) = HeaderValue::try_from(location(id)) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

#[cfg(test)]
mod tests;
