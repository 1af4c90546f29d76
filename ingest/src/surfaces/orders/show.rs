//! `GET /v1/orders/{orderId}`: what became of an order.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use touchstone_platform::store::TenantStore;
use touchstone_schema::ids::TransactionId;

use super::document::PlacedOrderDocument;
use super::standing::{self, Known};
use crate::admit::{Ticket, admit};
use crate::door::{Door, SharedDoor};
use crate::problem::Problem;
use crate::respond::json;
use crate::surfaces::{Knock, Named};

/// Show an order
///
/// Where an order stands, from the moment that it was answered 202.
#[utoipa::path(get, path = "/v1/orders/{orderId}", tag = "Orders",
    params(("orderId" = String, Path, description = "The number at the end of the order's `Location`.")),
    responses((status = 200, description = "The order.", body = PlacedOrderDocument)))]
pub(crate) async fn show(State(door): State<SharedDoor>, Named(id): Named, knock: Knock) -> Result<Response, Problem> {
    let caller = knock.authenticate_key(&door).await?;
    let ticket = admit(&door.dependencies, caller, None, &knock.arrival).await?;
    let answer = one(&door, &knock, &ticket, &id).await;
    ticket.settle(&door, answer).await
}

async fn one(door: &Door, knock: &Knock, ticket: &Ticket, id: &str) -> Result<Response, Problem> {
    let no_order = || Problem::not_found("This store has no such order.");
    let id = id.parse().map_err(|_| no_order())?;
    let sender = &ticket.caller.key.tenant;
    let store = &door.dependencies.store;
    let order = knock.stored(store.tenant(sender).placed_order(id)).await?.ok_or_else(no_order)?;
    let world = order.world(sender);
    let known = known(knock, &store.tenant(&world), &order.transaction_id).await?;
    let document =
        standing::of(&order, &known).and_then(|standing| PlacedOrderDocument::new(order, standing, knock.arrival.at));
    let document = document.map_err(|error| {
        tracing::error!(%error, request_id = %knock.arrival.request_id, "an order's verdict cannot be read");
        Problem::internal()
    })?;
    json(StatusCode::OK, &document)
}

/// What says where an order stands: however long its lists are, a few of their entries.
async fn known(knock: &Knock, store: &TenantStore<'_>, id: &TransactionId) -> Result<Known, Problem> {
    let head = knock.stored(store.transaction_head(id)).await?;
    Ok(Known {
        status: head.as_ref().map(|head| head.status),
        ended_by: head.and_then(|head| head.ended_by),
        revision: knock.stored(store.revisions(id, None, 1)).await?.pop(),
        decision: knock.stored(store.decisions(id, None, 1)).await?.pop(),
        outcomes: knock.stored(store.outcomes_of_standing(id)).await?,
    })
}
