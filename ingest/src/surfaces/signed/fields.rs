//! Reading the small documents of decisions and outcomes: every fault is found, not only the first.

use std::str::FromStr;

use touchstone_schema::card;
use touchstone_schema::fault::Fault;
use touchstone_schema::json::Json;

use crate::problem::Problem;

/// A document being read.
#[derive(Debug)]
pub(crate) struct Fields<'a> {
    document: &'a Json<'a>,
    faults: Vec<Fault>,
}

impl<'a> Fields<'a> {
    /// Begins to read an object.
    pub(crate) fn of(document: &'a Json<'a>) -> Result<Self, Problem> {
        if document.as_object().is_none() {
            return Err(Problem::invalid_fields(vec![Fault::new("", "expected an object")]));
        }
        Ok(Self { document, faults: Vec::new() })
    }

    /// A member that is present.
    pub(crate) fn optional(&self, name: &str) -> Option<&'a Json<'a>> {
        self.document.get(name).filter(|value| !value.is_absent())
    }

    /// Remembers that a member is at fault.
    pub(crate) fn fault(&mut self, name: &str, message: impl Into<String>) {
        self.faults.push(Fault::new(format!("/{name}"), message));
    }

    /// A text of at most `most` characters, card numbers masked.
    pub(crate) fn text(&mut self, name: &str, most: usize, required: bool) -> Option<String> {
        match self.optional(name) {
            None if required => self.fault(name, format!("expected a text of 1 to {most} characters")),
            None => {}
            Some(value) => match value.as_str() {
                Some(text) if text.chars().count() <= most => {
                    return Some(card::mask_text(text).unwrap_or_else(|| text.to_owned()));
                }
                _ => self.fault(name, format!("expected a text of at most {most} characters")),
            },
        }
        None
    }

    /// A required text of a closed set or form, told as `expected`.
    pub(crate) fn parsed<T: FromStr<Err = String>>(&mut self, name: &str) -> Option<T> {
        let text = self.optional(name).and_then(Json::as_str).unwrap_or_default();
        match text.parse() {
            Ok(value) => Some(value),
            Err(expected) => {
                self.fault(name, expected);
                None
            }
        }
    }

    /// 422 with all faults, when there are any.
    pub(crate) fn finish(self) -> Result<(), Problem> {
        if self.faults.is_empty() { Ok(()) } else { Err(Problem::invalid_fields(self.faults)) }
    }
}
