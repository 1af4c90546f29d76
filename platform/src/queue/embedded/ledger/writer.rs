//! The one task that writes the queue's table, and what consumers have out.
//!
//! Guarantee: whatever waits for the task at the same moment is committed in one transaction, and a caller is told after
//! the commit. It takes its turn among the writers of the store. Failure: a transaction that fails changes nothing and
//! tells everyone in it.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use sea_orm::DatabaseTransaction;
use tokio::sync::{Notify, mpsc, oneshot};
use touchstone_schema::time::Timestamp;

use super::{CLAIM_PAUSE, rows};
use crate::clock::Clock;
use crate::queue::{Delivery, Disposition, Lane, QueueError};
use crate::store::{Store, StoreError};

/// Most commands of one transaction.
const COMMANDS_TOGETHER: usize = 512;

/// Wakes the consumers of a lane.
#[derive(Default)]
pub(super) struct Arrivals([Notify; Lane::ALL.len()]);

impl Arrivals {
    pub(super) fn of(&self, lane: Lane) -> &Notify {
        &self.0[match lane {
            Lane::Interactive => 0,
            Lane::Durable => 1,
            Lane::Bulk => 2,
            Lane::Events => 3,
            Lane::Notices => 4,
        }]
    }
}

pub(super) type Done<T> = oneshot::Sender<Result<T, QueueError>>;

pub(super) enum Command {
    Publish {
        lane: Lane,
        bodies: Vec<Bytes>,
        done: Done<()>,
    },
    SetAside {
        lane: Lane,
        body: Bytes,
        attempts: u32,
        reason: String,
        done: Done<()>,
    },
    /// Answers when the next delayed message is due, if nothing was there.
    Claim {
        claims: Arc<Claims>,
        most: usize,
        done: Done<Option<Timestamp>>,
    },
    Settle {
        claims: Arc<Claims>,
        settled: Vec<(i64, Disposition)>,
        done: Done<()>,
    },
    Release {
        claims: Arc<Claims>,
    },
}

/// What one consumer has claimed. The writer fills it, so that a consumer that stops waiting half-way loses nothing.
pub(super) struct Claims {
    pub(super) lane: Lane,
    prefetch: usize,
    state: Mutex<ClaimState>,
}

#[derive(Default)]
struct ClaimState {
    /// Claimed, not handed out yet.
    inbox: VecDeque<Delivery>,
    /// Rows claimed and not settled.
    rows: HashSet<i64>,
}

impl Claims {
    pub(super) fn new(lane: Lane, prefetch: u16) -> Self {
        Self { lane, prefetch: usize::from(prefetch.max(1)), state: Mutex::default() }
    }

    /// Hands out what has been claimed.
    pub(super) fn take(&self, most: usize) -> Vec<Delivery> {
        let mut state = self.lock();
        let most = most.min(state.inbox.len());
        state.inbox.drain(..most).collect()
    }

    fn lock(&self) -> MutexGuard<'_, ClaimState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many more may be claimed.
    pub(super) fn room(&self) -> usize {
        self.prefetch.saturating_sub(self.lock().rows.len())
    }
}

/// The one task that writes.
pub(super) struct Writer {
    pub(super) store: Store,
    pub(super) arrivals: Arc<Arrivals>,
    pub(super) clock: Clock,
}

/// What a command did, told when its transaction has committed.
enum Effect {
    Arrived(Lane, Done<()>),
    Set(Done<()>),
    Claimed {
        claims: Arc<Claims>,
        deliveries: Vec<(i64, Delivery)>,
        due: Option<Timestamp>,
        done: Done<Option<Timestamp>>,
    },
    Settled {
        claims: Arc<Claims>,
        rows: Vec<i64>,
        done: Done<()>,
    },
    Released(Arc<Claims>),
}

impl Writer {
    pub(super) async fn run(self, mut inbox: mpsc::UnboundedReceiver<Command>) {
        let mut commands = Vec::new();
        loop {
            if commands.is_empty() && inbox.recv_many(&mut commands, COMMANDS_TOGETHER).await == 0 {
                return;
            }
            if commands.len() < COMMANDS_TOGETHER {
                // Those woken by the same event as the first get one turn to join it.
                tokio::task::yield_now().await;
                while commands.len() < COMMANDS_TOGETHER {
                    let Ok(next) = inbox.try_recv() else { break };
                    commands.push(next);
                }
            }
            let releases = commands.iter().filter_map(released).collect::<Vec<_>>();
            match self.write(std::mem::take(&mut commands)).await {
                Ok(effects) => effects.into_iter().for_each(|effect| self.tell(effect)),
                Err(error) => {
                    // The others were told by their answer going away; a release has nobody to try again.
                    tracing::error!(error = &error as &dyn std::error::Error, "the queue's table cannot be written");
                    tokio::time::sleep(CLAIM_PAUSE).await;
                    if inbox.is_closed() {
                        return;
                    }
                    commands.extend(releases.into_iter().map(|claims| Command::Release { claims }));
                }
            }
        }
    }

    async fn write(&self, commands: Vec<Command>) -> Result<Vec<Effect>, StoreError> {
        let change = self.store.begin().await?;
        let mut effects = Vec::with_capacity(commands.len());
        for command in commands {
            effects.push(self.apply(change.transaction(), command).await?);
        }
        change.commit().await?;
        Ok(effects)
    }

    async fn apply(&self, transaction: &DatabaseTransaction, command: Command) -> Result<Effect, StoreError> {
        let now = self.clock.now();
        Ok(match command {
            Command::Publish { lane, bodies, done } => {
                rows::insert(transaction, lane, bodies, now).await?;
                Effect::Arrived(lane, done)
            }
            Command::SetAside { lane, body, attempts, reason, done } => {
                rows::insert_dead(transaction, lane, body, attempts, reason, now).await?;
                Effect::Set(done)
            }
            Command::Claim { claims, most, done } => {
                // A consumer that no longer waits asks again: claiming twice would go past its prefetch.
                let most = if done.is_closed() { 0 } else { most.min(claims.room()) };
                let deliveries = rows::claim(transaction, claims.lane, most, now).await?;
                let due = if deliveries.is_empty() { rows::next_due(transaction, claims.lane).await? } else { None };
                Effect::Claimed { claims, deliveries, due, done }
            }
            Command::Settle { claims, mut settled, done } => {
                // Only what is really out with this consumer.
                settled.retain(|(row, _)| claims.lock().rows.contains(row));
                rows::settle(transaction, &settled, now).await?;
                let rows = settled.into_iter().map(|(row, _)| row).collect();
                Effect::Settled { claims, rows, done }
            }
            Command::Release { claims } => {
                let out: Vec<i64> = claims.lock().rows.iter().copied().collect();
                rows::release(transaction, &out, now).await?;
                Effect::Released(claims)
            }
        })
    }

    /// A caller that is gone needs no answer.
    fn tell(&self, effect: Effect) {
        match effect {
            Effect::Arrived(lane, done) => {
                self.arrivals.of(lane).notify_waiters();
                let _gone = done.send(Ok(()));
            }
            Effect::Set(done) => drop(done.send(Ok(()))),
            Effect::Claimed { claims, deliveries, due, done } => {
                let mut state = claims.lock();
                for (row, delivery) in deliveries {
                    state.rows.insert(row);
                    state.inbox.push_back(delivery);
                }
                drop(state);
                let _gone = done.send(Ok(due));
            }
            Effect::Settled { claims, rows, done } => {
                let mut state = claims.lock();
                state.rows.retain(|row| !rows.contains(row));
                drop(state);
                self.arrivals.of(claims.lane).notify_waiters();
                let _gone = done.send(Ok(()));
            }
            Effect::Released(claims) => {
                claims.lock().rows.clear();
                self.arrivals.of(claims.lane).notify_waiters();
            }
        }
    }
}

fn released(command: &Command) -> Option<Arc<Claims>> {
    match command {
        Command::Release { claims } => Some(Arc::clone(claims)),
        _ => None,
    }
}
