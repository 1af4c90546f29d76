//! Confirmed publishing: everything of a call goes out at once and its confirms are awaited together.
//!
//! Guarantee: `Ok` means that the broker has every message on disk. Failure: after an error any of them may or may not
//! be there. The work runs in a task of its own, so that a caller that goes away leaves no confirm behind.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::join_all;
use lapin::options::BasicPublishOptions;
use lapin::types::{AMQPValue, FieldTable, LongString};
use lapin::{BasicProperties, Confirmation};

use super::connection::{CONFIRM_TIMEOUT, Session, lapin_error};
use super::topology::{DEFAULT_EXCHANGE, queue_of};
use crate::queue::{Lane, QueueError};
use crate::random;

/// Delivery mode of AMQP 0-9-1: to disk.
const PERSISTENT: u8 = 2;
/// Header: attempts before this message was published anew.
pub(super) const ATTEMPTS_HEADER: &str = "touchstone-attempts";

/// A message and where it goes.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) exchange: &'static str,
    pub(super) routing_key: &'static str,
    pub(super) properties: BasicProperties,
    pub(super) body: Bytes,
}

impl Outgoing {
    /// A persistent message for a durable lane, `attempts` deliveries into its life.
    pub(super) fn to_lane(lane: Lane, body: Bytes, message_id: Option<String>, attempts: u32) -> Self {
        let mut headers = FieldTable::default();
        if attempts > 0 {
            headers.insert(ATTEMPTS_HEADER.into(), AMQPValue::LongLongInt(i64::from(attempts)));
        }
        Self {
            exchange: DEFAULT_EXCHANGE,
            routing_key: queue_of(lane),
            properties: persistent(message_id, headers),
            body,
        }
    }
}

/// Properties of a message that is written to disk.
pub(super) fn persistent(message_id: Option<String>, headers: FieldTable) -> BasicProperties {
    let id = message_id.unwrap_or_else(new_message_id);
    BasicProperties::default().with_delivery_mode(PERSISTENT).with_message_id(id.into()).with_headers(headers)
}

/// A text header.
pub(super) fn text_header(value: &str) -> AMQPValue {
    AMQPValue::LongString(LongString::from(value))
}

fn new_message_id() -> String {
    hex::encode(random::bytes::<16>())
}

/// Publishes all; returns when all are confirmed.
pub(super) async fn publish_all(session: Arc<Session>, messages: Vec<Outgoing>) -> Result<(), QueueError> {
    if messages.is_empty() {
        return Ok(());
    }
    let work = tokio::spawn(async move {
        let all = join_all(messages.into_iter().map(|message| publish_one(&session, message)));
        match tokio::time::timeout(CONFIRM_TIMEOUT, all).await {
            Ok(confirms) => confirms.into_iter().collect(),
            Err(elapsed) => {
                if !session.is_blocked() {
                    session.give_up();
                }
                Err(QueueError::Unavailable(Some(Box::new(elapsed))))
            }
        }
    });
    work.await.unwrap_or_else(|error| Err(QueueError::Unavailable(Some(Box::new(error)))))
}

async fn publish_one(session: &Session, message: Outgoing) -> Result<(), QueueError> {
    let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let Outgoing { exchange, routing_key, properties, body } = message;
    let confirm = session
        .publishing
        .basic_publish(exchange.into(), routing_key.into(), options, &body, properties)
        .await
        .map_err(|error| lost(session, error))?;
    check(&confirm.await.map_err(|error| lost(session, error))?)
}

/// A channel that failed stays failed: all shared ones are built anew.
pub(super) fn lost(session: &Session, error: lapin::Error) -> QueueError {
    session.give_up();
    lapin_error(error)
}

/// Reads the broker's answer: unroutable or full is no success.
pub(super) fn check(confirmation: &Confirmation) -> Result<(), QueueError> {
    match confirmation {
        Confirmation::Ack(None) => Ok(()),
        Confirmation::Ack(Some(_)) => Err(QueueError::Unavailable(Some("the lane's queue is not there".into()))),
        Confirmation::Nack(_) => Err(QueueError::Unavailable(Some("the lane's queue takes no more messages".into()))),
        Confirmation::NotRequested => Err(QueueError::Unavailable(Some("the broker confirms nothing".into()))),
    }
}
