//! The store's own lists, which settle the score whatever else is found.

use touchstone_schema::lists::ListSubject;

use super::super::confidence::Input;
use super::super::policy::Group;
use super::super::{Check, Facts, Finding, Signal};

/// Code of the signal that sets the score to 100.
pub const BLOCK: &str = "list_block";
/// Code of the signal that sets the score to 0.
pub const ALLOW: &str = "list_allow";

/// The signals of this group.
pub const SIGNALS: &[Signal] = &[
    Signal {
        code: BLOCK,
        group: Group::Lists,
        points: 100,
        meaning: "something of the order is on the store's block list: the score becomes 100",
        inputs: &[Input::Lists],
        check: Check::By(block),
    },
    Signal {
        code: ALLOW,
        group: Group::Lists,
        points: -100,
        meaning: "something of the order is on the store's allow list and nothing on its block list: the score \
                  becomes 0",
        inputs: &[Input::Lists],
        check: Check::By(allow),
    },
];

fn block(facts: &Facts<'_>) -> Option<Finding> {
    listed(&facts.lists.blocked, "block")
}

fn allow(facts: &Facts<'_>) -> Option<Finding> {
    if facts.lists.blocked.is_empty() { listed(&facts.lists.allowed, "allow") } else { None }
}

fn listed(subjects: &[ListSubject], list: &str) -> Option<Finding> {
    let words: Vec<&str> = subjects.iter().map(|subject| word(*subject)).collect();
    let verb = match words.len() {
        0 => return None,
        1 => "is",
        _ => "are",
    };
    Finding::because(format!("the {} {verb} on the store's {list} list", words.join(" and the ")))
}

const fn word(subject: ListSubject) -> &'static str {
    match subject {
        ListSubject::Email => "e-mail address",
        ListSubject::EmailDomain => "e-mail domain",
        ListSubject::Ip => "IP address",
        ListSubject::Card => "card",
        ListSubject::Device => "device",
        ListSubject::Phone => "telephone number",
        ListSubject::Address => "postal address",
        ListSubject::Customer => "customer",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::fixture::Case;

    fn listed_as(blocked: &[ListSubject], allowed: &[ListSubject]) -> Case {
        Case::ordinary().listed(|lists| {
            lists.blocked = blocked.to_vec();
            lists.allowed = allowed.to_vec();
        })
    }

    #[test]
    fn a_block_sets_the_score_to_100_and_an_allowance_to_0() {
        let heavy = |case: Case| case.with("/payment/avs_result", "N").with("/payment/cvv_result", "N");
        let card = [ListSubject::Card];
        for (case, code, points, score) in [
            (listed_as(&card, &[]), BLOCK, 100, 100),
            (heavy(listed_as(&card, &[])), BLOCK, 15, 100),
            (listed_as(&[], &card), ALLOW, 0, 0),
            (heavy(listed_as(&[], &card)), ALLOW, -85, 0),
            (listed_as(&card, &card).with("/payment/eci", "05"), BLOCK, 115, 100),
        ] {
            assert_eq!((case.points(code), case.assess().risk_score), (Some(points), score), "{code} {points}");
        }
    }

    #[test]
    fn what_is_not_listed_or_blocked_too_is_not_allowed() {
        assert!(!listed_as(&[], &[]).fires(BLOCK));
        assert!(!listed_as(&[], &[]).fires(ALLOW));
        assert!(!listed_as(&[ListSubject::Ip], &[ListSubject::Email]).fires(ALLOW));
    }

    #[test]
    fn the_explanation_says_which_list_decided() {
        let blocked = listed_as(&[ListSubject::Email, ListSubject::Device], &[]).assess();
        assert_eq!(
            blocked.explanation,
            "This order scores 100 of 100, a critical risk, because the e-mail address and the device are on the \
             store's block list. Do not capture it until a person has decided."
        );
    }

    #[test]
    fn a_policy_may_make_a_list_a_signal_like_others_or_switch_it_off() {
        let blocked = listed_as(&[ListSubject::Email], &[]);
        assert_eq!(blocked.clone().policy(r#"{"points":{"list_block":30}}"#).assess().risk_score, 30);
        assert_eq!(blocked.policy(r#"{"disabled":["list_block"]}"#).assess().risk_score, 0);
    }
}
