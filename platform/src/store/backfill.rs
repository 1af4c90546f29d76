//! Backfills: files of past orders that are read into history.
//!
//! Guarantee: how far a file was read is committed with what was read of it, by the one who holds its lease; whoever takes
//! it over goes on exactly there. Failure: a lease runs out when its holder dies, and then the next one takes it.

mod commit;
mod upload;

use sea_orm::{QueryResult, Value};
use touchstone_schema::backfill::{DecimalMark, Encoding, Form, Format, RowKind, Separator};
use touchstone_schema::ids::BackfillId;
use touchstone_schema::tenant::{Tenant, wire_enum};
use touchstone_schema::time::Timestamp;
use touchstone_schema::warning::{Warning, WarningCode};

use super::accounts::{AuditLine, audit};
use super::database::{column, count, execute, parsed, row, rows};
use super::{Store, StoreError, SystemStore, TenantStore};

pub use commit::{Committed, Conclusion, PastOrder, Progress, Read, Took};
pub use upload::{Chunk, Kept};

wire_enum! {
    /// What a backfill is doing.
    BackfillState {
        /// Its upload is coming in; nothing of it is used before it is whole.
        Receiving = "receiving",
        /// It waits for a process to read it.
        Waiting = "waiting",
        /// It is being read.
        Running = "running",
        /// All of it was read.
        Done = "done",
        /// It cannot be read.
        Failed = "failed",
    }
}

/// A backfill.
#[derive(Debug, Clone)]
pub struct Backfill {
    /// Its id.
    pub id: BackfillId,
    /// Whose orders they are.
    pub tenant: Tenant,
    /// What a command reads; empty of an upload.
    pub source: String,
    /// What the rows are, when that was said.
    pub kind: Option<RowKind>,
    /// The form of the file: what was said of it, and once rows are committed what was recognised.
    pub form: Form,
    /// What it is doing.
    pub state: BackfillState,
    /// How far it has come.
    pub progress: Progress,
    /// Entries of history may be committed that the cache has not got.
    pub unshared: bool,
    /// Bytes of an upload, and of any file that was read to its end.
    pub size: u64,
    /// Why it failed.
    pub failure: Option<String>,
    /// Until when somebody works on it.
    pub leased_until: Timestamp,
    /// When it began: what was told of an order without a time is known from then on.
    pub created_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
}

/// A row that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Its place among the refused rows.
    pub number: u64,
    /// The line that it begins on.
    pub line: u64,
    /// JSON pointer to the value at fault; empty of the whole row.
    pub field: String,
    /// What was expected.
    pub reason: String,
}

/// A warning of a row that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowWarning {
    /// Its place among the warnings.
    pub number: u64,
    /// The line that the row begins on.
    pub line: u64,
    /// What was accepted.
    pub warning: Warning,
}

/// A backfill that begins.
#[derive(Debug)]
pub struct NewBackfill<'a> {
    /// Its id.
    pub id: &'a BackfillId,
    /// What a command reads; empty of an upload.
    pub source: &'a str,
    /// What the rows are.
    pub kind: Option<RowKind>,
    /// What was said of the form of the file.
    pub form: Form,
    /// Now.
    pub now: Timestamp,
    /// Until when the beginner works on it.
    pub leased_until: Timestamp,
    /// Who begins it, for the audit log.
    pub actor: &'static str,
}

const INSERT: &str = "INSERT INTO backfills (id, store_id, mode, source, kind, format, state, size, position,
    position_hash, accepted, unchanged, refused, refused_bytes, unshared, leased_until, created_at, encoding, separator,
    decimal_mark)
  VALUES ($1, $2, $3, $4, $5, $6, $7, 0, 0, '', 0, 0, 0, 0, 0, $8, $9, $10, $11, $12)";

/// A command's reading of this source that did not come to its end.
const UNFINISHED: &str = "UPDATE backfills SET leased_until = $5 WHERE id IN (SELECT id FROM backfills
    WHERE store_id = $1 AND mode = $2 AND source = $3 AND finished_at IS NULL AND leased_until <= $4
    ORDER BY id DESC LIMIT 1)
  RETURNING *";

const HELD: &str = "SELECT id FROM backfills
  WHERE store_id = $1 AND mode = $2 AND source = $3 AND finished_at IS NULL AND leased_until > $4 LIMIT 1";

/// Two texts, so that each is fixed: SQLite has one writer at a time and no row locks to skip.
const CLAIM: &str = "UPDATE backfills SET state = 'running', leased_until = $2 WHERE id IN (SELECT id FROM backfills
    WHERE finished_at IS NULL AND leased_until <= $1 AND source = '' AND state IN ('waiting', 'running')
    ORDER BY leased_until, id LIMIT 1{locking})
  RETURNING *";

const UNSHARED: &str = "SELECT id FROM backfills
  WHERE finished_at IS NULL AND leased_until <= $1 AND unshared = 1 LIMIT 1";

const SHARED: &str = "UPDATE backfills SET unshared = 0
  WHERE finished_at IS NULL AND leased_until <= $1 AND unshared = 1";

const LEAVE: &str = "UPDATE backfills SET leased_until = 0 WHERE id = $1 AND leased_until = $2";

const RENEW: &str = "UPDATE backfills SET leased_until = $3
  WHERE id = $1 AND leased_until = $2 AND finished_at IS NULL";

const FAIL: &str =
    "UPDATE backfills SET state = 'failed', failure = $3, unshared = 0, finished_at = $4, leased_until = 0
  WHERE id = $1 AND leased_until = $2";

/// Done is what was read to its last byte: an upload has its size from when it came in, other files by now.
const FINISH: &str = "UPDATE backfills SET state = 'done', size = $3, unshared = 0, finished_at = $4, leased_until = 0
  WHERE id = $1 AND leased_until = $2 AND position = $3 AND (source <> '' OR size = $3)";

const SHOW: &str = "SELECT * FROM backfills WHERE id = $1 AND store_id = $2 AND mode = $3";

const REFUSALS: &str = "SELECT number, line, field, reason FROM backfill_refusals
  WHERE backfill_id = $1 AND number > $2 ORDER BY number LIMIT $3";

const WARNINGS: &str = "SELECT number, line, code, field, message FROM backfill_warnings
  WHERE backfill_id = $1 AND number > $2 ORDER BY number LIMIT $3";

/// An order of any store that was received a moment ago.
const LIVE: &str = "SELECT 1 FROM history WHERE received_at >= $1 AND what = 'order' ORDER BY received_at LIMIT 1";

impl SystemStore<'_> {
    /// Takes over a command's reading of this source that did not come to its end.
    pub async fn take_over_backfill(
        &self,
        tenant: &Tenant,
        source: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<Backfill>, StoreError> {
        let values: [Value; 5] = [
            tenant.store_id.as_str().into(),
            tenant.mode.as_str().into(),
            source.into(),
            now.as_millis().into(),
            until.as_millis().into(),
        ];
        let change = self.store.begin().await?;
        let taken = row(change.transaction(), UNFINISHED, values).await?;
        let taken = taken.as_ref().map(backfill_of).transpose()?;
        change.commit().await?;
        Ok(taken)
    }

    /// Whether another process is reading this source right now.
    pub async fn backfill_is_held(&self, tenant: &Tenant, source: &str, now: Timestamp) -> Result<bool, StoreError> {
        let values: [Value; 4] =
            [tenant.store_id.as_str().into(), tenant.mode.as_str().into(), source.into(), now.as_millis().into()];
        Ok(row(&self.store.database, HELD, values).await?.is_some())
    }

    /// Leases the upload that has waited longest, until `until`.
    pub async fn claim_backfill(&self, now: Timestamp, until: Timestamp) -> Result<Option<Backfill>, StoreError> {
        let text = CLAIM.replace("{locking}", if self.store.is_embedded() { "" } else { " FOR UPDATE SKIP LOCKED" });
        let change = self.store.begin().await?;
        let claimed = row(change.transaction(), &text, [now.as_millis().into(), until.as_millis().into()]).await?;
        let claimed = claimed.as_ref().map(backfill_of).transpose()?;
        change.commit().await?;
        Ok(claimed)
    }

    /// Whether a process died that may not have handed on what it had committed.
    pub async fn backfill_is_unshared(&self, now: Timestamp) -> Result<bool, StoreError> {
        Ok(row(&self.store.database, UNSHARED, [now.as_millis().into()]).await?.is_some())
    }

    /// Notes that the cache does not count upon what such processes left.
    pub async fn backfills_are_shared(&self, now: Timestamp) -> Result<(), StoreError> {
        written(self.store, SHARED, [now.as_millis().into()]).await.map(|_| ())
    }

    /// Gives a lease back, so that another may go on at once.
    pub async fn leave_backfill(&self, id: &BackfillId, until: Timestamp) -> Result<(), StoreError> {
        written(self.store, LEAVE, [id.as_str().into(), until.as_millis().into()]).await.map(|_| ())
    }

    /// Extends a lease that is held until `until`. False: it was lost.
    pub async fn renew_backfill(
        &self,
        id: &BackfillId,
        until: Timestamp,
        renewed: Timestamp,
    ) -> Result<bool, StoreError> {
        let values: [Value; 3] = [id.as_str().into(), until.as_millis().into(), renewed.as_millis().into()];
        Ok(written(self.store, RENEW, values).await? > 0)
    }

    /// Ends a backfill whose lease is held until `until` and of whose `size` bytes all are committed. Everything that it
    /// committed must have been handed to the cache. False: the lease was lost, or not everything is committed.
    pub async fn finish_backfill(
        &self,
        id: &BackfillId,
        until: Timestamp,
        size: u64,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let values: [Value; 4] =
            [id.as_str().into(), until.as_millis().into(), number(size).into(), now.as_millis().into()];
        Ok(written(self.store, FINISH, values).await? > 0)
    }

    /// Ends a backfill, whose lease is held until `until`, that cannot be read on. As with [`Self::finish_backfill`],
    /// the cache must have what was committed. False: the lease was lost.
    pub async fn fail_backfill(
        &self,
        id: &BackfillId,
        until: Timestamp,
        failure: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let values: [Value; 4] = [id.as_str().into(), until.as_millis().into(), failure.into(), now.as_millis().into()];
        Ok(written(self.store, FAIL, values).await? > 0)
    }

    /// Whether an order of any store was received since then: whether anybody would notice a busy database.
    pub async fn is_live_since(&self, since: Timestamp) -> Result<bool, StoreError> {
        Ok(row(&self.store.database, LIVE, [since.as_millis().into()]).await?.is_some())
    }
}

impl TenantStore<'_> {
    /// Begins a backfill, leased to its beginner. Audited.
    pub async fn begin_backfill(&self, new: &NewBackfill<'_>) -> Result<(), StoreError> {
        let state = if new.source.is_empty() { BackfillState::Receiving } else { BackfillState::Running };
        let values: [Value; 12] = [
            new.id.as_str().into(),
            self.tenant.store_id.as_str().into(),
            self.tenant.mode.as_str().into(),
            new.source.into(),
            new.kind.map_or("", RowKind::as_str).into(),
            new.form.format.map_or("", Format::as_str).into(),
            state.as_str().into(),
            new.leased_until.as_millis().into(),
            new.now.as_millis().into(),
            new.form.encoding.map_or("", Encoding::as_str).into(),
            new.form.separator.map_or("", Separator::as_str).into(),
            new.form.decimal.map_or("", DecimalMark::as_str).into(),
        ];
        let change = self.store.begin().await?;
        execute(change.transaction(), INSERT, values).await?;
        if new.source.is_empty() {
            // The days before yesterday, which no quota asks for any more.
            let values: [Value; 2] = [self.tenant.store_id.as_str().into(), (upload::day(new.now) - 1).into()];
            execute(change.transaction(), upload::FORGET_DAYS, values).await?;
        }
        let detail = format!("{} {} {}", new.id, self.tenant.mode, new.source);
        let line = AuditLine {
            actor: new.actor,
            store: Some(&self.tenant.store_id),
            action: "backfill.begin",
            detail: detail.trim_end(),
            at: new.now,
        };
        audit(&change, line).await?;
        change.commit().await
    }

    /// A backfill of this tenant.
    pub async fn backfill(&self, id: &BackfillId) -> Result<Option<Backfill>, StoreError> {
        let values: [Value; 3] =
            [id.as_str().into(), self.tenant.store_id.as_str().into(), self.tenant.mode.as_str().into()];
        row(&self.store.database, SHOW, values).await?.as_ref().map(backfill_of).transpose()
    }

    /// Refused rows of a backfill of this tenant, after that number.
    pub async fn backfill_refusals(&self, id: &BackfillId, after: u64, most: u64) -> Result<Vec<Refusal>, StoreError> {
        if self.backfill(id).await?.is_none() {
            return Ok(Vec::new());
        }
        let values: [Value; 3] = [id.as_str().into(), number(after).into(), number(most).into()];
        let found = rows(&self.store.database, REFUSALS, values).await?;
        let refusal = |row: &QueryResult| {
            Ok(Refusal {
                number: count(row, "number")?,
                line: count(row, "line")?,
                field: column(row, "field")?,
                reason: column(row, "reason")?,
            })
        };
        found.iter().map(refusal).collect()
    }

    /// Warnings of a backfill of this tenant, after that number.
    pub async fn backfill_warnings(
        &self,
        id: &BackfillId,
        after: u64,
        most: u64,
    ) -> Result<Vec<RowWarning>, StoreError> {
        if self.backfill(id).await?.is_none() {
            return Ok(Vec::new());
        }
        let values: [Value; 3] = [id.as_str().into(), number(after).into(), number(most).into()];
        let found = rows(&self.store.database, WARNINGS, values).await?;
        let warning = |row: &QueryResult| {
            let code = parsed::<WarningCode>(row, "code")?;
            let warning = Warning { code, field: column(row, "field")?, message: column(row, "message")? };
            Ok(RowWarning { number: count(row, "number")?, line: count(row, "line")?, warning })
        };
        found.iter().map(warning).collect()
    }
}

/// Runs one statement that writes; how many rows it changed.
async fn written(store: &Store, text: &str, values: impl IntoIterator<Item = Value>) -> Result<u64, StoreError> {
    let change = store.begin().await?;
    let changed = execute(change.transaction(), text, values).await?;
    change.commit().await?;
    Ok(changed)
}

fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn backfill_of(row: &QueryResult) -> Result<Backfill, StoreError> {
    let at = |name| column::<i64>(row, name).map(Timestamp::from_millis);
    let kind: String = column(row, "kind")?;
    let text = |name| column::<String>(row, name);
    let form = Form {
        format: Format::parse(&text("format")?),
        encoding: Encoding::parse(&text("encoding")?),
        separator: Separator::parse(&text("separator")?),
        decimal: DecimalMark::parse(&text("decimal_mark")?),
    };
    Ok(Backfill {
        id: parsed(row, "id")?,
        tenant: Tenant { store_id: parsed(row, "store_id")?, mode: parsed(row, "mode")? },
        source: column(row, "source")?,
        kind: RowKind::parse(&kind),
        form,
        state: parsed(row, "state")?,
        progress: Progress {
            position: count(row, "position")?,
            position_hash: column(row, "position_hash")?,
            accepted: count(row, "accepted")?,
            unchanged: count(row, "unchanged")?,
            warned: count(row, "warned")?,
            warnings: count(row, "warnings")?,
            refused: count(row, "refused")?,
            refused_bytes: count(row, "refused_bytes")?,
        },
        unshared: column::<i64>(row, "unshared")? != 0,
        size: count(row, "size")?,
        failure: column(row, "failure")?,
        leased_until: at("leased_until")?,
        created_at: at("created_at")?,
        finished_at: column::<Option<i64>>(row, "finished_at")?.map(Timestamp::from_millis),
    })
}
