//! `POST /v1/analyze`: an order comes in, its verdict goes out.

use axum::extract::State;
use axum::response::Response;
use touchstone_platform::random;
use touchstone_schema::ids::{SubmissionId, TransactionId};
use touchstone_schema::limits;
use touchstone_schema::submission::{Submission, SubmissionKind};
use touchstone_schema::tenant::{KeyMode, Surface};
use touchstone_schema::test_order::AskedOutcome;

use super::document::{OrderDocument, PromiseDocument, VerdictDocument};
use super::{screened_answer, verdict_answer};
use crate::admit::Ticket;
use crate::door::{Door, SharedDoor};
use crate::enqueue::{screen, screen_late};
use crate::order_body::{OrderBody, handling, read_order};
use crate::problem::Problem;
use crate::surfaces::Knock;

/// Screen an order
///
/// Waits up to 4 s for the verdict; an order that takes longer is accepted with 202 and its verdict is found at
/// `Location`. The same order again within the hour gives the same verdict; another order under the same id is 409.
/// The signature covers `{timestamp}.{nonce}.{body}`, the raw bytes of the body.
#[utoipa::path(post, path = "/v1/analyze", tag = "Screening", request_body = OrderDocument,
    responses(
        (status = 200, description = "The verdict.", body = VerdictDocument),
        (status = 202, description = "Accepted; the verdict will be at `Location`.", body = PromiseDocument,
            headers(("Location" = String, description = "Where the verdict will be."))),
    ))]
pub(crate) async fn analyze(State(door): State<SharedDoor>, knock: Knock) -> Result<Response, Problem> {
    let caller = knock.authenticate_body(&door).await?;
    // A short one is read before admission, so that one round trip also looks for a finished verdict; its errors are answered
    // after. What reading a long one costs is spent on callers who are admitted; its finished verdict is found in the store.
    let handling = handling(&knock.headers, &caller.store);
    let short = (!knock.is_long()).then(|| read_order(&knock.headers, &knock.arrival.body, handling));
    let order_id = short.as_ref().and_then(|order| order.as_ref().ok()).map(|order| order.order_id.as_str());
    let mut ticket = knock.admit(&door, caller, order_id).await?;
    let order = match short {
        Some(order) => order,
        None => knock.read(&door, move |headers, body| read_order(headers, body, handling)).await,
    };
    let answer = match order {
        Ok(order) => answer(&door, &knock, &mut ticket, order).await,
        Err(problem) => Err(problem),
    };
    ticket.settle(&door, answer).await
}

async fn answer(door: &Door, knock: &Knock, ticket: &mut Ticket, order: OrderBody) -> Result<Response, Problem> {
    let arrival = &knock.arrival;
    if let Some(finished) = ticket.finished.take()
        && arrival.at.since(finished.received_at) < limits::IDEMPOTENCY_WINDOW
    {
        if finished.body_hash == order.hash {
            return Ok(verdict_answer(&finished.verdict, arrival));
        }
        return Err(Problem::order_conflict(finished.verdict));
    }
    let (tenant, store) = (&ticket.caller.key.tenant, &ticket.caller.store);
    let transaction_id = TransactionId::of_order(&store.data_key, tenant.mode, Surface::Signed, &order.order_id);
    let submission = Submission {
        version: Submission::VERSION,
        id: SubmissionId::mint(arrival.at, random::bytes()),
        tenant: tenant.clone(),
        surface: Surface::Signed,
        kind: SubmissionKind::Order,
        transaction_id: transaction_id.clone(),
        order_id: order.order_id,
        body_hash: order.hash,
        received_at: arrival.at,
        deadline: None,
        request_id: arrival.request_id.clone(),
        trace: arrival.trace.clone(),
        document: order.document,
    };
    let screened = match order.asked {
        Some(AskedOutcome::Late) if tenant.mode == KeyMode::Test => screen_late(door, arrival, submission).await?,
        _ => screen(door, arrival, submission).await?,
    };
    screened_answer(&screened, &transaction_id, arrival)
}
