//! `/v1/lists`: what the store always allows and always blocks.

use axum::extract::{Query, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use touchstone_platform::random;
use touchstone_platform::store::lists::Listed;
use touchstone_schema::fault::Fault;
use touchstone_schema::ids::ListEntryId;
use touchstone_schema::limits::{self, LIST_ENTRIES, PAGE_ITEMS};
use touchstone_schema::lists::{ListEntry, ListKind, ListMatcher, ListSubject, hint};
use touchstone_schema::time::Timestamp;

use super::document::{ListEntryDocument, ListEntryRequest, ListPage};
use super::fields::Fields;
use crate::admit::Ticket;
use crate::door::{Door, SharedDoor};
use crate::order_body::read_json;
use crate::problem::Problem;
use crate::respond::json;
use crate::surfaces::{Knock, Named};

/// Who the audit log says it was.
const ACTOR: &str = "api";

/// What was asked, read but not yet done.
struct Asked {
    list: ListKind,
    subject: ListSubject,
    value: String,
    note: Option<String>,
    expires_at: Option<Timestamp>,
}

/// Put something on a list
///
/// A block makes the score 100; an allow makes it 0 unless something is blocked. What is listed already gets the new note
/// and end. Only a keyed hash of a person's value is kept, and a hint to recognise it by.
#[utoipa::path(post, path = "/v1/lists", tag = "Lists", request_body = ListEntryRequest,
    responses((status = 200, description = "Listed, now or before.", body = ListEntryDocument)))]
pub(crate) async fn add(State(door): State<SharedDoor>, knock: Knock) -> Result<Response, Problem> {
    let caller = knock.authenticate_document(&door).await?;
    let ticket = knock.admit(&door, caller, None).await?;
    let now = knock.arrival.at;
    let answer = match knock.read(&door, move |headers, body| read(headers, body, now)).await {
        Ok(asked) => put(&door, &knock, &ticket, asked).await,
        Err(problem) => Err(problem),
    };
    ticket.settle(&door, answer).await
}

/// Show the lists
///
/// Oldest first. Follow `next_cursor` until it is null.
#[utoipa::path(get, path = "/v1/lists", tag = "Lists",
    params(
        ("list" = Option<String>, Query, description = "block or allow; both when absent."),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before."),
    ),
    responses((status = 200, description = "A page.", body = ListPage)))]
pub(crate) async fn show(State(door): State<SharedDoor>, knock: Knock) -> Result<Response, Problem> {
    let caller = knock.authenticate_target(&door).await?;
    let ticket = knock.admit(&door, caller, None).await?;
    let answer = page(&door, &knock, &ticket).await;
    ticket.settle(&door, answer).await
}

/// Take an entry off its list
#[utoipa::path(delete, path = "/v1/lists/{id}", tag = "Lists",
    params(("id" = String, Path, description = "The entry.")),
    responses((status = 204, description = "It is off the list.")))]
pub(crate) async fn remove(
    State(door): State<SharedDoor>,
    Named(id): Named,
    knock: Knock,
) -> Result<Response, Problem> {
    let caller = knock.authenticate_target(&door).await?;
    let ticket = knock.admit(&door, caller, None).await?;
    let answer = take_off(&door, &knock, &ticket, &id).await;
    ticket.settle(&door, answer).await
}

async fn put(door: &Door, knock: &Knock, ticket: &Ticket, asked: Asked) -> Result<Response, Problem> {
    let tenant = &ticket.caller.key.tenant;
    let snapshot = door.dependencies.directory.snapshot();
    let profile = snapshot.store(&tenant.store_id).ok_or_else(Problem::internal)?;
    let matcher = ListMatcher::read(asked.subject, &asked.value, &profile.data_key, tenant.mode)
        .map_err(|expected| Problem::invalid_fields(vec![Fault::new("/value", expected)]))?;
    let mut entry = ListEntry {
        id: ListEntryId::mint(knock.arrival.at, random::bytes()),
        list: asked.list,
        subject: asked.subject,
        matcher,
        hint: hint(asked.subject, &asked.value),
        note: asked.note,
        created_at: knock.arrival.at,
        expires_at: asked.expires_at,
    };
    match knock.stored(door.dependencies.store.tenant(tenant).add_list_entry(&entry, ACTOR)).await? {
        Listed::Added(id) | Listed::Updated(id) => entry.id = id,
        Listed::Full => {
            let detail = format!("The store's lists hold {LIST_ENTRIES} entries, the most there may be.");
            return Err(Problem::state_conflict("lists_full", detail));
        }
    }
    json(StatusCode::OK, &ListEntryDocument::new(entry))
}

/// The query of a page.
#[derive(Debug, Default, Deserialize)]
struct PageQuery {
    list: Option<String>,
    cursor: Option<String>,
}

async fn page(door: &Door, knock: &Knock, ticket: &Ticket) -> Result<Response, Problem> {
    let invalid = |name: &str, expected: &str| Problem::invalid_fields(vec![Fault::new(format!("/{name}"), expected)]);
    let Query(query) = Query::<PageQuery>::try_from_uri(&knock.uri)
        .map_err(|_| invalid("query", "expected a query of name=value pairs"))?;
    let list = query.list.filter(|text| !text.is_empty()).map(|text| text.parse()).transpose();
    let list = list.map_err(|expected: String| invalid("list", &expected))?;
    let after = query.cursor.filter(|text| !text.is_empty()).map(|text| text.parse()).transpose();
    let after: Option<ListEntryId> = after.map_err(|_| invalid("cursor", "expected a next_cursor of ours"))?;
    let store = door.dependencies.store.tenant(&ticket.caller.key.tenant);
    let entries = knock.stored(store.list_entries(list, after.as_ref(), PAGE_ITEMS)).await?;
    json(StatusCode::OK, &ListPage::new(entries))
}

async fn take_off(door: &Door, knock: &Knock, ticket: &Ticket, id: &str) -> Result<Response, Problem> {
    let unknown = || Problem::not_found("This store has no such list entry.");
    let id: ListEntryId = id.parse().map_err(|_| unknown())?;
    let store = door.dependencies.store.tenant(&ticket.caller.key.tenant);
    if !knock.stored(store.remove_list_entry(&id, ACTOR, knock.arrival.at)).await? {
        return Err(unknown());
    }
    let mut response = Response::default();
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
}

fn read(headers: &HeaderMap, body: &[u8], now: Timestamp) -> Result<Asked, Problem> {
    let document = read_json(headers, body)?;
    let mut fields = Fields::of(&document)?;
    let list = fields.parsed("list");
    let subject = fields.parsed("subject");
    let value = fields.text("value", limits::FIELD_CHARS, true);
    let note = fields.text("note", limits::FIELD_CHARS, false);
    let end = fields.text("expires_at", limits::FIELD_CHARS, false);
    let expires_at = end.as_deref().and_then(Timestamp::parse_rfc3339).filter(|end| now < *end);
    if end.is_some() && expires_at.is_none() {
        fields.fault("expires_at", "expected a time to come, in RFC 3339");
    }
    fields.finish()?;
    match (list, subject, value) {
        (Some(list), Some(subject), Some(value)) => Ok(Asked { list, subject, value, note, expires_at }),
        _ => Err(Problem::internal()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Timestamp = Timestamp::from_millis(1_767_323_045_000);

    proptest! {
        #[test]
        fn no_body_panics_and_nothing_is_listed_until_a_time_gone_by(
            bytes in prop::collection::vec(any::<u8>(), 0..200), list in "block|allow|[a-z]{0,8}", subject in "ip|email|card|[a-z]{0,8}",
            value in "[^\"\\\\\\p{Cc}]{0,300}", end in any::<i64>().prop_map(|millis| Timestamp::from_millis(millis % 253_402_300_799_000)),
        ) {
            let headers = HeaderMap::from_iter([(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"))]);
            let document = format!(r#"{{"list":"{list}","subject":"{subject}","value":"{value}","expires_at":"{}"}}"#, end.to_rfc3339());
            for body in [bytes, document.into_bytes()] {
                if let Ok(asked) = read(&headers, &body, NOW) {
                    prop_assert!(asked.expires_at.is_none_or(|end| NOW < end));
                    prop_assert!(asked.value.chars().count() <= limits::FIELD_CHARS);
                }
            }
        }
    }
}
