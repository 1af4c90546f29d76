//! The stored form of a store's verdict policy (versioned, immutable, JSON), and the numbers that policies state.

use std::fmt;

use serde::ser::Error as _;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::decimal::Decimal;
use crate::ids::StoreId;

/// One version of a store's policy. `document` is parsed by the scorer; an absent policy means version 0, the default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredPolicy {
    /// The store.
    pub store_id: StoreId,
    /// Rises by one with every change.
    pub version: u32,
    /// The policy as JSON text.
    pub document: String,
}

/// A number as a policy states it: exact, in millionths, at most twelve digits before the decimal point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Millionths(i64);

impl Millionths {
    /// Millionths of one.
    pub const ONE: i64 = 1_000_000;

    /// Reads decimal text; none when it has more than six decimals or is too large.
    pub fn parse(text: &str) -> Option<Self> {
        Decimal::parse(text)?.scaled(6).ok().map(Self)
    }

    /// How many millionths.
    pub const fn get(self) -> i64 {
        self.0
    }
}

impl fmt::Display for Millionths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let magnitude = self.0.unsigned_abs();
        let (whole, fraction) = (magnitude / Self::ONE.unsigned_abs(), magnitude % Self::ONE.unsigned_abs());
        match fraction {
            0 => write!(f, "{sign}{whole}"),
            _ => write!(f, "{sign}{whole}.{}", format!("{fraction:06}").trim_end_matches('0')),
        }
    }
}

/// As a JSON number with exactly its digits.
impl Serialize for Millionths {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        RawValue::from_string(self.to_string()).map_err(S::Error::custom)?.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_exact_and_bounded() {
        for (text, shown) in [("12.50", "12.5"), ("-0.000001", "-0.000001"), ("1e3", "1000"), ("-0", "0")] {
            let number = Millionths::parse(text);
            assert_eq!(number.map(|n| n.to_string()).as_deref(), Some(shown));
            assert_eq!(serde_json::to_string(&number).unwrap(), shown);
        }
        assert_eq!(Millionths::parse("999999999999.999999").map(Millionths::get), Some(999_999_999_999_999_999));
        for text in ["0.0000001", "1000000000000", "1e99999999999999999999", "x", ""] {
            assert_eq!(Millionths::parse(text), None, "{text}");
        }
    }
}
