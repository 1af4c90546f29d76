//! Reads typed values out of a JSON object, member by member.
//!
//! Each method reads one optional member. A missing, empty or unreadable one is none; what is wrong is in the
//! [`Findings`]. A method's documented form depends on the surface: [`Section::text`] expects a text, while
//! [`Section::text_or_number`] also expects a whole number. The other forms are the same everywhere.

use std::borrow::Cow;
use std::net::IpAddr;

use super::findings::Findings;
use super::forms::{self, Expiry, IpForm, Moment};
use super::numerals::to_ascii_digits;
use super::placeholder::{Identity, is_placeholder};
use super::reading::{AMOUNT, Reading, is_digits, is_empty, money_of, number_text, text_of, tolerated};
use crate::address_class::is_reserved;
use crate::json::{Json, Path};
use crate::limits;
use crate::money::{Currency, Money};
use crate::number;
use crate::order::{CardExpiry, CountryCode};
use crate::quantity::Quantity;
use crate::time::Timestamp;
use crate::warning::WarningCode;

/// One object of the document. An absent object has only absent members.
#[derive(Debug, Clone, Copy)]
pub struct Section<'r> {
    object: Option<&'r Json<'r>>,
    path: &'r Path<'r>,
}

/// The documented form of a time of one surface.
#[derive(Debug, Clone, Copy)]
pub struct TimeForm {
    /// Reads it.
    pub parse: fn(&str) -> Option<Timestamp>,
    /// What is expected, in English.
    pub expected: &'static str,
}

impl TimeForm {
    /// RFC 3339.
    pub const RFC_3339: Self =
        Self { parse: Timestamp::parse_rfc3339, expected: "expected an RFC 3339 time such as 2026-01-02T03:04:05Z" };
}

/// The documented form of a card's month of one surface.
#[derive(Debug, Clone, Copy)]
pub struct ExpiryForm {
    /// Whether the text has it.
    pub is_exact: fn(&str) -> bool,
    /// What is expected, in English.
    pub expected: &'static str,
}

impl ExpiryForm {
    /// `MM/YY`.
    pub const WITH_SLASH: Self =
        Self { is_exact: |text| text.len() == 5 && text.as_bytes()[2] == b'/', expected: "expected a month as MM/YY" };
}

const TEXT: &str = "expected a text";
const TEXT_OR_NUMBER: &str = "expected a text or a whole number";
const BOOLEAN: &str = "expected true or false";
const IP: &str = "expected an IPv4 or IPv6 address";
const COUNTRY: &str = "expected an ISO 3166 alpha-2 country code such as DE";
const OBJECT: &str = "expected an object";
const LIST: &str = "expected an array";
const NO_VALUE: &str =
    "expected a value of this customer; this one stands for a missing value and identifies no customer";
const NOT_PUBLIC: &str =
    "expected the customer's public IP address; this one is private or reserved and identifies no customer";

impl<'r> Section<'r> {
    /// The object at `path`. What is neither an object nor absent is unreadable.
    pub fn new(value: Option<&'r Json<'r>>, path: &'r Path<'r>, findings: &mut Findings) -> Self {
        let object = value.filter(|value| !value.is_absent());
        let Some(value) = object.filter(|value| value.as_object().is_none()) else { return Self { object, path } };
        if is_empty(value) || *value == Json::Bool(false) {
            findings.tolerated(path, OBJECT);
        } else {
            findings.unreadable(path, WarningCode::Malformed, OBJECT);
        }
        Self { object: None, path }
    }

    /// The member, unless it is absent.
    pub fn member(&self, key: &str) -> Option<&'r Json<'r>> {
        self.object?.get(key).filter(|value| !value.is_absent())
    }

    /// Whether the member is there as an empty text, which on some surfaces removes the value.
    pub fn is_cleared(&self, key: &str) -> bool {
        let text = self.object.and_then(|object| object.get(key)).and_then(Json::as_str);
        text.is_some_and(|text| text.trim().is_empty())
    }

    /// All members.
    pub fn members(&self) -> &'r [(Cow<'r, str>, Json<'r>)] {
        self.object.and_then(Json::as_object).unwrap_or_default()
    }

    /// The object that is member `key`, read by `read`.
    pub fn object<T>(
        &self,
        key: &str,
        findings: &mut Findings,
        read: impl FnOnce(Section<'_>, &mut Findings) -> T,
    ) -> T {
        let path = self.path.key(key);
        let section = Section::new(self.member(key), &path, findings);
        read(section, findings)
    }

    /// A required member is missing or unusable.
    pub fn refuse(&self, key: &str, message: impl Into<String>, findings: &mut Findings) {
        findings.refuse(&self.path.key(key), message);
    }

    /// An optional member cannot be read.
    pub fn unreadable(&self, key: &str, code: WarningCode, expected: impl Into<String>, findings: &mut Findings) {
        findings.unreadable(&self.path.key(key), code, expected);
    }

    /// An optional member was read in another form than the documented one.
    pub fn tolerated(&self, key: &str, expected: &str, findings: &mut Findings) {
        findings.tolerated(&self.path.key(key), expected);
    }

    /// The object itself has more members than are read.
    pub fn too_many(&self, most: usize, findings: &mut Findings) {
        findings.unreadable(self.path, WarningCode::TooMany, format!("expected at most {most} entries"));
    }

    fn take<T>(
        &self,
        key: &str,
        expected: &str,
        findings: &mut Findings,
        read: impl FnOnce(&'r Json<'r>) -> Reading<T>,
    ) -> Option<T> {
        match read(self.member(key)?) {
            Reading::Exact(value) => Some(value),
            Reading::Tolerated(value) => {
                findings.tolerated(&self.path.key(key), expected);
                value
            }
            Reading::Placeholder => {
                findings.warn(&self.path.key(key), WarningCode::Placeholder, NO_VALUE);
                None
            }
            Reading::Unreadable(code, expected) => {
                findings.unreadable(&self.path.key(key), code, expected);
                None
            }
        }
    }

    /// A text without blanks around it.
    pub fn text(&self, key: &str, findings: &mut Findings) -> Option<String> {
        self.take(key, TEXT, findings, |value| text_of(value, TEXT, false)).flatten()
    }

    /// A text, or a whole number that is taken as written.
    pub fn text_or_number(&self, key: &str, findings: &mut Findings) -> Option<String> {
        self.take(key, TEXT_OR_NUMBER, findings, |value| text_of(value, TEXT_OR_NUMBER, true)).flatten()
    }

    /// A text that identifies a customer or device; one that stands for a missing value counts as absent.
    pub fn identity(&self, key: &str, identity: Identity, findings: &mut Findings) -> Option<String> {
        self.identity_of(key, identity, TEXT, false, findings)
    }

    /// The same, or a whole number.
    pub fn identity_or_number(&self, key: &str, identity: Identity, findings: &mut Findings) -> Option<String> {
        self.identity_of(key, identity, TEXT_OR_NUMBER, true, findings)
    }

    fn identity_of(
        &self,
        key: &str,
        identity: Identity,
        expected: &'static str,
        takes_number: bool,
        findings: &mut Findings,
    ) -> Option<String> {
        let read = |value| match text_of(value, expected, takes_number) {
            Reading::Exact(Some(text)) if is_placeholder(identity, &text) => Reading::Placeholder,
            Reading::Tolerated(Some(Some(text))) if is_placeholder(identity, &text) => {
                Reading::Unreadable(WarningCode::Placeholder, NO_VALUE.into())
            }
            other => other,
        };
        self.take(key, expected, findings, read).flatten()
    }

    /// A text in lower case.
    pub fn lower(&self, key: &str, findings: &mut Findings) -> Option<String> {
        self.text(key, findings).map(|text| text.to_lowercase())
    }

    /// A code in capitals.
    pub fn code(&self, key: &str, findings: &mut Findings) -> Option<String> {
        self.text_or_number(key, findings).map(|text| text.to_uppercase())
    }

    /// Digits, between `least` and `most` of them. A number has lost its leading zeros, which are put back up to `least`.
    /// Of a masked or longer number the digits at its beginning count.
    pub fn first_digits(&self, key: &str, least: usize, most: usize, findings: &mut Findings) -> Option<String> {
        self.digits_by(key, least, most, findings, |text| {
            let end = text.find(|sign: char| !sign.is_ascii_digit()).unwrap_or(text.len());
            text.get(..end.min(most)).filter(|digits| digits.len() >= least)
        })
    }

    /// The same of the digits at the end.
    pub fn last_digits(&self, key: &str, count: usize, findings: &mut Findings) -> Option<String> {
        self.digits_by(key, count, count, findings, |text| {
            let start = text.rfind(|sign: char| !sign.is_ascii_digit()).map_or(0, |at| at + 1);
            text.get(start..)
                .filter(|digits| digits.len() >= count)
                .and_then(|digits| digits.get(digits.len() - count..))
        })
    }

    fn digits_by(
        &self,
        key: &str,
        least: usize,
        most: usize,
        findings: &mut Findings,
        part: impl FnOnce(&str) -> Option<&str>,
    ) -> Option<String> {
        let span = if least == most { least.to_string() } else { format!("{least} to {most}") };
        let expected = format!("expected {span} digits");
        let fits = |digits: &str| is_digits(digits) && (least..=most).contains(&digits.len());
        let read = |value: &'r Json<'r>| {
            let text = match value {
                Json::String(text) if text.trim().is_empty() => return Reading::Exact(None),
                Json::String(text) => Cow::Borrowed(text.trim()),
                Json::Number(raw) => Cow::Owned(format!("{raw:0>least$}")),
                other if is_empty(other) || *other == Json::Bool(false) => return Reading::Tolerated(None),
                _ => return Reading::Unreadable(WarningCode::Malformed, expected.clone().into()),
            };
            if fits(&text) {
                return Reading::Exact(Some(text.into_owned()));
            }
            let plain: String =
                to_ascii_digits(&text).chars().filter(|sign| !matches!(sign, ' ' | '-' | '\u{A0}')).collect();
            match part(&plain) {
                Some(digits) => Reading::Tolerated(Some(Some(digits.to_owned()))),
                None => Reading::Unreadable(WarningCode::Malformed, expected.clone().into()),
            }
        };
        self.take(key, &expected, findings, read).flatten()
    }

    /// `true` or `false`, also as text.
    pub fn flag(&self, key: &str, findings: &mut Findings) -> Option<bool> {
        self.take(key, BOOLEAN, findings, |value| match value {
            Json::Bool(flag) => Reading::Exact(*flag),
            Json::String(text) if text.trim().eq_ignore_ascii_case("true") => Reading::Exact(true),
            Json::String(text) if text.trim().eq_ignore_ascii_case("false") => Reading::Exact(false),
            _ => tolerated(value, BOOLEAN, forms::boolean),
        })
    }

    /// The text of what should be a number; empty when it is neither a number nor a text.
    pub fn numeric_text(&self, key: &str) -> Option<&'r str> {
        Some(match self.member(key)? {
            Json::Number(raw) => raw,
            Json::String(text) => text.trim(),
            _ => "",
        })
    }

    /// A count, also as numeric text.
    pub fn count(&self, key: &str, findings: &mut Findings) -> Option<u32> {
        const COUNT: &str = "expected a whole number between 0 and 4294967295";
        self.number(key, COUNT, number::count, findings)
    }

    /// A number of at most six decimals, also as numeric text, in millionths.
    pub fn millionths(&self, key: &str, findings: &mut Findings) -> Option<i64> {
        self.number(key, "expected a number of at most six decimals", number::millionths, findings)
    }

    /// A number of pieces, also as numeric text; a part of a piece is read too.
    pub fn quantity(&self, key: &str, findings: &mut Findings) -> Option<Quantity> {
        const QUANTITY: &str = "expected a whole number between 0 and 4294967295";
        self.take(key, QUANTITY, findings, |value| match number_text(value).and_then(number::count) {
            Some(pieces) => Reading::Exact(Quantity::of_pieces(pieces)),
            None => tolerated(value, QUANTITY, |text| Quantity::parse(&forms::decimal(text)?)),
        })
    }

    fn number<T>(
        &self,
        key: &str,
        expected: &'static str,
        parse: fn(&str) -> Option<T>,
        findings: &mut Findings,
    ) -> Option<T> {
        self.take(key, expected, findings, |value| match number_text(value).and_then(parse) {
            Some(number) => Reading::Exact(number),
            None => tolerated(value, expected, |text| parse(&forms::decimal(text)?)),
        })
    }

    /// An amount of the order's currency; digits below its minor unit are rounded half to even. Without a currency its
    /// form alone is checked.
    pub fn money(&self, key: &str, currency: Option<Currency>, findings: &mut Findings) -> Option<Money> {
        self.amount(key, currency, i64::MIN, findings)
    }

    /// An amount that is not below zero.
    pub fn positive_money(&self, key: &str, currency: Option<Currency>, findings: &mut Findings) -> Option<Money> {
        self.amount(key, currency, 0, findings)
    }

    fn amount(&self, key: &str, currency: Option<Currency>, least: i64, findings: &mut Findings) -> Option<Money> {
        self.take(key, AMOUNT, findings, |value| {
            let reading = money_of(value, currency);
            match reading {
                Reading::Exact(Some(money)) | Reading::Tolerated(Some(Some(money))) if money.minor() < least => {
                    Reading::malformed("expected an amount of zero or more")
                }
                other => other,
            }
        })
        .flatten()
    }

    /// The order's own amount: required, exact, and not below zero.
    pub fn required_amount(&self, key: &str, currency: Option<Currency>, findings: &mut Findings) -> Option<Money> {
        let Some(value) = self.member(key) else {
            self.refuse(key, "expected a decimal number such as 12.50; it is required", findings);
            return None;
        };
        self.exact_amount(key, number_text(value).unwrap_or_default(), currency, findings)
    }

    /// The same where another member may stand in for it.
    pub fn own_amount(&self, key: &str, currency: Option<Currency>, findings: &mut Findings) -> Option<Money> {
        let value = self.member(key)?;
        if is_empty(value) || *value == Json::Bool(false) {
            self.tolerated(key, AMOUNT, findings);
            return None;
        }
        self.exact_amount(key, number_text(value).unwrap_or_default(), currency, findings)
    }

    fn exact_amount(
        &self,
        key: &str,
        text: &str,
        currency: Option<Currency>,
        findings: &mut Findings,
    ) -> Option<Money> {
        let Some(currency) = currency else {
            if !number::is_number(text) {
                self.refuse(key, AMOUNT, findings);
            }
            return None;
        };
        match Money::parse(text, currency) {
            Ok(money) if money.minor() >= 0 => Some(money),
            Ok(_) => {
                self.refuse(key, "expected an amount of zero or more", findings);
                None
            }
            Err(error) => {
                self.refuse(key, error.to_string(), findings);
                None
            }
        }
    }

    /// A country.
    pub fn country(&self, key: &str, findings: &mut Findings) -> Option<CountryCode> {
        self.take(key, COUNTRY, findings, |value| match value.as_str().map(str::trim) {
            Some(text) if CountryCode::parse(text).is_some() => Reading::Exact(CountryCode::parse(text)),
            _ => tolerated(value, COUNTRY, forms::country).map(Some),
        })
        .flatten()
    }

    /// A time.
    pub fn time(&self, key: &str, form: TimeForm, findings: &mut Findings) -> Option<Timestamp> {
        self.take(key, form.expected, findings, |value| {
            let exact = value.as_str().map(str::trim).and_then(form.parse);
            match (exact, number_text(value).and_then(forms::moment)) {
                (Some(_), Some(Moment::Placeholder)) => Reading::Placeholder,
                (None, Some(Moment::Placeholder)) => {
                    Reading::Unreadable(WarningCode::Placeholder, form.expected.into())
                }
                (Some(at), _) => Reading::Exact(at),
                (None, Some(Moment::At(at))) => Reading::Tolerated(Some(at)),
                (None, None) => tolerated(value, form.expected, |_| None),
            }
        })
    }

    /// The customer's IP address. One that is not public is kept, with a warning.
    pub fn ip_address(&self, key: &str, findings: &mut Findings) -> Option<IpAddr> {
        let address = self.take(key, IP, findings, |value| {
            let text = value.as_str().map(str::trim).unwrap_or_default();
            match (text.parse::<IpAddr>(), forms::ip_address(text)) {
                (Ok(address), _) => Reading::Exact(address.to_canonical()),
                (_, Some(IpForm::One(address) | IpForm::FirstPublic(address))) => Reading::Tolerated(Some(address)),
                (_, Some(IpForm::NonePublic)) => Reading::Unreadable(WarningCode::PrivateIp, NOT_PUBLIC.into()),
                (_, None) => tolerated(value, IP, |_| None),
            }
        })?;
        if is_reserved(address) {
            findings.warn(&self.path.key(key), WarningCode::PrivateIp, NOT_PUBLIC);
        }
        Some(address)
    }

    /// The month that a card is valid until.
    pub fn expiry(&self, key: &str, form: ExpiryForm, findings: &mut Findings) -> Option<CardExpiry> {
        self.take(key, form.expected, findings, |value| {
            let read = number_text(value).and_then(forms::expiry);
            let is_exact = value.as_str().is_some_and(|text| (form.is_exact)(text.trim()));
            match read {
                Some(Expiry::Until(month)) if is_exact => Reading::Exact(month),
                Some(Expiry::Until(month)) => Reading::Tolerated(Some(month)),
                Some(Expiry::Placeholder) => Reading::Unreadable(WarningCode::Placeholder, form.expected.into()),
                None => tolerated(value, form.expected, |_| None),
            }
        })
    }

    /// One of the values of a closed list.
    pub fn choice<T>(
        &self,
        key: &str,
        rule: impl FnOnce(&str) -> Option<T>,
        expected: &'static str,
        findings: &mut Findings,
    ) -> Option<T> {
        self.take(key, expected, findings, |value| match value {
            Json::String(text) if text.trim().is_empty() => Reading::Exact(None),
            Json::String(text) => match rule(text.trim()) {
                Some(known) => Reading::Exact(Some(known)),
                None => Reading::Unreadable(WarningCode::UnknownWord, expected.into()),
            },
            other => tolerated(other, expected, |_| None),
        })
        .flatten()
    }

    /// The elements of an array, each read by `read`; those in which everything is empty are left out. An object stands
    /// for an array of its members when its keys are numbers (as PHP writes arrays with gaps), else for its one element.
    pub fn list<T>(
        &self,
        key: &str,
        findings: &mut Findings,
        mut read: impl FnMut(Section<'_>, &mut Findings) -> T,
    ) -> Vec<T> {
        let Some(value) = self.member(key) else { return Vec::new() };
        let path = self.path.key(key);
        let mut elements = Vec::new();
        let mut element = |path: &Path<'_>, item: &Json<'_>, findings: &mut Findings| {
            // Read strictly, an element in which everything is empty may still hold what is not as documented.
            if item.as_object().is_some() && (!is_empty(item) || findings.is_strict()) {
                elements.push(read(Section { object: Some(item), path }, findings));
            } else if item.is_absent() {
                findings.tolerated(path, OBJECT);
            } else if item.as_object().is_none() {
                let section = Section::new(Some(item), path, findings);
                debug_assert!(section.object.is_none(), "only objects are elements");
            }
        };
        match value {
            Json::Array(items) => {
                if items.len() > limits::ORDER_LIST_DOCUMENTED {
                    findings.tolerated(&path, TOO_MANY_ELEMENTS);
                }
                for (index, item) in items.iter().take(limits::ORDER_LIST_ITEMS).enumerate() {
                    element(&path.index(index), item, findings);
                }
            }
            Json::Object(members) if !members.is_empty() && members.iter().all(|(key, _)| is_digits(key)) => {
                findings.tolerated(&path, LIST);
                for (key, item) in members.iter().take(limits::ORDER_LIST_ITEMS) {
                    element(&path.key(key), item, findings);
                }
            }
            Json::Object(_) => {
                findings.tolerated(&path, LIST);
                element(&path, value, findings);
            }
            other if is_empty(other) || *other == Json::Bool(false) => findings.tolerated(&path, LIST),
            _ => findings.unreadable(&path, WarningCode::Malformed, LIST),
        }
        elements
    }
}

/// Of [`limits::ORDER_LIST_DOCUMENTED`].
const TOO_MANY_ELEMENTS: &str = "expected at most 1000 elements";

#[cfg(test)]
mod tests;
