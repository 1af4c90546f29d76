//! Where an order stands, by product, total and verdict.

use touchstone_platform::store::transactions::RevisionView;
use touchstone_schema::ids::{PlacedOrderId, TransactionId};
use touchstone_schema::money::{Currency, Money};
use touchstone_schema::verdict::{Action, VerdictMode};

use super::*;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds * 1_000)
}

fn id() -> TransactionId {
    TransactionId::mint(at(0), [0; 10])
}

fn order(product: Product, number: &str, total: &str) -> PlacedOrder {
    let usd = Currency::from_code("USD").unwrap();
    PlacedOrder {
        id: PlacedOrderId::mint([0; 8]).unwrap(),
        transaction_id: id(),
        is_trial: false,
        site_name: "site".to_owned(),
        order_number: number.to_owned(),
        product,
        customer_id: None,
        amount: Money::parse(total, usd).unwrap(),
        is_usa: true,
        ships_to_billing: true,
        avs_code: None,
        shipping_method: None,
        placed_at: at(100),
    }
}

fn scored(level: RiskLevel) -> Known {
    let assessment = Assessment {
        risk_score: 42,
        risk_level: level,
        recommended_action: Action::Review,
        confidence: 0.5,
        reason_codes: Vec::new(),
        reasons: Vec::new(),
        shadow_reasons: Vec::new(),
        explanation: "It looks odd.".to_owned(),
        policy_version: 0,
    };
    let verdict = Verdict {
        transaction_id: id(),
        order_id: "1".to_owned(),
        assessment,
        warnings: Vec::new(),
        mode: VerdictMode::Live,
        scored_at: at(200).to_rfc3339(),
    };
    let revision = RevisionView {
        revision: 1,
        received_at: at(100),
        scored_at: at(200),
        enrichment_version: None,
        verdict: serde_json::to_string(&verdict).unwrap(),
    };
    Known { status: Some(TransactionStatus::Review), revision: Some(revision), ..Known::default() }
}

fn decided(level: RiskLevel, decision: Decision) -> Known {
    let reviewer = "ada".to_owned();
    let decision = DecisionView { revision: 1, decision, reviewer, note: None, decided_at: at(300) };
    Known { decision: Some(decision), ..scored(level) }
}

fn told(mut transaction: Known, kind: OutcomeKind, recorded: i64) -> Known {
    let (occurred_at, recorded_at) = (at(recorded), at(recorded));
    if kind.is_ending() {
        let status = transaction.status.unwrap_or(TransactionStatus::Pending);
        transaction.status = Some(kind.status_after(status, status == TransactionStatus::Review));
        transaction.ended_by = Some(kind);
    }
    transaction.outcomes.push(OutcomeView { kind, occurred_at, amount_minor: None, recorded_at });
    transaction
}

fn status(product: Product, transaction: &Known) -> (Status, Option<EfraudClass>) {
    let standing = of(&order(product, "1", "10"), transaction).unwrap();
    (standing.status, standing.class)
}

#[test]
fn a_verdict_means_what_the_product_says() {
    for (product, statuses) in [
        (Product::Guaranteed, [Status::Allowed, Status::Rejected, Status::Rejected, Status::Fraud]),
        (Product::Safe, [Status::Safe, Status::Review, Status::Review, Status::Review]),
        (Product::ScoreOnly, [Status::ScoreOnly; 4]),
    ] {
        for (level, expected) in RiskLevel::ALL.iter().zip(statuses) {
            let class = (expected == Status::Fraud).then_some(EfraudClass::Probable);
            assert_eq!(status(product, &scored(*level)), (expected, class), "{product} {level}");
        }
    }
}

#[test]
fn a_decision_outranks_the_verdict() {
    let (approve, reject) = (Decision::Approve, Decision::Reject);
    for (product, level, decision, expected) in [
        (Product::Guaranteed, RiskLevel::Critical, approve, Status::Allowed),
        (Product::Guaranteed, RiskLevel::High, reject, Status::Rejected),
        (Product::Guaranteed, RiskLevel::Critical, reject, Status::Fraud),
        (Product::Safe, RiskLevel::High, approve, Status::Safe),
        (Product::Safe, RiskLevel::Critical, reject, Status::Rejected),
        (Product::ScoreOnly, RiskLevel::High, reject, Status::ScoreOnly),
    ] {
        assert_eq!(status(product, &decided(level, decision)).0, expected, "{product} {level} {decision}");
    }
    let mut stale = decided(RiskLevel::High, approve);
    stale.decision.as_mut().unwrap().revision = 0;
    assert_eq!(status(Product::Guaranteed, &stale).0, Status::Rejected, "it was about another verdict");
}

#[test]
fn fraud_in_what_was_approved_was_missed() {
    let fraud = |of| told(of, OutcomeKind::FraudConfirmed, 400);
    let missed = (Status::Fraud, Some(EfraudClass::Missed));
    assert_eq!(status(Product::Guaranteed, &fraud(scored(RiskLevel::Low))), missed);
    assert_eq!(status(Product::Guaranteed, &fraud(decided(RiskLevel::High, Decision::Approve))), missed);
    assert_eq!(status(Product::Safe, &told(scored(RiskLevel::Low), OutcomeKind::ChargebackUpheld, 400)), missed);
    let probable = (Status::Fraud, Some(EfraudClass::Probable));
    assert_eq!(status(Product::Guaranteed, &fraud(scored(RiskLevel::High))), probable);
    let cleared = told(fraud(scored(RiskLevel::Low)), OutcomeKind::Legitimate, 500);
    assert_eq!(status(Product::Guaranteed, &cleared).0, Status::Allowed, "the newest word counts");
    assert_eq!(status(Product::ScoreOnly, &fraud(scored(RiskLevel::Low))).0, Status::ScoreOnly);
}

#[test]
fn a_cancellation_outranks_all_and_needs_no_verdict() {
    let mut waiting = told(scored(RiskLevel::Low), OutcomeKind::Cancelled, 150);
    assert_eq!(status(Product::ScoreOnly, &waiting).0, Status::Cancelled);
    waiting.revision = None;
    let standing = of(&order(Product::Guaranteed, "1", "10"), &waiting).unwrap();
    assert_eq!((standing.status, standing.resolved_at), (Status::Cancelled, Some(at(150))));
}

#[test]
fn an_outcome_that_ends_the_order_ends_its_review() {
    for (kind, expected) in [
        (OutcomeKind::Fulfilled, Status::Safe),
        (OutcomeKind::Refunded, Status::Cancelled),
        (OutcomeKind::Cancelled, Status::Cancelled),
        (OutcomeKind::ChargebackReversed, Status::Safe),
        (OutcomeKind::ChargebackOpened, Status::Fraud),
        (OutcomeKind::ChargebackUpheld, Status::Fraud),
        (OutcomeKind::FraudConfirmed, Status::Fraud),
        (OutcomeKind::Legitimate, Status::Review),
    ] {
        let ended = told(scored(RiskLevel::High), kind, 400);
        let standing = of(&order(Product::Safe, "1", "10"), &ended).unwrap();
        let resolved = (expected != Status::Review).then_some(at(400));
        assert_eq!((standing.status, standing.resolved_at), (expected, resolved), "{kind}");
    }
    let declined = told(scored(RiskLevel::High), OutcomeKind::Fulfilled, 400);
    assert_eq!(status(Product::Guaranteed, &declined).0, Status::Rejected, "what was declined is not guaranteed");
    let mut again = told(decided(RiskLevel::High, Decision::Reject), OutcomeKind::Fulfilled, 400);
    again.status = Some(TransactionStatus::Rejected);
    again.decision = again.decision.map(|decision| DecisionView { revision: 0, ..decision });
    assert_eq!(status(Product::Safe, &again).0, Status::Rejected, "it was scored again since");
}

#[test]
fn times_tell_what_changed_last_and_since_when_nothing_is_waited_for() {
    let standing = |known: &Known, product| {
        let standing = of(&order(product, "1", "10"), known).unwrap();
        (standing.resolved_at, standing.changed_at)
    };
    assert_eq!(standing(&Known::default(), Product::Safe), (None, at(100)));
    assert_eq!(standing(&scored(RiskLevel::Low), Product::Safe), (Some(at(200)), at(200)));
    assert_eq!(standing(&scored(RiskLevel::High), Product::Safe), (None, at(200)));
    let approved = decided(RiskLevel::High, Decision::Approve);
    assert_eq!(standing(&approved, Product::Safe), (Some(at(300)), at(300)));
    let shipped = told(approved, OutcomeKind::Fulfilled, 400);
    assert_eq!(standing(&shipped, Product::Safe), (Some(at(300)), at(400)));
}

#[test]
fn a_trial_order_stands_where_its_total_says() {
    let trial = order(Product::Guaranteed, "TEST-1", "0.18");
    let standing = of(&trial, &scored(RiskLevel::Critical)).unwrap();
    assert_eq!((standing.status, standing.resolved_at, standing.score), (Status::Safe, Some(at(100)), None));
    let trial = order(Product::Guaranteed, "TEST-1", "0.11");
    assert_eq!(of(&trial, &Known::default()).unwrap().score, None);
    assert_eq!(of(&trial, &scored(RiskLevel::Low)).unwrap().score, Some(42));
}
