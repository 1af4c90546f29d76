//! SIGTERM: what is in flight is answered, what was answered 2xx is kept, and the process ends with exit code 0.

use std::time::Duration;

use anyhow::ensure;
use hyper::StatusCode;
use sea_orm::{ConnectionTrait, Database, TransactionTrait};
use tokio::task::JoinSet;
use touchstone_tests::{Answer, Backend, HttpClient, SignedClient, eventually};

use super::shop::{Accepted, Shop};
use super::trio::Processes;

const REQUESTS: usize = 8;
const SHOWS_WITHIN: Duration = Duration::from_secs(20);

type Sent = JoinSet<anyhow::Result<(usize, Answer)>>;

fn send_aside(client: &SignedClient) -> Sent {
    (0..REQUESTS)
        .map(|number| {
            let client = client.clone();
            async move { Ok((number, client.analyze(&Shop::order(number)).await?)) }
        })
        .collect()
}

/// Waits until the door has all requests in hand.
async fn all_in_flight(processes: &mut Processes) -> anyhow::Result<()> {
    let url = format!("{}/metrics", processes.get(0)?.probe_url());
    let (http, line) = (HttpClient::new(), format!("touchstone_http_requests_in_flight {REQUESTS}"));
    eventually(SHOWS_WITHIN, "all requests in flight", async || {
        let answer = http.get(&url).await.ok()?;
        String::from_utf8_lossy(&answer.body).contains(&line).then_some(())
    })
    .await
}

/// Every request was answered 200 or 202.
async fn answered(sent: Sent) -> anyhow::Result<Vec<Accepted>> {
    let mut accepted = Vec::new();
    for outcome in sent.join_all().await {
        let (number, answer) = outcome?;
        accepted.push(Accepted::from_answer(&Shop::order(number), &answer)?);
    }
    Ok(accepted)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_in_flight_are_answered_and_kept_when_ingest_is_asked_to_end() -> anyhow::Result<()> {
    let shop = Shop::open(Backend::production().await?).await?;
    let mut processes = Processes::production(&shop.backend).await?;
    let client = shop.client(&processes.url());
    // Without a scorer they wait until they are promised.
    processes.get(1)?.kill();
    let sent = send_aside(&client);
    all_in_flight(&mut processes).await?;
    let ended = processes.get(0)?.stop().await?;
    ensure!(ended.success(), "{ended}: {}", processes.get(0)?.log()?);
    let accepted = answered(sent).await;
    let accepted = processes.with_logs(accepted)?;
    processes.get(0)?.restart().await?;
    processes.get(1)?.restart().await?;
    let settled = shop.expect_settled(&client, &accepted).await;
    processes.with_logs(settled)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promises_in_hand_are_kept_when_a_scorer_is_asked_to_end_that_the_database_keeps_waiting() -> anyhow::Result<()>
{
    let shop = Shop::open(Backend::production().await?).await?;
    let mut processes = Processes::production(&shop.backend).await?;
    let client = shop.client(&processes.url());
    let database = Box::pin(Database::connect(&shop.backend.database_url)).await?;
    let lock = database.begin().await?;
    lock.execute_unprepared("LOCK TABLE revisions IN ACCESS EXCLUSIVE MODE").await?;
    let answer = client.analyze(&Shop::order(0)).await?;
    ensure!(answer.status == StatusCode::ACCEPTED, "{answer:?}");
    let ended = processes.get(1)?.stop().await?;
    ensure!(ended.success(), "{ended}: {}", processes.get(1)?.log()?);
    lock.rollback().await?;
    processes.get(1)?.restart().await?;
    let accepted = [Accepted::from_answer(&Shop::order(0), &answer)?];
    let settled = shop.expect_settled(&client, &accepted).await;
    processes.with_logs(settled)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_in_flight_are_answered_and_kept_when_the_embedded_process_is_asked_to_end() -> anyhow::Result<()> {
    let shop = Shop::open(Backend::embedded()?).await?;
    let mut processes = Processes::embedded(&shop.backend).await?;
    let client = shop.client(&processes.url());
    let warm = client.analyze(&Shop::order(REQUESTS)).await?;
    ensure!(warm.status == StatusCode::OK, "{warm:?}");
    // While another process writes, their verdicts cannot be recorded.
    let database = Box::pin(Database::connect(&shop.backend.database_url)).await?;
    database.execute_unprepared("BEGIN IMMEDIATE").await?;
    let sent = send_aside(&client);
    all_in_flight(&mut processes).await?;
    let ending = async { processes.get(0)?.stop().await };
    let (ended, ()) = tokio::try_join!(ending, async { Ok(database.close().await?) })?;
    ensure!(ended.success(), "{ended}: {}", processes.get(0)?.log()?);
    let accepted = answered(sent).await;
    let accepted = processes.with_logs(accepted)?;
    processes.get(0)?.restart().await?;
    let settled = shop.expect_settled(&client, &accepted).await;
    processes.with_logs(settled)
}
