//! Bytes of a file as UTF-8.
//!
//! Guarantee: each byte of the file is counted once, with the character that it is part of. Failure: what is no character
//! becomes a byte that UTF-8 never has, so that the row which holds it is refused.

use super::form::{Encoding, FormError};

/// Stands for what is no character.
const NONE: u8 = 0xFF;
/// How many characters of UTF-8 a file has for each that is none, for it to be UTF-8 with damaged rows.
const RATIO: usize = 10;

/// Characters of the bytes 0x80 to 0x9F in Windows-1252; the other bytes are the characters of the same number. Source: the
/// index `windows-1252` of the Encoding Standard (WHATWG), in which five bytes have no printable character.
const WINDOWS_1252: [Option<char>; 32] = [
    Some('€'),
    None,
    Some('‚'),
    Some('ƒ'),
    Some('„'),
    Some('…'),
    Some('†'),
    Some('‡'),
    Some('ˆ'),
    Some('‰'),
    Some('Š'),
    Some('‹'),
    Some('Œ'),
    None,
    Some('Ž'),
    None,
    None,
    Some('‘'),
    Some('’'),
    Some('“'),
    Some('”'),
    Some('•'),
    Some('–'),
    Some('—'),
    Some('˜'),
    Some('™'),
    Some('š'),
    Some('›'),
    Some('œ'),
    None,
    Some('ž'),
    Some('Ÿ'),
];

/// The character of a byte of Windows-1252.
fn windows_1252(byte: u8) -> Option<char> {
    match byte {
        0x80..=0x9F => WINDOWS_1252[usize::from(byte - 0x80)],
        _ => Some(char::from(byte)),
    }
}

/// Decodes bytes as they come.
#[derive(Debug)]
pub(super) struct Decoder {
    encoding: Encoding,
    /// The first byte of a unit of UTF-16.
    half: Option<u8>,
    /// The first of a pair of units.
    lead: Option<u16>,
}

impl Decoder {
    pub(super) const fn new(encoding: Encoding) -> Self {
        Self { encoding, half: None, lead: None }
    }

    /// Decodes bytes; `each` takes a byte of UTF-8, and how many bytes of the file stand for it: those of a character are
    /// counted with its first byte.
    pub(super) fn feed(&mut self, bytes: &[u8], each: &mut impl FnMut(u8, u64)) {
        match self.encoding {
            Encoding::Utf8 => bytes.iter().for_each(|byte| each(*byte, 1)),
            Encoding::Windows1252 => bytes.iter().for_each(|byte| put(windows_1252(*byte), 1, each)),
            Encoding::Utf16Le | Encoding::Utf16Be => {
                for byte in bytes {
                    match self.half.take() {
                        None => self.half = Some(*byte),
                        Some(first) if self.encoding == Encoding::Utf16Le => {
                            self.unit(u16::from_le_bytes([first, *byte]), each);
                        }
                        Some(first) => self.unit(u16::from_be_bytes([first, *byte]), each),
                    }
                }
            }
        }
    }

    /// Ends a file within a character, if it is.
    pub(super) fn finish(&mut self, each: &mut impl FnMut(u8, u64)) {
        if self.lead.take().is_some() {
            put(None, 2, each);
        }
        if self.half.take().is_some() {
            put(None, 1, each);
        }
    }

    fn unit(&mut self, unit: u16, each: &mut impl FnMut(u8, u64)) {
        if let Some(lead) = self.lead.take() {
            if let Some(Ok(character)) = char::decode_utf16([lead, unit]).next() {
                put(Some(character), 4, each);
                return;
            }
            put(None, 2, each);
        }
        match unit {
            0xD800..=0xDBFF => self.lead = Some(unit),
            _ => put(char::from_u32(u32::from(unit)), 2, each),
        }
    }
}

fn put(character: Option<char>, width: u64, each: &mut impl FnMut(u8, u64)) {
    let mut buffer = [NONE; 4];
    let bytes = match character {
        Some(character) => character.encode_utf8(&mut buffer).as_bytes(),
        None => &buffer[..1],
    };
    for (place, byte) in bytes.iter().enumerate() {
        each(*byte, if place == 0 { width } else { 0 });
    }
}

/// A piece of a file as UTF-8, without the mark at its beginning.
pub(super) fn decoded(bytes: &[u8], encoding: Encoding) -> Vec<u8> {
    let mut text = Vec::with_capacity(bytes.len());
    let mut each = |byte, _| text.push(byte);
    Decoder::new(encoding).feed(&bytes[mark(bytes, encoding)..], &mut each);
    text
}

/// Length of the byte order mark that bytes of this encoding begin with.
pub(super) fn mark(bytes: &[u8], encoding: Encoding) -> usize {
    let mark: &[u8] = match encoding {
        Encoding::Utf8 => b"\xEF\xBB\xBF",
        Encoding::Utf16Le => b"\xFF\xFE",
        Encoding::Utf16Be => b"\xFE\xFF",
        Encoding::Windows1252 => b"",
    };
    if bytes.starts_with(mark) { mark.len() } else { 0 }
}

/// The encoding by the first bytes: a byte order mark, or of UTF-16 the zeros that are half of its Latin letters.
pub(super) fn by_beginning(bytes: &[u8]) -> Option<Encoding> {
    let marked = [Encoding::Utf8, Encoding::Utf16Le, Encoding::Utf16Be];
    if let Some(encoding) = marked.into_iter().find(|encoding| mark(bytes, *encoding) > 0) {
        return Some(encoding);
    }
    match bytes.first_chunk::<4>()?.map(|byte| byte == 0) {
        [false, true, false, true] => Some(Encoding::Utf16Le),
        [true, false, true, false] => Some(Encoding::Utf16Be),
        _ => None,
    }
}

/// The encoding of a sample that has no mark: UTF-8 where it can be, else Windows-1252. `whole` when the file ends with it.
///
/// # Errors
/// When some of it is UTF-8 and some is not.
pub(super) fn by_letters(sample: &[u8], whole: bool) -> Result<Encoding, FormError> {
    let (mut good, mut bad, mut is_western) = (0usize, 0usize, true);
    let mut chunks = sample.utf8_chunks().peekable();
    while let Some(chunk) = chunks.next() {
        good += chunk.valid().chars().filter(|letter| !letter.is_ascii()).count();
        let is_cut = !whole && chunks.peek().is_none();
        if !chunk.invalid().is_empty() && !is_cut {
            bad += 1;
            is_western &= chunk.invalid().iter().all(|byte| windows_1252(*byte).is_some());
        }
    }
    match (good, bad) {
        (_, 0) => Ok(Encoding::Utf8),
        (0, _) if is_western => Ok(Encoding::Windows1252),
        (0, _) => Ok(Encoding::Utf8),
        _ if good / RATIO >= bad => Ok(Encoding::Utf8),
        _ => Err(FormError::Encoding),
    }
}
