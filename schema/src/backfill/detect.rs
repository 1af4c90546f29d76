//! Recognising the form of a file by its first part.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::csv::{Header, fields};
use super::encoding::{by_beginning, by_letters, decoded};
use super::form::{DecimalMark, Encoding, Form, FormError, Separator};
use super::prologue::{self, Prologue};
use super::records::separator_line;
use super::{Format, Splitter};
use crate::limits::{BACKFILL_PROLOGUE_BYTES, BACKFILL_ROW_BYTES};

/// A column that every file of orders or carts has.
const REQUIRED: &str = "transaction.ordered_on";

/// The form of the file that begins with `sample`: what was said of it, and the rest as it looks. `whole` when the file
/// ends with the sample.
///
/// # Errors
/// When something that was not said can be one of several.
pub(super) fn recognise(sample: &[u8], whole: bool, said: Form) -> Result<Form, FormError> {
    let known = said.encoding.or_else(|| by_beginning(sample));
    let text = decoded(sample, known.unwrap_or(Encoding::Utf8));
    let format = said.format.unwrap_or_else(|| format(&text));
    if format != Format::Csv {
        // JSON is UTF-8 unless a mark or its sender says otherwise (RFC 8259, section 8.1).
        let encoding = known.unwrap_or(Encoding::Utf8);
        return Ok(Form { format: Some(format), encoding: Some(encoding), ..Form::default() });
    }
    let encoding = match known {
        Some(encoding) => encoding,
        None => by_letters(sample, whole)?,
    };
    let text = if known.is_none() { decoded(sample, encoding) } else { text };
    let separator = match said.separator {
        Some(separator) => separator,
        None => separator(&text)?,
    };
    let decimal = said.decimal.or_else(|| decimal(&text, whole, separator));
    Ok(Form { format: Some(format), encoding: Some(encoding), separator: Some(separator), decimal })
}

/// The format by the first bracket that is not in a comment, and by what stands before it.
fn format(text: &[u8]) -> Format {
    let start = &text[..text.len().min(BACKFILL_PROLOGUE_BYTES)];
    let mut script = Script::default();
    let Some(at) = start.iter().position(|byte| script.take(*byte) && matches!(byte, b'[' | b'{')) else {
        return Format::Csv;
    };
    let before = std::str::from_utf8(&start[..at]).map(prologue::read);
    match (before, start[at]) {
        (Ok(Prologue::Opens(1..)), _) => Format::Jsonp,
        (Ok(Prologue::Opens(0) | Prologue::Nothing), b'[') => Format::Array,
        (Ok(Prologue::Opens(0) | Prologue::Nothing), _) => Format::Lines,
        _ => Format::Csv,
    }
}

/// Where in a text of JavaScript the next byte is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Within {
    #[default]
    Nothing,
    Slash,
    LineComment,
    Comment,
    CommentStar,
    Quotes(u8),
}

/// Follows comments and quotes through a text of JavaScript.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Script {
    within: Within,
    /// Bytes that came, blanks before the first aside.
    seen: usize,
    /// Bytes of [`Self::GUARD`] that they begin with.
    guarded: usize,
}

impl Script {
    /// A prefix whose quotation mark is none.
    const GUARD: &'static [u8] = b")]}";

    /// Takes a byte; whether it is neither in a comment nor in quotes.
    pub(super) fn take(&mut self, byte: u8) -> bool {
        if self.seen == self.guarded && Self::GUARD.get(self.guarded) == Some(&byte) {
            self.guarded += 1;
        }
        self.seen += usize::from(self.seen > 0 || !byte.is_ascii_whitespace());
        self.within = match (self.within, byte) {
            (Within::Slash, b'/') => Within::LineComment,
            (Within::Slash, b'*') => Within::Comment,
            (Within::Nothing, b'/') => Within::Slash,
            (Within::Nothing | Within::Slash, b'"' | b'\'') if self.guarded < Self::GUARD.len() => Within::Quotes(byte),
            (Within::LineComment | Within::Quotes(_) | Within::Slash, b'\n') => Within::Nothing,
            (Within::Quotes(sign), _) if sign == byte => Within::Nothing,
            (Within::Comment | Within::CommentStar, b'*') => Within::CommentStar,
            (Within::CommentStar, b'/') => Within::Nothing,
            (Within::CommentStar, _) => Within::Comment,
            (Within::Slash, _) => Within::Nothing,
            (within, _) => within,
        };
        self.within == Within::Nothing
    }

    /// Whether a comment was begun that only its own end closes.
    pub(super) const fn is_in_comment(self) -> bool {
        matches!(self.within, Within::Comment | Within::CommentStar)
    }
}

/// The separator of a header.
fn separator(text: &[u8]) -> Result<Separator, FormError> {
    let mut lines = text.split(|byte| matches!(byte, b'\n' | b'\r')).filter(|line| !line.trim_ascii().is_empty());
    let head = lines.next().unwrap_or_default();
    let said = separator_line(head);
    if let Some(known) = Separator::ALL.iter().find(|known| said == Some(known.byte())) {
        return Ok(*known);
    }
    // A longer header is refused as a row that is too long.
    let head = String::from_utf8_lossy(&head[..head.len().min(BACKFILL_ROW_BYTES)]);
    let names = |separator: Separator| fields(&head, separator);
    let dividing: Vec<_> = Separator::ALL.iter().copied().filter(|separator| names(*separator).len() > 1).collect();
    let meant = |names: Vec<Cow<'_, str>>| names.iter().any(|name| name.trim() == REQUIRED);
    let plain = |names: Vec<Cow<'_, str>>| names.iter().all(|name| name.chars().all(is_of_a_column));
    let with_required: Vec<_> = dividing.iter().copied().filter(|separator| meant(names(*separator))).collect();
    let with_plain: Vec<_> = dividing.iter().copied().filter(|separator| plain(names(*separator))).collect();
    match (&dividing[..], &with_required[..], &with_plain[..]) {
        ([], ..) => Ok(Separator::Comma),
        ([one], ..) | (_, [one], _) | (_, [], [one]) => Ok(*one),
        (_, [one, other, ..], _) | ([one, other, ..], ..) => Err(FormError::Separator(*one, *other)),
    }
}

fn is_of_a_column(sign: char) -> bool {
    sign.is_alphanumeric() || matches!(sign, '.' | '_' | '-' | ' ')
}

/// The decimal mark that all numbers agree on which can be read in one way only.
fn decimal(text: &[u8], whole: bool, separator: Separator) -> Option<DecimalMark> {
    let form = Form {
        format: Some(Format::Csv),
        encoding: Some(Encoding::Utf8),
        separator: Some(separator),
        ..Form::default()
    };
    let mut splitter = Splitter::recognised(form);
    let mut header = None;
    let mut marks = BTreeSet::new();
    let mut each = |row: super::RawRow<'_>| {
        let Ok(record) = row.text else { return };
        match &header {
            None => header = Some(Header::parse(record, separator)),
            Some(Ok(header)) => marks.extend(header.marks(record)),
            Some(Err(_)) => {}
        }
    };
    // A form that is known is never ambiguous.
    let _ = splitter.feed(text, &mut each);
    if whole {
        let _ = splitter.finish(&mut each);
    }
    marks.pop_first().filter(|_| marks.is_empty())
}
