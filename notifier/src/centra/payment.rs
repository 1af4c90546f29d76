//! The payment of an order, from the shop's payment history.
//!
//! What the payment provider answered comes as the provider's own JSON (`answer.rs`); of a provider that is not known there,
//! or of an answer that hides it, only what the shop itself says is there.

mod answer;

use serde_json::Value;
use touchstone_schema::json::Json;

use super::order::{members, text};

/// The canonical `payment` of an order.
pub(super) fn payment(order: &Json<'_>) -> Value {
    let history = order.get("paymentHistory").and_then(Json::as_array).unwrap_or_default();
    let is = |entry: &Json<'_>, kind: &str, status: &str| {
        let of = |key: &str| entry.get(key).and_then(Json::as_str);
        of("entryType") == Some(kind) && of("status") == Some(status)
    };
    let authorized = history.iter().rfind(|entry| is(entry, "AUTH", "SUCCESS"));
    let declined = history.iter().filter(|entry| is(entry, "AUTH", "FAILED")).count();
    let gateway = gateway(order, authorized);
    let method = method(&gateway);
    let mut payment = members([
        ("method", method),
        ("gateway", gateway),
        ("transaction_id", authorized.map_or(Value::Null, |entry| text(entry, "externalReference"))),
        ("was_authorized", if history.is_empty() { Value::Null } else { authorized.is_some().into() }),
        ("decline_count", if history.is_empty() { Value::Null } else { declined.into() }),
    ]);
    let answer = authorized.and_then(|entry| entry.get("paramsJSON")).and_then(Json::as_str);
    if let (Some(answer), Value::Object(payment)) = (answer, &mut payment)
        && let Value::Object(card) = answer::card(answer)
    {
        payment.extend(card);
    }
    payment
}

fn gateway(order: &Json<'_>, authorized: Option<&Json<'_>>) -> Value {
    let of_order = |key| order.get("paymentMethod").map_or(Value::Null, |method| text(method, key));
    match of_order("plugin") {
        Value::Null => match authorized.map_or(Value::Null, |entry| text(entry, "paymentMethod")) {
            Value::Null => of_order("name"),
            plugin => plugin,
        },
        plugin => plugin,
    }
}

/// Klarna lends and is no card; Adyen takes many kinds, which only its answer tells apart.
fn method(gateway: &Value) -> Value {
    let is_klarna = gateway.as_str().is_some_and(|gateway| gateway.to_lowercase().contains("klarna"));
    if is_klarna { "klarna".into() } else { Value::Null }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn payment_of(order: &Value) -> Value {
        let text = order.to_string();
        payment(&Json::parse_text(&text).unwrap())
    }

    #[test]
    fn card_of_an_adyen_answer_is_read() {
        let answer = json!({"pspReference": "8X", "additionalData": {
            "cardBin": "411111", "cardSummary": "1111", "expiryDate": "3/2030", "paymentMethod": "visa",
            "avsResultRaw": "N", "cvcResultRaw": "M", "fundingSource": "CREDIT", "eci": "N/A"
        }});
        let order = json!({
            "paymentMethod": {"name": "Card", "plugin": "adyen_drop_in"},
            "paymentHistory": [
                {"entryType": "AUTH", "status": "FAILED"},
                {"entryType": "AUTH", "status": "SUCCESS", "externalReference": "8X", "paramsJSON": answer.to_string()},
                {"entryType": "CAPTURE", "status": "FAILED"},
            ],
        });
        let expected = json!({
            "method": "card", "gateway": "adyen_drop_in", "transaction_id": "8X", "was_authorized": true,
            "decline_count": 1, "card_bin": "411111", "card_last4": "1111", "card_expiry": "03/30", "card_brand": "visa",
            "card_funding": "CREDIT", "avs_result": "N", "cvv_result": "M",
        });
        assert_eq!(payment_of(&order), expected);
    }

    #[test]
    fn klarna_is_no_card_and_an_unknown_answer_tells_nothing() {
        let order = json!({
            "paymentMethod": {"plugin": "klarna-payments"},
            "paymentHistory": [{"entryType": "AUTH", "status": "SUCCESS", "paramsJSON": "not json"}],
        });
        let expected =
            json!({"method": "klarna", "gateway": "klarna-payments", "was_authorized": true, "decline_count": 0});
        assert_eq!(payment_of(&order), expected);
        assert_eq!(payment_of(&json!({"paymentHistory": []})), json!({}));
    }
}
