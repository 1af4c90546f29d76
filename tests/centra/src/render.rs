//! Orders as objects of the schema. Which of the fields are told is the client's choice, made later.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};

use crate::{Line, Money, Order, Payment, money::code_id};

/// Where an order keeps its total for `grandTotal(includingTax: false)`; no field of the schema can be called so.
pub(crate) const TOTAL_WITHOUT_TAX: &str = "grandTotal without tax";

const TAX_PERCENT: i32 = 25;

/// A `DirectToConsumerOrder`.
pub(crate) fn order(order: &Order) -> Value {
    let mut fields = Map::new();
    let mut tell = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    tell("__typename", json!("DirectToConsumerOrder"));
    tell("id", json!(order.id));
    tell("number", json!(order.number));
    tell("status", json!(order.status));
    tell("grandTotal", order.grand_total.render());
    tell(TOTAL_WITHOUT_TAX, order.grand_total.without_tax(TAX_PERCENT).render());
    tell("createdAt", time(order.created_at));
    tell("updatedAt", time(order.updated_at));
    tell("userIP", json!(order.user_ip));
    tell("billingAddress", json!(order.billing.as_ref().map(crate::Address::render)));
    tell("shippingAddress", json!(order.shipping.as_ref().map(crate::Address::render)));
    tell("isOnHold", json!(order.is_on_hold()));
    tell("lines", (1..).zip(&order.lines).map(|(place, it)| line(order, place, it)).collect());
    tell("paymentHistory", (1..).zip(&order.payments).map(|(place, it)| payment(order, place, it)).collect());
    tell("paymentMethod", json!(order.payment_method.as_ref().map(crate::PaymentMethod::render)));
    tell("store", json!({ "id": order.store_id }));
    tell("orderHoldReason", json!(order.hold_reasons));
    tell("customer", json!(order.customer.as_ref().map(crate::Customer::render)));
    Value::Object(fields)
}

fn line(order: &Order, place: i32, line: &Line) -> Value {
    json!({
        "id": part_id(order, place),
        "quantity": line.quantity,
        "unitPrice": line.unit_price.render(),
        "unitOriginalPrice": line.unit_price.render(),
        "lineValue": line.unit_price.times(line.quantity).render(),
        "taxPercent": f64::from(TAX_PERCENT),
        "product": { "id": code_id(&line.sku), "name": line.name },
        "productSize": { "SKU": line.sku, "EAN": line.ean, "UPC": Value::Null },
        "brand": { "id": code_id(&line.brand), "name": line.brand },
    })
}

fn payment(order: &Order, place: i32, payment: &Payment) -> Value {
    json!({
        "id": part_id(order, place),
        "createdAt": time(payment.created_at),
        "entryType": payment.entry_type,
        "status": payment.status,
        "value": Money::render(&payment.value),
        "externalReference": payment.external_reference,
        "externalId": Value::Null,
        "paymentMethod": order.payment_method.as_ref().map(|method| &method.plugin),
        "paramsJSON": payment.parameters.to_string(),
        "source": "psp",
    })
}

/// The number of a part of an order; the parts of another order have others.
fn part_id(order: &Order, place: i32) -> i32 {
    order.number.wrapping_mul(100).wrapping_add(place)
}

fn time(time: DateTime<Utc>) -> Value {
    json!(time.to_rfc3339_opts(SecondsFormat::Secs, false))
}

/// A time in a format of PHP's `date`, whose letters the API speaks. Letters that it does not know are kept.
pub(crate) fn formatted(time: &str, format: &str) -> String {
    let Ok(time) = DateTime::parse_from_rfc3339(time) else { return time.to_owned() };
    let mut letters = format.chars();
    let mut text = String::new();
    while let Some(letter) = letters.next() {
        let pattern = match letter {
            'Y' => "%Y",
            'm' => "%m",
            'd' => "%d",
            'H' => "%H",
            'i' => "%M",
            's' => "%S",
            'P' => "%:z",
            'U' => "%s",
            'c' => "%Y-%m-%dT%H:%M:%S%:z",
            '\\' => {
                text.extend(letters.next());
                continue;
            }
            other => {
                text.push(other);
                continue;
            }
        };
        text.push_str(&time.format(pattern).to_string());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::formatted;

    #[test]
    fn time_is_told_in_the_format_that_is_asked_for() {
        let time = "2026-03-01T08:05:09+00:00";
        assert_eq!(formatted(time, r"Y-m-d\TH:i:sP"), time);
        assert_eq!(formatted(time, "d/m/Y"), "01/03/2026");
        assert_eq!(formatted(time, "U"), "1772352309");
    }
}
