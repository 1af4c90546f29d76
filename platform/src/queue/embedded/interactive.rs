//! The interactive lane in memory.
//!
//! Guarantee: none beyond the process, as the port says; a request past its deadline is not handed out. Failure: a full
//! lane refuses at once; requests of a consumer that is dropped go back to the front.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::{Notify, oneshot};
use touchstone_schema::time::Timestamp;

use super::Receipt;
use super::ledger::Ledger;
use crate::clock::Clock;
use crate::queue::{Delivery, Disposition, Lane, QueueError};

/// Most requests that wait; more are refused, which sheds load at the door.
const REQUESTS_WAITING: usize = 8_192;

struct Request {
    body: Bytes,
    deadline: Timestamp,
    attempt: u32,
    /// Taken by the reply.
    answer: Option<oneshot::Sender<Bytes>>,
}

/// The requests that no consumer has taken.
pub(super) struct Interactive {
    waiting: Mutex<VecDeque<Request>>,
    arrived: Notify,
    clock: Clock,
}

impl Interactive {
    pub(super) fn new(clock: Clock) -> Self {
        Self { waiting: Mutex::default(), arrived: Notify::new(), clock }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Request>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn depth(&self) -> u64 {
        self.lock().len() as u64
    }

    /// See [`crate::queue::Queue::request`].
    pub(super) async fn request(&self, body: Bytes, deadline: Timestamp) -> Result<Bytes, QueueError> {
        let left = deadline.since(self.clock.now());
        if left.is_zero() {
            return Err(QueueError::Timeout);
        }
        let (answer, reply) = oneshot::channel();
        {
            let mut waiting = self.lock();
            if waiting.len() >= REQUESTS_WAITING {
                return Err(QueueError::Unavailable(Some("too many requests wait".into())));
            }
            waiting.push_back(Request { body, deadline, attempt: 1, answer: Some(answer) });
        }
        self.arrived.notify_one();
        // A request that is settled without a reply gets none either way: waiting on would bring nothing.
        match tokio::time::timeout(left, reply).await {
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(_)) | Err(_) => Err(QueueError::Timeout),
        }
    }

    /// Takes up to `most`, leaving out those whose caller has gone or given up.
    fn take(&self, most: usize) -> Vec<Request> {
        let now = self.clock.now();
        let mut waiting = self.lock();
        let mut taken = Vec::new();
        while taken.len() < most {
            let Some(request) = waiting.pop_front() else { break };
            let has_caller = request.answer.as_ref().is_some_and(|answer| !answer.is_closed());
            if has_caller && request.deadline > now {
                taken.push(request);
            }
        }
        if !waiting.is_empty() {
            self.arrived.notify_one();
        }
        taken
    }

    fn put_back(&self, requests: impl IntoIterator<Item = Request>) {
        let mut waiting = self.lock();
        for mut request in requests {
            request.attempt = request.attempt.saturating_add(1);
            waiting.push_front(request);
        }
        drop(waiting);
        self.arrived.notify_one();
    }
}

/// See [`crate::queue::Consumer`].
pub(super) struct Consumer {
    lane: Arc<Interactive>,
    ledger: Ledger,
    prefetch: usize,
    out: HashMap<u64, Request>,
    next_receipt: u64,
}

impl Consumer {
    pub(super) fn new(lane: Arc<Interactive>, ledger: Ledger, prefetch: u16) -> Self {
        Self { lane, ledger, prefetch: usize::from(prefetch.max(1)), out: HashMap::new(), next_receipt: 0 }
    }

    fn hand_out(&mut self, request: Request) -> Delivery {
        self.next_receipt += 1;
        let delivery = Delivery {
            body: request.body.clone(),
            attempt: request.attempt,
            wants_reply: true,
            receipt: crate::queue::Receipt::Embedded(Receipt::Request(self.next_receipt)),
        };
        self.out.insert(self.next_receipt, request);
        delivery
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        let mut left = self.out.drain().collect::<Vec<_>>();
        left.sort_unstable_by_key(|(receipt, _)| std::cmp::Reverse(*receipt));
        self.lane.put_back(left.into_iter().map(|(_, request)| request).filter(|request| request.answer.is_some()));
    }
}

#[async_trait]
impl crate::queue::Consumer for Consumer {
    async fn next(&mut self, most: usize) -> Vec<Delivery> {
        loop {
            let room = self.prefetch.saturating_sub(self.out.len());
            if room == 0 {
                return std::future::pending().await;
            }
            let lane = Arc::clone(&self.lane);
            let arrived = lane.arrived.notified();
            let taken = lane.take(most.max(1).min(room));
            if !taken.is_empty() {
                return taken.into_iter().map(|request| self.hand_out(request)).collect();
            }
            arrived.await;
        }
    }

    async fn reply(&mut self, replies: Vec<(&Delivery, Bytes)>) -> Result<(), QueueError> {
        for (delivery, body) in replies {
            let request = receipt_of(delivery).and_then(|receipt| self.out.get_mut(&receipt));
            if let Some(answer) = request.and_then(|request| request.answer.take()) {
                let _gone = answer.send(body);
            }
        }
        Ok(())
    }

    async fn settle(&mut self, settled: Vec<(Delivery, Disposition)>) -> Result<(), QueueError> {
        for (delivery, disposition) in settled {
            let Some(receipt) = receipt_of(&delivery) else { continue };
            if let Disposition::DeadLetter { reason } = &disposition {
                let attempt = delivery.attempt;
                self.ledger.set_aside(Lane::Interactive, delivery.body.clone(), attempt, reason.clone()).await?;
            }
            let Some(request) = self.out.remove(&receipt) else { continue };
            if matches!(disposition, Disposition::Retry { .. }) {
                self.lane.put_back([request]);
            }
        }
        Ok(())
    }
}

fn receipt_of(delivery: &Delivery) -> Option<u64> {
    match &delivery.receipt {
        crate::queue::Receipt::Embedded(Receipt::Request(receipt)) => Some(*receipt),
        _ => None,
    }
}
