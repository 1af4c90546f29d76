//! History in the store: the truth behind every copy that is kept hot.
//!
//! Guarantee: an entry is written in the transaction of what it tells of, and is never changed. Entries lie in the order
//! of time, so that all of them, or those of the last minutes, are read page by page. Failure: as the store's.
//!
//! PostgreSQL finds the entries of a key by an index for each kind of key. SQLite has one table for all keys, in the order of
//! ten days and key, which is written in that order: many entries of some days then change few of its pages.

mod as_of;
pub mod rekey;

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use sea_orm::{ConnectionTrait as _, DbBackend, QueryResult, Value};
use touchstone_schema::history::{
    Happening, HistoryByKey, HistoryEntry, HistoryKey, HistoryKeyKind, HistoryKeys, KeyedEntry,
};
use touchstone_schema::ids::TransactionId;
use touchstone_schema::limits::{HISTORY_DEPTH, HISTORY_SPAN};
use touchstone_schema::money::{Currency, Money};
use touchstone_schema::time::Timestamp;

use super::database::{Change, execute, rows};
use super::table::{Columns, Kind, expression, parameters};
use super::{Store, StoreError, SystemStore};

pub use as_of::AsOf;

/// An entry with all that it can be found by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remembered {
    /// The entry.
    pub entry: Arc<HistoryEntry>,
    /// Keys that the policy declares, beside those of the entry.
    pub declared_keys: Vec<HistoryKey>,
}

impl From<Remembered> for KeyedEntry {
    fn from(remembered: Remembered) -> Self {
        Self::found_by(Arc::unwrap_or_clone(remembered.entry), &remembered.declared_keys)
    }
}

/// Where a page of history begins: just after this entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryCursor {
    /// See [`HistoryEntry::received_at`].
    pub received_at: Timestamp,
    /// See [`HistoryEntry::transaction_id`].
    pub transaction_id: TransactionId,
    /// See [`HistoryEntry::what`].
    pub what: Happening,
}

impl From<&HistoryEntry> for HistoryCursor {
    fn from(entry: &HistoryEntry) -> Self {
        let HistoryEntry { received_at, ref transaction_id, what, .. } = *entry;
        Self { received_at, transaction_id: transaction_id.clone(), what }
    }
}

/// What [`entry`] reads, in this order.
pub(super) const ENTRY: &str =
    "transaction_id, received_at, what, ordered_at, amount_minor, currency, declines, name, card, email,
    phone, device, ip, address, customer";

const KEY: &Columns = &[("key", Kind::Number)];
const KEY_OF_PERIOD: &Columns = &[("key", Kind::Number), ("period", Kind::Number)];
const ID: &Columns = &[("id", Kind::Text)];

/// A period of `history_keys`, in milliseconds: ten days. Shorter ones are written faster, and more of them are read.
const PERIOD: i64 = 10 * 86_400_000;

/// How far an entry may lie after the end of the span that scoring looks at.
const CLOCKS_DIFFER: Duration = Duration::from_secs(86_400);

/// The keys that a policy declares, as [`SystemStore::load_history`] asks for them.
const DECLARED: &str = "declared";

static POSTGRES_LOAD: LazyLock<String> = LazyLock::new(|| load_text(DbBackend::Postgres));
static SQLITE_LOAD: LazyLock<String> = LazyLock::new(|| load_text(DbBackend::Sqlite));
static POSTGRES_KEYS: LazyLock<String> = LazyLock::new(|| declared_text(DbBackend::Postgres));
static SQLITE_KEYS: LazyLock<String> = LazyLock::new(|| declared_text(DbBackend::Sqlite));

static PAGE: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT {ENTRY} FROM history
  WHERE received_at >= $1 AND (received_at, transaction_id, what) > ($2, $3, $4)
  ORDER BY received_at, transaction_id, what LIMIT $5"
    )
});

/// What became of an order is found by what the order is found by. Its declines were counted with the order.
static REMEMBER: LazyLock<String> = LazyLock::new(|| {
    format!(
        "INSERT INTO history ({ENTRY})
  SELECT transaction_id, $3, $4, received_at, amount_minor, currency, 0, name, card, email, phone, device, ip, address,
    customer
  FROM history WHERE received_at = $2 AND transaction_id = $1 AND what = 'order'
  ON CONFLICT DO NOTHING RETURNING {ENTRY}"
    )
});

const REMEMBER_DECLARED: &str = "INSERT INTO history_declared (key, received_at, transaction_id, what)
  SELECT key, $3, transaction_id, $4 FROM history_declared
  WHERE transaction_id = $1 AND received_at = $2 AND what = 'order'
  ON CONFLICT DO NOTHING RETURNING key";

/// Makes the entries that were inserted last be found by their keys, in the order of the table. They are never there
/// before; a statement that ignores such rows needs no journal of its own to be undone by.
static INDEX: LazyLock<String> = LazyLock::new(|| {
    let arms = HistoryKeyKind::ALL.iter().map(|kind| {
        let kind = kind.as_str();
        format!("SELECT {kind} AS key, received_at, entry FROM history WHERE entry > (SELECT place FROM before)")
    });
    format!(
        "WITH before AS (SELECT MAX(entry) - $1 AS place FROM history), keyed AS (
{})
  INSERT OR IGNORE INTO history_keys (period, key, received_at, entry)
  SELECT received_at / {PERIOD}, key, received_at, entry FROM keyed WHERE key IS NOT NULL ORDER BY 1, 2, 3, 4",
        arms.collect::<Vec<_>>().join("\nUNION ALL\n")
    )
});

impl SystemStore<'_> {
    /// History of the keys, newest first, at most `HISTORY_DEPTH` entries each, none older than `since` nor, on SQLite, more
    /// than `HISTORY_SPAN` and a day newer. A key without a kind is one that a policy declares. An order that
    /// was scored several times has several entries.
    pub async fn load_history(
        &self,
        keys: &[(Option<HistoryKeyKind>, HistoryKey)],
        since: Timestamp,
    ) -> Result<HistoryByKey, StoreError> {
        let mut found = HistoryByKey::new();
        if keys.is_empty() {
            return Ok(found);
        }
        let text = if self.store.is_embedded() { &SQLITE_LOAD } else { &POSTGRES_LOAD };
        let mut known: HashMap<Place, Arc<HistoryEntry>> = HashMap::new();
        for row in rows(&self.store.database, text, load_values(self.store.backend(), keys, since)).await? {
            let entry = entry(&row, 1)?;
            let entry = known.entry(place(&entry)).or_insert_with(|| Arc::new(entry));
            found.entry(HistoryKey::from_i64(at(&row, 0)?)).or_default().push(Arc::clone(entry));
        }
        found.values_mut().for_each(|list| newest(list, HISTORY_DEPTH));
        Ok(found)
    }

    /// The history of each of these orders as it was when the order was received: as [`SystemStore::load_history`] would
    /// have loaded it then. An order's own entry is among it.
    pub async fn load_history_as_of(&self, orders: &[AsOf]) -> Result<Vec<HistoryByKey>, StoreError> {
        as_of::history(self.store, orders).await
    }

    /// A page of all entries received since then, oldest first, beginning after the cursor. What is recorded meanwhile
    /// comes with a later page, unless it was received before the cursor: ask again for the last minutes.
    pub async fn history_page(
        &self,
        after: Option<&HistoryCursor>,
        since: Timestamp,
        most: u64,
    ) -> Result<Vec<Remembered>, StoreError> {
        let (received_at, id, what) = after.map_or((i64::MIN, "", ""), |cursor| {
            (cursor.received_at.as_millis(), cursor.transaction_id.as_str(), cursor.what.as_str())
        });
        let values = [
            since.as_millis().into(),
            received_at.into(),
            id.into(),
            what.into(),
            i64::try_from(most).unwrap_or(i64::MAX).into(),
        ];
        let page = rows(&self.store.database, &PAGE, values).await?;
        let entries = page.iter().map(|row| entry(row, 0)).collect::<Result<Vec<_>, _>>()?;
        let mut declared = declared_keys(self.store, &self.store.database, &entries).await?;
        let with_keys = entries.into_iter().map(|entry| {
            let declared_keys = declared.remove(&place(&entry)).unwrap_or_default();
            Remembered { entry: Arc::new(entry), declared_keys }
        });
        Ok(with_keys.collect())
    }
}

/// Remembers, within a transaction, what was learnt at `now` of the order whose newest submission was received at
/// `ordered_at`. Nothing when it was learnt before in that same instant.
pub(super) async fn remember(
    change: &Change,
    id: &TransactionId,
    ordered_at: Timestamp,
    now: Timestamp,
    what: Happening,
) -> Result<Option<Remembered>, StoreError> {
    let values = || [id.as_str().into(), ordered_at.as_millis().into(), now.as_millis().into(), what.as_str().into()];
    let made = rows(change.transaction(), &REMEMBER, values()).await?;
    let Some(made) = made.first() else { return Ok(None) };
    index(change, 1).await?;
    let keys = rows(change.transaction(), REMEMBER_DECLARED, values()).await?;
    let declared_keys = keys.iter().map(|row| at(row, 0).map(HistoryKey::from_i64)).collect::<Result<_, _>>()?;
    Ok(Some(Remembered { entry: Arc::new(entry(made, 0)?), declared_keys }))
}

/// Makes the `inserted` entries that the transaction inserted last be found by their keys, where an index does not do so
/// (see the module).
pub(super) async fn index(change: &Change, inserted: u64) -> Result<(), StoreError> {
    if change.transaction().get_database_backend() == DbBackend::Sqlite && inserted > 0 {
        let inserted = i64::try_from(inserted).unwrap_or(i64::MAX);
        execute(change.transaction(), &INDEX, [inserted.into()]).await?;
    }
    Ok(())
}

/// Sorts the entries of a key, newest first, and keeps the first of them.
fn newest(entries: &mut Vec<Arc<HistoryEntry>>, depth: usize) {
    entries.sort_by(|a, b| HistoryEntry::newest_first(a, b));
    entries.truncate(depth);
}

/// What is asked of the entries of each key.
struct Asked<'a> {
    /// Columns of the asked keys, `key` among them.
    columns: &'a Columns,
    /// Columns that are answered beside the key and its entries, each with a comma before it.
    also: &'a str,
    /// Most entries of a key; on SQLite, of a key and a period.
    depth: usize,
    /// The span of time, of entries in the first table, for keys in the second.
    span: fn(&str, &str) -> String,
}

impl Asked<'_> {
    /// Newest first, no more than are wanted.
    fn order(&self, by: &str) -> String {
        format!("ORDER BY {by}.received_at DESC, {by}.transaction_id DESC, {by}.what DESC LIMIT {}", self.depth)
    }

    /// Where entries of the declared keys are, by the newest.
    fn declared(&self, columns: &str, keys: &str) -> String {
        let (span, order) = ((self.span)("named", keys), self.order("named"));
        format!(
            "SELECT {columns} FROM history_declared AS named CROSS JOIN history AS whole
    WHERE whole.received_at = named.received_at AND whole.transaction_id = named.transaction_id
      AND whole.what = named.what AND named.key = {keys}.key AND {span}
    {order}"
        )
    }
}

/// One arm per kind of key, each walking its own index backwards from the newest entry. The kinds have the names of
/// their columns.
fn on_postgres(wanted: &Asked<'_>) -> String {
    let kinds = key_kinds().map(|kind| kind.map_or(DECLARED, HistoryKeyKind::as_str));
    let tables = kinds.clone().enumerate().map(|(at, kind)| {
        let first = at * wanted.columns.len() + 1;
        expression(DbBackend::Postgres, &format!("{kind}_keys"), wanted.columns, first)
    });
    let arms = kinds.map(|kind| {
        let keys = format!("{kind}_keys");
        let entries = if kind == DECLARED {
            wanted.declared("whole.*", &keys)
        } else {
            let (span, order) = ((wanted.span)("whole", &keys), wanted.order("whole"));
            format!("SELECT * FROM history AS whole WHERE whole.{kind} = {keys}.key AND {span}\n    {order}")
        };
        format!("SELECT {keys}.key, {ENTRY}{} FROM {keys} CROSS JOIN LATERAL ({entries}) AS entry", wanted.also)
    });
    format!("WITH {} {}", tables.collect::<Vec<_>>().join(", "), arms.collect::<Vec<_>>().join("\nUNION ALL\n"))
}

/// An arm for the keys of all kinds, a period at a time, and one for those that are declared.
fn on_sqlite(wanted: &Asked<'_>, of_period: &Columns) -> String {
    let asked = expression(DbBackend::Sqlite, "asked", of_period, 1);
    let declared = expression(DbBackend::Sqlite, "declared_keys", wanted.columns, 2);
    let (span, depth, also) = ((wanted.span)("found", "asked"), wanted.depth, wanted.also);
    let by_declared = wanted.declared("whole.entry", "declared_keys");
    format!(
        "WITH {asked}, {declared}
  SELECT asked.key, {ENTRY}{also} FROM asked CROSS JOIN history WHERE history.entry IN (
    SELECT found.entry FROM history_keys AS found WHERE found.period = asked.period AND found.key = asked.key AND {span}
    ORDER BY found.received_at DESC, found.entry DESC LIMIT {depth})
UNION ALL
  SELECT declared_keys.key, {ENTRY}{also} FROM declared_keys CROSS JOIN history WHERE history.entry IN (
    {by_declared})"
    )
}

/// The kinds of keys, and none: those that a policy declares.
fn key_kinds() -> impl Iterator<Item = Option<HistoryKeyKind>> + Clone {
    HistoryKeyKind::ALL.iter().copied().map(Some).chain([None])
}

/// The periods that entries of this span may be in.
fn periods(since: Timestamp, until: Timestamp) -> impl Iterator<Item = i64> + Clone {
    since.as_millis() / PERIOD..=until.as_millis() / PERIOD
}

/// Entries up to now.
fn load_text(backend: DbBackend) -> String {
    /// Place of the parameter: after the keys of each kind and the declared ones.
    const POSTGRES_SINCE: usize = HistoryKeyKind::ALL.len() + 2;
    /// After all keys, and the declared ones.
    const SQLITE_SINCE: usize = 3;
    let mut wanted = Asked { columns: KEY, also: "", depth: HISTORY_DEPTH, span: |_, _| String::new() };
    if backend == DbBackend::Postgres {
        wanted.span = |entries, _| format!("{entries}.received_at >= ${POSTGRES_SINCE}");
        on_postgres(&wanted)
    } else {
        wanted.span = |entries, _| format!("{entries}.received_at >= ${SQLITE_SINCE}");
        on_sqlite(&wanted, KEY_OF_PERIOD)
    }
}

fn load_values(backend: DbBackend, keys: &[(Option<HistoryKeyKind>, HistoryKey)], since: Timestamp) -> Vec<Value> {
    let asked = |wanted: &dyn Fn(Option<HistoryKeyKind>) -> bool| {
        let mut asked: Vec<_> = keys.iter().filter(|(kind, _)| wanted(*kind)).map(|(_, key)| key.as_i64()).collect();
        asked.sort_unstable();
        asked.dedup();
        asked
    };
    let plain = |keys: Vec<i64>| keys.into_iter().map(|key| vec![key.into()]).collect::<Vec<_>>();
    let mut values = Vec::new();
    if backend == DbBackend::Postgres {
        for kind in key_kinds() {
            values.extend(parameters(backend, KEY, &plain(asked(&|other| other == kind))));
        }
    } else {
        let periods = periods(since, since + HISTORY_SPAN + CLOCKS_DIFFER);
        let keys = asked(&|kind| kind.is_some());
        let of_periods = periods.flat_map(|period| keys.iter().map(move |key| vec![(*key).into(), period.into()]));
        values.extend(parameters(backend, KEY_OF_PERIOD, &of_periods.collect::<Vec<_>>()));
        values.extend(parameters(backend, KEY, &plain(asked(&|kind| kind.is_none()))));
    }
    values.push(since.as_millis().into());
    values
}

/// An entry is told from all others by these.
pub(super) type Place = (Timestamp, TransactionId, Happening);

pub(super) fn place(entry: &HistoryEntry) -> Place {
    (entry.received_at, entry.transaction_id.clone(), entry.what)
}

fn declared_text(backend: DbBackend) -> String {
    let asked = expression(backend, "asked", ID, 1);
    format!(
        "WITH {asked} SELECT received_at, transaction_id, what, key FROM asked CROSS JOIN history_declared
  WHERE transaction_id = asked.id ORDER BY key"
    )
}

pub(super) async fn declared_keys<C: sea_orm::ConnectionTrait>(
    store: &Store,
    connection: &C,
    entries: &[HistoryEntry],
) -> Result<HashMap<Place, Vec<HistoryKey>>, StoreError> {
    let mut ids: Vec<_> = entries.iter().map(|entry| entry.transaction_id.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    let ids: Vec<_> = ids.into_iter().map(|id| vec![id.into()]).collect();
    let text = if store.is_embedded() { &SQLITE_KEYS } else { &POSTGRES_KEYS };
    let mut found: HashMap<Place, Vec<HistoryKey>> = HashMap::new();
    for row in rows(connection, text, parameters(store.backend(), ID, &ids)).await? {
        let place = (Timestamp::from_millis(at(&row, 0)?), parsed_at(&row, 1)?, parsed_at(&row, 2)?);
        found.entry(place).or_default().push(HistoryKey::from_i64(at(&row, 3)?));
    }
    Ok(found)
}

/// The entry in the columns of [`ENTRY`], of which `first` is the place of the first.
pub(super) fn entry(row: &QueryResult, first: usize) -> Result<HistoryEntry, StoreError> {
    let currency = Currency::from_code(&at::<String>(row, first + 5)?)
        .ok_or_else(|| StoreError::corrupt("currency", "not an ISO 4217 code"))?;
    let key = |index: usize| at::<Option<i64>>(row, first + index).map(|key| key.map(HistoryKey::from_i64));
    Ok(HistoryEntry {
        transaction_id: parsed_at(row, first)?,
        received_at: Timestamp::from_millis(at(row, first + 1)?),
        what: parsed_at(row, first + 2)?,
        ordered_at: Timestamp::from_millis(at(row, first + 3)?),
        amount: Money::from_minor(at(row, first + 4)?, currency)
            .map_err(|error| StoreError::corrupt("amount_minor", error))?,
        declines: u32::try_from(at::<i64>(row, first + 6)?).unwrap_or_default(),
        name: key(7)?,
        keys: HistoryKeys {
            card: key(8)?,
            email: key(9)?,
            phone: key(10)?,
            device: key(11)?,
            ip: key(12)?,
            address: key(13)?,
            customer: key(14)?,
        },
    })
}

/// A column by its place: history can have thousands of rows, and a look-up by name costs more than the value.
fn at<T: sea_orm::TryGetable>(row: &QueryResult, index: usize) -> Result<T, StoreError> {
    row.try_get_by_index(index).map_err(|error| StoreError::corrupt("history", error))
}

fn parsed_at<T>(row: &QueryResult, index: usize) -> Result<T, StoreError>
where
    T: std::str::FromStr,
    T::Err: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    at::<String>(row, index)?.parse().map_err(|error| StoreError::corrupt("history", error))
}

#[cfg(test)]
mod tests {
    use touchstone_migrations::{Migrator, MigratorTrait as _};

    use super::super::StoreSettings;
    use super::super::database::column;
    use super::*;
    use crate::random;

    /// Steps before SQLite had a table of all keys.
    const BEFORE: u32 = 9;
    const ID: &str = "tx_00000000000000000000000001";

    #[tokio::test]
    async fn keys_of_an_older_file_are_found_after_the_migration_and_after_a_vacuum() {
        let path = std::env::temp_dir().join(format!("touchstone-history-{}.db", hex::encode(random::bytes::<8>())));
        let settings = StoreSettings::Sqlite { path: path.clone() };
        let store = Store::open(&settings).await.expect("a file can be made");
        let before = store.begin().await.expect("nobody writes");
        Migrator::up(before.transaction(), Some(BEFORE)).await.expect("the steps apply");
        // The first is of no key, and is gone at the vacuum: rows without a number of their own might move.
        for (at, what, card) in [(1i64, "cancelled", None), (2, "order", Some(7i64)), (3, "fulfilled", Some(7))] {
            let insert = "INSERT INTO history (received_at, transaction_id, what, ordered_at, amount_minor, currency,
                card, declines) VALUES ($1, $2, $3, 2, 100, 'EUR', $4, 0)";
            execute(before.transaction(), insert, [at.into(), ID.into(), what.into(), card.into()])
                .await
                .expect("an entry as it was written then");
        }
        before.commit().await.expect("a commit");
        store.migrate().await.expect("the steps apply");
        let numbered = "SELECT name FROM pragma_table_info('history') WHERE pk = 1 AND type = 'INTEGER'";
        let numbered = rows(&store.database, numbered, []).await.expect("a read");
        assert_eq!(numbered.len(), 1, "a number of its own, which no maintenance changes");
        for clean in ["DELETE FROM history WHERE card IS NULL", "VACUUM"] {
            execute(&store.database, clean, []).await.expect("maintenance");
        }
        let new = store.begin().await.expect("nobody writes");
        let id = ID.parse().expect("an identifier");
        let (ordered_at, now) = (Timestamp::from_millis(2), Timestamp::from_millis(4));
        remember(&new, &id, ordered_at, now, Happening::Refunded).await.expect("a write").expect("the order is known");
        new.commit().await.expect("a commit");

        let card = HistoryKey::from_i64(7);
        let asked = [(Some(HistoryKeyKind::Card), card)];
        let system = store.system(super::super::SystemReason::RoleLoop);
        let found = system.load_history(&asked, Timestamp::from_millis(0)).await.expect("a read");
        let what: Vec<_> = found[&card].iter().map(|entry| entry.what).collect();
        assert_eq!(what, [Happening::Refunded, Happening::Fulfilled, Happening::Order]);
        let keys = rows(&store.database, "SELECT COUNT(*) AS keys FROM history_keys", []).await.expect("a read");
        assert_eq!(column::<i64>(&keys[0], "keys").expect("a number"), 3);
        let _ = std::fs::remove_file(path);
    }
}
