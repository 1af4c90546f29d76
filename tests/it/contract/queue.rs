//! The queue's contract, on RabbitMQ and on the embedded table.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use serde_json::json;
use tokio::sync::OnceCell;
use touchstone_platform::clock::Clock;
use touchstone_platform::queue::{self, Consumer, Delivery, Disposition, Lane, Queue, QueueError, QueueSettings};
use touchstone_platform::random;
use touchstone_platform::retry::Backoff;
use touchstone_platform::store::{Store, StoreSettings};
use touchstone_schema::secret::Secret;
use touchstone_schema::time::Timestamp;
use touchstone_tests::eventually;
use touchstone_tests::process::TemporaryFolder;
use touchstone_tests::servers::{Admin, RabbitMq};

/// Longest that anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A queue of one test, and what it stands on.
struct Fixture {
    queue: Arc<dyn Queue>,
    _folder: Option<TemporaryFolder>,
}

impl Fixture {
    async fn rabbitmq() -> Result<Self> {
        let queue = open_rabbitmq(&fresh_vhost(shared_broker().await?).await?).await?;
        Ok(Self { queue, _folder: None })
    }

    async fn embedded() -> Result<Self> {
        let folder = TemporaryFolder::new("queue")?;
        let queue = open_embedded(&folder).await?;
        Ok(Self { queue, _folder: Some(folder) })
    }
}

/// One broker for all tests that leave it running.
async fn shared_broker() -> Result<&'static RabbitMq> {
    static BROKER: OnceCell<RabbitMq> = OnceCell::const_new();
    BROKER.get_or_try_init(RabbitMq::start).await
}

/// The address of a virtual host that no other test uses.
async fn fresh_vhost(broker: &RabbitMq) -> Result<String> {
    let name = format!("queue_{}", hex::encode(random::bytes::<8>()));
    let admin = Admin::new(&broker.admin_url())?;
    admin.put(&format!("/api/vhosts/{name}"), &json!({})).await?;
    let rights = json!({"configure": ".*", "write": ".*", "read": ".*"});
    admin.put(&format!("/api/permissions/{name}/touchstone"), &rights).await?;
    Ok(format!("{}/{name}", broker.url()))
}

async fn open_rabbitmq(url: &str) -> Result<Arc<dyn Queue>> {
    let settings = QueueSettings::RabbitMq { url: Secret::new(url), connection_name: "contract".to_owned() };
    Ok(queue::open(&settings, Clock::system()).await?)
}

async fn open_embedded(folder: &TemporaryFolder) -> Result<Arc<dyn Queue>> {
    let store = Store::open(&StoreSettings::Sqlite { path: folder.path().join("queue.db") }).await?;
    Ok(queue::open(&QueueSettings::Embedded { store }, Clock::system()).await?)
}

macro_rules! on_every_adapter {
    ($($name:ident),* $(,)?) => {
        mod rabbitmq {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() -> anyhow::Result<()> {
                let fixture = super::Fixture::rabbitmq().await?;
                super::$name(&*fixture.queue).await?;
                fixture.queue.close().await;
                Ok(())
            })*
        }
        mod embedded {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() -> anyhow::Result<()> {
                let fixture = super::Fixture::embedded().await?;
                super::$name(&*fixture.queue).await
            })*
        }
    };
}

on_every_adapter!(
    a_published_message_is_delivered_once_when_it_is_acknowledged,
    messages_of_a_lane_arrive_in_order_and_together,
    an_unsettled_message_comes_back_when_its_consumer_is_dropped,
    a_retried_message_comes_back_after_its_delay,
    a_dead_letter_is_listed_with_its_reason_and_can_be_replayed,
    discarded_dead_letters_are_gone_and_the_others_stay,
    all_dead_letters_are_replayed_at_once,
    a_message_that_is_never_settled_becomes_a_dead_letter,
    a_consumer_holds_no_more_than_its_prefetch,
    dropping_next_half_way_loses_nothing,
    settling_out_of_order_settles_just_those,
    a_request_is_answered,
    many_requests_at_once_get_their_own_replies,
    a_request_without_reply_times_out,
    an_expired_request_is_not_delivered,
    replying_to_a_caller_that_is_gone_is_no_error,
    a_retried_request_is_delivered_again_and_answered,
    many_publishers_at_once_lose_nothing,
    the_interactive_lane_refuses_messages_without_a_caller,
);

async fn next(consumer: &mut Box<dyn Consumer>, most: usize) -> Result<Vec<Delivery>> {
    tokio::time::timeout(PATIENCE, consumer.next(most)).await.context("nothing was delivered in time")
}

async fn next_one(consumer: &mut Box<dyn Consumer>) -> Result<Delivery> {
    next(consumer, 1).await?.pop().context("next returned nothing")
}

/// Takes `count` messages, however they are cut into batches.
async fn next_many(consumer: &mut Box<dyn Consumer>, count: usize) -> Result<Vec<Delivery>> {
    let mut taken = Vec::new();
    while taken.len() < count {
        taken.append(&mut next(consumer, count - taken.len()).await?);
    }
    Ok(taken)
}

async fn acknowledge(consumer: &mut Box<dyn Consumer>, deliveries: Vec<Delivery>) -> Result<()> {
    Ok(consumer.settle(deliveries.into_iter().map(|delivery| (delivery, Disposition::Ack)).collect()).await?)
}

/// Whether anything comes within a moment, told by a message published afterwards on the same lane coming first.
async fn is_drained(queue: &dyn Queue, consumer: &mut Box<dyn Consumer>, lane: Lane) -> Result<bool> {
    queue.publish(lane, bodies(["marker"])).await?;
    let delivery = next_one(consumer).await?;
    let is_marker = delivery.body == "marker";
    acknowledge(consumer, vec![delivery]).await?;
    Ok(is_marker)
}

fn bodies<const N: usize>(texts: [&'static str; N]) -> Vec<Bytes> {
    texts.into_iter().map(Bytes::from).collect()
}

fn numbered(count: usize) -> Vec<Bytes> {
    (0..count).map(|number| Bytes::from(number.to_string())).collect()
}

fn soon() -> Timestamp {
    Clock::system().now() + PATIENCE
}

async fn a_published_message_is_delivered_once_when_it_is_acknowledged(queue: &dyn Queue) -> Result<()> {
    queue.check().await?;
    queue.publish(Lane::Durable, bodies(["a"])).await?;
    let mut consumer = queue.consume(Lane::Durable, 8).await?;
    let delivery = next_one(&mut consumer).await?;
    ensure!(delivery.body == "a" && delivery.attempt == 1 && !delivery.wants_reply, "{delivery:?}");
    acknowledge(&mut consumer, vec![delivery]).await?;
    drop(consumer);
    let mut consumer = queue.consume(Lane::Durable, 8).await?;
    ensure!(is_drained(queue, &mut consumer, Lane::Durable).await?);
    eventually(PATIENCE, "an empty lane", async || (queue.depth(Lane::Durable).await.ok()? == 0).then_some(())).await
}

async fn messages_of_a_lane_arrive_in_order_and_together(queue: &dyn Queue) -> Result<()> {
    queue.publish(Lane::Events, numbered(100)).await?;
    let mut consumer = queue.consume(Lane::Events, 256).await?;
    let deliveries = next_many(&mut consumer, 100).await?;
    ensure!(deliveries.iter().map(|delivery| delivery.body.clone()).eq(numbered(100)));
    acknowledge(&mut consumer, deliveries).await?;
    queue.publish(Lane::Events, numbered(64)).await?;
    let batch = eventually(PATIENCE, "a batch of what is waiting", async || {
        let batch = consumer.next(64).await;
        let is_batch = batch.len() > 1;
        acknowledge(&mut consumer, batch).await.ok()?;
        is_batch.then_some(())
    });
    batch.await
}

async fn an_unsettled_message_comes_back_when_its_consumer_is_dropped(queue: &dyn Queue) -> Result<()> {
    queue.publish(Lane::Durable, bodies(["a", "b"])).await?;
    let mut first = queue.consume(Lane::Durable, 8).await?;
    let mut taken = next_many(&mut first, 2).await?;
    let late = taken.split_off(1);
    acknowledge(&mut first, taken).await?;
    drop(first);
    let mut second = queue.consume(Lane::Durable, 8).await?;
    // A receipt of the consumer that is gone settles nothing here.
    acknowledge(&mut second, late).await?;
    let again = next_one(&mut second).await?;
    ensure!(again.body == "b" && again.attempt == 2, "{again:?}");
    acknowledge(&mut second, vec![again]).await
}

async fn a_retried_message_comes_back_after_its_delay(queue: &dyn Queue) -> Result<()> {
    queue.publish(Lane::Bulk, bodies(["a"])).await?;
    let mut consumer = queue.consume(Lane::Bulk, 8).await?;
    let delivery = next_one(&mut consumer).await?;
    let before = Clock::system().now();
    let retry = Disposition::Retry { after: Duration::from_millis(700) };
    consumer.settle(vec![(delivery, retry)]).await?;
    let again = next_one(&mut consumer).await?;
    ensure!(again.body == "a" && again.attempt == 2, "{again:?}");
    ensure!(Clock::system().now().since(before) >= Duration::from_millis(700), "it came too early");
    let retry = Disposition::Retry { after: Duration::ZERO };
    consumer.settle(vec![(again, retry)]).await?;
    let again = next_one(&mut consumer).await?;
    ensure!(again.attempt == 3, "{again:?}");
    acknowledge(&mut consumer, vec![again]).await
}

async fn a_dead_letter_is_listed_with_its_reason_and_can_be_replayed(queue: &dyn Queue) -> Result<()> {
    queue.publish(Lane::Durable, bodies(["good", "bad"])).await?;
    let mut consumer = queue.consume(Lane::Durable, 8).await?;
    let before = Clock::system().now();
    let settled = next_many(&mut consumer, 2).await?.into_iter().map(|delivery| {
        let is_bad = delivery.body == "bad";
        let reason = "not an order".to_owned();
        (delivery, if is_bad { Disposition::DeadLetter { reason } } else { Disposition::Ack })
    });
    consumer.settle(settled.collect()).await?;
    // Looking twice shows that looking changes nothing.
    for _ in 0..2 {
        let letters = one_dead_letter(queue).await?;
        ensure!(letters.body == "bad" && letters.lane == "durable" && letters.reason == "not an order", "{letters:?}");
        ensure!(letters.attempts == 1 && letters.at >= before && !letters.id.is_empty(), "{letters:?}");
    }
    let id = one_dead_letter(queue).await?.id;
    ensure!(queue.replay_dead_letters(Some("no such id")).await? == 0);
    ensure!(one_dead_letter(queue).await?.id == id);
    ensure!(queue.replay_dead_letters(Some(&id)).await? == 1);
    ensure!(queue.dead_letters(10).await?.is_empty());
    let again = next_one(&mut consumer).await?;
    ensure!(again.body == "bad" && again.attempt == 1, "{again:?}");
    acknowledge(&mut consumer, vec![again]).await
}

async fn one_dead_letter(queue: &dyn Queue) -> Result<queue::DeadLetter> {
    eventually(PATIENCE, "one dead letter", async || {
        let mut letters = queue.dead_letters(10).await.ok()?;
        if letters.len() == 1 { letters.pop() } else { None }
    })
    .await
}

async fn discarded_dead_letters_are_gone_and_the_others_stay(queue: &dyn Queue) -> Result<()> {
    queue.publish(Lane::Durable, numbered(5)).await?;
    let mut consumer = queue.consume(Lane::Durable, 8).await?;
    let reason = || Disposition::DeadLetter { reason: "test".to_owned() };
    let all = next_many(&mut consumer, 5).await?;
    consumer.settle(all.into_iter().map(|delivery| (delivery, reason())).collect()).await?;
    let letters = eventually(PATIENCE, "the dead letters", async || {
        queue.dead_letters(10).await.ok().filter(|letters| letters.len() == 5)
    })
    .await?;
    ensure!(queue.discard_dead_letters(Some("no such id")).await? == 0);
    ensure!(queue.discard_dead_letters(Some(&letters[2].id)).await? == 1);
    let mut left: Vec<_> = letters.iter().map(|letter| letter.id.clone()).collect();
    left.remove(2);
    eventually(PATIENCE, "the others to be there", async || {
        let ids: Vec<_> = queue.dead_letters(10).await.ok()?.into_iter().map(|letter| letter.id).collect();
        (ids == left).then_some(())
    })
    .await?;
    ensure!(queue.discard_dead_letters(None).await? == 4);
    ensure!(queue.dead_letters(10).await?.is_empty());
    Ok(())
}

async fn all_dead_letters_are_replayed_at_once(queue: &dyn Queue) -> Result<()> {
    queue.publish(Lane::Events, numbered(150)).await?;
    let mut consumer = queue.consume(Lane::Events, 256).await?;
    let all = next_many(&mut consumer, 150).await?;
    let reason = || Disposition::DeadLetter { reason: "test".to_owned() };
    consumer.settle(all.into_iter().map(|delivery| (delivery, reason())).collect()).await?;
    let oldest = queue.dead_letters(10).await?;
    ensure!(oldest.iter().map(|letter| letter.body.clone()).eq(numbered(10)), "{oldest:?}");
    let mut replayed = 0;
    eventually(PATIENCE, "all dead letters to be replayed", async || {
        replayed += queue.replay_dead_letters(None).await.ok()?;
        (replayed == 150).then_some(())
    })
    .await?;
    let again = next_many(&mut consumer, 150).await?;
    let distinct = again.iter().map(|delivery| delivery.body.clone()).collect::<HashSet<_>>();
    ensure!(distinct.len() == 150);
    acknowledge(&mut consumer, again).await
}

async fn a_message_that_is_never_settled_becomes_a_dead_letter(queue: &dyn Queue) -> Result<()> {
    queue.publish(Lane::Durable, bodies(["poison", "healthy"])).await?;
    eventually(PATIENCE * 2, "the delivery limit", async || {
        let mut consumer = queue.consume(Lane::Durable, 1).await.ok()?;
        let delivery = next_one(&mut consumer).await.ok()?;
        if delivery.body == "poison" {
            return None;
        }
        acknowledge(&mut consumer, vec![delivery]).await.ok()
    })
    .await?;
    let letter = one_dead_letter(queue).await?;
    ensure!(letter.body == "poison" && letter.lane == "durable" && letter.reason.contains("too often"), "{letter:?}");
    ensure!(letter.attempts > 1 && letter.at > Timestamp::from_millis(0) && !letter.id.is_empty(), "{letter:?}");
    Ok(())
}

async fn a_consumer_holds_no_more_than_its_prefetch(queue: &dyn Queue) -> Result<()> {
    queue.publish(Lane::Durable, numbered(10)).await?;
    let mut first = queue.consume(Lane::Durable, 3).await?;
    let held = next_many(&mut first, 3).await?;
    let mut second = queue.consume(Lane::Durable, 10).await?;
    let others = next_many(&mut second, 7).await?;
    ensure!(tokio::time::timeout(Duration::from_millis(200), first.next(5)).await.is_err(), "more than the prefetch");
    acknowledge(&mut first, held).await?;
    acknowledge(&mut second, others).await
}

async fn dropping_next_half_way_loses_nothing(queue: &dyn Queue) -> Result<()> {
    let mut consumer = queue.consume(Lane::Durable, 64).await?;
    let mut seen = HashSet::new();
    for body in numbered(30) {
        queue.publish(Lane::Durable, vec![body]).await?;
        for patience_us in [1, 50, 500] {
            let limit = Duration::from_micros(patience_us);
            if let Ok(taken) = tokio::time::timeout(limit, consumer.next(4)).await {
                seen.extend(taken.iter().map(|delivery| delivery.body.clone()));
                acknowledge(&mut consumer, taken).await?;
            }
        }
    }
    while seen.len() < 30 {
        let taken = next(&mut consumer, 4).await?;
        ensure!(taken.iter().all(|delivery| seen.insert(delivery.body.clone())), "one came twice");
        acknowledge(&mut consumer, taken).await?;
    }
    Ok(())
}

async fn settling_out_of_order_settles_just_those(queue: &dyn Queue) -> Result<()> {
    queue.publish(Lane::Durable, numbered(6)).await?;
    let mut consumer = queue.consume(Lane::Durable, 8).await?;
    let (odd, even): (Vec<_>, Vec<_>) =
        next_many(&mut consumer, 6).await?.into_iter().partition(|delivery| delivery.body[0] % 2 == 1);
    acknowledge(&mut consumer, odd).await?;
    drop(even);
    drop(consumer);
    let mut consumer = queue.consume(Lane::Durable, 8).await?;
    let rest = next_many(&mut consumer, 3).await?;
    let texts = rest.iter().map(|delivery| delivery.body.clone()).collect::<HashSet<_>>();
    ensure!(texts == bodies(["0", "2", "4"]).into_iter().collect(), "{texts:?}");
    acknowledge(&mut consumer, rest).await?;
    ensure!(is_drained(queue, &mut consumer, Lane::Durable).await?);
    Ok(())
}

/// Answers each of `count` requests with itself and `!`.
async fn echo(mut consumer: Box<dyn Consumer>, count: usize) -> Result<()> {
    let mut answered = 0;
    while answered < count {
        let taken = next(&mut consumer, 64).await?;
        answered += taken.len();
        let replies = taken.iter().map(|delivery| (delivery, Bytes::from([&delivery.body[..], b"!"].concat())));
        consumer.reply(replies.collect()).await?;
        acknowledge(&mut consumer, taken).await?;
    }
    Ok(())
}

async fn a_request_is_answered(queue: &dyn Queue) -> Result<()> {
    let consumer = queue.consume(Lane::Interactive, 8).await?;
    let request = async { Ok(queue.request(Bytes::from_static(b"a"), soon()).await?) };
    let (reply, ()) = tokio::try_join!(request, echo(consumer, 1))?;
    ensure!(reply == "a!");
    Ok(())
}

async fn many_requests_at_once_get_their_own_replies(queue: &dyn Queue) -> Result<()> {
    let consumer = queue.consume(Lane::Interactive, 256).await?;
    let requests = async {
        let all = numbered(500).into_iter().map(|body| async move {
            let reply = queue.request(body.clone(), soon()).await?;
            ensure!(reply == [&body[..], b"!"].concat(), "a reply to another request");
            Ok(())
        });
        futures_util::future::try_join_all(all).await
    };
    tokio::try_join!(requests, echo(consumer, 500))?;
    Ok(())
}

async fn a_request_without_reply_times_out(queue: &dyn Queue) -> Result<()> {
    let deadline = Clock::system().now() + Duration::from_millis(300);
    let answer = queue.request(Bytes::from_static(b"a"), deadline).await;
    ensure!(matches!(answer, Err(QueueError::Timeout)), "{answer:?}");
    ensure!(Clock::system().now() >= deadline);
    Ok(())
}

async fn an_expired_request_is_not_delivered(queue: &dyn Queue) -> Result<()> {
    let deadline = Clock::system().now() + Duration::from_millis(50);
    let answer = queue.request(Bytes::from_static(b"late"), deadline).await;
    ensure!(matches!(answer, Err(QueueError::Timeout)), "{answer:?}");
    let answer = queue.request(Bytes::from_static(b"past"), deadline).await;
    ensure!(matches!(answer, Err(QueueError::Timeout)), "{answer:?}");
    let mut consumer = queue.consume(Lane::Interactive, 8).await?;
    let serve = async {
        let taken = next_one(&mut consumer).await?;
        ensure!(taken.body == "fresh" && taken.wants_reply, "{taken:?}");
        consumer.reply(vec![(&taken, Bytes::new())]).await?;
        acknowledge(&mut consumer, vec![taken]).await
    };
    let request = async { Ok(queue.request(Bytes::from_static(b"fresh"), soon()).await?) };
    tokio::try_join!(request, serve)?;
    Ok(())
}

async fn replying_to_a_caller_that_is_gone_is_no_error(queue: &dyn Queue) -> Result<()> {
    let mut consumer = queue.consume(Lane::Interactive, 8).await?;
    let taken = {
        let request = queue.request(Bytes::from_static(b"a"), soon());
        tokio::select! {
            answer = request => anyhow::bail!("answered by nobody: {answer:?}"),
            taken = next_one(&mut consumer) => taken?,
        }
    };
    consumer.reply(vec![(&taken, Bytes::from_static(b"b"))]).await?;
    acknowledge(&mut consumer, vec![taken]).await?;
    let request = async { Ok(queue.request(Bytes::from_static(b"c"), soon()).await?) };
    let (reply, ()) = tokio::try_join!(request, echo(consumer, 1))?;
    ensure!(reply == "c!");
    Ok(())
}

async fn a_retried_request_is_delivered_again_and_answered(queue: &dyn Queue) -> Result<()> {
    let mut consumer = queue.consume(Lane::Interactive, 8).await?;
    let serve = async {
        let taken = next_one(&mut consumer).await?;
        ensure!(taken.attempt == 1, "{taken:?}");
        consumer.settle(vec![(taken, Disposition::Retry { after: Duration::from_secs(1) })]).await?;
        let again = next_one(&mut consumer).await?;
        ensure!(again.attempt == 2, "{again:?}");
        consumer.reply(vec![(&again, Bytes::from_static(b"done"))]).await?;
        acknowledge(&mut consumer, vec![again]).await
    };
    let request = async { Ok(queue.request(Bytes::from_static(b"a"), soon()).await?) };
    let (reply, ()) = tokio::try_join!(request, serve)?;
    ensure!(reply == "done");
    Ok(())
}

async fn many_publishers_at_once_lose_nothing(queue: &dyn Queue) -> Result<()> {
    let publish = async {
        let all = numbered(500).into_iter().map(|body| queue.publish(Lane::Durable, vec![body]));
        futures_util::future::try_join_all(all).await?;
        anyhow::Ok(())
    };
    let mut consumer = queue.consume(Lane::Durable, 64).await?;
    let consume = async {
        let mut seen = HashSet::new();
        while seen.len() < 500 {
            let taken = next(&mut consumer, 64).await?;
            seen.extend(taken.iter().map(|delivery| delivery.body.clone()));
            acknowledge(&mut consumer, taken).await?;
        }
        anyhow::Ok(())
    };
    tokio::try_join!(publish, consume)?;
    Ok(())
}

async fn the_interactive_lane_refuses_messages_without_a_caller(queue: &dyn Queue) -> Result<()> {
    let refused = queue.publish(Lane::Interactive, bodies(["a"])).await;
    ensure!(matches!(refused, Err(QueueError::Refused(_))), "{refused:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_survive_a_restart_of_the_embedded_queue_and_those_out_come_back() -> Result<()> {
    let folder = TemporaryFolder::new("queue")?;
    let queue = open_embedded(&folder).await?;
    queue.publish(Lane::Durable, bodies(["out", "waiting"])).await?;
    let mut consumer = queue.consume(Lane::Durable, 1).await?;
    let _out = next_one(&mut consumer).await?;
    // As after a kill: nobody gives the claim back.
    std::mem::forget(consumer);
    let queue = open_embedded(&folder).await?;
    let mut consumer = queue.consume(Lane::Durable, 8).await?;
    let again = next_many(&mut consumer, 2).await?;
    let attempts = again.iter().map(|delivery| (delivery.body.clone(), delivery.attempt)).collect::<Vec<_>>();
    ensure!(attempts == [(Bytes::from_static(b"out"), 2), (Bytes::from_static(b"waiting"), 1)], "{attempts:?}");
    acknowledge(&mut consumer, again).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_confirmed_message_is_consumed_across_a_restart_of_the_broker() -> Result<()> {
    let mut broker = RabbitMq::start().await?;
    let queue = open_rabbitmq(&fresh_vhost(&broker).await?).await?;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let publisher = tokio::spawn(publish_until(Arc::clone(&queue), stopped));
    let consumer = queue.consume(Lane::Durable, 64).await?;
    let seen = Arc::new(std::sync::Mutex::new(HashSet::new()));
    let consuming = tokio::spawn(consume_for_ever(consumer, Arc::clone(&seen)));
    let count = || seen.lock().map(|seen| seen.len()).unwrap_or(0);
    eventually(PATIENCE, "messages before the restart", async || (count() > 50).then_some(())).await?;
    broker.stop().await?;
    eventually(PATIENCE, "the outage to be noticed", async || queue.check().await.err().map(drop)).await?;
    let refused = queue.request(Bytes::from_static(b"a"), soon()).await;
    ensure!(matches!(refused, Err(QueueError::Unavailable(_))), "{refused:?}");
    broker.restart().await?;
    eventually(PATIENCE, "the queue to be back", async || queue.check().await.ok()).await?;
    let at_return = count();
    eventually(PATIENCE, "messages after the restart", async || (count() > at_return + 50).then_some(())).await?;
    stop.send(true)?;
    let confirmed = publisher.await?;
    eventually(PATIENCE, "every confirmed message", async || {
        let seen = seen.lock().ok()?;
        confirmed.iter().all(|body| seen.contains(body)).then_some(())
    })
    .await?;
    consuming.abort();
    queue.close().await;
    Ok(())
}

/// Publishes one after the other; returns those that were confirmed.
async fn publish_until(queue: Arc<dyn Queue>, stopped: tokio::sync::watch::Receiver<bool>) -> Vec<Bytes> {
    let mut confirmed = Vec::new();
    let mut number = 0u64;
    while !*stopped.borrow() {
        let bodies = (number..number + 8).map(|number| Bytes::from(number.to_string())).collect::<Vec<_>>();
        number += 8;
        match queue.publish(Lane::Durable, bodies.clone()).await {
            Ok(()) => confirmed.extend(bodies),
            Err(_) => tokio::time::sleep(Backoff::FIRST).await,
        }
    }
    confirmed
}

async fn consume_for_ever(mut consumer: Box<dyn Consumer>, seen: Arc<std::sync::Mutex<HashSet<Bytes>>>) {
    loop {
        let taken = consumer.next(32).await;
        if let Ok(mut seen) = seen.lock() {
            seen.extend(taken.iter().map(|delivery| delivery.body.clone()));
        }
        // After an error they come back.
        let settled = taken.into_iter().map(|delivery| (delivery, Disposition::Ack)).collect();
        drop(consumer.settle(settled).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_refuses_us_stops_the_start_and_one_that_is_away_does_not() -> Result<()> {
    let not_a_url = open_rabbitmq("http://localhost").await;
    ensure!(refusal(not_a_url)?.contains("AMQP_URL"));
    let url = fresh_vhost(shared_broker().await?).await?;
    let wrong_password = open_rabbitmq(&url.replace(":touchstone@", ":wrong@")).await;
    ensure!(!refusal(wrong_password)?.contains("wrong"), "the password is shown");
    let free = std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
    let queue = open_rabbitmq(&format!("amqp://127.0.0.1:{free}")).await?;
    let published = queue.publish(Lane::Durable, bodies(["a"])).await;
    ensure!(matches!(published, Err(QueueError::Unavailable(_))), "{published:?}");
    ensure!(queue.check().await.is_err());
    queue.close().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_with_other_arguments_stops_the_start_and_says_how_to_mend_it() -> Result<()> {
    let broker = shared_broker().await?;
    let url = fresh_vhost(broker).await?;
    let vhost = url.rsplit('/').next().context("a URL ends in its virtual host")?;
    let other = json!({"durable": true, "arguments": {"x-queue-type": "classic"}});
    Admin::new(&broker.admin_url())?.put(&format!("/api/queues/{vhost}/touchstone.durable"), &other).await?;
    let refused = refusal(open_rabbitmq(&url).await)?;
    ensure!(refused.contains("rabbitmqctl delete_queue touchstone.durable"), "{refused}");
    Ok(())
}

/// What a queue that must not open said.
fn refusal(opened: Result<Arc<dyn Queue>>) -> Result<String> {
    let error = opened.err().context("it opened")?;
    let refused = matches!(error.downcast_ref(), Some(QueueError::Refused(_)));
    ensure!(refused, "not a refusal: {error:?}");
    Ok(error.to_string())
}
