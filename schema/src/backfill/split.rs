//! Splitting a stream of bytes into rows, once its form is recognised.

use super::detect::recognise;
use super::documents::Documents;
use super::encoding::{Decoder, mark};
use super::form::{Encoding, Form, FormError, Separator};
use super::records::Records;
use super::{Format, RawRow};
use crate::limits::{BACKFILL_ROW_BYTES, BACKFILL_SAMPLE_BYTES};

/// Why a row has no text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RowFault {
    /// Longer than [`BACKFILL_ROW_BYTES`].
    #[error(
        "expected a row of at most {BACKFILL_ROW_BYTES} bytes; quotes or brackets that are not closed make one row of many"
    )]
    TooLong,
    /// No text in the encoding of the file.
    #[error(
        "expected text in the encoding of the file, UTF-8 unless another is recognised; --encoding (`encoding` of an \
         upload) names another"
    )]
    Encoding,
    /// The file ends within the row, or within the list, the call or the comment around it.
    #[error("expected everything that is opened to be closed before the file ends")]
    Unfinished,
}

/// Splits bytes, fed as they come, into rows.
#[derive(Debug)]
pub struct Splitter {
    said: Form,
    /// The first bytes, up to so many, as long as the form is not recognised.
    sample: Vec<u8>,
    sample_bytes: usize,
    reading: Option<Box<Reading>>,
}

#[derive(Debug)]
struct Reading {
    form: Form,
    decoder: Decoder,
    cursor: Cursor,
    rows: Rows,
}

#[derive(Debug)]
enum Rows {
    Records(Records),
    Documents(Documents),
}

impl Splitter {
    /// For a file of which this was said; the rest is recognised by its first bytes.
    pub const fn new(said: Form) -> Self {
        Self::sampling(said, BACKFILL_SAMPLE_BYTES)
    }

    pub(super) const fn sampling(said: Form, sample_bytes: usize) -> Self {
        Self { said, sample: Vec::new(), sample_bytes, reading: None }
    }

    /// For text of this form, without a byte order mark.
    pub(super) fn recognised(form: Form) -> Self {
        Self { reading: Some(Box::new(Reading::new(form, 0))), ..Self::sampling(form, 0) }
    }

    /// The form, as soon as it is recognised.
    pub fn form(&self) -> Option<Form> {
        self.reading.as_ref().map(|reading| reading.form)
    }

    /// Takes the next bytes and hands on the rows that they end.
    ///
    /// # Errors
    /// When the form of the file stays ambiguous.
    pub fn feed(&mut self, bytes: &[u8], each: &mut impl FnMut(RawRow<'_>)) -> Result<(), FormError> {
        let mut rest = bytes;
        if self.reading.is_none() {
            let room = self.sample_bytes.saturating_sub(self.sample.len());
            let (some, others) = rest.split_at(rest.len().min(room));
            self.sample.extend_from_slice(some);
            rest = others;
            if self.sample.len() < self.sample_bytes {
                return Ok(());
            }
        }
        self.begin(false, each)?.feed(rest, each);
        Ok(())
    }

    /// Hands on the row that the end of the file ends; the size of the file in bytes.
    ///
    /// # Errors
    /// When the form of the file stays ambiguous.
    pub fn finish(&mut self, each: &mut impl FnMut(RawRow<'_>)) -> Result<u64, FormError> {
        let reading = self.begin(true, each)?;
        reading.finish(each);
        Ok(reading.cursor.position)
    }

    /// Begins to split when that was not done before.
    fn begin(&mut self, whole: bool, each: &mut impl FnMut(RawRow<'_>)) -> Result<&mut Reading, FormError> {
        let reading = match self.reading.take() {
            Some(reading) => reading,
            None => {
                let form = recognise(&self.sample, whole, self.said)?;
                let sample = std::mem::take(&mut self.sample);
                let mark = mark(&sample, form.encoding.unwrap_or(Encoding::Utf8));
                let mut reading = Box::new(Reading::new(form, mark as u64));
                reading.feed(&sample[mark..], each);
                reading
            }
        };
        Ok(self.reading.insert(reading))
    }
}

impl Reading {
    fn new(form: Form, position: u64) -> Self {
        let format = form.format.unwrap_or(Format::Csv);
        let rows = match format {
            Format::Csv => Rows::Records(Records::new(form.separator.unwrap_or(Separator::Comma))),
            Format::Lines | Format::Array | Format::Jsonp => Rows::Documents(Documents::new()),
        };
        let decoder = Decoder::new(form.encoding.unwrap_or(Encoding::Utf8));
        Self { form, decoder, cursor: Cursor::new(format, position), rows }
    }

    fn feed(&mut self, bytes: &[u8], each: &mut impl FnMut(RawRow<'_>)) {
        let Self { decoder, cursor, rows, .. } = self;
        decoder.feed(bytes, &mut |byte, width| rows.take(cursor, byte, width, each));
    }

    fn finish(&mut self, each: &mut impl FnMut(RawRow<'_>)) {
        let Self { decoder, cursor, rows, .. } = self;
        decoder.finish(&mut |byte, width| rows.take(cursor, byte, width, each));
        match rows {
            Rows::Records(records) => records.finish(cursor, each),
            Rows::Documents(documents) => documents.finish(cursor, each),
        }
    }
}

impl Rows {
    fn take(&mut self, cursor: &mut Cursor, byte: u8, width: u64, each: &mut impl FnMut(RawRow<'_>)) {
        cursor.width = width;
        match self {
            Self::Records(records) => records.take(cursor, byte, each),
            Self::Documents(documents) => documents.take(cursor, byte, each),
        }
        cursor.advance(byte);
    }
}

/// Where the reading of a file is, and the row that was begun.
#[derive(Debug)]
pub(super) struct Cursor {
    format: Format,
    /// Bytes of the file before the one that is taken.
    position: u64,
    /// Bytes of the file that the one stands for which is taken.
    width: u64,
    line: u64,
    /// Where the line begins.
    line_start: u64,
    /// Whether the line has had nothing but blanks.
    is_blank: bool,
    is_behind_return: bool,
    kept: Vec<u8>,
    is_lost: bool,
    start: u64,
    start_line: u64,
    start_column: u64,
    last_line: u64,
}

impl Cursor {
    const fn new(format: Format, position: u64) -> Self {
        Self {
            format,
            position,
            width: 0,
            line: 1,
            line_start: position,
            is_blank: true,
            is_behind_return: false,
            kept: Vec::new(),
            is_lost: false,
            start: position,
            start_line: 1,
            start_column: 0,
            last_line: 1,
        }
    }

    /// The place before the byte that is taken; behind the last one at the end of the file.
    pub(super) const fn before(&self) -> u64 {
        self.position
    }

    /// The place behind the byte that is taken.
    pub(super) const fn behind(&self) -> u64 {
        self.position + self.width
    }

    /// Begins a row with the byte that is taken.
    pub(super) fn open(&mut self) {
        self.discard();
        (self.start, self.start_line, self.last_line) = (self.position, self.line, self.line);
        self.start_column = self.position - self.line_start;
    }

    /// What is kept of the row.
    pub(super) fn kept(&self) -> &[u8] {
        &self.kept
    }

    /// Keeps a byte of the row, or loses the row when it is too long.
    pub(super) fn keep(&mut self, byte: u8) {
        self.last_line = self.line;
        if self.kept.len() < BACKFILL_ROW_BYTES {
            self.kept.push(byte);
        } else {
            self.is_lost = true;
        }
    }

    /// Takes back the last byte that was kept.
    pub(super) fn take_back(&mut self) {
        self.kept.pop();
    }

    /// Whether the row is too long to be kept.
    pub(super) const fn is_lost(&self) -> bool {
        self.is_lost
    }

    /// Whether the byte that is taken is the first of its line that is no blank, and stands no further right than the row
    /// began.
    pub(super) const fn begins_line_no_further_right(&self) -> bool {
        self.is_blank && self.position - self.line_start <= self.start_column
    }

    /// Drops the row: it was punctuation.
    pub(super) fn discard(&mut self) {
        self.kept.clear();
        self.is_lost = false;
    }

    /// Hands on the row, which ends at `end`.
    pub(super) fn emit(&mut self, end: u64, each: &mut impl FnMut(RawRow<'_>)) {
        let text = match std::str::from_utf8(&self.kept) {
            _ if self.is_lost => Err(RowFault::TooLong),
            Ok(text) if self.format == Format::Csv => Ok(text),
            Ok(text) => Ok(text.trim_end()),
            Err(_) => Err(RowFault::Encoding),
        };
        each(self.row(end, text));
        self.discard();
    }

    /// Refuses the row, which the end of the file ends.
    pub(super) fn refuse(&mut self, fault: RowFault, each: &mut impl FnMut(RawRow<'_>)) {
        let fault = if self.is_lost { RowFault::TooLong } else { fault };
        each(self.row(self.position, Err(fault)));
        self.discard();
    }

    const fn row<'a>(&self, end: u64, text: Result<&'a str, RowFault>) -> RawRow<'a> {
        let (line, last_line, start) = (self.start_line, self.last_line, self.start);
        RawRow { line, last_line, start, end, format: self.format, text }
    }

    fn advance(&mut self, byte: u8) {
        self.position += self.width;
        match byte {
            b'\n' | b'\r' => {
                self.line += u64::from(byte == b'\r' || !self.is_behind_return);
                (self.line_start, self.is_blank) = (self.position, true);
            }
            b' ' | b'\t' => {}
            _ => self.is_blank = false,
        }
        self.is_behind_return = byte == b'\r';
    }
}
