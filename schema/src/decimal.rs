//! Decimal numbers read from their text, exactly: no floats, and no allocation that grows with an exponent.
//!
//! Guarantee: two texts of the same value have the same canonical spelling. Only numbers whose exponents have more than
//! eighteen digits may be told apart although they are equal; they are never found equal to another number.

use std::ops::RangeInclusive;

/// A number: `± digits × 10^scale`, where the digits have neither leading nor trailing zeros. Zero has no digits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Decimal<'a> {
    negative: bool,
    head: &'a str,
    tail: &'a str,
    scale: i64,
    /// The digits of an exponent beyond [`EXPONENT_DIGITS`], without leading zeros.
    far_exponent: Option<&'a str>,
    exponent_negative: bool,
}

/// Exponents of more digits than this are compared by text.
const EXPONENT_DIGITS: usize = 18;

impl<'a> Decimal<'a> {
    /// Reads `[+-]digits[.digits][e[+-]digits]`; whole or fraction may be left out, not both.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let (negative, rest) = sign(text);
        let (mantissa, exponent) = match rest.find(['e', 'E']) {
            Some(at) => (&rest[..at], Some(&rest[at + 1..])),
            None => (rest, None),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        if (whole.is_empty() && fraction.is_empty()) || !digits_only(whole) || !digits_only(fraction) {
            return None;
        }
        let (exponent_negative, exponent) = sign(exponent.unwrap_or("0"));
        if exponent.is_empty() || !digits_only(exponent) {
            return None;
        }
        let exponent = exponent.trim_start_matches('0');
        let far_exponent = (exponent.len() > EXPONENT_DIGITS).then_some(exponent);
        let magnitude = match exponent {
            "" => 0,
            near if far_exponent.is_none() => near.parse().unwrap_or(FAR),
            _ => FAR,
        };
        let power = if exponent_negative { -magnitude } else { magnitude };
        Some(Self::normalised(negative, whole, fraction, power, far_exponent, exponent_negative))
    }

    fn normalised(
        negative: bool,
        whole: &'a str,
        fraction: &'a str,
        power: i64,
        far_exponent: Option<&'a str>,
        exponent_negative: bool,
    ) -> Self {
        let head = whole.trim_start_matches('0');
        let tail = fraction.trim_end_matches('0');
        let mut scale = power.saturating_sub(length(tail));
        let (head, tail) = if head.is_empty() {
            ("", tail.trim_start_matches('0'))
        } else if tail.is_empty() {
            let kept = head.trim_end_matches('0');
            scale = scale.saturating_add(length(head) - length(kept));
            (kept, "")
        } else {
            (head, tail)
        };
        if head.is_empty() && tail.is_empty() {
            return Self { negative: false, head, tail, scale: 0, far_exponent: None, exponent_negative: false };
        }
        Self { negative, head, tail, scale, far_exponent, exponent_negative }
    }

    /// Whether the value is zero.
    pub(crate) fn is_zero(&self) -> bool {
        self.head.is_empty() && self.tail.is_empty()
    }

    /// The value times `10^shift` as an integer, when it is one of at most eighteen digits.
    pub(crate) fn scaled(&self, shift: u32) -> Result<i64, NotScaled> {
        if self.is_zero() {
            return Ok(0);
        }
        let zeros = self.scale.saturating_add(i64::from(shift));
        if zeros < 0 {
            return Err(NotScaled::Fraction);
        }
        if zeros.saturating_add(length(self.head)).saturating_add(length(self.tail)) > 18 {
            return Err(NotScaled::TooLarge);
        }
        let digits = self.head.bytes().chain(self.tail.bytes()).map(|digit| i64::from(digit - b'0'));
        let magnitude = digits.chain((0..zeros).map(|_| 0)).fold(0, |sum, digit| sum * 10 + digit);
        Ok(if self.negative { -magnitude } else { magnitude })
    }

    /// The value times `10^shift`, rounded to the nearest integer (halves to the even one), when it has at most eighteen
    /// digits.
    pub(crate) fn rounded(&self, shift: u32) -> Result<i64, NotScaled> {
        let dropped = -self.scale.saturating_add(i64::from(shift));
        if self.is_zero() || dropped <= 0 {
            return self.scaled(shift);
        }
        let kept = length(self.head).saturating_add(length(self.tail)).saturating_sub(dropped);
        if kept > 18 {
            return Err(NotScaled::TooLarge);
        }
        let Ok(kept) = usize::try_from(kept) else { return Ok(0) };
        let mut digits = self.head.bytes().chain(self.tail.bytes()).map(|digit| i64::from(digit - b'0'));
        let magnitude = digits.by_ref().take(kept).fold(0, |sum, digit| sum * 10 + digit);
        let next = digits.next().unwrap_or(0);
        let is_above_half = next > 5 || next == 5 && (digits.next().is_some() || magnitude % 2 == 1);
        let magnitude = magnitude + i64::from(is_above_half);
        Ok(if self.negative { -magnitude } else { magnitude })
    }

    /// The digits of the value's magnitude when it is an integer of so many digits.
    pub(crate) fn whole_digits(&self, span: RangeInclusive<usize>) -> Option<String> {
        let zeros = usize::try_from(self.scale).ok()?;
        let significant = self.head.len() + self.tail.len();
        if significant == 0 || !span.contains(&significant.saturating_add(zeros)) {
            return None;
        }
        Some(format!("{}{}{}", self.head, self.tail, "0".repeat(zeros)))
    }

    /// Appends the one spelling of this value.
    pub(crate) fn write_canonical(&self, out: &mut String) {
        use std::fmt::Write;
        if self.is_zero() {
            out.push('0');
            return;
        }
        if self.negative {
            out.push('-');
        }
        out.push_str(self.head);
        out.push_str(self.tail);
        // Writing into a string cannot fail.
        let _ = match self.far_exponent {
            None => write!(out, "e{}", self.scale),
            Some(far) => {
                let zeros = self.scale.saturating_sub(if self.exponent_negative { -FAR } else { FAR });
                write!(out, "e{}{far}~{zeros}", if self.exponent_negative { "-" } else { "+" })
            }
        };
    }
}

/// Stands for an exponent too long to be read.
const FAR: i64 = i64::MAX / 2;

/// Why a decimal is not an integer after scaling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotScaled {
    /// Digits are left behind the decimal point.
    Fraction,
    /// More than eighteen digits.
    TooLarge,
}

fn sign(text: &str) -> (bool, &str) {
    match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    }
}

fn digits_only(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

fn length(text: &str) -> i64 {
    i64::try_from(text.len()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn canonical(text: &str) -> String {
        let mut out = String::new();
        Decimal::parse(text).unwrap().write_canonical(&mut out);
        out
    }

    #[test]
    fn spellings_of_one_value_are_one() {
        for same in [
            ["10", "10.0", "1e1"],
            ["0", "-0", "0.0e99999999999999999999"],
            ["100.5", "1005e-1", "0.1005E+3"],
            ["-0.01", "-1e-2", "-.010"],
            ["1200", "12e2", "0.0012e6"],
            ["1e99999999999999999999999", "1.0e+99999999999999999999999", "1e099999999999999999999999"],
        ] {
            assert_eq!(canonical(same[0]), canonical(same[1]), "{same:?}");
            assert_eq!(canonical(same[0]), canonical(same[2]), "{same:?}");
        }
    }

    #[test]
    fn different_values_are_told_apart() {
        let different = ["1", "-1", "10", "0.1", "1e99999999999999999999", "1e-99999999999999999999", "11", "101", "0"];
        for (at, left) in different.iter().enumerate() {
            for right in &different[at + 1..] {
                assert_ne!(canonical(left), canonical(right), "{left} {right}");
            }
        }
    }

    #[test]
    fn what_is_no_decimal_is_refused() {
        for text in ["", ".", "-", "1,5", "1e", "e5", "1.2.3", "0x1", " 1", "1 ", "NaN", "--1", "1e1.5", "\u{661}"] {
            assert!(Decimal::parse(text).is_none(), "{text:?}");
        }
    }

    #[test]
    fn huge_exponents_cost_nothing() {
        for text in ["1e999999999", "1e99999999999999999999", "123e9223372036854775807", "9e18446744073709551616"] {
            let decimal = Decimal::parse(text).unwrap();
            assert_eq!(decimal.scaled(2), Err(NotScaled::TooLarge));
            assert_eq!(decimal.whole_digits(0..=19), None);
        }
        assert_eq!(Decimal::parse("1e-99999999999999999999").unwrap().scaled(2), Err(NotScaled::Fraction));
        assert_eq!(Decimal::parse("0e99999999999999999999").unwrap().scaled(2), Ok(0));
    }

    proptest! {
        #[test]
        fn moving_the_point_keeps_the_value(digits in 0i64..1_000_000_000_000, places in 0usize..20) {
            let padded = format!("{digits:0>width$}", width = places + 1);
            let (whole, fraction) = padded.split_at(padded.len() - places);
            let moved = format!("{whole}.{fraction}e{places}");
            prop_assert_eq!(canonical(&moved), canonical(&digits.to_string()));
            prop_assert_eq!(Decimal::parse(&moved).unwrap().scaled(0), Ok(digits));
        }

        #[test]
        fn no_text_panics(text in ".*") {
            if let Some(decimal) = Decimal::parse(&text) {
                let _ = (decimal.scaled(4), decimal.whole_digits(0..=19));
                decimal.write_canonical(&mut String::new());
            }
        }
    }
}
