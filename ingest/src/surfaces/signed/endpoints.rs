//! `/v1/endpoints`: the store's webhook endpoints, and sending again what they missed.
//!
//! Endpoints belong to the store and serve both worlds. A test key sees them, tries them and recovers test events; to switch
//! one takes a live key, because live events go there too.

use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use touchstone_platform::store::accounts::Tested;
use touchstone_platform::store::deliveries::{Begun, NewRecovery, RecoveryKind};
use touchstone_schema::event::EventKind;
use touchstone_schema::ids::{EndpointId, RecoveryId};
use touchstone_schema::limits;
use touchstone_schema::tenant::KeyMode;
use touchstone_schema::time::Timestamp;

use super::delivery_document::{
    EndpointDocument, EndpointPage, RecoveryDocument, RecoveryPage, RecoveryRequest, TestDocument,
};
use super::fields::Fields;
use super::page_query::{PageQuery, invalid, parameters};
use super::{API, endpoint_is_off};
use crate::admit::Ticket;
use crate::door::{Door, SharedDoor};
use crate::openapi::example_of;
use crate::order_body::read_json;
use crate::problem::Problem;
use crate::respond::json;
use crate::surfaces::{Knock, Named, announce};

/// What a `since` has to be.
const SINCE: &str = "expected a time in RFC 3339, within the last 14 days";

/// What an `event` has to be.
const EVENT: &str = "expected a type of event, such as payment.failed";

/// List endpoints
///
/// Oldest first. Follow `next_cursor` until it is null. Endpoints are made, changed and given secrets by the operator.
#[utoipa::path(get, path = "/v1/endpoints", tag = "Webhooks",
    params(
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before."),
        ("limit" = Option<u64>, Query, description = "Items of the page, 1 to 100; 50 when absent.", minimum = 1, maximum = 100),
    ),
    responses((status = 200, description = "A page.", body = EndpointPage)))]
pub(crate) async fn list(State(door): State<SharedDoor>, knock: Knock) -> Result<Response, Problem> {
    let caller = knock.authenticate_target(&door).await?;
    let ticket = knock.admit(&door, caller, None).await?;
    let answer = page(&door, &knock, &ticket).await;
    ticket.settle(&door, answer).await
}

/// Show an endpoint
#[utoipa::path(get, path = "/v1/endpoints/{id}", tag = "Webhooks",
    params(("id" = String, Path, description = "The endpoint.")),
    responses((status = 200, description = "The endpoint.", body = EndpointDocument)))]
pub(crate) async fn show(State(door): State<SharedDoor>, Named(id): Named, knock: Knock) -> Result<Response, Problem> {
    let caller = knock.authenticate_target(&door).await?;
    let ticket = knock.admit(&door, caller, None).await?;
    let answer = one(&door, &knock, &ticket, &id).await;
    ticket.settle(&door, answer).await
}

/// Switch an endpoint on
///
/// Then recover it: what happened while it was off was not kept for it. Takes a live key; the body is empty.
#[utoipa::path(post, path = "/v1/endpoints/{id}/enable", tag = "Webhooks",
    params(("id" = String, Path, description = "The endpoint.")),
    responses((status = 200, description = "It receives.", body = EndpointDocument)))]
pub(crate) async fn enable(
    State(door): State<SharedDoor>,
    Named(id): Named,
    knock: Knock,
) -> Result<Response, Problem> {
    let caller = knock.authenticate_target(&door).await?;
    let ticket = knock.admit(&door, caller, None).await?;
    let answer = switch(&door, &knock, &ticket, &id, true).await;
    ticket.settle(&door, answer).await
}

/// Switch an endpoint off
///
/// What waits for it is given up, and events that happen from now on are not planned for it. Takes a live key; the body is empty.
#[utoipa::path(post, path = "/v1/endpoints/{id}/disable", tag = "Webhooks",
    params(("id" = String, Path, description = "The endpoint.")),
    responses((status = 200, description = "It is off.", body = EndpointDocument)))]
pub(crate) async fn disable(
    State(door): State<SharedDoor>,
    Named(id): Named,
    knock: Knock,
) -> Result<Response, Problem> {
    let caller = knock.authenticate_target(&door).await?;
    let ticket = knock.admit(&door, caller, None).await?;
    let answer = switch(&door, &knock, &ticket, &id, false).await;
    ticket.settle(&door, answer).await
}

/// Try an endpoint
///
/// Sends it an `endpoint.test` event by the way that all events go. The body is empty. With a test key, `event` sends an
/// example of another type instead, in mode `test`, to this endpoint and to all others of the store that want the type.
#[utoipa::path(post, path = "/v1/endpoints/{id}/test", tag = "Webhooks",
    params(("id" = String, Path, description = "The endpoint."),
        ("event" = Option<String>, Query, description = "A type of event, such as `payment.failed`; test keys only.")),
    responses((status = 200, description = "The event is on its way.", body = TestDocument)))]
pub(crate) async fn test(State(door): State<SharedDoor>, Named(id): Named, knock: Knock) -> Result<Response, Problem> {
    let caller = knock.authenticate_target(&door).await?;
    let ticket = knock.admit(&door, caller, None).await?;
    let answer = try_out(&door, &knock, &ticket, &id).await;
    ticket.settle(&door, answer).await
}

/// Recover an endpoint
///
/// Sends what it wants of the events since a time and has not got: what was given up, what waits for another attempt, and what
/// happened while it was off or did not ask for it. It goes on by itself; asked for again it is joined, not repeated.
#[utoipa::path(post, path = "/v1/endpoints/{id}/recover", tag = "Webhooks", request_body = RecoveryRequest,
    params(("id" = String, Path, description = "The endpoint.")),
    responses((status = 202, description = "It is under way.", body = RecoveryDocument)))]
pub(crate) async fn recover(
    State(door): State<SharedDoor>,
    Named(id): Named,
    knock: Knock,
) -> Result<Response, Problem> {
    let caller = knock.authenticate_document(&door).await?;
    let ticket = knock.admit(&door, caller, None).await?;
    let answer = begin(&door, &knock, &ticket, &id).await;
    ticket.settle(&door, answer).await
}

/// List recoveries
///
/// Those of an endpoint, newest first, with how far they are. Follow `next_cursor` until it is null.
#[utoipa::path(get, path = "/v1/endpoints/{id}/recoveries", tag = "Webhooks",
    params(
        ("id" = String, Path, description = "The endpoint."),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before."),
        ("limit" = Option<u64>, Query, description = "Items of the page, 1 to 100; 50 when absent.", minimum = 1, maximum = 100),
    ),
    responses((status = 200, description = "A page.", body = RecoveryPage)))]
pub(crate) async fn recoveries(
    State(door): State<SharedDoor>,
    Named(id): Named,
    knock: Knock,
) -> Result<Response, Problem> {
    let caller = knock.authenticate_target(&door).await?;
    let ticket = knock.admit(&door, caller, None).await?;
    let answer = past(&door, &knock, &ticket, &id).await;
    ticket.settle(&door, answer).await
}

async fn page(door: &Door, knock: &Knock, ticket: &Ticket) -> Result<Response, Problem> {
    let mut query = PageQuery::of(&knock.uri)?;
    let after: Option<EndpointId> = query.take("cursor", "expected a next_cursor of ours")?;
    let items = query.limit()?;
    let store = door.dependencies.store.tenant(&ticket.caller.key.tenant);
    let found = knock.stored(store.endpoints(after.as_ref(), items)).await?;
    let next = found.last().filter(|_| found.len() as u64 == items).map(|last| last.id.to_string());
    let endpoints = found.into_iter().map(EndpointDocument::from).collect();
    json(StatusCode::OK, &EndpointPage { endpoints, next_cursor: next })
}

async fn one(door: &Door, knock: &Knock, ticket: &Ticket, id: &str) -> Result<Response, Problem> {
    let id = endpoint_id(id)?;
    let store = door.dependencies.store.tenant(&ticket.caller.key.tenant);
    let view = knock.stored(store.endpoint(&id)).await?.ok_or_else(no_endpoint)?;
    json(StatusCode::OK, &EndpointDocument::from(view))
}

async fn switch(door: &Door, knock: &Knock, ticket: &Ticket, id: &str, enabled: bool) -> Result<Response, Problem> {
    let parsed = endpoint_id(id)?;
    let tenant = &ticket.caller.key.tenant;
    let store = door.dependencies.store.tenant(tenant);
    if tenant.mode == KeyMode::Test {
        knock.stored(store.endpoint(&parsed)).await?.ok_or_else(no_endpoint)?;
        let detail = "Expected a live key: live events go to this endpoint too.";
        return Err(Problem::state_conflict("live_key_needed", detail));
    }
    if !knock.stored(store.switch_endpoint(&parsed, enabled, API, knock.arrival.at)).await? {
        return Err(no_endpoint());
    }
    one(door, knock, ticket, id).await
}

async fn try_out(door: &Door, knock: &Knock, ticket: &Ticket, id: &str) -> Result<Response, Problem> {
    let id = endpoint_id(id)?;
    let store = door.dependencies.store.tenant(&ticket.caller.key.tenant);
    let mut query = parameters(&knock.uri)?;
    let example = query.remove("event").filter(|kind| !kind.is_empty());
    let kind = example.map(|kind| EventKind::parse(&kind).ok_or_else(|| invalid("event", EVENT))).transpose()?;
    let example = kind.filter(|kind| *kind != EventKind::EndpointTest);
    if let Some(kind) = example {
        let endpoint = knock.stored(store.endpoint(&id)).await?.ok_or_else(no_endpoint)?;
        may_have_example(ticket.caller.key.tenant.mode, &endpoint.events, kind)?;
    }
    let example = example.map(|kind| (kind, example_of(kind)));
    let tested = store.test_endpoint(&id, example, &knock.arrival.request_id, knock.arrival.at);
    let event = match knock.stored(tested).await? {
        Tested::Sent(event) => event,
        Tested::Disabled => return Err(endpoint_is_off()),
        Tested::NotFound => return Err(no_endpoint()),
    };
    let event_id = event.id.to_string();
    announce(door, *event).await;
    json(StatusCode::OK, &TestDocument { event_id })
}

/// Examples are for test keys: an invented chargeback must not be taken for a real one.
fn may_have_example(mode: KeyMode, wanted: &[EventKind], kind: EventKind) -> Result<(), Problem> {
    if mode != KeyMode::Test {
        let detail = "Expected a test key: only in test mode are examples of other events sent.";
        return Err(Problem::state_conflict("test_key_needed", detail));
    }
    if !wanted.is_empty() && !wanted.contains(&kind) {
        let detail = format!("Expected an endpoint that wants {kind} events: add the type to its events first.");
        return Err(Problem::state_conflict("event_not_wanted", detail));
    }
    Ok(())
}

async fn begin(door: &Door, knock: &Knock, ticket: &Ticket, id: &str) -> Result<Response, Problem> {
    let endpoint = endpoint_id(id)?;
    let store = door.dependencies.store.tenant(&ticket.caller.key.tenant);
    knock.stored(store.endpoint(&endpoint)).await?.ok_or_else(no_endpoint)?;
    let since = knock.read(door, read_since).await?;
    let new = NewRecovery { endpoint, kind: RecoveryKind::Recover, only: None, since };
    match knock.stored(store.begin_recovery(&new, API, knock.arrival.at)).await? {
        Begun::Started(recovery) | Begun::Joined(recovery) => {
            json(StatusCode::ACCEPTED, &RecoveryDocument::from(recovery))
        }
        Begun::Busy(running) => {
            let detail = format!("Expected {} to have ended first; it is under way.", running.id);
            Err(Problem::state_conflict("recovery_running", detail))
        }
        Begun::Disabled => Err(endpoint_is_off()),
        Begun::OutOfReach => Err(invalid("since", SINCE)),
        Begun::NotFound => Err(no_endpoint()),
    }
}

async fn past(door: &Door, knock: &Knock, ticket: &Ticket, id: &str) -> Result<Response, Problem> {
    let id = endpoint_id(id)?;
    let mut query = PageQuery::of(&knock.uri)?;
    let before: Option<RecoveryId> = query.take("cursor", "expected a next_cursor of ours")?;
    let items = query.limit()?;
    let store = door.dependencies.store.tenant(&ticket.caller.key.tenant);
    knock.stored(store.endpoint(&id)).await?.ok_or_else(no_endpoint)?;
    let found = knock.stored(store.recoveries(&id, before.as_ref(), items)).await?;
    let next = found.last().filter(|_| found.len() as u64 == items).map(|last| last.id.to_string());
    let recoveries = found.into_iter().map(RecoveryDocument::from).collect();
    json(StatusCode::OK, &RecoveryPage { recoveries, next_cursor: next })
}

fn no_endpoint() -> Problem {
    Problem::not_found("This store has no such endpoint.")
}

fn endpoint_id(text: &str) -> Result<EndpointId, Problem> {
    text.parse().map_err(|_| no_endpoint())
}

fn read_since(headers: &HeaderMap, body: &[u8]) -> Result<Timestamp, Problem> {
    let document = read_json(headers, body)?;
    let mut fields = Fields::of(&document)?;
    let since = fields.text("since", limits::FIELD_CHARS, true);
    fields.finish()?;
    since.as_deref().and_then(Timestamp::parse_rfc3339).ok_or_else(|| invalid("since", SINCE))
}
