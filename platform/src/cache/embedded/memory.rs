//! Finished verdicts and recent history, in memory.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use touchstone_schema::history::{HistoryByKey, HistoryEntry, HistoryKey};
use touchstone_schema::limits::{HISTORY_DEPTH, HISTORY_SPAN, IDEMPOTENCY_WINDOW};
use touchstone_schema::tenant::Tenant;
use touchstone_schema::time::Timestamp;
use touchstone_schema::verdict::FinishedVerdict;

use super::super::Finished;

/// Most verdicts held; the oldest go first. A verdict is about 1 KB.
const VERDICTS: usize = 32_768;
/// Most references from history keys to entries. An order has up to seven, and its entry about 200 bytes.
const HISTORY_REFERENCES: usize = 2_000_000;

type VerdictKey = (Tenant, Box<str>);

/// Finished verdicts of the last hour.
#[derive(Default)]
pub(super) struct RecentVerdicts {
    by_order: HashMap<VerdictKey, FinishedVerdict>,
    /// In the order of arrival; a verdict replaced since is skipped by its time.
    arrivals: VecDeque<(Timestamp, VerdictKey)>,
}

impl RecentVerdicts {
    /// Keeps an order's verdict, if it has one that is within its hour.
    pub(super) fn insert(&mut self, order: &Finished<'_>, now: Timestamp) {
        let Some(verdict) = order.verdict.filter(|verdict| in_time(verdict.received_at, now)) else { return };
        let key = (order.tenant.clone(), Box::from(order.order_id));
        self.by_order.insert(key.clone(), verdict.clone());
        self.arrivals.push_back((verdict.received_at, key));
        while self.arrivals.len() > VERDICTS || self.arrivals.front().is_some_and(|(at, _)| !in_time(*at, now)) {
            let Some((received_at, key)) = self.arrivals.pop_front() else { break };
            if self.by_order.get(&key).is_some_and(|kept| kept.received_at == received_at) {
                self.by_order.remove(&key);
            }
        }
    }

    /// The verdict of an order whose hour has not passed.
    pub(super) fn get(&self, tenant: &Tenant, order_id: &str, now: Timestamp) -> Option<FinishedVerdict> {
        let verdict = self.by_order.get(&(tenant.clone(), Box::from(order_id)))?;
        in_time(verdict.received_at, now).then(|| verdict.clone())
    }
}

fn in_time(received_at: Timestamp, now: Timestamp) -> bool {
    now.since(received_at) < IDEMPOTENCY_WINDOW
}

/// The newest entries of each history key.
#[derive(Default)]
pub(super) struct RecentHistory {
    complete: bool,
    references: usize,
    by_key: HashMap<HistoryKey, Vec<Arc<HistoryEntry>>>,
}

impl RecentHistory {
    /// Keeps an entry under each of its keys. When that is too much, forgets all and no longer claims to be complete.
    pub(super) fn insert(&mut self, entry: &HistoryEntry, now: Timestamp) {
        if !is_recent(entry, now) {
            return;
        }
        let shared = Arc::new(entry.clone());
        for (_, key) in entry.keys.iter() {
            let kept = self.by_key.entry(key).or_default();
            let before = kept.len();
            kept.retain(|known| known.transaction_id != entry.transaction_id && is_recent(known, now));
            let place = kept.partition_point(|known| HistoryEntry::newest_first(known, entry).is_lt());
            kept.insert(place, Arc::clone(&shared));
            kept.truncate(HISTORY_DEPTH);
            self.references = self.references + kept.len() - before;
        }
        if self.references > HISTORY_REFERENCES {
            self.make_room(now);
        }
    }

    /// The entries of the keys, newest first, if history is complete.
    pub(super) fn get(&self, keys: &[HistoryKey], now: Timestamp) -> Option<HistoryByKey> {
        let recent = |key| {
            let kept = self.by_key.get(key).map(Vec::as_slice).unwrap_or_default();
            kept.iter().filter(|entry| is_recent(entry, now)).cloned().collect()
        };
        self.complete.then(|| keys.iter().map(|key| (*key, recent(key))).collect())
    }

    /// Says that history is, or is not, complete from now on.
    pub(super) fn mark_complete(&mut self, complete: bool) {
        self.complete = complete;
    }

    fn make_room(&mut self, now: Timestamp) {
        self.by_key.retain(|_, kept| {
            kept.retain(|entry| is_recent(entry, now));
            !kept.is_empty()
        });
        self.references = self.by_key.values().map(Vec::len).sum();
        if self.references > HISTORY_REFERENCES / 2 {
            *self = Self::default();
        }
    }
}

fn is_recent(entry: &HistoryEntry, now: Timestamp) -> bool {
    now.since(entry.received_at) < HISTORY_SPAN
}
