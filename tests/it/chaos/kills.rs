//! Processes are ended under load, again and again.

use std::sync::atomic::Ordering::Relaxed;

use anyhow::ensure;
use touchstone_platform::random;
use touchstone_tests::{Backend, Touchstone};

use super::load::Load;
use super::shop::Shop;
use super::trio::Processes;

const ORDERS: usize = 600;
const CLIENTS: usize = 16;
/// Orders between two strikes.
const PACE: usize = 45;
/// Strikes, so that the last one hits under load too.
const STRIKES: usize = 12;

/// Strikes random processes while orders come in; each process is struck as often as any other.
async fn every_order_is_settled_while(
    mut processes: Processes,
    shop: &Shop,
    mut strike: impl AsyncFnMut(&mut Touchstone) -> anyhow::Result<()>,
) -> anyhow::Result<Load> {
    let client = shop.client(&processes.url());
    let load = Load::new(client.clone(), ORDERS);
    let striking = async {
        for (count, index) in drawn(processes.count()).into_iter().enumerate() {
            load.reach((count + 1) * PACE).await?;
            strike(processes.get(index)?).await?;
        }
        anyhow::Ok(())
    };
    let stormed = tokio::try_join!(load.send(CLIENTS), striking);
    let settled = async {
        let (accepted, ()) = stormed?;
        processes.wait_until_ready().await?;
        shop.expect_settled(&client, &accepted).await
    };
    let settled = settled.await;
    processes.with_logs(settled)?;
    Ok(load)
}

/// [`STRIKES`] indexes below `processes`, each as often as any other, in random order.
fn drawn(processes: usize) -> Vec<usize> {
    let mut drawn: Vec<_> = (0..STRIKES).map(|strike| (random::bytes::<8>(), strike % processes)).collect();
    drawn.sort_unstable();
    drawn.into_iter().map(|(_, index)| index).collect()
}

async fn kill(process: &mut Touchstone) -> anyhow::Result<()> {
    process.launch()
}

async fn stop(process: &mut Touchstone) -> anyhow::Result<()> {
    // One that still starts has nothing to finish and just ends.
    process.wait_until_ready().await?;
    let status = process.stop().await?;
    ensure!(status.success(), "a process that was asked to end ended with {status}; {}", process.log()?);
    process.launch()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_accepted_order_is_settled_once_while_random_roles_are_killed() -> anyhow::Result<()> {
    let shop = Shop::open(Backend::production().await?).await?;
    let load = every_order_is_settled_while(Processes::production(&shop.backend).await?, &shop, kill).await?;
    ensure!(load.tally.broken.load(Relaxed) > 0, "no kill hit a request: {:?}", load.tally);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_accepted_order_is_settled_once_while_the_embedded_process_is_killed() -> anyhow::Result<()> {
    let shop = Shop::open(Backend::embedded()?).await?;
    let load = every_order_is_settled_while(Processes::embedded(&shop.backend).await?, &shop, kill).await?;
    ensure!(load.tally.broken.load(Relaxed) > 0, "no kill hit a request: {:?}", load.tally);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_accepted_order_is_settled_once_while_roles_are_replaced_one_by_one() -> anyhow::Result<()> {
    let shop = Shop::open(Backend::production().await?).await?;
    every_order_is_settled_while(Processes::production(&shop.backend).await?, &shop, stop).await?;
    Ok(())
}
