//! Deliveries as operators see and replay them.

use sea_orm::{QueryResult, Value};
use touchstone_schema::ids::DeliveryId;
use touchstone_schema::limits::PAGE_ITEMS;
use touchstone_schema::time::Timestamp;

use super::claiming::limit;
use super::ordering::PARKED;
use super::{AttemptView, DeliveryFilter, DeliveryView};
use crate::store::database::{column, count, execute, parsed, row, rows};
use crate::store::{StoreError, SystemStore};

const VIEW: &str = "
SELECT d.id, d.event_id, e.kind, d.endpoint_id, d.state, d.attempts, d.due_at, d.last_error, d.created_at
FROM deliveries d JOIN events e ON e.id = d.event_id
WHERE ";

/// The filter's part of a statement, over `$1` to `$6`; an empty text means any.
const MATCHES: &str = "($1 = '' OR d.store_id = $1) AND ($2 = '' OR d.endpoint_id = $2) AND ($3 = '' OR d.state = $3)
    AND d.created_at >= $4 AND d.id > $5 AND ($6 = '' OR d.id = $6)";

/// Whether the delivery takes its place in the line of its endpoint again, where the notifier finds it.
const ORDERED: &str = "(SELECT p.ordered FROM endpoints p WHERE p.id = d.endpoint_id) = 1";

const REPLAY: &str = "
UPDATE deliveries AS d SET state = 'pending', attempts = 0, leased_until = 0, last_error = NULL,
    due_at = CASE WHEN {ordered} THEN {parked} ELSE $7 END,
    position = CASE WHEN {ordered} AND d.position = 0 THEN 1 ELSE d.position END
WHERE d.state IN ('delivered', 'dead') AND ";

const ATTEMPTS: &str = "
SELECT number, started_at, duration_ms, status, error, response_start FROM attempts
WHERE delivery_id = $1 ORDER BY started_at, number LIMIT $2";

impl SystemStore<'_> {
    /// A page of deliveries, oldest first; at most `most` and never more than a page.
    pub async fn deliveries(&self, filter: &DeliveryFilter, most: u64) -> Result<Vec<DeliveryView>, StoreError> {
        let mut values = filter_values(filter, None);
        values.push(limit(most.min(PAGE_ITEMS)));
        let statement = format!("{VIEW}{MATCHES} ORDER BY d.id LIMIT $7");
        rows(&self.store.database, &statement, values).await?.iter().map(view).collect()
    }

    /// One delivery with its attempts, oldest first.
    pub async fn delivery(&self, id: &DeliveryId) -> Result<Option<(DeliveryView, Vec<AttemptView>)>, StoreError> {
        let statement = format!("{VIEW}d.id = $1");
        let Some(found) = row(&self.store.database, &statement, [id.as_str().into()]).await? else {
            return Ok(None);
        };
        let attempts = rows(&self.store.database, ATTEMPTS, [id.as_str().into(), limit(PAGE_ITEMS)]).await?;
        let attempts = attempts.iter().map(attempt).collect::<Result<Vec<_>, _>>()?;
        Ok(Some((view(&found)?, attempts)))
    }

    /// Makes delivered or dead deliveries due again, attempts counted anew. Returns how many.
    pub async fn replay(
        &self,
        filter: &DeliveryFilter,
        only: Option<&DeliveryId>,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let mut values = filter_values(filter, only);
        values.push(now.as_millis().into());
        let change = self.store.begin().await?;
        let statement = REPLAY.replace("{ordered}", ORDERED).replace("{parked}", &PARKED.to_string());
        let replayed = execute(change.transaction(), &format!("{statement}{MATCHES}"), values).await?;
        change.commit().await?;
        Ok(replayed)
    }
}

fn filter_values(filter: &DeliveryFilter, only: Option<&DeliveryId>) -> Vec<Value> {
    vec![
        filter.store_id.as_ref().map_or("", |id| id.as_str()).into(),
        filter.endpoint_id.as_ref().map_or("", |id| id.as_str()).into(),
        filter.state.as_deref().unwrap_or("").into(),
        filter.since.map_or(i64::MIN, Timestamp::as_millis).into(),
        filter.after.as_ref().map_or("", |id| id.as_str()).into(),
        only.map_or("", DeliveryId::as_str).into(),
    ]
}

fn view(row: &QueryResult) -> Result<DeliveryView, StoreError> {
    let state: String = column(row, "state")?;
    let due_at: i64 = column(row, "due_at")?;
    Ok(DeliveryView {
        id: parsed(row, "id")?,
        event_id: parsed(row, "event_id")?,
        kind: column(row, "kind")?,
        endpoint_id: parsed(row, "endpoint_id")?,
        attempts: count(row, "attempts")?,
        next_attempt_at: (state == "pending" && due_at < PARKED).then(|| Timestamp::from_millis(due_at).to_rfc3339()),
        last_error: column(row, "last_error")?,
        created_at: Timestamp::from_millis(column(row, "created_at")?).to_rfc3339(),
        state,
    })
}

fn attempt(row: &QueryResult) -> Result<AttemptView, StoreError> {
    Ok(AttemptView {
        number: count(row, "number")?,
        started_at: Timestamp::from_millis(column(row, "started_at")?).to_rfc3339(),
        duration_ms: count(row, "duration_ms")?,
        status: column::<Option<i64>>(row, "status")?.and_then(|status| u16::try_from(status).ok()),
        error: column(row, "error")?,
        response_start: column(row, "response_start")?,
    })
}
