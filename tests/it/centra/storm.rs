//! A shop that fails at random, notices that are lost, repeated and out of order, and a notifier that is killed again and
//! again: every order is resumed or cancelled exactly once.
//!
//! The number of orders is small enough for every day; `TOUCHSTONE_STORM_ORDERS` makes it a storm.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use hyper::{Method, Request};
use serde_json::Value;
use touchstone_centra_double::{Centra, Chaos, Fault, Kind, On, Order, RetryAfter, Settings};
use touchstone_platform::random;
use touchstone_tests::{Backend, HttpClient, Touchstone, eventually, touchstone_json};

/// Orders of an ordinary run.
const ORDERS: i32 = 60;
/// Time between two kills.
const PACE: Duration = Duration::from_secs(5);
/// Longest that the last of it may take.
const CLOSED_WITHIN: Duration = Duration::from_secs(60);
/// Longest that the whole may take, for each order.
const PATIENCE_PER_ORDER: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_held_order_is_settled_exactly_once_while_everything_fails() -> Result<()> {
    let orders = std::env::var("TOUCHSTONE_STORM_ORDERS").ok().and_then(|text| text.parse().ok()).unwrap_or(ORDERS);
    let backend = Backend::production().await?;
    let centra = Centra::start(Settings::default()).await?;
    let mut shop = Shop::open(&backend, &centra).await?;
    let chaos = |on, faults: &[(Fault, u32)]| Chaos { seed: 7, on, per_mille: faults.to_vec() };
    centra.set_chaos(Some(chaos(
        On::Any,
        &[
            (Fault::Status(500), 60),
            (Fault::StatusAfterApplying(502), 40),
            (Fault::NeverAnswerAfterApplying, 50),
            (Fault::TooMany(RetryAfter::Seconds), 50),
        ],
    )));
    let began = Instant::now();
    let (ids, lost) = announced(&shop, &centra, orders).await?;
    let mut kills = 0;
    let patience = PATIENCE_PER_ORDER * u32::try_from(orders)? + Duration::from_secs(60);
    let settled = || ids.keys().all(|id| !centra.applied(id).is_empty());
    while !settled() {
        ensure!(began.elapsed() < patience, "{}", report(&centra, &ids, kills, began));
        // Killed in the midst of its work, which begins anew under the next lease.
        let _ = eventually(PACE, "every order to be settled", async || settled().then_some(())).await;
        if !settled() {
            shop.notifier.launch()?;
            kills += 1;
        }
    }
    let took = began.elapsed();
    shop.notifier.wait_until_ready().await?;
    centra.set_chaos(None);
    shop.expect_closed(&backend).await?;
    for (id, kind) in &ids {
        let applied: Vec<_> = centra.applied(id).into_iter().map(|mutation| mutation.kind).collect();
        assert_eq!(applied, [*kind], "{id}");
    }
    show(format_args!(
        "{orders} orders, {lost} never announced, settled in {took:?} with {kills} kills: {:?}",
        centra.requests()
    ));
    Ok(())
}

/// The figures of a run, for who asks for its output.
#[expect(clippy::print_stdout, reason = "it is a test's own report")]
fn show(figures: std::fmt::Arguments<'_>) {
    println!("{figures}");
}

fn report(centra: &Centra, ids: &BTreeMap<String, Kind>, kills: u32, began: Instant) -> String {
    let open = ids.keys().filter(|id| centra.applied(id).is_empty()).count();
    format!("{open} orders are left after {kills} kills and {:?}: {:?}", began.elapsed(), centra.requests())
}

/// Holds orders of both kinds and announces them one to five times in random order, and every tenth not at all.
async fn announced(shop: &Shop, centra: &Centra, orders: i32) -> Result<(BTreeMap<String, Kind>, usize)> {
    let mut ids = BTreeMap::new();
    let mut notices = Vec::new();
    let mut lost = 0;
    for number in 1..=orders {
        let (order, kind) = if number % 3 == 0 {
            (Order::suspicious(number), Kind::Cancel)
        } else {
            (Order::ordinary(number), Kind::Resume)
        };
        if number % 10 == 0 {
            lost += 1;
        } else {
            let times = 1 + usize::from(random::bytes::<1>()[0]) % 5;
            notices.extend((0..times).map(|_| (random::bytes::<8>(), order.notice())));
        }
        ids.insert(order.id.clone(), kind);
        centra.put(order);
    }
    notices.sort_by_key(|(draw, _)| *draw);
    for (_, notice) in notices {
        shop.send(&notice).await?;
    }
    Ok((ids, lost))
}

/// A store with a connection, and its processes.
struct Shop {
    path: String,
    store: String,
    http: HttpClient,
    notifier: Touchstone,
    _others: [Touchstone; 2],
}

impl Shop {
    async fn open(backend: &Backend, centra: &Centra) -> Result<Self> {
        touchstone_json(backend, &["migrate"]).await?;
        let merchant = touchstone_json(backend, &["merchant", "create", "--name", "Keller"]).await?;
        let merchant = text(&merchant, "merchant_id")?;
        let store = touchstone_json(backend, &["store", "create", "--merchant", &merchant, "--name", "Shop"]).await?;
        let store = text(&store, "store_id")?;
        let token = backend.data_dir().join("token");
        std::fs::write(&token, centra.token())?;
        let token = token.display().to_string();
        // So many orders at once look like one another: what is not critical is resumed, so that none waits for a person.
        let api_url = centra.api_url();
        let mut connect = vec!["centra", "connect", "--store", &store, "--api-url", &api_url, "--token-file", &token];
        for flag in ["--on-low", "--on-medium", "--on-high"] {
            connect.extend([flag, "resume"]);
        }
        let connection = touchstone_json(backend, &connect).await?;
        let ingest = Touchstone::new("ingest", backend)?.start().await?;
        let scorer = Touchstone::new("scorer", backend)?.start().await?;
        let notifier = Touchstone::new("notifier", backend)?.with("TOUCHSTONE_CENTRA_TIMEOUT", "1").start().await?;
        let path = format!("{}{}", ingest.url(), text(&connection, "connector_path")?);
        Ok(Self { path, store, http: HttpClient::new(), notifier, _others: [ingest, scorer] })
    }

    async fn send(&self, notice: &Value) -> Result<()> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(&self.path)
            .header("Content-Type", "application/json")
            .body(notice.to_string().into())?;
        let answer = self.http.send(request).await?;
        ensure!(answer.status == 202, "{answer:?}");
        Ok(())
    }

    /// Nothing is left open, as operators are told.
    async fn expect_closed(&self, backend: &Backend) -> Result<()> {
        let mut seen = Value::Null;
        let closed = eventually(CLOSED_WITHIN, "no hold to be open", async || {
            seen = touchstone_json(backend, &["centra", "status", "--store", &self.store]).await.ok()?;
            seen["connections"][0]["open_holds"]["holds"].as_array()?.is_empty().then_some(())
        });
        let closed = closed.await;
        closed.with_context(|| format!("{seen:#}\n{}", self.notifier.log().unwrap_or_default()))
    }
}

fn text(document: &Value, name: &str) -> Result<String> {
    Ok(document[name].as_str().with_context(|| format!("no {name} in {document}"))?.to_owned())
}
