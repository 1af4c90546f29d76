//! The numbers that orders of the orders surface are answered under.

use std::fmt;
use std::str::FromStr;

use crate::card::mask_text;

/// Sixteen digits, drawn at random, so that no number tells of another. Programs that keep numbers as floats keep it
/// exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PlacedOrderId(i64);

impl PlacedOrderId {
    const LEAST: i64 = 1_000_000_000_000_000;
    /// The largest integer that a float keeps exactly.
    const MOST: i64 = (1 << 53) - 1;

    /// Draws one from eight random bytes. None when it would pass for a card number, which is masked wherever a merchant
    /// sends it: draw again.
    pub fn mint(random: [u8; 8]) -> Option<Self> {
        let drawn = i64::from_be_bytes(random).rem_euclid(Self::MOST - Self::LEAST + 1);
        let id = Self(Self::LEAST + drawn);
        mask_text(&id.to_string()).is_none().then_some(id)
    }

    /// From its stored form.
    pub const fn from_i64(stored: i64) -> Self {
        Self(stored)
    }

    /// Its stored form.
    pub const fn as_i64(self) -> i64 {
        self.0
    }
}

/// The text is no number of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected the sixteen digits of an order's Location")]
pub struct NoPlacedOrderId;

impl FromStr for PlacedOrderId {
    type Err = NoPlacedOrderId;

    /// No other spelling of the number is taken.
    fn from_str(text: &str) -> Result<Self, NoPlacedOrderId> {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|number| digits && (Self::LEAST..=Self::MOST).contains(number));
        number.map(Self).filter(|id| id.to_string() == text).ok_or(NoPlacedOrderId)
    }
}

impl fmt::Display for PlacedOrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drawn_number_survives_its_text_and_a_float() {
        for random in [[0; 8], [0xff; 8], [0x7f; 8], [0x80, 0, 0, 0, 0, 0, 0, 0], *b"eightone"] {
            let id = PlacedOrderId::mint(random).unwrap();
            assert_eq!((id.to_string().len(), id.to_string().parse()), (16, Ok(id)));
            assert_eq!(id.as_i64() as f64 as i64, id.as_i64());
        }
    }

    #[test]
    fn a_number_that_passes_for_a_card_is_not_drawn() {
        let card: i64 = 4_111_111_111_111_111;
        assert_eq!(PlacedOrderId::mint((card - PlacedOrderId::LEAST).to_be_bytes()), None);
        assert!(PlacedOrderId::mint((card + 1 - PlacedOrderId::LEAST).to_be_bytes()).is_some());
    }

    #[test]
    fn other_spellings_are_no_numbers_of_orders() {
        for text in ["", "7", "+1000000000000000", "01000000000000000", "1e15", "9007199254740992", "1000000000000000 "]
        {
            assert_eq!(text.parse::<PlacedOrderId>(), Err(NoPlacedOrderId), "{text}");
        }
    }
}
