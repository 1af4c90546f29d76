//! Amounts and baskets that fire, and usual ones that do not.

use serde_json::{Value, json};

use crate::score::fixture::Case;
use crate::score::norms::Norms;

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
fn a_stores_own_orders_say_what_is_high_unless_its_policy_does() {
    let points = |case: Case| case.finding("high_amount").and_then(|finding| finding.points);
    let usual = |amount: &str| Case::ordinary().with("/amount", amount).norms(Case::NORMS);
    assert_eq!(
        [usual("60"), usual("60.01"), usual("90.01"), usual("150.01")].map(points),
        [None, Some(3), Some(8), Some(15),]
    );
    assert_eq!(points(usual("150.01").policy(r#"{"high_amounts":{"USD":[150,160,170]}}"#)), Some(3));
    assert!(usual("60.01").with("/shipping_method", "Overnight").fires("express_shipping"));
}

#[test]
fn more_than_four_medians_are_an_outlier() {
    let case = |amount: &str| Case::ordinary().with("/amount", amount).norms(Case::NORMS);
    let detail = case("130.50").finding("amount_outlier").map(|finding| finding.detail);
    let expected = "the total of 130.50 USD is more than 4 times what is usual at the store";
    assert_eq!(detail.as_deref(), Some(expected));
    assert!(!case("120").fires("amount_outlier"));
    assert!(!Case::ordinary().with("/amount", 9_999).fires("amount_outlier"), "nothing is usual yet");
    assert!(!case("9").norms(Norms { median_minor: 0, ..Case::NORMS }).fires("amount_outlier"));
}

#[test]
fn a_quantity_above_what_the_store_is_used_to_fires() {
    let case = |quantity: u32| Case::ordinary().with("/line_items", json!([{"sku": "A", "quantity": quantity}]));
    assert!(case(13).norms(Case::NORMS).fires("high_quantity"));
    assert!(!case(12).norms(Case::NORMS).fires("high_quantity"));
}

#[test]
fn an_article_or_category_on_the_stores_list_fires() {
    let policy = r#"{"risky_skus":["GIFT-50","phones"]}"#;
    let item = |item: Value| Case::ordinary().with("/line_items", json!([{"sku": "MUG"}, item])).policy(policy);
    let detail = item(json!({"sku": "gift 50"})).finding("risky_sku").map(|finding| finding.detail);
    assert_eq!(detail.as_deref(), Some("GIFT-50 is on the store's list of risky articles"));
    assert!(item(json!({"sku": "X1", "category": "Phones"})).fires("risky_sku"));
    assert!(!item(json!({"sku": "GIFT-5", "category": "cups"})).fires("risky_sku"));
    assert!(!Case::ordinary().with("/line_items", json!([{"sku": "GIFT-50"}])).fires("risky_sku"));
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
