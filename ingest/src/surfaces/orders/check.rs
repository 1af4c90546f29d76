//! Checks an order by the field tables.
//!
//! Guarantee: all faults of a document at once, each with the JSON pointer of its field and what was expected, never the
//! value. A document without faults becomes a canonical order that the scorer takes. No document panics.

use std::net::IpAddr;

use touchstone_schema::fault::Fault;
use touchstone_schema::json::{Json, Path};
use touchstone_schema::limits;
use touchstone_schema::money::{Currency, Money};
use touchstone_schema::number;
use touchstone_schema::order::{CountryCode, MAX_FAULTS};
use touchstone_schema::time::Timestamp;

use super::tables::{CREDIT_CARD, Field, Kind, ORDER, PAYPAL, Table};

/// Countries whose states have two letters.
const TWO_LETTER_STATES: [&str; 2] = ["US", "CA"];
/// What goes together: one that is there requires the others.
const SHIPPING: [&str; 3] = ["shipping", "shippingMethod", "shippingFee"];

/// All faults of an order; none when it may be placed.
pub(super) fn faults(document: &Json<'_>, currency: Currency) -> Vec<Fault> {
    let mut check = Check { currency, faults: Vec::new() };
    check.table(&ORDER, document, &Path::Root);
    check.shipping(document);
    check.faults
}

/// A member of an object by a name of its table, unless it is absent.
pub(super) fn member<'r, 'd>(object: &'r Json<'d>, name: &str) -> Option<&'r Json<'d>> {
    object.get(name).filter(|value| !is_absent(value))
}

/// Whether the value says nothing: the document lets fields be left empty.
fn is_absent(value: &Json<'_>) -> bool {
    match value {
        Json::Null => true,
        Json::String(text) => text.trim().is_empty(),
        Json::Object(members) => members.is_empty(),
        Json::Array(items) => items.is_empty(),
        Json::Bool(_) | Json::Number(_) => false,
    }
}

/// A text without the blanks around it.
pub(super) fn text<'r>(value: &'r Json<'_>) -> Option<&'r str> {
    value.as_str().map(str::trim)
}

/// A number as written, also as text.
pub(super) fn numeric<'r>(value: &'r Json<'_>) -> Option<&'r str> {
    value.as_number().or_else(|| text(value))
}

/// `true` or `false`, also as text.
pub(super) fn flag(value: &Json<'_>) -> Option<bool> {
    match value {
        Json::Bool(flag) => Some(*flag),
        Json::String(text) if text.trim().eq_ignore_ascii_case("true") => Some(true),
        Json::String(text) if text.trim().eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

/// A month as `MM/YY`.
pub(super) fn expiration(text: &str) -> Option<String> {
    let (month, year) = text.split_once('/').or_else(|| text.split_at_checked(2))?;
    let two_digits = |part: &str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
    let is_month = two_digits(month) && two_digits(year) && ("01"..="12").contains(&month);
    is_month.then(|| format!("{month}/{year}"))
}

/// Whether a shipping fee of zero stands alone: it is then absent like the rest.
fn is_no_fee(document: &Json<'_>, currency: Currency) -> bool {
    let fee = member(document, "shippingFee").and_then(numeric).and_then(|fee| Money::parse(fee, currency).ok());
    fee.is_some_and(|fee| fee.minor() == 0)
        && member(document, "shipping").is_none()
        && member(document, "shippingMethod").is_none()
}

struct Check {
    currency: Currency,
    faults: Vec<Fault>,
}

impl Check {
    fn add(&mut self, path: &Path<'_>, expected: String) {
        if self.faults.len() < MAX_FAULTS {
            self.faults.push(Fault::new(path.pointer(), expected));
        }
    }

    fn table(&mut self, table: &Table, object: &Json<'_>, path: &Path<'_>) {
        for field in table.fields {
            let names = std::iter::once(field.name).chain(field.alias);
            match names.into_iter().find_map(|name| member(object, name).map(|value| (name, value))) {
                Some((name, value)) => self.value(field, value, object, &path.key(name)),
                None if field.is_required => {
                    self.add(&path.key(field.name), format!("expected {}; it is required", self.expected(field.kind)));
                }
                None => {}
            }
        }
    }

    fn value(&mut self, field: &Field, value: &Json<'_>, siblings: &Json<'_>, path: &Path<'_>) {
        match field.kind {
            Kind::Object(table) if value.as_object().is_some() => self.table(table, value, path),
            Kind::Objects(table) if value.as_array().is_some() => self.objects(table, value, path),
            Kind::Payments if value.as_array().is_some() => self.payments(value, path),
            Kind::State if has_two_letter_states(siblings) => {
                let is_state = |text: &str| text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_alphabetic());
                if !text(value).is_some_and(is_state) {
                    self.add(path, "expected a state of two letters, such as NY".to_owned());
                }
            }
            kind if self.is_of(kind, value) => {}
            kind => self.add(path, format!("expected {}", self.expected(kind))),
        }
    }

    fn objects(&mut self, table: &Table, list: &Json<'_>, path: &Path<'_>) {
        let items = list.as_array().unwrap_or_default();
        if items.len() > limits::ORDER_LIST_ITEMS {
            return self.add(path, format!("expected at most {} elements", limits::ORDER_LIST_ITEMS));
        }
        for (index, item) in items.iter().enumerate() {
            self.table(table, item, &path.index(index));
        }
    }

    fn payments(&mut self, list: &Json<'_>, path: &Path<'_>) {
        let Some([payment]) = list.as_array() else {
            return self.add(path, "expected exactly one payment".to_owned());
        };
        let path = path.index(0);
        match payment_table(payment) {
            Some(table) => self.table(table, payment, &path),
            None => self.add(&path.key("paymentType"), "expected creditcard or paypal; it is required".to_owned()),
        }
    }

    fn shipping(&mut self, document: &Json<'_>) {
        let present = SHIPPING.map(|name| member(document, name).is_some());
        if !present.contains(&true) || is_no_fee(document, self.currency) {
            return;
        }
        for (name, _) in SHIPPING.iter().zip(present).filter(|(_, is_present)| !is_present) {
            let expected = "expected beside the others of shipping, shippingMethod and shippingFee";
            self.add(&Path::Root.key(name), expected.to_owned());
        }
    }

    /// Whether a value without members is of the kind.
    fn is_of(&self, kind: Kind, value: &Json<'_>) -> bool {
        let text = text(value);
        let amount = || numeric(value).and_then(|text| Money::parse(text, self.currency).ok());
        match kind {
            Kind::Text(most) => text.is_some_and(|text| text.chars().count() <= most),
            Kind::State => text.is_some_and(|text| text.chars().count() <= limits::FIELD_CHARS),
            Kind::Choice(choices) => text.is_some_and(|text| choices.iter().any(|one| one.eq_ignore_ascii_case(text))),
            Kind::Digits(least, most) => text.is_some_and(|text| {
                (least..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
            }),
            Kind::Money => amount().is_some(),
            Kind::Total => amount().is_some_and(|amount| amount.minor() >= 0),
            Kind::Count => numeric(value).and_then(number::count).is_some(),
            Kind::Number => numeric(value)
                .is_some_and(|text| number::is_number(text) && text.chars().count() <= limits::FIELD_CHARS),
            Kind::Score => numeric(value).and_then(number::millionths).is_some(),
            Kind::Flag => matches!(value, Json::Bool(_)),
            Kind::FlagOrText => flag(value).is_some(),
            Kind::Date => text.and_then(Timestamp::parse_iso8601).is_some(),
            Kind::IpAddress => text.is_some_and(|text| text.parse::<IpAddr>().is_ok()),
            Kind::Country => text.and_then(CountryCode::parse).is_some(),
            Kind::Expiration => text.and_then(expiration).is_some(),
            Kind::Object(_) | Kind::Objects(_) | Kind::Payments => false,
        }
    }

    fn expected(&self, kind: Kind) -> String {
        let currency = self.currency;
        match kind {
            Kind::Text(most) => format!("a text of at most {most} characters"),
            Kind::State => format!("a text of at most {} characters", limits::FIELD_CHARS),
            Kind::Choice(choices) => format!("one of {}", choices.join(", ")),
            Kind::Digits(least, most) if least == most => format!("a text of {least} digits"),
            Kind::Digits(least, most) => format!("a text of {least} to {most} digits"),
            Kind::Money => format!("an amount in {currency} of at most {} decimals", currency.exponent()),
            Kind::Total => {
                format!("an amount of zero or more in {currency} of at most {} decimals", currency.exponent())
            }
            Kind::Count => format!("a whole number between 0 and {}", u32::MAX),
            Kind::Number => "a number".to_owned(),
            Kind::Score => "a number of at most six decimals".to_owned(),
            Kind::Flag | Kind::FlagOrText => "true or false".to_owned(),
            Kind::Date => "an ISO 8601 date or time such as 2026-01-02T03:04:05Z".to_owned(),
            Kind::IpAddress => "an IPv4 or IPv6 address".to_owned(),
            Kind::Country => "an ISO 3166 alpha-2 country code such as US".to_owned(),
            Kind::Expiration => "a month such as 05/28 or 0528".to_owned(),
            Kind::Object(_) => "an object".to_owned(),
            Kind::Objects(_) => "an array of one or more objects".to_owned(),
            Kind::Payments => "an array of exactly one payment".to_owned(),
        }
    }
}

/// The table of a payment of this type.
fn payment_table(payment: &Json<'_>) -> Option<&'static Table> {
    let kind = member(payment, "paymentType").and_then(text)?;
    [("creditcard", &CREDIT_CARD), ("paypal", &PAYPAL)]
        .into_iter()
        .find_map(|(name, table)| name.eq_ignore_ascii_case(kind).then_some(table))
}

fn has_two_letter_states(address: &Json<'_>) -> bool {
    let country = member(address, "country").and_then(text).and_then(CountryCode::parse);
    country.is_some_and(|country| TWO_LETTER_STATES.contains(&country.as_str()))
}
