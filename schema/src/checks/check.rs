//! Reads the check of a transaction or a cart.

use super::canonical::{Members, canonical_id, has_room};
use super::moment::parse_moment;
use super::sale::refuse_other_than_sale;
use super::words::{CheckStatus, PaymentStatus};
use super::{ORIGINAL, SUBJECT, Subject};
use crate::card;
use crate::fault::Fault;
use crate::json::{Json, Path};
use crate::limits;
use crate::money::{Currency, MAX_MINOR, Money};
use crate::order::OrderSource;
use crate::order::read::{Faults, Section, fits, is_digits};
use crate::time::Timestamp;

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
}

/// Reads a check.
///
/// # Errors
/// All faults of the document, with pointers into it. A full card number in a payment field is the only fault that is told.
pub fn read_check(document: &Json<'_>, subject: Subject) -> Result<Check, Vec<Fault>> {
    if document.as_object().is_none() {
        return Err(vec![Fault::new("", "expected an object")]);
    }
    if !has_room(document) {
        let expected = format!("expected at most {} levels of nesting", limits::JSON_DEPTH - 1);
        return Err(vec![Fault::new("", expected)]);
    }
    refuse_card(document)?;
    let mut faults = Faults::default();
    let mut order = Members::default();
    let root = Section::new(Some(document), &Path::Root, &mut faults);
    let head = read(root, subject, &mut order, &mut faults);
    let Some((id, ordered_on, cart)) = head.filter(|_| faults.is_empty()) else { return Err(distinct(faults)) };
    order.text(SUBJECT, Some(subject.as_str().to_owned()));
    order.json(ORIGINAL, document.clone());
    let order = order.into_json();
    let order = if card::is_in(&order) { card::mask(order).0 } else { order };
    Ok(Check { subject, id, ordered_on, cart, document: order.to_json_string() })
}

/// The faults, each once: a section that several readers look at is at fault for all of them.
pub(super) fn distinct(faults: Faults) -> Vec<Fault> {
    let mut told: Vec<Fault> = Vec::new();
    for fault in faults.into_vec() {
        if !told.contains(&fault) {
            told.push(fault);
        }
    }
    told
}

/// Refuses a document with a full card number in a payment field.
pub(super) fn refuse_card(document: &Json<'_>) -> Result<(), Vec<Fault>> {
    if card::is_in(document)
        && let Some(pointer) = card::find_in_payment_fields(document)
    {
        let expected = "expected no full card number: send bin and last_4 instead; nothing was stored";
        return Err(vec![Fault::new(pointer, expected)]);
    }
    Ok(())
}

type Head = (String, Timestamp, Option<String>);

fn read<'a>(root: Section<'_>, subject: Subject, order: &mut Members<'a>, faults: &mut Faults) -> Option<Head> {
    let head = root.object("transaction", faults, |transaction, faults| {
        refuse_other_than_sale(transaction, subject, faults);
        let id = id(transaction, subject.id_member(), true, faults);
        let ordered_on = moment(transaction, "ordered_on", faults);
        if transaction.member("ordered_on").is_none() {
            transaction.fault("ordered_on", format!("{MOMENT}; it is required"), faults);
        }
        let token = id_or_none(transaction, subject, "cart_token", faults);
        let cart = id_or_none(transaction, subject, "cart_id", faults).or(token);
        Some((id?, ordered_on?, cart))
    });
    let currency = root.object("transaction", faults, currency);
    let lines = root.list("products", faults, |product, faults| product_line(product, currency, faults));
    let ordered_on = head.as_ref().map(|(_, ordered_on, _)| ordered_on.to_rfc3339());
    order.text("order_id", head.as_ref().map(|(id, ..)| canonical_id(id)));
    order.text("currency", currency.map(|currency| currency.code().to_owned()));
    order.text("created_at", ordered_on);
    root.object("transaction", faults, |section, faults| {
        transaction(section, subject, currency, &lines, order, faults);
    });
    let billing = root.object("billing", faults, Contact::read);
    let shipping = root.object("shipping", faults, Contact::read);
    order.json(
        "customer",
        root.object("transaction", faults, |section, faults| customer(section, &billing, &shipping, faults)),
    );
    order.json("billing_address", billing.into_address());
    order.json("shipping_address", shipping.into_address());
    order.json("payment", root.object("payment", faults, payment));
    root.object("device", faults, |section, faults| device(section, root, order, faults));
    order.text("shipping_method", root.object("delivery", faults, |delivery, faults| delivery.text("method", faults)));
    root.object("campaign", faults, |_, _| ());
    let digital = root.object("transaction", faults, |section, faults| section.flag("order_is_digital", faults));
    order.json("line_items", Json::Array(lines.into_iter().map(|line| line.into_json(digital)).collect()));
    order.json("discount_codes", discounts(root, currency, faults));
    head
}

/// An id exactly as sent; a number is taken as written.
pub(super) fn id(section: Section<'_>, key: &str, is_required: bool, faults: &mut Faults) -> Option<String> {
    let text = match section.member(key) {
        None if !is_required => return None,
        Some(Json::String(text)) if !text.trim().is_empty() => Some(text.as_ref()),
        Some(Json::Number(raw)) if is_digits(raw) => Some(*raw),
        _ => None,
    };
    let text = text.filter(|text| fits(text, limits::CHECK_ID_CHARS));
    if text.is_none() {
        let required = if is_required { "; it is required" } else { "" };
        section.fault(key, format!("expected a text of 1 to {} characters{required}", limits::CHECK_ID_CHARS), faults);
    }
    text.map(str::to_owned)
}

/// The cart that a transaction names; a cart names none but itself.
fn id_or_none(section: Section<'_>, subject: Subject, key: &str, faults: &mut Faults) -> Option<String> {
    if subject == Subject::Cart { None } else { id(section, key, false, faults) }
}

const MOMENT: &str = "expected a time such as 2026-01-02T03:04:05Z";

/// A time as [`parse_moment`] reads it.
pub(super) fn moment(section: Section<'_>, key: &str, faults: &mut Faults) -> Option<Timestamp> {
    section.choice(key, parse_moment, MOMENT, faults)
}

/// One of the words of a list, in any case.
pub(super) fn word<T: std::str::FromStr<Err = String>>(
    section: Section<'_>,
    key: &str,
    faults: &mut Faults,
) -> Option<T> {
    word_by(section, key, str::parse, faults)
}

/// The same, where the list is not known by its type alone.
pub(super) fn word_by<T>(
    section: Section<'_>,
    key: &str,
    parse: impl FnOnce(&str) -> Result<T, String>,
    faults: &mut Faults,
) -> Option<T> {
    // What is no text is no word either, and is told the words like one that is unknown.
    let text = section.member(key)?.as_str().unwrap_or_default().trim().to_lowercase();
    parse(&text).map_err(|expected| section.fault(key, expected, faults)).ok()
}

fn currency(transaction: Section<'_>, faults: &mut Faults) -> Option<Currency> {
    if transaction.member("order_currency").is_none() {
        return Currency::from_code("USD");
    }
    let expected = "expected an ISO 4217 currency code such as USD";
    transaction.choice("order_currency", |code| Currency::from_code(&code.to_ascii_uppercase()), expected, faults)
}

fn transaction<'a>(
    section: Section<'_>,
    subject: Subject,
    currency: Option<Currency>,
    lines: &[Line],
    order: &mut Members<'a>,
    faults: &mut Faults,
) {
    let total = section.positive_money("order_total", currency, faults);
    let subtotal = section.money("order_subtotal", currency, faults);
    section.money("order_tax", currency, faults);
    section.money("total_spent", None, faults);
    let status = |text: &str| CheckStatus::parse_of(subject, text);
    word_by(section, "status", status, faults);
    let source = section.text("order_source", faults).map(|source| source.to_lowercase());
    let source = source.map(|source| match OrderSource::parse(&source) {
        Some(known) => ("source", known.as_str().to_owned()),
        None => ("order_source", source),
    });
    let total = total.or_else(|| subtotal.filter(|subtotal| subtotal.minor() >= 0)).or_else(|| sum(lines, currency?));
    order.money("amount", total);
    order.money("shipping_amount", section.positive_money("order_shipping", currency, faults));
    let mut metadata = Members::default();
    for (key, member) in [("event", "event"), ("type", "type")] {
        metadata.text(key, section.text(member, faults));
    }
    match source {
        Some(("source", known)) => order.text("source", Some(known)),
        Some((_, other)) => metadata.text("order_source", Some(other)),
        None => {}
    }
    order.json("metadata", metadata.into_json());
}

/// What the products come to, as far as it can be told: a total that is left out is not worth a refusal.
fn sum(lines: &[Line], currency: Currency) -> Option<Money> {
    let minor =
        lines.iter().map(|line| line.price.map_or(0, |price| i128::from(price.minor())) * i128::from(line.quantity));
    let minor = minor.sum::<i128>().clamp(0, i128::from(MAX_MINOR));
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
    fn read(section: Section<'_>, faults: &mut Faults) -> Self {
        let (first_name, last_name) = (section.text("first_name", faults), section.text("last_name", faults));
        let phone = section.text_or_number("phone", faults);
        let country = section.country("country", faults).map(|country| country.as_str().to_owned());
        let members = vec![
            ("first_name", first_name.clone()),
            ("last_name", last_name.clone()),
            ("company", section.text("company", faults)),
            ("address1", section.text("address1", faults)),
            ("address2", section.text_or_number("address2", faults)),
            ("city", section.text("city", faults)),
            ("region", section.text("region", faults)),
            ("postal_code", section.text_or_number("postal_code", faults)),
            ("country", country),
            ("phone", phone.clone()),
        ];
        Self { members, first_name, last_name, phone, email: section.text("email", faults) }
    }

    fn into_address<'a>(self) -> Json<'a> {
        let mut address = Members::default();
        for (key, text) in self.members {
            address.text(key, text);
        }
        address.into_json()
    }
}

fn customer<'a>(transaction: Section<'_>, billing: &Contact, shipping: &Contact, faults: &mut Faults) -> Json<'a> {
    let either = |of: fn(&Contact) -> &Option<String>| of(billing).clone().or_else(|| of(shipping).clone());
    let mut customer = Members::default();
    customer.text("id", transaction.text_or_number("user_id", faults));
    customer.text("email", either(|contact| &contact.email));
    customer.text("phone", either(|contact| &contact.phone));
    customer.text("first_name", either(|contact| &contact.first_name));
    customer.text("last_name", either(|contact| &contact.last_name));
    customer.number("orders_count", transaction.count("order_count", faults));
    customer.into_json()
}

/// Reads the payment block of a check, and of an update of a cart.
pub(super) fn payment<'a>(section: Section<'_>, faults: &mut Faults) -> Json<'a> {
    let status = word::<PaymentStatus>(section, "payment_status", faults);
    let attempts = section.count("auth_attempts", faults);
    let bin = section
        .digits("bin", 1, limits::CHECK_BIN_DIGITS, faults)
        .map(|bin| bin.chars().take(limits::CARD_BIN_DIGITS).collect::<String>());
    let mut payment = Members::default();
    payment.text("method", section.text("method", faults).map(|method| canonical_method(&method)));
    payment.text("card_brand", section.text("type", faults));
    // Fewer digits than a scheme assigns name no issuer.
    payment.text("card_bin", bin.filter(|bin| bin.len() >= 6));
    payment.text("card_last4", section.digits("last_4", 4, 4, faults));
    payment.text("card_expiry", expiry(section, faults));
    payment.text("avs_result", section.text_or_number("avs_result_code", faults));
    payment.text("cvv_result", section.text_or_number("cvv_result_code", faults));
    payment.text("eci", section.text_or_number("eci", faults));
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

/// `MMYY`, also with a slash between, as a canonical order has it.
fn expiry(section: Section<'_>, faults: &mut Faults) -> Option<String> {
    let digits: Option<String> = match section.member("exp_date")? {
        Json::Number(raw) if raw.len() <= 4 => Some(format!("{raw:0>4}")),
        Json::String(text) if text.trim().is_empty() => return None,
        Json::String(text) => Some(text.trim().replacen('/', "", 1)),
        _ => None,
    };
    let digits = digits.filter(|digits| digits.len() == 4 && is_digits(digits));
    let month = digits.as_ref().filter(|digits| matches!(digits[..2].parse(), Ok(1..=12)));
    if month.is_none() {
        section.fault("exp_date", "expected a month as MMYY", faults);
    }
    month.map(|digits| format!("{}/{}", &digits[..2], &digits[2..]))
}

fn device<'a>(section: Section<'_>, root: Section<'_>, order: &mut Members<'a>, faults: &mut Faults) {
    order.number("ip_address", section.ip_address("ip_address", faults));
    order.text("user_agent", section.text("user_agent", faults));
    let session = section.text_or_number("session_id", faults);
    let of_transaction =
        root.object("transaction", faults, |transaction, faults| transaction.text_or_number("session_id", faults));
    let mut device = Members::default();
    device.text("fingerprint_id", section.text_or_number("fingerprint_id", faults));
    device.text("session_id", session.or(of_transaction));
    device.text("accept_language", section.text("language", faults));
    device.text("time_zone", section.text("time_zone", faults));
    device.flag("is_proxy", section.flag("is_proxy", faults));
    device.flag("is_tor", section.flag("is_tor", faults));
    order.json("device", device.into_json());
}

/// A product that was ordered.
struct Line {
    sku: Option<String>,
    name: Option<String>,
    category: Option<String>,
    price: Option<Money>,
    quantity: u32,
    is_digital: Option<bool>,
}

fn product_line(product: Section<'_>, currency: Option<Currency>, faults: &mut Faults) -> Line {
    for key in ["product_id", "title", "price", "quantity"] {
        if product.member(key).is_none() {
            product.fault(key, "expected a value; it is required of every product", faults);
        }
    }
    Line {
        sku: product.text_or_number("product_id", faults),
        name: product.text("title", faults),
        category: product.text("category", faults),
        price: product.money("price", currency, faults),
        quantity: product.count("quantity", faults).unwrap_or(0),
        is_digital: product.flag("is_digital", faults),
    }
}

impl Line {
    fn into_json<'a>(self, order_is_digital: Option<bool>) -> Json<'a> {
        let mut line = Members::default();
        line.text("sku", self.sku);
        line.text("name", self.name);
        line.text("category", self.category);
        line.number("quantity", Some(self.quantity));
        line.money("price", self.price);
        line.flag("is_digital", self.is_digital.or(order_is_digital));
        line.into_json()
    }
}

/// The coupon of the order and the codes of its promotions.
fn discounts<'a>(root: Section<'_>, currency: Option<Currency>, faults: &mut Faults) -> Json<'a> {
    let coupon = root.object("transaction", faults, |transaction, faults| {
        let mut coupon = Members::default();
        coupon.text("code", transaction.text_or_number("coupon_code", faults));
        coupon.money("amount", transaction.money("order_discount", currency, faults));
        coupon.into_json()
    });
    let promotions = root.list("promotions", faults, |promotion, faults| {
        let mut discount = Members::default();
        let code = promotion.text_or_number("code", faults);
        discount.text("code", code.or_else(|| promotion.text_or_number("promotion_id", faults)));
        discount.money("amount", promotion.money("amount", currency, faults));
        discount.into_json()
    });
    let told = std::iter::once(coupon).chain(promotions);
    let told = told.filter(|discount| discount.as_object().is_some_and(|members| !members.is_empty()));
    Json::Array(told.take(limits::ORDER_LIST_ITEMS).collect())
}
