//! The table of fields: every member of the canonical order by its wire name, and what follows from it.

use std::borrow::Cow;

use touchstone_schema::issuer::{address_check, security_code_check};
use touchstone_schema::money::Money;
use touchstone_schema::order::{DiscountCode, LineItem, Order};
use touchstone_schema::policy::Millionths;
use touchstone_schema::time::Timestamp;

use super::super::Facts;
use super::super::signals::amount;
use super::field::{FieldEntry, Source};
use super::value::{Kind, Value};

/// Milliseconds of a day.
const DAY_MILLIS: i64 = 86_400_000;

macro_rules! fields {
    ($($name:expr, $kind:ident, $meaning:expr, $source:expr;)+) => {
        &[$(FieldEntry { name: $name, kind: Kind::$kind, meaning: $meaning, source: $source }),+]
    };
}

/// Of the order.
pub(super) const ORDER: &[FieldEntry] = fields![
    "order_id", Text, "the merchant's order id", Source::Order(|order| Some(Value::Text(order.order_id.as_str().into())));
    "amount", Number, "total of the order", Source::Order(|order| Some(money(order.amount)));
    "currency", Text, "ISO 4217 code", Source::Order(|order| Some(Value::Text(order.currency().code().into())));
    "source", Text, "web, mobile_app, phone, in_store or chat",
        Source::Order(|order| order.source.map(|source| Value::Text(source.as_str().into())));
    "created_at", Time, "when the order was placed", Source::Order(|order| order.created_at.map(Value::Time));
    "shipping_method", Text, "name of the shipping method", Source::Order(|order| text(&order.shipping_method));
    "shipping_amount", Number, "price of shipping", Source::Order(|order| order.shipping_amount.map(money));
    "ip_address", Text, "IP address", Source::Order(|order| order.ip_address.map(|ip| Value::Text(ip.to_string().into())));
    "user_agent", Text, "user agent of the browser", Source::Order(|order| text(&order.user_agent));
];

/// Of the customer.
pub(super) const CUSTOMER: &[FieldEntry] = fields![
    "customer.id", Text, "the merchant's customer id", Source::Order(|order| text(&order.customer.id));
    "customer.email", Text, "e-mail address", Source::Order(|order| text(&order.customer.email));
    "customer.phone", Text, "phone number, as sent", Source::Order(|order| text(&order.customer.phone));
    "customer.first_name", Text, "first name", Source::Order(|order| text(&order.customer.first_name));
    "customer.last_name", Text, "last name", Source::Order(|order| text(&order.customer.last_name));
    "customer.created_at", Time, "when the account was made",
        Source::Order(|order| order.customer.created_at.map(Value::Time));
    "customer.orders_count", Number, "earlier orders, as the merchant counts them",
        Source::Order(|order| order.customer.orders_count.map(Value::whole));
    "customer.is_guest", Boolean, "whether there is no account",
        Source::Order(|order| order.customer.is_guest.map(Value::Boolean));
];

macro_rules! address_fields {
    ($member:ident, $prefix:literal) => {
        fields![
            concat!($prefix, ".first_name"), Text, "first name", address_text!($member, first_name);
            concat!($prefix, ".last_name"), Text, "last name", address_text!($member, last_name);
            concat!($prefix, ".company"), Text, "company", address_text!($member, company);
            concat!($prefix, ".address1"), Text, "street and number", address_text!($member, address1);
            concat!($prefix, ".address2"), Text, "second line", address_text!($member, address2);
            concat!($prefix, ".city"), Text, "city", address_text!($member, city);
            concat!($prefix, ".region"), Text, "state, province or region", address_text!($member, region);
            concat!($prefix, ".postal_code"), Text, "postal code", address_text!($member, postal_code);
            concat!($prefix, ".country"), Country, "country",
                Source::Order(|order| order.$member.as_ref()?.country.map(Value::Country));
            concat!($prefix, ".phone"), Text, "phone number, as sent", address_text!($member, phone);
        ]
    };
}

macro_rules! address_text {
    ($member:ident, $field:ident) => {
        Source::Order(|order| text(&order.$member.as_ref()?.$field))
    };
}

/// Of the billing address.
pub(super) const BILLING_ADDRESS: &[FieldEntry] = address_fields!(billing_address, "billing_address");

/// Of the shipping address.
pub(super) const SHIPPING_ADDRESS: &[FieldEntry] = address_fields!(shipping_address, "shipping_address");

/// Of the payment.
pub(super) const PAYMENT: &[FieldEntry] = fields![
    "payment.method", Text, "kind of payment, such as card", Source::Order(|order| text(&order.payment.method));
    "payment.gateway", Text, "payment gateway", Source::Order(|order| text(&order.payment.gateway));
    "payment.transaction_id", Text, "the gateway's id of the payment",
        Source::Order(|order| text(&order.payment.transaction_id));
    "payment.avs_result", Text, "answer of the address check, as sent, in capitals",
        Source::Order(|order| text(&order.payment.avs_result));
    "payment.avs_street_result", Text, "answer of the address check for the street alone, as sent, in capitals",
        Source::Order(|order| text(&order.payment.avs_street_result));
    "payment.avs_postal_result", Text, "answer of the address check for the postal code alone, as sent, in capitals",
        Source::Order(|order| text(&order.payment.avs_postal_result));
    "payment.avs_meaning", Text,
        "meaning of the address check: match, street_only, postal_only, partial, name_mismatch, no_match or unavailable",
        Source::Facts(|facts| {
            address_check(&facts.order.payment).map(|answer| Value::Text(answer.meaning.as_str().into()))
        });
    "payment.cvv_result", Text, "answer of the security code check, as sent, in capitals",
        Source::Order(|order| text(&order.payment.cvv_result));
    "payment.cvv_meaning", Text,
        "meaning of the security code check: match, no_match, not_processed, should_be_present or unavailable",
        Source::Facts(|facts| {
            security_code_check(&facts.order.payment).map(|answer| Value::Text(answer.meaning.as_str().into()))
        });
    "payment.eci", Text, "electronic commerce indicator, two digits", Source::Order(|order| text(&order.payment.eci));
    "payment.card_bin", Text, "first digits of the card", Source::Order(|order| text(&order.payment.card_bin));
    "payment.card_last4", Text, "last four digits of the card", Source::Order(|order| text(&order.payment.card_last4));
    "payment.card_expiry", Text, "month until which the card is valid, MM/YY",
        Source::Order(|order| order.payment.card_expiry.map(|expiry| Value::Text(expiry.to_string().into())));
    "payment.card_fingerprint", Text, "the gateway's token for the card",
        Source::Order(|order| text(&order.payment.card_fingerprint));
    "payment.card_brand", Text, "scheme, such as visa", Source::Order(|order| text(&order.payment.card_brand));
    "payment.card_funding", Text, "credit, debit or prepaid", Source::Order(|order| text(&order.payment.card_funding));
    "payment.was_authorized", Boolean, "whether the payment was authorized",
        Source::Order(|order| order.payment.was_authorized.map(Value::Boolean));
    "payment.decline_count", Number, "declined attempts before this one",
        Source::Order(|order| order.payment.decline_count.map(Value::whole));
];

/// Of the device.
pub(super) const DEVICE: &[FieldEntry] = fields![
    "device.fingerprint_id", Text, "the merchant's fingerprint of the device",
        Source::Order(|order| text(&order.device.fingerprint_id));
    "device.session_id", Text, "session of the shop", Source::Order(|order| text(&order.device.session_id));
    "device.accept_language", Text, "languages of the browser",
        Source::Order(|order| text(&order.device.accept_language));
    "device.time_zone", Text, "time zone of the device", Source::Order(|order| text(&order.device.time_zone));
];

/// Of each line and each discount.
pub(super) const LISTS: &[FieldEntry] = fields![
    "line_items.sku", Text, "article number of each line", Source::Each(|order| of_lines(order, |item| text(&item.sku)));
    "line_items.name", Text, "article of each line", Source::Each(|order| of_lines(order, |item| text(&item.name)));
    "line_items.category", Text, "category of each line",
        Source::Each(|order| of_lines(order, |item| text(&item.category)));
    "line_items.quantity", Number, "quantity of each line",
        Source::Each(|order| of_lines(order, |item| item.quantity.map(|quantity| Value::Number(i128::from(quantity.millionths())))));
    "line_items.price", Number, "price of one, of each line",
        Source::Each(|order| of_lines(order, |item| item.price.map(money)));
    "line_items.is_digital", Boolean, "whether nothing is shipped, of each line",
        Source::Each(|order| of_lines(order, |item| item.is_digital.map(Value::Boolean)));
    "discount_codes.code", Text, "each discount code",
        Source::Each(|order| of_discounts(order, |discount| text(&discount.code)));
    "discount_codes.amount", Number, "what each discount took off",
        Source::Each(|order| of_discounts(order, |discount| discount.amount.map(money)));
];

/// What follows from the order and from what else is known of it.
pub(super) const DERIVED: &[FieldEntry] = fields![
    "received_at", Time, "when the order reached us", Source::Facts(|facts| Some(Value::Time(facts.received_at)));
    "created_at.hour_utc", Number, "hour of the day of the order in UTC, 0 to 23",
        Source::Order(|order| order.created_at.map(hour));
    "created_at.weekday_utc", Number, "day of the week of the order in UTC, 1 is Monday and 7 is Sunday",
        Source::Order(|order| order.created_at.map(weekday));
    "amount.is_high", Boolean, "whether the total is above the first high amount of the policy",
        Source::Facts(|facts| Some(Value::Boolean(amount::is_high(facts))));
    "amount.times_median", Number, "total divided by the store's median, once the store has enough orders",
        Source::Facts(times_median);
    "line_items.count", Number, "number of lines", Source::Order(|order| Some(length(order.line_items.len())));
    "discount_codes.count", Number, "number of discount codes",
        Source::Order(|order| Some(length(order.discount_codes.len())));
    "shipping_method.is_express", Boolean, "whether the shipping method is of the overnight class",
        Source::Facts(|facts| facts.order.shipping_method.as_ref().map(|_| Value::Boolean(amount::is_express(facts))));
    "customer.account_age_days", Number, "age of the account in days, with fractions",
        Source::Facts(account_age_days);
    "email.domain", Text, "domain of the e-mail address",
        Source::Order(|order| Some(Value::Text(order.customer.email.as_deref()?.rsplit_once('@')?.1.into())));
    "email.is_free", Boolean, "whether the e-mail provider gives mailboxes away",
        Source::Facts(|facts| {
            facts.order.customer.email.as_ref().map(|_| Value::Boolean(facts.enrichment.email.is_free))
        });
    "ip.country", Country, "country of the IP address, when country data is there",
        Source::Facts(|facts| facts.enrichment.ip.country.map(Value::Country));
    "ip.asn", Number, "number of the network that announces the IP address",
        Source::Facts(|facts| facts.enrichment.ip.asn.map(Value::whole));
    "ip.is_hosting", Boolean, "whether the IP address is of a hosting provider",
        Source::Facts(|facts| of_ip(facts, facts.enrichment.ip.is_hosting));
    "ip.is_anonymous", Boolean, "whether the IP address is of a proxy or VPN",
        Source::Facts(|facts| of_ip(facts, facts.enrichment.ip.is_anonymous));
    "ip.is_tor_exit", Boolean, "whether the IP address is an exit of the Tor network",
        Source::Facts(|facts| of_ip(facts, facts.enrichment.ip.is_tor_exit));
    "card.country", Country, "country of the card's issuer, when card data is there",
        Source::Facts(|facts| facts.enrichment.card.country.map(Value::Country));
    "card.is_prepaid", Boolean, "whether the card is a prepaid one, when card data is there",
        Source::Facts(|facts| facts.enrichment.card.is_prepaid.map(Value::Boolean));
];

fn text(text: &Option<String>) -> Option<Value<'_>> {
    text.as_deref().map(|text| Value::Text(Cow::Borrowed(text)))
}

/// An amount in major units. No currency has more than four decimals.
fn money(money: Money) -> Value<'static> {
    let per_minor = i128::from(Millionths::ONE) / 10i128.pow(money.currency().exponent());
    Value::Number(i128::from(money.minor()) * per_minor)
}

fn length(length: usize) -> Value<'static> {
    Value::whole(u32::try_from(length).unwrap_or(u32::MAX))
}

fn of_lines<'f>(order: &'f Order, read: impl Fn(&'f LineItem) -> Option<Value<'f>>) -> Vec<Value<'f>> {
    order.line_items.iter().filter_map(read).collect()
}

fn of_discounts<'f>(order: &'f Order, read: impl Fn(&'f DiscountCode) -> Option<Value<'f>>) -> Vec<Value<'f>> {
    order.discount_codes.iter().filter_map(read).collect()
}

fn of_ip<'f>(facts: &'f Facts<'f>, flag: bool) -> Option<Value<'f>> {
    facts.order.ip_address.map(|_| Value::Boolean(flag))
}

fn hour(at: Timestamp) -> Value<'static> {
    Value::whole(at.as_millis().rem_euclid(DAY_MILLIS) / 3_600_000)
}

/// The first of January 1970 was a Thursday.
fn weekday(at: Timestamp) -> Value<'static> {
    Value::whole((at.as_millis().div_euclid(DAY_MILLIS) + 3).rem_euclid(7) + 1)
}

fn times_median<'f>(facts: &'f Facts<'f>) -> Option<Value<'f>> {
    let median = i128::from(facts.norms?.median_minor);
    (median > 0).then(|| Value::Number(i128::from(facts.order.amount.minor()) * i128::from(Millionths::ONE) / median))
}

fn account_age_days<'f>(facts: &'f Facts<'f>) -> Option<Value<'f>> {
    let age = facts.received_at.since(facts.order.customer.created_at?);
    let millis = i128::try_from(age.as_millis()).unwrap_or(i128::MAX / 1_000_000_000);
    Some(Value::Number(millis * i128::from(Millionths::ONE) / i128::from(DAY_MILLIS)))
}
