//! Where an order stands: its verdict, as the product means it that the store had when the order was placed, and what a
//! person and the merchant have said since.
//!
//! Guarantee: pure. A cancellation outranks what is known of fraud, which outranks the report of another end and a person's
//! decision, which outrank the verdict. A decision upon an earlier verdict went with that verdict; a report did not.

use touchstone_platform::store::placed::PlacedOrder;
use touchstone_platform::store::transactions::{Decision, DecisionView, OutcomeKind, OutcomeView, RevisionView};
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

/// What is known of an order's transaction, as far as it says where the order stands.
#[derive(Debug, Clone, Default)]
pub(super) struct Known {
    /// Where the transaction stands.
    pub(super) status: Option<TransactionStatus>,
    /// The outcome that ended it.
    pub(super) ended_by: Option<OutcomeKind>,
    /// The newest verdict.
    pub(super) revision: Option<RevisionView>,
    /// The newest decision, which may be upon an earlier verdict.
    pub(super) decision: Option<DecisionView>,
    /// Of each kind the newest outcome, and the one that was recorded last.
    pub(super) outcomes: Vec<OutcomeView>,
}

/// Where the order stands.
///
/// # Errors
/// When its stored verdict cannot be read.
pub(super) fn of(order: &PlacedOrder, known: &Known) -> Result<Standing, serde_json::Error> {
    let outcomes = known.outcomes.as_slice();
    let verdict = match &known.revision {
        Some(newest) => Some((serde_json::from_str::<Verdict>(&newest.verdict)?.assessment, newest)),
        None => None,
    };
    let assessment = verdict.as_ref().map(|(assessment, _)| assessment);
    let changed_at = changed_at(order, known);
    if let Some((status, class)) = trial::answer(&order.order_number, order.amount) {
        return Ok(trial_standing(order, status, class, assessment));
    }
    let stands = if let Some(cancelled) = newest_of(outcomes, |kind| kind == OutcomeKind::Cancelled) {
        Stands::new(Status::Cancelled, cancelled.recorded_at)
    } else if let Some((assessment, newest)) = &verdict {
        let decision = known.decision.as_ref().filter(|decision| decision.revision == newest.revision);
        let stands = by_verdict(order.product, assessment, newest.scored_at);
        let stands = with_decision(stands, order.product, assessment, decision);
        let stands = with_ending(stands, known, outcomes);
        with_fraud(stands, order.product, outcomes)
    } else {
        Stands::new(Status::Pending, order.placed_at)
    };
    Ok(Standing {
        status: stands.status,
        class: stands.class,
        resolved_at: (!matches!(stands.status, Status::Pending | Status::Review)).then_some(stands.since),
        changed_at,
        decline_reason: stands.declined_because,
        score: assessment.filter(|_| order.product == Product::ScoreOnly).map(|assessment| assessment.risk_score),
    })
}

/// A status, and how it came about.
struct Stands {
    status: Status,
    class: Option<EfraudClass>,
    since: Timestamp,
    declined_because: Option<String>,
}

impl Stands {
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

fn by_verdict(product: Product, assessment: &Assessment, scored_at: Timestamp) -> Stands {
    let explanation = &assessment.explanation;
    match (product, assessment.risk_level) {
        (Product::ScoreOnly, _) => Stands::new(Status::ScoreOnly, scored_at),
        (Product::Guaranteed, RiskLevel::Low) => Stands::new(Status::Allowed, scored_at),
        (Product::Guaranteed, RiskLevel::Medium | RiskLevel::High) => {
            Stands::declined(Status::Rejected, scored_at, explanation)
        }
        (Product::Guaranteed, RiskLevel::Critical) => Stands::declined(Status::Fraud, scored_at, explanation),
        (Product::Safe, RiskLevel::Low) => Stands::new(Status::Safe, scored_at),
        (Product::Safe, _) => Stands::new(Status::Review, scored_at),
    }
}

/// What a person made of the verdict.
fn with_decision(known: Stands, product: Product, assessment: &Assessment, decision: Option<&DecisionView>) -> Stands {
    let Some(decision) = decision else { return known };
    let since = decision.decided_at;
    match (product, decision.decision) {
        (Product::ScoreOnly, _) => known,
        (Product::Guaranteed, Decision::Approve) => Stands::new(Status::Allowed, since),
        (Product::Safe, Decision::Approve) => Stands::new(Status::Safe, since),
        (Product::Guaranteed | Product::Safe, Decision::Reject) => {
            let is_fraud = product == Product::Guaranteed && assessment.risk_level == RiskLevel::Critical;
            let status = if is_fraud { Status::Fraud } else { Status::Rejected };
            Stands::declined(status, since, decision.note.as_deref().unwrap_or("Rejected by a reviewer."))
        }
    }
}

/// An order that an outcome ended is in no review any more, and stands where its transaction does.
fn with_ending(stands: Stands, known: &Known, outcomes: &[OutcomeView]) -> Stands {
    let ended = known.status.zip(known.ended_by);
    let Some((status, kind)) = ended.filter(|_| stands.status == Status::Review) else { return stands };
    let since = newest_of(outcomes, |one| one == kind).map_or(stands.since, |report| report.recorded_at);
    match (status, kind) {
        (TransactionStatus::Rejected, _) => Stands::declined(Status::Rejected, since, "Rejected by a reviewer."),
        (TransactionStatus::Closed, OutcomeKind::Refunded) => Stands::new(Status::Cancelled, since),
        _ => Stands::new(Status::Safe, since),
    }
}

/// What is known of fraud by now. The newest word counts.
fn with_fraud(known: Stands, product: Product, outcomes: &[OutcomeView]) -> Stands {
    let label = newest_of(outcomes, |kind| Happening::from(kind).label().is_some());
    let Some(fraud) = label.filter(|of| Happening::from(of.kind).label() == Some(true)) else { return known };
    if product == Product::ScoreOnly {
        return known;
    }
    let was_approved = matches!(known.status, Status::Allowed | Status::Safe);
    let class = if was_approved { EfraudClass::Missed } else { EfraudClass::Probable };
    Stands { class: Some(class), ..Stands::declined(Status::Fraud, fraud.recorded_at, "Reported as fraud.") }
}

/// The newest outcome of such a kind.
fn newest_of(outcomes: &[OutcomeView], is_wanted: impl Fn(OutcomeKind) -> bool) -> Option<&OutcomeView> {
    outcomes.iter().filter(|outcome| is_wanted(outcome.kind)).max_by_key(|of| (of.occurred_at, of.recorded_at))
}

fn changed_at(order: &PlacedOrder, known: &Known) -> Timestamp {
    let scored = known.revision.iter().map(|revision| revision.scored_at);
    let decided = known.decision.iter().map(|decision| decision.decided_at);
    let recorded = known.outcomes.iter().map(|outcome| outcome.recorded_at);
    scored.chain(decided).chain(recorded).fold(order.placed_at, Timestamp::max)
}

#[cfg(test)]
mod tests;
