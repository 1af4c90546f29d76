//! Takes messages from a lane and settles them.
//!
//! Guarantee: a message is acknowledged only when each of its deliveries is settled, on the channel it came by, and
//! after what replaces it (retry, dead letter) is confirmed. Failure: when the channel dies its messages come back by
//! themselves; receipts from before are ignored, and `next` waits for the next session.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::join_all;
use futures_util::{FutureExt as _, StreamExt as _};
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicNackOptions, BasicPublishOptions, BasicQosOptions};
use lapin::types::{FieldTable, ShortString};
use lapin::{BasicProperties, Channel};
use tokio::task::JoinHandle;
use touchstone_schema::time::Timestamp;

use super::connection::{CONFIRM_TIMEOUT, PROBE_TIMEOUT, Session, Sessions, lapin_error};
use super::dead_letters::dead_letter;
use super::frame::{self, Entry, FRAME_ENTRIES};
use super::publisher::{ATTEMPTS_HEADER, Outgoing, publish_all};
use super::topology::{DEFAULT_EXCHANGE, delay_exchange, queue_of};
use crate::clock::Clock;
use crate::queue::{Delivery, Disposition, Lane, QueueError, log_dead_letter};
use crate::retry::Backoff;

/// Header that a quorum queue counts returned deliveries in.
pub(super) const DELIVERY_COUNT_HEADER: &str = "x-delivery-count";

/// Where a delivery came from.
#[derive(Debug)]
pub(crate) struct Receipt {
    link: u64,
    tag: u64,
    message_id: Option<String>,
    /// Address, correlation and deadline of the caller that waits.
    caller: Option<Caller>,
}

#[derive(Debug, Clone)]
struct Caller {
    reply_to: ShortString,
    correlation: u64,
    deadline: Timestamp,
}

/// The channel of right now.
struct Link {
    /// Tells links apart: a receipt of another channel settles nothing here.
    number: u64,
    session: Arc<Session>,
    channel: Channel,
    messages: lapin::Consumer,
    /// Messages received and not settled, oldest first, with how many of their deliveries are still out.
    unsettled: BTreeMap<u64, usize>,
    /// Unpacked, not handed out yet.
    unpacked: VecDeque<Delivery>,
    /// Handed out and not settled.
    out: usize,
}

/// Numbers links across all consumers of the process.
static LINKS: AtomicU64 = AtomicU64::new(1);

/// See [`crate::queue::Consumer`].
pub(super) struct Consumer {
    lane: Lane,
    prefetch: u16,
    sessions: Sessions,
    clock: Clock,
    link: Option<Link>,
    opening: Option<JoinHandle<Option<Link>>>,
}

impl Consumer {
    pub(super) fn new(lane: Lane, prefetch: u16, sessions: Sessions, clock: Clock) -> Self {
        Self { lane, prefetch: prefetch.max(1), sessions, clock, link: None, opening: None }
    }

    /// Waits until there is a channel that consumes. It is opened in a task of its own: given up half-way, it would hold
    /// messages that nobody sees.
    async fn connect(&mut self) {
        let (sessions, lane, prefetch) = (&self.sessions, self.lane, self.prefetch);
        let opening =
            self.opening.get_or_insert_with(|| tokio::spawn(open_when_possible(sessions.clone(), lane, prefetch)));
        let opened = opening.await;
        self.opening = None;
        match opened {
            Ok(Some(link)) => self.link = Some(link),
            // The supervisor has stopped and will bring no session any more: all that is left is patience.
            Ok(None) => std::future::pending().await,
            Err(error) => tracing::error!(%error, "the task that opens a channel failed"),
        }
    }

    /// Acknowledges, retries and dead-letters for the durable lanes; retries at once on the interactive one.
    fn replacement(&self, delivery: &Delivery, disposition: Disposition) -> Option<Outgoing> {
        match disposition {
            Disposition::Ack => None,
            Disposition::Retry { after } => Some(self.retry(delivery, after)),
            Disposition::DeadLetter { reason } => {
                let (lane, id, attempt) = (self.lane.as_str(), delivery.receipt_id(), delivery.attempt);
                log_dead_letter(lane, id.as_deref().unwrap_or_default(), attempt, &reason);
                Some(dead_letter(lane, &reason, self.clock.now(), attempt, id, delivery.body.clone()))
            }
        }
    }

    fn retry(&self, delivery: &Delivery, after: Duration) -> Outgoing {
        let body = delivery.body.clone();
        let Some(caller) = delivery.caller() else {
            let message_id = delivery.receipt_id();
            let mut message = Outgoing::to_lane(self.lane, body, message_id, delivery.attempt);
            if let Some(exchange) = delay_exchange(after) {
                message.exchange = exchange;
            }
            return message;
        };
        let left = caller.deadline.since(self.clock.now()).as_millis().max(1);
        let entry = Entry { correlation: caller.correlation, deadline: caller.deadline, body };
        let mut headers = FieldTable::default();
        headers.insert(ATTEMPTS_HEADER.into(), lapin::types::AMQPValue::LongLongInt(i64::from(delivery.attempt)));
        let properties = BasicProperties::default()
            .with_reply_to(caller.reply_to.clone())
            .with_expiration(left.to_string().into())
            .with_headers(headers);
        Outgoing {
            exchange: DEFAULT_EXCHANGE,
            routing_key: queue_of(self.lane),
            properties,
            body: frame::encode(&[entry]),
        }
    }
}

#[async_trait]
impl crate::queue::Consumer for Consumer {
    async fn next(&mut self, most: usize) -> Vec<Delivery> {
        let most = most.max(1);
        loop {
            let Some(link) = &mut self.link else {
                self.connect().await;
                continue;
            };
            let room = usize::from(self.prefetch).saturating_sub(link.out);
            if room == 0 {
                // The broker holds back alike; what comes now is the rest of its frames, or the end of the channel.
                match link.messages.next().await {
                    Some(Ok(message)) => link.unpack(self.lane, &self.clock, message),
                    Some(Err(_)) | None => self.link = None,
                }
                continue;
            }
            let is_alive = link.fill(self.lane, &self.clock, most.min(room)).await;
            let taken = link.take(most.min(room));
            if !taken.is_empty() {
                return taken;
            }
            if !is_alive {
                self.link = None;
                // Leaves the supervisor a moment to see the failure too.
                tokio::task::yield_now().await;
            }
        }
    }

    async fn reply(&mut self, replies: Vec<(&Delivery, Bytes)>) -> Result<(), QueueError> {
        let Some(link) = &self.link else { return Err(QueueError::Unavailable(None)) };
        let mut by_caller: HashMap<ShortString, Vec<Entry>> = HashMap::new();
        for (delivery, body) in replies {
            if let Some(Caller { reply_to, correlation, .. }) = delivery.caller().cloned() {
                let entry = Entry { correlation, deadline: Timestamp::from_millis(0), body };
                by_caller.entry(reply_to).or_default().push(entry);
            }
        }
        let frames = by_caller.iter().flat_map(|(reply_to, entries)| {
            entries.chunks(FRAME_ENTRIES).map(move |entries| (reply_to.clone(), frame::encode(entries)))
        });
        let sending = join_all(frames.map(|(reply_to, frame)| async move {
            let options = BasicPublishOptions::default();
            let properties = BasicProperties::default();
            link.channel.basic_publish(DEFAULT_EXCHANGE.into(), reply_to, options, &frame, properties).await
        }));
        within(CONFIRM_TIMEOUT, async { sending.await.into_iter().try_for_each(|sent| sent.map(drop)) }).await
    }

    async fn settle(&mut self, settled: Vec<(Delivery, Disposition)>) -> Result<(), QueueError> {
        let mut done = Vec::with_capacity(settled.len());
        let mut replaced = Vec::new();
        let mut replacements = Vec::new();
        for (delivery, disposition) in settled {
            let is_ours = self.link.as_ref().is_some_and(|link| link.number == delivery.link());
            if !is_ours {
                continue;
            }
            match self.replacement(&delivery, disposition) {
                None => done.push(delivery.tag()),
                Some(message) => {
                    replaced.push(delivery.tag());
                    replacements.push(message);
                }
            }
        }
        let Some(link) = &mut self.link else { return Ok(()) };
        link.out = link.out.saturating_sub(done.len() + replaced.len());
        let published = publish_all(Arc::clone(&link.session), replacements).await;
        if published.is_ok() {
            done.append(&mut replaced);
        }
        let acknowledged = link.acknowledge(done).await;
        let returned = link.give_back(replaced).await;
        published.and(acknowledged).and(returned)
    }
}

/// Tries until a channel consumes; none when there will be no session any more.
async fn open_when_possible(mut sessions: Sessions, lane: Lane, prefetch: u16) -> Option<Link> {
    let mut backoff = Backoff::default();
    loop {
        let session = sessions.wait_for(Option::is_some).await.ok().and_then(|session| session.clone())?;
        match tokio::time::timeout(PROBE_TIMEOUT, Link::open(session, lane, prefetch)).await {
            Ok(Ok(link)) => return Some(link),
            Ok(Err(error)) => tracing::debug!(%error, lane = lane.as_str(), "consuming cannot begin yet"),
            Err(_) => tracing::debug!(lane = lane.as_str(), "the broker is slow to let us consume"),
        }
        backoff.wait().await;
    }
}

impl Link {
    async fn open(session: Arc<Session>, lane: Lane, prefetch: u16) -> Result<Self, QueueError> {
        let channel = session.connection.create_channel().await.map_err(lapin_error)?;
        channel.basic_qos(prefetch, BasicQosOptions::default()).await.map_err(lapin_error)?;
        let messages = channel
            .basic_consume(
                queue_of(lane).into(),
                ShortString::default(),
                BasicConsumeOptions::default(),
                FieldTable::default(),
            )
            .await
            .map_err(lapin_error)?;
        let number = LINKS.fetch_add(1, Ordering::Relaxed);
        let (unsettled, unpacked) = (BTreeMap::new(), VecDeque::new());
        Ok(Self { number, session, channel, messages, unsettled, unpacked, out: 0 })
    }

    /// Unpacks the first message that comes, unless some are there, and those that are already here. False when the
    /// channel is dead.
    async fn fill(&mut self, lane: Lane, clock: &Clock, most: usize) -> bool {
        let mut is_alive = true;
        if self.unpacked.is_empty() {
            match self.messages.next().await {
                Some(Ok(message)) => self.unpack(lane, clock, message),
                Some(Err(_)) | None => return false,
            }
        }
        while is_alive && self.unpacked.len() < most {
            match self.messages.next().now_or_never() {
                Some(Some(Ok(message))) => self.unpack(lane, clock, message),
                Some(Some(Err(_)) | None) => is_alive = false,
                None => break,
            }
        }
        let empty = self.unsettled.iter().filter(|(_, out)| **out == 0).map(|(tag, _)| *tag).collect::<Vec<_>>();
        if !empty.is_empty() {
            is_alive &= self.acknowledge_messages(empty).await.is_ok();
        }
        is_alive
    }

    fn unpack(&mut self, lane: Lane, clock: &Clock, message: lapin::message::Delivery) {
        let tag = message.delivery_tag;
        let attempt = attempt_of(&message.properties, message.redelivered);
        let message_id = message.properties.message_id().as_ref().map(ToString::to_string);
        let link = self.number;
        if lane != Lane::Interactive {
            let receipt = Receipt { link, tag, message_id, caller: None };
            self.unsettled.insert(tag, 1);
            self.unpacked.push_back(delivery(message.data.into(), attempt, receipt));
            return;
        }
        let entries = frame::decode(message.data.into()).unwrap_or_else(|error| {
            tracing::warn!(%error, "a request cannot be read and is dropped; is another version of Touchstone running?");
            Vec::new()
        });
        let now = clock.now();
        let mut waiting = 0;
        for entry in entries.into_iter().filter(|entry| entry.deadline > now) {
            let Entry { correlation, deadline, body } = entry;
            let caller =
                message.properties.reply_to().clone().map(|reply_to| Caller { reply_to, correlation, deadline });
            let receipt = Receipt { link, tag, message_id: message_id.clone(), caller };
            self.unpacked.push_back(delivery(body, attempt, receipt));
            waiting += 1;
        }
        self.unsettled.insert(tag, waiting);
    }

    fn take(&mut self, most: usize) -> Vec<Delivery> {
        let most = most.min(self.unpacked.len());
        self.out += most;
        self.unpacked.drain(..most).collect()
    }

    /// Counts deliveries off their messages and acknowledges those that are done.
    async fn acknowledge(&mut self, tags: Vec<u64>) -> Result<(), QueueError> {
        let mut whole = Vec::new();
        for tag in tags {
            if let Some(out) = self.unsettled.get_mut(&tag) {
                *out = out.saturating_sub(1);
                if *out == 0 {
                    whole.push(tag);
                }
            }
        }
        self.acknowledge_messages(whole).await
    }

    /// One acknowledgement for the oldest in a row, one each for the rest.
    async fn acknowledge_messages(&mut self, mut tags: Vec<u64>) -> Result<(), QueueError> {
        tags.sort_unstable();
        let in_a_row = self.unsettled.keys().zip(&tags).take_while(|(oldest, tag)| oldest == tag).count();
        let rest = tags.split_off(in_a_row);
        // They leave the books first: acknowledging a tag twice would close the channel.
        for tag in tags.iter().chain(&rest) {
            self.unsettled.remove(tag);
        }
        let oldest = tags.last().map(|tag| (*tag, tags.len() > 1));
        let all = oldest.into_iter().chain(rest.into_iter().map(|tag| (tag, false)));
        let channel = &self.channel;
        let sending = join_all(all.map(|(tag, multiple)| channel.basic_ack(tag, BasicAckOptions { multiple })));
        within(CONFIRM_TIMEOUT, async { sending.await.into_iter().collect() }).await
    }

    /// Returns messages to the lane at once.
    async fn give_back(&mut self, mut tags: Vec<u64>) -> Result<(), QueueError> {
        tags.sort_unstable();
        tags.dedup();
        tags.retain(|tag| self.unsettled.remove(tag).is_some());
        let channel = &self.channel;
        let options = BasicNackOptions { requeue: true, multiple: false };
        let sending = join_all(tags.into_iter().map(|tag| channel.basic_nack(tag, options)));
        within(CONFIRM_TIMEOUT, async { sending.await.into_iter().collect() }).await
    }
}

impl Delivery {
    fn receipt(&self) -> Option<&Receipt> {
        match &self.receipt {
            crate::queue::Receipt::RabbitMq(receipt) => Some(receipt),
            crate::queue::Receipt::Embedded(_) => None,
        }
    }

    fn caller(&self) -> Option<&Caller> {
        self.receipt().and_then(|receipt| receipt.caller.as_ref())
    }

    fn receipt_id(&self) -> Option<String> {
        self.receipt().and_then(|receipt| receipt.message_id.clone())
    }

    /// 0, which no link has, for a delivery of another adapter.
    fn link(&self) -> u64 {
        self.receipt().map_or(0, |receipt| receipt.link)
    }

    fn tag(&self) -> u64 {
        self.receipt().map_or(0, |receipt| receipt.tag)
    }
}

fn delivery(body: Bytes, attempt: u32, receipt: Receipt) -> Delivery {
    let wants_reply = receipt.caller.is_some();
    Delivery { body, attempt, wants_reply, receipt: crate::queue::Receipt::RabbitMq(receipt) }
}

/// Deliveries so far, this one included. Classic queues only tell whether there was another.
fn attempt_of(properties: &BasicProperties, redelivered: bool) -> u32 {
    let headers = properties.headers().as_ref();
    let before = headers.map_or(0, |headers| number(headers, ATTEMPTS_HEADER));
    let returned = match headers.map_or(0, |headers| number(headers, DELIVERY_COUNT_HEADER)) {
        0 => u32::from(redelivered),
        count => count,
    };
    before.saturating_add(returned).saturating_add(1)
}

/// A header that counts; 0 when it is missing or no count.
pub(super) fn number(headers: &FieldTable, name: &str) -> u32 {
    use lapin::types::AMQPValue::{LongInt, LongLongInt, LongUInt, ShortInt, ShortShortInt, ShortShortUInt, ShortUInt};
    match headers.inner().get(name) {
        Some(LongLongInt(value)) => u32::try_from(*value).unwrap_or(0),
        Some(LongInt(value)) => u32::try_from(*value).unwrap_or(0),
        Some(LongUInt(value)) => *value,
        Some(ShortInt(value)) => u32::try_from(*value).unwrap_or(0),
        Some(ShortUInt(value)) => u32::from(*value),
        Some(ShortShortInt(value)) => u32::try_from(*value).unwrap_or(0),
        Some(ShortShortUInt(value)) => u32::from(*value),
        _ => 0,
    }
}

/// Runs one exchange with the broker against the clock.
async fn within(limit: Duration, work: impl Future<Output = Result<(), lapin::Error>>) -> Result<(), QueueError> {
    match tokio::time::timeout(limit, work).await {
        Ok(done) => done.map_err(lapin_error),
        Err(elapsed) => Err(QueueError::Unavailable(Some(Box::new(elapsed)))),
    }
}
