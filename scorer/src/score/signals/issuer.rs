//! What the card's issuer said: address verification (AVS), security code (CVV), declines, 3-D Secure, funding. What its
//! answers mean is in `schema/src/issuer/`.

use touchstone_schema::issuer::{AddressMatch, Answer, SecurityCodeMatch, address_check, security_code_check};

use super::super::confidence::{Input, takes_card};
use super::super::policy::Group;
use super::super::{Check, Facts, Finding, Signal};
use super::amount;

/// The signals of this group.
pub const SIGNALS: &[Signal] = &[
    Signal {
        code: "avs_mismatch",
        group: Group::Issuer,
        points: 30,
        meaning: "the issuer says that nothing that was checked of the billing address matches, neither street nor postal code",
        inputs: &[Input::Avs],
        check: Check::By(avs_mismatch),
    },
    Signal {
        code: "avs_partial",
        group: Group::Issuer,
        points: 12,
        meaning: "the issuer says that only a part of the billing address matches: street, postal code, or all but the name",
        inputs: &[Input::Avs],
        check: Check::By(avs_partial),
    },
    Signal {
        code: "avs_unavailable",
        group: Group::Issuer,
        points: 4,
        meaning: "the issuer could not check the billing address, or its answer is not understood",
        inputs: &[Input::Avs],
        check: Check::By(avs_unavailable),
    },
    Signal {
        code: "avs_missing",
        group: Group::Issuer,
        points: 5,
        meaning: "a card payment without an address check",
        inputs: &[Input::Avs],
        check: Check::By(|facts| {
            missing(facts, address_check(&facts.order.payment).is_none(), "no address check (AVS) was sent")
        }),
    },
    Signal {
        code: "cvv_mismatch",
        group: Group::Issuer,
        points: 25,
        meaning: "the issuer says that the security code is wrong",
        inputs: &[Input::Cvv],
        check: Check::By(cvv_mismatch),
    },
    Signal {
        code: "cvv_unavailable",
        group: Group::Issuer,
        points: 3,
        meaning: "the issuer did not check the security code, or its answer is not understood",
        inputs: &[Input::Cvv],
        check: Check::By(cvv_unavailable),
    },
    Signal {
        code: "cvv_missing",
        group: Group::Issuer,
        points: 4,
        meaning: "a card payment without a security code check",
        inputs: &[Input::Cvv],
        check: Check::By(|facts| {
            missing(facts, facts.order.payment.cvv_result.is_none(), "no security code check (CVV) was sent")
        }),
    },
    Signal {
        code: "prior_declines",
        group: Group::Issuer,
        points: 10,
        meaning: "this payment was declined twice before, three times (15 points) or more often (20 points)",
        inputs: &[Input::Declines],
        check: Check::By(prior_declines),
    },
    Signal {
        code: "no_liability_shift",
        group: Group::Issuer,
        points: 6,
        meaning: "3-D Secure was not completed on a card payment above the high amount",
        inputs: &[Input::Eci, Input::Card, Input::Amount],
        check: Check::By(no_liability_shift),
    },
    Signal {
        code: "three_ds_authenticated",
        group: Group::Issuer,
        points: -15,
        meaning: "the customer was authenticated by 3-D Secure (ECI 05 or 02)",
        inputs: &[Input::Eci],
        check: Check::By(three_ds_authenticated),
    },
    Signal {
        code: "prepaid_card",
        group: Group::Issuer,
        points: 8,
        meaning: "the card is a prepaid card",
        inputs: &[Input::Funding, Input::CardIssuer],
        check: Check::By(prepaid_card),
    },
];

fn missing(facts: &Facts<'_>, absent: bool, detail: &str) -> Option<Finding> {
    (absent && takes_card(facts.order)).then(|| detail.to_owned()).and_then(Finding::because)
}

/// What was checked of the billing address does not match.
pub fn avs_mismatch(facts: &Facts<'_>) -> Option<Finding> {
    let answer = address_check(&facts.order.payment)?;
    (answer.meaning == AddressMatch::NoMatch)
        .then(|| format!("the billing address does not match the card issuer's records{}", shown("AVS", &answer)))
        .and_then(Finding::because)
}

fn avs_partial(facts: &Facts<'_>) -> Option<Finding> {
    let answer = address_check(&facts.order.payment)?;
    let matching = match answer.meaning {
        AddressMatch::StreetOnly => "only the street matches",
        AddressMatch::PostalOnly => "only the postal code matches",
        AddressMatch::Partial => "only a part of the billing address matches",
        AddressMatch::NameMismatch => "the billing address matches and the name does not match",
        AddressMatch::Match | AddressMatch::NoMatch | AddressMatch::Unavailable => return None,
    };
    Finding::because(format!("{matching} the card issuer's records{}", shown("AVS", &answer)))
}

fn avs_unavailable(facts: &Facts<'_>) -> Option<Finding> {
    let answer = address_check(&facts.order.payment)?;
    if answer.meaning != AddressMatch::Unavailable {
        return None;
    }
    Finding::because(if answer.is_understood() {
        "the card issuer could not check the billing address"
    } else {
        "the answer of the address check (AVS) is not understood"
    })
}

/// The security code is not the card's.
pub fn cvv_mismatch(facts: &Facts<'_>) -> Option<Finding> {
    let answer = security_code_check(&facts.order.payment)?;
    (answer.meaning == SecurityCodeMatch::NoMatch)
        .then(|| format!("the card's security code is wrong{}", shown("CVV", &answer)))
        .and_then(Finding::because)
}

fn cvv_unavailable(facts: &Facts<'_>) -> Option<Finding> {
    let answer = security_code_check(&facts.order.payment)?;
    let detail = match answer.meaning {
        SecurityCodeMatch::Match | SecurityCodeMatch::NoMatch => return None,
        SecurityCodeMatch::ShouldBePresent => "no security code was sent, and the card should have one",
        SecurityCodeMatch::Unavailable if !answer.is_understood() => {
            return Finding::because("the answer of the security code check (CVV) is not understood");
        }
        SecurityCodeMatch::NotProcessed | SecurityCodeMatch::Unavailable => {
            "the card issuer did not check the security code"
        }
    };
    Finding::because(format!("{detail}{}", shown("CVV", &answer)))
}

/// The answer in brackets, in the spelling of its table.
fn shown<M>(check: &str, answer: &Answer<M>) -> String {
    answer.text.as_ref().map(|text| format!(" ({check} {text})")).unwrap_or_default()
}

/// 10 points at two declines, 15 at three, 20 from four on.
fn prior_declines(facts: &Facts<'_>) -> Option<Finding> {
    let declines = facts.order.payment.decline_count?;
    let points = match declines {
        0 | 1 => return None,
        2 => 10,
        3 => 15,
        _ => 20,
    };
    Finding::worth(points, format!("the payment was declined {declines} times before"))
}

fn no_liability_shift(facts: &Facts<'_>) -> Option<Finding> {
    let eci = facts.order.payment.eci.as_deref()?;
    let completed = matches!(eci, "05" | "02" | "06" | "01");
    (!completed && takes_card(facts.order) && amount::is_high(facts))
        .then(|| format!("3-D Secure was not completed on a large order (ECI {eci}): the loss would be yours"))
        .and_then(Finding::because)
}

fn three_ds_authenticated(facts: &Facts<'_>) -> Option<Finding> {
    let eci = facts.order.payment.eci.as_deref()?;
    matches!(eci, "05" | "02")
        .then(|| format!("the customer was authenticated by 3-D Secure (ECI {eci})"))
        .and_then(Finding::because)
}

/// By what the order says of the card, else by what is known of its issuer.
fn prepaid_card(facts: &Facts<'_>) -> Option<Finding> {
    let is_prepaid = match facts.order.payment.card_funding.as_deref() {
        Some(funding) => funding == "prepaid",
        None => facts.enrichment.card.is_prepaid?,
    };
    is_prepaid.then_some("the card is prepaid").and_then(Finding::because)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use crate::score::fixture::Case;

    fn payment(member: &str, value: impl Into<Value>) -> Case {
        Case::ordinary().with(&format!("/payment/{member}"), value)
    }

    fn paypal_without(member: &str) -> Case {
        let card = ["card_bin", "card_last4", "card_expiry", "card_fingerprint", member];
        card.iter().fold(payment("method", "paypal"), |case, member| case.without(&format!("/payment/{member}")))
    }

    #[test]
    fn each_address_check_fires_its_own_signal_and_no_other() {
        let codes = ["avs_mismatch", "avs_partial", "avs_unavailable", "avs_missing"];
        let expected = [("n", 0), ("A", 1), ("Z", 1), ("W", 1), ("B", 1), ("P", 1), ("U", 2), ("R", 2), ("", 3)];
        for (answer, fired) in expected {
            let case = payment("avs_result", answer);
            let all: Vec<bool> = codes.iter().map(|code| case.fires(code)).collect();
            assert_eq!(all, (0..codes.len()).map(|at| at == fired).collect::<Vec<_>>(), "AVS {answer}");
        }
    }

    #[test]
    fn a_matching_address_check_fires_nothing() {
        for answer in ["Y", "X", "D", "F", "M"] {
            let case = payment("avs_result", answer);
            assert!(case.assess().reasons.is_empty(), "AVS {answer}");
        }
    }

    #[test]
    fn each_security_code_check_fires_its_own_signal_and_no_other() {
        let codes = ["cvv_mismatch", "cvv_unavailable", "cvv_missing"];
        for (answer, fired) in [("N", 0), ("P", 1), ("s", 1), ("U", 1), ("X", 1), ("", 2), ("M", 9)] {
            let case = payment("cvv_result", answer);
            let all: Vec<bool> = codes.iter().map(|code| case.fires(code)).collect();
            assert_eq!(all, (0..codes.len()).map(|at| at == fired).collect::<Vec<_>>(), "CVV {answer}");
        }
    }

    #[test]
    fn answers_in_the_words_of_gateways_fire_as_letters_do() {
        for (answer, code) in [
            ("no_match", "avs_mismatch"),
            ("fail", "avs_mismatch"),
            ("2 Neither postal code nor address match", "avs_mismatch"),
            ("9 Address matches, postal code unknown", "avs_partial"),
            ("unchecked", "avs_unavailable"),
            ("banana", "avs_unavailable"),
        ] {
            assert_eq!(payment("avs_result", answer).assess().reason_codes, [code], "AVS {answer}");
        }
        for (answer, code) in [
            ("no_match", "cvv_mismatch"),
            ("fail", "cvv_mismatch"),
            ("2 Doesn't Match", "cvv_mismatch"),
            ("unchecked", "cvv_unavailable"),
            ("unavailable", "cvv_unavailable"),
            ("banana", "cvv_unavailable"),
            ("7", "cvv_unavailable"),
        ] {
            assert_eq!(payment("cvv_result", answer).assess().reason_codes, [code], "CVV {answer}");
        }
        for answer in ["pass", "match", "7 Both postal code and address match"] {
            assert!(payment("avs_result", answer).assess().reasons.is_empty(), "AVS {answer}");
        }
        assert!(payment("cvv_result", "1 Matches").assess().reasons.is_empty());
    }

    #[test]
    fn street_and_postal_code_that_were_checked_apart_fire() {
        let parts = |street: &str, postal: &str| {
            payment("avs_result", "")
                .with("/payment/avs_street_result", street)
                .with("/payment/avs_postal_result", postal)
        };
        assert_eq!(parts("fail", "fail").assess().reason_codes, ["avs_mismatch"]);
        assert_eq!(parts("pass", "fail").assess().reason_codes, ["avs_partial"]);
        assert_eq!(parts("unchecked", "unavailable").assess().reason_codes, ["avs_unavailable"]);
        assert!(parts("pass", "pass").assess().reasons.is_empty());
    }

    #[test]
    fn an_answer_that_says_nothing_lowers_the_confidence() {
        for member in ["avs_result", "cvv_result"] {
            let absent = payment(member, "").assess().confidence;
            for answer in ["banana", "unavailable", "7"] {
                assert_eq!(payment(member, answer).assess().confidence, absent, "{member} {answer}");
            }
            assert!(payment(member, "no_match").assess().confidence > absent, "{member}");
        }
    }

    #[test]
    fn what_a_shop_sent_is_not_repeated_unless_a_table_has_it() {
        let told = payment("avs_result", "ann@example.com").with("/payment/cvv_result", "4242 4242").assess();
        assert!(!told.explanation.contains("ANN@") && !told.explanation.contains("4242"), "{}", told.explanation);
        let known = payment("cvv_result", "2 doesn't match").assess();
        assert_eq!(known.reasons[0].detail, "the card's security code is wrong (CVV 2 Doesn't Match)");
    }

    #[test]
    fn checks_are_not_missed_where_no_card_pays() {
        assert!(!paypal_without("avs_result").fires("avs_missing"));
        assert!(!paypal_without("cvv_result").fires("cvv_missing"));
    }

    #[test]
    fn declines_weigh_by_their_count() {
        let points = |count: u32| payment("decline_count", count).finding("prior_declines").and_then(|f| f.points);
        assert_eq!([0, 1, 2, 3, 4, u32::MAX].map(points), [None, None, Some(10), Some(15), Some(20), Some(20)]);
    }

    #[test]
    fn an_uncompleted_authentication_fires_on_a_large_order() {
        assert!(payment("eci", "7").with("/amount", 250).fires("no_liability_shift"));
    }

    #[test]
    fn a_completed_authentication_a_usual_amount_or_no_answer_does_not_fire() {
        assert!(!payment("eci", "05").with("/amount", 250).fires("no_liability_shift"));
        assert!(!payment("eci", "07").fires("no_liability_shift"));
        assert!(!Case::ordinary().with("/amount", 250).fires("no_liability_shift"));
    }

    #[test]
    fn an_authenticated_customer_lowers_the_score() {
        assert_eq!(payment("eci", 5).points("three_ds_authenticated"), Some(-15));
        assert_eq!(payment("eci", "07").points("three_ds_authenticated"), None);
    }

    #[test]
    fn a_prepaid_card_fires_and_a_credit_card_does_not() {
        assert!(payment("card_funding", "Prepaid").fires("prepaid_card"));
        assert!(!Case::ordinary().fires("prepaid_card"));
        let known = |is_prepaid| payment("card_funding", "").enriched(|known| known.card.is_prepaid = is_prepaid);
        assert!(known(Some(true)).fires("prepaid_card"));
        assert!(!known(Some(false)).fires("prepaid_card"));
        assert!(!known(None).fires("prepaid_card"));
        let contradicted = Case::ordinary().enriched(|known| known.card.is_prepaid = Some(true));
        assert!(!contradicted.fires("prepaid_card"));
    }
}
