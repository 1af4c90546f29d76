//! Strict JSON: what is accepted, written and compared as "the same document" (contract sections 0 and 1).
//!
//! Guarantee: a parsed document has no duplicate keys, no NUL characters and a bounded depth, and its numbers are kept
//! as they were written, so that money never passes through a float. No input whatsoever panics.
//! Failure: a [`JsonError`] tells where, by JSON pointer or line and column, and never quotes values.

mod path;
mod write;

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::Deserializer as _;
use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

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
        let trimmed = text.trim_matches([' ', '\t', '\r', '\n']);
        match trimmed.as_bytes().first() {
            Some(b'{' | b'[') => {
                // The whole text, so that line and column of an error are right.
                let mut document = children(text).map_err(JsonError::Syntax)?;
                document.resolve_children(&Path::Root, 1)?;
                Ok(document)
            }
            _ => {
                serde_json::from_str::<&RawValue>(text).map_err(JsonError::Syntax)?;
                Self::resolved(trimmed, &Path::Root, 1)
            }
        }
    }

    /// The value of valid JSON text without surrounding blanks.
    fn resolved(raw: &'a str, path: &Path<'_>, depth: usize) -> Result<Self, JsonError> {
        Ok(match raw.as_bytes().first() {
            Some(b'{' | b'[') => {
                if depth > limits::JSON_DEPTH {
                    return Err(JsonError::TooDeep { pointer: path.pointer() });
                }
                let mut value = children(raw).map_err(|_| JsonError::Text { pointer: path.pointer() })?;
                value.resolve_children(path, depth)?;
                value
            }
            Some(b'"') => Json::String(text_of(raw, path)?),
            Some(b't') => Json::Bool(true),
            Some(b'f') => Json::Bool(false),
            Some(b'n') | None => Json::Null,
            Some(_) => Json::Number(raw),
        })
    }

    fn resolve_children(&mut self, path: &Path<'_>, depth: usize) -> Result<(), JsonError> {
        match self {
            Json::Array(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    if let Json::Number(raw) = item {
                        *item = Json::resolved(raw, &path.index(index), depth + 1)?;
                    }
                }
            }
            Json::Object(members) => {
                refuse_bad_keys(members, path)?;
                for (key, value) in members.iter_mut() {
                    if let Json::Number(raw) = value {
                        *value = Json::resolved(raw, &path.key(key), depth + 1)?;
                    }
                }
            }
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
        }
        Ok(())
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

/// The text of a valid JSON string literal.
fn text_of<'a>(raw: &'a str, path: &Path<'_>) -> Result<Cow<'a, str>, JsonError> {
    if !raw.contains('\\') {
        // A NUL can only be written as an escape.
        return Ok(Cow::Borrowed(&raw[1..raw.len() - 1]));
    }
    let text: String = serde_json::from_str(raw).map_err(|_| JsonError::Text { pointer: path.pointer() })?;
    if text.contains('\0') {
        return Err(JsonError::Nul { pointer: path.pointer() });
    }
    Ok(Cow::Owned(text))
}

/// Objects of up to this many members are searched for duplicates pair by pair.
const FEW_KEYS: usize = 16;

fn refuse_bad_keys(members: &[(Cow<'_, str>, Json<'_>)], path: &Path<'_>) -> Result<(), JsonError> {
    let duplicate = if members.len() <= FEW_KEYS {
        members.iter().enumerate().find(|(at, (key, _))| members[..*at].iter().any(|(other, _)| other == key))
    } else {
        let mut seen = HashSet::with_capacity(members.len());
        members.iter().enumerate().find(|(_, (key, _))| !seen.insert(key.as_ref()))
    };
    if let Some((_, (key, _))) = duplicate {
        return Err(JsonError::DuplicateKey { pointer: path.key(key).pointer() });
    }
    if members.iter().any(|(key, _)| matches!(key, Cow::Owned(text) if text.contains('\0'))) {
        return Err(JsonError::Nul { pointer: path.pointer() });
    }
    Ok(())
}

/// Reads one array or object whose children are left as [`Json::Number`] of their raw text.
fn children(raw: &str) -> Result<Json<'_>, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(raw);
    let value = deserializer.deserialize_any(Children)?;
    deserializer.end()?;
    Ok(value)
}

struct Children;

impl<'de> Visitor<'de> for Children {
    type Value = Json<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array or an object")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json<'de>, A::Error> {
        let mut items = Vec::new();
        while let Some(raw) = seq.next_element::<&'de RawValue>()? {
            items.push(Json::Number(raw.get()));
        }
        Ok(Json::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json<'de>, A::Error> {
        let mut members = Vec::with_capacity(8);
        while let Some(key) = map.next_key_seed(Key)? {
            members.push((key, Json::Number(map.next_value::<&'de RawValue>()?.get())));
        }
        Ok(Json::Object(members))
    }
}

/// Reads a key, borrowed where it has no escapes.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Cow<'de, str>;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(key))
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(key.to_owned()))
    }
}

#[cfg(test)]
mod tests;
