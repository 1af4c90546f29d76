//! Splitting a stream of bytes into rows.

use super::detect::{Detected, detect, is_of_a_name, without_mark};
use super::{Format, RawRow};
use crate::limits::BACKFILL_ROW_BYTES;

/// Why a row has no text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RowFault {
    /// Longer than [`BACKFILL_ROW_BYTES`].
    #[error(
        "expected a row of at most {BACKFILL_ROW_BYTES} bytes; quotes or brackets that are not closed make one row of many"
    )]
    TooLong,
    /// Not UTF-8.
    #[error("expected UTF-8 text")]
    Encoding,
    /// The file ends within the row.
    #[error("expected the row to be closed before the file ends")]
    Unfinished,
    /// Something else stands where a row or the end of the list belongs.
    #[error("expected rows with commas between them")]
    Structure,
}

/// Where within the structure of a file the next byte is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Before the list of rows: the name of the callback, its bracket, and the list's.
    Opening,
    /// Where a row may begin.
    Between,
    /// Within a row.
    Row,
    /// Within a row that is too long to be kept.
    Lost,
    /// Behind the list.
    Behind,
}

/// Where within a row's quotes the next byte is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quotes {
    /// At the beginning of a CSV field: a quote here opens it.
    Field,
    /// Outside.
    Outside,
    /// Inside.
    Inside,
    /// Behind a backslash (JSON) or behind a quote that closes or is the first of two (CSV).
    Escape,
}

/// Splits bytes, fed as they come, into rows.
#[derive(Debug)]
pub struct Splitter {
    format: Option<Format>,
    /// The bytes of a file whose format is not known yet, and then those of the row that was begun.
    kept: Vec<u8>,
    place: Place,
    quotes: Quotes,
    /// Brackets that are open in the row.
    depth: usize,
    line: u64,
    row_line: u64,
    position: u64,
}

impl Splitter {
    /// For a file of this format, or of the one that it begins like.
    pub const fn new(format: Option<Format>) -> Self {
        Self {
            format,
            kept: Vec::new(),
            place: Place::Opening,
            quotes: Quotes::Field,
            depth: 0,
            line: 1,
            row_line: 1,
            position: 0,
        }
    }

    /// The format, as soon as it is known.
    pub const fn format(&self) -> Option<Format> {
        self.format
    }

    /// Takes the next bytes and tells of the rows that they end.
    pub fn feed(&mut self, bytes: &[u8], each: &mut impl FnMut(RawRow<'_>)) {
        if self.place == Place::Opening && self.position == 0 {
            self.kept.extend_from_slice(bytes);
            self.begin(false, each);
        } else {
            self.take(bytes, each);
        }
    }

    /// Tells of the row that the end of the file ends.
    pub fn finish(&mut self, each: &mut impl FnMut(RawRow<'_>)) {
        if self.place == Place::Opening && self.position == 0 {
            self.begin(true, each);
        }
        let is_open = self.quotes == Quotes::Inside;
        match (self.place, self.format) {
            (Place::Row | Place::Lost, Some(Format::Csv)) if !is_open => self.emit(each),
            (Place::Row | Place::Lost, Some(Format::Lines)) => self.emit(each),
            (Place::Row | Place::Lost, _) => self.refuse(RowFault::Unfinished, each),
            (Place::Opening | Place::Between, Some(Format::Array | Format::Jsonp)) => {
                self.row_line = self.line;
                self.refuse(RowFault::Unfinished, each);
            }
            _ => {}
        }
        self.place = Place::Behind;
    }

    /// Begins to split when enough is known of the file.
    fn begin(&mut self, whole: bool, each: &mut impl FnMut(RawRow<'_>)) {
        if self.format.is_none() {
            match detect(&self.kept, whole) {
                Detected::Is(format) => self.format = Some(format),
                Detected::Unknown => return,
            }
        }
        // A mark that has not arrived whole.
        if !whole && self.kept.len() < 3 {
            return;
        }
        let start = std::mem::take(&mut self.kept);
        let text = without_mark(&start);
        self.position = (start.len() - text.len()) as u64;
        self.place = match self.format {
            Some(Format::Csv | Format::Lines) => Place::Between,
            _ => Place::Opening,
        };
        self.take(text, each);
    }

    fn take(&mut self, bytes: &[u8], each: &mut impl FnMut(RawRow<'_>)) {
        for byte in bytes {
            self.position += 1;
            match self.format {
                Some(Format::Csv) => self.take_csv(*byte, each),
                Some(Format::Lines) => self.take_line(*byte, each),
                _ => self.take_listed(*byte, each),
            }
            self.line += u64::from(*byte == b'\n');
        }
    }

    fn take_csv(&mut self, byte: u8, each: &mut impl FnMut(RawRow<'_>)) {
        if self.place == Place::Between {
            if matches!(byte, b'\n' | b'\r') {
                return; // an empty line
            }
            self.open(Quotes::Field);
        }
        if byte == b'\n' && self.quotes != Quotes::Inside {
            self.emit(each);
            return;
        }
        self.quotes = csv_quotes(self.quotes, byte);
        self.keep(byte);
    }

    fn take_line(&mut self, byte: u8, each: &mut impl FnMut(RawRow<'_>)) {
        match (self.place, byte) {
            (Place::Between, b'\n' | b'\r' | b' ' | b'\t') => {}
            (Place::Between, _) => {
                self.open(Quotes::Outside);
                self.keep(byte);
            }
            (_, b'\n') => self.emit(each),
            _ => self.keep(byte),
        }
    }

    fn take_listed(&mut self, byte: u8, each: &mut impl FnMut(RawRow<'_>)) {
        let is_blank = matches!(byte, b'\n' | b'\r' | b' ' | b'\t');
        match self.place {
            Place::Opening if byte == b'[' => self.place = Place::Between,
            Place::Opening if is_blank || byte == b'(' || byte == b'/' || byte == b'*' || is_of_a_name(byte) => {}
            Place::Opening => {
                self.row_line = self.line;
                self.refuse(RowFault::Structure, each);
                self.place = Place::Behind;
            }
            Place::Between if is_blank || byte == b',' => {}
            Place::Between if byte == b']' => self.place = Place::Behind,
            Place::Between => {
                self.open(Quotes::Outside);
                self.take_value(byte, each);
            }
            Place::Row | Place::Lost => self.take_value(byte, each),
            Place::Behind => {}
        }
    }

    /// A byte of a value within the list, which ends it when no bracket of it is open any more.
    fn take_value(&mut self, byte: u8, each: &mut impl FnMut(RawRow<'_>)) {
        match (self.quotes, byte) {
            (Quotes::Escape, _) => self.quotes = Quotes::Inside,
            (Quotes::Inside, b'\\') => self.quotes = Quotes::Escape,
            (Quotes::Inside, b'"') => self.quotes = Quotes::Outside,
            (Quotes::Inside, _) => {}
            (_, b'"') => self.quotes = Quotes::Inside,
            (_, b'{' | b'[') => self.depth += 1,
            (_, b',' | b']') if self.depth == 0 => {
                // A value without brackets ends here, and what ended it belongs to the list.
                self.position -= 1;
                self.emit(each);
                self.position += 1;
                self.place = if byte == b']' { Place::Behind } else { Place::Between };
                return;
            }
            (_, b'}' | b']') => {
                self.depth = self.depth.saturating_sub(1);
                if self.depth == 0 {
                    self.keep(byte);
                    self.emit(each);
                    return;
                }
            }
            _ => {}
        }
        self.keep(byte);
    }

    fn open(&mut self, quotes: Quotes) {
        self.place = Place::Row;
        self.quotes = quotes;
        self.depth = 0;
        self.row_line = self.line;
        self.kept.clear();
    }

    fn keep(&mut self, byte: u8) {
        if self.place == Place::Row {
            if self.kept.len() < BACKFILL_ROW_BYTES {
                self.kept.push(byte);
            } else {
                self.place = Place::Lost;
            }
        }
    }

    fn emit(&mut self, each: &mut impl FnMut(RawRow<'_>)) {
        if self.place == Place::Lost {
            self.refuse(RowFault::TooLong, each);
            return;
        }
        let text = std::str::from_utf8(&self.kept).map(str::trim_end).map_err(|_| RowFault::Encoding);
        each(self.row(text));
        self.place = Place::Between;
    }

    fn row<'a>(&self, text: Result<&'a str, RowFault>) -> RawRow<'a> {
        let format = self.format.unwrap_or(Format::Csv);
        RawRow { line: self.row_line, end: self.position, format, text }
    }

    fn refuse(&mut self, fault: RowFault, each: &mut impl FnMut(RawRow<'_>)) {
        each(self.row(Err(fault)));
        self.place = Place::Between;
    }
}

/// Where a byte of a CSV record leads. A quote opens a field only at its beginning: elsewhere it is a sign like others.
fn csv_quotes(quotes: Quotes, byte: u8) -> Quotes {
    match (quotes, byte) {
        (Quotes::Field, b'"') => Quotes::Inside,
        (Quotes::Inside, b'"') => Quotes::Escape,
        (Quotes::Escape, b'"') => Quotes::Inside,
        (Quotes::Inside, _) => Quotes::Inside,
        (_, b',') => Quotes::Field,
        _ => Quotes::Outside,
    }
}
