//! No two different requests that are accepted have the same signed bytes: every way to divide the bytes of a request
//! again is tried, with texts that are made to be divided.

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::json;
use touchstone_schema::json::Json;
use touchstone_schema::order::Order;

use super::*;

const METHODS: [&str; 5] = ["GET", "HEAD", "POST", "PATCH", "DELETE"];

/// A request, as far as its signature covers it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Covered {
    Analyze { nonce: String, body: String },
    Own { nonce: String, method: String, target: String, body: String },
}

impl Covered {
    fn bytes(&self) -> String {
        match self {
            Self::Analyze { nonce, body } => format!("{nonce}.{body}"),
            Self::Own { nonce, method, target, body } => format!("{nonce}.{method} {target}.{body}"),
        }
    }

    /// Whether the door would accept it from the owner of the key, on some route.
    fn is_accepted(&self) -> bool {
        match self {
            Self::Analyze { nonce, body } => {
                let order = Json::parse(body.as_bytes()).ok();
                Signed::Body.takes_nonce(nonce) && order.is_some_and(|order| Order::parse(&order).is_ok())
            }
            Self::Own { nonce, method, target, body } => {
                let (Ok(uri), true) = (target.parse::<Uri>(), target.starts_with('/')) else { return false };
                let is_document = Json::parse(body.as_bytes()).is_ok_and(|document| document.as_object().is_some());
                let is_hash = body.len() == 64 && body.bytes().all(|byte| byte.is_ascii_hexdigit());
                let signed = Signed::Target(&Method::POST, &uri);
                METHODS.contains(&method.as_str())
                    && signed.takes_nonce(nonce)
                    && signed.is_plain()
                    && (body.is_empty() || is_document || is_hash)
            }
        }
    }
}

/// Every accepted request that has these signed bytes.
fn accepted(bytes: &str) -> Vec<Covered> {
    let mut found = Vec::new();
    for (dot, _) in bytes.match_indices('.') {
        let (nonce, rest) = (bytes[..dot].to_owned(), &bytes[dot + 1..]);
        found.push(Covered::Analyze { nonce: nonce.clone(), body: rest.to_owned() });
        let Some((method, rest)) = rest.split_once(' ') else { continue };
        found.extend(rest.match_indices('.').map(|(dot, _)| Covered::Own {
            nonce: nonce.clone(),
            method: method.to_owned(),
            target: rest[..dot].to_owned(),
            body: rest[dot + 1..].to_owned(),
        }));
    }
    found.retain(Covered::is_accepted);
    found
}

/// Texts of pieces that look like the parts of a request.
fn text(pieces: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop::collection::vec(select(pieces), 1..5).prop_map(|pieces| pieces.concat())
}

const PIECES: &[&str] = &[
    ".",
    "a",
    "{",
    "}",
    "\"",
    ":",
    ",",
    " ",
    "GET /v1/lists",
    ".POST /v1/endpoints/ep_1/disable.",
    "{}",
    "{\"decision\":\"approve\"}",
    ".{\"order_id\":\"1\",\"amount\":1,\"currency\":\"EUR\"}",
];

fn request() -> impl Strategy<Value = Covered> {
    let nonce = text(&[".", "a", "{", "}", "\"", "GET", "POST", "-_9", "{\"a\":\"", ".DELETE"]);
    let order = (text(PIECES), text(PIECES)).prop_map(|(id, name)| {
        json!({"order_id": id, "amount": 1.5, "currency": "EUR", "customer": {"first_name": name}}).to_string()
    });
    let analyze = (nonce, order).prop_map(|(nonce, body)| Covered::Analyze { nonce, body });
    let target = text(&["/v1/lists", "/a.b", ".", "?x=1.5", "/{", "\"", "/v1/transactions/tx_1/decision"]);
    let body = prop_oneof![
        Just(String::new()),
        Just("0f".repeat(32)),
        text(PIECES).prop_map(|note| json!({"decision": "approve", "reviewer": "a", "note": note}).to_string()),
        text(PIECES).prop_map(|note| json!({ note.clone(): {"k": note, "amount": 1.25} }).to_string()),
    ];
    let own = ("[A-Za-z0-9_-]{1,8}", select(&METHODS[..]), target, body).prop_map(|(nonce, method, target, body)| {
        Covered::Own { nonce, method: method.to_owned(), target: format!("/{target}"), body }
    });
    prop_oneof![analyze, own].prop_filter("only accepted requests matter", Covered::is_accepted)
}

proptest! {
    #[test]
    fn no_two_accepted_requests_have_equal_signed_bytes(request in request()) {
        prop_assert_eq!(accepted(&request.bytes()), [request]);
    }
}

#[test]
fn order_whose_text_names_another_route_is_that_request_under_no_nonce() {
    let name = "a.POST /v1/endpoints/ep_1/disable.b";
    let body = json!({"order_id": "1", "amount": 1, "currency": "EUR", "customer": {"first_name": name}}).to_string();
    let order = Covered::Analyze { nonce: "n".to_owned(), body };
    assert_eq!(accepted(&order.bytes()), [order]);
}
