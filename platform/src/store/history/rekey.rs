//! Computing the keys of existing history again: entries with what their keys are made of, and the new keys back.
//!
//! Guarantee: entries are read page by page in the order of time, and the place reached is committed together with the new
//! keys, so that a pass that was stopped goes on from there. Entries are written beside live traffic: a page is a short
//! transaction, and an entry that is copied meanwhile (an outcome of its order) lies later in time and is reached later.
//! Failure: as the store's; a page that failed is done again.

use std::sync::LazyLock;

use sea_orm::{DbBackend, Value};
use touchstone_schema::history::{HistoryEntry, HistoryKey, HistoryKeyKind, HistoryKeys};
use touchstone_schema::ids::{EventId, StoreId};
use touchstone_schema::tenant::KeyMode;
use touchstone_schema::time::Timestamp;

use super::super::database::{Change, column, execute, parsed, rows};
use super::super::table::{Cell, Columns, Kind, expression, parameters};
use super::super::{Store, StoreError, SystemStore};
use super::{ENTRY, HistoryCursor, PERIOD, at, declared_keys, entry, parsed_at, place};

/// The scope of a pass over the history of every store.
pub const ALL_STORES: &str = "all";

/// An entry, and what its keys are made of.
#[derive(Debug, Clone)]
pub struct Source {
    /// The entry as it is.
    pub entry: HistoryEntry,
    /// Keys that a policy declared.
    pub declared_keys: Vec<HistoryKey>,
    /// Whose it is, where that is known.
    pub store: Option<StoreId>,
    /// The order that was scored, and in which world; none of an attempt that failed and of an order of a file.
    pub document: Option<(KeyMode, String)>,
}

/// The keys of an entry, computed again.
#[derive(Debug, Clone)]
pub struct NewKeys {
    /// Which entry.
    pub place: HistoryCursor,
    /// Its keys.
    pub keys: HistoryKeys,
    /// The hashed surname.
    pub name: Option<HistoryKey>,
    /// Keys that the policy declares; none leaves those that are there.
    pub declared_keys: Option<Vec<HistoryKey>>,
}

/// What a pass has done so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Entries that were looked at.
    pub looked_at: u64,
    /// Entries that got other keys.
    pub changed: u64,
    /// Entries that have no document.
    pub without_document: u64,
    /// Entries whose document cannot be read.
    pub unreadable: u64,
}

/// How far a pass is.
#[derive(Debug, Clone)]
pub struct Progress {
    /// The last entry that was looked at; none before the first.
    pub reached: Option<HistoryCursor>,
    /// What was done.
    pub counts: Counts,
    /// When the first pass of this scope began.
    pub first_begun_at: Timestamp,
    /// When the pass came to the end of history.
    pub finished_at: Option<Timestamp>,
}

/// Columns of the result behind those of the entry.
const STORE: usize = 15;
const MODE: usize = 16;
const DOCUMENT: usize = 17;

static SOURCES: LazyLock<String> = LazyLock::new(|| {
    let columns = ENTRY.split(',').map(|name| format!("h.{}", name.trim())).collect::<Vec<_>>().join(", ");
    format!(
        "SELECT {columns}, COALESCE(t.store_id, b.store_id, ''), COALESCE(t.mode, ''), COALESCE(r.document, '')
  FROM history AS h
  LEFT JOIN transactions AS t ON t.id = h.transaction_id
  LEFT JOIN revisions AS r ON r.transaction_id = h.transaction_id AND r.received_at = h.ordered_at
  LEFT JOIN backfilled AS b ON b.id = h.transaction_id
  WHERE (h.received_at, h.transaction_id, h.what) > ($1, $2, $3)
  ORDER BY h.received_at, h.transaction_id, h.what, r.revision LIMIT $4"
    )
});

const PROGRESS: &str = "SELECT received_at, transaction_id, what, looked_at, changed, without_document, unreadable,
    first_begun_at, finished_at
  FROM history_rekeys WHERE scope = $1";

const SAVE: &str = "INSERT INTO history_rekeys (scope, received_at, transaction_id, what, looked_at, changed,
    without_document, unreadable, first_begun_at, finished_at)
  VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
  ON CONFLICT (scope) DO UPDATE SET received_at = excluded.received_at, transaction_id = excluded.transaction_id,
    what = excluded.what, looked_at = excluded.looked_at, changed = excluded.changed,
    without_document = excluded.without_document, unreadable = excluded.unreadable,
    finished_at = excluded.finished_at";

/// An entry's place and its new keys; 0 is none.
const KEYS: &Columns = &[
    ("received_at", Kind::Number),
    ("transaction_id", Kind::Text),
    ("what", Kind::Text),
    ("name", Kind::Number),
    ("card", Kind::Number),
    ("email", Kind::Number),
    ("phone", Kind::Number),
    ("device", Kind::Number),
    ("ip", Kind::Number),
    ("address", Kind::Number),
    ("customer", Kind::Number),
];
const DECLARED: &Columns =
    &[("key", Kind::Number), ("received_at", Kind::Number), ("transaction_id", Kind::Text), ("what", Kind::Text)];
const ATTEMPTS: &Columns = &[("id", Kind::Text)];

/// Which entry a row of [`KEYS`] means.
const SAME: &str =
    "h.received_at = asked.received_at AND h.transaction_id = asked.transaction_id AND h.what = asked.what";

struct Texts {
    update: String,
    unindex: String,
    index: String,
    undeclare: String,
    declare: String,
    attempts: String,
}

static POSTGRES: LazyLock<Texts> = LazyLock::new(|| texts(DbBackend::Postgres));
static SQLITE: LazyLock<Texts> = LazyLock::new(|| texts(DbBackend::Sqlite));

fn texts(backend: DbBackend) -> Texts {
    let with =
        |columns: &Columns, statement: &str| format!("WITH {} {statement}", expression(backend, "asked", columns, 1));
    let kinds = || HistoryKeyKind::ALL.iter().map(|kind| kind.as_str());
    let set: Vec<_> =
        std::iter::once("name").chain(kinds()).map(|key| format!("{key} = NULLIF(asked.{key}, 0)")).collect();
    // The rows of the table of all keys, which SQLite finds entries by.
    let keyed: Vec<_> = kinds()
        .map(|kind| {
            format!(
                "SELECT h.received_at / {PERIOD}, h.{kind}, h.received_at, h.entry FROM asked CROSS JOIN history AS h
  WHERE {SAME} AND h.{kind} IS NOT NULL"
            )
        })
        .collect();
    let keyed = keyed.join("\nUNION ALL\n");
    Texts {
        update: with(KEYS, &format!("UPDATE history AS h SET {} FROM asked WHERE {SAME}", set.join(", "))),
        unindex: with(KEYS, &format!("DELETE FROM history_keys WHERE (period, key, received_at, entry) IN ({keyed})")),
        index: with(KEYS, &format!("INSERT OR IGNORE INTO history_keys (period, key, received_at, entry) {keyed}")),
        undeclare: with(
            KEYS,
            "DELETE FROM history_declared
  WHERE (transaction_id, received_at, what) IN (SELECT transaction_id, received_at, what FROM asked)",
        ),
        declare: with(
            DECLARED,
            "INSERT INTO history_declared (key, received_at, transaction_id, what)
  SELECT key, received_at, transaction_id, what FROM asked WHERE TRUE ON CONFLICT DO NOTHING",
        ),
        attempts: with(
            ATTEMPTS,
            "SELECT events.id, events.store_id FROM asked CROSS JOIN events WHERE events.id = asked.id",
        ),
    }
}

impl SystemStore<'_> {
    /// A page of entries with what their keys are made of, oldest first, beginning after the cursor.
    pub async fn history_sources(&self, after: Option<&HistoryCursor>, most: u64) -> Result<Vec<Source>, StoreError> {
        let (received_at, id, what) = position(after);
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let values = [received_at.into(), id.into(), what.into(), most.into()];
        let mut sources: Vec<Source> = Vec::new();
        for row in rows(&self.store.database, &SOURCES, values).await? {
            let source = source(&row)?;
            // Two revisions of one moment: the later one is the document.
            if sources.last().is_some_and(|last| place(&last.entry) == place(&source.entry)) {
                sources.pop();
            }
            sources.push(source);
        }
        let entries: Vec<_> = sources.iter().map(|source| source.entry.clone()).collect();
        let mut declared = declared_keys(self.store, &self.store.database, &entries).await?;
        for source in &mut sources {
            source.declared_keys = declared.remove(&place(&source.entry)).unwrap_or_default();
        }
        self.find_stores_of_attempts(&mut sources).await?;
        Ok(sources)
    }

    /// An attempt has no transaction; its event names the store.
    async fn find_stores_of_attempts(&self, sources: &mut [Source]) -> Result<(), StoreError> {
        let event = |source: &Source| EventId::of_change(&source.entry.transaction_id, 1);
        let unknown: Vec<EventId> = sources.iter().filter(|source| source.store.is_none()).map(event).collect();
        if unknown.is_empty() {
            return Ok(());
        }
        let asked: Vec<_> = unknown.iter().map(|id| vec![id.as_str().into()]).collect();
        let values = parameters(self.store.backend(), ATTEMPTS, &asked);
        let mut stores = std::collections::HashMap::new();
        for row in rows(&self.store.database, &texts_of(self.store).attempts, values).await? {
            stores.insert(column::<String>(&row, "id")?, parsed::<StoreId>(&row, "store_id")?);
        }
        for source in sources.iter_mut().filter(|source| source.store.is_none()) {
            source.store = stores.remove(event(source).as_str());
        }
        Ok(())
    }

    /// How far the pass over this scope is; none when there never was one.
    pub async fn rekey_progress(&self, scope: &str) -> Result<Option<Progress>, StoreError> {
        let found = rows(&self.store.database, PROGRESS, [scope.into()]).await?;
        let Some(row) = found.first() else { return Ok(None) };
        let count = |name| column::<i64>(row, name).map(|count| u64::try_from(count).unwrap_or_default());
        let reached = if column::<String>(row, "what")?.is_empty() {
            None
        } else {
            Some(HistoryCursor {
                received_at: Timestamp::from_millis(column(row, "received_at")?),
                transaction_id: parsed(row, "transaction_id")?,
                what: parsed(row, "what")?,
            })
        };
        Ok(Some(Progress {
            reached,
            counts: Counts {
                looked_at: count("looked_at")?,
                changed: count("changed")?,
                without_document: count("without_document")?,
                unreadable: count("unreadable")?,
            },
            first_begun_at: Timestamp::from_millis(column(row, "first_begun_at")?),
            finished_at: column::<Option<i64>>(row, "finished_at")?.map(Timestamp::from_millis),
        }))
    }

    /// Writes new keys, and how far the pass over this scope has come, in one transaction.
    pub async fn rekey(&self, scope: &str, new: &[NewKeys], progress: &Progress) -> Result<(), StoreError> {
        let change = self.store.begin().await?;
        if !new.is_empty() {
            self.write_keys(&change, new).await?;
        }
        execute(change.transaction(), SAVE, saved(scope, progress)).await?;
        change.commit().await
    }

    async fn write_keys(&self, change: &Change, new: &[NewKeys]) -> Result<(), StoreError> {
        let (texts, backend, transaction) = (texts_of(self.store), self.store.backend(), change.transaction());
        let cells: Vec<_> = new.iter().map(cells).collect();
        let values = parameters(backend, KEYS, &cells);
        if self.store.is_embedded() {
            execute(transaction, &texts.unindex, values.clone()).await?;
        }
        execute(transaction, &texts.update, values.clone()).await?;
        if self.store.is_embedded() {
            execute(transaction, &texts.index, values).await?;
        }
        let again: Vec<_> = new.iter().filter(|one| one.declared_keys.is_some()).collect();
        if !again.is_empty() {
            let places: Vec<_> = again.iter().map(|one| self::cells(one)).collect();
            execute(transaction, &texts.undeclare, parameters(backend, KEYS, &places)).await?;
            let declared: Vec<_> = again.iter().flat_map(|one| declared_cells(one)).collect();
            if !declared.is_empty() {
                execute(transaction, &texts.declare, parameters(backend, DECLARED, &declared)).await?;
            }
        }
        Ok(())
    }
}

fn texts_of(store: &Store) -> &'static Texts {
    if store.is_embedded() { &SQLITE } else { &POSTGRES }
}

fn position(after: Option<&HistoryCursor>) -> (i64, &str, &str) {
    after.map_or((i64::MIN, "", ""), |cursor| {
        (cursor.received_at.as_millis(), cursor.transaction_id.as_str(), cursor.what.as_str())
    })
}

fn source(row: &sea_orm::QueryResult) -> Result<Source, StoreError> {
    let is_there = |index| at::<String>(row, index).map(|text| !text.is_empty());
    let document: String = at(row, DOCUMENT)?;
    Ok(Source {
        entry: entry(row, 0)?,
        declared_keys: Vec::new(),
        store: if is_there(STORE)? { Some(parsed_at(row, STORE)?) } else { None },
        document: if document.is_empty() || !is_there(MODE)? { None } else { Some((parsed_at(row, MODE)?, document)) },
    })
}

fn saved(scope: &str, progress: &Progress) -> [Value; 10] {
    let number = |count: u64| Value::from(i64::try_from(count).unwrap_or(i64::MAX));
    let (received_at, id, what) = position(progress.reached.as_ref());
    [
        scope.into(),
        received_at.into(),
        id.into(),
        what.into(),
        number(progress.counts.looked_at),
        number(progress.counts.changed),
        number(progress.counts.without_document),
        number(progress.counts.unreadable),
        progress.first_begun_at.as_millis().into(),
        progress.finished_at.map(Timestamp::as_millis).into(),
    ]
}

fn cells(one: &NewKeys) -> Vec<Cell<'_>> {
    let key = |key: Option<HistoryKey>| Cell::Number(key.map_or(0, HistoryKey::as_i64));
    let NewKeys { place, keys, name, .. } = one;
    vec![
        place.received_at.as_millis().into(),
        place.transaction_id.as_str().into(),
        place.what.as_str().into(),
        key(*name),
        key(keys.card),
        key(keys.email),
        key(keys.phone),
        key(keys.device),
        key(keys.ip),
        key(keys.address),
        key(keys.customer),
    ]
}

fn declared_cells(one: &NewKeys) -> impl Iterator<Item = Vec<Cell<'_>>> {
    let place = &one.place;
    one.declared_keys.iter().flatten().map(|key| {
        vec![
            key.as_i64().into(),
            place.received_at.as_millis().into(),
            place.transaction_id.as_str().into(),
            place.what.as_str().into(),
        ]
    })
}
