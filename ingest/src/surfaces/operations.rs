//! What operators and integrators ask of the door: is it alive, is it ready, how is it used.

use axum::extract::State;
use axum::response::Response;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use utoipa::ToSchema;

use crate::door::SharedDoor;
use crate::respond::json_text;

/// The page; it reads `/openapi.json` and asks nothing of other hosts.
const PAGE: &str = include_str!("../docs.html");
const PAGE_POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; \
                           base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// How the process is.
#[derive(Debug, ToSchema)]
#[schema(as = Status, example = json!({"status": "ok"}))]
#[expect(dead_code, reason = "describes the document; the handlers write it")]
pub(crate) struct StatusDocument {
    /// ok, ready or not ready.
    status: String,
}

/// Alive
///
/// The process runs.
#[utoipa::path(get, path = "/healthz", tag = "Operations",
    responses((status = 200, description = "The process runs.", body = StatusDocument)))]
pub(crate) async fn healthz() -> Response {
    json_text(StatusCode::OK, r#"{"status":"ok"}"#.to_owned())
}

/// Ready
///
/// Whether requests can be answered safely right now. Asked anew at most once a second; names no dependency.
#[utoipa::path(get, path = "/readyz", tag = "Operations",
    responses(
        (status = 200, description = "Ready.", body = StatusDocument),
        (status = 503, description = "Not ready.", body = StatusDocument),
    ))]
pub(crate) async fn readyz(State(door): State<SharedDoor>) -> Response {
    if door.readiness.check(&door.dependencies).await {
        return json_text(StatusCode::OK, r#"{"status":"ready"}"#.to_owned());
    }
    let mut response = json_text(StatusCode::SERVICE_UNAVAILABLE, r#"{"status":"not ready"}"#.to_owned());
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

/// This document
#[utoipa::path(get, path = "/openapi.json", tag = "Operations",
    responses((status = 200, description = "OpenAPI 3.1.", content_type = "application/json")))]
pub(crate) async fn openapi(State(door): State<SharedDoor>) -> Response {
    let mut response = Response::new(door.openapi.clone().into());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=60"));
    response
}

/// The reference as a page
#[utoipa::path(get, path = "/docs", tag = "Operations",
    responses((status = 200, description = "The reference, for people.", content_type = "text/html")))]
pub(crate) async fn docs() -> Response {
    let mut response = Response::new(PAGE.into());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(PAGE_POLICY));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=60"));
    response
}
