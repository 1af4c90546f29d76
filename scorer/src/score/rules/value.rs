//! The values that rules compare: read from an order, or written in a rule.

use std::borrow::Cow;

use touchstone_schema::order::CountryCode;
use touchstone_schema::policy::Millionths;
use touchstone_schema::time::Timestamp;
use touchstone_schema::wire_enum;

wire_enum! {
    /// Type of a field.
    Kind {
        /// A text; compared without regard to case.
        Text = "text",
        /// An exact number; amounts are in major units.
        Number = "number",
        /// True or false.
        Boolean = "boolean",
        /// An ISO 3166 alpha-2 code.
        Country = "country",
        /// A moment, written as RFC 3339 with offset.
        Time = "time",
    }
}

/// A value of one of the kinds. Two values of one kind compare as an analyst expects.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value<'f> {
    /// A text.
    Text(Cow<'f, str>),
    /// A number, in millionths.
    Number(i128),
    /// True or false.
    Boolean(bool),
    /// A country.
    Country(CountryCode),
    /// A moment.
    Time(Timestamp),
}

impl Value<'_> {
    /// A whole number.
    pub(super) fn whole(number: impl Into<i128>) -> Self {
        Self::Number(number.into().saturating_mul(i128::from(Millionths::ONE)))
    }

    /// Its text; other kinds have none.
    pub(super) fn as_text(&self) -> &str {
        if let Value::Text(text) = self { text } else { "" }
    }

    /// The value as comparisons see it: texts in lower case.
    pub(super) fn folded(self) -> Self {
        match self {
            Value::Text(text) if needs_folding(&text) => Value::Text(Cow::Owned(text.to_lowercase())),
            other => other,
        }
    }

    /// One text for equal values of a kind: what a history key is made of.
    pub(super) fn into_key_text(self) -> String {
        match self.folded() {
            Value::Text(text) => text.into_owned(),
            Value::Number(millionths) => millionths.to_string(),
            Value::Boolean(flag) => flag.to_string(),
            Value::Country(country) => country.to_string(),
            Value::Time(at) => at.as_millis().to_string(),
        }
    }
}

fn needs_folding(text: &str) -> bool {
    !text.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase())
}

/// The values of a field of one order.
#[derive(Debug)]
pub(super) enum Values<'f> {
    /// At most one.
    Single(Option<Value<'f>>),
    /// Those of a list.
    Several(Vec<Value<'f>>),
}

impl<'f> Values<'f> {
    /// Whether the test holds for any of them; none when there are none.
    pub(super) fn any(self, mut test: impl FnMut(Value<'f>) -> bool) -> Option<bool> {
        match self {
            Values::Single(value) => value.map(test),
            Values::Several(values) if values.is_empty() => None,
            Values::Several(values) => Some(values.into_iter().any(&mut test)),
        }
    }

    /// The value, of a field that has at most one.
    pub(super) fn single(self) -> Option<Value<'f>> {
        if let Values::Single(value) = self { value } else { None }
    }
}
