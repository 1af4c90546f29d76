//! The figures of a backtest: pure sums over compared orders.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use touchstone_platform::store::recorded::RecordedOrder;
use touchstone_schema::ids::TransactionId;
use touchstone_schema::money::Money;
use touchstone_schema::time::Timestamp;
use touchstone_schema::verdict::{Action, Assessment, Reason, RiskLevel};

/// Orders that are told one by one.
pub const MOST_CHANGED: usize = 10;

/// An order under both policies.
#[derive(Debug)]
pub struct Compared<'a> {
    /// The order as it was recorded.
    pub recorded: &'a RecordedOrder,
    /// Its amount.
    pub amount: Money,
    /// Under the policy in force.
    pub current: &'a Assessment,
    /// Under the candidate.
    pub candidate: &'a Assessment,
}

/// What two policies make of the same orders.
#[derive(Debug, Default)]
pub struct Comparison {
    /// Orders compared.
    pub orders: u64,
    /// Orders left out because they cannot be read.
    pub unreadable: u64,
    /// Orders by band under the policy in force and under the candidate.
    pub levels: BTreeMap<(RiskLevel, RiskLevel), u64>,
    /// Orders by action under the policy in force and under the candidate.
    pub actions: BTreeMap<(Action, Action), u64>,
    /// Figures of the policy in force.
    pub current: Figures,
    /// Figures of the candidate.
    pub candidate: Figures,
    /// The most changed orders, at most [`MOST_CHANGED`]: by points, then by bands between, then the oldest.
    pub most_changed: Vec<Changed>,
}

/// What one policy makes of the orders.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Against what is known of the orders by now.
    pub labelled: Labelled,
    /// Orders and money by currency code and action.
    pub money: BTreeMap<(&'static str, Action), Total>,
}

/// Orders of which it is known whether they were fraud. Stopped is what was not approved.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Labelled {
    /// Fraud that was not approved.
    pub fraud_stopped: u64,
    /// Fraud that was approved.
    pub fraud_approved: u64,
    /// Honest orders that were not approved.
    pub honest_stopped: u64,
    /// Honest orders that were approved.
    pub honest_approved: u64,
}

impl Labelled {
    /// Share of fraud among the labelled orders that were stopped; none when none was stopped.
    pub fn precision(&self) -> Option<f64> {
        share(self.fraud_stopped, self.honest_stopped)
    }

    /// Share of the fraud that was stopped; none when there is no fraud.
    pub fn recall(&self) -> Option<f64> {
        share(self.fraud_stopped, self.fraud_approved)
    }

    const fn count(&mut self, is_fraud: bool, action: Action) {
        let count = match (is_fraud, matches!(action, Action::Approve)) {
            (true, false) => &mut self.fraud_stopped,
            (true, true) => &mut self.fraud_approved,
            (false, false) => &mut self.honest_stopped,
            (false, true) => &mut self.honest_approved,
        };
        *count += 1;
    }
}

/// Share of `part` in itself and the `rest`.
fn share(part: u64, rest: u64) -> Option<f64> {
    let whole = part + rest;
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// Orders and their money in one currency.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Total {
    /// How many.
    pub orders: u64,
    /// Sum of their amounts in minor units.
    pub minor: i128,
}

/// An order whose assessment changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// Its transaction.
    pub transaction_id: TransactionId,
    /// The merchant's order id.
    pub order_id: String,
    /// When it was received.
    pub received_at: Timestamp,
    /// Its amount.
    pub amount: Money,
    /// Whether it was fraud, where that is known.
    pub label: Option<bool>,
    /// Score, band and action under the policy in force.
    pub current: (u8, RiskLevel, Action),
    /// Score, band and action under the candidate.
    pub candidate: (u8, RiskLevel, Action),
    /// The reasons that changed, by code.
    pub reasons: Vec<ChangedReason>,
}

/// A reason whose points changed; absent points mean that it did not fire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedReason {
    /// Code of the signal or rule.
    pub code: String,
    /// Points under the policy in force.
    pub current: Option<i32>,
    /// Points under the candidate.
    pub candidate: Option<i32>,
    /// What fired it.
    pub detail: String,
}

impl Comparison {
    /// Counts an order in.
    pub fn add(&mut self, order: &Compared<'_>) {
        let (current, candidate) = (order.current, order.candidate);
        self.orders += 1;
        *self.levels.entry((current.risk_level, candidate.risk_level)).or_default() += 1;
        *self.actions.entry((current.recommended_action, candidate.recommended_action)).or_default() += 1;
        self.current.add(order, current);
        self.candidate.add(order, candidate);
        let (before, after) = (outcome(current), outcome(candidate));
        if before != after {
            let changed = Changed::of(order, before, after);
            // Behind its equals, which were received before it.
            let at = self.most_changed.partition_point(|known| known.weight() >= changed.weight());
            self.most_changed.insert(at, changed);
            self.most_changed.truncate(MOST_CHANGED);
        }
    }

    /// Orders whose band changed.
    pub fn changed_levels(&self) -> u64 {
        self.levels.iter().filter(|((before, after), _)| before != after).map(|(_, orders)| orders).sum()
    }

    /// Orders whose action changed.
    pub fn changed_actions(&self) -> u64 {
        self.actions.iter().filter(|((before, after), _)| before != after).map(|(_, orders)| orders).sum()
    }
}

const fn outcome(of: &Assessment) -> (u8, RiskLevel, Action) {
    (of.risk_score, of.risk_level, of.recommended_action)
}

impl Figures {
    fn add(&mut self, order: &Compared<'_>, assessment: &Assessment) {
        let action = assessment.recommended_action;
        if let Some(is_fraud) = order.recorded.label {
            self.labelled.count(is_fraud, action);
        }
        let total = self.money.entry((order.amount.currency().code(), action)).or_default();
        total.orders += 1;
        total.minor += i128::from(order.amount.minor());
    }
}

impl Changed {
    fn of(order: &Compared<'_>, current: (u8, RiskLevel, Action), candidate: (u8, RiskLevel, Action)) -> Self {
        let recorded = order.recorded;
        Self {
            transaction_id: recorded.transaction_id.clone(),
            order_id: recorded.order_id.clone(),
            received_at: recorded.received_at,
            amount: order.amount,
            label: recorded.label,
            current,
            candidate,
            reasons: changed_reasons(&order.current.reasons, &order.candidate.reasons),
        }
    }

    /// How much changed: points, then bands, then actions.
    const fn weight(&self) -> (u8, u8, u8) {
        let ((score, level, action), (other_score, other_level, other_action)) = (self.current, self.candidate);
        (
            score.abs_diff(other_score),
            (level as u8).abs_diff(other_level as u8),
            (action as u8).abs_diff(other_action as u8),
        )
    }
}

/// Heaviest change first, then by code.
fn changed_reasons(current: &[Reason], candidate: &[Reason]) -> Vec<ChangedReason> {
    let mut by_code: BTreeMap<&str, ChangedReason> = BTreeMap::new();
    for reason in current {
        by_code.insert(&reason.code, changed_reason(reason, Some(reason.points), None));
    }
    for reason in candidate {
        let before = by_code.remove(reason.code.as_str()).and_then(|known| known.current);
        by_code.insert(&reason.code, changed_reason(reason, before, Some(reason.points)));
    }
    let mut changed: Vec<_> = by_code.into_values().filter(|reason| reason.current != reason.candidate).collect();
    changed.sort_by_key(|reason| {
        Reverse(reason.current.unwrap_or_default().abs_diff(reason.candidate.unwrap_or_default()))
    });
    changed
}

fn changed_reason(reason: &Reason, current: Option<i32>, candidate: Option<i32>) -> ChangedReason {
    ChangedReason { code: reason.code.clone(), current, candidate, detail: reason.detail.clone() }
}

#[cfg(test)]
mod tests;
