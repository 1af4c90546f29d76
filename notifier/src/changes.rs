//! Which endpoints were changed a moment ago, so that nothing is sent by settings that count no more.
//!
//! Guarantee: within [`LOOK_INTERVAL`] and a moment after a change of an endpoint has committed, in whatever process, every
//! notifier gives back what waits there for it, and begins no attempt that was claimed before it. Failure: while the database
//! is away nothing is claimed either; what was claimed before goes by the settings of then.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use touchstone_platform::clock::Clock;
use touchstone_platform::store::deliveries::EndpointTarget;
use touchstone_platform::store::{Store, SystemReason};
use touchstone_schema::ids::EndpointId;
use touchstone_schema::time::Timestamp;

use crate::Settings;

/// Longest time between two looks.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// Most changes taken in one look; the next takes the rest.
const TAKEN_TOGETHER: u64 = 1_000;

/// An endpoint, and the number of its last change.
pub(crate) type Change = (EndpointId, i64);

/// Looks for changes until shutdown and hands them to the dispatcher.
pub(crate) async fn run(
    settings: Arc<Settings>,
    store: Store,
    dispatcher: mpsc::Sender<Vec<Change>>,
    shutdown: CancellationToken,
) {
    let pause = settings.poll_interval.min(LOOK_INTERVAL);
    // From the first change on: what was claimed before this look may be behind any of them.
    let mut known = 0;
    let mut reachable = true;
    while !shutdown.is_cancelled() {
        let looked = store.system(SystemReason::RoleLoop).endpoints_changed_after(known, TAKEN_TOGETHER).await;
        if let Err(error) = &looked
            && reachable
        {
            tracing::warn!(error = error as &dyn std::error::Error, "cannot look for changed endpoints");
        }
        reachable = looked.is_ok();
        let changes = looked.unwrap_or_default();
        known = changes.last().map_or(known, |(_, version)| *version);
        let may_be_more = changes.len() as u64 == TAKEN_TOGETHER;
        if !changes.is_empty() && dispatcher.send(changes).await.is_err() {
            return;
        }
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = tokio::time::sleep(if may_be_more { Duration::ZERO } else { pause }) => {}
        }
    }
}

/// Changes that a leased delivery may be behind.
#[derive(Debug)]
pub(crate) struct Recent {
    clock: Clock,
    lease: Duration,
    changes: HashMap<EndpointId, (i64, Timestamp)>,
}

impl Recent {
    /// None yet; `lease` is how long a delivery is leased at most.
    pub(crate) fn new(clock: Clock, lease: Duration) -> Self {
        Self { clock, lease, changes: HashMap::new() }
    }

    /// Takes note of changes, and forgets those that every lease is younger than.
    pub(crate) fn note(&mut self, changes: &[Change]) {
        let now = self.clock.now();
        self.changes.retain(|_, (_, seen_at)| *seen_at + self.lease > now);
        self.changes.extend(changes.iter().map(|(endpoint, version)| (endpoint.clone(), (*version, now))));
    }

    /// Whether the endpoint has been changed since it was read.
    pub(crate) fn is_behind(&self, endpoint: &EndpointTarget) -> bool {
        self.changes.get(&endpoint.id).is_some_and(|(version, _)| *version > endpoint.version)
    }
}
