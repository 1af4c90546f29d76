//! Reading the history of orders as it was when they were received, so that they can be scored again as they were then.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use sea_orm::{DbBackend, Value};
use touchstone_schema::history::{HistoryByKey, HistoryEntry, HistoryKey, HistoryKeyKind};
use touchstone_schema::limits::{HISTORY_DEPTH, HISTORY_SPAN};
use touchstone_schema::time::Timestamp;

use super::super::database::rows;
use super::super::table::{Cell, Columns, Kind, parameters};
use super::super::{Store, StoreError};
use super::{Asked, Place, at, entry, key_kinds, newest, on_postgres, on_sqlite, periods, place};

/// An order whose history is asked for.
#[derive(Debug, Clone)]
pub struct AsOf {
    /// When it was received: nothing that was learnt later is its history.
    pub received_at: Timestamp,
    /// Its history keys; those without a kind are declared by a policy.
    pub keys: Vec<(Option<HistoryKeyKind>, HistoryKey)>,
}

/// The order by its place in what is asked, and the span of its history.
const ASKED: &Columns =
    &[("place", Kind::Number), ("key", Kind::Number), ("since", Kind::Number), ("until", Kind::Number)];
/// The same of a period, in SQLite.
const OF_PERIOD: &Columns = &[
    ("place", Kind::Number),
    ("key", Kind::Number),
    ("since", Kind::Number),
    ("until", Kind::Number),
    ("period", Kind::Number),
];
/// One entry more than scoring had, because the order's own is there by now.
const DEPTH: usize = HISTORY_DEPTH + 1;

static POSTGRES: LazyLock<String> = LazyLock::new(|| text(DbBackend::Postgres));
static SQLITE: LazyLock<String> = LazyLock::new(|| text(DbBackend::Sqlite));

/// Column of the order's place: the one after the key and an entry.
const PLACE: usize = 16;

fn text(backend: DbBackend) -> String {
    let span = |entries: &str, keys: &str| {
        format!("{entries}.received_at >= {keys}.since AND {entries}.received_at <= {keys}.until")
    };
    let wanted = Asked { columns: ASKED, also: ", place", depth: DEPTH, span };
    if backend == DbBackend::Postgres { on_postgres(&wanted) } else { on_sqlite(&wanted, OF_PERIOD) }
}

pub(super) async fn history(store: &Store, orders: &[AsOf]) -> Result<Vec<HistoryByKey>, StoreError> {
    let mut found = vec![HistoryByKey::new(); orders.len()];
    let text = if store.is_embedded() { &SQLITE } else { &POSTGRES };
    let mut known: HashMap<Place, Arc<HistoryEntry>> = HashMap::new();
    for row in rows(&store.database, text, asked_values(store.backend(), orders)).await? {
        let entry = entry(&row, 1)?;
        let entry = known.entry(place(&entry)).or_insert_with(|| Arc::new(entry));
        let order = usize::try_from(at::<i64>(&row, PLACE)?).ok().and_then(|place| found.get_mut(place));
        let of_order = order.ok_or_else(|| StoreError::corrupt("place", "no such order was asked for"))?;
        of_order.entry(HistoryKey::from_i64(at(&row, 0)?)).or_default().push(Arc::clone(entry));
    }
    found.iter_mut().flat_map(HistoryByKey::values_mut).for_each(|list| newest(list, DEPTH));
    Ok(found)
}

fn asked_values(backend: DbBackend, orders: &[AsOf]) -> Vec<Value> {
    let asked = |wanted: &dyn Fn(Option<HistoryKeyKind>) -> bool, by_period: bool| {
        let mut asked = Vec::new();
        for (place, order) in (0i64..).zip(orders) {
            let (since, until) = (order.received_at - HISTORY_SPAN, order.received_at);
            for (_, key) in order.keys.iter().filter(|(kind, _)| wanted(*kind)) {
                let row = [place, key.as_i64(), since.as_millis(), until.as_millis()];
                if by_period {
                    let rows =
                        periods(since, until).map(|period| row.into_iter().chain([period]).map(Cell::from).collect());
                    asked.extend(rows);
                } else {
                    asked.push(row.map(Cell::from).into());
                }
            }
        }
        asked
    };
    if backend == DbBackend::Postgres {
        return key_kinds()
            .flat_map(|kind| parameters(backend, ASKED, &asked(&|other| other == kind, false)))
            .collect();
    }
    let mut values = parameters(backend, OF_PERIOD, &asked(&|kind| kind.is_some(), true));
    values.extend(parameters(backend, ASKED, &asked(&|kind| kind.is_none(), false)));
    values
}
