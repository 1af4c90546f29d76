//! Events: what happened to a transaction, as it is stored in the outbox and delivered to merchants.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::ids::{EventId, RequestId, TransactionId};
use crate::tenant::{Surface, Tenant, wire_enum};
use crate::time::Timestamp;
use crate::trace::{self, TraceContext};

wire_enum! {
    /// Type of an event (contract: webhooks).
    EventKind {
        /// First verdict of an order.
        OrderScored = "order.scored",
        /// A later revision was scored.
        OrderRescored = "order.rescored",
        /// A person settled a review or hold.
        OrderDecided = "order.decided",
        /// The merchant reported another status.
        OrderStatusChanged = "order.status_changed",
        /// A held Centra order was resumed.
        OrderResumed = "order.resumed",
        /// A held Centra order was cancelled.
        OrderCancelled = "order.cancelled",
        /// A resume or cancel failed for good.
        OrderActionFailed = "order.action_failed",
        /// An endpoint was switched off.
        EndpointDisabled = "endpoint.disabled",
        /// A payment attempt failed.
        PaymentFailed = "payment.failed",
        /// A chargeback was opened.
        ChargebackOpened = "chargeback.opened",
        /// The customer's claim was upheld: the customer keeps the money.
        #[serde(alias = "chargeback.won")]
        ChargebackUpheld = "chargeback.upheld",
        /// The chargeback was reversed: the merchant keeps the money.
        #[serde(alias = "chargeback.lost")]
        ChargebackReversed = "chargeback.reversed",
        /// A trial delivery asked for by the merchant.
        EndpointTest = "endpoint.test",
    }
}

/// One event of one transaction.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Event {
    /// Identifier, the `webhook-id` of every delivery attempt.
    pub id: EventId,
    /// Owner.
    pub tenant: Tenant,
    /// The transaction it tells of; none for events about an endpoint.
    pub transaction_id: Option<TransactionId>,
    /// Where its order came in, told where it is known: a wake-up for whoever acts on orders of that surface.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub surface: Option<Surface>,
    /// Type.
    pub kind: EventKind,
    /// Rises by one per event of the transaction.
    pub sequence: u32,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// Request that caused it, for the logs.
    pub request_id: RequestId,
    /// The place in a trace that it was caused from, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "trace::lenient")]
    pub trace: Option<TraceContext>,
    /// The `data` member of the webhook body.
    pub data: Box<RawValue>,
}

/// The message on the events lane: the rows of one commit, carried along for speed. The table stays the truth.
#[derive(Debug, Serialize, Deserialize)]
pub struct EventBatch {
    /// Format of the message; consumers dead-letter what they do not know.
    pub version: u8,
    /// The rows.
    pub events: Vec<Event>,
}

impl EventBatch {
    /// Format written by this build.
    pub const VERSION: u8 = 1;

    /// A batch of `events` in the current format.
    pub fn new(events: Vec<Event>) -> Self {
        Self { version: Self::VERSION, events }
    }
}
