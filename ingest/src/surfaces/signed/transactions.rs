//! `GET /v1/transactions` and `GET /v1/transactions/{id}`: what became of the store's orders.

use axum::extract::State;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{StatusCode, Uri};
use touchstone_platform::store::transactions::PageCursor;
use touchstone_schema::limits;
use touchstone_schema::time::Timestamp;
use touchstone_schema::verdict::TransactionStatus;

use super::document::{TransactionDocument, TransactionPage};
use super::page_query::{invalid, parameters};
use super::transaction_parts::outcome_currency;
use super::{no_transaction, transaction_id};
use crate::admit::Ticket;
use crate::door::{Door, SharedDoor};
use crate::problem::Problem;
use crate::respond::json;
use crate::surfaces::{Knock, Named};

/// Items of a page when no `limit` is given.
const DEFAULT_ITEMS: u64 = 50;

/// One page, as it was asked for.
struct Asked {
    order_id: Option<String>,
    status: Option<TransactionStatus>,
    before: Option<PageCursor>,
    items: u64,
}

/// List transactions
///
/// Newest first. Follow `next_cursor` until it is null.
#[utoipa::path(get, path = "/v1/transactions", tag = "Transactions",
    params(
        ("order_id" = Option<String>, Query, description = "Only those with this order or cart id, on whatever surface they came in."),
        ("status" = Option<String>, Query, description = "pending, approved, review, held, rejected or failed; all when absent."),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before."),
        ("limit" = Option<u64>, Query, description = "Items of the page, 1 to 100; 50 when absent.", minimum = 1, maximum = 100),
    ),
    responses((status = 200, description = "A page.", body = TransactionPage)))]
pub(crate) async fn list(State(door): State<SharedDoor>, knock: Knock) -> Result<Response, Problem> {
    let caller = knock.authenticate_target(&door).await?;
    let ticket = knock.admit(&door, caller, None).await?;
    let answer = page(&door, &knock, &ticket).await;
    ticket.settle(&door, answer).await
}

/// Show a transaction
///
/// Verdict, status, and the newest 100 each of its revisions, decisions, outcomes and events; `totals` says how many there
/// are, and `/v1/transactions/{id}/revisions` and so on list all of them. A 202's id answers from the start.
#[utoipa::path(get, path = "/v1/transactions/{id}", tag = "Transactions",
    params(("id" = String, Path, description = "The transaction.")),
    responses((status = 200, description = "The transaction.", body = TransactionDocument)))]
pub(crate) async fn show(State(door): State<SharedDoor>, Named(id): Named, knock: Knock) -> Result<Response, Problem> {
    let caller = knock.authenticate_target(&door).await?;
    let ticket = knock.admit(&door, caller, None).await?;
    let answer = one(&door, &knock, &ticket, &id).await;
    ticket.settle(&door, answer).await
}

async fn page(door: &Door, knock: &Knock, ticket: &Ticket) -> Result<Response, Problem> {
    let asked = read_query(&knock.uri)?;
    let store = door.dependencies.store.tenant(&ticket.caller.key.tenant);
    let rows = match &asked.order_id {
        None => knock.stored(store.transactions(asked.status, asked.before.as_ref(), asked.items)).await?,
        Some(id) => {
            let candidates = knock.stored(store.candidates(&ticket.caller.store.data_key, id)).await?;
            let ids: Vec<_> = candidates.into_iter().map(|(_, id)| id).collect();
            knock.stored(store.transactions_among(&ids, asked.status, asked.before.as_ref(), asked.items)).await?
        }
    };
    let is_full = rows.len() as u64 >= asked.items;
    let next = rows.last().filter(|_| is_full).map(|row| write_cursor(row.received_at, row.id.as_str()));
    json(StatusCode::OK, &TransactionPage::new(rows, next))
}

async fn one(door: &Door, knock: &Knock, ticket: &Ticket, id: &str) -> Result<Response, Problem> {
    let id = transaction_id(id)?;
    let store = door.dependencies.store.tenant(&ticket.caller.key.tenant);
    let view = knock.stored(store.transaction(&id)).await?.ok_or_else(no_transaction)?;
    let currency = outcome_currency(knock, &store, &id, &view.outcomes).await?;
    json(StatusCode::OK, &TransactionDocument::new(view, currency))
}

fn read_query(uri: &Uri) -> Result<Asked, Problem> {
    let mut query = parameters(uri)?;
    let mut take = |name: &str| query.remove(name).filter(|text| !text.is_empty());
    let order_id = take("order_id");
    let is_none = |id: &String| id.chars().count() > limits::CHECK_ID_CHARS || id.chars().any(char::is_control);
    if order_id.as_ref().is_some_and(is_none) {
        return Err(invalid("order_id", "expected a text of at most 256 characters, without control characters"));
    }
    let status = match take("status") {
        Some(text) => Some(text.parse().map_err(|expected: String| invalid("status", &expected))?),
        None => None,
    };
    let before = match take("cursor") {
        Some(text) => Some(read_cursor(&text).ok_or_else(|| invalid("cursor", "expected a next_cursor of ours"))?),
        None => None,
    };
    let items = match take("limit") {
        Some(text) => text
            .parse()
            .ok()
            .filter(|items| (1..=limits::PAGE_ITEMS).contains(items))
            .ok_or_else(|| invalid("limit", "expected a whole number from 1 to 100"))?,
        None => DEFAULT_ITEMS,
    };
    Ok(Asked { order_id, status, before, items })
}

fn write_cursor(received_at: Timestamp, id: &str) -> String {
    URL_SAFE_NO_PAD.encode(format!("{}.{id}", received_at.as_millis()))
}

fn read_cursor(text: &str) -> Option<PageCursor> {
    let plain = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
    let (millis, id) = plain.split_once('.')?;
    Some(PageCursor { received_at: Timestamp::from_millis(millis.parse().ok()?), id: id.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_query_panics_and_no_page_is_larger_than_there_may_be(query in "[ -~]{0,80}", items in any::<u64>()) {
            for query in [query, format!("limit={items}"), format!("status=&limit={items}")] {
                let Ok(uri) = format!("/v1/transactions?{query}").parse::<Uri>() else { continue };
                if let Ok(asked) = read_query(&uri) {
                    prop_assert!((1..=limits::PAGE_ITEMS).contains(&asked.items), "{}", query);
                }
            }
        }

        #[test]
        fn whatever_is_read_as_a_cursor_is_written_as_the_same_one(
            text in any::<String>(), plain in "-?[0-9]{0,20}\\.(tx_)?[0-9A-Z]{20,28}",
        ) {
            for text in [text, URL_SAFE_NO_PAD.encode(plain)] {
                if let Some(cursor) = read_cursor(&text) {
                    prop_assert_eq!(read_cursor(&write_cursor(cursor.received_at, cursor.id.as_str())), Some(cursor));
                }
            }
        }
    }

    #[test]
    fn cursor_survives_the_way_through_a_url() {
        let id: touchstone_schema::ids::TransactionId = "tx_01ARZ3NDEKTSV4RRFFQ69G5FAV".parse().unwrap();
        let written = write_cursor(Timestamp::from_millis(1_700_000_000_123), id.as_str());
        assert!(written.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
        let read = read_cursor(&written).unwrap();
        assert_eq!(read, PageCursor { received_at: Timestamp::from_millis(1_700_000_000_123), id });
    }

    #[test]
    fn foreign_cursors_and_limits_are_refused_by_name() {
        for (query, field) in
            [("cursor=AAAA", "/cursor"), ("limit=0", "/limit"), ("limit=101", "/limit"), ("status=gone", "/status")]
        {
            let uri: Uri = format!("/v1/transactions?{query}").parse().unwrap();
            let problem = read_query(&uri).err().expect("it is at fault");
            assert!(problem.text("r").contains(&format!("\"field\":\"{field}\"")), "{query}");
        }
    }
}
