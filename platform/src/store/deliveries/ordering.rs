//! Deliveries of endpoints that want them one after the other, in the order of their events.
//!
//! Guarantee: of an ordered endpoint's line at most one delivery is due or leased; the others are parked, behind every time
//! that a claim looks at. Only [`super::super::SystemStore::release`] takes one out, under a lock on its endpoint, and only
//! when none before it is pending. Failure: a crash between an attempt's record and the release leaves a line in which
//! everything is parked; [`super::super::SystemStore::stalled`] finds it.

use std::sync::LazyLock;

use sea_orm::Value;
use touchstone_schema::ids::EndpointId;
use touchstone_schema::time::Timestamp;

use super::claiming::{ENDPOINT_DISABLED, limit};
use super::{DueDelivery, due_delivery};
use crate::store::database::{column, count, execute, parsed, rows};
use crate::store::events::{EVENT_AND_ENDPOINT, json};
use crate::store::{StoreError, SystemStore};

/// When a parked delivery is due: never, by the clock. The last second of the year 9999.
pub(in crate::store) const PARKED: i64 = 253_402_300_799_000;

/// Places within a millisecond: events of one transaction keep their sequence.
const PLACES: i64 = 1_000;

/// The place of an event in the lines of ordered endpoints.
pub(in crate::store) fn place_of(occurred_at: Timestamp, sequence: i64) -> i64 {
    occurred_at.as_millis().saturating_mul(PLACES).saturating_add(sequence.clamp(0, PLACES - 1))
}

/// Deliveries freed in one go from a line that is none any more.
const FREED_TOGETHER: u64 = 1_000;
/// Stalled lines found in one look.
const STALLED_TOGETHER: u64 = 256;

/// The lock comes first: what follows must see what whoever held it has committed.
const LOCK: &str = "SELECT id, ordered, enabled FROM endpoints WHERE id {any} ORDER BY id {lock}";

/// Endpoints whose line may not wait: switched off, or ordered no more.
const FREE: &str = "
UPDATE deliveries AS d
SET due_at = $2,
    state = CASE WHEN p.enabled = 1 THEN 'pending' ELSE 'dead' END,
    last_error = CASE WHEN p.enabled = 1 THEN d.last_error ELSE $3 END
FROM endpoints p
WHERE p.id = d.endpoint_id AND d.id IN (
    SELECT w.id FROM deliveries w
    WHERE w.endpoint_id {any} AND w.state = 'pending' AND w.position > 0 AND w.due_at = {parked}
    LIMIT $4)";

/// The first of each line, where nothing is under way; while a recovery walks, only what lies before it. Each question is one step in the index of lines; put as a join it
/// would read whole lines.
const HEADS: &str = "
SELECT (SELECT h.id FROM deliveries h
    WHERE h.endpoint_id = p.id AND h.state = 'pending' AND h.position > 0 AND h.due_at = {parked}
        AND h.position < COALESCE((SELECT MIN(r.reached_at) FROM recoveries r
            WHERE r.endpoint_id = p.id AND r.finished_at IS NULL) * {places}, {parked} * {places})
    ORDER BY h.position, h.id LIMIT 1) AS id
FROM endpoints p
WHERE p.id {any} AND p.ordered = 1 AND p.enabled = 1 AND (SELECT a.id FROM deliveries a
    WHERE a.endpoint_id = p.id AND a.state = 'pending' AND a.position > 0 AND a.due_at < {parked} LIMIT 1) IS NULL";

const RELEASE_POSTGRES: &str = "
WITH head AS ({heads})
UPDATE deliveries d SET due_at = $2, leased_until = $3
FROM head, events e, endpoints p
WHERE d.id = head.id AND e.id = d.event_id AND p.id = d.endpoint_id
RETURNING d.id AS delivery_id, d.attempts, {columns}";

const FIND_SQLITE: &str = "
SELECT d.id AS delivery_id, d.attempts, {columns}
FROM ({heads}) head JOIN deliveries d ON d.id = head.id
JOIN events e ON e.id = d.event_id JOIN endpoints p ON p.id = d.endpoint_id";

const RELEASE_SQLITE: &str = "
UPDATE deliveries SET due_at = $2, leased_until = $3 WHERE id IN (SELECT value FROM json_each($1))";

/// Steps from one line to the next by the index, however long the lines are.
const STALLED: &str = "
WITH RECURSIVE line (id) AS (
    SELECT MIN(endpoint_id) FROM deliveries WHERE state = 'pending' AND position > 0
    UNION ALL
    SELECT (SELECT MIN(endpoint_id) FROM deliveries
        WHERE state = 'pending' AND position > 0 AND endpoint_id > line.id)
    FROM line WHERE line.id IS NOT NULL
)
SELECT p.id FROM line JOIN endpoints p ON p.id = line.id
WHERE (SELECT w.id FROM deliveries w
    WHERE w.endpoint_id = p.id AND w.state = 'pending' AND w.position > 0 AND w.due_at = {parked} LIMIT 1) IS NOT NULL
AND (p.ordered = 0 OR p.enabled = 0 OR (SELECT a.id FROM deliveries a
    WHERE a.endpoint_id = p.id AND a.state = 'pending' AND a.position > 0 AND a.due_at < {parked} LIMIT 1) IS NULL)
LIMIT $1";

/// Puts what waits of an endpoint in line, by the time of its planning. What is leased at this moment is left to its end.
pub(in crate::store) const LINE_UP: &str = "
UPDATE deliveries SET position = CASE WHEN position = 0 THEN 1 ELSE position END, due_at = {parked}
WHERE id IN (SELECT id FROM deliveries WHERE endpoint_id = $1 AND state = 'pending' AND leased_until <= $2 {skip})";

fn filled(statement: &str, embedded: bool) -> String {
    let any = if embedded { "IN (SELECT value FROM json_each($1))" } else { "= ANY($1)" };
    let lock = if embedded { "" } else { "FOR NO KEY UPDATE" };
    let statement =
        statement.replace("{lock}", lock).replace("{heads}", HEADS).replace("{columns}", EVENT_AND_ENDPOINT);
    statement.replace("{any}", any).replace("{parked}", &PARKED.to_string()).replace("{places}", &PLACES.to_string())
}

/// [`LINE_UP`] for a database; rows that a notifier works on are passed over.
pub(in crate::store) fn line_up(embedded: bool) -> String {
    filled(LINE_UP, embedded).replace("{skip}", if embedded { "" } else { "FOR UPDATE SKIP LOCKED" })
}

impl SystemStore<'_> {
    /// Takes the next delivery of each ordered endpoint out of its line, unless one is under way. It is leased to the caller
    /// until `lease_until`, or due now for whoever looks first. What is in line for an endpoint that is no longer ordered is
    /// made due, for one that is switched off given up.
    pub async fn release(
        &self,
        endpoints: &[EndpointId],
        now: Timestamp,
        lease_until: Option<Timestamp>,
    ) -> Result<Vec<DueDelivery>, StoreError> {
        if endpoints.is_empty() {
            return Ok(Vec::new());
        }
        let ids = endpoints.iter().map(|id| id.as_str().to_owned()).collect::<Vec<_>>();
        let embedded = self.store.is_embedded();
        let ids = if embedded { Value::from(json(&ids)) } else { Value::from(ids) };
        let due = lease_until.unwrap_or(now).as_millis();
        let leased = lease_until.map_or(0, Timestamp::as_millis);
        let change = self.store.begin().await?;
        static LOCK_POSTGRES: LazyLock<String> = LazyLock::new(|| filled(LOCK, false));
        static LOCK_SQLITE: LazyLock<String> = LazyLock::new(|| filled(LOCK, true));
        let lock = if embedded { &LOCK_SQLITE } else { &LOCK_POSTGRES };
        let mut closed = Vec::new();
        for found in rows(change.transaction(), lock, [ids.clone()]).await? {
            if column::<i64>(&found, "ordered")? == 0 || column::<i64>(&found, "enabled")? == 0 {
                closed.push(column::<String>(&found, "id")?);
            }
        }
        if !closed.is_empty() {
            let closed = if embedded { Value::from(json(&closed)) } else { Value::from(closed) };
            let values = [closed, now.as_millis().into(), ENDPOINT_DISABLED.into(), limit(FREED_TOGETHER)];
            execute(change.transaction(), &filled(FREE, embedded), values).await?;
        }
        static RELEASE: LazyLock<String> = LazyLock::new(|| filled(RELEASE_POSTGRES, false));
        static FIND: LazyLock<String> = LazyLock::new(|| filled(FIND_SQLITE, true));
        let found = if embedded {
            rows(change.transaction(), &FIND, [ids]).await?
        } else {
            rows(change.transaction(), &RELEASE, [ids, due.into(), leased.into()]).await?
        };
        let of = |row| due_delivery(row, parsed(row, "delivery_id")?, (count(row, "attempts")?, false), now);
        let released = found.iter().map(of).collect::<Result<Vec<_>, StoreError>>()?;
        if embedded && !released.is_empty() {
            let ids = json(&released.iter().map(|delivery| delivery.id.as_str()).collect::<Vec<_>>());
            execute(change.transaction(), RELEASE_SQLITE, [ids.into(), due.into(), leased.into()]).await?;
        }
        change.commit().await?;
        Ok(released)
    }

    /// Endpoints in whose line nothing is under way although something waits, or whose line should not wait any more.
    pub async fn stalled(&self) -> Result<Vec<EndpointId>, StoreError> {
        static FIND: LazyLock<String> = LazyLock::new(|| filled(STALLED, false));
        let found = rows(&self.store.database, &FIND, [limit(STALLED_TOGETHER)]).await?;
        found.iter().map(|row| parsed(row, "id")).collect()
    }
}
