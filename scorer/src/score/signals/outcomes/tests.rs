//! What became of earlier orders, for and against the next one.

use serde_json::Value;
use touchstone_schema::history::{Happening, HistoryEntry, HistoryKeyKind, HistoryKeys};

use super::*;
use crate::score::fixture::{Case, key};

const DAY: u64 = 24 * 60;

/// An earlier order of `days` before that shares the keys that `share` copies, and what became of it a day later.
fn earlier(case: Case, days: u64, became: &[Happening], share: impl Fn(&HistoryKeys, &mut HistoryKeys)) -> Case {
    case.earlier_with(days * DAY, became, |own, entry| share(own, &mut entry.keys))
}

fn by_email(own: &HistoryKeys, keys: &mut HistoryKeys) {
    keys.email = own.email;
}

fn by_card(own: &HistoryKeys, keys: &mut HistoryKeys) {
    keys.card = own.card;
}

fn by_card_and_email(own: &HistoryKeys, keys: &mut HistoryKeys) {
    by_card(own, keys);
    by_email(own, keys);
}

fn points(case: &Case, code: &str) -> Option<i32> {
    case.finding(code).and_then(|finding| finding.points)
}

#[test]
fn a_chargeback_or_fraud_on_any_link_fires_and_each_further_one_weighs() {
    for kind in LINKS {
        for fraud in [Happening::ChargebackOpened, Happening::ChargebackUpheld, Happening::FraudConfirmed] {
            let case = earlier(Case::ordinary(), 20, &[fraud], |own, keys| *slot(keys, kind) = own.get(kind));
            assert_eq!(points(&case, "prior_chargeback"), Some(40), "{kind} {fraud}");
        }
    }
    let two = earlier(Case::ordinary(), 20, &[Happening::FraudConfirmed], by_card_and_email);
    let two = earlier(two, 30, &[Happening::ChargebackUpheld], by_email);
    let finding = two.finding("prior_chargeback");
    assert_eq!(finding.as_ref().and_then(|finding| finding.points), Some(50));
    assert_eq!(
        finding.map(|finding| finding.detail).as_deref(),
        Some("2 earlier orders with the same card or e-mail address were charged back or fraud")
    );
}

#[test]
fn what_a_weak_card_alone_links_counts_half() {
    let by_weak_card = earlier(Case::ordinary(), 20, &[Happening::FraudConfirmed], by_card).weak_card();
    assert_eq!(points(&by_weak_card, "prior_chargeback"), Some(20));
    let and_by_email = earlier(by_weak_card, 30, &[Happening::FraudConfirmed], by_email);
    assert_eq!(points(&and_by_email, "prior_chargeback"), Some(45));
    let rejected = earlier(Case::ordinary(), 20, &[Happening::Rejected], by_card).weak_card();
    assert_eq!(points(&rejected, "prior_rejected"), Some(10));
}

#[test]
fn a_refused_claim_an_own_or_an_unlinked_order_or_a_later_chargeback_does_not_fire() {
    let refused = [Happening::ChargebackOpened, Happening::ChargebackReversed];
    assert!(!earlier(Case::ordinary(), 20, &refused, by_email).fires("prior_chargeback"));
    let cleared = [Happening::FraudConfirmed, Happening::Legitimate];
    assert!(!earlier(Case::ordinary(), 20, &cleared, by_email).fires("prior_chargeback"));
    let same_ip = |own: &HistoryKeys, keys: &mut HistoryKeys| keys.ip = own.ip;
    assert!(!earlier(Case::ordinary(), 20, &[Happening::FraudConfirmed], same_ip).fires("prior_chargeback"));
    let later = Case::ordinary().earlier(DAY, |own, entry: &mut HistoryEntry| {
        entry.what = Happening::FraudConfirmed;
        entry.keys.email = own.email;
        entry.received_at = Case::RECEIVED_AT + Duration::from_millis(1);
    });
    assert!(!later.fires("prior_chargeback"));
}

#[test]
fn three_refunds_fire_and_two_or_old_ones_do_not() {
    let refunds = |days: &[u64]| {
        days.iter().fold(Case::ordinary(), |case, days| earlier(case, *days, &[Happening::Refunded], by_email))
    };
    assert!(refunds(&[5, 40, 90]).fires("prior_refunds"));
    assert!(!refunds(&[5, 40]).fires("prior_refunds"));
    assert!(!refunds(&[5, 40, 92]).fires("prior_refunds"));
}

#[test]
fn a_rejection_fires_unless_it_is_old_or_was_taken_back() {
    let rejected =
        |days, became: &[Happening]| earlier(Case::ordinary(), days, became, by_email).fires("prior_rejected");
    assert!(rejected(5, &[Happening::Rejected]));
    assert!(rejected(5, &[Happening::Approved, Happening::Rejected]));
    assert!(!rejected(5, &[Happening::Rejected, Happening::Approved]));
    assert!(!rejected(100, &[Happening::Rejected]));
    assert!(!rejected(5, &[Happening::Fulfilled]));
}

#[test]
fn two_old_fulfilled_orders_with_the_same_mail_and_card_or_address_speak_for_the_customer() {
    let good = |days: [u64; 2], share: fn(&HistoryKeys, &mut HistoryKeys)| {
        days.iter().fold(Case::ordinary(), |case, days| earlier(case, *days, &[Happening::Fulfilled], share))
    };
    let by_address: fn(&HistoryKeys, &mut HistoryKeys) = |own, keys| {
        keys.email = own.email;
        keys.address = own.address;
    };
    assert_eq!(points(&good([70, 80], by_card_and_email), "good_history"), Some(-20));
    assert_eq!(points(&good([70, 80], by_address).weak_card(), "good_history"), Some(-20));
    assert_eq!(points(&good([70, 80], by_card_and_email).weak_card(), "good_history"), Some(-10));
    for (case, why) in [
        (good([70, 50], by_card_and_email), "too young"),
        (good([70, 80], by_email), "only the e-mail address"),
        (good([70, 80], by_card), "only the card"),
        (earlier(good([70, 80], by_card_and_email), 5, &[Happening::ChargebackOpened], by_email), "disputed"),
    ] {
        assert!(!case.fires("good_history"), "{why}");
    }
}

#[test]
fn a_customer_that_the_merchant_vouches_for_fires() {
    assert_eq!(Case::ordinary().with("/customer/is_trusted", true).points("repeat_customer"), Some(-10));
    assert!(!Case::ordinary().with("/customer/is_trusted", false).fires("repeat_customer"));
    assert!(!Case::ordinary().fires("repeat_customer"));
}

#[test]
fn the_merchants_score_weighs_by_its_place_on_the_stated_scale() {
    let scored = |score: &str, scale: &str| {
        let policy = format!(r#"{{"merchant_score_scale":{scale}}}"#);
        points(&Case::ordinary().with("/merchant_score", Value::from(score)).policy(&policy), "merchant_score")
    };
    for (score, expected) in [("0", -10), ("-5", -10), ("50", 5), ("51.7", 6), ("100", 20), ("1e6", 20)] {
        assert_eq!(scored(score, "[0,100]"), Some(expected), "{score}");
    }
    assert_eq!((scored("850", "[850,300]"), scored("300", "[850,300]")), (Some(-10), Some(20)));
    assert_eq!(scored("33.4", "[0,100]"), None, "no points either way");
    assert!(!Case::ordinary().with("/merchant_score", 90).fires("merchant_score"), "no scale");
    assert!(!Case::ordinary().policy(r#"{"merchant_score_scale":[0,100]}"#).fires("merchant_score"), "no score");
}

fn slot(keys: &mut HistoryKeys, kind: HistoryKeyKind) -> &mut Option<touchstone_schema::history::HistoryKey> {
    match kind {
        Card => &mut keys.card,
        Email => &mut keys.email,
        Phone => &mut keys.phone,
        Device => &mut keys.device,
        HistoryKeyKind::Ip => &mut keys.ip,
        Address => &mut keys.address,
        Customer => &mut keys.customer,
    }
}

#[test]
fn several_orders_of_one_transaction_are_one() {
    let case =
        earlier(Case::ordinary(), 20, &[Happening::ChargebackOpened, Happening::ChargebackUpheld], by_card_and_email);
    assert_eq!(points(&case, "prior_chargeback"), Some(40));
    let other = case.earlier(30, |own, entry| {
        entry.keys.email = own.email;
        entry.keys.card = Some(key(77));
    });
    assert_eq!(points(&other, "prior_chargeback"), Some(40));
}
