//! Sending again what did not arrive, and forgetting what is long over.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tokio::sync::Semaphore;
use touchstone_platform::store::deliveries::{
    Begun, DeliveryFilter, DeliveryView, Left, NewRecovery, Recovery, RecoveryKind, Replayed,
};
use touchstone_schema::ids::EndpointId;
use touchstone_schema::time::Timestamp;
use touchstone_tests::{Behaviour, Receiver, eventually};

use super::{Backend, PATIENCE, START, World};

on_both_ways_to_run![
    recovered_endpoint_gets_what_waits_and_what_died_and_nothing_twice,
    recovery_leaves_alone_what_is_in_flight_at_two_notifiers,
    what_is_long_over_is_forgotten_and_what_waits_or_is_young_is_kept,
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

async fn begin(world: &World, endpoint: &EndpointId, kind: RecoveryKind, since: Timestamp) -> Result<Recovery> {
    let new = NewRecovery { endpoint: endpoint.clone(), kind, only: None, since };
    match world.system().begin_recovery(&new, world.clock.now()).await? {
        Begun::Started(recovery) => Ok(recovery),
        other => bail!("{other:?}"),
    }
}

/// Recovers an endpoint by the notifier's loop; what it came to.
async fn recover(world: &World, endpoint: &EndpointId, since: Timestamp) -> Result<Recovery> {
    ended(world, &begin(world, endpoint, RecoveryKind::Recover, since).await?).await
}

async fn ended(world: &World, recovery: &Recovery) -> Result<Recovery> {
    eventually(PATIENCE, "the end of the recovery", async || {
        world.system().recovery(&recovery.id).await.ok()?.filter(|recovery| recovery.finished_at.is_some())
    })
    .await
}

fn counts(recovery: &Recovery) -> (u64, u64, u64) {
    (recovery.planned, recovery.revived, recovery.hastened)
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
    ensure!(counts(&recover(world, &endpoint, later).await?) == (0, 0, 1));
    receiver.wait_for(3, PATIENCE).await?;
    ensure!(counts(&recover(world, &endpoint, START).await?) == (0, 1, 0));
    all(world, &endpoint, "everything arrives", |row| row.state == "delivered").await?;
    ensure!(counts(&recover(world, &endpoint, START).await?) == (0, 0, 0));
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
    let recovered = recover(world, &endpoint, START).await?.hastened;
    ensure!(recovered == 6, "{recovered}");
    receiver.wait_for(8, PATIENCE).await?;
    for _ in 0..5 {
        let recovered = recover(world, &endpoint, START).await?.revived;
        ensure!(recovered == 0, "nothing is dead");
    }
    gate.add_permits(100);
    all(world, &endpoint, "everything arrives", |row| row.state == "delivered" && row.attempts == 2).await?;
    ensure!(receiver.deliveries().len() == 12, "each twice in all, and never at once");
    world.stop().await
}

async fn what_is_long_over_is_forgotten_and_what_waits_or_is_young_is_kept(world: &mut World) -> Result<()> {
    let receiver = Receiver::start().await?;
    let (endpoint, _) = world.endpoint(&receiver.url()).await?;
    world.start("127.0.0.0/8")?;
    for _ in 0..3 {
        world.announced_event().await?;
    }
    eventually(PATIENCE, "three", async || listed(world, &endpoint).await.filter(|rows| rows.len() == 3)).await?;
    all(world, &endpoint, "all arrive", |row| row.state == "delivered").await?;
    let old = listed(world, &endpoint).await.context("they are listed")?;
    world.stop().await?;
    // Somebody leased it for longer than anything is kept.
    let waiting = world.add_event().await?;
    let long = world.clock.now() + Duration::from_secs(200 * 86_400);
    world.system().plan(std::slice::from_ref(&waiting.id), world.clock.now(), long, Left::default()).await?;

    world.clock.advance(Duration::from_secs(91 * 86_400));
    // What is sent again has attempts of today, however old it is.
    ensure!(matches!(world.system().replay_delivery(&old[0].id, world.clock.now()).await?, Replayed::Due(_)));
    world.start("127.0.0.0/8")?;
    let young = world.announced_event().await?;
    let kept = HashSet::from([old[0].event_id.clone(), waiting.id.clone(), young.id.clone()]);
    eventually(PATIENCE, "the old ones are forgotten, with their attempts", async || {
        let rows = listed(world, &endpoint).await?;
        let settled = rows.iter().all(|row| row.state == "delivered" || row.event_id == waiting.id);
        (settled && rows.iter().map(|row| row.event_id.clone()).collect::<HashSet<_>>() == kept).then_some(())
    })
    .await?;
    for row in listed(world, &endpoint).await.context("they are listed")? {
        let (_, attempts) = world.system().delivery(&row.id).await?.context("it is there")?;
        ensure!(attempts.len() == usize::from(row.event_id != waiting.id), "those of today: {attempts:?}");
    }
    // Events of the forgotten ones belonged to no transaction, so they went too; those of the others are still there.
    let before = world.clock.now() - Duration::from_secs(90 * 86_400);
    eventually(PATIENCE, "two old events are left", async || {
        let first = world.system().forget_events(before, None, 1).await.ok()??;
        let second = world.system().forget_events(before, Some(&first), 1).await.ok()??;
        world.system().forget_events(before, Some(&second), 1).await.ok()?.is_none().then_some(())
    })
    .await?;
    world.stop().await
}
