//! The documents of the delivery log, of endpoints and of recoveries.

use serde::Serialize;
use touchstone_platform::store::accounts::EndpointView;
use touchstone_platform::store::deliveries::{AttemptView, DeliveryView, Recovery};
use touchstone_schema::event::EventKind;
use touchstone_schema::time::Timestamp;
use utoipa::ToSchema;

/// One event on its way to one endpoint.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Delivery, example = json!({
    "delivery_id": "dlv_01ARZ3NDEKTSV4RRFFQ69G5FAV", "event_id": "evt_01ARZ3NDEKTSV4RRFFQ69G5FAV", "event": "order.scored",
    "transaction_id": "tx_01ARZ3NDEKTSV4RRFFQ69G5FAV", "endpoint_id": "ep_01ARZ3NDEKTSV4RRFFQ69G5FAV", "state": "pending",
    "attempts": 2, "next_attempt_at": "2026-01-02T03:09:05.678Z", "last_error": "http_status",
    "created_at": "2026-01-02T03:04:05.678Z"
}))]
pub(crate) struct DeliveryDocument {
    delivery_id: String,
    /// The `webhook-id` of every attempt.
    event_id: String,
    /// Type of the event.
    event: String,
    /// The transaction that the event tells of; null for events about an endpoint or a failed payment.
    transaction_id: Option<String>,
    endpoint_id: String,
    /// pending, delivered or dead.
    state: String,
    /// Attempts made since it was planned or sent again.
    attempts: u32,
    /// When the next attempt is due; null when there is none, or others of an ordered endpoint come first.
    next_attempt_at: Option<String>,
    /// Class of the last failure.
    last_error: Option<String>,
    /// When it was planned.
    created_at: String,
}

/// A page of deliveries.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeliveryPage)]
pub(crate) struct DeliveryPage {
    /// Newest first.
    pub(crate) deliveries: Vec<DeliveryDocument>,
    /// Where the next page begins; null at the end. A page may have fewer deliveries than asked for, or none, and still have
    /// one: it has looked at as many as a page may.
    pub(crate) next_cursor: Option<String>,
}

/// A delivery with a page of its attempts.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeliveryWithAttempts)]
pub(crate) struct DeliveryWithAttempts {
    #[serde(flatten)]
    pub(crate) delivery: DeliveryDocument,
    /// Newest first.
    pub(crate) attempt_log: Vec<AttemptDocument>,
    /// Where the next page of attempts begins; null at the end.
    pub(crate) next_cursor: Option<String>,
}

/// One attempt.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Attempt, example = json!({
    "number": 1, "started_at": "2026-01-02T03:04:05.678Z", "latency_ms": 84, "status": 500, "error": "http_status",
    "response_start": "upstream is away"
}))]
pub(crate) struct AttemptDocument {
    /// From 1; it begins anew when the delivery is sent again.
    number: u32,
    started_at: String,
    /// From resolving the name to the end of the answer.
    latency_ms: u32,
    /// HTTP status, where there was an answer.
    status: Option<u16>,
    /// dns, blocked_address, connect, tls, timeout, http_status, protocol or secret; null when it arrived.
    error: Option<String>,
    /// How the answer's body began.
    response_start: String,
}

/// A webhook endpoint. Its secrets are not shown.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Endpoint, example = json!({
    "endpoint_id": "ep_01ARZ3NDEKTSV4RRFFQ69G5FAV", "url": "https://shop.example/webhooks?token=***", "description": "ERP",
    "events": ["order.scored", "order.decided"], "header_names": ["Authorization"], "rate_limit": 50, "ordered": false,
    "enabled": true, "disabled_reason": null, "failing_since": null, "created_at": "2026-01-02T03:04:05.678Z"
}))]
pub(crate) struct EndpointDocument {
    endpoint_id: String,
    /// Credentials and values of the query read `***`.
    url: String,
    description: String,
    /// Types of events that it wants; all when empty.
    events: Vec<&'static str>,
    /// Names of its own headers.
    header_names: Vec<String>,
    /// Most deliveries a second.
    rate_limit: Option<u32>,
    /// Whether its deliveries keep the order of their events.
    ordered: bool,
    enabled: bool,
    /// Why it was switched off.
    disabled_reason: Option<String>,
    /// When its present run of failures began.
    failing_since: Option<String>,
    created_at: String,
}

/// A page of endpoints.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EndpointPage)]
pub(crate) struct EndpointPage {
    /// Oldest first.
    pub(crate) endpoints: Vec<EndpointDocument>,
    /// Where the next page begins; null at the end.
    pub(crate) next_cursor: Option<String>,
}

/// A test event that is on its way.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EndpointTest, example = json!({"event_id": "evt_01ARZ3NDEKTSV4RRFFQ69G5FAV"}))]
pub(crate) struct TestDocument {
    /// Its delivery is found by `GET /v1/deliveries?event=`.
    pub(crate) event_id: String,
}

/// What to recover.
#[derive(Debug, ToSchema)]
#[schema(as = NewRecovery, example = json!({"since": "2026-01-02T00:00:00Z"}))]
#[expect(dead_code, reason = "describes the document; endpoints.rs reads it")]
pub(crate) struct RecoveryRequest {
    /// RFC 3339, within the last 14 days.
    since: String,
}

/// A recovery or replay, and how far it is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Recovery, example = json!({
    "recovery_id": "rcv_01ARZ3NDEKTSV4RRFFQ69G5FAV", "endpoint_id": "ep_01ARZ3NDEKTSV4RRFFQ69G5FAV", "kind": "recover",
    "state": "running", "since": "2026-01-02T00:00:00.000Z", "until": "2026-01-03T00:00:00.000Z",
    "reached": "2026-01-02T08:00:00.000Z", "looked_at": 8000, "planned": 7200, "revived": 20, "hastened": 1,
    "created_at": "2026-01-03T00:00:00.000Z", "finished_at": null, "stopped_reason": null
}))]
pub(crate) struct RecoveryDocument {
    recovery_id: String,
    endpoint_id: String,
    /// recover, or replay of an operator.
    kind: &'static str,
    /// running, done or stopped.
    state: &'static str,
    /// Events since then.
    since: String,
    /// Events until then; later ones are delivered as ever.
    until: String,
    /// The time of the last event that was looked at.
    reached: String,
    /// Events looked at.
    looked_at: u64,
    /// Events that had no delivery and have one now.
    planned: u64,
    /// Dead deliveries that began anew.
    revived: u64,
    /// Waiting deliveries whose next attempt came earlier.
    hastened: u64,
    created_at: String,
    finished_at: Option<String>,
    /// Why it ended before its end.
    stopped_reason: Option<String>,
}

/// A page of recoveries.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RecoveryPage)]
pub(crate) struct RecoveryPage {
    /// Newest first.
    pub(crate) recoveries: Vec<RecoveryDocument>,
    /// Where the next page begins; null at the end.
    pub(crate) next_cursor: Option<String>,
}

impl From<DeliveryView> for DeliveryDocument {
    fn from(view: DeliveryView) -> Self {
        Self {
            delivery_id: view.id.to_string(),
            event_id: view.event_id.to_string(),
            event: view.kind,
            transaction_id: view.transaction_id,
            endpoint_id: view.endpoint_id.to_string(),
            state: view.state,
            attempts: view.attempts,
            next_attempt_at: view.next_attempt_at,
            last_error: view.last_error,
            created_at: view.created_at,
        }
    }
}

impl From<AttemptView> for AttemptDocument {
    fn from(view: AttemptView) -> Self {
        Self {
            number: view.number,
            started_at: view.started_at,
            latency_ms: view.duration_ms,
            status: view.status,
            error: view.error,
            response_start: view.response_start,
        }
    }
}

impl From<EndpointView> for EndpointDocument {
    fn from(view: EndpointView) -> Self {
        Self {
            endpoint_id: view.id.to_string(),
            url: view.url,
            description: view.description,
            events: view.events.into_iter().map(EventKind::as_str).collect(),
            header_names: view.header_names,
            rate_limit: view.rate_limit,
            ordered: view.ordered,
            enabled: view.enabled,
            disabled_reason: view.disabled_reason,
            failing_since: view.failing_since.map(Timestamp::to_rfc3339),
            created_at: view.created_at.to_rfc3339(),
        }
    }
}

impl From<Recovery> for RecoveryDocument {
    fn from(recovery: Recovery) -> Self {
        Self {
            state: recovery.state(),
            recovery_id: recovery.id.to_string(),
            endpoint_id: recovery.endpoint.to_string(),
            kind: recovery.kind.as_str(),
            since: recovery.since.to_rfc3339(),
            until: recovery.until.to_rfc3339(),
            reached: recovery.reached.to_rfc3339(),
            looked_at: recovery.looked_at,
            planned: recovery.planned,
            revived: recovery.revived,
            hastened: recovery.hastened,
            created_at: recovery.created_at.to_rfc3339(),
            finished_at: recovery.finished_at.map(Timestamp::to_rfc3339),
            stopped_reason: recovery.stopped_reason,
        }
    }
}
