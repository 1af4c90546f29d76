//! Reads typed values out of a JSON object and gathers what is wrong with them.

use std::borrow::Cow;
use std::net::IpAddr;

use super::{CardExpiry, CountryCode, MAX_FAULTS};
use crate::decimal::Decimal;
use crate::fault::Fault;
use crate::json::{Json, Path};
use crate::limits;
use crate::money::{Currency, Money};
use crate::time::Timestamp;

/// Faults found so far, at most [`MAX_FAULTS`].
#[derive(Default)]
pub(crate) struct Faults(Vec<Fault>);

impl Faults {
    pub(crate) fn add(&mut self, path: &Path<'_>, message: impl Into<String>) {
        if self.0.len() < MAX_FAULTS {
            self.0.push(Fault::new(path.pointer(), message));
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn into_vec(self) -> Vec<Fault> {
        self.0
    }
}

/// One object of the document, read member by member. An absent object has only absent members.
#[derive(Clone, Copy)]
pub(crate) struct Section<'r> {
    object: Option<&'r Json<'r>>,
    path: &'r Path<'r>,
}

/// A rule that a text is read by: what it becomes, or none when it is not what was expected.
type Rule<T> = fn(&str) -> Option<T>;

impl<'r> Section<'r> {
    /// The object at `path`; anything but an object or an absent value is a fault.
    pub(crate) fn new(value: Option<&'r Json<'r>>, path: &'r Path<'r>, faults: &mut Faults) -> Self {
        let object = value.filter(|value| !value.is_absent());
        if object.is_some_and(|value| value.as_object().is_none()) {
            faults.add(path, "expected an object");
            return Self { object: None, path };
        }
        Self { object, path }
    }

    /// The member, unless it is absent.
    pub(crate) fn member(&self, key: &str) -> Option<&'r Json<'r>> {
        self.object?.get(key).filter(|value| !value.is_absent())
    }

    /// Whether the member is there as an empty text, which on some surfaces says that the value is gone.
    pub(crate) fn is_cleared(&self, key: &str) -> bool {
        let text = self.object.and_then(|object| object.get(key)).and_then(Json::as_str);
        text.is_some_and(|text| text.trim().is_empty())
    }

    /// All members.
    pub(crate) fn members(&self) -> &'r [(Cow<'r, str>, Json<'r>)] {
        self.object.and_then(Json::as_object).unwrap_or_default()
    }

    /// The object that is member `key`, read by `read`.
    pub(crate) fn object<T>(
        &self,
        key: &str,
        faults: &mut Faults,
        read: impl FnOnce(Section<'_>, &mut Faults) -> T,
    ) -> T {
        let path = self.path.key(key);
        let section = Section::new(self.member(key), &path, faults);
        read(section, faults)
    }

    /// A fault of the object itself.
    pub(crate) fn own_fault(&self, message: impl Into<String>, faults: &mut Faults) {
        faults.add(self.path, message);
    }

    pub(crate) fn fault(&self, key: &str, message: impl Into<String>, faults: &mut Faults) {
        faults.add(&self.path.key(key), message);
    }

    /// A text without blanks around it; only blanks are absent.
    pub(crate) fn text(&self, key: &str, faults: &mut Faults) -> Option<String> {
        let text = self.raw_text(key, faults)?;
        if !fits(text, limits::FIELD_CHARS) {
            self.fault(key, format!("expected a text of at most {} characters", limits::FIELD_CHARS), faults);
            return None;
        }
        Some(text.to_owned())
    }

    fn raw_text(&self, key: &str, faults: &mut Faults) -> Option<&'r str> {
        match self.member(key)? {
            Json::String(text) => Some(text.trim()).filter(|text| !text.is_empty()),
            _ => {
                self.fault(key, "expected a text", faults);
                None
            }
        }
    }

    /// A text, or a whole number that is taken as written.
    pub(crate) fn text_or_number(&self, key: &str, faults: &mut Faults) -> Option<String> {
        match self.member(key)? {
            Json::Number(raw) if is_digits(raw) && raw.len() <= limits::FIELD_CHARS => Some((*raw).to_owned()),
            Json::String(_) => self.text(key, faults),
            _ => {
                self.fault(key, "expected a text or a whole number", faults);
                None
            }
        }
    }

    /// A text in lower case.
    pub(crate) fn lower(&self, key: &str, faults: &mut Faults) -> Option<String> {
        self.text(key, faults).map(|text| text.to_lowercase())
    }

    /// A code in capitals.
    pub(crate) fn code(&self, key: &str, faults: &mut Faults) -> Option<String> {
        self.text_or_number(key, faults).map(|text| text.to_uppercase())
    }

    /// Digits, between `least` and `most` of them. A number has lost its leading zeros, which are put back up to
    /// `least`.
    pub(crate) fn digits(&self, key: &str, least: usize, most: usize, faults: &mut Faults) -> Option<String> {
        let digits: Option<Cow<'r, str>> = match self.member(key)? {
            Json::String(text) => match text.trim() {
                "" => return None,
                digits => Some(Cow::Borrowed(digits)),
            },
            Json::Number(raw) if raw.len() <= most => Some(Cow::Owned(format!("{raw:0>least$}"))),
            _ => None,
        };
        match digits.filter(|digits| is_digits(digits) && (least..=most).contains(&digits.len())) {
            Some(digits) => Some(digits.into_owned()),
            None => {
                let span = if least == most { least.to_string() } else { format!("{least} to {most}") };
                self.fault(key, format!("expected {span} digits"), faults);
                None
            }
        }
    }

    /// `true` or `false`, also as text.
    pub(crate) fn flag(&self, key: &str, faults: &mut Faults) -> Option<bool> {
        match self.member(key)? {
            Json::Bool(flag) => Some(*flag),
            Json::String(text) if text.trim().eq_ignore_ascii_case("true") => Some(true),
            Json::String(text) if text.trim().eq_ignore_ascii_case("false") => Some(false),
            _ => {
                self.fault(key, "expected true or false", faults);
                None
            }
        }
    }

    /// What should be a number, also as text; empty when it is neither.
    pub(crate) fn numeric_text(&self, key: &str) -> Option<&'r str> {
        Some(match self.member(key)? {
            Json::Number(raw) => raw,
            Json::String(text) => text.trim(),
            _ => "",
        })
    }

    /// A count, also as numeric text.
    pub(crate) fn count(&self, key: &str, faults: &mut Faults) -> Option<u32> {
        let text = self.numeric_text(key)?;
        let count = Decimal::parse(text).and_then(|decimal| decimal.scaled(0).ok()).and_then(|n| u32::try_from(n).ok());
        if count.is_none() {
            self.fault(key, format!("expected a whole number between 0 and {}", u32::MAX), faults);
        }
        count
    }

    /// A number of at most six decimals, also as numeric text, in millionths.
    pub(crate) fn millionths(&self, key: &str, faults: &mut Faults) -> Option<i64> {
        let text = self.numeric_text(key)?;
        let millionths = Decimal::parse(text).and_then(|decimal| decimal.scaled(6).ok());
        if millionths.is_none() {
            self.fault(key, "expected a number of at most six decimals", faults);
        }
        millionths
    }

    /// An amount of the order's currency. Without a currency its form alone is checked.
    pub(crate) fn money(&self, key: &str, currency: Option<Currency>, faults: &mut Faults) -> Option<Money> {
        let text = self.numeric_text(key)?;
        let Some(currency) = currency else {
            if Decimal::parse(text).is_none() {
                self.fault(key, "expected a decimal number such as 12.50", faults);
            }
            return None;
        };
        Money::parse(text, currency).map_err(|error| self.fault(key, error.to_string(), faults)).ok()
    }

    /// An amount that is not below zero.
    pub(crate) fn positive_money(&self, key: &str, currency: Option<Currency>, faults: &mut Faults) -> Option<Money> {
        let money = self.money(key, currency, faults)?;
        if money.minor() < 0 {
            self.fault(key, "expected an amount of zero or more", faults);
            return None;
        }
        Some(money)
    }

    fn by_rule<T>(&self, key: &str, rule: Rule<T>, expected: &str, faults: &mut Faults) -> Option<T> {
        let parsed = match self.member(key)? {
            Json::String(text) if text.trim().is_empty() => return None,
            Json::String(text) => rule(text.trim()),
            _ => None,
        };
        if parsed.is_none() {
            self.fault(key, expected, faults);
        }
        parsed
    }

    pub(crate) fn country(&self, key: &str, faults: &mut Faults) -> Option<CountryCode> {
        self.by_rule(key, CountryCode::parse, "expected an ISO 3166 alpha-2 country code such as DE", faults)
    }

    pub(crate) fn timestamp(&self, key: &str, faults: &mut Faults) -> Option<Timestamp> {
        let expected = "expected an RFC 3339 time such as 2026-01-02T03:04:05Z";
        self.by_rule(key, Timestamp::parse_rfc3339, expected, faults)
    }

    pub(crate) fn ip_address(&self, key: &str, faults: &mut Faults) -> Option<IpAddr> {
        let rule: Rule<IpAddr> = |text| text.parse().ok().map(|address: IpAddr| address.to_canonical());
        self.by_rule(key, rule, "expected an IPv4 or IPv6 address", faults)
    }

    pub(crate) fn expiry(&self, key: &str, faults: &mut Faults) -> Option<CardExpiry> {
        self.by_rule(key, card_expiry, "expected a month as MM/YY", faults)
    }

    /// One of the values of a closed list, in any case.
    pub(crate) fn choice<T>(&self, key: &str, rule: Rule<T>, expected: &str, faults: &mut Faults) -> Option<T> {
        self.by_rule(key, rule, expected, faults)
    }

    /// The elements of an array, each read by `read`.
    pub(crate) fn list<T>(
        &self,
        key: &str,
        faults: &mut Faults,
        mut read: impl FnMut(Section<'_>, &mut Faults) -> T,
    ) -> Vec<T> {
        let Some(value) = self.member(key) else { return Vec::new() };
        let path = self.path.key(key);
        let Some(items) = value.as_array() else {
            faults.add(&path, "expected an array");
            return Vec::new();
        };
        if items.len() > limits::ORDER_LIST_ITEMS {
            faults.add(&path, format!("expected at most {} elements", limits::ORDER_LIST_ITEMS));
            return Vec::new();
        }
        let elements = items.iter().enumerate().map(|(index, item)| {
            let path = path.index(index);
            if item.as_object().is_none() {
                faults.add(&path, "expected an object");
            }
            read(Section { object: item.as_object().map(|_| item), path: &path }, faults)
        });
        elements.collect()
    }
}

/// Whether a text has at most `most` characters.
pub(crate) fn fits(text: &str, most: usize) -> bool {
    text.len() <= most || text.chars().count() <= most
}

pub(crate) fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn card_expiry(text: &str) -> Option<CardExpiry> {
    let (month, year) = text.split_once('/')?;
    if month.len() != 2 || year.len() != 2 || !is_digits(month) || !is_digits(year) {
        return None;
    }
    let month = month.parse().ok().filter(|month| (1..=12).contains(month))?;
    Some(CardExpiry { month, year: year.parse().ok()? })
}
