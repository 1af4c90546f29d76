//! What the scorer reads before and writes after scoring a batch: one round trip in, one transaction out.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use touchstone_schema::event::Event;
use touchstone_schema::history::{HistoryEntry, HistoryKey};
use touchstone_schema::ids::{SubmissionId, TransactionId};
use touchstone_schema::submission::Submission;
use touchstone_schema::time::Timestamp;
use touchstone_schema::verdict::{Action, RiskLevel};
use touchstone_schema::warning::WarningCode;

use super::{StoreError, SystemStore};

mod attempts;
mod ended;
mod load;
mod record;

/// The newest revision of a transaction.
#[derive(Debug, Clone)]
pub struct LatestRevision {
    /// Its number, from 1.
    pub revision: u32,
    /// Sequence number of the transaction's newest event.
    pub sequence: u32,
    /// Hash of the order's canonical JSON, hex.
    pub body_hash: String,
    /// When it was received.
    pub received_at: Timestamp,
    /// The verdict document without `duration_ms`.
    pub verdict: String,
    /// The stored order document (read only for transactions that are to be scored again; else empty).
    pub document: String,
}

/// What is known before a batch is scored.
#[derive(Debug, Default)]
pub struct Loaded {
    /// Newest revision of each asked transaction that has one.
    pub latest: HashMap<TransactionId, LatestRevision>,
    /// Verdict documents of submissions of the batch that were scored before.
    pub scored: HashMap<SubmissionId, String>,
}

/// A scored order, ready to be recorded.
#[derive(Debug)]
pub struct NewRevision<'a> {
    /// The submission that it answers.
    pub submission: &'a Submission,
    /// Number of this revision: the latest plus one.
    pub revision: u32,
    /// Hash of the order's canonical JSON, hex: the submission's, or that of the revision scored again.
    pub body_hash: String,
    /// The order document to store.
    pub document: Cow<'a, str>,
    /// Verdict document without `duration_ms`.
    pub verdict: String,
    /// 0-100.
    pub score: u8,
    /// Band.
    pub level: RiskLevel,
    /// Recommended action.
    pub action: Action,
    /// Policy version applied.
    pub policy_version: u32,
    /// Names the outside data that was looked at; none when there was none.
    pub enrichment_version: Option<Arc<str>>,
    /// Order amount in minor units.
    pub amount_minor: i64,
    /// ISO 4217 code.
    pub currency: String,
    /// Largest quantity of one article; 0 when the order names none.
    pub quantity: u32,
    /// Whether it is of an order that was sent in again as another one, which a report of an earlier order's end does not close.
    pub reopens: bool,
    /// When it was scored.
    pub scored_at: Timestamp,
    /// `order.scored` or `order.rescored`, its data as [`verdict_event_data`] has it: that is not stored but made anew
    /// from the verdict.
    pub event: Event,
    /// What to remember.
    pub history: HistoryEntry,
    /// What it can be found by beside the keys of the entry: those that the policy declares.
    pub declared_keys: Vec<HistoryKey>,
    /// Why optional fields of the order were not used, for the metrics; the verdict has the warnings themselves.
    pub warnings: Vec<WarningCode>,
}

/// A payment that failed, ready to be recorded.
#[derive(Debug)]
pub struct NewFailedAttempt {
    /// `payment.failed`. The same attempt has the same id.
    pub event: Event,
    /// What to remember.
    pub history: HistoryEntry,
    /// What it can be found by beside the keys of the entry: those that the policy declares.
    pub declared_keys: Vec<HistoryKey>,
}

/// The data of a verdict's event: the verdict with its two numbers before it.
pub fn verdict_event_data(revision: u32, sequence: u32, verdict: &str) -> String {
    let members = verdict.strip_prefix('{').unwrap_or(verdict);
    format!("{{\"revision\":{revision},\"sequence\":{sequence},{members}")
}

impl SystemStore<'_> {
    /// Newest revisions of the batch's transactions, and which of its submissions were scored before.
    pub async fn load_for_scoring(&self, submissions: &[&Submission]) -> Result<Loaded, StoreError> {
        load::revisions(self.store, submissions).await
    }

    /// Records a batch in one transaction: revisions, transactions, events, history; and deletes the pending rows of
    /// what was recorded and of the other `settled` submissions (those found scored before).
    ///
    /// A revision is left out whole when its number or submission was taken by a concurrent scorer, or its event's
    /// sequence number by a decision or an outcome that came between. Its pending row stays: load again and answer from
    /// what is found, or score again. An order whose end was reported does not come to wait for a person by its verdict.
    /// Returns which of `new` (by index) were recorded by this call.
    pub async fn record(&self, new: &[NewRevision<'_>], settled: &[&SubmissionId]) -> Result<Vec<bool>, StoreError> {
        record::record(self.store, new, settled).await
    }

    /// Records payments that failed in one transaction: their events and their entries of history. One that was recorded
    /// before is left out. Returns which of `new` (by index) were recorded by this call.
    pub async fn record_failed_attempts(&self, new: &[NewFailedAttempt]) -> Result<Vec<bool>, StoreError> {
        attempts::record(self.store, new).await
    }
}
