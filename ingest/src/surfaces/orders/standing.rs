//! Where an order stands: its verdict, as the product means it that the store had when the order was placed, and what a
//! person and the merchant have said since.
//!
//! Guarantee: pure. A cancellation outranks what is known of fraud, which outranks the report of another end and a person's
//! decision, which outrank the verdict. A decision upon an earlier verdict went with that verdict; a report did not.

use touchstone_platform::store::placed::PlacedOrder;
use touchstone_platform::store::transactions::{Decision, DecisionView, OutcomeKind, OutcomeView, TransactionView};
use touchstone_schema::history::Happening;
use touchstone_schema::tenant::Product;
use touchstone_schema::time::Timestamp;
use touchstone_schema::verdict::{Assessment, RiskLevel, TransactionStatus, Verdict};
use touchstone_schema::wire_enum;

use super::trial;

wire_enum! {
    /// Status of an order.
    Status {
        /// Not screened yet.
        Pending = "pending",
        /// Scored, neither approved nor declined.
        ScoreOnly = "scoreonly",
        /// Approved.
        Allowed = "allowed",
        /// Declined.
        Rejected = "rejected",
        /// Taken for fraud, or known to be.
        Fraud = "fraud",
        /// The merchant or the customer cancelled it.
        Cancelled = "cancelled",
        /// Safe to process.
        Safe = "safe",
        /// Not safe to process without a person's look.
        Review = "review",
    }
}

wire_enum! {
    /// What kind of fraud.
    EfraudClass {
        /// The verdict takes it for fraud.
        Probable = "probable",
        /// It had been approved.
        Missed = "missed",
    }
}

/// Where an order stands, and since when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) status: Status,
    pub(super) class: Option<EfraudClass>,
    /// Since when nothing has to be waited for; none while something has.
    pub(super) resolved_at: Option<Timestamp>,
    /// When the newest of all that is known of it became known.
    pub(super) changed_at: Timestamp,
    pub(super) decline_reason: Option<String>,
    /// Only where the product is the score.
    pub(super) score: Option<u8>,
}

/// Where the order stands.
///
/// # Errors
/// When its stored verdict cannot be read.
pub(super) fn of(order: &PlacedOrder, transaction: Option<&TransactionView>) -> Result<Standing, serde_json::Error> {
    let verdict = match transaction.and_then(|transaction| transaction.revisions.last()) {
        Some(newest) => Some((serde_json::from_str::<Verdict>(&newest.verdict)?.assessment, newest)),
        None => None,
    };
    let assessment = verdict.as_ref().map(|(assessment, _)| assessment);
    let changed_at = transaction.map_or(order.placed_at, |transaction| changed_at(order, transaction));
    if let Some((status, class)) = trial::answer(&order.order_number, order.amount) {
        return Ok(trial_standing(order, status, class, assessment));
    }
    let outcomes = transaction.map(|transaction| transaction.outcomes.as_slice()).unwrap_or_default();
    let known = if let Some(cancelled) = newest_of(outcomes, |kind| kind == OutcomeKind::Cancelled) {
        Known::new(Status::Cancelled, cancelled.recorded_at)
    } else if let Some((assessment, newest)) = &verdict {
        let decision = transaction.and_then(|of| of.decisions.iter().find(|one| one.revision == newest.revision));
        let known = by_verdict(order.product, assessment, newest.scored_at);
        let known = with_decision(known, order.product, assessment, decision);
        let known = with_ending(known, transaction, outcomes);
        with_fraud(known, order.product, outcomes)
    } else {
        Known::new(Status::Pending, order.placed_at)
    };
    Ok(Standing {
        status: known.status,
        class: known.class,
        resolved_at: (!matches!(known.status, Status::Pending | Status::Review)).then_some(known.since),
        changed_at,
        decline_reason: known.declined_because,
        score: assessment.filter(|_| order.product == Product::ScoreOnly).map(|assessment| assessment.risk_score),
    })
}

/// A status, and how it came about.
struct Known {
    status: Status,
    class: Option<EfraudClass>,
    since: Timestamp,
    declined_because: Option<String>,
}

impl Known {
    const fn new(status: Status, since: Timestamp) -> Self {
        Self { status, class: None, since, declined_because: None }
    }

    fn declined(status: Status, since: Timestamp, because: &str) -> Self {
        let class = (status == Status::Fraud).then_some(EfraudClass::Probable);
        Self { status, class, since, declined_because: Some(because.to_owned()) }
    }
}

/// What the table says, at once. The score is the one that was given, once it was.
fn trial_standing(
    order: &PlacedOrder,
    status: Status,
    class: Option<EfraudClass>,
    assessment: Option<&Assessment>,
) -> Standing {
    let is_declined = matches!(status, Status::Rejected | Status::Fraud);
    Standing {
        status,
        class,
        resolved_at: (status != Status::Review).then_some(order.placed_at),
        changed_at: order.placed_at,
        decline_reason: is_declined.then(|| "A test order, declined by its total.".to_owned()),
        score: assessment.filter(|_| status == Status::ScoreOnly).map(|assessment| assessment.risk_score),
    }
}

fn by_verdict(product: Product, assessment: &Assessment, scored_at: Timestamp) -> Known {
    let explanation = &assessment.explanation;
    match (product, assessment.risk_level) {
        (Product::ScoreOnly, _) => Known::new(Status::ScoreOnly, scored_at),
        (Product::Guaranteed, RiskLevel::Low) => Known::new(Status::Allowed, scored_at),
        (Product::Guaranteed, RiskLevel::Medium | RiskLevel::High) => {
            Known::declined(Status::Rejected, scored_at, explanation)
        }
        (Product::Guaranteed, RiskLevel::Critical) => Known::declined(Status::Fraud, scored_at, explanation),
        (Product::Safe, RiskLevel::Low) => Known::new(Status::Safe, scored_at),
        (Product::Safe, _) => Known::new(Status::Review, scored_at),
    }
}

/// What a person made of the verdict.
fn with_decision(known: Known, product: Product, assessment: &Assessment, decision: Option<&DecisionView>) -> Known {
    let Some(decision) = decision else { return known };
    let since = decision.decided_at;
    match (product, decision.decision) {
        (Product::ScoreOnly, _) => known,
        (Product::Guaranteed, Decision::Approve) => Known::new(Status::Allowed, since),
        (Product::Safe, Decision::Approve) => Known::new(Status::Safe, since),
        (Product::Guaranteed | Product::Safe, Decision::Reject) => {
            let is_fraud = product == Product::Guaranteed && assessment.risk_level == RiskLevel::Critical;
            let status = if is_fraud { Status::Fraud } else { Status::Rejected };
            Known::declined(status, since, decision.note.as_deref().unwrap_or("Rejected by a reviewer."))
        }
    }
}

/// An order that an outcome ended is in no review any more, and stands where its transaction does.
fn with_ending(known: Known, transaction: Option<&TransactionView>, outcomes: &[OutcomeView]) -> Known {
    let ended = transaction.and_then(|of| Some((of.status, of.ended_by?)));
    let Some((status, kind)) = ended.filter(|_| known.status == Status::Review) else { return known };
    let since = newest_of(outcomes, |one| one == kind).map_or(known.since, |report| report.recorded_at);
    match (status, kind) {
        (TransactionStatus::Rejected, _) => Known::declined(Status::Rejected, since, "Rejected by a reviewer."),
        (TransactionStatus::Closed, OutcomeKind::Refunded) => Known::new(Status::Cancelled, since),
        _ => Known::new(Status::Safe, since),
    }
}

/// What is known of fraud by now. The newest word counts.
fn with_fraud(known: Known, product: Product, outcomes: &[OutcomeView]) -> Known {
    let label = newest_of(outcomes, |kind| Happening::from(kind).label().is_some());
    let Some(fraud) = label.filter(|of| Happening::from(of.kind).label() == Some(true)) else { return known };
    if product == Product::ScoreOnly {
        return known;
    }
    let was_approved = matches!(known.status, Status::Allowed | Status::Safe);
    let class = if was_approved { EfraudClass::Missed } else { EfraudClass::Probable };
    Known { class: Some(class), ..Known::declined(Status::Fraud, fraud.recorded_at, "Reported as fraud.") }
}

/// The newest outcome of such a kind.
fn newest_of(outcomes: &[OutcomeView], is_wanted: impl Fn(OutcomeKind) -> bool) -> Option<&OutcomeView> {
    outcomes.iter().filter(|outcome| is_wanted(outcome.kind)).max_by_key(|of| (of.occurred_at, of.recorded_at))
}

fn changed_at(order: &PlacedOrder, transaction: &TransactionView) -> Timestamp {
    let scored = transaction.revisions.iter().map(|revision| revision.scored_at);
    let decided = transaction.decisions.iter().map(|decision| decision.decided_at);
    let told = transaction.outcomes.iter().map(|outcome| outcome.recorded_at);
    scored.chain(decided).chain(told).fold(order.placed_at, Timestamp::max)
}

#[cfg(test)]
mod tests;
