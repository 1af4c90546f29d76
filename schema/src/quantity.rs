//! How many of an article were ordered.

use crate::decimal::Decimal;

/// Decimals that are kept of a quantity.
const DECIMALS: u32 = 6;
/// Millionths of one.
const ONE: u64 = 1_000_000;

/// A number of pieces, or a measure such as metres of cloth: zero or more, in millionths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quantity(u64);

impl Quantity {
    /// So many pieces.
    pub fn of_pieces(pieces: u32) -> Self {
        Self(u64::from(pieces) * ONE)
    }

    /// Reads a decimal number between 0 and 2^32 - 1; digits below a millionth are rounded half to even.
    pub fn parse(text: &str) -> Option<Self> {
        let millionths = u64::try_from(Decimal::parse(text)?.rounded(DECIMALS).ok()?).ok()?;
        (millionths <= u64::from(u32::MAX) * ONE).then_some(Self(millionths))
    }

    /// The quantity in millionths.
    pub const fn millionths(self) -> u64 {
        self.0
    }

    /// Whole pieces; a part of one counts as one.
    pub fn pieces(self) -> u32 {
        u32::try_from(self.0.div_ceil(ONE)).unwrap_or(u32::MAX)
    }

    /// Decimal text without needless zeros: `2`, `0.3`.
    pub fn to_decimal_text(self) -> String {
        let (whole, part) = (self.0 / ONE, self.0 % ONE);
        if part == 0 {
            return whole.to_string();
        }
        let text = format!("{whole}.{part:06}");
        text.trim_end_matches('0').to_owned()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_quantity_may_be_a_part_of_a_piece() {
        let read = |text: &str| Quantity::parse(text).map(|quantity| (quantity.millionths(), quantity.pieces()));
        assert_eq!(read("2"), Some((2_000_000, 2)));
        assert_eq!(read("0.3"), Some((300_000, 1)));
        assert_eq!(read("1.0000005"), Some((1_000_000, 1)));
        assert_eq!(read("0"), Some((0, 0)));
        assert_eq!(read("4294967295"), Some((4_294_967_295_000_000, u32::MAX)));
        assert_eq!(["-1", "4294967296", "1e30", "two", ""].map(read), [None; 5]);
    }

    proptest! {
        #[test]
        fn every_quantity_survives_its_text(millionths in 0..=u64::from(u32::MAX) * ONE) {
            let quantity = Quantity(millionths);
            prop_assert_eq!(Quantity::parse(&quantity.to_decimal_text()), Some(quantity));
        }
    }
}
