//! Messages that were set aside: by a consumer, with its reason, or by the broker after too many deliveries.
//!
//! Guarantee: looking leaves them where they are, in order; a replay is confirmed on its lane before the dead letter
//! goes. Failure: a replay that breaks off may have doubled its last message; consumers are idempotent.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use lapin::BasicProperties;
use lapin::message::BasicGetMessage;
use lapin::options::{BasicAckOptions, BasicGetOptions, BasicNackOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Connection};
use touchstone_schema::limits::DELIVERY_LIMIT;
use touchstone_schema::time::Timestamp;

use super::connection::{CONFIRM_TIMEOUT, Session, lapin_error};
use super::consumer::{DELIVERY_COUNT_HEADER, number};
use super::publisher::{ATTEMPTS_HEADER, Outgoing, persistent, publish_all, text_header};
use super::topology::{DEAD_QUEUE, DEFAULT_EXCHANGE, queue_of};
use crate::queue::{DeadLetter, Lane, QueueError};

const LANE_HEADER: &str = "touchstone-lane";
const REASON_HEADER: &str = "touchstone-reason";
const AT_HEADER: &str = "touchstone-dead-at";
/// Longest reason, in characters: headers are no place for a report.
const REASON_CHARS: usize = 1_000;
/// Dead letters that are replayed and confirmed together.
const REPLAY_BATCH: usize = 64;

/// The message that puts a delivery aside.
pub(super) fn dead_letter(
    lane: &str,
    reason: &str,
    at: Timestamp,
    attempts: u32,
    message_id: Option<String>,
    body: Bytes,
) -> Outgoing {
    let reason = reason.chars().take(REASON_CHARS).collect::<String>();
    let mut headers = FieldTable::default();
    headers.insert(LANE_HEADER.into(), text_header(lane));
    headers.insert(REASON_HEADER.into(), text_header(&reason));
    headers.insert(AT_HEADER.into(), AMQPValue::LongLongInt(at.as_millis()));
    headers.insert(ATTEMPTS_HEADER.into(), AMQPValue::LongLongInt(i64::from(attempts)));
    let properties = persistent(message_id, headers);
    Outgoing { exchange: DEFAULT_EXCHANGE, routing_key: DEAD_QUEUE, properties, body }
}

/// The oldest `most`, put back when the look is over.
pub(super) async fn list(session: &Session, most: usize) -> Result<Vec<DeadLetter>, QueueError> {
    let work = async {
        let mut look = Look::begin(&session.connection).await?;
        let mut found = Vec::new();
        while found.len() < most {
            let Some(message) = look.next().await? else { break };
            found.push(read(&message));
        }
        look.end().await?;
        Ok(found)
    };
    tokio::time::timeout(CONFIRM_TIMEOUT, work)
        .await
        .unwrap_or_else(|elapsed| Err(QueueError::Unavailable(Some(Box::new(elapsed)))))
}

/// Puts one (or all) back on their lanes. Those of a lane that does not exist stay.
pub(super) async fn replay(session: &Arc<Session>, id: Option<&str>) -> Result<usize, QueueError> {
    let mut look = Look::begin(&session.connection).await?;
    let mut replayed = 0;
    let mut batch = Vec::new();
    let mut seen = HashSet::new();
    while let Some(message) = look.next().await? {
        let letter = read(&message);
        // One that was replayed a moment ago is dead again: its consumer is not mended, and this would never end.
        if !letter.id.is_empty() && !seen.insert(letter.id.clone()) {
            break;
        }
        if id.is_some_and(|id| id != letter.id) {
            continue;
        }
        let Some(lane) = durable_lane(&letter.lane) else { continue };
        batch.push((message.delivery.delivery_tag, Outgoing::to_lane(lane, letter.body, Some(letter.id), 0)));
        if batch.len() == REPLAY_BATCH || id.is_some() {
            replayed += look.move_out(session, std::mem::take(&mut batch)).await?;
        }
        if id.is_some() {
            break;
        }
    }
    replayed += look.move_out(session, batch).await?;
    look.end().await?;
    Ok(replayed)
}

/// Deletes one, or all that are there now.
pub(super) async fn discard(session: &Session, id: Option<&str>) -> Result<usize, QueueError> {
    let mut look = Look::begin(&session.connection).await?;
    let (mut discarded, mut left) = (0, None);
    while left != Some(0) {
        let Some(message) = look.next().await? else { break };
        // Of those that come meanwhile nothing is known to whoever asked for all.
        let behind: u32 = message.message_count;
        left = Some(left.map_or(behind, |left: u32| left - 1));
        // Those that stay are all looked at, so that they are put back in their order.
        if id.is_none_or(|id| id == read(&message).id) {
            look.let_go(message.delivery.delivery_tag).await?;
            discarded += 1;
        }
    }
    look.end().await?;
    Ok(discarded)
}

/// An interactive message has nobody waiting any more: it is done as a promised one.
fn durable_lane(name: &str) -> Option<Lane> {
    let lane = Lane::ALL.iter().copied().find(|lane| lane.as_str() == name)?;
    Some(if lane == Lane::Interactive { Lane::Durable } else { lane })
}

/// A channel that holds the dead letters it has seen until it is closed.
struct Look {
    channel: Channel,
    /// Seen and not moved out.
    held: usize,
}

impl Look {
    async fn begin(connection: &Connection) -> Result<Self, QueueError> {
        let channel = connection.create_channel().await.map_err(lapin_error)?;
        Ok(Self { channel, held: 0 })
    }

    async fn next(&mut self) -> Result<Option<BasicGetMessage>, QueueError> {
        let message =
            self.channel.basic_get(DEAD_QUEUE.into(), BasicGetOptions::default()).await.map_err(lapin_error)?;
        self.held += usize::from(message.is_some());
        Ok(message)
    }

    /// Publishes with a confirm, then lets go of the dead letters.
    async fn move_out(&mut self, session: &Arc<Session>, batch: Vec<(u64, Outgoing)>) -> Result<usize, QueueError> {
        let (tags, messages): (Vec<u64>, Vec<Outgoing>) = batch.into_iter().unzip();
        publish_all(Arc::clone(session), messages).await?;
        for tag in &tags {
            self.let_go(*tag).await?;
        }
        Ok(tags.len())
    }

    /// Deletes a dead letter that was seen.
    async fn let_go(&mut self, tag: u64) -> Result<(), QueueError> {
        self.channel.basic_ack(tag, BasicAckOptions::default()).await.map_err(lapin_error)?;
        self.held = self.held.saturating_sub(1);
        Ok(())
    }

    async fn end(self) -> Result<(), QueueError> {
        if self.held > 0 {
            let everything = 0;
            let options = BasicNackOptions { multiple: true, requeue: true };
            self.channel.basic_nack(everything, options).await.map_err(lapin_error)?;
        }
        self.channel.close(200, "OK".into()).await.map_err(lapin_error)
    }
}

fn read(message: &BasicGetMessage) -> DeadLetter {
    let properties = &message.delivery.properties;
    let id = properties.message_id().as_ref().map(ToString::to_string).unwrap_or_default();
    let body = Bytes::copy_from_slice(&message.delivery.data);
    let empty = FieldTable::default();
    let headers = properties.headers().as_ref().unwrap_or(&empty);
    match text(headers, REASON_HEADER) {
        Some(reason) => DeadLetter {
            id,
            lane: text(headers, LANE_HEADER).unwrap_or_default(),
            reason,
            at: Timestamp::from_millis(long(headers, AT_HEADER)),
            attempts: number(headers, ATTEMPTS_HEADER),
            body,
        },
        None => read_broker_made(id, body, properties, headers),
    }
}

/// The broker tells what it did in `x-death`, the latest first; turns in a delay queue are listed there too.
fn read_broker_made(id: String, body: Bytes, properties: &BasicProperties, headers: &FieldTable) -> DeadLetter {
    let deaths = match headers.inner().get("x-death") {
        Some(AMQPValue::FieldArray(deaths)) => deaths.as_slice(),
        _ => &[],
    };
    let tables = deaths.iter().filter_map(|death| match death {
        AMQPValue::FieldTable(death) => Some(death),
        _ => None,
    });
    let lane_death = tables.filter_map(|death| Some((lane_of_queue(&text(death, "queue")?)?, death))).next();
    // Some versions drop their count when they set a message aside; then the limit itself says what it was.
    let returned = number(headers, DELIVERY_COUNT_HEADER).max(DELIVERY_LIMIT);
    let attempts = number(headers, ATTEMPTS_HEADER).saturating_add(returned).saturating_add(1);
    let Some((lane, death)) = lane_death else {
        let reason = "set aside by the broker, which tells no reason".to_owned();
        let seconds = properties.timestamp().unwrap_or_default();
        return DeadLetter { id, lane: String::new(), reason, at: from_seconds(seconds), attempts, body };
    };
    let reason = match text(death, "reason").as_deref() {
        Some("delivery_limit") => "delivered too often without being settled (delivery limit of the broker)".to_owned(),
        Some(other) => format!("set aside by the broker: {other}"),
        None => "set aside by the broker".to_owned(),
    };
    let seconds = match death.inner().get("time") {
        Some(AMQPValue::Timestamp(seconds)) => *seconds,
        _ => 0,
    };
    DeadLetter { id, lane: lane.as_str().to_owned(), reason, at: from_seconds(seconds), attempts, body }
}

fn lane_of_queue(queue: &str) -> Option<Lane> {
    Lane::ALL.iter().copied().find(|lane| queue_of(*lane) == queue)
}

fn from_seconds(seconds: u64) -> Timestamp {
    Timestamp::from_millis(i64::try_from(seconds).unwrap_or(0).saturating_mul(1_000))
}

fn text(headers: &FieldTable, name: &str) -> Option<String> {
    match headers.inner().get(name) {
        Some(AMQPValue::LongString(value)) => Some(String::from_utf8_lossy(value.as_bytes()).into_owned()),
        Some(AMQPValue::ShortString(value)) => Some(value.to_string()),
        _ => None,
    }
}

fn long(headers: &FieldTable, name: &str) -> i64 {
    match headers.inner().get(name) {
        Some(AMQPValue::LongLongInt(value)) => *value,
        _ => 0,
    }
}
