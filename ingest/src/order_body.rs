//! From bytes to a document that may be stored: content type, JSON, card numbers, fields.
//!
//! Guarantee: a document that comes out holds no full card number, has no duplicate keys and reads as an order. The
//! bytes are parsed once; they are written anew only when a number had to be masked.

use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use serde_json::value::RawValue;
use touchstone_schema::card;
use touchstone_schema::fault::Fault;
use touchstone_schema::json::Json;
use touchstone_schema::order::Order;
use touchstone_schema::test_order::{self, AskedOutcome};

use crate::problem::Problem;

/// An order as it will travel.
#[derive(Debug)]
pub(crate) struct OrderBody {
    pub(crate) order_id: String,
    /// Of the document as it was sent.
    pub(crate) hash: String,
    /// As it was sent, card numbers masked.
    pub(crate) document: Box<RawValue>,
    /// What it asks for, should it be a test order.
    pub(crate) asked: Option<AskedOutcome>,
}

/// Reads an order.
pub(crate) fn read_order(headers: &HeaderMap, body: &[u8]) -> Result<OrderBody, Problem> {
    let document = read_json(headers, body)?;
    let has_card = card::is_in(&document);
    if has_card && let Some(pointer) = card::find_in_payment_fields(&document) {
        return Err(Problem::card_number(pointer));
    }
    let order = Order::parse(&document).map_err(Problem::invalid_fields)?;
    let hash = document.canonical_hash();
    let (document, masked) = if has_card { card::mask(document) } else { (document, false) };
    let text = if masked { document.to_json_string() } else { String::from_utf8_lossy(body).into_owned() };
    let document = RawValue::from_string(text).map_err(|error| {
        tracing::error!(%error, "a parsed document could not be stored");
        Problem::invalid_json(&Fault::new("", "expected valid JSON"))
    })?;
    let asked = test_order::asked(&order);
    Ok(OrderBody { order_id: order.order_id, hash, document, asked })
}

/// Reads any JSON document of an acceptable content type.
pub(crate) fn read_json<'a>(headers: &HeaderMap, body: &'a [u8]) -> Result<Json<'a>, Problem> {
    check_media(headers)?;
    Json::parse(body).map_err(|error| Problem::invalid_json(&Fault::from(&error)))
}

fn check_media(headers: &HeaderMap) -> Result<(), Problem> {
    if headers.contains_key(CONTENT_ENCODING) {
        return Err(Problem::unsupported_media("Expected a body without Content-Encoding."));
    }
    let expected = || Problem::unsupported_media("Expected Content-Type application/json, in UTF-8.");
    let text = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).ok_or_else(expected)?;
    let mut parts = text.split(';').map(str::trim);
    let is_json = parts.next().is_some_and(|media| media.eq_ignore_ascii_case("application/json"));
    let is_utf8 = parts.filter(|part| !part.is_empty()).all(|part| match part.split_once('=') {
        Some((name, value)) if name.trim().eq_ignore_ascii_case("charset") => {
            value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
        }
        _ => true,
    });
    if is_json && is_utf8 { Ok(()) } else { Err(expected()) }
}
