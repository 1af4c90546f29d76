//! What becomes of orders once they are scored, decided and reported on.

use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use touchstone_platform::store::SystemReason;
use touchstone_schema::tenant::{KeyMode, Product, Tenant};
use touchstone_tests::{Backend, SignedClient, eventually};

use super::{Shop, order};
use crate::pipeline::fixture::{PATIENCE, Pipeline};

/// An order that a person should look at.
fn suspicious(number: &str) -> Value {
    let mut order = order(number);
    order["billing"]["email"] = json!("xk29qz7r1@mailinator.com");
    order["payments"][0]["avsCode"] = json!("N");
    order["payments"][0]["cidResponse"] = json!("N");
    order["repeatCustomer"] = json!(false);
    order
}

async fn scored(shop: &Shop, path: &str) -> anyhow::Result<Value> {
    eventually(PATIENCE, "the order to be scored", async || {
        let shown = shop.shown(path).await.ok()?;
        (shown["status"] != "pending").then_some(shown)
    })
    .await
}

/// The only transaction of the caller's store.
async fn transaction_of(client: &SignedClient, number: &str) -> anyhow::Result<Value> {
    let listed = client.get("/v1/transactions").await?.json()?;
    let all = listed["transactions"].as_array().context("a list")?;
    let one = all.iter().find(|one| one["order_id"] == number).context("no such transaction")?;
    let id = one["transaction_id"].as_str().context("an id")?;
    client.get(&format!("/v1/transactions/{id}")).await?.json()
}

/// What the level of a verdict means to the product.
fn expected(product: Product, level: &str) -> &'static str {
    match (product, level) {
        (Product::ScoreOnly, _) => "scoreonly",
        (Product::Guaranteed, "low") => "allowed",
        (Product::Guaranteed, "critical") => "fraud",
        (Product::Guaranteed, _) => "rejected",
        (Product::Safe, "low") => "safe",
        (Product::Safe, _) => "review",
    }
}

async fn verdicts_mean_what_the_product_says(backend: Backend) -> anyhow::Result<()> {
    let mut pipeline = Pipeline::open(backend).await?;
    pipeline.score();
    for product in [Product::Guaranteed, Product::Safe, Product::ScoreOnly] {
        let (orders, signed) = pipeline.door.add_orders_store(product).await?;
        let (shop, client) = (Shop::new(&pipeline.door, &orders), pipeline.door.client(&signed));
        for body in [order("GOOD"), suspicious("BAD")] {
            let shown = scored(&shop, &shop.place(&body).await?).await?;
            let number = body["orderNumber"].as_str().context("a number")?;
            let transaction = transaction_of(&client, number).await?;
            let verdict = &transaction["verdict"];
            let level = verdict["risk_level"].as_str().with_context(|| format!("no level: {transaction}"))?;
            ensure!(shown["status"] == expected(product, level), "{product} {level}: {shown}");
            assert_eq!(verdict["order_id"], number, "what webhooks tell");
            let score = if product == Product::ScoreOnly { verdict["risk_score"].clone() } else { Value::Null };
            assert_eq!(shown["scoreonly"], score);
            assert_eq!(shown["declineReason"].is_string(), ["rejected", "fraud"].contains(&expected(product, level)));
            assert_eq!(shown["resolvedDate"].is_null(), shown["status"] == "review");
        }
    }
    Ok(())
}

#[tokio::test]
async fn verdicts_mean_what_the_product_says_on_the_embedded_default() -> anyhow::Result<()> {
    verdicts_mean_what_the_product_says(Backend::embedded()?).await
}

#[tokio::test]
async fn verdicts_mean_what_the_product_says_in_production() -> anyhow::Result<()> {
    verdicts_mean_what_the_product_says(Backend::production().await?).await
}

#[tokio::test]
async fn decisions_labels_and_cancellations_move_the_status() -> anyhow::Result<()> {
    let mut pipeline = Pipeline::embedded().await?;
    pipeline.score();
    let (orders, signed) = pipeline.door.add_orders_store(Product::Guaranteed).await?;
    let (shop, client) = (Shop::new(&pipeline.door, &orders), pipeline.door.client(&signed));
    let path = shop.place(&suspicious("1")).await?;
    let before = scored(&shop, &path).await?;
    assert!(["rejected", "fraud"].contains(&before["status"].as_str().unwrap_or_default()), "{before}");
    let transaction = transaction_of(&client, "1").await?;
    let id = transaction["transaction_id"].as_str().context("an id")?;
    let mut last_modified = before["lastModified"].clone();
    for (route, document, status, class) in [
        ("decision", json!({"decision": "approve", "reviewer": "ada"}), "allowed", json!(null)),
        (
            "outcome",
            json!({"type": "fraud_confirmed", "occurred_at": "2026-05-04T00:00:00Z"}),
            "fraud",
            json!("missed"),
        ),
        ("outcome", json!({"type": "cancelled", "occurred_at": "2026-05-04T00:00:01Z"}), "cancelled", json!(null)),
    ] {
        pipeline.door.clock.advance(Duration::from_secs(1));
        let answer = client.post(&format!("/v1/transactions/{id}/{route}"), &document).await?;
        ensure!(answer.status == 200, "{answer:?}");
        let shown = shop.shown(&path).await?;
        assert_eq!((&shown["status"], &shown["efraudClass"]), (&json!(status), &class), "{shown}");
        assert!(shown["lastModified"].as_str() > last_modified.as_str(), "{shown}");
        assert_eq!(shown["resolvedDate"], shown["lastModified"]);
        last_modified = shown["lastModified"].clone();
    }
    Ok(())
}

/// An order that a person should look at, whose end the merchant reports instead, before or after its verdict.
async fn a_reported_end_ends_the_review(backend: Backend) -> anyhow::Result<()> {
    let mut pipeline = Pipeline::open(backend).await?;
    let (orders, signed) = pipeline.door.add_orders_store(Product::Safe).await?;
    let (shop, client) = (Shop::new(&pipeline.door, &orders), pipeline.door.client(&signed));
    let report = async |number: &str, kind: &str| -> anyhow::Result<String> {
        let id = transaction_of(&client, number).await?["transaction_id"].as_str().context("an id")?.to_owned();
        let document = json!({"type": kind, "occurred_at": "2026-05-04T00:00:00Z"});
        let answer = client.post(&format!("/v1/transactions/{id}/outcome"), &document).await?;
        ensure!(answer.status == 200, "{answer:?}");
        Ok(id)
    };
    let early = shop.place(&suspicious("EARLY")).await?;
    report("EARLY", "cancelled").await?;
    assert_eq!(transaction_of(&client, "EARLY").await?["status"], shop.shown(&early).await?["status"]);
    pipeline.score();
    for (kind, on_orders, on_signed) in [
        ("cancelled", "cancelled", "cancelled"),
        ("fulfilled", "safe", "approved"),
        ("refunded", "cancelled", "closed"),
        ("fraud_confirmed", "fraud", "closed"),
        ("chargeback_reversed", "safe", "closed"),
    ] {
        let path = shop.place(&suspicious(kind)).await?;
        let waiting = scored(&shop, &path).await?;
        ensure!(waiting["status"] == "review", "{waiting}");
        let id = report(kind, kind).await?;
        let (shown, transaction) = (shop.shown(&path).await?, transaction_of(&client, kind).await?);
        assert_eq!((&shown["status"], &transaction["status"]), (&json!(on_orders), &json!(on_signed)), "{kind}");
        assert!(shown["resolvedDate"].is_string(), "{shown}");
        let decision = json!({"decision": "approve", "reviewer": "ada"});
        let refused = client.post(&format!("/v1/transactions/{id}/decision"), &decision).await?;
        assert_eq!((refused.status.as_u16(), &refused.json()?["standing"]), (409, &json!(on_signed)), "{kind}");
    }
    let early_id = transaction_of(&client, "EARLY").await?["transaction_id"].clone();
    let settled = pipeline.settled(&client, early_id.as_str().context("an id")?).await?;
    eventually(PATIENCE, "the order that was cancelled early to be scored", async || {
        let shown = transaction_of(&client, "EARLY").await.ok()?;
        shown["verdict"].is_object().then_some(())
    })
    .await?;
    assert_eq!(settled["status"], "cancelled");
    assert_eq!(transaction_of(&client, "EARLY").await?["status"], "cancelled");
    assert_eq!(client.get("/v1/transactions?status=review").await?.json()?["transactions"], json!([]));
    Ok(())
}

#[tokio::test]
async fn a_reported_end_ends_the_review_on_the_embedded_default() -> anyhow::Result<()> {
    a_reported_end_ends_the_review(Backend::embedded()?).await
}

#[tokio::test]
async fn a_reported_end_ends_the_review_in_production() -> anyhow::Result<()> {
    a_reported_end_ends_the_review(Backend::production().await?).await
}

#[tokio::test]
async fn trial_orders_are_screened_and_leave_the_live_world_alone() -> anyhow::Result<()> {
    let mut pipeline = Pipeline::embedded().await?;
    pipeline.score();
    let (orders, _) = pipeline.door.add_orders_store(Product::Guaranteed).await?;
    let shop = Shop::new(&pipeline.door, &orders);
    let mut trial = order("TEST-1");
    trial["grandTotal"] = json!("0.11");
    let path = shop.place(&trial).await?;
    let shown = eventually(PATIENCE, "the trial order to be scored", async || {
        let shown = shop.shown(&path).await.ok()?;
        shown["scoreonly"].is_number().then_some(shown)
    })
    .await?;
    assert_eq!(shown["status"], "scoreonly");
    let later = pipeline.door.clock.now() + Duration::from_secs(60);
    let sizes = async |mode| {
        let world = Tenant { store_id: orders.tenant.store_id.clone(), mode };
        anyhow::Ok(pipeline.door.store.tenant(&world).amounts_before(later, 10).await?.len())
    };
    assert_eq!((sizes(KeyMode::Live).await?, sizes(KeyMode::Test).await?), (0, 1));
    Ok(())
}

/// What a door leaves behind that is killed between its commit and the broker's word.
#[tokio::test]
async fn an_order_that_was_committed_and_not_published_is_screened_all_the_same() -> anyhow::Result<()> {
    let mut pipeline = Pipeline::embedded().await?;
    let (orders, _) = pipeline.door.add_orders_store(Product::Guaranteed).await?;
    let shop = Shop::new(&pipeline.door, &orders);
    let path = shop.place(&order("1")).await?;
    // The message is taken away and dropped, as if it had never been sent.
    let mut consumer = pipeline.door.queue.consume(touchstone_platform::queue::Lane::Durable, 1).await?;
    let lost = consumer.next(1).await;
    let lost = lost.into_iter().map(|one| (one, touchstone_platform::queue::Disposition::Ack)).collect();
    consumer.settle(lost).await?;
    drop(consumer);
    let again = shop.submit(&order("1")).await?;
    assert_eq!((again.status.as_u16(), again.header("location")), (409, path.as_str()));
    assert_eq!(shop.shown(&path).await?["status"], "pending");
    pipeline.door.clock.advance(touchstone_schema::limits::PENDING_SWEEP_AGE);
    pipeline.score();
    assert_ne!(scored(&shop, &path).await?["status"], "pending");
    let left = pipeline.door.store.system(SystemReason::RoleLoop);
    let far = pipeline.door.clock.now() + Duration::from_secs(86_400);
    assert!(left.claim_overdue(far, 10).await?.is_empty(), "the promise is kept");
    Ok(())
}
