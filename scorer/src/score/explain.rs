//! The explanation: one readable paragraph made from the reasons, without personal data.

use touchstone_schema::verdict::{Action, Reason, RiskLevel};

/// Most reasons that the paragraph names for each side.
const NAMED: usize = 4;

/// One paragraph of English.
pub(super) fn paragraph(score: u8, level: RiskLevel, action: Action, reasons: &[Reason]) -> String {
    let advice = match action {
        Action::Approve => "It can be captured as normal.",
        Action::Review => "A person should look at it before it ships.",
        Action::Hold => "Do not capture it until a person has decided.",
    };
    let against = listed(reasons.iter().filter(|reason| reason.points > 0));
    let speaking_for = listed(reasons.iter().filter(|reason| reason.points < 0));
    let mut text = format!("This order scores {score} of 100, a {level} risk.");
    match against {
        Some(list) => text.push_str(&format!(" What weighs against it: {list}.")),
        None => text.push_str(" Nothing weighs against it."),
    }
    if let Some(list) = speaking_for {
        text.push_str(&format!(" What speaks for it: {list}."));
    }
    text.push(' ');
    text.push_str(advice);
    text
}

fn listed<'a>(reasons: impl Iterator<Item = &'a Reason>) -> Option<String> {
    let details: Vec<&str> = reasons.map(|reason| reason.detail.as_str()).collect();
    let named = details.iter().take(NAMED).copied().collect::<Vec<_>>().join("; ");
    match details.len() {
        0 => None,
        count if count > NAMED => Some(format!("{named}; and {} more", count - NAMED)),
        _ => Some(named),
    }
}
