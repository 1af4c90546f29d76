//! Orders of the orders surface: each is placed once for its site, under a number of its own (contract section 2).
//!
//! Guarantee: an order is placed together with its promise, in one transaction, or not at all. Of several that are placed
//! at once one wins the unique key, and the others are told its number.

use sea_orm::{QueryResult, Value};
use touchstone_schema::ids::{PlacedOrderId, TransactionId};
use touchstone_schema::money::{Currency, Money};
use touchstone_schema::submission::Submission;
use touchstone_schema::tenant::{KeyMode, Product, Tenant};
use touchstone_schema::time::Timestamp;

use super::database::{column, execute, parsed, row, rows};
use super::pending::promise_within;
use super::{StoreError, TenantStore};

/// Most orders that are found by one number: a merchant has few sites.
const SAME_NUMBER: i64 = 16;

/// What is answered of an order beside its verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacedOrder {
    /// The number that it is answered under.
    pub id: PlacedOrderId,
    /// Its transaction.
    pub transaction_id: TransactionId,
    /// Whether it is a trial order, which is screened in the test world whatever its key.
    pub is_trial: bool,
    /// The merchant's site.
    pub site_name: String,
    /// The merchant's number of the order.
    pub order_number: String,
    /// The store's product when it was placed.
    pub product: Product,
    /// The merchant's id of the customer.
    pub customer_id: Option<String>,
    /// Its total.
    pub amount: Money,
    /// Whether all its addresses are in the United States.
    pub is_usa: bool,
    /// Whether it goes to the billing address.
    pub ships_to_billing: bool,
    /// Answer of the address verification, as sent.
    pub avs_code: Option<String>,
    /// How it is shipped.
    pub shipping_method: Option<String>,
    /// When it was placed.
    pub placed_at: Timestamp,
}

/// An order to be placed.
#[derive(Debug)]
pub struct NewPlacedOrder<'a> {
    /// What is answered of it.
    pub order: &'a PlacedOrder,
    /// The order as it was sent, card numbers masked.
    pub document: &'a str,
    /// What is promised with it.
    pub submission: &'a Submission,
}

/// How an order was placed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Placing {
    /// Committed, and its promise with it.
    Placed,
    /// The site's order number was used before, by this order.
    Duplicate {
        /// The number that it is answered under.
        id: PlacedOrderId,
        /// As it was sent, card numbers masked.
        document: String,
    },
    /// The number belongs to another order: draw another.
    NumberTaken,
}

const PLACE: &str = "INSERT INTO placed_orders (id, store_id, mode, site_name, order_number, transaction_id, is_trial,
    product, customer_id, amount_minor, currency, is_usa, ships_to_billing, avs_code, shipping_method, document, placed_at)
  VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17) ON CONFLICT DO NOTHING";

const EXISTING: &str =
    "SELECT id, document FROM placed_orders WHERE store_id = $1 AND mode = $2 AND site_name = $3 AND order_number = $4";

const BY_ID: &str = "SELECT id, transaction_id, is_trial, site_name, order_number, product, customer_id, amount_minor,
    currency, is_usa, ships_to_billing, avs_code, shipping_method, placed_at
  FROM placed_orders WHERE id = $1 AND store_id = $2 AND mode = $3";

const BY_NUMBER: &str = "SELECT transaction_id, is_trial FROM placed_orders
  WHERE store_id = $1 AND mode = $2 AND order_number = $3 ORDER BY site_name LIMIT $4";

impl TenantStore<'_> {
    /// Places an order and promises to screen it.
    pub async fn place(&self, new: &NewPlacedOrder<'_>) -> Result<Placing, StoreError> {
        let change = self.store.begin().await?;
        if execute(change.transaction(), PLACE, self.values(new)).await? == 0 {
            let order = new.order;
            let key = [
                self.tenant.store_id.as_str().into(),
                self.tenant.mode.as_str().into(),
                order.site_name.as_str().into(),
                order.order_number.as_str().into(),
            ];
            let Some(existing) = row(change.transaction(), EXISTING, key).await? else {
                return Ok(Placing::NumberTaken);
            };
            let id = PlacedOrderId::from_i64(column(&existing, "id")?);
            return Ok(Placing::Duplicate { id, document: column(&existing, "document")? });
        }
        promise_within(&change, self.store.backend(), new.submission, new.order.placed_at).await?;
        change.commit().await?;
        Ok(Placing::Placed)
    }

    /// The order of a number, when it is the tenant's.
    pub async fn placed_order(&self, id: PlacedOrderId) -> Result<Option<PlacedOrder>, StoreError> {
        let values = [id.as_i64().into(), self.tenant.store_id.as_str().into(), self.tenant.mode.as_str().into()];
        row(&self.store.database, BY_ID, values).await?.map(|row| placed_order(&row)).transpose()
    }

    /// The transactions of the tenant's orders with this order number, one for each site, and the worlds that they lie in.
    pub async fn placed_as(&self, order_number: &str) -> Result<Vec<(Tenant, TransactionId)>, StoreError> {
        let values = [
            self.tenant.store_id.as_str().into(),
            self.tenant.mode.as_str().into(),
            order_number.into(),
            SAME_NUMBER.into(),
        ];
        let found = rows(&self.store.database, BY_NUMBER, values).await?;
        let of = |row: &QueryResult| {
            let world = PlacedOrder::world_of(self.tenant, column::<i64>(row, "is_trial")? != 0);
            Ok((world, parsed(row, "transaction_id")?))
        };
        found.iter().map(of).collect()
    }

    fn values(&self, new: &NewPlacedOrder<'_>) -> [Value; 17] {
        let order = new.order;
        [
            order.id.as_i64().into(),
            self.tenant.store_id.as_str().into(),
            self.tenant.mode.as_str().into(),
            order.site_name.as_str().into(),
            order.order_number.as_str().into(),
            order.transaction_id.as_str().into(),
            i64::from(order.is_trial).into(),
            order.product.as_str().into(),
            order.customer_id.clone().into(),
            order.amount.minor().into(),
            order.amount.currency().code().into(),
            i64::from(order.is_usa).into(),
            i64::from(order.ships_to_billing).into(),
            order.avs_code.clone().into(),
            order.shipping_method.clone().into(),
            new.document.into(),
            order.placed_at.as_millis().into(),
        ]
    }
}

impl PlacedOrder {
    /// Where its transaction lies: a trial order of a live key leaves the live world's history and norms alone.
    pub fn world(&self, sender: &Tenant) -> Tenant {
        Self::world_of(sender, self.is_trial)
    }

    /// See [`Self::world`].
    pub fn world_of(sender: &Tenant, is_trial: bool) -> Tenant {
        let mode = if is_trial { KeyMode::Test } else { sender.mode };
        Tenant { store_id: sender.store_id.clone(), mode }
    }
}

fn placed_order(row: &QueryResult) -> Result<PlacedOrder, StoreError> {
    let currency = Currency::from_code(&column::<String>(row, "currency")?)
        .ok_or_else(|| StoreError::corrupt("currency", "not an ISO 4217 code"))?;
    let flag = |name| column::<i64>(row, name).map(|flag| flag != 0);
    Ok(PlacedOrder {
        id: PlacedOrderId::from_i64(column(row, "id")?),
        transaction_id: parsed(row, "transaction_id")?,
        is_trial: flag("is_trial")?,
        site_name: column(row, "site_name")?,
        order_number: column(row, "order_number")?,
        product: parsed(row, "product")?,
        customer_id: column(row, "customer_id")?,
        amount: Money::from_minor(column(row, "amount_minor")?, currency)
            .map_err(|error| StoreError::corrupt("amount_minor", error))?,
        is_usa: flag("is_usa")?,
        ships_to_billing: flag("ships_to_billing")?,
        avs_code: column(row, "avs_code")?,
        shipping_method: column(row, "shipping_method")?,
        placed_at: Timestamp::from_millis(column(row, "placed_at")?),
    })
}
