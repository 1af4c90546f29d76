//! What is answered of backfills.

use serde::Serialize;
use touchstone_platform::store::backfill::{Backfill, BackfillState, Refusal, RowWarning};
use touchstone_schema::backfill::{DecimalMark, Encoding, Format, Separator};
use touchstone_schema::ids::BackfillId;
use touchstone_schema::limits::PAGE_ITEMS;
use utoipa::ToSchema;

/// An upload that was taken.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BackfillTaken {
    /// Its id.
    backfill_id: String,
    /// What it is doing.
    #[schema(example = "waiting")]
    state: &'static str,
}

impl BackfillTaken {
    pub(crate) fn new(id: &BackfillId) -> Self {
        Self { backfill_id: id.to_string(), state: BackfillState::Waiting.as_str() }
    }
}

/// A backfill, and a page each of its refused rows and warnings.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Backfill)]
pub(crate) struct BackfillDocument {
    /// Its id.
    backfill_id: String,
    /// receiving, waiting, running, done or failed.
    #[schema(example = "done")]
    state: &'static str,
    /// How the rows lie in the file: said, or recognised once it is being read.
    format: Option<&'static str>,
    /// How the text of the file is written.
    encoding: Option<&'static str>,
    /// What stands between the values of CSV.
    separator: Option<&'static str>,
    /// What stands before the decimals of the numbers of CSV; null where no number settles it.
    decimal: Option<&'static str>,
    /// Rows that told something new.
    accepted: u64,
    /// Rows that told nothing new.
    unchanged: u64,
    /// Rows, accepted or unchanged, that were read with warnings.
    warned: u64,
    /// Rows that were refused.
    refused: u64,
    /// Bytes that were read.
    position: u64,
    /// Bytes of the file.
    size: u64,
    /// Why it failed.
    failure: Option<String>,
    /// When it came in.
    created_at: String,
    /// When it ended.
    finished_at: Option<String>,
    /// A page of the refused rows, in the order of the file.
    refusals: Vec<RefusedRow>,
    /// `after` of the next page; null at the end.
    next_after: Option<u64>,
    /// A page of the warnings, in the order of the file.
    warnings: Vec<WarnedRow>,
    /// `warnings_after` of the next page; null at the end.
    next_warnings_after: Option<u64>,
}

/// A row that was refused.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RefusedRow {
    /// The line that it begins on, from 1.
    line: u64,
    /// JSON pointer to the value at fault; empty of the whole row.
    field: String,
    /// What was expected.
    reason: String,
}

/// A warning of a row that was read.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WarnedRow {
    /// The line that the row begins on, from 1.
    line: u64,
    /// What kind of a deviation it is.
    code: &'static str,
    /// JSON pointer to the value; empty of the whole row.
    field: String,
    /// What was expected and what was done.
    message: String,
}

impl BackfillDocument {
    pub(crate) fn new(backfill: Backfill, refusals: Vec<Refusal>, warnings: Vec<RowWarning>) -> Self {
        let is_full = refusals.len() as u64 >= PAGE_ITEMS;
        let progress = backfill.progress;
        Self {
            backfill_id: backfill.id.to_string(),
            state: backfill.state.as_str(),
            format: backfill.form.format.map(Format::as_str),
            encoding: backfill.form.encoding.map(Encoding::as_str),
            separator: backfill.form.separator.map(Separator::as_str),
            decimal: backfill.form.decimal.map(DecimalMark::as_str),
            accepted: progress.accepted,
            unchanged: progress.unchanged,
            warned: progress.warned,
            refused: progress.refused,
            position: progress.position,
            size: backfill.size,
            failure: backfill.failure,
            created_at: backfill.created_at.to_rfc3339(),
            finished_at: backfill.finished_at.map(touchstone_schema::time::Timestamp::to_rfc3339),
            next_after: refusals.last().filter(|_| is_full).map(|refusal| refusal.number),
            refusals: refusals.into_iter().map(RefusedRow::from).collect(),
            next_warnings_after: warnings
                .last()
                .filter(|_| warnings.len() as u64 >= PAGE_ITEMS)
                .map(|warning| warning.number),
            warnings: warnings.into_iter().map(WarnedRow::from).collect(),
        }
    }
}

impl From<RowWarning> for WarnedRow {
    fn from(RowWarning { line, warning, .. }: RowWarning) -> Self {
        Self { line, code: warning.code.as_str(), field: warning.field, message: warning.message }
    }
}

impl From<Refusal> for RefusedRow {
    fn from(refusal: Refusal) -> Self {
        Self { line: refusal.line, field: refusal.field, reason: refusal.reason }
    }
}
