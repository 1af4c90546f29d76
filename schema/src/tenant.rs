//! Whose data it is: the store, its mode and the surface that an order came in by.

use serde::{Deserialize, Serialize};

use crate::ids::{MerchantId, StoreId};
use crate::secret::Secret;

/// Declares an enum whose values have one spelling on the wire, in messages and in the database.
#[macro_export]
macro_rules! wire_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        pub enum $name {
            $($(#[$variant_doc])* #[serde(rename = $text)] $variant),+
        }

        impl $name {
            /// Every value, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The value as it is on the wire and in the database.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }

            /// The value that `text` names.
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$variant),)+ _ => None }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                Self::parse(text).ok_or_else(|| {
                    if Self::parse($crate::renamed::present(text)).is_some()
                        && let Some(why) = $crate::renamed::refusal(text)
                    {
                        return why;
                    }
                    let known: Vec<_> = Self::ALL.iter().map(|value| value.as_str()).collect();
                    format!("expected one of {}", known.join(", "))
                })
            }
        }
    };
}
pub use wire_enum;

wire_enum! {
    /// Which world a key opens: live and test orders never meet.
    KeyMode {
        /// Real orders.
        Live = "live",
        /// Trial orders: same pipeline, own history, no effect outside.
        Test = "test",
    }
}

wire_enum! {
    /// The surface that an order came in by. Part of the identity of a transaction.
    Surface {
        /// `POST /v1/analyze`.
        Signed = "signed",
        /// `POST /v1/orders`.
        Orders = "orders",
        /// `POST /v2/risk/…`.
        Checks = "checks",
        /// Centra notifications.
        Centra = "centra",
    }
}

wire_enum! {
    /// Whether a store's verdicts act or are only recorded.
    StoreMode {
        /// Verdicts act.
        Live = "live",
        /// Verdicts are recorded, nothing acts on them.
        Shadow = "shadow",
    }
}

wire_enum! {
    /// What a store's orders-surface statuses mean (contract: orders surface).
    Product {
        /// Approved orders are guaranteed.
        Guaranteed = "guaranteed",
        /// Safe or review.
        Safe = "safe",
        /// Only a score.
        ScoreOnly = "scoreonly",
    }
}

wire_enum! {
    /// What a key may be used for.
    KeyScope {
        /// The signed surface: analyze, read, decide, outcome.
        Signed = "signed",
        /// The orders surface.
        Orders = "orders",
        /// The checks surface.
        Checks = "checks",
    }
}

/// A store in one mode: the owner of rows. Queries demand one, and only a verified credential or a queue envelope
/// yields one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Tenant {
    /// The store.
    pub store_id: StoreId,
    /// Live or test world.
    pub mode: KeyMode,
}

wire_enum! {
    /// What a score is called on the checks surface.
    RiskGroup {
        /// Up to the store's first threshold.
        Low = "low",
        /// Up to its second.
        Medium = "medium",
        /// Above.
        High = "high",
    }
}

/// The highest scores of a store's risk groups low and medium.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RiskGroups {
    /// Highest score that is low.
    pub low: u8,
    /// Highest score that is medium; where it is below `low`, nothing is.
    pub medium: u8,
}

impl Default for RiskGroups {
    fn default() -> Self {
        Self { low: crate::limits::DEFAULT_RISK_LOW, medium: crate::limits::DEFAULT_RISK_MEDIUM }
    }
}

impl RiskGroups {
    /// The group of a score.
    pub const fn of(self, score: u8) -> RiskGroup {
        if score <= self.low {
            RiskGroup::Low
        } else if score <= self.medium {
            RiskGroup::Medium
        } else {
            RiskGroup::High
        }
    }
}

/// How a store's orders are read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InputSettings {
    /// Whether optional fields that are not in their documented form are refused, unless a request asks otherwise.
    pub is_strict: bool,
    /// Mail domains of the store itself, in lower case: `noreply@` and its like there are no customer's mailbox.
    pub own_domains: Vec<String>,
}

/// What the roles need to know of a store, read often and changed rarely.
#[derive(Debug, Clone)]
pub struct StoreProfile {
    /// The store.
    pub store_id: StoreId,
    /// Its owner.
    pub merchant_id: MerchantId,
    /// Name given by the merchant.
    pub name: String,
    /// Whether verdicts act.
    pub mode: StoreMode,
    /// Product of the orders surface.
    pub product: Product,
    /// ISO 4217 code of the store's own currency.
    pub currency: String,
    /// Requests a minute, per mode.
    pub rate_limit_per_minute: u32,
    /// What its scores are called on the checks surface.
    pub risk_groups: RiskGroups,
    /// How its orders are read.
    pub input: InputSettings,
    /// The store's data key: transaction ids and history keys are keyed with it. Never leaves the process.
    pub data_key: Secret,
}
