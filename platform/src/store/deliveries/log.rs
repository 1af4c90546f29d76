//! The delivery log, as merchants and operators read it, a page at a time.
//!
//! Guarantee: a page costs at most a bounded walk along one index, however many deliveries there are and whatever is asked
//! for: one that has looked at [`LOG_LOOKED_AT`] deliveries ends there and says where to go on. Pages go by delivery id, which
//! begins with the time of planning, so what is planned meanwhile moves nothing from one page to another. A tenant sees
//! deliveries of its own world's events; the event says which world that is.

use std::fmt::Write as _;

use sea_orm::{QueryResult, Value};
use touchstone_schema::ids::DeliveryId;
use touchstone_schema::limits::{LOG_LOOKED_AT, PAGE_ITEMS};
use touchstone_schema::renamed::present;
use touchstone_schema::tenant::{KeyMode, Tenant};
use touchstone_schema::time::Timestamp;

use super::ordering::PARKED;
use super::{AttemptCursor, AttemptView, DeliveryFilter, DeliveryState, DeliveryView};
use crate::store::database::{column, count, parsed, row, rows};
use crate::store::{Store, StoreError, SystemStore, TenantStore};

const VIEW: &str = "d.id, d.event_id, e.kind, e.transaction_id, d.endpoint_id, d.state, d.attempts, d.due_at,
    d.last_error, d.created_at";

/// Newest first.
const ATTEMPTS: &str = "
SELECT number, started_at, duration_ms, status, error, response_start FROM attempts
WHERE delivery_id = $1 AND started_at <= $2 AND (started_at < $2 OR number < $3)
ORDER BY started_at DESC, number DESC LIMIT $4";

/// Sorts behind every id.
const BEHIND_ALL: &str = "dlv_~";

/// A page of the log.
#[derive(Debug, Clone)]
pub struct LogPage {
    /// The deliveries that were found, which may be fewer than asked for although more follow.
    pub deliveries: Vec<DeliveryView>,
    /// Where the next page begins; none at the end.
    pub next: Option<DeliveryId>,
}

/// A statement that is being written, with its parameters.
#[derive(Default)]
struct Written {
    /// Conditions that an index answers, on `d`.
    by_index: Vec<String>,
    /// The column of the index before the id, with its value.
    key: Option<(&'static str, String)>,
    is_embedded: bool,
    /// Conditions on what the index led to, on `d` and `e`.
    then: Vec<String>,
    values: Vec<Value>,
}

impl Written {
    /// A parameter.
    fn value(&mut self, value: impl Into<Value>) -> String {
        self.values.push(value.into());
        format!("${}", self.values.len())
    }

    fn new(store: &Store) -> Self {
        Self { is_embedded: store.is_embedded(), ..Self::default() }
    }

    /// The deliveries of one owner. On PostgreSQL the column and the id are compared together, and ordered by: were the column
    /// compared by itself, the planner could walk the primary key instead, past the deliveries of everybody else.
    fn of(&mut self, column: &'static str, owner: &str) {
        let owner = self.value(owner);
        self.key = Some((column, owner));
    }

    /// Where the ids lie.
    fn id(&mut self, comparison: &str, id: &str) {
        let id = self.value(id);
        self.by_index.push(match &self.key {
            Some((column, owner)) if self.is_embedded => format!("{column} = {owner} AND d.id {comparison} {id}"),
            Some((column, owner)) => format!("({column}, d.id) {comparison} ({owner}, {id})"),
            None => format!("d.id {comparison} {id}"),
        });
    }

    /// The order of a page.
    fn order(&self, direction: &str) -> String {
        match &self.key {
            Some((column, _)) => format!("ORDER BY {column} {direction}, d.id {direction}"),
            None => format!("ORDER BY d.id {direction}"),
        }
    }

    fn then(&mut self, column: &str, value: impl Into<Value>) {
        let value = self.value(value);
        self.then.push(format!("{column} {value}"));
    }
}

impl TenantStore<'_> {
    /// A page of the deliveries of the tenant's events, newest first; at most `most` and never more than a page.
    pub async fn deliveries(&self, filter: &DeliveryFilter, most: u64) -> Result<LogPage, StoreError> {
        page(self.store, Some(self.tenant), filter, most).await
    }

    /// One delivery of an event of the tenant.
    pub async fn delivery(&self, id: &DeliveryId) -> Result<Option<DeliveryView>, StoreError> {
        one(self.store, Some(self.tenant), id).await
    }

    /// A page of its attempts, newest first.
    pub async fn attempts(
        &self,
        of: &DeliveryView,
        before: Option<AttemptCursor>,
        most: u64,
    ) -> Result<Vec<AttemptView>, StoreError> {
        attempts(self.store, &of.id, before, most).await
    }
}

impl SystemStore<'_> {
    /// A page of deliveries, oldest first unless told otherwise; at most `most` and never more than a page.
    pub async fn delivery_log(&self, filter: &DeliveryFilter, most: u64) -> Result<LogPage, StoreError> {
        page(self.store, None, filter, most).await
    }

    /// The deliveries of such a page.
    pub async fn deliveries(&self, filter: &DeliveryFilter, most: u64) -> Result<Vec<DeliveryView>, StoreError> {
        Ok(self.delivery_log(filter, most).await?.deliveries)
    }

    /// One delivery with its newest attempts, oldest first.
    pub async fn delivery(&self, id: &DeliveryId) -> Result<Option<(DeliveryView, Vec<AttemptView>)>, StoreError> {
        let Some(view) = one(self.store, None, id).await? else { return Ok(None) };
        let mut attempts = attempts(self.store, id, None, PAGE_ITEMS).await?;
        attempts.reverse();
        Ok(Some((view, attempts)))
    }
}

async fn page(
    store: &Store,
    tenant: Option<&Tenant>,
    filter: &DeliveryFilter,
    most: u64,
) -> Result<LogPage, StoreError> {
    let most = most.min(PAGE_ITEMS);
    let newest_first = filter.newest_first || tenant.is_some();
    let direction = if newest_first { "DESC" } else { "ASC" };
    if filter.transaction_id.is_some() || filter.event_id.is_some() {
        let deliveries = of_events(store, tenant, filter, newest_first, most).await?;
        return Ok(LogPage { next: full(&deliveries, most), deliveries });
    }
    let mut written = Written::new(store);
    choose_index(&mut written, tenant, filter);
    range(&mut written, filter, newest_first);
    let order = written.order(direction);
    let walked = format!("FROM deliveries d WHERE {} {order}", written.by_index.join(" AND "));
    let for_walk = written.values.clone();
    narrow(&mut written, tenant, filter);
    let then = if written.then.is_empty() { "TRUE".to_owned() } else { written.then.join(" AND ") };
    let window = filter.look_at.unwrap_or(LOG_LOOKED_AT).max(1);
    let statement = format!(
        "SELECT {VIEW} FROM (SELECT d.* {walked} LIMIT {window}) d JOIN events e ON e.id = d.event_id
        WHERE {then} {order} LIMIT {most}"
    );
    let found = rows(&store.database, &statement, written.values).await?;
    let deliveries = found.iter().map(view).collect::<Result<Vec<_>, _>>()?;
    let mut next = full(&deliveries, most);
    if next.is_none() {
        let last = format!("SELECT d.id {walked} LIMIT 1 OFFSET {}", window - 1);
        next = row(&store.database, &last, for_walk).await?.map(|row| parsed(&row, "id")).transpose()?;
    }
    Ok(LogPage { deliveries, next })
}

/// The deliveries of one event, or of the few events of one transaction.
async fn of_events(
    store: &Store,
    tenant: Option<&Tenant>,
    filter: &DeliveryFilter,
    newest_first: bool,
    most: u64,
) -> Result<Vec<DeliveryView>, StoreError> {
    let mut written = Written::new(store);
    let mut events = Vec::new();
    if let Some(event) = &filter.event_id {
        events.push(format!("e.id = {}", written.value(event.as_str())));
    }
    if let Some(transaction) = &filter.transaction_id {
        events.push(format!("e.transaction_id = {}", written.value(transaction.as_str())));
    }
    let events = events.join(" AND ");
    range(&mut written, filter, newest_first);
    written.then.append(&mut written.by_index);
    narrow(&mut written, tenant, filter);
    let mut statement = format!(
        "WITH e AS MATERIALIZED (SELECT * FROM events e WHERE {events})
        SELECT {VIEW} FROM e JOIN deliveries d ON d.event_id = e.id WHERE TRUE"
    );
    for condition in &written.then {
        let _ = write!(statement, " AND {condition}");
    }
    let _ = write!(statement, " ORDER BY d.id {} LIMIT {most}", if newest_first { "DESC" } else { "ASC" });
    rows(&store.database, &statement, written.values).await?.iter().map(view).collect()
}

/// The conditions that one index answers whole. A literal state or mode lets the planner see which partial index fits.
fn choose_index(written: &mut Written, tenant: Option<&Tenant>, filter: &DeliveryFilter) {
    let store = tenant.map(|tenant| &tenant.store_id).or(filter.store_id.as_ref());
    let is_trial = tenant.is_some_and(|tenant| tenant.mode == KeyMode::Test);
    match (filter.state, &filter.endpoint_id, store) {
        (Some(DeliveryState::Dead), Some(endpoint), _) => {
            written.by_index.push("d.state = 'dead'".to_owned());
            written.of("d.endpoint_id", endpoint.as_str());
        }
        (Some(state @ (DeliveryState::Dead | DeliveryState::Pending)), _, Some(store)) => {
            written.by_index.push(format!("d.state = '{state}'"));
            written.of("d.store_id", store.as_str());
        }
        (_, _, Some(store)) if is_trial => {
            written.by_index.push("d.mode = 'test'".to_owned());
            written.of("d.store_id", store.as_str());
        }
        (_, Some(endpoint), _) => written.of("d.endpoint_id", endpoint.as_str()),
        (_, None, Some(store)) => written.of("d.store_id", store.as_str()),
        (_, None, None) => {}
    }
}

/// Where the page begins and how far back it goes: always both ends, so that the walk stays with its owner.
fn range(written: &mut Written, filter: &DeliveryFilter, newest_first: bool) {
    let first = filter.since.map(|since| DeliveryId::mint(since, [0; 10]));
    let first = first.as_ref().map_or("", DeliveryId::as_str);
    let after = filter.after.as_ref().map(DeliveryId::as_str);
    if newest_first {
        written.id("<", after.unwrap_or(BEHIND_ALL));
        written.id(">=", first);
    } else {
        written.id(">", after.unwrap_or(""));
        written.id(">=", first);
        written.id("<", BEHIND_ALL);
    }
}

/// What the index did not answer.
fn narrow(written: &mut Written, tenant: Option<&Tenant>, filter: &DeliveryFilter) {
    if let Some(tenant) = tenant {
        written.then("e.store_id =", tenant.store_id.as_str());
        written.then("e.mode =", tenant.mode.as_str());
        written.then("d.store_id =", tenant.store_id.as_str());
    } else if let Some(store) = &filter.store_id {
        written.then("d.store_id =", store.as_str());
    }
    if let Some(endpoint) = &filter.endpoint_id {
        written.then("d.endpoint_id =", endpoint.as_str());
    }
    if let Some(state) = filter.state {
        written.then("d.state =", state.as_str());
    }
    if let Some(kind) = filter.kind {
        written.then("e.kind =", kind.as_str());
    }
    if let Some(since) = filter.since {
        written.then("d.created_at >=", since.as_millis());
    }
}

/// Where to go on after a page that is full.
fn full(deliveries: &[DeliveryView], most: u64) -> Option<DeliveryId> {
    deliveries.last().filter(|_| deliveries.len() as u64 == most).map(|last| last.id.clone())
}

pub(super) async fn one(
    store: &Store,
    tenant: Option<&Tenant>,
    id: &DeliveryId,
) -> Result<Option<DeliveryView>, StoreError> {
    let mut written = Written::new(store);
    written.then("d.id =", id.as_str());
    narrow(&mut written, tenant, &DeliveryFilter::default());
    let then = written.then.join(" AND ");
    let statement = format!("SELECT {VIEW} FROM deliveries d JOIN events e ON e.id = d.event_id WHERE {then}");
    row(&store.database, &statement, written.values).await?.as_ref().map(view).transpose()
}

async fn attempts(
    store: &Store,
    id: &DeliveryId,
    before: Option<AttemptCursor>,
    most: u64,
) -> Result<Vec<AttemptView>, StoreError> {
    let before = before.unwrap_or(AttemptCursor { started_at: Timestamp::from_millis(i64::MAX), number: 0 });
    let values = [
        id.as_str().into(),
        before.started_at.as_millis().into(),
        i64::from(before.number).into(),
        super::claiming::limit(most.min(PAGE_ITEMS)),
    ];
    rows(&store.database, ATTEMPTS, values).await?.iter().map(attempt).collect()
}

fn view(row: &QueryResult) -> Result<DeliveryView, StoreError> {
    let state: String = column(row, "state")?;
    let due_at: i64 = column(row, "due_at")?;
    Ok(DeliveryView {
        id: parsed(row, "id")?,
        event_id: parsed(row, "event_id")?,
        kind: present(&column::<String>(row, "kind")?).to_owned(),
        transaction_id: column(row, "transaction_id")?,
        endpoint_id: parsed(row, "endpoint_id")?,
        attempts: count(row, "attempts")?,
        next_attempt_at: (state == "pending" && due_at < PARKED).then(|| Timestamp::from_millis(due_at).to_rfc3339()),
        last_error: column(row, "last_error")?,
        created_at: Timestamp::from_millis(column(row, "created_at")?).to_rfc3339(),
        state,
    })
}

fn attempt(row: &QueryResult) -> Result<AttemptView, StoreError> {
    Ok(AttemptView {
        number: count(row, "number")?,
        started_at: Timestamp::from_millis(column(row, "started_at")?).to_rfc3339(),
        duration_ms: count(row, "duration_ms")?,
        status: column::<Option<i64>>(row, "status")?.and_then(|status| u16::try_from(status).ok()),
        error: column(row, "error")?,
        response_start: column(row, "response_start")?,
    })
}
