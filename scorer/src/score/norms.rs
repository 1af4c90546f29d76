//! What is usual at a store: its own distribution of amounts and quantities (signal catalogue, `high_amount`,
//! `amount_outlier`, `high_quantity`).
//!
//! Taken from the orders before a fixed moment, so that a verdict can be reproduced later.

/// Orders that a store needs before its own distribution counts (signal catalogue).
pub const LEAST_ORDERS: usize = 200;

/// What is usual at a store, in one currency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Norms {
    /// Half of its orders are below this amount, in minor units.
    pub median_minor: i64,
    /// Amounts, in minor units, that 90, 95 and 99 of 100 orders do not exceed.
    pub high_amounts_minor: [i64; 3],
    /// Quantity of one SKU that 99 of 100 orders do not exceed.
    pub high_quantity: u32,
}
