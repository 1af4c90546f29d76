//! Scores the orders of a span of time again, under the policy in force and under a candidate, and compares.
//!
//! Guarantee: nothing is written and nobody is told. Each order sees the history and the norms that it had when it was
//! received and the store's lists and the outside data as they are now, and both policies see the same, so whatever differs comes from
//! the policies alone. Memory does not grow with the span: orders are read a page at a time. Failure: an order that cannot be read is counted and left out.
//! Design: contract section 6 ("re-scored under any version (backtest) without side effects").

use std::collections::HashSet;

use touchstone_platform::enrichment;
use touchstone_platform::store::history::AsOf;
use touchstone_platform::store::recorded::{RecordedOrder, Span};
use touchstone_platform::store::{Store, StoreError, SystemReason, SystemStore};
use touchstone_schema::history::{HistoryKey, HistoryKeyKind};
use touchstone_schema::lists::StoreLists;
use touchstone_schema::order::Order;
use touchstone_schema::secret::Secret;
use touchstone_schema::tenant::{Surface, Tenant};
use touchstone_schema::time::Timestamp;

use crate::batch::{Circumstances, Reading, assessed};
use crate::hearsay::{self, Vouched};
use crate::history_keys::OrderKeys;
use crate::norms_source::NormsSource;
use crate::score::policy::Policy;

mod comparison;

pub use comparison::{Changed, ChangedReason, Compared, Comparison, Figures, Labelled, MOST_CHANGED, Total};

/// What is to be compared.
#[derive(Debug)]
pub struct Backtest<'a> {
    /// Where orders, labels and history are read.
    pub store: &'a Store,
    /// Whose orders.
    pub tenant: &'a Tenant,
    /// The store's data key, which its history keys are made with.
    pub data_key: &'a Secret,
    /// Mail domains of the store itself: `noreply@` there is no customer's mailbox.
    pub own_domains: &'a [String],
    /// The policy in force.
    pub current: &'a Policy,
    /// The policy that is tried.
    pub candidate: &'a Policy,
    /// What outside data tells, as of now.
    pub enrichment: &'a enrichment::Snapshot,
}

/// An order that could be read.
struct Readable {
    recorded: RecordedOrder,
    order: Order,
    /// As the policy in force has them.
    keys: OrderKeys,
    /// As the candidate has them: it may declare others.
    candidate_keys: OrderKeys,
}

impl Readable {
    fn all_keys(&self) -> Vec<(Option<HistoryKeyKind>, HistoryKey)> {
        let keys: HashSet<_> = self.keys.all().chain(self.candidate_keys.all()).collect();
        keys.into_iter().collect()
    }
}

impl Backtest<'_> {
    /// Compares the orders received since `from` and before `until`. Tells after each page up to which time it came and
    /// after how many orders.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn run(
        &self,
        from: Timestamp,
        until: Timestamp,
        mut progress: impl FnMut(Timestamp, u64),
    ) -> Result<Comparison, StoreError> {
        let mut comparison = Comparison::default();
        let lists = self.lists().await?;
        let norms = NormsSource::new(self.store.clone());
        let mut span = Span::new(from, until);
        loop {
            let page = self.store.tenant(self.tenant).recorded_orders(&span).await?;
            let Some(last) = page.last() else {
                return Ok(comparison);
            };
            span = span.rest(last);
            self.compare(page, &lists, &norms, &mut comparison).await?;
            progress(span.from, comparison.orders);
        }
    }

    async fn lists(&self) -> Result<StoreLists, StoreError> {
        let mut lists = StoreLists::default();
        for (tenant, entry) in self.system().lists_of(&self.tenant.store_id).await? {
            if tenant == *self.tenant {
                lists.add(entry);
            }
        }
        Ok(lists)
    }

    const fn system(&self) -> SystemStore<'_> {
        self.store.system(SystemReason::Operator)
    }

    async fn compare(
        &self,
        page: Vec<RecordedOrder>,
        lists: &StoreLists,
        norms: &NormsSource,
        comparison: &mut Comparison,
    ) -> Result<(), StoreError> {
        let total = page.len();
        let readable: Vec<Readable> = page.into_iter().filter_map(|recorded| self.readable(recorded)).collect();
        comparison.unreadable += (total - readable.len()) as u64;
        let as_of: Vec<AsOf> =
            readable.iter().map(|one| AsOf { received_at: one.recorded.received_at, keys: one.all_keys() }).collect();
        let histories = self.system().load_history_as_of(&as_of).await?;
        let received = readable.iter().map(|one| (self.tenant, one.recorded.received_at)).collect();
        let norms = norms.load(received).await?;
        for (one, history) in readable.iter().zip(&histories) {
            let Readable { recorded, order, keys, candidate_keys } = one;
            let norms = norms.of(self.tenant, recorded.received_at);
            let under = |policy: &Policy, keys: &OrderKeys| {
                let vouched = Vouched::of(order, self.data_key, self.tenant.mode, policy);
                hearsay::stricter((order, keys), vouched.as_deref(), |order, keys| {
                    let enrichment = self.enrichment.look_up(order);
                    let circumstances =
                        Circumstances { policy, enrichment: &enrichment, norms: &norms, lists: Some(lists) };
                    assessed((order, keys), &recorded.transaction_id, recorded.received_at, &circumstances, history)
                })
            };
            comparison.add(&Compared {
                recorded,
                amount: order.amount,
                current: &under(self.current, keys),
                candidate: &under(self.candidate, candidate_keys),
            });
        }
        Ok(())
    }

    fn readable(&self, recorded: RecordedOrder) -> Option<Readable> {
        let (data_key, mode, policy, own_domains) = (self.data_key, self.tenant.mode, self.current, self.own_domains);
        // Only the warnings, which a comparison leaves out, depend on the surface.
        match (Reading { data_key, mode, policy, own_domains }).order(&recorded.document, Surface::Signed) {
            Ok((order, keys)) => {
                let candidate_keys = OrderKeys::of(&order, self.data_key, self.tenant.mode, self.candidate);
                Some(Readable { recorded, order, keys, candidate_keys })
            }
            Err(problem) => {
                tracing::warn!(order = %recorded.order_id, problem, "a recorded order cannot be read");
                None
            }
        }
    }
}
