//! What the Centra surface answers, and what it hands on.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http_body_util::Full;
use hyper::{Method, Request};
use serde_json::{Value, json};
use touchstone_ingest::Settings;
use touchstone_platform::clock::Clock;
use touchstone_platform::crypto::sha256_hex;
use touchstone_platform::queue::{Consumer, Disposition, Lane};
use touchstone_platform::store::{Store, StoreSettings, SystemReason};
use touchstone_schema::centra::Notice;
use touchstone_schema::ids::StoreId;
use touchstone_schema::submission::{Submission, SubmissionKind};
use touchstone_schema::tenant::Surface;
use touchstone_schema::time::Timestamp;
use touchstone_tests::servers::Servers;
use touchstone_tests::{Answer, Backend, HttpClient, Touchstone, eventually, touchstone_json};

use super::fixture::{Door, connection_row};

/// How long the broker may take to be back.
const BACK_WITHIN: Duration = Duration::from_secs(30);
/// When a notice that nobody confirms is answered: the deadline, and a busy machine.
const REFUSED_WITHIN: Duration = Duration::from_millis(4_900);

/// The vendor's sample, made valid JSON.
pub(crate) fn sample() -> Value {
    let address = json!({
        "email": "email@example.com", "firstName": "Sven", "lastName": "Nilsson", "company": "Company name",
        "address1": "Roslagsgatan 10", "address2": "", "zipCode": "113 51", "city": "Stockholm", "state": "Stockholm",
        "country": "sv_SV", "countryName": "Sweden", "phoneNumber": "+46 70 123 45 67",
    });
    let mut billing = address.clone();
    billing["vatNumber"] = json!("SE999999999999");
    json!({
        "billingAddress": billing, "shippingAddress": address, "order": {"order": "#ORDER_REF"},
        "orderLines": [
            {"sku": "SKU_CODE", "brand": "Brand name", "name": "T-shirt", "quantity": 1, "totalPrice": 10000},
        ],
        "notificationType": "orderWaitingForFraudCheck",
        "paymentDetails": {
            "pspReference": "reference", "pspIdentifier": "klarna-payments",
            "pspResponse": ["response data from the payment service provider"],
        },
        "device_details": {
            "browser_language": "sv-sv", "ip_address": "127.0.0.1",
            "user_agent": "Mozilla/5.0 (Macintosh; Intel Mac OS X 14.4; rv:123.0) Gecko/20100101 Firefox/123.0",
        },
    })
}

/// Sends a body as a shop does.
pub(crate) async fn tell(url: &str, body: impl Into<Bytes>) -> Result<Answer> {
    HttpClient::new().send(request(url, body)?).await
}

fn request(url: &str, body: impl Into<Bytes>) -> Result<Request<Full<Bytes>>> {
    let request = Request::builder().method(Method::POST).uri(url).header("content-type", "application/json");
    Ok(request.header("x-request-id", "same").body(Full::new(body.into()))?)
}

async fn next(consumer: &mut dyn Consumer) -> Result<Bytes> {
    let deliveries = tokio::time::timeout(BACK_WITHIN, consumer.next(1)).await.context("nothing is on the lane")?;
    let body = deliveries.first().context("a delivery")?.body.clone();
    consumer.settle(deliveries.into_iter().map(|delivery| (delivery, Disposition::Ack)).collect()).await?;
    Ok(body)
}

async fn next_notice(consumer: &mut dyn Consumer) -> Result<Notice> {
    Ok(serde_json::from_slice(&next(consumer).await?)?)
}

#[tokio::test]
async fn notice_of_the_vendors_sample_is_accepted_and_handed_on_whole() -> Result<()> {
    let door = Door::embedded(Settings::default()).await?;
    let (connection, url) = door.connect_shop(&door.keys.mine).await?;
    let answer = tell(&url, sample().to_string()).await?;
    assert_eq!((answer.status.as_u16(), answer.json()?), (202, json!({"status": "accepted"})));
    assert_eq!((answer.header("x-request-id"), answer.header("content-type")), ("same", "application/json"));

    let mut lane = door.queue.consume(Lane::Notices, 8).await?;
    let notice = next_notice(lane.as_mut()).await?;
    assert_eq!((notice.version, &notice.connection_id, &notice.tenant), (1, &connection, &door.keys.mine.tenant));
    assert_eq!((notice.kind.as_str(), notice.reference.as_str()), ("orderWaitingForFraudCheck", "#ORDER_REF"));
    assert_eq!(notice.request_id.as_str(), "same");
    assert_eq!(serde_json::from_str::<Value>(notice.document.get())?, sample());
    Ok(())
}

#[tokio::test]
async fn unknown_types_and_odd_shapes_are_accepted_and_card_numbers_masked() -> Result<()> {
    let door = Door::embedded(Settings::default()).await?;
    let (_, url) = door.connect_shop(&door.keys.mine).await?;
    let mut notice = sample();
    notice["notificationType"] = json!("orderOnTheMoon");
    notice["order"]["order"] = json!(1001);
    notice["billingAddress"] = json!([7]);
    notice["device_details"] = json!("none");
    notice["paymentDetails"]["pspResponse"] =
        json!({"cardNumber": "4111 1111 1111 1111", "deep": [4_111_111_111_111_111_u64]});
    assert_eq!(tell(&url, notice.to_string()).await?.status, 202);
    let mut lane = door.queue.consume(Lane::Notices, 8).await?;
    let taken = next_notice(lane.as_mut()).await?;
    assert_eq!((taken.kind.as_str(), taken.reference.as_str()), ("orderOnTheMoon", "1001"));
    let document = taken.document.get();
    assert!(!document.contains("4111") && document.contains("1111\""), "{document}");
    Ok(())
}

#[tokio::test]
async fn failed_payment_goes_to_the_scorer_and_is_the_same_however_often_it_is_told() -> Result<()> {
    let door = Door::embedded(Settings::default()).await?;
    let (_, url) = door.connect_shop(&door.keys.mine).await?;
    let (_, other_url) = door.connect_shop(&door.keys.mine).await?;
    let mut notice = sample();
    notice["notificationType"] = json!("failedPaymentAttempt");
    for (url, text) in [(&url, notice.to_string()), (&url, format!("{notice:#}")), (&other_url, notice.to_string())] {
        assert_eq!(tell(url, text).await?.status, 202);
    }
    let mut lane = door.queue.consume(Lane::Durable, 8).await?;
    let mut told = Vec::<Submission>::new();
    for _ in 0..3 {
        told.push(serde_json::from_slice(&next(lane.as_mut()).await?)?);
    }
    assert_eq!((&told[0].id, &told[0].transaction_id), (&told[1].id, &told[1].transaction_id));
    assert_ne!((&told[0].id, &told[0].transaction_id), (&told[2].id, &told[2].transaction_id));
    let first = &told[0];
    assert_eq!((first.kind, first.surface, first.deadline), (SubmissionKind::FailedAttempt, Surface::Centra, None));
    assert_eq!((&first.tenant, first.order_id.as_str()), (&door.keys.mine.tenant, "#ORDER_REF"));
    let order: Value = serde_json::from_str(first.document.get())?;
    assert_eq!((&order["amount"], &order["currency"]), (&json!(0), &json!("EUR")));
    assert_eq!((&order["billing_address"]["country"], &order["ip_address"]), (&json!("SE"), &json!("127.0.0.1")));
    assert_eq!(order["payment"]["method"], "klarna-payments");
    assert_eq!(door.queue.depth(Lane::Notices).await?, 0);
    Ok(())
}

#[tokio::test]
async fn more_notices_than_a_connection_may_send_are_429_and_other_connections_are_not_slowed() -> Result<()> {
    let clock = Clock::manual(Timestamp::from_millis(1_777_900_000_000));
    let door = Door::open_at(Backend::embedded()?, Settings::default(), clock).await?;
    let (_, url) = door.connect_shop(&door.keys.mine).await?;
    let (_, other) = door.connect_shop(&door.keys.mine).await?;
    let mut refused = None;
    for number in 0..400 {
        let mut notice = sample();
        notice["order"]["order"] = json!(number);
        let answer = tell(&url, notice.to_string()).await?;
        if answer.status != 202 {
            refused = Some((number, answer));
            break;
        }
    }
    let (number, answer) = refused.context("a connection may not send without end")?;
    assert_eq!((number, answer.status.as_u16()), (300, 429));
    assert_eq!((&answer.json()?["code"], answer.header("retry-after")), (&json!("too_many_notices"), "1"));
    assert_eq!(tell(&other, sample().to_string()).await?.status, 202);
    door.clock.advance(Duration::from_secs(1));
    assert_eq!(tell(&url, sample().to_string()).await?.status, 202);
    Ok(())
}

#[tokio::test]
async fn bad_bodies_are_400_and_name_the_field() -> Result<()> {
    let door = Door::embedded(Settings::default()).await?;
    let (_, url) = door.connect_shop(&door.keys.mine).await?;
    let with = |pointer: &str, value: Value| {
        let mut notice = sample();
        *notice.pointer_mut(pointer).expect("the sample has it") = value;
        notice.to_string()
    };
    for (body, code, field) in [
        ("{".to_owned(), "invalid_json", None),
        (String::new(), "invalid_json", None),
        (r#"{"order":{"order":"1","order":"2"}}"#.to_owned(), "invalid_json", Some("/order/order")),
        (with("/order/order", json!("a\u{0}")), "invalid_json", Some("/order/order")),
        (with("/order/order", json!(" ")), "invalid_field", Some("/order/order")),
        (with("/order", json!([])), "invalid_field", Some("/order/order")),
        (with("/notificationType", json!(null)), "invalid_field", Some("/notificationType")),
        (with("/notificationType", json!("x".repeat(65))), "invalid_field", Some("/notificationType")),
        ("[]".to_owned(), "invalid_field", Some("/order/order")),
    ] {
        let answer = tell(&url, body.clone()).await?;
        let problem = answer.json()?;
        assert_eq!((answer.status.as_u16(), problem["code"].as_str()), (400, Some(code)), "{body} {problem}");
        assert_eq!(problem.get("field").and_then(Value::as_str), field, "{body} {problem}");
    }
    for (name, value, status) in [("content-type", "text/plain", 415), ("content-encoding", "gzip", 415)] {
        let mut request = request(&url, sample().to_string())?;
        request.headers_mut().insert(name, value.parse()?);
        assert_eq!(HttpClient::new().send(request).await?.status, status, "{name}");
    }
    let large = tell(&url, "x".repeat(262_145)).await;
    assert!(large.is_ok_and(|answer| answer.status == 413));
    assert_eq!(door.queue.depth(Lane::Notices).await?, 0);
    Ok(())
}

#[tokio::test]
async fn strangers_and_ended_paths_get_the_same_bytes_whatever_they_send() -> Result<()> {
    let clock = Clock::manual(Timestamp::from_millis(1_777_900_000_000));
    let door = Door::open_at(Backend::embedded()?, Settings::default(), clock).await?;
    let system = door.store.system(SystemReason::Operator);
    let (ended, ended_url) = door.connect_shop(&door.keys.mine).await?;
    system.end_connection(&ended, door.clock.now()).await?;
    let (rotated, previous_url) = door.connect_shop(&door.keys.mine).await?;
    let until = door.clock.now() + Duration::from_secs(60);
    system.rotate_connection_path(&rotated, &sha256_hex(b"fresh"), until, door.clock.now()).await?;
    door.directory.refresh_now().await?;
    let fresh_url = format!("{}/v1/centra/fresh", door.url);
    for url in [&fresh_url, &previous_url] {
        assert_eq!(tell(url, sample().to_string()).await?.status, 202, "until then both are taken");
    }
    door.clock.advance(Duration::from_secs(60));
    assert_eq!(tell(&fresh_url, sample().to_string()).await?.status, 202);

    let strange = ["00", "%ff%00", "..%2f..", "fresh%20", &"x".repeat(4_000)]
        .map(|token| format!("{}/v1/centra/{token}", door.url));
    let mut refusals = Vec::new();
    for url in strange.iter().chain([&ended_url, &previous_url]) {
        for body in [sample().to_string(), "{".to_owned(), String::new()] {
            let mut refused = request(url, body)?;
            refusals.push(HttpClient::new().send(refused.clone()).await?);
            refused.headers_mut().insert("content-type", "text/plain".parse()?);
            refusals.push(HttpClient::new().send(refused).await?);
        }
    }
    for refused in &refusals {
        ensure!(refused.status == 401 && refused.body == refusals[0].body, "{refused:?}");
    }
    assert_eq!(refusals[0].json()?["code"], "unauthorized");
    Ok(())
}

#[tokio::test]
async fn notice_counts_for_the_store_of_its_path_and_for_no_other() -> Result<()> {
    let door = Door::embedded(Settings::default()).await?;
    let (mine, theirs) = (&door.keys.mine, &door.keys.theirs);
    let (connection, url) = door.connect_shop(theirs).await?;
    let path = url.strip_prefix(&door.url).context("a path of this door")?;
    let mut notice = sample();
    notice["store_id"] = json!(mine.tenant.store_id);
    notice["tenant"] = json!(mine.tenant);
    for kind in ["orderWaitingForFraudCheck", "failedPaymentAttempt"] {
        notice["notificationType"] = json!(kind);
        // Signed by the one, on the path of the other.
        assert_eq!(door.client(mine).post(path, &notice).await?.status, 202);
    }
    let mut lane = door.queue.consume(Lane::Notices, 8).await?;
    let taken = next_notice(lane.as_mut()).await?;
    assert_eq!((&taken.tenant, &taken.connection_id), (&theirs.tenant, &connection));
    let mut lane = door.queue.consume(Lane::Durable, 8).await?;
    let taken: Submission = serde_json::from_slice(&next(lane.as_mut()).await?)?;
    assert_eq!(taken.tenant, theirs.tenant);
    for key in [mine, theirs] {
        let listed = door.client(key).get("/v1/transactions").await?.json()?;
        assert_eq!(listed["transactions"], json!([]));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn notices_are_taken_without_cache_and_database_and_not_without_the_broker() -> Result<()> {
    let mut servers = Box::pin(Servers::start()).await?;
    let backend = Backend::on(&servers.addresses()).await?;
    let door = Box::pin(Door::open(backend, Settings::default())).await?;
    let (_, url) = door.connect_shop(&door.keys.mine).await?;
    let mut failed = sample();
    failed["notificationType"] = json!("failedPaymentAttempt");
    let both = [sample().to_string(), failed.to_string()];

    servers.redis.stop().await?;
    servers.postgres.stop().await?;
    for body in &both {
        let answer = tell(&url, body.clone()).await?;
        ensure!(answer.status == 202, "{answer:?}");
    }
    assert_eq!(tell(&format!("{}/v1/centra/00", door.url), "{}").await?.status, 401);

    servers.rabbitmq.stop().await?;
    for body in &both {
        let started = std::time::Instant::now();
        let answer = tell(&url, body.clone()).await?;
        ensure!(answer.status == 503 && answer.header("retry-after").parse::<u32>().is_ok(), "{answer:?}");
        ensure!(started.elapsed() < REFUSED_WITHIN, "refused after {:?}", started.elapsed());
    }
    servers.rabbitmq.restart().await?;
    eventually(BACK_WITHIN, "notices to be taken again", async || {
        (tell(&url, both[0].clone()).await.ok()?.status == 202).then_some(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn token_is_neither_logged_nor_measured() -> Result<()> {
    let backend = Backend::embedded()?;
    let named = |document: &Value, name: &str| document[name].as_str().map(str::to_owned).context("no id");
    let merchant = touchstone_json(&backend, &["merchant", "create", "--name", "Keller"]).await?;
    let merchant = named(&merchant, "merchant_id")?;
    let store = touchstone_json(&backend, &["store", "create", "--merchant", &merchant, "--name", "Shop"]).await?;
    let store: StoreId = named(&store, "store_id")?.parse()?;
    let database = Store::open(&StoreSettings::Sqlite { path: backend.data_dir().join("touchstone.sqlite") }).await?;
    let row = connection_row(&store, "the-token-of-the-path", &Clock::system());
    database.system(SystemReason::Operator).add_connection(&row).await?;
    drop(database);

    let process = Touchstone::new("all", &backend)?.with("TOUCHSTONE_LOG", "trace").start().await?;
    let of = |token: &str| format!("{}/v1/centra/{token}", process.url());
    let known = of("the-token-of-the-path");
    assert_eq!(tell(&known, sample().to_string()).await?.status, 202);
    assert_eq!(tell(&known, "{").await?.status, 400);
    let refused = tell(&of("the-token-of-a-stranger"), "{}").await?;
    assert_eq!(HttpClient::new().get(&known).await?.status, 405);
    assert_eq!(HttpClient::new().get(&format!("{known}/more")).await?.status, 404);
    let metrics = HttpClient::new().get(&format!("{}/metrics", process.probe_url())).await?;
    let (log, metrics) = (process.log()?, String::from_utf8_lossy(&metrics.body).into_owned());
    for told in [&log, &metrics, &String::from_utf8_lossy(&refused.body).into_owned()] {
        assert!(!told.contains("the-token-of"), "{told}");
    }
    for told in [&log, &metrics] {
        assert!(told.contains("/v1/centra/{connector_token}"), "{told}");
    }
    Ok(())
}
