//! The front door: signed orders come in here, and verdicts or promises go out.
//!
//! Guarantee: nothing unsigned costs more than microseconds, nothing is answered 2xx that could still be lost, and every
//! answer carries a request id. No decision about risk is made here.
//! Failure: whatever is needed for a safe answer and is down gives 503 with `Retry-After`; the caller may retry.
//! Design: ARCHITECTURE.md, "One order, end to end". A request flows through the modules in this order: `http` → `auth` →
//! `order_body` → `admit` → `surfaces` → `enqueue` → `promise` → `respond` / `problem`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use touchstone_platform::cache::Cache;
use touchstone_platform::clock::Clock;
use touchstone_platform::crypto::{BcryptVerifier, MasterKeys};
use touchstone_platform::directory::Directory;
use touchstone_platform::listen::WriteLimits;
use touchstone_platform::queue::Queue;
use touchstone_platform::store::Store;
use touchstone_schema::limits::BACKFILL_DAY_BYTES;

mod admit;
mod auth;
mod door;
mod enqueue;
mod http;
#[cfg(any(test, fuzzing))]
pub mod invariants;
mod openapi;
mod order_body;
mod problem;
mod promise;
mod readiness;
mod respond;
mod surfaces;

pub use openapi::openapi;

/// What the door may be told from outside.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where callers reach this door, without a trailing slash; named in the OpenAPI document.
    pub public_url: String,
    /// Most connections at once; one more is answered 503 and closed.
    pub max_connections: usize,
    /// Most connections of one address; one more is answered 503 and closed.
    pub connections_per_peer: usize,
    /// Networks of reverse proxies, whose connections have no limit by address.
    pub trusted_proxies: Vec<IpNet>,
    /// How long a caller may take to read what is sent to it.
    pub write_limits: WriteLimits,
    /// How long a caller may take to send the head of a request; a kept-alive connection may idle as long.
    pub head_timeout: Duration,
    /// How long a caller may take to send a body.
    pub body_timeout: Duration,
    /// Bytes that a store may upload in a day (UTC).
    pub upload_day_bytes: u64,
    /// Fewest bytes a second at which an upload must come in, over each [`Self::upload_window`].
    pub upload_least_rate: u64,
    /// Time that is waited for the sender of an upload, over which its rate is taken.
    pub upload_window: Duration,
    /// How long requests in flight may go on after the shutdown began.
    pub drain_timeout: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            public_url: "http://127.0.0.1:8080".to_owned(),
            max_connections: 4_096,
            connections_per_peer: 256,
            trusted_proxies: [IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST)]
                .map(IpNet::from)
                .into(),
            write_limits: WriteLimits::default(),
            head_timeout: Duration::from_secs(30),
            body_timeout: Duration::from_secs(10),
            upload_day_bytes: BACKFILL_DAY_BYTES,
            upload_least_rate: 16 * 1024,
            upload_window: Duration::from_secs(15),
            drain_timeout: Duration::from_secs(10),
        }
    }
}

/// What the door works with; made by the composition root.
#[derive(Clone)]
pub struct Dependencies {
    /// Transactions, decisions, promises.
    pub store: Store,
    /// Lanes to the scorer and the notifier.
    pub queue: Arc<dyn Queue>,
    /// Admission.
    pub cache: Arc<dyn Cache>,
    /// Stores and keys.
    pub directory: Arc<Directory>,
    /// The pepper of API keys.
    pub master_keys: Arc<MasterKeys>,
    /// bcrypt, once per key.
    pub bcrypt: Arc<BcryptVerifier>,
    /// The time.
    pub clock: Clock,
}

impl std::fmt::Debug for Dependencies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dependencies").finish_non_exhaustive()
    }
}

/// Why the door closed by itself.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// The listener broke.
    #[error("the HTTP listener failed")]
    Listener(#[source] std::io::Error),
}

/// Serves until `shutdown`, then stops accepting and lets requests in flight finish.
///
/// # Errors
/// When the listening socket breaks for good; a full table of open files is waited out instead.
pub async fn run(
    settings: Settings,
    dependencies: Dependencies,
    listener: TcpListener,
    shutdown: CancellationToken,
) -> Result<(), IngestError> {
    let door = Arc::new(door::Door::new(settings, dependencies));
    http::accept::serve(door, listener, shutdown).await
}
