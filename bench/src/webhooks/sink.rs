//! Takes webhooks as fast as it can, remembers when they came, and leaves those to `/hang` without an answer.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Context;
use http_body_util::{BodyExt, Empty};
use hyper::{
    Request, Response, StatusCode,
    body::{Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{
    net::{TcpListener, TcpStream},
    task::AbortHandle,
};
use touchstone_platform::clock::Clock;
use touchstone_schema::time::Timestamp;
use touchstone_tests::eventually;

/// One webhook.
#[derive(Clone)]
pub(super) struct Arrival {
    at: Instant,
    clock: Timestamp,
    body: Bytes,
}

impl Arrival {
    /// Milliseconds from the time that its body names to its arrival.
    pub(super) fn age_ms(&self, pointer: &str) -> Option<f64> {
        let document: Value = serde_json::from_slice(&self.body).ok()?;
        let then = Timestamp::parse_rfc3339(super::member(&document, pointer).ok()?)?;
        Some(self.clock.since(then).as_secs_f64() * 1_000.0)
    }
}

/// The sink; it closes when dropped.
pub(super) struct Sink {
    address: SocketAddr,
    arrivals: Arc<Mutex<Vec<Arrival>>>,
    server: AbortHandle,
}

impl Sink {
    pub(super) async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let arrivals = Arc::new(Mutex::new(Vec::new()));
        let server = tokio::spawn(accept(listener, Arc::clone(&arrivals))).abort_handle();
        Ok(Self { address, arrivals, server })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }

    /// Everything that arrived and was answered.
    pub(super) fn arrivals(&self) -> Vec<Arrival> {
        lock(&self.arrivals).clone()
    }

    /// Waits until so many have arrived; when the first of them did.
    pub(super) async fn wait_for(&self, count: usize, within: Duration) -> anyhow::Result<Instant> {
        let what = format!("{count} webhooks");
        let all = eventually(within, &what, async || {
            let arrivals = lock(&self.arrivals);
            (arrivals.len() >= count).then(|| arrivals.first().map(|first| first.at)).flatten()
        });
        let all = all.await;
        all.with_context(|| format!("{} had arrived", lock(&self.arrivals).len()))
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn lock(arrivals: &Mutex<Vec<Arrival>>) -> MutexGuard<'_, Vec<Arrival>> {
    arrivals.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(listener: TcpListener, arrivals: Arc<Mutex<Vec<Arrival>>>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(serve(stream, Arc::clone(&arrivals)));
    }
}

async fn serve(stream: TcpStream, arrivals: Arc<Mutex<Vec<Arrival>>>) {
    let clock = Clock::system();
    let service = service_fn(|request: Request<Incoming>| {
        let (arrivals, clock) = (Arc::clone(&arrivals), clock.clone());
        async move {
            if request.uri().path().starts_with("/hang") {
                std::future::pending::<()>().await;
            }
            let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
            lock(&arrivals).push(Arrival { at: Instant::now(), clock: clock.now(), body });
            let mut answer = Response::new(Empty::<Bytes>::new());
            *answer.status_mut() = StatusCode::NO_CONTENT;
            Ok::<_, Infallible>(answer)
        }
    });
    // An error is a sender that went away.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}
