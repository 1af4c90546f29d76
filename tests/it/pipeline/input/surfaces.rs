//! The same leniency on the surfaces whose documents are made into orders: checks, the orders API, and Centra.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use touchstone_schema::tenant::{KeyMode, KeyScope};

use super::warnings::warnings;
use crate::ingest::orders::{Shop, order as placed_order};
use crate::pipeline::checks::client as checks_client;
use crate::pipeline::fixture::{Pipeline, told};

on_both_ways_to_run![
    a_check_is_screened_and_names_its_warnings_by_its_own_fields,
    a_placed_order_is_screened_and_its_warnings_are_kept_with_it,
];

async fn a_check_is_screened_and_names_its_warnings_by_its_own_fields(pipeline: &mut Pipeline) -> Result<()> {
    pipeline.score();
    let check = json!({
        "transaction": {"order_id": 4711, "ordered_on": 1_777_899_999, "order_total": "129.90", "order_currency": "EUR",
            "user_id": 0, "order_is_digital": "0", "status": "brand new"},
        "billing": {"first_name": "Ada", "email": "none", "country": "Deutschland", "phone": "999999999"},
        "shipping": {"first_name": "", "country": ""},
        "payment": [],
        "device": {"ip_address": "10.0.0.7, 10.0.0.8"},
        "products": {"1": {"product_id": "4006381300063", "title": "Cloth", "price": 16.666_666_666_666_668, "quantity": 0.3}},
    });
    let answer = told(&checks_client(pipeline).check(&check).await?, 200)?;
    let expected = [
        ("unknown_word", "/transaction/status"),
        ("placeholder", "/billing/phone"),
        ("placeholder", "/billing/email"),
        ("placeholder", "/transaction/user_id"),
        ("private_ip", "/device/ip_address"),
    ];
    assert_eq!(warnings(&answer["data"]), expected, "{answer}");
    let again = told(&checks_client(pipeline).check(&check).await?, 200)?;
    assert_eq!(again["data"]["warnings"], answer["data"]["warnings"]);
    Ok(())
}

async fn a_placed_order_is_screened_and_its_warnings_are_kept_with_it(pipeline: &mut Pipeline) -> Result<()> {
    let key = pipeline.door.add_key(&pipeline.door.keys.mine, KeyMode::Live, KeyScope::Orders).await?;
    pipeline.score();
    let shop = Shop::at(&pipeline.door.url, &key.credentials.api_key);
    let mut order = placed_order("P-1");
    for (name, value) in [
        ("shipping", json!({"firstName": "", "address1": "", "state": ""})),
        ("shippingMethod", json!("")),
        ("shippingFee", json!("0.00")),
        ("customerId", json!("guest")),
        ("ipAddress", json!("unknown")),
        ("repeatCustomer", json!("yes")),
        ("mirScore", json!("none")),
    ] {
        order[name] = value;
    }
    order["billing"]["country"] = json!("FR");
    order["billing"]["state"] = json!("");
    order["orderProducts"][0]["qty"] = json!(0.3);
    let answer = shop.submit(&order).await?;
    ensure!(answer.status == 202, "{answer:?}");
    pipeline.pass_durable_lane("after P-1").await?;
    let revisions = stored_warnings(pipeline).await?;
    let expected = [("placeholder", "/customerId"), ("placeholder", "/mirScore"), ("placeholder", "/ipAddress")];
    assert_eq!(warnings(&revisions), expected, "{revisions}");
    Ok(())
}

/// The verdict of the one placed order, by the transaction that it is kept under.
async fn stored_warnings(pipeline: &Pipeline) -> Result<Value> {
    let client = pipeline.client();
    let page = told(&client.get("/v1/transactions").await?, 200)?;
    let placed = page["transactions"].as_array().into_iter().flatten().find(|one| one["order_id"] == "P-1");
    let id = placed.and_then(|one| one["transaction_id"].as_str()).context("the order is listed")?;
    let shown = told(&client.get(&format!("/v1/transactions/{id}")).await?, 200)?;
    Ok(shown["verdict"].clone())
}
