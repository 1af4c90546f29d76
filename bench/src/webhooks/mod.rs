//! Webhook delivery: how fast a backlog goes out, how soon a webhook follows its verdict, and what endpoints that hang cost
//! the others.
//!
//! Guarantee: a delivery counts when its attempt is recorded. The floor is a loop that signs and posts the same body to
//! the same sink in the same run, and records nothing.

mod sink;
mod store;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use clap::ValueEnum;
use http_body_util::{BodyExt, Full};
use hyper::{Request, body::Bytes, client::conn::http1::handshake};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{net::TcpStream, task::JoinSet, time::MissedTickBehavior};
use touchstone_platform::{clock::Clock, crypto::webhook_signature};
use touchstone_schema::secret::Secret;
use touchstone_tests::{Backend, Touchstone};

use self::{sink::Sink, store::Shop};
use crate::{
    Options, compare,
    load::HttpCaller,
    machine::{Processes, Usage},
    progress,
    subject::{Product, with_servers},
};

/// Deliveries that wait when the notifier starts (issue "Webhook delivery", Speed).
const BACKLOG: usize = 10_000;
/// Endpoints of the isolation run, and every how many of them hangs.
const ENDPOINTS: usize = 1_000;
const HANGING_EVERY: usize = 2;
/// Events of the isolation run, one a second.
const EVENTS: usize = 10;
/// Verdicts a second of the latency run.
const VERDICTS_PER_SECOND: u32 = 200;
/// Connections of the wide floor: as many as the product has under way to one endpoint.
const FLOOR_CONNECTIONS: usize = 16;
/// Longest that a part may take.
const PATIENCE: Duration = Duration::from_secs(300);

/// What can be measured by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// Sign and post, recording nothing.
    Floor,
    /// A backlog that waits when the notifier starts.
    Backlog,
    /// From verdict to arrival.
    Latency,
    /// Many endpoints, of which half hang.
    Isolation,
}

/// All figures; those of parts that were not asked for are absent.
#[derive(Default)]
pub(crate) struct Outcome {
    /// Over one connection, and over [`FLOOR_CONNECTIONS`].
    floors: Option<(f64, f64)>,
    backlog: Option<(f64, Usage)>,
    latencies_ms: Option<Vec<f64>>,
    /// All endpoints healthy, and beside those that hang.
    isolation_ms: Option<(Vec<f64>, Vec<f64>)>,
}

impl Outcome {
    pub(crate) fn to_json(&self) -> String {
        let quantiles = |ms: &[f64]| json!({"p50": at(ms, 0.5), "p99": at(ms, 0.99)});
        let (one, wide) = self.floors.unzip();
        let cpu: Option<BTreeMap<_, _>> = self.backlog.as_ref().map(|(_, usage)| cpu_us(usage).collect());
        json!({
            "floor_per_second": {"one_connection": one, "wide": wide},
            "backlog_per_second": self.backlog.as_ref().map(|(rate, _)| rate),
            "cpu_us_per_delivery": cpu,
            "verdict_to_arrival_ms": self.latencies_ms.as_deref().map(quantiles),
            "healthy_alone_ms": self.isolation_ms.as_ref().map(|(alone, _)| quantiles(alone)),
            "healthy_beside_hanging_ms": self.isolation_ms.as_ref().map(|(_, beside)| quantiles(beside)),
        })
        .to_string()
    }

    pub(crate) fn to_text(&self) -> String {
        let mut lines = Vec::new();
        if let Some((one, wide)) = self.floors {
            lines.push(format!(
                "floor (sign and post)      {one:.0} a second over one connection, {wide:.0} over {FLOOR_CONNECTIONS}"
            ));
        }
        if let Some((rate, usage)) = &self.backlog {
            lines.push(format!("backlog of {BACKLOG}          {rate:.0} deliveries a second, recorded"));
            if let Some((one, wide)) = self.floors {
                lines.push(format!(
                    "                           {:.2} and {:.2} of the floors",
                    rate / one,
                    rate / wide
                ));
            }
            let cpu: Vec<_> = cpu_us(usage).map(|(name, us)| format!("{name} {us:.0}")).collect();
            lines.push(format!("CPU a delivery, µs         {}", cpu.join(", ")));
        }
        if let Some(ms) = &self.latencies_ms {
            let (p50, p99) = (at(ms, 0.5), at(ms, 0.99));
            lines.push(format!(
                "verdict to arrival         p50 {p50:.1} ms, p99 {p99:.1} ms at {VERDICTS_PER_SECOND} verdicts a second"
            ));
        }
        if let Some((alone, beside)) = &self.isolation_ms {
            let (p50, p99) = (at(alone, 0.5), at(alone, 0.99));
            lines.push(format!("{ENDPOINTS} endpoints             healthy ones p50 {p50:.0} ms, p99 {p99:.0} ms"));
            let (p50, slow) = (at(beside, 0.5), at(beside, 0.99));
            lines.push(format!(
                "one in {HANGING_EVERY} of them hangs      healthy ones p50 {p50:.0} ms, p99 {slow:.0} ms: {:.2} times",
                slow / p99.max(f64::MIN_POSITIVE)
            ));
        }
        lines.join("\n")
    }
}

fn cpu_us(usage: &Usage) -> impl Iterator<Item = (&'static str, f64)> {
    usage.cpu.iter().map(|(name, time)| (*name, time.as_secs_f64() * 1e6 / BACKLOG as f64))
}

/// The value that `share` of them do not exceed; they are in rising order.
fn at(sorted: &[f64], share: f64) -> f64 {
    let index = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(index.saturating_sub(1)).copied().unwrap_or_default()
}

/// Makes the parts, one after the other.
pub(crate) async fn run(options: &Options, parts: &[Part]) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    if parts.contains(&Part::Floor) {
        let floors = (floor(options.window(), 1).await?, floor(options.window(), FLOOR_CONNECTIONS).await?);
        progress(format_args!("floors: {:.0} and {:.0} a second", floors.0, floors.1));
        outcome.floors = Some(floors);
    }
    if parts.contains(&Part::Backlog) {
        compare::rest().await?;
        let backlog = backlog().await?;
        progress(format_args!("backlog: {:.0} a second", backlog.0));
        outcome.backlog = Some(backlog);
    }
    if parts.contains(&Part::Latency) {
        compare::rest().await?;
        let latencies = latency(options.window()).await?;
        progress(format_args!("latency: {} webhooks", latencies.len()));
        outcome.latencies_ms = Some(latencies);
    }
    if parts.contains(&Part::Isolation) {
        compare::rest().await?;
        let alone = fan_out(usize::MAX).await?;
        compare::rest().await?;
        outcome.isolation_ms = Some((alone, fan_out(HANGING_EVERY).await?));
    }
    Ok(outcome)
}

/// Signs and posts as fast as it goes.
async fn floor(window: Duration, connections: usize) -> anyhow::Result<f64> {
    let sink = Sink::start().await?;
    let end = Instant::now() + window;
    let mut posting = JoinSet::new();
    for _ in 0..connections {
        posting.spawn(post_until(sink.address(), end));
    }
    let mut posted = 0;
    while let Some(count) = posting.join_next().await {
        posted += count??;
    }
    Ok(posted as f64 / window.as_secs_f64())
}

async fn post_until(address: std::net::SocketAddr, end: Instant) -> anyhow::Result<u64> {
    let key = Secret::new([7; 32]);
    let (clock, body) = (Clock::system(), Bytes::from(store::body()));
    let (mut sender, connection) = handshake(TokioIo::new(TcpStream::connect(address).await?)).await?;
    tokio::spawn(connection);
    let mut posted = 0;
    while Instant::now() < end {
        let now = clock.now().as_secs();
        let request = Request::post("/ok")
            .header("host", address.to_string())
            .header("content-type", "application/json")
            .header("webhook-id", "evt_1")
            .header("webhook-timestamp", now)
            .header("webhook-signature", webhook_signature(&key, "evt_1", now, &body))
            .body(Full::new(body.clone()))?;
        let answer = sender.send_request(request).await?;
        answer.into_body().collect().await?;
        posted += 1;
    }
    Ok(posted)
}

/// A notifier that starts with a backlog: recorded deliveries a second, and what they cost.
async fn backlog() -> anyhow::Result<(f64, Usage)> {
    let sink = Sink::start().await?;
    let backend = Backend::production().await?;
    let shop = Shop::open(&backend).await?;
    shop.add_endpoints(&[sink.url("ok")]).await?;
    shop.add_events(BACKLOG).await?;
    let notifier = Touchstone::new("notifier", &backend)?.with("TOUCHSTONE_LOG", "warn");
    let notifier = Box::pin(notifier.start()).await?;
    let processes = with_servers(Processes::default().with("notifier", notifier.id()), &backend);
    let before = processes.reading()?;
    let first = sink.wait_for(1, PATIENCE).await?;
    let recorded = shop.wait_until_delivered(BACKLOG, PATIENCE).await?;
    let usage = processes.reading()?.since(&before);
    ensure!(sink.arrivals().len() == BACKLOG, "{} arrived of {BACKLOG}", sink.arrivals().len());
    Ok((BACKLOG as f64 / recorded.duration_since(first).as_secs_f64(), usage))
}

/// Verdicts at a fixed pace: from the time of scoring, before the commit, to the arrival, in rising order; without those of
/// the first second.
async fn latency(window: Duration) -> anyhow::Result<Vec<f64>> {
    let sink = Sink::start().await?;
    let product = Box::pin(Product::start_with(Some(&sink.url("ok")))).await?;
    let mut callers = HttpCaller::many(64, product.address, &product.orders);
    let mut under_way = JoinSet::new();
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / VERDICTS_PER_SECOND);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let end = Instant::now() + window;
    let mut sent = 0;
    while Instant::now() < end {
        ticks.tick().await;
        while let Some(caller) = under_way.try_join_next() {
            callers.push(caller?);
        }
        let Some(mut caller) = callers.pop() else { continue };
        sent += 1;
        under_way.spawn(async move {
            // An order that fails has no webhook, which is found out below.
            let _ = caller.exchange(Duration::from_secs(5)).await;
            caller
        });
    }
    sink.wait_for(sent, PATIENCE).await?;
    // They lie in the order of their arrival. Those of the first second warm up connections and caches.
    let warm = sink.arrivals().into_iter().skip(VERDICTS_PER_SECOND as usize);
    let mut latencies: Vec<_> = warm.filter_map(|arrival| arrival.age_ms("/data/scored_at")).collect();
    latencies.sort_by(f64::total_cmp);
    Ok(latencies)
}

/// Events that each go to all endpoints: how old they are when they arrive at the healthy ones, in rising order.
async fn fan_out(hanging_every: usize) -> anyhow::Result<Vec<f64>> {
    let sink = Sink::start().await?;
    let backend = Backend::production().await?;
    let shop = Shop::open(&backend).await?;
    let hangs = |index: &usize| index % hanging_every == hanging_every - 1;
    let urls = (0..ENDPOINTS).map(|index| sink.url(if hangs(&index) { "hang" } else { "ok" }));
    let urls: Vec<_> = urls.enumerate().map(|(index, url)| format!("{url}/{index}")).collect();
    shop.add_endpoints(&urls).await?;
    let notifier = Touchstone::new("notifier", &backend)?.with("TOUCHSTONE_LOG", "error");
    let _notifier = Box::pin(notifier.start()).await?;
    let healthy = (0..ENDPOINTS).filter(|index| !hangs(index)).count();
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    for _ in 0..EVENTS {
        ticks.tick().await;
        shop.announce_event().await?;
    }
    sink.wait_for(healthy * EVENTS, PATIENCE).await?;
    let mut ages: Vec<_> = sink.arrivals().iter().filter_map(|arrival| arrival.age_ms("/timestamp")).collect();
    ages.sort_by(f64::total_cmp);
    Ok(ages)
}

/// A member of a JSON document by its pointer, as text.
fn member<'a>(document: &'a Value, pointer: &str) -> anyhow::Result<&'a str> {
    document.pointer(pointer).and_then(Value::as_str).with_context(|| format!("no {pointer} in {document}"))
}
