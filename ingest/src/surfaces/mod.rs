//! The routes, one folder per surface, and what their handlers share.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::{FromRequestParts, MatchedPath, Path};
use axum::response::Response;
use http::request::Parts;
use http::{HeaderMap, Method, StatusCode, Uri};
use tokio::time::timeout_at;
use touchstone_platform::queue::Lane;
use touchstone_platform::store::StoreError;
use touchstone_platform::store::history::Remembered;
use touchstone_schema::event::{Event, EventBatch};
use touchstone_schema::limits;
use touchstone_schema::tenant::KeyScope;
use touchstone_schema::time::Timestamp;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::admit::{Ticket, admit};
use crate::auth::{Caller, Signed, authenticate, authenticate_by_key};
use crate::door::{Door, SharedDoor};
use crate::http::service::Arrival;
use crate::problem::Problem;
use crate::respond::rate_headers;

pub(crate) mod backfill;
pub(crate) mod centra;
pub(crate) mod checks;
pub(crate) mod operations;
pub(crate) mod orders;
mod parameters;
pub(crate) mod signed;

/// How long a change may wait for its event to be on the lane; the notifier's sweep finds what was not.
const PUBLISH_PATIENCE: std::time::Duration = std::time::Duration::from_secs(1);

/// Every route with its description. The one list that serving, documents and tests go by.
pub(crate) fn described() -> OpenApiRouter<SharedDoor> {
    OpenApiRouter::new()
        .routes(routes!(signed::analyze::analyze))
        .routes(routes!(signed::transactions::list))
        .routes(routes!(signed::transactions::show))
        .routes(routes!(signed::transaction_parts::revisions))
        .routes(routes!(signed::transaction_parts::decisions))
        .routes(routes!(signed::transaction_parts::outcomes))
        .routes(routes!(signed::transaction_parts::events))
        .routes(routes!(signed::decision::decide))
        .routes(routes!(signed::outcome::report))
        .routes(routes!(signed::reanalyze::reanalyze))
        .routes(routes!(signed::lists::show, signed::lists::add))
        .routes(routes!(signed::lists::remove))
        .routes(routes!(signed::deliveries::list))
        .routes(routes!(signed::deliveries::show))
        .routes(routes!(signed::deliveries::replay))
        .routes(routes!(signed::endpoints::list))
        .routes(routes!(signed::endpoints::show))
        .routes(routes!(signed::endpoints::enable))
        .routes(routes!(signed::endpoints::disable))
        .routes(routes!(signed::endpoints::test))
        .routes(routes!(signed::endpoints::recover))
        .routes(routes!(signed::endpoints::recoveries))
        .routes(routes!(checks::check::order))
        .routes(routes!(checks::check::cart, checks::update::cart))
        .routes(routes!(checks::update::order))
        .routes(routes!(backfill::upload))
        .routes(routes!(backfill::show))
        .routes(routes!(centra::take))
        .routes(routes!(orders::submit::submit))
        .routes(routes!(orders::show::show))
        .routes(routes!(operations::healthz))
        .routes(routes!(operations::readyz))
        .routes(routes!(operations::openapi))
        .routes(routes!(operations::docs))
}

/// The routes alone, refusals of what they do not know included.
pub(crate) fn router() -> axum::Router<SharedDoor> {
    let (router, _) = described().split_for_parts();
    router
        .fallback(async || Problem::not_found("No such route; see /docs."))
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
}

/// The form that a surface's refusals have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Envelope {
    /// RFC 9457, with a status of its own for each kind of fault.
    Problem,
    /// The orders surface (contract section 2).
    Orders,
    /// The checks surface (contract section 3).
    Checks,
}

impl Envelope {
    /// The form that callers of a path expect, also where no route matches.
    pub(crate) fn of(path: &str) -> Self {
        let below = |root: &str| path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        match path {
            _ if below("/v1/orders") => Self::Orders,
            _ if below("/v2/risk") => Self::Checks,
            _ => Self::Problem,
        }
    }

    /// The status that the surface has for a bad document: contract section 0, "a surface's own codes always win".
    pub(crate) fn status(self, status: StatusCode) -> StatusCode {
        let is_bad_document = [StatusCode::BAD_REQUEST, StatusCode::UNPROCESSABLE_ENTITY].contains(&status);
        match self {
            Self::Orders if is_bad_document => StatusCode::BAD_REQUEST,
            Self::Checks if is_bad_document => StatusCode::NOT_ACCEPTABLE,
            _ => status,
        }
    }
}

/// What a path names, such as the id of a transaction. Bytes that are no text name nothing, which is found out where
/// names are looked up: refusing them here would answer before it is known who asks.
#[derive(Debug)]
pub(crate) struct Named(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let name = Path::<String>::from_request_parts(parts, state).await;
        Ok(Self(name.map_or_else(|_| String::new(), |Path(name)| name)))
    }
}

/// A request at the door: nothing about it is verified.
#[derive(Debug)]
pub(crate) struct Knock {
    pub(crate) arrival: Arrival,
    pub(crate) headers: HeaderMap,
    method: Method,
    pub(crate) uri: Uri,
    /// The route that it came by, such as `/v1/transactions/{id}`.
    route: Option<MatchedPath>,
}

impl<S: Send + Sync> FromRequestParts<S> for Knock {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Ok(Self {
            arrival: parts.extensions.remove::<Arrival>().ok_or_else(Problem::internal)?,
            headers: std::mem::take(&mut parts.headers),
            method: parts.method.clone(),
            uri: parts.uri.clone(),
            route: parts.extensions.get::<MatchedPath>().cloned(),
        })
    }
}

impl Knock {
    /// Authenticates a request whose signature covers only its body.
    pub(crate) async fn authenticate_body(&self, door: &Door) -> Result<Caller, Problem> {
        authenticate(&door.dependencies, &self.headers, Signed::Body, &self.arrival.body, self.arrival.at).await
    }

    /// Authenticates a request whose signature covers its method and path too, and which has no body.
    pub(crate) async fn authenticate_target(&self, door: &Door) -> Result<Caller, Problem> {
        let caller = self.authenticate_document(door).await?;
        if self.arrival.body.is_empty() { Ok(caller) } else { Err(Problem::unexpected_body()) }
    }

    /// The same for a request that carries a document.
    pub(crate) async fn authenticate_document(&self, door: &Door) -> Result<Caller, Problem> {
        let signed = Signed::Target(&self.method, &self.uri);
        authenticate(&door.dependencies, &self.headers, signed, &self.arrival.body, self.arrival.at).await
    }

    /// Authenticates a request of the orders surface.
    pub(crate) async fn authenticate_key(&self, door: &Door) -> Result<Caller, Problem> {
        authenticate_by_key(&door.dependencies, &self.headers, KeyScope::Orders).await
    }

    /// The same for a body that streams: the signature covers what stands for it.
    pub(crate) async fn authenticate_over(&self, door: &Door, stands_for_body: &[u8]) -> Result<Caller, Problem> {
        let signed = Signed::Target(&self.method, &self.uri);
        authenticate(&door.dependencies, &self.headers, signed, stands_for_body, self.arrival.at).await
    }

    /// Admits a request of a route of our own, whose query parameters must all be known. One that is misspelt is counted like
    /// any other request.
    pub(crate) async fn admit(&self, door: &Door, caller: Caller, order_id: Option<&str>) -> Result<Ticket, Problem> {
        let ticket = admit(&door.dependencies, caller, order_id, &self.arrival).await?;
        let route = self.route.as_ref().map_or("", MatchedPath::as_str);
        match parameters::require_known(&self.method, route, &self.uri) {
            Ok(()) => Ok(ticket),
            Err(problem) => Err(problem.rated(ticket.rate)),
        }
    }

    /// Whether the body is too long to be read on a thread that serves connections.
    pub(crate) fn is_long(&self) -> bool {
        self.arrival.body.len() > limits::READ_INLINE_BYTES
    }

    /// Reads the body. A long one is read on a thread of its own, a few at a time; 503 when none is free while the caller
    /// waits.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        door: &Door,
        read: impl FnOnce(&HeaderMap, &[u8]) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        if !self.is_long() {
            return read(&self.headers, &self.arrival.body);
        }
        let request_id = &self.arrival.request_id;
        let place = Arc::clone(&door.long_reads).acquire_owned();
        let Ok(Ok(place)) = timeout_at(self.arrival.instant + limits::VERDICT_WAIT, place).await else {
            tracing::warn!(%request_id, "more long bodies at once than are read");
            return Err(Problem::unavailable());
        };
        let (headers, body) = (self.headers.clone(), self.arrival.body.clone());
        let reading = tokio::task::spawn_blocking(move || {
            let _place = place;
            read(&headers, &body)
        });
        reading.await.unwrap_or_else(|error| {
            tracing::error!(%request_id, %error, "a body could not be read");
            Err(Problem::internal())
        })
    }

    /// Waits for the store, but not longer than a caller would.
    pub(crate) async fn stored<T>(&self, query: impl Future<Output = Result<T, StoreError>>) -> Result<T, Problem> {
        let request_id = &self.arrival.request_id;
        match timeout_at(self.arrival.instant + limits::VERDICT_WAIT, query).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) if error.is_transient() => {
                tracing::warn!(%request_id, error = &error as &dyn std::error::Error, "the store is away");
                Err(Problem::unavailable())
            }
            Ok(Err(error)) => {
                tracing::error!(%request_id, error = &error as &dyn std::error::Error, "the store refused");
                Err(Problem::internal())
            }
            Err(_) => {
                tracing::warn!(%request_id, "the store took too long");
                Err(Problem::unavailable())
            }
        }
    }
}

impl Ticket {
    /// Ends an admitted request: rate headers on every answer, the nonce given back when it is 503.
    pub(crate) async fn settle(self, door: &Door, answer: Result<Response, Problem>) -> Result<Response, Problem> {
        match answer {
            Ok(mut response) => {
                rate_headers(response.headers_mut(), self.rate);
                Ok(response)
            }
            Err(problem) => {
                if problem.status == StatusCode::SERVICE_UNAVAILABLE {
                    self.release(&door.dependencies).await;
                }
                Err(problem.rated(self.rate))
            }
        }
    }
}

/// Hands what was learnt of an order to hot history. Not reaching it takes back that it is whole, so nothing is missed.
pub(crate) async fn remember(door: &Door, learnt: Option<Remembered>, now: Timestamp) {
    let (Some(learnt), Some(hot)) = (learnt, door.dependencies.cache.history()) else { return };
    if let Err(error) = hot.remember(&[learnt.into()], now).await {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "history did not reach the cache, which is filled anew"
        );
    }
}

/// Wakes the notifier with a committed event. Not reaching it loses nothing: the event waits in the outbox.
pub(crate) async fn announce(door: &Door, event: Event) {
    let Ok(body) = serde_json::to_vec(&EventBatch::new(vec![event])) else { return };
    let published = door.dependencies.queue.publish(Lane::Events, vec![body.into()]);
    if !matches!(tokio::time::timeout(PUBLISH_PATIENCE, published).await, Ok(Ok(()))) {
        tracing::debug!("an event was not announced; the notifier's sweep will find it");
    }
}
