//! The notifier: tells merchants what happened, by signed webhooks, and settles the orders that Centra shops hold for us.
//!
//! The flow of an event: `consume` takes the wake-up from the queue → `plan` makes a delivery per endpoint → `deliver`
//! says when and `attempt` makes it, at the endpoint's `pace`, through `webhook` → `retry` says what follows → `record` commits it; `sweep` finds events that
//! nobody announced and deliveries that are due again, `recover` what an endpoint missed. The flow of a held order is told in `centra`.
//!
//! Guarantee: every event reaches every endpoint that wants it at least once, or ends as a dead delivery that operators
//! see and replay; receivers de-duplicate by `webhook-id`. Nothing counts as delivered before its attempt has committed.
//! Failure: while the database or the broker is away the notifier waits for it and holds what it has; what it held when
//! it died is leased, and taken over when the lease ends. Design: ARCHITECTURE.md, "Guarantees".

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use touchstone_platform::clock::Clock;
use touchstone_platform::crypto::MasterKeys;
use touchstone_platform::directory::Directory;
use touchstone_platform::egress::EgressPolicy;
use touchstone_platform::queue::Queue;
use touchstone_platform::store::Store;
use touchstone_schema::limits::{DELIVERIES_KEPT, EVENT_SWEEP_AGE, NOTICES_KEPT};

mod attempt;
mod centra;
mod changes;
mod compare;
mod connect;
mod consume;
mod deliver;
mod flights;
mod forget;
mod introspect;
mod pace;
mod pace_right;
mod plan;
mod record;
mod recover;
mod retry;
mod sweep;
mod webhook;

#[cfg(any(test, fuzzing))]
pub use centra::invariants;
pub use centra::{ApiError, Operation, operations, order_arguments};
pub use compare::{CompareError, Difference, differences};
pub use introspect::{IntrospectError, introspect, introspect_arguments};
pub use retry::{RETRY_AFTER_MOST, SCHEDULE};

/// Batches of leased deliveries on their way to the dispatcher: few, since what is under way does not heed a line that has
/// become full.
const HANDED_BATCHES: usize = 1;
/// Looks for changed endpoints that wait for the dispatcher.
const CHANGES_WAITING: usize = 8;
/// Attempts that wait to be recorded.
const RECORDS_WAITING: usize = 1_024;

/// How the notifier works. The default is what production runs with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Longest attempt, from resolving the name to the last byte read of the answer (contract section 5).
    pub attempt_timeout: Duration,
    /// Longest time to resolve and connect.
    pub connect_timeout: Duration,
    /// Most attempts in flight, but for those that keep us waiting.
    pub concurrency: usize,
    /// Most attempts in flight that keep us waiting.
    pub slow_concurrency: usize,
    /// Most attempts in flight to one endpoint.
    pub endpoint_concurrency: usize,
    /// Most attempts in flight to an endpoint whose last attempt failed, or that was not attempted lately.
    pub failing_concurrency: usize,
    /// Longest time between two looks for due deliveries.
    pub poll_interval: Duration,
    /// Age at which an event that nobody planned is planned by the sweep.
    pub sweep_age: Duration,
    /// How long settled deliveries and their attempts are kept; longer than they can be recovered for.
    pub deliveries_kept: Duration,
    /// How long notices of Centra shops are kept.
    pub notices_kept: Duration,
    /// Longest request to a Centra shop.
    pub centra_timeout: Duration,
    /// Pause after a first failure at a Centra shop; those after further ones grow from it.
    pub centra_pause: Duration,
    /// Most Centra shops that are spoken with at once.
    pub centra_shops: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            attempt_timeout: Duration::from_secs(15),
            connect_timeout: Duration::from_secs(5),
            concurrency: 256,
            slow_concurrency: 1_024,
            endpoint_concurrency: 16,
            failing_concurrency: 2,
            poll_interval: Duration::from_secs(1),
            sweep_age: EVENT_SWEEP_AGE,
            deliveries_kept: DELIVERIES_KEPT,
            notices_kept: NOTICES_KEPT,
            centra_timeout: Duration::from_secs(10),
            centra_pause: Duration::from_secs(1),
            centra_shops: 16,
        }
    }
}

impl Settings {
    /// How long a delivery is leased: an attempt, and as long again to wait for its slot. It is also how long a webhook
    /// waits when its notifier was killed, so it is no longer than that.
    pub(crate) fn lease(&self) -> Duration {
        self.attempt_timeout * 2
    }

    /// How long a shop is leased: it is kept when half of it is over, so that a request never outlives it.
    pub(crate) fn centra_lease(&self) -> Duration {
        self.centra_timeout * 3
    }
}

/// What the notifier works with.
#[derive(Clone)]
pub struct Dependencies {
    /// Events, endpoints, deliveries, held orders.
    pub store: Store,
    /// Stores and connections.
    pub directory: Arc<Directory>,
    /// Where wake-ups come from.
    pub queue: Arc<dyn Queue>,
    /// The time.
    pub clock: Clock,
    /// Opens the endpoints' signing secrets and the shops' tokens.
    pub master_keys: Arc<MasterKeys>,
    /// Which addresses may be reached.
    pub egress: Arc<EgressPolicy>,
}

/// Why the notifier ended otherwise than by shutdown.
#[derive(Debug, thiserror::Error)]
pub enum NotifierError {
    /// The roots of trust of this machine cannot be read.
    #[error("no certificates to verify webhook endpoints and shops with")]
    Roots(#[source] std::io::Error),
    /// A task ended although nobody had asked it to, or panicked.
    #[error("a task of the notifier died: {0}")]
    Died(String),
}

/// Runs until `shutdown`, then takes no more, finishes the attempts in flight (bounded by the attempt time-out), records
/// them and gives the other leases back.
pub async fn run(
    settings: Settings,
    dependencies: Dependencies,
    shutdown: CancellationToken,
) -> Result<(), NotifierError> {
    let client = webhook::Client::new(&settings, Arc::clone(&dependencies.egress)).map_err(NotifierError::Roots)?;
    let settings = Arc::new(settings);
    let (hand_over, handed) = mpsc::channel(HANDED_BATCHES);
    let (change, changed) = mpsc::channel(CHANGES_WAITING);
    let (record, records) = mpsc::channel(RECORDS_WAITING);
    let (work, due) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let busy = deliver::BusyEndpoints::new(Arc::clone(&due));
    let right = pace_right::PaceRight::default();
    let planner = plan::Planner::new(&settings, &dependencies, (busy.clone(), right.clone()), hand_over);
    let attempter = attempt::Attempter::new(&dependencies, client);
    let dispatcher = deliver::Dispatcher::new(
        Arc::clone(&settings),
        dependencies.clock.clone(),
        attempter,
        record,
        (busy, right.clone()),
    );

    let shops = centra::Worker::new(&settings, &dependencies, planner.clone(), Arc::clone(&work), shutdown.clone());
    let shops = Arc::new(shops.map_err(NotifierError::Roots)?);

    let mut tasks = JoinSet::new();
    tasks.spawn(named("centra", shops.run()));
    tasks.spawn(named("notices", centra::take_notices(dependencies.clone(), Arc::clone(&work), shutdown.clone())));
    tasks.spawn(named("consume", consume::run(dependencies.queue, planner.clone(), work, shutdown.clone())));
    let (store, clock) = (dependencies.store.clone(), dependencies.clock.clone());
    tasks.spawn(named("forget", forget::run(Arc::clone(&settings), store.clone(), clock.clone(), shutdown.clone())));
    let pacing =
        pace_right::run(Arc::clone(&settings), store.clone(), clock.clone(), right, Arc::clone(&due), shutdown.clone());
    tasks.spawn(named("pace", pacing));
    let recover = recover::run(Arc::clone(&settings), store, clock, Arc::clone(&due), shutdown.clone());
    tasks.spawn(named("recover", recover));
    let looking = changes::run(Arc::clone(&settings), dependencies.store.clone(), change, shutdown.clone());
    tasks.spawn(named("changes", looking));
    tasks.spawn(named("sweep", sweep::run(settings, planner, Arc::clone(&due), shutdown.clone())));
    tasks.spawn(named("deliver", dispatcher.run(handed, changed, shutdown.clone())));
    tasks.spawn(named("record", record::run(dependencies.store, dependencies.clock, records, due, shutdown.clone())));

    let mut outcome = Ok(());
    while let Some(ended) = tasks.join_next().await {
        let told = match ended {
            Ok(_) if shutdown.is_cancelled() => continue,
            Ok(name) => format!("{name} ended by itself"),
            Err(error) => error.to_string(),
        };
        outcome = outcome.and(Err(NotifierError::Died(told)));
        shutdown.cancel();
    }
    outcome
}

async fn named(name: &'static str, task: impl Future<Output = ()>) -> &'static str {
    task.await;
    name
}
