//! Which orders, and which payments of an order, a client asks for.

use serde_json::{Value, json};

use crate::Order;

/// Whether an order meets every field of an `OrderFilter`. Null, for the filter or for a field, narrows nothing.
pub(crate) fn selects_order(filter: &Value, order: &Order) -> bool {
    all(filter, |name, wanted| match name {
        "id" => among(wanted, &json!(order.id)),
        "number" => among(wanted, &json!(order.number)),
        "status" => among(wanted, &json!(order.status)),
        "storeId" => among(wanted, &json!(order.store_id)),
        "customerId" => order.customer.as_ref().is_some_and(|customer| among(wanted, &json!(customer.id))),
        "externalId" => order.external_id.as_ref().is_some_and(|name| among(wanted, &json!(name))),
        "orderHoldReason" => order.hold_reasons.iter().any(|reason| among(wanted, &json!(reason))),
        "isOnHold" => *wanted == json!(order.is_on_hold()),
        "isWaitingForPayment" => {
            *wanted == json!(order.hold_reasons.iter().any(|reason| reason == "WAITING_FOR_PAYMENT"))
        }
        "isLocked" => *wanted == json!(order.locked),
        // Only a changed schema has others.
        _ => true,
    })
}

/// Whether an order meets an `OrderInput`: every name that it gives, and at least one.
pub(crate) fn names_order(input: &Value, order: &Order) -> bool {
    let given = input.as_object().is_some_and(|names| names.values().any(|name| !name.is_null()));
    given
        && all(input, |name, wanted| match name {
            "id" => *wanted == json!(order.id),
            "number" => *wanted == json!(order.number),
            "externalId" => *wanted == json!(order.external_id),
            _ => true,
        })
}

/// Whether a rendered entry of an order's payment history meets a `PaymentHistoryEntryFilter`.
pub(crate) fn selects_payment(filter: &Value, order_id: &Value, payment: &Value) -> bool {
    all(filter, |name, wanted| match name {
        "orderId" => among(wanted, order_id),
        other => among(wanted, &payment[other]),
    })
}

fn all(filter: &Value, meets: impl Fn(&str, &Value) -> bool) -> bool {
    let Some(fields) = filter.as_object() else { return true };
    fields.iter().all(|(name, wanted)| wanted.is_null() || meets(name, wanted))
}

fn among(wanted: &Value, value: &Value) -> bool {
    wanted.as_array().is_some_and(|wanted| wanted.contains(value))
}
