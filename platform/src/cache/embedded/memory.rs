//! Finished verdicts, in memory.

use std::collections::{HashMap, VecDeque};

use touchstone_schema::limits::IDEMPOTENCY_WINDOW;
use touchstone_schema::tenant::Tenant;
use touchstone_schema::time::Timestamp;
use touchstone_schema::verdict::FinishedVerdict;

use super::super::Finished;

/// Most verdicts held; the oldest go first. A verdict is about 1 KB.
const VERDICTS: usize = 32_768;

type VerdictKey = (Tenant, Box<str>);

/// Finished verdicts of the last hour.
#[derive(Default)]
pub(super) struct RecentVerdicts {
    by_order: HashMap<VerdictKey, FinishedVerdict>,
    /// In the order of arrival; a verdict replaced since is skipped by its time.
    arrivals: VecDeque<(Timestamp, VerdictKey)>,
}

impl RecentVerdicts {
    /// Keeps an order's verdict, if it is within its hour.
    pub(super) fn insert(&mut self, order: &Finished<'_>, now: Timestamp) {
        let verdict = order.verdict;
        if !in_time(verdict.received_at, now) {
            return;
        }
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
