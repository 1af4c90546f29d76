//! Numbers as spreadsheets write them: with a decimal point or a decimal comma, and with marks between thousands.
//!
//! Guarantee: a number that can be read in one way only is read so. One that can be read in two (`1,234`) is read by the
//! decimal mark of its file, and not at all where that is not known.

use std::borrow::Cow;

use super::form::DecimalMark;

/// A text of a column of numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Number<'a> {
    /// No number with a mark: left to the reader of the field.
    Other,
    /// It can be read in one way only: that of this mark, and as this number.
    Clear(DecimalMark, Cow<'a, str>),
    /// It has one mark and three digits behind it.
    Either {
        /// The mark.
        mark: DecimalMark,
        /// What it is when the mark stands before decimals.
        decimal: Cow<'a, str>,
        /// What it is when the mark stands between thousands.
        thousands: String,
    },
    /// Without a mark, but for those between thousands that are in use everywhere.
    Whole(String),
}

impl<'a> Number<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        let text = text.trim();
        let (sign, digits) = match text.strip_prefix(['-', '+']) {
            Some(rest) => (&text[..1], rest),
            None => ("", text),
        };
        let is_spaced = digits.contains(is_spacing);
        let spaced = if is_spaced { Cow::Owned(digits.replace(is_spacing, " ")) } else { Cow::Borrowed(digits) };
        if !spaced.starts_with(|first: char| first.is_ascii_digit() || first == ',' || first == '.')
            || !spaced.chars().all(|sign| sign.is_ascii_digit() || matches!(sign, ',' | '.' | ' '))
        {
            return Self::Other;
        }
        let parts = |at: usize| (&spaced[..at], &spaced[at + 1..]);
        let (Some(at), commas, points) = (spaced.rfind([',', '.']), count(&spaced, ','), count(&spaced, '.')) else {
            let whole = ungrouped(&spaced, ' ').filter(|_| is_spaced);
            return whole.map_or(Self::Other, |whole| Self::Whole(format!("{sign}{whole}")));
        };
        let last = if spaced.as_bytes()[at] == b',' { DecimalMark::Comma } else { DecimalMark::Point };
        let (whole, decimals) = parts(at);
        if decimals.is_empty() || !decimals.bytes().all(|digit| digit.is_ascii_digit()) {
            return Self::Other;
        }
        if commas.max(points) > 1 && commas.min(points) == 0 {
            // The same mark again and again stands between thousands.
            let group = if commas > 0 { ',' } else { '.' };
            let whole = ungrouped(&spaced, group).filter(|_| !is_spaced);
            return whole.map_or(Self::Other, |whole| Self::Clear(last.other(), format!("{sign}{whole}").into()));
        }
        let group = if is_spaced {
            ' '
        } else if last == DecimalMark::Comma {
            '.'
        } else {
            ','
        };
        let Some(number) = ungrouped(whole, group) else { return Self::Other };
        if decimals.len() == 3 && matches!(whole.len(), 1..=3) && !whole.starts_with('0') && !is_spaced {
            let thousands = format!("{sign}{whole}{decimals}");
            return Self::Either { mark: last, decimal: format!("{sign}{whole}.{decimals}").into(), thousands };
        }
        let number = if number.is_empty() { "0".into() } else { number };
        Self::Clear(last, format!("{sign}{number}.{decimals}").into())
    }
}

/// Spaces of several widths and apostrophes, which stand between thousands in some countries.
fn is_spacing(sign: char) -> bool {
    matches!(sign, ' ' | '\u{a0}' | '\u{2009}' | '\u{202f}' | '\'' | '’')
}

fn count(text: &str, sign: char) -> usize {
    text.matches(sign).count()
}

/// Digits without the marks between their thousands; none when the marks stand elsewhere.
fn ungrouped(text: &str, mark: char) -> Option<Cow<'_, str>> {
    if !text.contains(mark) {
        return text.bytes().all(|digit| digit.is_ascii_digit()).then_some(Cow::Borrowed(text));
    }
    let mut groups = text.split(mark);
    let is_first = groups.next().is_some_and(|first| matches!(first.len(), 1..=3));
    let is_grouped = is_first && groups.all(|group| group.len() == 3);
    let digits = text.replace(mark, "");
    (is_grouped && digits.bytes().all(|digit| digit.is_ascii_digit())).then_some(Cow::Owned(digits))
}
