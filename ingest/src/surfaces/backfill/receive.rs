//! Taking an upload in, piece by piece, and comparing it with its hash.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use sha2::{Digest, Sha256};
use tokio::time::{Instant, timeout, timeout_at};
use touchstone_platform::random;
use touchstone_platform::store::backfill::{Chunk, Kept, NewBackfill};
use touchstone_platform::store::{StoreError, TenantStore};
use touchstone_schema::ids::BackfillId;
use touchstone_schema::limits::{BACKFILL_UPLOAD_BYTES, BACKFILL_UPLOADS_AT_ONCE, BACKFILLS_OPEN};
use touchstone_schema::time::Timestamp;

use super::Head;
use super::rate::Rate;
use super::slots::too_many_at_once;
use crate::admit::Ticket;
use crate::door::Door;
use crate::http::service::Arrival;
use crate::problem::Problem;
use crate::surfaces::Knock;

/// Bytes of a piece.
const PIECE: usize = 1024 * 1024;
/// How long a whole upload may take.
const PATIENCE: Duration = Duration::from_secs(3_600);
/// How long a piece may take to be kept.
const KEEPING_PATIENCE: Duration = Duration::from_secs(10);
/// How long an upload lives after its last piece, or the last time its sender was fast enough, should its process die.
const LEASE: Duration = Duration::from_secs(60);

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
    let tenant = &ticket.caller.key.tenant;
    let _slot = door.uploads.enter(&tenant.store_id)?;
    let store = door.dependencies.store.tenant(tenant);
    let now = door.dependencies.clock.now();
    // Those of other processes are counted too.
    if knock.stored(store.receiving_backfills(now)).await? >= BACKFILL_UPLOADS_AT_ONCE {
        return Err(too_many_at_once());
    }
    let uploaded = knock.stored(store.uploaded_today(now)).await?;
    if uploaded.saturating_add(head.announced.unwrap_or(0)) > door.settings.upload_day_bytes {
        return Err(over_quota(door, now));
    }
    if knock.stored(store.open_backfills(now)).await? >= BACKFILLS_OPEN {
        return Err(Problem::state_conflict(
            "too_many_backfills",
            format!("Expected at most {BACKFILLS_OPEN} uploads that are not read yet; wait for one of them."),
        ));
    }
    let id = BackfillId::mint(now, random::bytes());
    let (kind, form, leased_until) = (head.kind, head.form, now + LEASE);
    let new = NewBackfill { id: &id, source: "", kind, form, now, leased_until, actor: "merchant" };
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
        let settings = &self.door.settings;
        let deadline = Instant::now() + PATIENCE;
        let mut silent_since = Instant::now();
        let mut rate = Rate::new(settings.upload_least_rate, settings.upload_window);
        loop {
            let begun = Instant::now();
            let end = deadline.min(silent_since + settings.body_timeout);
            let frame = timeout_at(end.min(begun + rate.left()), body.frame()).await;
            rate.waited(begun.elapsed());
            match frame {
                Ok(None) => return Ok(()),
                Ok(Some(frame)) => {
                    if let Ok(data) = frame.map_err(|_| Problem::broken_body())?.into_data() {
                        rate.came(data.len() as u64);
                        self.add(data).await?;
                    }
                    silent_since = Instant::now();
                }
                Err(_) if Instant::now() >= end => return Err(Problem::body_timeout()),
                Err(_) => {}
            }
            match rate.judge() {
                None => {}
                Some(true) => self.renew().await?,
                Some(false) => {
                    return Err(Problem::upload_too_slow(settings.upload_least_rate, settings.upload_window));
                }
            }
        }
    }

    /// Keeps the upload's lease: a piece of a slow sender takes longer than that.
    async fn renew(&self) -> Result<(), Problem> {
        let until = self.door.dependencies.clock.now() + LEASE;
        let is_there = self.stored(self.store.renew_upload(&self.id, until)).await?;
        if is_there { Ok(()) } else { Err(Problem::body_timeout()) }
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
        let now = self.door.dependencies.clock.now();
        let quota = self.door.settings.upload_day_bytes;
        let kept = self.stored(self.store.put_backfill_chunk(chunk, (now, now + LEASE), quota)).await?;
        self.pieces += 1;
        match kept {
            Kept::Yes => Ok(()),
            // It stood still for so long that it was dropped.
            Kept::Dropped => Err(Problem::body_timeout()),
            Kept::OverQuota => Err(over_quota(self.door, now)),
        }
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

fn over_quota(door: &Door, now: Timestamp) -> Problem {
    const DAY_MS: i64 = 86_400_000;
    let left_ms = DAY_MS - now.as_millis().rem_euclid(DAY_MS);
    // Whole seconds, rounded up: the quota begins again at midnight.
    let left = Duration::from_secs(left_ms.unsigned_abs().div_ceil(1_000));
    Problem::upload_quota(door.settings.upload_day_bytes, left)
}
