//! The orders that the demo sends: what shops see on an ordinary day, and what they fear.

use serde_json::{Value, json};

/// One order and the story behind it.
pub(super) struct DemoOrder {
    pub(super) story: &'static str,
    pub(super) document: Value,
}

/// Orders of a card tester: small amounts, one card, one address after the other.
const CARD_TESTS: [&str; 4] = ["CARD-1", "CARD-2", "CARD-3", "CARD-4"];

/// Every order, in the order of sending.
pub(super) fn all() -> Vec<DemoOrder> {
    let mut orders = vec![
        DemoOrder { story: "a customer of two years buys again", document: repeat_customer() },
        DemoOrder { story: "a family sends a present", document: present() },
        DemoOrder { story: "a gift card, bought as a guest", document: gift_card() },
        DemoOrder { story: "express to another country, first order", document: reshipped() },
        DemoOrder { story: "throw-away e-mail, laptops", document: disposable() },
        DemoOrder { story: "the bank knows neither address nor code", document: stolen_card() },
    ];
    orders.extend(CARD_TESTS.iter().enumerate().map(|(number, order_id)| DemoOrder {
        story: "someone tries out a card",
        document: card_test(order_id, number),
    }));
    orders
}

fn address(first: &str, last: &str, street: &str, place: [&str; 4]) -> Value {
    let [city, region, postal_code, country] = place;
    json!({
        "first_name": first, "last_name": last, "address1": street, "city": city, "region": region,
        "postal_code": postal_code, "country": country,
    })
}

fn repeat_customer() -> Value {
    let home = address("Maria", "Keller", "12 Elm Street", ["Portland", "OR", "97205", "US"]);
    json!({
        "order_id": "SHOP-1001", "amount": 64.90, "currency": "USD",
        "customer": {
            "id": "c-204", "email": "maria.keller@keller-garden.com", "phone": "+15035550142", "first_name": "Maria",
            "last_name": "Keller", "created_at": "2023-04-02T10:00:00Z", "orders_count": 9, "is_guest": false,
        },
        "billing_address": home, "shipping_address": home,
        "payment": {
            "method": "credit_card", "avs_result": "Y", "cvv_result": "M", "eci": "05", "card_bin": "411111",
            "card_last4": "4242", "card_expiry": "09/28", "card_fingerprint": "fp_keller", "card_brand": "visa",
            "card_funding": "credit", "was_authorized": true, "decline_count": 0,
        },
        "line_items": [{ "sku": "GARDEN-7", "name": "Pruning shears", "category": "garden", "quantity": 1, "price": 64.90 }],
        "ip_address": "67.160.12.9", "user_agent": "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_5) Safari/605.1.15",
        "device": { "fingerprint_id": "dev-keller", "accept_language": "en-US", "time_zone": "America/Los_Angeles" },
        "source": "web", "shipping_method": "standard", "shipping_amount": 0,
    })
}

fn present() -> Value {
    json!({
        "order_id": "SHOP-1002", "amount": 89.00, "currency": "EUR",
        "customer": {
            "id": "c-811", "email": "jonas.lindqvist@lindqvist.se", "first_name": "Jonas", "last_name": "Lindqvist",
            "phone": "+46812345678", "created_at": "2024-11-20T08:30:00Z", "orders_count": 3, "is_guest": false,
        },
        "billing_address": address("Jonas", "Lindqvist", "Storgatan 4", ["Uppsala", "", "75331", "SE"]),
        "shipping_address": address("Elin", "Lindqvist", "Kungsgatan 18", ["Göteborg", "", "41119", "SE"]),
        "payment": {
            "method": "credit_card", "avs_result": "Y", "cvv_result": "M", "eci": "05", "card_bin": "516732",
            "card_last4": "1881", "card_fingerprint": "fp_lindqvist", "card_funding": "debit", "was_authorized": true,
        },
        "line_items": [{ "sku": "TOY-33", "name": "Wooden train", "category": "toys", "quantity": 1, "price": 89.00 }],
        "ip_address": "81.230.44.17", "user_agent": "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Safari/604.1",
        "device": { "fingerprint_id": "dev-lindqvist", "accept_language": "sv-SE", "time_zone": "Europe/Stockholm" },
        "source": "mobile_app", "shipping_method": "standard",
    })
}

fn gift_card() -> Value {
    json!({
        "order_id": "SHOP-1003", "amount": 250.00, "currency": "USD",
        "customer": { "email": "t.okafor77@gmail.com", "first_name": "Tunde", "last_name": "Okafor", "is_guest": true },
        "billing_address": address("Tunde", "Okafor", "88 Lake View", ["Houston", "TX", "77002", "US"]),
        "payment": {
            "method": "credit_card", "avs_result": "A", "cvv_result": "P", "card_bin": "423456", "card_last4": "9090",
            "card_fingerprint": "fp_okafor", "card_funding": "prepaid", "was_authorized": true, "decline_count": 2,
        },
        "line_items": [{
            "sku": "GIFT-250", "name": "Gift card", "category": "gift_cards", "quantity": 1, "price": 250.00,
            "is_digital": true,
        }],
        "ip_address": "98.201.7.3", "user_agent": "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/131.0",
        "source": "web",
    })
}

fn reshipped() -> Value {
    json!({
        "order_id": "SHOP-1004", "amount": 540.00, "currency": "USD",
        "customer": {
            "id": "c-990", "email": "peter.hale@outlook.com", "first_name": "Peter", "last_name": "Hale",
            "orders_count": 0, "is_guest": false,
        },
        "billing_address": address("Peter", "Hale", "5 Oak Lane", ["Denver", "CO", "80202", "US"]),
        "shipping_address": address("Ivan", "Petrov", "Vitosha 101", ["Sofia", "", "1000", "BG"]),
        "payment": {
            "method": "credit_card", "avs_result": "Y", "cvv_result": "M", "card_bin": "476173", "card_last4": "0119",
            "card_fingerprint": "fp_hale", "card_funding": "credit", "was_authorized": true,
        },
        "line_items": [{ "sku": "PHONE-2", "name": "Telephone", "category": "electronics", "quantity": 1, "price": 540.00 }],
        "ip_address": "73.14.90.2", "user_agent": "Mozilla/5.0 (X11; Linux x86_64) Firefox/133.0",
        "source": "web", "shipping_method": "overnight express",
    })
}

fn disposable() -> Value {
    let place = address("Xq", "Zrtk", "1 Main St", ["Miami", "FL", "33101", "US"]);
    json!({
        "order_id": "SHOP-1005", "amount": 3899.00, "currency": "USD",
        "customer": { "email": "xk29qz7r1@mailinator.com", "first_name": "Xq", "last_name": "Zrtk", "is_guest": true },
        "billing_address": place, "shipping_address": place,
        "payment": {
            "method": "credit_card", "avs_result": "Y", "cvv_result": "M", "card_bin": "400022", "card_last4": "3155",
            "card_fingerprint": "fp_zrtk", "card_funding": "credit", "was_authorized": true,
        },
        "line_items": [{ "sku": "LAPTOP-9", "name": "Laptop", "category": "electronics", "quantity": 3, "price": 1299.66 }],
        "ip_address": "45.83.91.4", "user_agent": "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/131.0",
        "source": "web", "shipping_method": "standard",
    })
}

fn stolen_card() -> Value {
    json!({
        "order_id": "SHOP-1006", "amount": 1249.00, "currency": "USD",
        "customer": { "email": "buyer4471@yahoo.com", "first_name": "Grace", "last_name": "Munro", "is_guest": true },
        "billing_address": address("Grace", "Munro", "77 Hill Road", ["Boston", "MA", "02108", "US"]),
        "shipping_address": address("Dan", "Cole", "Suite 4, 900 Port Ave", ["Newark", "NJ", "07105", "US"]),
        "payment": {
            "method": "credit_card", "avs_result": "N", "cvv_result": "N", "card_bin": "453211", "card_last4": "7712",
            "card_fingerprint": "fp_munro", "card_funding": "credit", "was_authorized": true, "decline_count": 3,
        },
        "line_items": [{ "sku": "CAM-1", "name": "Camera", "category": "electronics", "quantity": 1, "price": 1249.00 }],
        "ip_address": "23.94.6.77", "user_agent": "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/131.0",
        "source": "web", "shipping_method": "express",
    })
}

fn card_test(order_id: &str, number: usize) -> Value {
    json!({
        "order_id": order_id, "amount": 4.99, "currency": "USD",
        "customer": {
            "email": format!("anna{number}.smith@gmail.com"), "first_name": "Anna", "last_name": "Smith", "is_guest": true,
        },
        "billing_address": address("Anna", "Smith", "9 River Road", ["Austin", "TX", "73301", "US"]),
        "payment": {
            "method": "credit_card", "avs_result": "Z", "cvv_result": "N", "card_bin": "601100", "card_last4": "5544",
            "card_fingerprint": "fp_tested", "was_authorized": false, "decline_count": number,
        },
        "line_items": [{ "sku": "STICKER-1", "name": "Sticker", "category": "misc", "quantity": 1, "price": 4.99 }],
        "ip_address": "91.219.28.5", "user_agent": "python-requests/2.32", "source": "web",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_ids_differ() {
        let ids: std::collections::HashSet<_> =
            all().iter().map(|order| order.document["order_id"].to_string()).collect();
        assert_eq!(ids.len(), all().len());
    }
}
