//! Requests whose caller waits: sent together, answered by direct reply-to.
//!
//! Guarantee: requests that wait at the same moment travel as one message, and none ever waits for company. A waiter is
//! forgotten when it is answered, times out or is dropped. Failure: when the broker refuses a frame or the session ends,
//! the waiters concerned fail at once with [`QueueError::Unavailable`].

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use lapin::BasicProperties;
use lapin::options::BasicPublishOptions;
use tokio::sync::{mpsc, oneshot};
use touchstone_schema::time::Timestamp;

use super::connection::{CONFIRM_TIMEOUT, REPLY_TO, Session, Sessions, current};
use super::frame::{self, Entry, FRAME_BYTES, FRAME_ENTRIES};
use super::publisher::{check, lost};
use super::topology::{DEFAULT_EXCHANGE, queue_of};
use crate::clock::Clock;
use crate::queue::{Lane, QueueError};

/// Delivery mode of AMQP 0-9-1: memory will do.
const TRANSIENT: u8 = 1;
/// Most requests that wait to be sent; more are refused at once.
const REQUESTS_WAITING: usize = 8_192;

type Answer = Result<Bytes, QueueError>;

#[derive(Debug)]
struct Waiter {
    answer: oneshot::Sender<Answer>,
    /// Session that carries the request; 0 before it is sent.
    session: u64,
}

/// The callers that wait for a reply.
#[derive(Debug, Default)]
pub(super) struct Waiters(Mutex<HashMap<u64, Waiter>>);

impl Waiters {
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Waiter>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands the replies of one message to those who wait. Replies that nobody waits for are late: they go.
    pub(super) fn receive(&self, data: Vec<u8>) {
        match frame::decode(data.into()) {
            Ok(entries) => {
                let mut waiters = self.lock();
                for entry in entries {
                    if let Some(waiter) = waiters.remove(&entry.correlation) {
                        let _gone = waiter.answer.send(Ok(entry.body));
                    }
                }
            }
            Err(error) => tracing::warn!(%error, "a reply cannot be read; is another version of Touchstone running?"),
        }
    }

    /// Fails everyone whose request travelled on that session.
    pub(super) fn fail_session(&self, session: u64) {
        self.lock().extract_if(|_, waiter| waiter.session == session).for_each(|(_, waiter)| waiter.fail());
    }

    fn fail(&self, correlations: &[u64]) {
        let mut waiters = self.lock();
        correlations.iter().filter_map(|correlation| waiters.remove(correlation)).for_each(Waiter::fail);
    }

    /// Marks as sent those who still wait; tells which they are.
    fn send_off(&self, entries: &mut Vec<Entry>, session: u64) {
        let mut waiters = self.lock();
        entries.retain(|entry| match waiters.get_mut(&entry.correlation) {
            Some(waiter) => {
                waiter.session = session;
                true
            }
            None => false,
        });
    }
}

impl Waiter {
    fn fail(self) {
        let _gone = self.answer.send(Err(QueueError::Unavailable(None)));
    }
}

/// Forgets the waiter when its caller is done or gone.
struct Registration<'a> {
    waiters: &'a Waiters,
    correlation: u64,
}

impl Drop for Registration<'_> {
    fn drop(&mut self) {
        self.waiters.lock().remove(&self.correlation);
    }
}

/// The sending side of the interactive lane.
#[derive(Debug)]
pub(super) struct Requester {
    waiters: Arc<Waiters>,
    outbox: mpsc::Sender<Entry>,
    next_correlation: AtomicU64,
    clock: Clock,
}

impl Requester {
    /// Starts the one task that sends; it ends when the requester is dropped.
    pub(super) fn start(waiters: Arc<Waiters>, sessions: Sessions, clock: Clock) -> Self {
        let (outbox, requests) = mpsc::channel(REQUESTS_WAITING);
        tokio::spawn(send_requests(requests, Arc::clone(&waiters), sessions, clock.clone()));
        Self { waiters, outbox, next_correlation: AtomicU64::new(1), clock }
    }

    /// See [`crate::queue::Queue::request`].
    pub(super) async fn request(&self, body: Bytes, deadline: Timestamp) -> Answer {
        let left = deadline.since(self.clock.now());
        if left.is_zero() {
            return Err(QueueError::Timeout);
        }
        let correlation = self.next_correlation.fetch_add(1, Ordering::Relaxed);
        let (answer, reply) = oneshot::channel();
        self.waiters.lock().insert(correlation, Waiter { answer, session: 0 });
        let _registration = Registration { waiters: &self.waiters, correlation };
        self.outbox
            .try_send(Entry { correlation, deadline, body })
            .map_err(|_| QueueError::Unavailable(Some("too many requests wait for the broker".into())))?;
        match tokio::time::timeout(left, reply).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(QueueError::Unavailable(None)),
            Err(_) => Err(QueueError::Timeout),
        }
    }
}

/// Takes what waits, one turn of the scheduler after the first, and sends it as one frame.
async fn send_requests(mut requests: mpsc::Receiver<Entry>, waiters: Arc<Waiters>, sessions: Sessions, clock: Clock) {
    while let Some(first) = requests.recv().await {
        tokio::task::yield_now().await;
        let mut bytes = first.body.len();
        let mut entries = vec![first];
        while entries.len() < FRAME_ENTRIES && bytes < FRAME_BYTES {
            let Ok(next) = requests.try_recv() else { break };
            bytes += next.body.len();
            entries.push(next);
        }
        let Ok(session) = current(&sessions) else {
            waiters.fail(&correlations(&entries));
            continue;
        };
        waiters.send_off(&mut entries, session.number);
        let now = clock.now();
        let longest = entries.iter().map(|entry| entry.deadline.since(now)).max().unwrap_or_default();
        if longest.is_zero() {
            continue;
        }
        send_frame(&entries, longest, session, &waiters).await;
    }
}

/// Sends one frame; its confirm is awaited aside, so that the next frame need not wait for it.
async fn send_frame(entries: &[Entry], time_to_live: Duration, session: Arc<Session>, waiters: &Arc<Waiters>) {
    let correlations = correlations(entries);
    let properties = BasicProperties::default()
        .with_delivery_mode(TRANSIENT)
        .with_reply_to(REPLY_TO.into())
        .with_expiration(time_to_live.as_millis().max(1).to_string().into());
    let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let frame = frame::encode(entries);
    let queue = queue_of(Lane::Interactive);
    let sending = session.requesting.basic_publish(DEFAULT_EXCHANGE.into(), queue.into(), options, &frame, properties);
    match tokio::time::timeout(CONFIRM_TIMEOUT, sending).await {
        Ok(Ok(confirm)) => {
            let waiters = Arc::clone(waiters);
            tokio::spawn(async move {
                let answer = confirm.await.map_err(|error| lost(&session, error)).and_then(|answer| check(&answer));
                if answer.is_err() {
                    waiters.fail(&correlations);
                }
            });
        }
        Ok(Err(error)) => {
            let _reported_by_the_supervisor = lost(&session, error);
            waiters.fail(&correlations);
        }
        Err(_) => {
            session.give_up();
            waiters.fail(&correlations);
        }
    }
}

fn correlations(entries: &[Entry]) -> Vec<u64> {
    entries.iter().map(|entry| entry.correlation).collect()
}
