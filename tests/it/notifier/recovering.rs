//! Recoveries as jobs: what an endpoint missed, each event once, over kills, and in order where it wants that.

use std::collections::HashSet;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use serde_json::value::RawValue;
use touchstone_platform::random;
use touchstone_platform::store::accounts::EndpointRow;
use touchstone_platform::store::deliveries::{
    Begun, DeliveryFilter, DeliveryState, DeliveryView, Left, NewRecovery, Recovery, RecoveryKind,
};
use touchstone_schema::event::{Event, EventKind};
use touchstone_schema::ids::{EndpointId, EventId, RequestId};
use touchstone_schema::time::Timestamp;
use touchstone_tests::{Backend, Receiver, eventually};

use super::{PATIENCE, START, World};

/// More than two steps of a recovery.
const MISSED: usize = 1_100;

on_both_ways_to_run![
    endpoint_that_was_off_gets_what_it_missed_once_each_over_kills,
    ordered_endpoint_gets_what_it_missed_before_what_came_since,
    new_endpoint_is_given_the_past_that_it_wants,
    recovery_asked_for_again_is_joined_and_a_replay_is_not_doubled,
    recovery_ends_when_its_endpoint_is_switched_off,
    recovery_needs_an_endpoint_that_is_on_and_a_time_within_reach,
];

/// Adds events a millisecond apart, and plans them for whoever wants them now.
async fn planned(world: &World, count: usize) -> Result<Vec<Event>> {
    let mut events = Vec::new();
    for _ in 0..count {
        world.clock.advance(Duration::from_millis(1));
        events.push(world.add_event().await?);
    }
    let ids: Vec<_> = events.iter().map(|event| event.id.clone()).collect();
    let now = world.clock.now();
    for together in ids.chunks(500) {
        world.system().plan(together, now, now, Left::default()).await?;
    }
    Ok(events)
}

/// Events that no endpoint of these tests asks for.
async fn unwanted(world: &World, count: usize) -> Result<()> {
    for _ in 0..count {
        world.clock.advance(Duration::from_millis(1));
        let now = world.clock.now();
        let event = Event {
            id: EventId::mint(now, random::bytes()),
            tenant: world.tenant.clone(),
            transaction_id: None,
            surface: None,
            kind: EventKind::OrderStatusChanged,
            sequence: 1,
            occurred_at: now,
            request_id: RequestId::mint(now, random::bytes()),
            trace: None,
            data: RawValue::from_string("{}".to_owned())?,
        };
        world.system().add_event(&event).await?;
        world.system().plan(std::slice::from_ref(&event.id), now, now, Left::default()).await?;
    }
    Ok(())
}

async fn switch(world: &World, endpoint: &EndpointId, enabled: bool) -> Result<()> {
    ensure!(world.system().set_endpoint_enabled(endpoint, enabled, None, world.clock.now()).await?);
    Ok(())
}

async fn ask(world: &World, endpoint: &EndpointId, kind: RecoveryKind, since: Timestamp) -> Result<Begun> {
    let new = NewRecovery { endpoint: endpoint.clone(), kind, only: None, since };
    Ok(world.system().begin_recovery(&new, world.clock.now()).await?)
}

async fn started(world: &World, endpoint: &EndpointId, since: Timestamp) -> Result<Recovery> {
    match ask(world, endpoint, RecoveryKind::Recover, since).await? {
        Begun::Started(recovery) => Ok(recovery),
        other => bail!("{other:?}"),
    }
}

async fn now_so(world: &World, recovery: &Recovery) -> Result<Recovery> {
    let found = world.system().recovery(&recovery.id).await?;
    found.ok_or_else(|| anyhow::anyhow!("the recovery is gone"))
}

async fn ended(world: &World, recovery: &Recovery) -> Result<Recovery> {
    eventually(PATIENCE, "the end of the recovery", async || {
        now_so(world, recovery).await.ok().filter(|recovery| recovery.finished_at.is_some())
    })
    .await
}

async fn all_deliveries(world: &World, endpoint: &EndpointId) -> Result<Vec<DeliveryView>> {
    let mut filter = DeliveryFilter { endpoint_id: Some(endpoint.clone()), ..DeliveryFilter::default() };
    let mut all = Vec::new();
    loop {
        let page = world.system().delivery_log(&filter, 100).await?;
        all.extend(page.deliveries);
        filter.after = page.next;
        if filter.after.is_none() {
            return Ok(all);
        }
    }
}

async fn endpoint_that_was_off_gets_what_it_missed_once_each_over_kills(world: &mut World) -> Result<()> {
    let receiver = Receiver::start().await?;
    let (endpoint, _) = world.endpoint(&receiver.url()).await?;
    switch(world, &endpoint, false).await?;
    let missed = planned(world, MISSED).await?;
    ensure!(all_deliveries(world, &endpoint).await?.is_empty(), "it is off");
    switch(world, &endpoint, true).await?;

    let recovery = started(world, &endpoint, START).await?;
    ensure!(world.system().step_recovery(None, world.clock.now()).await?.is_some());
    let half = now_so(world, &recovery).await?;
    ensure!(half.state() == "running" && half.planned > 0 && half.planned < MISSED as u64, "{half:?}");
    ensure!(half.reached > START && half.reached < half.until, "{half:?}");
    for _ in 0..3 {
        world.start("127.0.0.0/8")?;
        let before = receiver.deliveries().len();
        receiver.wait_for((before + 1).min(MISSED), PATIENCE).await?;
        world.kill().await;
    }
    // What the killed ones had leased falls due again when their leases end.
    world.clock.advance(Duration::from_secs(60));
    world.start("127.0.0.0/8")?;
    let done = ended(world, &recovery).await?;
    ensure!((done.state(), done.planned, done.looked_at) == ("done", MISSED as u64, MISSED as u64), "{done:?}");
    // What found the endpoint's line full is due again a moment later.
    let waiting = DeliveryFilter {
        endpoint_id: Some(endpoint.clone()),
        state: Some(DeliveryState::Pending),
        ..DeliveryFilter::default()
    };
    eventually(PATIENCE * 2, "everything arrives", async || {
        world.clock.advance(Duration::from_millis(50));
        world.system().deliveries(&waiting, 1).await.ok()?.is_empty().then_some(())
    })
    .await?;
    let rows = all_deliveries(world, &endpoint).await?;
    ensure!(rows.iter().all(|row| row.state == "delivered"));
    let told: HashSet<_> = rows.iter().map(|row| row.event_id.clone()).collect();
    ensure!(rows.len() == MISSED && told.len() == MISSED, "one delivery per event: {} {}", rows.len(), told.len());
    ensure!(missed.iter().all(|event| told.contains(&event.id)));
    world.stop().await
}

/// Whatever is planned while the recovery walks waits for what is older.
async fn ordered_endpoint_gets_what_it_missed_before_what_came_since(world: &mut World) -> Result<()> {
    let receiver = Receiver::start().await?;
    let wants = |row| Ok(EndpointRow { ordered: true, events: vec![EventKind::OrderScored], ..row });
    let (endpoint, _) = world.endpoint_with(&receiver.url(), wants).await?;
    switch(world, &endpoint, false).await?;
    let mut events = planned(world, 3).await?;
    unwanted(world, 500).await?;
    events.extend(planned(world, 3).await?);
    switch(world, &endpoint, true).await?;
    let recovery = started(world, &endpoint, START).await?;
    events.extend(planned(world, 3).await?);
    ensure!(world.system().release(std::slice::from_ref(&endpoint), world.clock.now(), None).await?.is_empty());
    ensure!(world.system().step_recovery(None, world.clock.now()).await?.is_some());
    let released = world.system().release(std::slice::from_ref(&endpoint), world.clock.now(), None).await?;
    ensure!(released.len() == 1 && released[0].event.id == events[0].id, "the oldest goes first");
    world.start("127.0.0.0/8")?;
    ended(world, &recovery).await?;
    receiver.wait_for(events.len(), PATIENCE * 2).await?;
    let arrived: Vec<_> = receiver.deliveries().iter().map(|one| one.header("webhook-id").to_owned()).collect();
    let expected: Vec<_> = events.iter().map(|event| event.id.to_string()).collect();
    ensure!(arrived == expected, "in the order of events");
    world.stop().await
}

async fn new_endpoint_is_given_the_past_that_it_wants(world: &mut World) -> Result<()> {
    let receiver = Receiver::start().await?;
    planned(world, 3).await?;
    let wants = |kind| move |row| Ok(EndpointRow { events: vec![kind], ..row });
    let (scored, _) = world.endpoint_with(&receiver.url(), wants(EventKind::OrderScored)).await?;
    let (decided, _) = world.endpoint_with(&receiver.url(), wants(EventKind::OrderDecided)).await?;
    world.start("127.0.0.0/8")?;
    let (all, none) = (started(world, &scored, START).await?, started(world, &decided, START).await?);
    ensure!(ended(world, &all).await?.planned == 3);
    let none = ended(world, &none).await?;
    ensure!((none.planned, none.looked_at) == (0, 3), "{none:?}");
    receiver.wait_for(3, PATIENCE).await?;
    world.stop().await
}

async fn recovery_asked_for_again_is_joined_and_a_replay_is_not_doubled(world: &mut World) -> Result<()> {
    let receiver = Receiver::start().await?;
    let (endpoint, _) = world.endpoint(&receiver.url()).await?;
    planned(world, 2).await?;
    let later = world.clock.now();
    let first = started(world, &endpoint, later).await?;
    planned(world, 1).await?;
    // One that reaches further back goes with it, and what happened since it was asked for does too.
    let Begun::Joined(joined) = ask(world, &endpoint, RecoveryKind::Recover, START).await? else { bail!("not joined") };
    ensure!(joined.id == first.id && joined.since == START && joined.until > first.until, "{joined:?}");
    let Begun::Busy(busy) = ask(world, &endpoint, RecoveryKind::Replay, START).await? else { bail!("not busy") };
    ensure!(busy.id == first.id);
    world.start("127.0.0.0/8")?;
    let done = ended(world, &first).await?;
    ensure!(done.looked_at == 3 && done.planned == 0, "{done:?}");
    receiver.wait_for(3, PATIENCE).await?;
    world.stop().await?;

    let Begun::Started(replay) = ask(world, &endpoint, RecoveryKind::Replay, later).await? else {
        bail!("not started")
    };
    ensure!(matches!(ask(world, &endpoint, RecoveryKind::Replay, START).await?, Begun::Busy(_)));
    ensure!(matches!(ask(world, &endpoint, RecoveryKind::Replay, later).await?, Begun::Joined(_)));
    world.start("127.0.0.0/8")?;
    ensure!(ended(world, &replay).await?.revived == 2);
    let arrived = receiver.wait_for(5, PATIENCE).await?;
    ensure!(arrived.len() == 5, "two came twice");
    world.stop().await
}

async fn recovery_ends_when_its_endpoint_is_switched_off(world: &mut World) -> Result<()> {
    let receiver = Receiver::start().await?;
    let (endpoint, _) = world.endpoint(&receiver.url()).await?;
    let recovery = started(world, &endpoint, START).await?;
    switch(world, &endpoint, false).await?;
    world.start("127.0.0.0/8")?;
    let stopped = ended(world, &recovery).await?;
    ensure!(stopped.state() == "stopped" && stopped.stopped_reason.is_some(), "{stopped:?}");
    switch(world, &endpoint, true).await?;
    let again = started(world, &endpoint, START).await?;
    ensure!(ended(world, &again).await?.state() == "done");
    let listed = world.system().recoveries(&endpoint, None, 10).await?;
    let ids: Vec<_> = listed.iter().map(|recovery| &recovery.id).collect();
    ensure!(ids.len() == 2 && ids.contains(&&again.id) && ids.contains(&&recovery.id), "{listed:?}");
    world.stop().await
}

async fn recovery_needs_an_endpoint_that_is_on_and_a_time_within_reach(world: &mut World) -> Result<()> {
    let receiver = Receiver::start().await?;
    let (endpoint, _) = world.endpoint(&receiver.url()).await?;
    let days = |days: u64| world.clock.now() - Duration::from_secs(days * 86_400);
    ensure!(matches!(ask(world, &endpoint, RecoveryKind::Recover, days(15)).await?, Begun::OutOfReach));
    let future = world.clock.now() + Duration::from_secs(1);
    ensure!(matches!(ask(world, &endpoint, RecoveryKind::Recover, future).await?, Begun::OutOfReach));
    switch(world, &endpoint, false).await?;
    ensure!(matches!(ask(world, &endpoint, RecoveryKind::Recover, days(1)).await?, Begun::Disabled));
    let unknown = EndpointId::mint(START, [7; 10]);
    ensure!(matches!(ask(world, &unknown, RecoveryKind::Recover, days(1)).await?, Begun::NotFound));
    switch(world, &endpoint, true).await?;
    ensure!(matches!(ask(world, &endpoint, RecoveryKind::Recover, days(14)).await?, Begun::Started(_)));
    Ok(())
}
