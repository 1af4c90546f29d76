//! Finds what nobody announced: deliveries that are due, events whose message was lost, and lines of ordered endpoints that
//! stand still.
//!
//! Guarantee: a due delivery is looked for at least once per poll interval, so rows written by another process (a replay
//! from the command line, a retry of a notifier that died) are found without a message.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use touchstone_platform::retry::Backoff;
use touchstone_platform::store::StoreError;

use crate::Settings;
use crate::plan::Planner;

/// Deliveries claimed together.
const CLAIMED_TOGETHER: u64 = 128;
/// Events planned together by the sweep.
const SWEPT_TOGETHER: u64 = 256;
/// Least time between two looks that found nothing.
const LEAST_PAUSE: Duration = Duration::from_millis(20);

/// Sweeps until shutdown, at once when `due` is told.
pub(crate) async fn run(settings: Arc<Settings>, planner: Planner, due: Arc<Notify>, shutdown: CancellationToken) {
    let mut backoff = Backoff::default();
    let mut events_looked_at: Option<Instant> = None;
    while !shutdown.is_cancelled() {
        let pause = match sweep(&settings, &planner, &mut events_looked_at, &shutdown).await {
            Ok(pause) => {
                backoff.reset();
                pause
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "cannot look for due deliveries");
                backoff.delay()
            }
        };
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
            () = due.notified() => {}
        }
    }
}

/// One look; returns how long to wait before the next.
async fn sweep(
    settings: &Settings,
    planner: &Planner,
    events_looked_at: &mut Option<Instant>,
    shutdown: &CancellationToken,
) -> Result<Duration, StoreError> {
    let mut may_be_more = false;
    if events_looked_at.is_none_or(|at| at.elapsed() >= settings.poll_interval) {
        let lost = planner.unplanned(SWEPT_TOGETHER).await?;
        may_be_more = lost.len() as u64 == SWEPT_TOGETHER;
        if !lost.is_empty() {
            tracing::info!(events = lost.len(), "planning events that no message announced");
            let planned = planner.plan(&lost, shutdown).await;
            may_be_more &= planned.is_ok();
            planner.hand_over(planned.unwrap_or_default()).await;
        }
        planner.hand_over([planner.move_stalled().await?]).await;
        *events_looked_at = (!may_be_more).then(Instant::now);
    }
    let leased = planner.claim(CLAIMED_TOGETHER).await?;
    let claimed = leased.deliveries.len() as u64;
    planner.hand_over([leased]).await;
    if claimed == CLAIMED_TOGETHER || may_be_more {
        return Ok(Duration::ZERO);
    }
    let due = planner.until_due().await?.unwrap_or(settings.poll_interval);
    if due.is_zero() && claimed == 0 && planner.leaves_some() {
        // What is due is left where it is: it is told when there is room for it.
        return Ok(settings.poll_interval);
    }
    Ok(due.clamp(LEAST_PAUSE.min(settings.poll_interval), settings.poll_interval))
}
