//! Forgetting what is long over: attempts, then deliveries that have none left, then events that belong to no transaction.
//!
//! Guarantee: what waits or was attempted lately stays, however old it is, and so does what a recovery could ask for. Each
//! call is one short transaction over a bounded number of rows. Failure: what a call did not reach, the next look does.

use sea_orm::{QueryResult, Value};
use touchstone_schema::ids::{DeliveryId, EventId};
use touchstone_schema::time::Timestamp;

use super::claiming::limit;
use crate::store::database::{column, execute, parsed, rows};
use crate::store::events::json;
use crate::store::{StoreError, SystemStore};

const ATTEMPTS: &str = "
DELETE FROM attempts WHERE (delivery_id, number, started_at) IN (
    SELECT delivery_id, number, started_at FROM attempts
    WHERE delivery_id < $1 AND started_at < $2
    ORDER BY delivery_id LIMIT $3)";

/// A page by id, which begins with the time of planning. `due_at` of what is settled is the time of its last attempt.
const SETTLED: &str = "
SELECT d.id, CAST(CASE WHEN d.state <> 'pending' AND d.due_at < $3
    AND NOT EXISTS (SELECT 1 FROM attempts a WHERE a.delivery_id = d.id) THEN 1 ELSE 0 END AS BIGINT) AS is_over
FROM deliveries d WHERE d.id > $1 AND d.id < $2 ORDER BY d.id LIMIT $4";

const DELIVERIES: &str = "
DELETE FROM deliveries WHERE id {any} AND state <> 'pending' AND due_at < $2
    AND NOT EXISTS (SELECT 1 FROM attempts a WHERE a.delivery_id = deliveries.id)";

/// Transactions show their events, so those stay with them.
const LONE_EVENTS: &str = "
SELECT e.id, e.occurred_at, CAST(CASE WHEN NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.event_id = e.id)
    AND NOT EXISTS (SELECT 1 FROM unplanned u WHERE u.event_id = e.id) THEN 1 ELSE 0 END AS BIGINT) AS is_over
FROM events e
WHERE e.transaction_id IS NULL AND e.occurred_at >= $1 AND (e.occurred_at > $1 OR e.id > $2) AND e.occurred_at < $3
ORDER BY e.occurred_at, e.id LIMIT $4";

const EVENTS: &str = "
DELETE FROM events WHERE id {any} AND transaction_id IS NULL
    AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.event_id = events.id)";

const RECOVERIES: &str = "
DELETE FROM recoveries WHERE id IN (
    SELECT id FROM recoveries WHERE finished_at IS NOT NULL AND finished_at < $1 ORDER BY finished_at LIMIT $2)";

/// The ids of what may go.
fn ids_over(found: &[QueryResult]) -> Result<Vec<String>, StoreError> {
    let mut over = Vec::new();
    for row in found {
        if column::<i64>(row, "is_over")? == 1 {
            over.push(column(row, "id")?);
        }
    }
    Ok(over)
}

impl SystemStore<'_> {
    /// Deletes up to `most` attempts that began before `before`, of deliveries planned before that. Returns how many.
    pub async fn forget_attempts(&self, before: Timestamp, most: u64) -> Result<u64, StoreError> {
        let first = DeliveryId::mint(before, [0; 10]);
        let values = [first.as_str().into(), before.as_millis().into(), limit(most)];
        self.forget(ATTEMPTS, values).await
    }

    /// Looks at up to `most` deliveries that were planned before `before`, those after `after`, and deletes which of them
    /// are settled, were not attempted since, and have no attempts left. Returns where to go on; none at the end.
    pub async fn forget_deliveries(
        &self,
        before: Timestamp,
        after: Option<&DeliveryId>,
        most: u64,
    ) -> Result<Option<DeliveryId>, StoreError> {
        let first = DeliveryId::mint(before, [0; 10]);
        let after = after.map_or("", DeliveryId::as_str);
        let values = [after.into(), first.as_str().into(), before.as_millis().into(), limit(most)];
        let found = rows(&self.store.database, SETTLED, values).await?;
        let over = ids_over(&found)?;
        self.forget_ids(DELIVERIES, over, vec![before.as_millis().into()]).await?;
        let is_full = found.len() as u64 == most;
        found.last().filter(|_| is_full).map(|row| parsed(row, "id")).transpose()
    }

    /// The same of events that belong to no transaction and have no deliveries left.
    pub async fn forget_events(
        &self,
        before: Timestamp,
        after: Option<&(Timestamp, EventId)>,
        most: u64,
    ) -> Result<Option<(Timestamp, EventId)>, StoreError> {
        let (at, id) = after.map_or((i64::MIN, ""), |(at, id)| (at.as_millis(), id.as_str()));
        let values = [at.into(), id.into(), before.as_millis().into(), limit(most)];
        let found = rows(&self.store.database, LONE_EVENTS, values).await?;
        let over = ids_over(&found)?;
        self.forget_ids(EVENTS, over, Vec::new()).await?;
        let is_full = found.len() as u64 == most;
        let next = found.last().filter(|_| is_full);
        next.map(|row| Ok((Timestamp::from_millis(column(row, "occurred_at")?), parsed(row, "id")?))).transpose()
    }

    /// Deletes up to `most` recoveries that ended before `before`. Returns how many.
    pub async fn forget_recoveries(&self, before: Timestamp, most: u64) -> Result<u64, StoreError> {
        self.forget(RECOVERIES, [before.as_millis().into(), limit(most)]).await
    }

    async fn forget_ids(&self, statement: &str, ids: Vec<String>, rest: Vec<Value>) -> Result<u64, StoreError> {
        if ids.is_empty() {
            return Ok(0);
        }
        let (any, ids) = if self.store.is_embedded() {
            ("IN (SELECT value FROM json_each($1))", Value::from(json(&ids)))
        } else {
            ("= ANY($1)", Value::from(ids))
        };
        self.forget(&statement.replace("{any}", any), std::iter::once(ids).chain(rest)).await
    }

    async fn forget(&self, statement: &str, values: impl IntoIterator<Item = Value>) -> Result<u64, StoreError> {
        let change = self.store.begin().await?;
        let forgotten = execute(change.transaction(), statement, values).await?;
        change.commit().await?;
        Ok(forgotten)
    }
}
