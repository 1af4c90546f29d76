//! The OpenAPI 3.1 document: routes and schemas from the code, and around them what every route has in common.

use serde_json::{Map, Value, json};

mod webhooks;

/// Refusals that every signed operation may give: status, codes, when.
const REFUSALS: &[(&str, &str, &str)] = &[
    (
        "400",
        "invalid_json, broken_body",
        "Not an acceptable JSON document: malformed, duplicate keys or NUL characters.",
    ),
    (
        "401",
        "unauthorized, replayed_nonce, missing_scope",
        "Headers, key or signature are wrong, or the nonce was used before.",
    ),
    ("408", "body_timeout", "The body came too slowly."),
    ("413", "body_too_large", "The body is above 262 144 bytes."),
    ("429", "rate_limited", "Too many requests of this store; see Retry-After."),
    ("431", "headers_too_large", "The head of the request is too large."),
    ("500", "internal", "A fault of ours; retrying will not help."),
    ("503", "unavailable", "Nothing was promised; retry after Retry-After with a fresh nonce."),
];
/// Refusals of some signed operations: a part of their paths, and as above.
const OWN_REFUSALS: &[(&str, &str, &str, &str)] = &[
    ("/{id}", "404", "not_found", "The store has nothing of this id."),
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
    ("/analyze", "415", "unsupported_media_type", "Expected application/json without Content-Encoding."),
    ("/decision", "415", "unsupported_media_type", "Expected application/json without Content-Encoding."),
    ("/outcome", "415", "unsupported_media_type", "Expected application/json without Content-Encoding."),
    ("/analyze", "422", "invalid_field, card_number", "Fields are at fault; all are listed."),
    ("/decision", "422", "invalid_field", "Fields are at fault; all are listed."),
    ("/outcome", "422", "invalid_field", "Fields are at fault; all are listed."),
    ("/transactions", "422", "invalid_field", "A parameter is at fault."),
    ("/deliveries", "422", "invalid_field", "A parameter is at fault."),
    ("/deliveries/{id}", "422", "invalid_field", "A parameter is at fault."),
    ("/endpoints", "422", "invalid_field", "A parameter is at fault."),
    ("/recoveries", "422", "invalid_field", "A parameter is at fault."),
    ("/recover", "415", "unsupported_media_type", "Expected application/json without Content-Encoding."),
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
    ("408", "body_timeout", "The body came too slowly."),
    ("413", "body_too_large", "The body is above 262 144 bytes."),
    ("415", "unsupported_media_type", "Expected application/json without Content-Encoding."),
    ("431", "headers_too_large", "The head of the request is too large."),
    ("500", "internal", "A fault of ours; retrying will not help."),
    ("503", "unavailable", "The notice was not taken; send it again after Retry-After."),
];
const ABOUT: &str = "Touchstone screens orders for fraud. Requests are signed: `X-Fraudshield-Signature` is the hex \
    HMAC-SHA256, under the key's secret, of `{timestamp}.{nonce}.{body}` for `POST /v1/analyze`, and of \
    `{timestamp}.{nonce}.{METHOD} {path and query}.{body}` for every other route. Every answer has `X-Request-Id`; \
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
    for (path, operations) in document["paths"].as_object_mut().into_iter().flatten() {
        for operation in operations.as_object_mut().into_iter().flat_map(Map::values_mut) {
            complete(path, operation);
        }
    }
    serde_json::to_string_pretty(&document).unwrap_or_default()
}

/// Adds security, common refusals and headers to one operation.
fn complete(path: &str, operation: &mut Value) {
    if !path.starts_with("/v1/") {
        return;
    }
    let is_signed = !path.starts_with("/v1/centra/");
    operation["security"] = if is_signed {
        json!([{"apiKey": [], "apiKeyHeader": [], "timestamp": [], "nonce": [], "signature": []}])
    } else {
        json!([])
    };
    let add_headers = |response: &mut Value| add_headers(response, is_signed);
    let common = if is_signed { REFUSALS } else { CENTRA_REFUSALS };
    let Some(responses) = operation["responses"].as_object_mut() else { return };
    for response in responses.values_mut() {
        add_headers(response);
    }
    let own = OWN_REFUSALS
        .iter()
        .filter(|(part, ..)| applies(part, path))
        .map(|(_, status, codes, when)| (status, codes, when));
    for (status, codes, when) in common.iter().map(|(status, codes, when)| (status, codes, when)).chain(own) {
        let mut response = json!({
            "description": format!("{when} Code: {codes}."),
            "content": {"application/problem+json": {
                "schema": {"$ref": "#/components/schemas/Problem"},
                "example": example(status, codes, when),
            }},
        });
        add_headers(&mut response);
        if ["429", "503"].contains(status) {
            response["headers"]["Retry-After"] =
                json!({"description": "Seconds to wait.", "schema": {"type": "integer"}});
        }
        responses.insert((*status).to_owned(), response);
    }
}

/// `/{id}` anywhere, other parts at the end only.
fn applies(part: &str, path: &str) -> bool {
    if part == "/{id}" { path.contains(part) } else { path.ends_with(part) }
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
        ("X-Request-Id", "The caller's, when it sent a sane one, else ours."),
        ("RateLimit-Policy", "The store's limit: `\"default\";q=100;w=60`."),
        ("RateLimit", "What is left of it: `\"default\";r=99;t=60`."),
    ];
    for (name, description) in headers.into_iter().take(if is_limited { 3 } else { 1 }) {
        response["headers"][name] = json!({"description": description, "schema": {"type": "string"}});
    }
}

fn security_schemes() -> Value {
    let header = |name: &str, description: &str| json!({"type": "apiKey", "in": "header", "name": name, "description": description});
    json!({
        "apiKey": {"type": "http", "scheme": "bearer", "description": "The API key."},
        "apiKeyHeader": header("X-Fraudshield-Key", "The same API key again."),
        "timestamp": header("X-Fraudshield-Timestamp", "Unix seconds, within 300 s of now."),
        "nonce": header("X-Fraudshield-Nonce", "1 to 128 visible ASCII characters, never used before."),
        "signature": header("X-Fraudshield-Signature", "Hex HMAC-SHA256 of the request under the key's secret."),
    })
}

fn problem_schema() -> Value {
    json!({
        "type": "object",
        "required": ["type", "title", "status", "detail", "code", "request_id"],
        "properties": {
            "type": {"type": "string"}, "title": {"type": "string"}, "status": {"type": "integer"},
            "detail": {"type": "string", "description": "What is at fault and what was expected."},
            "code": {"type": "string", "description": "Stable, for programs."},
            "field": {"type": "string", "description": "JSON pointer to the first field at fault."},
            "errors": {"type": "array", "description": "All faults, when there are several.", "items": {
                "type": "object", "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
            }},
            "request_id": {"type": "string"},
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
        assert_eq!((&notice["security"], &notice["responses"]["429"]), (&json!([]), &Value::Null));
        for status in ["202", "400", "401", "413", "415", "503"] {
            assert!(notice["responses"][status].is_object(), "{status}");
        }
        assert_eq!(document["paths"].as_object().unwrap().len(), 23);
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
