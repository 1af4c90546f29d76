//! Refusals, as `application/problem+json` (RFC 9457) unless their surface has a form of its own.
//!
//! Guarantee: a problem names the field or header at fault and what was expected, and nothing internal. Problems made
//! before a signature has verified are all [`Problem::unauthorized`], the same bytes whatever was wrong.
//! The request id is added where the answer leaves ([`crate::http::service`]).

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::header::{CONNECTION, LOCATION, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use serde_json::value::RawValue;
use touchstone_platform::cache::RateState;
use touchstone_platform::store::transactions::Standing;
use touchstone_schema::fault::Fault;
use touchstone_schema::ids::PlacedOrderId;
use touchstone_schema::limits;

use crate::respond::rate_headers;
use crate::surfaces::{Envelope, checks, orders};

/// What a caller should wait before trying a request again that met a broken dependency.
const RETRY_AFTER_OUTAGE: Duration = Duration::from_secs(1);
/// Most faults that are listed in one answer.
const LISTED_FAULTS: usize = 100;

/// A refusal on its way out.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    title: &'static str,
    detail: String,
    field: Option<String>,
    faults: Vec<Fault>,
    retry_after: Option<Duration>,
    rate: Option<RateState>,
    closes: bool,
    /// A stored verdict whose members are shown at top level.
    verdict: Option<String>,
    /// The order that the request is in conflict with.
    placed: Option<Box<PlacedBefore>>,
    /// Where the transaction stands that the request is in conflict with.
    standing: Option<Standing>,
}

/// An order of the orders surface that was placed before.
#[derive(Debug, Clone)]
pub(crate) struct PlacedBefore {
    /// Its number.
    pub(crate) id: PlacedOrderId,
    /// Where it is found.
    pub(crate) location: String,
    /// Whether it says what was sent now.
    pub(crate) is_same: bool,
}

/// The members of the document, in the order that they are written.
#[derive(Serialize)]
struct Document<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    code: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    standing: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_by: Option<&'static str>,
    request_id: &'a str,
}

#[derive(Serialize)]
struct FieldError<'a> {
    field: &'a str,
    message: &'a str,
}

impl Problem {
    fn new(status: StatusCode, code: &'static str, title: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status,
            code,
            title,
            detail: detail.into(),
            field: None,
            faults: Vec::new(),
            retry_after: None,
            rate: None,
            closes: false,
            verdict: None,
            placed: None,
            standing: None,
        }
    }

    /// 401 for everything that is wrong before the signature has verified, and for keys that are wrong after it.
    pub(crate) fn unauthorized() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            "Not authenticated",
            "Expected the same valid API key in Authorization (Bearer) and X-Fraudshield-Key, X-Fraudshield-Timestamp within \
             300 seconds of now, X-Fraudshield-Nonce of 1 to 128 visible ASCII characters (letters, digits, - and _ alone on \
             routes other than POST /v1/analyze), and X-Fraudshield-Signature: the hex HMAC-SHA256 of the request under the \
             key's secret.",
        )
    }

    /// 401 for every path of a Centra connection that is not, or not any more, one.
    pub(crate) fn unknown_connector() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            "Not authenticated",
            "Expected the path of a Centra connection that has not ended.",
        )
    }

    /// 401: the key is right but may not do this.
    pub(crate) fn missing_scope(scope: &str) -> Self {
        let detail = format!("The API key lacks the scope `{scope}`.");
        Self::new(StatusCode::UNAUTHORIZED, "missing_scope", "Key lacks a scope", detail)
    }

    /// 403: the same where the surface tells it apart.
    pub(crate) fn forbidden(scope: &str) -> Self {
        Self { status: StatusCode::FORBIDDEN, ..Self::missing_scope(scope) }
    }

    /// 401: the nonce was used before.
    pub(crate) fn replayed_nonce() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "replayed_nonce",
            "Nonce used before",
            "Expected in X-Fraudshield-Nonce a value that no earlier request of this key used.",
        )
    }

    /// 429.
    pub(crate) fn rate_limited(rate: RateState) -> Self {
        let detail =
            format!("The store's limit is {} requests a minute; retry in {} s.", rate.limit, rate.reset_s.max(1));
        let mut problem =
            Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", "Too many requests", detail).rated(rate);
        problem.retry_after = Some(Duration::from_secs(u64::from(rate.reset_s.max(1))));
        problem
    }

    /// 400: a body where the operation describes none.
    pub(crate) fn unexpected_body() -> Self {
        let detail = "Expected no body: this operation takes none.";
        Self::new(StatusCode::BAD_REQUEST, "unexpected_body", "Unexpected body", detail)
    }

    /// 400: a path or query with characters that URLs do not have.
    pub(crate) fn unescaped_target() -> Self {
        let detail = "Expected a path and query in which characters that are not of RFC 3986 are percent-encoded.";
        Self::new(StatusCode::BAD_REQUEST, "unescaped_target", "Path or query not encoded", detail)
    }

    /// 400: not an acceptable JSON document.
    pub(crate) fn invalid_json(fault: &Fault) -> Self {
        let mut problem =
            Self::new(StatusCode::BAD_REQUEST, "invalid_json", "Not an acceptable JSON document", &fault.message);
        problem.field = (!fault.pointer.is_empty()).then(|| fault.pointer.clone());
        problem
    }

    /// 422: the document's content is at fault; all faults at once.
    pub(crate) fn invalid_fields(faults: Vec<Fault>) -> Self {
        Self::of_faults(StatusCode::UNPROCESSABLE_ENTITY, faults)
    }

    /// 400: the same on surfaces that know no 422.
    pub(crate) fn bad_fields(faults: Vec<Fault>) -> Self {
        Self::of_faults(StatusCode::BAD_REQUEST, faults)
    }

    fn of_faults(status: StatusCode, mut faults: Vec<Fault>) -> Self {
        faults.truncate(LISTED_FAULTS);
        let first = faults.first().cloned().unwrap_or_else(|| Fault::new("", "expected another document"));
        let detail = if faults.len() > 1 {
            format!("{} fields are at fault; the first: {}", faults.len(), first.message)
        } else {
            first.message.clone()
        };
        let mut problem = Self::new(status, "invalid_field", "Invalid field", detail);
        problem.field = Some(first.pointer);
        problem.faults = if faults.len() > 1 { faults } else { Vec::new() };
        problem
    }

    /// 422: a full card number was sent.
    pub(crate) fn card_number(pointer: String) -> Self {
        let mut problem = Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "card_number",
            "Full card number refused",
            "Expected no full card number: send card_bin, card_last4 and card_fingerprint instead. Nothing was stored.",
        );
        problem.field = Some(pointer);
        problem
    }

    /// 415.
    pub(crate) fn unsupported_media(detail: &'static str) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", "Unsupported media type", detail)
    }

    /// 413.
    pub(crate) fn too_large() -> Self {
        let detail = format!("Expected a body of at most {} bytes.", touchstone_schema::limits::BODY_BYTES);
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", "Body too large", detail).closing()
    }

    /// 413 of an upload.
    pub(crate) fn upload_too_large() -> Self {
        let detail = format!("Expected a file of at most {} bytes.", touchstone_schema::limits::BACKFILL_UPLOAD_BYTES);
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", "Body too large", detail).closing()
    }

    /// 422: an upload is not what was signed.
    pub(crate) fn another_body() -> Self {
        let mut problem = Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "another_body",
            "Body is not what was signed",
            "Expected a body whose SHA-256 is the value of X-Content-SHA256. Nothing was kept.",
        );
        problem.field = Some("/X-Content-SHA256".to_owned());
        problem
    }

    /// 431.
    pub(crate) fn headers_too_large() -> Self {
        Self::new(
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "headers_too_large",
            "Headers too large",
            "Expected at most 64 header fields of at most 16 384 bytes together.",
        )
        .closing()
    }

    /// 408: the body came too slowly.
    pub(crate) fn body_timeout() -> Self {
        Self::new(
            StatusCode::REQUEST_TIMEOUT,
            "body_timeout",
            "Body too slow",
            "Expected the whole body within the time allowed.",
        )
        .closing()
    }

    /// 408: an upload came in at a lower rate than it must have.
    pub(crate) fn upload_too_slow(bytes_a_second: u64, window: Duration) -> Self {
        let detail = format!(
            "Expected at least {bytes_a_second} bytes a second over {} s; nothing of the upload was kept.",
            window.as_secs_f32()
        );
        Self::new(StatusCode::REQUEST_TIMEOUT, "upload_too_slow", "Upload too slow", detail).closing()
    }

    /// 429: the store has uploaded as much today as it may. `next` is the time until the next day.
    pub(crate) fn upload_quota(quota: u64, next: Duration) -> Self {
        let detail =
            format!("Expected at most {quota} bytes of uploads of a store in a day (UTC); nothing of it was kept.");
        let mut problem = Self::new(StatusCode::TOO_MANY_REQUESTS, "upload_quota", "Too much uploaded today", detail);
        problem.retry_after = Some(next);
        problem.closing()
    }

    /// 400: the body broke off or was framed wrongly.
    pub(crate) fn broken_body() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "broken_body", "Body unreadable", "Expected a complete, well-framed body.")
            .closing()
    }

    /// 404.
    pub(crate) fn not_found(detail: &'static str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "Not found", detail)
    }

    /// 405; the router adds the `Allow` header.
    pub(crate) fn method_not_allowed() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            "Method not allowed",
            "Expected one of the methods named in the Allow header.",
        )
    }

    /// 409: the order id was used within the hour for another order, whose verdict is shown.
    pub(crate) fn order_conflict(verdict: String) -> Self {
        let mut problem = Self::new(
            StatusCode::CONFLICT,
            "order_conflict",
            "Order id used for a different order",
            "Expected the same document as was sent with this order_id within the hour; the stored verdict of that one is shown.",
        );
        problem.field = Some("/order_id".to_owned());
        problem.verdict = Some(verdict);
        problem
    }

    /// 409: the site used the order number before.
    pub(crate) fn order_number_used(before: PlacedBefore) -> Self {
        let detail = if before.is_same {
            "Expected an orderNumber that this siteName has not used. The order at the Location of this answer says the same \
             and is being screened: this one is a repetition."
        } else {
            "Expected an orderNumber that this siteName has not used. The order at the Location of this answer is another \
             one, and this one was not kept: send it under a number of its own."
        };
        let mut problem = Self::new(StatusCode::CONFLICT, "duplicate_order", "Order number used before", detail);
        problem.field = Some("/orderNumber".to_owned());
        problem.placed = Some(Box::new(before));
        problem
    }

    /// 409: what is named was told differently before.
    pub(crate) fn told_before(pointer: String, detail: &'static str) -> Self {
        let mut problem = Self::new(StatusCode::CONFLICT, "told_before", "Told before", detail);
        problem.field = Some(pointer);
        problem
    }

    /// 409: the state of what was asked for does not allow this.
    pub(crate) fn state_conflict(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, "Conflict with the present state", detail)
    }

    /// 503: something needed for a safe answer is down or too slow; nothing was promised.
    pub(crate) fn unavailable() -> Self {
        let mut problem = Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "unavailable",
            "Temporarily unavailable",
            "The request could not be answered safely and nothing was promised; retry the same request with a fresh nonce.",
        );
        problem.retry_after = Some(RETRY_AFTER_OUTAGE);
        problem
    }

    /// 429: the transaction was scored as often as it may be in a day.
    pub(crate) fn too_many_revisions(wait: Duration) -> Self {
        let wait = wait.max(Duration::from_secs(1));
        let detail = format!(
            "A transaction is scored again on demand until it has {} revisions within a day; retry in {} s.",
            limits::REVISIONS_PER_DAY,
            wait.as_secs()
        );
        let title = "Scored too often";
        let mut problem = Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_revisions", title, detail);
        problem.retry_after = Some(wait);
        problem
    }

    /// 429: a connection sends more notices than it may.
    pub(crate) fn too_many_notices(wait: Duration) -> Self {
        let mut problem = Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too_many_notices",
            "Too many notices",
            "The notice was not taken: this connection sends more than it may. Orders on hold are found without it.",
        );
        problem.retry_after = Some(wait.max(Duration::from_secs(1)));
        problem
    }

    /// 503: a notice was not taken.
    pub(crate) fn not_taken() -> Self {
        let mut problem = Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "unavailable",
            "Temporarily unavailable",
            "The notice was not taken; send the same notice again.",
        );
        problem.retry_after = Some(RETRY_AFTER_OUTAGE);
        problem
    }

    /// 500: a fault of ours, told in the logs under the request id.
    pub(crate) fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "Internal error",
            "Retrying will not help; tell the operator the request id.",
        )
    }

    /// With the store's rate state in the headers.
    #[must_use]
    pub(crate) fn rated(mut self, rate: RateState) -> Self {
        self.rate = Some(rate);
        self
    }

    /// Of the field or header that it is about.
    #[must_use]
    pub(crate) fn of_field(mut self, field: String) -> Self {
        self.field = Some(field);
        self
    }

    /// With where the transaction stands.
    #[must_use]
    pub(crate) fn standing(mut self, standing: Standing) -> Self {
        self.standing = Some(standing);
        self
    }

    /// The order that has the number, of a 409 of the orders surface.
    pub(crate) fn placed_before(&self) -> Option<&PlacedBefore> {
        self.placed.as_deref()
    }

    fn closing(mut self) -> Self {
        self.closes = true;
        self
    }

    /// The answer in the form of its surface, once the request's id is known.
    pub(crate) fn render(&self, request_id: &str, envelope: Envelope) -> Response {
        let (text, media, challenge) = match envelope {
            Envelope::Problem => (self.text(request_id), "application/problem+json", "Bearer"),
            Envelope::Orders => (orders::refusal::text(self), "application/json", "ApiKey"),
            Envelope::Checks => (checks::refusal::text(self), "application/json", "Basic realm=\"checks\""),
        };
        let mut response = Response::new(text.into());
        *response.status_mut() = envelope.status(self.status);
        let headers = response.headers_mut();
        headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static(media));
        if let Some(after) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(after.as_secs()));
        }
        if let Some(rate) = self.rate {
            rate_headers(headers, rate);
        }
        if let Some(location) = self.placed_before().and_then(|before| HeaderValue::try_from(&before.location).ok()) {
            headers.insert(LOCATION, location);
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(http::header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        if self.closes {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    /// The fields or headers at fault with what was expected of each; without one, what was expected of the request.
    pub(crate) fn faults(&self) -> Vec<(&str, &str)> {
        if self.faults.is_empty() {
            return vec![(self.field.as_deref().unwrap_or_default(), &self.detail)];
        }
        self.faults.iter().map(|fault| (fault.pointer.as_str(), fault.message.as_str())).collect()
    }

    /// The document alone.
    pub(crate) fn text(&self, request_id: &str) -> String {
        let document = Document {
            r#type: format!("/docs#{}", self.code),
            title: self.title,
            status: self.status.as_u16(),
            detail: &self.detail,
            code: self.code,
            field: self.field.as_deref(),
            standing: self.standing.map(|standing| standing.status.as_str()),
            ended_by: self.standing.and_then(|standing| standing.ended_by).map(|outcome| outcome.as_str()),
            errors: self.faults.iter().map(|f| FieldError { field: &f.pointer, message: &f.message }).collect(),
            request_id,
        };
        let own = serde_json::to_string(&document).unwrap_or_else(|_| "{}".to_owned());
        self.verdict.as_deref().and_then(|verdict| joined(&own, verdict)).unwrap_or(own)
    }
}

/// The members of two JSON objects in one, those of `first` first.
fn joined(first: &str, second: &str) -> Option<String> {
    let second: &RawValue = serde_json::from_str(second).ok()?;
    let rest = second.get().strip_prefix('{')?;
    Some(format!("{},{rest}", first.strip_suffix('}')?))
}

impl IntoResponse for Problem {
    /// Leaves the problem in the extensions; the answer gets its bytes where the request id is known.
    fn into_response(self) -> Response {
        let mut response = Response::new(axum::body::Body::empty());
        *response.status_mut() = self.status;
        response.extensions_mut().insert(self);
        response
    }
}
