//! Telling the formats apart by how a file begins.

use super::Format;

/// What is looked at, at most: longer than any name of a callback.
const LOOKED_AT: usize = 1_024;

/// What the beginning of a file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detected {
    /// It is this.
    Is(Format),
    /// More of it is needed.
    Unknown,
}

/// Tells the format by the first bytes; `whole` when there are no more. A byte order mark and blanks are passed over.
pub fn detect(start: &[u8], whole: bool) -> Detected {
    let bytes = without_mark(start);
    let bytes = bytes.trim_ascii_start();
    // Some services write this before the call, so that the answer cannot be taken for anything else.
    let bytes = bytes.strip_prefix(b"/**/").unwrap_or(bytes);
    let name = bytes.iter().take_while(|byte| is_of_a_name(**byte)).count();
    let after = bytes[name..].trim_ascii_start().first();
    let is_enough = whole || start.len() >= LOOKED_AT;
    match (bytes.first(), after) {
        (Some(b'['), _) => Detected::Is(Format::Array),
        (Some(b'{'), _) => Detected::Is(Format::Lines),
        (Some(b'/'), None) | (None, _) if !is_enough => Detected::Unknown,
        (Some(b'/'), _) if !is_enough && bytes.len() < 4 => Detected::Unknown,
        (_, Some(b'(')) if name > 0 => Detected::Is(Format::Jsonp),
        (_, None) if !is_enough => Detected::Unknown,
        _ => Detected::Is(Format::Csv),
    }
}

/// The bytes without a byte order mark.
pub(super) fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes)
}

/// Whether a byte may be part of the callback's name.
pub(super) const fn is_of_a_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | b'.')
}
