//! What the scorer says of an order, and the document that carries it to callers and webhooks.

use serde::{Deserialize, Serialize};

use crate::ids::TransactionId;
use crate::tenant::wire_enum;
use crate::time::Timestamp;
use crate::warning::Warning;

wire_enum! {
    /// Band of the score (contract: verdict policy).
    RiskLevel {
        /// 0-30 by default.
        Low = "low",
        /// 31-50 by default.
        Medium = "medium",
        /// 51-75 by default.
        High = "high",
        /// 76-100 by default.
        Critical = "critical",
    }
}

wire_enum! {
    /// What the shop should do.
    Action {
        /// Capture as normal.
        Approve = "approve",
        /// A person should look.
        Review = "review",
        /// Do not capture until a person decides.
        Hold = "hold",
    }
}

wire_enum! {
    /// In which world a verdict was given.
    VerdictMode {
        /// It acts.
        Live = "live",
        /// It is only recorded.
        Shadow = "shadow",
        /// Made with a test key.
        Test = "test",
    }
}

wire_enum! {
    /// Where a transaction stands.
    TransactionStatus {
        /// Accepted, not yet scored.
        Pending = "pending",
        /// The verdict approved it, or a person did.
        Approved = "approved",
        /// Waiting for a person, not urgent.
        Review = "review",
        /// Waiting for a person, must not be captured.
        Held = "held",
        /// A person rejected it.
        Rejected = "rejected",
        /// The shop cancelled it.
        Cancelled = "cancelled",
        /// The merchant reported how it ended before a person decided, and the report neither approves nor cancels it.
        Closed = "closed",
        /// Screening failed for good; an operator must look at the dead letter.
        Failed = "failed",
    }
}

impl TransactionStatus {
    /// Where a fresh verdict puts its transaction.
    pub const fn after_verdict(action: Action) -> Self {
        match action {
            Action::Approve => Self::Approved,
            Action::Review => Self::Review,
            Action::Hold => Self::Held,
        }
    }
}

/// One piece of evidence: points for or against, with the values that fired it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// Stable code of the signal or rule, e.g. `avs_mismatch`.
    pub code: String,
    /// Signed points that it added.
    pub points: i32,
    /// One line of English, without personal data.
    pub detail: String,
}

/// The pure outcome of scoring. Same order, history and policy version give the same bytes (design promise 3).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Assessment {
    /// 0-100: the reasons' sum, clamped.
    pub risk_score: u8,
    /// Band of the score.
    pub risk_level: RiskLevel,
    /// What the shop should do.
    pub recommended_action: Action,
    /// Share of the scored inputs that were present, 0-1, two decimals.
    pub confidence: f64,
    /// Codes of `reasons`, in the same order.
    pub reason_codes: Vec<String>,
    /// Evidence, heaviest first; the points add up to the unclamped score.
    pub reasons: Vec<Reason>,
    /// What rules on trial would have added, heaviest first; no part of the score.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shadow_reasons: Vec<Reason>,
    /// One readable paragraph made from the reasons.
    pub explanation: String,
    /// Version of the policy that was applied.
    pub policy_version: u32,
}

/// The stored verdict document. An answer adds `duration_ms` at its end and nothing else.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// The transaction.
    pub transaction_id: TransactionId,
    /// The merchant's own order id.
    pub order_id: String,
    /// The assessment's members, at top level.
    #[serde(flatten)]
    pub assessment: Assessment,
    /// Optional fields of the order that could not be used as they were sent.
    #[serde(default)]
    pub warnings: Vec<Warning>,
    /// World of the verdict.
    pub mode: VerdictMode,
    /// RFC 3339 time of scoring.
    pub scored_at: String,
}

/// Appends `"duration_ms"` to a stored verdict document, which must be a non-empty JSON object.
pub fn with_duration(stored: &str, scored_in: std::time::Duration) -> String {
    let stored = stored.trim_end();
    let open = stored.strip_suffix('}').unwrap_or(stored);
    format!("{open},\"duration_ms\":{}}}", scored_in.as_millis())
}

/// The stored verdict and when its order was received; what identical submissions are answered with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FinishedVerdict {
    /// SHA-256 of the canonical form of the order's JSON, hex.
    pub body_hash: String,
    /// When the order was received: the hour of idempotency counts from here.
    pub received_at: Timestamp,
    /// The verdict document without `duration_ms`.
    pub verdict: String,
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::ids::TransactionId;
    use crate::time::Timestamp;

    #[test]
    fn the_stored_verdict_gains_its_duration_and_nothing_else() {
        let assessment = Assessment {
            risk_score: 42,
            risk_level: RiskLevel::Medium,
            recommended_action: Action::Review,
            confidence: 0.75,
            reason_codes: vec!["avs_mismatch".to_owned()],
            reasons: vec![Reason { code: "avs_mismatch".to_owned(), points: 42, detail: "AVS answered N".to_owned() }],
            shadow_reasons: Vec::new(),
            explanation: "One {brace}".to_owned(),
            policy_version: 0,
        };
        let verdict = Verdict {
            transaction_id: TransactionId::mint(Timestamp::from_millis(0), [0; 10]),
            order_id: "1".to_owned(),
            assessment,
            warnings: Vec::new(),
            mode: VerdictMode::Live,
            scored_at: Timestamp::from_millis(0).to_rfc3339(),
        };
        let stored = serde_json::to_string(&verdict).unwrap();
        let answer = with_duration(&stored, Duration::from_micros(12_900));
        assert_eq!(answer, format!("{},\"duration_ms\":12}}", stored.strip_suffix('}').unwrap()));
        assert_eq!(with_duration(&format!("{stored}\n"), Duration::from_millis(12)), answer);
        assert_eq!(serde_json::from_str::<Verdict>(&answer).unwrap(), verdict);
    }

    #[test]
    fn a_verdict_puts_its_transaction_where_its_action_says() {
        let statuses = [Action::Approve, Action::Review, Action::Hold].map(TransactionStatus::after_verdict);
        assert_eq!(statuses, [TransactionStatus::Approved, TransactionStatus::Review, TransactionStatus::Held]);
    }
}
