//! Answers that are no refusal.

use axum::response::Response;
use http::header::{CONTENT_TYPE, HeaderName, LOCATION};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::Serialize;
use touchstone_platform::cache::RateState;
use touchstone_schema::ids::TransactionId;

use crate::problem::Problem;

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// JSON text as an answer.
pub(crate) fn json_text(status: StatusCode, text: String) -> Response {
    let mut response = Response::new(text.into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// A value as an answer.
pub(crate) fn json<T: Serialize>(status: StatusCode, value: &T) -> Result<Response, Problem> {
    let text = serde_json::to_string(value).map_err(|error| {
        tracing::error!(%error, "an answer could not be written as JSON");
        Problem::internal()
    })?;
    Ok(json_text(status, text))
}

/// 202: the order is promised; its verdict will be found at the location.
pub(crate) fn promised(id: &TransactionId) -> Response {
    let text = format!(r#"{{"transaction_id":"{id}","status":"pending"}}"#);
    let mut response = json_text(StatusCode::ACCEPTED, text);
    if let Ok(location) = HeaderValue::try_from(format!("/v1/transactions/{id}")) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

/// Adds the `RateLimit` and `RateLimit-Policy` fields of the IETF draft.
pub(crate) fn rate_headers(headers: &mut HeaderMap, rate: RateState) {
    if let Ok(policy) = HeaderValue::try_from(format!("\"default\";q={};w=60", rate.limit)) {
        headers.insert(RATE_LIMIT_POLICY, policy);
    }
    if let Ok(state) = HeaderValue::try_from(format!("\"default\";r={};t={}", rate.remaining, rate.reset_s)) {
        headers.insert(RATE_LIMIT, state);
    }
}
