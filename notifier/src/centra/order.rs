//! An order as the shop's Integration API tells it, made into the canonical document (contract: Centra connector).
//!
//! Guarantee: pure, and whatever the shop sends, an order with an amount becomes a document that the scorer takes. A
//! member that cannot be read counts as absent there, with a warning in the verdict. Amounts and currency are the shop's;
//! what only the notice says is marked, so that it can add points and never take any.

use std::borrow::Cow;

use serde_json::{Map, Value, json};
use touchstone_schema::card;
use touchstone_schema::json::Json;
use touchstone_schema::money::{Currency, Money};
use touchstone_schema::order::Order;

/// Why an order cannot be screened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unmappable {
    /// It has no total, or none in a currency that is known.
    #[error("the order has no total in a known currency")]
    Total,
    /// It is no JSON that can be read.
    #[error("the order cannot be read")]
    Unreadable,
    /// The document made of it is not one that the scorer takes.
    #[error("the order cannot be made into a canonical one: {0}")]
    Faulty(String),
}

/// The canonical document of an order, from the shop's answer and the notice that announced it.
pub(super) fn document(order: &str, notice: Option<&str>) -> Result<String, Unmappable> {
    let order = without_nul(order);
    let order = Json::parse_text(&order).map_err(|_| Unmappable::Unreadable)?;
    let (amount, currency) = total(&order).ok_or(Unmappable::Total)?;
    let billing = order.get("billingAddress");
    let shipping = order.get("shippingAddress");
    let mut document = Map::new();
    let mut put = |key: &str, value: Value| {
        let is_empty = match &value {
            Value::Null => true,
            Value::Object(members) => members.is_empty(),
            Value::Array(items) => items.is_empty(),
            _ => false,
        };
        if !is_empty {
            document.insert(key.to_owned(), value);
        }
    };
    put("order_id", text(&order, "id"));
    put("amount", amount.to_decimal_text().into());
    put("currency", currency.code().into());
    put("created_at", text(&order, "createdAt"));
    put("ip_address", text(&order, "userIP"));
    put("customer", customer(&order, billing));
    put("billing_address", billing.map_or(Value::Null, address));
    put("shipping_address", shipping.map_or(Value::Null, address));
    put("payment", super::payment::payment(&order));
    put("line_items", lines(&order, currency));
    put("source", "web".into());
    let number = order.get("number").and_then(Json::as_number);
    put("metadata", number.map_or(Value::Null, |number| json!({"centra_order_number": number})));
    if let Some(notice) = notice {
        add_hearsay(&mut document, notice);
    }
    sound(&Value::Object(document))
}

/// Adds what only the notice tells, and marks it.
fn add_hearsay(document: &mut Map<String, Value>, notice: &str) {
    let Ok(notice) = Json::parse_text(notice) else { return };
    let Some(device) = notice.get("device_details") else { return };
    let mut unverified = Vec::new();
    if !document.contains_key("ip_address")
        && let Value::String(address) = text(device, "ip_address")
    {
        document.insert("ip_address".to_owned(), address.into());
        unverified.push("/ip_address");
    }
    if let Value::String(agent) = text(device, "user_agent") {
        document.insert("user_agent".to_owned(), agent.into());
        unverified.push("/user_agent");
    }
    if let Value::String(language) = text(device, "browser_language") {
        document.insert("device".to_owned(), json!({"accept_language": language}));
        unverified.push("/device/accept_language");
    }
    if !unverified.is_empty() {
        document.insert("unverified".to_owned(), json!(unverified));
    }
}

/// The document without card numbers, once it is certain that the scorer takes it.
fn sound(document: &Value) -> Result<String, Unmappable> {
    let text = document.to_string();
    let json = without_cards(&text)?;
    match Order::parse(&json) {
        Ok(_) => Ok(json.to_json_string()),
        Err(faults) => Err(Unmappable::Faulty(faults.first().map(ToString::to_string).unwrap_or_default())),
    }
}

/// The text without the escape of the character that no database stores.
fn without_nul(text: &str) -> Cow<'_, str> {
    const NUL: &str = "\\u0000";
    if !text.contains(NUL) {
        return text.into();
    }
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        kept.push_str(before);
        rest = match escape.strip_prefix(NUL) {
            Some(after) => after,
            None => {
                // An escape is the backslash and what follows it, which may be another backslash.
                let length: usize = escape.chars().take(2).map(char::len_utf8).sum();
                kept.push_str(&escape[..length]);
                &escape[length..]
            }
        };
    }
    kept.push_str(rest);
    kept.into()
}

/// The document without card numbers: a shopper may write one anywhere.
fn without_cards(text: &str) -> Result<Json<'_>, Unmappable> {
    let mut document = Json::parse_text(text).map_err(|_| Unmappable::Unreadable)?;
    card::mask(&mut document);
    Ok(document)
}

fn total(order: &Json<'_>) -> Option<(Money, Currency)> {
    let total = order.get("grandTotal")?;
    let currency = Currency::from_code(total.get("currency")?.get("code")?.as_str()?)?;
    let amount = Money::parse_rounded(total.get("value")?.as_number()?, currency).ok()?;
    Some((amount, currency))
}

fn customer(order: &Json<'_>, billing: Option<&Json<'_>>) -> Value {
    let customer = order.get("customer").filter(|customer| !customer.is_absent());
    let either = |of_customer: &str, of_billing: &str| {
        let of = |from: Option<&Json<'_>>, key| from.map_or(Value::Null, |from| text(from, key));
        match of(billing, of_billing) {
            Value::Null => of(customer, of_customer),
            found => found,
        }
    };
    let phone = billing.map_or(Value::Null, phone);
    members([
        ("id", customer.map_or(Value::Null, |customer| text(customer, "id"))),
        ("email", either("email", "email")),
        ("phone", phone),
        ("first_name", either("firstName", "firstName")),
        ("last_name", either("lastName", "lastName")),
        ("is_guest", customer.is_none().into()),
    ])
}

fn address(address: &Json<'_>) -> Value {
    let code = |of: &str| address.get(of).map_or(Value::Null, |of| text(of, "code"));
    let region = match text(address, "stateOrProvince") {
        Value::Null => code("state"),
        region => region,
    };
    members([
        ("first_name", text(address, "firstName")),
        ("last_name", text(address, "lastName")),
        ("company", text(address, "companyName")),
        ("address1", text(address, "address1")),
        ("address2", text(address, "address2")),
        ("city", text(address, "city")),
        ("region", region),
        ("postal_code", text(address, "zipCode")),
        ("country", code("country")),
        ("phone", phone(address)),
    ])
}

fn phone(address: &Json<'_>) -> Value {
    match text(address, "phoneNumber") {
        Value::Null => text(address, "cellPhoneNumber"),
        phone => phone,
    }
}

fn lines(order: &Json<'_>, currency: Currency) -> Value {
    let lines = order.get("lines").and_then(Json::as_array).unwrap_or_default();
    let line = |line: &Json<'_>| {
        let price = line.get("unitPrice").and_then(|price| price.get("value")).and_then(Json::as_number);
        let price = price.and_then(|price| Money::parse_rounded(price, currency).ok());
        members([
            ("sku", line.get("productSize").map_or(Value::Null, |size| text(size, "SKU"))),
            ("name", line.get("product").map_or(Value::Null, |product| text(product, "name"))),
            ("quantity", text(line, "quantity")),
            ("price", price.map_or(Value::Null, |price| price.to_decimal_text().into())),
        ])
    };
    let most = touchstone_schema::limits::ORDER_LIST_ITEMS;
    lines.iter().take(most).map(line).collect()
}

/// An object of the members that are there.
pub(super) fn members<const N: usize>(members: [(&str, Value); N]) -> Value {
    let present = members.into_iter().filter(|(_, value)| !value.is_null());
    Value::Object(present.map(|(key, value)| (key.to_owned(), value)).collect())
}

/// A text or number as it was sent, for the lenient reader; null when there is none.
pub(super) fn text(object: &Json<'_>, key: &str) -> Value {
    match object.get(key) {
        Some(Json::String(text)) if !text.trim().is_empty() => text.trim().into(),
        Some(Json::Number(raw)) => (*raw).into(),
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn order() -> Value {
        json!({
            "id": "1015bd448795c9df7f7bf369ddef09d3", "number": 4711, "createdAt": "2026-11-22T08:00:00+01:00",
            "userIP": "85.10.1.7",
            "grandTotal": {"value": 129.9, "currency": {"code": "SEK"}},
            "billingAddress": {
                "firstName": "Sven", "lastName": "Nilsson", "address1": "Roslagsgatan 10", "address2": "",
                "city": "Stockholm", "zipCode": "113 51", "stateOrProvince": null, "email": "sven@example.com",
                "phoneNumber": "+46 70 123 45 67", "country": {"code": "SE"}, "state": {"code": "AB"},
            },
            "shippingAddress": null,
            "lines": [{
                "quantity": 2, "unitPrice": {"value": 64.95000000000001, "currency": {"code": "SEK"}},
                "product": {"name": "T-shirt"}, "productSize": {"SKU": "TS-1"},
            }],
            "paymentHistory": [],
            "customer": {"id": 7, "email": "other@example.com"},
        })
    }

    fn document_of(order: &Value, notice: Option<&Value>) -> Result<Value, Unmappable> {
        let notice = notice.map(Value::to_string);
        document(&order.to_string(), notice.as_deref()).map(|text| serde_json::from_str(&text).unwrap())
    }

    #[test]
    fn the_shops_order_becomes_a_canonical_one() {
        let expected = json!({
            "order_id": "1015bd448795c9df7f7bf369ddef09d3", "amount": "129.90", "currency": "SEK",
            "created_at": "2026-11-22T08:00:00+01:00", "ip_address": "85.10.1.7",
            "customer": {
                "id": "7", "email": "sven@example.com", "phone": "+46 70 123 45 67", "first_name": "Sven",
                "last_name": "Nilsson", "is_guest": false,
            },
            "billing_address": {
                "first_name": "Sven", "last_name": "Nilsson", "address1": "Roslagsgatan 10", "city": "Stockholm",
                "region": "AB", "postal_code": "113 51", "country": "SE", "phone": "+46 70 123 45 67",
            },
            "line_items": [{"sku": "TS-1", "name": "T-shirt", "quantity": "2", "price": "64.95"}],
            "source": "web", "metadata": {"centra_order_number": "4711"},
        });
        assert_eq!(document_of(&order(), None).unwrap(), expected);
    }

    #[test]
    fn what_only_the_notice_tells_is_marked() {
        let notice = json!({"device_details": {
            "ip_address": "1.2.3.4", "user_agent": "Mozilla/5.0", "browser_language": "sv-sv"
        }});
        let document = document_of(&order(), Some(&notice)).unwrap();
        assert_eq!(document["ip_address"], "85.10.1.7", "the shop's own word stands");
        assert_eq!(document["unverified"], json!(["/user_agent", "/device/accept_language"]));
        let mut without_ip = order();
        without_ip["userIP"] = Value::Null;
        let document = document_of(&without_ip, Some(&notice)).unwrap();
        assert_eq!(document["ip_address"], "1.2.3.4");
        assert_eq!(document["unverified"][0], "/ip_address");
    }

    #[test]
    fn a_member_that_cannot_be_read_counts_as_absent_with_a_warning() {
        let mut odd = order();
        odd["userIP"] = json!("unknown");
        odd["billingAddress"]["country"]["code"] = json!("Sweden");
        odd["createdAt"] = json!("yesterday");
        let document = document_of(&odd, None).unwrap().to_string();
        let order = Order::parse(&Json::parse_text(&document).unwrap()).unwrap();
        assert_eq!((order.ip_address, order.created_at), (None, None));
        assert_eq!(order.billing_address.unwrap().country.unwrap().as_str(), "SE");
        let fields: Vec<_> = order.warnings.iter().map(|warning| warning.field.as_str()).collect();
        assert_eq!(fields, ["/ip_address", "/created_at"]);
    }

    #[test]
    fn a_nul_is_left_out_and_nothing_else() {
        for (text, kept) in [
            (r#"{"a":"b\u0000c"}"#, r#"{"a":"bc"}"#),
            (r#"{"a":"b\\u0000c"}"#, r#"{"a":"b\\u0000c"}"#),
            (r#"{"a":"\\\u0000\n"}"#, r#"{"a":"\\\n"}"#),
            ("\\u0000", ""),
        ] {
            assert_eq!(without_nul(text), kept);
        }
    }

    #[test]
    fn a_card_number_is_masked() {
        let mut order = order();
        order["billingAddress"]["address2"] = json!("card 4111 1111 1111 1111");
        let document = document_of(&order, None).unwrap();
        assert!(!document.to_string().contains("1111 1111"), "{document}");
    }

    #[test]
    fn without_a_total_there_is_nothing_to_screen() {
        for (at, value) in [("/grandTotal", Value::Null), ("/grandTotal/currency/code", json!("XXXX"))] {
            let mut order = order();
            *order.pointer_mut(at).unwrap() = value;
            assert_eq!(document_of(&order, None), Err(Unmappable::Total), "{at}");
        }
        assert_eq!(document("nonsense", None), Err(Unmappable::Unreadable));
    }

    proptest! {
        #[test]
        fn whatever_a_member_holds_the_order_is_screened(at in 0usize..9, odd in prop_oneof![
            Just(json!(null)), Just(json!(7)), Just(json!([1, {}])), Just(json!({"a": "b"})), ".{0,40}".prop_map(Value::from),
        ]) {
            let mut order = order();
            let pointers = ["/userIP", "/createdAt", "/billingAddress", "/billingAddress/country/code", "/lines",
                "/lines/0/quantity", "/lines/0/productSize", "/customer", "/paymentHistory"];
            *order.pointer_mut(pointers[at]).unwrap() = odd;
            prop_assert!(document_of(&order, None).is_ok());
        }
    }
}
