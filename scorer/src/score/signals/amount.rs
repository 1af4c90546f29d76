//! What is ordered, for how much, and when.

use touchstone_schema::money::Money;

use super::super::confidence::Input;
use super::super::norms::{self, USUAL_QUANTITY};
use super::super::policy::Group;
use super::super::{Check, Facts, Finding, Signal};
use super::{time_zones, words};

/// The signals of this group.
pub const SIGNALS: &[Signal] = &[
    Signal {
        code: "high_amount",
        group: Group::Amount,
        points: 3,
        meaning: "the total is above the first, second (8 points) or third (15 points) high amount: those that the policy \
                  states; else of a store with 200 orders its own 90th, 95th and 99th percentile; else 200, 500 and \
                  1000 dollars' worth",
        inputs: &[Input::Amount, Input::Norms, Input::Policy],
        check: Check::By(high_amount),
    },
    Signal {
        code: "amount_outlier",
        group: Group::Amount,
        points: 8,
        meaning: "the total is more than four times the store's median; only of a store with 200 orders",
        inputs: &[Input::Amount, Input::Norms],
        check: Check::By(amount_outlier),
    },
    Signal {
        code: "high_quantity",
        group: Group::Amount,
        points: 6,
        meaning: "one article is ordered more than five times, or, of a store with 200 orders, more often than in 99 of \
                  100 orders",
        inputs: &[Input::Items, Input::Norms],
        check: Check::By(high_quantity),
    },
    Signal {
        code: "risky_sku",
        group: Group::Amount,
        points: 10,
        meaning: "an article or its category is on the policy's list of risky ones",
        inputs: &[Input::Items, Input::Policy],
        check: Check::By(risky_sku),
    },
    Signal {
        code: "many_coupons",
        group: Group::Amount,
        points: 3,
        meaning: "more than two discount codes are used",
        inputs: &[Input::Discounts],
        check: Check::By(many_coupons),
    },
    Signal {
        code: "express_shipping",
        group: Group::Amount,
        points: 4,
        meaning: "express shipping of an order above the high amount",
        inputs: &[Input::ShippingMethod, Input::Amount],
        check: Check::By(express_shipping),
    },
    Signal {
        code: "night_order",
        group: Group::Amount,
        points: 2,
        meaning: "placed between midnight and five at the billing country, above the high amount",
        inputs: &[Input::PlacedAt, Input::BillingCountry, Input::Amount],
        check: Check::By(night_order),
    },
];

/// Points of the three high amounts (signal catalogue).
const HIGH_AMOUNT_POINTS: [i32; 3] = [3, 8, 15];
/// How many times the store's median is still usual.
const USUAL_MEDIANS: i64 = 4;
/// Discount codes that are still usual.
const USUAL_COUPONS: usize = 2;
/// What shipping methods of the overnight class contain, in lower case.
const EXPRESS: &[&str] = &[
    "express",
    "overnight",
    "next day",
    "next-day",
    "nextday",
    "next_day",
    "same day",
    "same-day",
    "sameday",
    "same_day",
    "expedited",
    "priority",
    "1 day",
    "24h",
];

/// Whether the total is above the first high amount. Never for a currency whose scale is not known.
pub fn is_high(facts: &Facts<'_>) -> bool {
    high_amounts(facts).is_some_and(|[high, ..]| facts.order.amount.minor() > high)
}

/// In minor units: what the policy states, else what the store's own orders tell, else the default of the currency.
fn high_amounts(facts: &Facts<'_>) -> Option<[i64; 3]> {
    let amount = facts.order.amount;
    let stated = facts.policy.stated_high_amounts(amount);
    stated.or(facts.norms.map(|norms| norms.high_amounts_minor)).or_else(|| facts.policy.high_amounts(amount))
}

/// Whether the shipping method is of the overnight class.
pub fn is_express(facts: &Facts<'_>) -> bool {
    facts.order.shipping_method.as_deref().is_some_and(|method| {
        let method = method.to_lowercase();
        EXPRESS.iter().any(|name| method.contains(name))
    })
}

fn high_amount(facts: &Facts<'_>) -> Option<Finding> {
    let amount = facts.order.amount;
    let tiers = high_amounts(facts)?;
    let (tier, points) = tiers.into_iter().zip(HIGH_AMOUNT_POINTS).rev().find(|(tier, _)| amount.minor() > *tier)?;
    let tier = Money::from_minor(tier, amount.currency()).ok()?;
    Finding::worth(points, format!("the total of {amount} is above {tier}"))
}

fn amount_outlier(facts: &Facts<'_>) -> Option<Finding> {
    let amount = facts.order.amount;
    let median = facts.norms?.median_minor;
    let times = amount.minor().checked_div(median)?;
    (amount.minor() > median.saturating_mul(USUAL_MEDIANS))
        .then(|| format!("the total of {amount} is more than {times} times what is usual at the store"))
        .and_then(Finding::because)
}

fn high_quantity(facts: &Facts<'_>) -> Option<Finding> {
    let most = norms::largest_quantity(facts.order);
    let usual = facts.norms.map_or(USUAL_QUANTITY, |norms| norms.high_quantity);
    (most > usual).then(|| format!("one article is ordered {most} times")).and_then(Finding::because)
}

/// Case, spacing and punctuation do not count.
fn risky_sku(facts: &Facts<'_>) -> Option<Finding> {
    let listed = facts.policy.risky_skus();
    let items = facts.order.line_items.iter().filter(|_| !listed.is_empty());
    let mut named = items.flat_map(|item| [item.sku.as_deref(), item.category.as_deref()]).flatten();
    let risky = named.find_map(|name| listed.iter().find(|risky| words::same(risky, name)))?;
    Finding::because(format!("{risky} is on the store's list of risky articles"))
}

fn many_coupons(facts: &Facts<'_>) -> Option<Finding> {
    let count = facts.order.discount_codes.len();
    (count > USUAL_COUPONS).then(|| format!("{count} discount codes were used")).and_then(Finding::because)
}

fn express_shipping(facts: &Facts<'_>) -> Option<Finding> {
    (is_express(facts) && is_high(facts)).then_some("express shipping of a large order").and_then(Finding::because)
}

fn night_order(facts: &Facts<'_>) -> Option<Finding> {
    let country = facts.order.billing_address.as_ref()?.country?;
    let placed_at = facts.order.created_at?;
    (is_high(facts) && time_zones::is_night(placed_at, country)?)
        .then(|| format!("a large order placed at night in the billing country ({country})"))
        .and_then(Finding::because)
}

#[cfg(test)]
mod tests;
