//! Committing rows of a file: orders into history, what was told of them, and how far the file was read, in one
//! transaction.
//!
//! Guarantee: an order enters history once, whatever the number of files, and never beside one that was screened; its facts
//! stay those of the first row. Neither events nor transactions come of it.
//! What happened so long before the store was opened that no order of it is ever compared with it, is known by its id and
//! enters no history: it costs neither room nor time.

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

use sea_orm::{DbBackend, Value};
use touchstone_schema::backfill::{DecimalMark, Encoding, Form, Format, Separator};
use touchstone_schema::history::{Happening, HistoryEntry, HistoryKey, KeyedEntry};
use touchstone_schema::ids::{BackfillId, TransactionId};
use touchstone_schema::limits::{BACKFILL_REFUSALS, BACKFILL_WARNINGS, HISTORY_SPAN};
use touchstone_schema::tenant::Tenant;
use touchstone_schema::time::Timestamp;

use super::super::database::{Change, column, execute, parsed, row, rows};
use super::super::history::{ENTRY, declared_keys, entry, index, place};
use super::super::insert::Insert;
use super::super::table::{Cell, Columns, Kind, expression, parameters};
use super::super::{StoreError, SystemStore};
use super::{Refusal, RowWarning, number};

/// Times that a batch is tried again after it met another's orders.
const COLLISIONS: u32 = 8;

/// An order of a file.
#[derive(Debug, Clone)]
pub struct PastOrder {
    /// Its transaction, as the surface has it whose rows they are.
    pub id: TransactionId,
    /// The transactions that it would be on other surfaces.
    pub elsewhere: Vec<TransactionId>,
    /// A hash of its facts.
    pub digest: i64,
    /// What is remembered of it, at its own time.
    pub entry: HistoryEntry,
    /// What it can be found by beside the keys of the entry: those that the policy declares.
    pub declared_keys: Vec<HistoryKey>,
    /// Largest quantity of one article; 0 when the order names none.
    pub quantity: u32,
    /// What became of it, and from when that was known; each once.
    pub told: Vec<(Happening, Timestamp)>,
}

/// What became of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Took {
    /// It told something new.
    Accepted,
    /// It told nothing new.
    Unchanged,
    /// It tells other facts of an order that came before.
    Contradicts,
}

/// How far a file was read, and what came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes.
    pub position: u64,
    /// Hash of the rows up to there.
    pub position_hash: String,
    /// Rows that told something new.
    pub accepted: u64,
    /// Rows that told nothing new.
    pub unchanged: u64,
    /// Rows, accepted or unchanged, that were read with warnings.
    pub warned: u64,
    /// Warnings of these rows.
    pub warnings: u64,
    /// Rows that were refused.
    pub refused: u64,
    /// Length of the side file of refused rows and warnings.
    pub refused_bytes: u64,
}

impl Progress {
    /// Rows that were read.
    pub const fn rows(&self) -> u64 {
        self.accepted + self.unchanged + self.refused
    }
}

/// What was read, to be committed.
#[derive(Debug)]
pub struct Read<'a> {
    /// The backfill.
    pub id: &'a BackfillId,
    /// Whose orders they are.
    pub tenant: &'a Tenant,
    /// The lease, as it is held.
    pub leased_until: Timestamp,
    /// The lease, as it is to be.
    pub lease_until: Timestamp,
    /// The form of the file, as it was recognised.
    pub form: Form,
    /// The orders.
    pub orders: &'a [PastOrder],
}

/// What is to be committed once it is known what became of the orders.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conclusion {
    /// How far the file is read then.
    pub progress: Progress,
    /// The rows that are refused.
    pub refusals: Vec<Refusal>,
    /// The warnings of those that are not.
    pub warnings: Vec<RowWarning>,
}

/// What a commit came to.
#[derive(Debug)]
pub struct Committed {
    /// What became of each order.
    pub took: Vec<Took>,
    /// Entries that history did not have.
    pub entries: Vec<KeyedEntry>,
}

const IDS: &Columns = &[("place", Kind::Number), ("id", Kind::Text)];
const NEW: &Columns = &[
    ("id", Kind::Text),
    ("store_id", Kind::Text),
    ("mode", Kind::Text),
    ("digest", Kind::Number),
    ("entry_id", Kind::Text),
    ("entry_at", Kind::Number),
    ("told", Kind::Number),
    ("amount_minor", Kind::Number),
    ("currency", Kind::Text),
    ("quantity", Kind::Number),
];
const ENTRIES: &Columns = &[
    ("transaction_id", Kind::Text),
    ("received_at", Kind::Number),
    ("what", Kind::Text),
    ("ordered_at", Kind::Number),
    ("amount_minor", Kind::Number),
    ("currency", Kind::Text),
    ("declines", Kind::Number),
    ("name", Kind::Key),
    ("card", Kind::Key),
    ("email", Kind::Key),
    ("phone", Kind::Key),
    ("device", Kind::Key),
    ("ip", Kind::Key),
    ("address", Kind::Key),
    ("customer", Kind::Key),
];
const DECLARED: &Columns =
    &[("key", Kind::Number), ("received_at", Kind::Number), ("transaction_id", Kind::Text), ("what", Kind::Text)];
const TOLD: &Columns =
    &[("entry_id", Kind::Text), ("entry_at", Kind::Number), ("what", Kind::Text), ("at", Kind::Number)];
const CHANGED: &Columns = &[("id", Kind::Text), ("told", Kind::Number)];
const REFUSED: &Columns = &[
    ("backfill_id", Kind::Text),
    ("number", Kind::Number),
    ("line", Kind::Number),
    ("field", Kind::Text),
    ("reason", Kind::Text),
];

const WARNED: &Columns = &[
    ("backfill_id", Kind::Text),
    ("number", Kind::Number),
    ("line", Kind::Number),
    ("code", Kind::Text),
    ("field", Kind::Text),
    ("message", Kind::Text),
];

/// The statements of one database.
struct Texts {
    known: String,
    screened: String,
    told: String,
    told_declared: String,
    changed: String,
}

static ORDERS: LazyLock<Insert> = LazyLock::new(|| Insert::into("backfilled", NEW));
static HISTORY: LazyLock<Insert> = LazyLock::new(|| Insert::into("history", ENTRIES));
static DECLARED_KEYS: LazyLock<Insert> = LazyLock::new(|| Insert::into("history_declared", DECLARED));
static REFUSALS: LazyLock<Insert> = LazyLock::new(|| Insert::into("backfill_refusals", REFUSED));
static WARNINGS: LazyLock<Insert> = LazyLock::new(|| Insert::into("backfill_warnings", WARNED));
static POSTGRES: LazyLock<Texts> = LazyLock::new(|| texts(DbBackend::Postgres));
static SQLITE: LazyLock<Texts> = LazyLock::new(|| texts(DbBackend::Sqlite));

fn texts(backend: DbBackend) -> Texts {
    let with = |columns, statement: &str| format!("WITH {} {statement}", expression(backend, "asked", columns, 1));
    let told = format!(
        "INSERT INTO history ({ENTRY})
  SELECT h.transaction_id, asked.at, asked.what, h.received_at, h.amount_minor, h.currency, 0, h.name, h.card, h.email,
    h.phone, h.device, h.ip, h.address, h.customer
  FROM asked CROSS JOIN history AS h
  WHERE h.received_at = asked.entry_at AND h.transaction_id = asked.entry_id AND h.what = 'order'
    AND NOT EXISTS (SELECT 1 FROM outcomes WHERE outcomes.transaction_id = asked.entry_id AND outcomes.kind = asked.what)
  ON CONFLICT DO NOTHING RETURNING {ENTRY}"
    );
    Texts {
        known: with(
            IDS,
            "SELECT place, digest, entry_id, entry_at, told FROM asked CROSS JOIN backfilled
  WHERE backfilled.id = asked.id",
        ),
        screened: with(
            IDS,
            "SELECT place, transactions.id, received_at FROM asked CROSS JOIN transactions
  WHERE transactions.id = asked.id",
        ),
        told: with(TOLD, &told),
        told_declared: with(
            TOLD,
            "INSERT INTO history_declared (key, received_at, transaction_id, what)
  SELECT d.key, asked.at, d.transaction_id, asked.what FROM asked CROSS JOIN history_declared AS d
  WHERE d.transaction_id = asked.entry_id AND d.received_at = asked.entry_at AND d.what = 'order'
  ON CONFLICT DO NOTHING",
        ),
        changed: with(
            CHANGED,
            "UPDATE backfilled SET told = (SELECT asked.told FROM asked WHERE asked.id = backfilled.id)
  WHERE id IN (SELECT id FROM asked)",
        ),
    }
}

/// Whether anything of a tenant was screened.
const SCREENED: &str = "SELECT 1 FROM transactions WHERE store_id = $1 AND mode = $2 LIMIT 1";

const OPENED: &str = "SELECT created_at FROM stores WHERE id = $1";

const MOVE_ON: &str = "UPDATE backfills SET position = $3, position_hash = $4, accepted = $5, unchanged = $6,
    refused = $7, refused_bytes = $8, leased_until = $9, unshared = CASE WHEN $10 = 1 THEN 1 ELSE unshared END,
    warned = $11, warnings = $12, format = $13, encoding = $14, separator = $15, decimal_mark = $16
  WHERE id = $1 AND leased_until = $2";

/// What is known of an order while a batch is taken.
#[derive(Debug, Clone)]
struct Known {
    digest: i64,
    entry_id: TransactionId,
    entry_at: Timestamp,
    told: i64,
    /// Of an order that no file had: its place in the batch, and whether it was screened.
    first: Option<(usize, bool)>,
    is_changed: bool,
}

/// What a batch comes to, before it is written.
#[derive(Debug, Default)]
struct Taken {
    took: Vec<Took>,
    known: BTreeMap<TransactionId, Known>,
    /// What was told of orders whose entries are in history already.
    told: Vec<(TransactionId, Timestamp, Happening, Timestamp)>,
    entries: Vec<KeyedEntry>,
}

impl SystemStore<'_> {
    /// Commits what was read. `conclude` is given what became of the orders, and returns what is committed with them. None: the lease was lost, and nothing is committed.
    pub async fn commit_backfill(
        &self,
        read: &Read<'_>,
        mut conclude: impl FnMut(&[Took]) -> std::io::Result<Conclusion> + Send,
    ) -> Result<Option<Committed>, StoreError> {
        let mut collisions = 0;
        loop {
            match self.try_backfill(read, &mut conclude).await {
                Err(error) if error.is_collision() && collisions < COLLISIONS => collisions += 1,
                Ok(Attempt::Met) if collisions < COLLISIONS => collisions += 1,
                Ok(Attempt::Met) => return Err(StoreError::timed_out()),
                Ok(Attempt::Done(committed)) => return Ok(Some(committed)),
                Ok(Attempt::Lost) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }

    /// What would become of orders, without writing anything.
    pub async fn judge_backfill(&self, tenant: &Tenant, orders: &[PastOrder]) -> Result<Vec<Took>, StoreError> {
        let known = self.known(&self.store.database, tenant, orders).await?;
        Ok(taken(orders, known, Timestamp::from_millis(i64::MAX)).took)
    }

    async fn try_backfill(
        &self,
        read: &Read<'_>,
        conclude: &mut (impl FnMut(&[Took]) -> std::io::Result<Conclusion> + Send),
    ) -> Result<Attempt, StoreError> {
        let change = self.store.begin().await?;
        let known = self.known(change.transaction(), read.tenant, read.orders).await?;
        let remembered_since = self.opened(change.transaction(), read.tenant).await? - HISTORY_SPAN;
        let mut taken = taken(read.orders, known, remembered_since);
        if !self.write_orders(&change, read, &mut taken).await? {
            return Ok(Attempt::Met);
        }
        let Conclusion { progress, refusals, warnings } =
            conclude(&taken.took).map_err(|error| StoreError::corrupt("side file of refused rows", error))?;
        self.write_refusals(&change, read.id, &refusals).await?;
        self.write_warnings(&change, read.id, &warnings).await?;
        let is_unshared = i64::from(!taken.entries.is_empty());
        let form = read.form;
        let values: [Value; 16] = [
            read.id.as_str().into(),
            read.leased_until.as_millis().into(),
            number(progress.position).into(),
            progress.position_hash.into(),
            number(progress.accepted).into(),
            number(progress.unchanged).into(),
            number(progress.refused).into(),
            number(progress.refused_bytes).into(),
            read.lease_until.as_millis().into(),
            is_unshared.into(),
            number(progress.warned).into(),
            number(progress.warnings).into(),
            form.format.map_or("", Format::as_str).into(),
            form.encoding.map_or("", Encoding::as_str).into(),
            form.separator.map_or("", Separator::as_str).into(),
            form.decimal.map_or("", DecimalMark::as_str).into(),
        ];
        if execute(change.transaction(), MOVE_ON, values).await? == 0 {
            return Ok(Attempt::Lost);
        }
        change.commit().await?;
        Ok(Attempt::Done(Committed { took: taken.took, entries: taken.entries }))
    }

    fn texts(&self) -> &'static Texts {
        if self.store.is_embedded() { &SQLITE } else { &POSTGRES }
    }

    fn values(&self, columns: &Columns, rows: &[Vec<Cell<'_>>]) -> Vec<Value> {
        parameters(self.store.backend(), columns, rows)
    }

    /// When the store was opened: no order of it was received before.
    async fn opened<C: sea_orm::ConnectionTrait>(
        &self,
        connection: &C,
        tenant: &Tenant,
    ) -> Result<Timestamp, StoreError> {
        let opened = row(connection, OPENED, [tenant.store_id.as_str().into()]).await?;
        let opened = opened.ok_or_else(|| StoreError::corrupt("store_id", "there is no such store"))?;
        Ok(Timestamp::from_millis(column(&opened, "created_at")?))
    }

    /// The orders of which something is known, by their ids: those of earlier files, and those that were screened.
    async fn known<C: sea_orm::ConnectionTrait>(
        &self,
        connection: &C,
        tenant: &Tenant,
        orders: &[PastOrder],
    ) -> Result<HashMap<TransactionId, Known>, StoreError> {
        let mut known = HashMap::new();
        let place_of = |row: &sea_orm::QueryResult| {
            let place: i64 = column(row, "place")?;
            let order = usize::try_from(place).ok().and_then(|place| orders.get(place));
            order.ok_or_else(|| StoreError::corrupt("place", "no such order was asked for"))
        };
        let ids: Vec<_> =
            orders.iter().zip(0i64..).map(|(order, at)| vec![at.into(), order.id.as_str().into()]).collect();
        for row in rows(connection, &self.texts().known, self.values(IDS, &ids)).await? {
            let order = place_of(&row)?;
            let before = Known {
                digest: column(&row, "digest")?,
                entry_id: parsed(&row, "entry_id")?,
                entry_at: Timestamp::from_millis(column(&row, "entry_at")?),
                told: column(&row, "told")?,
                first: None,
                is_changed: false,
            };
            known.insert(order.id.clone(), before);
        }
        // A store that begins with its past has screened nothing yet.
        let owner = [tenant.store_id.as_str().into(), tenant.mode.as_str().into()];
        if row(connection, SCREENED, owner).await?.is_none() {
            return Ok(known);
        }
        let others = orders.iter().zip(0i64..).filter(|(order, _)| !known.contains_key(&order.id));
        let others = others.flat_map(|(order, at)| {
            let ids = std::iter::once(&order.id).chain(&order.elsewhere);
            ids.map(move |id| vec![at.into(), id.as_str().into()])
        });
        let others: Vec<_> = others.collect();
        if others.is_empty() {
            return Ok(known);
        }
        for row in rows(connection, &self.texts().screened, self.values(IDS, &others)).await? {
            let order = place_of(&row)?;
            let screened = Known {
                digest: order.digest,
                entry_id: parsed(&row, "id")?,
                entry_at: Timestamp::from_millis(column(&row, "received_at")?),
                told: 0,
                first: Some((0, true)),
                is_changed: false,
            };
            known.entry(order.id.clone()).or_insert(screened);
        }
        Ok(known)
    }

    /// Writes orders and what was told of them. False: another wrote some of the orders since they were looked for.
    async fn write_orders(&self, change: &Change, read: &Read<'_>, taken: &mut Taken) -> Result<bool, StoreError> {
        let (texts, transaction) = (self.texts(), change.transaction());
        let new = taken.known.iter().filter_map(|(id, known)| known.first.map(|(place, _)| (id, known, place)));
        let new: Vec<_> =
            new.map(|(id, known, place)| new_cells(id, known, &read.orders[place], read.tenant)).collect();
        if ORDERS.run(change, &new).await? < new.len() as u64 {
            return Ok(false);
        }
        let changed = taken.known.iter().filter(|(_, known)| known.first.is_none() && known.is_changed);
        let changed: Vec<_> = changed.map(|(id, known)| vec![id.as_str().into(), known.told.into()]).collect();
        if !changed.is_empty() {
            execute(transaction, &texts.changed, self.values(CHANGED, &changed)).await?;
        }
        if !taken.entries.is_empty() {
            taken.entries.sort_unstable_by(|a, b| HistoryEntry::newest_first(&b.entry, &a.entry));
            let entries: Vec<_> = taken.entries.iter().map(|keyed| entry_cells(&keyed.entry)).collect();
            let inserted = HISTORY.run(change, &entries).await?;
            index(change, inserted).await?;
            let declared: Vec<_> = taken.entries.iter().flat_map(declared_cells).collect();
            DECLARED_KEYS.run(change, &declared).await?;
        }
        self.write_told(change, taken).await?;
        Ok(true)
    }

    /// Writes what was told of orders whose entries were there.
    async fn write_told(&self, change: &Change, taken: &mut Taken) -> Result<(), StoreError> {
        if taken.told.is_empty() {
            return Ok(());
        }
        let cells = taken.told.iter().map(|(id, entry_at, what, at)| {
            vec![id.as_str().into(), entry_at.as_millis().into(), what.as_str().into(), at.as_millis().into()]
        });
        let values = self.values(TOLD, &cells.collect::<Vec<_>>());
        let made = rows(change.transaction(), &self.texts().told, values.clone()).await?;
        let made = made.iter().map(|row| entry(row, 0)).collect::<Result<Vec<_>, _>>()?;
        index(change, made.len() as u64).await?;
        execute(change.transaction(), &self.texts().told_declared, values).await?;
        let mut declared = declared_keys(self.store, change.transaction(), &made).await?;
        let keyed = made.into_iter().map(|entry| {
            let keys = declared.remove(&place(&entry)).unwrap_or_default();
            KeyedEntry::found_by(entry, &keys)
        });
        taken.entries.extend(keyed);
        Ok(())
    }

    async fn write_refusals(&self, change: &Change, id: &BackfillId, refusals: &[Refusal]) -> Result<(), StoreError> {
        let kept = refusals.iter().filter(|refusal| refusal.number <= BACKFILL_REFUSALS);
        let cells = kept.map(|refusal| {
            vec![
                id.as_str().into(),
                number(refusal.number).into(),
                number(refusal.line).into(),
                refusal.field.as_str().into(),
                refusal.reason.as_str().into(),
            ]
        });
        REFUSALS.run(change, &cells.collect::<Vec<_>>()).await.map(|_| ())
    }

    async fn write_warnings(
        &self,
        change: &Change,
        id: &BackfillId,
        warnings: &[RowWarning],
    ) -> Result<(), StoreError> {
        let kept = warnings.iter().filter(|row| row.number <= BACKFILL_WARNINGS);
        let cells = kept.map(|row| {
            vec![
                id.as_str().into(),
                number(row.number).into(),
                number(row.line).into(),
                row.warning.code.as_str().into(),
                row.warning.field.as_str().into(),
                row.warning.message.as_str().into(),
            ]
        });
        WARNINGS.run(change, &cells.collect::<Vec<_>>()).await.map(|_| ())
    }
}

/// What came of one attempt to commit.
enum Attempt {
    Done(Committed),
    /// Another wrote the same orders meanwhile.
    Met,
    /// The lease was lost.
    Lost,
}

/// Takes the orders one after the other, each seeing those before it. What happened before `remembered_since` enters no
/// history.
fn taken(orders: &[PastOrder], before: HashMap<TransactionId, Known>, remembered_since: Timestamp) -> Taken {
    let mut taken = Taken { took: Vec::with_capacity(orders.len()), ..Taken::default() };
    taken.known = before.into_iter().collect();
    for (place, order) in orders.iter().enumerate() {
        let mut is_new = false;
        let known = taken.known.entry(order.id.clone()).or_insert_with(|| {
            is_new = true;
            Known {
                digest: order.digest,
                entry_id: order.id.clone(),
                entry_at: order.entry.received_at,
                told: 0,
                first: Some((place, false)),
                is_changed: true,
            }
        });
        if let (Some((first, true)), false) = (&mut known.first, known.is_changed) {
            *first = place;
        }
        if known.digest != order.digest {
            taken.took.push(Took::Contradicts);
            continue;
        }
        if is_new && known.entry_at >= remembered_since {
            taken.entries.push(KeyedEntry::found_by(order.entry.clone(), &order.declared_keys));
        }
        // The entry is not in history yet, or never: what is told of the order is made from the row, whose facts it has.
        let is_made_here = matches!(known.first, Some((_, false))) || known.entry_at < remembered_since;
        let mut is_told = is_new;
        for (what, at) in &order.told {
            let bit = 1 << *what as u32;
            if known.told & bit != 0 {
                continue;
            }
            (known.told, known.is_changed, is_told) = (known.told | bit, true, true);
            // Nothing is learnt of an order before there is one.
            let at = (*at).max(known.entry_at);
            if at < remembered_since {
                continue;
            }
            if is_made_here {
                let entry = HistoryEntry { what: *what, received_at: at, declines: 0, ..order.entry.clone() };
                taken.entries.push(KeyedEntry::found_by(entry, &order.declared_keys));
            } else {
                taken.told.push((known.entry_id.clone(), known.entry_at, *what, at));
            }
        }
        taken.took.push(if is_told { Took::Accepted } else { Took::Unchanged });
    }
    taken
}

fn new_cells<'a>(id: &'a TransactionId, known: &'a Known, order: &'a PastOrder, tenant: &'a Tenant) -> Vec<Cell<'a>> {
    vec![
        id.as_str().into(),
        tenant.store_id.as_str().into(),
        tenant.mode.as_str().into(),
        known.digest.into(),
        known.entry_id.as_str().into(),
        known.entry_at.as_millis().into(),
        known.told.into(),
        order.entry.amount.minor().into(),
        order.entry.amount.currency().code().into(),
        i64::from(order.quantity).into(),
    ]
}

fn entry_cells(entry: &HistoryEntry) -> Vec<Cell<'_>> {
    let key = |key: Option<HistoryKey>| Cell::Number(key.map_or(0, HistoryKey::as_i64));
    vec![
        entry.transaction_id.as_str().into(),
        entry.received_at.as_millis().into(),
        entry.what.as_str().into(),
        entry.ordered_at.as_millis().into(),
        entry.amount.minor().into(),
        entry.amount.currency().code().into(),
        i64::from(entry.declines).into(),
        key(entry.name),
        key(entry.keys.card),
        key(entry.keys.email),
        key(entry.keys.phone),
        key(entry.keys.device),
        key(entry.keys.ip),
        key(entry.keys.address),
        key(entry.keys.customer),
    ]
}

fn declared_cells(keyed: &KeyedEntry) -> Vec<Vec<Cell<'_>>> {
    let own = keyed.entry.keys.iter().count();
    let entry = &keyed.entry;
    let cells = keyed.keys.iter().skip(own).map(|key| {
        vec![
            key.as_i64().into(),
            entry.received_at.as_millis().into(),
            entry.transaction_id.as_str().into(),
            entry.what.as_str().into(),
        ]
    });
    cells.collect()
}
