//! The rules of a store, as JSON that an analyst writes (contract section 6): a name, a tree of conditions, points.
//!
//! One module a step: `parse` reads them out of a policy and tells everything that is wrong, `compile` makes tests
//! of them once per policy version, `evaluate` asks the tests of an order. [`presets`] are sets of rules that ship
//! with the program, written in the same language.
//!
//! Guarantee: evaluation is linear in the size of rule and order, never fails, and a shadow rule is evaluated exactly
//! like a live one and changes nothing but the record of the verdict.

pub(super) mod compile;
mod evaluate;
pub mod field;
mod order_fields;
pub(super) mod parse;
pub mod presets;
#[cfg(test)]
mod tests;
mod value;

use serde::Serialize;
use touchstone_schema::policy::Millionths;
use touchstone_schema::verdict::Action;
use touchstone_schema::wire_enum;

pub(super) use evaluate::{Outcome, evaluate};

wire_enum! {
    /// Whether a rule counts.
    RuleMode {
        /// It adds its points and may set the action.
        Live = "live",
        /// It is on trial: recorded beside the verdict, without effect.
        Shadow = "shadow",
    }
}

wire_enum! {
    /// How the conditions of a group are joined.
    Logic {
        /// All of them hold.
        And = "and",
        /// At least one of them holds.
        Or = "or",
    }
}

wire_enum! {
    /// What is asked of a field.
    Op {
        /// Equal.
        Eq = "eq",
        /// Present and not equal.
        Ne = "ne",
        /// Greater, or later.
        Gt = "gt",
        /// Greater or equal.
        Gte = "gte",
        /// Less, or earlier.
        Lt = "lt",
        /// Less or equal.
        Lte = "lte",
        /// Equal to one of a list.
        In = "in",
        /// Present and equal to none of a list.
        Nin = "nin",
        /// Has the text within it.
        Contains = "contains",
        /// Begins with the text.
        StartsWith = "starts_with",
        /// Ends with the text.
        EndsWith = "ends_with",
        /// The pattern covers the whole text.
        Matches = "matches",
        /// Is present.
        Exists = "exists",
        /// Is absent.
        NotExists = "not_exists",
    }
}

/// A rule, as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// Its name; reasons carry it in snake case, see [`Rule::code`].
    pub name: String,
    /// What a reason says of it; without one, its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// When it fires.
    pub when: Conditions,
    /// Points that it adds.
    pub points: i32,
    /// What it asks to be done with the order, whatever the score.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<Action>,
    /// Whether it is evaluated at all.
    pub enabled: bool,
    /// Whether it counts.
    pub mode: RuleMode,
}

impl Rule {
    /// The code of its reasons: `rule_` and the letters and digits of its name in snake case.
    pub fn code(&self) -> String {
        code_of(&self.name)
    }
}

fn code_of(name: &str) -> String {
    let words = name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.fold("rule".to_owned(), |code, word| code + "_" + &word.to_ascii_lowercase())
}

/// A group of conditions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Conditions {
    /// How they are joined.
    pub logic: Logic,
    /// What is joined.
    pub conditions: Vec<Condition>,
}

/// A question, or a group of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Condition {
    /// One question.
    Leaf(Leaf),
    /// A group within the group.
    Nested(Conditions),
}

/// One question about one field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Leaf {
    /// Name of the field.
    pub field: String,
    /// What is asked.
    pub op: Op,
    /// What it is compared with; none for `exists` and `not_exists`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Operand>,
}

/// What a field is compared with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Operand {
    /// A literal; a text that is the name of a field means that field.
    Literal(Literal),
    /// Another field.
    Reference {
        /// Its name.
        field: String,
    },
    /// Several literals.
    List(Vec<Literal>),
}

/// A value as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Literal {
    /// A text, country code or time.
    Text(String),
    /// A number.
    Number(Millionths),
    /// True or false.
    Flag(bool),
}
