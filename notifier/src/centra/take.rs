//! Takes notices from the queue.
//!
//! Guarantee: a notice is acknowledged after it was kept and its hold opened, in one commit. Failure: while the database is
//! away notices are held here; what cannot be read goes to the dead letters. A notice of a connection that has ended is
//! dropped: nobody asks its shop any more.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use touchstone_platform::directory::Directory;
use touchstone_platform::queue::{Delivery, Disposition, Lane};
use touchstone_platform::retry::Backoff;
use touchstone_platform::store::{Store, StoreError, SystemReason};
use touchstone_schema::centra::{FAILED_NOTICE, Notice, WAITING_NOTICE};
use touchstone_schema::fault::place_in_text;

use crate::Dependencies;
use crate::consume::open;

/// Unacknowledged notices held.
const PREFETCH: u16 = 64;
/// Notices taken together.
const NOTICES_TOGETHER: usize = 64;
/// Wait before a notice that the database refused is tried again.
const REFUSED_RETRY: Duration = Duration::from_secs(30);

/// Consumes until shutdown.
pub(crate) async fn run(with: Dependencies, work: Arc<Notify>, shutdown: CancellationToken) {
    let taking = Taking { store: with.store, directory: with.directory, shutdown: shutdown.clone() };
    let Some(mut consumer) = open(with.queue.as_ref(), Lane::Notices, PREFETCH, &shutdown).await else { return };
    loop {
        let notices = tokio::select! {
            () = shutdown.cancelled() => return,
            notices = consumer.next(NOTICES_TOGETHER) => notices,
        };
        let mut settled = Vec::with_capacity(notices.len());
        for delivery in notices {
            let Some(disposition) = taking.take(&delivery).await else { return };
            settled.push((delivery, disposition));
        }
        work.notify_one();
        if let Err(error) = consumer.settle(settled).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "notices will come again");
        }
    }
}

struct Taking {
    store: Store,
    directory: Arc<Directory>,
    shutdown: CancellationToken,
}

impl Taking {
    /// `None` when shutdown came first and the notice is left to come back.
    async fn take(&self, delivery: &Delivery) -> Option<Disposition> {
        let notice: Notice = match serde_json::from_slice(&delivery.body) {
            Ok(notice) => notice,
            Err(error) => {
                let reason = format!("not a notice: {}", place_in_text(&error));
                return Some(Disposition::DeadLetter { reason });
            }
        };
        if notice.version != Notice::VERSION {
            let reason = format!("notice of format {}: this build reads {}", notice.version, Notice::VERSION);
            return Some(Disposition::DeadLetter { reason });
        }
        let mut backoff = Backoff::default();
        loop {
            match self.keep(&notice).await {
                Ok(()) => return Some(Disposition::Ack),
                Err(error) if error.is_transient() => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "waiting for the database to keep a notice"
                    );
                }
                Err(error) => {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        connection = %notice.connection_id, store = %notice.tenant.store_id,
                        request_id = %notice.request_id,
                        "cannot keep a notice"
                    );
                    return Some(Disposition::Retry { after: REFUSED_RETRY });
                }
            }
            tokio::select! {
                () = self.shutdown.cancelled() => return None,
                () = backoff.wait() => {}
            }
        }
    }

    async fn keep(&self, notice: &Notice) -> Result<(), StoreError> {
        let mut connection = self.directory.snapshot().connection(&notice.connection_id).cloned();
        if connection.is_none() {
            self.directory.refresh().await;
            connection = self.directory.snapshot().connection(&notice.connection_id).cloned();
        }
        let Some(connection) = connection.filter(|connection| connection.store_id == notice.tenant.store_id) else {
            tracing::warn!(connection = %notice.connection_id, "a notice of a connection that has ended is dropped");
            return Ok(());
        };
        if notice.kind != WAITING_NOTICE && notice.kind != FAILED_NOTICE {
            tracing::warn!(connection = %notice.connection_id, kind = %notice.kind, "a notice of an unknown kind is kept");
        }
        self.store.system(SystemReason::RoleLoop).take_notice(notice, &connection).await
    }
}
