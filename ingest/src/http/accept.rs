//! The accept loop.
//!
//! Guarantee: never more than the allowed number of connections, of all and of one address; a caller too many is told so
//! with a request id. A slow head or an idle connection is closed after the head time-out, and one that does not read its
//! answers within the limits of [`Paced`]. On shutdown nothing new is accepted, requests in
//! flight finish, and what is left after the drain time-out is cut.
//! Failure: errors of single connections are logged and forgotten; running out of open files is waited out.

use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use touchstone_platform::listen::{Acceptor, Paced, Peers, Place};

use super::linger::Lingering;
use super::service::Front;
use crate::IngestError;
use crate::door::SharedDoor;

/// Most header fields that are parsed; requests above the tighter limit of [`super::service`] still get a whole answer.
const PARSED_HEADERS: usize = 128;
/// Largest head that is read.
const HEAD_BUFFER: usize = 64 * 1024;
/// Refusals that are written at once; callers beyond are dropped.
const REFUSALS: usize = 64;
/// How long writing a refusal may take.
const REFUSAL_PATIENCE: Duration = Duration::from_secs(1);

/// Accepts until `shutdown`, then drains.
pub(crate) async fn serve(
    door: SharedDoor,
    listener: TcpListener,
    shutdown: CancellationToken,
) -> Result<(), IngestError> {
    let settings = &door.settings;
    let connections = u32::try_from(settings.max_connections.max(1)).unwrap_or(u32::MAX >> 3);
    let slots = Arc::new(Semaphore::new(connections as usize));
    let peers = Peers::new(settings.connections_per_peer.max(1), settings.trusted_proxies.clone());
    let refusals = Arc::new(Semaphore::new(REFUSALS));
    let front = Front::new(Arc::clone(&door));
    let mut acceptor = Acceptor::new(listener, shutdown.clone());
    while let Some((stream, peer)) = acceptor.next().await.map_err(IngestError::Listener)? {
        let stream = Lingering::new(Paced::new(stream, settings.write_limits));
        let slot = peers.enter(peer).and_then(|place| Slot::take(&slots, place));
        match slot {
            Some(slot) => {
                tokio::spawn(connection(front.clone(), stream, slot, shutdown.clone()));
            }
            None => {
                if let Ok(permit) = Arc::clone(&refusals).try_acquire_owned() {
                    tokio::spawn(refuse(Arc::clone(&door), stream, permit));
                }
            }
        }
    }
    drop(acceptor);
    let drained = timeout(settings.drain_timeout, slots.acquire_many(connections)).await;
    if drained.is_err() {
        tracing::warn!("requests in flight were cut when the time to drain was over");
    }
    Ok(())
}

/// An open connection's share of what there is: one of all connections, and one of its address's.
struct Slot {
    _permit: OwnedSemaphorePermit,
    _place: Place,
}

impl Slot {
    fn take(slots: &Arc<Semaphore>, place: Place) -> Option<Self> {
        let permit = Arc::clone(slots).try_acquire_owned().ok()?;
        metrics::gauge!("touchstone_http_connections_open").increment(1.0);
        Some(Self { _permit: permit, _place: place })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        metrics::gauge!("touchstone_http_connections_open").decrement(1.0);
    }
}

/// Serves the requests of one connection. The slot is free again when it ends.
async fn connection(front: Front, stream: Lingering, slot: Slot, shutdown: CancellationToken) {
    let head_timeout = front.head_timeout();
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head_timeout)
        .max_headers(PARSED_HEADERS)
        .max_buf_size(HEAD_BUFFER)
        .serve_connection(TokioIo::new(stream), front);
    let mut served = std::pin::pin!(served);
    let result = tokio::select! {
        result = served.as_mut() => result,
        () = shutdown.cancelled() => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "a connection ended early");
    }
    drop(slot);
}

/// Tells a caller that there is no room, without reading its request.
async fn refuse(door: SharedDoor, mut stream: Lingering, permit: OwnedSemaphorePermit) {
    metrics::counter!("touchstone_http_connections_refused_total").increment(1);
    let id = door.mint_request_id();
    let problem = crate::problem::Problem::unavailable();
    let body = problem.text(id.as_str());
    let answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\nx-request-id: {id}\r\nretry-after: \
         1\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let _ = timeout(REFUSAL_PATIENCE, async {
        stream.write_all(answer.as_bytes()).await?;
        stream.shutdown().await
    })
    .await;
    drop(permit);
}
