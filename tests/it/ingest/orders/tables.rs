//! Every line of the document's tables, as `fixtures/contract/orders.csv` has them beside the document.

use anyhow::{Context, ensure};
use http_body_util::Full;
use hyper::Request;
use serde_json::{Value, json};
use touchstone_ingest::Settings;

use super::{PATH, Shop, order};
use crate::ingest::fixture::Door;

const TABLES: &str = include_str!("../../../fixtures/contract/orders.csv");

/// The lines of one kind, without it.
fn lines(kind: &str) -> Vec<Vec<&'static str>> {
    let lines = TABLES.lines().filter(|line| !line.starts_with('#')).map(|line| line.split(',').collect::<Vec<_>>());
    lines.filter(|line| line[0] == kind).map(|line| line[1..].to_vec()).collect()
}

fn by_paypal(mut order: Value) -> Value {
    order["payments"] = json!([{
        "paymentType": "paypal", "payerEmail": "maria@example.com", "payerStatus": "Y", "paymentStatus": "Completed",
        "protectionEligible": "eligible",
    }]);
    order
}

/// Where the fields of an object of the document lie.
fn parents(object: &str) -> anyhow::Result<&'static [&'static str]> {
    Ok(match object {
        "order" => &[""],
        "address" => &["/billing", "/shipping"],
        "product" => &["/orderProducts/0"],
        "creditcard" | "paypal" => &["/payments/0"],
        _ => anyhow::bail!("no object {object}"),
    })
}

/// What is of another type, whatever its spelling.
fn of_another_type(kind: &str) -> Value {
    match kind {
        "string" => json!(["7"]),
        "number" => json!("seven"),
        "date" => json!("yesterday"),
        "boolean" => json!("perhaps"),
        _ => json!("nothing"),
    }
}

/// Whether the object may be left out, and so may each of its fields where orders are read leniently.
fn is_optional(parent: &str) -> bool {
    parent == "/shipping"
}

struct Sender {
    shop: Shop,
    sent: usize,
}

impl Sender {
    /// Sends an order under a number of its own, unless its number is what is tried.
    async fn send(&mut self, mut order: Value) -> anyhow::Result<(u16, Vec<String>)> {
        self.sent += 1;
        if order["orderNumber"] == "1" {
            order["orderNumber"] = json!(format!("T-{}", self.sent));
        }
        let answer = self.shop.submit(&order).await?;
        let faults = if answer.body.is_empty() { Value::Null } else { answer.json()?["errors"].take() };
        let fields = faults.as_array().into_iter().flatten();
        Ok((answer.status.as_u16(), fields.filter_map(|fault| fault["field"].as_str().map(str::to_owned)).collect()))
    }

    /// The document without the field, and with it empty: refused by its name, or taken.
    async fn leave_out(&mut self, body: &Value, parent: &str, name: &str, required: &str) -> anyhow::Result<()> {
        let pointer = format!("{parent}/{name}");
        for empty in [None, Some(json!(null)), Some(json!("")), Some(json!({}))] {
            let mut spoilt = body.clone();
            let object = spoilt.pointer_mut(parent).and_then(Value::as_object_mut).context("no such object")?;
            object.remove(&name.replace("brandName", "brandname"));
            if let Some(empty) = empty {
                object.insert(name.to_owned(), empty);
            }
            let (status, fields) = self.send(spoilt).await?;
            let is_required = required == "true" && !is_optional(parent);
            let is_refused = is_required || required != "false" && self.shop.is_strict;
            let expected = if is_refused { (400, vec![pointer.clone()]) } else { (202, vec![]) };
            ensure!((status, fields.clone()) == expected, "{pointer} left out: {status} {fields:?}");
        }
        Ok(())
    }
}

#[tokio::test]
async fn every_line_of_the_field_tables_is_kept_strictly() -> anyhow::Result<()> {
    let door = Door::embedded(Settings::default()).await?;
    every_line_is_kept(Shop::new(&door, &door.keys.no_scope).strictly()).await
}

#[tokio::test]
async fn only_the_required_lines_of_the_field_tables_refuse_an_order() -> anyhow::Result<()> {
    let door = Door::embedded(Settings::default()).await?;
    every_line_is_kept(Shop::new(&door, &door.keys.no_scope)).await
}

async fn every_line_is_kept(shop: Shop) -> anyhow::Result<()> {
    let mut sender = Sender { shop, sent: 0 };
    let lines = lines("field");
    assert_eq!(lines.len(), 31 + 14 + 13 + 12 + 5);
    for line in lines {
        let [object, name, kind, required] = line[..] else { anyhow::bail!("{line:?}") };
        let body = if object == "paypal" { by_paypal(order("1")) } else { order("1") };
        for parent in parents(object)? {
            sender.leave_out(&body, parent, name, required).await.with_context(|| format!("{line:?}"))?;
            let mut spoilt = body.clone();
            let object = spoilt.pointer_mut(parent).and_then(Value::as_object_mut).context("no such object")?;
            object.remove(&name.replace("brandName", "brandname"));
            object.insert(name.to_owned(), of_another_type(kind));
            let told = sender.send(spoilt).await?;
            let is_refused = sender.shop.is_strict || required == "true" && !is_optional(parent);
            let expected = if is_refused { (400, vec![format!("{parent}/{name}")]) } else { (202, vec![]) };
            ensure!(told == expected, "{line:?} of another type: {told:?}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn every_reading_that_the_contract_allows_is_taken() -> anyhow::Result<()> {
    let door = Door::embedded(Settings::default()).await?;
    let mut sender = Sender { shop: Shop::new(&door, &door.keys.no_scope), sent: 0 };
    for (pointer, value) in [
        ("/grandTotal", json!(49.99)),
        ("/mirScore", json!("0.5")),
        ("/orderProducts/0/sellingPrice", json!("12.50")),
        ("/shippingFee", json!("4.95")),
        ("/orderDate", json!("2020-04-22")),
        ("/orderDate", json!("2020-04-22 20:40:35")),
        ("/payments/0/fraudFree", json!(true)),
        ("/payments/0/fraudFree", json!("false")),
        ("/payments/0/expiration", json!("05/28")),
        ("/payments/0/gatewayStatus", json!("declined")),
        ("/orderProducts/0/brandName", json!("Keller")),
        ("/outboundCallerId", json!("+1")),
        ("/somethingElse", json!({"a": [1]})),
    ] {
        let mut body = order("1");
        let (parent, name) = pointer.rsplit_once('/').context("a pointer")?;
        body.pointer_mut(parent).and_then(Value::as_object_mut).context("an object")?.insert(name.to_owned(), value);
        let told = sender.send(body).await?;
        ensure!(told.0 == 202, "{pointer}: {told:?}");
    }
    let mut digital = order("1");
    for name in ["shipping", "shippingMethod"] {
        digital[name] = json!("");
    }
    assert_eq!(sender.send(digital.clone()).await?.0, 202, "a fee of zero alone is absent");
    digital["shippingFee"] = json!(1);
    assert_eq!(sender.send(digital.clone()).await?.0, 202, "a fee alone stops no order");
    let mut strict = Sender { shop: Shop::new(&door, &door.keys.no_scope).strictly(), sent: 1_000 };
    assert_eq!(strict.send(digital).await?.1, ["/shipping", "/shippingMethod"]);
    let mut abroad = order("1");
    abroad["billing"]["state"] = json!("Oregon");
    assert_eq!(sender.send(abroad.clone()).await?.1, ["/billing/state"]);
    abroad["billing"]["country"] = json!("FR");
    assert_eq!(sender.send(abroad).await?.0, 202);
    let mut twice = order("1");
    twice["payments"] = json!([twice["payments"][0], twice["payments"][0]]);
    assert_eq!(sender.send(twice).await?.1, ["/payments"]);
    assert_eq!(sender.send(by_paypal(order("1"))).await?.0, 202);
    assert_eq!(sender.send(json!({})).await?.1.len(), 7, "all that is required, at once");
    Ok(())
}

#[tokio::test]
async fn every_line_of_the_answer_and_every_trial_total_is_as_printed() -> anyhow::Result<()> {
    let door = Door::embedded(Settings::default()).await?;
    let test = door
        .add_key(&door.keys.mine, touchstone_schema::tenant::KeyMode::Test, touchstone_schema::tenant::KeyScope::Orders)
        .await?;
    for key in [&door.keys.no_scope, &test] {
        let shop = Shop::new(&door, key);
        for line in lines("trial") {
            let [total, status, class] = line[..] else { anyhow::bail!("{line:?}") };
            let mut trial = order(&format!("TEST-{total}"));
            trial["grandTotal"] = json!(total);
            let shown = shop.shown(&shop.place(&trial).await?).await?;
            let expected = if status == "n/a" { "pending" } else { status };
            let classes = if class.is_empty() { json!(null) } else { json!(class) };
            ensure!(shown["status"] == expected && shown["efraudClass"] == classes, "{line:?}: {shown}");
            for answer in lines("answer") {
                let [name, kind] = answer[..] else { anyhow::bail!("{answer:?}") };
                let value = shown.get(name).with_context(|| format!("no {name}"))?;
                let has_its_type = match kind {
                    "number" => value.is_number() || value.is_null(),
                    "boolean" => value.is_boolean(),
                    _ => value.is_string() || value.is_null(),
                };
                ensure!(has_its_type, "{answer:?}: {value}");
            }
            assert_eq!(shown.as_object().map(serde_json::Map::len), Some(lines("answer").len()));
        }
    }
    Ok(())
}

#[tokio::test]
async fn every_status_of_the_document_is_given() -> anyhow::Result<()> {
    let door = Door::embedded(Settings::default()).await?;
    let (shop, stranger) = (Shop::new(&door, &door.keys.no_scope), Shop::new(&door, &door.keys.mine));
    let path = shop.place(&order("1")).await?;
    for line in lines("status") {
        let answer = match line[..] {
            ["POST", "202"] => shop.submit(&order("2")).await?,
            ["POST", "400"] => shop.submit(&json!([])).await?,
            ["POST", "401"] => stranger.submit(&order("3")).await?,
            ["POST", "409"] => shop.submit(&order("1")).await?,
            ["GET", "200"] => shop.get(&path).await?,
            ["GET", "401"] => stranger.get(&path).await?,
            ["GET", "404"] => shop.get("/v1/orders/1000000000000000").await?,
            _ => anyhow::bail!("{line:?}"),
        };
        ensure!(answer.status.as_str() == line[1], "{line:?}: {answer:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_body_that_is_no_json_is_400_in_the_surfaces_own_form() -> anyhow::Result<()> {
    let door = Door::embedded(Settings::default()).await?;
    let http = touchstone_tests::HttpClient::new();
    let key = &door.keys.no_scope.credentials.api_key;
    for (body, media, status) in [
        ("{", "application/json", 400),
        (r#"{"a":1,"a":2}"#, "application/json", 400),
        (r#"{"siteName":"\u0000"}"#, "application/json", 400),
        ("{}", "text/plain", 415),
    ] {
        let request = Request::post(format!("{}{PATH}", door.url)).header("x-api-key", key);
        let answer = http.send(request.header("Content-Type", media).body(Full::from(body))?).await?;
        ensure!(answer.status == status, "{body}: {answer:?}");
        assert!(answer.json()?["errors"][0]["message"].is_string(), "{body}");
    }
    Ok(())
}
