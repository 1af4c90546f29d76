//! Writes documents: as compact text, and in the one form by which two documents are found to say the same.

use sha2::{Digest, Sha256};

use super::Json;
use crate::decimal::Decimal;

impl Json<'_> {
    /// Compact JSON text; numbers as they were written, members in their order.
    pub fn to_json_string(&self) -> String {
        let mut out = String::with_capacity(256);
        self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) {
        match self {
            Json::Array(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    separate(index, out);
                    item.write(out);
                }
                out.push(']');
            }
            Json::Object(members) => {
                out.push('{');
                for (index, (key, value)) in members.iter().enumerate() {
                    separate(index, out);
                    write_text(key, out);
                    out.push(':');
                    value.write(out);
                }
                out.push('}');
            }
            Json::Number(raw) => out.push_str(raw),
            Json::Null | Json::Bool(_) | Json::String(_) => self.write_plain(out),
        }
    }

    fn write_plain(&self, out: &mut String) {
        match self {
            Json::Bool(true) => out.push_str("true"),
            Json::Bool(false) => out.push_str("false"),
            Json::String(text) => write_text(text, out),
            _ => out.push_str("null"),
        }
    }

    /// SHA-256, in hex, of what the document says: equal for documents that differ only in blanks, in the order of
    /// members, in escapes or in the spelling of numbers (10, 10.0 and 1e1 are one number).
    pub fn canonical_hash(&self) -> String {
        let mut canonical = String::with_capacity(4096);
        self.write_canonical(&mut canonical);
        hex::encode(Sha256::digest(canonical.as_bytes()))
    }

    fn write_canonical(&self, out: &mut String) {
        match self {
            Json::Array(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    separate(index, out);
                    item.write_canonical(out);
                }
                out.push(']');
            }
            Json::Object(members) => {
                let mut sorted: Vec<_> = members.iter().map(|(key, value)| (start_of(key), key, value)).collect();
                sorted.sort_unstable_by(|left, right| (left.0, left.1).cmp(&(right.0, right.1)));
                out.push('{');
                for (index, (_, key, value)) in sorted.into_iter().enumerate() {
                    separate(index, out);
                    write_text(key, out);
                    out.push(':');
                    value.write_canonical(out);
                }
                out.push('}');
            }
            Json::Number(raw) => match Decimal::parse(raw) {
                Some(decimal) => decimal.write_canonical(out),
                None => out.push_str(raw),
            },
            Json::Null | Json::Bool(_) | Json::String(_) => self.write_plain(out),
        }
    }
}

fn separate(index: usize, out: &mut String) {
    if index > 0 {
        out.push(',');
    }
}

/// The first eight bytes of a key as a number: where two differ, the keys are in the same order.
fn start_of(key: &str) -> u64 {
    let mut start = [0; 8];
    let length = key.len().min(start.len());
    start[..length].copy_from_slice(&key.as_bytes()[..length]);
    u64::from_be_bytes(start)
}

fn write_text(text: &str, out: &mut String) {
    out.push('"');
    if super::read::plain_length(text.as_bytes()) < text.len() {
        write_escaped(text, out);
    } else {
        out.push_str(text);
    }
    out.push('"');
}

fn write_escaped(text: &str, out: &mut String) {
    let mut written = 0;
    for (at, byte) in text.bytes().enumerate() {
        let escape = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0..0x20 => "",
            _ => continue,
        };
        out.push_str(&text[written..at]);
        if escape.is_empty() {
            out.push_str(&format!("\\u{byte:04x}"));
        } else {
            out.push_str(escape);
        }
        written = at + 1;
    }
    out.push_str(&text[written..]);
}
