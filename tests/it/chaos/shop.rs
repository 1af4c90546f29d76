//! A merchant with a store, a key and a webhook receiver, and what it may expect of every order that was accepted.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, ensure};
use hyper::StatusCode;
use serde_json::{Value, json};
use touchstone_tests::{Answer, Backend, Credentials, Receiver, SignedClient, eventually, touchstone_json};

use crate::ingest::orders;

/// How long the webhooks of all orders may take after the faults: what a killed notifier held is leased for a minute.
const SETTLED_WITHIN: Duration = Duration::from_secs(90);
/// Far above what the tests send.
const RATE_LIMIT: &str = "1000000";

/// An order that was answered 2xx.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) order_id: String,
    pub(super) transaction_id: String,
    /// The verdict's score; none when the answer was a promise.
    score: Option<i64>,
}

impl Accepted {
    /// Reads a 200 or a 202.
    pub(super) fn from_answer(order: &Value, answer: &Answer) -> anyhow::Result<Self> {
        let document = answer.json()?;
        let told = (answer.status.as_u16(), &document);
        ensure!(matches!(answer.status, StatusCode::OK | StatusCode::ACCEPTED), "not accepted: {told:?}");
        let score = document["risk_score"].as_i64();
        ensure!(score.is_some() == (answer.status == StatusCode::OK), "not what the status says: {told:?}");
        Ok(Self {
            order_id: order["order_id"].as_str().context("an order without an id")?.to_owned(),
            transaction_id: document["transaction_id"].as_str().context("no transaction_id")?.to_owned(),
            score,
        })
    }
}

impl Accepted {
    /// Whether it was answered 202.
    pub(super) const fn is_promise(&self) -> bool {
        self.score.is_none()
    }
}

/// See the module.
pub(super) struct Shop {
    pub(super) backend: Backend,
    pub(super) receiver: Receiver,
    credentials: Credentials,
    orders_key: String,
    webhook_secret: String,
}

impl Shop {
    /// Makes the accounts, and the schema where that takes a command.
    pub(super) async fn open(backend: Backend) -> anyhow::Result<Self> {
        if backend.amqp_url.is_some() {
            touchstone_json(&backend, &["migrate"]).await?;
        }
        let receiver = Receiver::start().await?;
        let merchant = touchstone_json(&backend, &["merchant", "create", "--name", "Keller"]).await?;
        let merchant = text(&merchant, "merchant_id")?;
        let store = ["store", "create", "--merchant", &merchant, "--name", "Shop", "--rate-limit", RATE_LIMIT];
        let store = text(&touchstone_json(&backend, &store).await?, "store_id")?;
        let key = touchstone_json(&backend, &["key", "create", "--store", &store]).await?;
        let orders = ["--scopes", "orders", "--product", "guaranteed", "--currency", "USD"];
        let orders_key =
            touchstone_json(&backend, &[&["key", "create", "--store", &store], &orders[..]].concat()).await?;
        let endpoint = ["endpoint", "create", "--store", &store, "--url", &receiver.url()];
        let endpoint = touchstone_json(&backend, &endpoint).await?;
        Ok(Self {
            credentials: Credentials::from_json(&key)?,
            orders_key: text(&orders_key, "api_key")?,
            webhook_secret: text(&endpoint, "secret")?,
            receiver,
            backend,
        })
    }

    /// A client of the door at `url`.
    pub(super) fn client(&self, url: &str) -> SignedClient {
        SignedClient::new(url, self.credentials.clone())
    }

    /// A client of its orders surface.
    pub(super) fn orders(&self, url: &str) -> orders::Shop {
        orders::Shop::at(url, &self.orders_key)
    }

    /// Order `number`: a customer of its own, so that history does not grow with the load.
    pub(super) fn order(number: usize) -> Value {
        json!({
            "order_id": format!("order-{number}"),
            "amount": format!("{}.50", 20 + number % 200),
            "currency": "USD",
            "customer": {"id": format!("customer-{number}"), "email": format!("customer.{number}@example.com")},
            "billing_address": {"address1": format!("{number} Elm Street"), "city": "Portland", "country": "US"},
            "payment": {"method": "credit_card", "avs_result": "Y", "cvv_result": "M", "card_last4": "4242"},
            "line_items": [{"sku": "A-1", "name": "Lamp", "quantity": 1, "price": 20.50}],
        })
    }

    /// Every accepted order has exactly one verdict, the one that was answered, one event, and its webhook; and nothing
    /// was set aside.
    pub(super) async fn expect_settled(&self, client: &SignedClient, accepted: &[Accepted]) -> anyhow::Result<()> {
        let deadline = tokio::time::Instant::now() + SETTLED_WITHIN;
        for order in accepted {
            let mut seen = None;
            let left = deadline.saturating_duration_since(tokio::time::Instant::now()).max(Duration::from_secs(1));
            let settled = eventually(left, &format!("{order:?} to be settled"), async || {
                let answer = client.get(&format!("/v1/transactions/{}", order.transaction_id)).await.ok()?;
                let document = answer.json().ok()?;
                let is_told = document["events"][0]["deliveries"]["delivered"] == 1;
                seen = Some(document.clone());
                (answer.status == StatusCode::OK && is_told).then_some(document)
            })
            .await
            .with_context(|| format!("last seen: {seen:?}"))?;
            expect_one_verdict(order, &settled)?;
        }
        self.expect_webhooks(accepted)?;
        let letters = touchstone_json(&self.backend, &["dead-letter", "list"]).await?;
        ensure!(letters["dead_letters"] == json!([]), "dead letters: {letters}");
        Ok(())
    }

    fn expect_webhooks(&self, accepted: &[Accepted]) -> anyhow::Result<()> {
        let mut ids: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for delivery in self.receiver.deliveries() {
            delivery.verify(&self.webhook_secret)?;
            let document = delivery.json()?;
            ensure!(document["type"] == "order.scored", "{document}");
            let transaction = text(&document["data"], "transaction_id")?;
            ids.entry(transaction).or_default().insert(delivery.header("webhook-id").to_owned());
        }
        for order in accepted {
            let told = ids.get(&order.transaction_id);
            ensure!(told.is_some_and(|ids| ids.len() == 1), "{order:?} was told by the webhooks {told:?}");
        }
        Ok(())
    }
}

fn expect_one_verdict(order: &Accepted, document: &Value) -> anyhow::Result<()> {
    let count = |member: &str| document[member].as_array().map_or(0, Vec::len);
    ensure!(document["order_id"] == order.order_id.as_str(), "{order:?}: {document}");
    ensure!(count("revisions") == 1, "{order:?} has several verdicts: {document}");
    ensure!(count("events") == 1 && document["events"][0]["type"] == "order.scored", "{order:?}: {document}");
    let score = document["verdict"]["risk_score"].as_i64();
    ensure!(score.is_some() && order.score.is_none_or(|told| Some(told) == score), "{order:?}: {document}");
    Ok(())
}

fn text(document: &Value, name: &str) -> anyhow::Result<String> {
    Ok(document[name].as_str().with_context(|| format!("no `{name}` in {document}"))?.to_owned())
}
