//! The durable lanes and the dead letters, in one table.
//!
//! Guarantee: what is published is committed, together with whatever is written at the same moment, since a commit that
//! reaches the disk costs far more than a row. Claims are committed too, so that a message that kills the process is
//! counted.

mod rows;
mod writer;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use sea_orm::ConnectionTrait as _;
use tokio::sync::{mpsc, oneshot};

use self::writer::{Arrivals, Claims, Command, Done, Writer};
use super::Receipt;
use crate::clock::Clock;
use crate::queue::{DeadLetter, Delivery, Disposition, Lane, QueueError};
use crate::store::{Store, StoreError};

/// Longest that a consumer sleeps without looking for what no arrival announces: delayed messages that fall due, and
/// messages of commands that run beside this process.
const LONGEST_NAP: Duration = Duration::from_secs(1);
/// Pause after a claim that failed.
const CLAIM_PAUSE: Duration = Duration::from_millis(250);

/// Handle of the table and of the task that writes it.
#[derive(Clone)]
pub(super) struct Ledger {
    store: Store,
    /// Without a bound of its own: each caller waits for the answer to its one command.
    commands: mpsc::UnboundedSender<Command>,
    arrivals: Arc<Arrivals>,
    clock: Clock,
}

impl Ledger {
    pub(super) async fn open(store: Store, clock: Clock) -> Result<Self, QueueError> {
        let change = store.begin().await?;
        for statement in rows::SCHEMA {
            change.execute_unprepared(statement).await.map_err(StoreError::from)?;
        }
        change.commit().await?;
        let (commands, inbox) = mpsc::unbounded_channel();
        let arrivals = Arc::new(Arrivals::default());
        let writer = Writer { store: store.clone(), arrivals: Arc::clone(&arrivals), clock: clock.clone() };
        tokio::spawn(writer.run(inbox));
        Ok(Self { store, commands, arrivals, clock })
    }

    /// Takes back what was out when the process ended; for the owner only, before it consumes.
    pub(super) async fn take_back(&self) -> Result<(), QueueError> {
        let change = self.store.begin().await?;
        rows::release_all(change.transaction(), self.clock.now()).await?;
        Ok(change.commit().await?)
    }

    async fn ask<T>(&self, command: impl FnOnce(Done<T>) -> Command) -> Result<T, QueueError> {
        let (done, answer) = oneshot::channel();
        self.commands.send(command(done)).map_err(|_| QueueError::Unavailable(None))?;
        answer.await.unwrap_or(Err(QueueError::Unavailable(None)))
    }

    pub(super) async fn publish(&self, lane: Lane, bodies: Vec<Bytes>) -> Result<(), QueueError> {
        self.ask(|done| Command::Publish { lane, bodies, done }).await
    }

    /// Writes a dead letter of a lane that is not in the table.
    pub(super) async fn set_aside(
        &self,
        lane: Lane,
        body: Bytes,
        attempts: u32,
        reason: String,
    ) -> Result<(), QueueError> {
        self.ask(|done| Command::SetAside { lane, body, attempts, reason, done }).await
    }

    pub(super) async fn depth(&self, lane: Lane) -> Result<u64, QueueError> {
        Ok(rows::waiting(self.store.database(), lane).await?)
    }

    pub(super) async fn dead_letters(&self, most: usize) -> Result<Vec<DeadLetter>, QueueError> {
        Ok(rows::dead(self.store.database(), most).await?)
    }

    pub(super) async fn replay_dead_letters(&self, id: Option<&str>) -> Result<usize, QueueError> {
        let change = self.store.begin().await?;
        let revived = rows::revive(change.transaction(), id, self.clock.now()).await?;
        change.commit().await?;
        for lane in Lane::ALL {
            self.arrivals.of(*lane).notify_waiters();
        }
        Ok(usize::try_from(revived).unwrap_or(usize::MAX))
    }

    pub(super) async fn discard_dead_letters(&self, id: Option<&str>) -> Result<usize, QueueError> {
        let change = self.store.begin().await?;
        let discarded = rows::discard(change.transaction(), id).await?;
        change.commit().await?;
        Ok(usize::try_from(discarded).unwrap_or(usize::MAX))
    }
}

impl From<StoreError> for QueueError {
    fn from(error: StoreError) -> Self {
        Self::Unavailable(Some(Box::new(error)))
    }
}

/// See [`crate::queue::Consumer`].
pub(super) struct Consumer {
    ledger: Ledger,
    claims: Arc<Claims>,
}

impl Consumer {
    pub(super) fn new(ledger: &Ledger, lane: Lane, prefetch: u16) -> Self {
        Self { ledger: ledger.clone(), claims: Arc::new(Claims::new(lane, prefetch)) }
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        let _stopped = self.ledger.commands.send(Command::Release { claims: Arc::clone(&self.claims) });
    }
}

#[async_trait]
impl crate::queue::Consumer for Consumer {
    async fn next(&mut self, most: usize) -> Vec<Delivery> {
        let most = most.max(1);
        loop {
            let mut arrived = std::pin::pin!(self.ledger.arrivals.of(self.claims.lane).notified());
            // From here on no arrival is missed.
            arrived.as_mut().enable();
            let taken = self.claims.take(most);
            if !taken.is_empty() {
                return taken;
            }
            let claims = Arc::clone(&self.claims);
            let nap = match self.ledger.ask(|done| Command::Claim { claims, most, done }).await {
                Ok(due) => due.map_or(LONGEST_NAP, |due| due.since(self.ledger.clock.now()).min(LONGEST_NAP)),
                Err(_) => CLAIM_PAUSE,
            };
            let taken = self.claims.take(most);
            if !taken.is_empty() {
                return taken;
            }
            match nap {
                // Nothing more may be claimed: not even a message that is due.
                _ if self.claims.room() == 0 => arrived.await,
                nap => drop(tokio::time::timeout(nap.max(Duration::from_millis(1)), arrived).await),
            }
        }
    }

    /// Nobody waits on a durable lane.
    async fn reply(&mut self, _replies: Vec<(&Delivery, Bytes)>) -> Result<(), QueueError> {
        Ok(())
    }

    async fn settle(&mut self, settled: Vec<(Delivery, Disposition)>) -> Result<(), QueueError> {
        let row_of = |delivery: &Delivery| match &delivery.receipt {
            crate::queue::Receipt::Embedded(Receipt::Row(row)) => Some(*row),
            _ => None,
        };
        let settled =
            settled.into_iter().filter_map(|(delivery, disposition)| Some((row_of(&delivery)?, disposition))).collect();
        let claims = Arc::clone(&self.claims);
        self.ledger.ask(|done| Command::Settle { claims, settled, done }).await
    }
}
