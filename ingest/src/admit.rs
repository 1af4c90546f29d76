//! Admission: one step in the cache that refuses revoked keys, callers over their limit and replays of signed requests.
//!
//! Guarantee: a request that is answered 503 gives its own nonce back, by compare-and-delete, and no other's.
//! Failure: while the cache is away every request is 503; replay protection is never skipped.

use std::time::Duration;

use tokio::time::timeout;
use touchstone_platform::cache::{Admission, Admitted, RateState, SignedRequest};
use touchstone_platform::random;
use touchstone_schema::verdict::FinishedVerdict;

use crate::Dependencies;
use crate::auth::Caller;
use crate::http::service::Arrival;
use crate::problem::Problem;

/// How long the cache may take to admit.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long giving a nonce back may delay a 503.
const RELEASE_PATIENCE: Duration = Duration::from_millis(250);

/// A caller who may go on.
#[derive(Debug)]
pub(crate) struct Ticket {
    pub(crate) caller: Caller,
    pub(crate) rate: RateState,
    /// Finished verdict of the order that the request carries.
    pub(crate) finished: Option<FinishedVerdict>,
    /// Tells this request's nonce from one that another request set since.
    mark: String,
}

/// Asks the cache to admit the caller, and to look up the finished verdict of `order_id` on the way.
pub(crate) async fn admit(
    dependencies: &Dependencies,
    caller: Caller,
    order_id: Option<&str>,
    arrival: &Arrival,
) -> Result<Ticket, Problem> {
    let mark = format!("{:032x}", u128::from_be_bytes(random::bytes()));
    let admission = Admission {
        tenant: &caller.key.tenant,
        key: &caller.key.id,
        limit_per_minute: caller.store.rate_limit_per_minute,
        now: arrival.at,
        signed: caller.nonce.as_deref().map(|nonce| SignedRequest { nonce, mark: &mark, order_id }),
    };
    match timeout(PATIENCE, dependencies.cache.admit(&admission)).await {
        Ok(Ok(Admitted::Yes { rate, finished })) => Ok(Ticket { caller, rate, finished, mark }),
        Ok(Ok(Admitted::Revoked)) => Err(Problem::unauthorized()),
        Ok(Ok(Admitted::RateLimited { rate })) => Err(Problem::rate_limited(rate)),
        Ok(Ok(Admitted::Replayed)) => Err(Problem::replayed_nonce()),
        Ok(Err(error)) => {
            tracing::warn!(request_id = %arrival.request_id, error = &error as &dyn std::error::Error, "no admission");
            release(dependencies, &caller, &mark).await;
            Err(Problem::unavailable())
        }
        Err(_) => {
            tracing::warn!(request_id = %arrival.request_id, "the cache took too long to admit");
            release(dependencies, &caller, &mark).await;
            Err(Problem::unavailable())
        }
    }
}

impl Ticket {
    /// Gives the nonce back, so that the very same request may come again.
    pub(crate) async fn release(&self, dependencies: &Dependencies) {
        release(dependencies, &self.caller, &self.mark).await;
    }
}

async fn release(dependencies: &Dependencies, caller: &Caller, mark: &str) {
    let Some(nonce) = &caller.nonce else { return };
    let released = dependencies.cache.release_nonce(&caller.key.id, nonce, mark);
    if !matches!(timeout(RELEASE_PATIENCE, released).await, Ok(Ok(()))) {
        tracing::debug!("a nonce could not be given back; it expires by itself");
    }
}
