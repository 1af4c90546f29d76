//! What is usual at a store: its own distribution of amounts and quantities (signal catalogue, `high_amount`,
//! `amount_outlier`, `high_quantity`).
//!
//! Taken from the newest orders before the midnight, in UTC, that an order's day began with: the same for all orders of
//! a day, and a function of what the store had seen by then.

use std::collections::HashMap;

use touchstone_schema::money::{Currency, Money};
use touchstone_schema::order::Order;
use touchstone_schema::quantity::Quantity;

/// Orders that a store needs before its own distribution counts (signal catalogue).
pub const LEAST_ORDERS: usize = 200;
/// Pieces of one article that are still usual at a store whose own orders are too few to tell (signal catalogue).
pub const USUAL_QUANTITY: u32 = 5;

/// What is usual at a store, in one currency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Norms {
    /// Half of its orders are not above this amount, in minor units.
    pub median_minor: i64,
    /// Amounts, in minor units, that 90, 95 and 99 of 100 orders do not exceed.
    pub high_amounts_minor: [i64; 3],
    /// Quantity of one article that 99 of 100 orders do not exceed.
    pub high_quantity: u32,
}

impl Norms {
    /// What these orders tell, by nearest rank; nothing when they are fewer than [`LEAST_ORDERS`]. A quantity of 0 is one
    /// that an order did not tell; while too few do, [`USUAL_QUANTITY`] is what is usual.
    pub fn of(mut amounts_minor: Vec<i64>, mut quantities: Vec<u32>) -> Option<Self> {
        if amounts_minor.len() < LEAST_ORDERS {
            return None;
        }
        amounts_minor.sort_unstable();
        quantities.retain(|quantity| *quantity > 0);
        quantities.sort_unstable();
        let amount = |percent| percentile(&amounts_minor, percent);
        let told = Some(&quantities).filter(|quantities| quantities.len() >= LEAST_ORDERS);
        Some(Self {
            median_minor: amount(50)?,
            high_amounts_minor: [amount(90)?, amount(95)?, amount(99)?],
            high_quantity: told.and_then(|quantities| percentile(quantities, 99)).unwrap_or(USUAL_QUANTITY),
        })
    }
}

/// The smallest value that so many of 100 values do not exceed.
fn percentile<T: Copy>(sorted: &[T], percent: usize) -> Option<T> {
    let rank = sorted.len().saturating_mul(percent).div_ceil(100);
    sorted.get(rank.checked_sub(1)?).copied()
}

/// What is usual at a store, in each currency that enough of its orders are in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoreNorms(HashMap<Currency, Norms>);

impl StoreNorms {
    /// What orders with these totals and largest quantities tell.
    pub fn of(orders: impl IntoIterator<Item = (Money, u32)>) -> Self {
        let mut sizes: HashMap<Currency, (Vec<i64>, Vec<u32>)> = HashMap::new();
        for (amount, quantity) in orders {
            let (amounts, quantities) = sizes.entry(amount.currency()).or_default();
            amounts.push(amount.minor());
            quantities.push(quantity);
        }
        let norms = sizes.into_iter();
        Self(norms.filter_map(|(currency, (amounts, all))| Some((currency, Norms::of(amounts, all)?))).collect())
    }

    /// What is usual in a currency; none while too few orders are in it.
    pub fn in_currency(&self, currency: Currency) -> Option<&Norms> {
        self.0.get(&currency)
    }
}

/// Largest quantity of one article; 0 of an order without articles.
pub fn largest_quantity(order: &Order) -> u32 {
    let mut quantities: HashMap<&str, u32> = HashMap::with_capacity(order.line_items.len());
    let mut largest = 0;
    for item in &order.line_items {
        let quantity = item.quantity.map_or(1, Quantity::pieces);
        let of_article = match item.sku.as_deref().or(item.name.as_deref()) {
            Some(article) => {
                let sum = quantities.entry(article).or_default();
                *sum = sum.saturating_add(quantity);
                *sum
            }
            None => quantity,
        };
        largest = largest.max(of_article);
    }
    largest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_nearest_rank() {
        let hundred: Vec<i64> = (1..=100).collect();
        for percent in [1, 50, 90, 95, 99, 100] {
            assert_eq!(percentile(&hundred, percent), i64::try_from(percent).ok());
        }
        assert_eq!(
            [1, 20, 21, 50, 99].map(|percent| percentile(&[15, 20, 35, 40, 50], percent)),
            [Some(15), Some(15), Some(20), Some(35), Some(50)]
        );
        assert_eq!((percentile(&[7], 50), percentile::<i64>(&[], 50)), (Some(7), None));
    }

    #[test]
    fn norms_need_two_hundred_orders_and_no_order_among_them() {
        let amounts: Vec<i64> = (1..=200).rev().map(|number| number * 100).collect();
        assert_eq!(Norms::of(amounts[1..].to_vec(), vec![1; 199]), None);
        let norms = Norms { median_minor: 10_000, high_amounts_minor: [18_000, 19_000, 19_800], high_quantity: 3 };
        let quantities = (0..200).map(|number| if number < 198 { 3 } else { 90 }).collect();
        assert_eq!(Norms::of(amounts, quantities), Some(norms));
    }

    #[test]
    fn orders_that_tell_no_quantity_do_not_make_one_piece_unusual() {
        let quantity = |quantities| Norms::of(vec![100; 400], quantities).map(|norms| norms.high_quantity);
        assert_eq!(quantity(vec![0; 400]), Some(USUAL_QUANTITY));
        assert_eq!(quantity([vec![0; 201], vec![9; 199]].concat()), Some(USUAL_QUANTITY));
        assert_eq!(quantity([vec![0; 200], vec![9; 200]].concat()), Some(9));
    }

    #[test]
    fn each_currency_has_norms_of_its_own_once_enough_orders_are_in_it() {
        let money = |code, minor| {
            let currency = Currency::from_code(code).expect("a currency");
            Money::from_minor(minor, currency).expect("an amount")
        };
        let euros = (0..200).map(|_| (money("EUR", 5_000), 1));
        let yen = (0..200).map(|_| (money("JPY", 900), 2));
        let dollars = (0..199).map(|_| (money("USD", 100), 1));
        let norms = StoreNorms::of(euros.chain(yen).chain(dollars));
        let median = |code| norms.in_currency(money(code, 1).currency()).map(|norms| norms.median_minor);
        assert_eq!([median("EUR"), median("JPY"), median("USD")], [Some(5_000), Some(900), None]);
    }
}
