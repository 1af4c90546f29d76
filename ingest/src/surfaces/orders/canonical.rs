//! From an order of the document to what the scorer reads and what is answered of it later.
//!
//! Guarantee: pure; an order that was read becomes a canonical one. What the canonical order has no place for, but a
//! store's own rules may ask for, is among its metadata; free texts stay in the stored original alone.

use serde_json::{Map, Value, json};
use touchstone_schema::json::Json;
use touchstone_schema::money::{Currency, Money};
use touchstone_schema::time::Timestamp;
use touchstone_schema::warning::Warning;

use super::check::{member, numeric, text};

/// Names of the metadata, and of the fields they are taken from.
const ORDER_METADATA: [(&str, &str); 11] = [
    ("site_name", "siteName"),
    ("referring_code", "referringCode"),
    ("consumer_referral", "consumerReferral"),
    ("high_risk_delivery_method", "highRiskDeliveryMethod"),
    ("shipping_deadline", "shippingDeadline"),
    ("sales_rep", "salesRep"),
    ("custom1", "custom1"),
    ("custom2", "custom2"),
    ("custom3", "custom3"),
    ("custom4", "custom4"),
    ("custom5", "custom5"),
];
const PAYMENT_METADATA: [(&str, &str); 6] = [
    ("gateway_status", "gatewayStatus"),
    ("cavv_result_code", "cavvResultCode"),
    ("fraud_free", "fraudFree"),
    ("payer_status", "payerStatus"),
    ("payment_status", "paymentStatus"),
    ("protection_eligible", "protectionEligible"),
];
/// What tells whether two addresses are the same place.
const PLACE: [&str; 6] = ["address1", "address2", "city", "state", "zip", "country"];

/// What of an order is answered later, beside its verdict.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) site_name: String,
    pub(super) order_number: String,
    pub(super) customer_id: Option<String>,
    pub(super) total: Money,
    pub(super) is_usa: bool,
    pub(super) ships_to_billing: bool,
    pub(super) avs_code: Option<String>,
    pub(super) shipping_method: Option<String>,
}

/// The facts of an order that was read.
pub(super) fn facts(order: &Json<'_>, currency: Currency) -> Option<Facts> {
    let total = member(order, "grandTotal").and_then(numeric)?;
    let (billing, shipping) = (member(order, "billing")?, member(order, "shipping"));
    let is_usa = |address: &Json<'_>| member(address, "country").and_then(text) == Some("US");
    Some(Facts {
        site_name: owned(order, "siteName")?,
        order_number: owned(order, "orderNumber")?,
        customer_id: owned(order, "customerId"),
        total: Money::parse(total, currency).ok()?,
        is_usa: is_usa(billing) && shipping.is_none_or(is_usa),
        ships_to_billing: shipping.is_some_and(|shipping| is_same_place(billing, shipping)),
        avs_code: payment(order).and_then(|payment| owned(payment, "avsCode")),
        shipping_method: owned(order, "shippingMethod"),
    })
}

/// The canonical document of an order that was read, with the warnings about it.
pub(super) fn document(order: &Json<'_>, currency: Currency, warnings: &[Warning]) -> String {
    let billing = member(order, "billing");
    let shipping = member(order, "shipping");
    let by_phone = ["inboundCallerId", "outboundCallerID", "outboundCallerId"].iter();
    let by_phone = by_phone.into_iter().any(|name| member(order, name).is_some());
    let fee = shipping.and_then(|_| amount(order, "shippingFee", currency));
    let document = members([
        ("order_id", string(order, "orderNumber")),
        ("amount", amount(order, "grandTotal", currency).map_or(Value::Null, Value::from)),
        ("currency", currency.code().into()),
        ("created_at", time(order, "orderDate")),
        ("customer", customer(order, billing)),
        ("billing_address", billing.map_or(Value::Null, address)),
        ("shipping_address", shipping.map_or(Value::Null, address)),
        ("payment", payment(order).map_or(Value::Null, payment_of)),
        ("line_items", lines(order, currency)),
        ("ip_address", string(order, "ipAddress")),
        ("device", members([("fingerprint_id", string(order, "deviceFingerprintId"))])),
        ("discount_codes", owned(order, "promoCode").map_or(Value::Null, |code| json!([{ "code": code }]))),
        ("source", if by_phone { "phone" } else { "web" }.into()),
        ("shipping_method", string(order, "shippingMethod")),
        ("shipping_amount", fee.map_or(Value::Null, Value::from)),
        ("merchant_score", member(order, "mirScore").and_then(numeric).map_or(Value::Null, Value::from)),
        ("metadata", metadata(order)),
        (Warning::MEMBER, json!(warnings)),
    ]);
    document.to_string()
}

fn customer(order: &Json<'_>, billing: Option<&Json<'_>>) -> Value {
    let of_billing = |name| billing.map_or(Value::Null, |billing| string(billing, name));
    members([
        ("id", string(order, "customerId")),
        ("email", of_billing("email")),
        ("phone", of_billing("eveningPhone")),
        ("first_name", of_billing("firstName")),
        ("last_name", of_billing("lastName")),
        ("is_trusted", boolean(order, "repeatCustomer")),
    ])
}

fn address(address: &Json<'_>) -> Value {
    members([
        ("first_name", string(address, "firstName")),
        ("last_name", string(address, "lastName")),
        ("company", string(address, "company")),
        ("address1", string(address, "address1")),
        ("address2", string(address, "address2")),
        ("city", string(address, "city")),
        ("region", string(address, "state")),
        ("postal_code", string(address, "zip")),
        ("country", string(address, "country")),
        ("phone", string(address, "eveningPhone")),
    ])
}

fn payment<'r, 'd>(order: &'r Json<'d>) -> Option<&'r Json<'d>> {
    member(order, "payments")?.as_array()?.first()
}

fn payment_of(payment: &Json<'_>) -> Value {
    let is_paypal = owned(payment, "paymentType").is_some_and(|kind| kind.eq_ignore_ascii_case("paypal"));
    if is_paypal {
        return members([("method", "paypal".into()), ("gateway", "paypal".into())]);
    }
    let status = owned(payment, "gatewayStatus").map(|status| status.to_ascii_lowercase());
    let was_authorized = match status.as_deref() {
        Some("approved") => true.into(),
        Some("declined") => false.into(),
        _ => Value::Null,
    };
    members([
        ("method", "credit_card".into()),
        ("transaction_id", string(payment, "gatewayTransactionId")),
        ("avs_result", string(payment, "avsCode")),
        ("cvv_result", security_code(payment)),
        ("eci", string(payment, "eciCode")),
        ("card_bin", string(payment, "bin")),
        ("card_last4", string(payment, "lastFour")),
        ("card_expiry", string(payment, "expiration")),
        ("card_brand", string(payment, "cardType")),
        ("was_authorized", was_authorized),
    ])
}

/// A shop may answer Y for what the schemes call M, a match.
fn security_code(payment: &Json<'_>) -> Value {
    match string(payment, "cidResponse") {
        Value::String(code) if code.eq_ignore_ascii_case("Y") => "M".into(),
        code => code,
    }
}

fn lines(order: &Json<'_>, currency: Currency) -> Value {
    let lines = member(order, "orderProducts").and_then(Json::as_array).unwrap_or_default();
    let line = |line: &Json<'_>| {
        members([
            ("sku", string(line, "sku")),
            ("name", string(line, "name")),
            ("quantity", member(line, "qty").and_then(numeric).map_or(Value::Null, Value::from)),
            ("price", amount(line, "sellingPrice", currency).map_or(Value::Null, Value::from)),
        ])
    };
    lines.iter().map(line).collect()
}

fn metadata(order: &Json<'_>) -> Value {
    let mut metadata = Map::new();
    let of = |from: &Json<'_>, field| match member(from, field)? {
        Json::Bool(flag) => Some(Value::Bool(*flag)),
        value => numeric(value).map(Value::from),
    };
    let of_order = ORDER_METADATA.iter().map(|(name, field)| (*name, of(order, field)));
    let payment = payment(order);
    let of_payment =
        PAYMENT_METADATA.iter().map(|(name, field)| (*name, payment.and_then(|payment| of(payment, field))));
    for (name, value) in of_order.chain(of_payment) {
        if let Some(value) = value {
            metadata.insert(name.to_owned(), value);
        }
    }
    Value::Object(metadata)
}

/// An object of the members that are there; null when none is.
fn members<const N: usize>(members: [(&str, Value); N]) -> Value {
    let present = members.into_iter().filter(|(_, value)| !value.is_null());
    let object: Map<_, _> = present.map(|(key, value)| (key.to_owned(), value)).collect();
    if object.is_empty() { Value::Null } else { Value::Object(object) }
}

fn owned(object: &Json<'_>, name: &str) -> Option<String> {
    member(object, name).and_then(text).map(str::to_owned)
}

fn string(object: &Json<'_>, name: &str) -> Value {
    owned(object, name).map_or(Value::Null, Value::from)
}

fn boolean(object: &Json<'_>, name: &str) -> Value {
    match member(object, name) {
        Some(Json::Bool(flag)) => Value::Bool(*flag),
        _ => Value::Null,
    }
}

fn time(object: &Json<'_>, name: &str) -> Value {
    let at = member(object, name).and_then(text).and_then(Timestamp::parse_iso8601);
    at.map_or(Value::Null, |at| at.to_rfc3339().into())
}

fn amount(object: &Json<'_>, name: &str, currency: Currency) -> Option<String> {
    let amount = member(object, name).and_then(numeric).and_then(|text| Money::parse(text, currency).ok())?;
    Some(amount.to_decimal_text())
}

/// Whether two addresses are the same place, however they are spaced and capitalised.
fn is_same_place(one: &Json<'_>, other: &Json<'_>) -> bool {
    let part = |address: &Json<'_>, name: &str| {
        let words = owned(address, name).unwrap_or_default();
        words.split_whitespace().map(str::to_lowercase).collect::<Vec<_>>().join(" ")
    };
    PLACE.iter().all(|name| part(one, name) == part(other, name))
}
