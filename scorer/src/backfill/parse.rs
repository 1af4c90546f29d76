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
use touchstone_schema::backfill::{Format, RawRow, RowFault, Splitter};
use touchstone_schema::fault::Fault;
use touchstone_schema::json::Json;
use touchstone_schema::secret::Secret;

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
}

/// Some rows, and how far the file is read with them.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) rows: Vec<Row>,
    pub(super) end: u64,
    pub(super) hash: String,
}

/// Reads one file.
pub(super) struct Parser {
    reader: Reader,
    pieces: Pieces,
    splitter: Splitter,
    header: Option<Header>,
    /// Where reading goes on, and the hash of what is before it.
    from: (u64, String),
    hash: Sha256,
    rows: Vec<Row>,
    bytes: usize,
    end: u64,
}

impl Parser {
    pub(super) fn new(backfill: &Backfill, data_key: Secret, policy: Arc<Policy>, pieces: Pieces) -> Self {
        Self {
            reader: Reader::new(backfill, data_key, policy),
            pieces,
            splitter: Splitter::new(backfill.format),
            header: None,
            from: (backfill.progress.position, backfill.progress.position_hash.clone()),
            hash: Sha256::new(),
            rows: Vec::new(),
            bytes: 0,
            end: 0,
        }
    }

    /// Reads to the end of the file, or until nobody takes batches any more.
    pub(super) fn run(mut self, batches: &mpsc::Sender<Batch>) -> Result<(), BackfillError> {
        while let Some(piece) = self.pieces.blocking_recv() {
            let piece = piece.map_err(BackfillError::Source)?;
            for some in piece.chunks(SPLIT_AT_A_TIME) {
                let mut found = Vec::new();
                self.splitter.feed(some, &mut |raw| found.push(Found::of(&raw)));
                if !self.take(found, batches)? {
                    return Ok(());
                }
            }
        }
        let mut found = Vec::new();
        self.splitter.finish(&mut |raw| found.push(Found::of(&raw)));
        if self.take(found, batches)? {
            if self.from.0 > self.end {
                return Err(BackfillError::Changed);
            }
            self.hand_on(batches);
        }
        Ok(())
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
        self.hash.update(found.text.as_deref().unwrap_or_default());
        self.hash.update(b"\n");
        let before = std::mem::replace(&mut self.end, found.end);
        if found.format == Format::Csv && self.header.is_none() {
            let header = found.text.map_err(|fault| BackfillError::Form(fault.to_string()))?;
            self.header = Some(Header::parse(&header).map_err(|faults| BackfillError::Form(told(&faults)))?);
            return Ok(());
        }
        if found.end <= self.from.0 {
            let is_last = found.end == self.from.0;
            return if is_last && self.hash_so_far() != self.from.1 { Err(BackfillError::Changed) } else { Ok(()) };
        }
        if before < self.from.0 {
            return Err(BackfillError::Changed);
        }
        let read = self.read(&found);
        let text = found.text.unwrap_or_default();
        self.bytes += text.len();
        self.rows.push(Row { line: found.line, text, read });
        Ok(())
    }

    fn read(&self, found: &Found) -> Result<PastOrder, Refused> {
        let text = found.text.as_ref().map_err(|fault| Refused::of(&[Fault::new("", fault.to_string())]))?;
        let document = match &self.header {
            Some(header) => header.document(text).map_err(|fault| Refused::of(&[fault]))?,
            None => Json::parse_text(text).map_err(|error| Refused::of(&[Fault::from(&error)]))?,
        };
        self.reader.read(document).map_err(|faults| Refused::of(&faults))
    }

    fn hash_so_far(&self) -> String {
        hex::encode(self.hash.clone().finalize())
    }

    /// Hands the rows on. False: nobody takes them any more.
    fn hand_on(&mut self, batches: &mpsc::Sender<Batch>) -> bool {
        if self.rows.is_empty() {
            return true;
        }
        self.bytes = 0;
        let batch = Batch { rows: std::mem::take(&mut self.rows), end: self.end, hash: self.hash_so_far() };
        batches.blocking_send(batch).is_ok()
    }
}

/// A row as it was found.
struct Found {
    line: u64,
    end: u64,
    format: Format,
    text: Result<String, RowFault>,
}

impl Found {
    fn of(raw: &RawRow<'_>) -> Self {
        Self { line: raw.line, end: raw.end, format: raw.format, text: raw.text.map(str::to_owned) }
    }
}

fn told(faults: &[Fault]) -> String {
    faults.iter().map(|fault| fault.message.as_str()).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests;
