//! Reads of one tenant's transactions. Every statement names the tenant.

use std::sync::LazyLock;

use sea_orm::{QueryResult, Value};
use touchstone_schema::ids::TransactionId;
use touchstone_schema::limits::TRANSACTION_LIST_ITEMS;
use touchstone_schema::money::{Currency, Money};
use touchstone_schema::renamed::present;
use touchstone_schema::tenant::Tenant;
use touchstone_schema::time::Timestamp;
use touchstone_schema::verdict::TransactionStatus;

use super::super::database::{column, count, parsed, row, rows};
use super::super::{Store, StoreError};
use super::{
    DecisionView, EventView, OutcomeKind, OutcomeView, PageCursor, RevisionView, Standing, TransactionHead,
    TransactionSummary, TransactionView,
};

/// One statement, so that an order that is being recorded is found in one place or the other. One that was cancelled before
/// its verdict is cancelled, as it is on the orders surface.
const CURRENT: &str = "SELECT CAST(1 AS BIGINT) AS scored, order_id, surface, status, ended_by, received_at FROM transactions
  WHERE id = $1 AND COALESCE(store_id, '') = $2 AND mode = $3
UNION ALL
SELECT CAST(0 AS BIGINT), order_id, surface,
    CASE WHEN (SELECT kind FROM cancelled) IS NOT NULL THEN 'cancelled' WHEN failed_reason IS NULL THEN 'pending' ELSE 'failed' END,
    (SELECT kind FROM cancelled), received_at
  FROM pending WHERE transaction_id = $1 AND store_id = $2 AND mode = $3
ORDER BY scored DESC, received_at DESC LIMIT 1";

static STANDING: LazyLock<String> = LazyLock::new(|| format!("{CANCELLED}{CURRENT}"));

const CANCELLED: &str = "WITH cancelled AS (SELECT kind FROM outcomes
  WHERE transaction_id = $1 AND store_id = $2 AND kind = 'cancelled' LIMIT 1) ";

const CHECK: &str = "SELECT state FROM check_states WHERE transaction_id = $1 AND store_id = $2";

const TOTAL: &str =
    "SELECT amount_minor, currency FROM transactions WHERE id = $1 AND COALESCE(store_id, '') = $2 AND mode = $3";

const CURRENCY: &str = "SELECT currency FROM transactions WHERE id = $1 AND COALESCE(store_id, '') = $2 AND mode = $3";

/// Named by its tenant as the row of the transaction is.
const ORDER: &str = "SELECT r.document FROM transactions t
  JOIN revisions r ON r.transaction_id = t.id AND r.revision = t.revision
  WHERE t.id = $1 AND COALESCE(t.store_id, '') = $2 AND t.mode = $3";

pub(super) async fn total(store: &Store, tenant: &Tenant, id: &TransactionId) -> Result<Option<Money>, StoreError> {
    row(&store.database, TOTAL, scoped(tenant, id)).await?.map_or(Ok(None), |row| amount(&row))
}

pub(super) async fn order_document(
    store: &Store,
    tenant: &Tenant,
    id: &TransactionId,
) -> Result<Option<String>, StoreError> {
    row(&store.database, ORDER, scoped(tenant, id)).await?.map(|row| column(&row, "document")).transpose()
}

pub(super) async fn transaction(
    store: &Store,
    tenant: &Tenant,
    id: &TransactionId,
) -> Result<Option<TransactionView>, StoreError> {
    let Some(head) = head(store, tenant, id).await? else { return Ok(None) };
    let (parts, most) = (store.tenant(tenant), TRANSACTION_LIST_ITEMS);
    let check = row(&store.database, CHECK, [id.as_str().into(), tenant.store_id.as_str().into()]).await?;
    Ok(Some(TransactionView {
        id: id.clone(),
        order_id: head.order_id,
        surface: head.surface,
        status: head.status,
        ended_by: head.ended_by,
        received_at: head.received_at,
        revisions: oldest_first(parts.revisions(id, None, most).await?),
        decisions: oldest_first(parts.decisions(id, None, most).await?),
        outcomes: oldest_first(parts.outcomes(id, None, most).await?),
        events: oldest_first(parts.events(id, None, most).await?),
        totals: parts.totals(id).await?,
        check: check.map(|row| column(&row, "state")).transpose()?,
    }))
}

fn oldest_first<T>(mut newest_first: Vec<T>) -> Vec<T> {
    newest_first.reverse();
    newest_first
}

pub(super) async fn head(
    store: &Store,
    tenant: &Tenant,
    id: &TransactionId,
) -> Result<Option<TransactionHead>, StoreError> {
    let Some(current) = row(&store.database, &STANDING, scoped(tenant, id)).await? else { return Ok(None) };
    Ok(Some(TransactionHead {
        is_scored: count::<u32>(&current, "scored")? == 1,
        order_id: column(&current, "order_id")?,
        surface: parsed(&current, "surface")?,
        status: parsed(&current, "status")?,
        ended_by: ended_by(&current)?,
        received_at: time(&current, "received_at")?,
    }))
}

pub(super) async fn currency(store: &Store, tenant: &Tenant, id: &TransactionId) -> Result<Option<String>, StoreError> {
    row(&store.database, CURRENCY, scoped(tenant, id)).await?.map(|row| column(&row, "currency")).transpose()
}

/// Where a transaction stands that has no verdict yet, when there is one.
pub(super) async fn standing_before_verdict(
    connection: &impl sea_orm::ConnectionTrait,
    tenant: &Tenant,
    id: &TransactionId,
) -> Result<Option<Standing>, StoreError> {
    let Some(found) = row(connection, &STANDING, scoped(tenant, id)).await? else { return Ok(None) };
    Ok(Some(Standing { status: parsed(&found, "status")?, ended_by: ended_by(&found)? }))
}

/// The report that ended a transaction, where one did.
pub(super) fn ended_by(row: &QueryResult) -> Result<Option<OutcomeKind>, StoreError> {
    let kind: Option<String> = column(row, "ended_by")?;
    kind.map(|kind| present(&kind).parse().map_err(|error: String| StoreError::corrupt("ended_by", error))).transpose()
}

/// The parameters of every statement about one transaction.
pub(super) fn scoped(tenant: &Tenant, id: &TransactionId) -> [Value; 3] {
    [id.as_str().into(), tenant.store_id.as_str().into(), tenant.mode.as_str().into()]
}

pub(super) async fn page(
    store: &Store,
    tenant: &Tenant,
    status: Option<TransactionStatus>,
    among: Option<&[TransactionId]>,
    before: Option<&PageCursor>,
    most: u64,
) -> Result<Vec<TransactionSummary>, StoreError> {
    let (received_at, id) =
        before.map_or((i64::MAX, ""), |cursor| (cursor.received_at.as_millis(), cursor.id.as_str()));
    let values = [
        tenant.store_id.as_str().into(),
        tenant.mode.as_str().into(),
        received_at.into(),
        id.into(),
        i64::try_from(most).unwrap_or(i64::MAX).into(),
    ];
    let ids = among.unwrap_or_default();
    let values = values.into_iter().chain(ids.iter().map(|id| id.as_str().into()));
    read(&rows(&store.database, &page_text(status, ids.len()), values).await?, summary)
}

/// Found by the index of open transactions: each status is a literal.
const WAITING: &str =
    "SELECT id, order_id, status, score, level, action, amount_minor, currency, received_at FROM transactions
  WHERE store_id = $1 AND mode = $2 AND status IN ('review', 'held') AND (received_at, id) > ($3, $4)
  ORDER BY received_at, id LIMIT $5";

pub(super) async fn waiting(
    store: &Store,
    tenant: &Tenant,
    after: Option<&PageCursor>,
    most: u64,
) -> Result<Vec<TransactionSummary>, StoreError> {
    let (received_at, id) = after.map_or((i64::MIN, ""), |cursor| (cursor.received_at.as_millis(), cursor.id.as_str()));
    let values = [
        tenant.store_id.as_str().into(),
        tenant.mode.as_str().into(),
        received_at.into(),
        id.into(),
        i64::try_from(most).unwrap_or(i64::MAX).into(),
    ];
    read(&rows(&store.database, WAITING, values).await?, summary)
}

/// Number of the first value of a page's statement that names a transaction.
const FIRST_ID: usize = 6;
/// Whether an order was reported as cancelled before its verdict.
const CANCELLED_BEFORE: &str = "EXISTS (SELECT 1 FROM outcomes o
      WHERE o.transaction_id = p.transaction_id AND o.store_id = p.store_id AND o.kind = 'cancelled')";

/// The statement of a page: one of eight texts, and of a few more where transactions are named. The status is a literal of
/// ours, because the index of open transactions is used only where the planner can see which status is asked for.
fn page_text(status: Option<TransactionStatus>, ids: usize) -> String {
    let places: Vec<_> = (0..ids).map(|place| format!("${}", FIRST_ID + place)).collect();
    let among = |column: &str| match ids {
        0 => String::new(),
        _ => format!(" AND {column} IN ({})", places.join(", ")),
    };
    let scored = |only: &str| {
        let among = among("id");
        format!(
            "SELECT id, order_id, status, score, level, action, amount_minor, currency, received_at FROM transactions
  WHERE store_id = $1 AND mode = $2 AND (received_at, id) < ($3, $4){only}{among}
  ORDER BY received_at DESC, id DESC LIMIT $5"
        )
    };
    // The newest pending row of each transaction that has no verdict.
    let waiting = |only: &str| {
        let among = among("transaction_id");
        format!(
            "SELECT transaction_id AS id, order_id,
    CASE WHEN {CANCELLED_BEFORE} THEN 'cancelled' WHEN failed_reason IS NULL THEN 'pending' ELSE 'failed' END AS status,
    CAST(NULL AS BIGINT) AS score, CAST(NULL AS TEXT) AS level, CAST(NULL AS TEXT) AS action,
    CAST(NULL AS BIGINT) AS amount_minor, CAST(NULL AS TEXT) AS currency, received_at FROM pending p
  WHERE store_id = $1 AND mode = $2 AND (received_at, transaction_id) < ($3, $4){only}{among}
    AND NOT EXISTS (SELECT 1 FROM transactions t WHERE t.id = p.transaction_id)
    AND NOT EXISTS (SELECT 1 FROM pending q WHERE q.transaction_id = p.transaction_id
      AND (q.received_at, q.submission_id) > (p.received_at, p.submission_id))
  ORDER BY received_at DESC, id DESC LIMIT $5"
        )
    };
    let both = |scored: String, waiting: String| {
        format!(
            "SELECT * FROM (SELECT * FROM ({scored}) AS scored UNION ALL SELECT * FROM ({waiting}) AS waiting) AS both_kinds
  ORDER BY received_at DESC, id DESC LIMIT $5"
        )
    };
    match status {
        None => both(scored(""), waiting("")),
        Some(TransactionStatus::Pending) => waiting(&format!(" AND failed_reason IS NULL AND NOT {CANCELLED_BEFORE}")),
        Some(TransactionStatus::Failed) => {
            waiting(&format!(" AND failed_reason IS NOT NULL AND NOT {CANCELLED_BEFORE}"))
        }
        Some(TransactionStatus::Cancelled) => {
            both(scored(" AND status = 'cancelled'"), waiting(&format!(" AND {CANCELLED_BEFORE}")))
        }
        Some(status) => scored(&format!(" AND status = '{status}'")),
    }
}

fn read<T>(rows: &[QueryResult], one: fn(&QueryResult) -> Result<T, StoreError>) -> Result<Vec<T>, StoreError> {
    rows.iter().map(one).collect()
}

fn time(row: &QueryResult, name: &'static str) -> Result<Timestamp, StoreError> {
    column(row, name).map(Timestamp::from_millis)
}

fn summary(row: &QueryResult) -> Result<TransactionSummary, StoreError> {
    let score = column::<Option<i64>>(row, "score")?;
    Ok(TransactionSummary {
        id: parsed(row, "id")?,
        order_id: column(row, "order_id")?,
        status: parsed(row, "status")?,
        score: score.map(u8::try_from).transpose().map_err(|error| StoreError::corrupt("score", error))?,
        level: column(row, "level")?,
        action: column(row, "action")?,
        amount: amount(row)?,
        received_at: time(row, "received_at")?,
    })
}

fn amount(row: &QueryResult) -> Result<Option<Money>, StoreError> {
    let minor = column::<Option<i64>>(row, "amount_minor")?;
    let code = column::<Option<String>>(row, "currency")?;
    Ok(minor
        .zip(code.as_deref().and_then(Currency::from_code))
        .and_then(|(minor, of)| Money::from_minor(minor, of).ok()))
}

pub(super) fn revision(row: &QueryResult) -> Result<RevisionView, StoreError> {
    Ok(RevisionView {
        revision: count(row, "revision")?,
        received_at: time(row, "received_at")?,
        scored_at: time(row, "scored_at")?,
        enrichment_version: column(row, "enrichment_version")?,
        verdict: column(row, "verdict")?,
    })
}

pub(super) fn decision(row: &QueryResult) -> Result<DecisionView, StoreError> {
    Ok(DecisionView {
        revision: count(row, "revision")?,
        decision: parsed(row, "decision")?,
        reviewer: column(row, "reviewer")?,
        note: column(row, "note")?,
        decided_at: time(row, "decided_at")?,
    })
}

pub(super) fn outcome(row: &QueryResult) -> Result<OutcomeView, StoreError> {
    Ok(OutcomeView {
        kind: parsed(row, "kind")?,
        occurred_at: time(row, "occurred_at")?,
        amount_minor: column(row, "amount_minor")?,
        recorded_at: time(row, "recorded_at")?,
    })
}

pub(super) fn event(row: &QueryResult) -> Result<EventView, StoreError> {
    Ok(EventView {
        id: column(row, "id")?,
        kind: present(&column::<String>(row, "kind")?).to_owned(),
        sequence: count(row, "sequence")?,
        pending: count(row, "pending")?,
        delivered: count(row, "delivered")?,
        dead: count(row, "dead")?,
    })
}
