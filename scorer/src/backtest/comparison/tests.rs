//! Figures of orders whose sums are done by hand.

use touchstone_schema::money::Currency;

use super::*;

struct Case {
    number: u8,
    amount: &'static str,
    currency: &'static str,
    label: Option<bool>,
    current: (u8, RiskLevel, Action),
    candidate: (u8, RiskLevel, Action),
}

use Action::{Approve, Hold, Review};
use RiskLevel::{Critical, Low, Medium};

fn assessment(
    (risk_score, risk_level, recommended_action): (u8, RiskLevel, Action),
    reasons: &[(&str, i32)],
) -> Assessment {
    let reason = |(code, points): &(&str, i32)| Reason {
        code: (*code).to_owned(),
        points: *points,
        detail: format!("because of {code}"),
    };
    Assessment {
        shadow_reasons: Vec::new(),
        risk_score,
        risk_level,
        recommended_action,
        confidence: 1.0,
        reason_codes: Vec::new(),
        reasons: reasons.iter().map(reason).collect(),
        explanation: String::new(),
        policy_version: 0,
    }
}

impl Case {
    fn recorded(&self) -> RecordedOrder {
        RecordedOrder {
            transaction_id: TransactionId::mint(Timestamp::from_millis(0), [self.number; 10]),
            order_id: format!("order-{}", self.number),
            received_at: Timestamp::from_millis(i64::from(self.number)),
            document: String::new(),
            label: self.label,
        }
    }

    fn add(&self, comparison: &mut Comparison) {
        comparison.add(&Compared {
            recorded: &self.recorded(),
            amount: money(self.amount, self.currency),
            current: &assessment(self.current, &[]),
            candidate: &assessment(self.candidate, &[]),
        });
    }
}

fn money(amount: &str, currency: &str) -> Money {
    Currency::from_code(currency).and_then(|currency| Money::parse(amount, currency).ok()).expect("an amount")
}

fn compared(cases: &[Case]) -> Comparison {
    let mut comparison = Comparison::default();
    cases.iter().for_each(|case| case.add(&mut comparison));
    comparison
}

fn orders() -> [Case; 6] {
    let case = |number, amount, currency, label, current, candidate| Case {
        number,
        amount,
        currency,
        label,
        current,
        candidate,
    };
    [
        case(1, "10.00", "EUR", Some(true), (20, Low, Approve), (80, Critical, Hold)),
        case(2, "20.00", "EUR", Some(true), (80, Critical, Hold), (80, Critical, Hold)),
        case(3, "40.00", "EUR", Some(false), (40, Medium, Review), (20, Low, Approve)),
        case(4, "80.00", "EUR", Some(false), (10, Low, Approve), (35, Medium, Review)),
        case(5, "1000", "JPY", None, (10, Low, Approve), (10, Low, Approve)),
        case(6, "3000", "JPY", Some(true), (0, Low, Approve), (12, Low, Approve)),
    ]
}

#[test]
fn moves_between_bands_and_actions_are_counted() {
    let comparison = compared(&orders());
    assert_eq!((comparison.orders, comparison.changed_levels(), comparison.changed_actions()), (6, 3, 3));
    let expected =
        [((Low, Low), 2), ((Low, Medium), 1), ((Low, Critical), 1), ((Medium, Low), 1), ((Critical, Critical), 1)];
    assert_eq!(comparison.levels, BTreeMap::from(expected));
    assert_eq!(comparison.actions[&(Approve, Approve)], 2);
}

#[test]
fn precision_and_recall_are_of_labelled_orders_that_were_not_approved() {
    let comparison = compared(&orders());
    // Now: stopped are 2 (fraud) and 3 (honest); 1 and 6 are fraud that went through.
    let current = comparison.current.labelled;
    assert_eq!((current.precision(), current.recall()), (Some(0.5), Some(1.0 / 3.0)));
    // Then: stopped are 1 and 2 (fraud) and 4 (honest); 6 goes through.
    let candidate = comparison.candidate.labelled;
    assert_eq!((candidate.precision(), candidate.recall()), (Some(2.0 / 3.0), Some(2.0 / 3.0)));
    assert_eq!((candidate.honest_stopped, candidate.honest_approved), (1, 1));
    let nothing = Labelled::default();
    assert_eq!((nothing.precision(), nothing.recall()), (None, None));
}

#[test]
fn money_is_summed_by_currency_and_action() {
    let comparison = compared(&orders());
    let of = |figures: &Figures, currency, action| {
        figures.money.get(&(currency, action)).map(|total| (total.orders, total.minor))
    };
    let (current, candidate) = (&comparison.current, &comparison.candidate);
    assert_eq!(of(current, "EUR", Approve), Some((2, 9_000)));
    assert_eq!(of(current, "EUR", Review), Some((1, 4_000)));
    assert_eq!(of(current, "EUR", Hold), Some((1, 2_000)));
    assert_eq!(of(candidate, "EUR", Approve), Some((1, 4_000)));
    assert_eq!(of(candidate, "EUR", Review), Some((1, 8_000)));
    assert_eq!(of(candidate, "EUR", Hold), Some((2, 3_000)));
    assert_eq!(of(candidate, "JPY", Approve), Some((2, 4_000)));
    assert_eq!(of(candidate, "JPY", Hold), None);
}

#[test]
fn most_changed_orders_come_first_and_are_at_most_ten() {
    let changed = compared(&orders()).most_changed;
    let ids: Vec<_> = changed.iter().map(|order| order.order_id.as_str()).collect();
    assert_eq!(ids, ["order-1", "order-4", "order-3", "order-6"]);

    let mut comparison = Comparison::default();
    for number in 0..30 {
        let candidate = (number.min(15), Low, Approve);
        Case { number, amount: "1", currency: "EUR", label: None, current: (0, Low, Approve), candidate }
            .add(&mut comparison);
    }
    let ids: Vec<_> = comparison.most_changed.iter().map(|order| order.received_at.as_millis()).collect();
    assert_eq!(ids, (15..25).collect::<Vec<_>>(), "of equals the oldest stay");
}

#[test]
fn only_reasons_whose_points_changed_are_told() {
    let case = &orders()[0];
    let mut comparison = Comparison::default();
    comparison.add(&Compared {
        recorded: &case.recorded(),
        amount: money("1", "EUR"),
        current: &assessment(case.current, &[("same", 5), ("gone", 10), ("weighed", 5)]),
        candidate: &assessment(case.candidate, &[("same", 5), ("new", 60), ("weighed", 7)]),
    });
    let reasons = &comparison.most_changed[0].reasons;
    let told: Vec<_> = reasons.iter().map(|one| (one.code.as_str(), one.current, one.candidate)).collect();
    assert_eq!(told, [("new", None, Some(60)), ("gone", Some(10), None), ("weighed", Some(5), Some(7))]);
    assert_eq!(reasons[1].detail, "because of gone");
}
