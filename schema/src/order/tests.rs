//! Tests of this module.

use proptest::prelude::*;

use super::*;
use crate::fault::Fault;
use crate::input::Handling;
use crate::json::Json;
use crate::limits;

const FULL: &str = r#"{
    "order_id": "A-1", "amount": 129.90, "currency": "eur",
    "customer": {"id": 77, "email": " ann@example.com ", "phone": "+49 30 1", "first_name": "Ann", "last_name": "Lee",
        "created_at": "2025-01-02T03:04:05+01:00", "orders_count": "3", "is_guest": "false", "is_trusted": true},
    "billing_address": {"first_name": "Ann", "last_name": "Lee", "company": "", "address1": "Street 1", "address2": null,
        "city": "Berlin", "region": "BE", "postal_code": 10115, "country": "de", "phone": "1"},
    "shipping_address": {"country": "", "city": null},
    "payment": {"method": "Card", "gateway": "stripe", "transaction_id": "pi_1", "avs_result": "y", "cvv_result": "m",
        "eci": 5, "card_bin": 411111, "card_last4": 42, "card_expiry": "09/28", "card_fingerprint": "fp",
        "card_brand": "VISA", "card_funding": "Credit", "was_authorized": true, "decline_count": 0},
    "line_items": [{"sku": "S1", "name": "Shoe", "category": "shoes", "quantity": 2, "price": "64.95", "is_digital": false}],
    "ip_address": "::ffff:192.0.2.1", "user_agent": "Mozilla/5.0",
    "device": {"fingerprint_id": "d1", "session_id": "s1", "accept_language": "de", "time_zone": "Europe/Berlin", "is_proxy": "true", "is_tor": false},
    "created_at": "2026-01-02T03:04:05Z", "discount_codes": [{"code": "TEN", "amount": 10}], "source": "web",
    "shipping_method": "Express", "shipping_amount": 4.9, "merchant_score": "612.5", "metadata": {"a": "x", "b": 1.50, "c": true, "d": null},
    "unknown": {"kept": "elsewhere"}
}"#;

fn parse(text: &str) -> Result<Order, Vec<Fault>> {
    Order::parse(&Json::parse(text.as_bytes()).unwrap())
}

fn strictly(text: &str) -> Result<Order, Vec<Fault>> {
    Order::parse_with(&Json::parse(text.as_bytes()).unwrap(), Handling::Strict)
}

fn pointers(text: &str) -> Vec<String> {
    strictly(text).unwrap_err().into_iter().map(|fault| fault.pointer).collect()
}

fn with(members: &str) -> String {
    format!(r#"{{"order_id":"1","amount":1,"currency":"EUR",{members}}}"#)
}

#[test]
fn a_full_order_is_read() {
    let order = parse(FULL).unwrap();
    assert_eq!((order.order_id.as_str(), order.amount.minor(), order.currency().code()), ("A-1", 12_990, "EUR"));
    assert_eq!(order.customer.id.as_deref(), Some("77"));
    assert_eq!(order.customer.email.as_deref(), Some("ann@example.com"));
    assert_eq!((order.customer.orders_count, order.customer.is_guest), (Some(3), Some(false)));
    let billing = order.billing_address.unwrap();
    assert_eq!((billing.company, billing.address2, billing.postal_code.as_deref()), (None, None, Some("10115")));
    assert_eq!(billing.country, CountryCode::parse("DE"));
    assert_eq!(order.shipping_address, None);
    let payment = &order.payment;
    assert_eq!((payment.method.as_deref(), payment.card_brand.as_deref()), (Some("card"), Some("visa")));
    assert_eq!((payment.avs_result.as_deref(), payment.eci.as_deref()), (Some("Y"), Some("05")));
    assert_eq!((payment.card_bin.as_deref(), payment.card_last4.as_deref()), (Some("411111"), Some("0042")));
    assert_eq!(payment.card_expiry.unwrap().to_string(), "09/28");
    assert_eq!(
        (order.line_items[0].quantity, order.line_items[0].price.unwrap().minor()),
        (Some(Quantity::of_pieces(2)), 6495)
    );
    assert_eq!(order.ip_address.unwrap().to_string(), "192.0.2.1");
    assert_eq!(order.discount_codes[0].amount.unwrap().minor(), 1000);
    assert_eq!((order.source, order.shipping_amount.unwrap().minor()), (Some(OrderSource::Web), 490));
    assert_eq!(order.merchant_score_millionths, Some(612_500_000));
    let own_findings = (order.customer.is_trusted, order.device.is_proxy, order.device.is_tor);
    assert_eq!(own_findings, (Some(true), Some(true), Some(false)));
    let metadata: Vec<_> = order.metadata.iter().map(|(key, text)| (key.as_str(), text.as_str())).collect();
    assert_eq!(metadata, [("a", "x"), ("b", "1.50"), ("c", "true")]);
}

#[test]
fn three_members_are_enough_and_empty_ones_are_absent() {
    let order = parse(r#"{"order_id":900719925474099312345,"amount":"0.00","currency":"USD"}"#).unwrap();
    assert_eq!((order.order_id.as_str(), order.amount.minor()), ("900719925474099312345", 0));
    assert_eq!((order.customer, order.payment, order.device), Default::default());
    let empty =
        with(r#""customer":null,"payment":"","line_items":null,"ip_address":"","source":" ","created_at":null"#);
    assert_eq!(parse(&empty).unwrap().payment, Payment::default());
}

#[test]
fn required_members_are_asked_for_all_at_once() {
    assert_eq!(pointers("{}"), ["/order_id", "/currency", "/amount"]);
    assert_eq!(pointers(r#"{"order_id":" ","currency":"","amount":null}"#), ["/order_id", "/currency", "/amount"]);
    assert_eq!(pointers("[]"), [""]);
}

#[test]
fn everything_that_is_not_as_documented_is_refused_strictly_with_its_pointer() {
    let document = r#"{"order_id":"1","amount":-1,"currency":"EUR",
        "customer":{"email":1,"orders_count":-1,"is_guest":"maybe","created_at":"yesterday"},
        "billing_address":{"country":"ZZ","city":{}}, "shipping_address":[],
        "payment":{"card_bin":"12345","card_last4":"12345","card_expiry":"13/27","decline_count":1.5},
        "line_items":[{},{"price":"1.001"},7], "ip_address":"1.2.3", "created_at":"2026-01-02",
        "discount_codes":{}, "source":"fax", "shipping_amount":"-1", "merchant_score":"high", "metadata":{"a/b":[]}}"#;
    assert_eq!(
        pointers(document),
        [
            "/amount",
            "/customer/email",
            "/customer/created_at",
            "/customer/orders_count",
            "/customer/is_guest",
            "/billing_address/city",
            "/billing_address/country",
            "/shipping_address",
            "/payment/card_bin",
            "/payment/card_last4",
            "/payment/card_expiry",
            "/payment/decline_count",
            "/line_items/1/price",
            "/line_items/2",
            "/ip_address",
            "/created_at",
            "/discount_codes",
            "/source",
            "/shipping_amount",
            "/merchant_score",
            "/metadata/a~1b",
        ]
    );
}

#[test]
fn amounts_are_checked_against_the_currency() {
    assert_eq!(pointers(r#"{"order_id":"1","amount":1.5,"currency":"JPY"}"#), ["/amount"]);
    assert_eq!(pointers(r#"{"order_id":"1","amount":"abc","currency":"??"}"#), ["/currency", "/amount"]);
    assert_eq!(pointers(r#"{"order_id":"1","amount":1.234,"currency":"??"}"#), ["/currency"]);
}

#[test]
fn limits_hold_on_both_sides() {
    let id = |length| format!(r#"{{"order_id":"{}","amount":1,"currency":"EUR"}}"#, "é".repeat(length));
    assert!(parse(&id(limits::ORDER_ID_CHARS)).is_ok());
    assert_eq!(pointers(&id(limits::ORDER_ID_CHARS + 1)), ["/order_id"]);
    let agent = |length| with(&format!(r#""user_agent":"{}""#, "a".repeat(length)));
    assert!(strictly(&agent(limits::FIELD_CHARS)).is_ok());
    assert_eq!(pointers(&agent(limits::FIELD_CHARS + 1)), ["/user_agent"]);
    let lines = |count| with(&format!(r#""line_items":[{}]"#, vec!["{}"; count].join(",")));
    assert!(strictly(&lines(limits::ORDER_LIST_DOCUMENTED)).is_ok());
    assert_eq!(pointers(&lines(limits::ORDER_LIST_DOCUMENTED + 1)), ["/line_items"]);
    let faults = with(&format!(r#""line_items":[{}]"#, vec!["1"; limits::ORDER_LIST_DOCUMENTED].join(",")));
    assert_eq!(pointers(&faults).len(), MAX_FAULTS);
}

#[test]
fn faults_never_quote_values() {
    for fault in
        strictly(&with(r#""customer":{"email":{"secret":1},"created_at":"secret"},"source":"secret""#)).unwrap_err()
    {
        assert!(!fault.to_string().contains("secret"), "{fault}");
    }
}

#[test]
fn countries_are_the_assigned_ones() {
    for code in ["DE", "us", "Se", "XK", "AX", "ZW"] {
        assert_eq!(CountryCode::parse(code).unwrap().as_str(), code.to_ascii_uppercase());
    }
    assert_eq!(CountryCode::parse("UK"), CountryCode::parse("GB"));
    for code in ["", "D", "DEU", "ZZ", "EU", "É", "1A", "A ", "{{"] {
        assert_eq!(CountryCode::parse(code), None, "{code}");
    }
}

fn member_value() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "null",
        "\"\"",
        "\" \"",
        "0",
        "-1",
        "1.5",
        "1e999999999",
        "\"1e99\"",
        "true",
        "[]",
        "{}",
        "[{}]",
        "[[1]]",
        "\"x\"",
        "\"\u{fc}/\u{fc}\"",
        "\"1\u{fc}/27\"",
        "{\"country\":\"\u{fc}\",\"card_expiry\":\"0\u{fc}/2\",\"created_at\":7}",
        "{\"price\":\"x\",\"card_last4\":123456,\"card_bin\":-5,\"eci\":\"5\"}",
        "4111111111111111",
    ])
    .prop_map(str::to_owned)
}

proptest! {
    #[test]
    fn no_document_panics_and_parsing_is_deterministic(
        values in prop::collection::vec(member_value(), 16),
        present in prop::collection::vec(any::<bool>(), 16),
    ) {
        let names = ["order_id", "amount", "currency", "customer", "billing_address", "shipping_address", "payment",
            "line_items", "ip_address", "user_agent", "device", "created_at", "discount_codes", "source",
            "shipping_amount", "metadata"];
        let members = names.iter().zip(&values).zip(&present).filter(|(_, present)| **present);
        let members: Vec<_> = members.map(|((name, value), _)| format!("\"{name}\":{value}")).collect();
        let text = format!("{{{}}}", members.join(","));
        prop_assert_eq!(parse(&text), parse(&text));
    }

    #[test]
    fn what_is_stored_parses_to_the_same_order(id in "[a-zA-Z0-9é \"\\\\]{1,40}", minor in 0i64..100_000_000) {
        let text = format!(
            r#"{{"order_id":{},"amount":{}.{:02},"currency":"USD"}}"#,
            serde_json::to_string(&format!("x{id}")).unwrap(), minor / 100, minor % 100
        );
        let document = Json::parse(text.as_bytes()).unwrap();
        let stored = document.to_json_string();
        let order = Order::parse(&document).unwrap();
        prop_assert_eq!(order.amount.minor(), minor);
        prop_assert_eq!(Order::parse(&Json::parse(stored.as_bytes()).unwrap()).unwrap(), order);
    }
}
