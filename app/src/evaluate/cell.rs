//! Cells: how a value is written in a file, and what it is to an order.

use std::borrow::Cow;

use chrono::{NaiveDate, NaiveDateTime};
use serde::Deserialize;
use touchstone_schema::time::Timestamp;

/// Digits of a card's issuer number that are kept.
const BIN_DIGITS: std::ops::RangeInclusive<usize> = 6..=8;
/// Last digits of a card number that are kept.
const LAST_DIGITS: usize = 4;

/// How a value is written in a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Form {
    /// As the order has it.
    #[default]
    Text,
    /// A point in time: RFC 3339, or without offset, which is taken as UTC; a date is its midnight.
    Time,
    /// Seconds since a moment.
    Seconds,
    /// Milliseconds since a moment.
    Milliseconds,
    /// The issuer's digits of a masked card number: 6505160 of `650516******9611`.
    CardBin,
    /// The last four digits of a masked card number.
    CardLast4,
    /// A decimal number, rounded to the two decimals that most currencies have.
    Rounded,
    /// `1`, `yes`, `y`, `t` and `true` are true; `0`, `no`, `n`, `f` and `false` are false.
    Flag,
}

impl Form {
    /// What a cell of this form looks like, to say so when one does not.
    pub(super) const fn expected(self) -> &'static str {
        match self {
            Self::Text | Self::CardBin | Self::CardLast4 => "a text",
            Self::Time => "a time such as 2018-04-01T00:00:00Z",
            Self::Seconds => "a number of seconds",
            Self::Milliseconds => "a number of milliseconds",
            Self::Rounded => "a decimal number",
            Self::Flag => "1, yes, true, 0, no or false",
        }
    }

    /// What the cell is to the order; none when it does not have this form. `since` is where counts of time begin.
    pub(super) fn read<'a>(self, cell: &'a str, since: Timestamp) -> Option<Cow<'a, str>> {
        match self {
            Self::Text => Some(Cow::Borrowed(cell)),
            Self::Time => parse_time(cell).map(|at| Cow::Owned(at.to_rfc3339())),
            Self::Seconds => counted(cell, 1_000.0, since).map(|at| Cow::Owned(at.to_rfc3339())),
            Self::Milliseconds => counted(cell, 1.0, since).map(|at| Cow::Owned(at.to_rfc3339())),
            Self::CardBin => Some(Cow::Borrowed(card_bin(cell))),
            Self::CardLast4 => Some(Cow::Borrowed(card_last4(cell))),
            Self::Rounded => {
                let number: f64 = cell.parse().ok()?;
                number.is_finite().then(|| Cow::Owned(format!("{number:.2}")))
            }
            Self::Flag => match cell.to_ascii_lowercase().as_str() {
                "1" | "yes" | "y" | "t" | "true" => Some(Cow::Borrowed("true")),
                "0" | "no" | "n" | "f" | "false" => Some(Cow::Borrowed("false")),
                _ => None,
            },
        }
    }
}

/// A time with or without offset, with a `T` or a blank between date and time, or a date alone.
pub(super) fn parse_time(text: &str) -> Option<Timestamp> {
    let naive = || {
        NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f")
            .or_else(|_| NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f"))
            .ok()
    };
    let midnight = || NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0);
    Timestamp::parse_rfc3339(text)
        .or_else(|| naive().or_else(midnight).map(|at| Timestamp::from_millis(at.and_utc().timestamp_millis())))
}

/// So many units of time after `since`; fractions of a millisecond are dropped.
fn counted(cell: &str, millis_per_unit: f64, since: Timestamp) -> Option<Timestamp> {
    let millis = cell.parse::<f64>().ok()? * millis_per_unit;
    // Beyond the year 9999 there is no order, and no text of its time either.
    (millis.abs() < 2.5e14).then(|| Timestamp::from_millis(since.as_millis().saturating_add(millis as i64)))
}

fn card_bin(cell: &str) -> &str {
    let shown = cell.bytes().take_while(u8::is_ascii_digit).count();
    let kept = shown.min(*BIN_DIGITS.end());
    // A number that shows all its digits at once is no masked one; then the first six are what an issuer's number is.
    let kept = if shown == cell.len() { kept.min(*BIN_DIGITS.start()) } else { kept };
    if kept < *BIN_DIGITS.start() { "" } else { &cell[..kept] }
}

fn card_last4(cell: &str) -> &str {
    let shown = cell.bytes().rev().take_while(u8::is_ascii_digit).count();
    if shown < LAST_DIGITS { "" } else { &cell[cell.len() - LAST_DIGITS..] }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EPOCH: Timestamp = Timestamp::from_millis(0);

    fn read(form: Form, cell: &str) -> Option<String> {
        form.read(cell, EPOCH).map(Cow::into_owned)
    }

    #[test]
    fn times_are_read_as_they_are_commonly_written() {
        let expected = Some("2019-11-01T01:27:15.811Z".to_owned());
        for cell in ["2019-11-01T01:27:15.811098", "2019-11-01 01:27:15.811", "2019-11-01T02:27:15.811+01:00"] {
            assert_eq!(read(Form::Time, cell), expected, "{cell}");
        }
        assert_eq!(read(Form::Time, "2019-11-01"), Some("2019-11-01T00:00:00.000Z".to_owned()));
        assert_eq!(read(Form::Milliseconds, "1500"), Some("1970-01-01T00:00:01.500Z".to_owned()));
        let since = parse_time("2018-04-01").expect("a date");
        assert_eq!(Form::Seconds.read("86461.5", since).as_deref(), Some("2018-04-02T00:01:01.500Z"));
        for (form, cell) in [(Form::Time, "yesterday"), (Form::Seconds, "soon"), (Form::Seconds, "1e300")] {
            assert_eq!(read(form, cell), None, "{cell}");
        }
    }

    #[test]
    fn a_masked_card_number_gives_its_ends() {
        let ends = |cell| (card_bin(cell), card_last4(cell));
        assert_eq!(ends("650516******9611"), ("650516", "9611"));
        assert_eq!(ends("65051699****9611"), ("65051699", "9611"));
        assert_eq!(ends("511781******250"), ("511781", ""));
        assert_eq!(ends("****9611"), ("", "9611"));
        assert_eq!(ends(""), ("", ""));
    }

    #[test]
    fn flags_and_long_decimals_become_what_orders_have() {
        assert_eq!(read(Form::Flag, "Yes").as_deref(), Some("true"));
        assert_eq!(read(Form::Flag, "0").as_deref(), Some("false"));
        assert_eq!(read(Form::Flag, "maybe"), None);
        assert_eq!(read(Form::Rounded, "31.955000").as_deref(), Some("31.95"));
        assert_eq!(read(Form::Rounded, "117.5").as_deref(), Some("117.50"));
        assert_eq!(read(Form::Rounded, "much"), None);
    }
}
