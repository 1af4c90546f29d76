//! Forgetting notices of shops that are long over.

use touchstone_schema::time::Timestamp;

use crate::store::database::execute;
use crate::store::{StoreError, SystemStore};

/// A notice is read again while a hold of its order is open, by any of the names that the order has.
const NOTICES: &str = "DELETE FROM centra_notices WHERE id IN (
  SELECT n.id FROM centra_notices n
  WHERE n.received_at < $1 AND NOT EXISTS (
    SELECT 1 FROM holds h WHERE h.connection_id = n.connection_id AND h.closed_at IS NULL
      AND (n.reference = h.reference OR n.reference = h.centra_id
        OR n.reference = CAST(h.number AS TEXT) OR n.reference = '#' || CAST(h.number AS TEXT)))
  ORDER BY n.received_at LIMIT $2)";

impl SystemStore<'_> {
    /// Deletes up to `most` notices that were received before `before` and whose orders have no open hold. Returns how many.
    pub async fn forget_notices(&self, before: Timestamp, most: u64) -> Result<u64, StoreError> {
        let change = self.store.begin().await?;
        let values = [before.as_millis().into(), i64::try_from(most).unwrap_or(i64::MAX).into()];
        let forgotten = execute(change.transaction(), NOTICES, values).await?;
        change.commit().await?;
        Ok(forgotten)
    }
}
