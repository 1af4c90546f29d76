//! `touchstone order`: which order is meant, and what is done to it.

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http_body_util::Full;
use hyper::{Method, Request};
use serde_json::{Value, json};
use touchstone_tests::{Backend, Credentials, HttpClient, SignedClient, Touchstone, touchstone, touchstone_json};

use crate::cli::{new_store, text};
use crate::cli_policy::on_both_ways_to_run;

on_both_ways_to_run![
    an_id_that_several_orders_have_is_refused_until_one_is_named,
    the_content_of_an_order_is_shown_masked_and_in_full_only_on_the_record,
    orders_that_wait_are_listed_the_longest_waiting_first,
    an_outcome_reported_by_hand_is_recorded_once_and_says_what_it_counts_as,
];

/// Checks an order or a cart, as the key's owner.
async fn check(server: &Touchstone, key: &Value, path: &str, document: &Value) -> Result<()> {
    let user = format!("{}:{}", text(key, "key_id")?, text(key, "secret")?);
    let request = Request::builder()
        .method(Method::POST)
        .uri(format!("{}{path}", server.url()))
        .header("authorization", format!("Basic {}", BASE64_STANDARD.encode(user)))
        .header("content-type", "application/json")
        .body(Full::new(document.to_string().into()))?;
    let answer = HttpClient::new().send(request).await?;
    ensure!(answer.status == 200, "{answer:?}");
    Ok(())
}

async fn an_id_that_several_orders_have_is_refused_until_one_is_named(backend: &Backend) -> Result<()> {
    let store = new_store(backend).await?;
    let key = touchstone_json(backend, &["key", "create", "--store", &store, "--scopes", "signed,checks"]).await?;
    let server = Touchstone::new("all", backend)?.start().await?;
    let signed = SignedClient::new(&server.url(), Credentials::from_json(&key)?);
    let order = signed.analyze(&json!({"order_id": "7", "amount": 12.5, "currency": "EUR"})).await?.json()?;
    let checked = json!({"transaction": {"order_id": "7", "ordered_on": "2026-01-02", "order_total": 5}});
    check(&server, &key, "/v2/risk/order/ecommerce", &checked).await?;
    for cart in ["7", "8"] {
        let cart = json!({"transaction": {"cart_id": cart, "ordered_on": "2026-01-02"}});
        check(&server, &key, "/v2/risk/cart", &cart).await?;
    }
    let id = order["transaction_id"].as_str().context("an id")?;
    let show = ["order", "show", "--store", &store, "--id"];
    let decide = ["order", "decide", "--store", &store, "--id", "7", "--decision", "reject", "--reviewer", "ann"];
    for command in [&decide[..], &[&show[..], &["7"]].concat()] {
        let refused = touchstone(backend, command).await?;
        assert_eq!(refused.code, Some(1), "{refused:?}");
        let told = &refused.stderr;
        ensure!(told.contains("3 orders") && told.contains(id) && told.contains("--surface"), "{told}");
        assert_eq!(told.matches("checks, ").count(), 2, "{told}");
    }
    for arguments in [&["7", "--surface", "signed"][..], &[id]] {
        let shown = touchstone_json(backend, &[&show[..], arguments].concat()).await?;
        assert_eq!((&shown["transaction_id"], &shown["decisions"]), (&json!(id), &json!([])));
    }
    let cart = touchstone_json(backend, &[&show[..], &["8"]].concat()).await?;
    assert_eq!((&cart["order_id"], &cart["surface"]), (&json!("8"), &json!("checks")));
    let refused = touchstone(backend, &[&show[..], &["7", "--surface", "checks"]].concat()).await?;
    ensure!(refused.stderr.contains("2 orders"), "{}", refused.stderr);

    let listed = async |query: &str| {
        let page = signed.get(&format!("/v1/transactions?{query}")).await?.json()?;
        let transactions = page["transactions"].as_array().with_context(|| page.to_string())?;
        Ok::<_, anyhow::Error>(transactions.iter().map(|one| one["order_id"].clone()).collect::<Vec<_>>())
    };
    assert_eq!(listed("order_id=7").await?, ["7", "7", "7"]);
    assert_eq!(listed("order_id=8").await?, ["8"]);
    assert_eq!(listed("order_id=7&limit=2").await?.len(), 2);
    assert_eq!(listed("order_id=7&status=pending").await?, [""; 0]);
    assert_eq!(listed("order_id=9").await?, [""; 0]);
    Ok(())
}

async fn the_content_of_an_order_is_shown_masked_and_in_full_only_on_the_record(backend: &Backend) -> Result<()> {
    let store = new_store(backend).await?;
    let key = touchstone_json(backend, &["key", "create", "--store", &store]).await?;
    let server = Touchstone::new("all", backend)?.start().await?;
    let signed = SignedClient::new(&server.url(), Credentials::from_json(&key)?);
    let order = json!({
        "order_id": "7", "amount": 97, "currency": "USD", "customer": {"email": "jane.doe@keller-garden.com", "first_name": "Jane"},
        "line_items": [{"sku": "S-1", "name": "Shirt", "quantity": 2, "price": 48.5}],
    });
    signed.analyze(&order).await?;
    let show = ["order", "show", "--store", &store, "--id", "7"];
    let masked = touchstone(backend, &show).await?.stdout;
    for part in ["97.00 USD", "Jane", "j…@keller-garden.com", "2 × Shirt (S-1) at 48.50"] {
        ensure!(masked.contains(part), "{part}: {masked}");
    }
    let document = touchstone_json(backend, &show).await?;
    assert_eq!((&document["order"]["amount"], &document["order"]["items_total"]), (&json!("97.00"), &json!(1)));
    ensure!(!format!("{masked}{document}").contains("jane.doe"), "{masked}");
    let tables = backend.open_database().await?;
    let audited = "audit_log WHERE action = 'order.read_in_full'";
    assert_eq!(tables.count(audited).await?, 0);
    let full = touchstone_json(backend, &[&show[..], &["--full"]].concat()).await?;
    assert_eq!(full["order"]["customer"]["email"], "jane.doe@keller-garden.com");
    assert_eq!(tables.count(audited).await?, 1);
    Ok(())
}

async fn orders_that_wait_are_listed_the_longest_waiting_first(backend: &Backend) -> Result<()> {
    let store = new_store(backend).await?;
    let key = touchstone_json(backend, &["key", "create", "--store", &store, "--test"]).await?;
    let server = Touchstone::new("all", backend)?.start().await?;
    let signed = SignedClient::new(&server.url(), Credentials::from_json(&key)?);
    for (id, wish) in [("1", "review"), ("2", "approve"), ("3", "hold"), ("4", "review")] {
        let order = json!({
            "order_id": id, "amount": 12.5, "currency": "EUR", "customer": {"email": format!("{wish}@touchstone.test")},
        });
        let answer = signed.analyze(&order).await?;
        ensure!(answer.status == 200, "{answer:?}");
    }
    let list = async |arguments: &[&str]| {
        let list = ["order", "list", "--store", &store, "--test", "--waiting"];
        touchstone_json(backend, &[&list[..], arguments].concat()).await
    };
    let ids = |page: &Value| -> Vec<Value> {
        page["orders"].as_array().into_iter().flatten().map(|order| order["order_id"].clone()).collect()
    };
    let all = list(&[]).await?;
    assert_eq!(ids(&all), ["1", "3", "4"], "{all}");
    assert_eq!((&all["orders"][0]["amount"], &all["orders"][0]["currency"]), (&json!("12.50"), &json!("EUR")));
    let first = list(&["--limit", "2"]).await?;
    assert_eq!(ids(&first), ["1", "3"]);
    let rest = list(&["--cursor", first["next"].as_str().context("there are more")?]).await?;
    assert_eq!((ids(&rest), &rest["next"]), (vec![json!("4")], &Value::Null));
    Ok(())
}

async fn an_outcome_reported_by_hand_is_recorded_once_and_says_what_it_counts_as(backend: &Backend) -> Result<()> {
    let store = new_store(backend).await?;
    let key = touchstone_json(backend, &["key", "create", "--store", &store]).await?;
    let server = Touchstone::new("all", backend)?.start().await?;
    let signed = SignedClient::new(&server.url(), Credentials::from_json(&key)?);
    signed.analyze(&json!({"order_id": "7", "amount": 12.5, "currency": "EUR"})).await?;
    let report = ["order", "outcome", "--store", &store, "--id", "7", "--type"];
    let upheld = [&report[..], &["chargeback_upheld", "--occurred-at", "2026-01-02T03:04:05Z", "--amount", "12.50"]];
    for is_new in [true, false] {
        let told = touchstone_json(backend, &upheld.concat()).await?;
        assert_eq!((&told["recorded"], &told["counts_as"]), (&json!(is_new), &json!("fraud")), "{told}");
    }
    for (wrong, named) in [
        (&["refunded", "--amount", "1.234"][..], "--amount"),
        (&["refunded", "--amount", "12.51"], "at most the order's total, 12.50 EUR"),
        (&["refunded", "--occurred-at", "2999-01-01T00:00:00Z"], "--occurred-at"),
    ] {
        let refused = touchstone(backend, &[&report[..], wrong].concat()).await?;
        ensure!(refused.code == Some(1) && refused.stderr.contains(named), "{refused:?}");
    }
    let old = touchstone(backend, &[&report[..], &["chargeback_won"]].concat()).await?;
    assert_eq!(old.code, Some(2), "{old:?}");
    let shown = touchstone_json(backend, &["order", "show", "--store", &store, "--id", "7"]).await?;
    assert_eq!(shown["outcomes"].as_array().map(Vec::len), Some(1), "{shown}");
    assert_eq!((&shown["outcomes"][0]["amount_minor"], &shown["status"]), (&json!(1_250), &json!("closed")));
    Ok(())
}

#[tokio::test]
async fn a_key_for_the_orders_surface_needs_the_product_and_currency_of_its_store() -> Result<()> {
    let backend = Backend::embedded()?;
    let store = new_store(&backend).await?;
    touchstone_json(&backend, &["store", "set", "--store", &store, "--currency", "EUR"]).await?;
    let create = ["key", "create", "--store", &store, "--scopes", "orders"];
    for wrong in [
        &[][..],
        &["--product", "guaranteed"],
        &["--currency", "EUR"],
        &["--product", "guaranteed", "--currency", "USD"],
        &["--product", "safe", "--currency", "EUR"],
    ] {
        let refused = touchstone(&backend, &[&create[..], wrong].concat()).await?;
        ensure!(refused.code == Some(1), "{wrong:?}: {refused:?}");
        ensure!(refused.stderr.contains("--product guaranteed --currency EUR"), "{wrong:?}: {}", refused.stderr);
    }
    let right = ["--product", "guaranteed", "--currency", "eur"];
    touchstone_json(&backend, &[&create[..], &right].concat()).await?;
    Ok(())
}
