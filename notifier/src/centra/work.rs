//! Finds the shops where something is due, and gives each a turn of work.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use touchstone_platform::random;
use touchstone_platform::store::accounts::ConnectionRow;
use touchstone_platform::store::holds::{Hold, HoldMove};
use touchstone_platform::store::{StoreError, SystemReason, SystemStore};
use touchstone_schema::centra::HoldState;
use touchstone_schema::event::Event;
use touchstone_schema::ids::ConnectionId;
use touchstone_schema::time::Timestamp;

use super::budget::Budget;
use super::client::Api;
use super::next::pause;
use super::shop::{Shop, Stop};
use super::{acting, judging, reading, sweep};
use crate::plan::Planner;
use crate::{Dependencies, Settings};

/// Holds that are looked at together: so many orders are read in one request.
const HOLDS_TOGETHER: u64 = 20;

/// See the module.
pub(crate) struct Worker {
    pub(super) settings: Arc<Settings>,
    pub(super) with: Dependencies,
    pub(super) api: Api,
    pub(super) shutdown: CancellationToken,
    planner: Planner,
    work: Arc<Notify>,
    /// What is left to spend at each shop between two turns.
    budgets: Mutex<HashMap<ConnectionId, Budget>>,
}

impl Worker {
    pub(crate) fn new(
        settings: &Arc<Settings>,
        with: &Dependencies,
        planner: Planner,
        work: Arc<Notify>,
        shutdown: CancellationToken,
    ) -> std::io::Result<Self> {
        let api = Api::new(
            settings.centra_timeout,
            settings.connect_timeout.min(settings.centra_timeout),
            Arc::clone(&with.egress),
            with.clock.clone(),
        )?;
        Ok(Self {
            settings: Arc::clone(settings),
            with: with.clone(),
            api,
            shutdown,
            planner,
            work,
            budgets: Mutex::default(),
        })
    }

    /// Works until shutdown, then finishes the requests under way.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut turns = JoinSet::new();
        loop {
            tokio::select! {
                () = self.shutdown.cancelled() => break,
                () = self.work.notified() => {}
                () = tokio::time::sleep(self.settings.poll_interval) => {}
                // What was paused or came up meanwhile is found at once.
                Some(ended) = turns.join_next() => if let Err(error) = ended { return died(&error); },
            }
            let free = self.settings.centra_shops.saturating_sub(turns.len());
            let now = self.with.clock.now();
            let until = now + self.settings.centra_lease();
            match self.system().claim_connections(now, until, free as u64).await {
                Ok(claimed) => {
                    for connection in claimed {
                        let worker = Arc::clone(&self);
                        turns.spawn(async move { worker.turn(connection, until).await });
                    }
                }
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "cannot look for held orders yet");
                }
            }
        }
        while let Some(ended) = turns.join_next().await {
            if let Err(error) = ended {
                return died(&error);
            }
        }
    }

    pub(super) fn system(&self) -> SystemStore<'_> {
        self.with.store.system(SystemReason::RoleLoop)
    }

    /// Does what is due at one shop.
    async fn turn(&self, connection: ConnectionRow, until: Timestamp) {
        let id = connection.id.clone();
        let budget = self.budgets().remove(&id).unwrap_or_else(|| Budget::usual(self.with.clock.now()));
        let shop = match Shop::open(self, connection, until, budget).await {
            Ok(shop) => shop,
            Err(stop) => return tell(&id, &stop),
        };
        let done = self.work_off(&shop).await;
        // Where the database is at fault the lease is left to run out: to begin anew at once would be to try in circles.
        let gives_back = !matches!(done, Err(Stop::Store(_)));
        if let Err(stop) = &done {
            tell(&id, stop);
        }
        let budget = shop.leave(gives_back).await;
        self.budgets().insert(id, budget);
    }

    async fn work_off(&self, shop: &Shop<'_>) -> Result<(), Stop> {
        loop {
            shop.keep().await?;
            let now = shop.now();
            if let Some(due) = self.system().due_sweep(&shop.connection.id, now).await? {
                sweep::run(shop, &due).await?;
            }
            let due = self.system().due_holds(&shop.connection.id, now, HOLDS_TOGETHER).await?;
            if due.is_empty() {
                return Ok(());
            }
            let (screening, due): (Vec<_>, Vec<_>) =
                due.into_iter().partition(|hold| hold.state == HoldState::Screening);
            let (fresh, due): (Vec<_>, Vec<_>) = due.into_iter().partition(|hold| hold.state == HoldState::Reading);
            judging::run(shop, screening).await?;
            reading::run(shop, fresh).await?;
            acting::run(shop, due).await?;
            if self.shutdown.is_cancelled() {
                return Err(Stop::Shutdown);
            }
        }
    }

    /// Puts a hold off after a failure; each in a row waits longer.
    pub(super) async fn later(&self, hold: &Hold, why: &str) -> Result<(), StoreError> {
        let attempts = hold.attempts.saturating_add(1);
        let due_at = self.with.clock.now() + pause(self.settings.centra_pause, attempts, random::fraction());
        tracing::debug!(hold = %hold.id, store = %hold.store_id, request_id = %hold.request_id, attempts, why, "later");
        let to = HoldMove { state: hold.state, due_at, attempts, error: Some(why.to_owned()) };
        self.system().move_hold(hold, &to).await.map(|_| ())
    }

    /// Has the deliveries of an event planned. What does not come about here the sweep of events finds.
    pub(super) async fn announce(&self, event: Option<Event>) {
        let Some(event) = event else { return };
        if let Ok(planned) = self.planner.plan(&[event.id], &self.shutdown).await {
            self.planner.hand_over(planned).await;
        }
    }

    fn budgets(&self) -> std::sync::MutexGuard<'_, HashMap<ConnectionId, Budget>> {
        self.budgets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn tell(connection: &ConnectionId, stop: &Stop) {
    match stop {
        Stop::Store(error) => {
            tracing::warn!(%connection, error = error as &dyn std::error::Error, "the work at a shop is left half done");
        }
        Stop::Paused | Stop::NotOurs | Stop::Shutdown => {
            tracing::debug!(%connection, %stop, "the work at a shop stops");
        }
    }
}

/// The worker ends, and with it the process: a turn does not panic unless something is very wrong.
fn died(error: &tokio::task::JoinError) {
    tracing::error!(error = error as &dyn std::error::Error, "the work at a shop died");
}
