//! What was recorded of a span of time, to be scored again: orders in the order in which they were received, and what is
//! known of them by now.
//!
//! Guarantee: pages follow each other without gaps or repeats. An order that is scored anew while they are read moves out
//! of the span, because its newest revision was received later.

use std::collections::HashMap;

use sea_orm::{DbBackend, QueryResult};
use touchstone_schema::history::Happening;
use touchstone_schema::ids::TransactionId;
use touchstone_schema::limits::PAGE_ITEMS;
use touchstone_schema::time::Timestamp;

use super::database::{column, parsed, rows};
use super::table::{Columns, Kind, expression, parameters};
use super::{StoreError, TenantStore};

/// An order with its newest revision.
#[derive(Debug, Clone)]
pub struct RecordedOrder {
    /// Its transaction.
    pub transaction_id: TransactionId,
    /// The merchant's order id.
    pub order_id: String,
    /// When that revision was received.
    pub received_at: Timestamp,
    /// The order document.
    pub document: String,
    /// Whether it was fraud, by the newest outcome that tells; none while nothing does.
    pub label: Option<bool>,
}

/// A span of time, or what is left of it to be read.
#[derive(Debug, Clone)]
pub struct Span {
    /// Orders received at this time are read from `after` on.
    pub from: Timestamp,
    /// The last order that was read; none at the beginning.
    pub after: Option<TransactionId>,
    /// Orders received from then on are left out.
    pub until: Timestamp,
}

impl Span {
    /// All that was received since `from` and before `until`.
    pub const fn new(from: Timestamp, until: Timestamp) -> Self {
        Self { from, after: None, until }
    }

    /// What is left of it after a page that ended with this order.
    pub fn rest(self, last: &RecordedOrder) -> Self {
        Self { from: last.received_at, after: Some(last.transaction_id.clone()), ..self }
    }
}

const ORDERS: &str = "SELECT t.id, t.order_id, t.received_at, r.document
  FROM transactions t JOIN revisions r ON r.transaction_id = t.id AND r.revision = t.revision
  WHERE t.store_id = $1 AND t.mode = $2 AND (t.received_at, t.id) > ($3, $4) AND t.received_at < $5
  ORDER BY t.received_at, t.id LIMIT $6";

const ASKED: &Columns = &[("id", Kind::Text)];

fn outcomes_text(backend: DbBackend) -> String {
    let asked = expression(backend, "asked", ASKED, 2);
    format!(
        "WITH {asked} SELECT o.transaction_id, o.kind FROM asked CROSS JOIN outcomes o
  WHERE o.transaction_id = asked.id AND o.store_id = $1 ORDER BY o.occurred_at, o.recorded_at, o.kind"
    )
}

impl TenantStore<'_> {
    /// The first orders of a span, oldest first, at most [`PAGE_ITEMS`].
    pub async fn recorded_orders(&self, span: &Span) -> Result<Vec<RecordedOrder>, StoreError> {
        let values = [
            self.tenant.store_id.as_str().into(),
            self.tenant.mode.as_str().into(),
            span.from.as_millis().into(),
            // No id comes before the empty text, so that all orders of the first moment are read.
            span.after.as_ref().map_or("", TransactionId::as_str).into(),
            span.until.as_millis().into(),
            i64::try_from(PAGE_ITEMS).unwrap_or(i64::MAX).into(),
        ];
        let found = rows(&self.store.database, ORDERS, values).await?;
        let mut orders = found.iter().map(order_of).collect::<Result<Vec<_>, _>>()?;
        let labels = self.labels(&orders).await?;
        for order in &mut orders {
            order.label = labels.get(&order.transaction_id).copied();
        }
        Ok(orders)
    }

    async fn labels(&self, orders: &[RecordedOrder]) -> Result<HashMap<TransactionId, bool>, StoreError> {
        let asked: Vec<_> = orders.iter().map(|order| vec![order.transaction_id.as_str().into()]).collect();
        let backend = self.store.backend();
        let values = std::iter::once(self.tenant.store_id.as_str().into()).chain(parameters(backend, ASKED, &asked));
        let mut labels = HashMap::new();
        for row in rows(&self.store.database, &outcomes_text(backend), values).await? {
            if let Some(is_fraud) = parsed::<Happening>(&row, "kind")?.label() {
                labels.insert(parsed(&row, "transaction_id")?, is_fraud);
            }
        }
        Ok(labels)
    }
}

fn order_of(row: &QueryResult) -> Result<RecordedOrder, StoreError> {
    Ok(RecordedOrder {
        transaction_id: parsed(row, "id")?,
        order_id: column(row, "order_id")?,
        received_at: Timestamp::from_millis(column(row, "received_at")?),
        document: column(row, "document")?,
        label: None,
    })
}
