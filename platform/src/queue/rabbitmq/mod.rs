//! The queue on RabbitMQ (3.10 or later).
//!
//! Guarantee and failure: see the port. One supervised connection per process carries everything: one channel publishes
//! with confirms, one sends requests and receives their replies, and each consumer has its own.
//! Design: ARCHITECTURE.md, "Lanes, and why".

mod connection;
mod consumer;
mod dead_letters;
mod frame;
mod publisher;
mod requester;
mod topology;

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use touchstone_schema::secret::Secret;
use touchstone_schema::time::Timestamp;

use self::connection::{PROBE_TIMEOUT, Sessions, Supervisor, current, lapin_error};
pub(crate) use self::consumer::Receipt;
use self::publisher::{Outgoing, publish_all};
use self::requester::{Requester, Waiters};
use super::{Consumer, DeadLetter, Lane, Queue, QueueError};
use crate::clock::Clock;
use crate::transport::Trust;

/// The adapter. Dropping it closes the connection.
#[derive(Debug)]
pub(super) struct RabbitMq {
    sessions: Sessions,
    requester: Requester,
    clock: Clock,
    stop: CancellationToken,
    supervisor: Mutex<Option<JoinHandle<()>>>,
}

impl RabbitMq {
    /// Connects, or, when the broker is away, goes on trying in the background.
    pub(super) async fn open(
        url: &Secret,
        connection_name: String,
        clock: Clock,
        trust: Trust,
    ) -> Result<Self, QueueError> {
        let waiters = Arc::new(Waiters::default());
        let stop = CancellationToken::new();
        let (supervisor, sessions) = Supervisor::new(url, connection_name, trust, Arc::clone(&waiters), stop.clone())?;
        let supervisor = supervisor.start().await?;
        let requester = Requester::start(waiters, sessions.clone(), clock.clone());
        Ok(Self { sessions, requester, clock, stop, supervisor: Mutex::new(Some(supervisor)) })
    }

    /// Asks how many messages a queue holds, on a channel of its own: a queue that is missing closes the channel.
    /// Messages that wait in a queue, and its consumers.
    async fn count(&self, queue: &'static str) -> Result<(u64, u32), QueueError> {
        let session = current(&self.sessions)?;
        let work = async {
            let channel = session.connection.create_channel().await?;
            let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
            let declared = channel.queue_declare(queue.into(), options, FieldTable::default()).await?;
            channel.close(200, "OK".into()).await?;
            Ok((u64::from(declared.message_count()), declared.consumer_count()))
        };
        match tokio::time::timeout(PROBE_TIMEOUT, work).await {
            Ok(count) => count.map_err(lapin_error),
            Err(elapsed) => Err(QueueError::Unavailable(Some(Box::new(elapsed)))),
        }
    }
}

impl Drop for RabbitMq {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

#[async_trait]
impl Queue for RabbitMq {
    async fn publish(&self, lane: Lane, bodies: Vec<Bytes>) -> Result<(), QueueError> {
        if lane == Lane::Interactive {
            return Err(QueueError::Refused("the interactive lane takes requests only".to_owned()));
        }
        let session = current(&self.sessions)?;
        let messages = bodies.into_iter().map(|body| Outgoing::to_lane(lane, body, None, 0)).collect();
        publish_all(session, messages).await
    }

    async fn request(&self, body: Bytes, deadline: Timestamp) -> Result<Bytes, QueueError> {
        self.requester.request(body, deadline).await
    }

    async fn consume(&self, lane: Lane, prefetch: u16) -> Result<Box<dyn Consumer>, QueueError> {
        Ok(Box::new(consumer::Consumer::new(lane, prefetch, self.sessions.clone(), self.clock.clone())))
    }

    async fn dead_letters(&self, most: usize) -> Result<Vec<DeadLetter>, QueueError> {
        let session = current(&self.sessions)?;
        dead_letters::list(&session, most).await
    }

    async fn replay_dead_letters(&self, id: Option<&str>) -> Result<usize, QueueError> {
        let session = current(&self.sessions)?;
        dead_letters::replay(&session, id).await
    }

    async fn discard_dead_letters(&self, id: Option<&str>) -> Result<usize, QueueError> {
        let session = current(&self.sessions)?;
        dead_letters::discard(&session, id).await
    }

    async fn depth(&self, lane: Lane) -> Result<u64, QueueError> {
        self.count(topology::queue_of(lane)).await.map(|(messages, _)| messages)
    }

    async fn consumers(&self, lane: Lane) -> Result<Option<u32>, QueueError> {
        self.count(topology::queue_of(lane)).await.map(|(_, consumers)| Some(consumers))
    }

    async fn check(&self) -> Result<(), QueueError> {
        self.count(topology::queue_of(Lane::Durable)).await.map(drop)
    }

    async fn close(&self) {
        self.stop.cancel();
        let supervisor = self.supervisor.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(supervisor) = supervisor {
            let _ended = supervisor.await;
        }
    }
}
