//! What the signed surface answers.

use std::time::{Duration, Instant};

use http_body_util::Full;
use hyper::{Method, Request, StatusCode};
use proptest::prelude::any;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use touchstone_ingest::Settings;
use touchstone_platform::queue::Lane;
use touchstone_schema::submission::Submission;
use touchstone_tests::{Answer, Backend, SignedClient, eventually};

use super::fixture::{Door, conflict_of, order, verdict_of};

type Wire = Request<Full<bytes::Bytes>>;

fn assert_problem(answer: &Answer, status: u16, code: &str) -> anyhow::Result<serde_json::Value> {
    let document = answer.json()?;
    anyhow::ensure!(answer.status == status && document["code"] == code, "expected {status} {code}: {answer:?}");
    anyhow::ensure!(answer.header("content-type") == "application/problem+json");
    anyhow::ensure!(!answer.header("x-request-id").is_empty());
    anyhow::ensure!(document["request_id"] == answer.header("x-request-id") && document["status"] == status);
    Ok(document)
}

/// A correct request for `order`, spoilt by `spoil`.
fn spoilt(client: &SignedClient, id: &str, spoil: impl FnOnce(&mut Wire)) -> anyhow::Result<Wire> {
    let mut request = client.request(Method::POST, "/v1/analyze", order(id).to_string())?;
    spoil(&mut request);
    request.headers_mut().insert("x-request-id", "same".parse()?);
    Ok(request)
}

fn set(name: &'static str, value: String) -> Box<dyn FnOnce(&mut Wire)> {
    Box::new(move |request| {
        request.headers_mut().insert(name, value.parse().expect("it is a header"));
    })
}

async fn verdict_then_repetition_then_conflict(door: &Door) -> anyhow::Result<()> {
    door.scorer(verdict_of).await?;
    let client = door.client(&door.keys.mine);
    let answer = client.analyze(&order("A-1")).await?;
    anyhow::ensure!(answer.status == 200, "{answer:?}");
    let document = answer.json()?;
    assert_eq!(document["order_id"], "A-1");
    assert!(document["duration_ms"].is_u64());
    assert_eq!(answer.header("ratelimit-policy"), "\"default\";q=10000;w=60");
    assert!(answer.header("ratelimit").starts_with("\"default\";r="), "{answer:?}");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    let id = document["transaction_id"].as_str().expect("it has one");
    assert_eq!(client.analyze(&order("A-1")).await?.json()?["transaction_id"], id, "the id is the order's");
    Ok(())
}

/// What is done to a request to spoil it.
type Spoil = Box<dyn FnOnce(&mut Wire)>;

#[tokio::test]
async fn waiting_caller_gets_the_verdict_embedded() -> anyhow::Result<()> {
    verdict_then_repetition_then_conflict(&Door::embedded(Settings::default()).await?).await
}

#[tokio::test]
async fn waiting_caller_gets_the_verdict_in_production() -> anyhow::Result<()> {
    verdict_then_repetition_then_conflict(&Door::production(Settings::default()).await?).await
}

#[tokio::test]
async fn refusals_before_the_signature_verified_are_the_same_bytes() -> anyhow::Result<()> {
    let door = Door::embedded(Settings::default()).await?;
    let client = door.client(&door.keys.mine);
    let theirs = &door.keys.theirs.credentials.api_key;
    let stranger = "fcc_live_00000000000000000000000000000000".to_owned();
    let mut spoils: Vec<(&str, Spoil)> = Vec::new();
    for name in [
        "authorization",
        "x-fraudshield-key",
        "x-fraudshield-timestamp",
        "x-fraudshield-nonce",
        "x-fraudshield-signature",
    ] {
        spoils.push((name, Box::new(move |request| drop(request.headers_mut().remove(name)))));
        spoils.push((name, set(name, "x".repeat(129))));
        spoils.push((name, set(name, "\u{7f}é".to_owned().replace('\u{7f}', ""))));
    }
    spoils.push(("another key in one header", set("x-fraudshield-key", theirs.clone())));
    spoils.push(("long past", set("x-fraudshield-timestamp", "1000000000".to_owned())));
    spoils.push(("a signed number", set("x-fraudshield-timestamp", "+1000000000".to_owned())));
    spoils.push(("wrong signature", set("x-fraudshield-signature", "0".repeat(64))));
    spoils.push((
        "another store's key",
        Box::new({
            let theirs = theirs.clone();
            move |request: &mut Wire| {
                set("authorization", format!("Bearer {theirs}"))(request);
                set("x-fraudshield-key", theirs)(request);
            }
        }),
    ));
    spoils.push((
        "nobody's key",
        Box::new(move |request: &mut Wire| {
            set("authorization", format!("Bearer {stranger}"))(request);
            set("x-fraudshield-key", stranger)(request);
        }),
    ));
    spoils.push((
        "body changed on its way",
        Box::new(|request: &mut Wire| *request.body_mut() = Full::new(bytes::Bytes::from_static(b"{}"))),
    ));
    let mut first: Option<bytes::Bytes> = None;
    for (what, spoil) in spoils {
        let answer = client.execute(spoilt(&client, "B-1", spoil)?).await?;
        assert_problem(&answer, 401, "unauthorized")?;
        assert_eq!(*first.get_or_insert_with(|| answer.body.clone()), answer.body, "{what}");
    }
    Ok(())
}

#[tokio::test]
async fn bad_signature_consumes_no_nonce_and_a_replay_is_told() -> anyhow::Result<()> {
    let door = Door::embedded(Settings::default()).await?;
    door.scorer(verdict_of).await?;
    let client = door.client(&door.keys.mine);
    let good = client.request(Method::POST, "/v1/analyze", order("C-1").to_string())?;
    let mut bad = good.clone();
    bad.headers_mut().insert("x-fraudshield-signature", "0".repeat(64).parse()?);
    assert_problem(&client.execute(bad.clone()).await?, 401, "unauthorized")?;
    assert_eq!(client.execute(good.clone()).await?.status, 200);
    assert_problem(&client.execute(good.clone()).await?, 401, "replayed_nonce")?;
    assert_problem(&client.execute(bad).await?, 401, "unauthorized")?;
    assert_problem(&client.execute(good).await?, 401, "replayed_nonce")?;
    Ok(())
}

#[tokio::test]
async fn key_without_the_scope_is_refused() -> anyhow::Result<()> {
    let door = Door::embedded(Settings::default()).await?;
    assert_problem(&door.client(&door.keys.no_scope).analyze(&order("D-1")).await?, 401, "missing_scope")?;
    Ok(())
}

#[tokio::test]
async fn revoked_key_is_refused_at_once() -> anyhow::Result<()> {
    let door = Door::embedded(Settings::default()).await?;
    door.cache.revoke(&door.keys.mine.id).await?;
    assert_problem(&door.client(&door.keys.mine).analyze(&order("D-2")).await?, 401, "unauthorized")?;
    Ok(())
}

#[tokio::test]
async fn previous_secret_signs_along_until_its_grace_is_over() -> anyhow::Result<()> {
    let door = Door::embedded(Settings::default()).await?;
    let old = door.client(&door.keys.mine);
    let fresh = SignedClient::new(&door.url, door.rotate(&door.keys.mine, Duration::from_secs(4)).await?);
    let answers = async |client: &SignedClient, status: u16| {
        client.get("/v1/transactions").await.ok().filter(|answer| answer.status == status)
    };
    eventually(Duration::from_secs(5), "the fresh secret", async || answers(&fresh, 200).await).await?;
    assert!(answers(&old, 200).await.is_some(), "the old secret is in its grace");
    eventually(Duration::from_secs(10), "the end of the grace", async || answers(&old, 401).await).await?;
    assert!(answers(&fresh, 200).await.is_some());
    Ok(())
}

#[tokio::test]
async fn no_headers_and_no_body_make_the_door_fail() -> anyhow::Result<()> {
    let door = Door::embedded(Settings::default()).await?;
    let client = door.client(&door.keys.mine);
    let mut runner = TestRunner::default();
    let bodies = proptest::collection::vec(any::<u8>(), 0..200);
    let json = "\\{\"(order_id|amount|currency|payment|line_items)\":[-0-9eE.\"{}\\[\\],a-z]{0,40}\\}";
    let headers = proptest::collection::vec((0usize..6, "[ -~]{0,140}"), 0..4);
    for _ in 0..200 {
        let draw = |error| anyhow::anyhow!("no case could be drawn: {error}");
        let bytes = bodies.new_tree(&mut runner).map_err(draw)?.current();
        let text = proptest::string::string_regex(json)?.new_tree(&mut runner).map_err(draw)?.current();
        for body in [bytes, text.into_bytes()] {
            let mut request = client.request(Method::POST, "/v1/analyze", body)?;
            request.headers_mut().insert("content-type", "application/json".parse()?);
            let answer = client.execute(request.clone()).await?;
            anyhow::ensure!((400..500).contains(&answer.status.as_u16()), "{request:?}: {answer:?}");
            for (at, value) in headers.new_tree(&mut runner).map_err(draw)?.current() {
                let names = [
                    "authorization",
                    "x-fraudshield-key",
                    "x-fraudshield-timestamp",
                    "x-fraudshield-nonce",
                    "x-fraudshield-signature",
                    "x-request-id",
                ];
                request.headers_mut().insert(names[at], value.parse()?);
            }
            let answer = client.execute(request).await?;
            anyhow::ensure!((400..500).contains(&answer.status.as_u16()), "{answer:?}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn bodies_are_judged_after_admission_and_each_fault_is_named() -> anyhow::Result<()> {
    let door = Door::embedded(Settings::default()).await?;
    let client = door.client(&door.keys.mine);
    let send = async |body: &str| client.send(Method::POST, "/v1/analyze", body.to_owned()).await;
    for broken in ["{", "", "[1,2", r#"{"a":1,"a":2}"#, "{\"a\":\"\\u0000\"}", "\u{feff}{}"] {
        let mut request = client.request(Method::POST, "/v1/analyze", broken.to_owned())?;
        request.headers_mut().insert("content-type", "application/json".parse()?);
        assert_problem(&client.execute(request).await?, 400, "invalid_json")?;
    }
    let problem =
        assert_problem(&send(r#"{"order_id":"E-1","amount":"1.234","currency":"EUR"}"#).await?, 422, "invalid_field")?;
    assert_eq!(problem["field"], "/amount");
    let problem = assert_problem(&send("{}").await?, 422, "invalid_field")?;
    assert_eq!(problem["errors"].as_array().map(Vec::len), Some(3), "{problem}");
    let card = r#"{"order_id":"E-2","amount":1,"currency":"EUR","payment":{"card_number":"4242 4242 4242 4242"}}"#;
    let answer = send(card).await?;
    let problem = assert_problem(&answer, 422, "card_number")?;
    assert_eq!(problem["field"], "/payment/card_number");
    assert!(!String::from_utf8_lossy(&answer.body).contains("4242"));
    for (name, value) in [
        ("content-type", "text/plain"),
        ("content-type", "application/json; charset=latin1"),
        ("content-encoding", "gzip"),
    ] {
        let mut request = client.request(Method::POST, "/v1/analyze", order("E-3").to_string())?;
        request.headers_mut().insert(name, value.parse()?);
        assert_problem(&client.execute(request).await?, 415, "unsupported_media_type")?;
    }
    Ok(())
}

#[tokio::test]
async fn over_the_limit_is_429_before_the_body_is_judged() -> anyhow::Result<()> {
    let door = Door::embedded(Settings::default()).await?;
    let client = door.client(&door.keys.few);
    let mut last = None;
    for _ in 0..3 {
        last = Some(client.send(Method::POST, "/v1/analyze", "{").await?);
    }
    let answer = last.expect("three were sent");
    assert_problem(&answer, 429, "rate_limited")?;
    assert!(answer.header("retry-after").parse::<u32>()? >= 1);
    assert_eq!(answer.header("ratelimit-policy"), "\"default\";q=2;w=60");
    assert!(answer.header("ratelimit").starts_with("\"default\";r=0;t="));
    Ok(())
}

#[tokio::test]
async fn other_order_under_the_same_id_is_409_with_the_stored_verdict() -> anyhow::Result<()> {
    let door = Door::embedded(Settings::default()).await?;
    door.scorer(conflict_of).await?;
    let answer = door.client(&door.keys.mine).analyze(&order("F-1")).await?;
    let problem = assert_problem(&answer, 409, "order_conflict")?;
    assert_eq!(problem["risk_score"], 12);
    assert_eq!(problem["order_id"], "F-1");
    Ok(())
}

async fn promises(door: &Door) -> anyhow::Result<()> {
    let client = door.client(&door.keys.mine);
    let started = Instant::now();
    let answer = client.analyze(&order("G-1")).await?;
    let took = started.elapsed();
    anyhow::ensure!(answer.status == 202, "{answer:?}");
    assert!((Duration::from_millis(3_900)..Duration::from_millis(4_900)).contains(&took), "{took:?}");
    let document = answer.json()?;
    let location = format!("/v1/transactions/{}", document["transaction_id"].as_str().unwrap_or_default());
    assert_eq!(answer.header("location"), location);
    assert_eq!(document["status"], "pending");
    let shown = client.get(&location).await?;
    assert_eq!((shown.status, shown.json()?["status"].as_str()), (StatusCode::OK, Some("pending")));
    let listed = client.get("/v1/transactions?status=pending&limit=1").await?.json()?;
    assert_eq!(listed["transactions"][0]["order_id"], "G-1", "{listed}");
    let mut consumer = door.queue.consume(Lane::Durable, 8).await?;
    let delivery = tokio::time::timeout(Duration::from_secs(10), consumer.next(8)).await?;
    let submission: Submission = serde_json::from_slice(&delivery[0].body)?;
    assert_eq!((submission.order_id.as_str(), submission.deadline), ("G-1", None));
    Ok(())
}

#[tokio::test]
async fn order_without_a_scorer_is_promised_embedded() -> anyhow::Result<()> {
    promises(&Door::embedded(Settings::default()).await?).await
}

#[tokio::test]
async fn order_without_a_scorer_is_promised_in_production() -> anyhow::Result<()> {
    promises(&Door::production(Settings::default()).await?).await
}

#[tokio::test]
async fn stopped_services_mean_503_and_the_nonce_can_be_used_again() -> anyhow::Result<()> {
    let mut servers = touchstone_tests::servers::Servers::start().await?;
    let backend = Backend::on(&servers.addresses()).await?;
    let door = Door::open(backend, Settings::default()).await?;
    let client = door.client(&door.keys.mine);
    door.scorer(verdict_of).await?;
    assert_eq!(client.analyze(&order("H-0")).await?.status, 200);
    servers.rabbitmq.stop().await?;
    let request = client.request(Method::POST, "/v1/analyze", order("H-1").to_string())?;
    for _ in 0..2 {
        let answer = client.execute(request.clone()).await?;
        assert_problem(&answer, 503, "unavailable")?;
        assert!(!answer.header("retry-after").is_empty());
    }
    servers.redis.stop().await?;
    assert_problem(&client.analyze(&order("H-2")).await?, 503, "unavailable")?;
    let ready = client.send(Method::GET, "/readyz", "").await?;
    assert_eq!(ready.status, 503);
    assert!(!String::from_utf8_lossy(&ready.body).to_lowercase().contains("redis"));
    Ok(())
}

#[tokio::test]
async fn query_parameters_that_a_route_does_not_have_are_refused_by_name() -> anyhow::Result<()> {
    let door = Door::embedded(Settings::default()).await?;
    let client = door.client(&door.keys.mine);
    for (target, field) in [
        ("/v1/transactions?satus=held", "/satus"),
        ("/v1/transactions?status=held&page=2", "/page"),
        ("/v1/deliveries?stauts=dead", "/stauts"),
        ("/v1/endpoints?all=true", "/all"),
        ("/v1/transactions/tx_01ARZ3NDEKTSV4RRFFQ69G5FAV?full", "/full"),
    ] {
        let refused = assert_problem(&client.get(target).await?, 422, "invalid_field")?;
        assert_eq!(refused["field"], field, "{target}: {refused}");
    }
    let mut posted = client.request(Method::POST, "/v1/analyze", order("Q-1").to_string())?;
    *posted.uri_mut() = format!("{}/v1/analyze?dry_run=true", door.url).parse()?;
    let refused = assert_problem(&client.execute(posted).await?, 422, "invalid_field")?;
    assert_eq!(refused["field"], "/dry_run");
    anyhow::ensure!(client.get("/v1/transactions?status=held&limit=5&cursor=").await?.status == 200);
    Ok(())
}
