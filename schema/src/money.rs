//! Money: exact amounts in integer minor units of an ISO 4217 currency (contract section 0).
//!
//! Guarantee: an amount is read from its decimal text without rounding, or refused with the reason.

use std::fmt;

use crate::decimal::{Decimal, NotScaled};

/// Largest magnitude of an amount, in minor units: sums of thousands of amounts still fit 64 bits.
pub const MAX_MINOR: i64 = 1_000_000_000_000_000;

/// An ISO 4217 currency that amounts can be stated in. Metals, funds without minor units and test codes are not.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Currency(iso_currency::Currency);

impl Currency {
    /// The currency of a three-letter code, in either case.
    pub fn from_code(code: &str) -> Option<Self> {
        let bytes: [u8; 3] = code.as_bytes().try_into().ok()?;
        let upper = bytes.map(|byte| byte.to_ascii_uppercase());
        let currency = iso_currency::Currency::from_code(std::str::from_utf8(&upper).ok()?)?;
        currency.exponent().is_some().then_some(Self(currency))
    }

    /// The three-letter code, in capitals.
    pub fn code(self) -> &'static str {
        self.0.code()
    }

    /// Decimals of the currency: 2 for USD, 0 for JPY, 3 for KWD.
    pub fn exponent(self) -> u32 {
        self.0.exponent().map_or(0, u32::from)
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// Why a text is not an amount of money.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// It is not a decimal number.
    #[error("expected a decimal number such as 12.50")]
    NotANumber,
    /// It has digits below the currency's minor unit.
    #[error("expected at most {decimals} decimals, as {currency} has")]
    TooManyDecimals {
        /// The currency.
        currency: Currency,
        /// Its decimals.
        decimals: u32,
    },
    /// Its magnitude is above [`MAX_MINOR`].
    #[error("expected an amount of at most 10^15 minor units")]
    TooLarge,
}

/// An amount of one currency, at most [`MAX_MINOR`] minor units to either side of zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Money {
    minor: i64,
    currency: Currency,
}

impl Money {
    /// Reads an amount from the text of a JSON number or a numeric string, exactly.
    ///
    /// # Errors
    /// When the text is no decimal number, has more decimals than the currency, or is beyond [`MAX_MINOR`].
    pub fn parse(text: &str, currency: Currency) -> Result<Self, MoneyError> {
        let decimal = Decimal::parse(text).ok_or(MoneyError::NotANumber)?;
        let decimals = currency.exponent();
        let minor = decimal.scaled(decimals).map_err(|reason| match reason {
            NotScaled::Fraction => MoneyError::TooManyDecimals { currency, decimals },
            NotScaled::TooLarge => MoneyError::TooLarge,
        })?;
        Self::from_minor(minor, currency)
    }

    /// Reads an amount that its sender computes in floating point, where 12.50 may come as `12.499999999999998`: rounds to
    /// minor units, halves to the even one.
    ///
    /// # Errors
    /// When the text is no decimal number or is beyond [`MAX_MINOR`].
    pub fn parse_rounded(text: &str, currency: Currency) -> Result<Self, MoneyError> {
        let decimal = Decimal::parse(text).ok_or(MoneyError::NotANumber)?;
        Self::from_minor(decimal.rounded(currency.exponent()).map_err(|_| MoneyError::TooLarge)?, currency)
    }

    /// An amount of `minor` minor units.
    ///
    /// # Errors
    /// When it is beyond [`MAX_MINOR`].
    pub fn from_minor(minor: i64, currency: Currency) -> Result<Self, MoneyError> {
        if minor.unsigned_abs() > MAX_MINOR.unsigned_abs() {
            return Err(MoneyError::TooLarge);
        }
        Ok(Self { minor, currency })
    }

    /// Minor units: cents of USD, yen of JPY.
    pub const fn minor(self) -> i64 {
        self.minor
    }

    /// Its currency.
    pub const fn currency(self) -> Currency {
        self.currency
    }

    /// The amount as decimal text with all decimals of the currency, a valid JSON number: `12.50`.
    pub fn to_decimal_text(self) -> String {
        let sign = if self.minor < 0 { "-" } else { "" };
        let magnitude = self.minor.unsigned_abs();
        let decimals = self.currency.exponent();
        if decimals == 0 {
            return format!("{sign}{magnitude}");
        }
        let unit = 10u64.pow(decimals);
        format!("{sign}{}.{:0width$}", magnitude / unit, magnitude % unit, width = decimals as usize)
    }
}

impl fmt::Display for Money {
    /// Amount and code: `12.50 EUR`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.to_decimal_text(), self.currency)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn currency(code: &str) -> Currency {
        Currency::from_code(code).unwrap()
    }

    fn minor(text: &str, code: &str) -> Result<i64, MoneyError> {
        Money::parse(text, currency(code)).map(Money::minor)
    }

    #[test]
    fn amounts_are_read_exactly() {
        for (text, code, expected) in [
            ("12.50", "USD", 1250),
            ("0.1", "EUR", 10),
            ("1e2", "EUR", 10_000),
            ("1.25e-1", "KWD", 125),
            ("-3", "EUR", -300),
            ("1500", "JPY", 1500),
            ("1500.000", "JPY", 1500),
            ("19.9900000", "USD", 1999),
            ("0.29", "USD", 29),
            ("1.0001", "CLF", 10_001),
            ("10000000000000", "USD", MAX_MINOR),
        ] {
            assert_eq!(minor(text, code), Ok(expected), "{text} {code}");
        }
    }

    #[test]
    fn more_decimals_than_the_currency_has_are_refused() {
        for (text, code) in [("1.001", "USD"), ("1.5", "JPY"), ("1e-3", "EUR"), ("1e-99999999999999999999", "EUR")] {
            assert!(matches!(minor(text, code), Err(MoneyError::TooManyDecimals { .. })), "{text} {code}");
        }
    }

    #[test]
    fn amounts_beyond_the_cap_are_refused() {
        for text in ["10000000000000.01", "-10000000000000.01", "1e15", "1e999999999999", "99999999999999999999"] {
            assert_eq!(minor(text, "USD"), Err(MoneyError::TooLarge), "{text}");
        }
        assert!(Money::from_minor(i64::MIN, currency("USD")).is_err());
    }

    #[test]
    fn only_real_currencies_are_known() {
        assert_eq!(currency("sek").code(), "SEK");
        assert_eq!([currency("JPY").exponent(), currency("USD").exponent(), currency("KWD").exponent()], [0, 2, 3]);
        for code in ["XXX", "XAU", "EU", "EURO", "", "€", "12A"] {
            assert_eq!(Currency::from_code(code), None, "{code}");
        }
    }

    #[test]
    fn an_amount_shows_all_its_decimals() {
        let show = |minor, code| Money::from_minor(minor, currency(code)).unwrap().to_string();
        assert_eq!(show(5, "EUR"), "0.05 EUR");
        assert_eq!(show(-1250, "EUR"), "-12.50 EUR");
        assert_eq!(show(7, "JPY"), "7 JPY");
        assert_eq!(show(1001, "KWD"), "1.001 KWD");
    }

    proptest! {
        #[test]
        fn every_amount_survives_its_text(
            minor in -MAX_MINOR..=MAX_MINOR,
            code in prop::sample::select(vec!["USD", "JPY", "KWD", "CLF"]),
        ) {
            let money = Money::from_minor(minor, currency(code)).unwrap();
            prop_assert_eq!(Money::parse(&money.to_decimal_text(), currency(code)), Ok(money));
        }
    }

    #[test]
    fn an_amount_of_floating_point_is_rounded() {
        let euro = Currency::from_code("EUR").unwrap();
        let yen = Currency::from_code("JPY").unwrap();
        let minor = |text, currency| Money::parse_rounded(text, currency).map(Money::minor);
        for (text, cents) in [
            ("12.5", 1_250),
            ("12.499999999999998", 1_250),
            ("12.500000000000002", 1_250),
            ("-0.005", 0),
            ("0.015", 2),
            ("0.025", 2),
            ("0.0250000001", 3),
            ("0.004999", 0),
            ("1e-9", 0),
            ("1.2e2", 12_000),
            ("0", 0),
        ] {
            assert_eq!(minor(text, euro), Ok(cents), "{text}");
        }
        assert_eq!(minor("99.5", yen), Ok(100));
        assert!(minor("1e30", euro).is_err() && minor("nan", euro).is_err());
    }
}
