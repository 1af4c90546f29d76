//! The JSON form of a policy: what a merchant writes, with the defaults of what it leaves out.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};
use touchstone_schema::order::CountryCode;
use touchstone_schema::verdict::{Action, RiskLevel};
use touchstone_schema::wire_enum;

use super::super::rules::Rule;
use super::super::rules::presets::Preset;

wire_enum! {
    /// Related signals; the positive points of a group share a cap.
    Group {
        /// The card issuer's own checks.
        Issuer = "issuer",
        /// Countries, cities, distances.
        Geography = "geography",
        /// Address and browser of the connection.
        Network = "network",
        /// The e-mail address.
        Email = "email",
        /// Names, phone, account.
        Identity = "identity",
        /// Postal addresses.
        Address = "address",
        /// Amount and basket.
        Amount = "amount",
        /// Counts over time.
        Velocity = "velocity",
        /// What earlier orders came to.
        History = "history",
        /// What the store always allows and always blocks.
        Lists = "lists",
    }
}

impl Group {
    /// Default cap, in points (signal catalogue, "group (cap)").
    pub const fn default_cap(self) -> i32 {
        match self {
            Self::Issuer => 45,
            Self::Geography => 40,
            Self::Network => 35,
            Self::Email => 30,
            Self::Identity | Self::Amount => 25,
            Self::Address => 20,
            Self::Velocity => 50,
            Self::History => 60,
            Self::Lists => 100,
        }
    }
}

/// Least score of each band above low.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Bands {
    /// Medium begins here.
    pub medium: u8,
    /// High begins here.
    pub high: u8,
    /// Critical begins here.
    pub critical: u8,
}

impl Default for Bands {
    fn default() -> Self {
        Self { medium: 31, high: 51, critical: 76 }
    }
}

/// The JSON form of a policy.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct PolicyDocument {
    /// Which of the shipped sets of rules applies.
    pub preset: Preset,
    /// Least scores of the bands.
    pub bands: Bands,
    /// Action by level, where it is not the default.
    pub actions: BTreeMap<RiskLevel, Action>,
    /// Points by code of a signal or rule, where they are not the default.
    pub points: BTreeMap<String, i32>,
    /// Codes of signals and rules that are switched off.
    pub disabled: Vec<String>,
    /// Caps by group, where they are not the default.
    pub caps: BTreeMap<Group, i32>,
    /// The three amounts above which `high_amount` fires, in major units by currency code.
    pub high_amounts: BTreeMap<String, [i64; 3]>,
    /// The store's own rules. One with the name of a preset's rule takes its place.
    pub rules: Vec<Rule>,
    /// History keys beyond the built-in kinds: the order field that each is made of, by name.
    pub history_keys: BTreeMap<String, String>,
    /// Countries that the store calls risky.
    #[serde(serialize_with = "country_codes")]
    pub high_risk_countries: Vec<CountryCode>,
    /// Articles and categories that the store calls risky.
    pub risky_skus: Vec<String>,
    /// The merchant's own score where it is safest and where it is riskiest; without it that score is not used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub merchant_score_scale: Option<[i64; 2]>,
}

impl PolicyDocument {
    /// Whether a signal or rule is on.
    pub(super) fn is_enabled(&self, code: &str) -> bool {
        !self.disabled.iter().any(|disabled| disabled == code)
    }
}

fn country_codes<S: Serializer>(countries: &[CountryCode], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(countries.iter().map(CountryCode::as_str))
}
