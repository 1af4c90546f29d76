//! Computes the keys of existing history again, from the orders that are stored: after an upgrade that makes keys
//! differently.
//!
//! Guarantee: memory is that of a page; a pass that was stopped goes on where it was; nothing but keys is changed, and what
//! is there is only written where it differs. Entries without a stored order (attempts that failed, orders of files) keep
//! their keys but the one of the IP address, which may be one of a private address.
//! Failure: an order that cannot be read is counted and treated as one that is not stored.

use std::sync::Arc;

use touchstone_platform::directory::Snapshot;
use touchstone_platform::store::history::HistoryCursor;
use touchstone_platform::store::history::rekey::{ALL_STORES, NewKeys, Progress, Source};
use touchstone_platform::store::{Store, StoreError, SystemReason, SystemStore};
use touchstone_schema::history::HistoryKeys;
use touchstone_schema::ids::StoreId;
use touchstone_schema::tenant::{KeyMode, Surface};
use touchstone_schema::time::Timestamp;

use crate::batch::{PolicyCache, Reading, policy_of};
use crate::history_keys::OrderKeys;

pub use touchstone_platform::store::history::rekey::Counts;

/// Entries that are read and written together. Each may bring a document of 256 KiB.
pub const PAGE: u64 = 64;

/// A pass over history.
pub struct Rekey<'a> {
    store: &'a Store,
    directory: Arc<Snapshot>,
    only: Option<StoreId>,
    is_dry: bool,
    page: u64,
    progress: Progress,
    /// Entries without a document that were received before have keys of an older build.
    strip_before: Timestamp,
    policies: PolicyCache,
}

impl std::fmt::Debug for Rekey<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rekey").field("only", &self.only).field("progress", &self.progress).finish_non_exhaustive()
    }
}

impl<'a> Rekey<'a> {
    /// Begins a pass over the history of one store, or of all, or goes on with one that was stopped. A dry pass begins at
    /// the oldest entry and writes nothing.
    pub async fn begin(
        store: &'a Store,
        directory: Arc<Snapshot>,
        only: Option<StoreId>,
        is_dry: bool,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        let system = store.system(SystemReason::Operator);
        let of_all = system.rekey_progress(ALL_STORES).await?;
        let known = match &only {
            Some(store) => system.rekey_progress(store.as_str()).await?,
            None => of_all.clone(),
        };
        let first_begun_at = known.as_ref().map_or(now, |known| known.first_begun_at);
        let strip_before = of_all.map_or(first_begun_at, |of_all| of_all.first_begun_at.min(first_begun_at));
        let fresh = Progress { reached: None, counts: Counts::default(), first_begun_at, finished_at: None };
        let progress = known.filter(|known| known.finished_at.is_none() && !is_dry).unwrap_or(fresh);
        Ok(Self { store, directory, only, is_dry, page: PAGE, progress, strip_before, policies: PolicyCache::new() })
    }

    /// With pages of another size.
    #[must_use]
    pub const fn by(mut self, page: u64) -> Self {
        self.page = page;
        self
    }

    /// Whether it goes on with a pass that was stopped.
    pub const fn is_resumed(&self) -> bool {
        self.progress.reached.is_some()
    }

    /// What was done so far, with what was done before the pass was stopped.
    pub const fn counts(&self) -> Counts {
        self.progress.counts
    }

    /// Up to which moment history has been looked at.
    pub fn reached(&self) -> Option<Timestamp> {
        self.progress.reached.as_ref().map(|reached| reached.received_at)
    }

    /// Does one page. False: that was the last one.
    pub async fn step(&mut self, now: Timestamp) -> Result<bool, StoreError> {
        let page = self.system().history_sources(self.progress.reached.as_ref(), self.page).await?;
        let is_last = page.is_empty();
        let mut next = self.progress.clone();
        let mut new = Vec::new();
        for source in &page {
            next.reached = Some(HistoryCursor::from(&source.entry));
            if self.only.is_none() || self.only == source.store {
                new.extend(self.rekeyed(source, &mut next.counts));
            }
        }
        next.finished_at = is_last.then_some(now);
        if !self.is_dry {
            let scope = self.only.as_ref().map_or(ALL_STORES, StoreId::as_str);
            self.system().rekey(scope, &new, &next).await?;
        }
        self.progress = next;
        Ok(!is_last)
    }

    /// The new keys of an entry, if they differ.
    fn rekeyed(&mut self, source: &Source, counts: &mut Counts) -> Option<NewKeys> {
        counts.looked_at += 1;
        let entry = &source.entry;
        let of_document = match (&source.store, &source.document) {
            (Some(store), Some((mode, document))) => match self.keys_of(store, *mode, document) {
                Ok(keys) => Some(keys),
                Err(problem) => {
                    tracing::warn!(transaction = %entry.transaction_id, problem, "a stored order cannot be read");
                    counts.unreadable += 1;
                    None
                }
            },
            _ => {
                counts.without_document += 1;
                None
            }
        };
        let new = match of_document {
            Some(OrderKeys { keys, name, declared, .. }) => {
                let mut declared: Vec<_> = declared.into_iter().map(|(_, key)| key).collect();
                declared.sort_unstable_by_key(|key| key.as_i64());
                declared.dedup();
                let is_same = keys == entry.keys && name == entry.name && declared == sorted(source);
                (!is_same).then_some((keys, name, Some(declared)))
            }
            None if entry.keys.ip.is_some() && entry.received_at < self.strip_before => {
                Some((HistoryKeys { ip: None, ..entry.keys.clone() }, entry.name, None))
            }
            None => None,
        };
        let (keys, name, declared_keys) = new?;
        counts.changed += 1;
        Some(NewKeys { place: HistoryCursor::from(entry), keys, name, declared_keys })
    }

    fn keys_of(&mut self, store: &StoreId, mode: KeyMode, document: &str) -> Result<OrderKeys, String> {
        let profile = self.directory.store(store).ok_or("the store is not known")?;
        let policy = policy_of(&self.directory, store, &mut self.policies)?;
        let (data_key, own_domains) = (&profile.data_key, &profile.input.own_domains);
        let reading = Reading { data_key, mode, policy: &policy, own_domains };
        // Only the warnings, which are not needed here, depend on the surface.
        reading.order(document, Surface::Signed).map(|(_, keys)| keys)
    }

    const fn system(&self) -> SystemStore<'a> {
        self.store.system(SystemReason::Operator)
    }
}

fn sorted(source: &Source) -> Vec<touchstone_schema::history::HistoryKey> {
    let mut keys = source.declared_keys.clone();
    keys.sort_unstable_by_key(|key| key.as_i64());
    keys
}
