//! Strict JSON: what is accepted, written and compared as "the same document" (contract sections 0 and 1).
//!
//! Guarantee: a parsed document has no duplicate keys, no NUL characters and a bounded depth, and its numbers are kept
//! as they were written, so that money never passes through a float. No input whatsoever panics.
//! Failure: a [`JsonError`] tells where, by JSON pointer or line and column, and never quotes values.

#[cfg(any(test, fuzzing))]
pub mod invariants;
mod path;
mod read;
mod write;

use std::borrow::Cow;
use std::fmt;

use serde::de::{Error as _, IgnoredAny};

use crate::fault::Fault;
use crate::limits;

pub use path::Path;

/// A JSON value that borrows from the text it was read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Json<'a> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, as the text that it was written with.
    Number(&'a str),
    /// A text, unescaped.
    String(Cow<'a, str>),
    /// An array.
    Array(Vec<Json<'a>>),
    /// An object, in the order it was written.
    Object(Vec<(Cow<'a, str>, Json<'a>)>),
}

/// Why bytes are not an acceptable JSON document.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// Not UTF-8.
    #[error("expected UTF-8 text")]
    Encoding(#[source] std::str::Utf8Error),
    /// Not JSON; the cause tells line and column.
    #[error("expected valid JSON: {0}")]
    Syntax(#[source] serde_json::Error),
    /// A text or key holds an escape that is no character.
    #[error("{pointer}: expected text of valid Unicode characters")]
    Text {
        /// Where.
        pointer: String,
    },
    /// The same key twice in one object.
    #[error("{pointer}: expected every key once, found a duplicate")]
    DuplicateKey {
        /// The second occurrence.
        pointer: String,
    },
    /// A NUL character in a text or a key.
    #[error("{pointer}: expected text without NUL characters")]
    Nul {
        /// Where; for a key, the object that has it.
        pointer: String,
    },
    /// Nested deeper than [`limits::JSON_DEPTH`].
    #[error("{pointer}: expected at most {} levels of nesting", limits::JSON_DEPTH)]
    TooDeep {
        /// The first value that is too deep.
        pointer: String,
    },
}

impl From<&JsonError> for Fault {
    fn from(error: &JsonError) -> Self {
        match error {
            JsonError::Encoding(_) | JsonError::Syntax(_) => Self::new("", error.to_string()),
            JsonError::Text { pointer } => Self::new(pointer, "expected text of valid Unicode characters"),
            JsonError::DuplicateKey { pointer } => Self::new(pointer, "expected every key once, found a duplicate"),
            JsonError::Nul { pointer } => Self::new(pointer, "expected text without NUL characters"),
            JsonError::TooDeep { pointer } => {
                Self::new(pointer, format!("expected at most {} levels of nesting", limits::JSON_DEPTH))
            }
        }
    }
}

impl<'a> Json<'a> {
    /// Reads exactly one document.
    ///
    /// # Errors
    /// When the bytes are not UTF-8 or not JSON, and for duplicate keys, NUL characters, excessive nesting and
    /// anything behind the document.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, JsonError> {
        Self::parse_text(std::str::from_utf8(bytes).map_err(JsonError::Encoding)?)
    }

    /// Reads exactly one document from text. See [`Self::parse`].
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn parse_text(text: &'a str) -> Result<Self, JsonError> {
        read::document(text).map_err(|unread| {
            // What is no JSON at all is told first, by line and column.
            let syntax = serde_json::from_str::<IgnoredAny>(text).err();
            match (syntax, unread) {
                (Some(error), _) => JsonError::Syntax(error),
                (None, read::Unread::Refused(error)) => error,
                (None, read::Unread::NotJson) => JsonError::Syntax(serde_json::Error::custom("malformed")),
            }
        })
    }

    /// The member `key` of an object.
    pub fn get(&self, key: &str) -> Option<&Json<'a>> {
        self.as_object()?.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// The members, when it is an object.
    pub fn as_object(&self) -> Option<&[(Cow<'a, str>, Json<'a>)]> {
        if let Json::Object(members) = self { Some(members) } else { None }
    }

    /// The elements, when it is an array.
    pub fn as_array(&self) -> Option<&[Json<'a>]> {
        if let Json::Array(items) = self { Some(items) } else { None }
    }

    /// The text, when it is one.
    pub fn as_str(&self) -> Option<&str> {
        if let Json::String(text) = self { Some(text) } else { None }
    }

    /// The number as it was written, when it is one.
    pub fn as_number(&self) -> Option<&'a str> {
        if let Json::Number(raw) = self { Some(raw) } else { None }
    }

    /// Whether it counts as absent: `null` or an empty text.
    pub fn is_absent(&self) -> bool {
        match self {
            Json::Null => true,
            Json::String(text) => text.is_empty(),
            _ => false,
        }
    }
}

impl fmt::Display for Json<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_json_string())
    }
}

#[cfg(test)]
mod tests;
