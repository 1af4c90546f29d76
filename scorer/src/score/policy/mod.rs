//! A store's verdict policy: bands, actions, points, caps, high amounts, lists and rules (contract section 6).
//!
//! Policies are stored as JSON, versioned and immutable. What a document leaves out keeps its default, so the empty
//! object is the default policy. Reading one tells everything that is wrong with it at once; rules are compiled once,
//! when a version is read.

mod document;
mod parse;
pub(in crate::score) mod read;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use touchstone_schema::fault::Fault;
use touchstone_schema::money::Money;
use touchstone_schema::order::CountryCode;
use touchstone_schema::policy::StoredPolicy;
use touchstone_schema::verdict::{Action, RiskLevel};

pub use document::{Bands, Group, PolicyDocument};

use super::currency_scale;
use super::rules::compile::{CompiledRule, Compiler};
use super::rules::presets;

/// A policy document that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the policy is not valid: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct PolicyError(pub Vec<Fault>);

/// A policy, checked, with its rules compiled: ready to score with.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Its version; 0 is the built-in default.
    pub version: u32,
    document: PolicyDocument,
    rules: Arc<[CompiledRule]>,
}

impl Policy {
    /// The default policy, under version 0.
    pub fn built_in() -> Self {
        Self::of(0, PolicyDocument::default())
    }

    /// A document that was parsed, under a version number.
    pub fn of(version: u32, document: PolicyDocument) -> Self {
        let compiler = Compiler::new(&document.history_keys);
        let rules = presets::effective(document.preset, &document.rules)
            .filter(|rule| rule.enabled && document.is_enabled(&rule.code()))
            .filter_map(|rule| compiler.rule(rule, &document.points))
            .collect();
        Self { version, document, rules }
    }

    /// Reads a stored policy.
    pub fn from_stored(stored: &StoredPolicy) -> Result<Self, PolicyError> {
        Ok(Self::of(stored.version, Self::parse(&stored.document).map_err(PolicyError)?))
    }

    /// Reads and checks a policy document.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with its JSON pointer and what was expected.
    pub fn parse(text: &str) -> Result<PolicyDocument, Vec<Fault>> {
        parse::parse(text)
    }

    /// The rules that are on, shadow rules among them.
    pub(in crate::score) fn rules(&self) -> &[CompiledRule] {
        &self.rules
    }

    /// Countries that the store calls risky.
    pub fn high_risk_countries(&self) -> &[CountryCode] {
        &self.document.high_risk_countries
    }

    /// Articles and categories that the store calls risky.
    pub fn risky_skus(&self) -> &[String] {
        &self.document.risky_skus
    }

    /// The merchant's own score where it is safest and where it is riskiest; none when it is not used.
    pub const fn merchant_score_scale(&self) -> Option<[i64; 2]> {
        self.document.merchant_score_scale
    }

    /// History keys that the policy declares: name and the field of the order that each is made of.
    pub fn history_keys(&self) -> impl Iterator<Item = (&str, &str)> {
        self.document.history_keys.iter().map(|(name, field)| (name.as_str(), field.as_str()))
    }

    /// The document, defaults filled in.
    pub const fn document(&self) -> &PolicyDocument {
        &self.document
    }

    /// Band of a score.
    pub const fn level(&self, score: u8) -> RiskLevel {
        let bands = &self.document.bands;
        if score >= bands.critical {
            RiskLevel::Critical
        } else if score >= bands.high {
            RiskLevel::High
        } else if score >= bands.medium {
            RiskLevel::Medium
        } else {
            RiskLevel::Low
        }
    }

    /// Action for a level.
    pub fn action(&self, level: RiskLevel) -> Action {
        self.document.actions.get(&level).copied().unwrap_or(match level {
            RiskLevel::Low => Action::Approve,
            RiskLevel::Medium | RiskLevel::High => Action::Review,
            RiskLevel::Critical => Action::Hold,
        })
    }

    /// Cap of a group's positive points.
    pub fn cap(&self, group: Group) -> i32 {
        self.document.caps.get(&group).copied().unwrap_or_else(|| group.default_cap())
    }

    /// Points that this policy gives to a code, where they are not the default.
    pub fn points_override(&self, code: &str) -> Option<i32> {
        self.document.points.get(code).copied()
    }

    /// Whether a signal or rule is on.
    pub fn is_enabled(&self, code: &str) -> bool {
        self.document.is_enabled(code)
    }

    /// The three amounts above which an order is high, higher and highest, in minor units of the order's currency: the
    /// policy's own, else by the scale of the currency; none for a currency whose scale is not known.
    pub fn high_amounts(&self, amount: Money) -> Option<[i64; 3]> {
        self.stated_high_amounts(amount).or_else(|| {
            let scale = currency_scale::units_per_dollar(amount.currency().code())?;
            Some(in_minor_units([200, 500, 1_000].map(|dollars| dollars * scale), amount))
        })
    }

    /// The three amounts that the policy itself states for the order's currency, in minor units. They come before the
    /// store's percentiles, and those before the scale of the currency.
    pub fn stated_high_amounts(&self, amount: Money) -> Option<[i64; 3]> {
        let stated = self.document.high_amounts.get(amount.currency().code())?;
        Some(in_minor_units(*stated, amount))
    }
}

fn in_minor_units(major: [i64; 3], amount: Money) -> [i64; 3] {
    let minor_per_major = 10i64.pow(amount.currency().exponent());
    major.map(|units| units.saturating_mul(minor_per_major))
}
