//! The five base rules: combinations that say more than the sum of their signals (signal catalogue, last paragraph).
//! On by default; a policy may switch them off or change their points.

use touchstone_schema::history::HistoryKeyKind;
use touchstone_schema::verdict::Reason;

use super::history::Window;
use super::signals::{amount, email, geography, identity, issuer};
use super::{Facts, Finding};

/// A named combination of evidence.
#[derive(Debug)]
pub struct BaseRule {
    /// Stable code.
    pub code: &'static str,
    /// Default points.
    pub points: i32,
    /// What it tells, for the reference page.
    pub meaning: &'static str,
    check: fn(&Facts<'_>) -> Option<Finding>,
}

/// Distinct cards on one e-mail or device in a day that look like card testing.
const CARD_TESTING_CARDS: usize = 3;

/// The base rules.
pub const BASE_RULES: &[BaseRule] = &[
    BaseRule {
        code: "rule_avs_and_cvv_mismatch",
        points: 40,
        meaning: "both the address and the security code failed the issuer's check",
        check: |facts| {
            let failed = issuer::avs_mismatch(facts).is_some() && issuer::cvv_mismatch(facts).is_some();
            failed
                .then_some("both the billing address and the security code failed the issuer's check")
                .and_then(Finding::because)
        },
    },
    BaseRule {
        code: "rule_three_countries",
        points: 30,
        meaning: "billing, shipping and IP address are in three different countries",
        check: |facts| {
            let [billing, shipping, ip] = geography::three_countries(facts)?;
            Finding::because(format!(
                "billing ({billing}), shipping ({shipping}) and IP address ({ip}) are in three countries"
            ))
        },
    },
    BaseRule {
        code: "rule_disposable_email_high_amount",
        points: 30,
        meaning: "a disposable e-mail address on an order above the high amount",
        check: |facts| {
            let both = email::disposable(facts).is_some() && amount::is_high(facts);
            both.then_some("a disposable e-mail address on an unusually large order").and_then(Finding::because)
        },
    },
    BaseRule {
        code: "rule_card_testing",
        points: 40,
        meaning: "three or more cards on one e-mail address or device within a day",
        check: card_testing,
    },
    BaseRule {
        code: "rule_express_first_order_country_mismatch",
        points: 25,
        meaning: "express shipping on a first order to another country than the billing country",
        check: |facts| {
            let all = amount::is_express(facts)
                && identity::first_order(facts).is_some()
                && geography::country_mismatch(facts).is_some();
            all.then_some("express shipping of a first order to another country than the card's")
                .and_then(Finding::because)
        },
    },
];

fn card_testing(facts: &Facts<'_>) -> Option<Finding> {
    let cards = [HistoryKeyKind::Email, HistoryKeyKind::Device]
        .into_iter()
        .map(|kind| facts.history.distinct(kind, Window::Day, HistoryKeyKind::Card))
        .max()
        .unwrap_or(0);
    (cards >= CARD_TESTING_CARDS)
        .then(|| format!("{cards} different cards on one e-mail address or device within a day"))
        .and_then(Finding::because)
}

/// The base rules that fire.
pub(super) fn fired(facts: &Facts<'_>) -> Vec<Reason> {
    let policy = facts.policy;
    BASE_RULES
        .iter()
        .filter(|rule| policy.is_enabled(rule.code))
        .filter_map(|rule| {
            (rule.check)(facts).map(|finding| Reason {
                code: rule.code.to_owned(),
                points: policy.points_override(rule.code).unwrap_or(rule.points),
                detail: finding.detail,
            })
        })
        .collect()
}
