//! The queue port: lanes of messages between the roles.
//!
//! Guarantee: [`Queue::publish`] returns only after the broker has the message on disk; a delivery that is not settled
//! comes back. The interactive lane alone promises nothing: its messages may be lost, and the caller is told by a
//! time-out. Failure: adapters reconnect by themselves with backoff; consumers just wait longer.
//! Design: ARCHITECTURE.md, "Lanes, and why".

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use touchstone_schema::secret::Secret;
use touchstone_schema::time::Timestamp;

use crate::clock::Clock;
use crate::store::Store;
use crate::transport::Trust;

/// A queue of one kind of message. Order within a lane is by arrival, redeliveries excepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lane {
    /// Submissions whose caller waits: transient, with a deadline, answered by a reply.
    Interactive,
    /// Submissions that were promised: persistent.
    Durable,
    /// Backfill and re-scoring: persistent, yields to the others.
    Bulk,
    /// Event batches from scorer to notifier: persistent.
    Events,
    /// Notices of Centra shops, from ingest to notifier: persistent.
    Notices,
}

impl Lane {
    /// Every lane.
    pub const ALL: &'static [Self] = &[Self::Interactive, Self::Durable, Self::Bulk, Self::Events, Self::Notices];

    /// Name used in queue names, metrics and dead letters.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Interactive => "interactive",
            Self::Durable => "durable",
            Self::Bulk => "bulk",
            Self::Events => "events",
            Self::Notices => "notices",
        }
    }
}

/// Why the queue could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// No connection, or it broke before the broker confirmed. The message may or may not be there.
    #[error("the message broker cannot be reached")]
    Unavailable(#[source] Option<Box<dyn std::error::Error + Send + Sync>>),
    /// No reply came before the deadline.
    #[error("no reply before the deadline")]
    Timeout,
    /// The broker refused the message or the topology.
    #[error("the message broker refused: {0}")]
    Refused(String),
}

/// What becomes of a delivery. Given by value, once, after its effects are committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disposition {
    /// Done.
    Ack,
    /// Try again, not before `after` has passed.
    Retry {
        /// Least delay, at most ten minutes. On the interactive lane, whose caller waits, it is none.
        after: Duration,
    },
    /// Set aside for a person, with the reason; confirmed in the dead-letter queue before the original goes.
    DeadLetter {
        /// What is wrong, without personal data.
        reason: String,
    },
}

/// One message taken from a lane, until it is settled.
#[derive(Debug)]
pub struct Delivery {
    /// The message.
    pub body: Bytes,
    /// 1 on first delivery; counts redeliveries and retries.
    pub attempt: u32,
    /// Whether a caller waits for a reply.
    pub wants_reply: bool,
    /// Adapter's own handle for settling and replying.
    pub(crate) receipt: Receipt,
}

/// What an adapter needs to settle a delivery; opaque to everyone else.
#[derive(Debug)]
pub(crate) enum Receipt {
    /// See the RabbitMQ adapter.
    RabbitMq(rabbitmq::Receipt),
    /// See the embedded adapter.
    Embedded(embedded::Receipt),
}

/// A consumer of one lane, owned by one task.
#[async_trait]
pub trait Consumer: Send {
    /// Waits for one delivery, then adds those that are already here, up to `most`. Never waits for company, never
    /// returns nothing. While the broker is away it waits. Safe to drop half-way: nothing is lost.
    async fn next(&mut self, most: usize) -> Vec<Delivery>;

    /// Sends replies to waiting callers, those of one caller process in one message. A caller that is gone is no error.
    async fn reply(&mut self, replies: Vec<(&Delivery, Bytes)>) -> Result<(), QueueError>;

    /// Settles deliveries. After an error the unsettled ones come back by themselves.
    async fn settle(&mut self, settled: Vec<(Delivery, Disposition)>) -> Result<(), QueueError>;
}

/// A message that was set aside.
#[derive(Debug, Clone)]
pub struct DeadLetter {
    /// Identifier within the dead-letter queue, stable while it is there.
    pub id: String,
    /// Lane that it was on.
    pub lane: String,
    /// Why it was set aside.
    pub reason: String,
    /// When.
    pub at: Timestamp,
    /// Deliveries before it was set aside.
    pub attempts: u32,
    /// The message.
    pub body: Bytes,
}

/// The port itself: publishing, requesting, consuming, and the dead letters.
#[async_trait]
pub trait Queue: Send + Sync + 'static {
    /// Puts messages on a durable lane; returns when the broker has confirmed all of them. Confirms are awaited
    /// together. After an error any of them may or may not be there: publish them again.
    async fn publish(&self, lane: Lane, bodies: Vec<Bytes>) -> Result<(), QueueError>;

    /// Puts one message on the interactive lane and waits for its reply until `deadline`; the broker drops the message
    /// when nobody took it by then.
    async fn request(&self, body: Bytes, deadline: Timestamp) -> Result<Bytes, QueueError>;

    /// Opens a consumer holding at most `prefetch` unsettled messages.
    async fn consume(&self, lane: Lane, prefetch: u16) -> Result<Box<dyn Consumer>, QueueError>;

    /// The oldest `most` dead letters, left where they are.
    async fn dead_letters(&self, most: usize) -> Result<Vec<DeadLetter>, QueueError>;

    /// Puts a dead letter back on its lane (all, when `id` is none). Returns how many.
    async fn replay_dead_letters(&self, id: Option<&str>) -> Result<usize, QueueError>;

    /// Deletes a dead letter for good (when `id` is none, all that are there when the call begins). Returns how many.
    async fn discard_dead_letters(&self, id: Option<&str>) -> Result<usize, QueueError>;

    /// Messages waiting on a lane, for metrics and `doctor`.
    async fn depth(&self, lane: Lane) -> Result<u64, QueueError>;

    /// Consumers of a lane in all processes; none where that cannot be known: the embedded queue has one owner, whose
    /// consumers no other process sees.
    async fn consumers(&self, lane: Lane) -> Result<Option<u32>, QueueError>;

    /// Whether the broker answers right now.
    async fn check(&self) -> Result<(), QueueError>;

    /// Says goodbye to the broker, so that it holds nothing back for us. Nothing works afterwards. Dropping the queue
    /// does the same without waiting for it.
    async fn close(&self);
}

/// Says in the log that a message is set aside: nothing else does before a person lists the dead letters.
fn log_dead_letter(lane: &str, id: &str, attempts: u32, reason: &str) {
    tracing::warn!(lane, id, attempts, reason, "a message was set aside; see `touchstone dead-letter show {id}`");
}

/// Which queue to use.
#[derive(Debug, Clone)]
pub enum QueueSettings {
    /// A RabbitMQ server, 3.10 or later.
    RabbitMq {
        /// `amqp://` or `amqps://`, with credentials.
        url: Secret,
        /// What the server's operator sees this process as.
        connection_name: String,
    },
    /// A table of the SQLite database, which this process alone must own.
    Embedded {
        /// The store in the same file: its writers and the queue's take turns.
        store: Store,
    },
    /// The same table, looked at by a command while its owner may be running: messages that are out stay out.
    BesideEmbedded {
        /// Opened like the owner's.
        store: Store,
    },
}

/// Opens the queue. A broker that is away is waited for in the background; one that refuses us, or whose queues have
/// other arguments than ours, is an error.
pub async fn open(settings: &QueueSettings, clock: Clock) -> Result<Arc<dyn Queue>, QueueError> {
    open_trusting(settings, clock, &Trust::default()).await
}

/// The same, with authorities that the broker's certificate may come from.
pub async fn open_trusting(
    settings: &QueueSettings,
    clock: Clock,
    trust: &Trust,
) -> Result<Arc<dyn Queue>, QueueError> {
    Ok(match settings {
        QueueSettings::RabbitMq { url, connection_name } => {
            Arc::new(rabbitmq::RabbitMq::open(url, connection_name.clone(), clock, trust.clone()).await?)
        }
        QueueSettings::Embedded { store } => Arc::new(embedded::Embedded::open(store.clone(), clock).await?),
        QueueSettings::BesideEmbedded { store } => {
            Arc::new(embedded::Embedded::open_beside_owner(store.clone(), clock).await?)
        }
    })
}

mod embedded;
mod rabbitmq;
