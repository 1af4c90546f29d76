//! What the answers of card issuers mean: the address check (AVS) and the check of the security code (CVV), in the letters,
//! numbers and words of schemes, gateways and shops.
//!
//! Guarantee: pure. The table of the gateway is asked first, then the table of the card's scheme, then the letters that are
//! common to most. A letter that several tables use differently is never read as a match unless gateway or scheme is known.
//! Failure: an answer that no table has is `unavailable`, never a match; [`Answer::text`] is then absent.
//!
//! Each table names the public reference it was taken from. docs/issuer-answers.md is made from the tables.

pub mod avs;
pub mod cvv;
mod hint;
#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;
mod words;

use std::borrow::Cow;

pub use avs::AddressMatch;
pub use cvv::SecurityCodeMatch;
pub use hint::{Gateway, Hints, Scheme};

use crate::order::Payment;
use crate::tenant::Surface;

/// An answer of the issuer, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer<M> {
    /// What it means.
    pub meaning: M,
    /// The answer in the spelling of its table; none when no table has it. What a shop sent is not repeated here, because
    /// it may hold anything.
    pub text: Option<Cow<'static, str>>,
}

impl<M> Answer<M> {
    /// Whether a table has the answer.
    pub const fn is_understood(&self) -> bool {
        self.text.is_some()
    }
}

/// A field that holds an answer of the issuer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// `payment.avs_result`.
    Avs,
    /// `payment.avs_street_result`.
    AvsStreet,
    /// `payment.avs_postal_result`.
    AvsPostal,
    /// `payment.cvv_result`.
    Cvv,
}

impl Field {
    /// Every field, in the order in which they are reported.
    pub const ALL: [Self; 4] = [Self::Avs, Self::AvsStreet, Self::AvsPostal, Self::Cvv];

    /// The JSON pointer of the field in the canonical order.
    pub const fn pointer(self) -> &'static str {
        match self {
            Self::Avs => "/payment/avs_result",
            Self::AvsStreet => "/payment/avs_street_result",
            Self::AvsPostal => "/payment/avs_postal_result",
            Self::Cvv => "/payment/cvv_result",
        }
    }

    /// The JSON pointer of the field in the document that a shop sends to a surface.
    pub const fn pointer_of(self, surface: Surface) -> &'static str {
        match (surface, self) {
            (Surface::Checks, Self::Avs) => "/payment/avs_result_code",
            (Surface::Checks, Self::Cvv) => "/payment/cvv_result_code",
            (Surface::Orders, Self::Avs) => "/payments/0/avsCode",
            (Surface::Orders, Self::Cvv) => "/payments/0/cidResponse",
            _ => self.pointer(),
        }
    }

    const fn text_of(self, payment: &Payment) -> Option<&String> {
        match self {
            Self::Avs => payment.avs_result.as_ref(),
            Self::AvsStreet => payment.avs_street_result.as_ref(),
            Self::AvsPostal => payment.avs_postal_result.as_ref(),
            Self::Cvv => payment.cvv_result.as_ref(),
        }
    }
}

/// Whether an answer that was sent in this field is in a table.
pub fn is_understood(field: Field, text: &str, hints: &Hints<'_>) -> bool {
    match field {
        Field::Avs => avs::read(text, hints).is_understood(),
        Field::AvsStreet | Field::AvsPostal => avs::read_part(text, hints).is_some(),
        Field::Cvv => cvv::read(text, hints).is_understood(),
    }
}

/// The fields of a payment that hold an answer which no table has.
pub fn not_understood(payment: &Payment) -> impl Iterator<Item = Field> + '_ {
    let hints = Hints::of(payment);
    Field::ALL
        .into_iter()
        .filter(move |field| field.text_of(payment).is_some_and(|text| !is_understood(*field, text, &hints)))
}

/// What the issuer says of the billing address; none when no answer was sent. Of an answer for the whole address and
/// answers for its parts the stricter counts.
pub fn address_check(payment: &Payment) -> Option<Answer<AddressMatch>> {
    let hints = Hints::of(payment);
    let whole = payment.avs_result.as_deref().map(|text| avs::read(text, &hints));
    let (street, postal) = (payment.avs_street_result.as_deref(), payment.avs_postal_result.as_deref());
    let parts = (street.is_some() || postal.is_some()).then(|| avs::read_parts(street, postal, &hints));
    match (whole, parts) {
        (Some(whole), Some(parts)) => {
            Some(if parts.meaning.strictness() >= whole.meaning.strictness() { parts } else { whole })
        }
        (whole, parts) => whole.or(parts),
    }
}

/// What the issuer says of the security code; none when no answer was sent.
pub fn security_code_check(payment: &Payment) -> Option<Answer<SecurityCodeMatch>> {
    payment.cvv_result.as_deref().map(|text| cvv::read(text, &Hints::of(payment)))
}

/// Answers of one gateway or scheme, and what they mean.
#[derive(Debug)]
pub struct Table<M: 'static> {
    /// Whose answers they are.
    pub name: &'static str,
    /// When the table is asked.
    pub asked: &'static str,
    /// The public reference that it was taken from.
    pub source: &'static str,
    /// The answers; case, blanks and punctuation do not count.
    pub rows: &'static [(&'static str, M)],
}

impl<M: Copy> Table<M> {
    fn find(&self, text: &str) -> Option<Answer<M>> {
        let (answer, meaning) = self.rows.iter().find(|(answer, _)| words::are_same(answer, text))?;
        Some(Answer { meaning: *meaning, text: Some(Cow::Borrowed(answer)) })
    }
}
