//! Reads rules out of a policy document. Every fault is told at once, with its JSON pointer and what was expected.

use std::collections::{BTreeMap, BTreeSet};

use touchstone_schema::json::Json;
use touchstone_schema::limits;
use touchstone_schema::policy::Millionths;
use touchstone_schema::verdict::Action;

use super::super::policy::read::{Faults, Place};
use super::compile::Compiler;
use super::{Condition, Conditions, Leaf, Literal, Logic, Op, Operand, Rule, RuleMode, code_of};

/// Reads the rules of one policy.
#[derive(Debug)]
pub(in crate::score) struct RuleReader<'k> {
    compiler: Compiler<'k>,
    codes: BTreeSet<String>,
    patterns: usize,
    /// Conditions of the rule in hand.
    conditions: usize,
}

impl<'k> RuleReader<'k> {
    /// With the history keys that the policy declares.
    pub(in crate::score) const fn new(declared: &'k BTreeMap<String, String>) -> Self {
        Self { compiler: Compiler::new(declared), codes: BTreeSet::new(), patterns: 0, conditions: 0 }
    }

    /// The rules of an array; those with faults are left out.
    pub(in crate::score) fn rules(mut self, place: Place<'_>, faults: &mut Faults) -> Vec<Rule> {
        let rules = place.each(limits::POLICY_RULES, faults, |place, faults| self.rule(place, faults));
        if self.patterns > limits::POLICY_PATTERNS {
            faults.add(place.path, format!("expected at most {} conditions with matches", limits::POLICY_PATTERNS));
        }
        rules
    }

    fn rule(&mut self, place: Place<'_>, faults: &mut Faults) -> Option<Rule> {
        const MEMBERS: &[&str] = &["name", "detail", "when", "points", "action", "enabled", "mode"];
        let (mut name, mut detail, mut when, mut points) = (None, None, None, None);
        let (mut action, mut enabled, mut mode) = (None, true, RuleMode::Live);
        for (key, json) in place.members(faults)? {
            let path = place.path.key(key);
            let member = Place::new(json, &path);
            match key.as_ref() {
                "name" => name = self.name(member, faults),
                "detail" => detail = member.text(limits::RULE_TEXT_CHARS, faults).map(str::to_owned),
                "when" => {
                    self.conditions = 0;
                    when = self.group(member, 1, faults);
                    if self.conditions > limits::RULE_CONDITIONS {
                        faults.add(&path, format!("expected at most {} conditions in all", limits::RULE_CONDITIONS));
                    }
                }
                "points" => {
                    let limit = i64::from(limits::POLICY_POINTS);
                    points = member.whole(-limit..=limit, faults).and_then(|points| i32::try_from(points).ok());
                }
                "action" => action = member.choice::<Action>(faults),
                "enabled" => enabled = member.flag(faults).unwrap_or(true),
                "mode" => mode = member.choice(faults).unwrap_or(mode),
                _ => member.refuse_unknown(MEMBERS, faults),
            }
        }
        require(&place, &["name", "when", "points"], faults);
        Some(Rule { name: name?, detail, when: when?, points: points?, action, enabled, mode })
    }

    fn name(&mut self, place: Place<'_>, faults: &mut Faults) -> Option<String> {
        let name = place.text(limits::RULE_NAME_CHARS, faults)?;
        let code = code_of(name);
        if code == "rule" {
            faults.add(place.path, "expected a name with at least one letter a to z or digit");
        } else if !self.codes.insert(code) {
            faults.add(place.path, "expected a name that no other rule has, whatever its case and punctuation");
        }
        Some(name.to_owned())
    }

    fn group(&mut self, place: Place<'_>, depth: usize, faults: &mut Faults) -> Option<Conditions> {
        if depth > limits::RULE_DEPTH {
            faults.add(place.path, format!("expected at most {} levels of groups", limits::RULE_DEPTH));
            return None;
        }
        let (mut logic, mut conditions) = (None, Vec::new());
        for (key, json) in place.members(faults)? {
            let path = place.path.key(key);
            let member = Place::new(json, &path);
            match key.as_ref() {
                "logic" => logic = member.choice::<Logic>(faults),
                "conditions" => {
                    conditions = member
                        .each(limits::RULE_CONDITIONS, faults, |place, faults| self.condition(place, depth, faults));
                    if json.as_array().is_some_and(<[_]>::is_empty) {
                        faults.add(&path, "expected at least one condition");
                    }
                }
                _ => member.refuse_unknown(&["logic", "conditions"], faults),
            }
        }
        require(&place, &["logic", "conditions"], faults);
        Some(Conditions { logic: logic?, conditions })
    }

    fn condition(&mut self, place: Place<'_>, depth: usize, faults: &mut Faults) -> Option<Condition> {
        if ["logic", "conditions"].iter().any(|member| place.json.get(member).is_some()) {
            return self.group(place, depth + 1, faults).map(Condition::Nested);
        }
        self.conditions += 1;
        let leaf = leaf(place, faults)?;
        self.patterns += usize::from(leaf.op == Op::Matches);
        self.compiler.leaf(&leaf, place.path, faults)?;
        Some(Condition::Leaf(leaf))
    }
}

fn leaf(place: Place<'_>, faults: &mut Faults) -> Option<Leaf> {
    let (mut field, mut op, mut value) = (None, None, None);
    for (key, json) in place.members(faults)? {
        let path = place.path.key(key);
        let member = Place::new(json, &path);
        match key.as_ref() {
            "field" => field = member.text(limits::RULE_TEXT_CHARS, faults).map(str::to_owned),
            "op" => op = member.choice::<Op>(faults),
            // One that cannot be read must not look like one that is absent.
            "value" => value = Some(operand(member, faults)),
            _ => member.refuse_unknown(&["field", "op", "value"], faults),
        }
    }
    require(&place, &["field", "op"], faults);
    let value = match value {
        Some(operand) => Some(operand?),
        None => None,
    };
    Some(Leaf { field: field?, op: op?, value })
}

fn operand(place: Place<'_>, faults: &mut Faults) -> Option<Operand> {
    match place.json {
        Json::Array(_) => {
            let count = place.json.as_array().map_or(0, <[_]>::len);
            let literals = place.each(limits::POLICY_LIST_ITEMS, faults, literal);
            (literals.len() == count).then_some(Operand::List(literals))
        }
        Json::Object(members) => {
            let path = place.path.key("field");
            match members.as_slice() {
                [(key, json)] if key == "field" => Place::new(json, &path)
                    .text(limits::RULE_TEXT_CHARS, faults)
                    .map(|field| Operand::Reference { field: field.to_owned() }),
                _ => place.expect(
                    None,
                    "expected a literal, an array of them, or {\"field\": \"name of a field\"}",
                    faults,
                ),
            }
        }
        _ => literal(place, faults).map(Operand::Literal),
    }
}

fn literal(place: Place<'_>, faults: &mut Faults) -> Option<Literal> {
    match place.json {
        Json::String(_) => place.text(limits::RULE_TEXT_CHARS, faults).map(|text| Literal::Text(text.to_owned())),
        Json::Number(raw) => {
            let number = Millionths::parse(raw).map(Literal::Number);
            place.expect(number, "expected a number of at most 12 digits and 6 decimals", faults)
        }
        Json::Bool(flag) => Some(Literal::Flag(*flag)),
        _ => place.expect(None, "expected a text, a number, true or false", faults),
    }
}

fn require(place: &Place<'_>, members: &[&str], faults: &mut Faults) {
    for member in members.iter().filter(|member| place.json.get(member).is_none()) {
        faults.add(&place.path.key(member), "it is required");
    }
}
