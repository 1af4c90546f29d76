//! Turns a document into an [`Order`].

use super::read::{Faults, Section, fits, is_digits};
use super::{Address, Customer, Device, DiscountCode, LineItem, Order, OrderSource, Payment, Unverified};
use crate::fault::Fault;
use crate::json::{Json, Path};
use crate::limits;
use crate::money::Currency;

impl Order {
    /// Reads the canonical order out of a document.
    ///
    /// # Errors
    /// All faults of the document, at most [`super::MAX_FAULTS`], required members first.
    pub fn parse(document: &Json<'_>) -> Result<Self, Vec<Fault>> {
        let mut faults = Faults::default();
        if document.as_object().is_none() {
            faults.add(&Path::Root, "expected an object");
            return Err(faults.into_vec());
        }
        match order(Section::new(Some(document), &Path::Root, &mut faults), &mut faults) {
            Some(order) if faults.is_empty() => Ok(order),
            _ => Err(faults.into_vec()),
        }
    }
}

/// The order, when its required members are there; whatever is wrong is in `faults`.
fn order(root: Section<'_>, faults: &mut Faults) -> Option<Order> {
    let order_id = order_id(root, faults);
    let currency = currency(root, faults);
    if root.member("amount").is_none() {
        root.fault("amount", "expected a decimal number such as 12.50; it is required", faults);
    }
    let amount = root.positive_money("amount", currency, faults);
    let customer = root.object("customer", faults, customer);
    let billing_address = root.object("billing_address", faults, address);
    let shipping_address = root.object("shipping_address", faults, address);
    let payment = root.object("payment", faults, payment);
    let line_items = root.list("line_items", faults, |item, faults| line_item(item, currency, faults));
    let ip_address = root.ip_address("ip_address", faults);
    let user_agent = root.text("user_agent", faults);
    let device = root.object("device", faults, device);
    let created_at = root.timestamp("created_at", faults);
    let discount_codes = root.list("discount_codes", faults, |code, faults| discount_code(code, currency, faults));
    let source = source(root, faults);
    let shipping_method = root.text("shipping_method", faults);
    let shipping_amount = root.positive_money("shipping_amount", currency, faults);
    let merchant_score_millionths = root.millionths("merchant_score", faults);
    let metadata = root.object("metadata", faults, metadata);
    let unverified = Unverified::of(root.member("unverified"));
    Some(Order {
        order_id: order_id?,
        amount: amount?,
        customer,
        billing_address: Some(billing_address).filter(|address| *address != Address::default()),
        shipping_address: Some(shipping_address).filter(|address| *address != Address::default()),
        payment,
        line_items,
        ip_address,
        user_agent,
        device,
        created_at,
        discount_codes,
        source,
        shipping_method,
        shipping_amount,
        merchant_score_millionths,
        metadata,
        unverified,
    })
}

/// The id exactly as sent, since it names the order; a number is taken as written.
fn order_id(root: Section<'_>, faults: &mut Faults) -> Option<String> {
    let id = match root.member("order_id") {
        Some(Json::String(text)) if !text.trim().is_empty() => Some(text.as_ref()),
        Some(Json::Number(raw)) if is_digits(raw) => Some(*raw),
        _ => None,
    };
    let id = id.filter(|id| fits(id, limits::ORDER_ID_CHARS));
    if id.is_none() {
        let expected = format!("expected a text of 1 to {} characters; it is required", limits::ORDER_ID_CHARS);
        root.fault("order_id", expected, faults);
    }
    id.map(str::to_owned)
}

fn currency(root: Section<'_>, faults: &mut Faults) -> Option<Currency> {
    let currency = root.member("currency").and_then(Json::as_str).and_then(|code| Currency::from_code(code.trim()));
    if currency.is_none() {
        root.fault("currency", "expected an ISO 4217 currency code such as EUR; it is required", faults);
    }
    currency
}

fn source(root: Section<'_>, faults: &mut Faults) -> Option<OrderSource> {
    let expected = "expected one of web, mobile_app, phone, in_store, chat";
    root.choice("source", |text| OrderSource::parse(&text.to_ascii_lowercase()), expected, faults)
}

fn customer(section: Section<'_>, faults: &mut Faults) -> Customer {
    Customer {
        id: section.text_or_number("id", faults),
        email: section.text("email", faults),
        phone: section.text_or_number("phone", faults),
        first_name: section.text("first_name", faults),
        last_name: section.text("last_name", faults),
        created_at: section.timestamp("created_at", faults),
        orders_count: section.count("orders_count", faults),
        is_guest: section.flag("is_guest", faults),
        is_trusted: section.flag("is_trusted", faults),
    }
}

fn address(section: Section<'_>, faults: &mut Faults) -> Address {
    Address {
        first_name: section.text("first_name", faults),
        last_name: section.text("last_name", faults),
        company: section.text("company", faults),
        address1: section.text("address1", faults),
        address2: section.text_or_number("address2", faults),
        city: section.text("city", faults),
        region: section.text("region", faults),
        postal_code: section.text_or_number("postal_code", faults),
        country: section.country("country", faults),
        phone: section.text_or_number("phone", faults),
    }
}

fn payment(section: Section<'_>, faults: &mut Faults) -> Payment {
    Payment {
        method: section.lower("method", faults),
        gateway: section.text("gateway", faults),
        transaction_id: section.text_or_number("transaction_id", faults),
        avs_result: section.code("avs_result", faults),
        avs_street_result: section.code("avs_street_result", faults),
        avs_postal_result: section.code("avs_postal_result", faults),
        cvv_result: section.code("cvv_result", faults),
        eci: section.code("eci", faults).map(|eci| if is_digits(&eci) { format!("{eci:0>2}") } else { eci }),
        card_bin: section.digits("card_bin", 6, 8, faults),
        card_last4: section.digits("card_last4", 4, 4, faults),
        card_expiry: section.expiry("card_expiry", faults),
        card_fingerprint: section.text("card_fingerprint", faults),
        card_brand: section.lower("card_brand", faults),
        card_funding: section.lower("card_funding", faults),
        was_authorized: section.flag("was_authorized", faults),
        decline_count: section.count("decline_count", faults),
    }
}

fn line_item(section: Section<'_>, currency: Option<Currency>, faults: &mut Faults) -> LineItem {
    LineItem {
        sku: section.text_or_number("sku", faults),
        name: section.text("name", faults),
        category: section.text("category", faults),
        quantity: section.count("quantity", faults),
        price: section.money("price", currency, faults),
        is_digital: section.flag("is_digital", faults),
    }
}

fn device(section: Section<'_>, faults: &mut Faults) -> Device {
    Device {
        fingerprint_id: section.text_or_number("fingerprint_id", faults),
        session_id: section.text_or_number("session_id", faults),
        accept_language: section.text("accept_language", faults),
        time_zone: section.text("time_zone", faults),
        is_proxy: section.flag("is_proxy", faults),
        is_tor: section.flag("is_tor", faults),
    }
}

fn discount_code(section: Section<'_>, currency: Option<Currency>, faults: &mut Faults) -> DiscountCode {
    DiscountCode { code: section.text_or_number("code", faults), amount: section.money("amount", currency, faults) }
}

/// The annotations; absent values are left out.
fn metadata(section: Section<'_>, faults: &mut Faults) -> Vec<(String, String)> {
    let members = section.members();
    if members.len() > limits::ORDER_LIST_ITEMS {
        section.own_fault(format!("expected at most {} entries", limits::ORDER_LIST_ITEMS), faults);
        return Vec::new();
    }
    let mut entries = Vec::with_capacity(members.len());
    for (key, value) in members {
        let text = match value {
            Json::Null => continue,
            Json::String(text) if text.is_empty() => continue,
            Json::String(text) => Some(text.as_ref()),
            Json::Number(raw) => Some(*raw),
            Json::Bool(flag) => Some(if *flag { "true" } else { "false" }),
            Json::Array(_) | Json::Object(_) => None,
        };
        match text.filter(|text| fits(text, limits::FIELD_CHARS) && fits(key, limits::FIELD_CHARS)) {
            Some(text) => entries.push((key.clone().into_owned(), text.to_owned())),
            None => {
                let expected = format!("expected a text of at most {} characters", limits::FIELD_CHARS);
                section.fault(key, expected, faults);
            }
        }
    }
    entries
}
