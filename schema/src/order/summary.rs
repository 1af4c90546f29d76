//! What a person is shown of an order: enough to judge it, without what identifies the customer to a bystander.
//!
//! Guarantee: of e-mail addresses, phone numbers, streets and IP addresses only a part is shown; cards are known by their first
//! six to eight and last four digits only, as they are stored. Pure.

use std::net::IpAddr;

use serde::Serialize;

use super::{Address, LineItem, Order};

/// Articles that are shown; `items_total` says how many there are.
pub const SHOWN_ITEMS: usize = 20;
/// Digits of a phone number that are shown, its last ones.
const PHONE_DIGITS: usize = 2;

/// An order in short, personal data masked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OrderSummary {
    /// Total, in units of the currency.
    pub amount: String,
    /// ISO 4217 code.
    pub currency: &'static str,
    /// First name and the initial of the last name.
    pub customer: Option<String>,
    /// The first letter of the mailbox, and the domain.
    pub email: Option<String>,
    /// The last two digits.
    pub phone: Option<String>,
    /// Earlier orders, as the merchant counts them.
    pub orders_count: Option<u32>,
    /// City, postal code and country of the billing address.
    pub billing: Option<String>,
    /// The same of the shipping address.
    pub shipping: Option<String>,
    /// Kind of payment, scheme and digits of the card, such as `card visa 411111…4242`.
    pub payment: Option<String>,
    /// Network of the IP address.
    pub ip_address: Option<String>,
    /// The first articles, such as `2 × Shirt (S-1) at 48.50`.
    pub items: Vec<String>,
    /// How many there are.
    pub items_total: usize,
}

impl OrderSummary {
    /// Of an order.
    pub fn of(order: &Order) -> Self {
        let (customer, payment) = (&order.customer, &order.payment);
        let card =
            payment.card_bin.as_ref().zip(payment.card_last4.as_ref()).map(|(bin, last4)| format!("{bin}…{last4}"));
        let card = card.or_else(|| payment.card_last4.as_ref().map(|last4| format!("…{last4}")));
        let parts = [payment.method.clone(), payment.card_brand.clone(), card];
        Self {
            amount: order.amount.to_decimal_text(),
            currency: order.currency().code(),
            customer: joined([customer.first_name.clone(), customer.last_name.as_deref().and_then(initial)], " "),
            email: customer.email.as_deref().map(masked_email),
            phone: customer.phone.as_deref().and_then(masked_phone),
            orders_count: customer.orders_count,
            billing: order.billing_address.as_ref().and_then(place),
            shipping: order.shipping_address.as_ref().and_then(place),
            payment: joined(parts, " "),
            ip_address: order.ip_address.map(network),
            items: order.line_items.iter().take(SHOWN_ITEMS).map(item).collect(),
            items_total: order.line_items.len(),
        }
    }
}

/// The parts that are there; none when none is.
fn joined<const N: usize>(parts: [Option<String>; N], between: &str) -> Option<String> {
    let parts: Vec<_> = parts.into_iter().flatten().filter(|part| !part.is_empty()).collect();
    (!parts.is_empty()).then(|| parts.join(between))
}

fn initial(name: &str) -> Option<String> {
    name.trim().chars().next().map(|first| format!("{first}."))
}

fn masked_email(email: &str) -> String {
    match email.rsplit_once('@') {
        Some((mailbox, domain)) => {
            format!("{}…@{domain}", mailbox.chars().next().map(String::from).unwrap_or_default())
        }
        None => "…".to_owned(),
    }
}

fn masked_phone(phone: &str) -> Option<String> {
    let digits: Vec<_> = phone.chars().filter(char::is_ascii_digit).collect();
    let shown: String = digits.get(digits.len().checked_sub(PHONE_DIGITS)?..)?.iter().collect();
    Some(format!("…{shown}"))
}

fn place(address: &Address) -> Option<String> {
    let country = address.country.as_ref().map(|country| country.as_str().to_owned());
    joined([address.city.clone(), address.postal_code.clone(), country], ", ")
}

fn network(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            format!("{a}.{b}.{c}.…")
        }
        IpAddr::V6(address) => {
            let [a, b, c, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:…")
        }
    }
}

fn item(item: &LineItem) -> String {
    let quantity = item.quantity.map_or_else(|| "?".to_owned(), |quantity| quantity.to_decimal_text());
    let name = item.name.as_deref().unwrap_or("?");
    let sku = item.sku.as_deref().map(|sku| format!(" ({sku})")).unwrap_or_default();
    let price = item.price.map(|price| format!(" at {}", price.to_decimal_text())).unwrap_or_default();
    format!("{quantity} × {name}{sku}{price}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Json;

    fn summary(document: &str) -> OrderSummary {
        OrderSummary::of(&Order::parse(&Json::parse_text(document).unwrap()).unwrap())
    }

    #[test]
    fn a_full_order_is_shown_without_what_identifies_its_customer() {
        let shown = summary(
            r#"{"order_id": "1", "amount": 97, "currency": "USD", "ip_address": "73.138.111.54",
            "customer": {"id": "c-7", "email": "jane.doe@keller-garden.com", "phone": "+1 512 555 5571", "first_name": "Jane",
                "last_name": "Doe", "orders_count": 3},
            "billing_address": {"address1": "7 Maple Street", "city": "Austin", "postal_code": "78791", "country": "US"},
            "payment": {"method": "card", "card_brand": "visa", "card_bin": "411111", "card_last4": "4242"},
            "line_items": [{"sku": "S-1", "name": "Shirt", "quantity": 2, "price": 48.5}, {"name": "Card"}]}"#,
        );
        let text = |text: &str| Some(text.to_owned());
        let expected = OrderSummary {
            amount: "97.00".to_owned(),
            currency: "USD",
            customer: text("Jane D."),
            email: text("j…@keller-garden.com"),
            phone: text("…71"),
            orders_count: Some(3),
            billing: text("Austin, 78791, US"),
            shipping: None,
            payment: text("card visa 411111…4242"),
            ip_address: text("73.138.111.…"),
            items: vec!["2 × Shirt (S-1) at 48.50".to_owned(), "? × Card".to_owned()],
            items_total: 2,
        };
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_bare_order_has_an_amount_and_nothing_else() {
        let shown = summary(r#"{"order_id": "1", "amount": 5, "currency": "JPY"}"#);
        assert_eq!((shown.amount.as_str(), shown.currency), ("5", "JPY"));
        assert_eq!((shown.customer, shown.email, shown.payment, shown.items_total), (None, None, None, 0));
    }

    #[test]
    fn only_the_first_articles_are_shown() {
        let items = vec![r#"{"name":"a","quantity":1}"#; 30].join(",");
        let shown = summary(&format!(r#"{{"order_id":"1","amount":5,"currency":"EUR","line_items":[{items}]}}"#));
        assert_eq!((shown.items.len(), shown.items_total), (SHOWN_ITEMS, 30));
    }
}
