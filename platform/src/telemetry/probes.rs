//! The probe door: `/healthz`, `/readyz` and `/metrics`, for operators.
//!
//! Guarantee: a probe is answered however many connections lie idle: there are never more than [`CONNECTIONS`], and one
//! more ends the oldest. Dependencies are asked at most once in [`FRESH`], however many probes ask.
//! Failure: as of [`Acceptor`]; the roles of the process go on whatever happens here.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Metrics;
use crate::listen::{Acceptor, Paced, WriteLimits};

/// Most connections at once.
const CONNECTIONS: usize = 64;
/// How long a connection may take over the head of a request, and may lie idle.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection may take to read an answer.
const WRITE_LIMITS: WriteLimits = WriteLimits { stall: Duration::from_secs(5), total: Duration::from_secs(10) };
/// How long the state of the dependencies is told again.
const FRESH: Duration = Duration::from_secs(1);

/// Tells how one dependency does.
#[async_trait::async_trait]
pub trait Readiness: Send + Sync + 'static {
    /// Each dependency by name, and what is wrong with it if anything is.
    async fn check(&self) -> Vec<Check>;
}

/// A dependency, and what is wrong with it if anything is.
type Check = (&'static str, Result<(), String>);

/// The state of the dependencies and when it was found. The lock also lets one probe at a time ask.
struct Recent {
    readiness: Arc<dyn Readiness>,
    last: Mutex<Option<(Instant, Arc<[Check]>)>>,
}

impl Recent {
    async fn check(&self) -> Arc<[Check]> {
        let mut last = self.last.lock().await;
        if let Some((at, checks)) = &*last
            && at.elapsed() < FRESH
        {
            return Arc::clone(checks);
        }
        let checks: Arc<[Check]> = self.readiness.check().await.into();
        *last = Some((Instant::now(), Arc::clone(&checks)));
        checks
    }
}

/// Serves until shutdown.
///
/// # Errors
/// When the listening socket is broken for good.
pub async fn serve_probes(
    listener: TcpListener,
    metrics: Metrics,
    readiness: Arc<dyn Readiness>,
    shutdown: CancellationToken,
) -> Result<(), std::io::Error> {
    let readiness = Arc::new(Recent { readiness, last: Mutex::default() });
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    let mut open = VecDeque::new();
    let mut acceptor = Acceptor::new(listener, shutdown.clone());
    while let Some((stream, _)) = acceptor.next().await? {
        open.retain(|ended: &CancellationToken| !ended.is_cancelled());
        if slots.available_permits() == 0
            && let Some(oldest) = open.pop_front()
        {
            oldest.cancel();
        }
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return Ok(()) };
        let ended = shutdown.child_token();
        open.push_back(ended.clone());
        let (metrics, readiness) = (metrics.clone(), Arc::clone(&readiness));
        tokio::spawn(async move {
            tokio::select! {
                () = serve_connection(stream, metrics, readiness) => {}
                () = ended.cancelled() => {}
            }
            ended.cancel();
            drop(slot);
        });
    }
    Ok(())
}

async fn serve_connection(stream: TcpStream, metrics: Metrics, readiness: Arc<Recent>) {
    let service = service_fn(move |request| {
        let (metrics, readiness) = (metrics.clone(), Arc::clone(&readiness));
        async move { Ok::<_, Infallible>(answer(&request, &metrics, &readiness).await) }
    });
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
    let stream = TokioIo::new(Paced::new(stream, WRITE_LIMITS));
    if let Err(error) = builder.serve_connection(stream, service).await {
        tracing::debug!(%error, "a connection of a probe ended early");
    }
}

async fn answer<B>(request: &Request<B>, metrics: &Metrics, readiness: &Recent) -> Response<Full<Bytes>> {
    match request.uri().path() {
        "/healthz" => text(StatusCode::OK, "ok\n".to_owned()),
        "/metrics" => text(StatusCode::OK, metrics.render()),
        "/readyz" => {
            let checks = readiness.check().await;
            let ready = checks.iter().all(|(_, result)| result.is_ok());
            let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            let line = |(name, result): &Check| match result {
                Ok(()) => format!("{name}: ok\n"),
                Err(problem) => format!("{name}: {problem}\n"),
            };
            text(status, checks.iter().map(line).collect())
        }
        _ => text(StatusCode::NOT_FOUND, "expected /healthz, /readyz or /metrics\n".to_owned()),
    }
}

fn text(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(
        hyper::header::CONTENT_TYPE,
        hyper::header::HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"),
    );
    response
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[derive(Default)]
    struct Counted(AtomicUsize);

    #[async_trait::async_trait]
    impl Readiness for Arc<Counted> {
        async fn check(&self) -> Vec<Check> {
            self.0.fetch_add(1, Ordering::SeqCst);
            vec![("store", Ok(())), ("queue", Err("away".to_owned()))]
        }
    }

    async fn serve() -> (SocketAddr, Arc<Counted>, tokio_util::sync::DropGuard) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, counted) = (listener.local_addr().unwrap(), Arc::<Counted>::default());
        let shutdown = CancellationToken::new();
        let served = serve_probes(listener, Metrics::install(), Arc::new(Arc::clone(&counted)), shutdown.clone());
        tokio::spawn(served);
        (address, counted, shutdown.drop_guard())
    }

    async fn get(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: t\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn probe_is_answered_at_once_beside_many_idle_connections() {
        let (address, _counted, _running) = serve().await;
        let mut idle = Vec::new();
        for _ in 0..CONNECTIONS * 2 + 12 {
            idle.push(TcpStream::connect(address).await.unwrap());
        }
        let scraped = tokio::time::timeout(HEADER_TIMEOUT / 2, get(address, "/metrics")).await;
        assert!(scraped.unwrap().starts_with("HTTP/1.1 200"));
        let mut first = idle.remove(0);
        assert_eq!(first.read(&mut [0]).await.unwrap_or(0), 0, "the oldest were closed");
    }

    #[tokio::test]
    async fn dependencies_are_asked_once_however_many_probes_ask() {
        let (address, counted, _running) = serve().await;
        let answers = futures_util::future::join_all((0..20).map(|_| get(address, "/readyz"))).await;
        assert!(answers.iter().all(|answer| answer.starts_with("HTTP/1.1 503") && answer.contains("queue: away")));
        assert_eq!(counted.0.load(Ordering::SeqCst), 1);
    }
}
