//! Thousands of orders that look real but for one or a few fields: each is screened, or refused with a required field.
//!
//! The changes are what integrations do by mistake: a field is dropped, emptied, given another type or another encoding.
//! They are drawn by a generator of a fixed seed, so a failure can be repeated.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use anyhow::{Result, bail, ensure};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};
use touchstone_hostile::{mutated, samples};
use touchstone_platform::queue::{Disposition, Lane};
use touchstone_schema::tenant::{KeyMode, KeyScope};
use touchstone_tests::{Answer, eventually};

use crate::ingest::centra::{sample as notice, tell};
use crate::ingest::orders::{Shop, order as placed_order};
use crate::pipeline::checks::client as checks_client;
use crate::pipeline::fixture::{PATIENCE, Pipeline};

/// Mutated orders of each surface.
const ORDERS: usize = 10_000;
/// Requests that are under way at once.
const AT_ONCE: usize = 32;
/// Orders after which the clock moves on by a minute, so that the store's rate limit is never the reason of a refusal.
const ORDERS_A_MINUTE: usize = 4_000;
/// The same of Centra's notices, whose pace is slower; a long one counts as several.
const NOTICES_A_MINUTE: usize = 100;

/// Whether the answer is a verdict, or a refusal that names only required fields.
fn is_screened_or_refused_by_a_required_field(
    answer: &Answer,
    order: &Value,
    fields: &[Value],
    required: &[&str],
) -> Result<()> {
    if answer.status == 200 || answer.status == 202 {
        return Ok(());
    }
    ensure!([400, 406, 422].contains(&answer.status.as_u16()), "{answer:?} of {order}");
    let is_required = |field: &Value| {
        let field = field.as_str().unwrap_or_default();
        let plain: Vec<_> = field.split('/').map(|part| if part.parse::<u32>().is_ok() { "*" } else { part }).collect();
        required.contains(&plain.join("/").as_str())
    };
    ensure!(!fields.is_empty() && fields.iter().all(is_required), "{answer:?} of {order}");
    Ok(())
}

/// Sends mutated orders, each under its own number, and looks at every answer.
async fn send_all(pipeline: &Pipeline, a_minute: usize, send: impl AsyncFn(usize) -> Result<()>) -> Result<()> {
    for minute in 0..ORDERS.div_ceil(a_minute) {
        pipeline.door.clock.advance(std::time::Duration::from_secs(60));
        let numbers = minute * a_minute..ORDERS.min((minute + 1) * a_minute);
        stream::iter(numbers).map(|number| Ok(send(number))).try_buffer_unordered(AT_ONCE).try_collect::<()>().await?;
    }
    Ok(())
}

fn listed_fields(answer: &Answer) -> Vec<Value> {
    let Ok(document) = answer.json() else { return Vec::new() };
    let listed =
        document["errors"].as_array().into_iter().flatten().map(|one| one["field"].clone()).collect::<Vec<_>>();
    if listed.is_empty() { vec![document["field"].clone()] } else { listed }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mutated_signed_orders_are_screened_or_refused_by_a_required_field() -> Result<()> {
    let mut pipeline = Pipeline::embedded().await?;
    pipeline.score();
    let client = pipeline.client();
    let send = async |number: usize| {
        let id = format!("M-{number}");
        let order = mutated(super::warnings::order(&id), "/order_id", number as u64);
        let answer = client.analyze(&order).await?;
        let fields = listed_fields(&answer);
        is_screened_or_refused_by_a_required_field(&answer, &order, &fields, &["/amount", "/currency"])
    };
    send_all(&pipeline, ORDERS_A_MINUTE, send).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mutated_checks_are_screened_or_refused_by_a_required_field() -> Result<()> {
    let mut pipeline = Pipeline::embedded().await?;
    pipeline.score();
    let client = checks_client(&pipeline);
    let required = [
        "/transaction/ordered_on",
        "/transaction/order_total",
        "/transaction/order_currency",
        "/products/*/product_id",
        "/products/*/title",
        "/products/*/price",
        "/products/*/quantity",
        "/products/product_id",
        "/products/title",
        "/products/price",
        "/products/quantity",
        "/transaction/type",
    ];
    let send = async |number: usize| {
        let mut check = samples::first_document(samples::CHECKS);
        check["transaction"]["order_id"] = json!(format!("M-{number}"));
        check["billing"]["email"] = json!(format!("ann.{number}@keller-garden.com"));
        let check = mutated(check, "/transaction/order_id", number as u64);
        let answer = client.check(&check).await?;
        let fields = [answer.json().unwrap_or_default()["source"].clone()];
        is_screened_or_refused_by_a_required_field(&answer, &check, &fields, &required)
    };
    send_all(&pipeline, ORDERS_A_MINUTE, send).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mutated_placed_orders_are_taken_or_refused_by_a_required_field() -> Result<()> {
    let mut pipeline = Pipeline::embedded().await?;
    let key = pipeline.door.add_key(&pipeline.door.keys.mine, KeyMode::Live, KeyScope::Orders).await?;
    pipeline.score();
    let shop = Shop::at(&pipeline.door.url, &key.credentials.api_key);
    let address = ["firstName", "lastName", "address1", "city", "state", "country", "zip", "eveningPhone", "email"];
    let product = ["sku", "name", "sellingPrice", "qty", "stockNumber", "brandName", "brandname"];
    let payment = ["paymentType", "bin", "lastFour", "avsCode", "cidResponse"];
    let order =
        ["siteName", "grandTotal", "orderDate", "billing", "orderProducts", "payments"].map(|name| format!("/{name}"));
    let mut required: Vec<String> = order.into();
    required.extend(address.iter().map(|name| format!("/billing/{name}")));
    for name in product {
        required.extend([
            format!("/orderProducts/*/{name}"),
            format!("/orderProducts/{name}"),
            "/orderProducts/*".to_owned(),
        ]);
    }
    for name in payment {
        required.extend([format!("/payments/*/{name}"), format!("/payments/{name}"), "/payments/*".to_owned()]);
    }
    let required: Vec<&str> = required.iter().map(String::as_str).collect();
    let send = async |number: usize| {
        let mut order = placed_order(&format!("M-{number}"));
        // Moved to another field it would be a card number, and rightly refused.
        order["payments"][0]["gatewayTransactionId"] = json!(format!("ch_{number}"));
        let order = mutated(order, "/orderNumber", number as u64);
        let answer = shop.submit(&order).await?;
        let fields = listed_fields(&answer);
        is_screened_or_refused_by_a_required_field(&answer, &order, &fields, &required)
    };
    send_all(&pipeline, ORDERS_A_MINUTE, send).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mutated_centra_notices_are_taken_or_refused_by_a_required_field() -> Result<()> {
    let pipeline = Pipeline::embedded().await?;
    let (_, url) = pipeline.door.connect_shop(&pipeline.door.keys.mine).await?;
    let accepted = AtomicUsize::new(0);
    let send = async |number: usize| {
        let mut notice = notice();
        notice["order"]["order"] = json!(format!("#{number}"));
        if number.is_multiple_of(4) {
            notice["notificationType"] = json!("failedPaymentAttempt");
        }
        let notice = mutated(notice, "", number as u64);
        let answer = tell(&url, notice.to_string()).await?;
        accepted.fetch_add(usize::from(answer.status == 202), Relaxed);
        let fields = listed_fields(&answer);
        is_screened_or_refused_by_a_required_field(&answer, &notice, &fields, &["/order/order", "/notificationType"])
    };
    let lanes = async {
        tokio::try_join!(drain(&pipeline, Lane::Notices, &accepted), drain(&pipeline, Lane::Durable, &accepted))
    };
    let sent = async {
        send_all(&pipeline, NOTICES_A_MINUTE, send).await?;
        // What was accepted is on a lane.
        eventually(PATIENCE, "every accepted notice to be taken from its lane", async || {
            (accepted.load(Relaxed) == 0).then_some(())
        })
        .await
    };
    tokio::select! {
        sent = sent => sent,
        ended = lanes => ended.and_then(|_| bail!("a lane ended")),
    }
}

/// Takes what is on a lane, and counts it down.
async fn drain(pipeline: &Pipeline, lane: Lane, count: &AtomicUsize) -> Result<()> {
    let mut consumer = pipeline.door.queue.consume(lane, 256).await?;
    loop {
        let deliveries = consumer.next(256).await;
        count.fetch_sub(deliveries.len(), Relaxed);
        consumer.settle(deliveries.into_iter().map(|delivery| (delivery, Disposition::Ack)).collect()).await?;
    }
}
