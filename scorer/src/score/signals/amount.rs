//! What is ordered, for how much, and when.

use std::collections::HashMap;

use touchstone_schema::money::Money;

use super::super::policy::Group;
use super::super::{Facts, Finding, Signal};
use super::local_time;

/// The signals of this group.
pub const SIGNALS: &[Signal] = &[
    Signal {
        code: "high_amount",
        group: Group::Amount,
        points: 3,
        meaning: "the total is above the first, second (8 points) or third (15 points) high amount of the policy",
        check: high_amount,
    },
    Signal {
        code: "high_quantity",
        group: Group::Amount,
        points: 6,
        meaning: "one article is ordered more than five times",
        check: high_quantity,
    },
    Signal {
        code: "many_coupons",
        group: Group::Amount,
        points: 3,
        meaning: "more than two discount codes are used",
        check: many_coupons,
    },
    Signal {
        code: "express_shipping",
        group: Group::Amount,
        points: 4,
        meaning: "express shipping of an order above the high amount",
        check: express_shipping,
    },
    Signal {
        code: "night_order",
        group: Group::Amount,
        points: 2,
        meaning: "placed between midnight and five at the billing country, above the high amount",
        check: night_order,
    },
];

/// Points of the three high amounts (signal catalogue).
const HIGH_AMOUNT_POINTS: [i32; 3] = [3, 8, 15];
/// Pieces of one article that are still usual.
const USUAL_QUANTITY: u64 = 5;
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
    facts.policy.high_amounts(facts.order.amount).is_some_and(|[high, ..]| facts.order.amount.minor() > high)
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
    let tiers = facts.policy.high_amounts(amount)?;
    let (tier, points) = tiers.into_iter().zip(HIGH_AMOUNT_POINTS).rev().find(|(tier, _)| amount.minor() > *tier)?;
    let tier = Money::from_minor(tier, amount.currency()).ok()?;
    Finding::worth(points, format!("the total of {amount} is above {tier}"))
}

fn high_quantity(facts: &Facts<'_>) -> Option<Finding> {
    let mut quantities: HashMap<&str, u64> = HashMap::with_capacity(facts.order.line_items.len());
    let mut most = 0;
    for item in &facts.order.line_items {
        let quantity = u64::from(item.quantity.unwrap_or(1));
        let of_article = match item.sku.as_deref().or(item.name.as_deref()) {
            Some(article) => {
                let sum = quantities.entry(article).or_default();
                *sum += quantity;
                *sum
            }
            None => quantity,
        };
        most = most.max(of_article);
    }
    (most > USUAL_QUANTITY).then(|| format!("one article is ordered {most} times")).and_then(Finding::because)
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
    (is_high(facts) && local_time::is_night(placed_at, country)?)
        .then(|| format!("a large order placed at night in the billing country ({country})"))
        .and_then(Finding::because)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::score::fixture::Case;

    fn points(amount: &str, currency: &str) -> Option<i32> {
        let case = Case::ordinary().with("/amount", amount).with("/currency", currency).without("/line_items");
        case.finding("high_amount").and_then(|finding| finding.points)
    }

    #[test]
    fn the_amount_weighs_by_tier() {
        assert_eq!(points("200.01", "USD"), Some(3));
        assert_eq!(points("500.01", "EUR"), Some(8));
        assert_eq!(points("1000.01", "USD"), Some(15));
        assert_eq!(points("20001", "JPY"), Some(3));
        assert_eq!(points("200.001", "KWD"), Some(3));
    }

    #[test]
    fn an_amount_at_the_limit_or_of_unknown_scale_does_not_fire() {
        assert_eq!(points("200.00", "USD"), None);
        assert_eq!(points("20000", "JPY"), None);
        assert_eq!(points("999999", "MMK"), None);
    }

    #[test]
    fn the_detail_names_total_and_limit() {
        let finding = Case::ordinary().with("/amount", "612.50").finding("high_amount");
        assert_eq!(finding.map(|f| f.detail).as_deref(), Some("the total of 612.50 USD is above 500.00 USD"));
    }

    #[test]
    fn a_store_states_its_own_amounts() {
        let policy = r#"{"high_amounts":{"USD":[50,60,70]}}"#;
        assert_eq!(Case::ordinary().policy(policy).finding("high_amount").and_then(|f| f.points), Some(15));
    }

    #[test]
    fn six_of_one_article_fire_also_over_several_lines() {
        let lines = json!([{"sku": "A", "quantity": 3}, {"sku": "B", "quantity": 1}, {"sku": "A", "quantity": 3}]);
        let finding = Case::ordinary().with("/line_items", lines).finding("high_quantity");
        assert_eq!(finding.map(|f| f.detail).as_deref(), Some("one article is ordered 6 times"));
    }

    #[test]
    fn five_of_one_article_or_many_articles_do_not_fire() {
        let lines = json!([{"sku": "A", "quantity": 5}, {"sku": "B", "quantity": 5}, {"quantity": 2}, {}]);
        assert!(!Case::ordinary().with("/line_items", lines).fires("high_quantity"));
        assert!(!Case::ordinary().without("/line_items").fires("high_quantity"));
    }

    #[test]
    fn three_discount_codes_fire_and_two_do_not() {
        let codes = |count: usize| json!((0..count).map(|n| json!({"code": format!("SAVE{n}")})).collect::<Vec<_>>());
        assert!(Case::ordinary().with("/discount_codes", codes(3)).fires("many_coupons"));
        assert!(!Case::ordinary().with("/discount_codes", codes(2)).fires("many_coupons"));
    }

    #[test]
    fn express_shipping_of_a_large_order_fires() {
        let case = Case::ordinary().with("/shipping_method", "FedEx Priority Overnight").with("/amount", 250);
        assert!(case.fires("express_shipping"));
    }

    #[test]
    fn standard_shipping_or_express_of_a_usual_order_does_not_fire() {
        assert!(!Case::ordinary().with("/shipping_method", "Overnight").fires("express_shipping"));
        assert!(!Case::ordinary().with("/shipping_method", "Ground").with("/amount", 250).fires("express_shipping"));
        assert!(!Case::ordinary().without("/shipping_method").with("/amount", 250).fires("express_shipping"));
    }

    fn placed(at: &str) -> Case {
        Case::ordinary().with("/billing_address/country", "DE").with("/amount", 250).with("/created_at", at)
    }

    #[test]
    fn a_large_order_at_night_fires() {
        assert!(placed("2026-05-04T01:30:00Z").fires("night_order"));
    }

    #[test]
    fn an_order_by_day_of_usual_amount_or_of_a_wide_country_does_not_fire() {
        assert!(!placed("2026-05-04T12:00:00Z").fires("night_order"));
        assert!(!placed("2026-05-04T01:30:00Z").with("/amount", 20).fires("night_order"));
        assert!(!placed("2026-05-04T01:30:00Z").with("/billing_address/country", "US").fires("night_order"));
        assert!(!placed("2026-05-04T01:30:00Z").without("/created_at").fires("night_order"));
    }
}
