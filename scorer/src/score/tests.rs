//! What holds for every assessment, and what orders of a kind come to.

use std::collections::HashSet;

use proptest::prelude::*;
use serde_json::{Value, json};
use touchstone_schema::history::Happening;
use touchstone_schema::limits::{POLICY_RULES, VERDICT_REASONS};
use touchstone_schema::lists::ListSubject;
use touchstone_schema::order::CountryCode;
use touchstone_schema::verdict::{Action, Assessment, RiskLevel};

use super::Signal;
use super::confidence::Input;
use super::fixture::{Case, key, place};
use super::policy::{Group, Policy};
use super::rules::presets;
use super::signals;

#[test]
fn an_ordinary_order_fires_nothing_and_is_approved() {
    let assessment = Case::ordinary().assess();
    assert_eq!(assessment.reason_codes, Vec::<String>::new());
    assert_eq!((assessment.risk_score, assessment.recommended_action), (0, Action::Approve));
    assert_eq!(
        assessment.explanation,
        "This order scores 0 of 100, a low risk. Nothing weighs against it. It can be captured as normal."
    );
}

#[test]
fn a_first_order_by_a_guest_who_sends_a_gift_is_approved() {
    let case = Case::ordinary()
        .with("/customer/is_guest", true)
        .with("/customer/orders_count", 0)
        .with("/shipping_address/last_name", "Novak")
        .with("/shipping_address/city", "Reno")
        .with("/shipping_address/postal_code", "89501");
    let assessment = case.assess();
    assert_eq!(assessment.recommended_action, Action::Approve, "{}", assessment.explanation);
}

#[test]
fn an_order_that_tells_only_what_is_required_is_not_held() {
    let assessment = Case::of(json!({"order_id": "1", "amount": 20, "currency": "EUR"})).assess();
    assert!(assessment.risk_score <= 50, "{}", assessment.explanation);
}

#[test]
fn both_issuer_checks_failed_is_critical_and_held() {
    let assessment = Case::ordinary().with("/payment/avs_result", "N").with("/payment/cvv_result", "N").assess();
    assert_eq!(assessment.reason_codes, ["rule_avs_and_cvv_mismatch", "avs_mismatch", "cvv_mismatch"]);
    assert_eq!((assessment.risk_score, assessment.risk_level), (85, RiskLevel::Critical));
    assert_eq!(assessment.recommended_action, Action::Hold);
    assert!(assessment.explanation.ends_with("Do not capture it until a person has decided."));
}

#[test]
fn each_base_rule_fires_on_its_combination_and_not_on_a_part_of_it() {
    let disposable = Case::ordinary().with("/customer/email", "maria@mailinator.com");
    assert_eq!(disposable.points("rule_disposable_email_high_amount"), None);
    assert_eq!(disposable.with("/amount", 250).points("rule_disposable_email_high_amount"), Some(30));

    let cards = |count: i64| {
        (0..count).fold(Case::ordinary(), |case, number| {
            case.earlier(60, |own, entry| {
                entry.keys.device = own.device;
                entry.keys.card = Some(key(100 + number));
            })
        })
    };
    assert_eq!(cards(1).points("rule_card_testing"), None);
    assert_eq!(cards(2).points("rule_card_testing"), Some(40));

    let abroad = Case::ordinary().with("/shipping_address/country", "BR").with("/shipping_method", "Overnight");
    assert_eq!(abroad.points("rule_express_first_order_country_mismatch"), None);
    let first = abroad.with("/customer/orders_count", 0);
    assert_eq!(first.points("rule_express_first_order_country_mismatch"), Some(25));

    let three = |country| {
        let abroad = Case::ordinary().with("/shipping_address/country", "BR");
        abroad.enriched(|known| known.ip.country = CountryCode::parse(country)).points("rule_three_countries")
    };
    assert_eq!((three("DE"), three("BR"), three("US"), three("")), (Some(30), None, None, None));

    assert_eq!(Case::ordinary().with("/payment/avs_result", "N").points("rule_avs_and_cvv_mismatch"), None);
}

#[test]
fn a_group_counts_no_more_than_its_cap_and_its_heaviest_evidence_first() {
    let case = Case::ordinary().with("/payment/avs_result", "N").with("/payment/cvv_result", "N");
    let case = case.with("/payment/decline_count", 9).with("/payment/card_funding", "prepaid");
    let points = ["avs_mismatch", "cvv_mismatch", "prior_declines", "prepaid_card"].map(|code| case.points(code));
    assert_eq!(points, [Some(30), Some(15), Some(0), Some(0)]);
    let capped = case.policy(r#"{"caps":{"issuer":10}}"#);
    assert_eq!(capped.points("avs_mismatch"), Some(10));
}

#[test]
fn evidence_for_an_order_is_not_taken_up_by_a_cap() {
    let case = Case::ordinary().with("/payment/eci", "05").with("/payment/avs_result", "N");
    assert_eq!(case.points("three_ds_authenticated"), Some(-15));
    assert_eq!(case.assess().risk_score, 15);
    assert!(case.assess().explanation.contains("What speaks for it: the customer was authenticated"));
    assert_eq!(Case::ordinary().with("/payment/eci", "05").assess().risk_score, 0);
}

#[test]
fn a_policy_changes_points_and_switches_signals_and_rules_off() {
    let case = Case::ordinary().with("/payment/avs_result", "N").with("/payment/cvv_result", "N");
    let case = case.policy(r#"{"points":{"avs_mismatch":7},"disabled":["cvv_mismatch","rule_avs_and_cvv_mismatch"]}"#);
    let assessment = case.assess();
    assert_eq!(assessment.reason_codes, ["avs_mismatch"]);
    assert_eq!((assessment.risk_score, assessment.policy_version), (7, 3));
}

#[test]
fn a_verdict_has_no_more_reasons_than_its_limit() {
    let signals = signals::CATALOGUE.iter().copied().flatten().count();
    let rules = POLICY_RULES + presets::all().count();
    assert!(signals + rules <= VERDICT_REASONS, "{signals} signals and {rules} rules");
}

#[test]
fn the_explanation_names_the_heaviest_reasons_and_counts_the_rest() {
    let assessment = worst().assess();
    assert_eq!(assessment.risk_score, 100);
    let named: Vec<_> = assessment.reasons.iter().take(4).map(|reason| reason.detail.as_str()).collect();
    assert!(assessment.explanation.contains(&named.join("; ")), "{}", assessment.explanation);
    assert!(assessment.explanation.contains(" more. Do not capture"), "{}", assessment.explanation);
}

#[test]
fn no_detail_tells_personal_data() {
    let assessment = worst().assess();
    let told = serde_json::to_string(&assessment).expect("an assessment is JSON").to_lowercase();
    for personal in ["skater", "zxcv", "novak", "4283", "99912345", "10.1.2.3", "fp-1", "411111"] {
        assert!(!told.contains(personal), "{personal} in {told}");
    }
}

#[test]
fn codes_are_unique_and_snake_case_and_every_signal_says_what_it_means() {
    let mut seen = HashSet::new();
    let signals =
        signals::CATALOGUE.iter().copied().flatten().map(|signal| (signal.code, signal.points, signal.meaning));
    for signal in signals::CATALOGUE.iter().copied().flatten() {
        assert!(!signal.inputs.is_empty(), "{} looks at nothing", signal.code);
    }
    let rules: Vec<_> = presets::all().map(|rule| (rule.code(), rule)).collect();
    let rules =
        rules.iter().map(|(code, rule)| (code.as_str(), rule.points, rule.detail.as_deref().unwrap_or_default()));
    for (code, points, meaning) in signals.chain(rules) {
        assert!(seen.insert(code.to_owned()), "{code} twice");
        assert!(code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_' || byte.is_ascii_digit()), "{code}");
        assert!(points != 0 && !meaning.is_empty(), "{code}");
    }
}

#[test]
fn every_input_is_looked_at_by_a_signal() {
    for input in Input::ALL {
        let signals = || signals::CATALOGUE.iter().copied().flatten();
        // An order without fingerprint is judged by the rest, and the fingerprint by history alone.
        let is_used = signals().any(|signal| signal.inputs.contains(input)) || *input == Input::Device;
        assert!(is_used, "{input}");
    }
}

/// Codes, groups, caps and default points of the signal catalogue.
#[test]
fn the_catalogue_is_the_one_that_is_agreed() {
    let agreed = "
        issuer 45: avs_mismatch 30, avs_partial 12, avs_unavailable 4, avs_missing 5, cvv_mismatch 25, cvv_unavailable 3,
            cvv_missing 4, prior_declines 10, no_liability_shift 6, three_ds_authenticated -15, prepaid_card 8;
        geography 40: ship_bill_country_mismatch 15, ship_bill_city_mismatch 6, ip_billing_country_mismatch 15,
            ip_shipping_country_mismatch 8, ip_billing_distance 6, bin_country_mismatch 15, country_disagreement 15,
            phone_country_mismatch 6, time_zone_mismatch 8, high_risk_country 10;
        network 35: anonymous_ip 15, tor_exit 25, hosting_ip 12, private_ip 4, user_agent_missing 3,
            user_agent_automation 12, language_mismatch 3;
        email 30: email_missing 10, email_invalid 15, email_disposable 20, email_free_provider 3, email_gibberish 8,
            email_name_mismatch 2, email_plus_alias 8;
        identity 25: name_mismatch 5, name_gibberish 10, phone_invalid 6, phone_missing 3, guest_checkout 5,
            account_new 4, first_order 3;
        address 20: address_missing 8, address_incomplete 5, po_box 3, freight_forwarder 15, digital_goods 4;
        amount 25: high_amount 3, amount_outlier 8, high_quantity 6, risky_sku 10, many_coupons 3, express_shipping 4,
            night_order 2;
        velocity 50: card_velocity 10, email_velocity 10, ip_velocity 10, device_velocity 10, address_velocity 10,
            phone_velocity 10, cards_per_email 20, cards_per_ip 20, cards_per_device 20, emails_per_card 15,
            emails_per_device 15, emails_per_address 15, names_per_card 12, declines_per_card 20, declines_per_ip 20,
            declines_per_email 20, amount_velocity 10;
        history 60: prior_chargeback 40, prior_refunds 8, prior_rejected 20, good_history -20, repeat_customer -10,
            merchant_score 20;
        lists 100: list_block 100, list_allow -100";
    let mut expected = Vec::new();
    for group in agreed.split(';') {
        let (group, signals) = group.split_once(':').expect("a group");
        expected.extend(signals.split(',').map(|signal| format!("{} {}", group.trim(), signal.trim())));
    }
    let found = signals::CATALOGUE.iter().copied().flatten();
    let told = |s: &Signal| format!("{} {} {} {}", s.group, s.group.default_cap(), s.code, s.points);
    assert_eq!(found.map(told).collect::<Vec<_>>(), expected);
}

/// An order with much against it.
fn worst() -> Case {
    Case::ordinary()
        .with("/amount", 1_500)
        .with("/payment/avs_result", "N")
        .with("/payment/cvv_result", "N")
        .with("/customer/email", "skater@mailinator.com")
        .with("/customer/first_name", "Zxcv")
        .with("/customer/phone", "+99912345678")
        .with("/shipping_address/last_name", "Novak")
        .with("/shipping_address/country", "BR")
        .with("/shipping_address/address1", "4283 Express Lane")
        .with("/shipping_method", "Overnight")
        .with("/ip_address", "10.1.2.3")
        .with("/user_agent", "curl/8.5.0")
}

/// Members of an order and values that they may take; none at all means any text.
const MEMBERS: &[(&str, &[&str])] = &[
    ("/amount", &["0", "1", "200.01", "999.99", "5000", "10000000000000"]),
    ("/currency", &["USD", "JPY", "KWD", "MMK"]),
    ("/source", &["web", "mobile_app", "phone", "in_store", "chat"]),
    ("/created_at", &["1970-01-01T00:00:00Z", "2026-05-04T01:30:00Z", "9999-12-31T23:59:59Z"]),
    ("/customer/id", &[]),
    ("/customer/email", &[]),
    ("/customer/email", &["@", "a@", "@b", "a@b.c", "x+y@mailinator.com", "ÄÖ@ß.de", "x@.", "q.q.q@gmail.com"]),
    ("/customer/phone", &[]),
    ("/customer/phone", &["+", "00", "0", "x", "+1", "+999", "00000000", "+49 30 1234567"]),
    ("/customer/first_name", &[]),
    ("/customer/last_name", &[]),
    ("/customer/created_at", &["1970-01-01T00:00:00Z", "2026-05-04T01:30:00Z", "9999-12-31T23:59:59Z"]),
    ("/customer/orders_count", &["0", "1", "4294967295"]),
    ("/customer/is_guest", &["true", "false"]),
    ("/billing_address/last_name", &[]),
    ("/billing_address/address1", &[]),
    ("/billing_address/city", &[]),
    ("/billing_address/postal_code", &[]),
    ("/billing_address/country", &["US", "PR", "DE", "HK", "BR", "XK"]),
    ("/billing_address/phone", &[]),
    ("/shipping_address/company", &[]),
    ("/shipping_address/company", &["MyUS", "PO Box"]),
    ("/shipping_address/address1", &[]),
    ("/shipping_address/address1", &["P.O. Box", "Packstation 1"]),
    ("/shipping_address/country", &["US", "PR", "DE", "HK", "BR", "XK"]),
    ("/payment/method", &["card", "paypal", "gift card"]),
    ("/payment/avs_result", &[]),
    ("/payment/avs_result", &["N", "A", "Y", "U"]),
    ("/payment/cvv_result", &["N", "P", "M"]),
    ("/payment/eci", &["5", "07", "02"]),
    ("/payment/card_funding", &["prepaid", "credit"]),
    ("/payment/decline_count", &["0", "2", "3", "4294967295"]),
    ("/ip_address", &["10.0.0.1", "8.8.8.8", "::", "::ffff:10.0.0.1", "2001:db8::1"]),
    ("/user_agent", &[]),
    ("/user_agent", &["curl/8"]),
    ("/device/accept_language", &[]),
    ("/device/accept_language", &["vi-VN", "-", ",;,", "en", "de-DE,ru"]),
    ("/shipping_method", &[]),
    ("/shipping_method", &["Overnight"]),
    ("/device/time_zone", &[]),
    ("/device/time_zone", &["Asia/Ho_Chi_Minh", "Europe/Berlin", "UTC"]),
    ("/device/is_proxy", &["true"]),
    ("/device/is_tor", &["true"]),
    ("/customer/is_trusted", &["true", "false"]),
    ("/merchant_score", &["-999999999999", "0", "12.345678", "100"]),
];

/// Personal data that can be told from everything else, and the members that it is put into.
const PERSONAL: &[(&str, &str)] = &[
    ("/customer/email", "quillfeather.zebulon@wexcombe-harrow.net"),
    ("/customer/phone", "+61491570156"),
    ("/customer/first_name", "Zebulonia"),
    ("/customer/last_name", "Quillfeather"),
    ("/billing_address/last_name", "Quillfeathery"),
    ("/billing_address/address1", "77 Wexcombe Crescent"),
    ("/billing_address/city", "Harrowgatia"),
    ("/billing_address/postal_code", "Q7X 9ZK"),
    ("/shipping_address/last_name", "Ostrowiczky"),
    ("/shipping_address/address1", "9 Larkmead Passage"),
    ("/shipping_address/company", "Brindlewick Partners"),
    ("/ip_address", "203.113.77.9"),
    ("/device/fingerprint_id", "fp-device-5521"),
    ("/payment/card_fingerprint", "fp-card-7788"),
];

fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(any::<char>(), 0..40).prop_map(String::from_iter)
}

/// Changes of single members: which, which of its values, what text, and whether it is taken away.
fn changed_documents() -> impl Strategy<Value = Case> {
    let change = (0..MEMBERS.len(), any::<prop::sample::Index>(), text(), prop::bool::weighted(0.2));
    let items = prop::collection::vec((prop::option::of(0u32..9), any::<u32>(), any::<bool>()), 0..6);
    (prop::collection::vec(change, 0..40), items).prop_map(|(changes, items)| {
        let mut case = Case::ordinary();
        for (member, value, text, is_absent) in changes {
            let (pointer, values) = MEMBERS[member];
            let value = match (is_absent, values) {
                (true, _) => Value::Null,
                (false, []) => text.into(),
                (false, values) => (*value.get(values)).into(),
            };
            case = case.with(pointer, value);
        }
        let item = |(sku, quantity, digital)| json!({"sku": sku, "quantity": quantity, "is_digital": digital});
        case.with("/line_items", items.into_iter().map(item).collect::<Vec<_>>())
    })
}

/// An earlier order: minutes ago, which keys it shares, another key, declines, and what became of it.
type Earlier = (u64, u8, i64, u32, Vec<Happening>);

fn earlier() -> impl Strategy<Value = Earlier> {
    let became = prop::collection::vec(prop::sample::select(Happening::ALL), 0..4);
    (0u64..150_000, any::<u8>(), 0i64..5, any::<u32>(), became)
}

fn with_past(case: Case, past: Vec<Earlier>) -> Case {
    past.into_iter().fold(case, |case, (minutes, shared, other, declines, became)| {
        case.earlier_with(minutes, &became, |own, entry| {
            let share = |bit: u8, key| if shared & (1 << bit) != 0 { key } else { None };
            entry.keys.card = share(0, own.card).or(Some(key(100 + other)));
            entry.keys.email = share(1, own.email).or(Some(key(200 + other)));
            entry.keys.device = share(2, own.device);
            entry.keys.ip = share(3, own.ip);
            entry.keys.address = share(4, own.address);
            entry.keys.phone = share(5, own.phone);
            entry.keys.customer = share(6, own.customer);
            entry.name = Some(key(300 + other));
            entry.declines = declines;
        })
    })
}

/// What is known besides the order: countries, network, lists, norms.
fn told_from_outside(case: Case, bits: u16, countries: &[&str]) -> Case {
    let is = |bit: u16| bits & (1 << bit) != 0;
    let country = |at: usize| countries.get(at).and_then(|code| CountryCode::parse(code));
    let case = case.enriched(|known| {
        known.ip.country = country(0);
        known.card.country = country(1);
        known.card.is_prepaid = is(0).then_some(is(1));
        (known.ip.is_anonymous, known.ip.is_tor_exit, known.ip.is_hosting) = (is(2), is(3), is(4));
        (known.email.is_disposable, known.email.is_free) = (is(5), is(6));
        known.ip.location = is(7).then(|| place(52, 13));
        known.billing_location = is(8).then(|| place(-30, 170));
    });
    let case = if is(9) { case.norms(Case::NORMS) } else { case };
    let case = if is(10) { case.weak_card() } else { case };
    case.listed(|lists| {
        lists.blocked = if is(11) && is(12) { vec![ListSubject::Email] } else { Vec::new() };
        lists.allowed = if is(13) && is(14) { vec![ListSubject::Ip, ListSubject::Card] } else { Vec::new() };
    })
}

fn documents() -> impl Strategy<Value = Case> {
    let policy = prop::sample::select(vec![
        "{}",
        r#"{"caps":{"issuer":0,"email":1000,"identity":3},"points":{"email_missing":-1000,"avs_mismatch":1000}}"#,
        r#"{"disabled":["rule_card_testing","avs_mismatch"],"high_amounts":{"USD":[1,2,3]}}"#,
        r#"{"high_risk_countries":["BR"],"risky_skus":["1","2"],"merchant_score_scale":[100,0]}"#,
        r#"{"merchant_score_scale":[0,100],"points":{"list_block":-7}}"#,
    ]);
    let countries = prop::collection::vec(prop::sample::select(vec!["US", "BR", "VN", "PR", ""]), 2);
    let past = prop::collection::vec(earlier(), 0..30);
    (changed_documents(), past, policy, any::<u16>(), countries).prop_map(|(case, past, policy, bits, countries)| {
        told_from_outside(with_past(case.policy(policy), past), bits, &countries)
    })
}

fn sum(assessment: &Assessment) -> i32 {
    assessment.reasons.iter().map(|reason| reason.points).sum()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_order_has_a_sound_assessment(case in documents()) {
        prop_assume!(case.order().is_some());
        let assessment = case.assess();
        prop_assert_eq!(i32::from(assessment.risk_score), sum(&assessment).clamp(0, 100));
        prop_assert!((0.0..=1.0).contains(&assessment.confidence));
        prop_assert!(assessment.reasons.is_sorted_by_key(|reason| std::cmp::Reverse(reason.points.abs())));
        let codes: Vec<_> = assessment.reasons.iter().map(|reason| reason.code.clone()).collect();
        prop_assert_eq!(&codes, &assessment.reason_codes);
        prop_assert_eq!(codes.iter().collect::<HashSet<_>>().len(), codes.len());
        prop_assert!(assessment.reasons.iter().all(|reason| !reason.detail.is_empty() && !reason.detail.contains('\n')));
        let policy: &Policy = case.current_policy();
        prop_assert_eq!(assessment.risk_level, policy.level(assessment.risk_score));
        prop_assert_eq!(assessment.recommended_action, policy.action(assessment.risk_level));
        // A list that settles the score may have to outweigh anything.
        for group in Group::ALL.iter().filter(|group| **group != Group::Lists) {
            let of_group = |code: &str| signals::find(code).is_some_and(|signal| signal.group == *group);
            let positive: i32 =
                assessment.reasons.iter().filter(|reason| of_group(&reason.code)).map(|reason| reason.points.max(0)).sum();
            prop_assert!(positive <= policy.cap(*group), "{} has {}", group, positive);
        }
        prop_assert_eq!(serde_json::to_string(&case.assess()).ok(), serde_json::to_string(&assessment).ok());
    }

    #[test]
    fn no_reason_and_no_explanation_tells_personal_data(case in documents(), members in any::<u16>()) {
        let mut case = case;
        let of_case = PERSONAL.iter().enumerate().filter(|(bit, _)| members & (1 << bit) != 0).map(|(_, personal)| personal);
        for (pointer, value) in of_case {
            case = case.with(pointer, *value);
        }
        prop_assume!(case.order().is_some());
        let told = serde_json::to_string(&case.assess()).expect("an assessment is JSON").to_lowercase();
        for (pointer, value) in PERSONAL {
            for word in value.to_lowercase().split([' ', '@']).filter(|word| word.len() > 3) {
                prop_assert!(!told.contains(word), "{} of {} in {}", word, pointer, told);
            }
        }
    }

    #[test]
    fn any_text_in_every_text_member_is_scored(text in text()) {
        let case = Case::ordinary().with("/customer/email", text.clone()).with("/customer/last_name", text.clone());
        let case = case.with("/customer/phone", text.clone()).with("/user_agent", text.clone());
        let case = case.with("/device/accept_language", text.clone()).with("/shipping_method", text.clone());
        let case = case.with("/shipping_address/address1", text);
        prop_assume!(case.order().is_some());
        prop_assert_eq!(i32::from(case.assess().risk_score), sum(&case.assess()).clamp(0, 100));
    }
}
