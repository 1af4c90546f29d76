//! Every line of the tables of docs/testing.md, through the program with all its roles, on both ways to run.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use bytes::Bytes;
use http_body_util::Full;
use hyper::{Method, Request};
use serde_json::{Value, json};
use touchstone_schema::event::EventKind;
use touchstone_tests::{
    Backend, Credentials, HttpClient, Receiver, SignedClient, Touchstone, eventually, touchstone_json,
};

use crate::cli::{new_store, text};

/// Longest that anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// What can be said of an order, and the webhook that it gives.
const OUTCOMES: [(&str, &str); 8] = [
    ("fulfilled", "order.status_changed"),
    ("refunded", "order.status_changed"),
    ("cancelled", "order.status_changed"),
    ("fraud_confirmed", "order.status_changed"),
    ("legitimate", "order.status_changed"),
    ("chargeback_opened", "chargeback.opened"),
    ("chargeback_upheld", "chargeback.upheld"),
    ("chargeback_reversed", "chargeback.reversed"),
];

/// A serving program, a receiver of its webhooks, and keys of both modes.
struct World {
    server: Touchstone,
    receiver: Receiver,
    endpoint: String,
    test: SignedClient,
    live: SignedClient,
    /// Of the orders and checks surfaces, in test mode.
    plain: Value,
    /// The same in live mode.
    plain_live: Value,
}

impl World {
    async fn open(backend: &Backend) -> Result<Self> {
        let store = new_store(backend).await?;
        touchstone_json(backend, &["store", "set", "--store", &store, "--rate-limit", "100000"]).await?;
        let receiver = Receiver::start().await?;
        let made =
            touchstone_json(backend, &["endpoint", "create", "--store", &store, "--url", &receiver.url()]).await?;
        let key = async |more: &[&str]| {
            let create = ["key", "create", "--store", store.as_str()];
            touchstone_json(backend, &[create.as_slice(), more].concat()).await
        };
        let (test, live) = (key(&["--test"]).await?, key(&[]).await?);
        let scopes = ["--scopes", "orders,checks", "--product", "guaranteed", "--currency", "USD"];
        let (plain, plain_live) = (key(&[&["--test"], &scopes[..]].concat()).await?, key(&scopes).await?);
        let server = Touchstone::new("all", backend)?.start().await?;
        let url = server.url();
        Ok(Self {
            endpoint: text(&made, "endpoint_id")?.to_owned(),
            test: SignedClient::new(&url, Credentials::from_json(&test)?),
            live: SignedClient::new(&url, Credentials::from_json(&live)?),
            server,
            receiver,
            plain,
            plain_live,
        })
    }

    /// The first webhook of this type that is about `order`, or about none.
    async fn webhook(&self, kind: &str, order: Option<&str>) -> Result<Value> {
        eventually(PATIENCE, kind, async || {
            let deliveries = self.receiver.deliveries();
            let bodies = deliveries.iter().filter_map(|delivery| delivery.json().ok());
            bodies
                .filter(|body| body["type"] == kind)
                .find(|body| order.is_none_or(|id| body["data"]["order_id"] == id))
        })
        .await
    }

    /// Sends a document to a surface without signatures.
    async fn send(
        &self,
        method: Method,
        path: &str,
        key: &Value,
        document: Option<&Value>,
    ) -> Result<(u16, Value, String)> {
        let credentials = format!("{}:{}", text(key, "key_id")?, text(key, "secret")?);
        let basic = base64::prelude::BASE64_STANDARD.encode(credentials);
        let (header, value) = if path.starts_with("/v2/") {
            ("authorization", format!("Basic {basic}"))
        } else {
            ("x-api-key", text(key, "api_key")?.to_owned())
        };
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.server.url()))
            .header(header, value)
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(document.map(Value::to_string).unwrap_or_default())))?;
        let answer = HttpClient::new().send(request).await?;
        let location = answer.headers.get("location").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let body = serde_json::from_slice(&answer.body).unwrap_or_default();
        Ok((answer.status.as_u16(), body, location.to_owned()))
    }
}

/// An order that nothing weighs against but what its address asks for.
fn order(id: &str, email: &str) -> Value {
    json!({"order_id": id, "amount": "20.00", "currency": "USD", "customer": {"email": email}})
}

fn verdict_of(document: &Value) -> (&Value, &Value, &Value) {
    (&document["recommended_action"], &document["risk_score"], &document["reason_codes"])
}

async fn on_both(test: impl AsyncFn(&World) -> Result<()>, backend: Backend) -> Result<()> {
    if backend.redis_url.is_some() {
        touchstone_json(&backend, &["migrate"]).await?;
    }
    test(&Box::pin(World::open(&backend)).await?).await
}

macro_rules! on_both_ways_to_run {
    ($($behaviour:ident),+ $(,)?) => {
        mod embedded {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $behaviour() -> anyhow::Result<()> {
                Box::pin(super::on_both(super::$behaviour, super::Backend::embedded()?)).await
            })+
        }
        mod production {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $behaviour() -> anyhow::Result<()> {
                Box::pin(super::on_both(super::$behaviour, super::Backend::production().await?)).await
            })+
        }
    };
}

on_both_ways_to_run![
    addresses_choose_the_verdict_on_the_signed_surface,
    addresses_choose_the_verdict_on_the_orders_and_checks_surfaces,
    every_webhook_can_be_had_by_the_call_of_the_table,
    addresses_mean_nothing_with_a_live_key,
];

async fn addresses_choose_the_verdict_on_the_signed_surface(world: &World) -> Result<()> {
    for (name, action, score) in [("approve", "approve", 0), ("review+1", "review", 31), ("hold", "hold", 100)] {
        let id = format!("T-{name}");
        let answer = world.test.analyze(&order(&id, &format!("{name}@touchstone.test"))).await?;
        ensure!(answer.status == 200, "{answer:?}");
        let document = answer.json()?;
        assert_eq!(verdict_of(&document), (&json!(action), &json!(score), &json!(["test_order"])), "{name}");
        assert_eq!((&document["reasons"][0]["points"], &document["mode"]), (&json!(score), &json!("test")), "{name}");
        let told = world.webhook("order.scored", Some(&id)).await?;
        assert_eq!(verdict_of(&told["data"]), verdict_of(&document), "{name}");
    }
    let late = world.test.analyze(&order("T-late", "late@touchstone.test")).await?;
    let location = late.headers.get("location").and_then(|value| value.to_str().ok()).map(str::to_owned);
    ensure!(late.status == 202, "{late:?}");
    let location = location.context("a place")?;
    let told = world.webhook("order.scored", Some("T-late")).await?;
    assert_eq!(verdict_of(&told["data"]), (&json!("approve"), &json!(0), &json!(["test_order"])));
    let shown = world.test.get(&location).await?.json()?;
    assert_eq!(shown["verdict"]["recommended_action"], "approve", "{shown}");
    let again = world.test.analyze(&order("T-late", "late@touchstone.test")).await?;
    ensure!(again.status == 200 || again.status == 202, "{again:?}");
    Ok(())
}

fn placed(number: &str, email: &str) -> Value {
    let mut order = crate::ingest::orders::order(number);
    order["billing"]["email"] = json!(email);
    order
}

fn checked(id: &str, email: &str) -> Value {
    json!({"transaction": {"order_id": id, "ordered_on": "2026-05-04T13:00:00Z", "order_total": "20.00"},
        "billing": {"email": email}})
}

async fn addresses_choose_the_verdict_on_the_orders_and_checks_surfaces(world: &World) -> Result<()> {
    for (name, status) in [("approve", "allowed"), ("review", "rejected"), ("hold", "fraud"), ("late", "allowed")] {
        let document = placed(&format!("P-{name}"), &format!("{name}@touchstone.test"));
        let (code, body, location) = world.send(Method::POST, "/v1/orders", &world.plain, Some(&document)).await?;
        ensure!(code == 202, "{code} {body}");
        let shown = eventually(PATIENCE, "the order to be screened", async || {
            let (_, shown, _) = world.send(Method::GET, &location, &world.plain, None).await.ok()?;
            shown["status"].as_str().filter(|status| *status != "pending").map(str::to_owned)
        });
        assert_eq!(shown.await?, status, "{name}");
    }
    for (name, risk) in [("approve", "low"), ("review", "medium"), ("hold", "high")] {
        let document = checked(&format!("C-{name}"), &format!("{name}@touchstone.test"));
        let (code, body, _) =
            world.send(Method::POST, "/v2/risk/order/ecommerce", &world.plain, Some(&document)).await?;
        ensure!(code == 200 && body.to_string().contains(&format!("\"{risk}\"")), "{name}: {code} {body}");
    }
    for _ in 0..2 {
        let document = checked("C-late", "late@touchstone.test");
        let (code, body, _) =
            world.send(Method::POST, "/v2/risk/order/ecommerce", &world.plain, Some(&document)).await?;
        ensure!(code == 503, "{code} {body}");
    }
    Ok(())
}

async fn every_webhook_can_be_had_by_the_call_of_the_table(world: &World) -> Result<()> {
    let scored = world.test.analyze(&order("W-1", "hold@touchstone.test")).await?.json()?;
    let of_order = format!("/v1/transactions/{}", text(&scored, "transaction_id")?);
    world.webhook("order.scored", Some("W-1")).await?;
    let calls = [
        ("reanalyze", json!({}), "order.rescored"),
        ("decision", json!({"decision": "approve", "reviewer": "ann"}), "order.decided"),
    ];
    for (call, document, webhook) in calls {
        let path = format!("{of_order}/{call}");
        let answer = if call == "reanalyze" {
            world.test.send(Method::POST, &path, "").await?
        } else {
            world.test.post(&path, &document).await?
        };
        ensure!(answer.status == 200, "{call}: {answer:?}");
        let told = world.webhook(webhook, Some("W-1")).await?;
        assert_eq!(told["data"]["mode"], "test", "{webhook}");
    }
    for (outcome, webhook) in OUTCOMES {
        let id = format!("W-{outcome}");
        let scored = world.test.analyze(&order(&id, "approve@touchstone.test")).await?.json()?;
        let path = format!("/v1/transactions/{}/outcome", text(&scored, "transaction_id")?);
        let answer = world.test.post(&path, &json!({"type": outcome, "occurred_at": "2026-01-02T03:04:05Z"})).await?;
        ensure!(answer.status == 200, "{outcome}: {answer:?}");
        let told = world.webhook(webhook, Some(&id)).await?;
        assert_eq!((&told["data"]["mode"], &told["data"]["outcome"]), (&json!("test"), &json!(outcome)), "{webhook}");
    }
    let test = format!("/v1/endpoints/{}/test", world.endpoint);
    let tried = world.test.send(Method::POST, &test, "").await?;
    ensure!(tried.status == 200, "{tried:?}");
    world.webhook("endpoint.test", None).await?;
    let types = EventKind::ALL;
    for kind in types.iter().map(|kind| kind.as_str()).filter(|kind| *kind != "endpoint.test") {
        let sent = world.test.send(Method::POST, &format!("{test}?event={kind}"), "").await?;
        ensure!(sent.status == 200, "{kind}: {sent:?}");
        let id = sent.json()?["event_id"].as_str().context("an event")?.to_owned();
        let arrived = eventually(PATIENCE, kind, async || {
            world.receiver.deliveries().into_iter().find(|delivery| delivery.header("webhook-id") == id)
        });
        let body = arrived.await?.json()?;
        assert_eq!(body["type"], kind);
        assert!(body["data"].get("mode").is_none_or(|mode| mode == "test"), "{body}");
    }
    let wrong = world.test.send(Method::POST, &format!("{test}?event=order.invented"), "").await?;
    assert_eq!(wrong.status, 422, "{wrong:?}");
    Ok(())
}

async fn addresses_mean_nothing_with_a_live_key(world: &World) -> Result<()> {
    let mut scores = Vec::new();
    for name in ["approve", "review", "hold", "late", "ann"] {
        let answer = world.live.analyze(&order(&format!("L-{name}"), &format!("{name}@touchstone.test"))).await?;
        ensure!(answer.status == 200, "{name}: {answer:?}");
        let document = answer.json()?;
        let codes = document["reason_codes"].to_string();
        ensure!(!codes.contains("test_order") && document["mode"] == "live", "{document}");
        scores.push(document["risk_score"].clone());
        let document = checked(&format!("LC-{name}"), &format!("{name}@touchstone.test"));
        let (code, body, _) =
            world.send(Method::POST, "/v2/risk/order/ecommerce", &world.plain_live, Some(&document)).await?;
        ensure!(code == 200, "{name}: {code} {body}");
    }
    assert_eq!(scores[0], scores[2], "{scores:?}");
    let test = format!("/v1/endpoints/{}/test?event=chargeback.opened", world.endpoint);
    let refused = world.live.send(Method::POST, &test, "").await?;
    assert_eq!((refused.status.as_u16(), &refused.json()?["code"]), (409, &json!("test_key_needed")));
    Ok(())
}
