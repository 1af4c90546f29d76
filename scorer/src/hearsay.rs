//! Orders of which some fields are hearsay: nobody but an unsigned notice told them. They may make an assessment stricter,
//! never milder: whoever knows the address that notices are sent to must not talk an order out of suspicion.
//!
//! Such an order is assessed twice, as it was told and as it would be without those fields, and one of the two assessments
//! counts whole, so that its reasons still add up. An order without hearsay costs nothing.

use touchstone_schema::order::Order;
use touchstone_schema::secret::Secret;
use touchstone_schema::tenant::KeyMode;
use touchstone_schema::verdict::Assessment;

use crate::history_keys::OrderKeys;
use crate::score::policy::Policy;

/// An order without what is hearsay, and its keys.
#[derive(Debug)]
pub(crate) struct Vouched {
    order: Order,
    keys: OrderKeys,
}

impl Vouched {
    /// What is left of an order; none when nothing of it is hearsay.
    pub(crate) fn of(order: &Order, data_key: &Secret, mode: KeyMode, policy: &Policy) -> Option<Box<Self>> {
        let order = order.without_unverified()?;
        let keys = OrderKeys::of(&order, data_key, mode, policy);
        Some(Box::new(Self { order, keys }))
    }
}

/// Assesses an order, and what of it is vouched for: the stricter action counts, of the same the higher score, and
/// otherwise the order as it was told.
pub(crate) fn stricter(
    (order, keys): (&Order, &OrderKeys),
    vouched: Option<&Vouched>,
    assess: impl Fn(&Order, &OrderKeys) -> Assessment,
) -> Assessment {
    let told = assess(order, keys);
    let Some(vouched) = vouched else { return told };
    let sure = assess(&vouched.order, &vouched.keys);
    let strictness = |one: &Assessment| (one.recommended_action, one.risk_score);
    if strictness(&sure) > strictness(&told) { sure } else { told }
}

#[cfg(test)]
mod tests {
    use touchstone_schema::json::Json;
    use touchstone_schema::verdict::{Action, RiskLevel};

    use super::*;

    fn assessment(recommended_action: Action, risk_score: u8) -> Assessment {
        Assessment {
            risk_score,
            risk_level: RiskLevel::Low,
            recommended_action,
            confidence: 1.0,
            reason_codes: Vec::new(),
            explanation: String::new(),
            reasons: Vec::new(),
            shadow_reasons: Vec::new(),
            policy_version: 0,
        }
    }

    /// Assesses an order whose address is hearsay: as `told` with the address, as `sure` without it. Tells which counts.
    fn counts(told: (Action, u8), sure: (Action, u8)) -> &'static str {
        let document =
            r#"{"order_id":"1","amount":1,"currency":"EUR","ip_address":"81.2.69.142","unverified":["/ip_address"]}"#;
        let order = Order::parse(&Json::parse_text(document).expect("JSON")).expect("an order");
        let (secret, policy) = (Secret::new("data key"), Policy::built_in());
        let keys = OrderKeys::of(&order, &secret, KeyMode::Live, &policy);
        let vouched = Vouched::of(&order, &secret, KeyMode::Live, &policy).expect("something is hearsay");
        assert_eq!((keys.keys.ip.is_some(), vouched.keys.keys.ip), (true, None));
        let chosen = stricter((&order, &keys), Some(&vouched), |order, keys| {
            assert_eq!(order.ip_address.is_some(), keys.keys.ip.is_some());
            let (action, score) = if order.ip_address.is_some() { told } else { sure };
            Assessment { policy_version: u32::from(order.ip_address.is_some()), ..assessment(action, score) }
        });
        if chosen.policy_version == 1 { "told" } else { "sure" }
    }

    #[test]
    fn hearsay_makes_stricter_and_never_milder() {
        use Action::{Approve, Hold, Review};
        assert_eq!(counts((Hold, 80), (Review, 40)), "told");
        assert_eq!(counts((Approve, 0), (Review, 40)), "sure");
        assert_eq!(counts((Review, 39), (Review, 40)), "sure");
        assert_eq!(counts((Review, 40), (Review, 40)), "told");
        assert_eq!(counts((Approve, 60), (Review, 40)), "sure", "a rule that approves by hearsay must not");
    }

    #[test]
    fn an_order_without_hearsay_is_assessed_once() {
        let document = r#"{"order_id":"1","amount":1,"currency":"EUR","user_agent":"x","unverified":["/ip_address"]}"#;
        let order = Order::parse(&Json::parse_text(document).expect("JSON")).expect("an order");
        let (secret, policy) = (Secret::new("data key"), Policy::built_in());
        assert!(Vouched::of(&order, &secret, KeyMode::Live, &policy).is_none());
        let keys = OrderKeys::of(&order, &secret, KeyMode::Live, &policy);
        let times = std::cell::Cell::new(0);
        stricter((&order, &keys), None, |_, _| {
            times.set(times.get() + 1);
            assessment(Action::Approve, 0)
        });
        assert_eq!(times.get(), 1);
    }
}
