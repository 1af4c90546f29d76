//! Taking an upload in, piece by piece, and comparing it with its hash.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use sha2::{Digest, Sha256};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};
use touchstone_platform::random;
use touchstone_platform::store::backfill::{Chunk, NewBackfill};
use touchstone_platform::store::{StoreError, TenantStore};
use touchstone_schema::ids::BackfillId;
use touchstone_schema::limits::{BACKFILL_UPLOAD_BYTES, BACKFILLS_OPEN};

use super::Head;
use crate::admit::Ticket;
use crate::door::Door;
use crate::http::service::Arrival;
use crate::problem::Problem;
use crate::surfaces::Knock;

/// Uploads that a process takes in at once; each holds a piece.
const AT_ONCE: usize = 8;
/// Bytes of a piece.
const PIECE: usize = 1024 * 1024;
/// How long a whole upload may take.
const PATIENCE: Duration = Duration::from_secs(3_600);
/// How long a piece may take to be kept.
const KEEPING_PATIENCE: Duration = Duration::from_secs(10);
/// How long an upload lives after its last piece, should its process die.
const LEASE: Duration = Duration::from_secs(60);

/// Room for uploads.
#[derive(Debug, Clone)]
pub(crate) struct Uploads(Arc<Semaphore>);

impl Default for Uploads {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

impl Uploads {
    fn enter(&self) -> Result<OwnedSemaphorePermit, Problem> {
        Arc::clone(&self.0).try_acquire_owned().map_err(|_| Problem::unavailable())
    }
}

/// An upload that comes in.
struct Upload<'a> {
    door: &'a Door,
    arrival: &'a Arrival,
    store: TenantStore<'a>,
    id: BackfillId,
    hash: Sha256,
    size: u64,
    pieces: u64,
    /// What is not kept yet.
    rest: Vec<u8>,
}

/// Takes an upload in. When this returns it is durable, and what was signed.
pub(super) async fn receive(
    door: &Door,
    knock: &Knock,
    ticket: &Ticket,
    head: &Head,
    body: Body,
) -> Result<BackfillId, Problem> {
    let _room = door.uploads.enter()?;
    let store = door.dependencies.store.tenant(&ticket.caller.key.tenant);
    if knock.stored(store.open_backfills()).await? >= BACKFILLS_OPEN {
        return Err(Problem::state_conflict(
            "too_many_backfills",
            format!("Expected at most {BACKFILLS_OPEN} uploads that are not read yet; wait for one of them."),
        ));
    }
    let now = knock.arrival.at;
    let id = BackfillId::mint(now, random::bytes());
    let (kind, format, leased_until) = (head.kind, head.format, now + LEASE);
    let new = NewBackfill { id: &id, source: "", kind, format, now, leased_until, actor: "merchant" };
    knock.stored(store.begin_backfill(&new)).await?;
    let arrival = &knock.arrival;
    let mut upload =
        Upload { door, arrival, store, id, hash: Sha256::new(), size: 0, pieces: 0, rest: Vec::with_capacity(PIECE) };
    let taken = match upload.take(body).await {
        Ok(()) => upload.finish(&head.sha256).await,
        Err(problem) => Err(problem),
    };
    if taken.is_err() {
        // What is left is dropped by whoever clears up.
        let _ = timeout(KEEPING_PATIENCE, upload.store.abandon_backfill(&upload.id)).await;
    }
    taken.map(|()| upload.id)
}

impl Upload<'_> {
    async fn take(&mut self, mut body: Body) -> Result<(), Problem> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let wait = deadline.min(Instant::now() + self.door.settings.body_timeout);
            let frame = timeout_at(wait, body.frame()).await.map_err(|_| Problem::body_timeout())?;
            let Some(frame) = frame else { return Ok(()) };
            if let Ok(data) = frame.map_err(|_| Problem::broken_body())?.into_data() {
                self.add(data).await?;
            }
        }
    }

    async fn add(&mut self, mut data: Bytes) -> Result<(), Problem> {
        self.size += data.len() as u64;
        if self.size > BACKFILL_UPLOAD_BYTES {
            return Err(Problem::upload_too_large());
        }
        while !data.is_empty() {
            let some = data.split_to(data.len().min(PIECE - self.rest.len()));
            self.hash.update(&some);
            self.rest.extend_from_slice(&some);
            if self.rest.len() == PIECE {
                self.keep().await?;
            }
        }
        Ok(())
    }

    async fn keep(&mut self) -> Result<(), Problem> {
        let bytes = std::mem::replace(&mut self.rest, Vec::with_capacity(PIECE));
        let chunk = Chunk { backfill: &self.id, number: self.pieces, bytes };
        let until = self.door.dependencies.clock.now() + LEASE;
        let kept = self.stored(self.store.put_backfill_chunk(chunk, until)).await?;
        self.pieces += 1;
        // It stood still for so long that it was dropped.
        if kept { Ok(()) } else { Err(Problem::body_timeout()) }
    }

    async fn finish(&mut self, signed: &str) -> Result<(), Problem> {
        if !self.rest.is_empty() {
            self.keep().await?;
        }
        let sha256 = hex::encode(std::mem::take(&mut self.hash).finalize());
        if sha256 != signed {
            return Err(Problem::another_body());
        }
        let whole = self.stored(self.store.backfill_is_whole(&self.id, self.size)).await?;
        if whole { Ok(()) } else { Err(Problem::body_timeout()) }
    }

    async fn stored<T>(&self, query: impl Future<Output = Result<T, StoreError>>) -> Result<T, Problem> {
        let request_id = &self.arrival.request_id;
        match timeout(KEEPING_PATIENCE, query).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => {
                tracing::warn!(%request_id, error = &error as &dyn std::error::Error, "an upload cannot be kept");
                Err(if error.is_transient() { Problem::unavailable() } else { Problem::internal() })
            }
            Err(_) => Err(Problem::unavailable()),
        }
    }
}
