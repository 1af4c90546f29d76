//! Scoring: a pure function of an order, its history, the store's policy and the moment that the order was received.
//!
//! Guarantee: no I/O, no clock, no randomness; the same inputs give the same bytes (design promise 3). The reasons'
//! points add up exactly to the unclamped score. Source of signals, points and caps: the signal catalogue; of bands and
//! actions: contract section 6.

pub mod confidence;
mod currency_scale;
mod explain;
#[cfg(test)]
mod fixture;
pub mod history;
pub mod norms;
pub mod policy;
pub mod rules;
pub mod signals;
#[cfg(test)]
mod tests;

use touchstone_schema::enrichment::Enrichment;
use touchstone_schema::lists::ListMatches;
use touchstone_schema::order::Order;
use touchstone_schema::time::Timestamp;
use touchstone_schema::verdict::{Assessment, Reason};

use confidence::Input;
use history::History;
use norms::Norms;
use policy::{Group, Policy};
use signals::lists;
use signals::velocity::Velocity;

/// Everything that a signal may look at.
#[derive(Debug)]
pub struct Facts<'a> {
    /// The order.
    pub order: &'a Order,
    /// Earlier orders that share a key with it.
    pub history: &'a History<'a>,
    /// The store's policy.
    pub policy: &'a Policy,
    /// When the order was received: the clock of scoring.
    pub received_at: Timestamp,
    /// What outside data tells of it.
    pub enrichment: &'a Enrichment,
    /// What is usual at the store; none while it has too few orders.
    pub norms: Option<&'a Norms>,
    /// Which of the store's list entries it matches.
    pub lists: &'a ListMatches,
}

/// A signal or rule that fired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Points for this case where they depend on it; none takes the signal's own.
    pub points: Option<i32>,
    /// One line of English with the values that fired it, without personal data.
    pub detail: String,
}

impl Finding {
    /// Fired, with the signal's own points.
    pub fn because(detail: impl Into<String>) -> Option<Self> {
        Some(Self { points: None, detail: detail.into() })
    }

    /// Fired, with points that depend on the case.
    pub fn worth(points: i32, detail: impl Into<String>) -> Option<Self> {
        Some(Self { points: Some(points), detail: detail.into() })
    }
}

/// One entry of the catalogue: a stable code, its group, default points, and when it fires.
#[derive(Debug)]
pub struct Signal {
    /// Stable, snake case, never renamed.
    pub code: &'static str,
    /// Related signals share a cap.
    pub group: Group,
    /// Default points, the least where they depend on the case; a policy may override them.
    pub points: i32,
    /// When it fires, for the reference page.
    pub meaning: &'static str,
    /// What it looks at.
    pub inputs: &'static [Input],
    /// Whether it fires.
    pub check: Check,
}

/// How a signal is checked.
#[derive(Debug)]
pub enum Check {
    /// By a function of its own.
    By(fn(&Facts<'_>) -> Option<Finding>),
    /// By counting what was tried with a key.
    Counting(Velocity),
}

impl Signal {
    /// What it finds, if it fires.
    pub fn finding(&self, facts: &Facts<'_>) -> Option<Finding> {
        match &self.check {
            Check::By(check) => check(facts),
            Check::Counting(velocity) => velocity.finding(facts),
        }
    }
}

struct Fired {
    group: Option<Group>,
    /// Sets the score, whatever else was found.
    settles: bool,
    reason: Reason,
}

/// Assesses one order.
pub fn assess(facts: &Facts<'_>) -> Assessment {
    let policy = facts.policy;
    let mut fired: Vec<Fired> = signals::CATALOGUE
        .iter()
        .copied()
        .flatten()
        .filter_map(|signal| signal.finding(facts).map(|finding| (signal, finding)))
        .filter(|(signal, _)| policy.is_enabled(signal.code))
        .map(|(signal, finding)| weigh(signal, finding, policy))
        .collect();
    let codes: Vec<&str> = fired.iter().map(|fired| fired.reason.code.as_str()).collect();
    let mut outcome = rules::evaluate(facts, &codes);
    let live = std::mem::take(&mut outcome.live).into_iter();
    fired.extend(live.map(|reason| Fired { group: None, settles: false, reason }));
    sort_by_weight(&mut fired);
    apply_caps(&mut fired, policy);
    let decisive = settle(&mut fired);
    sort_by_weight(&mut fired);
    conclude(fired.into_iter().map(|fired| fired.reason).collect(), decisive, outcome, facts)
}

fn weigh(signal: &Signal, finding: Finding, policy: &Policy) -> Fired {
    let own = policy.points_override(signal.code);
    let points = own.or(finding.points).unwrap_or(signal.points);
    Fired {
        group: Some(signal.group),
        settles: signal.group == Group::Lists && own.is_none(),
        reason: Reason { code: signal.code.to_owned(), points, detail: finding.detail },
    }
}

/// Gives a list that settles the score the points that bring the sum there, none if it is there already. Returns its
/// code. Blocking and allowing never fire both.
fn settle(fired: &mut [Fired]) -> Option<&'static str> {
    let others: i32 =
        fired.iter().filter(|fired| !fired.settles).map(|fired| fired.reason.points).fold(0, i32::saturating_add);
    let reason = &mut fired.iter_mut().find(|fired| fired.settles)?.reason;
    let (code, points) = if reason.code == lists::BLOCK {
        (lists::BLOCK, 100i32.saturating_sub(others).max(0))
    } else {
        (lists::ALLOW, others.saturating_neg().min(0))
    };
    reason.points = points;
    Some(code)
}

/// Heaviest first; equal weights by code, so that the order never depends on how evidence was found.
fn sort_by_weight(fired: &mut [Fired]) {
    fired.sort_by(|a, b| {
        b.reason.points.abs().cmp(&a.reason.points.abs()).then_with(|| a.reason.code.cmp(&b.reason.code))
    });
}

/// Limits the positive sum of each group to its cap, taking from the lightest evidence first.
fn apply_caps(fired: &mut [Fired], policy: &Policy) {
    for group in Group::ALL {
        let mut left = policy.cap(*group);
        for reason in fired.iter_mut().filter(|f| f.group == Some(*group)).map(|f| &mut f.reason) {
            if reason.points > 0 {
                reason.points = reason.points.min(left);
                left -= reason.points;
            }
        }
    }
}

fn conclude(reasons: Vec<Reason>, decisive: Option<&str>, outcome: rules::Outcome, facts: &Facts<'_>) -> Assessment {
    let policy = facts.policy;
    let sum: i32 = reasons.iter().map(|reason| reason.points).fold(0, i32::saturating_add);
    let risk_score = u8::try_from(sum.clamp(0, 100)).unwrap_or(100);
    let risk_level = policy.level(risk_score);
    let (recommended_action, rule) = outcome.action(policy.action(risk_level));
    let decisive = decisive.and_then(|code| reasons.iter().find(|reason| reason.code == code));
    let mut explanation = explain::paragraph(risk_score, risk_level, recommended_action, &reasons, decisive);
    if let Some(words) = rule {
        explanation.push_str(&format!(" A rule decided so: {words}."));
    }
    Assessment {
        risk_score,
        risk_level,
        recommended_action,
        confidence: confidence::share_of_inputs(facts),
        reason_codes: reasons.iter().map(|reason| reason.code.clone()).collect(),
        explanation,
        reasons,
        shadow_reasons: outcome.shadow,
        policy_version: policy.version,
    }
}
