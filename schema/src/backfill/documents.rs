//! Where the values of a file of JSON begin and end: in lists, in calls, one behind the other, or all of these.
//!
//! A value that is broken ends where it cannot go on: what follows is read. That is at an object or a list which can stand
//! neither where a name is expected nor behind a value, and outside of lists at the end of a line within quotes. A value
//! that is longer than a row may be is lost up to its end, or to a line that begins with an object no further right.

use super::RawRow;
use super::detect::Script;
use super::prologue::{self, Prologue};
use super::split::{Cursor, RowFault};
use crate::limits::{BACKFILL_NESTED_LISTS, BACKFILL_PROLOGUE_BYTES};

/// Levels of a value for which it is known whether they are objects.
const LEVELS_KNOWN: u32 = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Where a value may begin.
    Between,
    /// Behind the first sign of a comment, or within one.
    Comment,
    /// Within something that is no value: the opening of a call, or what is refused.
    Loose,
    /// Within a value.
    Value,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quotes {
    Outside,
    Inside,
    /// Behind a backslash.
    Escape,
}

/// Divides bytes into values.
#[derive(Debug)]
pub(super) struct Documents {
    place: Place,
    script: Script,
    /// Lists and calls that are open around the values.
    lists: usize,
    calls: usize,
    quotes: Quotes,
    /// Brackets that are open in the value.
    depth: u32,
    /// Which of them are those of objects, by bits.
    objects: u64,
    /// The last byte of the value outside of quotes that is no blank.
    last: u8,
}

impl Documents {
    pub(super) fn new() -> Self {
        Self {
            place: Place::Between,
            script: Script::default(),
            lists: 0,
            calls: 0,
            quotes: Quotes::Outside,
            depth: 0,
            objects: 0,
            last: 0,
        }
    }

    pub(super) fn take(&mut self, cursor: &mut Cursor, byte: u8, each: &mut impl FnMut(RawRow<'_>)) {
        match self.place {
            Place::Between => self.between(cursor, byte, each),
            Place::Comment => self.comment(cursor, byte, each),
            Place::Loose => self.loose(cursor, byte, each),
            Place::Value => self.value(cursor, byte, each),
        }
    }

    pub(super) fn finish(&mut self, cursor: &mut Cursor, each: &mut impl FnMut(RawRow<'_>)) {
        match self.place {
            Place::Between if self.lists + self.calls > 0 => {
                cursor.open();
                cursor.refuse(RowFault::Unfinished, each);
            }
            Place::Between => {}
            // A comment to the end of the line may end with the file.
            Place::Comment if cursor.kept().starts_with(b"//") => cursor.discard(),
            Place::Comment | Place::Value => cursor.refuse(RowFault::Unfinished, each),
            Place::Loose if self.judged(cursor) == Prologue::Nothing => cursor.discard(),
            Place::Loose => cursor.emit(cursor.before(), each),
        }
    }

    fn between(&mut self, cursor: &mut Cursor, byte: u8, each: &mut impl FnMut(RawRow<'_>)) {
        match byte {
            // The last one stands before each text of a JSON text sequence (RFC 7464).
            b' ' | b'\t' | b'\r' | b'\n' | b',' | b';' | 0x1E => {}
            b'[' if self.lists < BACKFILL_NESTED_LISTS => self.lists += 1,
            b']' if self.lists > 0 => self.lists -= 1,
            b')' if self.lists == 0 && self.calls > 0 => self.calls -= 1,
            b'/' => {
                cursor.open();
                cursor.keep(byte);
                self.place = Place::Comment;
            }
            b'{' | b'[' => self.begin(cursor, byte, each),
            _ if self.lists > 0 => self.begin(cursor, byte, each),
            _ => {
                cursor.open();
                (self.place, self.script) = (Place::Loose, Script::default());
                self.loose(cursor, byte, each);
            }
        }
    }

    fn begin(&mut self, cursor: &mut Cursor, byte: u8, each: &mut impl FnMut(RawRow<'_>)) {
        cursor.open();
        self.open_value();
        self.value(cursor, byte, each);
    }

    fn open_value(&mut self) {
        (self.place, self.quotes, self.depth, self.objects, self.last) = (Place::Value, Quotes::Outside, 0, 0, 0);
    }

    /// Within a comment no more than its first two bytes and its last one are kept.
    fn comment(&mut self, cursor: &mut Cursor, byte: u8, each: &mut impl FnMut(RawRow<'_>)) {
        match (cursor.kept(), byte) {
            ([b'/'], b'*' | b'/') => cursor.keep(byte),
            ([b'/'], _) if self.lists > 0 => {
                self.open_value();
                self.value(cursor, byte, each);
            }
            ([b'/'], _) => {
                (self.place, self.script) = (Place::Loose, Script::default());
                self.script.take(b'/');
                self.loose(cursor, byte, each);
            }
            ([b'/', b'/', ..], b'\n') | ([_, _, b'*'], b'/') => {
                cursor.discard();
                self.place = Place::Between;
            }
            ([b'/', b'*'], b'*') => cursor.keep(byte),
            ([_, _, b'*'], b'*') => {}
            ([_, _, b'*'], _) => cursor.take_back(),
            _ => {}
        }
    }

    fn loose(&mut self, cursor: &mut Cursor, byte: u8, each: &mut impl FnMut(RawRow<'_>)) {
        let is_plain = self.script.take(byte);
        let is_bracket = is_plain && matches!(byte, b'[' | b'{');
        let is_end = byte == b'\n' && !(self.script.is_in_comment() && cursor.kept().len() < BACKFILL_PROLOGUE_BYTES);
        if !is_bracket && !is_end {
            cursor.keep(byte);
            return;
        }
        match self.judged(cursor) {
            Prologue::Opens(calls) => {
                self.calls += calls;
                cursor.discard();
            }
            Prologue::Nothing => cursor.discard(),
            Prologue::Unfinished if is_end => {
                cursor.keep(byte);
                return;
            }
            Prologue::Unfinished | Prologue::Other => cursor.emit(cursor.before(), each),
        }
        self.place = Place::Between;
        self.between(cursor, byte, each);
    }

    /// What the loose text is that was read up to here.
    fn judged(&self, cursor: &Cursor) -> Prologue {
        match std::str::from_utf8(cursor.kept()) {
            Ok(text) if text.len() <= BACKFILL_PROLOGUE_BYTES => prologue::read(text),
            _ => Prologue::Other,
        }
    }

    /// A byte of a value, which ends it when no bracket of it is open any more.
    fn value(&mut self, cursor: &mut Cursor, byte: u8, each: &mut impl FnMut(RawRow<'_>)) {
        if cursor.is_lost() && byte == b'\n' {
            // No text of JSON continues over the end of a line, so these quotes are out of step.
            self.quotes = Quotes::Outside;
        }
        match (self.quotes, byte) {
            (Quotes::Inside | Quotes::Escape, b'\n') if self.lists == 0 => return self.cut(cursor, byte, each),
            (Quotes::Escape, _) => self.quotes = Quotes::Inside,
            (Quotes::Inside, b'\\') => self.quotes = Quotes::Escape,
            (Quotes::Inside, b'"') => self.quotes = Quotes::Outside,
            (Quotes::Inside, _) => {}
            (Quotes::Outside, b'"') => (self.quotes, self.last) = (Quotes::Inside, byte),
            (Quotes::Outside, b'{' | b'[') if !self.may_open(cursor, byte) => return self.cut(cursor, byte, each),
            (Quotes::Outside, b'{' | b'[') => self.nest(byte == b'{'),
            // A value without brackets ends here, and what ended it belongs to the list.
            (Quotes::Outside, b',' | b']') if self.depth == 0 => return self.cut(cursor, byte, each),
            (Quotes::Outside, b'}' | b']') if self.depth > 0 => {
                (self.depth, self.last) = (self.depth - 1, byte);
                if self.depth == 0 {
                    cursor.keep(byte);
                    cursor.emit(cursor.behind(), each);
                    self.place = Place::Between;
                    return;
                }
            }
            (Quotes::Outside, b' ' | b'\t' | b'\r' | b'\n') => {}
            (Quotes::Outside, _) => self.last = byte,
        }
        cursor.keep(byte);
    }

    /// Ends a value before this byte.
    fn cut(&mut self, cursor: &mut Cursor, byte: u8, each: &mut impl FnMut(RawRow<'_>)) {
        cursor.emit(cursor.before(), each);
        self.place = Place::Between;
        self.between(cursor, byte, each);
    }

    /// Whether JSON allows an object or a list here. Of a value that is lost, unless another seems to begin.
    fn may_open(&self, cursor: &Cursor, byte: u8) -> bool {
        if self.depth == 0 {
            return cursor.kept().is_empty();
        }
        if cursor.is_lost() && byte == b'{' && cursor.begins_line_no_further_right() {
            return false;
        }
        let is_known = self.depth <= LEVELS_KNOWN;
        let is_object = is_known && self.objects >> (self.depth - 1) & 1 == 1;
        !is_known || if is_object { self.last == b':' } else { matches!(self.last, b'[' | b',') }
    }

    fn nest(&mut self, is_object: bool) {
        if self.depth < LEVELS_KNOWN {
            let bit = 1 << self.depth;
            self.objects = if is_object { self.objects | bit } else { self.objects & !bit };
        }
        self.last = if is_object { b'{' } else { b'[' };
        self.depth = self.depth.saturating_add(1);
    }
}
