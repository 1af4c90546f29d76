//! `POST /v1/transactions/{id}/reanalyze`: score a stored order again, as a new revision.

use axum::extract::State;
use axum::response::Response;
use serde_json::value::RawValue;
use touchstone_platform::random;
use touchstone_schema::ids::SubmissionId;
use touchstone_schema::submission::{Submission, SubmissionKind};

use super::document::{PromiseDocument, VerdictDocument};
use super::{no_transaction, screened_answer, transaction_id};
use crate::admit::{Ticket, admit};
use crate::door::{Door, SharedDoor};
use crate::enqueue::screen;
use crate::problem::Problem;
use crate::surfaces::{Knock, Named};

/// Score again
///
/// Scores the stored order with the present policy and history, as a new revision; the body is empty.
#[utoipa::path(post, path = "/v1/transactions/{id}/reanalyze", tag = "Transactions",
    params(("id" = String, Path, description = "The transaction.")),
    responses(
        (status = 200, description = "The new verdict.", body = VerdictDocument),
        (status = 202, description = "Accepted; the verdict will be at `Location`.", body = PromiseDocument),
    ))]
pub(crate) async fn reanalyze(
    State(door): State<SharedDoor>,
    Named(id): Named,
    knock: Knock,
) -> Result<Response, Problem> {
    let caller = knock.authenticate_target(&door).await?;
    let ticket = admit(&door.dependencies, caller, None, &knock.arrival).await?;
    let answer = answer(&door, &knock, &ticket, &id).await;
    ticket.settle(&door, answer).await
}

async fn answer(door: &Door, knock: &Knock, ticket: &Ticket, id: &str) -> Result<Response, Problem> {
    let (arrival, tenant) = (&knock.arrival, &ticket.caller.key.tenant);
    let id = transaction_id(id)?;
    let found = knock.stored(door.dependencies.store.tenant(tenant).transaction(&id)).await?;
    let transaction = found.ok_or_else(no_transaction)?;
    if transaction.revisions.is_empty() {
        return Err(Problem::state_conflict(
            "pending",
            "Expected a transaction that has a verdict; this one is pending.",
        ));
    }
    let submission = Submission {
        version: Submission::VERSION,
        id: SubmissionId::mint(arrival.at, random::bytes()),
        tenant: tenant.clone(),
        surface: transaction.surface,
        kind: SubmissionKind::Reanalyze,
        transaction_id: id.clone(),
        order_id: transaction.order_id,
        body_hash: String::new(),
        received_at: arrival.at,
        deadline: None,
        request_id: arrival.request_id.clone(),
        trace: arrival.trace.clone(),
        document: RawValue::NULL.to_owned(),
    };
    let screened = screen(door, arrival, submission).await?;
    screened_answer(&screened, &id, arrival)
}
