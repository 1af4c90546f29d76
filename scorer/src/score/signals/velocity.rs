//! Counts over time: how often a card, e-mail, address … was used lately, and with how many different others.
//!
//! Order counts leave the order itself out; counts of different values take its own value in. Evidence that rests on a
//! card known by BIN and last four alone counts half, because strangers share those.

use std::time::Duration;

use touchstone_schema::history::HistoryKeyKind;

use super::super::history::{DAY, HOUR, MONTH, WEEK};
use super::super::policy::Group;
use super::super::{Facts, Finding, Signal};

/// Least counts of earlier orders, their window, its name and the points, strongest first (signal catalogue, velocity).
const TIERS: [(usize, Duration, &str, i32); 3] = [(10, WEEK, "week", 20), (5, DAY, "day", 15), (3, HOUR, "hour", 10)];
/// Different cards, or e-mail addresses, on one key that are too many.
const DISTINCT_LIMIT: usize = 3;
/// Different surnames on one card that are too many.
const NAMES_LIMIT: usize = 2;
/// Declined attempts within a day that are too many.
const DECLINES_LIMIT: u64 = 3;

macro_rules! velocity {
    ($code:literal, $points:literal, $meaning:literal, $check:expr) => {
        Signal { code: $code, group: Group::Velocity, points: $points, meaning: $meaning, check: $check }
    };
}

/// The signals of this group.
pub const SIGNALS: &[Signal] = &[
    velocity!("card_velocity", 10, "many orders with this card", |f| orders(f, HistoryKeyKind::Card, "card")),
    velocity!("email_velocity", 10, "many orders with this e-mail address", |f| orders(
        f,
        HistoryKeyKind::Email,
        "e-mail address"
    )),
    velocity!("ip_velocity", 10, "many orders from this IP address", |f| orders(f, HistoryKeyKind::Ip, "IP address")),
    velocity!("device_velocity", 10, "many orders from this device", |f| orders(f, HistoryKeyKind::Device, "device")),
    velocity!("address_velocity", 10, "many orders to this address", |f| orders(
        f,
        HistoryKeyKind::Address,
        "postal address"
    )),
    velocity!("phone_velocity", 10, "many orders with this phone number", |f| orders(
        f,
        HistoryKeyKind::Phone,
        "phone number"
    )),
    velocity!("cards_per_email", 20, "three or more cards on this e-mail address within a day", |f| cards(
        f,
        HistoryKeyKind::Email,
        "e-mail address"
    )),
    velocity!("cards_per_ip", 20, "three or more cards from this IP address within a day", |f| cards(
        f,
        HistoryKeyKind::Ip,
        "IP address"
    )),
    velocity!("cards_per_device", 20, "three or more cards on this device within a day", |f| cards(
        f,
        HistoryKeyKind::Device,
        "device"
    )),
    velocity!("emails_per_card", 15, "three or more e-mail addresses on this card within a week", |f| emails(
        f,
        HistoryKeyKind::Card,
        "card"
    )),
    velocity!("emails_per_device", 15, "three or more e-mail addresses on this device within a week", |f| emails(
        f,
        HistoryKeyKind::Device,
        "device"
    )),
    velocity!("emails_per_address", 15, "three or more e-mail addresses at this postal address within a week", |f| {
        emails(f, HistoryKeyKind::Address, "postal address")
    }),
    velocity!("names_per_card", 12, "two or more surnames on this card within thirty days", names_per_card),
    velocity!("declines_per_card", 20, "three or more declined attempts with this card within a day", |f| declines(
        f,
        HistoryKeyKind::Card,
        "card"
    )),
    velocity!(
        "declines_per_ip",
        20,
        "three or more declined attempts from this IP address within a day",
        |f| declines(f, HistoryKeyKind::Ip, "IP address")
    ),
    velocity!("declines_per_email", 20, "three or more declined attempts with this e-mail address within a day", |f| {
        declines(f, HistoryKeyKind::Email, "e-mail address")
    }),
];

fn orders(facts: &Facts<'_>, kind: HistoryKeyKind, what: &str) -> Option<Finding> {
    TIERS.into_iter().find_map(|(least, window, window_name, points)| {
        let count = facts.history.count(kind, window);
        (count >= least)
            .then(|| {
                Finding::worth(
                    weighed(facts, kind, points),
                    format!("{count} earlier orders with this {what} within a {window_name}"),
                )
            })
            .flatten()
    })
}

fn cards(facts: &Facts<'_>, kind: HistoryKeyKind, what: &str) -> Option<Finding> {
    let count = facts.history.distinct(kind, DAY, facts.history.own.card, |entry| entry.keys.card);
    (count >= DISTINCT_LIMIT)
        .then(|| {
            Finding::worth(
                weighed(facts, HistoryKeyKind::Card, 20),
                format!("{count} different cards on this {what} within a day"),
            )
        })
        .flatten()
}

fn emails(facts: &Facts<'_>, kind: HistoryKeyKind, what: &str) -> Option<Finding> {
    let count = facts.history.distinct(kind, WEEK, facts.history.own.email, |entry| entry.keys.email);
    (count >= DISTINCT_LIMIT)
        .then(|| {
            Finding::worth(
                weighed(facts, kind, 15),
                format!("{count} different e-mail addresses on this {what} within a week"),
            )
        })
        .flatten()
}

fn names_per_card(facts: &Facts<'_>) -> Option<Finding> {
    let count = facts.history.distinct(HistoryKeyKind::Card, MONTH, facts.history.own_name, |entry| entry.name);
    (count >= NAMES_LIMIT)
        .then(|| {
            Finding::worth(
                weighed(facts, HistoryKeyKind::Card, 12),
                format!("{count} different surnames on this card within 30 days"),
            )
        })
        .flatten()
}

fn declines(facts: &Facts<'_>, kind: HistoryKeyKind, what: &str) -> Option<Finding> {
    let count = facts.history.declines(kind, DAY);
    (count >= DECLINES_LIMIT)
        .then(|| {
            Finding::worth(weighed(facts, kind, 20), format!("{count} declined attempts with this {what} within a day"))
        })
        .flatten()
}

/// Half the points where the evidence rests on a weak card identity.
fn weighed(facts: &Facts<'_>, kind: HistoryKeyKind, points: i32) -> i32 {
    if kind == HistoryKeyKind::Card && facts.history.card_is_weak { points / 2 } else { points }
}

#[cfg(test)]
mod tests {
    use touchstone_schema::history::{HistoryEntry, HistoryKey, HistoryKeys};

    use super::*;
    use crate::score::fixture::{Case, key};

    const KINDS: [(HistoryKeyKind, &str); 6] = [
        (HistoryKeyKind::Card, "card_velocity"),
        (HistoryKeyKind::Email, "email_velocity"),
        (HistoryKeyKind::Ip, "ip_velocity"),
        (HistoryKeyKind::Device, "device_velocity"),
        (HistoryKeyKind::Address, "address_velocity"),
        (HistoryKeyKind::Phone, "phone_velocity"),
    ];

    fn slot(keys: &mut HistoryKeys, kind: HistoryKeyKind) -> &mut Option<HistoryKey> {
        match kind {
            HistoryKeyKind::Card => &mut keys.card,
            HistoryKeyKind::Email => &mut keys.email,
            HistoryKeyKind::Phone => &mut keys.phone,
            HistoryKeyKind::Device => &mut keys.device,
            HistoryKeyKind::Ip => &mut keys.ip,
            HistoryKeyKind::Address => &mut keys.address,
            HistoryKeyKind::Customer => &mut keys.customer,
        }
    }

    /// The ordinary order after `count` earlier ones, `apart` minutes from one another, that share the key of `kind`.
    fn after(
        count: i64,
        apart: u64,
        kind: HistoryKeyKind,
        describe: impl Fn(i64, &HistoryKeys, &mut HistoryEntry),
    ) -> Case {
        (1..=count).zip(1u64..).fold(Case::ordinary(), |case, (number, nth)| {
            case.earlier(nth * apart, |own, entry| {
                *slot(&mut entry.keys, kind) = own.get(kind);
                describe(number, own, entry);
            })
        })
    }

    fn plain(_: i64, _: &HistoryKeys, _: &mut HistoryEntry) {}

    fn points(case: &Case, code: &str) -> Option<i32> {
        case.finding(code).and_then(|finding| finding.points)
    }

    #[test]
    fn many_orders_on_one_key_fire_by_window() {
        for (kind, code) in KINDS {
            assert_eq!(points(&after(3, 10, kind, plain), code), Some(10), "{code}");
            assert_eq!(points(&after(5, 120, kind, plain), code), Some(15), "{code}");
            assert_eq!(points(&after(10, 900, kind, plain), code), Some(20), "{code}");
        }
    }

    #[test]
    fn few_or_old_orders_or_those_on_other_keys_do_not_fire() {
        for (kind, code) in KINDS {
            assert_eq!(points(&after(2, 10, kind, plain), code), None, "{code}");
            assert_eq!(points(&after(9, 1_500, kind, plain), code), None, "{code}");
            let elsewhere = if kind == HistoryKeyKind::Ip { HistoryKeyKind::Device } else { HistoryKeyKind::Ip };
            assert_eq!(points(&after(12, 10, elsewhere, plain), code), None, "{code}");
        }
    }

    #[test]
    fn three_cards_on_one_key_within_a_day_fire() {
        let codes = [
            (HistoryKeyKind::Email, "cards_per_email"),
            (HistoryKeyKind::Ip, "cards_per_ip"),
            (HistoryKeyKind::Device, "cards_per_device"),
        ];
        let new_cards = |n: i64, _: &HistoryKeys, entry: &mut HistoryEntry| entry.keys.card = Some(key(100 + n));
        let same_card = |_: i64, own: &HistoryKeys, entry: &mut HistoryEntry| entry.keys.card = own.card;
        for (kind, code) in codes {
            assert_eq!(points(&after(2, 60, kind, new_cards), code), Some(20), "{code}");
            assert_eq!(points(&after(2, 60, kind, new_cards).weak_card(), code), Some(10), "{code}");
            assert_eq!(points(&after(1, 60, kind, new_cards), code), None, "{code}");
            assert_eq!(points(&after(5, 60, kind, same_card), code), None, "{code}");
            assert_eq!(points(&after(5, 1_441, kind, new_cards), code), None, "{code}");
        }
    }

    #[test]
    fn three_addresses_on_one_key_within_a_week_fire() {
        let codes = [
            (HistoryKeyKind::Card, "emails_per_card"),
            (HistoryKeyKind::Device, "emails_per_device"),
            (HistoryKeyKind::Address, "emails_per_address"),
        ];
        let new_mail = |n: i64, _: &HistoryKeys, entry: &mut HistoryEntry| entry.keys.email = Some(key(100 + n));
        let same_mail = |_: i64, own: &HistoryKeys, entry: &mut HistoryEntry| entry.keys.email = own.email;
        for (kind, code) in codes {
            assert_eq!(points(&after(2, 2_000, kind, new_mail), code), Some(15), "{code}");
            assert_eq!(points(&after(1, 2_000, kind, new_mail), code), None, "{code}");
            assert_eq!(points(&after(5, 2_000, kind, same_mail), code), None, "{code}");
        }
        let weak = after(2, 2_000, HistoryKeyKind::Card, new_mail).weak_card();
        assert_eq!(points(&weak, "emails_per_card"), Some(7));
    }

    #[test]
    fn a_second_surname_on_the_card_fires() {
        let other = after(1, 60, HistoryKeyKind::Card, |_, _, entry| entry.name = Some(key(99)));
        assert_eq!(points(&other, "names_per_card"), Some(12));
        let same = after(4, 60, HistoryKeyKind::Card, |_, _, entry| entry.name = Some(key(8)));
        assert_eq!(points(&same, "names_per_card"), None);
    }

    #[test]
    fn three_declines_on_one_key_within_a_day_fire() {
        let codes = [
            (HistoryKeyKind::Card, "declines_per_card"),
            (HistoryKeyKind::Ip, "declines_per_ip"),
            (HistoryKeyKind::Email, "declines_per_email"),
        ];
        let declined = |_: i64, _: &HistoryKeys, entry: &mut HistoryEntry| entry.declines = 1;
        for (kind, code) in codes {
            assert_eq!(points(&after(3, 60, kind, declined), code), Some(20), "{code}");
            assert_eq!(points(&after(2, 60, kind, declined), code), None, "{code}");
            assert_eq!(points(&after(9, 60, kind, plain), code), None, "{code}");
        }
    }
}
