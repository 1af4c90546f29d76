//! `POST /v1/transactions/{id}/outcome`: what became of an order.

use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use touchstone_platform::store::transactions::{NewOutcome, OutcomeKind, OutcomeTaken};
use touchstone_schema::fault::Fault;
use touchstone_schema::history::Happening;
use touchstone_schema::ids::TransactionId;
use touchstone_schema::json::Json;
use touchstone_schema::limits;
use touchstone_schema::time::Timestamp;

use super::document::{OutcomeDocument, OutcomeRequest};
use super::fields::Fields;
use super::{no_transaction, transaction_id};
use crate::admit::Ticket;
use crate::door::{Door, SharedDoor};
use crate::order_body::read_json;
use crate::problem::Problem;
use crate::respond::json;
use crate::surfaces::{Knock, Named, announce, remember};

/// What was reported, read but not yet recorded. The amount waits for the order's currency.
#[derive(Debug)]
struct Reported {
    kind: OutcomeKind,
    occurred_at: Timestamp,
    amount: Option<String>,
}

/// Report an outcome
///
/// Feeds history and labels. Every outcome but `legitimate` ends the order: one that waits for a person leaves the queue, and
/// a decision upon it is refused from then on. The amount is in the order's currency. Reporting the same outcome again changes
/// nothing.
#[utoipa::path(post, path = "/v1/transactions/{id}/outcome", tag = "Transactions", request_body = OutcomeRequest,
    params(("id" = String, Path, description = "The transaction.")),
    responses((status = 200, description = "Recorded, now or before.", body = OutcomeDocument)))]
pub(crate) async fn report(
    State(door): State<SharedDoor>,
    Named(id): Named,
    knock: Knock,
) -> Result<Response, Problem> {
    let caller = knock.authenticate_document(&door).await?;
    let ticket = knock.admit(&door, caller, None).await?;
    let now = knock.arrival.at;
    let answer = match knock.read(&door, move |headers, body| read(headers, body, now)).await {
        Ok(reported) => answer(&door, &knock, &ticket, &id, reported).await,
        Err(problem) => Err(problem),
    };
    ticket.settle(&door, answer).await
}

async fn answer(
    door: &Door,
    knock: &Knock,
    ticket: &Ticket,
    id: &str,
    reported: Reported,
) -> Result<Response, Problem> {
    let id = transaction_id(id)?;
    let amount_minor = match &reported.amount {
        Some(text) => Some(amount_in_order_currency(door, knock, ticket, &id, (reported.kind, text)).await?),
        None => None,
    };
    let outcome = NewOutcome {
        kind: reported.kind,
        occurred_at: reported.occurred_at,
        amount_minor,
        now: knock.arrival.at,
        request_id: knock.arrival.request_id.clone(),
    };
    let store = door.dependencies.store.tenant(&ticket.caller.key.tenant);
    let recorded = match knock.stored(store.record_outcome(&id, &outcome)).await? {
        OutcomeTaken::Recorded(event, learnt) => {
            remember(door, learnt, knock.arrival.at).await;
            if let Some(event) = event {
                announce(door, *event).await;
            }
            true
        }
        OutcomeTaken::Already => false,
        OutcomeTaken::NotFound => return Err(no_transaction()),
    };
    let document = OutcomeDocument {
        transaction_id: id.to_string(),
        r#type: reported.kind.as_str(),
        occurred_at: reported.occurred_at.to_rfc3339(),
        recorded,
        counts_as: Happening::from(reported.kind).counts_as(),
    };
    json(StatusCode::OK, &document)
}

async fn amount_in_order_currency(
    door: &Door,
    knock: &Knock,
    ticket: &Ticket,
    id: &TransactionId,
    (kind, text): (OutcomeKind, &str),
) -> Result<i64, Problem> {
    let store = door.dependencies.store.tenant(&ticket.caller.key.tenant);
    let Some(total) = knock.stored(store.amount(id)).await? else {
        let pending = knock.stored(store.transaction_head(id)).await?.is_some();
        return Err(if pending {
            Problem::state_conflict("pending", "Expected a transaction that has a verdict; this one is pending.")
        } else {
            no_transaction()
        });
    };
    let invalid = |message: String| Problem::invalid_fields(vec![Fault::new("/amount", message)]);
    kind.read_amount(text, total).map_err(invalid)
}

fn read(headers: &HeaderMap, body: &[u8], now: Timestamp) -> Result<Reported, Problem> {
    let document = read_json(headers, body)?;
    let mut fields = Fields::of(&document)?;
    let kind = fields.parsed("type");
    let occurred_at =
        fields.optional("occurred_at").and_then(Json::as_str).and_then(Timestamp::parse_rfc3339).filter(|at| {
            // A merchant's clock may be off as much as that of a signed request.
            *at <= now + limits::TIMESTAMP_SKEW
        });
    if occurred_at.is_none() {
        fields.fault("occurred_at", "expected an RFC 3339 time that is not in the future");
    }
    let amount = match fields.optional("amount") {
        Some(Json::Number(text)) => Some((*text).to_owned()),
        Some(Json::String(text)) => Some(text.clone().into_owned()),
        Some(_) => {
            fields.fault("amount", "expected a number or a numeric text");
            None
        }
        None => None,
    };
    fields.finish()?;
    match (kind, occurred_at) {
        (Some(kind), Some(occurred_at)) => Ok(Reported { kind, occurred_at, amount }),
        _ => Err(Problem::internal()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Timestamp = Timestamp::from_millis(1_767_323_045_000);

    fn reported(kind: &str) -> Result<Reported, Problem> {
        let headers =
            HeaderMap::from_iter([(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"))]);
        read(&headers, format!(r#"{{"type":"{kind}","occurred_at":"2026-01-01T00:00:00Z"}}"#).as_bytes(), NOW)
    }

    #[test]
    fn words_that_are_read_in_opposite_ways_are_refused_with_the_word_for_each_case() {
        for old in ["chargeback_won", "chargeback_lost"] {
            let problem = reported(old).expect_err(old);
            assert_eq!((problem.status, problem.faults()[0].0), (StatusCode::UNPROCESSABLE_ENTITY, "/type"));
            let message = problem.faults()[0].1.to_owned();
            assert!(message.contains("chargeback_upheld when the customer keeps the money"), "{message}");
            assert!(message.contains("chargeback_reversed when you keep the money"), "{message}");
        }
        assert_eq!(reported("chargeback_upheld").expect("it is known").kind, OutcomeKind::ChargebackUpheld);
    }

    proptest! {
        #[test]
        fn no_body_panics_and_nothing_is_taken_that_is_still_to_come(
            bytes in prop::collection::vec(any::<u8>(), 0..200), kind in "refunded|legitimate|[a-z]{0,8}",
            at in any::<i64>().prop_map(|millis| Timestamp::from_millis(millis % 253_402_300_799_000)), amount in "null|-?[0-9]{1,30}(\\.[0-9]{1,30})?(e[0-9]{1,3})?|\"[0-9.]{0,9}\"",
        ) {
            let headers = HeaderMap::from_iter([(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"))]);
            let document = format!(r#"{{"type":"{kind}","occurred_at":"{}","amount":{amount}}}"#, at.to_rfc3339());
            for body in [bytes, document.into_bytes()] {
                if let Ok(reported) = read(&headers, &body, NOW) {
                    prop_assert!(reported.occurred_at <= NOW + limits::TIMESTAMP_SKEW);
                }
            }
        }
    }
}
