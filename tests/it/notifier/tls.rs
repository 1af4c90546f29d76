//! Deliveries over TLS by the real processes: which HTTP is spoken, which connections are kept, and which certificates are
//! believed. The processes trust an authority of the test's own, named by `SSL_CERT_FILE`.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use hyper::Version;
use serde_json::Value;
use touchstone_tests::{Authority, Backend, Behaviour, Receiver, Says, Touchstone, eventually, touchstone_json};

use super::PATIENCE;

/// What a receiver agrees to.
pub(super) const HTTP2: &[&[u8]] = &[b"h2", b"http/1.1"];
const HTTP1: &[&[u8]] = &[b"http/1.1"];

/// How long what an attempt leaves may last: its time-out, and the longest that an idle connection is kept.
pub(super) const ATTEMPT: Duration = Duration::from_secs(60);

macro_rules! on_both_ways_to_run {
    ($($behaviour:ident),+ $(,)?) => {
        mod embedded {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $behaviour() -> anyhow::Result<()> {
                let shop = Box::pin(super::Shop::open(super::Backend::embedded()?, "all")).await?;
                Box::pin(super::$behaviour(&shop)).await
            })+
        }
        mod production {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $behaviour() -> anyhow::Result<()> {
                let backend = Box::pin(super::Backend::production()).await?;
                let shop = Box::pin(super::Shop::open(backend, "notifier")).await?;
                Box::pin(super::$behaviour(&shop)).await
            })+
        }
    };
}

on_both_ways_to_run![
    receiver_that_agrees_to_http2_gets_all_deliveries_on_one_connection,
    receiver_that_does_not_gets_http1_on_a_connection_that_is_kept,
    certificate_that_is_not_to_be_believed_gets_nothing,
];

/// A store, and a process that notifies.
pub(super) struct Shop {
    backend: Backend,
    store: String,
    pub(super) authority: Authority,
    pub(super) process: Touchstone,
}

impl Shop {
    pub(super) async fn open(backend: Backend, role: &str) -> Result<Self> {
        if backend.amqp_url.is_some() {
            touchstone_json(&backend, &["migrate"]).await?;
        }
        let merchant = touchstone_json(&backend, &["merchant", "create", "--name", "Keller"]).await?;
        let merchant = text(&merchant, "merchant_id")?;
        let store = touchstone_json(&backend, &["store", "create", "--merchant", &merchant, "--name", "Shop"]).await?;
        let store = text(&store, "store_id")?;
        let authority = Authority::new()?;
        let root = authority.root_file();
        let process = Touchstone::new(role, &backend)?.with("SSL_CERT_FILE", root.to_str().context("no text")?);
        Ok(Self { backend, store, authority, process: process.start().await? })
    }

    /// Adds an endpoint; returns its id.
    pub(super) async fn endpoint(&self, url: &str) -> Result<String> {
        let made =
            touchstone_json(&self.backend, &["endpoint", "create", "--store", &self.store, "--url", url]).await?;
        text(&made, "endpoint_id")
    }

    /// Sends a test event to it.
    pub(super) async fn test(&self, endpoint: &str) -> Result<()> {
        touchstone_json(&self.backend, &["endpoint", "test", "--endpoint", endpoint]).await?;
        Ok(())
    }

    /// How many of its attempts failed.
    pub(super) async fn failed(&self, endpoint: &str) -> Result<usize> {
        let listed = touchstone_json(&self.backend, &["delivery", "list", "--endpoint", endpoint]).await?;
        let rows = listed["deliveries"].as_array().context("no list")?;
        Ok(rows.iter().filter(|row| !row["last_error"].is_null()).count())
    }

    /// Waits until one of the endpoint's deliveries looks as asked; returns it and its attempts.
    pub(super) async fn delivery(&self, endpoint: &str, what: &str, looks: impl Fn(&Value) -> bool) -> Result<Value> {
        eventually(PATIENCE, what, async || {
            let listed = touchstone_json(&self.backend, &["delivery", "list", "--endpoint", endpoint]).await.ok()?;
            let found = listed["deliveries"].as_array()?.iter().find(|delivery| looks(delivery))?;
            touchstone_json(&self.backend, &["delivery", "show", "--id", found["id"].as_str()?]).await.ok()
        })
        .await
        .with_context(|| self.process.log().unwrap_or_default())
    }
}

fn text(document: &Value, name: &str) -> Result<String> {
    Ok(document[name].as_str().with_context(|| format!("no `{name}` in {document}"))?.to_owned())
}

/// Sends three events one after the other; all must come by this HTTP, on one connection.
async fn expect_one_connection(shop: &Shop, protocols: &'static [&'static [u8]], version: Version) -> Result<()> {
    let receiver = Receiver::start_tls(shop.authority.issue(Says::sound(protocols))?).await?;
    let endpoint = shop.endpoint(&receiver.url()).await?;
    for sent in 1..=3 {
        shop.test(&endpoint).await?;
        receiver.wait_for(sent, PATIENCE).await?;
    }
    let arrived: Vec<_> = receiver.deliveries().iter().map(|it| (it.version, it.connection)).collect();
    ensure!(arrived == [(version, 1); 3], "{arrived:?}");
    Ok(())
}

async fn receiver_that_agrees_to_http2_gets_all_deliveries_on_one_connection(shop: &Shop) -> Result<()> {
    expect_one_connection(shop, HTTP2, Version::HTTP_2).await?;
    // What it sends without end is cut off, and with it the connection.
    let receiver = Receiver::start_tls(shop.authority.issue(Says::sound(HTTP2))?).await?;
    receiver.behave(Behaviour::Flood);
    let endpoint = shop.endpoint(&receiver.url()).await?;
    shop.test(&endpoint).await?;
    shop.delivery(&endpoint, "a delivered row", |row| row["state"] == "delivered").await?;
    eventually(PATIENCE, "the end of the flood", async || (receiver.flood().closed == 1).then_some(())).await?;
    ensure!(receiver.flood().sent_bytes <= 4 << 20, "{:?}", receiver.flood());
    receiver.behave(Behaviour::status(200));
    shop.test(&endpoint).await?;
    let arrived = receiver.wait_for(2, PATIENCE).await?;
    ensure!(arrived[1].connection == 2, "the next one comes by another connection");
    eventually(PATIENCE, "the end of the first", async || (receiver.open_connections() == 1).then_some(())).await
}

async fn receiver_that_does_not_gets_http1_on_a_connection_that_is_kept(shop: &Shop) -> Result<()> {
    expect_one_connection(shop, HTTP1, Version::HTTP_11).await?;
    expect_one_connection(shop, &[], Version::HTTP_11).await
}

async fn certificate_that_is_not_to_be_believed_gets_nothing(shop: &Shop) -> Result<()> {
    let stranger = Authority::new()?;
    let sound = Says::sound(HTTP2);
    let mut receivers = Vec::new();
    for (what, acceptor) in [
        ("unknown issuer", stranger.issue(sound)?),
        ("wrong name", shop.authority.issue(Says { name: "shop.example", ..sound })?),
        ("expired", shop.authority.issue(Says { expired: true, ..sound })?),
    ] {
        let receiver = Receiver::start_tls(acceptor).await?;
        let endpoint = shop.endpoint(&receiver.url()).await?;
        shop.test(&endpoint).await?;
        receivers.push((what, endpoint, receiver));
    }
    for (what, endpoint, receiver) in &receivers {
        let found = shop.delivery(endpoint, "a failed attempt", |row| row["attempts"] != 0).await?;
        let attempt = &found["attempts"][0];
        ensure!(attempt["error"] == "tls" && attempt["status"].is_null(), "{what}: {found}");
        ensure!(receiver.deliveries().is_empty(), "{what}");
    }
    Ok(())
}
