//! The verdict of a test order that asks for one. It has one reason, whose points are the score.

use touchstone_schema::test_order::{AskedOutcome, DOMAIN, REASON};
use touchstone_schema::verdict::{Action, Assessment, Reason};

use crate::score::policy::Policy;

/// The assessment that is asked for, in the bands of the store's policy.
pub(super) fn assessment(asked: AskedOutcome, policy: &Policy) -> Assessment {
    let (risk_score, action) = match asked {
        AskedOutcome::Approve | AskedOutcome::Late => (0, Action::Approve),
        AskedOutcome::Review => (policy.document().bands.medium.min(100), Action::Review),
        AskedOutcome::Hold => (100, Action::Hold),
    };
    let level = policy.level(risk_score);
    let detail = format!("a test order asks for this verdict by its e-mail address ({asked}@{DOMAIN})");
    Assessment {
        risk_score,
        risk_level: level,
        recommended_action: action,
        confidence: 1.0,
        reason_codes: vec![REASON.to_owned()],
        explanation: format!("This order scores {risk_score} of 100, a {level} risk, because {detail}."),
        reasons: vec![Reason { code: REASON.to_owned(), points: i32::from(risk_score), detail }],
        shadow_reasons: Vec::new(),
        policy_version: policy.version,
    }
}

#[cfg(test)]
mod tests {
    use touchstone_schema::verdict::RiskLevel;

    use super::*;

    #[test]
    fn each_outcome_has_its_action_and_one_reason_that_adds_up() {
        let policy = Policy::built_in();
        for (asked, score, level, action) in [
            (AskedOutcome::Approve, 0, RiskLevel::Low, Action::Approve),
            (AskedOutcome::Late, 0, RiskLevel::Low, Action::Approve),
            (AskedOutcome::Review, 31, RiskLevel::Medium, Action::Review),
            (AskedOutcome::Hold, 100, RiskLevel::Critical, Action::Hold),
        ] {
            let told = assessment(asked, &policy);
            assert_eq!((told.risk_score, told.risk_level, told.recommended_action), (score, level, action), "{asked}");
            assert_eq!(told.reasons.iter().map(|reason| reason.points).sum::<i32>(), i32::from(score), "{asked}");
            assert_eq!(told.reason_codes, [REASON]);
        }
    }

    #[test]
    fn a_store_with_bands_of_its_own_gets_a_review_in_its_medium_band() {
        let document = Policy::parse(r#"{"bands": {"medium": 10, "high": 20, "critical": 30}}"#).unwrap();
        let told = assessment(AskedOutcome::Review, &Policy::of(3, document));
        assert_eq!((told.risk_score, told.risk_level, told.policy_version), (10, RiskLevel::Medium, 3));
    }
}
