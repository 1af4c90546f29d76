//! What is answered of backfills.

use serde::Serialize;
use touchstone_platform::store::backfill::{Backfill, BackfillState, Refusal};
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

/// A backfill, and a page of its refused rows.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Backfill)]
pub(crate) struct BackfillDocument {
    /// Its id.
    backfill_id: String,
    /// receiving, waiting, running, done or failed.
    #[schema(example = "done")]
    state: &'static str,
    /// Rows that told something new.
    accepted: u64,
    /// Rows that told nothing new.
    unchanged: u64,
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

impl BackfillDocument {
    pub(crate) fn new(backfill: Backfill, refusals: Vec<Refusal>) -> Self {
        let is_full = refusals.len() as u64 >= PAGE_ITEMS;
        let progress = backfill.progress;
        Self {
            backfill_id: backfill.id.to_string(),
            state: backfill.state.as_str(),
            accepted: progress.accepted,
            unchanged: progress.unchanged,
            refused: progress.refused,
            position: progress.position,
            size: backfill.size,
            failure: backfill.failure,
            created_at: backfill.created_at.to_rfc3339(),
            finished_at: backfill.finished_at.map(touchstone_schema::time::Timestamp::to_rfc3339),
            next_after: refusals.last().filter(|_| is_full).map(|refusal| refusal.number),
            refusals: refusals.into_iter().map(RefusedRow::from).collect(),
        }
    }
}

impl From<Refusal> for RefusedRow {
    fn from(refusal: Refusal) -> Self {
        Self { line: refusal.line, field: refusal.field, reason: refusal.reason }
    }
}
