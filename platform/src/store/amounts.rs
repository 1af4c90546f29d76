//! How large a store's orders were: what its usual amounts are made from.
//!
//! Guarantee: the newest orders before a moment, screened or told of by files of past orders, whatever their currency, read
//! by the indexes of a store's orders by time and never more of them than asked. Failure: as the store's.

use sea_orm::QueryResult;
use touchstone_schema::money::{Currency, Money};
use touchstone_schema::time::Timestamp;

use super::database::{column, count, rows};
use super::{StoreError, TenantStore};

/// How large an order was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrderSize {
    /// Its total.
    pub amount: Money,
    /// Largest quantity of one article; 0 when the order named none.
    pub quantity: u32,
}

/// The currency is no condition: a store with few orders in one would be read whole for them.
const AMOUNTS: &str = "SELECT * FROM (SELECT amount_minor, currency, quantity, received_at, id FROM transactions
    WHERE store_id = $1 AND mode = $2 AND received_at < $3 ORDER BY received_at DESC, id DESC LIMIT $4) AS screened
  UNION ALL SELECT * FROM (SELECT amount_minor, currency, quantity, entry_at AS received_at, id FROM backfilled
    WHERE store_id = $1 AND mode = $2 AND entry_at < $3 AND entry_id = id
    ORDER BY entry_at DESC, id DESC LIMIT $4) AS past
  ORDER BY received_at DESC, id DESC LIMIT $4";

impl TenantStore<'_> {
    /// The sizes of the newest orders received before then, newest first, at most `most`.
    pub async fn amounts_before(&self, before: Timestamp, most: usize) -> Result<Vec<OrderSize>, StoreError> {
        let values = [
            self.tenant.store_id.as_str().into(),
            self.tenant.mode.as_str().into(),
            before.as_millis().into(),
            i64::try_from(most).unwrap_or(i64::MAX).into(),
        ];
        rows(&self.store.database, AMOUNTS, values).await?.iter().map(size).collect()
    }
}

fn size(row: &QueryResult) -> Result<OrderSize, StoreError> {
    let currency = Currency::from_code(&column::<String>(row, "currency")?)
        .ok_or_else(|| StoreError::corrupt("currency", "not an ISO 4217 code"))?;
    let amount = Money::from_minor(column(row, "amount_minor")?, currency)
        .map_err(|error| StoreError::corrupt("amount_minor", error))?;
    Ok(OrderSize { amount, quantity: count(row, "quantity")? })
}
