//! The explanation: one readable paragraph made from the reasons, without personal data.

use touchstone_schema::verdict::{Action, Reason, RiskLevel};

/// Most reasons that the paragraph names for each side.
const NAMED: usize = 4;

/// One paragraph of English. `decisive` is the reason that alone settled the score, if one did.
pub(super) fn paragraph(
    score: u8,
    level: RiskLevel,
    action: Action,
    reasons: &[Reason],
    decisive: Option<&Reason>,
) -> String {
    let advice = match action {
        Action::Approve => "It can be captured as normal.",
        Action::Review => "A person should look at it before it ships.",
        Action::Hold => "Do not capture it until a person has decided.",
    };
    let others = || reasons.iter().filter(|reason| decisive.is_none_or(|decisive| decisive.code != reason.code));
    let mut text = format!("This order scores {score} of 100, a {level} risk");
    if let Some(decisive) = decisive {
        text.push_str(", because ");
        text.push_str(&decisive.detail);
    }
    text.push('.');
    let weighs_against = list(&mut text, " What weighs against it: ", others().filter(|reason| reason.points > 0));
    if !weighs_against && decisive.is_none() {
        text.push_str(" Nothing weighs against it.");
    }
    list(&mut text, " What speaks for it: ", others().filter(|reason| reason.points < 0));
    text.push(' ');
    text.push_str(advice);
    text
}

/// Appends a sentence that lists the reasons, if there are any.
fn list<'a>(text: &mut String, beginning: &str, reasons: impl Iterator<Item = &'a Reason>) -> bool {
    let mut count = 0;
    for reason in reasons {
        if count < NAMED {
            text.push_str(if count == 0 { beginning } else { "; " });
            text.push_str(&reason.detail);
        }
        count += 1;
    }
    if count > NAMED {
        text.push_str(&format!("; and {} more", count - NAMED));
    }
    if count > 0 {
        text.push('.');
    }
    count > 0
}
