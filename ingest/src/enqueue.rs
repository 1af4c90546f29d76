//! From an order to a verdict, a promise or a refusal (contract section 1, "Waiting").
//!
//! Guarantee: a 2xx is a verdict that is committed, or a pending row that is committed together with a confirmed
//! message. Nothing else is promised.
//! Failure: a broker that is away means 503 at once; a scorer that is slow means a promise; a promise that is not kept
//! ready by 4.5 s means 503. A caller who goes away half-way leaves either nothing or a whole promise behind: a pending
//! row without its message is enqueued again by the sweep.

use tokio::time::timeout_at;
use touchstone_platform::queue::QueueError;
use touchstone_platform::telemetry::{Span, SpanKind};
use touchstone_schema::limits;
use touchstone_schema::submission::{Answer, Submission};
use touchstone_schema::trace::TraceContext;

use crate::door::Door;
use crate::http::service::Arrival;
use crate::problem::Problem;
use crate::promise::Unkept;

/// What came of a submission.
#[derive(Debug)]
pub(crate) enum Screened {
    /// The scorer answered in time.
    Answered(Answer),
    /// Accepted; the verdict will be found under the transaction's id.
    Promised,
}

impl Screened {
    const fn as_str(&self) -> &'static str {
        match self {
            Self::Answered(_) => "answered",
            Self::Promised => "promised",
        }
    }
}

/// Screens while the caller waits, and promises when that takes too long.
pub(crate) async fn screen(door: &Door, arrival: &Arrival, mut submission: Submission) -> Result<Screened, Problem> {
    let mut span = Span::begun_at("screen", SpanKind::Server, submission.trace.as_ref(), arrival.instant.into_std());
    span.set("request_id", &arrival.request_id);
    span.set("store", &submission.tenant.store_id);
    submission.trace = span.context().cloned();
    let screened = match ask(door, arrival, &mut submission).await {
        Ok(Some(answer)) => Ok(Screened::Answered(answer)),
        Ok(None) => promise(door, arrival, submission).await,
        Err(problem) => Err(problem),
    };
    match &screened {
        Ok(screened) => span.set("outcome", screened.as_str()),
        Err(_) => span.fail(),
    }
    screened
}

/// Promises at once, as if the scorer had been too slow: what a test order asks for.
pub(crate) async fn screen_late(door: &Door, arrival: &Arrival, submission: Submission) -> Result<Screened, Problem> {
    promise(door, arrival, submission).await
}

/// Screens while the caller waits, and promises nothing: one who got no answer asks again.
pub(crate) async fn screen_now(door: &Door, arrival: &Arrival, mut submission: Submission) -> Result<Answer, Problem> {
    let mut span = Span::begun_at("screen", SpanKind::Server, submission.trace.as_ref(), arrival.instant.into_std());
    span.set("request_id", &arrival.request_id);
    span.set("store", &submission.tenant.store_id);
    submission.trace = span.context().cloned();
    let answer = ask(door, arrival, &mut submission).await.and_then(|answer| answer.ok_or_else(Problem::unavailable));
    if answer.is_err() {
        span.fail();
    }
    answer
}

/// Asks the scorer; none when it did not answer in time.
async fn ask(door: &Door, arrival: &Arrival, submission: &mut Submission) -> Result<Option<Answer>, Problem> {
    let deadline = arrival.at + limits::VERDICT_WAIT;
    submission.deadline = Some(deadline);
    let request = door.dependencies.queue.request(encode(submission)?, deadline);
    // The adapter keeps the deadline by the wall clock; this one holds when that clock jumps.
    let reply = timeout_at(arrival.instant + limits::VERDICT_WAIT, request).await.unwrap_or(Err(QueueError::Timeout));
    match reply {
        Ok(bytes) => decode(&bytes, submission).map(Some),
        Err(QueueError::Timeout) => Ok(None),
        Err(error) => {
            tracing::warn!(
                request_id = %arrival.request_id, trace = trace_of(submission), order = %submission.transaction_id,
                store = %submission.tenant.store_id, error = &error as &dyn std::error::Error, "not screened"
            );
            Err(Problem::unavailable())
        }
    }
}

async fn promise(door: &Door, arrival: &Arrival, mut submission: Submission) -> Result<Screened, Problem> {
    submission.deadline = None;
    let body = encode(&submission)?;
    let (order, store) = (submission.transaction_id.clone(), submission.tenant.store_id.clone());
    let trace = trace_of(&submission).map(str::to_owned);
    let kept = timeout_at(arrival.instant + limits::PROMISE_WAIT, door.promises.promise(submission, body)).await;
    match kept.unwrap_or_else(|_| Err(Unkept::Late.into())) {
        Ok(()) => {
            metrics::counter!("touchstone_orders_promised_total").increment(1);
            Ok(Screened::Promised)
        }
        Err(error) => {
            tracing::warn!(
                request_id = %arrival.request_id, trace, %order, %store,
                error = &*error as &dyn std::error::Error, "not promised"
            );
            Err(Problem::unavailable())
        }
    }
}

/// The trace that its spans and log lines are found by.
fn trace_of(submission: &Submission) -> Option<&str> {
    submission.trace.as_ref().map(TraceContext::trace_id)
}

fn encode(submission: &Submission) -> Result<bytes::Bytes, Problem> {
    serde_json::to_vec(submission).map(Into::into).map_err(|error| {
        tracing::error!(%error, request_id = %submission.request_id, "a submission could not be written");
        Problem::internal()
    })
}

fn decode(bytes: &[u8], submission: &Submission) -> Result<Answer, Problem> {
    serde_json::from_slice(bytes).map_err(|error| {
        tracing::error!(%error, request_id = %submission.request_id, "the scorer's answer could not be read");
        Problem::internal()
    })
}
