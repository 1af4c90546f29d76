//! Ordered endpoints: one delivery after the other, whatever happens to the first.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::sync::Semaphore;
use touchstone_platform::store::accounts::{EndpointChange, EndpointRow};
use touchstone_platform::store::deliveries::{DeliveryFilter, DeliveryView, Left};
use touchstone_schema::event::Event;
use touchstone_schema::ids::EndpointId;
use touchstone_schema::time::Timestamp;
use touchstone_tests::{Behaviour, Receiver, eventually};

use super::{Backend, PATIENCE, World};

on_both_ways_to_run![
    order_is_kept_while_the_first_fails_over_restarts_and_with_two_notifiers,
    two_notifiers_have_one_attempt_in_flight_and_others_go_on,
    dead_delivery_lets_the_next_pass,
    line_moves_on_after_a_crash_before_the_release,
    endpoint_that_becomes_ordered_has_its_backlog_in_line_and_back,
];

async fn ordered(world: &World, receiver: &Receiver) -> Result<EndpointId> {
    Ok(world.endpoint_with(&receiver.url(), |row| Ok(EndpointRow { ordered: true, ..row })).await?.0)
}

/// Events a millisecond apart, so that their order is known however they are planned together.
async fn events(world: &World, count: usize) -> Result<Vec<Event>> {
    let mut events = Vec::new();
    for _ in 0..count {
        world.clock.advance(Duration::from_millis(1));
        events.push(world.announced_event().await?);
    }
    Ok(events)
}

async fn listed(world: &World, endpoint: &EndpointId) -> Option<Vec<DeliveryView>> {
    let filter = DeliveryFilter { endpoint_id: Some(endpoint.clone()), ..DeliveryFilter::default() };
    world.system().deliveries(&filter, 100).await.ok()
}

/// Waits until the event's delivery has failed so many times, then moves the clock to its next attempt.
async fn fail(world: &World, endpoint: &EndpointId, event: &Event, attempts: u32) -> Result<()> {
    let due = eventually(PATIENCE, "a failed attempt", async || {
        let rows = listed(world, endpoint).await?;
        let row = rows.into_iter().find(|row| row.event_id == event.id && row.attempts == attempts)?;
        Timestamp::parse_rfc3339(row.next_attempt_at.as_deref()?)
    })
    .await?;
    world.clock.advance(due.since(world.clock.now()));
    Ok(())
}

fn ids(receiver: &Receiver) -> Vec<String> {
    receiver.deliveries().iter().map(|one| one.header("webhook-id").to_owned()).collect()
}

async fn order_is_kept_while_the_first_fails_over_restarts_and_with_two_notifiers(world: &mut World) -> Result<()> {
    let (receiver, free) = (Receiver::start().await?, Receiver::start().await?);
    receiver.behave(Behaviour::status(500));
    let endpoint = ordered(world, &receiver).await?;
    world.endpoint(&free.url()).await?;
    world.start("127.0.0.0/8")?;
    let events = events(world, 6).await?;
    free.wait_for(6, PATIENCE).await?;
    eventually(PATIENCE, "all are planned", async || listed(world, &endpoint).await.filter(|rows| rows.len() == 6))
        .await?;
    fail(world, &endpoint, &events[0], 1).await?;
    world.start("127.0.0.0/8")?;
    fail(world, &endpoint, &events[0], 2).await?;
    world.stop().await?;
    world.start("127.0.0.0/8")?;
    world.start("127.0.0.0/8")?;
    fail(world, &endpoint, &events[0], 3).await?;
    let first = events[0].id.as_str();
    ensure!(ids(&receiver).iter().all(|id| id == first), "the others wait for the first: {:?}", ids(&receiver));
    receiver.behave(Behaviour::status(200));
    world.clock.advance(Duration::from_secs(86_400));
    eventually(PATIENCE, "everything arrives", async || {
        listed(world, &endpoint).await.filter(|rows| rows.iter().all(|row| row.state == "delivered"))
    })
    .await?;
    let mut arrived = ids(&receiver);
    arrived.dedup();
    ensure!(arrived == events.iter().map(|event| event.id.to_string()).collect::<Vec<_>>(), "{arrived:?}");
    world.stop().await
}

async fn two_notifiers_have_one_attempt_in_flight_and_others_go_on(world: &mut World) -> Result<()> {
    let (receiver, free) = (Receiver::start().await?, Receiver::start().await?);
    let gate = Arc::new(Semaphore::new(0));
    receiver.behave(Behaviour::Hold(Arc::clone(&gate)));
    let endpoint = ordered(world, &receiver).await?;
    world.endpoint(&free.url()).await?;
    world.start("127.0.0.0/8")?;
    world.start("127.0.0.0/8")?;
    let mut announced = Vec::new();
    for planned in 1..=6 {
        announced.extend(events(world, 1).await?);
        let all_planned = |rows: &Vec<DeliveryView>| rows.len() == planned;
        eventually(PATIENCE, "it is planned", async || listed(world, &endpoint).await.filter(all_planned)).await?;
    }
    free.wait_for(6, PATIENCE).await?;
    for arrived in 1..=6 {
        receiver.wait_for(arrived, PATIENCE).await?;
        ensure!(receiver.deliveries().len() == arrived, "the next waits for the answer to this one");
        gate.add_permits(1);
    }
    ensure!(ids(&receiver) == announced.iter().map(|event| event.id.to_string()).collect::<Vec<_>>());
    world.stop().await
}

async fn dead_delivery_lets_the_next_pass(world: &mut World) -> Result<()> {
    let receiver = Receiver::start().await?;
    receiver.behave(Behaviour::status(500));
    let endpoint = ordered(world, &receiver).await?;
    world.start("127.0.0.0/8")?;
    let events = events(world, 2).await?;
    for attempts in 1..=7 {
        fail(world, &endpoint, &events[0], attempts).await?;
    }
    let rows = eventually(PATIENCE, "the second is attempted", async || {
        listed(world, &endpoint)
            .await
            .filter(|rows| rows.iter().any(|row| row.event_id == events[1].id && row.attempts == 1))
    })
    .await?;
    ensure!(rows.iter().any(|row| row.event_id == events[0].id && row.state == "dead"), "{rows:?}");
    ensure!(ids(&receiver)[..8].iter().all(|id| id == events[0].id.as_str()));
    world.stop().await
}

/// The first has arrived and its record has committed; nobody was left to take the next out of the line.
async fn line_moves_on_after_a_crash_before_the_release(world: &mut World) -> Result<()> {
    let receiver = Receiver::start().await?;
    let endpoint = ordered(world, &receiver).await?;
    let mut planned = Vec::new();
    for _ in 0..3 {
        world.clock.advance(Duration::from_millis(1));
        let now = world.clock.now();
        let event = world.add_event().await?;
        planned.push(event.id.clone());
        let lease = now + Duration::from_secs(60);
        let leased = world.system().plan(&[event.id], now, lease, Left::default()).await?;
        ensure!(leased.len() == usize::from(planned.len() == 1), "one at a time: {leased:?}");
    }
    ensure!(world.system().stalled().await?.is_empty(), "the first is under way");
    world.clock.advance(Duration::from_secs(61));
    let now = world.clock.now();
    ensure!(world.system().release(std::slice::from_ref(&endpoint), now, None).await?.is_empty());
    let first = world.system().claim_due(now, now + Duration::from_secs(60), 10, Left::default()).await?;
    ensure!(first.len() == 1 && first[0].event.id == planned[0], "{first:?}");
    world.start("127.0.0.0/8")?;
    world.clock.advance(Duration::from_secs(61));
    receiver.wait_for(3, PATIENCE).await?;
    ensure!(ids(&receiver) == planned.iter().map(ToString::to_string).collect::<Vec<_>>());
    world.stop().await
}

async fn endpoint_that_becomes_ordered_has_its_backlog_in_line_and_back(world: &mut World) -> Result<()> {
    let receiver = Receiver::start().await?;
    receiver.behave(Behaviour::status(500));
    let (endpoint, _) = world.endpoint(&receiver.url()).await?;
    world.start("127.0.0.0/8")?;
    events(world, 4).await?;
    let failed = |rows: &Vec<DeliveryView>| rows.len() == 4 && rows.iter().all(|row| row.attempts == 1);
    eventually(PATIENCE, "all have failed", async || listed(world, &endpoint).await.filter(failed)).await?;
    let change = |ordered| EndpointChange { ordered: Some(ordered), ..EndpointChange::default() };
    world.system().set_endpoint(&endpoint, &change(true), world.clock.now()).await?;
    let mut waiting = eventually(PATIENCE, "one is taken out of the line, and fails", async || {
        let rows = listed(world, &endpoint).await?;
        let parked = rows.iter().filter(|row| row.next_attempt_at.is_none()).count();
        (parked == 3).then_some(rows)
    })
    .await?;
    waiting.retain(|row| row.next_attempt_at.is_some());
    ensure!(waiting.len() == 1, "{waiting:?}");
    receiver.behave(Behaviour::status(200));
    world.system().set_endpoint(&endpoint, &change(false), world.clock.now()).await?;
    world.clock.advance(Duration::from_secs(3_600));
    eventually(PATIENCE, "everything arrives", async || {
        listed(world, &endpoint).await.filter(|rows| rows.iter().all(|row| row.state == "delivered"))
    })
    .await?;
    let row = world.system().endpoint(&endpoint).await?.context("the endpoint is gone")?;
    ensure!(!row.ordered && row.enabled);
    world.stop().await
}
