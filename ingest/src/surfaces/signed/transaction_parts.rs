//! `GET /v1/transactions/{id}/revisions`, `/decisions`, `/outcomes` and `/events`: all that a transaction has, a page at a
//! time. The transaction itself shows the newest of each.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use touchstone_platform::store::TenantStore;
use touchstone_platform::store::transactions::{OutcomeCursor, OutcomeView};
use touchstone_schema::ids::TransactionId;
use touchstone_schema::money::Currency;
use touchstone_schema::time::Timestamp;
use utoipa::ToSchema;

use super::document::{DecisionDocument, EventDocument, OutcomeLine, RevisionDocument};
use super::page_query::PageQuery;
use super::{no_transaction, transaction_id};
use crate::admit::Ticket;
use crate::door::{Door, SharedDoor};
use crate::problem::Problem;
use crate::respond::json;
use crate::surfaces::{Knock, Named};

const CURSOR: &str = "expected a next_cursor of ours";

/// A page of revisions.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RevisionPage)]
pub(crate) struct RevisionPage {
    /// Newest first.
    #[schema(max_items = 100)]
    revisions: Vec<RevisionDocument>,
    /// How many there are.
    total: u64,
    /// Where the next page begins; null at the end.
    next_cursor: Option<String>,
}

/// A page of decisions.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DecisionPage)]
pub(crate) struct DecisionPage {
    /// Newest first.
    #[schema(max_items = 100)]
    decisions: Vec<DecisionDocument>,
    /// How many there are.
    total: u64,
    /// Where the next page begins; null at the end.
    next_cursor: Option<String>,
}

/// A page of outcomes.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OutcomePage)]
pub(crate) struct OutcomePage {
    /// The one that happened last first.
    #[schema(max_items = 100)]
    outcomes: Vec<OutcomeLine>,
    /// How many there are.
    total: u64,
    /// Where the next page begins; null at the end.
    next_cursor: Option<String>,
}

/// A page of events.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EventPage)]
pub(crate) struct EventPage {
    /// Newest first.
    #[schema(max_items = 100)]
    events: Vec<EventDocument>,
    /// How many there are.
    total: u64,
    /// Where the next page begins; null at the end.
    next_cursor: Option<String>,
}

/// What is listed of a transaction.
#[derive(Debug, Clone, Copy)]
enum Part {
    Revisions,
    Decisions,
    Outcomes,
    Events,
}

/// List the revisions of a transaction
///
/// Newest first. Follow `next_cursor` until it is null.
#[utoipa::path(get, path = "/v1/transactions/{id}/revisions", tag = "Transactions",
    params(
        ("id" = String, Path, description = "The transaction."),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before."),
        ("limit" = Option<u64>, Query, description = "Items of the page, 1 to 100; 50 when absent.", minimum = 1, maximum = 100),
    ),
    responses((status = 200, description = "A page.", body = RevisionPage)))]
pub(crate) async fn revisions(
    State(door): State<SharedDoor>,
    Named(id): Named,
    knock: Knock,
) -> Result<Response, Problem> {
    list(&door, &knock, &id, Part::Revisions).await
}

/// List the decisions on a transaction
///
/// Newest first. Follow `next_cursor` until it is null.
#[utoipa::path(get, path = "/v1/transactions/{id}/decisions", tag = "Transactions",
    params(
        ("id" = String, Path, description = "The transaction."),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before."),
        ("limit" = Option<u64>, Query, description = "Items of the page, 1 to 100; 50 when absent.", minimum = 1, maximum = 100),
    ),
    responses((status = 200, description = "A page.", body = DecisionPage)))]
pub(crate) async fn decisions(
    State(door): State<SharedDoor>,
    Named(id): Named,
    knock: Knock,
) -> Result<Response, Problem> {
    list(&door, &knock, &id, Part::Decisions).await
}

/// List the outcomes of a transaction
///
/// The one that happened last first. Follow `next_cursor` until it is null.
#[utoipa::path(get, path = "/v1/transactions/{id}/outcomes", tag = "Transactions",
    params(
        ("id" = String, Path, description = "The transaction."),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before."),
        ("limit" = Option<u64>, Query, description = "Items of the page, 1 to 100; 50 when absent.", minimum = 1, maximum = 100),
    ),
    responses((status = 200, description = "A page.", body = OutcomePage)))]
pub(crate) async fn outcomes(
    State(door): State<SharedDoor>,
    Named(id): Named,
    knock: Knock,
) -> Result<Response, Problem> {
    list(&door, &knock, &id, Part::Outcomes).await
}

/// List the events of a transaction
///
/// With the state of their deliveries, newest first. Follow `next_cursor` until it is null.
#[utoipa::path(get, path = "/v1/transactions/{id}/events", tag = "Transactions",
    params(
        ("id" = String, Path, description = "The transaction."),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before."),
        ("limit" = Option<u64>, Query, description = "Items of the page, 1 to 100; 50 when absent.", minimum = 1, maximum = 100),
    ),
    responses((status = 200, description = "A page.", body = EventPage)))]
pub(crate) async fn events(
    State(door): State<SharedDoor>,
    Named(id): Named,
    knock: Knock,
) -> Result<Response, Problem> {
    list(&door, &knock, &id, Part::Events).await
}

async fn list(door: &Door, knock: &Knock, id: &str, part: Part) -> Result<Response, Problem> {
    let caller = knock.authenticate_target(door).await?;
    let ticket = knock.admit(door, caller, None).await?;
    let answer = page(door, knock, &ticket, id, part).await;
    ticket.settle(door, answer).await
}

async fn page(door: &Door, knock: &Knock, ticket: &Ticket, id: &str, part: Part) -> Result<Response, Problem> {
    let id = transaction_id(id)?;
    let mut query = PageQuery::of(&knock.uri)?;
    let store = door.dependencies.store.tenant(&ticket.caller.key.tenant);
    if let Part::Outcomes = part {
        let before = query.take_with("cursor", CURSOR, read_outcome_cursor)?;
        return outcome_page(knock, &store, &id, before, query.limit()?).await;
    }
    let (before, items) = (query.take("cursor", CURSOR)?, query.limit()?);
    knock.stored(store.transaction_head(&id)).await?.ok_or_else(no_transaction)?;
    let totals = knock.stored(store.totals(&id)).await?;
    match part {
        Part::Revisions => {
            let found = knock.stored(store.revisions(&id, before, items)).await?;
            let next_cursor = next(&found, items, |last| last.revision.to_string());
            let revisions = found.into_iter().map(Into::into).collect();
            json(StatusCode::OK, &RevisionPage { revisions, total: totals.revisions, next_cursor })
        }
        Part::Decisions => {
            let found = knock.stored(store.decisions(&id, before, items)).await?;
            let next_cursor = next(&found, items, |last| last.revision.to_string());
            let decisions = found.into_iter().map(Into::into).collect();
            json(StatusCode::OK, &DecisionPage { decisions, total: totals.decisions, next_cursor })
        }
        Part::Events | Part::Outcomes => {
            let found = knock.stored(store.events(&id, before, items)).await?;
            let next_cursor = next(&found, items, |last| last.sequence.to_string());
            let events = found.into_iter().map(Into::into).collect();
            json(StatusCode::OK, &EventPage { events, total: totals.events, next_cursor })
        }
    }
}

async fn outcome_page(
    knock: &Knock,
    store: &TenantStore<'_>,
    id: &TransactionId,
    before: Option<OutcomeCursor>,
    items: u64,
) -> Result<Response, Problem> {
    knock.stored(store.transaction_head(id)).await?.ok_or_else(no_transaction)?;
    let totals = knock.stored(store.totals(id)).await?;
    let found = knock.stored(store.outcomes(id, before, items)).await?;
    let currency = outcome_currency(knock, store, id, &found).await?;
    let next_cursor = next(&found, items, write_outcome_cursor);
    let outcomes = found.iter().map(|outcome| OutcomeLine::new(outcome, currency)).collect();
    json(StatusCode::OK, &OutcomePage { outcomes, total: totals.outcomes, next_cursor })
}

/// The currency of the outcomes' amounts, where one of them has one.
pub(super) async fn outcome_currency(
    knock: &Knock,
    store: &TenantStore<'_>,
    id: &TransactionId,
    outcomes: &[OutcomeView],
) -> Result<Option<Currency>, Problem> {
    if outcomes.iter().all(|outcome| outcome.amount_minor.is_none()) {
        return Ok(None);
    }
    Ok(knock.stored(store.currency(id)).await?.as_deref().and_then(Currency::from_code))
}

/// Where the page after a full one begins.
fn next<T>(found: &[T], items: u64, cursor: impl FnOnce(&T) -> String) -> Option<String> {
    found.last().filter(|_| found.len() as u64 == items).map(cursor)
}

/// An outcome is named by its time and kind.
fn write_outcome_cursor(outcome: &OutcomeView) -> String {
    format!("{}-{}", outcome.occurred_at.as_millis(), outcome.kind)
}

fn read_outcome_cursor(text: &str) -> Option<OutcomeCursor> {
    let (millis, kind) = text.rsplit_once('-')?;
    Some(OutcomeCursor { occurred_at: Timestamp::from_millis(millis.parse().ok()?), kind: kind.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use touchstone_platform::store::transactions::OutcomeKind;

    use super::*;

    proptest! {
        #[test]
        fn any_cursor_of_outcomes_is_read_or_refused(text in ".{0,40}", millis in any::<i64>()) {
            read_outcome_cursor(&text);
            let at = Timestamp::from_millis(millis);
            let outcome = OutcomeView { kind: OutcomeKind::Refunded, occurred_at: at, amount_minor: None, recorded_at: at };
            let read = read_outcome_cursor(&write_outcome_cursor(&outcome));
            prop_assert_eq!(read, Some(OutcomeCursor { occurred_at: at, kind: OutcomeKind::Refunded }));
        }
    }
}
