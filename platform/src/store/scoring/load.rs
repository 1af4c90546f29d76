//! Reading what a batch needs before it is scored: one statement for revisions, one for history.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use sea_orm::{DbBackend, QueryResult, Value};
use touchstone_schema::history::{Happening, HistoryByKey, HistoryEntry, HistoryKey, HistoryKeyKind, HistoryKeys};
use touchstone_schema::ids::TransactionId;
use touchstone_schema::limits::HISTORY_DEPTH;
use touchstone_schema::money::{Currency, Money};
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

const KEY: &Columns = &[("key", Kind::Number)];

static POSTGRES_HISTORY: LazyLock<String> = LazyLock::new(|| history_text(DbBackend::Postgres));
static SQLITE_HISTORY: LazyLock<String> = LazyLock::new(|| history_text(DbBackend::Sqlite));

/// One arm per kind of key, each walking its own index backwards from the newest entry. The kinds have the names of
/// their columns.
fn history_text(backend: DbBackend) -> String {
    let since = HistoryKeyKind::ALL.len() + 1;
    let tables = HistoryKeyKind::ALL.iter().enumerate();
    let tables = tables.map(|(at, kind)| expression(backend, &format!("{kind}_keys"), KEY, at + 1));
    let arms = HistoryKeyKind::ALL.iter().map(|kind| {
        let newest = |columns: &str| {
            format!(
                "SELECT {columns} FROM history WHERE history.{kind} = {kind}_keys.key AND received_at >= ${since}
    ORDER BY received_at DESC, transaction_id DESC LIMIT {HISTORY_DEPTH}"
            )
        };
        let entries = if backend == DbBackend::Postgres {
            format!("CROSS JOIN LATERAL ({}) AS entry", newest("*"))
        } else {
            format!("CROSS JOIN history AS entry WHERE entry.rowid IN ({})", newest("rowid"))
        };
        format!(
            "SELECT {kind}_keys.key, transaction_id, received_at, amount_minor, declines, card, email, phone, device, ip,
    address, customer, name, currency FROM {kind}_keys {entries}"
        )
    });
    format!("WITH {} {}", tables.collect::<Vec<_>>().join(", "), arms.collect::<Vec<_>>().join("\nUNION ALL\n"))
}

pub(super) async fn history(
    store: &Store,
    keys: &[(HistoryKeyKind, HistoryKey)],
    since: Timestamp,
) -> Result<HistoryByKey, StoreError> {
    let mut found = HistoryByKey::new();
    if keys.is_empty() {
        return Ok(found);
    }
    let text = if store.is_embedded() { &SQLITE_HISTORY } else { &POSTGRES_HISTORY };
    let mut entries: HashMap<(TransactionId, Timestamp), Arc<HistoryEntry>> = HashMap::new();
    for row in rows(&store.database, text, history_values(store.backend(), keys, since)).await? {
        let key: i64 = at(&row, 0)?;
        let id = at::<String>(&row, 1)?.parse().map_err(|error| StoreError::corrupt("transaction_id", error))?;
        let received_at = Timestamp::from_millis(at(&row, 2)?);
        let entry = match entries.get(&(TransactionId::clone(&id), received_at)) {
            Some(known) => Arc::clone(known),
            None => Arc::new(history_entry(&row, id.clone(), received_at)?),
        };
        entries.entry((id, received_at)).or_insert_with(|| Arc::clone(&entry));
        found.entry(HistoryKey::from_i64(key)).or_default().push(entry);
    }
    for list in found.values_mut() {
        list.sort_by(|a, b| (b.received_at, &b.transaction_id).cmp(&(a.received_at, &a.transaction_id)));
    }
    Ok(found)
}

fn history_values(backend: DbBackend, keys: &[(HistoryKeyKind, HistoryKey)], since: Timestamp) -> Vec<Value> {
    let mut values = Vec::new();
    for kind in HistoryKeyKind::ALL {
        let mut asked: Vec<_> = keys.iter().filter(|(other, _)| other == kind).map(|(_, key)| key.as_i64()).collect();
        asked.sort_unstable();
        asked.dedup();
        let asked: Vec<_> = asked.into_iter().map(|key| vec![key.into()]).collect();
        values.extend(parameters(backend, KEY, &asked));
    }
    values.push(since.as_millis().into());
    values
}

fn history_entry(
    row: &QueryResult,
    transaction_id: TransactionId,
    received_at: Timestamp,
) -> Result<HistoryEntry, StoreError> {
    let currency = Currency::from_code(&at::<String>(row, 13)?)
        .ok_or_else(|| StoreError::corrupt("currency", "not an ISO 4217 code"))?;
    let key = |index| at::<Option<i64>>(row, index).map(|key| key.map(HistoryKey::from_i64));
    Ok(HistoryEntry {
        what: Happening::Order,
        transaction_id,
        received_at,
        ordered_at: received_at,
        amount: Money::from_minor(at(row, 3)?, currency).map_err(|error| StoreError::corrupt("amount_minor", error))?,
        declines: u32::try_from(at::<i64>(row, 4)?).unwrap_or_default(),
        keys: HistoryKeys {
            card: key(5)?,
            email: key(6)?,
            phone: key(7)?,
            device: key(8)?,
            ip: key(9)?,
            address: key(10)?,
            customer: key(11)?,
        },
        name: key(12)?,
    })
}

/// A column by its place: history can have thousands of rows, and a look-up by name costs more than the value.
fn at<T: sea_orm::TryGetable>(row: &QueryResult, index: usize) -> Result<T, StoreError> {
    row.try_get_by_index(index).map_err(|error| StoreError::corrupt("history", error))
}
