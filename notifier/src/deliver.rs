//! Makes the attempts: fairly among endpoints, bounded in all and per endpoint.
//!
//! Guarantee: an attempt is made only while its lease outlasts the attempt's time-out, so no two attempts of one
//! delivery are in flight. A slow endpoint fills its own slots and its own line, then its deliveries go back to the
//! database; endpoints with work take turns. Failure: whatever goes wrong in an attempt is a failed attempt; what this
//! process cannot send at all (a secret that does not open) is one too, so it is seen.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use touchstone_platform::clock::Clock;
use touchstone_platform::crypto::MasterKeys;
use touchstone_platform::random;
use touchstone_platform::store::deliveries::{AttemptRecord, DueDelivery, NextStep};
use touchstone_schema::ids::EndpointId;
use touchstone_schema::time::Timestamp;

use crate::plan::Leased;
use crate::record::Record;
use crate::retry::{Ending, next_step, parse_retry_after};
use crate::webhook::{self, Answer, Client, Signed};
use crate::{Dependencies, Settings};

/// Most deliveries that wait here for one endpoint.
const ENDPOINT_LINE: usize = 128;
/// Most deliveries that wait here in all.
const LINES: usize = 2_048;
/// When a delivery that found its line full is due again.
const LINE_FULL_PAUSE: Duration = Duration::from_secs(1);

/// Endpoints whose line is full: the sweep leaves their deliveries alone.
#[derive(Debug, Clone, Default)]
pub(crate) struct BusyEndpoints(Arc<Mutex<HashSet<EndpointId>>>);

impl BusyEndpoints {
    /// The endpoints.
    pub(crate) fn list(&self) -> Vec<EndpointId> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    fn mark(&self, endpoint: &EndpointId, busy: bool) {
        let mut endpoints = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if busy {
            endpoints.insert(endpoint.clone());
        } else {
            endpoints.remove(endpoint);
        }
    }
}

/// What waits and what flies to one endpoint.
#[derive(Debug, Default)]
struct Line {
    waiting: VecDeque<(DueDelivery, Timestamp)>,
    in_flight: usize,
    failing: bool,
    has_turn: bool,
}

/// Owns the lines and the attempts in flight.
#[derive(Debug)]
pub(crate) struct Dispatcher {
    settings: Arc<Settings>,
    clock: Clock,
    attempter: Attempter,
    record: mpsc::Sender<Record>,
    busy: BusyEndpoints,
    lines: HashMap<EndpointId, Line>,
    turns: VecDeque<EndpointId>,
    waiting: usize,
    attempts: JoinSet<(EndpointId, bool)>,
}

impl Dispatcher {
    pub(crate) fn new(
        settings: Arc<Settings>,
        clock: Clock,
        attempter: Attempter,
        record: mpsc::Sender<Record>,
        busy: BusyEndpoints,
    ) -> Self {
        Self {
            settings,
            clock,
            attempter,
            record,
            busy,
            lines: HashMap::new(),
            turns: VecDeque::new(),
            waiting: 0,
            attempts: JoinSet::new(),
        }
    }

    /// Dispatches until shutdown, then finishes the attempts in flight and gives the rest back.
    pub(crate) async fn run(mut self, mut handed: mpsc::Receiver<Leased>, shutdown: CancellationToken) {
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                Some(ended) = self.attempts.join_next() => match ended {
                    Ok((endpoint, arrived)) => self.ended(&endpoint, arrived),
                    Err(error) => return died(&error),
                },
                leased = handed.recv() => match leased {
                    Some(leased) => self.take(leased).await,
                    None => break,
                },
            }
            self.start().await;
            self.tell();
        }
        self.drain(handed).await;
    }

    async fn drain(mut self, mut handed: mpsc::Receiver<Leased>) {
        // Until nobody plans any more: what is leased at this moment would otherwise wait for its lease to run out.
        let now = self.clock.now();
        while let Some(leased) = handed.recv().await {
            for delivery in leased.deliveries {
                self.give_back(delivery, leased.until, now).await;
            }
        }
        let lines = std::mem::take(&mut self.lines);
        for (delivery, until) in lines.into_values().flat_map(|line| line.waiting) {
            self.give_back(delivery, until, now).await;
        }
        while let Some(ended) = self.attempts.join_next().await {
            if let Err(error) = ended {
                return died(&error);
            }
        }
    }

    async fn take(&mut self, leased: Leased) {
        for delivery in leased.deliveries {
            let id = delivery.endpoint.id.clone();
            let failing = delivery.endpoint.failing_since.is_some();
            let line = self.lines.entry(id.clone()).or_insert_with(|| Line { failing, ..Line::default() });
            if line.waiting.len() >= ENDPOINT_LINE || self.waiting >= LINES {
                self.busy.mark(&id, true);
                let due = self.clock.now() + LINE_FULL_PAUSE;
                self.give_back(delivery, leased.until, due).await;
                continue;
            }
            line.waiting.push_back((delivery, leased.until));
            self.waiting += 1;
            self.offer_turn(&id);
        }
    }

    /// Gives the endpoint a place in the round, when it has work and a free slot.
    fn offer_turn(&mut self, endpoint: &EndpointId) {
        let Some(line) = self.lines.get_mut(endpoint) else { return };
        let slots = if line.failing { self.settings.failing_concurrency } else { self.settings.endpoint_concurrency };
        if !line.has_turn && !line.waiting.is_empty() && line.in_flight < slots {
            line.has_turn = true;
            self.turns.push_back(endpoint.clone());
        }
    }

    async fn start(&mut self) {
        while self.attempts.len() < self.settings.concurrency {
            let Some(endpoint) = self.turns.pop_front() else { return };
            let Some(line) = self.lines.get_mut(&endpoint) else { continue };
            line.has_turn = false;
            let Some((delivery, until)) = line.waiting.pop_front() else { continue };
            self.waiting -= 1;
            // Half a line is room enough to be told of again.
            if line.waiting.len() <= ENDPOINT_LINE / 2 {
                self.busy.mark(&endpoint, false);
            }
            let now = self.clock.now();
            if now + self.settings.attempt_timeout < until {
                line.in_flight += 1;
                self.attempts.spawn(self.attempter.clone().attempt(delivery, self.record.clone()));
            } else {
                self.give_back(delivery, until, now).await;
            }
            self.offer_turn(&endpoint);
        }
    }

    fn ended(&mut self, endpoint: &EndpointId, arrived: bool) {
        if let Some(line) = self.lines.get_mut(endpoint) {
            line.in_flight -= 1;
            line.failing = !arrived;
            if line.in_flight == 0 && line.waiting.is_empty() {
                self.lines.remove(endpoint);
                self.busy.mark(endpoint, false);
            }
        }
        self.offer_turn(endpoint);
    }

    async fn give_back(&self, delivery: DueDelivery, leased_until: Timestamp, due: Timestamp) {
        let record = Record::GiveBack { delivery: delivery.id, leased_until, due };
        if self.record.send(record).await.is_err() {
            tracing::debug!("a lease is left to run out");
        }
    }

    fn tell(&self) {
        metrics::gauge!("touchstone_webhook_waiting").set(self.waiting as f64);
        metrics::gauge!("touchstone_webhook_in_flight").set(self.attempts.len() as f64);
    }
}

/// The dispatcher ends, and with it the process: an attempt does not panic unless something is very wrong.
fn died(error: &tokio::task::JoinError) {
    tracing::error!(error = error as &dyn std::error::Error, "a delivery attempt died");
}

/// Makes one attempt.
#[derive(Debug, Clone)]
pub(crate) struct Attempter {
    clock: Clock,
    master_keys: Arc<MasterKeys>,
    client: Client,
}

/// How an attempt ended, before it is decided what follows.
struct Ended {
    ending: Ending,
    status: Option<u16>,
    error: Option<&'static str>,
    start: String,
}

impl Attempter {
    pub(crate) fn new(with: &Dependencies, client: Client) -> Self {
        Self { clock: with.clock.clone(), master_keys: Arc::clone(&with.master_keys), client }
    }

    /// Attempts, and sends the record; tells the endpoint and whether it arrived.
    async fn attempt(self, delivery: DueDelivery, record: mpsc::Sender<Record>) -> (EndpointId, bool) {
        let started_at = self.clock.now();
        let began = Instant::now();
        let ended = self.send(&delivery, started_at).await;
        let number = delivery.attempts.saturating_add(1);
        let now = self.clock.now();
        let next = next_step(ended.ending, number, now, random::fraction());
        let attempt = AttemptRecord {
            delivery: delivery.id.clone(),
            endpoint: delivery.endpoint.id.clone(),
            store_id: delivery.endpoint.store_id.clone(),
            number,
            started_at,
            duration_ms: u32::try_from(began.elapsed().as_millis()).unwrap_or(u32::MAX),
            status: ended.status,
            error: ended.error.map(str::to_owned),
            response_start: ended.start,
            next,
        };
        tell(&delivery, &attempt, now);
        if record.send(Record::Attempt(attempt)).await.is_err() {
            tracing::debug!(delivery = %delivery.id, "an attempt is left unrecorded");
        }
        (delivery.endpoint.id, next == NextStep::Delivered)
    }

    async fn send(&self, delivery: &DueDelivery, started_at: Timestamp) -> Ended {
        let failed = |error| Ended {
            ending: Ending::Failed { retry_after: None },
            status: None,
            error: Some(error),
            start: String::new(),
        };
        let id = delivery.event.id.as_str();
        let Ok(body) = webhook::body(&delivery.event) else { return failed("body") };
        let timestamp_s = started_at.as_secs();
        let signature = match webhook::signatures(&self.master_keys, &delivery.endpoint, id, timestamp_s, &body) {
            Ok(signature) => signature,
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    endpoint = %delivery.endpoint.id,
                    store = %delivery.endpoint.store_id,
                    "the signing secret cannot be used"
                );
                return failed("secret");
            }
        };
        let Some(own) = webhook::own_headers(&self.master_keys, &delivery.endpoint) else {
            tracing::error!(endpoint = %delivery.endpoint.id, store = %delivery.endpoint.store_id, "own headers cannot be used");
            return failed("headers");
        };
        let signed = Signed { id, timestamp_s, signature: &signature, body };
        match self.client.post(&delivery.endpoint.url, &signed, &own).await {
            Ok(answer) => judge(answer, self.clock.now()),
            Err(failure) => failed(failure.as_str()),
        }
    }
}

/// 2xx is success and nothing else is: a redirect is a failure, never followed.
fn judge(answer: Answer, now: Timestamp) -> Ended {
    let ending = match answer.status {
        200..=299 => Ending::Arrived,
        410 => Ending::Gone,
        429 | 503 => Ending::Failed {
            retry_after: answer.retry_after.as_deref().and_then(|value| parse_retry_after(value, now)),
        },
        _ => Ending::Failed { retry_after: None },
    };
    let error = (ending != Ending::Arrived).then_some("http_status");
    Ended { ending, status: Some(answer.status), error, start: answer.start }
}

fn tell(delivery: &DueDelivery, attempt: &AttemptRecord, now: Timestamp) {
    let outcome = attempt.error.clone().unwrap_or_else(|| "delivered".to_owned());
    metrics::counter!("touchstone_webhook_attempts_total", "outcome" => outcome).increment(1);
    let (event, endpoint, store) = (&delivery.event.id, &delivery.endpoint.id, &delivery.endpoint.store_id);
    let (request_id, number, error, status) =
        (&delivery.event.request_id, attempt.number, attempt.error.as_deref(), attempt.status);
    match attempt.next {
        NextStep::Delivered => {
            let latency = now.since(delivery.event.occurred_at).as_secs_f64();
            metrics::histogram!("touchstone_webhook_latency_seconds").record(latency);
            tracing::debug!(%event, %endpoint, %store, %request_id, number, "webhook delivered");
        }
        NextStep::RetryAt(due) => {
            let due = due.to_rfc3339();
            tracing::info!(%event, %endpoint, %store, %request_id, number, error, status, due, "webhook failed");
        }
        NextStep::Dead | NextStep::DisableEndpoint => {
            tracing::warn!(%event, %endpoint, %store, %request_id, number, error, status, "webhook given up");
        }
    }
}
