//! Webhook deliveries, their attempts and the endpoints they go to.
//!
//! Guarantee: a pending delivery is leased to at most one notifier. The lease lives in `due_at`: a leased delivery falls
//! due again when its lease ends, so one index answers "what is due" and a notifier that died is taken over by time
//! alone. An attempt and what follows from it commit together.

use sea_orm::QueryResult;
use serde_json::value::RawValue;
use touchstone_schema::event::{Event, EventKind};
use touchstone_schema::ids::{DeliveryId, EndpointId, EventId, RequestId, StoreId, TransactionId};
use touchstone_schema::renamed::present_data;
use touchstone_schema::tenant::{Tenant, wire_enum};
use touchstone_schema::time::Timestamp;
use touchstone_schema::trace::TraceContext;

use super::StoreError;
use super::database::{column, count, parsed};

mod claiming;
mod forgetting;
mod log;
mod ordering;
mod pacing;
mod recording;
mod recovering;
mod replaying;

pub use claiming::GivenBack;
pub use log::LogPage;
pub use recording::DISABLE_AFTER;
pub use recovering::{Begun, NewRecovery, Recovery, RecoveryKind, Stepped};
pub use replaying::Replayed;

pub(super) use claiming::due_now;
pub(super) use ordering::{PARKED, line_up, place_of};

wire_enum! {
    /// Where a delivery stands.
    DeliveryState {
        /// Waits for an attempt.
        Pending = "pending",
        /// Arrived.
        Delivered = "delivered",
        /// Given up.
        Dead = "dead",
    }
}

/// A delivery whose next attempt is due, leased to the caller.
#[derive(Debug, Clone)]
pub struct DueDelivery {
    /// The delivery.
    pub id: DeliveryId,
    /// What is delivered.
    pub event: Event,
    /// Where to.
    pub endpoint: EndpointTarget,
    /// Attempts made before.
    pub attempts: u32,
    /// Whether it was never put off: what was stands before it.
    pub fresh: bool,
}

/// What the notifier needs to know of an endpoint.
#[derive(Debug, Clone)]
pub struct EndpointTarget {
    /// The endpoint.
    pub id: EndpointId,
    /// Its store.
    pub store_id: StoreId,
    /// The number of its last change among those of all endpoints.
    pub version: i64,
    /// `http` or `https` URL.
    pub url: String,
    /// Sealed signing secrets that are valid now, newest first, with the context `webhook-secret`.
    pub sealed_secrets: Vec<Vec<u8>>,
    /// Sealed headers of the merchant's own, with the context `webhook-headers`.
    pub sealed_headers: Option<Vec<u8>>,
    /// Most deliveries a second.
    pub rate_limit: Option<u32>,
    /// Whether its deliveries keep the order of their events.
    pub ordered: bool,
    /// When its present run of failures began.
    pub failing_since: Option<Timestamp>,
}

/// How one attempt ended and what follows.
#[derive(Debug, Clone)]
pub struct AttemptRecord {
    /// The delivery.
    pub delivery: DeliveryId,
    /// Its endpoint.
    pub endpoint: EndpointId,
    /// Its store.
    pub store_id: StoreId,
    /// Whether the endpoint's deliveries keep their order.
    pub ordered: bool,
    /// Number of the attempt, from 1.
    pub number: u32,
    /// When it began.
    pub started_at: Timestamp,
    /// How long it took, in milliseconds.
    pub duration_ms: u32,
    /// HTTP status, when there was an answer.
    pub status: Option<u16>,
    /// Class of the failure, e.g. `timeout`, `connect`, `blocked_address`, `http_status`; none on success.
    pub error: Option<String>,
    /// First bytes of the response body, bounded and made printable.
    pub response_start: String,
    /// What becomes of the delivery.
    pub next: NextStep,
}

/// What becomes of a delivery after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextStep {
    /// It arrived.
    Delivered,
    /// Another attempt at this time.
    RetryAt(Timestamp),
    /// Attempts are used up.
    Dead,
    /// The endpoint said that it is gone (410) and is disabled; the delivery is dead.
    DisableEndpoint,
}

/// A delivery as operators see it.
#[derive(Debug, Clone, serde::Serialize)]
pub struct DeliveryView {
    /// The delivery.
    pub id: DeliveryId,
    /// Its event.
    pub event_id: EventId,
    /// Type of the event.
    pub kind: String,
    /// The transaction that the event tells of.
    pub transaction_id: Option<String>,
    /// Its endpoint.
    pub endpoint_id: EndpointId,
    /// `pending`, `delivered` or `dead`.
    pub state: String,
    /// Attempts made.
    pub attempts: u32,
    /// When the next attempt is due, while pending; none while others of an ordered endpoint come first.
    pub next_attempt_at: Option<String>,
    /// Class of the last failure.
    pub last_error: Option<String>,
    /// When it was planned, RFC 3339.
    pub created_at: String,
}

/// One attempt as operators see it.
#[derive(Debug, Clone, serde::Serialize)]
pub struct AttemptView {
    /// From 1.
    pub number: u32,
    /// RFC 3339.
    pub started_at: String,
    /// Milliseconds.
    pub duration_ms: u32,
    /// HTTP status.
    pub status: Option<u16>,
    /// Class of the failure.
    pub error: Option<String>,
    /// First bytes of the response.
    pub response_start: String,
}

/// Where a page of attempts begins: just before this one, newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttemptCursor {
    /// When it began.
    pub started_at: Timestamp,
    /// Its number.
    pub number: u32,
}

/// Which deliveries to list.
#[derive(Debug, Clone, Default)]
pub struct DeliveryFilter {
    /// Only of this store.
    pub store_id: Option<StoreId>,
    /// Only to this endpoint.
    pub endpoint_id: Option<EndpointId>,
    /// Only in this state.
    pub state: Option<DeliveryState>,
    /// Only planned since then.
    pub since: Option<Timestamp>,
    /// Only of events of this type.
    pub kind: Option<EventKind>,
    /// Only of this event.
    pub event_id: Option<EventId>,
    /// Only of events of this transaction.
    pub transaction_id: Option<TransactionId>,
    /// Only after this delivery id (paging).
    pub after: Option<DeliveryId>,
    /// Newest first; a tenant's log always is.
    pub newest_first: bool,
    /// Most deliveries that one page looks at; [`touchstone_schema::limits::LOG_LOOKED_AT`] when none.
    pub look_at: Option<u64>,
}

/// Deliveries that are left to the database when others are leased.
#[derive(Debug, Clone, Copy, Default)]
pub struct Left<'a> {
    /// To these endpoints.
    pub busy: &'a [EndpointId],
    /// To endpoints that have a limit.
    pub limited: bool,
}

/// An endpoint that [`super::SystemStore::record_attempts`] switched off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DisabledEndpoint {
    /// The endpoint.
    pub id: EndpointId,
    /// Its store.
    pub store_id: StoreId,
    /// Why.
    pub reason: String,
    /// The `endpoint.disabled` event that tells the merchant's other endpoints; committed together with the switch.
    pub event: EventId,
}

/// A delivery to make from a row of the columns in `events::EVENT_AND_ENDPOINT`.
pub(super) fn due_delivery(
    row: &QueryResult,
    id: DeliveryId,
    (attempts, fresh): (u32, bool),
    now: Timestamp,
) -> Result<DueDelivery, StoreError> {
    let store_id: StoreId = parsed(row, "store_id")?;
    let mut sealed_secrets = vec![column::<Vec<u8>>(row, "sealed_secret")?];
    let previous_until = column::<Option<i64>>(row, "previous_until")?;
    if previous_until.is_some_and(|until| until > now.as_millis()) {
        sealed_secrets.extend(column::<Option<Vec<u8>>>(row, "previous_secret")?);
    }
    let transaction_id = column::<Option<String>>(row, "transaction_id")?
        .map(|id| id.parse())
        .transpose()
        .map_err(|error| StoreError::corrupt("transaction_id", error))?;
    let request_id = column::<String>(row, "request_id")?;
    let data = present_data(&column::<String>(row, "kind")?, column(row, "data")?);
    Ok(DueDelivery {
        id,
        event: Event {
            id: parsed(row, "event_id")?,
            tenant: Tenant { store_id: store_id.clone(), mode: parsed(row, "mode")? },
            transaction_id,
            surface: None,
            kind: parsed::<EventKind>(row, "kind")?,
            sequence: count(row, "sequence")?,
            occurred_at: Timestamp::from_millis(column(row, "occurred_at")?),
            request_id: RequestId::from_caller(&request_id)
                .ok_or_else(|| StoreError::corrupt("request_id", "it has unexpected characters"))?,
            trace: column::<Option<String>>(row, "trace")?.as_deref().and_then(TraceContext::from_text),
            data: RawValue::from_string(data).map_err(|error| StoreError::corrupt("data", error))?,
        },
        endpoint: EndpointTarget {
            id: parsed(row, "endpoint_id")?,
            store_id,
            version: column(row, "version")?,
            url: column(row, "url")?,
            sealed_secrets,
            sealed_headers: column(row, "sealed_headers")?,
            rate_limit: column::<Option<i64>>(row, "rate_limit")?.and_then(|limit| u32::try_from(limit).ok()),
            ordered: column::<i64>(row, "ordered")? != 0,
            failing_since: column::<Option<i64>>(row, "failing_since")?.map(Timestamp::from_millis),
        },
        attempts,
        fresh,
    })
}
