//! What one JSON value says, in the documented form or in another one that is clear.

use std::borrow::Cow;

use super::forms;
use super::placeholder::{Identity, is_placeholder};
use crate::json::Json;
use crate::limits;
use crate::money::{Currency, Money, MoneyError};
use crate::number;
use crate::warning::WarningCode;

/// What is expected of an amount.
pub(super) const AMOUNT: &str = "expected a decimal number such as 12.50";

/// What a value was read as.
pub(super) enum Reading<T> {
    /// It has the documented form.
    Exact(T),
    /// It has another form that is clear; none where it says that there is no value.
    Tolerated(Option<T>),
    /// It stands for a missing value, in the documented form.
    Placeholder,
    /// It cannot be read.
    Unreadable(WarningCode, Cow<'static, str>),
}

impl<T> Reading<T> {
    pub(super) fn malformed(expected: &'static str) -> Self {
        Self::Unreadable(WarningCode::Malformed, expected.into())
    }

    pub(super) fn map<U>(self, change: impl FnOnce(T) -> U) -> Reading<U> {
        match self {
            Self::Exact(value) => Reading::Exact(change(value)),
            Self::Tolerated(value) => Reading::Tolerated(value.map(change)),
            Self::Placeholder => Reading::Placeholder,
            Self::Unreadable(code, expected) => Reading::Unreadable(code, expected),
        }
    }
}

/// A text without blanks around it; none when nothing else is in it. Where a number is documented it has to be whole.
pub(super) fn text_of(value: &Json<'_>, expected: &'static str, takes_number: bool) -> Reading<Option<String>> {
    let text = match value {
        Json::String(text) => text.trim(),
        Json::Number(raw) => raw,
        other => return tolerated(other, expected, |_| None),
    };
    if !fits(text, limits::FIELD_CHARS) {
        let expected = format!("expected a text of at most {} characters", limits::FIELD_CHARS);
        return Reading::Unreadable(WarningCode::TooLong, expected.into());
    }
    let owned = Some(text).filter(|text| !text.is_empty()).map(str::to_owned);
    match value {
        Json::Number(raw) if !takes_number || !is_digits(raw) => Reading::Tolerated(Some(owned)),
        _ => Reading::Exact(owned),
    }
}

pub(super) fn money_of(value: &Json<'_>, currency: Option<Currency>) -> Reading<Option<Money>> {
    let text = number_text(value);
    let Some(currency) = currency else {
        return match text {
            Some(text) if number::is_number(text) => Reading::Exact(None),
            _ => tolerated(value, AMOUNT, forms::decimal).map(|_| None),
        };
    };
    let error = match Money::parse(text.unwrap_or_default(), currency) {
        Ok(money) => return Reading::Exact(Some(money)),
        Err(error) => error,
    };
    let rounded = |text: &str| Money::parse_rounded(&forms::decimal(text)?, currency).ok();
    match tolerated(value, AMOUNT, rounded).map(Some) {
        Reading::Unreadable(code, _) if error == MoneyError::TooLarge => {
            Reading::Unreadable(code, error.to_string().into())
        }
        reading => reading,
    }
}

/// A value in a form that is not the documented one: `false` and what is empty say that there is none.
pub(super) fn tolerated<'v, T>(
    value: &'v Json<'_>,
    expected: &'static str,
    read: impl FnOnce(&'v str) -> Option<T>,
) -> Reading<T> {
    match value {
        Json::String(text) if text.trim().is_empty() => Reading::Tolerated(None),
        Json::String(text) => match read(text.trim()) {
            Some(value) => Reading::Tolerated(Some(value)),
            None if is_placeholder(Identity::Id, text) => {
                Reading::Unreadable(WarningCode::Placeholder, expected.into())
            }
            None => Reading::malformed(expected),
        },
        Json::Number(raw) => read(raw).map_or(Reading::malformed(expected), |value| Reading::Tolerated(Some(value))),
        Json::Bool(false) => Reading::Tolerated(None),
        other if is_empty(other) => Reading::Tolerated(None),
        _ => Reading::malformed(expected),
    }
}

pub(super) fn number_text<'v>(value: &'v Json<'_>) -> Option<&'v str> {
    match value {
        Json::Number(raw) => Some(raw),
        Json::String(text) => Some(text.trim()),
        _ => None,
    }
}

/// Whether a value is empty: nothing, blanks, or an object or array in which everything is empty.
pub fn is_empty(value: &Json<'_>) -> bool {
    match value {
        Json::Null => true,
        Json::String(text) => text.trim().is_empty(),
        Json::Object(members) => members.iter().all(|(_, member)| is_empty(member)),
        Json::Array(items) => items.iter().all(is_empty),
        Json::Bool(_) | Json::Number(_) => false,
    }
}

/// Whether a text has at most `most` characters.
pub fn fits(text: &str, most: usize) -> bool {
    text.len() <= most || text.chars().count() <= most
}

/// Whether a text is one or more ASCII digits.
pub fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}
