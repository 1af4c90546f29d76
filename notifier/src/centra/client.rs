//! One GraphQL request to a shop, and what its answer means.
//!
//! Guarantee: goes only to addresses that may be reached, ends within its limit, follows no redirect and holds a bounded
//! answer. Whether a mutation took effect is known only from an answer that says so: everything else is
//! [`ApiError::Unavailable`], after which the order is read again.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde::Deserialize;
use serde_json::value::RawValue;
use touchstone_platform::clock::Clock;
use touchstone_platform::egress::EgressPolicy;
use touchstone_schema::secret::Secret;
use touchstone_schema::time::Timestamp;

use super::operations::Operation;
use crate::connect::{ConnectFault, Connector, behind};
use crate::retry::{RETRY_AFTER_MOST, parse_retry_after};

/// Largest answer that is read; a description of a whole API is the largest.
const ANSWER_BYTES: usize = 32 * 1024 * 1024;
/// Most characters kept of a shop's error.
const KEPT_CHARS: usize = 300;
/// How long an idle connection is kept.
const IDLE_FOR: Duration = Duration::from_secs(30);
/// A `Retry-After` of at least this many seconds is a point in time (2001), not a span.
const EPOCH_FROM: i64 = 1_000_000_000;

/// Why a request did not come to its answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// 401 or 403: the token is invalid or has expired.
    #[error("the shop refuses the token (status {0}): it is wrong or has expired")]
    Refused(u16),
    /// 429: nothing was done.
    #[error("the shop's rate limit is reached")]
    Busy {
        /// When to come again, where it said so.
        until: Option<Timestamp>,
    },
    /// The request seems to be refused as a whole, as one that does not fit the schema is.
    #[error("the shop refuses the operation: {0}")]
    Invalid(String),
    /// No answer, a broken one, or one that says that something failed inside: whether anything was done is not known.
    #[error("the shop cannot be asked: {0}")]
    Unavailable(String),
}

impl ApiError {
    /// Whether the shop refuses an argument of what was sent, as one does that names orders otherwise. Servers word it
    /// differently, and all of them write `argument`.
    pub(crate) fn refuses_an_argument(&self) -> bool {
        matches!(self, Self::Invalid(message) if message.to_ascii_lowercase().contains("argument"))
    }
}

/// Whom to ask, and as whom.
#[derive(Debug)]
pub(crate) struct Target {
    /// Where its API is.
    pub(crate) url: String,
    /// Access token.
    pub(crate) token: Secret,
}

/// Asks. Cloning shares the connections.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    http: legacy::Client<HttpsConnector<Connector>, Full<Bytes>>,
    limit: Duration,
    clock: Clock,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    data: Option<Box<RawValue>>,
    #[serde(default)]
    errors: Vec<GraphqlError>,
}

#[derive(Deserialize)]
struct GraphqlError {
    #[serde(default)]
    message: String,
    #[serde(default)]
    path: Option<serde_json::Value>,
}

impl Api {
    pub(crate) fn new(
        limit: Duration,
        connect_limit: Duration,
        egress: Arc<EgressPolicy>,
        clock: Clock,
    ) -> std::io::Result<Self> {
        let connector = HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(rustls::crypto::ring::default_provider())?
            .https_or_http()
            .enable_http1()
            .wrap_connector(Connector::new(egress, connect_limit));
        let http = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_FOR)
            // A mutation that was sent twice behind our back could not be told from one.
            .retry_canceled_requests(false)
            .build(connector);
        Ok(Self { http, limit, clock })
    }

    /// The `data` of the answer to an operation.
    pub(crate) async fn ask(
        &self,
        target: &Target,
        operation: &Operation,
        variables: &serde_json::Value,
    ) -> Result<Box<RawValue>, ApiError> {
        let body = serde_json::json!({
            "operationName": operation.name, "query": operation.text, "variables": variables
        });
        let request = request(target, body.to_string().into())?;
        let exchange = tokio::time::timeout(self.limit, self.exchange(request)).await;
        exchange.map_err(|_| ApiError::Unavailable("it took too long".to_owned()))?
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Box<RawValue>, ApiError> {
        let response = self.http.request(request).await.map_err(|error| unavailable(&error))?;
        let (parts, body) = response.into_parts();
        match parts.status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => return Err(ApiError::Refused(parts.status.as_u16())),
            StatusCode::TOO_MANY_REQUESTS => {
                return Err(ApiError::Busy { until: come_again(&parts.headers, self.clock.now()) });
            }
            _ => {}
        }
        let body = Limited::new(body, ANSWER_BYTES).collect().await;
        let body = body.map_err(|error| ApiError::Unavailable(format!("its answer broke off: {error}")))?.to_bytes();
        read(parts.status, &body)
    }
}

fn request(target: &Target, body: Bytes) -> Result<Request<Full<Bytes>>, ApiError> {
    let token = target.token.expose_text().unwrap_or_default();
    let unusable = |_| ApiError::Invalid("its address or token cannot be sent".to_owned());
    let mut bearer = HeaderValue::try_from(format!("Bearer {token}"))
        .map_err(|_| ApiError::Invalid("its token cannot be sent".to_owned()))?;
    bearer.set_sensitive(true);
    Request::post(target.url.as_str())
        .header(AUTHORIZATION, bearer)
        .header(CONTENT_TYPE, "application/json")
        .header(ACCEPT, "application/json")
        .header(USER_AGENT, concat!("Touchstone/", env!("CARGO_PKG_VERSION")))
        .body(Full::new(body))
        .map_err(unusable)
}

/// An answer with data is used even when parts of it failed: a field that the token may not read is null.
fn read(status: StatusCode, body: &[u8]) -> Result<Box<RawValue>, ApiError> {
    let answer: Option<Answer> = serde_json::from_slice(body).ok();
    match answer {
        Some(Answer { data: Some(data), .. }) if status.is_success() && data.get() != "null" => Ok(data),
        Some(Answer { errors, .. }) if !errors.is_empty() => {
            let told = errors.first().map(|error| kept(&error.message)).unwrap_or_default();
            // A request that does not fit the schema is refused before anything runs, so its errors name no field of data.
            let is_refused = !status.is_server_error() && errors.iter().all(|error| error.path.is_none());
            Err(if is_refused { ApiError::Invalid(told) } else { ApiError::Unavailable(told) })
        }
        _ => Err(ApiError::Unavailable(format!("it answered {}", status.as_u16()))),
    }
}

fn unavailable(error: &legacy::Error) -> ApiError {
    ApiError::Unavailable(match behind::<ConnectFault>(error) {
        Some(fault) => fault.to_string(),
        None if error.is_connect() => "the TLS handshake failed".to_owned(),
        None => "the answer is no HTTP, or the connection broke".to_owned(),
    })
}

/// When a shop wants to be asked again: `Retry-After` in seconds, as a date, or as seconds since 1970.
fn come_again(headers: &HeaderMap, now: Timestamp) -> Option<Timestamp> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse::<i64>()
        && seconds >= EPOCH_FROM
    {
        let then = Timestamp::from_millis(seconds.saturating_mul(1_000));
        return Some(then.clamp(now, now + RETRY_AFTER_MOST));
    }
    parse_retry_after(value, now).map(|wait| now + wait)
}

/// The text on one line, without control characters and of a bounded length.
fn kept(text: &str) -> String {
    text.chars().take(KEPT_CHARS).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    fn answer(status: u16, body: &str) -> Result<String, ApiError> {
        read(StatusCode::from_u16(status).unwrap(), body.as_bytes()).map(|data| data.get().to_owned())
    }

    #[test]
    fn data_is_used_although_a_part_of_it_failed() {
        let body = r#"{"data":{"orders":[]},"errors":[{"message":"no permission","path":["orders"]}]}"#;
        assert_eq!(answer(200, body), Ok(r#"{"orders":[]}"#.to_owned()));
    }

    #[test]
    fn a_request_that_does_not_fit_the_schema_is_told_from_one_that_failed() {
        let invalid = r#"{"errors":[{"message":"Cannot query field \"x\""}]}"#;
        assert_eq!(answer(200, invalid), Err(ApiError::Invalid("Cannot query field \"x\"".to_owned())));
        assert_eq!(answer(400, invalid), Err(ApiError::Invalid("Cannot query field \"x\"".to_owned())));
        let failed = r#"{"data":null,"errors":[{"message":"Internal\nerror","path":["resumeOrder"]}]}"#;
        assert_eq!(answer(200, failed), Err(ApiError::Unavailable("Internal error".to_owned())));
        assert_eq!(answer(500, invalid), Err(ApiError::Unavailable("Cannot query field \"x\"".to_owned())));
    }

    #[test]
    fn a_refused_argument_is_told_from_other_refusals() {
        for message in [
            r#"Unknown argument "order" on field "Mutation.resumeDirectToConsumerOrder"."#,
            r#"Field "resumeDirectToConsumerOrder" argument "id" of type "String!" is required but not provided."#,
            "the argument `order` is not supported by `Mutation.resumeDirectToConsumerOrder`",
        ] {
            assert!(ApiError::Invalid(message.to_owned()).refuses_an_argument(), "{message}");
            assert!(!ApiError::Unavailable(message.to_owned()).refuses_an_argument(), "{message}");
        }
        assert!(!ApiError::Invalid("Cannot query field \"x\"".to_owned()).refuses_an_argument());
    }

    #[test]
    fn what_is_no_answer_is_no_answer() {
        for (status, body) in [(200, ""), (200, "<html>"), (200, "{}"), (200, r#"{"data":null}"#), (502, "bad gateway")]
        {
            assert_eq!(answer(status, body), Err(ApiError::Unavailable(format!("it answered {status}"))), "{body}");
        }
        assert!(matches!(answer(503, r#"{"data":{"orders":[]}}"#), Err(ApiError::Unavailable(_))));
    }

    #[test]
    fn the_token_is_sent_and_in_no_log() {
        let target = |token: &str| Target { url: "https://shop.example/graphql".to_owned(), token: Secret::new(token) };
        let sent = request(&target("abc"), Bytes::new()).unwrap();
        assert_eq!(sent.headers()[AUTHORIZATION], "Bearer abc");
        assert!(!format!("{sent:?} {:?}", target("abc")).contains("abc"));
        assert!(matches!(request(&target("a\nb"), Bytes::new()), Err(ApiError::Invalid(_))));
    }

    #[test]
    fn retry_after_is_read_in_its_three_forms() {
        let again = |value: &str| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_str(value).unwrap())]);
            come_again(&headers, NOW)
        };
        let in_seconds = |seconds| Some(NOW + Duration::from_secs(seconds));
        assert_eq!(again("7"), in_seconds(7));
        assert_eq!(again("1800000009"), in_seconds(9));
        assert_eq!(again("1700000000"), in_seconds(0));
        assert_eq!(again("Fri, 15 Jan 2027 08:00:30 GMT"), in_seconds(30));
        assert_eq!(again("99999999999999"), in_seconds(RETRY_AFTER_MOST.as_secs()));
        assert_eq!(again("soon"), None);
        assert_eq!(come_again(&HeaderMap::new(), NOW), None);
    }
}
