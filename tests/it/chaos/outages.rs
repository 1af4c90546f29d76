//! One server is away: what the door answers, what the scorer does, and that it ends by itself (design, "When a part is
//! down").

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use hyper::StatusCode;
use touchstone_schema::limits::PENDING_SWEEP_AGE;
use touchstone_tests::servers::Servers;
use touchstone_tests::{Answer, Backend, SignedClient, eventually};

use super::shop::{Accepted, Shop};
use super::trio::Processes;
use crate::ingest::orders;

/// How long the pipeline may take to work again once the server is back.
const BACK_WITHIN: Duration = Duration::from_secs(30);
/// How long an order may be forgotten that was kept without having been enqueued.
const SWEPT_WITHIN: Duration = PENDING_SWEEP_AGE.saturating_add(BACK_WITHIN);
/// When a request that waits for its verdict in vain is answered: the promise's deadline, and a busy machine.
const AT_THE_DEADLINE: std::ops::Range<Duration> = Duration::from_millis(3_900)..Duration::from_millis(4_900);
/// When a request that cannot even be enqueued is answered.
const AT_ONCE: std::ops::Range<Duration> = Duration::ZERO..Duration::from_secs(3);

/// What sends orders by each surface.
struct Senders {
    signed: SignedClient,
    orders: orders::Shop,
}

async fn expect_unavailable(senders: &Senders, number: usize, when: &std::ops::Range<Duration>) -> anyhow::Result<()> {
    let placed = senders.orders.submit(&orders::order(&number.to_string())).await?;
    let retry_after = placed.header("retry-after").parse::<u32>();
    ensure!(placed.status == StatusCode::SERVICE_UNAVAILABLE && retry_after.is_ok(), "{placed:?}");
    let started = Instant::now();
    let answer = senders.signed.analyze(&Shop::order(number)).await?;
    let took = started.elapsed();
    let retry_after = answer.header("retry-after").parse::<u32>();
    ensure!(answer.status == StatusCode::SERVICE_UNAVAILABLE && retry_after.is_ok(), "{answer:?}");
    ensure!(when.contains(&took), "503 came after {took:?}, expected within {when:?}");
    Ok(())
}

async fn expect_screened_soon(senders: &Senders, number: usize) -> anyhow::Result<Accepted> {
    let order = Shop::order(number);
    let mut last: Option<Answer> = None;
    let answer = eventually(BACK_WITHIN, "the pipeline to work again", async || {
        let answer = senders.signed.analyze(&order).await.ok()?;
        last = Some(answer.clone());
        (answer.status == StatusCode::OK).then_some(answer)
    })
    .await
    .with_context(|| format!("{last:?}"))?;
    let placed = eventually(BACK_WITHIN, "the order to be placed", async || {
        // One that was kept although it was answered 503 is told to have been placed.
        let answer = senders.orders.submit(&orders::order(&number.to_string())).await.ok()?;
        matches!(answer.status, StatusCode::ACCEPTED | StatusCode::CONFLICT).then_some(answer)
    })
    .await?;
    ensure!(placed.header("location").starts_with("/v1/orders/"), "{placed:?}");
    Accepted::from_answer(&order, &answer)
}

/// Takes each server away in turn; a process that is started meanwhile waits for it too.
async fn outages(servers: &mut Servers, processes: &mut Processes, senders: &Senders) -> anyhow::Result<Vec<Accepted>> {
    let mut accepted = vec![expect_screened_soon(senders, 0).await?];

    servers.postgres.stop().await?;
    expect_unavailable(senders, 1, &AT_THE_DEADLINE).await?;
    let reading = senders.signed.get(&format!("/v1/transactions/{}", accepted[0].transaction_id)).await?;
    ensure!(reading.status == StatusCode::SERVICE_UNAVAILABLE, "{reading:?}");
    processes.get(1)?.launch()?;
    servers.postgres.restart().await?;
    accepted.push(expect_screened_soon(senders, 1).await?);

    servers.redis.stop().await?;
    expect_unavailable(senders, 2, &AT_ONCE).await?;
    processes.get(0)?.launch()?;
    servers.redis.restart().await?;
    accepted.push(expect_screened_soon(senders, 2).await?);

    servers.rabbitmq.stop().await?;
    expect_unavailable(senders, 3, &AT_ONCE).await?;
    processes.get(1)?.launch()?;
    processes.get(2)?.launch()?;
    servers.rabbitmq.restart().await?;
    accepted.push(expect_screened_soon(senders, 3).await?);
    Ok(accepted)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outage_of_each_server_is_answered_503_and_ends_by_itself() -> anyhow::Result<()> {
    let mut servers = Box::pin(Servers::start()).await?;
    let shop = Shop::open(Backend::on(&servers.addresses()).await?).await?;
    let mut processes = Processes::production(&shop.backend).await?;
    let senders = Senders { signed: shop.client(&processes.url()), orders: shop.orders(&processes.url()) };
    let survived = async {
        let accepted = Box::pin(outages(&mut servers, &mut processes, &senders)).await?;
        processes.wait_until_ready().await?;
        shop.expect_settled(&senders.signed, &accepted).await?;
        let tables = shop.backend.open_database().await?;
        let orders = accepted.len() as u64;
        assert_eq!(tables.count("placed_orders").await?, orders, "each is placed once");
        eventually(SWEPT_WITHIN, "every placed order to be screened", async || {
            (tables.count("pending").await.ok()? == 0).then_some(())
        })
        .await?;
        assert_eq!(tables.count("revisions").await?, 2 * orders, "each is screened once, whichever way it came");
        Ok(())
    };
    let survived = survived.await;
    processes.with_logs(survived)
}
