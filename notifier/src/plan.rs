//! Makes deliveries of events and hands them to the dispatcher.
//!
//! Failure: while the database is away planning waits; what was planned and could not be handed over stays leased and
//! falls due again by itself.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use touchstone_platform::clock::Clock;
use touchstone_platform::retry::Backoff;
use touchstone_platform::store::deliveries::{DueDelivery, Left};
use touchstone_platform::store::{Store, StoreError, SystemReason};
use touchstone_platform::telemetry::{SpanKind, span_of_many};
use touchstone_schema::ids::{EventId, TransactionId};
use touchstone_schema::time::Timestamp;

use crate::deliver::BusyEndpoints;
use crate::pace_right::PaceRight;
use crate::{Dependencies, Settings};

/// Most events planned in one transaction.
const EVENTS_TOGETHER: usize = 512;

/// Deliveries leased until the same moment.
#[derive(Debug)]
pub(crate) struct Leased {
    /// The deliveries.
    pub(crate) deliveries: Vec<DueDelivery>,
    /// When their leases end.
    pub(crate) until: Timestamp,
}

/// Why events were not planned.
#[derive(Debug)]
pub(crate) enum PlanError {
    /// The database refused; logged.
    Refused,
    /// Shutdown came first.
    Shutdown,
}

/// Plans and claims, and hands over.
#[derive(Debug, Clone)]
pub(crate) struct Planner {
    settings: Arc<Settings>,
    store: Store,
    clock: Clock,
    busy: BusyEndpoints,
    right: PaceRight,
    dispatcher: mpsc::Sender<Leased>,
}

impl Planner {
    pub(crate) fn new(
        settings: &Arc<Settings>,
        with: &Dependencies,
        (busy, right): (BusyEndpoints, PaceRight),
        dispatcher: mpsc::Sender<Leased>,
    ) -> Self {
        let settings = Arc::clone(settings);
        Self { settings, store: with.store.clone(), clock: with.clock.clone(), busy, right, dispatcher }
    }

    /// Plans the events, waiting for the database as long as it takes.
    pub(crate) async fn plan(
        &self,
        events: &[EventId],
        shutdown: &CancellationToken,
    ) -> Result<Vec<Leased>, PlanError> {
        let mut planned = Vec::new();
        let mut backoff = Backoff::default();
        for together in events.chunks(EVENTS_TOGETHER) {
            loop {
                let (now, began) = (self.clock.now(), Instant::now());
                let until = now + self.settings.lease();
                let busy = self.busy.list();
                let left = Left { busy: &busy, limited: !self.right.is_held(now) };
                match self.store.system(SystemReason::RoleLoop).plan(together, now, until, left).await {
                    Ok(deliveries) => {
                        let traces = deliveries.iter().filter_map(|delivery| delivery.event.trace.as_ref());
                        drop(span_of_many("plan", SpanKind::Consumer, began, traces));
                        planned.push(Leased { deliveries, until });
                        break;
                    }
                    Err(error) if error.is_transient() => {
                        tracing::warn!(error = &error as &dyn std::error::Error, "waiting for the database to plan");
                    }
                    Err(error) => {
                        tracing::error!(
                            error = &error as &dyn std::error::Error,
                            events = together.len(),
                            "cannot plan"
                        );
                        return Err(PlanError::Refused);
                    }
                }
                tokio::select! {
                    () = shutdown.cancelled() => return Err(PlanError::Shutdown),
                    () = backoff.wait() => {}
                }
            }
        }
        Ok(planned)
    }

    /// Leases deliveries that are due, but for those to busy endpoints, and those of limited ones that another notifier paces.
    pub(crate) async fn claim(&self, most: u64) -> Result<Leased, StoreError> {
        let now = self.clock.now();
        let until = now + self.settings.lease();
        let busy = self.busy.list();
        let left = Left { busy: &busy, limited: !self.right.is_held(now) };
        let deliveries = self.store.system(SystemReason::RoleLoop).claim_due(now, until, most, left).await?;
        Ok(Leased { deliveries, until })
    }

    /// Whether there are endpoints whose deliveries are left to the database.
    pub(crate) fn leaves_some(&self) -> bool {
        !self.right.is_held(self.clock.now()) || !self.busy.list().is_empty()
    }

    /// Leases the next delivery of each ordered endpoint in whose line nothing is under way although something waits.
    pub(crate) async fn move_stalled(&self) -> Result<Leased, StoreError> {
        let system = self.store.system(SystemReason::RoleLoop);
        let lines = system.stalled().await?;
        let now = self.clock.now();
        let until = now + self.settings.lease();
        let deliveries = system.release(&lines, now, Some(until)).await?;
        Ok(Leased { deliveries, until })
    }

    /// How long until something falls due; `None` when nothing waits.
    pub(crate) async fn until_due(&self) -> Result<Option<std::time::Duration>, StoreError> {
        let due = self.store.system(SystemReason::RoleLoop).next_due().await?;
        Ok(due.map(|due| due.since(self.clock.now())))
    }

    /// Events that nobody planned.
    pub(crate) async fn unplanned(&self, most: u64) -> Result<Vec<EventId>, StoreError> {
        let older_than = self.clock.now() - self.settings.sweep_age;
        self.store.system(SystemReason::RoleLoop).unplanned(older_than, most).await
    }

    /// Has the verdicts of held orders taken at once; `again` says that they had one before. Where this fails they are taken
    /// when they fall due.
    pub(crate) async fn wake_held(&self, orders: &[TransactionId], again: bool) {
        if orders.is_empty() {
            return;
        }
        if let Err(error) = self.store.system(SystemReason::RoleLoop).wake_holds(orders, again, self.clock.now()).await
        {
            tracing::warn!(error = &error as &dyn std::error::Error, "verdicts of held orders are taken later");
        }
    }

    /// Hands leased deliveries to the dispatcher, which always takes them: what it has no room for it gives back.
    pub(crate) async fn hand_over(&self, leased: impl IntoIterator<Item = Leased>) {
        for leased in leased {
            if !leased.deliveries.is_empty() && self.dispatcher.send(leased).await.is_err() {
                tracing::debug!("shutting down: leased deliveries are left to the next notifier");
            }
        }
    }
}
