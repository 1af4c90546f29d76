//! Reads an order by the field tables.
//!
//! Guarantee: an order that is read holds every field of the tables in its documented form, or not at all; an optional field
//! that could not be read is named by a warning. All errors of a document are listed at once, each with the JSON pointer
//! of its field and what was expected, never the value. No document panics.

use std::borrow::Cow;

use touchstone_schema::fault::Fault;
use touchstone_schema::input::{
    ExpiryForm, Findings, Handling, Section, TimeForm, decimal, fits, is_digits, is_empty, is_placeholder,
};
use touchstone_schema::json::{Json, Path};
use touchstone_schema::limits;
use touchstone_schema::money::{Currency, Money};
use touchstone_schema::number;
use touchstone_schema::order::CountryCode;
use touchstone_schema::quantity::Quantity;
use touchstone_schema::time::Timestamp;
use touchstone_schema::warning::{Warning, WarningCode};

use super::tables::{CREDIT_CARD, Field, Kind, ORDER, PAYPAL, Table};

/// Countries whose states have two letters.
const TWO_LETTER_STATES: [&str; 2] = ["US", "CA"];
/// Fields that go together: one that is there asks for the others.
const SHIPPING: [&str; 3] = ["shipping", "shippingMethod", "shippingFee"];
const DATE: TimeForm = TimeForm {
    parse: Timestamp::parse_iso8601,
    expected: "expected an ISO 8601 date or time such as 2026-01-02T03:04:05Z",
};
const EXPIRATION: ExpiryForm = ExpiryForm {
    is_exact: |text| text.len() == 4 && is_digits(text) || (ExpiryForm::WITH_SLASH.is_exact)(text),
    expected: "expected a month such as 05/28 or 0528",
};

/// An order with every field in its documented form, and the warnings about those that could not be used.
pub(super) type Read<'d> = (Json<'d>, Vec<Warning>);

/// Reads an order.
///
/// # Errors
/// All errors of the document: required fields that are missing or unusable, and by `handling` optional ones that are not in
/// their documented form.
pub(super) fn read<'d>(document: &Json<'d>, currency: Currency, handling: Handling) -> Result<Read<'d>, Vec<Fault>> {
    let mut reader = Reader { currency, findings: Findings::new(handling) };
    let members = reader.table(&ORDER, document, &Path::Root, true);
    reader.shipping(document);
    let (faults, warnings) = reader.findings.into_parts();
    if faults.is_empty() { Ok((Json::Object(members), warnings)) } else { Err(faults) }
}

/// A member of an object by a name of its table, unless it is absent.
pub(super) fn member<'r, 'd>(object: &'r Json<'d>, name: &str) -> Option<&'r Json<'d>> {
    object.get(name).filter(|value| !is_empty(value))
}

/// A text without the blanks around it.
pub(super) fn text<'r>(value: &'r Json<'_>) -> Option<&'r str> {
    value.as_str().map(str::trim)
}

/// A number as written, also as text.
pub(super) fn numeric<'r>(value: &'r Json<'_>) -> Option<&'r str> {
    value.as_number().or_else(|| text(value))
}

/// Members of an order that was read.
type Members<'d> = Vec<(Cow<'d, str>, Json<'d>)>;

struct Reader {
    currency: Currency,
    findings: Findings,
}

impl Reader {
    /// The fields of a table that are there. A field that is required of an object which is not is never refused.
    fn table<'d>(
        &mut self,
        table: &'static Table,
        object: &Json<'d>,
        path: &Path<'_>,
        is_required: bool,
    ) -> Members<'d> {
        let mut members = Members::new();
        for field in table.fields {
            let mut names = std::iter::once(field.name).chain(field.alias);
            let present = names.find_map(|name| member(object, name).map(|value| (name, value)));
            let is_required_here = is_required && field.is_required;
            let found_before = self.findings.count();
            let value = present.and_then(|(name, value)| {
                let reading = Reading { field, name, value, object, path };
                self.value(&reading, is_required_here)
            });
            match value {
                Some(value) => members.push((Cow::Borrowed(field.name), value)),
                None if field.is_required && self.findings.count() == found_before && !self.may_lack(field, object) => {
                    self.missing(&path.key(field.name), field.kind, is_required_here);
                }
                None => {}
            }
        }
        members
    }

    /// A state is required where countries have such; read strictly, everywhere.
    fn may_lack(&self, field: &Field, object: &Json<'_>) -> bool {
        matches!(field.kind, Kind::State) && !self.findings.is_strict() && !has_two_letter_states(object)
    }

    fn missing(&mut self, path: &Path<'_>, kind: Kind, is_required: bool) {
        let expected = format!("expected {}; it is required and missing", self.expected(kind));
        if is_required {
            self.findings.refuse(path, expected);
        } else {
            self.findings.unreadable(path, WarningCode::Incomplete, expected);
        }
    }

    fn value<'d>(&mut self, reading: &Reading<'_, 'd>, is_required: bool) -> Option<Json<'d>> {
        let Reading { field, name, value, path, .. } = *reading;
        let path = path.key(name);
        match field.kind {
            Kind::Object(table) => {
                let object = value.as_object().map(|_| self.table(table, value, &path, is_required));
                self.or_unreadable(object.map(Json::Object), &path, field.kind, is_required)
            }
            Kind::Objects(table) => self.objects(table, value, &path, is_required),
            Kind::Payments => self.payment(value, &path, is_required),
            _ => self.scalar(reading, is_required),
        }
    }

    fn or_unreadable<'d>(
        &mut self,
        value: Option<Json<'d>>,
        path: &Path<'_>,
        kind: Kind,
        is_required: bool,
    ) -> Option<Json<'d>> {
        if value.is_none() {
            let expected = format!("expected {}", self.expected(kind));
            self.findings
                .requiring(is_required, |findings| findings.unreadable(path, WarningCode::Malformed, expected));
        }
        value
    }

    fn objects<'d>(
        &mut self,
        table: &'static Table,
        value: &Json<'d>,
        path: &Path<'_>,
        is_required: bool,
    ) -> Option<Json<'d>> {
        let mut objects = Vec::new();
        for (step, item) in self.elements(value, path)? {
            let path = match step {
                Step::Element(index) => path.index(index),
                Step::Member(key) => path.key(key),
                Step::Itself => *path,
            };
            objects.push(Json::Object(self.table(table, item, &path, is_required)));
        }
        Some(Json::Array(objects))
    }

    /// The elements of an array, of an object whose keys are numbers (as PHP writes arrays with gaps), or the object itself.
    fn elements<'r, 'd>(&mut self, value: &'r Json<'d>, path: &Path<'_>) -> Option<Vec<(Step<'r>, &'r Json<'d>)>> {
        match value {
            Json::Array(items) => {
                if items.len() > limits::ORDER_LIST_DOCUMENTED {
                    let expected = format!("expected at most {} elements", limits::ORDER_LIST_DOCUMENTED);
                    self.findings.tolerated(path, &expected);
                }
                let items = items.iter().take(limits::ORDER_LIST_ITEMS).enumerate();
                Some(items.map(|(index, item)| (Step::Element(index), item)).collect())
            }
            Json::Object(members) => {
                self.findings.tolerated(path, "expected an array of one or more objects");
                if !members.iter().all(|(key, _)| is_digits(key)) {
                    return Some(vec![(Step::Itself, value)]);
                }
                let members = members.iter().take(limits::ORDER_LIST_ITEMS);
                Some(members.map(|(key, item)| (Step::Member(key), item)).collect())
            }
            _ => {
                self.findings.refuse(path, "expected an array of one or more objects");
                None
            }
        }
    }

    fn payment<'d>(&mut self, value: &Json<'d>, path: &Path<'_>, is_required: bool) -> Option<Json<'d>> {
        let elements = self.elements(value, path)?;
        let [(step, payment)] = elements[..] else {
            self.findings.refuse(path, "expected exactly one payment");
            return None;
        };
        let path = match step {
            Step::Element(index) => path.index(index),
            Step::Member(key) => path.key(key),
            Step::Itself => *path,
        };
        let Some(table) = payment_table(payment) else {
            self.findings.refuse(&path.key("paymentType"), "expected creditcard or paypal; it is required");
            return None;
        };
        Some(Json::Array(vec![Json::Object(self.table(table, payment, &path, is_required))]))
    }

    /// Shipping address, method and fee go together; a fee of zero alone is absent.
    fn shipping(&mut self, document: &Json<'_>) {
        let present = SHIPPING.map(|name| member(document, name).is_some());
        if !present.contains(&true) || is_no_fee(document, self.currency) {
            return;
        }
        for (name, _) in SHIPPING.iter().zip(present).filter(|(_, is_present)| !is_present) {
            let expected = "expected beside the others of shipping, shippingMethod and shippingFee";
            self.findings.unreadable(&Path::Root.key(name), WarningCode::Incomplete, expected);
        }
    }

    fn scalar<'d>(&mut self, reading: &Reading<'_, 'd>, is_required: bool) -> Option<Json<'d>> {
        let Reading { field, name, value, object, path } = *reading;
        let place = path.key(name);
        let expected = format!("expected {}", self.expected(field.kind));
        if field.kind.is_text() && value.as_str().is_none() {
            self.findings.tolerated(&place, &expected);
        }
        let currency = self.currency;
        self.findings.requiring(is_required, |findings| {
            let section = Section::new(Some(object), path, findings);
            let text = |text: Option<String>| text.map(|text| Json::String(Cow::Owned(text)));
            match field.kind {
                Kind::Text(most) => {
                    let found = section.text(name, findings)?;
                    if !fits(&found, most) {
                        findings.unreadable(&place, WarningCode::TooLong, expected);
                        return None;
                    }
                    text(Some(found))
                }
                Kind::Identity(identity) => {
                    let found = section.text(name, findings)?;
                    if is_placeholder(identity, &found) {
                        let message = "expected a value of this customer; this one stands for a missing value";
                        findings.warn(&place, WarningCode::Placeholder, message);
                        return None;
                    }
                    text(Some(found))
                }
                Kind::State => {
                    let found = section.text(name, findings)?;
                    let is_state = found.len() == 2 && found.bytes().all(|byte| byte.is_ascii_alphabetic());
                    if has_two_letter_states(object) && !is_state {
                        findings.unreadable(
                            &place,
                            WarningCode::Malformed,
                            "expected a state of two letters, such as NY",
                        );
                        return None;
                    }
                    text(Some(found))
                }
                Kind::Choice(choices) => {
                    let found = section.text(name, findings)?;
                    let known = choices.iter().find(|choice| choice.eq_ignore_ascii_case(&found));
                    if known.is_none() {
                        findings.unreadable(&place, WarningCode::UnknownWord, expected);
                    }
                    known.map(|_| Json::String(Cow::Owned(found)))
                }
                Kind::Digits(least, most) if least == most => text(section.last_digits(name, most, findings)),
                Kind::Digits(least, most) => text(section.first_digits(name, least, most, findings)),
                Kind::Total if is_required => {
                    text(section.own_amount(name, Some(currency), findings).map(Money::to_decimal_text))
                }
                Kind::Total => text(section.positive_money(name, Some(currency), findings).map(Money::to_decimal_text)),
                Kind::Money => text(section.money(name, Some(currency), findings).map(Money::to_decimal_text)),
                Kind::Count => text(section.quantity(name, findings).map(Quantity::to_decimal_text)),
                Kind::Number => text(any_number(section, name, findings)),
                Kind::Score => section.millionths(name, findings).map(|_| value.clone()),
                Kind::Flag | Kind::FlagOrText => {
                    if matches!(field.kind, Kind::Flag) && !matches!(value, Json::Bool(_)) {
                        findings.tolerated(&place, &expected);
                    }
                    section.flag(name, findings).map(Json::Bool)
                }
                Kind::Date => {
                    let at = section.time(name, DATE, findings)?;
                    let is_as_documented = value.as_str().is_some_and(|text| (DATE.parse)(text.trim()).is_some());
                    if is_as_documented { Some(value.clone()) } else { text(Some(at.to_rfc3339())) }
                }
                Kind::IpAddress => text(section.ip_address(name, findings).map(|address| address.to_string())),
                Kind::Country => text(section.country(name, findings).map(|country| country.to_string())),
                Kind::Expiration => text(section.expiry(name, EXPIRATION, findings).map(|month| month.to_string())),
                Kind::Object(_) | Kind::Objects(_) | Kind::Payments => None,
            }
        })
    }

    fn expected(&self, kind: Kind) -> String {
        let currency = self.currency;
        match kind {
            Kind::Text(most) => format!("a text of at most {most} characters"),
            Kind::State | Kind::Identity(_) => format!("a text of at most {} characters", limits::FIELD_CHARS),
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

/// One field that is there.
#[derive(Clone, Copy)]
struct Reading<'r, 'd> {
    field: &'static Field,
    /// The spelling of its name that was sent.
    name: &'r str,
    value: &'r Json<'d>,
    object: &'r Json<'d>,
    path: &'r Path<'r>,
}

/// Where an element lies in its list.
#[derive(Clone, Copy)]
enum Step<'r> {
    Element(usize),
    Member(&'r str),
    /// The list is one object, which is its only element.
    Itself,
}

/// Any number as it is written; leniently any text, since it is the shop's own.
fn any_number(section: Section<'_>, name: &str, findings: &mut Findings) -> Option<String> {
    let found = section.text_or_number(name, findings)?;
    if !number::is_number(&found) {
        section.tolerated(name, "expected a number", findings);
    }
    Some(decimal(&found).map_or_else(|| found.clone(), Cow::into_owned))
}

/// Whether a shipping fee of zero stands alone: it is then absent like the rest.
fn is_no_fee(document: &Json<'_>, currency: Currency) -> bool {
    let fee = member(document, "shippingFee").and_then(numeric).and_then(|fee| Money::parse(fee, currency).ok());
    fee.is_some_and(|fee| fee.minor() == 0)
        && member(document, "shipping").is_none()
        && member(document, "shippingMethod").is_none()
}

/// The table of a payment of this type.
fn payment_table(payment: &Json<'_>) -> Option<&'static Table> {
    let kind = member(payment, "paymentType").and_then(text)?;
    [("creditcard", &CREDIT_CARD), ("paypal", &PAYPAL)]
        .into_iter()
        .find_map(|(name, table)| name.eq_ignore_ascii_case(kind).then_some(table))
}

fn has_two_letter_states(address: &Json<'_>) -> bool {
    let country = member(address, "country").and_then(text).and_then(touchstone_schema::input::country);
    country.is_some_and(|country: CountryCode| TWO_LETTER_STATES.contains(&country.as_str()))
}
