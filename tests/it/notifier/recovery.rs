//! Sending again what did not arrive, and forgetting what is long over.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::sync::Semaphore;
use touchstone_platform::store::deliveries::{DeliveryFilter, DeliveryView, Recovered};
use touchstone_schema::ids::EndpointId;
use touchstone_schema::time::Timestamp;
use touchstone_tests::{Behaviour, Receiver, eventually};

use super::{Backend, PATIENCE, START, World};

on_both_ways_to_run![
    recovered_endpoint_gets_what_waits_and_what_died_and_nothing_twice,
    recovery_leaves_alone_what_is_in_flight_at_two_notifiers,
    old_attempts_are_forgotten_and_young_ones_kept,
];

async fn listed(world: &World, endpoint: &EndpointId) -> Option<Vec<DeliveryView>> {
    let filter = DeliveryFilter { endpoint_id: Some(endpoint.clone()), ..DeliveryFilter::default() };
    world.system().deliveries(&filter, 100).await.ok()
}

async fn all(world: &World, endpoint: &EndpointId, what: &str, looks: impl Fn(&DeliveryView) -> bool) -> Result<()> {
    eventually(PATIENCE, what, async || {
        listed(world, endpoint).await.filter(|rows| !rows.is_empty() && rows.iter().all(&looks)).map(drop)
    })
    .await
}

async fn recover(world: &World, endpoint: &EndpointId, since: Timestamp) -> Result<Recovered> {
    let of = (&world.tenant.store_id, endpoint);
    Ok(world.system().recover(of, since, None, world.clock.now()).await?)
}

async fn recovered_endpoint_gets_what_waits_and_what_died_and_nothing_twice(world: &mut World) -> Result<()> {
    let receiver = Receiver::start().await?;
    receiver.behave(Behaviour::status(410));
    let (endpoint, _) = world.endpoint(&receiver.url()).await?;
    world.start("127.0.0.0/8")?;
    world.announced_event().await?;
    all(world, &endpoint, "a dead delivery", |row| row.state == "dead").await?;
    // The event that tells of the switch is for others: it is planned while this endpoint is off.
    world.clock.advance(Duration::from_secs(11));
    eventually(PATIENCE, "nothing is left unplanned", async || {
        let unplanned = world.system().unplanned(world.clock.now(), 10).await.ok()?;
        unplanned.is_empty().then_some(())
    })
    .await?;
    world.system().set_endpoint_enabled(&endpoint, true, None, world.clock.now()).await?;
    receiver.behave(Behaviour::status(500));
    world.clock.advance(Duration::from_secs(60));
    let later = world.clock.now();
    world.announced_event().await?;
    all(world, &endpoint, "a failed one", |row| row.state == "dead" || row.attempts == 1).await?;
    eventually(PATIENCE, "both", async || listed(world, &endpoint).await.filter(|rows| rows.len() == 2)).await?;
    all(world, &endpoint, "a failed one", |row| row.state == "dead" || row.attempts == 1).await?;

    receiver.behave(Behaviour::status(200));
    ensure!(recover(world, &endpoint, later).await? == Recovered { dead: 0, waiting: 1, next: None });
    receiver.wait_for(3, PATIENCE).await?;
    ensure!(recover(world, &endpoint, START).await?.dead == 1);
    all(world, &endpoint, "everything arrives", |row| row.state == "delivered").await?;
    ensure!(recover(world, &endpoint, START).await? == Recovered::default());
    ensure!(receiver.deliveries().len() == 4);
    world.stop().await
}

async fn recovery_leaves_alone_what_is_in_flight_at_two_notifiers(world: &mut World) -> Result<()> {
    let receiver = Receiver::start().await?;
    receiver.behave(Behaviour::status(500));
    let (endpoint, _) = world.endpoint(&receiver.url()).await?;
    world.start("127.0.0.0/8")?;
    world.start("127.0.0.0/8")?;
    for _ in 0..6 {
        world.announced_event().await?;
    }
    eventually(PATIENCE, "all are planned", async || listed(world, &endpoint).await.filter(|rows| rows.len() == 6))
        .await?;
    all(world, &endpoint, "all have failed", |row| row.attempts == 1).await?;
    let gate = Arc::new(Semaphore::new(0));
    receiver.behave(Behaviour::Hold(Arc::clone(&gate)));
    let mut recovered = recover(world, &endpoint, START).await?.waiting;
    ensure!(recovered == 6, "{recovered}");
    receiver.wait_for(8, PATIENCE).await?;
    for _ in 0..5 {
        recovered = recover(world, &endpoint, START).await?.dead;
        ensure!(recovered == 0, "nothing is dead");
    }
    gate.add_permits(100);
    all(world, &endpoint, "everything arrives", |row| row.state == "delivered" && row.attempts == 2).await?;
    ensure!(receiver.deliveries().len() == 12, "each twice in all, and never at once");
    world.stop().await
}

async fn old_attempts_are_forgotten_and_young_ones_kept(world: &mut World) -> Result<()> {
    let receiver = Receiver::start().await?;
    let (endpoint, _) = world.endpoint(&receiver.url()).await?;
    world.start("127.0.0.0/8")?;
    world.announced_event().await?;
    let (old, attempts) = world.delivery(&endpoint, "the old one", |row| row.state == "delivered").await?;
    ensure!(attempts.len() == 1);
    world.stop().await?;
    world.clock.advance(Duration::from_secs(91 * 86_400));
    world.start("127.0.0.0/8")?;
    world.announced_event().await?;
    let (_, attempts) =
        world.delivery(&endpoint, "the young one", |row| row.id != old.id && row.state == "delivered").await?;
    ensure!(attempts.len() == 1);
    eventually(PATIENCE, "the old attempt is forgotten", async || {
        let (row, attempts) = world.system().delivery(&old.id).await.ok()??;
        (row.state == "delivered" && attempts.is_empty()).then_some(())
    })
    .await?;
    let (_, kept) = world.delivery(&endpoint, "the young one", |row| row.id != old.id).await?;
    ensure!(kept.len() == 1);
    // What is sent again has attempts of today, however old it is.
    ensure!(world.system().replay(&DeliveryFilter::default(), Some(&old.id), world.clock.now()).await? == 1);
    eventually(PATIENCE, "it is attempted", async || {
        let (_, attempts) = world.system().delivery(&old.id).await.ok()??;
        (attempts.len() == 1).then_some(())
    })
    .await?;
    ensure!(world.system().forget_attempts(world.clock.now(), 500).await? == 0, "all left began today");
    world.stop().await
}
