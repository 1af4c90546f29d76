//! What earlier orders tell: counts, sums and shares, and nothing that came later.

use std::sync::Arc;
use std::time::Duration;

use touchstone_schema::history::Happening;

use super::*;
use crate::score::fixture::{Case, key, usd};

const EMAIL: HistoryKeyKind = HistoryKeyKind::Email;
const NOW: i64 = 10_000_000_000;
const HOUR: i64 = 3_600_000;

fn transaction(number: u8) -> TransactionId {
    TransactionId::mint(Timestamp::from_millis(0), [number; 10])
}

/// What happened to a transaction whose order was received at a time; told at once.
fn entry(number: u8, what: Happening, at: i64) -> HistoryEntry {
    HistoryEntry {
        what,
        ordered_at: Timestamp::from_millis(at),
        transaction_id: transaction(number),
        received_at: Timestamp::from_millis(at),
        amount: usd(1_050),
        keys: HistoryKeys { email: Some(key(2)), card: Some(key(i64::from(number))), ..HistoryKeys::default() },
        name: Some(key(50 + i64::from(number))),
        declines: 1,
    }
}

fn order(number: u8, at: i64) -> HistoryEntry {
    entry(number, Happening::Order, at)
}

/// An outcome that was told just before the order.
fn outcome(number: u8, what: Happening, ordered_at: i64) -> HistoryEntry {
    HistoryEntry { received_at: Timestamp::from_millis(NOW - 1), ..entry(number, what, ordered_at) }
}

fn known(entries: Vec<HistoryEntry>) -> HistoryByKey {
    let mut entries: Vec<_> = entries.into_iter().map(Arc::new).collect();
    entries.sort_by(|a, b| HistoryEntry::newest_first(a, b));
    HistoryByKey::from([(key(2), entries)])
}

fn history(known: &HistoryByKey) -> History<'_> {
    let own = HistoryKeys { email: Some(key(2)), ..HistoryKeys::default() };
    History::of(&transaction(0), Timestamp::from_millis(NOW), usd(2_100), own, known)
}

fn measure(known: &HistoryByKey, path: &str) -> Option<i128> {
    history(known).measure(&HistoryField::parse(path).expect("a path"))
}

#[test]
fn an_order_counts_neither_itself_nor_what_was_learnt_after_it() {
    let known = known(vec![
        order(1, NOW + 1),
        order(0, NOW - 1_000),
        order(2, NOW - 2_000),
        HistoryEntry {
            received_at: Timestamp::from_millis(NOW + 1),
            ..outcome(2, Happening::FraudConfirmed, NOW - 2_000)
        },
    ]);
    assert_eq!(history(&known).orders(EMAIL, Window::Hour), 1);
    assert_eq!(history(&known).declines(EMAIL, Window::Hour), 1);
    assert_eq!(measure(&known, "history.email.1h.fraud"), Some(0));
}

#[test]
fn of_several_revisions_the_newest_counts_once() {
    let newer = HistoryEntry { declines: 7, ..order(1, NOW - 1_000) };
    let known = known(vec![newer, order(1, NOW - 2_000)]);
    assert_eq!(history(&known).orders(EMAIL, Window::Hour), 1);
    assert_eq!(history(&known).declines(EMAIL, Window::Hour), 7);
}

#[test]
fn a_window_includes_its_beginning() {
    for window in Window::ALL {
        let length = i64::try_from(window.length().as_millis()).expect("a length");
        let known = known(vec![order(1, NOW - length), order(2, NOW - length - 1)]);
        assert_eq!(history(&known).orders(EMAIL, *window), 1, "{window}");
    }
}

#[test]
fn different_values_count_the_orders_own() {
    let known = known(vec![order(1, NOW - 1_000), order(2, NOW - 2_000), order(3, NOW - 2 * HOUR)]);
    let cards = |own: Option<i64>| {
        let mut history = history(&known);
        history.own.card = own.map(key);
        history.distinct(EMAIL, Window::Hour, HistoryKeyKind::Card)
    };
    assert_eq!((cards(None), cards(Some(1)), cards(Some(9))), (2, 2, 3));
    assert_eq!(history(&known).names(EMAIL, Window::Day), 3);
}

#[test]
fn keys_that_the_order_has_not_have_no_history() {
    let case = Case::ordinary().own(|keys| keys.email = None).earlier(5, |_, entry| entry.keys.email = Some(key(2)));
    assert_eq!(case.look(|facts| facts.history.orders(EMAIL, Window::Hour)), 0);
}

#[test]
fn attempts_that_failed_are_declines_and_no_orders() {
    let failed = |number, declines| HistoryEntry { declines, ..entry(number, Happening::FailedAttempt, NOW - 1_000) };
    let known = known(vec![failed(1, 0), failed(1, 1), failed(2, 3)]);
    assert_eq!(history(&known).declines(EMAIL, Window::Hour), 5);
    assert_eq!(history(&known).orders(EMAIL, Window::Quarter), 0);
    assert_eq!(history(&known).distinct(EMAIL, Window::Hour, HistoryKeyKind::Card), 2);
    assert_eq!(history(&known).earlier(EMAIL).count(), 0);
}

#[test]
fn the_newest_label_and_decision_stand() {
    let told = |number, what, minutes: i64| HistoryEntry {
        received_at: Timestamp::from_millis(NOW - minutes * 60_000),
        ..entry(number, what, NOW - 5 * HOUR)
    };
    let known = known(vec![
        told(1, Happening::ChargebackOpened, 20),
        told(1, Happening::ChargebackReversed, 10),
        told(2, Happening::Legitimate, 20),
        told(2, Happening::FraudConfirmed, 10),
        told(3, Happening::Rejected, 20),
        told(3, Happening::Approved, 10),
    ]);
    let history = history(&known);
    let of = |number| history.earlier(EMAIL).find(|earlier| earlier.entry.transaction_id == transaction(number));
    assert_eq!(of(1).map(|earlier| (earlier.is_fraud, earlier.was_disputed)), Some((Some(false), true)));
    assert_eq!(of(2).map(|earlier| earlier.is_fraud), Some(Some(true)));
    assert_eq!(of(3).map(|earlier| earlier.met(Fate::Rejected(Window::Quarter))), Some(false));
}

#[test]
fn every_measure_is_told_in_millionths_by_when_the_orders_were_received() {
    let euros = HistoryEntry {
        amount: touchstone_schema::money::Money::parse("99", Currency::from_code("EUR").expect("a currency"))
            .expect("an amount"),
        ..order(3, NOW - 3 * HOUR)
    };
    let known = known(vec![
        order(1, NOW - 3 * HOUR),
        order(2, NOW - 3 * HOUR),
        euros,
        order(4, NOW - 30 * HOUR),
        outcome(1, Happening::FraudConfirmed, NOW - 3 * HOUR),
        outcome(2, Happening::Refunded, NOW - 3 * HOUR),
        outcome(2, Happening::Rejected, NOW - 3 * HOUR),
        outcome(4, Happening::ChargebackUpheld, NOW - 30 * HOUR),
    ]);
    for (path, expected) in [
        ("history.email.1h.orders", 0),
        ("history.email.24h.orders", 3_000_000),
        ("history.email.7d.orders", 4_000_000),
        ("history.email.24h.amount", 21_000_000),
        ("history.email.24h.amount_ratio", 2_000_000),
        ("history.email.24h.declines", 3_000_000),
        ("history.email.24h.distinct_cards", 3_000_000),
        ("history.email.24h.distinct_devices", 0),
        ("history.email.24h.fraud", 1_000_000),
        ("history.email.24h.fraud_share", 333_333),
        ("history.email.7d.fraud_share", 500_000),
        ("history.email.1h.fraud_share", 0),
        ("history.email.24h.refunds", 1_000_000),
        ("history.email.24h.rejected", 1_000_000),
    ] {
        assert_eq!(measure(&known, path), Some(expected), "{path}");
    }
}

#[test]
fn an_amount_is_compared_with_the_mean_of_earlier_ones_of_its_currency_only() {
    let of = |number, amount, at| HistoryEntry { amount, ..order(number, at) };
    let yen = touchstone_schema::money::Money::parse("9", Currency::from_code("JPY").expect("a currency"));
    let entries = |yen: Money| {
        vec![
            of(1, usd(1_000), NOW - 2 * HOUR),
            of(2, usd(5_000), NOW - 2 * HOUR),
            of(3, yen, NOW - HOUR),
            of(4, usd(0), NOW - HOUR),
            outcome(9, Happening::FraudConfirmed, NOW - HOUR),
        ]
    };
    let known = known(entries(yen.expect("an amount")));
    // 21.00 over the mean of 10.00, 50.00 and nothing.
    assert_eq!(measure(&known, "history.email.24h.amount_ratio"), Some(1_050_000));
    // Within the hour there is only one that cost nothing, and one in yen.
    assert_eq!(measure(&known, "history.email.1h.amount_ratio"), None);
}

#[test]
fn a_measure_of_a_key_that_the_order_lacks_is_none() {
    assert_eq!(measure(&known(Vec::new()), "history.email.24h.orders"), Some(0));
    assert_eq!(measure(&known(Vec::new()), "history.email.24h.amount_ratio"), None);
    assert_eq!(measure(&known(Vec::new()), "history.card.24h.orders"), None);
    assert_eq!(measure(&known(Vec::new()), "history.loyalty.24h.orders"), None);
}

#[test]
fn a_key_that_the_policy_declares_is_measured_by_its_name() {
    let known = known(vec![order(1, NOW - 1_000)]);
    let mut history = history(&known);
    history.declare("metadata.loyalty", key(2), &known);
    history.declare("metadata.voucher", key(3), &known);
    let orders =
        |name: &str| history.measure(&HistoryField::parse(&format!("history.{name}.1h.orders")).expect("a path"));
    assert_eq!((orders("metadata.loyalty"), orders("metadata.voucher")), (Some(1_000_000), Some(0)));
    assert_eq!(orders("metadata.other"), None);
}

#[test]
fn no_more_than_the_depth_of_a_key_is_looked_at() {
    let many = (0..2 * HISTORY_DEPTH).map(|number| {
        let mut random = [1; 10];
        random[..8].copy_from_slice(&number.to_be_bytes());
        let transaction_id = TransactionId::mint(Timestamp::from_millis(0), random);
        HistoryEntry { transaction_id, ..order(1, NOW - 1_000) }
    });
    let known = known(many.collect());
    assert_eq!(history(&known).orders(EMAIL, Window::Hour) as usize, HISTORY_DEPTH);
    assert_eq!(history(&known).earlier(EMAIL).count(), HISTORY_DEPTH);
    assert_eq!(history(&known).received_at() - Duration::ZERO, Timestamp::from_millis(NOW));
}
