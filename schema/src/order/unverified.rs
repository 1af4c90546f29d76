//! Fields of an order that nobody vouches for.

use super::Order;
use crate::json::Json;

/// Which of the fields that an unsigned notice may tell were told by nothing else.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Unverified {
    /// `/ip_address`.
    pub ip_address: bool,
    /// `/user_agent`.
    pub user_agent: bool,
    /// `/device/accept_language`.
    pub accept_language: bool,
}

impl Unverified {
    /// Reads the list of JSON pointers. What is no list, and what else is in it, counts for nothing: a document is never
    /// at fault for it.
    pub(super) fn of(value: Option<&Json<'_>>) -> Self {
        let named = value.and_then(Json::as_array).unwrap_or_default();
        let has = |pointer: &str| named.iter().any(|one| one.as_str() == Some(pointer));
        Self {
            ip_address: has("/ip_address"),
            user_agent: has("/user_agent"),
            accept_language: has("/device/accept_language"),
        }
    }
}

impl Order {
    /// The order without what nobody vouches for; none when that is the order itself.
    pub fn without_unverified(&self) -> Option<Self> {
        let Unverified { ip_address, user_agent, accept_language } = self.unverified;
        let has_any = ip_address && self.ip_address.is_some()
            || user_agent && self.user_agent.is_some()
            || accept_language && self.device.accept_language.is_some();
        if !has_any {
            return None;
        }
        let mut order = Self { unverified: Unverified::default(), ..self.clone() };
        order.ip_address = order.ip_address.filter(|_| !ip_address);
        order.user_agent = order.user_agent.filter(|_| !user_agent);
        order.device.accept_language = order.device.accept_language.filter(|_| !accept_language);
        Some(order)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(unverified: &str) -> Order {
        let document = format!(
            r#"{{"order_id": "1", "amount": 1, "currency": "EUR", "ip_address": "192.0.2.7", "user_agent": "Mozilla",
            "device": {{"accept_language": "sv", "time_zone": "Europe/Stockholm"}}, "unverified": {unverified}}}"#
        );
        Order::parse(&Json::parse_text(&document).unwrap()).unwrap()
    }

    #[test]
    fn only_what_is_named_is_left_out() {
        let left = order(r#"["/ip_address", "/device/accept_language"]"#).without_unverified().unwrap();
        assert_eq!((left.ip_address, left.device.accept_language.as_deref()), (None, None));
        assert_eq!(left.user_agent.as_deref(), Some("Mozilla"));
        assert_eq!(left.device.time_zone.as_deref(), Some("Europe/Stockholm"));
        assert_eq!(left.without_unverified(), None);
        let left = order(r#"["/user_agent"]"#).without_unverified().unwrap();
        assert_eq!((left.ip_address.is_some(), left.user_agent), (true, None));
    }

    #[test]
    fn what_is_no_list_of_known_fields_counts_for_nothing() {
        for unverified in
            ["null", "true", "7", "\"/ip_address\"", "{}", "[]", "[null, 7, \"/amount\", [\"/ip_address\"]]"]
        {
            let order = order(unverified);
            assert_eq!((order.unverified, order.without_unverified()), (Unverified::default(), None), "{unverified}");
        }
    }
}
