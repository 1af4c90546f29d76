//! Pending rows: orders that were promised (202) and have no verdict yet.
//!
//! Guarantee: a promised order is enqueued again until it is scored or set aside for a person. Failure: a claim that
//! commits and then dies is claimed again a sweep age later.

use std::sync::LazyLock;

use sea_orm::{DbBackend, Value};
use touchstone_schema::ids::SubmissionId;
use touchstone_schema::limits::{PENDING_ATTEMPTS, PENDING_SWEEP_AGE};
use touchstone_schema::submission::Submission;
use touchstone_schema::time::Timestamp;

use super::database::{Change, column, execute, rows};
use super::table::{Cell, Columns, Kind, expression, parameters};
use super::{StoreError, SystemStore};

/// Why a row past the attempt limit is set aside.
const ATTEMPTS_USED_UP: &str = "attempts_used_up";
/// Why a row that this build cannot read is set aside.
const UNREADABLE: &str = "unreadable";

const PROMISED: &Columns = &[
    ("submission_id", Kind::Text),
    ("transaction_id", Kind::Text),
    ("store_id", Kind::Text),
    ("mode", Kind::Text),
    ("surface", Kind::Text),
    ("order_id", Kind::Text),
    ("submission", Kind::Text),
    ("received_at", Kind::Number),
    ("due_at", Kind::Number),
];

fn promise_text(backend: DbBackend) -> String {
    let asked = expression(backend, "asked", PROMISED, 1);
    let columns = PROMISED.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    format!(
        "WITH {asked} INSERT INTO pending ({columns}, attempts) SELECT {columns}, 0 FROM asked WHERE TRUE
  ON CONFLICT DO NOTHING"
    )
}

static POSTGRES_PROMISE: LazyLock<String> = LazyLock::new(|| promise_text(DbBackend::Postgres));
static SQLITE_PROMISE: LazyLock<String> = LazyLock::new(|| promise_text(DbBackend::Sqlite));

const SET_ASIDE: &str = "UPDATE pending SET failed_reason = $2 WHERE submission_id = $1";

/// Two texts, so that each is fixed: SQLite has one writer at a time and no row locks to skip.
const CLAIM_POSTGRES: &str = "UPDATE pending SET attempts = attempts + 1, due_at = $2,
    failed_reason = CASE WHEN attempts >= $3 THEN $4 END
  WHERE submission_id IN (SELECT submission_id FROM pending WHERE failed_reason IS NULL AND due_at <= $1
    ORDER BY due_at LIMIT $5 FOR UPDATE SKIP LOCKED)
  RETURNING submission_id, submission, failed_reason";
const CLAIM_SQLITE: &str = "UPDATE pending SET attempts = attempts + 1, due_at = $2,
    failed_reason = CASE WHEN attempts >= $3 THEN $4 END
  WHERE submission_id IN (SELECT submission_id FROM pending WHERE failed_reason IS NULL AND due_at <= $1
    ORDER BY due_at LIMIT $5)
  RETURNING submission_id, submission, failed_reason";

impl SystemStore<'_> {
    /// Commits the promises, all or none. The same submission again changes nothing.
    pub async fn promise(&self, submissions: &[&Submission], now: Timestamp) -> Result<(), StoreError> {
        let documents = submissions.iter().map(serde_json::to_string);
        let documents: Vec<_> =
            documents.collect::<Result<_, _>>().map_err(|error| StoreError::corrupt("submission", error))?;
        let due_at = (now + PENDING_SWEEP_AGE).as_millis();
        let rows = submissions.iter().zip(&documents);
        let table: Vec<_> = rows.map(|(submission, document)| cells(submission, document, due_at)).collect();
        let backend = self.store.backend();
        let text = if self.store.is_embedded() { &SQLITE_PROMISE } else { &POSTGRES_PROMISE };
        self.write(text, parameters(backend, PROMISED, &table)).await
    }

    /// Claims up to `most` pending rows due for another enqueueing: adds an attempt, sets the next due time a sweep age
    /// from now (so that two sweepers do not take the same row), sets rows past the attempt limit aside as failed.
    /// Oldest received first.
    pub async fn claim_overdue(&self, now: Timestamp, most: u64) -> Result<Vec<Submission>, StoreError> {
        let text = if self.store.is_embedded() { CLAIM_SQLITE } else { CLAIM_POSTGRES };
        let values = [
            now.as_millis().into(),
            (now + PENDING_SWEEP_AGE).as_millis().into(),
            i64::from(PENDING_ATTEMPTS).into(),
            ATTEMPTS_USED_UP.into(),
            i64::try_from(most).unwrap_or(i64::MAX).into(),
        ];
        let change = self.store.begin().await?;
        let mut claimed = Vec::new();
        for row in rows(change.transaction(), text, values).await? {
            if column::<Option<String>>(&row, "failed_reason")?.is_some() {
                continue;
            }
            match serde_json::from_str::<Submission>(&column::<String>(&row, "submission")?) {
                Ok(submission) => claimed.push(submission),
                // One unreadable row must not stop the sweep of all others.
                Err(_) => {
                    let id: String = column(&row, "submission_id")?;
                    execute(change.transaction(), SET_ASIDE, [id.into(), UNREADABLE.into()]).await?;
                }
            }
        }
        change.commit().await?;
        claimed.sort_by(|a, b| (a.received_at, &a.id).cmp(&(b.received_at, &b.id)));
        Ok(claimed)
    }

    /// Sets a pending row aside because its message was dead-lettered: the sweep leaves it alone and the transaction
    /// reads as failed. Does nothing when the submission was not promised.
    pub async fn set_aside(&self, submission: &SubmissionId, reason: &str) -> Result<(), StoreError> {
        self.write(SET_ASIDE, [submission.as_str().into(), reason.into()]).await
    }

    /// One statement, in one round trip where the database allows it.
    async fn write(&self, text: &str, values: impl IntoIterator<Item = Value>) -> Result<(), StoreError> {
        if self.store.is_embedded() {
            let change = self.store.begin().await?;
            execute(change.transaction(), text, values).await?;
            change.commit().await
        } else {
            execute(&self.store.database, text, values).await.map(|_| ())
        }
    }
}

/// Commits a promise with what else its transaction does.
pub(super) async fn promise_within(
    change: &Change,
    backend: DbBackend,
    submission: &Submission,
    now: Timestamp,
) -> Result<(), StoreError> {
    let document = serde_json::to_string(submission).map_err(|error| StoreError::corrupt("submission", error))?;
    let table = [cells(submission, &document, (now + PENDING_SWEEP_AGE).as_millis())];
    let text = if backend == DbBackend::Sqlite { &SQLITE_PROMISE } else { &POSTGRES_PROMISE };
    execute(change.transaction(), text, parameters(backend, PROMISED, &table)).await.map(|_| ())
}

fn cells<'a>(submission: &'a Submission, document: &'a str, due_at: i64) -> Vec<Cell<'a>> {
    vec![
        submission.id.as_str().into(),
        submission.transaction_id.as_str().into(),
        submission.tenant.store_id.as_str().into(),
        submission.tenant.mode.as_str().into(),
        submission.surface.as_str().into(),
        submission.order_id.as_str().into(),
        document.into(),
        submission.received_at.as_millis().into(),
        due_at.into(),
    ]
}
