//! The queue without a broker: a table of the SQLite database that this process owns, and memory for the interactive
//! lane.
//!
//! Guarantee: what was published is committed to disk; messages that were out when the process died come back when it
//! starts. Failure: a database that cannot be written is [`QueueError::Unavailable`], like a broker that is away.
//! Design: ARCHITECTURE.md, "Lanes, and why".

mod interactive;
mod ledger;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use touchstone_schema::time::Timestamp;

use self::interactive::Interactive;
use self::ledger::Ledger;
use super::{Consumer, DeadLetter, Lane, Queue, QueueError};
use crate::clock::Clock;
use crate::store::Store;

/// Where a delivery came from: the row of a durable lane, or the place among the requests of one consumer.
#[derive(Debug)]
pub(crate) enum Receipt {
    Row(i64),
    Request(u64),
}

/// The adapter.
pub(super) struct Embedded {
    ledger: Ledger,
    interactive: Arc<Interactive>,
}

impl Embedded {
    /// Creates the table if need be and takes back what was out when the process ended.
    pub(super) async fn open(store: Store, clock: Clock) -> Result<Self, QueueError> {
        let ledger = Ledger::open(store, clock.clone()).await?;
        ledger.take_back().await?;
        Ok(Self { ledger, interactive: Arc::new(Interactive::new(clock)) })
    }

    /// The same for a command that runs beside the owner: what is out with the owner is left to it.
    pub(super) async fn open_beside_owner(store: Store, clock: Clock) -> Result<Self, QueueError> {
        let ledger = Ledger::open(store, clock.clone()).await?;
        Ok(Self { ledger, interactive: Arc::new(Interactive::new(clock)) })
    }
}

#[async_trait]
impl Queue for Embedded {
    async fn publish(&self, lane: Lane, bodies: Vec<Bytes>) -> Result<(), QueueError> {
        if lane == Lane::Interactive {
            return Err(QueueError::Refused("the interactive lane takes requests only".to_owned()));
        }
        self.ledger.publish(lane, bodies).await
    }

    async fn request(&self, body: Bytes, deadline: Timestamp) -> Result<Bytes, QueueError> {
        self.interactive.request(body, deadline).await
    }

    async fn consume(&self, lane: Lane, prefetch: u16) -> Result<Box<dyn Consumer>, QueueError> {
        Ok(match lane {
            Lane::Interactive => {
                Box::new(interactive::Consumer::new(Arc::clone(&self.interactive), self.ledger.clone(), prefetch))
            }
            Lane::Durable | Lane::Bulk | Lane::Events | Lane::Notices => {
                Box::new(ledger::Consumer::new(&self.ledger, lane, prefetch))
            }
        })
    }

    async fn dead_letters(&self, most: usize) -> Result<Vec<DeadLetter>, QueueError> {
        self.ledger.dead_letters(most).await
    }

    async fn replay_dead_letters(&self, id: Option<&str>) -> Result<usize, QueueError> {
        self.ledger.replay_dead_letters(id).await
    }

    async fn discard_dead_letters(&self, id: Option<&str>) -> Result<usize, QueueError> {
        self.ledger.discard_dead_letters(id).await
    }

    async fn depth(&self, lane: Lane) -> Result<u64, QueueError> {
        match lane {
            Lane::Interactive => Ok(self.interactive.depth()),
            Lane::Durable | Lane::Bulk | Lane::Events | Lane::Notices => self.ledger.depth(lane).await,
        }
    }

    async fn consumers(&self, _: Lane) -> Result<Option<u32>, QueueError> {
        Ok(None)
    }

    async fn check(&self) -> Result<(), QueueError> {
        self.ledger.depth(Lane::Durable).await.map(drop)
    }

    /// Nothing to say goodbye to: whatever was answered is committed.
    async fn close(&self) {}
}
