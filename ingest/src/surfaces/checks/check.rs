//! `POST /v2/risk/order/ecommerce` and `POST /v2/risk/cart`: a check comes in, its risk goes out.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;
use serde_json::value::RawValue;
use touchstone_platform::random;
use touchstone_platform::store::transactions::{CheckUpdated, NewCheckUpdate};
use touchstone_schema::checks::{Check, Subject, Update, read_check};
use touchstone_schema::ids::{SubmissionId, TransactionId};
use touchstone_schema::json::Json;
use touchstone_schema::order::Order;
use touchstone_schema::submission::{Answer, Submission, SubmissionKind};
use touchstone_schema::tenant::{KeyMode, StoreProfile, Surface};
use touchstone_schema::test_order::{self, AskedOutcome};

use super::basic;
use super::document::{CartCheckDocument, CheckResult, OrderCheckDocument, checked};
use super::update::pass_on;
use crate::admit::{Ticket, admit};
use crate::door::{Door, SharedDoor};
use crate::enqueue::screen_now;
use crate::order_body::{handling, read_json};
use crate::problem::Problem;
use crate::surfaces::Knock;

/// A check with the hash of what was sent.
pub(crate) type Hashed = (Check, String);

/// Check a transaction
///
/// Waits up to 4 s for the result; without one the answer is 503 and nothing is promised: send the same check again. The
/// same check again, however much later, gives the same result; another under the same `order_id` is 409.
#[utoipa::path(post, path = "/v2/risk/order/ecommerce", tag = "Checks", request_body = OrderCheckDocument,
    responses((status = 200, description = "The risk.", body = CheckResult)))]
pub(crate) async fn order(State(door): State<SharedDoor>, knock: Knock) -> Result<Response, Problem> {
    check(&door, &knock, Subject::Transaction).await
}

/// Check a cart
///
/// As a transaction is checked, with `cart_id` in place of `order_id`. Carts and transactions do not share ids.
#[utoipa::path(post, path = "/v2/risk/cart", tag = "Checks", request_body = CartCheckDocument,
    responses((status = 200, description = "The risk.", body = CheckResult)))]
pub(crate) async fn cart(State(door): State<SharedDoor>, knock: Knock) -> Result<Response, Problem> {
    check(&door, &knock, Subject::Cart).await
}

async fn check(door: &Door, knock: &Knock, subject: Subject) -> Result<Response, Problem> {
    let caller = basic::authenticate(&door.dependencies, &knock.headers).await?;
    let store = Arc::clone(&caller.store);
    let ticket = admit(&door.dependencies, caller, None, &knock.arrival).await?;
    let answer = match knock.read(door, move |headers, body| read(headers, body, &store, subject)).await {
        Ok(check) => answer(door, knock, &ticket, check).await,
        Err(problem) => Err(problem),
    };
    ticket.settle(door, answer).await
}

/// Reads a check of an acceptable content type, with the hash of what was sent.
pub(crate) fn read(
    headers: &HeaderMap,
    body: &[u8],
    store: &StoreProfile,
    subject: Subject,
) -> Result<Hashed, Problem> {
    let document = read_json(headers, body)?;
    let check = read_check(&document, subject, handling(headers, store)).map_err(Problem::invalid_fields)?;
    Ok((check, document.canonical_hash()))
}

async fn answer(door: &Door, knock: &Knock, ticket: &Ticket, (check, hash): Hashed) -> Result<Response, Problem> {
    let (tenant, store) = (&ticket.caller.key.tenant, &ticket.caller.store);
    let transaction_id = check.subject.transaction_id(&store.data_key, tenant.mode, &check.id);
    let (subject, id, cart) = (check.subject, check.id.clone(), check.cart.clone());
    if tenant.mode == KeyMode::Test && asks_to_be_late(&check.document) {
        return Err(Problem::unavailable());
    }
    let submission = submission(knock, ticket, &transaction_id, check, hash)?;
    let verdict = match screen_now(door, &knock.arrival, submission).await? {
        Answer::Verdict { verdict } => verdict,
        Answer::Conflict { .. } => {
            let pointer = format!("/transaction/{}", subject.id_member());
            let detail = "Expected the same check as was sent with this id before; a changed one is told by an update.";
            return Err(Problem::told_before(pointer, detail));
        }
        Answer::NotFound | Answer::Failed => return Err(Problem::internal()),
    };
    if let Some(cart) = cart {
        convert(door, knock, ticket, &cart, &id).await?;
    }
    let link = format!("{}/v1/transactions/{transaction_id}", door.settings.public_url.trim_end_matches('/'));
    checked(&id, &verdict, store.risk_groups, link, knock.arrival.instant.elapsed())
}

/// Whether a test order asks for a verdict that comes too late: a check promises nothing, so it is answered 503.
fn asks_to_be_late(document: &str) -> bool {
    let order = Json::parse_text(document).ok().and_then(|json| Order::parse(&json).ok());
    order.is_some_and(|order| test_order::asked(&order) == Some(AskedOutcome::Late))
}

fn submission(
    knock: &Knock,
    ticket: &Ticket,
    transaction_id: &TransactionId,
    check: Check,
    body_hash: String,
) -> Result<Submission, Problem> {
    let arrival = &knock.arrival;
    let document = RawValue::from_string(check.document).map_err(|error| {
        tracing::error!(%error, request_id = %arrival.request_id, "a check could not be written as an order");
        Problem::internal()
    })?;
    Ok(Submission {
        version: Submission::VERSION,
        id: SubmissionId::mint(arrival.at, random::bytes()),
        tenant: ticket.caller.key.tenant.clone(),
        surface: Surface::Checks,
        kind: SubmissionKind::Order,
        transaction_id: transaction_id.clone(),
        order_id: check.id,
        body_hash,
        received_at: arrival.at,
        deadline: None,
        request_id: arrival.request_id.clone(),
        trace: arrival.trace.clone(),
        document,
    })
}

/// Converts the cart that a transaction names; one that was never checked, or was converted before, is left alone. A check
/// that is answered has converted its cart: one that failed to do so is sent again, and tries again.
async fn convert(door: &Door, knock: &Knock, ticket: &Ticket, cart: &str, order_id: &str) -> Result<(), Problem> {
    let tenant = &ticket.caller.key.tenant;
    let id = Subject::Cart.transaction_id(&ticket.caller.store.data_key, tenant.mode, cart);
    let update = Update::conversion(cart, order_id);
    let request_id = knock.arrival.request_id.clone();
    let new = NewCheckUpdate { update: &update, is_conversion: true, now: knock.arrival.at, request_id };
    let store = door.dependencies.store.tenant(tenant);
    if let CheckUpdated::Applied(event, learnt, _) = knock.stored(store.update_check(&id, &new)).await? {
        pass_on(door, knock, *event, learnt).await;
    }
    Ok(())
}
