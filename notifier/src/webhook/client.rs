//! The HTTP client of webhooks: HTTP/2 where a receiver agrees to it over TLS, HTTP/1.1 otherwise, kept-alive connections, no
//! redirects, no proxies from the environment.
//!
//! Guarantee: an attempt ends within its time-out, the answer's body included, and holds at most [`READ_MOST`] bytes of
//! it; what a receiver drips or floods beyond that is cut off with its connection. A connection carries further attempts only
//! after one that ended in full and in time, so what a receiver leaves undone on one never piles up or stops others.
//! Failure: an attempt that provably reached no receiver, because a kept connection was gone or going, is made once more on
//! another connection, and counts as one; whatever may have been seen counts as it ended.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use http::{Extensions, HeaderName, HeaderValue, Request, Response, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::{CaptureConnection, capture_connection};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use touchstone_platform::egress::EgressPolicy;
use touchstone_schema::own_headers::OwnHeaders;
use touchstone_schema::trace::TraceContext;
use url::Url;

use crate::Settings;
use crate::connect::{ConnectFault, Connector, Link, behind};

/// Most bytes read of an answer's body.
const READ_MOST: usize = 4_096;
/// Most characters kept of it.
const KEPT_CHARS: usize = 512;
/// Idle connections kept per endpoint.
const IDLE_PER_HOST: usize = 4;
/// How long an idle connection is kept.
const IDLE_FOR: Duration = Duration::from_secs(30);
/// How long a connection is used at most: then the name is looked up again, and its addresses judged.
const CONNECTION_FOR: Duration = Duration::from_secs(300);
/// Most bytes of an answer's header fields, by HTTP/2.
const HEADERS_MOST: u32 = 16 * 1_024;
/// Most bytes of an answer that may be under way unread, by HTTP/2: what is read of a body, and as much as one frame.
const STREAM_WINDOW: u32 = 16 * 1_024;
/// The same of all answers on one connection.
const CONNECTION_WINDOW: u32 = 1_024 * 1_024;
/// Most requests on one HTTP/2 connection until the receiver has said how many it takes.
const FIRST_STREAMS: usize = 16;
/// Most bytes of a request that wait here for a receiver to take them, by HTTP/2.
const SEND_BUFFER: usize = 256 * 1_024;
/// Longest `Retry-After` value looked at.
const RETRY_AFTER_CHARS: usize = 64;

/// How an attempt is recorded that took too long.
pub(crate) const TIMED_OUT: &str = "timeout";

/// Why an attempt got no answer, as it is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The name does not resolve.
    Dns,
    /// The address may not be reached.
    BlockedAddress,
    /// No connection.
    Connect,
    /// The handshake failed.
    Tls,
    /// It took too long.
    Timeout,
    /// The URL cannot be used, or the answer is no HTTP.
    Protocol,
}

impl Failure {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::BlockedAddress => "blocked_address",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Timeout => TIMED_OUT,
            Self::Protocol => "protocol",
        }
    }
}

/// What a receiver answered in full, or up to the bound.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Status code.
    pub(crate) status: u16,
    /// `Retry-After`, as it came.
    pub(crate) retry_after: Option<String>,
    /// First characters of the body, made printable.
    pub(crate) start: String,
}

/// What is sent, and the headers that vouch for it.
#[derive(Debug)]
pub(crate) struct Signed<'a> {
    /// `webhook-id`.
    pub(crate) id: &'a str,
    /// `webhook-timestamp`.
    pub(crate) timestamp_s: i64,
    /// `webhook-signature`.
    pub(crate) signature: &'a str,
    /// The signed bytes.
    pub(crate) body: Bytes,
    /// The place in a trace that the receiver may go on from.
    pub(crate) trace: Option<&'a TraceContext>,
}

/// See the module. Cloning shares the connections.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    http: legacy::Client<HttpsConnector<Connector>, Full<Bytes>>,
    limit: Duration,
}

impl Client {
    pub(crate) fn new(settings: &Settings, egress: Arc<EgressPolicy>) -> std::io::Result<Self> {
        let connector = HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(rustls::crypto::ring::default_provider())?
            .https_or_http()
            .enable_http1()
            .enable_http2()
            .wrap_connector(Connector::new(egress, settings.connect_timeout));
        let http = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_FOR)
            .pool_max_idle_per_host(IDLE_PER_HOST)
            // Of a request that comes back unsent only: a kept connection was closed before it was taken.
            .retry_canceled_requests(true)
            .http2_max_header_list_size(HEADERS_MOST)
            .http2_initial_stream_window_size(STREAM_WINDOW)
            .http2_initial_connection_window_size(CONNECTION_WINDOW)
            .http2_initial_max_send_streams(FIRST_STREAMS)
            .http2_max_send_buf_size(SEND_BUFFER)
            .build(connector);
        Ok(Self { http, limit: settings.attempt_timeout })
    }

    /// Sends `body` with the signature headers; any status is an answer.
    pub(crate) async fn post(&self, url: &str, signed: &Signed<'_>, own: &OwnHeaders) -> Result<Answer, Failure> {
        let request = request(url, signed, own).ok_or(Failure::Protocol)?;
        tokio::time::timeout(self.limit, self.exchange(request)).await.map_err(|_| Failure::Timeout)?
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Answer, Failure> {
        let mut sent = self.send(request.clone()).await;
        if sent.as_ref().is_err_and(is_unseen) {
            sent = self.send(request).await;
        }
        let (response, mut connection) = sent.map_err(|error| classify(&error))?;
        let status = response.status().as_u16();
        let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let retry_after = retry_after.filter(|value| value.len() <= RETRY_AFTER_CHARS).map(str::to_owned);
        let young = response.extensions().get::<Arc<Link>>().is_some_and(|link| link.age() < CONNECTION_FOR);
        let (start, whole) = read_start(response).await?;
        connection.reusable = young && whole;
        Ok(Answer { status, retry_after, start: printable(&start) })
    }

    async fn send(&self, mut request: Request<Full<Bytes>>) -> Result<(Response<Incoming>, Borrowed), legacy::Error> {
        let borrowed = Borrowed { connection: capture_connection(&mut request), reusable: false, limit: self.limit };
        Ok((self.http.request(request).await?, borrowed))
    }
}

/// The connection of an exchange. Unless that ends well, or when the attempt runs out of time and drops this, no other begins
/// on it, and it ends when those that are under way on it have had their time.
struct Borrowed {
    connection: CaptureConnection,
    reusable: bool,
    limit: Duration,
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        let connected = self.connection.connection_metadata();
        let Some(connected) = connected.as_ref().filter(|_| !self.reusable) else { return };
        connected.poison();
        // One of HTTP/1.1 ends with its exchange. One on which the receiver takes no streams would wait for it to do so.
        let mut extras = Extensions::new();
        connected.get_extras(&mut extras);
        if let Some(link) = extras.remove::<Arc<Link>>().filter(|_| connected.is_negotiated_h2()) {
            let limit = self.limit;
            tokio::spawn(async move {
                tokio::time::sleep(limit).await;
                link.end();
            });
        }
    }
}

/// Whether the receiver said that it has not looked at the request, and never will: it refused the stream, or went away before
/// it.
fn is_unseen(error: &legacy::Error) -> bool {
    behind::<h2::Error>(error).is_some_and(|error| {
        error.is_remote() && (error.is_go_away() || error.reason() == Some(h2::Reason::REFUSED_STREAM))
    })
}

/// Reads to the end or the bound, and tells which. Dropping an unfinished body ends its stream, or closes its connection.
async fn read_start(mut response: Response<Incoming>) -> Result<(Vec<u8>, bool), Failure> {
    let mut start = Vec::new();
    while let Some(frame) = response.body_mut().frame().await {
        let frame = frame.map_err(|_| Failure::Protocol)?;
        if let Some(data) = frame.data_ref() {
            let room = READ_MOST - start.len();
            start.extend_from_slice(&data[..data.len().min(room)]);
        }
        if start.len() >= READ_MOST {
            return Ok((start, false));
        }
    }
    Ok((start, true))
}

/// `None` when the URL or a header value cannot be sent. User and password of the URL become Basic authentication, as
/// every HTTP client does. The merchant's own headers come first, so that ours replace whatever they would stand for.
fn request(url: &str, signed: &Signed<'_>, own: &OwnHeaders) -> Option<Request<Full<Bytes>>> {
    let mut url = Url::parse(url).ok()?;
    if !matches!(url.scheme(), "http" | "https") {
        return None;
    }
    let credentials = (!url.username().is_empty() || url.password().is_some())
        .then(|| STANDARD.encode(format!("{}:{}", url.username(), url.password().unwrap_or(""))));
    url.set_username("").ok()?;
    url.set_password(None).ok()?;
    url.set_fragment(None);
    let mut request = Request::post(url.as_str().parse::<Uri>().ok()?).body(Full::new(signed.body.clone())).ok()?;
    let headers = request.headers_mut();
    if let Some(credentials) = credentials {
        headers.insert(AUTHORIZATION, secret_value(format!("Basic {credentials}").as_bytes())?);
    }
    for (name, value) in own.iter() {
        headers.insert(HeaderName::try_from(name).ok()?, secret_value(value.expose())?);
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(USER_AGENT, HeaderValue::from_static(concat!("Touchstone/", env!("CARGO_PKG_VERSION"))));
    if let Some(trace) = signed.trace {
        headers.insert("traceparent", HeaderValue::try_from(trace.parent()).ok()?);
        headers.remove("tracestate");
        if let Some(state) = trace.state() {
            headers.insert("tracestate", HeaderValue::try_from(state).ok()?);
        }
    }
    headers.insert("webhook-id", HeaderValue::try_from(signed.id).ok()?);
    headers.insert("webhook-timestamp", HeaderValue::from(signed.timestamp_s));
    headers.insert("webhook-signature", HeaderValue::try_from(signed.signature).ok()?);
    Some(request)
}

fn secret_value(value: &[u8]) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_bytes(value).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn classify(error: &legacy::Error) -> Failure {
    match behind(error) {
        Some(ConnectFault::Dns) => Failure::Dns,
        Some(ConnectFault::Blocked) => Failure::BlockedAddress,
        Some(ConnectFault::Refused) => Failure::Connect,
        Some(ConnectFault::Timeout) => Failure::Timeout,
        // The TCP connector has only the faults above, so what else fails while connecting is the handshake.
        None if error.is_connect() => Failure::Tls,
        None => Failure::Protocol,
    }
}

/// The bytes as text without control characters, so that no terminal, log or database trips over it.
fn printable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.chars().take(KEPT_CHARS).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed() -> Signed<'static> {
        Signed { id: "evt_1", timestamp_s: 1, signature: "v1,x", body: Bytes::new(), trace: None }
    }

    #[test]
    fn own_headers_are_sent_and_replace_no_credentials_of_ours() {
        let own = OwnHeaders::parse([b"Authorization: Bearer t".as_slice(), b"X-Shop: 7"]).unwrap();
        let request = request("https://user:pass@example.com/", &signed(), &own).unwrap();
        let headers = request.headers();
        assert_eq!(
            (&headers[AUTHORIZATION], &headers["x-shop"]),
            (&"Bearer t".parse().unwrap(), &"7".parse().unwrap())
        );
        assert_eq!(headers.get_all(AUTHORIZATION).iter().count(), 1);
        for (name, value) in [("webhook-id", "evt_1"), ("webhook-timestamp", "1"), ("webhook-signature", "v1,x")] {
            assert_eq!(headers.get_all(name).iter().collect::<Vec<_>>(), [value], "{name}");
        }
        assert!(!format!("{headers:?}").contains("Bearer"), "{headers:?}");
    }

    #[test]
    fn start_of_an_answer_is_printable_and_bounded() {
        assert_eq!(printable(b"ok\r\n\x1b[31m\0"), "ok   [31m ");
        assert_eq!(printable(b"\xff\xfeok"), "\u{fffd}\u{fffd}ok");
        assert_eq!(printable(&[b'x'; READ_MOST]).chars().count(), KEPT_CHARS);
    }

    #[test]
    fn only_web_addresses_make_a_request() {
        let made = |url| request(url, &signed(), &OwnHeaders::default());
        for url in ["file:///etc/passwd", "ftp://example.com/", "gopher://example.com", "example.com", "http://", ""] {
            assert!(made(url).is_none(), "{url}");
        }
        let request = made("https://user:pass@example.com:8443/hook?a=b#part").unwrap();
        assert_eq!(request.uri().to_string(), "https://example.com:8443/hook?a=b");
        assert_eq!(request.headers()[AUTHORIZATION], "Basic dXNlcjpwYXNz");
        assert_eq!(request.headers()["webhook-timestamp"], "1");
    }

    #[test]
    fn odd_spellings_of_addresses_become_addresses() {
        for url in ["http://0x7f.1/", "http://2130706433/", "http://017700000001/", "http://127.1/"] {
            let request = request(url, &signed(), &OwnHeaders::default()).unwrap();
            assert_eq!(request.uri().host(), Some("127.0.0.1"), "{url}");
        }
    }
}
