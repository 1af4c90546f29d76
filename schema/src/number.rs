//! Numbers of documents, read exactly from the text of a JSON number or from a numeric text.

use crate::decimal::Decimal;

/// A whole number that fits, however it is spelled: `2`, `2.0` and `2e0` are one number.
pub fn count(text: &str) -> Option<u32> {
    Decimal::parse(text)?.scaled(0).ok().and_then(|number| u32::try_from(number).ok())
}

/// A number of at most six decimals, in millionths.
pub fn millionths(text: &str) -> Option<i64> {
    Decimal::parse(text)?.scaled(6).ok()
}

/// Whether the text is a decimal number.
pub fn is_number(text: &str) -> bool {
    Decimal::parse(text).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_one_value_however_it_is_spelled() {
        assert_eq!(["2", "2.0", "2e0", "0.2E1", "+2"].map(count), [Some(2); 5]);
        assert_eq!(["1.5", "-1", "4294967296", "", "two"].map(count), [None; 5]);
        assert_eq!(["0.000001", "-1.5", "1e-7", "x"].map(millionths), [Some(1), Some(-1_500_000), None, None]);
        assert_eq!(["-1.25e3", "1,5", " 1"].map(is_number), [true, false, false]);
    }
}
