//! Counts over time: how often a card, e-mail, address … was used lately, and with how many different others.
//!
//! Order counts leave the order itself out; counts of different values take its own value in. Evidence that rests on a
//! card known by BIN and last four alone counts half, because strangers share those.

use touchstone_schema::history::HistoryKeyKind;
use touchstone_schema::money::Money;

use super::super::confidence::Input;
use super::super::history::Window;
use super::super::policy::Group;
use super::super::{Check, Facts, Finding, Signal};

/// What is counted among that which was tried with one key.
#[derive(Debug)]
pub struct Velocity {
    key: HistoryKeyKind,
    counted: Counted,
}

#[derive(Debug, Clone, Copy)]
enum Counted {
    Orders,
    Different(HistoryKeyKind),
    Names,
    Declines,
}

/// Least counts that are too many, within which window, and their points, the strongest first.
type Tier = (u64, Window, i32);

/// Orders with one key (signal catalogue, velocity).
const ORDERS: &[Tier] = &[(10, Window::Week, 20), (5, Window::Day, 15), (3, Window::Hour, 10)];
/// Different cards on one key.
const CARDS: &[Tier] = &[(3, Window::Day, 20)];
/// Different e-mail addresses on one key.
const EMAILS: &[Tier] = &[(3, Window::Week, 15)];
/// Different surnames on one card.
const NAMES: &[Tier] = &[(2, Window::Month, 12)];
/// Declined attempts with one key.
const DECLINES: &[Tier] = &[(3, Window::Day, 20)];
/// How many times the store's median the sum of a day may be.
const USUAL_MEDIANS: i128 = 5;

use Counted::{Declines, Different, Names, Orders};
use HistoryKeyKind::{Address, Card, Device, Email, Ip, Phone};

/// The signals of this group.
pub const SIGNALS: &[Signal] = &[
    counting("card_velocity", Card, Orders, "many orders with this card"),
    counting("email_velocity", Email, Orders, "many orders with this e-mail address"),
    counting("ip_velocity", Ip, Orders, "many orders from this IP address"),
    counting("device_velocity", Device, Orders, "many orders from this device"),
    counting("address_velocity", Address, Orders, "many orders to this postal address"),
    counting("phone_velocity", Phone, Orders, "many orders with this telephone number"),
    counting("cards_per_email", Email, Different(Card), "many cards with this e-mail address"),
    counting("cards_per_ip", Ip, Different(Card), "many cards from this IP address"),
    counting("cards_per_device", Device, Different(Card), "many cards from this device"),
    counting("emails_per_card", Card, Different(Email), "many e-mail addresses with this card"),
    counting("emails_per_device", Device, Different(Email), "many e-mail addresses from this device"),
    counting("emails_per_address", Address, Different(Email), "many e-mail addresses to this postal address"),
    counting("names_per_card", Card, Names, "several surnames with this card"),
    counting("declines_per_card", Card, Declines, "many declined attempts with this card"),
    counting("declines_per_ip", Ip, Declines, "many declined attempts from this IP address"),
    counting("declines_per_email", Email, Declines, "many declined attempts with this e-mail address"),
    Signal {
        code: "amount_velocity",
        group: Group::Velocity,
        points: 10,
        meaning: "the sum of this and earlier orders with this e-mail address or card within a day is above five \
                  times the store's median",
        inputs: &[Input::Amount, Input::Norms, Input::History],
        check: Check::By(amount_velocity),
    },
];

const fn counting(code: &'static str, key: HistoryKeyKind, counted: Counted, meaning: &'static str) -> Signal {
    let velocity = Velocity { key, counted };
    let points = match velocity.tiers() {
        [.., (_, _, points)] => *points,
        [] => 0,
    };
    let inputs = &[Input::History];
    Signal { code, group: Group::Velocity, points, meaning, inputs, check: Check::Counting(velocity) }
}

impl Velocity {
    const fn tiers(&self) -> &'static [Tier] {
        match self.counted {
            Orders => ORDERS,
            Different(Email) => EMAILS,
            Different(_) => CARDS,
            Names => NAMES,
            Declines => DECLINES,
        }
    }

    /// What it finds, if it fires.
    pub fn finding(&self, facts: &Facts<'_>) -> Option<Finding> {
        self.tiers().iter().find_map(|(least, window, points)| {
            let count = self.count(facts, *window);
            let rests_on_card = self.key == Card || matches!(self.counted, Different(Card));
            (count >= *least).then(|| {
                Finding::worth(weighed(facts, rests_on_card, *points), self.told(&count.to_string(), *window))
            })?
        })
    }

    fn count(&self, facts: &Facts<'_>, window: Window) -> u64 {
        let history = facts.history;
        match self.counted {
            Orders => u64::from(history.orders(self.key, window)),
            Different(of) => wide(history.distinct(self.key, window, of)),
            Names => wide(history.names(self.key, window)),
            Declines => history.declines(self.key, window),
        }
    }

    fn told(&self, count: &str, window: Window) -> String {
        let counted = match self.counted {
            Orders => "earlier orders",
            Different(Email) => "different e-mail addresses",
            Different(_) => "different cards",
            Names => "different surnames",
            Declines => "declined attempts",
        };
        let with = match self.key {
            Card => "with this card",
            Email => "with this e-mail address",
            Ip => "from this IP address",
            Device => "from this device",
            Address => "to this postal address",
            Phone => "with this telephone number",
            HistoryKeyKind::Customer => "of this customer",
        };
        format!("{count} {counted} {with} within {}", window.words())
    }

    /// Every tier in words, for the reference page.
    pub fn describe(&self) -> String {
        let tiers = self.tiers().iter().rev();
        let words: Vec<_> = tiers
            .map(|(least, window, points)| {
                format!("{} ({points} points)", self.told(&format!("{least} or more"), *window))
            })
            .collect();
        words.join("; ")
    }
}

fn amount_velocity(facts: &Facts<'_>) -> Option<Finding> {
    let limit = USUAL_MEDIANS * i128::from(facts.norms?.median_minor);
    let own = i128::from(facts.order.amount.minor());
    [Email, Card].into_iter().find_map(|key| {
        let earlier = facts.history.spent_minor(key, Window::Day);
        if earlier == 0 || earlier + own <= limit {
            return None;
        }
        let sum =
            i64::try_from(earlier + own).ok().and_then(|sum| Money::from_minor(sum, facts.order.currency()).ok())?;
        let (points, with) = match key {
            Card => (weighed(facts, true, 10), "card"),
            _ => (10, "e-mail address"),
        };
        let detail = format!("{sum} were spent with this {with} within a day, far above what is usual at the store");
        Finding::worth(points, detail)
    })
}

/// Half the points where the evidence rests on a weak card identity.
pub(super) const fn weighed(facts: &Facts<'_>, rests_on_card: bool, points: i32) -> i32 {
    if rests_on_card && facts.history.card_is_weak { points / 2 } else { points }
}

fn wide(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use touchstone_schema::history::{Happening, HistoryEntry, HistoryKey, HistoryKeys};

    use super::*;
    use crate::score::fixture::{Case, key};
    use crate::score::norms::Norms;

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
    fn failed_attempts_are_declines_and_show_their_cards_but_are_no_orders() {
        let failed = |n: i64, _: &HistoryKeys, entry: &mut HistoryEntry| {
            entry.what = Happening::FailedAttempt;
            entry.keys.card = Some(key(100 + n));
        };
        let case = after(3, 10, HistoryKeyKind::Ip, failed);
        assert_eq!(points(&case, "declines_per_ip"), Some(20));
        assert_eq!(points(&case, "cards_per_ip"), Some(20));
        assert_eq!(points(&case, "ip_velocity"), None);
    }

    #[test]
    fn a_days_sum_above_five_medians_fires_and_less_or_a_single_order_does_not() {
        let usual = |case: Case| case.norms(Norms { median_minor: 5_000, ..Case::NORMS });
        for (kind, with) in [(HistoryKeyKind::Email, "e-mail address"), (HistoryKeyKind::Card, "card")] {
            let spent = |count: i64, apart| usual(after(count, apart, kind, plain)).finding("amount_velocity");
            let detail =
                format!("284.50 USD were spent with this {with} within a day, far above what is usual at the store");
            assert_eq!(spent(4, 60).map(|finding| (finding.points, finding.detail)), Some((Some(10), detail)));
            assert_eq!(spent(3, 60), None);
            assert_eq!(spent(9, 1_441), None);
        }
        assert!(!after(9, 60, HistoryKeyKind::Email, plain).fires("amount_velocity"));
        assert!(!usual(Case::ordinary().with("/amount", 400)).fires("amount_velocity"));
        let weak = usual(after(4, 60, HistoryKeyKind::Card, plain)).weak_card();
        assert_eq!(points(&weak, "amount_velocity"), Some(5));
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
