//! Test orders that ask for an outcome, as payment providers have test cards: by the customer's e-mail address.
//!
//! Guarantee: pure. Only keys of test mode give such an address a meaning; the caller checks the mode first. The domain
//! ends in `.test`, which cannot be registered (RFC 2606), so no real order has it.

use crate::order::Order;
use crate::tenant::wire_enum;

/// Domain of the addresses.
pub const DOMAIN: &str = "touchstone.test";

/// Code of the reason that such a verdict has.
pub const REASON: &str = "test_order";

wire_enum! {
    /// What a test order asks for: the name before `@touchstone.test`.
    AskedOutcome {
        /// The verdict `approve`.
        Approve = "approve",
        /// The verdict `review`.
        Review = "review",
        /// The verdict `hold`.
        Hold = "hold",
        /// A verdict, `approve`, that comes too late for the caller.
        Late = "late",
    }
}

/// What the order asks for. `hold+7@touchstone.test` is the same as `hold@touchstone.test`, so that orders may have different
/// addresses.
pub fn asked(order: &Order) -> Option<AskedOutcome> {
    let (name, domain) = order.customer.email.as_deref()?.trim().rsplit_once('@')?;
    if !domain.eq_ignore_ascii_case(DOMAIN) {
        return None;
    }
    let name = name.split('+').next().unwrap_or_default();
    AskedOutcome::parse(&name.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Json;

    fn of(email: &str) -> Option<AskedOutcome> {
        let document = format!(r#"{{"order_id":"1","amount":1,"currency":"EUR","customer":{{"email":"{email}"}}}}"#);
        asked(&Order::parse(&Json::parse_text(&document).unwrap()).unwrap())
    }

    #[test]
    fn the_name_says_what_is_asked_for() {
        for (email, expected) in [
            ("approve@touchstone.test", AskedOutcome::Approve),
            ("Review@Touchstone.TEST", AskedOutcome::Review),
            ("hold+7@touchstone.test", AskedOutcome::Hold),
            (" late@touchstone.test ", AskedOutcome::Late),
        ] {
            assert_eq!(of(email), Some(expected), "{email}");
        }
    }

    #[test]
    fn other_addresses_ask_for_nothing() {
        for email in [
            "ann@touchstone.test",
            "hold@touchstone.test.example",
            "hold@example.com",
            "hold",
            "@touchstone.test",
            "hold@mail.touchstone.test",
            "",
        ] {
            assert_eq!(of(email), None, "{email}");
        }
    }
}
