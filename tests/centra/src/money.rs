//! Amounts, kept as the text that a test wrote.

use serde_json::{Value, json};

/// Currencies whose minor unit is not the hundredth, with their decimals (ISO 4217).
const UNUSUAL_DECIMALS: &[(&str, usize)] = &[
    ("BHD", 3),
    ("CLP", 0),
    ("ISK", 0),
    ("JOD", 3),
    ("JPY", 0),
    ("KRW", 0),
    ("KWD", 3),
    ("OMR", 3),
    ("TND", 3),
    ("VND", 0),
];

/// An amount of money.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Money {
    /// A decimal number, such as `129.90`; anything else counts as nothing.
    pub amount: String,
    /// ISO 4217, such as `EUR`.
    pub currency: String,
}

impl Money {
    /// So much of a currency.
    #[must_use]
    pub fn new(amount: &str, currency: &str) -> Self {
        Self { amount: amount.to_owned(), currency: currency.to_owned() }
    }

    /// The amount in the currency's smallest unit; further decimals are cut off.
    #[must_use]
    pub fn minor_units(&self) -> i64 {
        let decimals = decimals(&self.currency);
        let (whole, fraction) = self.amount.split_once('.').unwrap_or((&self.amount, ""));
        let fraction = fraction.chars().chain(std::iter::repeat('0')).take(decimals);
        whole.chars().chain(fraction).collect::<String>().parse().unwrap_or_default()
    }

    /// So many of the currency's smallest unit.
    #[must_use]
    pub fn from_minor_units(minor_units: i64, currency: &str) -> Self {
        let decimals = decimals(currency);
        let digits = format!("{:0width$}", minor_units.unsigned_abs(), width = decimals + 1);
        let (whole, fraction) = digits.split_at(digits.len() - decimals);
        let sign = if minor_units < 0 { "-" } else { "" };
        let point = if decimals == 0 { "" } else { "." };
        Self::new(&format!("{sign}{whole}{point}{fraction}"), currency)
    }

    /// As many times as much.
    #[must_use]
    pub fn times(&self, quantity: i32) -> Self {
        Self::from_minor_units(self.minor_units() * i64::from(quantity), &self.currency)
    }

    /// Without a tax that is included in it, rounded down.
    #[must_use]
    pub fn without_tax(&self, tax_percent: i32) -> Self {
        let minor_units = self.minor_units() * 100 / i64::from(100 + tax_percent);
        Self::from_minor_units(minor_units, &self.currency)
    }

    /// As a `MonetaryValue` of the schema, whose value is a float.
    pub(crate) fn render(&self) -> Value {
        json!({
            "value": self.amount.parse::<f64>().unwrap_or_default(),
            "currency": { "id": code_id(&self.currency), "code": self.currency },
            "formattedValue": format!("{} {}", self.amount, self.currency),
            "conversionRate": 1.0,
        })
    }
}

/// A number for a code of letters; the same for the same code.
pub(crate) fn code_id(code: &str) -> i32 {
    code.bytes().fold(0, |id, byte| (id * 31 + i32::from(byte)) % 9973)
}

fn decimals(currency: &str) -> usize {
    UNUSUAL_DECIMALS.iter().find(|(code, _)| *code == currency).map_or(2, |(_, decimals)| *decimals)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minor_units_follow_the_currency() {
        assert_eq!(Money::new("129.90", "EUR").minor_units(), 12990);
        assert_eq!(Money::new("129.9", "EUR").minor_units(), 12990);
        assert_eq!(Money::new("129", "JPY").minor_units(), 129);
        assert_eq!(Money::new("1.5", "KWD").minor_units(), 1500);
        assert_eq!(Money::new("0.05", "EUR").minor_units(), 5);
    }

    #[test]
    fn text_comes_back_from_minor_units() {
        assert_eq!(Money::from_minor_units(12990, "EUR").amount, "129.90");
        assert_eq!(Money::from_minor_units(5, "EUR").amount, "0.05");
        assert_eq!(Money::from_minor_units(-5, "EUR").amount, "-0.05");
        assert_eq!(Money::from_minor_units(129, "JPY").amount, "129");
        assert_eq!(Money::new("10.00", "EUR").times(3).amount, "30.00");
        assert_eq!(Money::new("125.00", "EUR").without_tax(25).amount, "100.00");
    }
}
