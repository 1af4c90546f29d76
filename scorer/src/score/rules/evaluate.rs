//! Asks the rules of an order. Linear in the size of rules and order; a missing value makes a question false.

use touchstone_schema::verdict::{Action, Reason};

use super::super::Facts;
use super::compile::{CompiledRule, LeafTest, Right, Test};
use super::field::Known;
use super::value::{Value, Values};
use super::{Op, RuleMode};

/// What came of the rules of a policy.
#[derive(Debug, Default)]
pub(in crate::score) struct Outcome {
    /// Reasons of the live rules that fired.
    pub(in crate::score) live: Vec<Reason>,
    /// What rules on trial would have added, heaviest first.
    pub(in crate::score) shadow: Vec<Reason>,
    /// The strictest action that a live rule asks for, and what it says of itself.
    asked: Option<(Action, String)>,
    is_blocked: bool,
}

impl Outcome {
    /// What to do with the order, where the band of its score says `band`; and the rule's own words, where a rule
    /// decides otherwise.
    ///
    /// `review` and `hold` only make stricter. `approve` overrules the band, unless another rule asks for more or an entry
    /// of a block list matches.
    pub(in crate::score) fn action(&self, band: Action) -> (Action, Option<&str>) {
        match &self.asked {
            Some((asked, words)) if *asked > band => (*asked, Some(words)),
            Some((Action::Approve, words)) if band > Action::Approve && !self.is_blocked => {
                (Action::Approve, Some(words))
            }
            _ => (band, None),
        }
    }
}

/// Asks all rules, given the codes of the signals that fired.
pub(in crate::score) fn evaluate(facts: &Facts<'_>, fired: &[&str]) -> Outcome {
    let known = Known { facts, fired };
    let mut outcome = Outcome { is_blocked: !facts.lists.blocked.is_empty(), ..Outcome::default() };
    for rule in facts.policy.rules().iter().filter(|rule| rule.test.holds(&known)) {
        match rule.mode {
            RuleMode::Shadow => outcome.shadow.push(rule.reason()),
            RuleMode::Live => {
                outcome.live.push(rule.reason());
                if let Some(action) = rule.action
                    && outcome.asked.as_ref().is_none_or(|(asked, _)| action > *asked)
                {
                    outcome.asked = Some((action, rule.detail.clone()));
                }
            }
        }
    }
    outcome.shadow.sort_by(|a, b| b.points.abs().cmp(&a.points.abs()).then_with(|| a.code.cmp(&b.code)));
    outcome
}

impl CompiledRule {
    fn reason(&self) -> Reason {
        Reason { code: self.code.clone(), points: self.points, detail: self.detail.clone() }
    }
}

impl Test {
    fn holds(&self, known: &Known<'_>) -> bool {
        match self {
            Self::All(tests) => tests.iter().all(|test| test.holds(known)),
            Self::Any(tests) => tests.iter().any(|test| test.holds(known)),
            Self::Leaf(leaf) => leaf.holds(known),
        }
    }
}

impl LeafTest {
    /// Whether it holds for any value of the field; `ne` and `nin`: whether it fails for none. Without a value only
    /// `not_exists` holds.
    fn holds(&self, known: &Known<'_>) -> bool {
        let values = self.field.read(known);
        match &self.right {
            Right::Nothing => values.any(|_| true).is_some() == (self.op == Op::Exists),
            Right::Pattern(pattern) => values.any(|value| pattern.is_match(value.as_text())) == Some(true),
            Right::Set(set) => values.any(|value| set.contains(&value.folded())) == Some(self.op == Op::In),
            Right::Value(right) => self.compare(values, right),
            Right::Field(field) => match field.read(known).single() {
                Some(right) => self.compare(values, &right.folded()),
                None => false,
            },
        }
    }

    fn compare<'f>(&self, values: Values<'f>, right: &Value<'f>) -> bool {
        let any = values.any(|value| {
            let value = value.folded();
            match self.op {
                Op::Gt => value > *right,
                Op::Gte => value >= *right,
                Op::Lt => value < *right,
                Op::Lte => value <= *right,
                Op::Contains => value.as_text().contains(right.as_text()),
                Op::StartsWith => value.as_text().starts_with(right.as_text()),
                Op::EndsWith => value.as_text().ends_with(right.as_text()),
                _ => value == *right,
            }
        });
        any == Some(self.op != Op::Ne)
    }
}
