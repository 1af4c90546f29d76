//! `POST /v1/transactions/{id}/decision`: a person settles a review or hold.

use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use touchstone_platform::store::transactions::{Decided, Decision, NewDecision};
use touchstone_schema::limits;

use super::document::{DecidedDocument, DecisionRequest};
use super::fields::Fields;
use super::{no_transaction, transaction_id};
use crate::admit::Ticket;
use crate::door::{Door, SharedDoor};
use crate::order_body::read_json;
use crate::problem::Problem;
use crate::respond::json;
use crate::surfaces::{Knock, Named, announce, remember};

/// Longest name of a reviewer, in characters.
const REVIEWER_CHARS: usize = 256;

/// What was asked, read but not yet done.
struct Asked {
    decision: Decision,
    reviewer: String,
    note: Option<String>,
}

/// Settle a review or hold
///
/// Repeating the decision that stands is 200. A contrary one is 409, and so is any decision on an order that does not wait for
/// one: `standing` says where it stands, `ended_by` which outcome that you reported has ended it. The webhook
/// `order.decided` follows.
#[utoipa::path(post, path = "/v1/transactions/{id}/decision", tag = "Transactions", request_body = DecisionRequest,
    params(("id" = String, Path, description = "The transaction.")),
    responses((status = 200, description = "Decided, now or before.", body = DecidedDocument)))]
pub(crate) async fn decide(
    State(door): State<SharedDoor>,
    Named(id): Named,
    knock: Knock,
) -> Result<Response, Problem> {
    let caller = knock.authenticate_document(&door).await?;
    let ticket = knock.admit(&door, caller, None).await?;
    let answer = match knock.read(&door, read).await {
        Ok(asked) => answer(&door, &knock, &ticket, &id, asked).await,
        Err(problem) => Err(problem),
    };
    ticket.settle(&door, answer).await
}

async fn answer(door: &Door, knock: &Knock, ticket: &Ticket, id: &str, asked: Asked) -> Result<Response, Problem> {
    let id = transaction_id(id)?;
    let decision = NewDecision {
        decision: asked.decision,
        reviewer: asked.reviewer,
        note: asked.note,
        now: knock.arrival.at,
        request_id: knock.arrival.request_id.clone(),
    };
    let store = door.dependencies.store.tenant(&ticket.caller.key.tenant);
    let status = match knock.stored(store.decide(&id, &decision)).await? {
        Decided::Recorded(event, learnt) => {
            remember(door, learnt, knock.arrival.at).await;
            announce(door, *event).await;
            asked.decision.status()
        }
        Decided::Already(standing) => standing.status,
        Decided::Contrary(standing) => {
            let detail = format!("The contrary decision was recorded before; the transaction is {standing}.");
            return Err(Problem::state_conflict("already_decided", detail).standing(standing));
        }
        Decided::NotOpen(standing) => {
            let detail = format!("Expected a transaction in review or held; this one is {standing}.");
            return Err(Problem::state_conflict("not_open", detail).standing(standing));
        }
        Decided::NotFound => return Err(no_transaction()),
    };
    let document =
        DecidedDocument { transaction_id: id.to_string(), decision: asked.decision.as_str(), status: status.as_str() };
    json(StatusCode::OK, &document)
}

fn read(headers: &HeaderMap, body: &[u8]) -> Result<Asked, Problem> {
    let document = read_json(headers, body)?;
    let mut fields = Fields::of(&document)?;
    let decision = fields.parsed("decision");
    let reviewer = fields.text("reviewer", REVIEWER_CHARS, true);
    let note = fields.text("note", limits::FIELD_CHARS, false);
    fields.finish()?;
    match (decision, reviewer) {
        (Some(decision), Some(reviewer)) => Ok(Asked { decision, reviewer, note }),
        _ => Err(Problem::internal()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_body_panics_and_what_is_taken_is_within_its_limits(
            bytes in prop::collection::vec(any::<u8>(), 0..200), decision in "approve|reject|[a-z]{0,8}",
            reviewer in "[^\"\\\\\\p{Cc}]{0,300}", note in "null|7|\"[a-z]{0,9}\"",
        ) {
            let headers = HeaderMap::from_iter([(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"))]);
            let document = format!(r#"{{"decision":"{decision}","reviewer":"{reviewer}","note":{note}}}"#);
            for body in [bytes, document.into_bytes()] {
                if let Ok(asked) = read(&headers, &body) {
                    prop_assert!((1..=REVIEWER_CHARS).contains(&asked.reviewer.chars().count()));
                }
            }
        }
    }
}
