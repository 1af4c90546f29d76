//! The queue messages between ingest and scorer: a submission on its way in, an answer on its way back.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::ids::{RequestId, SubmissionId, TransactionId};
use crate::tenant::{Surface, Tenant, wire_enum};
use crate::time::Timestamp;
use crate::trace::{self, TraceContext};

wire_enum! {
    /// What is asked of the scorer.
    SubmissionKind {
        /// Screen this order, once per hour and body.
        Order = "order",
        /// Score the stored order again as a new revision.
        Reanalyze = "reanalyze",
        /// Screen this order, which a shop holds until then: every time that it is held is screened, however short ago
        /// the last was.
        Held = "held",
        /// Remember that this order's payment failed. There is no verdict, and no transaction.
        FailedAttempt = "failed_attempt",
    }
}

/// One order on its way to a verdict. It may travel two lanes and be redelivered; its id makes it one submission.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Submission {
    /// Format of the message; consumers dead-letter what they do not know.
    pub version: u8,
    /// Identifier, unique in the store.
    pub id: SubmissionId,
    /// Owner.
    pub tenant: Tenant,
    /// How it came in.
    pub surface: Surface,
    /// What is asked.
    pub kind: SubmissionKind,
    /// The transaction that it belongs to.
    pub transaction_id: TransactionId,
    /// The merchant's own order id.
    pub order_id: String,
    /// SHA-256 of the canonical form of the order's JSON, hex (see [`crate::json::Json::canonical_hash`]).
    pub body_hash: String,
    /// When the request arrived: the clock of scoring and of idempotency.
    pub received_at: Timestamp,
    /// When the waiting caller will have gone; none on lanes where nobody waits.
    pub deadline: Option<Timestamp>,
    /// The request that brought it.
    pub request_id: RequestId,
    /// The place in a trace that it was asked from, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "trace::lenient")]
    pub trace: Option<TraceContext>,
    /// The order in the canonical form of [`crate::order::Order`], unknown members kept, card numbers masked.
    /// `null` for [`SubmissionKind::Reanalyze`].
    pub document: Box<RawValue>,
}

impl Submission {
    /// Format written by this build.
    pub const VERSION: u8 = 1;
}

/// What the scorer answers to a waiting caller.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// The verdict of this submission, or of an identical one within the hour.
    Verdict {
        /// The stored document, without `duration_ms`.
        verdict: Box<RawValue>,
    },
    /// The order id was used within the hour for a different order, whose verdict this is.
    Conflict {
        /// The stored document of the other order.
        verdict: Box<RawValue>,
    },
    /// Reanalyze found nothing to score again.
    NotFound,
    /// The submission cannot be scored, whatever is tried; it is in the dead-letter queue.
    Failed,
}
