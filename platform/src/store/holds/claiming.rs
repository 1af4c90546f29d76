//! Who works on a connection, and what there is to do.

use std::collections::HashMap;

use touchstone_schema::ids::{ConnectionId, SubmissionId};
use touchstone_schema::time::Timestamp;
use touchstone_schema::verdict::{Action, RiskLevel};

use super::{Hold, hold_of};
use crate::store::accounts::{ConnectionRow, connection_of};
use crate::store::database::{column, execute, parsed, row, rows};
use crate::store::events::json;
use crate::store::{StoreError, SystemStore};

/// Two texts, so that each is fixed: SQLite has one writer at a time and no row locks to skip.
const CLAIM: &str = "UPDATE centra_connections SET leased_until = $2 WHERE id IN (
    SELECT c.id FROM centra_connections c
    WHERE c.disconnected_at IS NULL AND c.stopped_reason IS NULL AND c.paused_until <= $1 AND c.leased_until <= $1
      AND (c.sweep_due_at <= $1 OR EXISTS (SELECT 1 FROM holds h
        WHERE h.connection_id = c.id AND h.closed_at IS NULL AND h.due_at <= $1))
    ORDER BY c.leased_until, c.id LIMIT $3{locking})
  RETURNING *";

const KEEP: &str = "UPDATE centra_connections SET leased_until = $3
  WHERE id = $1 AND leased_until = $2 AND disconnected_at IS NULL AND stopped_reason IS NULL";

const STOP: &str = "UPDATE centra_connections SET stopped_reason = $2 WHERE id = $1 AND token_set_at = $3";

const PAUSE: &str = "UPDATE centra_connections SET paused_until = $2 WHERE id = $1 AND paused_until < $2";

const SWEEP_STATE: &str = "SELECT sweep_due_at, releasing FROM centra_connections WHERE id = $1";

const SWEPT: &str = "UPDATE centra_connections SET swept_at = $2, sweep_due_at = $3, releasing = 0
  WHERE id = $1 AND sweep_due_at = $4";

const SWEEP_LATER: &str = "UPDATE centra_connections SET sweep_due_at = $2 WHERE id = $1 AND sweep_due_at = $3";

const DUE: &str =
    holds!("WHERE h.connection_id = $1 AND h.closed_at IS NULL AND h.due_at <= $2 ORDER BY h.due_at, h.id LIMIT $3");

const WAITING: &str = holds!(
    "WHERE h.connection_id = $1 AND h.closed_at IS NULL AND h.state = 'waiting' AND h.due_at > $2
  ORDER BY h.due_at, h.id"
);

/// The newest verdict counts, which may be later than that of the submission.
const VERDICTS: &str = "SELECT r.submission_id, t.action, t.level FROM revisions r
  JOIN transactions t ON t.id = r.transaction_id WHERE r.submission_id {among}";

const NOTICE: &str = "SELECT document FROM centra_notices
  WHERE connection_id = $1 AND kind = 'orderWaitingForFraudCheck' AND reference IN ($2, $3, $4)
  ORDER BY received_at DESC LIMIT 1";

const HELD_BEFORE: &str = "SELECT id FROM holds WHERE connection_id = $1 AND centra_id = $2 AND id <> $3
  AND outcome IN ('resumed', 'cancelled', 'overtaken') LIMIT 1";

/// A sweep that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DueSweep {
    /// When it fell due.
    pub due_at: Timestamp,
    /// Whether all that it finds is to be resumed.
    pub releasing: bool,
}

impl SystemStore<'_> {
    /// Leases up to `most` connections that have something to do, until `until`. While a lease lasts nobody else speaks
    /// with the shop.
    pub async fn claim_connections(
        &self,
        now: Timestamp,
        until: Timestamp,
        most: u64,
    ) -> Result<Vec<ConnectionRow>, StoreError> {
        let text = CLAIM.replace("{locking}", if self.store.is_embedded() { "" } else { " FOR UPDATE SKIP LOCKED" });
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let change = self.store.begin().await?;
        let values = [now.as_millis().into(), until.as_millis().into(), most.into()];
        let claimed = rows(change.transaction(), &text, values).await?;
        let claimed = claimed.iter().map(connection_of).collect::<Result<_, _>>()?;
        change.commit().await?;
        Ok(claimed)
    }

    /// Prolongs a lease; false when it was lost, or the connection was ended or stopped.
    pub async fn keep_connection(
        &self,
        id: &ConnectionId,
        until: Timestamp,
        longer: Timestamp,
    ) -> Result<bool, StoreError> {
        let values = [id.as_str().into(), until.as_millis().into(), longer.as_millis().into()];
        self.changed(KEEP, values).await
    }

    /// Gives a lease back.
    pub async fn leave_connection(&self, id: &ConnectionId, until: Timestamp) -> Result<(), StoreError> {
        self.keep_connection(id, until, Timestamp::from_millis(0)).await.map(|_| ())
    }

    /// Asks nothing of the shop any more until there is another token than that of `token_set_at`. False when there is one
    /// already.
    pub async fn stop_connection(
        &self,
        id: &ConnectionId,
        reason: &str,
        token_set_at: Timestamp,
    ) -> Result<bool, StoreError> {
        self.changed(STOP, [id.as_str().into(), reason.into(), token_set_at.as_millis().into()]).await
    }

    /// Leaves the shop alone until then.
    pub async fn pause_connection(&self, id: &ConnectionId, until: Timestamp) -> Result<(), StoreError> {
        self.changed(PAUSE, [id.as_str().into(), until.as_millis().into()]).await.map(|_| ())
    }

    /// The sweep of a connection, when it is due.
    pub async fn due_sweep(&self, id: &ConnectionId, now: Timestamp) -> Result<Option<DueSweep>, StoreError> {
        let Some(found) = row(&self.store.database, SWEEP_STATE, [id.as_str().into()]).await? else { return Ok(None) };
        let due_at = Timestamp::from_millis(column(&found, "sweep_due_at")?);
        let releasing = column::<i64>(&found, "releasing")? != 0;
        Ok((due_at <= now).then_some(DueSweep { due_at, releasing }))
    }

    /// Records that a sweep looked through everything. One that was asked for meanwhile stays due.
    pub async fn swept(
        &self,
        id: &ConnectionId,
        sweep: &DueSweep,
        now: Timestamp,
        next: Timestamp,
    ) -> Result<(), StoreError> {
        let values =
            [id.as_str().into(), now.as_millis().into(), next.as_millis().into(), sweep.due_at.as_millis().into()];
        self.changed(SWEPT, values).await.map(|_| ())
    }

    /// Puts a sweep off that could not be finished.
    pub async fn sweep_later(&self, id: &ConnectionId, sweep: &DueSweep, next: Timestamp) -> Result<(), StoreError> {
        let values = [id.as_str().into(), next.as_millis().into(), sweep.due_at.as_millis().into()];
        self.changed(SWEEP_LATER, values).await.map(|_| ())
    }

    /// The open holds of a connection that are due, oldest due first.
    pub async fn due_holds(&self, id: &ConnectionId, now: Timestamp, most: u64) -> Result<Vec<Hold>, StoreError> {
        let values = [id.as_str().into(), now.as_millis().into(), i64::try_from(most).unwrap_or(i64::MAX).into()];
        rows(&self.store.database, DUE, values).await?.iter().map(hold_of).collect()
    }

    /// The holds of a connection that wait for a person and are not due.
    pub async fn waiting_holds(&self, id: &ConnectionId, now: Timestamp) -> Result<Vec<Hold>, StoreError> {
        let values = [id.as_str().into(), now.as_millis().into()];
        rows(&self.store.database, WAITING, values).await?.iter().map(hold_of).collect()
    }

    /// How the orders of these submissions are judged now, of those that were scored.
    pub async fn verdicts_of(
        &self,
        submissions: &[&SubmissionId],
    ) -> Result<HashMap<SubmissionId, (Action, RiskLevel)>, StoreError> {
        let ids: Vec<String> = submissions.iter().map(|id| id.as_str().to_owned()).collect();
        let (among, ids) = if self.store.is_embedded() {
            ("IN (SELECT value FROM json_each($1))", sea_orm::Value::from(json(&ids)))
        } else {
            ("= ANY($1)", sea_orm::Value::from(ids))
        };
        let found = rows(&self.store.database, &VERDICTS.replace("{among}", among), [ids]).await?;
        let read = found
            .iter()
            .map(|found| Ok((parsed(found, "submission_id")?, (parsed(found, "action")?, parsed(found, "level")?))));
        read.collect()
    }

    /// The newest notice that announced a hold's order, by any of its names.
    pub async fn notice_of(&self, hold: &Hold, centra_id: &str, number: i64) -> Result<Option<String>, StoreError> {
        let values = [
            hold.connection_id.as_str().into(),
            centra_id.into(),
            number.to_string().into(),
            format!("#{number}").into(),
        ];
        let found = row(&self.store.database, NOTICE, values).await?;
        found.map(|found| column(&found, "document")).transpose()
    }

    /// Whether an earlier hold of this order ended with the order resumed or cancelled.
    pub async fn held_before(&self, hold: &Hold, centra_id: &str) -> Result<bool, StoreError> {
        let values = [hold.connection_id.as_str().into(), centra_id.into(), hold.id.as_str().into()];
        Ok(row(&self.store.database, HELD_BEFORE, values).await?.is_some())
    }

    /// Runs one statement; whether it changed a row.
    pub(super) async fn changed(
        &self,
        sql: &str,
        values: impl IntoIterator<Item = sea_orm::Value>,
    ) -> Result<bool, StoreError> {
        let change = self.store.begin().await?;
        let changed = execute(change.transaction(), sql, values).await? > 0;
        change.commit().await?;
        Ok(changed)
    }
}
