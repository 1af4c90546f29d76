//! The outbox: events wait in `unplanned` until the notifier has planned their deliveries.
//!
//! Guarantee: an event is planned in the transaction that makes its deliveries, so a crash leaves either an unplanned
//! event, which the sweep finds, or planned deliveries whose lease runs out. Two planners never plan one event.

use sea_orm::{ConnectionTrait, DatabaseTransaction, QueryResult, Value};
use touchstone_schema::event::Event;
use touchstone_schema::ids::{DeliveryId, EventId};
use touchstone_schema::time::Timestamp;

use super::database::{column, execute, parsed, row, rows};
use super::deliveries::{DueDelivery, Left, PARKED, due_delivery, place_of};
use super::{StoreError, SystemStore};
use crate::random;

/// Which endpoints want an event: `e` is the event, `p` the endpoint. An empty filter means all; a trial goes to the
/// endpoint that it names and to no other. `{member}` reads the `endpoint_id` of the event's data.
const WANTED: &str = "p.store_id = e.store_id AND p.enabled = 1 AND CASE e.kind
        WHEN 'endpoint.test' THEN COALESCE({member} = p.id, TRUE)
        WHEN 'chargeback.won' THEN p.events = '' OR ',' || p.events || ',' LIKE '%,chargeback.upheld,%'
        WHEN 'chargeback.lost' THEN p.events = '' OR ',' || p.events || ',' LIKE '%,chargeback.reversed,%'
        ELSE p.events = '' OR ',' || p.events || ',' LIKE '%,' || e.kind || ',%' END";

/// Claims and plans in one statement, so in one round trip. Rows locked by another planner are passed over: it plans them. A
/// delivery's id is its time and 64 bits of a salted hash, in the alphabet of the others. Those to ordered endpoints take
/// their places in line. The last test is written so that it is looked up in a hash table: a join would compare each
/// delivery with each.
const PLAN_POSTGRES: &str = "
WITH open AS (
    SELECT event_id FROM unplanned WHERE event_id = ANY($1) FOR UPDATE SKIP LOCKED
), claimed AS (
    DELETE FROM unplanned USING open WHERE unplanned.event_id = open.event_id RETURNING unplanned.event_id
), wanted AS (
    SELECT $4 || upper(left(encode(sha256(convert_to($5 || e.id || p.id, 'UTF8')), 'hex'), 16)) AS delivery_id,
        p.id = ANY($6) OR ($7 AND p.rate_limit IS NOT NULL) AS busy, {columns}
    FROM claimed JOIN events e ON e.id = claimed.event_id JOIN endpoints p ON {wanted}
), planned AS (
    INSERT INTO deliveries (id, event_id, endpoint_id, store_id, state, attempts, due_at, leased_until, created_at,
        position, mode)
    SELECT delivery_id, event_id, endpoint_id, store_id, 'pending', 0,
        CASE WHEN ordered = 1 THEN {parked} WHEN busy THEN $2 ELSE $3 END,
        CASE WHEN ordered = 1 OR busy THEN 0 ELSE $3 END, $2,
        CASE WHEN ordered = 1 THEN occurred_at * 1000 + LEAST(sequence, 999) ELSE 0 END, mode
    FROM (SELECT * FROM wanted ORDER BY occurred_at, sequence, event_id) AS in_order
    ON CONFLICT (event_id, endpoint_id) DO NOTHING
    RETURNING id
)
SELECT * FROM wanted WHERE NOT busy AND (delivery_id IN (SELECT id FROM planned)) IS TRUE";

const PLAN_SQLITE: &str = "
SELECT {columns} FROM events e JOIN endpoints p ON {wanted}
WHERE e.id IN (SELECT event_id FROM unplanned WHERE event_id IN (SELECT value FROM json_each($1)))
ORDER BY e.occurred_at, e.sequence, e.id";

const CLAIM_SQLITE: &str = "DELETE FROM unplanned WHERE event_id IN (SELECT value FROM json_each($1))";

const INSERT_SQLITE: &str = "
INSERT INTO deliveries (id, event_id, endpoint_id, store_id, state, attempts, due_at, leased_until, created_at, position,
    mode)
SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, 'pending', 0,
    CASE WHEN value ->> 4 <> '0' THEN {parked} WHEN value ->> 6 = '1' THEN $2 ELSE $3 END,
    CASE WHEN value ->> 4 <> '0' OR value ->> 6 = '1' THEN 0 ELSE $3 END, $2,
    CAST(value ->> 4 AS INTEGER), value ->> 5
FROM json_each($1) WHERE TRUE
ON CONFLICT (event_id, endpoint_id) DO NOTHING
RETURNING id";

/// What [`due_delivery`] reads of an event and its endpoint. A verdict is stored once: the data of its event is made of it,
/// as [`super::scoring::verdict_event_data`] does.
pub(super) const EVENT_AND_ENDPOINT: &str = "e.id AS event_id, e.store_id, e.mode, e.transaction_id, e.kind, \
     e.sequence, e.occurred_at, e.request_id, e.trace, p.id AS endpoint_id, p.version, p.url, p.sealed_secret, \
     p.previous_secret, p.previous_until, p.sealed_headers, p.rate_limit, p.ordered, p.failing_since, \
     COALESCE(e.data, (SELECT '{\"revision\":' || r.revision || ',\"sequence\":' || e.sequence || ',' || substr(r.verdict, 2) \
     FROM revisions r WHERE r.transaction_id = e.transaction_id AND r.revision = e.revision)) AS data";

const UNPLANNED: &str = "
SELECT event_id FROM unplanned WHERE occurred_at < $1 ORDER BY occurred_at LIMIT $2";

const ADD: &str = "
INSERT INTO events (id, store_id, mode, transaction_id, kind, sequence, occurred_at, request_id, data, trace)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";

/// Puts an event in the outbox.
const WAIT: &str = "INSERT INTO unplanned (event_id, occurred_at) VALUES ($1, $2)";

impl SystemStore<'_> {
    /// Plans deliveries of the events that are not planned yet, one per enabled endpoint that wants the event, takes the
    /// events out of the outbox, all in one transaction, and returns the new deliveries already leased to the caller until
    /// `lease_until`; of an ordered endpoint the one whose turn it is. Those that are `left` are due at once instead, and not
    /// returned. Events planned before are passed over, so any message may come twice.
    pub async fn plan(
        &self,
        events: &[EventId],
        now: Timestamp,
        lease_until: Timestamp,
        left: Left<'_>,
    ) -> Result<Vec<DueDelivery>, StoreError> {
        if events.is_empty() {
            return Ok(Vec::new());
        }
        if self.store.is_embedded() {
            let change = self.store.begin().await?;
            let planned = plan_embedded(change.transaction(), events, now, lease_until, left).await?;
            change.commit().await?;
            return Ok(self.without_lines(planned, now, lease_until).await);
        }
        // The ten characters after an id's prefix are its time; those of a fresh id carry the time of planning.
        let salt = DeliveryId::mint(now, random::bytes());
        let prefix = salt.as_str().get(..DeliveryId::PREFIX.len() + 10).unwrap_or(DeliveryId::PREFIX);
        let values = [
            Value::from(events.iter().map(|id| id.as_str().to_owned()).collect::<Vec<_>>()),
            now.as_millis().into(),
            lease_until.as_millis().into(),
            prefix.into(),
            salt.as_str().into(),
            Value::from(left.busy.iter().map(|id| id.as_str().to_owned()).collect::<Vec<_>>()),
            left.limited.into(),
        ];
        let found = rows(&self.store.database, plan_statement(false), values).await?;
        let planned = found.iter().map(|row| due_delivery(row, parsed(row, "delivery_id")?, (0, true), now));
        let planned = planned.collect::<Result<Vec<_>, _>>()?;
        Ok(self.without_lines(planned, now, lease_until).await)
    }

    /// Replaces the deliveries of ordered endpoints, which are in line by now, by those whose turn it is.
    async fn without_lines(
        &self,
        mut planned: Vec<DueDelivery>,
        now: Timestamp,
        lease_until: Timestamp,
    ) -> Vec<DueDelivery> {
        let mut lines: Vec<_> =
            planned.iter().filter(|one| one.endpoint.ordered).map(|one| one.endpoint.id.clone()).collect();
        if lines.is_empty() {
            return planned;
        }
        lines.sort_unstable();
        lines.dedup();
        planned.retain(|delivery| !delivery.endpoint.ordered);
        // The plan has committed: what is not released here is found in its line.
        match self.release(&lines, now, Some(lease_until)).await {
            Ok(released) => planned.extend(released),
            Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "lines move later"),
        }
        planned
    }

    /// Events that were left unplanned since before `older_than`, oldest first.
    pub async fn unplanned(&self, older_than: Timestamp, most: u64) -> Result<Vec<EventId>, StoreError> {
        let values = [older_than.as_millis().into(), i64::try_from(most).unwrap_or(i64::MAX).into()];
        rows(&self.store.database, UNPLANNED, values).await?.iter().map(|row| parsed(row, "event_id")).collect()
    }

    /// Adds an event that no verdict made (an endpoint's test, an endpoint switched off). The same event again changes
    /// nothing.
    pub async fn add_event(&self, event: &Event) -> Result<(), StoreError> {
        let change = self.store.begin().await?;
        let known =
            row(change.transaction(), "SELECT id FROM events WHERE id = $1", [event.id.as_str().into()]).await?;
        if known.is_some() {
            return Ok(());
        }
        insert_event(change.transaction(), event).await?;
        change.commit().await
    }
}

/// Adds an event to the table and to the outbox, within a transaction.
pub(super) async fn insert_event<C: ConnectionTrait>(connection: &C, event: &Event) -> Result<(), StoreError> {
    let values = [
        event.id.as_str().into(),
        event.tenant.store_id.as_str().into(),
        event.tenant.mode.as_str().into(),
        event.transaction_id.as_ref().map(|id| id.as_str().to_owned()).into(),
        event.kind.as_str().into(),
        i64::from(event.sequence).into(),
        event.occurred_at.as_millis().into(),
        event.request_id.as_str().into(),
        event.data.get().into(),
        event.trace.as_ref().map(|trace| trace.as_str().to_owned()).into(),
    ];
    execute(connection, ADD, values).await?;
    execute(connection, WAIT, [event.id.as_str().into(), event.occurred_at.as_millis().into()]).await.map(|_| ())
}

fn plan_statement(embedded: bool) -> &'static str {
    static POSTGRES: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| {
        let (wanted, _) = wanted(false);
        PLAN_POSTGRES
            .replace("{parked}", &PARKED.to_string())
            .replace("{columns}", EVENT_AND_ENDPOINT)
            .replace("{wanted}", &wanted)
    });
    static SQLITE: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| {
        let (wanted, _) = wanted(true);
        PLAN_SQLITE.replace("{columns}", EVENT_AND_ENDPOINT).replace("{wanted}", &wanted)
    });
    if embedded { &SQLITE } else { &POSTGRES }
}

/// Which endpoints want an event, and the endpoint that the event's data names.
pub(super) fn wanted(embedded: bool) -> (String, &'static str) {
    let member = if embedded { "e.data ->> '$.endpoint_id'" } else { "e.data::json ->> 'endpoint_id'" };
    (WANTED.replace("{member}", member), member)
}

async fn plan_embedded(
    transaction: &DatabaseTransaction,
    events: &[EventId],
    now: Timestamp,
    lease_until: Timestamp,
    left: Left<'_>,
) -> Result<Vec<DueDelivery>, StoreError> {
    let ids = json(&events.iter().map(EventId::as_str).collect::<Vec<_>>());
    let wanted = rows(transaction, plan_statement(true), [ids.clone().into()]).await?;
    execute(transaction, CLAIM_SQLITE, [ids.into()]).await?;
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let mut planned = Vec::with_capacity(wanted.len());
    let mut inserts = Vec::with_capacity(wanted.len());
    for row in &wanted {
        let id = DeliveryId::mint(now, random::bytes());
        let is_limited = column::<Option<i64>>(row, "rate_limit")?.is_some();
        let waits = (is_limited && left.limited) || left.busy.contains(&parsed(row, "endpoint_id")?);
        inserts.push([
            id.as_str().to_owned(),
            text(row, "event_id")?,
            text(row, "endpoint_id")?,
            text(row, "store_id")?,
            position(row)?.to_string(),
            text(row, "mode")?,
            i64::from(waits).to_string(),
        ]);
        if !waits {
            planned.push(due_delivery(row, id, (0, true), now)?);
        }
    }
    let values = [json(&inserts).into(), now.as_millis().into(), lease_until.as_millis().into()];
    static INSERT: std::sync::LazyLock<String> =
        std::sync::LazyLock::new(|| INSERT_SQLITE.replace("{parked}", &PARKED.to_string()));
    let made = rows(transaction, &INSERT, values).await?;
    let made =
        made.iter().map(|row| parsed(row, "id")).collect::<Result<std::collections::HashSet<DeliveryId>, _>>()?;
    planned.retain(|delivery| made.contains(&delivery.id));
    Ok(planned)
}

/// The place in the line of its endpoint, 0 where there is none.
fn position(row: &QueryResult) -> Result<i64, StoreError> {
    let ordered = column::<i64>(row, "ordered")? != 0;
    let place = place_of(Timestamp::from_millis(column(row, "occurred_at")?), column(row, "sequence")?);
    Ok(if ordered { place } else { 0 })
}

fn text(row: &QueryResult, name: &'static str) -> Result<String, StoreError> {
    column(row, name)
}

/// A list as the JSON text that SQLite's `json_each` reads.
pub(super) fn json<T: serde::Serialize>(list: &[T]) -> String {
    serde_json::to_string(list).unwrap_or_else(|_| "[]".to_owned())
}
