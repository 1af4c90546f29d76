//! Where a batch's history comes from: the cache, and the store whenever the cache does not hold history in full or
//! cannot be asked. Both give the same, so a verdict does not depend on it.
//!
//! Guarantee: what a batch has committed is in the cache before the next one of this loop reads and before its deliveries
//! are acknowledged; a process that dies in between leaves deliveries that come back, upon which another one catches up
//! from the store. Failure: entries that do not arrive take back that the cache is full (see `HotHistory`), and a task
//! fills it anew while history comes from the store.
//!
//! In embedded mode the store is in this process, and nothing of this runs.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use touchstone_platform::cache::{Cache, HotHistory};
use touchstone_platform::refill::{self, RefillError};
use touchstone_platform::store::{StoreError, SystemReason};
use touchstone_schema::history::{HistoryByKey, HistoryKey, HistoryKeyKind, KeyedEntry};
use touchstone_schema::time::Timestamp;

use crate::consume::Dependencies;

/// How far back a scorer catches up with one that may have died: longer than any batch takes from receipt to commit,
/// save those that waited on the durable lane, which tell their age when they come back.
const CATCH_UP: Duration = Duration::from_secs(300);
/// Pause after history could not be filled; it doubles with every failure.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest of these pauses.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What is to be done about the cache's history.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Wanted {
    /// Fill it anew, if it is not full.
    whole: bool,
    /// Add what has been learnt since.
    since: Option<Timestamp>,
}

impl Wanted {
    /// Both.
    fn and(self, other: Self) -> Self {
        let since = match (self.since, other.since) {
            (Some(one), Some(two)) => Some(one.min(two)),
            (one, two) => one.or(two),
        };
        Self { whole: self.whole || other.whole, since }
    }
}

/// Requests to the task that mends the cache.
#[derive(Debug, Default)]
struct Requests {
    wanted: Mutex<Wanted>,
    news: Notify,
}

impl Requests {
    fn add(&self, wanted: Wanted) {
        let mut all = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        *all = all.and(wanted);
        self.news.notify_one();
    }

    fn take(&self) -> Wanted {
        std::mem::take(&mut *self.wanted.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// History for one loop.
pub(crate) struct HistorySource {
    dependencies: Dependencies,
    requests: Arc<Requests>,
    /// Entries on their way to the cache.
    writing: tokio::sync::Mutex<JoinSet<()>>,
}

impl std::fmt::Debug for HistorySource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HistorySource")
    }
}

impl HistorySource {
    /// The history of the keys from `since` on.
    pub(crate) async fn load(
        &self,
        keys: &[(Option<HistoryKeyKind>, HistoryKey)],
        since: Timestamp,
    ) -> Result<HistoryByKey, StoreError> {
        if let Some(hot) = self.dependencies.cache.history() {
            self.written().await;
            let plain: Vec<HistoryKey> = keys.iter().map(|(_, key)| *key).collect();
            match hot.load(&plain, since).await {
                Ok(Some(history)) => return Ok(history),
                Ok(None) => {
                    count_store_read("incomplete");
                    self.requests.add(Wanted { whole: true, since: None });
                }
                Err(error) => {
                    count_store_read("failed");
                    tracing::debug!(error = &error as &dyn std::error::Error, "history is read from the store");
                    // A server that comes back may have lost its last second.
                    self.requests.add(Wanted { whole: false, since: Some(self.recently()) });
                }
            }
        }
        self.dependencies.store.system(SystemReason::RoleLoop).load_history(keys, since).await
    }

    /// Sends entries that were just committed on their way; waits for nothing.
    pub(crate) async fn remember(&self, entries: Vec<KeyedEntry>) {
        if entries.is_empty() || self.dependencies.cache.history().is_none() {
            return;
        }
        let (cache, now) = (Arc::clone(&self.dependencies.cache), self.dependencies.clock.now());
        let requests = Arc::clone(&self.requests);
        self.writing.lock().await.spawn(async move {
            if !write(cache.as_ref(), &entries, now).await {
                requests.add(Wanted { whole: true, since: None });
            }
        });
    }

    /// Returns when all entries have reached the cache, or their loss is known.
    pub(crate) async fn written(&self) {
        let mut writing = self.writing.lock().await;
        while writing.join_next().await.is_some() {}
    }

    /// Deliveries came back whose oldest order was received then: whoever had them may have died before he handed his
    /// entries on.
    pub(crate) fn catch_up(&self, received_at: Timestamp) {
        if self.dependencies.cache.history().is_some() {
            self.requests.add(Wanted { whole: false, since: Some(received_at.min(self.recently())) });
        }
    }

    fn recently(&self) -> Timestamp {
        self.dependencies.clock.now() - CATCH_UP
    }
}

/// Whether the cache has them.
async fn write(cache: &dyn Cache, entries: &[KeyedEntry], now: Timestamp) -> bool {
    let Some(hot) = cache.history() else { return true };
    let written = hot.remember(entries, now).await;
    if let Err(error) = &written {
        metrics::counter!("touchstone_history_entries_lost_total").increment(entries.len() as u64);
        tracing::warn!(
            error = error as &dyn std::error::Error,
            entries = entries.len(),
            "history did not reach the cache, which is filled anew from the store"
        );
    }
    written.is_ok()
}

fn count_store_read(reason: &'static str) {
    metrics::counter!("touchstone_history_from_store_total", "reason" => reason).increment(1);
}

/// Keeps the cache's history whole; one for all loops of a process.
pub(crate) struct HistoryKeeper {
    dependencies: Dependencies,
    requests: Arc<Requests>,
}

impl HistoryKeeper {
    pub(crate) fn new(dependencies: Dependencies) -> Self {
        Self { dependencies, requests: Arc::default() }
    }

    /// History for one more loop.
    pub(crate) fn source(&self) -> HistorySource {
        HistorySource {
            dependencies: self.dependencies.clone(),
            requests: Arc::clone(&self.requests),
            writing: tokio::sync::Mutex::default(),
        }
    }

    /// Runs until shutdown. Begins with what another process may have committed and not handed on when it died.
    pub(crate) async fn run(self, shutdown: CancellationToken) -> Result<(), Infallible> {
        let Some(hot) = self.dependencies.cache.history() else { return Ok(()) };
        self.requests.add(Wanted { whole: true, since: Some(self.dependencies.clock.now() - CATCH_UP) });
        let mut pause = FIRST_PAUSE;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                () = self.requests.news.notified() => {}
            }
            let wanted = self.requests.take();
            let mended = tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                mended = self.mend(hot, wanted) => mended,
            };
            let Err(error) = mended else {
                pause = FIRST_PAUSE;
                continue;
            };
            match error {
                RefillError::Busy => {}
                error => tracing::warn!(error = &error as &dyn std::error::Error, "history is not filled yet"),
            }
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                () = tokio::time::sleep(pause) => {}
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
            self.requests.add(wanted);
        }
    }

    async fn mend(&self, hot: &dyn HotHistory, wanted: Wanted) -> Result<(), RefillError> {
        let clock = &self.dependencies.clock;
        let store = || self.dependencies.store.system(SystemReason::RoleLoop);
        if wanted.whole && hot.load(&[], clock.now()).await?.is_none() {
            let entries = refill::rebuild(store(), hot, clock, |_| ()).await?;
            tracing::info!(entries, "history was filled from the store");
            metrics::counter!("touchstone_history_rebuilds_total").increment(1);
        } else if let Some(since) = wanted.since {
            refill::catch_up(store(), hot, clock, since).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn since(seconds: i64) -> Wanted {
        Wanted { whole: false, since: Some(Timestamp::from_millis(seconds * 1_000)) }
    }

    #[test]
    fn requests_add_up_to_the_whole_and_the_longest_time() {
        let whole = Wanted { whole: true, since: None };
        assert_eq!(Wanted::default().and(since(5)), since(5));
        assert_eq!(since(5).and(since(3)), since(3));
        assert_eq!(since(3).and(whole).and(since(5)), Wanted { whole: true, ..since(3) });
    }

    #[tokio::test]
    async fn what_is_asked_for_while_mending_is_not_forgotten() {
        let requests = Requests::default();
        requests.add(since(7));
        requests.news.notified().await;
        assert_eq!(requests.take(), since(7));
        requests.add(since(8));
        requests.add(since(6));
        requests.news.notified().await;
        assert_eq!(requests.take(), since(6));
        assert_eq!(requests.take(), Wanted::default());
    }
}
