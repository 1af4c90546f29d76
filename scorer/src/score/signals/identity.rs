//! Who orders: names, telephone, account.

use std::time::Duration;

use touchstone_schema::history::HistoryKeyKind;
use touchstone_schema::order::Order;

use super::super::confidence::Input;
use super::super::history::Window;
use super::super::policy::Group;
use super::super::{Check, Facts, Finding, Signal};
use super::{calling_codes, gibberish, words};

/// The signals of this group.
pub const SIGNALS: &[Signal] = &[
    Signal {
        code: "name_mismatch",
        group: Group::Identity,
        points: 5,
        meaning: "the surnames of the billing and the shipping address differ",
        inputs: &[Input::Billing, Input::Shipping],
        check: Check::By(name_mismatch),
    },
    Signal {
        code: "name_gibberish",
        group: Group::Identity,
        points: 10,
        meaning: "the name looks made up: keys in a row, no vowels, digits",
        inputs: &[Input::Name],
        check: Check::By(name_gibberish),
    },
    Signal {
        code: "phone_invalid",
        group: Group::Identity,
        points: 6,
        meaning: "the telephone number is not a possible number",
        inputs: &[Input::Phone],
        check: Check::By(phone_invalid),
    },
    Signal {
        code: "phone_missing",
        group: Group::Identity,
        points: 3,
        meaning: "an order without a telephone number",
        inputs: &[Input::Phone],
        check: Check::By(|facts| {
            phone(facts.order).is_none().then_some("no telephone number was given").and_then(Finding::because)
        }),
    },
    Signal {
        code: "guest_checkout",
        group: Group::Identity,
        points: 5,
        meaning: "the customer ordered without an account",
        inputs: &[Input::Account],
        check: Check::By(|facts| {
            (facts.order.customer.is_guest == Some(true))
                .then_some("the customer ordered as a guest, without an account")
                .and_then(Finding::because)
        }),
    },
    Signal {
        code: "account_new",
        group: Group::Identity,
        points: 4,
        meaning: "the customer's account is younger than a week, or than a day (8 points)",
        inputs: &[Input::AccountAge],
        check: Check::By(account_new),
    },
    Signal {
        code: "first_order",
        group: Group::Identity,
        points: 3,
        meaning: "no earlier order of this customer or e-mail address is known",
        inputs: &[Input::OrdersCount, Input::Account, Input::Email, Input::History],
        check: Check::By(first_order),
    },
];

/// Fewest and most digits of a telephone number (the least of national numbers in use; E.164, section 6).
const PHONE_DIGITS: std::ops::RangeInclusive<usize> = 7..=15;
/// Fewest letters of a name without vowels that is not a name.
const VOWELLESS_LETTERS: usize = 5;
/// Digits in a name that are too many for a numeral such as `3rd`.
const NAME_DIGITS: usize = 3;
/// Keys in a row, and words that are typed for want of a name.
const MADE_UP: &[&str] = &[
    " asdf ",
    " asdfg ",
    " asdfgh ",
    " qwer ",
    " qwert ",
    " qwerty ",
    " zxcv ",
    " hjkl ",
    " fghj ",
    " xxx ",
    " test test ",
    " aaa ",
    " abc abc ",
    " foo bar ",
];

/// The number of the customer, else of the billing or the shipping address.
pub(super) fn phone(order: &Order) -> Option<&str> {
    let addresses = [order.billing_address.as_ref(), order.shipping_address.as_ref()];
    let of_address = || addresses.into_iter().flatten().find_map(|address| address.phone.as_deref());
    order.customer.phone.as_deref().or_else(of_address)
}

/// First and last names of the customer, or else of the billing address.
pub(super) fn names(order: &Order) -> impl Iterator<Item = &str> {
    let customer = &order.customer;
    let billing = order.billing_address.as_ref();
    let first = customer.first_name.as_deref().or_else(|| billing?.first_name.as_deref());
    let last = customer.last_name.as_deref().or_else(|| billing?.last_name.as_deref());
    [first, last].into_iter().flatten()
}

fn name_mismatch(facts: &Facts<'_>) -> Option<Finding> {
    let billing = facts.order.billing_address.as_ref()?.last_name.as_deref()?;
    let shipping = facts.order.shipping_address.as_ref()?.last_name.as_deref()?;
    (!words::same(billing, shipping))
        .then_some("the surnames of the billing and the shipping address differ")
        .and_then(Finding::because)
}

fn name_gibberish(facts: &Facts<'_>) -> Option<Finding> {
    let names = words::spaced(names(facts.order));
    let is_made_up = MADE_UP.iter().any(|made_up| names.contains(made_up))
        || names.bytes().filter(u8::is_ascii_digit).count() >= NAME_DIGITS
        || names.split_whitespace().any(|name| is_one_letter(name) || has_no_vowel(name))
        || gibberish::has_unlikely_letters(&names);
    is_made_up.then_some("the customer's name looks made up").and_then(Finding::because)
}

/// One letter three times or more, and nothing else.
fn is_one_letter(name: &str) -> bool {
    let mut letters = name.chars();
    let first = letters.next();
    name.chars().count() > 2 && letters.all(|letter| Some(letter) == first)
}

fn has_no_vowel(name: &str) -> bool {
    name.len() >= VOWELLESS_LETTERS && name.bytes().all(|byte| byte.is_ascii_lowercase() && !b"aeiouy".contains(&byte))
}

fn phone_invalid(facts: &Facts<'_>) -> Option<Finding> {
    let phone = phone(facts.order)?;
    is_impossible(phone).then_some("the telephone number is not a possible number").and_then(Finding::because)
}

fn is_impossible(phone: &str) -> bool {
    // What follows an `x` or `#` is an extension.
    let number = phone.split(['x', 'X', '#']).next().unwrap_or_default();
    let digits = || number.chars().filter_map(|c| c.to_digit(10));
    let significant = digits().count() - if number.trim_start().starts_with("00") { 2 } else { 0 };
    let first = digits().next();
    !PHONE_DIGITS.contains(&significant)
        || digits().all(|digit| Some(digit) == first)
        || (calling_codes::is_unassigned(number))
}

/// 8 points within a day, 4 within a week.
fn account_new(facts: &Facts<'_>) -> Option<Finding> {
    let age = facts.received_at.since(facts.order.customer.created_at?);
    let (day, week) = (Window::Day.length(), Window::Week.length());
    if age < day {
        return Finding::worth(8, "the customer's account is less than a day old");
    }
    (age < week).then(|| Finding::worth(4, format!("the customer's account is {} old", days(age)))).flatten()
}

fn days(age: Duration) -> String {
    match age.as_secs() / Window::Day.length().as_secs() {
        1 => "1 day".to_owned(),
        days => format!("{days} days"),
    }
}

/// Neither the merchant's count nor the history knows an earlier order. Silent when nothing identifies the customer.
pub fn first_order(facts: &Facts<'_>) -> Option<Finding> {
    let kinds = [HistoryKeyKind::Customer, HistoryKeyKind::Email];
    let is_known = kinds.into_iter().any(|kind| facts.history.orders(kind, Window::Quarter) > 0);
    let is_identified = kinds.into_iter().any(|kind| facts.history.own.get(kind).is_some());
    let is_first = match facts.order.customer.orders_count {
        Some(count) => count == 0,
        None => is_identified,
    };
    (is_first && !is_known).then_some("no earlier order of this customer is known").and_then(Finding::because)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::fixture::Case;

    #[test]
    fn another_surname_fires() {
        assert!(Case::ordinary().with("/shipping_address/last_name", "Novak").fires("name_mismatch"));
    }

    #[test]
    fn another_spelling_of_the_surname_does_not_fire() {
        assert!(!Case::ordinary().with("/shipping_address/last_name", "CARTER").fires("name_mismatch"));
        assert!(!Case::ordinary().without("/shipping_address/last_name").fires("name_mismatch"));
    }

    #[test]
    fn made_up_names_fire() {
        for name in ["asdf", "Qwerty", "xxx", "jjjj", "bcdfg", "x12345", "xkqjzvbwtf"] {
            assert!(Case::ordinary().with("/customer/last_name", name).fires("name_gibberish"), "{name}");
        }
    }

    #[test]
    fn real_names_do_not_fire() {
        for name in
            ["Ng", "Krzyzewski", "O'Brien", "Smith 3rd", "Lynch", "Schmidt", "Ødegård", "李", "Tkachuk", "Wright"]
        {
            assert!(!Case::ordinary().with("/customer/last_name", name).fires("name_gibberish"), "{name}");
        }
    }

    #[test]
    fn impossible_numbers_fire() {
        for phone in ["12345", "1111111111", "1234567890123456", "+999 123456789", "n/a x"] {
            assert!(Case::ordinary().with("/customer/phone", phone).fires("phone_invalid"), "{phone}");
        }
    }

    #[test]
    fn possible_numbers_do_not_fire() {
        for phone in
            ["+1 (512) 555-0100", "512.555.0100 x1234", "0044 20 7946 0000", "030 1234567", "+49 30 12345678901"]
        {
            assert!(!Case::ordinary().with("/customer/phone", phone).fires("phone_invalid"), "{phone}");
        }
        assert!(!Case::ordinary().without("/customer/phone").fires("phone_invalid"));
    }

    #[test]
    fn an_order_without_any_number_fires() {
        assert!(Case::ordinary().without("/customer/phone").fires("phone_missing"));
    }

    #[test]
    fn a_number_in_an_address_is_a_number() {
        let case = Case::ordinary().without("/customer/phone").with("/billing_address/phone", "+1 512 555 0100");
        assert!(!case.fires("phone_missing"));
        assert!(!Case::ordinary().fires("phone_missing"));
    }

    #[test]
    fn a_guest_fires() {
        assert!(Case::ordinary().with("/customer/is_guest", true).fires("guest_checkout"));
    }

    #[test]
    fn an_account_or_an_unknown_one_is_no_guest() {
        assert!(!Case::ordinary().fires("guest_checkout"));
        assert!(!Case::ordinary().without("/customer/is_guest").fires("guest_checkout"));
    }

    #[test]
    fn a_new_account_fires_by_its_age() {
        let points = |hours: u64| {
            let made_at = (Case::RECEIVED_AT - Duration::from_secs(hours * 3_600)).to_rfc3339();
            Case::ordinary().with("/customer/created_at", made_at).finding("account_new").and_then(|f| f.points)
        };
        assert_eq!(points(2), Some(8));
        assert_eq!(points(30), Some(4));
        assert_eq!(points(24 * 7), None);
    }

    #[test]
    fn an_old_account_or_an_unknown_one_is_not_new() {
        assert!(!Case::ordinary().fires("account_new"));
        assert!(!Case::ordinary().without("/customer/created_at").fires("account_new"));
    }

    #[test]
    fn the_first_order_fires() {
        assert!(Case::ordinary().with("/customer/orders_count", 0).fires("first_order"));
        assert!(Case::ordinary().without("/customer/orders_count").fires("first_order"));
    }

    #[test]
    fn a_known_customer_has_no_first_order() {
        assert!(!Case::ordinary().fires("first_order"));
        let known =
            Case::ordinary().with("/customer/orders_count", 0).earlier(60, |own, entry| entry.keys.email = own.email);
        assert!(!known.fires("first_order"));
        let anonymous = Case::ordinary().without("/customer/orders_count").own(|keys| {
            keys.email = None;
            keys.customer = None;
        });
        assert!(!anonymous.fires("first_order"));
    }
}
