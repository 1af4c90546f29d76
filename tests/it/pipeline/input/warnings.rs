//! What the signed surface reads leniently, what becomes a warning, and what of it is part of the verdict.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::pipeline::fixture::{Pipeline, codes, stored_bytes, told};

on_both_ways_to_run![
    warnings_are_part_of_the_stored_verdict_and_of_every_answer,
    guests_with_a_placeholder_id_are_not_one_customer,
    mailboxes_of_the_stores_own_domains_are_no_customers,
];

/// An order that nothing is wrong with.
pub(super) fn order(id: &str) -> Value {
    json!({
        "order_id": id, "amount": 48.50, "currency": "USD", "created_at": "2026-05-04T12:00:00Z",
        "customer": {"id": format!("c-{id}"), "email": format!("jane.{id}@keller-garden.com"), "phone": "+15125555571",
            "first_name": "Jane", "last_name": "Doe"},
        "billing_address": {"first_name": "Jane", "last_name": "Doe", "address1": format!("{id} Maple Street"), "city": "Austin",
            "region": "TX", "postal_code": "78791", "country": "US"},
        "payment": {"method": "credit_card", "avs_result": "Y", "cvv_result": "M", "card_bin": "411111", "card_last4": "5571",
            "card_fingerprint": format!("fp-{id}")},
        "line_items": [{"sku": "S-1", "name": "Shirt", "quantity": 1, "price": 48.50}],
        "ip_address": "73.138.111.54", "user_agent": "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Firefox/140.0",
    })
}

/// Code and field of each warning of a verdict.
pub(super) fn warnings(verdict: &Value) -> Vec<(&str, &str)> {
    let warnings = verdict["warnings"].as_array().into_iter().flatten();
    warnings.map(|one| (one["code"].as_str().unwrap_or_default(), one["field"].as_str().unwrap_or_default())).collect()
}

async fn warnings_are_part_of_the_stored_verdict_and_of_every_answer(pipeline: &mut Pipeline) -> Result<()> {
    pipeline.score();
    let client = pipeline.client();
    let mut odd = order("W-1");
    odd["created_at"] = json!("last Tuesday");
    odd["customer"]["id"] = json!(0);
    odd["line_items"][0]["price"] = json!("free");
    odd["source"] = json!("fax");
    let first = client.analyze(&odd).await?;
    let verdict = told(&first, 200)?;
    let expected = [
        ("placeholder", "/customer/id"),
        ("malformed", "/line_items/0/price"),
        ("malformed", "/created_at"),
        ("unknown_word", "/source"),
    ];
    assert_eq!(warnings(&verdict), expected);
    ensure!(verdict["warnings"][1]["message"].as_str().is_some_and(|text| text.starts_with("expected ")), "{verdict}");
    ensure!(!verdict["warnings"].to_string().contains("Tuesday"), "a warning quotes no value");
    let again = client.analyze(&odd).await?;
    assert_eq!(stored_bytes(&again)?, stored_bytes(&first)?);
    let id = verdict["transaction_id"].as_str().unwrap_or_default();
    let shown = told(&client.get(&format!("/v1/transactions/{id}")).await?, 200)?;
    assert_eq!(warnings(&shown["verdict"]), expected, "{shown}");
    let clean = told(&client.analyze(&order("W-2")).await?, 200)?;
    assert_eq!(clean["warnings"], json!([]));
    ensure!(
        verdict["confidence"].as_f64() < clean["confidence"].as_f64(),
        "a field that cannot be read is an absent one"
    );
    Ok(())
}

/// WooCommerce gives every guest the customer id 0: the second guest must not be a known customer.
async fn guests_with_a_placeholder_id_are_not_one_customer(pipeline: &mut Pipeline) -> Result<()> {
    pipeline.score();
    let client = pipeline.client();
    for (number, guest) in
        ["0", "guest", "unknown", "n/a", "[object Object]", "00000000-0000-0000-0000-000000000000"].iter().enumerate()
    {
        let mut scores = Vec::new();
        for turn in 0..3 {
            let mut order = order(&format!("G-{number}-{turn}"));
            order["customer"]["id"] = json!(guest);
            order["customer"]["phone"] = json!("000000000");
            order["ip_address"] = json!(format!("73.138.{number}.{turn}"));
            let verdict = told(&client.analyze(&order).await?, 200)?;
            ensure!(codes(&verdict).contains(&"first_order"), "{guest}: {verdict}");
            scores.push(verdict["risk_score"].clone());
        }
        ensure!(scores.iter().all(|score| *score == scores[0]), "{guest}: {scores:?}");
    }
    Ok(())
}

async fn mailboxes_of_the_stores_own_domains_are_no_customers(pipeline: &mut Pipeline) -> Result<()> {
    pipeline.set_own_domains(&["myshop.com"]).await?;
    pipeline.score();
    let client = pipeline.client();
    for turn in 0..2 {
        let mut order = order(&format!("O-{turn}"));
        order["customer"]["email"] = json!("noreply@myshop.com");
        let verdict = told(&client.analyze(&order).await?, 200)?;
        assert_eq!(warnings(&verdict), [("placeholder", "/customer/email")]);
    }
    let mut order = order("O-9");
    order["customer"]["email"] = json!("noreply@other-shop.com");
    assert_eq!(warnings(&told(&client.analyze(&order).await?, 200)?), []);
    Ok(())
}

/// Where an order is changed, to what, and the warnings that it then has.
type Change = (&'static str, Value, Vec<(&'static str, &'static str)>);

#[tokio::test]
async fn orders_of_real_shops_are_screened() -> Result<()> {
    let mut pipeline = Pipeline::embedded().await?;
    pipeline.score();
    let client = pipeline.client();
    let changes: Vec<Change> = vec![
        ("/order_id", json!(897), vec![]),
        ("/amount", json!("28.44"), vec![]),
        ("/created_at", json!("2021-09-06T18:05:09"), vec![]),
        ("/created_at", json!("2021-09-06 18:05:09 +0100"), vec![]),
        ("/created_at", json!(1_630_951_509_000_i64), vec![]),
        ("/created_at", json!("0000-00-00 00:00:00"), vec![("placeholder", "/created_at")]),
        ("/shipping_address", json!({"first_name": "", "country": "", "phone": ""}), vec![]),
        ("/shipping_address", json!([]), vec![]),
        ("/metadata", json!([]), vec![]),
        ("/line_items/0/quantity", json!(0.3), vec![]),
        ("/line_items/0/price", json!(16.666_666_666_666_668), vec![]),
        ("/discount_codes", json!([{"code": "TEN", "amount": 5.005}]), vec![]),
        ("/customer/is_guest", json!("1"), vec![]),
        ("/customer/first_name", json!(7), vec![]),
        ("/customer/email", json!("a..b@docomo.ne.jp"), vec![]),
        ("/billing_address/country", json!("UK"), vec![]),
        ("/billing_address/country", json!("EL"), vec![]),
        ("/payment/card_expiry", json!("5/28"), vec![]),
        ("/payment/card_expiry", json!("0528"), vec![]),
        ("/payment/card_expiry", json!("05/2028"), vec![]),
        ("/ip_address", json!("10.0.0.7, 73.138.111.54"), vec![]),
        ("/ip_address", json!("73.138.111.54:51234"), vec![]),
        ("/ip_address", json!("unknown"), vec![("placeholder", "/ip_address")]),
        ("/ip_address", json!("127.0.0.1"), vec![("private_ip", "/ip_address")]),
        ("/line_items/0/quantity", json!("٣"), vec![]),
    ];
    for (number, (pointer, value, expected)) in changes.into_iter().enumerate() {
        let mut order = order(&format!("R-{number}"));
        let (parent, name) = pointer.rsplit_once('/').unwrap_or_default();
        order.pointer_mut(parent).context("the place is there")?[name] = value.clone();
        let verdict = told(&client.analyze(&order).await?, 200)?;
        assert_eq!(warnings(&verdict), expected, "{pointer} {value}");
        ensure!(!codes(&verdict).contains(&"email_invalid"), "{pointer} {value}: {verdict}");
    }
    let mut long = order("R-long");
    long["line_items"] = json!(vec![json!({"sku": "S", "quantity": 1, "price": 0.01}); 4_000]);
    assert_eq!(warnings(&told(&client.analyze(&long).await?, 200)?), []);
    Ok(())
}
