//! Turns a document into an [`Order`].

use super::{Address, Customer, Device, DiscountCode, LineItem, Order, OrderSource, Payment, Unverified};
use crate::fault::Fault;
use crate::input::{ExpiryForm, Findings, Handling, Identity, Section, TimeForm, fits, is_digits};
use crate::json::{Json, Path};
use crate::limits;
use crate::money::Currency;
use crate::warning::WarningCode;

impl Order {
    /// Reads the canonical order out of a document, leniently: optional members never stop it.
    ///
    /// # Errors
    /// The required members that are missing or unusable.
    pub fn parse(document: &Json<'_>) -> Result<Self, Vec<Fault>> {
        Self::parse_with(document, Handling::Lenient)
    }

    /// Reads the canonical order out of a document.
    ///
    /// # Errors
    /// The required members that are missing or unusable, and by `handling` the optional members that are not in their
    /// documented form; at most [`super::MAX_FAULTS`], required members first.
    pub fn parse_with(document: &Json<'_>, handling: Handling) -> Result<Self, Vec<Fault>> {
        if document.as_object().is_none() {
            return Err(vec![Fault::new("", "expected an object")]);
        }
        let mut findings = Findings::new(handling);
        let order = order(Section::new(Some(document), &Path::Root, &mut findings), &mut findings);
        let (faults, warnings) = findings.into_parts();
        match order {
            Some(order) if faults.is_empty() => Ok(Self { warnings, ..order }),
            _ => Err(faults),
        }
    }
}

/// The order, when its required members are there; whatever is wrong is in `findings`.
fn order(root: Section<'_>, findings: &mut Findings) -> Option<Order> {
    let order_id = order_id(root, findings);
    let currency = currency(root, findings);
    let amount = root.required_amount("amount", currency, findings);
    let customer = root.object("customer", findings, customer);
    let billing_address = root.object("billing_address", findings, address);
    let shipping_address = root.object("shipping_address", findings, address);
    let payment = root.object("payment", findings, payment);
    let line_items = root.list("line_items", findings, |item, findings| line_item(item, currency, findings));
    let ip_address = root.ip_address("ip_address", findings);
    let user_agent = root.text("user_agent", findings);
    let device = root.object("device", findings, device);
    let created_at = root.time("created_at", TimeForm::RFC_3339, findings);
    let discount_codes =
        root.list("discount_codes", findings, |code, findings| discount_code(code, currency, findings));
    let source = source(root, findings);
    let shipping_method = root.text("shipping_method", findings);
    let shipping_amount = root.positive_money("shipping_amount", currency, findings);
    let merchant_score_millionths = root.millionths("merchant_score", findings);
    let metadata = root.object("metadata", findings, metadata);
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
        warnings: Vec::new(),
    })
}

/// The id exactly as sent, since it names the order; a number is taken as written.
fn order_id(root: Section<'_>, findings: &mut Findings) -> Option<String> {
    let id = match root.member("order_id") {
        Some(Json::String(text)) if !text.trim().is_empty() => Some(text.as_ref()),
        Some(Json::Number(raw)) if is_digits(raw) => Some(*raw),
        _ => None,
    };
    let id = id.filter(|id| fits(id, limits::ORDER_ID_CHARS));
    if id.is_none() {
        let expected = format!("expected a text of 1 to {} characters; it is required", limits::ORDER_ID_CHARS);
        root.refuse("order_id", expected, findings);
    }
    id.map(str::to_owned)
}

fn currency(root: Section<'_>, findings: &mut Findings) -> Option<Currency> {
    let currency = root.member("currency").and_then(Json::as_str).and_then(|code| Currency::from_code(code.trim()));
    if currency.is_none() {
        root.refuse("currency", "expected an ISO 4217 currency code such as EUR; it is required", findings);
    }
    currency
}

fn source(root: Section<'_>, findings: &mut Findings) -> Option<OrderSource> {
    let expected = "expected one of web, mobile_app, phone, in_store, chat";
    root.choice("source", |text| OrderSource::parse(&text.to_ascii_lowercase()), expected, findings)
}

fn customer(section: Section<'_>, findings: &mut Findings) -> Customer {
    Customer {
        id: section.identity_or_number("id", Identity::Id, findings),
        email: section.identity("email", Identity::Email, findings),
        phone: section.identity_or_number("phone", Identity::Phone, findings),
        first_name: section.text("first_name", findings),
        last_name: section.text("last_name", findings),
        created_at: section.time("created_at", TimeForm::RFC_3339, findings),
        orders_count: section.count("orders_count", findings),
        is_guest: section.flag("is_guest", findings),
        is_trusted: section.flag("is_trusted", findings),
    }
}

fn address(section: Section<'_>, findings: &mut Findings) -> Address {
    Address {
        first_name: section.text("first_name", findings),
        last_name: section.text("last_name", findings),
        company: section.text("company", findings),
        address1: section.text("address1", findings),
        address2: section.text_or_number("address2", findings),
        city: section.text("city", findings),
        region: section.text("region", findings),
        postal_code: section.text_or_number("postal_code", findings),
        country: section.country("country", findings),
        phone: section.identity_or_number("phone", Identity::Phone, findings),
    }
}

fn payment(section: Section<'_>, findings: &mut Findings) -> Payment {
    Payment {
        method: section.lower("method", findings),
        gateway: section.text("gateway", findings),
        transaction_id: section.text_or_number("transaction_id", findings),
        avs_result: section.code("avs_result", findings),
        avs_street_result: section.code("avs_street_result", findings),
        avs_postal_result: section.code("avs_postal_result", findings),
        cvv_result: section.code("cvv_result", findings),
        eci: section.code("eci", findings).map(|eci| if is_digits(&eci) { format!("{eci:0>2}") } else { eci }),
        card_bin: section.first_digits("card_bin", 6, limits::CARD_BIN_DIGITS, findings),
        card_last4: section.last_digits("card_last4", 4, findings),
        card_expiry: section.expiry("card_expiry", ExpiryForm::WITH_SLASH, findings),
        card_fingerprint: section.identity("card_fingerprint", Identity::Id, findings),
        card_brand: section.lower("card_brand", findings),
        card_funding: section.lower("card_funding", findings),
        was_authorized: section.flag("was_authorized", findings),
        decline_count: section.count("decline_count", findings),
    }
}

fn line_item(section: Section<'_>, currency: Option<Currency>, findings: &mut Findings) -> LineItem {
    LineItem {
        sku: section.text_or_number("sku", findings),
        name: section.text("name", findings),
        category: section.text("category", findings),
        quantity: section.quantity("quantity", findings),
        price: section.money("price", currency, findings),
        is_digital: section.flag("is_digital", findings),
    }
}

fn device(section: Section<'_>, findings: &mut Findings) -> Device {
    Device {
        fingerprint_id: section.identity_or_number("fingerprint_id", Identity::Id, findings),
        session_id: section.identity_or_number("session_id", Identity::Id, findings),
        accept_language: section.text("accept_language", findings),
        time_zone: section.text("time_zone", findings),
        is_proxy: section.flag("is_proxy", findings),
        is_tor: section.flag("is_tor", findings),
    }
}

fn discount_code(section: Section<'_>, currency: Option<Currency>, findings: &mut Findings) -> DiscountCode {
    DiscountCode { code: section.text_or_number("code", findings), amount: section.money("amount", currency, findings) }
}

/// The annotations; absent values are left out.
fn metadata(section: Section<'_>, findings: &mut Findings) -> Vec<(String, String)> {
    let members = section.members();
    if members.len() > limits::ORDER_METADATA_ENTRIES {
        section.too_many(limits::ORDER_METADATA_ENTRIES, findings);
    }
    let mut entries = Vec::with_capacity(members.len().min(limits::ORDER_METADATA_ENTRIES));
    for (key, value) in members.iter().take(limits::ORDER_METADATA_ENTRIES) {
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
                section.unreadable(key, WarningCode::Malformed, expected, findings);
            }
        }
    }
    entries
}
