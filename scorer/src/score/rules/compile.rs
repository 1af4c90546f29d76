//! Makes tests of rules, once per policy version: fields are looked up, literals typed, patterns built.
//!
//! Failure: a rule that cannot be compiled is told where and why when it is saved, so a stored policy has none.

use std::collections::{BTreeMap, BTreeSet};

use regex::{Regex, RegexBuilder};
use touchstone_schema::json::Path;
use touchstone_schema::limits;
use touchstone_schema::order::CountryCode;
use touchstone_schema::time::Timestamp;
use touchstone_schema::verdict::Action;

use super::super::policy::read::Faults;
use super::field::Field;
use super::value::{Kind, Value};
use super::{Condition, Conditions, Leaf, Literal, Logic, Op, Operand, Rule, RuleMode};

/// A rule, ready to be asked.
#[derive(Debug)]
pub(in crate::score) struct CompiledRule {
    pub(super) code: String,
    pub(super) detail: String,
    pub(super) points: i32,
    pub(super) action: Option<Action>,
    pub(super) mode: RuleMode,
    pub(super) test: Test,
}

/// What an order is asked.
#[derive(Debug)]
pub(super) enum Test {
    /// All hold.
    All(Vec<Test>),
    /// Any holds.
    Any(Vec<Test>),
    /// One question.
    Leaf(LeafTest),
}

/// One question about one field.
#[derive(Debug)]
pub(super) struct LeafTest {
    pub(super) field: Field,
    pub(super) op: Op,
    pub(super) right: Right,
}

/// What a field is compared with.
#[derive(Debug)]
pub(super) enum Right {
    /// Nothing: whether it is there is asked.
    Nothing,
    /// A literal, its text in lower case.
    Value(Value<'static>),
    /// Another field.
    Field(Field),
    /// Literals, for look-up.
    Set(BTreeSet<Value<'static>>),
    /// A pattern that covers the whole text.
    Pattern(Box<Regex>),
}

/// Compiles rules of one policy.
#[derive(Debug, Clone, Copy)]
pub(in crate::score) struct Compiler<'k> {
    declared: &'k BTreeMap<String, String>,
}

impl<'k> Compiler<'k> {
    /// With the history keys that the policy declares.
    pub(in crate::score) const fn new(declared: &'k BTreeMap<String, String>) -> Self {
        Self { declared }
    }

    /// The test of a rule, with the points that the policy gives it; none for a rule that was never checked.
    pub(in crate::score) fn rule(&self, rule: &Rule, points: &BTreeMap<String, i32>) -> Option<CompiledRule> {
        let code = rule.code();
        Some(CompiledRule {
            detail: rule.detail.clone().unwrap_or_else(|| format!("the rule \"{}\" applies", rule.name)),
            points: points.get(&code).copied().unwrap_or(rule.points),
            action: rule.action,
            mode: rule.mode,
            test: self.group(&rule.when)?,
            code,
        })
    }

    fn group(&self, group: &Conditions) -> Option<Test> {
        let tests = group.conditions.iter().map(|condition| match condition {
            Condition::Leaf(leaf) => self.leaf(leaf, &Path::Root, &mut Faults::default()).map(Test::Leaf),
            Condition::Nested(nested) => self.group(nested),
        });
        let tests = tests.collect::<Option<_>>()?;
        Some(match group.logic {
            Logic::And => Test::All(tests),
            Logic::Or => Test::Any(tests),
        })
    }

    /// The test of a leaf at `path`, or faults.
    pub(super) fn leaf(&self, leaf: &Leaf, path: &Path<'_>, faults: &mut Faults) -> Option<LeafTest> {
        let Some(field) = Field::parse(&leaf.field, self.declared) else {
            faults.add(&path.key("field"), "expected the name of a field, such as customer.email");
            return None;
        };
        let kind = field.kind();
        if !leaf.op.applies_to(kind) {
            let fitting: Vec<_> = Op::ALL.iter().filter(|op| op.applies_to(kind)).map(|op| op.as_str()).collect();
            faults.add(&path.key("op"), format!("expected an operator for a {kind}: {}", fitting.join(", ")));
            return None;
        }
        let path = path.key("value");
        let right = match (leaf.op, &leaf.value) {
            (Op::Exists | Op::NotExists, None) => Some(Right::Nothing),
            (Op::Exists | Op::NotExists, Some(_)) => refuse(&path, "expected no value: presence is asked", faults),
            (_, None) => refuse(&path, format!("expected a value: {}; it is required", expected(kind)), faults),
            (Op::In | Op::Nin, Some(Operand::List(literals))) => set(literals, kind, &path, faults).map(Right::Set),
            (Op::In | Op::Nin, Some(_)) => refuse(&path, format!("expected an array: {} each", expected(kind)), faults),
            (Op::Matches, Some(Operand::Literal(Literal::Text(text)))) => pattern(text, &path, faults),
            (Op::Matches, Some(_)) => refuse(&path, "expected a pattern as text", faults),
            (_, Some(operand)) => self.operand(operand, kind, &path, faults),
        };
        Some(LeafTest { field, op: leaf.op, right: right? })
    }

    fn operand(&self, operand: &Operand, kind: Kind, path: &Path<'_>, faults: &mut Faults) -> Option<Right> {
        match operand {
            Operand::Reference { field: name } => match Field::parse(name, self.declared) {
                Some(field) => reference(field, kind, path, faults),
                None => refuse(&path.key("field"), "expected the name of a field, such as customer.email", faults),
            },
            Operand::Literal(literal) => {
                if let Literal::Text(name) = literal
                    && let Some(field) = Field::parse(name, self.declared)
                {
                    return reference(field, kind, path, faults);
                }
                typed(literal, kind, path, faults).map(Right::Value)
            }
            Operand::List(_) => refuse(path, format!("expected {} or a field", expected(kind)), faults),
        }
    }
}

impl Op {
    /// Whether it can be asked of a field of this type.
    pub(super) const fn applies_to(self, kind: Kind) -> bool {
        match self {
            Self::Eq | Self::Ne | Self::Exists | Self::NotExists => true,
            Self::Gt | Self::Gte | Self::Lt | Self::Lte => matches!(kind, Kind::Number | Kind::Time),
            Self::In | Self::Nin => matches!(kind, Kind::Text | Kind::Number | Kind::Country),
            Self::Contains | Self::StartsWith | Self::EndsWith | Self::Matches => matches!(kind, Kind::Text),
        }
    }
}

fn refuse<T>(path: &Path<'_>, expected: impl Into<String>, faults: &mut Faults) -> Option<T> {
    faults.add(path, expected);
    None
}

/// What a literal of a type looks like.
const fn expected(kind: Kind) -> &'static str {
    match kind {
        Kind::Text => "a text",
        Kind::Number => "a number of at most 12 digits and 6 decimals",
        Kind::Boolean => "true or false",
        Kind::Country => "an ISO 3166 alpha-2 country code such as DE",
        Kind::Time => "an RFC 3339 time such as 2026-01-02T03:04:05Z",
    }
}

/// The value that a rule compares with must be one, and of the same type.
fn reference(field: Field, kind: Kind, path: &Path<'_>, faults: &mut Faults) -> Option<Right> {
    if field.is_list() {
        return refuse(path, "expected a single field; this one names a list", faults);
    }
    if field.kind() != kind {
        let found = field.kind();
        let message = format!("expected a {kind}; this names a field that is a {found}. A text in an array is literal");
        return refuse(path, message, faults);
    }
    Some(Right::Field(field))
}

fn set(literals: &[Literal], kind: Kind, path: &Path<'_>, faults: &mut Faults) -> Option<BTreeSet<Value<'static>>> {
    if literals.is_empty() {
        return refuse(path, format!("expected at least one element: {} each", expected(kind)), faults);
    }
    let values = literals.iter().enumerate();
    // Each is looked at, so that all faults are told.
    let values: Vec<_> = values.map(|(index, literal)| typed(literal, kind, &path.index(index), faults)).collect();
    values.into_iter().collect()
}

fn typed(literal: &Literal, kind: Kind, path: &Path<'_>, faults: &mut Faults) -> Option<Value<'static>> {
    let value = match (kind, literal) {
        (Kind::Text, Literal::Text(text)) => Some(Value::Text(text.clone().into()).folded()),
        (Kind::Number, Literal::Number(number)) => Some(Value::Number(number.get().into())),
        (Kind::Boolean, Literal::Flag(flag)) => Some(Value::Boolean(*flag)),
        (Kind::Country, Literal::Text(code)) => CountryCode::parse(code).map(Value::Country),
        (Kind::Time, Literal::Text(time)) => Timestamp::parse_rfc3339(time).map(Value::Time),
        _ => None,
    };
    if value.is_none() {
        faults.add(path, format!("expected {}", expected(kind)));
    }
    value
}

fn pattern(text: &str, path: &Path<'_>, faults: &mut Faults) -> Option<Right> {
    // Alone first: a pattern must not close the group that anchors it.
    match bounded(text).and_then(|_| bounded(&format!(r"\A(?:{text})\z"))) {
        Ok(regex) => Some(Right::Pattern(Box::new(regex))),
        Err(error) => {
            let text = error.to_string();
            refuse(path, format!("expected a pattern: {}", text.lines().last().unwrap_or_default()), faults)
        }
    }
}

/// Time is linear in text and pattern by construction of the library; memory is bounded here.
fn bounded(pattern: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(pattern)
        .case_insensitive(true)
        .size_limit(limits::PATTERN_BYTES)
        .dfa_size_limit(limits::PATTERN_BYTES)
        .build()
}
