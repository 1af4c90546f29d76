//! Backfill: how fast a file of past orders is read, in how much memory, and what reading one costs orders that arrive.
//!
//! Both ways to run, one after the other, each on data of its own. Guarantee: rows count when they are committed; memory is
//! the kernel's own peak of the process. Orders are sent at a fixed pace, whether or not earlier ones were answered.

mod file;

use std::{
    fs,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use hyper::Method;
use serde_json::{Value, json};
use tokio::{task::JoinSet, time::MissedTickBehavior};
use touchstone_tests::{
    Backend, Credentials, SignedClient, Touchstone,
    process::{Process, TemporaryFolder},
    touchstone_json, touchstone_running,
};

use crate::{Options, compare, order::Orders, progress};

/// Orders that arrive, a second.
const ORDERS_PER_SECOND: u32 = 50;
/// Rows that are read beside them: more than can be read meanwhile.
const ROWS_BESIDE: usize = 1_000_000;
/// Longest that a file may take.
const PATIENCE: Duration = Duration::from_secs(3_600);
/// Requests a minute that the store may send.
const RATE_LIMIT: &str = "1000000";
/// Pause between two looks at a process.
const LOOK: Duration = Duration::from_millis(50);
/// One tick of `/proc/PID/stat`, as everywhere on Linux.
const TICK: Duration = Duration::from_millis(10);

/// The figures of one way to run.
struct Figures {
    way: &'static str,
    rows: usize,
    took: Duration,
    cpu: Duration,
    peak_mb: f64,
    idle_ms: Vec<f64>,
    beside_ms: Vec<f64>,
    rows_beside: f64,
}

/// All figures.
pub(crate) struct Outcome(Vec<Figures>);

impl Outcome {
    pub(crate) fn to_json(&self) -> String {
        let figures = self.0.iter().map(|figures| {
            json!({
                "way": figures.way, "rows": figures.rows, "rows_per_second": figures.rate(),
                "cpu_us_per_row": figures.cpu_us(), "peak_mb": figures.peak_mb,
                "analyze_p99_ms": {"idle": at(&figures.idle_ms, 0.99), "beside": at(&figures.beside_ms, 0.99)},
                "analyze_p50_ms": {"idle": at(&figures.idle_ms, 0.5), "beside": at(&figures.beside_ms, 0.5)},
                "p99_ratio": figures.ratio(), "rows_per_second_beside": figures.rows_beside,
            })
        });
        Value::from_iter(figures).to_string()
    }

    pub(crate) fn to_text(&self) -> String {
        let lines = self.0.iter().map(|figures| {
            let percentiles = |times: &[f64]| format!("{:.1} / {:.1}", at(times, 0.5), at(times, 0.99));
            format!(
                "{}\n  alone                     {} rows, {:.0} a second, {:.0} µs of CPU each in the reading process\n  \
                 peak memory               {:.0} MB\n  analyze p50 / p99, idle   {} ms at {ORDERS_PER_SECOND} a second\n  \
                 analyze p50 / p99, beside {} ms, p99 {:.2} of idle, while {:.0} rows a second are read\n",
                figures.way,
                figures.rows,
                figures.rate(),
                figures.cpu_us(),
                figures.peak_mb,
                percentiles(&figures.idle_ms),
                percentiles(&figures.beside_ms),
                figures.ratio(),
                figures.rows_beside,
            )
        });
        lines.collect()
    }
}

impl Figures {
    fn rate(&self) -> f64 {
        self.rows as f64 / self.took.as_secs_f64()
    }

    fn cpu_us(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.rows as f64
    }

    fn ratio(&self) -> f64 {
        at(&self.beside_ms, 0.99) / at(&self.idle_ms, 0.99).max(0.001)
    }
}

/// Measures both ways to run.
pub(crate) async fn run(options: &Options) -> anyhow::Result<Outcome> {
    let embedded = Box::pin(measure("embedded", Backend::embedded()?, options)).await?;
    let backend = Backend::production().await?;
    touchstone_json(&backend, &["migrate"]).await?;
    let production = Box::pin(measure("production", backend, options)).await?;
    Ok(Outcome(vec![embedded, production]))
}

/// A store with a server, and files for it.
struct Shop {
    backend: Backend,
    store: String,
    client: SignedClient,
    orders: Arc<Orders>,
    folder: TemporaryFolder,
    _server: Touchstone,
}

impl Shop {
    async fn open(backend: Backend) -> anyhow::Result<Self> {
        let merchant = touchstone_json(&backend, &["merchant", "create", "--name", "Bench"]).await?;
        let merchant = text(&merchant, "merchant_id")?;
        let create = ["store", "create", "--merchant", merchant, "--name", "Bench", "--rate-limit", RATE_LIMIT];
        let store = text(&touchstone_json(&backend, &create).await?, "store_id")?.to_owned();
        let key = touchstone_json(&backend, &["key", "create", "--store", &store]).await?;
        let credentials = Credentials::from_json(&key)?;
        let orders = Arc::new(Orders::new(&credentials.api_key, &credentials.hmac_secret)?);
        let server = Box::pin(Touchstone::new("all", &backend)?.with("TOUCHSTONE_LOG", "warn").start()).await?;
        let client = SignedClient::new(&server.url(), credentials);
        Ok(Self { backend, store, client, orders, folder: TemporaryFolder::new("backfill")?, _server: server })
    }

    /// Begins to read a file.
    fn read(&self, file: &str) -> anyhow::Result<Process> {
        let call = ["--json", "backfill", "--store", &self.store, file];
        touchstone_running(&self.backend, self.folder.path(), &call)
    }

    /// Milliseconds of orders at the pace, in rising order.
    async fn latencies(&self, window: Duration) -> anyhow::Result<Vec<f64>> {
        let mut interval = tokio::time::interval(Duration::from_secs(1) / ORDERS_PER_SECOND);
        interval.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let (mut sent, end) = (JoinSet::new(), Instant::now() + window);
        while Instant::now() < end {
            interval.tick().await;
            let (client, document) = (self.client.clone(), self.orders.document());
            sent.spawn(async move {
                let asked = Instant::now();
                let answer = client.send(Method::POST, "/v1/analyze", document).await?;
                ensure!(answer.status == 200, "{answer:?}");
                anyhow::Ok(asked.elapsed().as_secs_f64() * 1_000.0)
            });
        }
        let mut times = Vec::new();
        while let Some(time) = sent.join_next().await {
            times.push(time??);
        }
        times.sort_unstable_by(f64::total_cmp);
        Ok(times)
    }
}

async fn measure(way: &'static str, backend: Backend, options: &Options) -> anyhow::Result<Figures> {
    let shop = Box::pin(Shop::open(backend)).await?;
    let rows = options.rows;
    let path = shop.folder.path().join("alone.csv");
    file::write(&path, "A", rows)?;
    compare::rest().await?;
    progress(format_args!("{way}: reading {rows} rows"));
    let begun = Instant::now();
    let (cpu, peak_mb) = watched(shop.read(&path.display().to_string())?).await?;
    let took = begun.elapsed();
    progress(format_args!("{way}: read in {:.0} s, with {peak_mb:.0} MB at most", took.as_secs_f64()));
    fs::remove_file(&path)?;
    let path = shop.folder.path().join("beside.csv");
    file::write(&path, "B", ROWS_BESIDE)?;
    settle()?;
    compare::rest().await?;
    progress(format_args!("{way}: orders alone, then beside a file"));
    // Connections are made and caches filled before anything counts.
    shop.latencies(Duration::from_secs(2)).await?;
    let idle_ms = shop.latencies(options.window() * 3).await?;
    let reading = shop.read(&path.display().to_string())?;
    shop.latencies(Duration::from_secs(3)).await?;
    let (before, begun) = (size(&shop).await?, Instant::now());
    let beside_ms = shop.latencies(options.window() * 3).await?;
    let rows_beside = (size(&shop).await? - before) as f64 / begun.elapsed().as_secs_f64();
    drop(reading);
    ensure!(rows_beside > 0.0, "nothing was read beside the orders");
    Ok(Figures { way, rows, took, cpu, peak_mb, idle_ms, beside_ms, rows_beside })
}

/// Has the kernel write out what the databases left to it, which it else does while something else is measured.
fn settle() -> anyhow::Result<()> {
    ensure!(Command::new("sync").status()?.success(), "what was written cannot be brought to the disk");
    Ok(())
}

/// Waits for a process; its CPU time and its peak of memory in megabytes.
async fn watched(mut process: Process) -> anyhow::Result<(Duration, f64)> {
    let id = process.id();
    let (mut cpu, mut peak_mb) = (Duration::ZERO, 0.0);
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = process.exit_status()? {
            ensure!(status.success(), "the file was not read: {status}");
            return Ok((cpu, peak_mb));
        }
        ensure!(Instant::now() < end, "the file is still being read");
        if let Ok(status) = fs::read_to_string(format!("/proc/{id}/status")) {
            let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
            peak_mb = kilobytes.map_or(peak_mb, |kilobytes| kilobytes / 1_024.0);
        }
        if let Ok(stat) = fs::read_to_string(format!("/proc/{id}/stat")) {
            let fields = stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().skip(11).take(2));
            let ticks: u32 = fields.into_iter().flatten().filter_map(|field| field.parse::<u32>().ok()).sum();
            cpu = TICK * ticks;
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Rows that were committed of files that are being read.
async fn size(shop: &Shop) -> anyhow::Result<u64> {
    let store = shop.backend.open_database().await?;
    store.count("backfilled").await
}

fn at(sorted: &[f64], share: f64) -> f64 {
    let index = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(index.saturating_sub(1)).copied().unwrap_or_default()
}

fn text<'a>(document: &'a Value, member: &str) -> anyhow::Result<&'a str> {
    document[member].as_str().with_context(|| format!("touchstone printed no {member}: {document}"))
}
