//! Inputs: what signals look at, and confidence: the share of them that was there (contract section 1).

use touchstone_schema::issuer::{address_check, security_code_check};
use touchstone_schema::order::{Order, OrderSource};
use touchstone_schema::wire_enum;

use super::Facts;

wire_enum! {
    /// What a signal looks at, by the name of the order's member or in words.
    Input {
        /// Total of the order.
        Amount = "amount",
        /// Answer of the address verification.
        Avs = "payment.avs_result, or avs_street_result and avs_postal_result",
        /// Answer of the security code check.
        Cvv = "payment.cvv_result",
        /// Answer of 3-D Secure.
        Eci = "payment.eci",
        /// Declined attempts before.
        Declines = "payment.decline_count",
        /// Kind of card.
        Funding = "payment.card_funding",
        /// What identifies the card.
        Card = "payment.card_fingerprint, or card_bin and card_last4",
        /// What outside data knows of the card's issuer.
        CardIssuer = "issuer of payment.card_bin",
        /// The billing address.
        Billing = "billing_address",
        /// Its country.
        BillingCountry = "billing_address.country",
        /// The shipping address.
        Shipping = "shipping_address",
        /// Its country.
        ShippingCountry = "shipping_address.country",
        /// The customer's IP address.
        Ip = "ip_address",
        /// Country of the IP address, from outside data.
        IpCountry = "country of ip_address",
        /// Kind of network of the IP address, from outside data.
        IpNetwork = "network of ip_address",
        /// Where the IP address and the billing postcode lie, from outside data.
        Places = "places of ip_address and billing_address.postal_code",
        /// What the shop itself found of the connection.
        Connection = "device.is_proxy, device.is_tor",
        /// The browser's name.
        UserAgent = "user_agent",
        /// The browser's languages.
        Language = "device.accept_language",
        /// The device's time zone.
        TimeZone = "device.time_zone",
        /// The device's fingerprint.
        Device = "device.fingerprint_id",
        /// The e-mail address.
        Email = "customer.email",
        /// Kind of the e-mail address's provider, from outside data.
        EmailProvider = "provider of customer.email",
        /// The customer's name.
        Name = "customer.last_name",
        /// The telephone number.
        Phone = "customer.phone",
        /// Whether there is an account.
        Account = "customer.id, customer.is_guest",
        /// Since when there is an account.
        AccountAge = "customer.created_at",
        /// Earlier orders, as the merchant counts them.
        OrdersCount = "customer.orders_count",
        /// The merchant's word for the customer.
        Trusted = "customer.is_trusted",
        /// The merchant's own score.
        MerchantScore = "merchant_score",
        /// What was ordered.
        Items = "line_items",
        /// Discounts that were used.
        Discounts = "discount_codes",
        /// How it is shipped.
        ShippingMethod = "shipping_method",
        /// When the order was placed.
        PlacedAt = "created_at",
        /// Earlier orders that share a key with this one.
        History = "history",
        /// What is usual at the store.
        Norms = "the store's own distribution",
        /// What the policy states.
        Policy = "the policy's lists",
        /// The store's lists of what is blocked and allowed.
        Lists = "the store's lists",
    }
}

impl Input {
    /// Whether it is there; none where its absence says nothing, because such an order cannot have it or few orders do.
    fn is_present(self, facts: &Facts<'_>) -> Option<bool> {
        let order = facts.order;
        let billing = order.billing_address.as_ref();
        let of_card = |present: bool| takes_card(order).then_some(present);
        let online = |present: bool| is_online(order).then_some(present);
        match self {
            Self::Avs => of_card(address_check(&order.payment).is_some_and(|answer| answer.meaning.is_informative())),
            Self::Cvv => {
                of_card(security_code_check(&order.payment).is_some_and(|answer| answer.meaning.is_informative()))
            }
            Self::Card => of_card(has_card_identity(order)),
            Self::CardIssuer => of_card(facts.enrichment.card.country.is_some()),
            Self::BillingCountry => Some(billing.is_some_and(|address| address.country.is_some())),
            Self::ShippingCountry => (!all_digital(order))
                .then(|| order.shipping_address.as_ref().is_some_and(|address| address.country.is_some())),
            Self::Ip => online(order.ip_address.is_some()),
            Self::IpCountry => online(facts.enrichment.ip.country.is_some()),
            Self::UserAgent => online(order.user_agent.is_some()),
            Self::Language => online(order.device.accept_language.is_some()),
            Self::TimeZone => online(order.device.time_zone.is_some()),
            Self::Device => online(order.device.fingerprint_id.is_some()),
            Self::Email => Some(order.customer.email.is_some()),
            Self::Name => {
                Some(order.customer.last_name.is_some() || billing.is_some_and(|address| address.last_name.is_some()))
            }
            Self::Phone => {
                Some(order.customer.phone.is_some() || billing.is_some_and(|address| address.phone.is_some()))
            }
            Self::Account => Some(order.customer.id.is_some() || order.customer.is_guest.is_some()),
            Self::Items => Some(!order.line_items.is_empty()),
            Self::Amount | Self::Eci | Self::Declines | Self::Funding | Self::Billing | Self::Shipping => None,
            Self::IpNetwork | Self::Places | Self::Connection | Self::EmailProvider | Self::AccountAge => None,
            Self::OrdersCount | Self::Trusted | Self::MerchantScore | Self::Discounts | Self::ShippingMethod => None,
            Self::PlacedAt | Self::History | Self::Norms | Self::Policy | Self::Lists => None,
        }
    }
}

/// 0-1, two decimals.
pub(super) fn share_of_inputs(facts: &Facts<'_>) -> f64 {
    let (expected, present) = Input::ALL
        .iter()
        .filter_map(|input| input.is_present(facts))
        .fold((0u32, 0u32), |(expected, present), is_present| (expected + 1, present + u32::from(is_present)));
    (f64::from(present) / f64::from(expected.max(1)) * 100.0).round() / 100.0
}

/// Whether the order was placed over the web, as far as known: those by telephone or in a shop have no browser.
pub(super) fn is_online(order: &Order) -> bool {
    !matches!(order.source, Some(OrderSource::Phone | OrderSource::InStore | OrderSource::Chat))
}

/// Whether the order is, or may be, paid by card.
pub(super) fn takes_card(order: &Order) -> bool {
    has_card_identity(order) || order.payment.method.as_deref().is_none_or(is_card)
}

/// Whether nothing is shipped.
pub(super) fn all_digital(order: &Order) -> bool {
    !order.line_items.is_empty() && order.line_items.iter().all(|item| item.is_digital == Some(true))
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
        let none = Case::of(json!({"order_id": "1", "amount": 1, "currency": "EUR"}))
            .enriched(|known| *known = Default::default())
            .assess()
            .confidence;
        assert_eq!((one, two, none), (0.94, 0.88, 0.0));
    }

    #[test]
    fn what_outside_data_does_not_know_is_missed() {
        let unknown = Case::ordinary().enriched(|known| *known = Default::default());
        assert_eq!(unknown.assess().confidence, 0.88);
    }

    #[test]
    fn what_a_payment_goods_or_a_sale_cannot_have_is_not_missed() {
        let paypal = Case::ordinary().with("/payment", json!({"method": "paypal"}));
        assert_eq!(paypal.assess().confidence, 1.0);
        let digital = Case::ordinary().without("/shipping_address").with("/line_items", json!([{"is_digital": true}]));
        assert_eq!(digital.assess().confidence, 1.0);
        let by_telephone = Case::ordinary().with("/source", "phone").without("/ip_address").without("/user_agent");
        assert_eq!(by_telephone.without("/device").assess().confidence, 1.0);
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
