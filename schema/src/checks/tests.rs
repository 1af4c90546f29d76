//! Tests of this module.

use proptest::prelude::*;
use touchstone_hostile::{Form, assert_within_budget, documents};

use super::*;
use crate::event::EventKind;
use crate::fault::Fault;
use crate::history::Happening;
use crate::input::Handling;
use crate::json::Json;
use crate::limits;
use crate::order::Order;

const FULL: &str = r#"{
    "transaction": {"type": "sale", "order_id": "A-1", "ordered_on": "2026-01-02 03:04:05", "order_is_digital": true,
        "order_total": "129.90", "order_currency": "eur", "status": "New", "event": "checkout", "user_id": 77,
        "order_source": "web", "order_count": 3, "total_spent": 812.5, "session_id": "s1", "coupon_code": "TEN",
        "order_subtotal": 125, "order_tax": 0, "order_shipping": 4.9, "order_discount": 10, "cart_token": "C-1"},
    "billing": {"first_name": "Ann", "last_name": "Lee", "address1": "Street 1", "city": "Berlin", "postal_code": 10115,
        "country": "de", "email": "ann@example.com", "phone": "+49 30 1"},
    "shipping": {"city": "Potsdam", "country": "DE"},
    "payment": {"method": "Credit Card", "type": "VISA", "bin": "41111111111", "last_4": 42, "exp_date": "0928",
        "avs_result_code": "y", "cvv_result_code": "m", "auth_attempts": 3, "eci": 5, "payment_status": "auth"},
    "device": {"ip_address": "192.0.2.1", "user_agent": "Mozilla/5.0", "fingerprint_id": "d1", "language": "de",
        "time_zone": "Europe/Berlin", "is_proxy": true, "is_tor": "false"},
    "delivery": {"method": "Express"}, "campaign": {"source": "letter"},
    "promotions": [{"code": "SPRING", "amount": "1.50"}],
    "products": [{"product_id": 7, "title": "Shoe", "price": 62.5, "quantity": 2}],
    "unknown": {"kept": [1.50]}
}"#;

fn check(text: &str, subject: Subject) -> Result<Check, Vec<Fault>> {
    read_check(&Json::parse_text(text).unwrap(), subject, Handling::Strict)
}

fn update(text: &str, subject: Subject) -> Result<Update, Vec<Fault>> {
    read_update(&Json::parse_text(text).unwrap(), subject, Handling::Strict)
}

fn pointers<T: std::fmt::Debug>(read: Result<T, Vec<Fault>>) -> Vec<String> {
    read.unwrap_err().into_iter().map(|fault| fault.pointer).collect()
}

#[test]
fn a_full_check_becomes_an_order() {
    let check = check(FULL, Subject::Transaction).unwrap();
    assert_eq!((check.id.as_str(), check.cart.as_deref()), ("A-1", Some("C-1")));
    assert_eq!(check.ordered_on.to_rfc3339(), "2026-01-02T03:04:05.000Z");
    let document = Json::parse_text(&check.document).unwrap();
    assert_eq!(document.get(ORIGINAL).unwrap(), &Json::parse_text(FULL).unwrap());
    let order = Order::parse(&document).unwrap();
    assert_eq!((order.order_id.as_str(), order.amount.minor(), order.currency().code()), ("A-1", 12_990, "EUR"));
    assert_eq!(order.created_at, Some(check.ordered_on));
    assert_eq!((order.customer.id.as_deref(), order.customer.orders_count), (Some("77"), Some(3)));
    assert_eq!(order.customer.email.as_deref(), Some("ann@example.com"));
    assert_eq!(order.billing_address.unwrap().postal_code.as_deref(), Some("10115"));
    assert_eq!(order.shipping_address.unwrap().city.as_deref(), Some("Potsdam"));
    let payment = &order.payment;
    assert_eq!((payment.method.as_deref(), payment.card_brand.as_deref()), (Some("card"), Some("visa")));
    assert_eq!((payment.card_bin.as_deref(), payment.card_last4.as_deref()), (Some("41111111"), Some("0042")));
    assert_eq!((payment.card_expiry.unwrap().to_string().as_str(), payment.eci.as_deref()), ("09/28", Some("05")));
    assert_eq!((payment.decline_count, payment.was_authorized), (Some(2), Some(true)));
    assert_eq!((order.device.session_id.as_deref(), order.device.is_proxy), (Some("s1"), Some(true)));
    assert_eq!((order.shipping_method.as_deref(), order.shipping_amount.unwrap().minor()), (Some("Express"), 490));
    assert_eq!((order.line_items[0].price.unwrap().minor(), order.line_items[0].is_digital), (6250, Some(true)));
    let codes: Vec<_> = order.discount_codes.iter().map(|code| code.code.as_deref().unwrap()).collect();
    assert_eq!(codes, ["TEN", "SPRING"]);
}

/// What a check needs.
const FORM: Form = Form {
    members: r#""transaction":{"order_id":"A-1","ordered_on":"2026-01-02 03:04:05","order_total":"129.90"}"#,
    list: "products",
    item: r#"{"product_id":7,"title":"Shoe","price":62.5,"quantity":2}"#,
};

#[test]
fn reading_a_check_costs_a_fixed_multiple_of_its_bytes_whatever_its_shape() {
    assert_within_budget(&documents(FORM), |shape| {
        let document = Json::parse_text(&shape.text)?;
        let read = read_check(&document, Subject::Transaction, Handling::Lenient);
        Ok::<_, crate::json::JsonError>((read, document.canonical_hash()))
    });
}

#[test]
fn reading_an_update_costs_a_fixed_multiple_of_its_bytes_whatever_its_shape() {
    let form = Form { members: r#""cart_id":"C-1","status":"new","cancelled_reasons":["policy abuse"]"#, ..FORM };
    for subject in [Subject::Cart, Subject::Transaction] {
        assert_within_budget(&documents(form), |shape| {
            Json::parse_text(&shape.text).map(|document| read_update(&document, subject, Handling::Complete))
        });
    }
}

#[test]
fn an_article_number_that_looks_like_a_card_stays_readable() {
    let text = FULL.replace("\"product_id\": 7", "\"product_id\": \"4006381300063\", \"sku\": 4006381300063");
    let check = check(&text, Subject::Transaction).unwrap();
    assert!(!check.document.contains('*'), "{}", check.document);
    let order = Order::parse(&Json::parse_text(&check.document).unwrap()).unwrap();
    assert_eq!(order.line_items[0].sku.as_deref(), Some("4006381300063"));
}

#[test]
fn what_is_read_is_what_is_left_when_card_numbers_are_masked() {
    let total = FULL.replace("\"129.90\"", "4222222222222");
    assert_eq!(pointers(check(&total, Subject::Transaction)), ["/transaction/order_total"]);
    let cart = FULL.replace("\"C-1\"", "\"4111111111111111\"");
    let check = check(&cart, Subject::Transaction).unwrap();
    assert_eq!(check.cart.as_deref(), Some("4111111111111111"), "it names a cart");
}

#[test]
fn two_members_are_enough_and_the_total_comes_from_the_products() {
    let check = |rest: &str, subject: Subject| {
        let id = subject.id_member();
        let text = format!(r#"{{"transaction":{{"{id}":"1","ordered_on":"2026-01-02"}}{rest}}}"#);
        let check = check(&text, subject).unwrap();
        Order::parse(&Json::parse_text(&check.document).unwrap()).unwrap()
    };
    let bare = check("", Subject::Cart);
    assert_eq!((bare.amount.minor(), bare.currency().code()), (0, "USD"));
    let products = r#","products":[{"product_id":"a","title":"A","price":"2.50","quantity":3},
        {"product_id":"b","title":"B","price":-1,"quantity":1}]"#;
    assert_eq!(check(products, Subject::Transaction).amount.minor(), 650);
}

#[test]
fn every_fault_of_a_check_has_its_pointer() {
    assert_eq!(pointers(check("{}", Subject::Cart)), ["/transaction/cart_id", "/transaction/ordered_on"]);
    assert_eq!(pointers(check("[]", Subject::Cart)), [""]);
    let text = r#"{"transaction":{"order_id":"1","ordered_on":"2026-01-02","order_total":"1.001","status":"converted"},
        "billing":{"country":"ZZ"},"payment":{"bin":"123456789012","exp_date":"1328","payment_status":"lost"},
        "device":{"ip_address":"1.2"},"products":[{"price":1,"quantity":1.5}]}"#;
    let mut found = pointers(check(text, Subject::Transaction));
    found.sort();
    assert_eq!(
        found,
        [
            "/billing/country",
            "/device/ip_address",
            "/payment/bin",
            "/payment/exp_date",
            "/payment/payment_status",
            "/products/0/product_id",
            "/products/0/quantity",
            "/products/0/title",
            "/transaction/order_total",
            "/transaction/status",
        ]
    );
}

#[test]
fn what_is_no_sale_is_refused_with_what_to_call_instead() {
    let of = |kind: &str, subject: Subject| {
        let id = subject.id_member();
        let text = format!(r#"{{"transaction":{{"{id}":"1","ordered_on":"2026-01-02","type":"{kind}"}}}}"#);
        check(&text, subject)
    };
    for (kind, told) in [
        ("refund", "PATCH /v2/risk/order with payment_status refunded"),
        ("Partial Refund", "payment_status partially refunded"),
        ("RETURN", "status returned"),
        ("credit-note", "payment_status refunded"),
        ("void", "payment_status void"),
        ("chargeback", "chargeback_status"),
        ("Cancellation", "status cancelled"),
    ] {
        let faults = of(kind, Subject::Transaction).expect_err(kind);
        assert_eq!(faults[0].pointer, "/transaction/type", "{kind}");
        assert!(faults[0].message.contains(told), "{kind}: {}", faults[0].message);
    }
    let faults = of("return", Subject::Cart).unwrap_err();
    assert!(faults[0].message.contains("PATCH /v2/risk/cart with payment_status refunded"), "{}", faults[0].message);
    for kind in ["sale", "Sale", "", "purchase", "auth", "subscription"] {
        assert!(of(kind, Subject::Transaction).is_ok(), "{kind}");
    }
}

#[test]
fn an_unknown_word_is_told_the_known_ones() {
    let faults = update(r#"{"order_id":"1","chargeback_status":"open"}"#, Subject::Transaction).unwrap_err();
    assert_eq!(faults, [Fault::new("/chargeback_status", "expected one of opened, won, lost")]);
    let faults = update(r#"{"cart_id":"1","status":"hold"}"#, Subject::Cart).unwrap_err();
    assert_eq!(faults[0].message, "expected one of new, verified, approved, converted, cancelled");
}

#[test]
fn full_card_numbers_are_refused_in_payment_fields_and_masked_elsewhere() {
    let text = |member: &str| format!(r#"{{"transaction":{{"order_id":"1","ordered_on":"2026-01-02"}},{member}}}"#);
    let refused = text(r#""payment":{"token":"4111 1111 1111 1111"}"#);
    assert_eq!(pointers(check(&refused, Subject::Transaction)), ["/payment/token"]);
    let masked = check(&text(r#""billing":{"company":"4111111111111111"}"#), Subject::Transaction).unwrap();
    assert!(!masked.document.contains("4111111111111111"), "{}", masked.document);
    let refused = r#"{"cart_id":"1","payment":{"note":"4111111111111111"}}"#;
    assert_eq!(pointers(update(refused, Subject::Cart)), ["/payment/note"]);
    let masked = update(r#"{"order_id":"1","note":"4111111111111111"}"#, Subject::Transaction).unwrap();
    assert!(!masked.document.contains("4111111111111111"));
    assert!(!masked.note.value().unwrap().contains("4111111111111111"));
}

#[test]
fn long_ids_are_whole_and_their_orders_are_told_apart() {
    let check = |id: &str| {
        check(&format!(r#"{{"transaction":{{"order_id":"{id}","ordered_on":"2026-01-02"}}}}"#), Subject::Transaction)
    };
    let long = "é".repeat(limits::CHECK_ID_CHARS);
    let read = check(&long).unwrap();
    assert_eq!(read.id, long);
    let order = |read: &Check| Order::parse(&Json::parse_text(&read.document).unwrap()).unwrap().order_id;
    let other = check(&format!("{}x", "é".repeat(limits::CHECK_ID_CHARS - 1))).unwrap();
    assert_ne!(order(&read), order(&other));
    assert_eq!(pointers(check(&format!("{long}é"))), ["/transaction/order_id"]);
}

#[test]
fn what_is_as_deep_as_is_accepted_can_be_read_again() {
    let nested = |levels: usize| {
        let (open, close) = ("[".repeat(levels), "]".repeat(levels));
        format!(r#"{{"transaction":{{"order_id":"1","ordered_on":"2026-01-02"}},"deep":{open}{close}}}"#)
    };
    let read = check(&nested(limits::JSON_DEPTH - 2), Subject::Transaction).unwrap();
    assert!(Json::parse_text(&read.document).is_ok());
    assert_eq!(pointers(check(&nested(limits::JSON_DEPTH - 1), Subject::Transaction)), [""]);
}

#[test]
fn what_is_left_out_stays_and_what_is_empty_is_cleared() {
    let mut state = State::of_order(&Json::parse_text(&check(FULL, Subject::Transaction).unwrap().document).unwrap());
    let state = state.as_mut().unwrap();
    assert_eq!(state.payment_status, Some(PaymentStatus::Auth));
    let first = r#"{"transaction":{"order_id":"1","note":"x","balance":1.50,"status":"Hold","agent_code":5}}"#;
    state.apply(&update(first, Subject::Transaction).unwrap());
    let second = r#"{"order_id":"1","note":"","balance":null,"is_locked":true}"#;
    state.apply(&update(second, Subject::Transaction).unwrap());
    assert_eq!((state.note.as_deref(), state.balance.as_deref()), (None, Some("1.50")));
    assert_eq!(
        (state.status, state.is_locked, state.agent_code.as_deref()),
        (CheckStatus::Hold, Some(true), Some("5"))
    );
    let stored = serde_json::to_string(&state).unwrap();
    assert_eq!(&serde_json::from_str::<State>(&stored).unwrap(), state);
}

#[test]
fn a_cart_takes_its_payment_block() {
    let mut cart = State::new(Subject::Cart);
    let told = r#"{"cart_id":"1","payment":{"bin":"411111","avs_result_code":"y","payment_status":"Declined"}}"#;
    let meaning = cart.apply(&update(told, Subject::Cart).unwrap());
    assert_eq!(meaning.happenings, [Happening::FailedAttempt]);
    cart.apply(&update(r#"{"cart_id":"1","payment":{"bin":""}}"#, Subject::Cart).unwrap());
    assert_eq!(cart.payment.keys().collect::<Vec<_>>(), ["avs_result_code"]);
    assert_eq!(cart.payment_status, Some(PaymentStatus::Declined));
    assert_eq!(pointers(update(r#"{"cart_id":"1","payment":{"bin":"x"}}"#, Subject::Cart)), ["/payment/bin"]);
}

#[test]
fn labels_are_what_the_merchant_learnt_and_are_told_once() {
    let meanings = [
        (r#""is_fraud":true"#, vec![Happening::FraudConfirmed], EventKind::OrderStatusChanged),
        (r#""is_fraud":true,"fraud_type":"identity theft""#, vec![], EventKind::OrderStatusChanged),
        (r#""is_fraud":false"#, vec![Happening::Legitimate], EventKind::OrderStatusChanged),
        (r#""payment_status":"partially refunded""#, vec![Happening::Refunded], EventKind::OrderStatusChanged),
        (r#""payment_status":"chargeback""#, vec![Happening::ChargebackOpened], EventKind::ChargebackOpened),
        (r#""chargeback_status":"won""#, vec![Happening::ChargebackUpheld], EventKind::ChargebackUpheld),
        (r#""chargeback_status":"lost""#, vec![Happening::ChargebackReversed], EventKind::ChargebackReversed),
        (r#""status":"cancelled""#, vec![Happening::Cancelled], EventKind::OrderStatusChanged),
        (r#""status":"fulfilled""#, vec![Happening::Fulfilled], EventKind::OrderStatusChanged),
        (
            r#""payment_status":"declined","status":"fulfilled""#,
            vec![Happening::FailedAttempt],
            EventKind::OrderStatusChanged,
        ),
        (r#""is_fraud":"""#, vec![Happening::FraudConfirmed], EventKind::OrderStatusChanged),
    ];
    let mut state = State::new(Subject::Transaction);
    for (members, happenings, kind) in meanings {
        let told = update(&format!(r#"{{"order_id":"1",{members}}}"#), Subject::Transaction).unwrap();
        let meaning = state.apply(&told);
        assert_eq!((meaning.happenings.clone(), meaning.event_kind()), (happenings, kind), "{members}");
    }
}

#[test]
fn transitions_that_are_not_drawn_are_applied_and_flagged() {
    let mut state = State::new(Subject::Transaction);
    let told = r#"{"order_id":"1","status":"returned","chargeback_status":"won"}"#;
    let meaning = state.apply(&update(told, Subject::Transaction).unwrap());
    assert_eq!((state.status, state.chargeback_status), (CheckStatus::Returned, Some(ChargebackStatus::Won)));
    let flags: Vec<_> = meaning.flags.iter().map(|flag| (flag.member.as_str(), flag.from.as_deref())).collect();
    assert_eq!(flags, [("status", Some("new")), ("chargeback_status", None)]);
}

/// Every change between two statuses that the description draws, and no other.
#[test]
fn exactly_the_drawn_transitions_are_drawn() {
    let drawn = |subject: Subject| {
        let pairs =
            CheckStatus::of(subject).iter().flat_map(|from| CheckStatus::of(subject).iter().map(move |to| (from, to)));
        let drawn = pairs.filter(|(from, to)| from != to && is_drawn(subject, **from, **to));
        drawn.map(|(from, to)| format!("{from}>{to}")).collect::<Vec<_>>()
    };
    assert_eq!(
        drawn(Subject::Transaction),
        [
            "new>hold",
            "new>queued",
            "new>approved",
            "new>cancelled",
            "hold>queued",
            "hold>approved",
            "hold>cancelled",
            "queued>hold",
            "queued>approved",
            "queued>cancelled",
            "approved>cancelled",
            "approved>fulfilled",
            "fulfilled>returned"
        ]
    );
    assert_eq!(drawn(Subject::Cart), ["new>verified", "verified>approved", "verified>converted"]);
}

#[test]
fn amounts_are_those_of_the_orders_currency() {
    let told = update(r#"{"order_id":"1","balance":"1.50","order_total":2}"#, Subject::Transaction).unwrap();
    let currency = |code| crate::money::Currency::from_code(code).unwrap();
    assert_eq!(told.check_amounts(currency("EUR")), Ok(()));
    assert_eq!(told.check_amounts(currency("JPY")).unwrap_err()[0].pointer, "/balance");
    let wrapped = update(r#"{"transaction":{"order_id":"1","order_total":2.5}}"#, Subject::Transaction).unwrap();
    assert_eq!(wrapped.check_amounts(currency("JPY")).unwrap_err()[0].pointer, "/transaction/order_total");
}

#[test]
fn members_that_updates_do_not_have_are_named_in_warnings() {
    let unknown = |text: &str, subject| -> Vec<String> {
        update(text, subject).unwrap().unknown.into_iter().map(|warning| warning.field).collect()
    };
    let known = r#"{"order_id":"1","status":"fulfilled","note":"left at the door"}"#;
    assert!(unknown(known, Subject::Transaction).is_empty());
    assert_eq!(unknown(r#"{"order_id":"1","staus":"cancelled","a/b":1}"#, Subject::Transaction), ["/staus", "/a~1b"]);
    let wrapped = r#"{"transaction":{"order_id":"1","is_fruad":true},"status":"cancelled"}"#;
    assert_eq!(unknown(wrapped, Subject::Transaction), ["/status", "/transaction/is_fruad"]);
    let cart = r#"{"cart_id":"1","payment":{"eci":"05"}}"#;
    assert!(unknown(cart, Subject::Cart).is_empty());
    let many: Vec<_> = (0..100).map(|number| format!(r#""x{number}":0"#)).collect();
    let many = format!(r#"{{"order_id":"1",{}}}"#, many.join(","));
    assert_eq!(unknown(&many, Subject::Transaction).len(), limits::ORDER_WARNINGS);
}

/// Any JSON, made of what documents are made of and of what they are not.
fn any_json() -> impl Strategy<Value = String> {
    let names = "transaction|payment|products|order_id|cart_id|ordered_on|order_total|status|bin|exp_date|last_4|note|promotions|device|ip_address|amount|price|quantity|title|balance|billing|country";
    let leaf = prop_oneof![
        "null|true|0|-1|1\\.5|1e99|4111111111111111|1\\.001".prop_map(|text| text),
        "(\"(|new|2026-01-02|auth|1\u{fc}25|0\u{fc}|12/30|12\u{fc}0|DE|1\\.2\\.3\\.4|4111111111111111|\u{fc}\u{fc}x)\")",
    ];
    leaf.prop_recursive(4, 64, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::btree_map(names, inner, 0..8).prop_map(|members| {
                let members: Vec<_> = members.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}

proptest! {
    #[test]
    fn no_document_panics_and_what_is_read_is_an_order(text in any_json(), total in "[0-9]{1,9}(\\.[0-9]{1,2})?") {
        let wrapped = format!(
            r#"{{"transaction":{{"order_id":"1","cart_id":"2","ordered_on":"2026-01-02","order_total":{total}}},"payment":{text},"extra":{text}}}"#
        );
        for text in [&text, &wrapped] {
            let Ok(document) = Json::parse_text(text) else { continue };
            for subject in [Subject::Transaction, Subject::Cart] {
                if let Ok(check) = read_check(&document, subject, Handling::Lenient) {
                    let stored = Json::parse_text(&check.document).unwrap();
                    prop_assert!(Order::parse(&stored).is_ok(), "{}", check.document);
                    prop_assert_eq!(State::of_order(&stored).unwrap().subject, subject);
                }
                if let Ok(update) = read_update(&document, subject, Handling::Complete) {
                    State::new(subject).apply(&update);
                }
            }
        }
    }
}
