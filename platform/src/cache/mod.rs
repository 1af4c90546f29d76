//! The cache port: replay protection, rate limits, finished verdicts and hot history.
//!
//! Guarantee: admission is one atomic step (one Redis script, or one lock). Nothing here is the truth except nonces and
//! rate counters; losing it never changes what an order's verdict is. Failure: errors are returned, and callers on the
//! door answer 503 rather than skip replay protection.
//! Design: ARCHITECTURE.md, "When a part is down".

mod embedded;
mod rate;
mod redis;

pub(crate) use redis::client as redis_client;

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use touchstone_schema::history::{HistoryByKey, HistoryKey, KeyedEntry};
use touchstone_schema::ids::KeyId;
use touchstone_schema::secret::Secret;
use touchstone_schema::tenant::Tenant;
use touchstone_schema::time::Timestamp;
use touchstone_schema::verdict::FinishedVerdict;

use crate::clock::Clock;
use crate::transport::Trust;

/// How long a revoked key is refused here; by then the directory of every process has long learnt of it.
const REVOKED_FOR: std::time::Duration = std::time::Duration::from_secs(86_400);

/// Which cache to use.
#[derive(Debug, Clone)]
pub enum CacheSettings {
    /// A Redis server, version 7 or later; the URL is a secret because it may carry a password.
    Redis {
        /// `redis://` or `rediss://`.
        url: Secret,
    },
    /// Memory of this process.
    Embedded {
        /// Where nonces are kept across a restart: two files of this name with `.0` and `.1` appended. None: they are
        /// forgotten. Only one process at a time can have them open.
        path: Option<PathBuf>,
    },
}

/// Opens the cache. A Redis that cannot be reached yet is no error: its methods fail until it can. A malformed URL, or
/// a nonce file that cannot be used, is.
pub async fn open(settings: &CacheSettings, clock: &Clock) -> Result<Arc<dyn Cache>, CacheError> {
    open_trusting(settings, clock, &Trust::default()).await
}

/// The same, with authorities that the server's certificate may come from.
pub async fn open_trusting(
    settings: &CacheSettings,
    clock: &Clock,
    trust: &Trust,
) -> Result<Arc<dyn Cache>, CacheError> {
    Ok(match settings {
        CacheSettings::Redis { url } => Arc::new(redis::RedisCache::open(url, trust)?),
        CacheSettings::Embedded { path } => {
            Arc::new(embedded::EmbeddedCache::open(path.as_deref(), clock.now()).map_err(CacheError::new)?)
        }
    })
}

/// The cache could not answer.
#[derive(Debug, thiserror::Error)]
#[error("the cache cannot be reached")]
pub struct CacheError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

impl CacheError {
    fn new(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(source.into())
    }
}

/// A request that wants to come in, its credentials already verified.
#[derive(Debug)]
pub struct Admission<'a> {
    /// Whose rate limit it counts against.
    pub tenant: &'a Tenant,
    /// The key that it came with.
    pub key: &'a KeyId,
    /// The store's limit, requests a minute.
    pub limit_per_minute: u32,
    /// Now.
    pub now: Timestamp,
    /// What a signed request has beside; none on surfaces whose credential is no signature.
    pub signed: Option<SignedRequest<'a>>,
}

/// What is known of a request that was signed.
#[derive(Debug)]
pub struct SignedRequest<'a> {
    /// The nonce, which lets a request in once; it is scoped to the key.
    pub nonce: &'a str,
    /// Random mark of this very request, by which its own nonce can be released again.
    pub mark: &'a str,
    /// The order that it carries, to look its finished verdict up in the same step.
    pub order_id: Option<&'a str>,
}

/// Where a store stands against its rate limit; what the `RateLimit` header tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateState {
    /// Requests a minute.
    pub limit: u32,
    /// Requests left right now.
    pub remaining: u32,
    /// Seconds until the next request is let in (when none remain) or until the full limit is back.
    pub reset_s: u32,
}

/// The answer to an [`Admission`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admitted {
    /// Come in.
    Yes {
        /// Rate state after this request.
        rate: RateState,
        /// Finished verdict of the signed request's order id, not older than the idempotency window.
        finished: Option<FinishedVerdict>,
    },
    /// The key was revoked.
    Revoked,
    /// Too many requests; no nonce was stored.
    RateLimited {
        /// Rate state.
        rate: RateState,
    },
    /// The nonce was used before.
    Replayed,
}

/// The port itself.
#[async_trait]
pub trait Cache: Send + Sync + 'static {
    /// Checks revocation and, of a signed request, whether its nonce was used; then takes a rate slot, sets the nonce and
    /// looks a finished verdict up. One round trip, in that order, stopping at the first refusal: a replay takes no slot, and
    /// a request over the limit stores no nonce.
    async fn admit(&self, admission: &Admission<'_>) -> Result<Admitted, CacheError>;

    /// Releases the nonce if it is still held by `mark`.
    async fn release_nonce(&self, key: &KeyId, nonce: &str, mark: &str) -> Result<(), CacheError>;

    /// Refuses a key in every process at once, ahead of the directory's poll.
    async fn revoke(&self, key: &KeyId) -> Result<(), CacheError>;

    /// Remembers finished verdicts of signed-surface orders for the rest of their idempotency hour, one round trip for
    /// all. Idempotent.
    async fn remember(&self, finished: &[Finished<'_>], now: Timestamp) -> Result<(), CacheError>;

    /// Hot history, where there is one: none when the store lives in the same process and is as near.
    fn history(&self) -> Option<&dyn HotHistory>;

    /// Whether the cache answers right now.
    async fn check(&self) -> Result<(), CacheError>;

    /// What an operator should change in how the cache is set up, a sentence each, for `doctor`.
    async fn shortcomings(&self) -> Result<Vec<String>, CacheError>;
}

/// One order whose verdict is committed.
#[derive(Debug)]
pub struct Finished<'a> {
    /// Owner.
    pub tenant: &'a Tenant,
    /// The merchant's order id.
    pub order_id: &'a str,
    /// The verdict.
    pub verdict: &'a FinishedVerdict,
}

/// History where a batch of orders reads it in one round trip. The store is the truth; this is a copy of what is
/// committed there, filled and mended by [`crate::refill`].
///
/// Guarantee: it either gives the same as the store, or says that it does not hold history in full. An entry that could
/// not be written takes that claim back, if need be as soon as the server answers again.
#[async_trait]
pub trait HotHistory: Send + Sync {
    /// The history of the keys from `since` on, newest first, at most `HISTORY_DEPTH` entries each. `None` when history
    /// is not held in full (it was flushed, or never filled), so that the store must be asked.
    async fn load(&self, keys: &[HistoryKey], since: Timestamp) -> Result<Option<HistoryByKey>, CacheError>;

    /// Adds entries that were just committed, one round trip for all. Adding one again changes nothing that is loaded.
    async fn remember(&self, entries: &[KeyedEntry], now: Timestamp) -> Result<(), CacheError>;

    /// Takes back that history is held in full: entries were committed that nobody can hand on any more.
    async fn distrust(&self) -> Result<(), CacheError>;

    /// Takes the right to fill history from the store; `None` while another process has it. It is lost when the server
    /// is flushed, when an entry is lost on its way, or when its holder is silent for a while.
    async fn claim(&self) -> Result<Option<Holder>, CacheError>;

    /// Forgets all history, which is no longer held in full. False: the right was lost.
    async fn forget(&self, holder: &Holder) -> Result<bool, CacheError>;

    /// Adds entries of the store, leaving out those that are here. False: the right was lost, and nothing added.
    async fn refill(&self, holder: &Holder, entries: &[KeyedEntry], now: Timestamp) -> Result<bool, CacheError>;

    /// Gives the right back, declaring, if `complete`, that history is held in full. False: the right was lost before,
    /// and nothing declared.
    async fn release(&self, holder: &Holder, complete: bool) -> Result<bool, CacheError>;
}

/// Who fills history.
#[derive(Debug)]
pub struct Holder(String);
