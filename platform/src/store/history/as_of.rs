//! Reading the history of orders as it was when they were received, so that they can be scored again as they were then.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use sea_orm::{DbBackend, Value};
use touchstone_schema::history::{HistoryByKey, HistoryEntry, HistoryKey, HistoryKeyKind};
use touchstone_schema::limits::{HISTORY_DEPTH, HISTORY_SPAN};
use touchstone_schema::time::Timestamp;

use super::super::database::rows;
use super::super::table::{Columns, Kind, parameters};
use super::super::{Store, StoreError};
use super::{Asked, Place, at, entries_text, entry, place};

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

static POSTGRES: LazyLock<String> = LazyLock::new(|| text(DbBackend::Postgres));
static SQLITE: LazyLock<String> = LazyLock::new(|| text(DbBackend::Sqlite));

/// Column of the order's place: the one after the key and an entry.
const PLACE: usize = 16;

fn text(backend: DbBackend) -> String {
    let span = |entries: &str, keys: &str| {
        format!("{entries}.received_at >= {keys}.since AND {entries}.received_at <= {keys}.until")
    };
    // One entry more than scoring had, because the order's own is there by now.
    entries_text(backend, &Asked { columns: ASKED, also: ", place", depth: HISTORY_DEPTH + 1, span })
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
    for list in found.iter_mut().flat_map(HistoryByKey::values_mut) {
        list.sort_by(|a, b| HistoryEntry::newest_first(a, b));
    }
    Ok(found)
}

fn asked_values(backend: DbBackend, orders: &[AsOf]) -> Vec<Value> {
    let mut values = Vec::new();
    for kind in HistoryKeyKind::ALL.iter().map(|kind| Some(*kind)).chain([None]) {
        let mut asked = Vec::new();
        for (place, order) in orders.iter().enumerate() {
            let place = i64::try_from(place).unwrap_or(i64::MAX);
            let (since, until) = ((order.received_at - HISTORY_SPAN).as_millis(), order.received_at.as_millis());
            let keys = order.keys.iter().filter(|(of, _)| *of == kind);
            asked.extend(keys.map(|(_, key)| vec![place.into(), key.as_i64().into(), since.into(), until.into()]));
        }
        values.extend(parameters(backend, ASKED, &asked));
    }
    values
}
