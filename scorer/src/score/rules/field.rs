//! The fields that rules may ask about, by name.
//!
//! Most are in a table ([`TABLES`]); `metadata.KEY`, `signals.CODE` and `history.KEY.WINDOW.MEASURE` are families.
//! What an order does not tell has no value.

use std::collections::BTreeMap;

use touchstone_schema::history::HistoryKeyKind;
use touchstone_schema::limits;
use touchstone_schema::order::Order;
use touchstone_schema::policy::Millionths;

use super::super::history::HistoryField;
use super::super::{Facts, Signal, signals};
use super::order_fields;
use super::value::Values;
pub use super::value::{Kind, Value};

/// A field of the table.
#[derive(Debug)]
pub struct FieldEntry {
    /// Its name in rules.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// What it tells, for the reference page.
    pub meaning: &'static str,
    /// Where it is read.
    pub source: Source,
}

/// How a field is read.
#[derive(Debug, Clone, Copy)]
pub enum Source {
    /// One value of the order itself.
    Order(for<'f> fn(&'f Order) -> Option<Value<'f>>),
    /// A value of each element of one of the order's lists.
    Each(for<'f> fn(&'f Order) -> Vec<Value<'f>>),
    /// Something that follows from all that is known of the order.
    Facts(for<'f> fn(&'f Facts<'f>) -> Option<Value<'f>>),
}

/// Every field of the table, by the part of the order that it is of.
pub const TABLES: &[&[FieldEntry]] = &[
    order_fields::ORDER,
    order_fields::CUSTOMER,
    order_fields::BILLING_ADDRESS,
    order_fields::SHIPPING_ADDRESS,
    order_fields::PAYMENT,
    order_fields::DEVICE,
    order_fields::LISTS,
    order_fields::DERIVED,
];

/// A field that a rule names.
#[derive(Debug, Clone)]
pub enum Field {
    /// One of the table.
    Known(&'static FieldEntry),
    /// `metadata.KEY`: an annotation, as text.
    Metadata(String),
    /// `metadata_number.KEY`: an annotation that is a number.
    MetadataNumber(String),
    /// `signals.CODE`: whether a signal fires.
    Signal(&'static Signal),
    /// `history.KEY.WINDOW.MEASURE`: a count or sum over time.
    History(HistoryField),
}

impl Field {
    /// The field of a name, with the history keys that the policy declares.
    pub fn parse(name: &str, declared: &BTreeMap<String, String>) -> Option<Self> {
        if name.starts_with("history.") {
            let field = HistoryField::parse(name).ok()?;
            let is_known = HistoryKeyKind::parse(&field.key).is_some() || declared.contains_key(&field.key);
            return is_known.then_some(Self::History(field));
        }
        if let Some(code) = name.strip_prefix("signals.") {
            return signals::find(code).map(Self::Signal);
        }
        if let Some(key) = name.strip_prefix("metadata_number.") {
            return is_metadata_key(key).then(|| Self::MetadataNumber(key.to_owned()));
        }
        find(name).map(Self::Known).or_else(|| Self::of_order(name))
    }

    /// The field of this name, if it is a single one of the order itself: what a history key can be made of.
    pub fn of_order(name: &str) -> Option<Self> {
        if let Some(key) = name.strip_prefix("metadata.") {
            return is_metadata_key(key).then(|| Self::Metadata(key.to_owned()));
        }
        find(name).filter(|entry| matches!(entry.source, Source::Order(_))).map(Self::Known)
    }

    /// Its type.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Known(entry) => entry.kind,
            Self::Metadata(_) => Kind::Text,
            Self::MetadataNumber(_) | Self::History(_) => Kind::Number,
            Self::Signal(_) => Kind::Boolean,
        }
    }

    /// Whether it has a value for each element of a list.
    pub const fn is_list(&self) -> bool {
        matches!(self, Self::Known(FieldEntry { source: Source::Each(_), .. }))
    }

    /// Its values.
    pub(super) fn read<'f>(&self, known: &Known<'f>) -> Values<'f> {
        let facts = known.facts;
        Values::Single(match self {
            Self::Known(entry) => match entry.source {
                Source::Order(read) => read(facts.order),
                Source::Each(read) => return Values::Several(read(facts.order)),
                Source::Facts(read) => read(facts),
            },
            Self::Metadata(key) => annotation(facts.order, key).map(|text| Value::Text(text.into())),
            Self::MetadataNumber(key) => annotation(facts.order, key)
                .and_then(Millionths::parse)
                .map(|number| Value::Number(number.get().into())),
            Self::Signal(signal) => Some(Value::Boolean(known.fires(signal))),
            Self::History(field) => facts.history.measure(field).map(Value::Number),
        })
    }
}

/// What a history key that is declared on this field is made of, normalised; none when the order does not tell it.
pub fn key_text(field: &str, order: &Order) -> Option<String> {
    let value = match Field::of_order(field)? {
        Field::Known(FieldEntry { source: Source::Order(read), .. }) => read(order),
        Field::Metadata(key) => annotation(order, &key).map(|text| Value::Text(text.into())),
        _ => None,
    };
    value.map(Value::into_key_text)
}

/// What rules may ask about: the facts, and which signals have fired on them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known<'f> {
    pub(super) facts: &'f Facts<'f>,
    pub(super) fired: &'f [&'f str],
}

impl Known<'_> {
    /// Whether a signal fires. One that the policy switched off was not asked yet.
    fn fires(&self, signal: &Signal) -> bool {
        if self.facts.policy.is_enabled(signal.code) {
            self.fired.contains(&signal.code)
        } else {
            signal.finding(self.facts).is_some()
        }
    }
}

fn find(name: &str) -> Option<&'static FieldEntry> {
    TABLES.iter().copied().flatten().find(|entry| entry.name == name)
}

fn is_metadata_key(key: &str) -> bool {
    !key.is_empty() && key.chars().count() <= limits::RULE_NAME_CHARS
}

fn annotation<'f>(order: &'f Order, key: &str) -> Option<&'f str> {
    order.metadata.iter().find(|(name, _)| name == key).map(|(_, text)| text.as_str())
}
