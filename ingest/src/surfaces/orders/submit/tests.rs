//! The form of an order, fault by fault, and under whatever is sent.

use proptest::prelude::*;
use serde_json::{Value, json};
use touchstone_hostile::{Form, assert_within_budget, documents, pointers};

use super::*;

fn order() -> Value {
    let address = json!({
        "firstName": "Maria", "lastName": "Keller", "address1": "12 Elm Street", "city": "Portland", "state": "OR",
        "country": "US", "zip": "97205", "eveningPhone": "+15035550142", "email": "maria@example.com",
    });
    json!({
        "orderNumber": "1", "siteName": "site", "grandTotal": 49.99, "orderDate": "2026-05-04", "customerId": "c-1",
        "billing": address, "shipping": address, "shippingMethod": "Ground", "shippingFee": "4.95", "mirScore": "7.5",
        "orderProducts": [{
            "sku": "A", "name": "Shears", "sellingPrice": "22.52", "qty": 2, "stockNumber": "7", "brandname": "Keller",
        }],
        "payments": [{
            "paymentType": "creditcard", "gatewayStatus": "Declined", "bin": "411111", "lastFour": "4242",
            "expiration": "0528", "avsCode": "y", "cidResponse": "Y", "eciCode": "5", "fraudFree": "true",
        }],
        "repeatCustomer": true, "promoCode": "SPRING", "custom1": 1.5, "ipAddress": "67.160.12.9",
    })
}

fn received(order: &Value) -> Result<Received, Problem> {
    let text = order.to_string();
    let document = Json::parse_text(&text).expect("JSON");
    receive(document, text.as_bytes(), Currency::from_code("USD").expect("a currency"), Handling::Lenient)
}

fn canonical(order: &Value) -> Order {
    let received = received(order).expect("it has no faults");
    Order::parse(&Json::parse_text(received.document.get()).expect("JSON")).expect("an order")
}

#[test]
fn an_order_becomes_a_canonical_one() {
    let read = canonical(&order());
    assert_eq!((read.order_id.as_str(), read.amount.to_string().as_str()), ("1", "49.99 USD"));
    let payment = &read.payment;
    assert_eq!(payment.was_authorized, Some(false));
    assert_eq!(payment.card_expiry.map(|until| until.to_string()).as_deref(), Some("05/28"));
    let codes =
        [&payment.avs_result, &payment.cvv_result, &payment.eci].map(|code| code.as_deref().unwrap_or_default());
    assert_eq!(codes, ["Y", "M", "05"]);
    assert_eq!(read.customer.is_trusted, Some(true));
    assert_eq!(read.merchant_score_millionths, Some(7_500_000));
    assert_eq!(read.shipping_amount.map(|fee| fee.minor()), Some(495));
    assert_eq!(read.line_items[0].quantity.map(|quantity| quantity.pieces()), Some(2));
    assert_eq!(read.discount_codes[0].code.as_deref(), Some("SPRING"));
    assert_eq!(read.source.map(|source| source.as_str()), Some("web"));
    for (name, value) in [("site_name", "site"), ("custom1", "1.5"), ("fraud_free", "true")] {
        assert!(read.metadata.contains(&(name.to_owned(), value.to_owned())), "{name}");
    }
    let mut by_phone = order();
    by_phone["outboundCallerId"] = json!("+15035550100");
    assert_eq!(canonical(&by_phone).source.map(|source| source.as_str()), Some("phone"));
}

#[test]
fn what_is_answered_later_is_told_by_the_order() {
    let facts = received(&order()).expect("it has no faults").facts;
    assert!(facts.is_usa && facts.ships_to_billing);
    assert_eq!((facts.avs_code.as_deref(), facts.shipping_method.as_deref()), (Some("y"), Some("Ground")));
    let mut abroad = order();
    abroad["shipping"]["country"] = json!("CA");
    abroad["shipping"]["state"] = json!("BC");
    let facts = received(&abroad).expect("it has no faults").facts;
    assert!(!facts.is_usa && !facts.ships_to_billing);
    let mut respelled = order();
    respelled["shipping"]["address1"] = json!(" 12  ELM street");
    assert!(received(&respelled).expect("it has no faults").facts.ships_to_billing);
}

#[test]
fn numbers_of_orders_and_articles_that_look_like_cards_stay_as_they_were_sent() {
    let ean = "4006381300063";
    let mut sent = order();
    sent["orderNumber"] = json!(ean);
    sent["customerId"] = json!(ean);
    for (field, value) in [("sku", json!(ean)), ("stockNumber", json!(ean))] {
        sent["orderProducts"][0][field] = value;
    }
    let received = received(&sent).expect("it has no faults");
    assert_eq!((received.facts.order_number.as_str(), received.original.as_str()), (ean, sent.to_string().as_str()));
    let read = canonical(&sent);
    assert_eq!((read.order_id.as_str(), read.line_items[0].sku.as_deref()), (ean, Some(ean)));
}

#[test]
fn an_amount_that_looks_like_a_card_is_a_fault_and_no_failure_of_ours() {
    let mut sent = order();
    sent["grandTotal"] = json!("4222222222222");
    let faults = received(&sent).expect_err("it cannot be kept");
    assert_eq!((faults.status, faults.code), (http::StatusCode::BAD_REQUEST, "invalid_field"));
}

#[test]
fn reading_an_order_costs_a_fixed_multiple_of_its_bytes_whatever_its_shape() {
    let form = Form {
        members: r#""orderNumber":"1","siteName":"site","grandTotal":49.99,"orderDate":"2026-05-04","billing":{"firstName":"Maria",
            "lastName":"Keller","address1":"12 Elm Street","city":"Portland","state":"OR","country":"US","zip":"97205",
            "eveningPhone":"+15035550142","email":"maria@example.com"},"payments":[{"paymentType":"creditcard","bin":"411111",
            "lastFour":"4242","avsCode":"y","cidResponse":"Y"}]"#,
        list: "orderProducts",
        item: r#"{"sku":"A","name":"Shears","sellingPrice":"22.52","qty":2,"stockNumber":"7","brandname":"Keller"}"#,
    };
    let currency = Currency::from_code("USD").expect("a currency");
    assert_within_budget(&documents(form), |shape| {
        Json::parse_text(&shape.text)
            .map(|document| receive(document, shape.text.as_bytes(), currency, Handling::Lenient))
    });
}

/// Any JSON, in which what an order has may occur.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[ -~é]{0,20}".prop_map(Value::from),
        Just(json!("4111 1111 1111 1111")),
        Just(json!("US")),
    ];
    leaf.prop_recursive(3, 32, 6, |inner| {
        let names = prop_oneof!["[a-z~/]{1,6}", Just("paymentType".to_owned()), Just("billing".to_owned())];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(names, inner, 0..5).prop_map(|members| members.into_iter().collect()),
        ]
    })
}

fn is_taken_or_every_fault_has_its_field(order: &Value) {
    match received(order) {
        Ok(_) => {}
        Err(problem) => {
            assert_eq!(problem.code, "invalid_field", "{order}");
            assert!(problem.faults().iter().all(|(field, message)| field.starts_with('/') && !message.is_empty()));
        }
    }
}

proptest! {
    #[test]
    fn any_document_is_taken_or_refused_field_by_field(document in any_json()) {
        is_taken_or_every_fault_has_its_field(&document);
    }

    #[test]
    fn an_order_with_anything_anywhere_is_taken_or_refused_field_by_field(place: prop::sample::Index, odd in any_json()) {
        let mut spoilt = order();
        let mut places = Vec::new();
        pointers(&spoilt, "", &mut places);
        let place = place.get::<String>(&places);
        *spoilt.pointer_mut(place).expect("it is there") = odd;
        is_taken_or_every_fault_has_its_field(&spoilt);
    }
}
