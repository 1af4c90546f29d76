//! Reads typed values out of a policy's JSON and gathers everything that is wrong with them.
//!
//! Guarantee: no input panics; a value that is refused leaves a fault with its JSON pointer and what was expected.

use std::borrow::Cow;
use std::ops::RangeInclusive;
use std::str::FromStr;

use touchstone_schema::fault::Fault;
use touchstone_schema::json::{Json, Path};
use touchstone_schema::order::MAX_FAULTS;

/// Members of an object, in their order.
pub(in crate::score) type Members<'r> = [(Cow<'r, str>, Json<'r>)];

/// Faults found so far, at most [`MAX_FAULTS`].
#[derive(Debug, Default)]
pub(in crate::score) struct Faults(Vec<Fault>);

impl Faults {
    /// Adds what was expected at a place.
    pub(in crate::score) fn add(&mut self, path: &Path<'_>, message: impl Into<String>) {
        if self.0.len() < MAX_FAULTS {
            self.0.push(Fault::new(path.pointer(), message));
        }
    }

    /// The value, unless something is wrong.
    pub(in crate::score) fn none_or<T>(self, value: Option<T>) -> Result<T, Vec<Fault>> {
        match value {
            Some(value) if self.0.is_empty() => Ok(value),
            _ => Err(self.0),
        }
    }
}

/// A value of the document and where it is.
#[derive(Debug, Clone, Copy)]
pub(in crate::score) struct Place<'r> {
    /// The value.
    pub(in crate::score) json: &'r Json<'r>,
    /// Where it is.
    pub(in crate::score) path: &'r Path<'r>,
}

impl<'r> Place<'r> {
    /// A value at a place.
    pub(in crate::score) const fn new(json: &'r Json<'r>, path: &'r Path<'r>) -> Self {
        Self { json, path }
    }

    /// The members of an object.
    pub(in crate::score) fn members(&self, faults: &mut Faults) -> Option<&'r Members<'r>> {
        self.expect(self.json.as_object(), "expected an object", faults)
    }

    /// The elements of an array of at most `most`.
    pub(in crate::score) fn items(&self, most: usize, faults: &mut Faults) -> Option<&'r [Json<'r>]> {
        let items = self.json.as_array().filter(|items| items.len() <= most);
        self.expect(items, format!("expected an array of at most {most} elements"), faults)
    }

    /// Each element of an array of at most `most`, as `read` reads it; those that it refuses are left out.
    pub(in crate::score) fn each<T>(
        &self,
        most: usize,
        faults: &mut Faults,
        mut read: impl FnMut(Place<'_>, &mut Faults) -> Option<T>,
    ) -> Vec<T> {
        let items = self.items(most, faults).unwrap_or_default();
        let elements = items.iter().enumerate();
        elements.filter_map(|(index, json)| read(Place::new(json, &self.path.index(index)), faults)).collect()
    }

    /// Each member of an object of at most `most`, as `read` reads it; those that it refuses are left out.
    pub(in crate::score) fn entries<T>(
        &self,
        most: usize,
        faults: &mut Faults,
        mut read: impl FnMut(&str, Place<'_>, &mut Faults) -> Option<T>,
    ) -> Vec<T> {
        let members = self.members(faults).unwrap_or_default();
        if members.len() > most {
            faults.add(self.path, format!("expected at most {most} members"));
            return Vec::new();
        }
        let members = members.iter();
        members.filter_map(|(key, json)| read(key, Place::new(json, &self.path.key(key)), faults)).collect()
    }

    /// One line of text, of 1 to `most` characters.
    pub(in crate::score) fn text(&self, most: usize, faults: &mut Faults) -> Option<&'r str> {
        let text = self.json.as_str().filter(|text| is_line(text, most));
        self.expect(text, format!("expected one line of text of 1 to {most} characters"), faults)
    }

    /// A whole number.
    pub(in crate::score) fn whole(&self, range: RangeInclusive<i64>, faults: &mut Faults) -> Option<i64> {
        let number = self.json.as_number().and_then(|raw| raw.parse().ok()).filter(|number| range.contains(number));
        self.expect(number, format!("expected a whole number, {} to {}", range.start(), range.end()), faults)
    }

    /// `true` or `false`.
    pub(in crate::score) fn flag(&self, faults: &mut Faults) -> Option<bool> {
        let flag = if let Json::Bool(flag) = self.json { Some(*flag) } else { None };
        self.expect(flag, "expected true or false", faults)
    }

    /// One of the values of a closed list.
    pub(in crate::score) fn choice<T: FromStr<Err = String>>(&self, faults: &mut Faults) -> Option<T> {
        match self.json.as_str().unwrap_or_default().parse() {
            Ok(value) => Some(value),
            Err(expected) => {
                faults.add(self.path, expected);
                None
            }
        }
    }

    /// The value, or a fault at this place.
    pub(in crate::score) fn expect<T>(
        &self,
        value: Option<T>,
        expected: impl Into<String>,
        faults: &mut Faults,
    ) -> Option<T> {
        if value.is_none() {
            faults.add(self.path, expected);
        }
        value
    }

    /// A fault for a member that is not one of `known`.
    pub(in crate::score) fn refuse_unknown(&self, known: &[&str], faults: &mut Faults) {
        faults.add(self.path, format!("unknown member; expected one of {}", known.join(", ")));
    }
}

/// Whether a text is one line of 1 to `most` characters.
fn is_line(text: &str, most: usize) -> bool {
    !text.trim().is_empty() && text.chars().count() <= most && !text.chars().any(char::is_control)
}
