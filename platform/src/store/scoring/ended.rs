//! Orders whose end was reported before they had a verdict: their reviews close with the verdict.
//!
//! Guarantee: in the transaction that records the verdict, with the promises locked, so that a report that comes at the same
//! moment is either seen here or finds the transaction. Failure: nothing of the batch is kept.

use std::collections::BTreeMap;

use sea_orm::{ConnectionTrait as _, DbBackend, Value};
use touchstone_schema::ids::TransactionId;
use touchstone_schema::verdict::TransactionStatus;

use super::super::StoreError;
use super::super::database::{Change, column, execute, parsed, rows};
use super::super::events::json;
use super::super::transactions::OutcomeKind;
use super::super::transactions::change::is_open;

/// What was reported before an order was received is about an earlier order of the same id.
const REPORTED: &str = "SELECT t.id, t.status, o.kind, o.recorded_at FROM transactions t
    JOIN outcomes o ON o.transaction_id = t.id
  WHERE t.id IN (SELECT transaction_id FROM revisions WHERE submission_id {among}) AND t.ended_by IS NULL
    AND o.recorded_at >= t.received_at
  ORDER BY t.id, o.recorded_at, o.kind";

const CLOSE: &str = "UPDATE transactions SET status = $3, ended_by = $4, ended_at = $5
  WHERE id = $1 AND status = $2 AND ended_by IS NULL";

/// Closes what has ended of the orders of these submissions.
pub(super) async fn close_ended(change: &Change, submissions: &[&str]) -> Result<(), StoreError> {
    if submissions.is_empty() {
        return Ok(());
    }
    let (among, ids) = if change.transaction().get_database_backend() == DbBackend::Sqlite {
        ("IN (SELECT value FROM json_each($1))", Value::from(json(submissions)))
    } else {
        ("= ANY($1)", Value::from(submissions.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>()))
    };
    let mut ended: BTreeMap<TransactionId, (TransactionStatus, Vec<(OutcomeKind, i64)>)> = BTreeMap::new();
    for found in rows(change.transaction(), &REPORTED.replace("{among}", among), [ids]).await? {
        let (status, kind) = (parsed(&found, "status")?, parsed::<OutcomeKind>(&found, "kind")?);
        if kind.is_ending() {
            let (_, reports) = ended.entry(parsed(&found, "id")?).or_insert_with(|| (status, Vec::new()));
            reports.push((kind, column(&found, "recorded_at")?));
        }
    }
    for (id, (before, reports)) in ended {
        let after = reports.iter().fold(before, |status, (kind, _)| kind.status_after(status, is_open(status)));
        let Some((kind, at)) = reports.last() else { continue };
        let values =
            [id.as_str().into(), before.as_str().into(), after.as_str().into(), kind.as_str().into(), (*at).into()];
        execute(change.transaction(), CLOSE, values).await?;
    }
    Ok(())
}
