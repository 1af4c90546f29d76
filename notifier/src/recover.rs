//! Goes on with recoveries and replays, a bounded number of events at a time, and tells how many endpoints are switched off.
//!
//! Guarantee: what a step did is committed with how far it came, so this may be killed at any moment and run by several
//! notifiers: the next look goes on. Failure: while the database is away recoveries wait.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use touchstone_platform::clock::Clock;
use touchstone_platform::retry::Backoff;
use touchstone_platform::store::deliveries::Stepped;
use touchstone_platform::store::{Store, StoreError, SystemReason};

use crate::Settings;

/// Time between two steps, in which others have the database.
const BREATH: Duration = Duration::from_millis(10);
/// Time between two counts of the endpoints that are switched off.
const COUNT_EVERY: Duration = Duration::from_secs(30);

/// Recovers until shutdown. `due` is told when there is something to deliver.
pub(crate) async fn run(
    settings: Arc<Settings>,
    store: Store,
    clock: Clock,
    due: Arc<Notify>,
    shutdown: CancellationToken,
) {
    let mut backoff = Backoff::default();
    let mut counted_at: Option<Instant> = None;
    while !shutdown.is_cancelled() {
        if counted_at.is_none_or(|at| at.elapsed() >= COUNT_EVERY) {
            count(&store).await;
            counted_at = Some(Instant::now());
        }
        let pause = match step(&store, &clock).await {
            Ok(Some(stepped)) => {
                backoff.reset();
                if stepped.found {
                    due.notify_one();
                }
                BREATH
            }
            Ok(None) => settings.poll_interval,
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "recoveries go on later");
                backoff.delay()
            }
        };
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// One step of the recovery that has waited longest, and of an ordered endpoint what may go out by then.
async fn step(store: &Store, clock: &Clock) -> Result<Option<Stepped>, StoreError> {
    let system = store.system(SystemReason::RoleLoop);
    let Some(stepped) = system.step_recovery(None, clock.now()).await? else { return Ok(None) };
    metrics::counter!("touchstone_webhook_recovery_steps_total").increment(1);
    if stepped.ordered && stepped.found {
        system.release(std::slice::from_ref(&stepped.endpoint), clock.now(), None).await?;
    }
    if stepped.finished {
        tracing::info!(recovery = %stepped.id, endpoint = %stepped.endpoint, "a recovery has ended");
    }
    Ok(Some(stepped))
}

async fn count(store: &Store) {
    match store.system(SystemReason::RoleLoop).count_given_up_endpoints().await {
        Ok(counts) => {
            metrics::gauge!("touchstone_webhook_endpoints_off").set(counts.given_up as f64);
            metrics::gauge!("touchstone_webhook_endpoints_off_untold").set(counts.untold as f64);
        }
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "endpoints that are off are counted later");
        }
    }
}
