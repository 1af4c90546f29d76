//! The sweep of promises: pending rows that were left without a verdict are enqueued again.
//!
//! Stands behind every 202: even a broker that lost its disk loses no promised order.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use tokio_util::sync::CancellationToken;
use touchstone_platform::queue::Lane;
use touchstone_platform::store::SystemReason;

use crate::consume::Dependencies;

/// How often the rows are looked at.
const INTERVAL: Duration = Duration::from_secs(10);
/// Most rows of one look.
const ROWS: u64 = 256;

/// Sweeps until shutdown.
pub(crate) async fn run(dependencies: Dependencies, shutdown: CancellationToken) -> Result<(), Infallible> {
    let mut interval = tokio::time::interval(INTERVAL);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            _ = interval.tick() => sweep(&dependencies).await,
        }
    }
}

async fn sweep(dependencies: &Dependencies) {
    let store = dependencies.store.system(SystemReason::RoleLoop);
    let overdue = match store.claim_overdue(dependencies.clock.now(), ROWS).await {
        Ok(overdue) if overdue.is_empty() => return,
        Ok(overdue) => overdue,
        Err(error) => {
            tracing::debug!(error = &error as &dyn std::error::Error, "pending orders could not be looked at");
            return;
        }
    };
    tracing::warn!(orders = overdue.len(), "promised orders had no verdict in time; they are enqueued again");
    let bodies = overdue.iter().filter_map(|submission| serde_json::to_vec(submission).ok()).map(Bytes::from).collect();
    if let Err(error) = dependencies.queue.publish(Lane::Durable, bodies).await {
        tracing::debug!(%error, "pending orders could not be enqueued; the next sweep tries again");
    }
}
