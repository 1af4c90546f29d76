//! Backfill: reads files of past orders into history, labels and norms, many rows a commit.
//!
//! Guarantee: memory is that of a few batches, whatever the size of the file. How far it was read is committed with what
//! was read, so that after any death the next process goes on there without a duplicate or a gap. Neither verdicts nor
//! events come of it, and orders that arrive meanwhile have precedence (`pace`).
//! Failure: a row that is refused stops no other; a database that is away is waited for; what did not reach hot history
//! takes back that it is whole.
//! Design: docs/backfill.md.

mod conclude;
#[cfg(any(test, fuzzing))]
pub mod invariants;
mod jobs;
mod pace;
mod parse;
mod row;
mod side_file;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use touchstone_platform::cache::Cache;
use touchstone_platform::clock::Clock;
use touchstone_platform::retry::Backoff;
use touchstone_platform::store::backfill::{Backfill, PastOrder, Progress, Read, Refusal, RowWarning};
use touchstone_platform::store::{Store, StoreError, SystemReason};
use touchstone_schema::backfill::Form;
use touchstone_schema::history::KeyedEntry;
use touchstone_schema::limits::HISTORY_SPAN;
use touchstone_schema::secret::Secret;
use touchstone_schema::time::Timestamp;

use crate::score::policy::Policy;

pub(crate) use jobs::run as run_jobs;
pub use parse::Refused;
pub use side_file::SideFile;

use conclude::{Place, concluding};
use pace::Pace;
use parse::{Batch, Parser, Row};

/// How long a reading is leased: longer than any commit takes, short enough that a dead process is soon replaced.
pub const LEASE: Duration = Duration::from_secs(15);
/// Times that a lease is renewed before it would run out, while no commit does it.
const HEARTBEATS: u32 = 3;
/// Pieces of a file that are read ahead.
pub const PIECES_AHEAD: usize = 4;
/// Batches that are parsed ahead of their commit.
const BATCHES_AHEAD: usize = 1_280;
/// Entries that reach the cache at a time: some milliseconds of the server, which serves others too.
const SHARED_AT_A_TIME: usize = 200;
/// Refused rows, and warnings, that the answer shows.
const SHOWN: usize = 10;

/// The next bytes of a file, or why there are none.
pub type Pieces = mpsc::Receiver<std::io::Result<Bytes>>;

/// Why a file was not read to its end.
#[derive(Debug, thiserror::Error)]
pub enum BackfillError {
    /// The bytes do not come.
    #[error("the file cannot be read")]
    Source(#[source] std::io::Error),
    /// The header names what is no column, or the form of the file is not known.
    #[error("the file cannot be read: {0}")]
    Form(String),
    /// What reading needs beside the file is not there.
    #[error("the file cannot be read: {0}")]
    Unready(String),
    /// Bytes are neither in a row that was read or refused, nor punctuation: a fault of ours.
    #[error("{position} of {size} bytes were read")]
    Unread {
        /// Bytes that were.
        position: u64,
        /// Bytes of the file.
        size: u64,
    },
    /// Reading went on where it had stopped, but the file is not the same up to there.
    #[error("the file has changed since it was read in part")]
    Changed,
    /// The database refuses.
    #[error("the rows cannot be kept")]
    Store(#[from] StoreError),
    /// Another process took the reading over.
    #[error("another process went on with this file")]
    LeaseLost,
    /// The cache was not told that it lacks entries.
    #[error("the cache cannot be told of the new history; run the same command again")]
    Cache(#[source] touchstone_platform::cache::CacheError),
    /// The process is to stop.
    #[error("interrupted; the same command goes on where this one stopped")]
    Interrupted,
    /// The thread that reads rows died.
    #[error("the reading of rows broke off")]
    Died,
}

impl BackfillError {
    /// Whether the same bytes would meet the same end.
    const fn is_final(&self) -> bool {
        matches!(self, Self::Changed | Self::Form(_) | Self::Unread { .. } | Self::Store(StoreError::Refused(_)))
    }
}

/// What to read, and into what.
pub struct Reading {
    /// The truth.
    pub store: Store,
    /// Hot history, where there is one.
    pub cache: Option<Arc<dyn Cache>>,
    /// The time.
    pub clock: Clock,
    /// The data key of the store that the orders are of.
    pub data_key: Secret,
    /// Its policy, which declares keys of history.
    pub policy: Arc<Policy>,
    /// The backfill, leased to the caller.
    pub backfill: Backfill,
    /// How long its lease is extended for each time.
    pub lease: Duration,
    /// The file.
    pub pieces: Pieces,
    /// Whether nothing is to be written.
    pub is_dry: bool,
    /// Where refused rows and warnings go.
    pub side_file: Option<SideFile>,
    /// Ends the reading early.
    pub shutdown: CancellationToken,
}

impl std::fmt::Debug for Reading {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reading").field("backfill", &self.backfill.id).finish_non_exhaustive()
    }
}

/// What a reading came to.
#[derive(Debug, Default)]
pub struct Outcome {
    /// How far it came.
    pub progress: Progress,
    /// The form of the file.
    pub form: Form,
    /// The first rows that were refused by this reading.
    pub refusals: Vec<Refusal>,
    /// The first warnings of this reading.
    pub warnings: Vec<RowWarning>,
}

/// Reads a file to its end and finishes the backfill. `tell` hears how far it has come after every commit.
///
/// # Errors
/// When the file cannot be read, or the rows cannot be kept. Everything up to the last commit is kept.
pub async fn read(reading: Reading, mut tell: impl FnMut(&Progress) + Send) -> Result<Outcome, BackfillError> {
    let (sender, mut batches) = mpsc::channel(BATCHES_AHEAD);
    let Reading { store, cache, clock, data_key, policy, backfill, lease, pieces, is_dry, side_file, shutdown } =
        reading;
    let parser = Parser::new(&backfill, data_key, policy, pieces);
    let parsing = tokio::task::spawn_blocking(move || parser.run(&sender));
    let outcome = Outcome { progress: backfill.progress.clone(), form: backfill.form, ..Outcome::default() };
    let leased_until = backfill.leased_until;
    let mut writer = Writer {
        store,
        cache,
        clock,
        backfill,
        lease,
        leased_until,
        is_dry,
        side_file,
        outcome,
        to_share: vec![],
        is_shared: true,
    };
    let written = writer.write_all(&mut batches, &shutdown, &mut tell).await;
    writer.share_rest().await;
    drop(batches);
    let parsed = writer.held(parsing).await.and_then(|parsed| parsed.map_err(|_| BackfillError::Died)?);
    writer.own_up().await?;
    let size = match written.and(parsed) {
        Ok(size) => size.ok_or(BackfillError::Died),
        Err(error) => Err(error),
    };
    let position = writer.outcome.progress.position;
    let size = size.and_then(|size| match position == size {
        true => Ok(size),
        false => Err(BackfillError::Unread { position, size }),
    });
    match size {
        Ok(size) => writer.finish(size).await?,
        Err(error) => {
            writer.let_go(&error).await;
            return Err(error);
        }
    }
    Ok(writer.outcome)
}

/// The side of the commits.
struct Writer {
    store: Store,
    cache: Option<Arc<dyn Cache>>,
    clock: Clock,
    backfill: Backfill,
    lease: Duration,
    leased_until: Timestamp,
    is_dry: bool,
    side_file: Option<SideFile>,
    outcome: Outcome,
    /// What was committed and is handed to hot history beside the next commit.
    to_share: Vec<KeyedEntry>,
    /// Whether hot history has got everything else that was committed.
    is_shared: bool,
}

impl Writer {
    async fn write_all(
        &mut self,
        batches: &mut mpsc::Receiver<Batch>,
        shutdown: &CancellationToken,
        tell: &mut (impl FnMut(&Progress) + Send),
    ) -> Result<(), BackfillError> {
        let mut pace = Pace::new(self.store.is_embedded());
        loop {
            let gathered = self.held(gather(batches, pace.rows(), shutdown)).await??;
            let Some(batch) = gathered else { return Ok(()) };
            let rows = batch.rows.len();
            let begun = tokio::time::Instant::now();
            self.write(batch, shutdown).await?;
            tell(&self.outcome.progress);
            let (store, clock) = (self.store.clone(), self.clock.clone());
            self.held(pace.rest(&store, &clock, rows, begun.elapsed())).await?;
        }
    }

    /// Does something that may take longer than the lease, and keeps the lease meanwhile.
    async fn held<T>(&mut self, work: impl Future<Output = T>) -> Result<T, BackfillError> {
        tokio::pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return Ok(done),
                () = tokio::time::sleep(self.lease / HEARTBEATS) => self.renew().await?,
            }
        }
    }

    async fn renew(&mut self) -> Result<(), BackfillError> {
        if self.is_dry {
            return Ok(());
        }
        let until = (self.clock.now() + self.lease).max(self.leased_until);
        let system = self.store.system(SystemReason::RoleLoop);
        match system.renew_backfill(&self.backfill.id, self.leased_until, until).await {
            Ok(true) => self.leased_until = until,
            Ok(false) => return Err(BackfillError::LeaseLost),
            Err(error) if error.is_transient() => {
                tracing::warn!(error = &error as &dyn std::error::Error, "the lease of a backfill was not renewed");
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Writes a batch, waiting while the database is away.
    async fn write(&mut self, batch: Batch, shutdown: &CancellationToken) -> Result<(), BackfillError> {
        let Batch { form, rows, end, hash } = batch;
        self.outcome.form = form;
        let mut orders = Vec::with_capacity(rows.len());
        let mut places = Vec::with_capacity(rows.len());
        for row in rows {
            let Row { line, text, read, warnings } = row;
            let read = read.map(|order| orders.push(order));
            places.push(Place { line, text, refused: read.err(), warnings });
        }
        let mut backoff = Backoff::default();
        loop {
            let done = self.try_write(&orders, &places, (end, &hash)).await;
            match done {
                Err(BackfillError::Store(error)) if error.is_transient() => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "past orders wait for the database");
                    tokio::select! {
                        () = shutdown.cancelled() => return Err(BackfillError::Interrupted),
                        () = backoff.wait() => {}
                    }
                }
                done => return done,
            }
        }
    }

    async fn try_write(
        &mut self,
        orders: &[PastOrder],
        places: &[Place],
        (end, hash): (u64, &str),
    ) -> Result<(), BackfillError> {
        let mut made = None;
        let lease_until = (self.clock.now() + self.lease).max(self.leased_until);
        let system = self.store.system(SystemReason::RoleLoop);
        let before = self.outcome.progress.clone();
        let side_file = self.side_file.as_mut().filter(|_| !self.is_dry);
        let mut conclude = concluding(places, &before, (end, hash), side_file, &mut made);
        if self.is_dry {
            conclude(&system.judge_backfill(&self.backfill.tenant, orders).await?).map_err(BackfillError::Source)?;
            drop(conclude);
        } else {
            let (id, tenant) = (&self.backfill.id, &self.backfill.tenant);
            let (leased_until, form) = (self.leased_until, self.outcome.form);
            let read = Read { id, tenant, leased_until, lease_until, form, orders };
            let sharing = share(self.cache.as_deref(), &self.clock, std::mem::take(&mut self.to_share));
            let (committed, is_shared) = tokio::join!(system.commit_backfill(&read, conclude), sharing);
            self.is_shared &= is_shared;
            self.to_share = committed?.ok_or(BackfillError::LeaseLost)?.entries;
            self.leased_until = lease_until;
        }
        if let Some(made) = made {
            let room = SHOWN.saturating_sub(self.outcome.refusals.len());
            self.outcome.refusals.extend(made.refusals.into_iter().take(room));
            let room = SHOWN.saturating_sub(self.outcome.warnings.len());
            self.outcome.warnings.extend(made.warnings.into_iter().take(room));
            self.outcome.progress = made.progress;
        }
        Ok(())
    }

    /// Hands on what no commit follows.
    async fn share_rest(&mut self) {
        let rest = std::mem::take(&mut self.to_share);
        self.is_shared &= share(self.cache.as_deref(), &self.clock, rest).await;
    }

    /// Takes back that hot history is whole, where it is not.
    async fn own_up(&mut self) -> Result<(), BackfillError> {
        let hot = self.cache.as_deref().and_then(Cache::history);
        if let (false, Some(hot)) = (self.is_shared, hot) {
            hot.distrust().await.map_err(BackfillError::Cache)?;
            self.is_shared = true;
        }
        Ok(())
    }

    /// Gives the lease back where trying again soon makes sense, and ends an upload where it never will: nobody else would
    /// tell its sender.
    async fn let_go(&self, error: &BackfillError) {
        let is_upload = self.backfill.source.is_empty();
        let done = match error {
            _ if self.is_dry => return,
            BackfillError::Form(_) => self.fail(&error.to_string()).await,
            error if is_upload && error.is_final() => {
                let read = self.outcome.progress.rows();
                tracing::error!(
                    error = error as &dyn std::error::Error, backfill = %self.backfill.id, read, "an upload cannot be kept"
                );
                self.fail(&format!("{error}: nothing after the first {read} rows; give this id to the operator")).await
            }
            BackfillError::Changed => self.fail(&error.to_string()).await,
            BackfillError::Interrupted | BackfillError::Source(_) | BackfillError::Store(StoreError::Refused(_)) => {
                let system = self.store.system(SystemReason::RoleLoop);
                system.leave_backfill(&self.backfill.id, self.leased_until).await.map_err(BackfillError::Store)
            }
            _ => return,
        };
        if let Err(error) = done {
            tracing::debug!(error = &error as &dyn std::error::Error, "the lease of a backfill runs out by itself");
        }
    }

    async fn finish(&self, size: u64) -> Result<(), BackfillError> {
        if self.is_dry {
            return Ok(());
        }
        let system = self.store.system(SystemReason::RoleLoop);
        let ended = system.finish_backfill(&self.backfill.id, self.leased_until, size, self.clock.now()).await?;
        if ended { Ok(()) } else { Err(BackfillError::LeaseLost) }
    }

    async fn fail(&self, failure: &str) -> Result<(), BackfillError> {
        let system = self.store.system(SystemReason::RoleLoop);
        let ended = system.fail_backfill(&self.backfill.id, self.leased_until, failure, self.clock.now()).await?;
        if ended { Ok(()) } else { Err(BackfillError::LeaseLost) }
    }
}

/// Hands committed entries to hot history; false when it did not get them all.
async fn share(cache: Option<&dyn Cache>, clock: &Clock, entries: Vec<KeyedEntry>) -> bool {
    let Some(hot) = cache.and_then(Cache::history) else { return true };
    let now = clock.now();
    let since = now - HISTORY_SPAN;
    let recent: Vec<_> = entries.into_iter().filter(|keyed| keyed.entry.received_at >= since).collect();
    for some in recent.chunks(SHARED_AT_A_TIME) {
        if let Err(error) = hot.remember(some, now).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "history did not reach the cache");
            return false;
        }
    }
    true
}

/// Batches that make up a commit of about `rows` rows; none when the file is at its end.
async fn gather(
    batches: &mut mpsc::Receiver<Batch>,
    rows: usize,
    shutdown: &CancellationToken,
) -> Result<Option<Batch>, BackfillError> {
    let mut gathered: Option<Batch> = None;
    loop {
        let next = tokio::select! {
            biased;
            () = shutdown.cancelled() => return Err(BackfillError::Interrupted),
            next = batches.recv() => next,
        };
        match (next, &mut gathered) {
            (None, _) => return Ok(gathered),
            (Some(batch), None) => gathered = Some(batch),
            (Some(batch), Some(before)) => {
                before.rows.extend(batch.rows);
                (before.form, before.end, before.hash) = (batch.form, batch.end, batch.hash);
            }
        }
        if gathered.as_ref().is_some_and(|batch| batch.rows.len() >= rows) {
            return Ok(gathered);
        }
    }
}
