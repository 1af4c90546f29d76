//! The durable lanes and the dead letters, in one table.
//!
//! Guarantee: one task writes; whatever waits for it at the same moment is committed in one transaction, since a commit
//! that reaches the disk costs far more than a row. Claims are committed too, so that a message that kills the process
//! is counted. Failure: a transaction that fails changes nothing and tells everyone in it.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, QueryResult, SqliteTransactionMode,
    Statement, TransactionOptions, TransactionTrait, Value,
};
use tokio::sync::{Notify, mpsc, oneshot};
use touchstone_schema::limits::DELIVERY_LIMIT;
use touchstone_schema::time::Timestamp;

use super::Receipt;
use crate::clock::Clock;
use crate::queue::{DeadLetter, Delivery, Disposition, Lane, QueueError};
use crate::random;

/// Most commands of one transaction.
const COMMANDS_TOGETHER: usize = 512;
/// Rows of one INSERT; five values each, far from SQLite's limit of 32 766.
const ROWS_TOGETHER: usize = 500;
/// Longest that a consumer sleeps without looking for what no arrival announces: delayed messages that fall due, and
/// messages of commands that run beside this process.
const LONGEST_NAP: Duration = Duration::from_secs(1);
/// Pause after a claim that failed.
const CLAIM_PAUSE: Duration = Duration::from_millis(250);
const DELIVERY_LIMIT_REASON: &str = "delivered too often without being settled (delivery limit)";

const SCHEMA: &[&str] = &[
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

/// Handle of the table and of the task that writes it.
#[derive(Clone)]
pub(super) struct Ledger {
    database: DatabaseConnection,
    /// Without a bound of its own: each caller waits for the answer to its one command.
    commands: mpsc::UnboundedSender<Command>,
    arrivals: Arc<Arrivals>,
    clock: Clock,
}

/// Wakes the consumers of a lane.
#[derive(Default)]
struct Arrivals([Notify; 4]);

impl Arrivals {
    fn of(&self, lane: Lane) -> &Notify {
        &self.0[match lane {
            Lane::Interactive => 0,
            Lane::Durable => 1,
            Lane::Bulk => 2,
            Lane::Events => 3,
        }]
    }
}

type Done<T> = oneshot::Sender<Result<T, QueueError>>;

enum Command {
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
        rows: Vec<(i64, Disposition)>,
        done: Done<()>,
    },
    Release {
        claims: Arc<Claims>,
    },
}

impl Ledger {
    pub(super) async fn open(database: DatabaseConnection, clock: Clock) -> Result<Self, QueueError> {
        for statement in SCHEMA {
            database.execute_unprepared(statement).await.map_err(database_error)?;
        }
        let (commands, inbox) = mpsc::unbounded_channel();
        let arrivals = Arc::new(Arrivals::default());
        let writer = Writer { database: database.clone(), arrivals: Arc::clone(&arrivals), clock: clock.clone() };
        tokio::spawn(writer.run(inbox));
        Ok(Self { database, commands, arrivals, clock })
    }

    /// Takes back what was out when the process ended; for the owner only, before it consumes.
    pub(super) async fn take_back(&self) -> Result<(), QueueError> {
        let transaction = begin(&self.database).await.map_err(database_error)?;
        release(&transaction, "claimed = 1", self.clock.now()).await.map_err(database_error)?;
        transaction.commit().await.map_err(database_error)
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
        let sql = "SELECT COUNT(*) AS waiting FROM queue_messages WHERE lane = ? AND claimed = 0 AND dead_at IS NULL";
        let row = self.database.query_one_raw(statement(sql, [lane.as_str().into()])).await.map_err(database_error)?;
        let waiting = row.map_or(Ok(0), |row| row.try_get::<i64>("", "waiting")).map_err(database_error)?;
        Ok(u64::try_from(waiting).unwrap_or(0))
    }

    pub(super) async fn dead_letters(&self, most: usize) -> Result<Vec<DeadLetter>, QueueError> {
        let sql = "SELECT message_id, lane, reason, dead_at, attempts, body FROM queue_messages \
                   WHERE dead_at IS NOT NULL ORDER BY dead_at, seq LIMIT ?";
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let rows = self.database.query_all_raw(statement(sql, [most.into()])).await.map_err(database_error)?;
        rows.iter().map(dead_letter).collect::<Result<_, _>>().map_err(database_error)
    }

    pub(super) async fn replay_dead_letters(&self, id: Option<&str>) -> Result<usize, QueueError> {
        // An interactive message has nobody waiting any more: it is done as a promised one.
        let sql = "UPDATE queue_messages SET dead_at = NULL, reason = NULL, attempts = 0, returns = 0, claimed = 0, \
                   available_at = ?, lane = CASE lane WHEN 'interactive' THEN 'durable' ELSE lane END \
                   WHERE dead_at IS NOT NULL AND (? IS NULL OR message_id = ?)";
        let id = Value::from(id.map(str::to_owned));
        let values = [self.clock.now().as_millis().into(), id.clone(), id];
        let updated = self.database.execute_raw(statement(sql, values)).await.map_err(database_error)?;
        for lane in Lane::ALL {
            self.arrivals.of(*lane).notify_waiters();
        }
        Ok(usize::try_from(updated.rows_affected()).unwrap_or(usize::MAX))
    }
}

/// What one consumer has claimed. The writer fills it, so that a consumer that stops waiting half-way loses nothing.
struct Claims {
    lane: Lane,
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
    fn lock(&self) -> MutexGuard<'_, ClaimState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn room(&self) -> usize {
        self.prefetch.saturating_sub(self.lock().rows.len())
    }
}

/// The one task that writes.
struct Writer {
    database: DatabaseConnection,
    arrivals: Arc<Arrivals>,
    clock: Clock,
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
    async fn run(self, mut inbox: mpsc::UnboundedReceiver<Command>) {
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
                    tracing::error!(%error, "the queue's table cannot be written");
                    tokio::time::sleep(CLAIM_PAUSE).await;
                    if inbox.is_closed() {
                        return;
                    }
                    commands.extend(releases.into_iter().map(|claims| Command::Release { claims }));
                }
            }
        }
    }

    async fn write(&self, commands: Vec<Command>) -> Result<Vec<Effect>, DbErr> {
        let transaction = begin(&self.database).await?;
        let mut effects = Vec::with_capacity(commands.len());
        for command in commands {
            effects.push(self.apply(&transaction, command).await?);
        }
        transaction.commit().await?;
        Ok(effects)
    }

    async fn apply(&self, transaction: &DatabaseTransaction, command: Command) -> Result<Effect, DbErr> {
        let now = self.clock.now();
        Ok(match command {
            Command::Publish { lane, bodies, done } => {
                insert(transaction, lane, bodies, now).await?;
                Effect::Arrived(lane, done)
            }
            Command::SetAside { lane, body, attempts, reason, done } => {
                insert_dead(transaction, lane, body, attempts, reason, now).await?;
                Effect::Set(done)
            }
            Command::Claim { claims, most, done } => {
                // A consumer that no longer waits asks again: claiming twice would go past its prefetch.
                let most = if done.is_closed() { 0 } else { most.min(claims.room()) };
                let deliveries = claim(transaction, claims.lane, most, now).await?;
                let due = if deliveries.is_empty() { next_due(transaction, claims.lane).await? } else { None };
                Effect::Claimed { claims, deliveries, due, done }
            }
            Command::Settle { claims, rows, done } => {
                let rows = settle(transaction, &claims, rows, now).await?;
                Effect::Settled { claims, rows, done }
            }
            Command::Release { claims } => {
                let rows = claims.lock().rows.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
                release(transaction, &format!("seq IN ({rows})"), now).await?;
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

async fn begin(database: &DatabaseConnection) -> Result<DatabaseTransaction, DbErr> {
    let sqlite_transaction_mode = Some(SqliteTransactionMode::Immediate);
    database.begin_with_options(TransactionOptions { sqlite_transaction_mode, ..TransactionOptions::default() }).await
}

fn statement(sql: impl Into<String>, values: impl IntoIterator<Item = Value>) -> Statement {
    Statement::from_sql_and_values(DbBackend::Sqlite, sql, values)
}

async fn insert(
    transaction: &DatabaseTransaction,
    lane: Lane,
    bodies: Vec<Bytes>,
    now: Timestamp,
) -> Result<(), DbErr> {
    for bodies in bodies.chunks(ROWS_TOGETHER) {
        let rows = vec!["(?, ?, ?, ?)"; bodies.len()].join(", ");
        let sql = format!("INSERT INTO queue_messages (lane, body, available_at, message_id) VALUES {rows}");
        let values = bodies.iter().flat_map(|body| {
            [lane.as_str().into(), body.to_vec().into(), now.as_millis().into(), new_message_id().into()]
        });
        transaction.execute_raw(statement(sql, values)).await?;
    }
    Ok(())
}

async fn insert_dead(
    transaction: &DatabaseTransaction,
    lane: Lane,
    body: Bytes,
    attempts: u32,
    reason: String,
    now: Timestamp,
) -> Result<(), DbErr> {
    let sql = "INSERT INTO queue_messages (lane, body, attempts, available_at, message_id, reason, dead_at) \
               VALUES (?, ?, ?, ?, ?, ?, ?)";
    let now = Value::from(now.as_millis());
    let values = [
        lane.as_str().into(),
        body.to_vec().into(),
        i64::from(attempts).into(),
        now.clone(),
        new_message_id().into(),
        reason.into(),
        now,
    ];
    transaction.execute_raw(statement(sql, values)).await.map(drop)
}

async fn claim(
    transaction: &DatabaseTransaction,
    lane: Lane,
    most: usize,
    now: Timestamp,
) -> Result<Vec<(i64, Delivery)>, DbErr> {
    let sql = "UPDATE queue_messages SET claimed = 1, attempts = attempts + 1 WHERE seq IN (\
               SELECT seq FROM queue_messages WHERE lane = ? AND claimed = 0 AND dead_at IS NULL \
               AND available_at <= ? ORDER BY seq LIMIT ?) RETURNING seq, body, attempts";
    let values = [lane.as_str().into(), now.as_millis().into(), i64::try_from(most).unwrap_or(i64::MAX).into()];
    let rows = transaction.query_all_raw(statement(sql, values)).await?;
    let mut deliveries = rows.iter().map(delivery).collect::<Result<Vec<_>, _>>()?;
    // RETURNING promises no order.
    deliveries.sort_unstable_by_key(|(seq, _)| *seq);
    Ok(deliveries)
}

async fn next_due(transaction: &DatabaseTransaction, lane: Lane) -> Result<Option<Timestamp>, DbErr> {
    let sql = "SELECT MIN(available_at) AS due FROM queue_messages WHERE lane = ? AND claimed = 0 AND dead_at IS NULL";
    let row = transaction.query_one_raw(statement(sql, [lane.as_str().into()])).await?;
    let due = row.map_or(Ok(None), |row| row.try_get::<Option<i64>>("", "due"))?;
    Ok(due.map(Timestamp::from_millis))
}

/// Settles the rows that are really out with this consumer; tells which.
async fn settle(
    transaction: &DatabaseTransaction,
    claims: &Claims,
    rows: Vec<(i64, Disposition)>,
    now: Timestamp,
) -> Result<Vec<i64>, DbErr> {
    let ours = {
        let state = claims.lock();
        rows.into_iter().filter(|(row, _)| state.rows.contains(row)).collect::<Vec<_>>()
    };
    let mut done = Vec::new();
    for (row, disposition) in &ours {
        match disposition {
            Disposition::Ack => done.push(row.to_string()),
            Disposition::Retry { after } => {
                let sql = "UPDATE queue_messages SET claimed = 0, available_at = ? WHERE seq = ?";
                let values = [(now + *after).as_millis().into(), (*row).into()];
                transaction.execute_raw(statement(sql, values)).await?;
            }
            Disposition::DeadLetter { reason } => {
                let sql = "UPDATE queue_messages SET claimed = 0, dead_at = ?, reason = ? WHERE seq = ?";
                let values = [now.as_millis().into(), reason.clone().into(), (*row).into()];
                transaction.execute_raw(statement(sql, values)).await?;
            }
        }
    }
    if !done.is_empty() {
        let sql = format!("DELETE FROM queue_messages WHERE seq IN ({})", done.join(","));
        transaction.execute_raw(statement(sql, [])).await?;
    }
    Ok(ours.into_iter().map(|(row, _)| row).collect())
}

/// Takes messages back; those that came back too often are set aside.
async fn release(transaction: &DatabaseTransaction, which: &str, now: Timestamp) -> Result<(), DbErr> {
    let sql = format!(
        "UPDATE queue_messages SET claimed = 0, returns = returns + 1, \
         reason = CASE WHEN returns >= ? THEN ? END, dead_at = CASE WHEN returns >= ? THEN ? END \
         WHERE dead_at IS NULL AND {which}"
    );
    let limit = Value::from(i64::from(DELIVERY_LIMIT));
    let values = [limit.clone(), DELIVERY_LIMIT_REASON.into(), limit, now.as_millis().into()];
    transaction.execute_raw(statement(sql, values)).await.map(drop)
}

fn delivery(row: &QueryResult) -> Result<(i64, Delivery), DbErr> {
    let seq = row.try_get::<i64>("", "seq")?;
    let delivery = Delivery {
        body: row.try_get::<Vec<u8>>("", "body")?.into(),
        attempt: u32::try_from(row.try_get::<i64>("", "attempts")?).unwrap_or(u32::MAX),
        wants_reply: false,
        receipt: crate::queue::Receipt::Embedded(Receipt::Row(seq)),
    };
    Ok((seq, delivery))
}

fn dead_letter(row: &QueryResult) -> Result<DeadLetter, DbErr> {
    Ok(DeadLetter {
        id: row.try_get("", "message_id")?,
        lane: row.try_get("", "lane")?,
        reason: row.try_get::<Option<String>>("", "reason")?.unwrap_or_default(),
        at: Timestamp::from_millis(row.try_get("", "dead_at")?),
        attempts: u32::try_from(row.try_get::<i64>("", "attempts")?).unwrap_or(u32::MAX),
        body: row.try_get::<Vec<u8>>("", "body")?.into(),
    })
}

fn new_message_id() -> String {
    hex::encode(random::bytes::<16>())
}

fn database_error(error: DbErr) -> QueueError {
    QueueError::Unavailable(Some(Box::new(error)))
}

/// See [`crate::queue::Consumer`].
pub(super) struct Consumer {
    ledger: Ledger,
    claims: Arc<Claims>,
}

impl Consumer {
    pub(super) fn new(ledger: &Ledger, lane: Lane, prefetch: u16) -> Self {
        let claims = Claims { lane, prefetch: usize::from(prefetch.max(1)), state: Mutex::default() };
        Self { ledger: ledger.clone(), claims: Arc::new(claims) }
    }

    fn take(&self, most: usize) -> Vec<Delivery> {
        let mut state = self.claims.lock();
        let most = most.min(state.inbox.len());
        state.inbox.drain(..most).collect()
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
            let taken = self.take(most);
            if !taken.is_empty() {
                return taken;
            }
            let claims = Arc::clone(&self.claims);
            let nap = match self.ledger.ask(|done| Command::Claim { claims, most, done }).await {
                Ok(due) => due.map_or(LONGEST_NAP, |due| due.since(self.ledger.clock.now()).min(LONGEST_NAP)),
                Err(_) => CLAIM_PAUSE,
            };
            let taken = self.take(most);
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
        let rows =
            settled.into_iter().filter_map(|(delivery, disposition)| Some((row_of(&delivery)?, disposition))).collect();
        let claims = Arc::clone(&self.claims);
        self.ledger.ask(|done| Command::Settle { claims, rows, done }).await
    }
}
