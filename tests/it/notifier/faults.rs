//! Faults that were shown in other webhook servers, and the test that proves each impossible here.
//!
//! | fault elsewhere | proof |
//! |---|---|
//! | the time-out leaves out the answer's body: a drip holds a task and counts as arrived | `notifier` `dripping_answer_counts_as_timeout` |
//! | a huge answer grows memory | `endless_answer_is_cut_off_with_its_connection`, `endless_head_is_cut_off_with_its_connection` |
//! | 410 is tried again | `gone_endpoint_is_asked_once_and_never_again` |
//! | an event is committed and then enqueued, and a crash between loses it | `notifier` `unannounced_event_is_swept_…`, `chaos::kills` |
//! | an error of one endpoint repeats the whole fan-out | `endpoint_that_cannot_be_signed_for_does_not_repeat_the_others` |
//! | the failure clock lives in memory | `notifier` `endpoint_failing_for_five_days_is_disabled` |
//! | a replay or recovery is lost by a restart | `replay_goes_on_where_a_killed_notifier_left_it`, `recovering` `endpoint_that_was_off_gets_…` |
//! | changed settings are seen late | `changed_endpoint_counts_from_the_next_attempt_on`, `what_waits_for_a_changed_endpoint_goes_by_its_new_settings`, `what_waits_for_an_endpoint_that_is_switched_off_is_given_up`, `raised_limit_counts_for_what_was_put_off` |
//! | a stopped worker is silent | `notifier_whose_worker_dies_ends_with_an_error_that_names_it` |

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use touchstone_notifier::{NotifierError, Settings};
use touchstone_platform::queue::{Consumer, DeadLetter, Lane, Queue, QueueError};
use touchstone_platform::store::accounts::{EndpointChange, EndpointRow};
use touchstone_platform::store::deliveries::{Begun, DeliveryFilter, DeliveryState, NewRecovery, RecoveryKind};
use touchstone_schema::ids::EndpointId;
use touchstone_schema::time::Timestamp;
use touchstone_tests::{Backend, Behaviour, Receiver, eventually};

use super::{PATIENCE, START, World};

/// What may have left a flooding receiver until its connection is closed: far above the buffers of two sockets, far below
/// what it would send within an attempt.
const FLOOD_MOST_BYTES: u64 = 32 << 20;

on_both_ways_to_run![
    endless_answer_is_cut_off_with_its_connection,
    endless_head_is_cut_off_with_its_connection,
    gone_endpoint_is_asked_once_and_never_again,
    endpoint_that_cannot_be_signed_for_does_not_repeat_the_others,
    replay_goes_on_where_a_killed_notifier_left_it,
    changed_endpoint_counts_from_the_next_attempt_on,
    what_waits_for_a_changed_endpoint_goes_by_its_new_settings,
    what_waits_for_an_endpoint_that_is_switched_off_is_given_up,
    raised_limit_counts_for_what_was_put_off,
    notifier_whose_worker_dies_ends_with_an_error_that_names_it,
];

async fn endless_answer_is_cut_off_with_its_connection(world: &mut World) -> Result<()> {
    let receiver = Receiver::start().await?;
    receiver.behave(Behaviour::Flood);
    let (endpoint, _) = world.endpoint(&receiver.url()).await?;
    world.start("127.0.0.0/8")?;
    world.announced_event().await?;
    let (_, attempts) = world.delivery(&endpoint, "a delivered row", |row| row.state == "delivered").await?;
    ensure!(attempts[0].response_start.len() <= 512, "{}", attempts[0].response_start.len());
    let flood =
        eventually(PATIENCE, "the end of the flood", async || Some(receiver.flood()).filter(|flood| flood.closed == 1));
    let flood = flood.await?;
    ensure!(flood.sent_bytes <= FLOOD_MOST_BYTES, "{flood:?}");
    world.stop().await
}

async fn endless_head_is_cut_off_with_its_connection(world: &mut World) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let (endpoint, _) = world.endpoint(&format!("http://{}/", listener.local_addr()?)).await?;
    world.start("127.0.0.0/8")?;
    world.announced_event().await?;
    let (stream, _) = tokio::time::timeout(PATIENCE, listener.accept()).await.context("nobody comes")??;
    let sent_bytes = tokio::time::timeout(PATIENCE, send_endless_head(stream)).await.context("it is never closed")?;
    ensure!(sent_bytes <= FLOOD_MOST_BYTES, "{sent_bytes} bytes left");
    let (row, _) = world.delivery(&endpoint, "a failed attempt", |row| row.attempts == 1).await?;
    ensure!(row.last_error.as_deref() == Some("protocol"), "{row:?}");
    world.stop().await
}

/// Sends one header field without end until the connection is closed; how many bytes left.
async fn send_endless_head(mut stream: TcpStream) -> u64 {
    let frame = vec![b'x'; 64 * 1024];
    let mut sent_bytes = 0;
    if stream.write_all(b"HTTP/1.1 200 OK\r\nx-endless: ").await.is_err() {
        return sent_bytes;
    }
    while let Ok(sent) = stream.write(&frame).await {
        sent_bytes += sent as u64;
    }
    sent_bytes
}

async fn gone_endpoint_is_asked_once_and_never_again(world: &mut World) -> Result<()> {
    let (gone, other) = (Receiver::start().await?, Receiver::start().await?);
    gone.behave(Behaviour::status(410));
    let (endpoint, _) = world.endpoint(&gone.url()).await?;
    world.endpoint(&other.url()).await?;
    world.start("127.0.0.0/8")?;
    world.announced_event().await?;
    let (row, attempts) = world.delivery(&endpoint, "a dead delivery", |row| row.state == "dead").await?;
    ensure!(row.next_attempt_at.is_none() && attempts.len() == 1, "{row:?} {attempts:?}");
    // Longer than all attempts take together; the event that comes after it has then passed by the gone endpoint too.
    world.clock.advance(Duration::from_secs(3 * 86_400));
    let last = world.announced_event().await?;
    eventually(PATIENCE, "the last event", async || {
        other.deliveries().iter().any(|delivery| delivery.header("webhook-id") == last.id.as_str()).then_some(())
    })
    .await?;
    ensure!(gone.deliveries().len() == 1);
    world.stop().await
}

async fn endpoint_that_cannot_be_signed_for_does_not_repeat_the_others(world: &mut World) -> Result<()> {
    let (broken, healthy) = (Receiver::start().await?, Receiver::start().await?);
    let (mut row, _) = world.endpoint_row(&broken.url())?;
    row.sealed_secret = b"what no key opens".to_vec();
    world.system().add_endpoint(&row).await?;
    let (no_address, _) = world.endpoint("no address at all").await?;
    world.endpoint(&healthy.url()).await?;
    world.start("127.0.0.0/8")?;
    let first = world.announced_event().await?;
    for (endpoint, error) in [(&row.id, "secret"), (&no_address, "protocol")] {
        let (row, attempts) = world.delivery(endpoint, "a failed attempt", |row| row.attempts == 1).await?;
        ensure!(row.last_error.as_deref() == Some(error) && attempts.len() == 1, "{row:?} {attempts:?}");
    }
    // Only theirs are tried again, and the message that told of the event is done with.
    world.clock.advance(Duration::from_secs(6));
    world.delivery(&row.id, "a second attempt", |row| row.attempts == 2).await?;
    let second = world.announced_event().await?;
    let arrived = healthy.wait_for(2, PATIENCE).await?;
    let ids: Vec<_> = arrived.iter().map(|delivery| delivery.header("webhook-id")).collect();
    ensure!(ids == [first.id.as_str(), second.id.as_str()], "{ids:?}");
    ensure!(broken.deliveries().is_empty() && world.queue.dead_letters(10).await?.is_empty());
    world.stop().await
}

async fn replay_goes_on_where_a_killed_notifier_left_it(world: &mut World) -> Result<()> {
    const EVENTS: usize = 40;
    let receiver = Receiver::start().await?;
    let (endpoint, _) = world.endpoint(&receiver.url()).await?;
    world.start("127.0.0.0/8")?;
    for _ in 0..EVENTS {
        world.announced_event().await?;
    }
    let delivered = DeliveryFilter {
        endpoint_id: Some(endpoint.clone()),
        state: Some(DeliveryState::Delivered),
        ..DeliveryFilter::default()
    };
    eventually(PATIENCE, "all to be delivered", async || {
        let rows = world.system().deliveries(&delivered, EVENTS as u64).await.ok()?;
        (rows.len() == EVENTS).then_some(())
    })
    .await?;

    // Some are in flight and some wait when the notifier dies.
    receiver.behave(Behaviour::Hang);
    let replay = NewRecovery { endpoint, kind: RecoveryKind::Replay, only: None, since: START };
    ensure!(matches!(world.system().begin_recovery(&replay, world.clock.now()).await?, Begun::Started(_)));
    let before = receiver.wait_for(EVENTS + 2, PATIENCE).await?.len();
    world.kill().await;
    receiver.behave(Behaviour::status(200));
    world.clock.advance(Duration::from_secs(600));
    world.start("127.0.0.0/8")?;
    eventually(PATIENCE, "the rest of the replay", async || {
        let all = receiver.deliveries();
        let again: HashSet<_> = all[before..].iter().map(|delivery| delivery.header("webhook-id")).collect();
        (again.len() == EVENTS).then_some(())
    })
    .await?;
    world.stop().await
}

async fn changed_endpoint_counts_from_the_next_attempt_on(world: &mut World) -> Result<()> {
    let (receiver, other) = (Receiver::start().await?, Receiver::start().await?);
    receiver.behave(Behaviour::status(500));
    let (endpoint, old) = world.endpoint(&receiver.url()).await?;
    world.endpoint(&other.url()).await?;
    world.start("127.0.0.0/8")?;
    world.announced_event().await?;
    world.delivery(&endpoint, "a failed attempt", |row| row.attempts == 1).await?;

    // The retry is signed with the secret that is valid then.
    let new = world.rotate(&endpoint, None).await?;
    receiver.behave(Behaviour::status(200));
    world.clock.advance(Duration::from_secs(6));
    let retry = receiver.wait_for(2, PATIENCE).await?.remove(1);
    retry.verify(&new)?;
    ensure!(retry.verify(&old).is_err(), "the old secret ended at once");
    world.delivery(&endpoint, "a delivered row", |row| row.state == "delivered").await?;

    // The next event passes by an endpoint that is switched off, and the one after it finds it on again.
    let set = async |enabled| world.system().set_endpoint_enabled(&endpoint, enabled, None, world.clock.now()).await;
    ensure!(set(false).await?);
    world.announced_event().await?;
    other.wait_for(2, PATIENCE).await?;
    ensure!(set(true).await?);
    let third = world.announced_event().await?;
    let arrived = receiver.wait_for(3, PATIENCE).await?;
    ensure!(arrived.len() == 3 && arrived[2].header("webhook-id") == third.id.as_str());
    world.stop().await
}

/// Two notifiers hold what waits for an endpoint that answers nothing: a lease outlasts the test. Each takes two of the
/// deliveries on the way; the others wait. The clock has moved since they were leased, so that a new lease shows.
async fn crowded(world: &mut World, gate: &Arc<Semaphore>) -> Result<(Receiver, EndpointId)> {
    let receiver = Receiver::start().await?;
    receiver.behave(Behaviour::Hold(Arc::clone(gate)));
    let (endpoint, _) = world.endpoint(&receiver.url()).await?;
    let settings = Settings { attempt_timeout: PATIENCE * 2, ..super::quick() };
    world.start_with("127.0.0.0/8", settings.clone())?;
    world.start_with("127.0.0.0/8", settings)?;
    for _ in 0..CROWD {
        world.announced_event().await?;
    }
    receiver.wait_for(2, PATIENCE).await?;
    let filter = DeliveryFilter { endpoint_id: Some(endpoint.clone()), ..DeliveryFilter::default() };
    eventually(PATIENCE, "all to be leased", async || {
        let rows = world.system().deliveries(&filter, 100).await.ok()?;
        let until = (START + PATIENCE * 4).to_rfc3339();
        let leased = rows.iter().all(|row| row.next_attempt_at.as_ref() == Some(&until));
        (rows.len() == CROWD && leased).then_some(())
    })
    .await?;
    world.clock.advance(Duration::from_secs(1));
    Ok((receiver, endpoint))
}

const CROWD: usize = 20;

/// Waits until all that had not begun was claimed again now, so by what the endpoint is now.
async fn claimed_again(world: &World, endpoint: &EndpointId, receiver: &Receiver) -> Result<()> {
    let filter = DeliveryFilter { endpoint_id: Some(endpoint.clone()), ..DeliveryFilter::default() };
    let until = Some((world.clock.now() + PATIENCE * 4).to_rfc3339());
    eventually(PATIENCE, "what waits to be claimed again", async || {
        let rows = world.system().deliveries(&filter, 100).await.ok()?;
        let again = rows.iter().filter(|row| row.next_attempt_at == until).count();
        (again > 0 && again == CROWD - receiver.deliveries().len()).then_some(())
    })
    .await
}

async fn what_waits_for_a_changed_endpoint_goes_by_its_new_settings(world: &mut World) -> Result<()> {
    let gate = Arc::new(Semaphore::new(0));
    let (old, endpoint) = crowded(world, &gate).await?;
    let secret = world.rotate(&endpoint, None).await?;
    claimed_again(world, &endpoint, &old).await?;
    world.clock.advance(Duration::from_secs(1));
    let new = Receiver::start().await?;
    let change = EndpointChange { url: Some(new.url()), ..EndpointChange::default() };
    ensure!(world.system().set_endpoint(&endpoint, &change, world.clock.now()).await?);
    claimed_again(world, &endpoint, &old).await?;
    let begun = old.deliveries().len();
    gate.add_permits(CROWD);
    for delivery in new.wait_for(CROWD - begun, PATIENCE).await? {
        delivery.verify(&secret)?;
    }
    ensure!(old.deliveries().len() == begun, "what had begun, and no more");
    world.stop().await
}

async fn what_waits_for_an_endpoint_that_is_switched_off_is_given_up(world: &mut World) -> Result<()> {
    let gate = Arc::new(Semaphore::new(0));
    let (receiver, endpoint) = crowded(world, &gate).await?;
    ensure!(world.system().set_endpoint_enabled(&endpoint, false, None, world.clock.now()).await?);
    let dead =
        DeliveryFilter { endpoint_id: Some(endpoint), state: Some(DeliveryState::Dead), ..DeliveryFilter::default() };
    eventually(PATIENCE, "what waits to be given up", async || {
        let given_up = world.system().deliveries(&dead, 100).await.ok()?.len();
        (given_up > 0 && given_up == CROWD - receiver.deliveries().len()).then_some(())
    })
    .await?;
    let begun = receiver.deliveries().len();
    gate.add_permits(CROWD);
    world.stop().await?;
    ensure!(receiver.deliveries().len() == begun);
    Ok(())
}

/// At one a second the last of them would have been due in twenty seconds; the clock stands still.
async fn raised_limit_counts_for_what_was_put_off(world: &mut World) -> Result<()> {
    let receiver = Receiver::start().await?;
    let (endpoint, _) =
        world.endpoint_with(&receiver.url(), |row| Ok(EndpointRow { rate_limit: Some(1), ..row })).await?;
    world.start("127.0.0.0/8")?;
    for _ in 0..CROWD {
        world.announced_event().await?;
    }
    let filter = DeliveryFilter { endpoint_id: Some(endpoint.clone()), ..DeliveryFilter::default() };
    eventually(PATIENCE, "all but one to be put off", async || {
        let rows = world.system().deliveries(&filter, 100).await.ok()?;
        let delivered = rows.iter().filter(|row| row.state == "delivered").count();
        let last = Some((START + Duration::from_secs(CROWD as u64 - 1)).to_rfc3339());
        (delivered == 1 && rows.iter().any(|row| row.next_attempt_at == last)).then_some(())
    })
    .await?;
    let change = EndpointChange { rate_limit: Some(None), ..EndpointChange::default() };
    ensure!(world.system().set_endpoint(&endpoint, &change, world.clock.now()).await?);
    receiver.wait_for(CROWD, PATIENCE).await?;
    world.stop().await
}

/// A queue whose consumers panic; all else is the queue's that it stands before.
struct Broken(Arc<dyn Queue>);

#[async_trait::async_trait]
impl Queue for Broken {
    async fn publish(&self, lane: Lane, bodies: Vec<Bytes>) -> Result<(), QueueError> {
        self.0.publish(lane, bodies).await
    }

    async fn request(&self, body: Bytes, deadline: Timestamp) -> Result<Bytes, QueueError> {
        self.0.request(body, deadline).await
    }

    async fn consume(&self, lane: Lane, prefetch: u16) -> Result<Box<dyn Consumer>, QueueError> {
        assert!(lane != Lane::Events, "broken as asked");
        self.0.consume(lane, prefetch).await
    }

    async fn dead_letters(&self, most: usize) -> Result<Vec<DeadLetter>, QueueError> {
        self.0.dead_letters(most).await
    }

    async fn replay_dead_letters(&self, id: Option<&str>) -> Result<usize, QueueError> {
        self.0.replay_dead_letters(id).await
    }

    async fn consumers(&self, lane: Lane) -> Result<Option<u32>, QueueError> {
        self.0.consumers(lane).await
    }

    async fn discard_dead_letters(&self, id: Option<&str>) -> Result<usize, QueueError> {
        self.0.discard_dead_letters(id).await
    }

    async fn depth(&self, lane: Lane) -> Result<u64, QueueError> {
        self.0.depth(lane).await
    }

    async fn check(&self) -> Result<(), QueueError> {
        self.0.check().await
    }

    async fn close(&self) {
        self.0.close().await;
    }
}

/// The process that runs the notifier ends with it, and with an error: `lifecycle` has its own tests of that.
async fn notifier_whose_worker_dies_ends_with_an_error_that_names_it(world: &mut World) -> Result<()> {
    world.queue = Arc::new(Broken(Arc::clone(&world.queue)));
    world.start("")?;
    ensure!(world.clock.now() == START);
    let (_, running) = world.running.pop().context("it was started")?;
    let ended = tokio::time::timeout(PATIENCE, running).await.context("the notifier goes on")??;
    let Err(NotifierError::Died(told)) = ended else { bail!("{ended:?}") };
    ensure!(told.contains("panicked") && told.contains("broken as asked"), "{told}");
    Ok(())
}
