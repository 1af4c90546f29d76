//! The signed surface (contract section 1).

pub(crate) mod analyze;
pub(crate) mod decision;
pub(crate) mod deliveries;
mod delivery_document;
pub(crate) mod document;
pub(crate) mod endpoints;
mod fields;
pub(crate) mod lists;
pub(crate) mod outcome;
pub(crate) mod page_query;
pub(crate) mod reanalyze;
pub(crate) mod transaction_parts;
pub(crate) mod transactions;

use axum::response::Response;
use http::StatusCode;
use touchstone_schema::ids::TransactionId;
use touchstone_schema::submission::Answer;
use touchstone_schema::verdict::with_duration;

use crate::enqueue::Screened;
use crate::http::service::Arrival;
use crate::problem::Problem;
use crate::respond::{json_text, promised};

/// Who the audit log says it was.
const API: &str = "api";

/// 409 for what an endpoint that is switched off cannot be sent.
fn endpoint_is_off() -> Problem {
    Problem::state_conflict("endpoint_disabled", "Expected an endpoint that is switched on: enable it first.")
}

/// 404 for transactions that are not the caller's, whoever's they are.
fn no_transaction() -> Problem {
    Problem::not_found("This store has no such transaction.")
}

/// The transaction of a path; what is no identifier names no transaction.
fn transaction_id(text: &str) -> Result<TransactionId, Problem> {
    text.parse().map_err(|_| no_transaction())
}

/// 200 with a stored verdict.
fn verdict_answer(stored: &str, arrival: &Arrival) -> Response {
    json_text(StatusCode::OK, with_duration(stored, arrival.instant.elapsed()))
}

/// What a waiting caller is told.
fn screened_answer(screened: &Screened, id: &TransactionId, arrival: &Arrival) -> Result<Response, Problem> {
    match screened {
        Screened::Answered(Answer::Verdict { verdict }) => Ok(verdict_answer(verdict.get(), arrival)),
        Screened::Answered(Answer::Conflict { verdict }) => Err(Problem::order_conflict(verdict.get().to_owned())),
        Screened::Answered(Answer::NotFound) => Err(no_transaction()),
        Screened::Answered(Answer::Failed) => Err(Problem::internal()),
        Screened::Promised => Ok(promised(id)),
    }
}
