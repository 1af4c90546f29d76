//! Holds as operators see them.

use touchstone_schema::centra::{FAILED_NOTICE, HoldState, WAITING_NOTICE};
use touchstone_schema::ids::{ConnectionId, TransactionId};
use touchstone_schema::limits::PAGE_ITEMS;
use touchstone_schema::time::Timestamp;

use super::{Hold, hold_of};
use crate::store::database::{Change, column, parsed, row, rows};
use crate::store::{StoreError, SystemStore};

const COUNTS: &str = "SELECT state, COUNT(*) AS holds, MIN(opened_at) AS oldest FROM holds
  WHERE connection_id = $1 AND closed_at IS NULL GROUP BY state ORDER BY state";

const OPEN: &str = holds!("WHERE h.connection_id = $1 AND h.closed_at IS NULL ORDER BY h.opened_at, h.id LIMIT $2");

const RECENT: &str =
    holds!("WHERE h.connection_id = $1 AND h.closed_at IS NOT NULL ORDER BY h.closed_at DESC, h.id LIMIT $2");

const FLAGGED: &str = "SELECT kind, COUNT(*) AS notices FROM centra_notices
  WHERE connection_id = $1 AND kind NOT IN ($2, $3) GROUP BY kind ORDER BY kind LIMIT 100";

const WAITS: &str =
    "SELECT id FROM holds WHERE transaction_id = $1 AND closed_at IS NULL AND state = 'waiting' LIMIT 1";

/// How many open holds of a connection are in one state.
#[derive(Debug, Clone)]
pub struct HoldCount {
    /// The state.
    pub state: HoldState,
    /// How many.
    pub holds: i64,
    /// When the oldest of them was heard of.
    pub oldest: Timestamp,
}

impl SystemStore<'_> {
    /// The open holds of a connection, counted by state.
    pub async fn hold_counts(&self, id: &ConnectionId) -> Result<Vec<HoldCount>, StoreError> {
        let found = rows(&self.store.database, COUNTS, [id.as_str().into()]).await?;
        let read = found.iter().map(|found| {
            Ok(HoldCount {
                state: parsed(found, "state")?,
                holds: column(found, "holds")?,
                oldest: Timestamp::from_millis(column(found, "oldest")?),
            })
        });
        read.collect()
    }

    /// The oldest open holds of a connection, a page of them.
    pub async fn open_holds(&self, id: &ConnectionId) -> Result<Vec<Hold>, StoreError> {
        self.page_of_holds(OPEN, id).await
    }

    /// The holds of a connection that ended last, a page of them.
    pub async fn ended_holds(&self, id: &ConnectionId) -> Result<Vec<Hold>, StoreError> {
        self.page_of_holds(RECENT, id).await
    }

    /// Notices of kinds that are not known, counted by kind.
    pub async fn flagged_notices(&self, id: &ConnectionId) -> Result<Vec<(String, i64)>, StoreError> {
        let values = [id.as_str().into(), WAITING_NOTICE.into(), FAILED_NOTICE.into()];
        let found = rows(&self.store.database, FLAGGED, values).await?;
        found.iter().map(|found| Ok((column(found, "kind")?, column(found, "notices")?))).collect()
    }

    async fn page_of_holds(&self, text: &str, id: &ConnectionId) -> Result<Vec<Hold>, StoreError> {
        let most = i64::try_from(PAGE_ITEMS).unwrap_or(i64::MAX);
        rows(&self.store.database, text, [id.as_str().into(), most.into()]).await?.iter().map(hold_of).collect()
    }
}

/// Whether a shop holds an order until a person decides. It may, whatever the verdict was: the settings keep it, or the
/// shop holds it for a reason of its own too.
pub(in crate::store) async fn waits_for_a_person(
    change: &Change,
    transaction: &TransactionId,
) -> Result<bool, StoreError> {
    Ok(row(change.transaction(), WAITS, [transaction.as_str().into()]).await?.is_some())
}
