//! A payment that failed, as history for later orders and as an event for the merchant. It gets no verdict.

use serde::Serialize;
use serde_json::value::RawValue;
use touchstone_platform::store::scoring::NewFailedAttempt;
use touchstone_schema::event::{Event, EventKind};
use touchstone_schema::history::{Happening, HistoryEntry};
use touchstone_schema::ids::EventId;
use touchstone_schema::order::Order;
use touchstone_schema::time::Timestamp;
use touchstone_schema::verdict::VerdictMode;

use super::{Plan, Prepared, verdict_mode};
use crate::history_keys::OrderKeys;

/// Where ingest puts the connection that the notice came in by.
const CONNECTION: &str = "connection_id";

/// What the merchant is told.
#[derive(Serialize)]
struct Told<'a> {
    order_id: &'a str,
    mode: VerdictMode,
    #[serde(skip_serializing_if = "Option::is_none")]
    connection_id: Option<&'a str>,
    occurred_at: String,
}

/// Plans the attempt. Its ids come from the submission's, which are made of its content.
pub(super) fn plan<'a>(prepared: &Prepared<'a>, order: &Order, keys: &OrderKeys, now: Timestamp) -> Plan<'a> {
    let submission = prepared.submission;
    let connection = order.metadata.iter().find(|(name, _)| name == CONNECTION);
    let told = Told {
        order_id: &submission.order_id,
        mode: verdict_mode(submission, &prepared.profile),
        connection_id: connection.map(|(_, id)| id.as_str()),
        occurred_at: submission.received_at.to_rfc3339(),
    };
    let data = match serde_json::to_string(&told).and_then(RawValue::from_string) {
        Ok(data) => data,
        Err(error) => return Plan::Poison(format!("the event cannot be written as JSON: {error}")),
    };
    let event = Event {
        id: EventId::of_change(&submission.transaction_id, 1),
        tenant: submission.tenant.clone(),
        transaction_id: None,
        surface: Some(submission.surface),
        kind: EventKind::PaymentFailed,
        sequence: 1,
        occurred_at: now,
        request_id: submission.request_id.clone(),
        trace: submission.trace.clone(),
        data,
    };
    let history = HistoryEntry {
        what: Happening::FailedAttempt,
        declines: 1,
        ..keys.entry(&submission.transaction_id, submission.received_at, order)
    };
    let declared_keys = keys.declared.iter().map(|(_, key)| *key).collect();
    Plan::Attempt(Box::new(NewFailedAttempt { event, history, declared_keys }))
}
