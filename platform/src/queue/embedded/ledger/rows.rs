//! The statements on the queue's table.

use bytes::Bytes;
use sea_orm::{ConnectionTrait, QueryResult, Value};
use touchstone_schema::limits::DELIVERY_LIMIT;
use touchstone_schema::time::Timestamp;

use super::super::Receipt;
use crate::queue::{DeadLetter, Delivery, Disposition, Lane, log_dead_letter};
use crate::random;
use crate::store::StoreError;
use crate::store::database::{column, count, execute, row, rows};

/// Rows of one INSERT; four values each, far from SQLite's limit of 32 766.
const ROWS_TOGETHER: usize = 500;
const DELIVERY_LIMIT_REASON: &str = "delivered too often without being settled (delivery limit)";

pub(super) const SCHEMA: &[&str] = &[
    "CREATE TABLE IF NOT EXISTS queue_messages (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        lane TEXT NOT NULL,
        body BLOB NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0,
        returns INTEGER NOT NULL DEFAULT 0,
        available_at INTEGER NOT NULL,
        claimed INTEGER NOT NULL DEFAULT 0,
        message_id TEXT NOT NULL,
        reason TEXT,
        dead_at INTEGER)",
    "CREATE INDEX IF NOT EXISTS queue_messages_ready ON queue_messages (lane, seq) WHERE claimed = 0 AND dead_at IS NULL",
    "CREATE INDEX IF NOT EXISTS queue_messages_dead ON queue_messages (dead_at, seq) WHERE dead_at IS NOT NULL",
];

pub(super) async fn insert<C: ConnectionTrait>(
    connection: &C,
    lane: Lane,
    bodies: Vec<Bytes>,
    now: Timestamp,
) -> Result<(), StoreError> {
    for bodies in bodies.chunks(ROWS_TOGETHER) {
        let places = vec!["(?, ?, ?, ?)"; bodies.len()].join(", ");
        let sql = format!("INSERT INTO queue_messages (lane, body, available_at, message_id) VALUES {places}");
        let values = bodies.iter().flat_map(|body| {
            [lane.as_str().into(), body.to_vec().into(), now.as_millis().into(), new_message_id().into()]
        });
        execute(connection, &sql, values).await?;
    }
    Ok(())
}

pub(super) async fn insert_dead<C: ConnectionTrait>(
    connection: &C,
    lane: Lane,
    body: Bytes,
    attempts: u32,
    reason: String,
    now: Timestamp,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO queue_messages (lane, body, attempts, available_at, message_id, reason, dead_at) \
               VALUES ($1, $2, $3, $4, $5, $6, $4)";
    let id = new_message_id();
    log_dead_letter(lane.as_str(), &id, attempts, &reason);
    let values = [
        lane.as_str().into(),
        body.to_vec().into(),
        i64::from(attempts).into(),
        now.as_millis().into(),
        id.into(),
        reason.into(),
    ];
    execute(connection, sql, values).await.map(drop)
}

/// Counts an attempt of the oldest messages that are due and hands them out.
pub(super) async fn claim<C: ConnectionTrait>(
    connection: &C,
    lane: Lane,
    most: usize,
    now: Timestamp,
) -> Result<Vec<(i64, Delivery)>, StoreError> {
    let sql = "UPDATE queue_messages SET claimed = 1, attempts = attempts + 1 WHERE seq IN (\
               SELECT seq FROM queue_messages WHERE lane = $1 AND claimed = 0 AND dead_at IS NULL \
               AND available_at <= $2 ORDER BY seq LIMIT $3) RETURNING seq, body, attempts";
    let values = [lane.as_str().into(), now.as_millis().into(), i64::try_from(most).unwrap_or(i64::MAX).into()];
    let claimed = rows(connection, sql, values).await?;
    let mut deliveries = claimed.iter().map(delivery).collect::<Result<Vec<_>, _>>()?;
    // RETURNING promises no order.
    deliveries.sort_unstable_by_key(|(seq, _)| *seq);
    Ok(deliveries)
}

/// When the next delayed message of a lane is due.
pub(super) async fn next_due<C: ConnectionTrait>(connection: &C, lane: Lane) -> Result<Option<Timestamp>, StoreError> {
    let sql = "SELECT MIN(available_at) AS due FROM queue_messages WHERE lane = $1 AND claimed = 0 AND dead_at IS NULL";
    let found = row(connection, sql, [lane.as_str().into()]).await?;
    let due = found.map_or(Ok(None), |row| column::<Option<i64>>(&row, "due"))?;
    Ok(due.map(Timestamp::from_millis))
}

/// Does with claimed rows what their consumer decided.
pub(super) async fn settle<C: ConnectionTrait>(
    connection: &C,
    claimed: &[(i64, Disposition)],
    now: Timestamp,
) -> Result<(), StoreError> {
    let mut done = Vec::new();
    for (seq, disposition) in claimed {
        match disposition {
            Disposition::Ack => done.push(*seq),
            Disposition::Retry { after } => {
                let sql = "UPDATE queue_messages SET claimed = 0, available_at = $1 WHERE seq = $2";
                execute(connection, sql, [(now + *after).as_millis().into(), (*seq).into()]).await?;
            }
            Disposition::DeadLetter { reason } => {
                let sql = "UPDATE queue_messages SET claimed = 0, dead_at = $1, reason = $2 WHERE seq = $3 \
                           RETURNING message_id, lane, attempts";
                let values = [now.as_millis().into(), reason.clone().into(), (*seq).into()];
                if let Some(dead) = row(connection, sql, values).await? {
                    let (lane, id) = (column::<String>(&dead, "lane")?, column::<String>(&dead, "message_id")?);
                    log_dead_letter(&lane, &id, count(&dead, "attempts")?, reason);
                }
            }
        }
    }
    if !done.is_empty() {
        let sql = "DELETE FROM queue_messages WHERE seq IN (SELECT value FROM json_each($1))";
        execute(connection, sql, [list(&done)]).await?;
    }
    Ok(())
}

/// Takes rows back from their consumer; those that came back too often are set aside.
pub(super) async fn release<C: ConnectionTrait>(
    connection: &C,
    seqs: &[i64],
    now: Timestamp,
) -> Result<(), StoreError> {
    take_back(connection, "seq IN (SELECT value FROM json_each($4))", now, Some(list(seqs))).await
}

/// Takes back whatever is out.
pub(super) async fn release_all<C: ConnectionTrait>(connection: &C, now: Timestamp) -> Result<(), StoreError> {
    take_back(connection, "claimed = 1", now, None).await
}

async fn take_back<C: ConnectionTrait>(
    connection: &C,
    which: &str,
    now: Timestamp,
    listed: Option<Value>,
) -> Result<(), StoreError> {
    let sql = format!(
        "UPDATE queue_messages SET claimed = 0, returns = returns + 1, \
         reason = CASE WHEN returns >= $1 THEN $2 END, dead_at = CASE WHEN returns >= $1 THEN $3 END \
         WHERE dead_at IS NULL AND {which}"
    );
    let values = [i64::from(DELIVERY_LIMIT).into(), DELIVERY_LIMIT_REASON.into(), now.as_millis().into()];
    execute(connection, &sql, values.into_iter().chain(listed)).await.map(drop)
}

/// Messages of a lane that wait.
pub(super) async fn waiting<C: ConnectionTrait>(connection: &C, lane: Lane) -> Result<u64, StoreError> {
    let sql = "SELECT COUNT(*) AS waiting FROM queue_messages WHERE lane = $1 AND claimed = 0 AND dead_at IS NULL";
    row(connection, sql, [lane.as_str().into()]).await?.map_or(Ok(0), |row| count(&row, "waiting"))
}

/// The dead letters, oldest first.
pub(super) async fn dead<C: ConnectionTrait>(connection: &C, most: usize) -> Result<Vec<DeadLetter>, StoreError> {
    let sql = "SELECT message_id, lane, reason, dead_at, attempts, body FROM queue_messages \
               WHERE dead_at IS NOT NULL ORDER BY dead_at, seq LIMIT $1";
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    rows(connection, sql, [most.into()]).await?.iter().map(dead_letter).collect()
}

/// Deletes dead letters, one or all.
pub(super) async fn discard<C: ConnectionTrait>(connection: &C, id: Option<&str>) -> Result<u64, StoreError> {
    let sql = "DELETE FROM queue_messages WHERE dead_at IS NOT NULL AND ($1 IS NULL OR message_id = $1)";
    execute(connection, sql, [id.map(str::to_owned).into()]).await
}

/// Brings dead letters back to life, one or all. An interactive message has nobody waiting any more: it is done as a
/// promised one.
pub(super) async fn revive<C: ConnectionTrait>(
    connection: &C,
    id: Option<&str>,
    now: Timestamp,
) -> Result<u64, StoreError> {
    let sql = "UPDATE queue_messages SET dead_at = NULL, reason = NULL, attempts = 0, returns = 0, claimed = 0, \
               available_at = $1, lane = CASE lane WHEN 'interactive' THEN 'durable' ELSE lane END \
               WHERE dead_at IS NOT NULL AND ($2 IS NULL OR message_id = $2)";
    execute(connection, sql, [now.as_millis().into(), id.map(str::to_owned).into()]).await
}

fn delivery(row: &QueryResult) -> Result<(i64, Delivery), StoreError> {
    let seq = column(row, "seq")?;
    let delivery = Delivery {
        body: column::<Vec<u8>>(row, "body")?.into(),
        attempt: count(row, "attempts")?,
        wants_reply: false,
        receipt: crate::queue::Receipt::Embedded(Receipt::Row(seq)),
    };
    Ok((seq, delivery))
}

fn dead_letter(row: &QueryResult) -> Result<DeadLetter, StoreError> {
    Ok(DeadLetter {
        id: column(row, "message_id")?,
        lane: column(row, "lane")?,
        reason: column::<Option<String>>(row, "reason")?.unwrap_or_default(),
        at: Timestamp::from_millis(column(row, "dead_at")?),
        attempts: count(row, "attempts")?,
        body: column::<Vec<u8>>(row, "body")?.into(),
    })
}

/// Row numbers as the JSON text that `json_each` reads.
fn list(seqs: &[i64]) -> Value {
    format!("{seqs:?}").into()
}

fn new_message_id() -> String {
    hex::encode(random::bytes::<16>())
}
