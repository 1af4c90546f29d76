//! Makes one attempt, judges how it ended and says what follows.
//!
//! Failure: whatever goes wrong in an attempt is a failed attempt; what this process cannot send at all (a secret that does
//! not open) is one too, so it is seen.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use touchstone_platform::clock::Clock;
use touchstone_platform::crypto::MasterKeys;
use touchstone_platform::random;
use touchstone_platform::store::deliveries::{AttemptRecord, DueDelivery, NextStep};
use touchstone_platform::telemetry::{self, Span, SpanKind};
use touchstone_schema::time::Timestamp;
use touchstone_schema::trace::TraceContext;

use crate::Dependencies;
use crate::pace::Outcome;
use crate::record::Record;
use crate::retry::{Ending, next_step, parse_retry_after};
use crate::webhook::{self, Answer, Client, Signed, TIMED_OUT};

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

    /// Attempts, and sends the record; tells how it ended.
    pub(crate) async fn attempt(self, delivery: DueDelivery, record: mpsc::Sender<Record>) -> Outcome {
        let started_at = self.clock.now();
        let began = Instant::now();
        let number = delivery.attempts.saturating_add(1);
        let mut span = Span::begin("deliver", SpanKind::Client, delivery.event.trace.as_ref());
        span.set("endpoint", &delivery.endpoint.id);
        span.set("event", &delivery.event.id);
        span.set("attempt", &number);
        let ended = self.send(&delivery, started_at, span.context()).await;
        if let Some(error) = ended.error {
            span.set("error.type", error);
            span.fail();
        }
        drop(span);
        let now = self.clock.now();
        let next = next_step(ended.ending, number, now, random::fraction());
        let outcome = match ended.error {
            None => Outcome::Arrived,
            Some(TIMED_OUT) => Outcome::TimedOut,
            Some(_) => Outcome::Failed,
        };
        let attempt = AttemptRecord {
            delivery: delivery.id.clone(),
            endpoint: delivery.endpoint.id.clone(),
            store_id: delivery.endpoint.store_id.clone(),
            ordered: delivery.endpoint.ordered,
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
        outcome
    }

    async fn send(&self, delivery: &DueDelivery, started_at: Timestamp, trace: Option<&TraceContext>) -> Ended {
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
        let signed = Signed { id, timestamp_s, signature: &signature, body, trace };
        match self.client.post(&delivery.endpoint.url, &signed, &own).await {
            Ok(answer) => judge(answer, self.clock.now()),
            Err(failure) => failed(failure.as_str()),
        }
    }
}

/// 2xx is success and nothing else is: a redirect is a failure, never followed. Those that Standard Webhooks has throttle say
/// when to come again.
fn judge(answer: Answer, now: Timestamp) -> Ended {
    let ending = match answer.status {
        200..=299 => Ending::Arrived,
        410 => Ending::Gone,
        429 | 502..=504 => Ending::Failed {
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
    let took = Duration::from_millis(attempt.duration_ms.into());
    telemetry::endpoints().attempted(&delivery.endpoint.id, attempt.error.is_none(), took);
    let (event, endpoint, store) = (&delivery.event.id, &delivery.endpoint.id, &delivery.endpoint.store_id);
    let (request_id, number, error, status) =
        (&delivery.event.request_id, attempt.number, attempt.error.as_deref(), attempt.status);
    let trace = delivery.event.trace.as_ref().map(TraceContext::trace_id);
    match attempt.next {
        NextStep::Delivered => {
            let latency = now.since(delivery.event.occurred_at).as_secs_f64();
            metrics::histogram!("touchstone_webhook_latency_seconds").record(latency);
            tracing::debug!(%event, %endpoint, %store, %request_id, trace, number, "webhook delivered");
        }
        NextStep::RetryAt(due) => {
            let due = due.to_rfc3339();
            tracing::info!(%event, %endpoint, %store, %request_id, trace, number, error, status, due, "webhook failed");
        }
        NextStep::Dead | NextStep::DisableEndpoint => {
            tracing::warn!(%event, %endpoint, %store, %request_id, trace, number, error, status, "webhook given up");
        }
    }
}
