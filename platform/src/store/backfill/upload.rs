//! Uploads, kept in pieces until they have been read.
//!
//! Guarantee: a piece is durable when its call returns; an upload is read only after it was declared whole, by whoever
//! compared it with its hash. Failure: an upload that breaks off is dropped when its lease has run out.

use sea_orm::Value;
use touchstone_schema::ids::BackfillId;
use touchstone_schema::time::Timestamp;

use super::super::database::{column, count, execute, row, rows};
use super::super::{StoreError, SystemStore, TenantStore};
use super::{number, written};

/// A piece of an upload.
#[derive(Debug)]
pub struct Chunk<'a> {
    /// Its upload.
    pub backfill: &'a BackfillId,
    /// Its place, from 0.
    pub number: u64,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// What became of a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// It is kept.
    Yes,
    /// Its upload was dropped meanwhile.
    Dropped,
    /// The store has uploaded as much today as it may; it is not kept.
    OverQuota,
}

/// One day of a quota, in milliseconds.
const DAY_MS: i64 = 86_400_000;

const KEEP: &str = "UPDATE backfills SET leased_until = $2 WHERE id = $1 AND state = 'receiving' AND store_id = $3";
const PUT: &str = "INSERT INTO backfill_chunks (backfill_id, number, bytes) VALUES ($1, $2, $3)";
const WHOLE: &str = "UPDATE backfills SET state = 'waiting', size = $2, leased_until = 0
  WHERE id = $1 AND state = 'receiving' AND store_id = $3";
const ABANDON: &str = "UPDATE backfills SET leased_until = 0 WHERE id = $1 AND state = 'receiving' AND store_id = $2";
/// Without what broke off, which gave its place up with its lease.
const OPEN: &str = "SELECT COUNT(*) AS open FROM backfills
  WHERE store_id = $1 AND mode = $2 AND finished_at IS NULL AND source = ''
    AND (state <> 'receiving' OR leased_until > $3)";
const RECEIVING: &str = "SELECT COUNT(*) AS open FROM backfills
  WHERE store_id = $1 AND finished_at IS NULL AND source = '' AND state = 'receiving' AND leased_until > $2";
const COUNT: &str = "INSERT INTO backfill_uploaded (store_id, day, bytes) VALUES ($1, $2, $3)
  ON CONFLICT (store_id, day) DO UPDATE SET bytes = backfill_uploaded.bytes + excluded.bytes
  RETURNING bytes";
const UPLOADED: &str = "SELECT bytes FROM backfill_uploaded WHERE store_id = $1 AND day = $2";
pub(super) const FORGET_DAYS: &str = "DELETE FROM backfill_uploaded WHERE store_id = $1 AND day < $2";
const GET: &str = "SELECT bytes FROM backfill_chunks WHERE backfill_id = $1 AND number = $2";
const FORGET: &str = "DELETE FROM backfill_chunks WHERE backfill_id = $1 AND number IN
  (SELECT number FROM backfill_chunks WHERE backfill_id = $1 ORDER BY number LIMIT $2)";
const DROP: &str = "DELETE FROM backfills WHERE id = $1 AND state = 'receiving'";
const ABANDONED: &str = "SELECT id FROM backfills WHERE finished_at IS NULL AND leased_until <= $1
  AND state = 'receiving' ORDER BY leased_until LIMIT $2";
/// An upload that ended while its pieces were being forgotten.
const LEFT_OVER: &str = "SELECT id FROM backfills WHERE finished_at IS NOT NULL AND source = ''
  AND EXISTS (SELECT 1 FROM backfill_chunks WHERE backfill_id = backfills.id) LIMIT $1";
/// Pieces that are forgotten together.
const FORGOTTEN: u64 = 16;

impl TenantStore<'_> {
    /// How many uploads came in or are coming in that were not read to their end.
    pub async fn open_backfills(&self, now: Timestamp) -> Result<u64, StoreError> {
        let (store, mode) = (self.tenant.store_id.as_str(), self.tenant.mode.as_str());
        let found = row(&self.store.database, OPEN, [store.into(), mode.into(), now.as_millis().into()]).await?;
        found.map_or(Ok(0), |row| count(&row, "open"))
    }

    /// How many uploads of the store, in both its worlds, are coming in.
    pub async fn receiving_backfills(&self, now: Timestamp) -> Result<u64, StoreError> {
        let values: [Value; 2] = [self.tenant.store_id.as_str().into(), now.as_millis().into()];
        let found = row(&self.store.database, RECEIVING, values).await?;
        found.map_or(Ok(0), |row| count(&row, "open"))
    }

    /// Bytes that the store has uploaded today (UTC), in both its worlds.
    pub async fn uploaded_today(&self, now: Timestamp) -> Result<u64, StoreError> {
        let values: [Value; 2] = [self.tenant.store_id.as_str().into(), day(now).into()];
        let found = row(&self.store.database, UPLOADED, values).await?;
        found.map_or(Ok(0), |row| count(&row, "bytes"))
    }

    /// Renews the lease of an upload that is coming in. False: it was dropped.
    pub async fn renew_upload(&self, id: &BackfillId, until: Timestamp) -> Result<bool, StoreError> {
        let values: [Value; 3] = [id.as_str().into(), until.as_millis().into(), self.tenant.store_id.as_str().into()];
        Ok(written(self.store, KEEP, values).await? > 0)
    }

    /// Keeps a piece that came `now`, and the upload's lease, where the store has not uploaded more than `quota` bytes today
    /// (UTC) with it.
    pub async fn put_backfill_chunk(
        &self,
        chunk: Chunk<'_>,
        (now, until): (Timestamp, Timestamp),
        quota: u64,
    ) -> Result<Kept, StoreError> {
        let change = self.store.begin().await?;
        let id = chunk.backfill.as_str();
        let store = self.tenant.store_id.as_str();
        let values: [Value; 3] = [id.into(), until.as_millis().into(), store.into()];
        if execute(change.transaction(), KEEP, values).await? == 0 {
            return Ok(Kept::Dropped);
        }
        let values: [Value; 3] = [store.into(), day(now).into(), number(chunk.bytes.len() as u64).into()];
        let counted = row(change.transaction(), COUNT, values).await?;
        if counted.map_or(Ok(0), |row| count::<u64>(&row, "bytes"))? > quota {
            return Ok(Kept::OverQuota);
        }
        let values: [Value; 3] = [id.into(), number(chunk.number).into(), chunk.bytes.into()];
        execute(change.transaction(), PUT, values).await?;
        change.commit().await?;
        Ok(Kept::Yes)
    }

    /// Declares an upload of `size` bytes whole: it may be read. False: the upload was dropped.
    pub async fn backfill_is_whole(&self, id: &BackfillId, size: u64) -> Result<bool, StoreError> {
        let values: [Value; 3] = [id.as_str().into(), number(size).into(), self.tenant.store_id.as_str().into()];
        Ok(written(self.store, WHOLE, values).await? > 0)
    }

    /// Leaves an upload that did not become whole to be dropped.
    pub async fn abandon_backfill(&self, id: &BackfillId) -> Result<(), StoreError> {
        let values: [Value; 2] = [id.as_str().into(), self.tenant.store_id.as_str().into()];
        written(self.store, ABANDON, values).await.map(|_| ())
    }
}

impl SystemStore<'_> {
    /// A piece of an upload; none behind its end.
    pub async fn backfill_chunk(&self, id: &BackfillId, place: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let found = row(&self.store.database, GET, [id.as_str().into(), number(place).into()]).await?;
        found.as_ref().map(|row| column(row, "bytes")).transpose()
    }

    /// Forgets the pieces of an upload, few at a time.
    pub async fn forget_backfill_chunks(&self, id: &BackfillId) -> Result<(), StoreError> {
        while written(self.store, FORGET, [id.as_str().into(), number(FORGOTTEN).into()]).await? > 0 {}
        Ok(())
    }

    /// Drops an upload that did not become whole.
    pub async fn drop_backfill(&self, id: &BackfillId) -> Result<(), StoreError> {
        self.forget_backfill_chunks(id).await?;
        written(self.store, DROP, [id.as_str().into()]).await.map(|_| ())
    }

    /// Uploads that broke off, at most `most`.
    pub async fn abandoned_backfills(&self, now: Timestamp, most: u64) -> Result<Vec<BackfillId>, StoreError> {
        let found = rows(&self.store.database, ABANDONED, [now.as_millis().into(), number(most).into()]).await?;
        found.iter().map(|row| super::parsed(row, "id")).collect()
    }

    /// Uploads that ended and whose pieces are still there, at most `most`.
    pub async fn left_over_backfills(&self, most: u64) -> Result<Vec<BackfillId>, StoreError> {
        let found = rows(&self.store.database, LEFT_OVER, [number(most).into()]).await?;
        found.iter().map(|row| super::parsed(row, "id")).collect()
    }
}

/// The day (UTC) of a moment, counted from 1970.
pub(super) const fn day(now: Timestamp) -> i64 {
    now.as_millis().div_euclid(DAY_MS)
}
