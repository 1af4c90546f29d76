//! Full card numbers: refused in payment fields, masked everywhere else, so that none is ever stored or logged
//! (contract section 0).
//!
//! Guarantee: a document that went through [`screen`] or [`mask`] holds no run of digits that passes for a card number,
//! outside identifiers and article numbers: payment references and EANs look like cards one time in ten, so members named
//! `*_id`, `*Id`, `*Reference`, `fingerprint`, `orderNumber`, `sku`, `stockNumber`, `ean` and their like are left alone. The time is linear
//! in the document, whatever its shape: it is walked once, and the name of a member is read once, as far as its first 64
//! bytes.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::HashSet;

use crate::json::{Json, Path};

mod name;
mod number;
#[cfg(test)]
mod tests;

use name::{Article, Name};
pub use number::mask_text;
use number::{card_runs, masked, number_card};

/// A full card number in a payment field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CardInPayment {
    /// JSON pointer to it; for a key, to the object that has it.
    pub pointer: String,
}

/// Masks every full card number outside identifiers and article numbers, keys included; tells whether there was any. A
/// masked number becomes a text. Only the last four digits stay.
///
/// # Errors
/// The first card number in a payment field: one whose name says card, account number or PAN, or that lies anywhere under a
/// payment object. The document is then masked only in part.
pub fn screen(document: &mut Json<'_>) -> Result<bool, CardInPayment> {
    let mut walk = Walk { refuses: true, has_masked: false };
    walk.value(document, &Place::root())?;
    Ok(walk.has_masked)
}

/// As [`screen`], but what lies in payment fields is masked too; tells whether there was any.
pub fn mask(document: &mut Json<'_>) -> bool {
    let mut walk = Walk { refuses: false, has_masked: false };
    // A walk that refuses nothing does not fail.
    let _ = walk.value(document, &Place::root());
    walk.has_masked
}

/// What the place of a value says of it.
#[derive(Debug, Clone, Copy, Default)]
struct Facts {
    is_identifier: bool,
    /// An article number, or several.
    is_article_number: bool,
    /// An article, whose number may be among its members.
    is_article: bool,
    /// A card number here is refused.
    is_payment_field: bool,
    /// So is one in whatever is within.
    is_payment: bool,
}

impl Facts {
    /// Of the member `name` of an object with these facts.
    fn member(self, name: &str) -> Self {
        let name = Name::read(name);
        let is_element = name.article == Article::Element;
        let is_article_number = match name.article {
            Article::Number => true,
            Article::NumberOf => self.is_article || self.is_article_number,
            Article::ValueOf | Article::Element => self.is_article_number,
            Article::Thing | Article::Other => false,
        };
        Self {
            is_identifier: name.is_identifier,
            is_article_number,
            is_article: name.article == Article::Thing || is_element && self.is_article,
            is_payment_field: name.says_card || self.is_payment,
            is_payment: name.says_card || name.says_payment || self.is_payment,
        }
    }
}

/// Where the walk is. What a place says is found out when a card number turns up in it, and then only once.
struct Place<'p> {
    path: Path<'p>,
    above: Option<&'p Place<'p>>,
    facts: Cell<Option<Facts>>,
}

impl<'p> Place<'p> {
    const fn root() -> Self {
        Self { path: Path::Root, above: None, facts: Cell::new(None) }
    }

    const fn member(&'p self, name: &'p str) -> Self {
        Self { path: self.path.key(name), above: Some(self), facts: Cell::new(None) }
    }

    const fn element(&'p self, index: usize) -> Self {
        Self { path: self.path.index(index), above: Some(self), facts: Cell::new(None) }
    }

    fn facts(&self) -> Facts {
        if let Some(known) = self.facts.get() {
            return known;
        }
        let above = self.above.map(Self::facts).unwrap_or_default();
        let facts = match self.path {
            Path::Root | Path::Index(..) => above,
            Path::Key(_, name) => above.member(name),
        };
        self.facts.set(Some(facts));
        facts
    }
}

/// What is done about a card number.
enum Treatment {
    Keep,
    Mask,
}

struct Walk {
    refuses: bool,
    has_masked: bool,
}

impl Walk {
    fn value(&mut self, value: &mut Json<'_>, place: &Place<'_>) -> Result<(), CardInPayment> {
        match value {
            Json::Array(items) => {
                items.iter_mut().enumerate().try_for_each(|(index, item)| self.value(item, &place.element(index)))
            }
            Json::Object(members) => self.members(members, place),
            Json::String(text) => {
                let cards = card_runs(text);
                if !cards.is_empty() && matches!(self.treatment(place)?, Treatment::Mask) {
                    *text = Cow::Owned(masked(text, &cards));
                    self.has_masked = true;
                }
                Ok(())
            }
            Json::Number(raw) => {
                if let Some(digits) = number_card(raw)
                    && matches!(self.treatment(place)?, Treatment::Mask)
                {
                    *value = Json::String(Cow::Owned(mask_text(&digits).unwrap_or_default()));
                    self.has_masked = true;
                }
                Ok(())
            }
            Json::Null | Json::Bool(_) => Ok(()),
        }
    }

    fn members(&mut self, members: &mut [(Cow<'_, str>, Json<'_>)], place: &Place<'_>) -> Result<(), CardInPayment> {
        let mut has_masked_key = false;
        for (key, member) in members.iter_mut() {
            let cards = card_runs(key);
            if !cards.is_empty() && self.refuses && place.facts().is_payment && !place.facts().is_article_number {
                return Err(CardInPayment { pointer: place.path.pointer() });
            }
            self.value(member, &place.member(key))?;
            if !cards.is_empty() && !place.facts().is_article_number {
                *key = Cow::Owned(masked(key, &cards));
                has_masked_key = true;
            }
        }
        if has_masked_key {
            self.has_masked = true;
            tell_keys_apart(members);
        }
        Ok(())
    }

    fn treatment(&self, place: &Place<'_>) -> Result<Treatment, CardInPayment> {
        let facts = place.facts();
        if facts.is_identifier || facts.is_article_number {
            Ok(Treatment::Keep)
        } else if self.refuses && facts.is_payment_field {
            Err(CardInPayment { pointer: place.path.pointer() })
        } else {
            Ok(Treatment::Mask)
        }
    }
}

/// Numbers keys that became equal by masking: a stored document must not have duplicate keys. A number is tried once in an
/// object, so each key is met by no more of them than there are keys.
fn tell_keys_apart(members: &mut [(Cow<'_, str>, Json<'_>)]) {
    let mut seen: HashSet<String> = HashSet::with_capacity(members.len());
    let mut number = 1;
    for (key, _) in members.iter_mut() {
        if seen.contains(key.as_ref()) {
            let masked = key.clone();
            while seen.contains(key.as_ref()) {
                number += 1;
                *key = Cow::Owned(format!("{masked} #{number}"));
            }
        }
        seen.insert(key.clone().into_owned());
    }
}
