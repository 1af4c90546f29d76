//! Reading what a batch needs before it is scored, in one statement.

use std::sync::LazyLock;

use sea_orm::{DbBackend, QueryResult};
use touchstone_schema::ids::TransactionId;
use touchstone_schema::submission::{Submission, SubmissionKind};
use touchstone_schema::time::Timestamp;

use super::super::database::{column, count, parsed, rows};
use super::super::table::{Cell, Columns, Kind, expression, parameters};
use super::super::{Store, StoreError};
use super::{LatestRevision, Loaded};

const ASKED: &Columns = &[
    ("id", Kind::Text),
    ("store_id", Kind::Text),
    ("mode", Kind::Text),
    ("submission_id", Kind::Text),
    ("with_document", Kind::Number),
];

/// `COALESCE` keeps the store from being looked for by index: a plan made while the table is small would walk all of a
/// store's transactions for each one that is asked.
const REVISIONS: &str =
    "SELECT t.id, '' AS submission_id, r.revision, t.sequence, r.body_hash, r.received_at, r.verdict,
    CASE WHEN asked.with_document = 1 THEN r.document ELSE '' END AS document
  FROM asked CROSS JOIN transactions t CROSS JOIN revisions r
  WHERE t.id = asked.id AND COALESCE(t.store_id, '') = asked.store_id AND t.mode = asked.mode
    AND r.transaction_id = t.id AND r.revision = t.revision
UNION ALL
SELECT r.transaction_id, r.submission_id, r.revision, 0, r.body_hash, r.received_at, r.verdict, ''
  FROM asked CROSS JOIN revisions r
  WHERE r.submission_id = asked.submission_id AND r.store_id = asked.store_id";

static POSTGRES_REVISIONS: LazyLock<String> = LazyLock::new(|| revisions_text(DbBackend::Postgres));
static SQLITE_REVISIONS: LazyLock<String> = LazyLock::new(|| revisions_text(DbBackend::Sqlite));

fn revisions_text(backend: DbBackend) -> String {
    format!("WITH {} {REVISIONS}", expression(backend, "asked", ASKED, 1))
}

pub(super) async fn revisions(store: &Store, submissions: &[&Submission]) -> Result<Loaded, StoreError> {
    let mut loaded = Loaded::default();
    if submissions.is_empty() {
        return Ok(loaded);
    }
    let text = if store.is_embedded() { &SQLITE_REVISIONS } else { &POSTGRES_REVISIONS };
    let asked: Vec<_> = submissions.iter().map(|submission| asked_cells(submission)).collect();
    for row in rows(&store.database, text, parameters(store.backend(), ASKED, &asked)).await? {
        if column::<String>(&row, "submission_id")?.is_empty() {
            let (id, latest) = latest_revision(&row)?;
            // Two submissions of one transaction may be asked, of which one wants the document.
            if !latest.document.is_empty() || !loaded.latest.contains_key(&id) {
                loaded.latest.insert(id, latest);
            }
        } else {
            loaded.scored.insert(parsed(&row, "submission_id")?, column(&row, "verdict")?);
        }
    }
    Ok(loaded)
}

fn asked_cells(submission: &Submission) -> Vec<Cell<'_>> {
    vec![
        submission.transaction_id.as_str().into(),
        submission.tenant.store_id.as_str().into(),
        submission.tenant.mode.as_str().into(),
        submission.id.as_str().into(),
        i64::from(submission.kind == SubmissionKind::Reanalyze).into(),
    ]
}

fn latest_revision(row: &QueryResult) -> Result<(TransactionId, LatestRevision), StoreError> {
    let latest = LatestRevision {
        revision: count(row, "revision")?,
        sequence: count(row, "sequence")?,
        body_hash: column(row, "body_hash")?,
        received_at: Timestamp::from_millis(column(row, "received_at")?),
        verdict: column(row, "verdict")?,
        document: column(row, "document")?,
    };
    Ok((parsed(row, "id")?, latest))
}
