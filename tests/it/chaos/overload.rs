//! Twice the load that can be carried: sheds, never hangs, keeps its promises, and works again at once afterwards.
//!
//! The database is slowed, so that it is what the load is too much for, and neither the machine nor the test itself.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use hyper::StatusCode;
use sea_orm::{ConnectionTrait, Database};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};
use touchstone_tests::{Backend, SignedClient};

use super::load::Load;
use super::shop::{Accepted, Shop};
use super::trio::Processes;

/// Impatient clients, each sending at its own pace whether or not it has been answered.
const CLIENTS: usize = 64;
/// How long a client waits.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long the overload lasts.
const LASTS: Duration = Duration::from_secs(15);
/// Orders by which throughput is measured, before and afterwards.
const MEASURED: usize = 200;
/// Clients of the measurement, who wait for their answers.
const MEASURING: usize = 16;
/// Share of the throughput that must be back at once: the promises that were made are kept at the same time.
const BACK: f64 = 0.3;
/// Makes PostgreSQL take 10 ms to record a verdict.
const SLOW_POSTGRES: &str = "
CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.01); RETURN NEW; END $$;
CREATE TRIGGER slow BEFORE INSERT ON revisions FOR EACH ROW EXECUTE FUNCTION slow()";
/// The same for SQLite, which cannot sleep.
const SLOW_SQLITE: &str = "
CREATE TRIGGER slow BEFORE INSERT ON revisions BEGIN
    SELECT max(i) FROM (WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) SELECT i FROM n);
END";

/// What the clients were answered, by status; 0 is no answer in time.
#[derive(Default)]
struct Answers {
    statuses: BTreeMap<u16, usize>,
    accepted: Vec<Accepted>,
}

/// Numbers orders apart over the phases of a test.
fn order(phase: &str, number: usize) -> serde_json::Value {
    let mut order = Shop::order(number);
    order["order_id"] = format!("{phase}-{number}").into();
    order
}

/// Orders a second that are answered when every client waits.
async fn throughput(client: &SignedClient, phase: &'static str) -> anyhow::Result<f64> {
    let started = Instant::now();
    let next = Arc::new(AtomicUsize::new(0));
    let mut clients = JoinSet::new();
    for _ in 0..MEASURING {
        let (client, next) = (client.clone(), Arc::clone(&next));
        clients.spawn(async move {
            loop {
                let number = next.fetch_add(1, Relaxed);
                if number >= MEASURED {
                    return anyhow::Ok(());
                }
                let answer = client.analyze(&order(phase, number)).await?;
                ensure!(answer.status == StatusCode::OK, "{answer:?}");
            }
        });
    }
    while let Some(ended) = clients.join_next().await {
        ended??;
    }
    Ok(MEASURED as f64 / started.elapsed().as_secs_f64())
}

async fn overload(client: &SignedClient, rate: f64) -> anyhow::Result<Answers> {
    let until = Instant::now() + LASTS;
    let mut pace = interval(Duration::from_secs_f64(CLIENTS as f64 / rate));
    pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut sent = JoinSet::new();
    let mut number = 0;
    while Instant::now() < until {
        pace.tick().await;
        for _ in 0..CLIENTS {
            number += 1;
            let (client, order) = (client.clone(), order("overload", number));
            sent.spawn(async move {
                let answer = timeout(PATIENCE, client.analyze(&order)).await;
                (order, answer)
            });
        }
    }
    let mut answers = Answers::default();
    while let Some(ended) = sent.join_next().await {
        let (order, answer) = ended?;
        let Ok(answer) = answer else {
            *answers.statuses.entry(0).or_default() += 1;
            continue;
        };
        let answer = answer.context("an overloaded door broke a connection")?;
        *answers.statuses.entry(answer.status.as_u16()).or_default() += 1;
        match answer.status.as_u16() {
            200 | 202 => answers.accepted.push(Accepted::from_answer(&order, &answer)?),
            503 | 429 => ensure!(!answer.header("retry-after").is_empty(), "{answer:?}"),
            _ => anyhow::bail!("{answer:?}"),
        }
    }
    Ok(answers)
}

async fn expect_shedding(shop: &Shop, processes: &Processes) -> anyhow::Result<()> {
    let client = shop.client(&processes.url());
    let (url, slow) =
        (&shop.backend.database_url, shop.backend.amqp_url.as_ref().map_or(SLOW_SQLITE, |_| SLOW_POSTGRES));
    let database = Box::pin(Database::connect(url)).await?;
    database.execute_unprepared(slow).await?;
    database.close().await?;
    // Warms up connections, bcrypt and prepared statements.
    Load::new(client.clone(), 50).send(MEASURING).await?;
    let before = throughput(&client, "before").await?;
    let answers = Box::pin(overload(&client, 2.0 * before)).await.context("under load")?;
    let afterwards = throughput(&client, "afterwards").await?;
    let told = format!("{before:.0}/s before, {afterwards:.0}/s afterwards, between {:?}", answers.statuses);
    ensure!(!answers.statuses.contains_key(&0), "answers did not come in time: {told}");
    ensure!(afterwards >= BACK * before, "throughput did not come back: {told}");
    let shed = answers.statuses.iter().any(|(status, _)| *status != 200);
    ensure!(shed, "it was no overload: {told}");
    let promised: Vec<_> = answers.accepted.into_iter().filter(Accepted::is_promise).collect();
    shop.expect_settled(&client, &promised).await.context(told)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn overload_is_shed_in_production() -> anyhow::Result<()> {
    let shop = Shop::open(Backend::production().await?).await?;
    let processes = Processes::production(&shop.backend).await?;
    let shed = Box::pin(expect_shedding(&shop, &processes)).await;
    processes.with_logs(shed)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn overload_is_shed_when_embedded() -> anyhow::Result<()> {
    let shop = Shop::open(Backend::embedded()?).await?;
    let processes = Processes::embedded(&shop.backend).await?;
    let shed = Box::pin(expect_shedding(&shop, &processes)).await;
    processes.with_logs(shed)
}
