//! Deletes attempts that are older than they are kept, a bounded number at a time.
//!
//! Failure: what is not deleted in this look is found in the next.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use touchstone_platform::clock::Clock;
use touchstone_platform::store::{Store, SystemReason};

use crate::Settings;

/// Attempts deleted in one transaction.
const FORGOTTEN_TOGETHER: u64 = 500;
/// Time between two transactions, in which others have the database.
const BREATH: Duration = Duration::from_millis(50);
/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(3_600);

/// Forgets until shutdown.
pub(crate) async fn run(settings: Arc<Settings>, store: Store, clock: Clock, shutdown: CancellationToken) {
    while !shutdown.is_cancelled() {
        let before = clock.now() - settings.attempts_kept;
        let forgotten = store.system(SystemReason::RoleLoop).forget_attempts(before, FORGOTTEN_TOGETHER).await;
        let more = match forgotten {
            Ok(forgotten) => forgotten >= FORGOTTEN_TOGETHER,
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "old attempts are deleted later");
                false
            }
        };
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(if more { BREATH } else { LOOK_EVERY }) => {}
        }
    }
}
