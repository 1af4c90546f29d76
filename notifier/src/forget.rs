//! Deletes what is older than it is kept, a bounded number at a time: attempts, settled deliveries, recoveries that ended,
//! events that belong to no transaction, and notices of Centra shops.
//!
//! Failure: what is not deleted in this look is found in the next.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use touchstone_platform::clock::Clock;
use touchstone_platform::store::{Store, StoreError, SystemReason};
use touchstone_schema::time::Timestamp;

use crate::Settings;

/// Rows looked at in one transaction.
const FORGOTTEN_TOGETHER: u64 = 500;
/// Time between two transactions, in which others have the database.
const BREATH: Duration = Duration::from_millis(50);
/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(3_600);

/// Forgets until shutdown.
pub(crate) async fn run(settings: Arc<Settings>, store: Store, clock: Clock, shutdown: CancellationToken) {
    let look = async {
        loop {
            let (now, kept) = (clock.now(), (settings.deliveries_kept, settings.notices_kept));
            if let Err(error) = look(&store, now - kept.0, now - kept.1).await {
                tracing::warn!(error = &error as &dyn std::error::Error, "what is old is deleted later");
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = look => {}
    }
}

/// What was attempted last goes first: a delivery goes when it has no attempts left, an event when it has no deliveries.
async fn look(store: &Store, before: Timestamp, notices_before: Timestamp) -> Result<(), StoreError> {
    let system = || store.system(SystemReason::RoleLoop);
    while system().forget_notices(notices_before, FORGOTTEN_TOGETHER).await? == FORGOTTEN_TOGETHER {
        tokio::time::sleep(BREATH).await;
    }
    while system().forget_attempts(before, FORGOTTEN_TOGETHER).await? == FORGOTTEN_TOGETHER {
        tokio::time::sleep(BREATH).await;
    }
    let mut after = None;
    loop {
        after = system().forget_deliveries(before, after.as_ref(), FORGOTTEN_TOGETHER).await?;
        if after.is_none() {
            break;
        }
        tokio::time::sleep(BREATH).await;
    }
    while system().forget_recoveries(before, FORGOTTEN_TOGETHER).await? == FORGOTTEN_TOGETHER {
        tokio::time::sleep(BREATH).await;
    }
    let mut after = None;
    loop {
        after = system().forget_events(before, after.as_ref(), FORGOTTEN_TOGETHER).await?;
        if after.is_none() {
            return Ok(());
        }
        tokio::time::sleep(BREATH).await;
    }
}
