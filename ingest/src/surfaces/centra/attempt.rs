//! A failed payment as the scorer remembers it: the notice in the form of an order, as far as the notice tells one.
//!
//! The amount is 0 in the store's own currency: a notice names no currency, and an attempt that failed bought nothing.

use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use touchstone_schema::centra::{Addressee, DeviceDetails, text_member};
use touchstone_schema::ids::{SubmissionId, TransactionId};
use touchstone_schema::json::Json;
use touchstone_schema::limits;
use touchstone_schema::order::Address;
use touchstone_schema::submission::{Submission, SubmissionKind};
use touchstone_schema::tenant::Surface;

use super::Connector;
use crate::http::service::Arrival;
use crate::problem::Problem;

/// A notice of a failed payment.
#[derive(Debug)]
pub(super) struct Attempt {
    /// Of the notice, card numbers masked.
    body_hash: String,
    /// What it tells of the order.
    order: Value,
}

impl Attempt {
    /// What is kept of a notice.
    pub(super) fn of(notice: &Json<'_>) -> Self {
        Self { body_hash: notice.canonical_hash(), order: order(notice) }
    }
}

/// The attempt on its way to the scorer. Its ids come from its content: sent again, it is the same attempt.
pub(super) fn submission(
    connector: &Connector,
    reference: String,
    attempt: Attempt,
    arrival: &Arrival,
) -> Result<Submission, Problem> {
    let (connection, store, tenant) = (&connector.connection.id, &connector.store, connector.tenant());
    let Attempt { body_hash, mut order } = attempt;
    order["order_id"] = reference.as_str().into();
    order["currency"] = store.currency.as_str().into();
    order["metadata"] = json!({"connection_id": connection.as_str()});
    let document = RawValue::from_string(order.to_string()).map_err(|error| {
        tracing::error!(%error, request_id = %arrival.request_id, "an attempt could not be written");
        Problem::internal()
    })?;
    Ok(Submission {
        version: Submission::VERSION,
        id: SubmissionId::of_attempt(connection, &body_hash),
        transaction_id: TransactionId::of_attempt(&store.data_key, tenant.mode, connection, &body_hash),
        tenant,
        surface: Surface::Centra,
        kind: SubmissionKind::FailedAttempt,
        order_id: reference,
        body_hash,
        received_at: arrival.at,
        deadline: None,
        request_id: arrival.request_id.clone(),
        trace: arrival.trace.clone(),
        document,
    })
}

/// What the notice tells of the order, in the canonical form.
fn order(notice: &Json<'_>) -> Value {
    let billing = Addressee::of(notice, "billingAddress");
    let shipping = Addressee::of(notice, "shippingAddress");
    let device = DeviceDetails::of(notice);
    let either = |one: &Option<String>, other: &Option<String>| one.clone().or_else(|| other.clone());
    let payment = notice.get("paymentDetails");
    json!({
        "amount": 0,
        "customer": present([
            ("email", either(&billing.email, &shipping.email)),
            ("phone", either(&billing.address.phone, &shipping.address.phone)),
            ("first_name", either(&billing.address.first_name, &shipping.address.first_name)),
            ("last_name", either(&billing.address.last_name, &shipping.address.last_name)),
        ]),
        "billing_address": address(billing.address),
        "shipping_address": address(shipping.address),
        "payment": present([("method", payment.and_then(|payment| text_member(payment, "pspIdentifier")))]),
        "line_items": lines(notice),
        "ip_address": device.ip_address.map(|address| address.to_string()),
        "user_agent": device.user_agent,
        "device": present([("accept_language", device.browser_language)]),
    })
}

fn address(address: Address) -> Value {
    present([
        ("first_name", address.first_name),
        ("last_name", address.last_name),
        ("company", address.company),
        ("address1", address.address1),
        ("address2", address.address2),
        ("city", address.city),
        ("region", address.region),
        ("postal_code", address.postal_code),
        ("country", address.country.map(|country| country.to_string())),
        ("phone", address.phone),
    ])
}

fn lines(notice: &Json<'_>) -> Value {
    let lines = notice.get("orderLines").and_then(Json::as_array).unwrap_or_default();
    let lines = lines.iter().filter(|line| line.as_object().is_some()).take(limits::ORDER_LIST_ITEMS);
    let lines = lines.map(|line| {
        let quantity = line.get("quantity").and_then(Json::as_number).and_then(|raw| raw.parse::<u32>().ok());
        let mut item = present([("sku", text_member(line, "sku")), ("name", text_member(line, "name"))]);
        item["quantity"] = quantity.into();
        item
    });
    lines.collect()
}

fn present<const N: usize>(members: [(&str, Option<String>); N]) -> Value {
    let members = members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), Value::from(value?))));
    Value::Object(members.collect::<Map<_, _>>())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use touchstone_schema::order::Order;

    use super::*;

    fn parsed(notice: &Value) -> Order {
        let text = notice.to_string();
        let mut order = order(&Json::parse_text(&text).expect("JSON"));
        order["order_id"] = "1001".into();
        order["currency"] = "EUR".into();
        let text = order.to_string();
        Order::parse(&Json::parse_text(&text).expect("JSON")).unwrap_or_else(|faults| panic!("{faults:?} of {text}"))
    }

    #[test]
    fn what_a_notice_tells_is_in_the_order() {
        let order = parsed(&json!({
            "billingAddress": {"email": "sven@example.com", "firstName": "Sven", "lastName": "Nilsson", "address1":
                "Roslagsgatan 10", "zipCode": "113 51", "city": "Stockholm", "country": "sv_SV", "countryName": "Sweden"},
            "shippingAddress": {"phoneNumber": "+46 70 123 45 67", "country": "no_NO"},
            "orderLines": [{"sku": "SKU_CODE", "name": "T-shirt", "quantity": 1, "totalPrice": 10000}, 7],
            "paymentDetails": {"pspIdentifier": "adyen_drop_in", "pspResponse": [{"refusalReason": "Refused"}]},
            "device_details": {"ip_address": "192.0.2.7", "browser_language": "sv-se"},
        }));
        assert_eq!(order.customer.email.as_deref(), Some("sven@example.com"));
        assert_eq!(order.customer.phone.as_deref(), Some("+46 70 123 45 67"));
        let country = |address: Option<Address>| address.and_then(|one| one.country).map(|code| code.to_string());
        assert_eq!(country(order.billing_address).as_deref(), Some("SE"));
        assert_eq!(country(order.shipping_address).as_deref(), Some("NO"));
        assert_eq!(order.payment.method.as_deref(), Some("adyen_drop_in"));
        assert_eq!(order.line_items.len(), 1);
        assert_eq!(order.ip_address, "192.0.2.7".parse().ok());
        assert_eq!(order.device.accept_language.as_deref(), Some("sv-se"));
        assert_eq!(order.amount.minor(), 0);
    }

    /// Anything at all in the place of a member.
    fn anything() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "(sv_SV|::1|\\PC{0,20}| {0,3})".prop_map(Value::from),
            Just(Value::from("x".repeat(limits::FIELD_CHARS + 1))),
        ];
        let name = "(email|firstName|phoneNumber|zipCode|country|countryName|address1|sku|name|quantity|pspIdentifier|ip_address|user_agent|browser_language)";
        leaf.prop_recursive(3, 24, 5, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::hash_map(name, inner, 0..6)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_notice_becomes_an_order(
            billing in anything(), shipping in anything(), lines in anything(), payment in anything(), device in anything()
        ) {
            parsed(&json!({"billingAddress": billing, "shippingAddress": shipping, "orderLines": lines,
                "paymentDetails": payment, "device_details": device}));
        }
    }
}
