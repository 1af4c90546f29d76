//! Confidence: the share of the scored inputs that the order told (contract section 1).

use touchstone_schema::order::Order;

/// An input that signals look at, and whether an order has it.
type Input = fn(&Order) -> bool;

/// The inputs that count. One line each: what is asked for here is what integrators should send.
const INPUTS: &[Input] = &[
    |order| order.payment.avs_result.is_some() || !takes_card(order),
    |order| order.payment.cvv_result.is_some() || !takes_card(order),
    |order| has_card_identity(order) || !takes_card(order),
    |order| order.customer.email.is_some(),
    |order| order.customer.id.is_some() || order.customer.is_guest.is_some(),
    |order| order.customer.phone.is_some() || order.billing_address.as_ref().is_some_and(|a| a.phone.is_some()),
    |order| order.customer.last_name.is_some() || order.billing_address.as_ref().is_some_and(|a| a.last_name.is_some()),
    |order| order.billing_address.as_ref().is_some_and(|address| address.country.is_some()),
    |order| order.shipping_address.as_ref().is_some_and(|address| address.country.is_some()) || all_digital(order),
    |order| order.ip_address.is_some(),
    |order| order.user_agent.is_some(),
    |order| order.device.fingerprint_id.is_some(),
    |order| !order.line_items.is_empty(),
];

/// 0-1, two decimals.
pub(super) fn share_of_inputs(order: &Order) -> f64 {
    let present = INPUTS.iter().filter(|present| present(order)).count();
    (present as f64 / INPUTS.len() as f64 * 100.0).round() / 100.0
}

/// Whether the order is, or may be, paid by card.
pub(super) fn takes_card(order: &Order) -> bool {
    has_card_identity(order) || order.payment.method.as_deref().is_none_or(is_card)
}

/// Methods that are cards by name. Gift cards and store credit are not: no issuer checks them.
fn is_card(method: &str) -> bool {
    const CARDS: &[&str] =
        &["card", "credit", "debit", "visa", "amex", "american express", "discover", "diners", "jcb"];
    const NO_CARDS: &[&str] = &["gift", "store", "direct", "transfer"];
    CARDS.iter().any(|name| method.contains(name)) && !NO_CARDS.iter().any(|name| method.contains(name))
}

fn has_card_identity(order: &Order) -> bool {
    order.payment.card_fingerprint.is_some() || (order.payment.card_bin.is_some() && order.payment.card_last4.is_some())
}

fn all_digital(order: &Order) -> bool {
    !order.line_items.is_empty() && order.line_items.iter().all(|item| item.is_digital == Some(true))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::score::fixture::Case;

    #[test]
    fn an_order_that_tells_everything_is_judged_with_full_confidence() {
        assert_eq!(Case::ordinary().assess().confidence, 1.0);
    }

    #[test]
    fn confidence_falls_with_each_missing_input() {
        let one = Case::ordinary().without("/ip_address").assess().confidence;
        let two = Case::ordinary().without("/ip_address").without("/user_agent").assess().confidence;
        let none = Case::of(json!({"order_id": "1", "amount": 1, "currency": "EUR"})).assess().confidence;
        assert_eq!((one, two, none), (0.92, 0.85, 0.0));
    }

    #[test]
    fn what_a_payment_or_goods_cannot_have_is_not_missed() {
        let paypal = Case::ordinary().with("/payment", json!({"method": "paypal"}));
        assert_eq!(paypal.assess().confidence, 1.0);
        let digital = Case::ordinary().without("/shipping_address").with("/line_items", json!([{"is_digital": true}]));
        assert_eq!(digital.assess().confidence, 1.0);
    }

    #[test]
    fn gift_cards_and_transfers_are_no_cards() {
        for method in ["gift_card", "store credit", "direct debit", "credit transfer", "paypal", "klarna"] {
            assert!(!is_card(method), "{method}");
        }
        for method in ["card", "credit_card", "visa", "mastercard", "debit"] {
            assert!(is_card(method), "{method}");
        }
    }
}
