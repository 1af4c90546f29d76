//! What a report of an order's end does to its review: it closes.
//!
//! Guarantee: pure. An order that waits for a person leaves the queue, and a later decision finds that it does not wait
//! any more. What was decided before stands, but for a cancellation, which always counts.

use touchstone_schema::centra::Effect;
use touchstone_schema::verdict::TransactionStatus;

use super::super::{Decision, OutcomeKind};

impl OutcomeKind {
    /// Where it puts an order that waits for a person. None of a label that says nothing of the order's end: one that is
    /// known to be honest still waits to be approved.
    const fn closes_as(self) -> Option<TransactionStatus> {
        match self {
            Self::Cancelled => Some(TransactionStatus::Cancelled),
            Self::Fulfilled => Some(TransactionStatus::Approved),
            Self::Refunded | Self::ChargebackOpened | Self::ChargebackUpheld | Self::ChargebackReversed => {
                Some(TransactionStatus::Closed)
            }
            Self::FraudConfirmed => Some(TransactionStatus::Closed),
            Self::Legitimate => None,
        }
    }

    /// Whether nothing is left to decide once it is reported.
    pub const fn is_ending(self) -> bool {
        self.closes_as().is_some()
    }

    /// What it asks of a shop that still holds the order: [`Effect::Keep`] leaves it to a person at the shop.
    pub const fn asks_of_shop(self) -> Effect {
        match self {
            Self::Cancelled | Self::FraudConfirmed => Effect::Cancel,
            Self::Fulfilled => Effect::Resume,
            Self::Refunded | Self::ChargebackOpened | Self::ChargebackUpheld | Self::ChargebackReversed => Effect::Keep,
            Self::Legitimate => Effect::Keep,
        }
    }

    /// Where an order stands once it is reported. `waits`: for a person, until now.
    pub fn status_after(self, before: TransactionStatus, waits: bool) -> TransactionStatus {
        match self.closes_as() {
            Some(TransactionStatus::Cancelled) => TransactionStatus::Cancelled,
            Some(closed) if waits => closed,
            _ => before,
        }
    }
}

/// Whether an order of this status waits for a person, wherever it came in.
pub(in crate::store) const fn is_open(status: TransactionStatus) -> bool {
    matches!(status, TransactionStatus::Review | TransactionStatus::Held)
}

/// Whether a decision that was recorded before still is what stands.
pub(super) const fn is_in_force(decision: Decision, status: TransactionStatus) -> bool {
    match decision {
        Decision::Approve => matches!(status, TransactionStatus::Approved),
        Decision::Reject => matches!(status, TransactionStatus::Rejected | TransactionStatus::Cancelled),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_but_a_label_of_honesty_closes_what_waits() {
        for kind in OutcomeKind::ALL {
            let after = [TransactionStatus::Review, TransactionStatus::Held].map(|open| kind.status_after(open, true));
            assert_eq!(after.iter().all(|status| is_open(*status)), *kind == OutcomeKind::Legitimate, "{kind}");
            assert_eq!(kind.is_ending(), *kind != OutcomeKind::Legitimate, "{kind}");
        }
    }

    #[test]
    fn what_was_settled_stands_but_for_a_cancellation() {
        for kind in OutcomeKind::ALL {
            for settled in [TransactionStatus::Approved, TransactionStatus::Rejected, TransactionStatus::Closed] {
                let cancelled = *kind == OutcomeKind::Cancelled;
                let expected = if cancelled { TransactionStatus::Cancelled } else { settled };
                assert_eq!(kind.status_after(settled, false), expected, "{kind}");
            }
        }
    }

    #[test]
    fn a_shop_is_asked_only_where_the_report_says_what_became_of_the_goods() {
        let asked: Vec<_> = OutcomeKind::ALL.iter().filter(|kind| kind.asks_of_shop() != Effect::Keep).collect();
        assert_eq!(asked, [&OutcomeKind::Fulfilled, &OutcomeKind::Cancelled, &OutcomeKind::FraudConfirmed]);
    }
}
