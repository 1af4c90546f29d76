//! Screenings that never finished: the same order can be sent again at once and is screened.

use std::time::Duration;

use anyhow::{Context, ensure};
use hyper::StatusCode;
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, DatabaseTransaction, TransactionTrait};
use touchstone_tests::{Answer, Backend, HttpClient, SignedClient, eventually};

use super::shop::{Accepted, Shop};
use super::trio::Processes;

/// How long something that is under way may take to show.
const SHOWS_WITHIN: Duration = Duration::from_secs(20);
/// Places of the processes in [`Processes`].
const SCORER: usize = 1;

/// A shop on PostgreSQL whose tables the test can lock.
struct Stage {
    shop: Shop,
    processes: Processes,
    client: SignedClient,
    database: DatabaseConnection,
}

impl Stage {
    async fn open() -> anyhow::Result<Self> {
        let shop = Shop::open(Backend::production().await?).await?;
        let processes = Processes::production(&shop.backend).await?;
        let client = shop.client(&processes.url());
        let database = Box::pin(Database::connect(&shop.backend.database_url)).await?;
        Ok(Self { shop, processes, client, database })
    }

    /// Nobody else can use the table until the lock is rolled back.
    async fn lock(&self, table: &str) -> anyhow::Result<DatabaseTransaction> {
        let transaction = self.database.begin().await?;
        transaction.execute_unprepared(&format!("LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")).await?;
        Ok(transaction)
    }

    /// Waits until somebody waits for a lock.
    async fn somebody_waits(&self) -> anyhow::Result<()> {
        let waiting = "DO $$ BEGIN ASSERT EXISTS (SELECT 1 FROM pg_locks JOIN pg_database ON pg_database.oid = database
            WHERE datname = current_database() AND NOT granted); END $$";
        let probe = async || self.database.execute_unprepared(waiting).await.ok().map(drop);
        eventually(SHOWS_WITHIN, "somebody to wait for the lock", probe).await
    }

    /// Waits until the door has a request in hand.
    async fn door_is_busy(&mut self) -> anyhow::Result<()> {
        let url = format!("{}/metrics", self.processes.get(0)?.probe_url());
        let http = HttpClient::new();
        eventually(SHOWS_WITHIN, "a request in flight", async || {
            let answer = http.get(&url).await.ok()?;
            let text = String::from_utf8_lossy(&answer.body).into_owned();
            text.contains("touchstone_http_requests_in_flight 1").then_some(())
        })
        .await
    }

    /// Sends order 1 and does not wait for the answer.
    fn send_aside(&self) -> tokio::task::JoinHandle<anyhow::Result<Answer>> {
        let client = self.client.clone();
        tokio::spawn(async move { client.analyze(&Shop::order(1)).await })
    }

    async fn restart_scorer(&mut self) -> anyhow::Result<()> {
        self.processes.get(SCORER)?.restart().await
    }

    /// Sends order 1 once more: it is screened, and once.
    async fn send_again(&self) -> anyhow::Result<()> {
        let answer = self.client.analyze(&Shop::order(1)).await?;
        ensure!(answer.status == StatusCode::OK, "{answer:?}");
        let accepted = Accepted::from_answer(&Shop::order(1), &answer)?;
        self.shop.expect_settled(&self.client, &[accepted]).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn order_whose_scorer_was_killed_with_it_in_hand_is_screened_when_sent_again() -> anyhow::Result<()> {
    let mut stage = Box::pin(Stage::open()).await?;
    let lock = stage.lock("revisions").await?;
    let first = stage.send_aside();
    stage.somebody_waits().await?;
    stage.processes.get(SCORER)?.kill();
    first.abort();
    lock.rollback().await?;
    stage.restart_scorer().await?;
    let again = stage.send_again().await;
    stage.processes.with_logs(again)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn order_whose_message_expired_unpromised_is_screened_when_sent_again() -> anyhow::Result<()> {
    let mut stage = Box::pin(Stage::open()).await?;
    stage.processes.get(SCORER)?.kill();
    let lock = stage.lock("pending").await?;
    let answer = stage.client.analyze(&Shop::order(1)).await?;
    ensure!(answer.status == StatusCode::SERVICE_UNAVAILABLE, "{answer:?}");
    answer.header("retry-after").parse::<u32>().context("no Retry-After")?;
    lock.rollback().await?;
    stage.restart_scorer().await?;
    let again = stage.send_again().await;
    stage.processes.with_logs(again)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn order_whose_caller_went_away_is_screened_when_sent_again() -> anyhow::Result<()> {
    let mut stage = Box::pin(Stage::open()).await?;
    stage.processes.get(SCORER)?.kill();
    let first = stage.send_aside();
    stage.door_is_busy().await?;
    first.abort();
    stage.restart_scorer().await?;
    let again = stage.send_again().await;
    stage.processes.with_logs(again)
}
