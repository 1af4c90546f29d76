//! A merchant's webhook receiver that verifies signatures.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use touchstone_platform::crypto::webhook_signature;
use touchstone_schema::secret::Secret;

/// Longest webhook that is read.
const BODY_BYTES: usize = 1 << 20;

/// The receiver; it stops when it is dropped.
pub(super) struct Receiver {
    pub(super) address: SocketAddr,
    state: Arc<State>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct State {
    key: OnceLock<Secret>,
    seen: Mutex<Seen>,
    arrived: Notify,
}

#[derive(Default)]
struct Seen {
    /// The data of the events that came with a signature that is right, by order and type.
    verified: HashMap<(String, String), Value>,
    rejected: usize,
}

impl State {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn take(&self, request: Request<Incoming>) -> StatusCode {
        let (head, body) = request.into_parts();
        let Ok(body) = Limited::new(body, BODY_BYTES).collect().await else { return StatusCode::PAYLOAD_TOO_LARGE };
        let body = body.to_bytes();
        let verified = self.key.get().is_some_and(|key| is_signed(key, &head.headers, &body));
        let mut seen = self.seen();
        if !verified {
            seen.rejected += 1;
            return StatusCode::UNAUTHORIZED;
        }
        if let Some((order_and_type, data)) = event(&body) {
            seen.verified.insert(order_and_type, data);
        }
        drop(seen);
        self.arrived.notify_waiters();
        StatusCode::NO_CONTENT
    }
}

/// Whether one of the signatures is the one that the key makes over these very bytes.
fn is_signed(key: &Secret, headers: &HeaderMap, body: &[u8]) -> bool {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let (Some(id), Some(timestamp), Some(signatures)) =
        (header("webhook-id"), header("webhook-timestamp"), header("webhook-signature"))
    else {
        return false;
    };
    let Ok(timestamp) = timestamp.parse() else { return false };
    let expected = webhook_signature(key, id, timestamp, body);
    signatures.split(' ').any(|signature| signature == expected)
}

fn event(body: &[u8]) -> Option<((String, String), Value)> {
    let mut event: Value = serde_json::from_slice(body).ok()?;
    let kind = event.get("type")?.as_str()?.to_owned();
    let data = event.get_mut("data")?.take();
    Some(((data.get("order_id")?.as_str()?.to_owned(), kind), data))
}

impl Receiver {
    pub(super) async fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let state = Arc::new(State::default());
        let task = tokio::spawn(serve(listener, Arc::clone(&state)));
        Ok(Self { address, state, task })
    }

    /// Sets the endpoint's signing key; until then everything is refused.
    pub(super) fn verify_with(&self, key: Secret) {
        // The first key stays: the demo makes one endpoint.
        let _ = self.state.key.set(key);
    }

    /// Waits until all these events (order, type) have come, or the time is over.
    pub(super) async fn wait_for(&self, events: &[(String, &str)], limit: Duration) {
        let all_here = async {
            loop {
                let arrived = self.state.arrived.notified();
                let mut arrived = std::pin::pin!(arrived);
                arrived.as_mut().enable();
                if events.iter().all(|(order, kind)| self.told(order, kind).is_some()) {
                    return;
                }
                arrived.await;
            }
        };
        // What is missing then is told by the report.
        let _ = tokio::time::timeout(limit, all_here).await;
    }

    /// The data of an event that came.
    pub(super) fn told(&self, order: &str, kind: &str) -> Option<Value> {
        self.state.seen().verified.get(&(order.to_owned(), kind.to_owned())).cloned()
    }

    /// Requests whose signature was wrong.
    pub(super) fn rejected(&self) -> usize {
        self.state.seen().rejected
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, state: Arc<State>) {
    while let Ok((stream, _)) = listener.accept().await {
        let state = Arc::clone(&state);
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let state = Arc::clone(&state);
                async move {
                    let mut response = Response::new(Empty::<Bytes>::new());
                    *response.status_mut() = state.take(request).await;
                    Ok::<_, Infallible>(response)
                }
            });
            // A sender that hangs up tries again.
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}
