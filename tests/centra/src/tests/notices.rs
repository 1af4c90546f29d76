use serde_json::{Value, json};

use super::shop;
use crate::{Order, PaymentMethod};

fn names(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[tokio::test]
async fn notice_has_the_fields_of_the_document() {
    let order = Order::ordinary(1042).with_total("100.00", "SEK");
    let shop = shop([order.clone()]).await;
    let notice = shop.notice(&order.id).unwrap();

    assert_eq!(
        names(&notice),
        [
            "billingAddress",
            "device_details",
            "notificationType",
            "order",
            "orderLines",
            "paymentDetails",
            "shippingAddress"
        ]
    );
    let billing = &notice["billingAddress"];
    let shipping = [
        "address1",
        "address2",
        "city",
        "company",
        "country",
        "countryName",
        "email",
        "firstName",
        "lastName",
        "phoneNumber",
        "state",
        "zipCode",
    ];
    assert_eq!(names(&notice["shippingAddress"]), shipping);
    assert_eq!(names(billing).into_iter().filter(|name| *name != "vatNumber").collect::<Vec<_>>(), shipping);
    assert_eq!(billing["vatNumber"], "");
    assert_eq!((&billing["country"], &billing["countryName"]), (&json!("sv_SV"), &json!("Sweden")));
    assert_eq!(notice["order"], json!({ "order": "#1042" }));
    assert_eq!(names(&notice["orderLines"][0]), ["brand", "name", "quantity", "sku", "totalPrice"]);
    assert_eq!(notice["orderLines"][0]["totalPrice"], 10_000);
    assert_eq!(notice["notificationType"], "orderWaitingForFraudCheck");
    assert_eq!(names(&notice["paymentDetails"]), ["pspIdentifier", "pspReference", "pspResponse"]);
    assert_eq!(notice["paymentDetails"]["pspIdentifier"], "adyen_drop_in");
    assert!(notice["paymentDetails"]["pspResponse"].is_array());
    assert_eq!(names(&notice["device_details"]), ["browser_language", "ip_address", "user_agent"]);
    assert_eq!(shop.notice("unknown"), None);
}

#[tokio::test]
async fn notice_of_a_failed_attempt_has_the_same_structure() {
    let order = Order::held(7).with_payment_method(PaymentMethod::klarna_payments());
    let shop = shop([order.clone()]).await;
    let notice = shop.failed_attempt_notice(&order.id).unwrap();

    assert_eq!(notice["notificationType"], "failedPaymentAttempt");
    assert_eq!(notice["paymentDetails"]["pspIdentifier"], "klarna-payments");
    assert_eq!(notice["paymentDetails"]["pspResponse"][0]["resultCode"], "Refused");
    assert_eq!(notice.get("device_details"), None);
    assert_eq!(names(&notice), names(&order.notice()));
}

#[test]
fn presets_are_as_harmless_and_as_bad_as_they_say() {
    for number in [1, 2, 77, 4_000] {
        let good = Order::ordinary(number);
        assert_eq!(good, Order::ordinary(number).with_created_at(good.created_at));
        assert_eq!(good.billing, good.shipping);
        assert_eq!(good.payments.iter().map(|payment| payment.status.as_str()).collect::<Vec<_>>(), ["SUCCESS"]);
        assert_eq!(good.payments[0].value, good.grand_total);
        assert!(good.is_on_hold());
        assert_eq!(good.id.len(), 32);

        let bad = Order::suspicious(number);
        assert_ne!(bad.billing.unwrap().country, bad.shipping.unwrap().country);
        assert_eq!(bad.payments.iter().filter(|payment| payment.status == "FAILED").count(), 3);
        let lines: i64 = bad.lines.iter().map(|line| line.unit_price.times(line.quantity).minor_units()).sum();
        assert_eq!(lines, bad.grand_total.minor_units());
    }
    assert_ne!(Order::held(1).id, Order::held(2).id);
    assert_ne!(Order::held(1).user_ip, Order::held(2).user_ip);
}
