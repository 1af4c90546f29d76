//! Forms that shops send values in: texts read as booleans, times, addresses, months, amounts and countries.
//!
//! Guarantee: pure; what is read is unambiguous. A text that two people would read in two ways is not read.

use std::borrow::Cow;
use std::net::IpAddr;

use chrono::{DateTime, NaiveDate};

use super::numerals::to_ascii_digits;
use super::reading::is_digits;
use crate::address_class::is_reserved;
use crate::decimal::Decimal;
use crate::order::{CardExpiry, CountryCode};
use crate::time::Timestamp;

/// `true`, `1`, `yes` and their opposites, in any case.
pub fn boolean(text: &str) -> Option<bool> {
    let is_any = |words: &[&str]| words.iter().any(|word| word.eq_ignore_ascii_case(text));
    match to_ascii_digits(text).as_ref() {
        "1" => Some(true),
        "0" => Some(false),
        _ if is_any(&["true", "yes", "y", "t", "on"]) => Some(true),
        _ if is_any(&["false", "no", "n", "f", "off"]) => Some(false),
        _ => None,
    }
}

/// What a text says of a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// A time.
    At(Timestamp),
    /// What databases and languages write for no time: `0000-00-00`, year 1, the beginning of the Unix epoch.
    Placeholder,
}

/// 10000-01-01T00:00:00Z, in milliseconds: years have four digits.
const YEAR_10000: i64 = 253_402_300_800_000;
/// 1970-01-01T00:00:00Z and 0001-01-01T00:00:00Z, in milliseconds.
const NO_TIMES: [i64; 2] = [0, -62_135_596_800_000];

/// Reads a time: ISO 8601 and RFC 3339 with or without seconds and offset (without one it is UTC), RFC 2822, `2026/01/02
/// 03:04`, `20260102`, or seconds, milliseconds or microseconds since 1970. Day and month in the American or European
/// order of digits are ambiguous and not read.
pub fn moment(text: &str) -> Option<Moment> {
    let text = to_ascii_digits(text.trim());
    if text.starts_with("0000-00-00") {
        return Some(Moment::Placeholder);
    }
    let millis = written(&text).or_else(|| counted(&text))?;
    if NO_TIMES.contains(&millis) {
        return Some(Moment::Placeholder);
    }
    (NO_TIMES[1]..YEAR_10000).contains(&millis).then(|| Moment::At(Timestamp::from_millis(millis)))
}

/// A date or time in words and digits.
fn written(text: &str) -> Option<i64> {
    let with_offset = |text: &str| {
        let forms = ["%Y-%m-%d %H:%M:%S%.f %z", "%Y-%m-%dT%H:%M:%S%.f %z"];
        forms.iter().find_map(|form| DateTime::parse_from_str(text, form).ok()).map(|at| at.timestamp_millis())
    };
    let rfc_2822 = |text: &str| DateTime::parse_from_rfc2822(text).ok().map(|at| at.timestamp_millis());
    let iso = |text: &str| Timestamp::parse_iso8601(text).map(Timestamp::as_millis);
    let in_utc = text.strip_suffix(" UTC").or_else(|| text.strip_suffix(" GMT")).unwrap_or(text);
    let dashed = dashed(in_utc);
    let day = || {
        let day = NaiveDate::parse_from_str(text, "%Y%m%d").ok().filter(|_| text.len() == 8)?;
        day.and_hms_opt(0, 0, 0).map(|at| at.and_utc().timestamp_millis())
    };
    iso(&dashed).or_else(|| with_offset(&dashed)).or_else(|| rfc_2822(text)).or_else(day)
}

/// A date with slashes or dots after the year, with dashes instead.
fn dashed(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let is_year_first = bytes.len() >= 10 && bytes[..4].iter().all(u8::is_ascii_digit);
    match bytes.get(4) {
        Some(sign @ (b'/' | b'.')) if is_year_first && bytes[7] == *sign => {
            Cow::Owned(text.replacen(char::from(*sign), "-", 2))
        }
        _ => Cow::Borrowed(text),
    }
}

/// A count of seconds, milliseconds or microseconds since 1970, told apart by its size: seconds until the year 5138,
/// milliseconds from 1973 on.
fn counted(text: &str) -> Option<i64> {
    const SECONDS_BELOW: i64 = 100_000_000_000;
    const MILLIS_BELOW: i64 = SECONDS_BELOW * 1_000;
    const MICROS_BELOW: i64 = MILLIS_BELOW * 1_000;
    const LEAST_SECONDS: i64 = 100_000_000;
    let number = Decimal::parse(text)?;
    let whole = number.rounded(0).ok()?;
    match whole {
        0 if number.is_zero() => Some(0),
        LEAST_SECONDS..SECONDS_BELOW => number.rounded(3).ok(),
        SECONDS_BELOW..MILLIS_BELOW => Some(whole),
        MILLIS_BELOW..MICROS_BELOW => Some(whole / 1_000),
        _ => None,
    }
}

/// What a text says of an IP address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IpForm {
    /// One address, with or without a port.
    One(IpAddr),
    /// The first public address of a list of addresses.
    FirstPublic(IpAddr),
    /// A list without a public address.
    NonePublic,
}

/// Most elements of a list of addresses that are read.
const HOPS: usize = 32;

/// Reads an address: alone, with a port, in brackets, with a zone, or the first public one of a list as proxies write it
/// (`X-Forwarded-For`, `Forwarded`). IPv4-mapped addresses are given as IPv4.
pub fn ip_address(text: &str) -> Option<IpForm> {
    let hops = text.split([',', ';', ' ', '\t', '\n', '\r']).map(str::trim).filter(|hop| !hop.is_empty());
    let mut hops = hops.take(HOPS).peekable();
    let first = hops.next()?;
    if hops.peek().is_none() {
        return one_address(first).map(IpForm::One);
    }
    let mut addresses = std::iter::once(first).chain(hops).filter_map(one_address).peekable();
    addresses.peek()?;
    Some(addresses.find(|address| !is_reserved(*address)).map_or(IpForm::NonePublic, IpForm::FirstPublic))
}

fn one_address(text: &str) -> Option<IpAddr> {
    let text = match text.get(..4) {
        Some(start) if start.eq_ignore_ascii_case("for=") => &text[4..],
        _ => text,
    };
    let text = text.trim_matches('"');
    let host = match text.strip_prefix('[') {
        Some(bracketed) => bracketed.split_once(']')?.0,
        None => match text.split_once(':') {
            Some((host, port)) if is_digits(port) => host,
            _ => text,
        },
    };
    let host = host.split_once('%').map_or(host, |(host, _)| host);
    host.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

/// What a text says of the month that a card is valid until.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    /// The month.
    Until(CardExpiry),
    /// Zeros for an unknown month.
    Placeholder,
}

/// Reads `05/28`, `5/28`, `05/2028`, `05-28`, `0528`, `528`, `052028`, `202805`, `2028-05` and `2028-05-31`.
pub fn expiry(text: &str) -> Option<Expiry> {
    let text = to_ascii_digits(text.trim());
    if !text.is_empty() && text.chars().all(|sign| matches!(sign, '0' | '/' | '-' | ' ' | '.')) && text.contains('0') {
        return Some(Expiry::Placeholder);
    }
    let parts: Vec<&str> = text.split(['/', '-', '.', ' ']).filter(|part| !part.is_empty()).take(4).collect();
    if !parts.iter().all(|part| is_digits(part)) {
        return None;
    }
    let (month, year) = match parts[..] {
        [one] => glued(one)?,
        [year, month] | [year, month, _] if year.len() == 4 => (month, year),
        [month, year] => (month, year),
        _ => return None,
    };
    let year = match year.len() {
        2 => year,
        4 => year.strip_prefix("20")?,
        _ => return None,
    };
    let month = month.parse().ok().filter(|month| month_is_real(*month))?;
    Some(Expiry::Until(CardExpiry { month, year: year.parse().ok()? }))
}

const fn month_is_real(month: u8) -> bool {
    month >= 1 && month <= 12
}

/// Month and year of digits without a sign between them. A number has lost the zero that it began with.
fn glued(digits: &str) -> Option<(&str, &str)> {
    let is_month = |text: &str| text.parse().is_ok_and(month_is_real);
    match digits.len() {
        3 => digits.split_at_checked(1),
        4 => digits.split_at_checked(2),
        6 if digits.starts_with("20") && is_month(&digits[4..]) => Some((&digits[4..], &digits[..4])),
        5 => digits.split_at_checked(1),
        6 => digits.split_at_checked(2),
        _ => None,
    }
}

/// A decimal number as its ASCII text with a point: also with a decimal comma (`12,50`), with thousands separators
/// (`1.234,56`, `1,234.56`, `1 234,56`) or in digits of other scripts. `1,234` alone may be either and is not read.
pub fn decimal(text: &str) -> Option<Cow<'_, str>> {
    let ascii = to_ascii_digits(text.trim());
    if Decimal::parse(&ascii).is_some() {
        return Some(ascii);
    }
    let (sign, digits) = ascii.strip_prefix('-').map_or(("", ascii.as_ref()), |rest| ("-", rest));
    let mark = match (digits.rfind(','), digits.rfind('.')) {
        (Some(comma), Some(point)) => Some(comma.max(point)),
        (Some(comma), None) if digits.len() - comma == 4 && digits.matches(',').count() == 1 => return None,
        (Some(only), None) | (None, Some(only)) if digits.matches([',', '.']).count() == 1 => Some(only),
        _ => None,
    };
    let (whole, fraction) = mark.map_or((digits, ""), |mark| (&digits[..mark], &digits[mark + 1..]));
    let whole = without_thousands(whole)?;
    let number = if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") };
    Decimal::parse(&number).is_some().then_some(Cow::Owned(number))
}

/// Signs that part groups of three digits.
const THOUSANDS: [char; 7] = [',', '.', ' ', '\u{A0}', '\u{202F}', '\'', '\u{2019}'];

/// The digits of groups of three with the same sign between all of them.
fn without_thousands(whole: &str) -> Option<String> {
    let sign = whole.chars().find(|sign| THOUSANDS.contains(sign)).unwrap_or(' ');
    let mut groups = whole.split(sign);
    let first = groups.next().filter(|first| is_digits(first))?;
    let mut digits = first.to_owned();
    for group in groups {
        if first.len() > 3 || group.len() != 3 || !is_digits(group) {
            return None;
        }
        digits.push_str(group);
    }
    Some(digits)
}

/// A country by its ISO 3166 code of two or three letters, by its name, by the region of a locale (`sv_SE`), or by what
/// the European Union calls it (`EL`, `UK`).
pub fn country(text: &str) -> Option<CountryCode> {
    let text = text.trim();
    let region = || text.rsplit(['_', '-']).next().filter(|region| region.len() < text.len());
    CountryCode::parse(text)
        .or_else(|| text.eq_ignore_ascii_case("EL").then(|| CountryCode::parse("GR")).flatten())
        .or_else(|| CountryCode::by_alpha_3(text))
        .or_else(|| CountryCode::by_name(text))
        .or_else(|| region().and_then(CountryCode::parse))
}

#[cfg(test)]
mod tests;
