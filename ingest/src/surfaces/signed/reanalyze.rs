//! `POST /v1/transactions/{id}/reanalyze`: score a stored order again, as a new revision.

use axum::extract::State;
use axum::response::Response;
use serde_json::value::RawValue;
use touchstone_platform::random;
use touchstone_schema::ids::SubmissionId;
use touchstone_schema::limits;
use touchstone_schema::submission::{Submission, SubmissionKind};

use super::document::{PromiseDocument, VerdictDocument};
use super::{no_transaction, screened_answer, transaction_id};
use crate::admit::Ticket;
use crate::door::{Door, SharedDoor};
use crate::enqueue::screen;
use crate::problem::Problem;
use crate::surfaces::{Knock, Named};

/// Score again
///
/// Scores the stored order with the present policy and history, as a new revision; the body is empty. A transaction that
/// got 100 revisions within a day is not scored again on demand; an order that is sent again is.
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
    let ticket = knock.admit(&door, caller, None).await?;
    let answer = answer(&door, &knock, &ticket, &id).await;
    ticket.settle(&door, answer).await
}

async fn answer(door: &Door, knock: &Knock, ticket: &Ticket, id: &str) -> Result<Response, Problem> {
    let (arrival, tenant) = (&knock.arrival, &ticket.caller.key.tenant);
    let id = transaction_id(id)?;
    let store = door.dependencies.store.tenant(tenant);
    let transaction = knock.stored(store.transaction_head(&id)).await?.ok_or_else(no_transaction)?;
    if !transaction.is_scored {
        return Err(Problem::state_conflict(
            "pending",
            "Expected a transaction that has a verdict; this one is pending.",
        ));
    }
    let recent = knock.stored(store.revisions_since(&id, arrival.at - limits::REVISION_DAY)).await?;
    if recent.made >= limits::REVISIONS_PER_DAY {
        let free_at = recent.oldest.unwrap_or(arrival.at) + limits::REVISION_DAY;
        return Err(Problem::too_many_revisions(free_at.since(arrival.at)));
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
