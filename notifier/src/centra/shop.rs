//! One shop during one turn of work: who may speak with it, how much, and what stops it.

use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use touchstone_platform::crypto::SealContext;
use touchstone_platform::store::StoreError;
use touchstone_platform::store::accounts::ConnectionRow;
use touchstone_schema::centra::OrderArguments;
use touchstone_schema::time::Timestamp;

use super::arguments::{MUTATION_ARGUMENTS, order_arguments};
use super::budget::{Budget, RateLimit};
use super::client::{ApiError, Target};
use super::operations::{Operation, RATE_LIMITS};
use super::work::Worker;

/// How long a shop is left alone that is busy and does not say how long.
const BUSY_PAUSE: Duration = Duration::from_secs(10);

/// Why the work at a shop stops for now.
#[derive(Debug, thiserror::Error)]
pub(super) enum Stop {
    /// The shop wants to be left alone, or our share of its budget is spent.
    #[error("the shop is left alone for a while")]
    Paused,
    /// The shop refuses our token, or the lease is lost.
    #[error("nobody may ask the shop now")]
    NotOurs,
    /// The process shuts down.
    #[error("shutting down")]
    Shutdown,
    /// The database is away or refuses.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A leased connection.
pub(super) struct Shop<'w> {
    pub(super) worker: &'w Worker,
    pub(super) connection: ConnectionRow,
    pub(super) target: Target,
    lease: tokio::sync::Mutex<Timestamp>,
    budget: tokio::sync::Mutex<Budget>,
    arguments: tokio::sync::Mutex<Arguments>,
}

/// What is known of the arguments that the shop's mutations take.
struct Arguments {
    shown: Option<OrderArguments>,
    /// The shop is asked once a turn at most.
    asked: bool,
}

impl<'w> Shop<'w> {
    /// Opens the token; a connection whose token does not open is stopped.
    pub(super) async fn open(
        worker: &'w Worker,
        connection: ConnectionRow,
        lease: Timestamp,
        budget: Budget,
    ) -> Result<Self, Stop> {
        let context = SealContext {
            store: connection.store_id.as_str(),
            record: connection.id.as_str(),
            purpose: SealContext::CENTRA_TOKEN,
        };
        match worker.with.master_keys.open(&connection.sealed_token, &context) {
            Ok(token) => {
                let target = Target { url: connection.api_url.clone(), token };
                let arguments = Arguments { shown: connection.arguments, asked: false }.into();
                Ok(Self { worker, connection, target, lease: lease.into(), budget: budget.into(), arguments })
            }
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    connection = %connection.id, store = %connection.store_id,
                    "the access token of a shop does not open"
                );
                let reason = "the stored access token does not open";
                worker.system().stop_connection(&connection.id, reason, connection.token_set_at).await?;
                Err(Stop::NotOurs)
            }
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.worker.with.clock.now()
    }

    /// Keeps the lease when less than a turn's worth is left of it.
    pub(super) async fn keep(&self) -> Result<(), Stop> {
        let mut lease = self.lease.lock().await;
        let now = self.now();
        if lease.since(now) >= self.worker.settings.centra_lease() / 2 {
            return Ok(());
        }
        let longer = now + self.worker.settings.centra_lease();
        if lease.since(now).is_zero()
            || !self.worker.system().keep_connection(&self.connection.id, *lease, longer).await?
        {
            return Err(Stop::NotOurs);
        }
        *lease = longer;
        Ok(())
    }

    /// Gives the lease back, or leaves it to run out; the budget is for the next turn.
    pub(super) async fn leave(self, gives_back: bool) -> Budget {
        let lease = *self.lease.lock().await;
        if gives_back && let Err(error) = self.worker.system().leave_connection(&self.connection.id, lease).await {
            tracing::debug!(error = &error as &dyn std::error::Error, "a lease is left to run out");
        }
        self.budget.into_inner()
    }

    /// Asks, within lease and budget. What stops the whole shop is an outer error, what concerns this one request an inner.
    pub(super) async fn ask(
        &self,
        operation: &Operation,
        variables: &Value,
    ) -> Result<Result<Box<RawValue>, ApiError>, Stop> {
        self.spend(operation.text.starts_with("mutation")).await?;
        // Last, so that the lease outlives the request: what it is kept by is longer than one.
        self.keep().await?;
        let answer = self.worker.api.ask(&self.target, operation, variables).await;
        metrics::counter!("touchstone_centra_requests_total", "operation" => operation.name,
            "outcome" => outcome(&answer))
        .increment(1);
        match answer {
            Err(ApiError::Busy { until }) => {
                let until = until.unwrap_or_else(|| self.now() + BUSY_PAUSE);
                self.worker.system().pause_connection(&self.connection.id, until).await?;
                Err(Stop::Paused)
            }
            Err(refused @ ApiError::Refused(_)) => {
                let reason = refused.to_string();
                let (id, set_at) = (&self.connection.id, self.connection.token_set_at);
                if self.worker.system().stop_connection(id, &reason, set_at).await? {
                    tracing::error!(
                        connection = %id, store = %self.connection.store_id, reason,
                        "nothing is asked of this shop until there is another token: touchstone centra set-token"
                    );
                }
                Err(Stop::NotOurs)
            }
            other => Ok(other),
        }
    }

    /// The arguments that the shop's mutations take. A shop that was never asked is asked now, and its answer kept.
    pub(super) async fn arguments(&self) -> Result<OrderArguments, Stop> {
        let mut known = self.arguments.lock().await;
        if known.shown.is_none() {
            self.ask_for_arguments(&mut known).await?;
        }
        Ok(known.shown.unwrap_or_default())
    }

    /// Asks the shop again, because it refused an argument of what was sent by `used`.
    pub(super) async fn arguments_refused(&self, used: OrderArguments) -> Result<(), Stop> {
        let mut known = self.arguments.lock().await;
        // What differs by now was learnt since by another mutation of this turn.
        if known.shown.unwrap_or_default() == used {
            self.ask_for_arguments(&mut known).await?;
        }
        Ok(())
    }

    async fn ask_for_arguments(&self, known: &mut Arguments) -> Result<(), Stop> {
        if std::mem::replace(&mut known.asked, true) {
            return Ok(());
        }
        let shown = match self.ask(&MUTATION_ARGUMENTS, &json!({})).await? {
            Ok(data) => serde_json::from_str(data.get()).map(|data| order_arguments(&data)).unwrap_or_default(),
            // Introspection that is switched off: by the connector's document, until a mutation is refused.
            Err(ApiError::Invalid(_)) => OrderArguments::default(),
            Err(error) => {
                tracing::debug!(connection = %self.connection.id, %error, "the shop's arguments are not known yet");
                return Ok(());
            }
        };
        if known.shown != Some(shown) {
            let (id, store) = (&self.connection.id, &self.connection.store_id);
            tracing::info!(connection = %id, %store, arguments = %shown, "the arguments of the shop's mutations are kept");
            self.worker.system().set_connection_arguments(id, shown, self.now()).await?;
            known.shown = Some(shown);
        }
        Ok(())
    }

    async fn spend(&self, is_mutation: bool) -> Result<(), Stop> {
        let mut budget = self.budget.lock().await;
        if budget.is_stale(self.now()) {
            self.ask_for_budget(&mut budget).await;
        }
        if let Err(again) = budget.spend(is_mutation, self.now()) {
            self.worker.system().pause_connection(&self.connection.id, again).await?;
            return Err(Stop::Paused);
        }
        Ok(())
    }

    /// A shop that does not say is taken to have what is usual.
    async fn ask_for_budget(&self, budget: &mut Budget) {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Limits {
            rate_limits: Vec<RateLimit>,
        }
        let told = match self.worker.api.ask(&self.target, &RATE_LIMITS, &json!({})).await {
            Ok(data) => serde_json::from_str::<Limits>(data.get()).ok(),
            Err(_) => None,
        };
        match told {
            Some(limits) => budget.told(&limits.rate_limits, self.now()),
            None => budget.not_told(self.now()),
        }
    }
}

const fn outcome(answer: &Result<Box<RawValue>, ApiError>) -> &'static str {
    match answer {
        Ok(_) => "answered",
        Err(ApiError::Refused(_)) => "refused",
        Err(ApiError::Busy { .. }) => "busy",
        Err(ApiError::Invalid(_)) => "invalid",
        Err(ApiError::Unavailable(_)) => "unavailable",
    }
}
