//! `/v1/deliveries`: what became of the store's webhooks. A key sees the deliveries of its own world's events.

use axum::extract::State;
use axum::response::Response;
use http::{StatusCode, Uri};
use touchstone_platform::store::deliveries::{AttemptCursor, AttemptView, DeliveryFilter, DeliveryState, Replayed};
use touchstone_schema::event::EventKind;
use touchstone_schema::ids::{DeliveryId, EventId};
use touchstone_schema::renamed;
use touchstone_schema::time::Timestamp;

use super::delivery_document::{DeliveryDocument, DeliveryPage, DeliveryWithAttempts};
use super::page_query::{PageQuery, invalid};
use super::{API, endpoint_is_off};
use crate::admit::Ticket;
use crate::door::{Door, SharedDoor};
use crate::problem::Problem;
use crate::respond::json;
use crate::surfaces::{Knock, Named};

/// An event or a type of events.
enum Told {
    Kind(EventKind),
    Event(EventId),
}

/// List deliveries
///
/// Newest first. Follow `next_cursor` until it is null.
#[utoipa::path(get, path = "/v1/deliveries", tag = "Webhooks",
    params(
        ("endpoint" = Option<String>, Query, description = "Only to this endpoint."),
        ("state" = Option<String>, Query, description = "pending, delivered or dead; all when absent."),
        ("event" = Option<String>, Query, description = "Only of this event (`evt_…`), or of events of this type (`order.scored`)."),
        ("transaction" = Option<String>, Query, description = "Only of events of this transaction."),
        ("since" = Option<String>, Query, description = "Only planned since then, RFC 3339."),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before."),
        ("limit" = Option<u64>, Query, description = "Items of the page, 1 to 100; 50 when absent.", minimum = 1, maximum = 100),
    ),
    responses((status = 200, description = "A page.", body = DeliveryPage)))]
pub(crate) async fn list(State(door): State<SharedDoor>, knock: Knock) -> Result<Response, Problem> {
    let caller = knock.authenticate_target(&door).await?;
    let ticket = knock.admit(&door, caller, None).await?;
    let answer = page(&door, &knock, &ticket).await;
    ticket.settle(&door, answer).await
}

/// Show a delivery
///
/// With its attempts, newest first, a page at a time.
#[utoipa::path(get, path = "/v1/deliveries/{id}", tag = "Webhooks",
    params(
        ("id" = String, Path, description = "The delivery."),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page of attempts before."),
        ("limit" = Option<u64>, Query, description = "Attempts of the page, 1 to 100; 50 when absent.", minimum = 1, maximum = 100),
    ),
    responses((status = 200, description = "The delivery.", body = DeliveryWithAttempts)))]
pub(crate) async fn show(State(door): State<SharedDoor>, Named(id): Named, knock: Knock) -> Result<Response, Problem> {
    let caller = knock.authenticate_target(&door).await?;
    let ticket = knock.admit(&door, caller, None).await?;
    let answer = one(&door, &knock, &ticket, &id).await;
    ticket.settle(&door, answer).await
}

/// Send a delivery again
///
/// One that arrived or was given up begins anew; one that waits for another attempt is due now. The body is empty, and so may
/// this be asked for twice.
#[utoipa::path(post, path = "/v1/deliveries/{id}/replay", tag = "Webhooks",
    params(("id" = String, Path, description = "The delivery.")),
    responses((status = 200, description = "It is due.", body = DeliveryDocument)))]
pub(crate) async fn replay(
    State(door): State<SharedDoor>,
    Named(id): Named,
    knock: Knock,
) -> Result<Response, Problem> {
    let caller = knock.authenticate_target(&door).await?;
    let ticket = knock.admit(&door, caller, None).await?;
    let answer = again(&door, &knock, &ticket, &id).await;
    ticket.settle(&door, answer).await
}

async fn page(door: &Door, knock: &Knock, ticket: &Ticket) -> Result<Response, Problem> {
    let (filter, items) = read_query(&knock.uri)?;
    let store = door.dependencies.store.tenant(&ticket.caller.key.tenant);
    let found = knock.stored(store.deliveries(&filter, items)).await?;
    let page = DeliveryPage {
        deliveries: found.deliveries.into_iter().map(DeliveryDocument::from).collect(),
        next_cursor: found.next.map(|next| next.to_string()),
    };
    json(StatusCode::OK, &page)
}

async fn one(door: &Door, knock: &Knock, ticket: &Ticket, id: &str) -> Result<Response, Problem> {
    let id = delivery_id(id)?;
    let mut query = PageQuery::of(&knock.uri)?;
    let before = query.take_with("cursor", "expected a next_cursor of ours", read_cursor)?;
    let items = query.limit()?;
    let store = door.dependencies.store.tenant(&ticket.caller.key.tenant);
    let view = knock.stored(store.delivery(&id)).await?.ok_or_else(no_delivery)?;
    let attempts = knock.stored(store.attempts(&view, before, items)).await?;
    let last = attempts.last().filter(|_| attempts.len() as u64 == items);
    let document = DeliveryWithAttempts {
        next_cursor: last.and_then(write_cursor),
        delivery: view.into(),
        attempt_log: attempts.into_iter().map(Into::into).collect(),
    };
    json(StatusCode::OK, &document)
}

async fn again(door: &Door, knock: &Knock, ticket: &Ticket, id: &str) -> Result<Response, Problem> {
    let id = delivery_id(id)?;
    let store = door.dependencies.store.tenant(&ticket.caller.key.tenant);
    match knock.stored(store.replay_delivery(&id, API, knock.arrival.at)).await? {
        Replayed::Due(view) => json(StatusCode::OK, &DeliveryDocument::from(*view)),
        Replayed::Disabled => Err(endpoint_is_off()),
        Replayed::NotFound => Err(no_delivery()),
    }
}

fn no_delivery() -> Problem {
    Problem::not_found("This store has no such delivery.")
}

fn delivery_id(text: &str) -> Result<DeliveryId, Problem> {
    text.parse().map_err(|_| no_delivery())
}

fn read_query(uri: &Uri) -> Result<(DeliveryFilter, u64), Problem> {
    let mut query = PageQuery::of(uri)?;
    if let Some(why) = query.given("event").and_then(renamed::refusal) {
        return Err(invalid("event", &why));
    }
    let told =
        query.take_with("event", "expected an event, such as evt_…, or a type, such as order.scored", |text| {
            text.parse().map(Told::Event).ok().or_else(|| EventKind::parse(text).map(Told::Kind))
        })?;
    let (kind, event_id) = match told {
        Some(Told::Kind(kind)) => (Some(kind), None),
        Some(Told::Event(event)) => (None, Some(event)),
        None => (None, None),
    };
    let filter = DeliveryFilter {
        endpoint_id: query.take("endpoint", "expected an endpoint, such as ep_…")?,
        state: query.take::<DeliveryState>("state", "expected one of pending, delivered, dead")?,
        since: query.take_with("since", "expected a time in RFC 3339", Timestamp::parse_rfc3339)?,
        kind,
        event_id,
        transaction_id: query.take("transaction", "expected a transaction, such as tx_…")?,
        after: query.take("cursor", "expected a next_cursor of ours")?,
        ..DeliveryFilter::default()
    };
    Ok((filter, query.limit()?))
}

/// An attempt is named by its time and number.
fn write_cursor(attempt: &AttemptView) -> Option<String> {
    let started_at = Timestamp::parse_rfc3339(&attempt.started_at)?;
    Some(format!("{}-{}", started_at.as_millis(), attempt.number))
}

fn read_cursor(text: &str) -> Option<AttemptCursor> {
    let (millis, number) = text.split_once('-')?;
    Some(AttemptCursor { started_at: Timestamp::from_millis(millis.parse().ok()?), number: number.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn field_at_fault(query: &str) -> String {
        let uri: Uri = format!("/v1/deliveries?{query}").parse().unwrap();
        read_query(&uri).expect_err(query).text("r")
    }

    #[test]
    fn what_is_no_filter_is_refused_by_name() {
        for (query, field) in [
            ("endpoint=7", "/endpoint"),
            ("state=gone", "/state"),
            ("event=order.lost", "/event"),
            ("event=chargeback.won", "/event"),
            ("transaction=1001", "/transaction"),
            ("since=yesterday", "/since"),
            ("cursor=AAAA", "/cursor"),
            ("limit=101", "/limit"),
        ] {
            assert!(field_at_fault(query).contains(&format!("\"field\":\"{field}\"")), "{query}");
        }
    }

    #[test]
    fn event_names_one_or_a_type() {
        let read = |query: &str| read_query(&format!("/v1/deliveries?{query}").parse().unwrap()).expect(query).0;
        assert_eq!(read("event=order.scored").kind, Some(EventKind::OrderScored));
        assert!(read("event=evt_01ARZ3NDEKTSV4RRFFQ69G5FAV").event_id.is_some());
        assert!(read("event=&state=").kind.is_none());
        let renamed = field_at_fault("event=chargeback.lost");
        assert!(renamed.contains("chargeback.reversed for those in which you keep it"), "{renamed}");
    }

    proptest! {
        #[test]
        fn any_query_is_read_or_refused(query in "[a-z]{0,10}=[ -~]{0,40}") {
            if let Ok(uri) = format!("/v1/deliveries?{query}").parse::<Uri>() {
                prop_assert!(read_query(&uri).map_or(true, |(_, items)| (1..=100).contains(&items)));
            }
        }

        #[test]
        fn any_cursor_of_attempts_is_read_or_refused(text in ".{0,40}", millis in 0i64..1 << 50, number in any::<u32>()) {
            read_cursor(&text);
            let cursor = read_cursor(&format!("{millis}-{number}"));
            prop_assert_eq!(cursor, Some(AttemptCursor { started_at: Timestamp::from_millis(millis), number }));
        }
    }
}
