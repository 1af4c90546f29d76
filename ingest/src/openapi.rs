//! The OpenAPI 3.1 document: routes and schemas from the code, and around them what every route has in common.

use serde_json::{Value, json};
use touchstone_platform::store::transactions::OutcomeKind;
use touchstone_schema::verdict::TransactionStatus;

mod checks;
mod lists;
mod orders;
mod values;
mod webhooks;

pub(crate) use webhooks::example_of;

/// Refusals that every operation may give, whoever asks: status, codes, when.
const DOOR_REFUSALS: &[(&str, &str, &str)] = &[
    ("400", "broken_body", "The body broke off or was framed wrongly."),
    ("408", "body_timeout", "The body came too slowly."),
    ("413", "body_too_large", "The body is above 262 144 bytes."),
    ("431", "headers_too_large", "The head of the request is too large."),
    ("500", "internal", "A fault of ours; retrying will not help."),
];
/// Refusals that every signed operation may give beside them.
const REFUSALS: &[(&str, &str, &str)] = &[
    (
        "400",
        "invalid_json, broken_body, unexpected_body, unescaped_target",
        "Not an acceptable JSON document: malformed, duplicate keys or NUL characters; or a body where none is \
         described; or characters in the path or query that have to be percent-encoded.",
    ),
    (
        "401",
        "unauthorized, replayed_nonce, missing_scope",
        "Headers, key or signature are wrong, or the nonce was used before.",
    ),
    ("429", "rate_limited", "Too many requests of this store; see Retry-After."),
    ("503", "unavailable", "Nothing was promised; retry after Retry-After with a fresh nonce."),
];
/// Refusals of some signed operations: the method, if only one of the path, and the end of the path, and as above.
const OWN_REFUSALS: &[(&str, &str, &str, &str)] = &[
    (
        "/analyze",
        "409",
        "order_conflict",
        "The order_id was used within the hour for another order; its verdict is shown.",
    ),
    (
        "/decision",
        "409",
        "already_decided, not_open",
        "The contrary was decided before, or there is nothing to decide.",
    ),
    ("/outcome", "409", "pending", "An amount needs a transaction that has a verdict."),
    ("/reanalyze", "409", "pending", "The transaction has no verdict yet."),
    (
        "/reanalyze",
        "429",
        "rate_limited, too_many_revisions",
        "Too many requests of this store, or too many revisions of this transaction within a day; see Retry-After.",
    ),
    ("POST /lists", "409", "lists_full", "The store's lists hold as many entries as there may be."),
    ("/analyze", "422", "invalid_field, card_number", "Fields are at fault; all are listed."),
    (
        "/backfill",
        "408",
        "body_timeout, upload_too_slow",
        "The file came too slowly, as a whole or at a lower rate than it must.",
    ),
    ("/backfill", "409", "too_many_backfills", "Too many uploads of this store come in or are not read yet."),
    ("/backfill", "413", "body_too_large", "The file is above 1 073 741 824 bytes."),
    ("/backfill", "415", "unsupported_media_type", "Expected a content type of files, without Content-Encoding."),
    ("/backfill", "422", "invalid_field, another_body", "A parameter is at fault, or the body is not what was signed."),
    (
        "/backfill",
        "429",
        "rate_limited, upload_quota",
        "Too many requests of this store, or too many bytes of uploads today; see Retry-After.",
    ),
    ("/backfill/{id}", "422", "invalid_field", "A parameter is at fault."),
    ("/recover", "422", "invalid_field", "`since` is at fault."),
    (
        "/recover",
        "409",
        "endpoint_disabled, recovery_running",
        "The endpoint is off, or something else is sent again first.",
    ),
    ("/test", "409", "endpoint_disabled", "The endpoint is off."),
    ("/replay", "409", "endpoint_disabled", "The delivery's endpoint is off."),
    ("/enable", "409", "live_key_needed", "A test key cannot switch what live events go to."),
    ("/disable", "409", "live_key_needed", "A test key cannot switch what live events go to."),
];
/// Refusals that the Centra surface may give, which knows no signature and no rate limit.
const CENTRA_REFUSALS: &[(&str, &str, &str)] = &[
    (
        "400",
        "invalid_json, invalid_field, broken_body",
        "Not an acceptable JSON document, or the order's reference or the type is at fault.",
    ),
    ("401", "unauthorized", "The path belongs to no connection, or to one that has ended."),
    ("415", "unsupported_media_type", "Expected application/json without Content-Encoding."),
    ("429", "too_many_notices", "The connection sends more notices than it may; see Retry-After."),
    ("503", "unavailable", "The notice was not taken; send it again after Retry-After."),
];
const ABOUT: &str = "Touchstone screens orders for fraud. Requests are signed: `X-Fraudshield-Signature` is the hex \
    HMAC-SHA256, under the key's secret, of `{timestamp}.{nonce}.{body}` for `POST /v1/analyze`, and of \
    `{timestamp}.{nonce}.{METHOD} {path and query}.{body}` for every other route; of an upload, the value of \
    `X-Content-SHA256` takes the body's place. Outside of `POST /v1/analyze` a nonce consists of letters, digits, `-` and \
    `_`, and a body where none is described is refused. Every answer has `X-Request-Id`; \
    every refusal is `application/problem+json` with a stable `code`.";

/// The document for a door at its default address.
pub fn openapi() -> String {
    document(&crate::Settings::default().public_url)
}

/// The document for a door that callers reach at `public_url`.
pub(crate) fn document(public_url: &str) -> String {
    let described = crate::surfaces::described().into_openapi();
    let mut document = serde_json::to_value(&described).unwrap_or_default();
    document["info"] = json!({"title": "Touchstone", "version": env!("CARGO_PKG_VERSION"), "description": ABOUT});
    document["servers"] = json!([{"url": public_url}]);
    document["webhooks"] = webhooks::webhooks();
    document["components"]["securitySchemes"] = security_schemes();
    document["components"]["schemas"]["Problem"] = problem_schema();
    document["components"]["schemas"]["OrderConflict"] = json!({
        "description": "A problem, and the verdict of the order that has the id.",
        "allOf": [{"$ref": "#/components/schemas/Problem"}, {"$ref": "#/components/schemas/StoredVerdict"}],
    });
    orders::add_components(&mut document["components"]);
    checks::add_schemas(&mut document["components"]["schemas"]);
    lists::add_limits(&mut document["components"]["schemas"]);
    values::describe(&mut document);
    for (path, operations) in document["paths"].as_object_mut().into_iter().flatten() {
        for (method, operation) in operations.as_object_mut().into_iter().flatten() {
            if orders::is_own(path) {
                orders::complete(method, operation);
            } else if checks::is_of(path) {
                checks::complete(method, operation, |response| add_headers(response, true));
            } else {
                complete(&format!("{} {path}", method.to_uppercase()), operation);
            }
            for (status, response) in operation["responses"].as_object_mut().into_iter().flatten() {
                settle_headers(status, response);
            }
        }
    }
    serde_json::to_string_pretty(&document).unwrap_or_default()
}

/// Adds security, common refusals and headers to one operation, named as `GET /path`.
fn complete(name: &str, operation: &mut Value) {
    let is_ours = name.contains(" /v1/");
    let is_signed = is_ours && !name.contains(" /v1/centra/");
    if is_ours {
        operation["security"] = if is_signed {
            json!([{"apiKey": [], "apiKeyHeader": [], "timestamp": [], "nonce": [], "signature": []}])
        } else {
            json!([])
        };
    }
    let mut refusals = DOOR_REFUSALS.to_vec();
    if is_signed {
        refusals.extend(REFUSALS);
        refusals.extend(shaped_refusals(operation));
        let own = OWN_REFUSALS.iter().filter(|(part, ..)| applies(part, name));
        refusals.extend(own.map(|(_, status, codes, when)| (*status, *codes, *when)));
    } else if is_ours {
        refusals.extend(CENTRA_REFUSALS);
    }
    let Some(responses) = operation["responses"].as_object_mut() else { return };
    for (status, codes, when) in refusals {
        responses.insert(status.to_owned(), refusal(status, codes, when));
    }
    for response in responses.values_mut() {
        add_headers(response, is_signed);
    }
}

/// `/path` at the end of a name, and `POST /path` if that is the method.
fn applies(part: &str, name: &str) -> bool {
    match part.split_once(' ') {
        Some((method, end)) => name.starts_with(method) && name.ends_with(end),
        None => name.ends_with(part),
    }
}

/// Refusals that follow from what an operation takes.
fn shaped_refusals(operation: &Value) -> Vec<(&'static str, &'static str, &'static str)> {
    let mut refusals = Vec::new();
    if has_parameter(operation, "path") {
        refusals.push(("404", "not_found", "The store has nothing of this id."));
    }
    if has_parameter(operation, "query") {
        refusals.push(("422", "invalid_field", "A parameter is at fault."));
    }
    if operation["requestBody"].is_object() {
        refusals.push(("415", "unsupported_media_type", "Expected application/json without Content-Encoding."));
        refusals.push(("422", "invalid_field", "Fields are at fault; all are listed."));
    }
    refusals
}

fn has_parameter(operation: &Value, place: &str) -> bool {
    operation["parameters"].as_array().into_iter().flatten().any(|parameter| parameter["in"] == place)
}

fn refusal(status: &str, codes: &str, when: &str) -> Value {
    // A conflict of orders shows the verdict of the other one.
    let schema = if codes == "order_conflict" { "OrderConflict" } else { "Problem" };
    json!({
        "description": format!("{when} Code: {codes}."),
        "content": {"application/problem+json": {
            "schema": {"$ref": format!("#/components/schemas/{schema}")},
            "example": example(status, codes, when),
        }},
    })
}

fn example(status: &str, codes: &str, when: &str) -> Value {
    let code = codes.split(',').next().unwrap_or_default();
    json!({
        "type": format!("/docs#{code}"), "title": when.trim_end_matches('.'), "status": status.parse::<u16>().unwrap_or(0),
        "detail": when, "code": code, "request_id": "req_01ARZ3NDEKTSV4RRFFQ69G5FAV",
    })
}

fn add_headers(response: &mut Value, is_limited: bool) {
    let headers = [
        ("X-Request-Id", "The caller's, when it sent a sane one, else ours.", "^[A-Za-z0-9._-]{1,128}$"),
        ("RateLimit-Policy", "The store's limit: `\"default\";q=100;w=60`.", r#"^"default";q=\d+;w=60$"#),
        ("RateLimit", "What is left of it: `\"default\";r=99;t=60`.", r#"^"default";r=\d+;t=\d+$"#),
    ];
    for (name, description, pattern) in headers.into_iter().take(if is_limited { 3 } else { 1 }) {
        let schema = json!({"type": "string", "pattern": pattern});
        response["headers"][name] = json!({"description": description, "schema": schema});
    }
}

/// Adds the headers that a status brings with it, and says which headers an answer always has.
fn settle_headers(status: &str, response: &mut Value) {
    let own = match status {
        "401" => Some(("WWW-Authenticate", "What credentials are expected.", json!({"type": "string"}))),
        "429" | "503" => Some(("Retry-After", "Seconds to wait.", json!({"type": "integer", "minimum": 1}))),
        _ => None,
    };
    if let Some((name, description, schema)) = own {
        response["headers"][name] = json!({"description": description, "schema": schema});
    }
    // Before it is known who asks, and when the limit cannot be looked up, there is none to tell of.
    let is_admitted = status.starts_with('2') || ["404", "409", "415", "422", "429"].contains(&status);
    for (name, header) in response["headers"].as_object_mut().into_iter().flatten() {
        header["required"] = json!(is_admitted || !name.starts_with("RateLimit"));
    }
}

fn security_schemes() -> Value {
    let header = |name: &str, description: &str| json!({"type": "apiKey", "in": "header", "name": name, "description": description});
    let (basic, basic_scheme) = checks::security_scheme();
    json!({
        basic: basic_scheme,
        "apiKey": {"type": "http", "scheme": "bearer", "description": "The API key."},
        "apiKeyHeader": header("X-Fraudshield-Key", "The same API key again."),
        "timestamp": header("X-Fraudshield-Timestamp", "Unix seconds, within 300 s of now."),
        "nonce": header("X-Fraudshield-Nonce", "1 to 128 characters, never used before: visible ASCII for `POST /v1/analyze`, of `[A-Za-z0-9_-]` for every other route."),
        "signature": header("X-Fraudshield-Signature", "Hex HMAC-SHA256 of the request under the key's secret."),
    })
}

fn problem_schema() -> Value {
    json!({
        "type": "object",
        "required": ["type", "title", "status", "detail", "code", "request_id"],
        "properties": {
            "type": {"type": "string"}, "title": {"type": "string"},
            "status": {"type": "integer", "minimum": 400, "maximum": 599},
            "detail": {"type": "string", "description": "What is at fault and what was expected."},
            "code": {"type": "string", "description": "Stable, for programs."},
            "field": {"type": "string", "description": "JSON pointer to the first field at fault."},
            "errors": {"type": "array", "description": "All faults, when there are several.", "items": {
                "type": "object", "required": ["field", "message"],
                "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
            }},
            "standing": {"enum": TransactionStatus::ALL, "description": "Of a decision that is refused: where the transaction stands."},
            "ended_by": {"enum": OutcomeKind::ALL, "description": "Of a decision that is refused: the reported outcome that ended the order, where one did."},
            "request_id": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,128}$"},
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn document_describes_every_route_with_its_refusals() {
        let document: Value = serde_json::from_str(&openapi()).unwrap();
        assert_eq!(document["openapi"], "3.1.0");
        let analyze = &document["paths"]["/v1/analyze"]["post"];
        for status in ["200", "202", "400", "401", "409", "413", "415", "422", "429", "503"] {
            assert!(analyze["responses"][status].is_object(), "{status}");
        }
        assert!(document["paths"]["/v1/transactions/{id}"]["get"]["responses"]["404"].is_object());
        assert!(document["webhooks"]["order.scored"]["post"].is_object());
        let notice = &document["paths"]["/v1/centra/{connector_token}"]["post"];
        assert_eq!(notice["security"], json!([]));
        for status in ["202", "400", "401", "413", "415", "429", "503"] {
            assert!(notice["responses"][status].is_object(), "{status}");
        }
        for (path, method, statuses) in [
            ("/v2/risk/order/ecommerce", "post", ["200", "401", "403", "406", "409", "503"]),
            ("/v2/risk/cart", "patch", ["200", "403", "404", "406", "409", "503"]),
        ] {
            let operation = &document["paths"][path][method];
            assert_eq!(operation["security"], json!([{"checksBasic": []}]));
            for status in statuses {
                assert!(operation["responses"][status].is_object(), "{path} {status}");
            }
        }
        assert_eq!(document["paths"].as_object().unwrap().len(), 34);
        let lists = &document["paths"]["/v1/lists"];
        for status in ["409", "415", "422"] {
            assert!(lists["post"]["responses"][status].is_object(), "{status}");
        }
        assert_eq!(lists["get"]["responses"]["409"], Value::Null);
        assert_eq!(lists["get"]["responses"]["200"]["headers"]["RateLimit"]["required"], true);
        assert!(document["paths"]["/healthz"]["get"]["responses"]["431"].is_object());
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let text = openapi();
        let document: Value = serde_json::from_str(&text).unwrap();
        for reference in text.split("\"$ref\": \"#").skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(document.pointer(reference).is_some(), "{reference}");
        }
    }
}
