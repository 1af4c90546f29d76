//! What operators and integrators ask of the door: is it alive, is it ready, how is it used.

use std::sync::LazyLock;

use axum::extract::State;
use axum::response::Response;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, RETRY_AFTER, VARY,
};
use http::{HeaderMap, HeaderValue, StatusCode};
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;

use crate::door::SharedDoor;
use crate::problem::Problem;
use crate::respond::json_text;

/// The page; it reads `/openapi.json` and asks nothing of other hosts.
const PAGE: &str = include_str!("../docs.html");

/// Lets the page's own script and style run and none that may get into it. The hashes are those of what is served.
static PAGE_POLICY: LazyLock<String> = LazyLock::new(|| {
    format!(
        "default-src 'none'; script-src {}; style-src {}; connect-src 'self'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'",
        hash_between("<script>", "</script>"),
        hash_between("<style>", "</style>"),
    )
});

/// The hash of the page's text between two tags, as a policy names it (Content Security Policy Level 3, section 2.3.1).
fn hash_between(begin: &str, end: &str) -> String {
    let inside = PAGE.split_once(begin).and_then(|(_, rest)| rest.split_once(end)).map_or("", |(inside, _)| inside);
    format!("'sha256-{}'", BASE64_STANDARD.encode(Sha256::digest(inside)))
}

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
pub(crate) async fn openapi(State(door): State<SharedDoor>, headers: HeaderMap) -> Response {
    let zipped = accepts_gzip(&headers).then(|| door.zipped_openapi()).flatten();
    let is_zipped = zipped.is_some();
    let mut response = Response::new(zipped.unwrap_or_else(|| door.openapi.clone()).into());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=60"));
    headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    if is_zipped {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

/// Whether the caller takes gzip (RFC 9110, section 12.5.3): it names it, or everything, with another weight than 0.
fn accepts_gzip(headers: &HeaderMap) -> bool {
    let given = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let given = given.flat_map(|value| value.split(',')).collect::<Vec<_>>();
    let weight = |wanted: &str| {
        given.iter().find_map(|part| {
            let (coding, weight) = part.split_once(';').unwrap_or((part, ""));
            let weight = weight.trim().to_ascii_lowercase();
            let is_refused = weight.strip_prefix("q=").is_some_and(|q| q.trim().parse::<f32>().is_ok_and(|q| q == 0.0));
            coding.trim().eq_ignore_ascii_case(wanted).then_some(!is_refused)
        })
    };
    weight("gzip").or_else(|| weight("*")).unwrap_or(false)
}

/// The reference as a page
#[utoipa::path(get, path = "/docs", tag = "Operations",
    responses((status = 200, description = "The reference, for people.", content_type = "text/html")))]
pub(crate) async fn docs() -> Result<Response, Problem> {
    let policy = HeaderValue::from_str(&PAGE_POLICY).map_err(|error| {
        tracing::error!(%error, "the policy of the reference is no header");
        Problem::internal()
    })?;
    let mut response = Response::new(PAGE.into());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CONTENT_SECURITY_POLICY, policy);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=60"));
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_given_to_those_who_take_it() {
        for (given, takes) in [
            (Some("gzip, deflate, br"), true),
            (Some("br;q=1.0, GZIP;q=0.5"), true),
            (Some("*"), true),
            (Some("*;q=0.1, gzip;q=0"), false),
            (Some("gzip; q=0.000"), false),
            (Some("identity"), false),
            (Some(""), false),
            (None, false),
        ] {
            let headers = given.map(|given| (ACCEPT_ENCODING, HeaderValue::from_str(given).unwrap()));
            assert_eq!(accepts_gzip(&headers.into_iter().collect()), takes, "{given:?}");
        }
    }

    #[test]
    fn page_has_one_script_and_one_style_and_neither_in_attributes() {
        assert_eq!((PAGE.matches("<script").count(), PAGE.matches("<style").count()), (1, 1));
        assert!([" style=", " onclick=", " onload=", "javascript:"].iter().all(|inline| !PAGE.contains(inline)));
        assert!(!PAGE_POLICY.contains("unsafe"));
    }
}
