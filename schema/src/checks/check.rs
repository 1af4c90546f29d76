//! Reads the check of a transaction or a cart.

use super::canonical::{Members, canonical_id, has_room};
use super::moment::parse_moment;
use super::sale::refuse_other_than_sale;
use super::words::{CheckStatus, PaymentStatus};
use super::{ORIGINAL, SUBJECT, Subject};
use crate::card;
use crate::fault::Fault;
use crate::input::{ExpiryForm, Findings, Handling, Identity, Section, TimeForm, fits, is_digits};
use crate::json::{Json, Path};
use crate::limits;
use crate::money::{Currency, MAX_MINOR, Money};
use crate::order::OrderSource;
use crate::quantity::Quantity;
use crate::time::Timestamp;
use crate::warning::{Warning, WarningCode};

/// A check, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What it is about.
    pub subject: Subject,
    /// The merchant's `order_id` or `cart_id`, exactly as sent, 1-256 characters.
    pub id: String,
    /// When it was ordered.
    pub ordered_on: Timestamp,
    /// The cart that a transaction came of: `cart_id`, else `cart_token`.
    pub cart: Option<String>,
    /// The order in canonical form, the check as it was sent among its members, card numbers masked.
    pub document: String,
    /// Optional fields that could not be used as they were sent; the document carries them too.
    pub warnings: Vec<Warning>,
}

/// Reads a check.
///
/// # Errors
/// The required fields that are missing or unusable, and by `handling` the optional ones that are not in their documented
/// form, with pointers into the document. A full card number in a payment field is then the only error that is named.
pub fn read_check(document: &Json<'_>, subject: Subject, handling: Handling) -> Result<Check, Vec<Fault>> {
    if document.as_object().is_none() {
        return Err(vec![Fault::new("", "expected an object")]);
    }
    if !has_room(document) {
        let expected = format!("expected at most {} levels of nesting", limits::JSON_DEPTH - 1);
        return Err(vec![Fault::new("", expected)]);
    }
    let document = without_cards(document)?;
    let mut findings = Findings::new(handling);
    let mut order = Members::default();
    let root = Section::new(Some(&document), &Path::Root, &mut findings);
    let head = read(root, subject, &mut order, &mut findings);
    let (faults, warnings) = findings.into_parts();
    let Some((id, ordered_on, cart)) = head.filter(|_| faults.is_empty()) else { return Err(faults) };
    order.text(SUBJECT, Some(subject.as_str().to_owned()));
    order.0.push((Warning::MEMBER.into(), Warning::to_json(&warnings)));
    order.json(ORIGINAL, document);
    let mut order = order.into_json();
    // A value may stand in a field of another name than it came in.
    card::mask(&mut order);
    Ok(Check { subject, id, ordered_on, cart, document: order.to_json_string(), warnings })
}

/// The document with card numbers masked, or the refusal of one in a payment field.
pub(super) fn without_cards<'a>(document: &Json<'a>) -> Result<Json<'a>, Vec<Fault>> {
    let mut document = document.clone();
    let expected = "expected no full card number: send bin and last_4 instead; nothing was stored";
    card::screen(&mut document).map_err(|card| vec![Fault::new(card.pointer, expected)])?;
    Ok(document)
}

type Head = (String, Timestamp, Option<String>);

fn read<'a>(root: Section<'_>, subject: Subject, order: &mut Members<'a>, findings: &mut Findings) -> Option<Head> {
    let head = root.object("transaction", findings, |transaction, findings| {
        refuse_other_than_sale(transaction, subject, findings);
        let id = id(transaction, subject.id_member(), true, findings);
        let ordered_on = ordered_on(transaction, findings);
        let token = id_or_none(transaction, subject, "cart_token", findings);
        let cart = id_or_none(transaction, subject, "cart_id", findings).or(token);
        Some((id?, ordered_on?, cart))
    });
    let currency = root.object("transaction", findings, currency);
    let lines = root.list("products", findings, |product, findings| product_line(product, currency, findings));
    let ordered_on = head.as_ref().map(|(_, ordered_on, _)| ordered_on.to_rfc3339());
    order.text("order_id", head.as_ref().map(|(id, ..)| canonical_id(id)));
    order.text("currency", currency.map(|currency| currency.code().to_owned()));
    order.text("created_at", ordered_on);
    root.object("transaction", findings, |section, findings| {
        transaction(section, subject, currency, &lines, order, findings);
    });
    let billing = root.object("billing", findings, Contact::read);
    let shipping = root.object("shipping", findings, Contact::read);
    order.json(
        "customer",
        root.object("transaction", findings, |section, findings| customer(section, &billing, &shipping, findings)),
    );
    order.json("billing_address", billing.into_address());
    order.json("shipping_address", shipping.into_address());
    order.json("payment", root.object("payment", findings, payment));
    root.object("device", findings, |section, findings| device(section, root, order, findings));
    order.text(
        "shipping_method",
        root.object("delivery", findings, |delivery, findings| delivery.text("method", findings)),
    );
    root.object("campaign", findings, |_, _| ());
    let digital = root.object("transaction", findings, |section, findings| section.flag("order_is_digital", findings));
    order.json("line_items", Json::Array(lines.into_iter().map(|line| line.into_json(digital)).collect()));
    order.json("discount_codes", discounts(root, currency, findings));
    head
}

/// An id exactly as sent; a number is taken as written.
pub(super) fn id(section: Section<'_>, key: &str, is_required: bool, findings: &mut Findings) -> Option<String> {
    let text = match section.member(key) {
        None if !is_required => return None,
        Some(Json::String(text)) if !text.trim().is_empty() => Some(text.as_ref()),
        Some(Json::Number(raw)) if is_digits(raw) => Some(*raw),
        _ => None,
    };
    let text = text.filter(|text| fits(text, limits::CHECK_ID_CHARS));
    if text.is_none() {
        let required = if is_required { "; it is required" } else { "" };
        let expected = format!("expected a text of 1 to {} characters{required}", limits::CHECK_ID_CHARS);
        if is_required {
            section.refuse(key, expected, findings);
        } else {
            section.unreadable(key, WarningCode::Malformed, expected, findings);
        }
    }
    text.map(str::to_owned)
}

/// The cart that a transaction names; a cart names none but itself.
fn id_or_none(section: Section<'_>, subject: Subject, key: &str, findings: &mut Findings) -> Option<String> {
    if subject == Subject::Cart { None } else { id(section, key, false, findings) }
}

const TIME: TimeForm = TimeForm { parse: parse_moment, expected: "expected a time such as 2026-01-02T03:04:05Z" };

/// A time as [`parse_moment`] reads it.
pub(super) fn moment(section: Section<'_>, key: &str, findings: &mut Findings) -> Option<Timestamp> {
    section.time(key, TIME, findings)
}

/// When it was ordered. It is required, so a time that cannot be read is refused.
fn ordered_on(transaction: Section<'_>, findings: &mut Findings) -> Option<Timestamp> {
    let at = moment(transaction, "ordered_on", findings);
    if at.is_none() {
        transaction.refuse("ordered_on", format!("{}; it is required", TIME.expected), findings);
    }
    at
}

/// One of the words of a list, in any case.
pub(super) fn word<T: std::str::FromStr<Err = String>>(
    section: Section<'_>,
    key: &str,
    findings: &mut Findings,
) -> Option<T> {
    word_by(section, key, str::parse, findings)
}

/// The same, where the list is not known by its type alone.
pub(super) fn word_by<T>(
    section: Section<'_>,
    key: &str,
    parse: impl FnOnce(&str) -> Result<T, String>,
    findings: &mut Findings,
) -> Option<T> {
    // What is no text is no word either, and is told the words like one that is unknown.
    let text = section.member(key)?.as_str().unwrap_or_default().trim().to_lowercase();
    parse(&text).map_err(|expected| section.unreadable(key, WarningCode::UnknownWord, expected, findings)).ok()
}

fn currency(transaction: Section<'_>, findings: &mut Findings) -> Option<Currency> {
    if transaction.member("order_currency").is_none() {
        return Currency::from_code("USD");
    }
    let code = transaction.member("order_currency").and_then(Json::as_str).map(str::trim);
    if code == Some("") {
        return Currency::from_code("USD");
    }
    let currency = code.and_then(Currency::from_code);
    if currency.is_none() {
        transaction.refuse("order_currency", "expected an ISO 4217 currency code such as USD", findings);
    }
    currency
}

fn transaction<'a>(
    section: Section<'_>,
    subject: Subject,
    currency: Option<Currency>,
    lines: &[Line],
    order: &mut Members<'a>,
    findings: &mut Findings,
) {
    let total = section.own_amount("order_total", currency, findings);
    let subtotal = section.money("order_subtotal", currency, findings);
    section.money("order_tax", currency, findings);
    section.money("total_spent", None, findings);
    let status = |text: &str| CheckStatus::parse_of(subject, text);
    word_by(section, "status", status, findings);
    let source = section.text("order_source", findings).map(|source| source.to_lowercase());
    let source = source.map(|source| match OrderSource::parse(&source) {
        Some(known) => ("source", known.as_str().to_owned()),
        None => ("order_source", source),
    });
    let total = total.or_else(|| subtotal.filter(|subtotal| subtotal.minor() >= 0)).or_else(|| sum(lines, currency?));
    order.money("amount", total);
    order.money("shipping_amount", section.positive_money("order_shipping", currency, findings));
    let mut metadata = Members::default();
    for (key, member) in [("event", "event"), ("type", "type")] {
        metadata.text(key, section.text(member, findings));
    }
    match source {
        Some(("source", known)) => order.text("source", Some(known)),
        Some((_, other)) => metadata.text("order_source", Some(other)),
        None => {}
    }
    order.json("metadata", metadata.into_json());
}

/// Millionths as the nearest whole number, halves as the even one.
fn half_even(millionths: i128) -> i128 {
    const ONE: i128 = 1_000_000;
    let (whole, part) = (millionths.div_euclid(ONE), millionths.rem_euclid(ONE));
    let is_up = part > ONE / 2 || part == ONE / 2 && whole % 2 != 0;
    whole + i128::from(is_up)
}

/// What the products come to, as far as it can be told: a total that is left out is not worth a refusal.
fn sum(lines: &[Line], currency: Currency) -> Option<Money> {
    let millionths = |line: &Line| {
        let (price, quantity) = (line.price.map_or(0, Money::minor), line.quantity.map_or(0, Quantity::millionths));
        i128::from(price) * i128::from(quantity)
    };
    let minor = half_even(lines.iter().map(millionths).sum::<i128>()).clamp(0, i128::from(MAX_MINOR));
    Money::from_minor(i64::try_from(minor).ok()?, currency).ok()
}

/// A party of the order: an address with its e-mail.
struct Contact {
    members: Vec<(&'static str, Option<String>)>,
    first_name: Option<String>,
    last_name: Option<String>,
    phone: Option<String>,
    email: Option<String>,
}

impl Contact {
    fn read(section: Section<'_>, findings: &mut Findings) -> Self {
        let (first_name, last_name) = (section.text("first_name", findings), section.text("last_name", findings));
        let phone = section.identity_or_number("phone", Identity::Phone, findings);
        let country = section.country("country", findings).map(|country| country.as_str().to_owned());
        let members = vec![
            ("first_name", first_name.clone()),
            ("last_name", last_name.clone()),
            ("company", section.text("company", findings)),
            ("address1", section.text("address1", findings)),
            ("address2", section.text_or_number("address2", findings)),
            ("city", section.text("city", findings)),
            ("region", section.text("region", findings)),
            ("postal_code", section.text_or_number("postal_code", findings)),
            ("country", country),
            ("phone", phone.clone()),
        ];
        Self { members, first_name, last_name, phone, email: section.identity("email", Identity::Email, findings) }
    }

    fn into_address<'a>(self) -> Json<'a> {
        let mut address = Members::default();
        for (key, text) in self.members {
            address.text(key, text);
        }
        address.into_json()
    }
}

fn customer<'a>(transaction: Section<'_>, billing: &Contact, shipping: &Contact, findings: &mut Findings) -> Json<'a> {
    let either = |of: fn(&Contact) -> &Option<String>| of(billing).clone().or_else(|| of(shipping).clone());
    let mut customer = Members::default();
    customer.text("id", transaction.identity_or_number("user_id", Identity::Id, findings));
    customer.text("email", either(|contact| &contact.email));
    customer.text("phone", either(|contact| &contact.phone));
    customer.text("first_name", either(|contact| &contact.first_name));
    customer.text("last_name", either(|contact| &contact.last_name));
    customer.number("orders_count", transaction.count("order_count", findings));
    customer.into_json()
}

/// Reads the payment block of a check, and of an update of a cart.
pub(super) fn payment<'a>(section: Section<'_>, findings: &mut Findings) -> Json<'a> {
    let status = word::<PaymentStatus>(section, "payment_status", findings);
    let attempts = section.count("auth_attempts", findings);
    let bin = section
        .first_digits("bin", 1, limits::CHECK_BIN_DIGITS, findings)
        .map(|bin| bin.chars().take(limits::CARD_BIN_DIGITS).collect::<String>());
    let mut payment = Members::default();
    payment.text("method", section.text("method", findings).map(|method| canonical_method(&method)));
    payment.text("card_brand", section.text("type", findings));
    // Fewer digits than a scheme assigns name no issuer.
    payment.text("card_bin", bin.filter(|bin| bin.len() >= 6));
    payment.text("card_last4", section.last_digits("last_4", 4, findings));
    payment.text("card_expiry", section.expiry("exp_date", EXPIRY, findings).map(|month| month.to_string()));
    payment.text("avs_result", section.text_or_number("avs_result_code", findings));
    payment.text("cvv_result", section.text_or_number("cvv_result_code", findings));
    payment.text("eci", section.text_or_number("eci", findings));
    payment.number("decline_count", attempts.map(|attempts| attempts.saturating_sub(1)));
    let authorized = match status {
        Some(PaymentStatus::Auth | PaymentStatus::Paid | PaymentStatus::PartiallyPaid) => Some(true),
        Some(PaymentStatus::Declined) => Some(false),
        _ => None,
    };
    payment.flag("was_authorized", authorized);
    payment.into_json()
}

/// The kinds of payment have one name each across surfaces.
fn canonical_method(method: &str) -> String {
    let method = method.to_lowercase();
    let words: String = method.chars().filter(char::is_ascii_alphanumeric).collect();
    let is_card = ["card", "cc", "creditcard", "debitcard"].contains(&words.as_str());
    if is_card { "card".to_owned() } else { method }
}

/// `MMYY`, also with a slash between.
const EXPIRY: ExpiryForm = ExpiryForm {
    is_exact: |text| text.len() == 4 && is_digits(text) || (ExpiryForm::WITH_SLASH.is_exact)(text),
    expected: "expected a month as MMYY",
};

fn device<'a>(section: Section<'_>, root: Section<'_>, order: &mut Members<'a>, findings: &mut Findings) {
    order.number("ip_address", section.ip_address("ip_address", findings));
    order.text("user_agent", section.text("user_agent", findings));
    let session = section.identity_or_number("session_id", Identity::Id, findings);
    let of_transaction = root.object("transaction", findings, |transaction, findings| {
        transaction.identity_or_number("session_id", Identity::Id, findings)
    });
    let mut device = Members::default();
    device.text("fingerprint_id", section.identity_or_number("fingerprint_id", Identity::Id, findings));
    device.text("session_id", session.or(of_transaction));
    device.text("accept_language", section.text("language", findings));
    device.text("time_zone", section.text("time_zone", findings));
    device.flag("is_proxy", section.flag("is_proxy", findings));
    device.flag("is_tor", section.flag("is_tor", findings));
    order.json("device", device.into_json());
}

/// A product that was ordered.
struct Line {
    sku: Option<String>,
    name: Option<String>,
    category: Option<String>,
    price: Option<Money>,
    quantity: Option<Quantity>,
    is_digital: Option<bool>,
}

fn product_line(product: Section<'_>, currency: Option<Currency>, findings: &mut Findings) -> Line {
    let sku = product.text_or_number("product_id", findings);
    let name = product.text("title", findings);
    let price = product.money("price", currency, findings);
    let quantity = product.quantity("quantity", findings);
    let found = [
        ("product_id", sku.is_some()),
        ("title", name.is_some()),
        ("price", price.is_some() || currency.is_none()),
        ("quantity", quantity.is_some()),
    ];
    for (key, _) in found.into_iter().filter(|(_, is_found)| !is_found) {
        product.refuse(key, "expected a value; it is required of every product", findings);
    }
    let (category, is_digital) = (product.text("category", findings), product.flag("is_digital", findings));
    Line { sku, name, category, price, quantity, is_digital }
}

impl Line {
    fn into_json<'a>(self, order_is_digital: Option<bool>) -> Json<'a> {
        let mut line = Members::default();
        line.text("sku", self.sku);
        line.text("name", self.name);
        line.text("category", self.category);
        line.text("quantity", self.quantity.map(Quantity::to_decimal_text));
        line.money("price", self.price);
        line.flag("is_digital", self.is_digital.or(order_is_digital));
        line.into_json()
    }
}

/// The coupon of the order and the codes of its promotions.
fn discounts<'a>(root: Section<'_>, currency: Option<Currency>, findings: &mut Findings) -> Json<'a> {
    let coupon = root.object("transaction", findings, |transaction, findings| {
        let mut coupon = Members::default();
        coupon.text("code", transaction.text_or_number("coupon_code", findings));
        coupon.money("amount", transaction.money("order_discount", currency, findings));
        coupon.into_json()
    });
    let promotions = root.list("promotions", findings, |promotion, findings| {
        let mut discount = Members::default();
        let code = promotion.text_or_number("code", findings);
        discount.text("code", code.or_else(|| promotion.text_or_number("promotion_id", findings)));
        discount.money("amount", promotion.money("amount", currency, findings));
        discount.into_json()
    });
    let told = std::iter::once(coupon).chain(promotions);
    let told = told.filter(|discount| discount.as_object().is_some_and(|members| !members.is_empty()));
    Json::Array(told.take(limits::ORDER_LIST_ITEMS).collect())
}
