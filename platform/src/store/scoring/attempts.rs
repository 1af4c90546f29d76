//! Writing payments that failed: of each one event and one entry of history, and nothing else.
//!
//! The event's id comes from the attempt's content, so whoever is first to write it writes all of it, and whoever comes
//! again writes nothing.

use std::collections::{BTreeMap, HashSet};

use touchstone_schema::history::HistoryKey;
use touchstone_schema::trace::TraceContext;

use super::super::database::{column, execute, rows};
use super::super::history::index;
use super::super::table::{Cell, Columns, Kind, expression, parameters};
use super::super::{Store, StoreError};
use super::NewFailedAttempt;

const ASKED: &Columns = &[
    ("event_id", Kind::Text),
    ("store_id", Kind::Text),
    ("mode", Kind::Text),
    ("kind", Kind::Text),
    ("sequence", Kind::Number),
    ("occurred_at", Kind::Number),
    ("request_id", Kind::Text),
    ("trace", Kind::Text),
    ("data", Kind::Text),
    ("transaction_id", Kind::Text),
    ("remembered_at", Kind::Number),
    ("what", Kind::Text),
    ("amount_minor", Kind::Number),
    ("currency", Kind::Text),
    ("card", Kind::Number),
    ("email", Kind::Number),
    ("phone", Kind::Number),
    ("device", Kind::Number),
    ("ip", Kind::Number),
    ("address", Kind::Number),
    ("customer", Kind::Number),
    ("name", Kind::Number),
    ("declines", Kind::Number),
];
const DECLARED: &Columns =
    &[("transaction_id", Kind::Text), ("remembered_at", Kind::Number), ("what", Kind::Text), ("key", Kind::Number)];

/// In the order of their ids, so that two writers never wait for each other crosswise.
const EVENTS: &str = "INSERT INTO events (id, store_id, mode, kind, sequence, occurred_at, request_id, trace, data)
  SELECT event_id, store_id, mode, kind, sequence, occurred_at, request_id, NULLIF(trace, ''), data
  FROM asked WHERE TRUE ORDER BY event_id ON CONFLICT DO NOTHING RETURNING id";

const OUTBOX: &str = "INSERT INTO unplanned (event_id, occurred_at) SELECT event_id, occurred_at FROM asked";

const HISTORY: &str =
    "INSERT INTO history (transaction_id, received_at, what, ordered_at, amount_minor, currency, card, email, phone,
    device, ip, address, customer, name, declines)
  SELECT transaction_id, remembered_at, what, remembered_at, amount_minor, currency, NULLIF(card, 0), NULLIF(email, 0),
    NULLIF(phone, 0), NULLIF(device, 0), NULLIF(ip, 0), NULLIF(address, 0), NULLIF(customer, 0), NULLIF(name, 0), declines
  FROM asked";

const DECLARED_KEYS: &str = "INSERT INTO history_declared (key, received_at, transaction_id, what)
  SELECT key, remembered_at, transaction_id, what FROM asked WHERE TRUE ON CONFLICT DO NOTHING";

/// Returns which of `new` (by index) were recorded by this call.
pub(super) async fn record(store: &Store, new: &[NewFailedAttempt]) -> Result<Vec<bool>, StoreError> {
    // One that is there twice is one, the first of them.
    let mut distinct: BTreeMap<&str, (usize, &NewFailedAttempt)> = BTreeMap::new();
    for (index, one) in new.iter().enumerate() {
        distinct.entry(one.event.id.as_str()).or_insert((index, one));
    }
    let with = |columns, statement| format!("WITH {} {statement}", expression(store.backend(), "asked", columns, 1));
    let change = store.begin().await?;
    let table: Vec<_> = distinct.values().map(|(_, one)| cells(one)).collect();
    let won = rows(change.transaction(), &with(ASKED, EVENTS), parameters(store.backend(), ASKED, &table)).await?;
    let won: HashSet<String> = won.iter().map(|row| column(row, "id")).collect::<Result<_, _>>()?;
    let fresh: Vec<_> = distinct.values().copied().filter(|(_, one)| won.contains(one.event.id.as_str())).collect();
    if fresh.is_empty() {
        return Ok(vec![false; new.len()]);
    }
    let table: Vec<_> = fresh.iter().map(|(_, one)| cells(one)).collect();
    let values = parameters(store.backend(), ASKED, &table);
    execute(change.transaction(), &with(ASKED, OUTBOX), values.clone()).await?;
    let remembered = execute(change.transaction(), &with(ASKED, HISTORY), values).await?;
    index(&change, remembered).await?;
    let declared: Vec<_> = fresh.iter().flat_map(|(_, one)| declared_cells(one)).collect();
    if !declared.is_empty() {
        let values = parameters(store.backend(), DECLARED, &declared);
        execute(change.transaction(), &with(DECLARED, DECLARED_KEYS), values).await?;
    }
    change.commit().await?;
    let mut recorded = vec![false; new.len()];
    for (index, _) in fresh {
        recorded[index] = true;
    }
    Ok(recorded)
}

fn cells(one: &NewFailedAttempt) -> Vec<Cell<'_>> {
    let (event, history) = (&one.event, &one.history);
    let key = |key: Option<HistoryKey>| Cell::Number(key.map_or(0, HistoryKey::as_i64));
    vec![
        event.id.as_str().into(),
        event.tenant.store_id.as_str().into(),
        event.tenant.mode.as_str().into(),
        event.kind.as_str().into(),
        i64::from(event.sequence).into(),
        event.occurred_at.as_millis().into(),
        event.request_id.as_str().into(),
        event.trace.as_ref().map_or("", TraceContext::as_str).into(),
        event.data.get().into(),
        history.transaction_id.as_str().into(),
        history.received_at.as_millis().into(),
        history.what.as_str().into(),
        history.amount.minor().into(),
        history.amount.currency().code().into(),
        key(history.keys.card),
        key(history.keys.email),
        key(history.keys.phone),
        key(history.keys.device),
        key(history.keys.ip),
        key(history.keys.address),
        key(history.keys.customer),
        key(history.name),
        i64::from(history.declines).into(),
    ]
}

fn declared_cells(one: &NewFailedAttempt) -> impl Iterator<Item = Vec<Cell<'_>>> {
    let history = &one.history;
    one.declared_keys.iter().map(|key| {
        vec![
            history.transaction_id.as_str().into(),
            history.received_at.as_millis().into(),
            history.what.as_str().into(),
            key.as_i64().into(),
        ]
    })
}
