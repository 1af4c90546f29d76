//! Past orders by HTTP: an upload that streams, and how far it has been read.
//!
//! Guarantee: the signature covers the hash of the body, so the caller is known before a byte of it is read; nothing of it
//! is used before the whole was compared with that hash. Memory is that of a piece.
//! Failure: an upload that breaks off or is another than was signed leaves nothing.

mod document;
mod rate;
mod receive;
mod slots;

use std::collections::HashMap;
use std::str::FromStr;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, request};
use touchstone_schema::backfill::{Form, Format, RowKind};
use touchstone_schema::fault::Fault;
use touchstone_schema::ids::BackfillId;
use touchstone_schema::limits::{BACKFILL_UPLOAD_BYTES, PAGE_ITEMS};

use crate::admit::Ticket;
use crate::door::{Door, SharedDoor};
use crate::problem::Problem;
use crate::respond::json;
use crate::surfaces::signed::page_query::parameters;
use crate::surfaces::{Knock, Named};
use document::{BackfillDocument, BackfillTaken};

pub(crate) use slots::Uploads;

const CONTENT_SHA256: HeaderName = HeaderName::from_static("x-content-sha256");
const PATH: &str = "/v1/backfill";

/// Whether this is the one request whose body is not read before it is routed.
pub(crate) fn streams(parts: &request::Parts) -> bool {
    parts.method == Method::POST && parts.uri.path() == PATH
}

/// What the head of an upload says.
#[derive(Debug)]
struct Head {
    sha256: String,
    kind: Option<RowKind>,
    form: Form,
    /// Bytes of the body, where that is announced.
    announced: Option<u64>,
}

/// Upload past orders
///
/// A file of past orders, in any of the forms that `touchstone backfill` reads. The signature covers the value of
/// `X-Content-SHA256` in place of the body. The rows feed history, labels and norms, and cause no verdict, event or webhook.
#[utoipa::path(post, path = "/v1/backfill", tag = "Backfill",
    params(
        ("X-Content-SHA256" = String, Header, description = "SHA-256 of the body, hex in small letters; what the signature covers."),
        ("kind" = Option<String>, Query, description = "What the rows are; unless given, each row tells."),
        ("format" = Option<String>, Query, description = "How the rows lie; unless given, the content type and the beginning tell."),
        ("separator" = Option<String>, Query, description = "What stands between the values of CSV; by default as in the header."),
        ("decimal" = Option<String>, Query, description = "What stands before the decimals of the numbers of CSV; by default as in the numbers at the beginning."),
        ("encoding" = Option<String>, Query, description = "How the text is written; by default as at the beginning."),
    ),
    request_body(description = "The file: text/csv, application/x-ndjson, application/json (an array) or application/javascript (JSONP).",
        content(("text/csv"), ("application/x-ndjson"), ("application/json"), ("application/javascript"))),
    responses((status = 202, description = "Kept; it is read in the background.", body = BackfillTaken,
        headers(("Location" = String, description = "Where it tells how far it has come.")))))]
pub(crate) async fn upload(State(door): State<SharedDoor>, knock: Knock, body: Body) -> Result<Response, Problem> {
    check_length(&knock.headers)?;
    // A header that is not there is a signature over nothing.
    let sha256 = knock.headers.get(CONTENT_SHA256).map_or(&b""[..], HeaderValue::as_bytes).to_vec();
    let caller = knock.authenticate_over(&door, &sha256).await?;
    let ticket = knock.admit(&door, caller, None).await?;
    let answer = match read_head(&knock.headers, &knock.uri, &sha256) {
        Ok(head) => receive::receive(&door, &knock, &ticket, &head, body).await.and_then(|id| taken(&id)),
        Err(problem) => Err(problem),
    };
    ticket.settle(&door, answer).await
}

/// Show a backfill
///
/// How far it has come, and the rows that were refused and the warnings of others, of which the first 1 000 each are kept.
#[utoipa::path(get, path = "/v1/backfill/{id}", tag = "Backfill",
    params(
        ("id" = String, Path, description = "The backfill."),
        ("after" = Option<u64>, Query, description = "`next_after` of the page before."),
        ("warnings_after" = Option<u64>, Query, description = "`next_warnings_after` of the page before."),
    ),
    responses((status = 200, description = "The backfill.", body = BackfillDocument)))]
pub(crate) async fn show(State(door): State<SharedDoor>, Named(id): Named, knock: Knock) -> Result<Response, Problem> {
    let caller = knock.authenticate_target(&door).await?;
    let ticket = knock.admit(&door, caller, None).await?;
    let answer = one(&door, &knock, &ticket, &id).await;
    ticket.settle(&door, answer).await
}

async fn one(door: &Door, knock: &Knock, ticket: &Ticket, id: &str) -> Result<Response, Problem> {
    let none = || Problem::not_found("This store has no such backfill.");
    let id: BackfillId = id.parse().map_err(|_| none())?;
    let mut query = parameters(&knock.uri)?;
    let mut take = |name: &str| match query.remove(name).filter(|text| !text.is_empty()) {
        Some(text) => {
            read_after(&text).ok_or_else(|| invalid(&format!("/{name}"), format!("expected a next_{name} of ours")))
        }
        None => Ok(0),
    };
    let (after, warnings_after) = (take("after")?, take("warnings_after")?);
    let store = door.dependencies.store.tenant(&ticket.caller.key.tenant);
    let backfill = knock.stored(store.backfill(&id)).await?.ok_or_else(none)?;
    let refusals = knock.stored(store.backfill_refusals(&id, after, PAGE_ITEMS)).await?;
    let warnings = knock.stored(store.backfill_warnings(&id, warnings_after, PAGE_ITEMS)).await?;
    json(StatusCode::OK, &BackfillDocument::new(backfill, refusals, warnings))
}

/// The number of a row; none is beyond what a database counts to.
fn read_after(text: &str) -> Option<u64> {
    text.parse().ok().filter(|after| i64::try_from(*after).is_ok())
}

fn taken(id: &BackfillId) -> Result<Response, Problem> {
    let mut response = json(StatusCode::ACCEPTED, &BackfillTaken::new(id))?;
    if let Ok(location) = HeaderValue::try_from(format!("{PATH}/{id}")) {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

fn invalid(pointer: &str, expected: impl Into<String>) -> Problem {
    Problem::invalid_fields(vec![Fault::new(pointer, expected)])
}

/// Refuses a body that says itself that it is too large.
fn check_length(headers: &HeaderMap) -> Result<(), Problem> {
    if announced(headers).is_some_and(|length| length > BACKFILL_UPLOAD_BYTES) {
        Err(Problem::upload_too_large())
    } else {
        Ok(())
    }
}

fn announced(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok())
}

fn read_head(headers: &HeaderMap, uri: &Uri, sha256: &[u8]) -> Result<Head, Problem> {
    let media = media_format(headers)?;
    let sha256 = std::str::from_utf8(sha256)
        .ok()
        .filter(|text| text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')));
    let sha256 = sha256.ok_or_else(|| invalid("/X-Content-SHA256", "expected 64 hex digits in small letters"))?;
    let mut query = parameters(uri)?;
    let form = Form {
        format: take(&mut query, "format")?.or(media),
        encoding: take(&mut query, "encoding")?,
        separator: take(&mut query, "separator")?,
        decimal: take(&mut query, "decimal")?,
    };
    Ok(Head { sha256: sha256.to_owned(), kind: take(&mut query, "kind")?, form, announced: announced(headers) })
}

/// A parameter of a closed set; the empty value counts as absent.
fn take<T: FromStr<Err = String>>(query: &mut HashMap<String, String>, name: &str) -> Result<Option<T>, Problem> {
    let given = query.remove(name).filter(|text| !text.is_empty());
    given.map(|text| text.parse().map_err(|expected: String| invalid(&format!("/{name}"), expected))).transpose()
}

/// The format that the content type names, where it names one alone.
fn media_format(headers: &HeaderMap) -> Result<Option<Format>, Problem> {
    if headers.contains_key(CONTENT_ENCODING) {
        return Err(Problem::unsupported_media("Expected a body without Content-Encoding."));
    }
    let text = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut parts = text.split(';').map(str::trim);
    let media = parts.next().unwrap_or_default().to_ascii_lowercase();
    let is_utf8 = parts.all(|part| {
        let charset = part.split_once('=').filter(|(name, _)| name.trim().eq_ignore_ascii_case("charset"));
        charset.is_none_or(|(_, value)| value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8"))
    });
    match (media.as_str(), is_utf8) {
        ("text/csv", true) => Ok(Some(Format::Csv)),
        ("application/x-ndjson", true) => Ok(Some(Format::Lines)),
        ("application/javascript", true) => Ok(Some(Format::Jsonp)),
        ("application/json", true) => Ok(None),
        _ => Err(Problem::unsupported_media(
            "Expected Content-Type text/csv, application/x-ndjson, application/json or application/javascript, without a \
             charset but utf-8; the parameter `encoding` names another encoding.",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_types_of_files_are_taken_and_others_refused() {
        let of = |media: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_str(media).unwrap());
            media_format(&headers).ok()
        };
        assert_eq!(of("text/csv; charset=utf-8; header=present"), Some(Some(Format::Csv)));
        assert_eq!(of("Application/X-NDJSON"), Some(Some(Format::Lines)));
        assert_eq!(of("application/json"), Some(None));
        assert_eq!(of("application/javascript"), Some(Some(Format::Jsonp)));
        assert_eq!(of("text/csv; charset=latin1"), None);
        assert_eq!(of("application/octet-stream"), None);
    }
}
