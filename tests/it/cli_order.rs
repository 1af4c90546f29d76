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

on_both_ways_to_run![an_id_that_several_orders_have_is_refused_until_one_is_named];

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
    Ok(())
}
