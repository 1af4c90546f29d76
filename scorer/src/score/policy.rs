//! A store's verdict policy: bands, actions, points, caps and which rules are on (contract section 6).
//!
//! Policies are stored as JSON, versioned and immutable. What a document leaves out keeps its default, so the empty
//! object is the default policy.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use touchstone_schema::money::{Currency, Money};
use touchstone_schema::order::CountryCode;
use touchstone_schema::policy::StoredPolicy;
use touchstone_schema::verdict::{Action, RiskLevel};
use touchstone_schema::wire_enum;

use super::{currency_scale, rules, signals};

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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
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
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PolicyDocument {
    /// Least scores of the bands.
    pub bands: Bands,
    /// Action by level, where it is not the default.
    pub actions: BTreeMap<RiskLevel, Action>,
    /// Points by signal or base rule code, where they are not the default.
    pub points: BTreeMap<String, i32>,
    /// Codes of signals and base rules that are switched off.
    pub disabled: Vec<String>,
    /// Caps by group, where they are not the default.
    pub caps: BTreeMap<Group, i32>,
    /// The three amounts above which `high_amount` fires, in major units by currency code.
    pub high_amounts: BTreeMap<String, [i64; 3]>,
    /// Countries that the store holds to be risky.
    pub high_risk_countries: Vec<String>,
    /// SKUs and categories that the store holds to be risky.
    pub risky_skus: Vec<String>,
    /// The merchant's own score where it is safest and where it is riskiest.
    pub merchant_score_scale: Option<[i64; 2]>,
}

/// A policy document that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// Not JSON of the expected form.
    #[error("the policy is not valid: {0}")]
    Form(#[from] serde_json::Error),
    /// A value that makes no sense.
    #[error("{pointer}: {problem}")]
    Value {
        /// JSON pointer to it.
        pointer: String,
        /// What is wrong and what was expected.
        problem: String,
    },
}

/// A policy, checked and ready to score with.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Its version; 0 is the built-in default.
    pub version: u32,
    document: PolicyDocument,
    high_risk_countries: Vec<CountryCode>,
}

/// Most points that a policy may give to one signal, either way.
const POINTS_LIMIT: i32 = 1_000;

impl Policy {
    /// The default policy, under a version number.
    pub fn built_in() -> Self {
        Self::new(0, PolicyDocument::default())
    }

    /// Reads a stored policy.
    pub fn from_stored(stored: &StoredPolicy) -> Result<Self, PolicyError> {
        Ok(Self::new(stored.version, Self::parse(&stored.document)?))
    }

    fn new(version: u32, document: PolicyDocument) -> Self {
        let countries = document.high_risk_countries.iter();
        Self { version, high_risk_countries: countries.filter_map(|code| CountryCode::parse(code)).collect(), document }
    }

    /// Reads and checks a policy document.
    pub fn parse(text: &str) -> Result<PolicyDocument, PolicyError> {
        let document: PolicyDocument = serde_json::from_str(text)?;
        // The reader also takes arrays for objects, member by member.
        if !text.trim_start().starts_with('{') {
            return Err(PolicyError::Value {
                pointer: "the policy".to_owned(),
                problem: "expected an object".to_owned(),
            });
        }
        check(&document)?;
        Ok(document)
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

    /// Whether a signal or base rule is on.
    pub fn is_enabled(&self, code: &str) -> bool {
        !self.document.disabled.iter().any(|disabled| disabled == code)
    }

    /// Countries that the store holds to be risky.
    pub fn high_risk_countries(&self) -> &[CountryCode] {
        &self.high_risk_countries
    }

    /// SKUs and categories that the store holds to be risky.
    pub fn risky_skus(&self) -> &[String] {
        &self.document.risky_skus
    }

    /// The merchant's own score where it is safest and where it is riskiest.
    pub const fn merchant_score_scale(&self) -> Option<[i64; 2]> {
        self.document.merchant_score_scale
    }

    /// The three amounts that the policy itself states for the currency of `amount`, in minor units.
    pub fn stated_high_amounts(&self, amount: Money) -> Option<[i64; 3]> {
        let currency = amount.currency();
        let major = self.document.high_amounts.get(currency.code())?;
        Some(major.map(|units| units.saturating_mul(10i64.pow(currency.exponent()))))
    }

    /// The three amounts above which an order is high, higher and highest, in minor units of the order's currency; none
    /// for a currency whose scale is not known.
    pub fn high_amounts(&self, amount: Money) -> Option<[i64; 3]> {
        self.stated_high_amounts(amount).or_else(|| {
            let currency = amount.currency();
            let scale = currency_scale::units_per_dollar(currency.code())?;
            Some([200, 500, 1_000].map(|dollars: i64| dollars * scale * 10i64.pow(currency.exponent())))
        })
    }
}

fn check(document: &PolicyDocument) -> Result<(), PolicyError> {
    let wrong = |pointer: String, problem: &str| Err(PolicyError::Value { pointer, problem: problem.to_owned() });
    let bands = &document.bands;
    if !(bands.medium < bands.high && bands.high < bands.critical && bands.critical <= 101) {
        return wrong("/bands".to_owned(), "expected medium < high < critical <= 101");
    }
    let known = |code: &str| signals::find(code).is_some() || rules::BASE_RULES.iter().any(|rule| rule.code == code);
    for (code, points) in &document.points {
        if !known(code) {
            return wrong(format!("/points/{}", escaped(code)), "no signal or base rule has this code");
        }
        if !(-POINTS_LIMIT..=POINTS_LIMIT).contains(points) {
            return wrong(format!("/points/{code}"), "expected -1000 to 1000");
        }
    }
    for (index, code) in document.disabled.iter().enumerate() {
        if !known(code) {
            return wrong(format!("/disabled/{index}"), "no signal or base rule has this code");
        }
    }
    for (group, cap) in &document.caps {
        if !(0..=POINTS_LIMIT).contains(cap) {
            return wrong(format!("/caps/{group}"), "expected 0 to 1000");
        }
    }
    for (index, code) in document.high_risk_countries.iter().enumerate() {
        if CountryCode::parse(code).is_none() {
            return wrong(format!("/high_risk_countries/{index}"), "expected an ISO 3166 alpha-2 country code");
        }
    }
    if document.merchant_score_scale.is_some_and(|[safest, riskiest]| safest == riskiest) {
        return wrong("/merchant_score_scale".to_owned(), "expected two different scores, the safest first");
    }
    for (currency, [high, higher, highest]) in &document.high_amounts {
        if Currency::from_code(currency).is_none_or(|known| known.code() != currency) {
            let pointer = format!("/high_amounts/{}", escaped(currency));
            return wrong(pointer, "expected an ISO 4217 currency code in capitals, such as EUR");
        }
        if !(0 < *high && high < higher && higher < highest) {
            return wrong(format!("/high_amounts/{currency}"), "expected three rising amounts above zero");
        }
    }
    Ok(())
}

/// A member's name as a segment of a JSON pointer (RFC 6901).
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(document: &str) -> String {
        Policy::parse(document).expect_err("a refused policy").to_string()
    }

    #[test]
    fn the_empty_object_is_the_default_policy() {
        assert_eq!(Policy::parse("{}").ok(), Some(PolicyDocument::default()));
    }

    #[test]
    fn a_bad_value_is_refused_with_its_pointer() {
        let cases = [
            (r#"{"bands":{"medium":60}}"#, "/bands: "),
            (r#"{"bands":{"critical":102}}"#, "/bands: "),
            (r#"{"points":{"no_such_code":5}}"#, "/points/no_such_code: "),
            (r#"{"points":{"a/b~c":5}}"#, "/points/a~1b~0c: "),
            (r#"{"points":{"avs_mismatch":1001}}"#, "/points/avs_mismatch: "),
            (r#"{"points":{"avs_mismatch":-2147483648}}"#, "/points/avs_mismatch: "),
            (r#"{"disabled":["avs_mismatch","nonsense"]}"#, "/disabled/1: "),
            (r#"{"caps":{"issuer":-1}}"#, "/caps/issuer: "),
            (r#"{"high_risk_countries":["NG","ZZ"]}"#, "/high_risk_countries/1: "),
            (r#"{"merchant_score_scale":[5,5]}"#, "/merchant_score_scale: "),
            (r#"{"high_amounts":{"USD":[100,100,200]}}"#, "/high_amounts/USD: "),
            (r#"{"high_amounts":{"USD":[0,100,200]}}"#, "/high_amounts/USD: "),
            (r#"{"high_amounts":{"usd":[50,100,200]}}"#, "/high_amounts/usd: "),
            (r#"{"high_amounts":{"DOLLARS":[50,100,200]}}"#, "/high_amounts/DOLLARS: "),
        ];
        for (document, pointer) in cases {
            let text = refusal(document);
            assert!(text.starts_with(pointer), "{document}: {text}");
        }
    }

    #[test]
    fn a_document_of_another_form_is_refused() {
        let documents = [
            "",
            "7",
            "null",
            r#"{"band":{}}"#,
            r#"{"bands":{"low":1}}"#,
            r#"{"caps":{"weather":5}}"#,
            r#"{"actions":{"low":"ignore"}}"#,
        ];
        for document in documents {
            assert!(refusal(document).starts_with("the policy is not valid: "), "{document}");
        }
        assert_eq!(refusal("[]"), "the policy: expected an object");
    }

    #[test]
    fn bands_begin_at_their_least_score() {
        let policy = Policy::built_in();
        let levels = [0, 30, 31, 50, 51, 75, 76, 100].map(|score| policy.level(score));
        use RiskLevel::{Critical, High, Low, Medium};
        assert_eq!(levels, [Low, Low, Medium, Medium, High, High, Critical, Critical]);
        let actions = RiskLevel::ALL.iter().map(|level| policy.action(*level)).collect::<Vec<_>>();
        assert_eq!(actions, [Action::Approve, Action::Review, Action::Review, Action::Hold]);
    }

    #[test]
    fn a_band_can_be_switched_off_at_its_end() {
        let document =
            Policy::parse(r#"{"bands":{"critical":101},"actions":{"high":"hold"}}"#).expect("a valid policy");
        let policy = Policy::new(1, document);
        assert_eq!(policy.level(100), RiskLevel::High);
        assert_eq!(policy.action(RiskLevel::High), Action::Hold);
    }
}
