//! Endpoints: headers of the merchant's own, limits, and what a bad one does to the others.

use std::time::Duration;

use anyhow::{Result, ensure};
use touchstone_notifier::Settings;
use touchstone_platform::crypto::SealContext;
use touchstone_platform::store::accounts::{EndpointRow, SealedHeaders};
use touchstone_platform::store::deliveries::DeliveryFilter;
use touchstone_schema::time::Timestamp;
use touchstone_tests::{Behaviour, Receiver, eventually};

use super::{Backend, PATIENCE, START, World};

on_both_ways_to_run![
    own_headers_arrive_beside_a_signature_that_verifies,
    own_headers_never_replace_the_signature_whatever_is_stored,
    limited_endpoint_gets_its_number_a_second_and_others_all_at_once,
    hanging_half_of_the_endpoints_delays_nothing_of_the_other_half,
    more_endpoints_than_there_is_room_for_are_all_served,
    endpoints_known_to_fail_share_half_of_the_slots,
    endpoint_that_only_times_out_is_left_alone_and_comes_back,
];

/// The embedded default has one process; here there are three, of which one paces.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limit_holds_over_all_notifiers_and_outlives_the_one_that_kept_it() -> Result<()> {
    let mut world = Box::pin(World::new(Box::pin(Backend::production()).await?)).await?;
    let (limited, free) = (Receiver::start().await?, Receiver::start().await?);
    let limit = |row| Ok(EndpointRow { rate_limit: Some(3), ..row });
    let (endpoint, _) = world.endpoint_with(&limited.url(), limit).await?;
    world.endpoint(&free.url()).await?;
    for _ in 0..3 {
        world.start("127.0.0.0/8")?;
    }
    for _ in 0..8 {
        world.announced_event().await?;
    }
    free.wait_for(8, PATIENCE).await?;
    for arrived in [3, 6, 8] {
        limited.wait_for(arrived, PATIENCE).await?;
        world.clock.advance(Duration::from_secs(1));
    }
    let filter = DeliveryFilter { endpoint_id: Some(endpoint), ..DeliveryFilter::default() };
    eventually(PATIENCE, "all is recorded", async || {
        let listed = world.system().deliveries(&filter, 20).await.ok()?;
        (listed.len() == 8 && listed.iter().all(|row| row.state == "delivered")).then_some(())
    })
    .await?;
    let at = |second: i64| {
        let stamp = (START.as_secs() + second).to_string();
        limited.deliveries().iter().filter(|one| one.header("webhook-timestamp") == stamp).count()
    };
    ensure!([0, 1, 2].map(at) == [3, 3, 2], "{:?}", [0, 1, 2].map(at));

    // It was killed and gave nothing back: another takes over a second after its time is over. That was 10 seconds when it
    // asked last, which was at most 3 seconds ago.
    world.kill().await;
    for _ in 0..2 {
        world.start("127.0.0.0/8")?;
    }
    for wait in [0, 7] {
        world.clock.advance(Duration::from_secs(wait));
        let sent = free.deliveries().len() + 1;
        world.announced_event().await?;
        free.wait_for(sent, PATIENCE).await?;
        ensure!(limited.deliveries().len() == 8, "after {wait} s");
    }
    world.clock.advance(Duration::from_secs(4));
    limited.wait_for(10, PATIENCE).await?;
    world.stop().await
}

fn sealed(world: &World, row: &EndpointRow, lines: &str) -> Result<SealedHeaders> {
    let (store, record) = (row.store_id.as_str(), row.id.as_str());
    let context = SealContext { store, record, purpose: SealContext::WEBHOOK_HEADERS };
    Ok(SealedHeaders { names: Vec::new(), sealed: world.master_keys.seal(lines.as_bytes(), &context)? })
}

async fn own_headers_arrive_beside_a_signature_that_verifies(world: &mut World) -> Result<()> {
    let receiver = Receiver::start().await?;
    let lines = "Authorization: Bearer hunter2\nX-Shop: 7\n";
    let change = |row| Ok(EndpointRow { headers: Some(sealed(world, &row, lines)?), ..row });
    let (_, secret) = world.endpoint_with(&receiver.url(), change).await?;
    world.start("127.0.0.0/8")?;
    let event = world.announced_event().await?;
    let delivery = receiver.wait_for(1, PATIENCE).await?.remove(0);
    delivery.verify(&secret)?;
    ensure!(delivery.header("webhook-id") == event.id.as_str());
    ensure!(delivery.header("authorization") == "Bearer hunter2" && delivery.header("x-shop") == "7");
    world.stop().await
}

/// Rows that no command of ours would write: they are read by the same rules as what is typed.
async fn own_headers_never_replace_the_signature_whatever_is_stored(world: &mut World) -> Result<()> {
    let receiver = Receiver::start().await?;
    let mut endpoints = Vec::new();
    for name in ["webhook-id", "Webhook-Timestamp", "WEBHOOK-SIGNATURE", "content-length", "host"] {
        let lines = format!("X-Shop: 7\n{name}: forged\n");
        let change = |row| Ok(EndpointRow { headers: Some(sealed(world, &row, &lines)?), ..row });
        endpoints.push(world.endpoint_with(&receiver.url(), change).await?.0);
    }
    world.start("127.0.0.0/8")?;
    world.announced_event().await?;
    for endpoint in endpoints {
        let (row, _) = world.delivery(&endpoint, "a refused attempt", |row| row.attempts == 1).await?;
        ensure!(row.last_error.as_deref() == Some("headers"), "{row:?}");
    }
    ensure!(receiver.deliveries().is_empty());
    world.stop().await
}

async fn limited_endpoint_gets_its_number_a_second_and_others_all_at_once(world: &mut World) -> Result<()> {
    let (limited, free) = (Receiver::start().await?, Receiver::start().await?);
    let (endpoint, _) =
        world.endpoint_with(&limited.url(), |row| Ok(EndpointRow { rate_limit: Some(3), ..row })).await?;
    world.endpoint(&free.url()).await?;
    world.start("127.0.0.0/8")?;
    for _ in 0..8 {
        world.announced_event().await?;
    }
    free.wait_for(8, PATIENCE).await?;
    for (second, (arrived, due)) in [(3, [3, 2]), (6, [0, 2]), (8, [0, 0])].into_iter().enumerate() {
        let (now, second) = (world.clock.now(), u64::try_from(second)?);
        ensure!(now == START + Duration::from_secs(second));
        limited.wait_for(arrived, PATIENCE).await?;
        let expected = [START + Duration::from_secs(1), START + Duration::from_secs(2)].map(|at| Some(at.to_rfc3339()));
        let filter = DeliveryFilter { endpoint_id: Some(endpoint.clone()), ..DeliveryFilter::default() };
        eventually(PATIENCE, "what waits is due later", async || {
            let listed = world.system().deliveries(&filter, 20).await.ok()?;
            let found = expected.clone().map(|at| listed.iter().filter(|row| row.next_attempt_at == at).count());
            let delivered = listed.iter().filter(|row| row.state == "delivered").count();
            (found == due && delivered == arrived).then_some(())
        })
        .await?;
        // Everything has its due time, so nothing more can be under way within this second.
        ensure!(limited.deliveries().len() == arrived, "{arrived} of a second");
        world.clock.advance(Duration::from_secs(1));
    }
    world.stop().await
}

/// A notifier has room for 8 192 deliveries in lines of more than four; the others find none and must not be forgotten.
async fn more_endpoints_than_there_is_room_for_are_all_served(world: &mut World) -> Result<()> {
    const ENDPOINTS: usize = 2_200;
    const EVENTS: usize = 6;
    let receiver = Receiver::start().await?;
    for at in 0..ENDPOINTS {
        world.endpoint(&format!("{}/{at}", receiver.url())).await?;
    }
    // They are planned together, so that none is sent before all have come.
    for _ in 0..EVENTS {
        world.announced_event().await?;
    }
    world.start("127.0.0.0/8")?;
    eventually(PATIENCE * 2, "all of them to be served", async || {
        // What found no room is due again a second later.
        world.clock.advance(Duration::from_millis(100));
        (receiver.deliveries().len() >= ENDPOINTS * EVENTS).then_some(())
    })
    .await?;
    world.stop().await
}

/// Twenty endpoints of forty hang. The clock stands still, so whatever waits for their time-outs would wait for the pause
/// that follows as well.
async fn hanging_half_of_the_endpoints_delays_nothing_of_the_other_half(world: &mut World) -> Result<()> {
    let (hanging, healthy) = (Receiver::start().await?, Receiver::start().await?);
    hanging.behave(Behaviour::Hang);
    let mut hung = Vec::new();
    for at in 0..20 {
        hung.push(world.endpoint(&format!("{}/{at}", hanging.url())).await?.0);
        world.endpoint(&format!("{}/{at}", healthy.url())).await?;
    }
    // Fewer slots than there are endpoints that hang, and an attempt that outlasts the patience.
    let settings = Settings { attempt_timeout: PATIENCE * 2, concurrency: 8, ..super::quick() };
    world.start_with("127.0.0.0/8", settings)?;
    for _ in 0..10 {
        world.announced_event().await?;
    }
    healthy.wait_for(200, PATIENCE).await?;
    ensure!(hanging.deliveries().len() <= 40, "two slots each: {}", hanging.deliveries().len());
    world.kill().await;
    Ok(())
}

/// That they fail is in the database, so a notifier that has just started knows it.
async fn endpoints_known_to_fail_share_half_of_the_slots(world: &mut World) -> Result<()> {
    let (failing, healthy) = (Receiver::start().await?, Receiver::start().await?);
    failing.behave(Behaviour::status(500));
    let mut failed = Vec::new();
    for at in 0..20 {
        failed.push(world.endpoint(&format!("{}/{at}", failing.url())).await?.0);
    }
    world.endpoint(&healthy.url()).await?;
    world.start("127.0.0.0/8")?;
    world.announced_event().await?;
    for endpoint in &failed {
        world.delivery(endpoint, "a failed attempt", |row| row.attempts == 1).await?;
    }
    world.stop().await?;
    failing.behave(Behaviour::Hang);
    // No place for attempts that keep us waiting: they stay in their slots.
    let settings = Settings { attempt_timeout: PATIENCE * 2, concurrency: 16, slow_concurrency: 0, ..super::quick() };
    world.start_with("127.0.0.0/8", settings)?;
    for _ in 0..10 {
        world.announced_event().await?;
    }
    healthy.wait_for(11, PATIENCE).await?;
    ensure!(failing.deliveries().len() <= 20 + 8, "half of sixteen slots: {}", failing.deliveries().len());
    world.kill().await;
    Ok(())
}

async fn endpoint_that_only_times_out_is_left_alone_and_comes_back(world: &mut World) -> Result<()> {
    let receiver = Receiver::start().await?;
    receiver.behave(Behaviour::Hang);
    let (endpoint, _) = world.endpoint(&receiver.url()).await?;
    let settings = Settings { attempt_timeout: Duration::from_millis(300), ..super::quick() };
    world.start_with("127.0.0.0/8", settings)?;
    for _ in 0..30 {
        world.announced_event().await?;
    }
    let filter = DeliveryFilter { endpoint_id: Some(endpoint.clone()), ..DeliveryFilter::default() };
    // All that was not attempted is due after the pause: no look for due deliveries meets it before.
    let pause = START + Duration::from_secs(30);
    let untried = eventually(PATIENCE, "the rest waits for the end of the pause", async || {
        let listed = world.system().deliveries(&filter, 100).await.ok()?;
        let untried: Vec<_> = listed.iter().filter(|row| row.attempts == 0).collect();
        let due = untried.iter().filter_map(|row| Timestamp::parse_rfc3339(row.next_attempt_at.as_deref()?));
        (listed.len() == 30 && due.clone().all(|due| due >= pause)).then_some(untried.len())
    })
    .await?;
    ensure!((20..=25).contains(&untried), "five time-outs, and those in flight beside them: {untried}");
    receiver.behave(Behaviour::status(200));
    world.clock.advance(Duration::from_secs(600));
    eventually(PATIENCE, "everything arrives", async || {
        let listed = world.system().deliveries(&filter, 100).await.ok()?;
        listed.iter().all(|row| row.state == "delivered").then_some(())
    })
    .await?;
    world.stop().await
}
