//! What was ordered, by whom and how it is paid.

use serde_json::Value;
use touchstone_schema::ids::TransactionId;
use touchstone_schema::json::Json;
use touchstone_schema::order::Order;
use touchstone_schema::order::summary::OrderSummary;
use touchstone_schema::tenant::Tenant;

use crate::compose::Operator;
use crate::output::fields;

/// The content of an order.
pub(super) enum Content {
    /// It has no verdict yet, or its document is kept no more.
    Absent,
    /// Personal data masked.
    Summary(Box<OrderSummary>),
    /// All of it, as JSON.
    Full(String),
}

impl Content {
    /// Reads it. Reading all of it is kept in the audit log.
    pub(super) async fn read(
        operator: &Operator,
        world: &Tenant,
        id: &TransactionId,
        full: bool,
    ) -> anyhow::Result<Self> {
        let store = operator.store().tenant(world);
        if full {
            let document = store.order_document_in_full(id, operator.clock.now()).await?;
            return Ok(document.map_or(Self::Absent, Self::Full));
        }
        let document = store.order_document(id).await?;
        let order =
            document.as_deref().and_then(|text| Json::parse_text(text).ok()).and_then(|json| Order::parse(&json).ok());
        Ok(order.map_or(Self::Absent, |order| Self::Summary(Box::new(OrderSummary::of(&order)))))
    }

    /// For programs.
    pub(super) fn document(&self) -> anyhow::Result<Value> {
        Ok(match self {
            Self::Absent => Value::Null,
            Self::Summary(summary) => serde_json::to_value(summary)?,
            Self::Full(document) => serde_json::from_str(document)?,
        })
    }

    /// For people.
    pub(super) fn described(&self) -> String {
        match self {
            Self::Absent => String::new(),
            Self::Full(document) => format!("{document}\n"),
            Self::Summary(summary) => {
                let more = summary.items_total - summary.items.len();
                let more = (more > 0).then(|| format!("… and {more} more"));
                let items: Vec<_> = summary.items.iter().cloned().chain(more).collect();
                fields(&[
                    ("amount", Some(format!("{} {}", summary.amount, summary.currency))),
                    ("customer", summary.customer.clone()),
                    ("email", summary.email.clone()),
                    ("phone", summary.phone.clone()),
                    ("earlier orders", summary.orders_count.map(|count| count.to_string())),
                    ("billing", summary.billing.clone()),
                    ("shipping", summary.shipping.clone()),
                    ("payment", summary.payment.clone()),
                    ("ip address", summary.ip_address.clone()),
                    ("items", Some(items.join("; ")).filter(|items| !items.is_empty())),
                ])
            }
        }
    }
}
