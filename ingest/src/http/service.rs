//! Around every request: its id, its limits, its answer's headers, and what is logged and measured of it.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::MatchedPath;
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http::header::{ALLOW, CACHE_CONTROL, HeaderName, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderValue, Method, Request};
use hyper::body::Incoming;
use tokio::time::Instant;
use touchstone_schema::ids::RequestId;
use touchstone_schema::time::Timestamp;
use touchstone_schema::trace::TraceContext;
use tower::ServiceExt as _;

use super::body;
use crate::door::SharedDoor;
use crate::problem::Problem;
use crate::surfaces::{Envelope, backfill};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Most header fields of a request.
const HEADER_FIELDS: usize = 64;
/// Largest sum of header names and values, in bytes.
const HEADER_BYTES: usize = 16 * 1024;
/// How metrics and logs call requests that no route matched.
const NO_ROUTE: &str = "unmatched";

/// A request's circumstances and its whole body. Its clock starts when its head was read.
#[derive(Debug, Clone)]
pub(crate) struct Arrival {
    pub(crate) request_id: RequestId,
    pub(crate) at: Timestamp,
    pub(crate) instant: Instant,
    pub(crate) body: Bytes,
    /// The trace that the caller has begun.
    pub(crate) trace: Option<TraceContext>,
}

/// The service behind every connection.
#[derive(Clone)]
pub(crate) struct Front {
    door: SharedDoor,
    router: Router,
}

impl Front {
    pub(crate) fn new(door: SharedDoor) -> Self {
        let router = crate::surfaces::router().layer(axum::middleware::from_fn(tell_route)).with_state(door.clone());
        Self { door, router }
    }

    pub(crate) fn head_timeout(&self) -> Duration {
        self.door.settings.head_timeout
    }

    /// Answers one request, whatever it is.
    pub(crate) async fn answer<B>(self, request: Request<B>) -> Response
    where
        B: hyper::body::Body<Data = Bytes> + Unpin + Send + 'static,
        B::Error: Into<axum::BoxError>,
    {
        let instant = Instant::now();
        let in_flight = InFlight::enter();
        let method = request.method().clone();
        let request_id = self.request_id(request.headers());
        let envelope = Envelope::of(request.uri().path());
        let arrival = Arrival {
            request_id: request_id.clone(),
            at: self.door.dependencies.clock.now(),
            instant,
            body: Bytes::new(),
            trace: trace_of(request.headers()),
        };
        let trace = arrival.trace.clone();
        let answered = AssertUnwindSafe(self.route(request, arrival)).catch_unwind().await;
        let response = answered.unwrap_or_else(|_| Err(Problem::internal()));
        let mut response = response.unwrap_or_else(axum::response::IntoResponse::into_response);
        let route = response.extensions_mut().remove::<MatchedPath>();
        let route = route.as_ref().map_or(NO_ROUTE, MatchedPath::as_str);
        let code = response.extensions().get::<Problem>().map_or("", |problem| problem.code);
        let ids = (&request_id, trace.as_ref().map(TraceContext::trace_id));
        observe(&method, route, response.status(), code, instant.elapsed(), ids);
        drop(in_flight);
        finish(response, &request_id, envelope)
    }

    async fn route<B>(self, request: Request<B>, mut arrival: Arrival) -> Result<Response, Problem>
    where
        B: hyper::body::Body<Data = Bytes> + Unpin + Send + 'static,
        B::Error: Into<axum::BoxError>,
    {
        check_headers(request.headers())?;
        let (parts, incoming) = request.into_parts();
        // An upload is taken in piece by piece, by its handler and under its own limits, once its caller is known.
        let body = if backfill::streams(&parts) {
            Body::new(incoming)
        } else {
            arrival.body = body::read(incoming, self.door.settings.body_timeout).await?;
            Body::empty()
        };
        let mut request = Request::from_parts(parts, body);
        request.extensions_mut().insert(arrival);
        let Ok(response) = self.router.oneshot(request).await;
        Ok(response)
    }

    fn request_id(&self, headers: &HeaderMap) -> RequestId {
        headers
            .get(REQUEST_ID)
            .and_then(|value| RequestId::from_caller(value.to_str().ok()?))
            .unwrap_or_else(|| self.door.mint_request_id())
    }
}

impl hyper::service::Service<Request<Incoming>> for Front {
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let front = self.clone();
        Box::pin(async move { Ok(front.answer(request).await) })
    }
}

/// Leaves the matched route template with the answer, for metrics and logs.
async fn tell_route(request: axum::extract::Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let mut response = next.run(request).await;
    if let Some(route) = route {
        response.extensions_mut().insert(route);
    }
    response
}

fn check_headers(headers: &HeaderMap) -> Result<(), Problem> {
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if headers.len() > HEADER_FIELDS || bytes > HEADER_BYTES {
        return Err(Problem::headers_too_large());
    }
    Ok(())
}

/// One `traceparent` that is sound, and what is in all `tracestate` fields.
fn trace_of(headers: &HeaderMap) -> Option<TraceContext> {
    let mut parents = headers.get_all("traceparent").iter();
    let (Some(parent), None) = (parents.next(), parents.next()) else { return None };
    let state: Vec<_> = headers.get_all("tracestate").iter().filter_map(|value| value.to_str().ok()).collect();
    TraceContext::parse(parent.to_str().ok()?, Some(&state.join(",")))
}

/// Gives a problem its bytes, and every answer its common headers.
fn finish(mut response: Response, request_id: &RequestId, envelope: Envelope) -> Response {
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        let allow = response.headers_mut().remove(ALLOW);
        response = problem.render(request_id.as_str(), envelope);
        if let Some(allow) = allow {
            response.headers_mut().insert(ALLOW, allow);
        }
    }
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(request_id.as_str()) {
        headers.insert(REQUEST_ID, id);
    }
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

fn observe(
    method: &Method,
    route: &str,
    status: http::StatusCode,
    code: &str,
    took: Duration,
    (request_id, trace): (&RequestId, Option<&str>),
) {
    // Methods are a closed set here: a caller cannot make new series.
    let method_label =
        if [Method::GET, Method::POST, Method::HEAD].contains(method) { method.as_str() } else { "other" };
    let route_label = route.to_owned();
    metrics::counter!(
        "touchstone_http_requests_total",
        "route" => route_label.clone(), "method" => method_label.to_owned(), "status" => status.as_str().to_owned()
    )
    .increment(1);
    metrics::histogram!("touchstone_http_request_duration_seconds", "route" => route_label).record(took.as_secs_f64());
    let (status, took_ms) = (status.as_u16(), took.as_secs_f64() * 1e3);
    if status >= 500 {
        tracing::warn!(%request_id, trace, method = method_label, route, status, code, took_ms, "request failed");
    } else {
        tracing::debug!(%request_id, trace, method = method_label, route, status, code, took_ms, "request answered");
    }
}

/// Counts a request as in flight for as long as it lives, also when its caller goes away.
struct InFlight;

impl InFlight {
    fn enter() -> Self {
        metrics::gauge!("touchstone_http_requests_in_flight").increment(1.0);
        Self
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        metrics::gauge!("touchstone_http_requests_in_flight").decrement(1.0);
    }
}
