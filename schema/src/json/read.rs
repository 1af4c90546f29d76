//! Reads a document from its text, in one pass and without copying what needs no unescaping.
//!
//! Guarantee: what is read is what RFC 8259 calls JSON, and nothing else; the tests hold this against `serde_json`. The
//! stack is as deep as [`limits::JSON_DEPTH`] at most.

use std::borrow::Cow;
use std::collections::HashSet;

use super::{Json, JsonError, Path};
use crate::limits;

/// Why a text was not read.
#[derive(Debug)]
pub(super) enum Unread {
    /// It is not JSON; where, is left to be found by someone with more time.
    NotJson,
    /// It may be JSON, but not such as we accept.
    Refused(JsonError),
}

impl From<JsonError> for Unread {
    fn from(error: JsonError) -> Self {
        Self::Refused(error)
    }
}

/// Reads exactly one document.
pub(super) fn document(text: &str) -> Result<Json<'_>, Unread> {
    let mut reader = Reader { text, at: 0 };
    let value = reader.value(&Path::Root, 1)?;
    match reader.next_sign() {
        None => Ok(value),
        Some(_) => Err(Unread::NotJson),
    }
}

/// Room for the members of an object to begin with.
const FIRST_MEMBERS: usize = 8;

/// A text and how far it has been read.
struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    /// The byte to be read next.
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// The byte to be read next, behind blanks.
    fn next_sign(&mut self) -> Option<u8> {
        loop {
            match self.peek()? {
                b' ' | b'\n' | b'\t' | b'\r' => self.at += 1,
                sign => return Some(sign),
            }
        }
    }

    /// Reads `sign`, if it comes next behind blanks.
    fn takes(&mut self, sign: u8) -> bool {
        let comes = self.next_sign() == Some(sign);
        self.at += usize::from(comes);
        comes
    }

    fn expect(&mut self, sign: u8) -> Result<(), Unread> {
        if self.takes(sign) { Ok(()) } else { Err(Unread::NotJson) }
    }

    /// A value, which is an array or object of the level `depth` if it is one at all.
    fn value(&mut self, path: &Path<'_>, depth: usize) -> Result<Json<'a>, Unread> {
        match self.next_sign().ok_or(Unread::NotJson)? {
            b'"' => Ok(Json::String(self.string(path)?)),
            b'{' | b'[' if depth > limits::JSON_DEPTH => Err(JsonError::TooDeep { pointer: path.pointer() }.into()),
            b'{' => self.object(path, depth),
            b'[' => self.array(path, depth),
            b't' => self.word("true", Json::Bool(true)),
            b'f' => self.word("false", Json::Bool(false)),
            b'n' => self.word("null", Json::Null),
            _ => self.number(),
        }
    }

    fn object(&mut self, path: &Path<'_>, depth: usize) -> Result<Json<'a>, Unread> {
        self.at += 1;
        let mut members = Vec::new();
        if self.takes(b'}') {
            return Ok(Json::Object(members));
        }
        members.reserve(FIRST_MEMBERS);
        loop {
            if self.next_sign() != Some(b'"') {
                return Err(Unread::NotJson);
            }
            let key = self.string(path)?;
            self.expect(b':')?;
            let value = self.value(&path.key(&key), depth + 1)?;
            members.push((key, value));
            if !self.takes(b',') {
                break;
            }
        }
        self.expect(b'}')?;
        match duplicate(&members) {
            Some(key) => Err(JsonError::DuplicateKey { pointer: path.key(key).pointer() }.into()),
            None => Ok(Json::Object(members)),
        }
    }

    fn array(&mut self, path: &Path<'_>, depth: usize) -> Result<Json<'a>, Unread> {
        self.at += 1;
        let mut items = Vec::new();
        if self.takes(b']') {
            return Ok(Json::Array(items));
        }
        loop {
            items.push(self.value(&path.index(items.len()), depth + 1)?);
            if !self.takes(b',') {
                break;
            }
        }
        self.expect(b']')?;
        Ok(Json::Array(items))
    }

    fn word(&mut self, word: &str, value: Json<'a>) -> Result<Json<'a>, Unread> {
        if !self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            return Err(Unread::NotJson);
        }
        self.at += word.len();
        Ok(value)
    }

    /// A text in quotes; a key is told by the object that has it.
    fn string(&mut self, path: &Path<'_>) -> Result<Cow<'a, str>, Unread> {
        let start = self.at;
        self.at += 1;
        let mut is_plain = true;
        loop {
            self.at += plain_length(&self.text.as_bytes()[self.at..]);
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => {
                    is_plain = false;
                    self.at = self.text.len().min(self.at + 2);
                }
                _ => return Err(Unread::NotJson),
            }
        }
        self.at += 1;
        let raw = &self.text[start..self.at];
        if is_plain {
            // A NUL can only be written as an escape.
            return Ok(Cow::Borrowed(&raw[1..raw.len() - 1]));
        }
        let text: String = serde_json::from_str(raw).map_err(|_| JsonError::Text { pointer: path.pointer() })?;
        if text.contains('\0') {
            return Err(JsonError::Nul { pointer: path.pointer() }.into());
        }
        Ok(Cow::Owned(text))
    }

    fn number(&mut self) -> Result<Json<'a>, Unread> {
        let start = self.at;
        self.skip(b"-");
        if !self.skip(b"0") {
            self.digits()?;
        }
        if self.skip(b".") {
            self.digits()?;
        }
        if self.skip(b"eE") {
            self.skip(b"+-");
            self.digits()?;
        }
        Ok(Json::Number(&self.text[start..self.at]))
    }

    /// Reads one of the signs, if it comes next.
    fn skip(&mut self, signs: &[u8]) -> bool {
        let comes = self.peek().is_some_and(|byte| signs.contains(&byte));
        self.at += usize::from(comes);
        comes
    }

    /// One digit or more.
    fn digits(&mut self) -> Result<(), Unread> {
        let rest = &self.text.as_bytes()[self.at..];
        let length = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += length;
        if length > 0 { Ok(()) } else { Err(Unread::NotJson) }
    }
}

/// How many bytes follow that stand for themselves within quotes: up to a quote, a backslash or a control character.
/// Eight at a time, by the arithmetic for finding a byte in a word.
pub(super) fn plain_length(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 255;
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word;
    let mut length = 0;
    while let Some(chunk) = bytes[length..].first_chunk() {
        let word = u64::from_le_bytes(*chunk);
        let controls = word.wrapping_sub(ONES * 0x20) & !word;
        let ends = (controls | zeros(word ^ (ONES * u64::from(b'"'))) | zeros(word ^ (ONES * u64::from(b'\\'))))
            & (ONES * 0x80);
        if ends != 0 {
            // A borrow may mark bytes behind the first that is found, never before.
            return length + ends.trailing_zeros() as usize / 8;
        }
        length += chunk.len();
    }
    let is_plain = |byte: &&u8| !matches!(byte, 0..0x20 | b'"' | b'\\');
    length + bytes[length..].iter().take_while(is_plain).count()
}

/// Objects of up to this many members are searched for duplicates pair by pair.
const FEW_KEYS: usize = 64;

/// The first key that was there before.
fn duplicate<'m>(members: &'m [(Cow<'_, str>, Json<'_>)]) -> Option<&'m str> {
    let mut keys = members.iter().map(|(key, _)| key.as_ref());
    if members.len() > FEW_KEYS {
        let mut seen = HashSet::with_capacity(members.len());
        return keys.find(|key| !seen.insert(*key));
    }
    // Most keys differ in length or last byte from those before, which a set of 64 bits tells.
    let mut seen = 0u64;
    members.iter().enumerate().map(|(at, (key, _))| (at, key.as_ref())).find_map(|(at, key)| {
        let mark = 1 << ((key.len() * 11 + key.bytes().last().map_or(0, usize::from)) % 64);
        let is_suspect = seen & mark != 0;
        seen |= mark;
        (is_suspect && members[..at].iter().any(|(other, _)| other == key)).then_some(key)
    })
}
