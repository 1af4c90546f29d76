//! The queues of Touchstone on the broker, declared alike by every process.
//!
//! Guarantee: declaring is idempotent. What is promised lives in quorum queues that refuse when full and hand a message
//! on to the dead-letter queue before they let go of it. Failure: a queue that exists with other arguments is a
//! [`QueueError::Refused`] that says how to mend it; nothing is deleted here.
//! Design: ARCHITECTURE.md, "Lanes, and why".

use std::time::Duration;

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable, LongString, ShortString};
use lapin::{Channel, ExchangeKind};
use touchstone_schema::limits::DELIVERY_LIMIT;

use super::connection::lapin_error;
use crate::queue::{Lane, QueueError};

/// Where messages wait for a person.
pub(super) const DEAD_QUEUE: &str = "touchstone.dead";
/// The default exchange: routes by queue name.
pub(super) const DEFAULT_EXCHANGE: &str = "";
/// Most frames that wait on the interactive lane; more are refused, which sheds load at the door.
const INTERACTIVE_FRAMES: i64 = 10_000;
/// Most messages that wait on a durable queue; more are refused, so that the broker's disk has a limit.
const DURABLE_MESSAGES: i64 = 5_000_000;
/// Deliveries of a dead letter: every look at it counts as one, so the limit is out of reach.
const DEAD_DELIVERY_LIMIT: i64 = 1_000_000_000;

/// A queue in which a message waits before it goes back to its lane.
#[derive(Debug, Clone, Copy)]
pub(super) struct DelayLevel {
    /// Name of the queue, and of the exchange in front of it.
    pub(super) name: &'static str,
    /// How long it waits.
    pub(super) delay: Duration,
}

/// The delays on offer; a retry takes the shortest that is long enough.
pub(super) const DELAY_LEVELS: &[DelayLevel] = &[
    DelayLevel { name: "touchstone.delay.1s", delay: Duration::from_secs(1) },
    DelayLevel { name: "touchstone.delay.10s", delay: Duration::from_secs(10) },
    DelayLevel { name: "touchstone.delay.60s", delay: Duration::from_secs(60) },
    DelayLevel { name: "touchstone.delay.600s", delay: Duration::from_secs(600) },
];

/// Name of a lane's queue.
pub(super) const fn queue_of(lane: Lane) -> &'static str {
    match lane {
        Lane::Interactive => "touchstone.interactive",
        Lane::Durable => "touchstone.durable",
        Lane::Bulk => "touchstone.bulk",
        Lane::Events => "touchstone.events",
        Lane::Notices => "touchstone.notices",
    }
}

/// The exchange that holds a message back for at least `after`; none when it need not wait. The longest level is the
/// most that one retry waits.
pub(super) fn delay_exchange(after: Duration) -> Option<&'static str> {
    if after.is_zero() {
        return None;
    }
    DELAY_LEVELS.iter().find(|level| level.delay >= after).or(DELAY_LEVELS.last()).map(|level| level.name)
}

/// Declares everything.
pub(super) async fn declare(channel: &Channel) -> Result<(), QueueError> {
    declare_queue(channel, queue_of(Lane::Interactive), interactive_arguments()).await?;
    declare_queue(channel, DEAD_QUEUE, quorum_arguments(DEAD_DELIVERY_LIMIT)).await?;
    for lane in [Lane::Durable, Lane::Bulk, Lane::Events, Lane::Notices] {
        let mut arguments = quorum_arguments(i64::from(DELIVERY_LIMIT));
        dead_letter_to(&mut arguments, Some(DEAD_QUEUE));
        declare_queue(channel, queue_of(lane), arguments).await?;
    }
    for level in DELAY_LEVELS {
        declare_delay(channel, level).await?;
    }
    Ok(())
}

/// A fanout exchange in front of each delay queue keeps the routing key, the name of the lane's queue, to which the
/// expired message then returns through the default exchange.
async fn declare_delay(channel: &Channel, level: &DelayLevel) -> Result<(), QueueError> {
    let mut arguments = quorum_arguments(DEAD_DELIVERY_LIMIT);
    let millis = i64::try_from(level.delay.as_millis()).unwrap_or(i64::MAX);
    arguments.insert("x-message-ttl".into(), AMQPValue::LongLongInt(millis));
    dead_letter_to(&mut arguments, None);
    declare_queue(channel, level.name, arguments).await?;
    let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    channel
        .exchange_declare(level.name.into(), ExchangeKind::Fanout, options, FieldTable::default())
        .await
        .map_err(|error| mismatch("exchange", level.name, error))?;
    channel
        .queue_bind(
            level.name.into(),
            level.name.into(),
            ShortString::default(),
            QueueBindOptions::default(),
            FieldTable::default(),
        )
        .await
        .map_err(lapin_error)
}

async fn declare_queue(channel: &Channel, name: &'static str, arguments: FieldTable) -> Result<(), QueueError> {
    let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    let declared = channel.queue_declare(name.into(), options, arguments).await;
    declared.map(drop).map_err(|error| mismatch("queue", name, error))
}

fn mismatch(kind: &str, name: &str, error: lapin::Error) -> QueueError {
    match lapin_error(error) {
        QueueError::Refused(text) if text.contains("PRECONDITION_FAILED") => QueueError::Refused(format!(
            "{kind} {name} exists with other arguments ({text}); drain it, then remove it with \
             `rabbitmqctl delete_{kind} {name}` and start again"
        )),
        other => other,
    }
}

/// Nothing on the interactive lane is promised: no disk, no dead letters, a message past its deadline just goes.
fn interactive_arguments() -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), text("classic"));
    arguments.insert("x-max-length".into(), AMQPValue::LongLongInt(INTERACTIVE_FRAMES));
    arguments.insert("x-overflow".into(), text("reject-publish"));
    arguments
}

fn quorum_arguments(delivery_limit: i64) -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), text("quorum"));
    arguments.insert("x-delivery-limit".into(), AMQPValue::LongLongInt(delivery_limit));
    arguments.insert("x-max-length".into(), AMQPValue::LongLongInt(DURABLE_MESSAGES));
    arguments.insert("x-overflow".into(), text("reject-publish"));
    arguments
}

/// `at-least-once` (RabbitMQ 3.10) confirms the dead letter before the original goes.
fn dead_letter_to(arguments: &mut FieldTable, queue: Option<&str>) {
    arguments.insert("x-dead-letter-exchange".into(), text(DEFAULT_EXCHANGE));
    if let Some(queue) = queue {
        arguments.insert("x-dead-letter-routing-key".into(), text(queue));
    }
    arguments.insert("x-dead-letter-strategy".into(), text("at-least-once"));
}

fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(LongString::from(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retry_takes_the_shortest_delay_that_is_long_enough() {
        assert_eq!(delay_exchange(Duration::ZERO), None);
        assert_eq!(delay_exchange(Duration::from_millis(1)), Some("touchstone.delay.1s"));
        assert_eq!(delay_exchange(Duration::from_secs(1)), Some("touchstone.delay.1s"));
        assert_eq!(delay_exchange(Duration::from_secs(2)), Some("touchstone.delay.10s"));
        assert_eq!(delay_exchange(Duration::from_secs(86_400)), Some("touchstone.delay.600s"));
    }
}
