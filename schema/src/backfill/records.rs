//! Where the records of a CSV file begin and end.

use super::RawRow;
use super::form::Separator;
use super::split::{Cursor, RowFault};

/// Where within a record's quotes the next byte is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quotes {
    /// At the beginning of a field: a quote here opens it.
    Field,
    /// Outside.
    Outside,
    /// Inside.
    Inside,
    /// Behind a quote that closes or is the first of two.
    Behind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Where a record may begin.
    Between,
    /// Within a record.
    Record,
    /// Behind a carriage return that ends one, by itself or with a line feed.
    Return,
}

/// Divides bytes into records.
#[derive(Debug)]
pub(super) struct Records {
    separator: u8,
    place: Place,
    quotes: Quotes,
}

impl Records {
    pub(super) const fn new(separator: Separator) -> Self {
        Self { separator: separator.byte(), place: Place::Between, quotes: Quotes::Field }
    }

    pub(super) fn take(&mut self, cursor: &mut Cursor, byte: u8, each: &mut impl FnMut(RawRow<'_>)) {
        if self.place == Place::Return {
            self.end(cursor, if byte == b'\n' { cursor.behind() } else { cursor.before() }, each);
        }
        if self.place == Place::Between {
            if matches!(byte, b'\n' | b'\r') {
                return;
            }
            cursor.open();
            (self.place, self.quotes) = (Place::Record, Quotes::Field);
        }
        // A record that is too long has hardly meant the quotes that it is in: it is lost up to the end of the line.
        let may_end = self.quotes != Quotes::Inside || cursor.is_lost();
        match byte {
            b'\n' if may_end => self.end(cursor, cursor.behind(), each),
            b'\r' if may_end => self.place = Place::Return,
            _ => {
                self.quotes = self.next(byte);
                cursor.keep(byte);
            }
        }
    }

    pub(super) fn finish(&mut self, cursor: &mut Cursor, each: &mut impl FnMut(RawRow<'_>)) {
        match self.place {
            Place::Between => {}
            Place::Record if self.quotes == Quotes::Inside && !cursor.is_lost() => {
                cursor.refuse(RowFault::Unfinished, each);
            }
            Place::Record | Place::Return => self.end(cursor, cursor.before(), each),
        }
    }

    /// A quote opens a field only at its beginning: elsewhere it is a sign like others.
    fn next(&self, byte: u8) -> Quotes {
        match (self.quotes, byte) {
            (Quotes::Field, b'"') => Quotes::Inside,
            (Quotes::Inside, b'"') => Quotes::Behind,
            (Quotes::Behind, b'"') | (Quotes::Inside, _) => Quotes::Inside,
            (_, byte) if byte == self.separator => Quotes::Field,
            _ => Quotes::Outside,
        }
    }

    fn end(&mut self, cursor: &mut Cursor, end: u64, each: &mut impl FnMut(RawRow<'_>)) {
        self.place = Place::Between;
        let is_nothing = |record: &[u8]| {
            record.iter().all(|byte| *byte == self.separator || matches!(byte, b' ' | b'\t' | b'"'))
                || separator_line(record).is_some()
        };
        if !cursor.is_lost() && is_nothing(cursor.kept()) {
            // Spreadsheets write empty rows as separators alone.
            cursor.discard();
        } else {
            cursor.emit(end, each);
        }
    }
}

/// The sign of a line that names the separator to spreadsheets: `sep=;`
pub(super) fn separator_line(line: &[u8]) -> Option<u8> {
    let line = line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line);
    let line = line.strip_prefix(b"\"").and_then(|line| line.strip_suffix(b"\"")).unwrap_or(line);
    let (name, sign) = line.split_at_checked(4)?;
    match sign {
        [sign] if name.eq_ignore_ascii_case(b"sep=") => Some(*sign),
        _ => None,
    }
}
