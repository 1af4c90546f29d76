//! The right to pace: of all notifiers one makes the attempts of endpoints that have a limit, so that the limit holds over
//! all of them.
//!
//! Guarantee: no attempt of such an endpoint begins after the time that the database knows for the end of the right, and
//! whoever has it next begins a second later. Failure: when the holder dies those endpoints wait for [`HELD`] and that
//! second; while the database is away the right runs out, and comes back with it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use touchstone_platform::clock::Clock;
use touchstone_platform::random;
use touchstone_platform::store::{Store, SystemReason};
use touchstone_schema::time::Timestamp;

use crate::Settings;

/// How long the right lasts.
const HELD: Duration = Duration::from_secs(10);
/// How often it is asked for and kept.
const ASKED: Duration = Duration::from_secs(3);

/// Until when this process has the right, in milliseconds.
#[derive(Debug, Clone, Default)]
pub(crate) struct PaceRight(Arc<AtomicI64>);

impl PaceRight {
    /// Whether this process may begin an attempt of an endpoint that has a limit.
    pub(crate) fn is_held(&self, now: Timestamp) -> bool {
        now.as_millis() < self.0.load(Ordering::Relaxed)
    }

    fn hold(&self, until: Option<Timestamp>) {
        self.0.store(until.map_or(0, Timestamp::as_millis), Ordering::Relaxed);
    }
}

/// Asks for the right and keeps it until shutdown; tells `due` when it is had, since much may have waited for it.
pub(crate) async fn run(
    settings: Arc<Settings>,
    store: Store,
    clock: Clock,
    right: PaceRight,
    due: Arc<Notify>,
    shutdown: CancellationToken,
) {
    let holder = format!("{:032x}", u128::from_be_bytes(random::bytes()));
    let system = || store.system(SystemReason::RoleLoop);
    let pause = settings.poll_interval.min(ASKED);
    while !shutdown.is_cancelled() {
        let now = clock.now();
        let (was_held, until) = (right.is_held(now), now + HELD);
        match system().hold_pace(&holder, now, until).await {
            Ok(is_held) => {
                right.hold(is_held.then_some(until));
                if is_held && !was_held {
                    due.notify_one();
                }
            }
            Err(error) => tracing::debug!(error = &error as &dyn std::error::Error, "the right to pace is not kept"),
        }
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
    right.hold(None);
    if let Err(error) = system().leave_pace(&holder, clock.now()).await {
        tracing::debug!(error = &error as &dyn std::error::Error, "the right to pace is left to run out");
    }
}
