//! The servers behind production are restarted under load, in order and by SIGKILL.

use std::sync::atomic::Ordering::Relaxed;

use anyhow::ensure;
use touchstone_tests::Backend;
use touchstone_tests::servers::Servers;

use super::load::Load;
use super::shop::Shop;
use super::trio::Processes;

const ORDERS: usize = 600;
const CLIENTS: usize = 12;
/// Orders between two restarts: enough that every queue has been used before the broker is killed.
const PACE: usize = 80;

/// Restart `count` of the sequence.
async fn restart(servers: &mut Servers, count: usize) -> anyhow::Result<()> {
    if count % 2 == 1 {
        match count / 2 {
            0 => servers.redis.kill(),
            1 => servers.postgres.kill(),
            _ => servers.rabbitmq.kill(),
        }
    }
    match count / 2 {
        0 => servers.redis.restart().await,
        1 => servers.postgres.restart().await,
        _ => servers.rabbitmq.restart().await,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_accepted_order_is_settled_once_while_the_servers_are_restarted() -> anyhow::Result<()> {
    let mut servers = Box::pin(Servers::start()).await?;
    let shop = Shop::open(Backend::on(&servers.addresses()).await?).await?;
    let mut processes = Processes::production(&shop.backend).await?;
    let ids = processes.ids();
    let client = shop.client(&processes.url());
    let load = Load::new(client.clone(), ORDERS);
    let restarting = async {
        for count in 0..6 {
            load.reach((count + 1) * PACE).await?;
            Box::pin(restart(&mut servers, count)).await?;
        }
        anyhow::Ok(())
    };
    let stormed = tokio::try_join!(load.send(CLIENTS), restarting);
    let settled = async {
        let (accepted, ()) = stormed?;
        processes.wait_until_ready().await?;
        ensure!(processes.ids() == ids, "a process died of an outage");
        shop.expect_settled(&client, &accepted).await
    };
    let settled = settled.await;
    processes.with_logs(settled)?;
    ensure!(load.tally.unavailable.load(Relaxed) > 0, "no restart hit a request: {:?}", load.tally);
    Ok(())
}
