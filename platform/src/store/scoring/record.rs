//! Writing a scored batch.
//!
//! The statements are the same on both databases; PostgreSQL runs them as parts of one, so that a batch is one round
//! trip, SQLite one after the other in a transaction. Rows are written in the order of their transactions, so that two
//! scorers never wait for each other crosswise.

use std::collections::{BTreeSet, HashSet};
use std::sync::LazyLock;

use sea_orm::{DbBackend, QueryResult, Value};
use touchstone_schema::history::HistoryKey;
use touchstone_schema::ids::SubmissionId;
use touchstone_schema::trace::TraceContext;
use touchstone_schema::verdict::TransactionStatus;

use super::super::database::{column, execute, rows};
use super::super::history::index;
use super::super::table::{Cell, Columns, Kind, expression, parameters};
use super::super::{Store, StoreError};
use super::NewRevision;
use super::ended::close_ended;

/// Times that a batch is tried again after it met a concurrent change of the same transaction.
const COLLISIONS: u32 = 3;

const ASKED: &Columns = &[
    ("transaction_id", Kind::Text),
    ("revision", Kind::Number),
    ("store_id", Kind::Text),
    ("mode", Kind::Text),
    ("surface", Kind::Text),
    ("order_id", Kind::Text),
    ("submission_id", Kind::Text),
    ("body_hash", Kind::Text),
    ("document", Kind::Text),
    ("verdict", Kind::Text),
    ("policy_version", Kind::Number),
    ("enrichment_version", Kind::Text),
    ("received_at", Kind::Number),
    ("scored_at", Kind::Number),
    ("status", Kind::Text),
    ("score", Kind::Number),
    ("level", Kind::Text),
    ("action", Kind::Text),
    ("amount_minor", Kind::Number),
    ("currency", Kind::Text),
    ("quantity", Kind::Number),
    ("event_id", Kind::Text),
    ("kind", Kind::Text),
    ("sequence", Kind::Number),
    ("occurred_at", Kind::Number),
    ("request_id", Kind::Text),
    ("trace", Kind::Text),
    ("remembered_at", Kind::Number),
    ("remembered_minor", Kind::Number),
    ("card", Kind::Number),
    ("email", Kind::Number),
    ("phone", Kind::Number),
    ("device", Kind::Number),
    ("ip", Kind::Number),
    ("address", Kind::Number),
    ("customer", Kind::Number),
    ("name", Kind::Number),
    ("declines", Kind::Number),
    ("reopens", Kind::Number),
];
const SETTLED: &Columns = &[("submission_id", Kind::Text)];
const DECLARED: &Columns = &[
    ("submission_id", Kind::Text),
    ("transaction_id", Kind::Text),
    ("remembered_at", Kind::Number),
    ("key", Kind::Number),
];

/// A revision is left out when its number or its submission was taken, and also when its event was: then a decision or
/// an outcome came between, and the revision must be scored again upon it.
const REVISIONS: &str = "INSERT INTO revisions (transaction_id, revision, store_id, submission_id, body_hash, document,
    verdict, policy_version, enrichment_version, received_at, scored_at)
  SELECT transaction_id, revision, store_id, submission_id, body_hash, document, verdict, policy_version,
    NULLIF(enrichment_version, ''), received_at, scored_at
  FROM asked WHERE NOT EXISTS (SELECT 1 FROM events WHERE events.id = asked.event_id)
  ORDER BY transaction_id, revision
  ON CONFLICT DO NOTHING RETURNING submission_id";

/// Whether the report that ended the order still counts: an order that was sent in since then may be another.
const ENDED: &str = "transactions.ended_by IS NOT NULL AND NOT (excluded.received_at > transactions.ended_at
      AND EXISTS (SELECT 1 FROM fresh WHERE fresh.transaction_id = excluded.id AND fresh.revision = excluded.revision
        AND fresh.reopens = 1))";

const TRANSACTIONS: &str =
    "INSERT INTO transactions (id, store_id, mode, surface, order_id, status, revision, sequence,
    score, level, action, amount_minor, currency, quantity, received_at)
  SELECT transaction_id, store_id, mode, surface, order_id, status, revision, sequence, score, level, action,
    amount_minor, currency, quantity, received_at
  FROM fresh WHERE NOT EXISTS (SELECT 1 FROM fresh AS later
    WHERE later.transaction_id = fresh.transaction_id AND later.revision > fresh.revision)
  ORDER BY transaction_id
  ON CONFLICT (id) DO UPDATE SET
    status = CASE WHEN {ended} THEN transactions.status ELSE excluded.status END,
    ended_by = CASE WHEN {ended} THEN transactions.ended_by END,
    ended_at = CASE WHEN {ended} THEN transactions.ended_at END, revision = excluded.revision, sequence = excluded.sequence,
    score = excluded.score, level = excluded.level, action = excluded.action, amount_minor = excluded.amount_minor,
    currency = excluded.currency, quantity = excluded.quantity, received_at = excluded.received_at
  WHERE excluded.revision > transactions.revision";

const EVENTS: &str = "INSERT INTO events (id, store_id, mode, transaction_id, kind, sequence, occurred_at, request_id,
    trace, revision)
  SELECT event_id, store_id, mode, transaction_id, kind, sequence, occurred_at, request_id, NULLIF(trace, ''), revision
  FROM fresh ORDER BY event_id";

const OUTBOX: &str = "INSERT INTO unplanned (event_id, occurred_at) SELECT event_id, occurred_at FROM fresh";

const HISTORY: &str =
    "INSERT INTO history (transaction_id, received_at, what, ordered_at, amount_minor, currency, card, email,
    phone, device, ip, address, customer, name, declines)
  SELECT transaction_id, remembered_at, 'order', remembered_at, remembered_minor, currency, NULLIF(card, 0), NULLIF(email, 0), NULLIF(phone, 0),
    NULLIF(device, 0), NULLIF(ip, 0), NULLIF(address, 0), NULLIF(customer, 0), NULLIF(name, 0), declines
  FROM fresh WHERE TRUE ORDER BY transaction_id, remembered_at
  ON CONFLICT DO NOTHING";

const DECLARED_KEYS: &str = "INSERT INTO history_declared (key, received_at, transaction_id, what)
  SELECT key, remembered_at, transaction_id, 'order' FROM declared WHERE TRUE ON CONFLICT DO NOTHING";

const LOCK_PROMISES: &str =
    "SELECT submission_id FROM pending WHERE submission_id = ANY($1) ORDER BY submission_id FOR UPDATE";

const PENDING: &str = "DELETE FROM pending WHERE submission_id IN (SELECT submission_id FROM settled)";

static POSTGRES: LazyLock<String> = LazyLock::new(|| {
    let asked = expression(DbBackend::Postgres, "asked", ASKED, 1);
    let settled = expression(DbBackend::Postgres, "settled_before", SETTLED, ASKED.len() + 1);
    let named = expression(DbBackend::Postgres, "named", DECLARED, ASKED.len() + SETTLED.len() + 1);
    let moved = TRANSACTIONS.replace("{ended}", ENDED);
    format!(
        "WITH {asked}, {settled}, {named}, won AS ({REVISIONS}),
  fresh AS (SELECT asked.* FROM asked JOIN won ON won.submission_id = asked.submission_id),
  moved AS ({moved}), told AS ({EVENTS}), waiting AS ({OUTBOX}), remembered AS ({HISTORY}),
  declared AS (SELECT named.* FROM named JOIN won ON won.submission_id = named.submission_id),
  found_by AS ({DECLARED_KEYS}),
  settled AS (SELECT submission_id FROM settled_before UNION ALL SELECT submission_id FROM won),
  cleared AS ({PENDING})
SELECT submission_id FROM won"
    )
});

/// The statements of one SQLite batch: the first over all that were asked, the next over those that won.
struct Steps {
    revisions: String,
    consequences: [String; 3],
    history: String,
    declared_keys: String,
    pending: String,
}

static SQLITE: LazyLock<Steps> = LazyLock::new(|| {
    let with =
        |name, columns, statement| format!("WITH {} {statement}", expression(DbBackend::Sqlite, name, columns, 1));
    Steps {
        revisions: with("asked", ASKED, REVISIONS),
        consequences: [&TRANSACTIONS.replace("{ended}", ENDED), EVENTS, OUTBOX]
            .map(|statement| with("fresh", ASKED, statement)),
        history: with("fresh", ASKED, HISTORY),
        declared_keys: with("declared", DECLARED, DECLARED_KEYS),
        pending: with("settled", SETTLED, PENDING),
    }
});

pub(super) async fn record(
    store: &Store,
    new: &[NewRevision<'_>],
    settled: &[&SubmissionId],
) -> Result<Vec<bool>, StoreError> {
    let mut submissions = HashSet::new();
    let mut numbers = HashSet::new();
    let asked: Vec<_> = new
        .iter()
        .filter(|one| {
            submissions.insert(&one.submission.id) && numbers.insert((&one.submission.transaction_id, one.revision))
        })
        .collect();
    let before: BTreeSet<&str> =
        settled.iter().filter(|id| !submissions.contains(**id)).map(|id| id.as_str()).collect();
    let mut won = if store.is_embedded() {
        on_sqlite(store, &asked, before).await?
    } else {
        on_postgres(store, &asked, before).await?
    };
    // Removing makes the second of two equal submissions one that was not recorded.
    Ok(new.iter().map(|one| won.remove(one.submission.id.as_str())).collect())
}

async fn on_postgres(
    store: &Store,
    asked: &[&NewRevision<'_>],
    before: BTreeSet<&str>,
) -> Result<HashSet<String>, StoreError> {
    let table: Vec<_> = asked.iter().map(|one| cells(one)).collect();
    let settled: Vec<_> = before.iter().map(|id| vec![(*id).into()]).collect();
    let mut values = parameters(DbBackend::Postgres, ASKED, &table);
    values.extend(parameters(DbBackend::Postgres, SETTLED, &settled));
    values.extend(parameters(DbBackend::Postgres, DECLARED, &declared_cells(asked)));
    let promised = promised(asked, &before);
    let mut collisions = 0;
    loop {
        let done = match promised.is_empty() {
            true => rows(&store.database, &POSTGRES, values.clone()).await,
            false => promised_on_postgres(store, &promised, values.clone()).await,
        };
        match done {
            Ok(won) => return won.iter().map(|row| column(row, "submission_id")).collect(),
            Err(error) if collisions < COLLISIONS && error.is_collision() => collisions += 1,
            Err(error) => return Err(error),
        }
    }
}

/// Submissions of the batch that were promised: what became of their orders may have been reported before the verdict.
fn promised<'a>(asked: &[&NewRevision<'a>], before: &BTreeSet<&'a str>) -> Vec<&'a str> {
    let new = asked.iter().map(|one| one.submission).filter(|submission| submission.deadline.is_none());
    new.map(|submission| submission.id.as_str()).chain(before.iter().copied()).collect()
}

/// Locks the promises first, as a report does that comes before the verdict: either the report is seen here, or it sees the
/// transaction.
async fn promised_on_postgres(
    store: &Store,
    promised: &[&str],
    values: Vec<Value>,
) -> Result<Vec<QueryResult>, StoreError> {
    let change = store.begin().await?;
    let ids = Value::from(promised.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>());
    rows(change.transaction(), LOCK_PROMISES, [ids]).await?;
    let won = rows(change.transaction(), &POSTGRES, values).await?;
    close_ended(&change, promised).await?;
    change.commit().await?;
    Ok(won)
}

async fn on_sqlite(
    store: &Store,
    asked: &[&NewRevision<'_>],
    before: BTreeSet<&str>,
) -> Result<HashSet<String>, StoreError> {
    let sqlite = DbBackend::Sqlite;
    let change = store.begin().await?;
    let table: Vec<_> = asked.iter().map(|one| cells(one)).collect();
    let won = rows(change.transaction(), &SQLITE.revisions, parameters(sqlite, ASKED, &table)).await?;
    let won: HashSet<String> = won.iter().map(|row| column(row, "submission_id")).collect::<Result<_, _>>()?;
    let is_won = |one: &&&NewRevision<'_>| won.contains(one.submission.id.as_str());
    let recorded: Vec<_> = asked.iter().filter(is_won).copied().collect();
    let fresh: Vec<_> = recorded.iter().map(|one| without_documents(cells(one))).collect();
    let fresh = parameters(sqlite, ASKED, &fresh);
    for statement in &SQLITE.consequences {
        execute(change.transaction(), statement, fresh.clone()).await?;
    }
    let remembered = execute(change.transaction(), &SQLITE.history, fresh).await?;
    index(&change, remembered).await?;
    let declared = declared_cells(&recorded);
    if !declared.is_empty() {
        execute(change.transaction(), &SQLITE.declared_keys, parameters(sqlite, DECLARED, &declared)).await?;
    }
    let promised = promised(asked, &before);
    let settled = before.into_iter().chain(won.iter().map(String::as_str));
    let settled: Vec<_> = settled.map(|id| vec![id.into()]).collect();
    execute(change.transaction(), &SQLITE.pending, parameters(sqlite, SETTLED, &settled)).await?;
    close_ended(&change, &promised).await?;
    change.commit().await?;
    Ok(won)
}

fn cells<'a>(one: &'a NewRevision<'_>) -> Vec<Cell<'a>> {
    let (submission, event, history) = (one.submission, &one.event, &one.history);
    let key = |key: Option<HistoryKey>| Cell::Number(key.map_or(0, HistoryKey::as_i64));
    vec![
        submission.transaction_id.as_str().into(),
        i64::from(one.revision).into(),
        submission.tenant.store_id.as_str().into(),
        submission.tenant.mode.as_str().into(),
        submission.surface.as_str().into(),
        submission.order_id.as_str().into(),
        submission.id.as_str().into(),
        one.body_hash.as_str().into(),
        one.document.as_ref().into(),
        one.verdict.as_str().into(),
        i64::from(one.policy_version).into(),
        one.enrichment_version.as_deref().unwrap_or_default().into(),
        submission.received_at.as_millis().into(),
        one.scored_at.as_millis().into(),
        TransactionStatus::after_verdict(one.action).as_str().into(),
        i64::from(one.score).into(),
        one.level.as_str().into(),
        one.action.as_str().into(),
        one.amount_minor.into(),
        one.currency.as_str().into(),
        i64::from(one.quantity).into(),
        event.id.as_str().into(),
        event.kind.as_str().into(),
        i64::from(event.sequence).into(),
        event.occurred_at.as_millis().into(),
        event.request_id.as_str().into(),
        event.trace.as_ref().map_or("", TraceContext::as_str).into(),
        history.received_at.as_millis().into(),
        history.amount.minor().into(),
        key(history.keys.card),
        key(history.keys.email),
        key(history.keys.phone),
        key(history.keys.device),
        key(history.keys.ip),
        key(history.keys.address),
        key(history.keys.customer),
        key(history.name),
        i64::from(history.declines).into(),
        i64::from(one.reopens).into(),
    ]
}

fn declared_cells<'a>(asked: &[&'a NewRevision<'_>]) -> Vec<Vec<Cell<'a>>> {
    let of_one = |one: &&'a NewRevision<'_>| {
        let one = *one;
        one.declared_keys.iter().map(|key| {
            vec![
                one.submission.id.as_str().into(),
                one.submission.transaction_id.as_str().into(),
                one.history.received_at.as_millis().into(),
                key.as_i64().into(),
            ]
        })
    };
    asked.iter().flat_map(of_one).collect()
}

/// The large texts that only `revisions` keeps need not be read again.
fn without_documents(mut row: Vec<Cell<'_>>) -> Vec<Cell<'_>> {
    for (cell, (name, _)) in row.iter_mut().zip(ASKED) {
        if matches!(*name, "document" | "verdict") {
            *cell = Cell::Text("");
        }
    }
    row
}
