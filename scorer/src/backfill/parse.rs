//! The thread that reads rows: bytes to rows to orders, in small batches.
//!
//! What was committed before is passed over by its place in the file, and compared by its hash: a file that was changed
//! meanwhile is not gone on with.

use std::fmt::Write as _;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use touchstone_platform::store::backfill::{Backfill, PastOrder};
use touchstone_schema::backfill::csv::Header;
use touchstone_schema::backfill::{Form, Format, RawRow, RowFault, Separator, Splitter};
use touchstone_schema::fault::Fault;
use touchstone_schema::json::Json;
use touchstone_schema::secret::Secret;
use touchstone_schema::warning::Warning;

use super::row::Reader;
use super::{BackfillError, Pieces};
use crate::score::policy::Policy;

/// Rows of a batch: the least that a commit may have beside orders that arrive.
pub(super) const BATCH_ROWS: usize = 5;
/// Bytes of rows at which a batch is complete before.
const BATCH_BYTES: usize = 256 * 1024;
/// Bytes that are split at a time: what is found of them is held until it is handed on.
const SPLIT_AT_A_TIME: usize = 64 * 1024;
/// Longest reason that is kept of a row with many faults.
const REASON_CHARS: usize = 1_024;

/// Why a row was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// JSON pointer to the first value at fault; empty of the whole row.
    pub field: String,
    /// What was expected.
    pub reason: String,
}

impl Refused {
    /// Tells other facts of an order that came before.
    pub(super) fn contradicting() -> Self {
        Self {
            field: String::new(),
            reason: "expected the facts that were read of this id before: an order that is remembered is not changed; \
                     send what became of it with the same facts"
                .to_owned(),
        }
    }

    /// The same of a row over several lines, which may be several rows to its sender.
    fn reaching(mut self, line: u64, last_line: u64) -> Self {
        if last_line > line {
            let _ = write!(self.reason, "; the row reaches to line {last_line}");
        }
        self
    }

    /// The first of some faults, and what the others say.
    fn of(faults: &[Fault]) -> Self {
        let field = faults.first().map(|fault| fault.pointer.clone()).unwrap_or_default();
        let mut reason = faults.first().map(|fault| fault.message.clone()).unwrap_or_default();
        for other in faults.iter().skip(1) {
            let _ = write!(reason, "; {other}");
        }
        if let Some((end, _)) = reason.char_indices().nth(REASON_CHARS) {
            reason.truncate(end);
        }
        Self { field, reason }
    }
}

/// A row that was read.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) line: u64,
    /// Its text, where it was refused or may still be.
    pub(super) text: String,
    pub(super) read: Result<PastOrder, Refused>,
    /// What was accepted of it although it was expected otherwise; none of a row that was refused.
    pub(super) warnings: Vec<Warning>,
}

/// Some rows, and how far the file is read with them.
#[derive(Debug)]
pub(super) struct Batch {
    /// The form of the file.
    pub(super) form: Form,
    pub(super) rows: Vec<Row>,
    pub(super) end: u64,
    pub(super) hash: String,
}

/// Reads one file.
pub(super) struct Parser {
    reader: Reader,
    pieces: Pieces,
    splitter: Splitter,
    header: Option<(String, Header)>,
    /// Where reading goes on, and the hash of what is before it.
    from: (u64, String),
    /// Whether reading has come to there.
    is_caught_up: bool,
    hash: Sha256,
    rows: Vec<Row>,
    bytes: usize,
    end: u64,
    /// How far the file is read with what was handed on.
    handed_on: u64,
}

impl Parser {
    pub(super) fn new(backfill: &Backfill, data_key: Secret, policy: Arc<Policy>, pieces: Pieces) -> Self {
        Self {
            reader: Reader::new(backfill, data_key, policy),
            pieces,
            splitter: Splitter::new(backfill.form),
            header: None,
            from: (backfill.progress.position, backfill.progress.position_hash.clone()),
            is_caught_up: backfill.progress.position == 0,
            hash: Sha256::new(),
            rows: Vec::new(),
            bytes: 0,
            end: 0,
            handed_on: backfill.progress.position,
        }
    }

    /// Reads to the end of the file: the size of the file, all of which was handed on. None: batches are not taken any more.
    pub(super) fn run(mut self, batches: &mpsc::Sender<Batch>) -> Result<Option<u64>, BackfillError> {
        while let Some(piece) = self.pieces.blocking_recv() {
            let piece = piece.map_err(BackfillError::Source)?;
            for some in piece.chunks(SPLIT_AT_A_TIME) {
                let mut found = Vec::new();
                let fed = self.splitter.feed(some, &mut |raw| found.push(Found::of(&raw)));
                fed.map_err(|error| BackfillError::Form(error.to_string()))?;
                if !self.take(found, batches)? {
                    return Ok(None);
                }
            }
        }
        let mut found = Vec::new();
        let size = self.splitter.finish(&mut |raw| found.push(Found::of(&raw)));
        let size = size.map_err(|error| BackfillError::Form(error.to_string()))?;
        if !self.take(found, batches)? {
            return Ok(None);
        }
        if self.from.0 > size {
            return Err(BackfillError::Changed);
        }
        self.catch_up(size)?;
        // What is behind the last row is punctuation.
        self.end = size;
        Ok(self.hand_on(batches).then_some(size))
    }

    /// Reads rows. False: nobody takes batches any more.
    fn take(&mut self, found: Vec<Found>, batches: &mpsc::Sender<Batch>) -> Result<bool, BackfillError> {
        for found in found {
            let is_full = self.rows.len() >= BATCH_ROWS || self.bytes >= BATCH_BYTES;
            if is_full && !self.hand_on(batches) {
                return Ok(false);
            }
            self.row(found)?;
        }
        Ok(true)
    }

    fn row(&mut self, found: Found) -> Result<(), BackfillError> {
        let is_ahead = found.end > self.from.0;
        if is_ahead {
            self.catch_up(found.start)?;
        }
        self.hash.update(found.text.as_deref().unwrap_or_default());
        self.hash.update(b"\n");
        self.end = found.end;
        if found.format == Format::Csv {
            let Some((first, _)) = &self.header else { return self.read_header(found) };
            if found.text.as_ref().is_ok_and(|text| text.trim_start_matches('\u{feff}') == first) {
                // Another file of the same columns was put behind the first.
                return Ok(());
            }
        }
        if is_ahead {
            let (read, warnings) = match self.read(&found) {
                Ok((order, warnings)) => (Ok(order), warnings),
                Err(refused) => (Err(refused.reaching(found.line, found.last_line)), Vec::new()),
            };
            let text = found.text.unwrap_or_default();
            self.bytes += text.len();
            self.rows.push(Row { line: found.line, text, read, warnings });
        }
        Ok(())
    }

    /// Compares what was passed over with what was read before, when the next thing begins at `start`.
    fn catch_up(&mut self, start: u64) -> Result<(), BackfillError> {
        if !self.is_caught_up && (start < self.from.0 || self.hash_so_far() != self.from.1) {
            return Err(BackfillError::Changed);
        }
        self.is_caught_up = true;
        Ok(())
    }

    fn read_header(&mut self, found: Found) -> Result<(), BackfillError> {
        let header = found.text.map_err(|fault| BackfillError::Form(fault.to_string()))?;
        let separator = self.form().separator.unwrap_or(Separator::Comma);
        let columns = Header::parse(&header, separator).map_err(|faults| BackfillError::Form(told(&faults)))?;
        self.header = Some((header, columns));
        Ok(())
    }

    fn read(&self, found: &Found) -> Result<(PastOrder, Vec<Warning>), Refused> {
        let text = found.text.as_ref().map_err(|fault| Refused::of(&[Fault::new("", fault.to_string())]))?;
        let (document, warnings) = match &self.header {
            Some((_, header)) => header.document(text, &self.form()).map_err(|fault| Refused::of(&[fault]))?,
            None => (Json::parse_text(text).map_err(|error| Refused::of(&[Fault::from(&error)]))?, Vec::new()),
        };
        self.reader.read(document, warnings).map_err(|faults| Refused::of(&faults))
    }

    fn form(&self) -> Form {
        self.splitter.form().unwrap_or_default()
    }

    fn hash_so_far(&self) -> String {
        hex::encode(self.hash.clone().finalize())
    }

    /// Hands the rows on. False: nobody takes them any more.
    fn hand_on(&mut self, batches: &mpsc::Sender<Batch>) -> bool {
        if self.rows.is_empty() && self.end <= self.handed_on {
            return true;
        }
        (self.bytes, self.handed_on) = (0, self.end);
        let (form, hash) = (self.form(), self.hash_so_far());
        batches.blocking_send(Batch { form, rows: std::mem::take(&mut self.rows), end: self.end, hash }).is_ok()
    }
}

/// A row as it was found.
struct Found {
    line: u64,
    last_line: u64,
    start: u64,
    end: u64,
    format: Format,
    text: Result<String, RowFault>,
}

impl Found {
    fn of(raw: &RawRow<'_>) -> Self {
        let RawRow { line, last_line, start, end, format, text } = *raw;
        Self { line, last_line, start, end, format, text: text.map(str::to_owned) }
    }
}

fn told(faults: &[Fault]) -> String {
    faults.iter().map(|fault| fault.message.as_str()).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests;
