//! What belongs to one transaction, a page at a time: revisions, decisions, outcomes and events, newest first.
//!
//! Guarantee: every statement names the tenant's store and has a limit, whatever has become of the transaction; totals come
//! from the newest number where things are numbered without gaps.

use sea_orm::{QueryResult, Value};
use touchstone_schema::ids::TransactionId;
use touchstone_schema::limits::{REVISIONS_PER_DAY, TRANSACTION_LIST_ITEMS};
use touchstone_schema::tenant::Tenant;
use touchstone_schema::time::Timestamp;

use super::super::database::{column, count, row, rows};
use super::super::{Store, StoreError, TenantStore};
use super::read::{decision, event, outcome, revision};
use super::{DecisionView, EventView, OutcomeCursor, OutcomeView, RecentRevisions, RevisionView, Totals};

const REVISIONS: &str = "SELECT revision, received_at, scored_at, enrichment_version, verdict FROM revisions
  WHERE transaction_id = $1 AND store_id = $2 AND revision < $3 ORDER BY revision DESC LIMIT $4";

const DECISIONS: &str = "SELECT revision, decision, reviewer, note, decided_at FROM decisions
  WHERE transaction_id = $1 AND store_id = $2 AND revision < $3 ORDER BY revision DESC LIMIT $4";

const OUTCOMES: &str = "SELECT kind, occurred_at, amount_minor, recorded_at FROM outcomes
  WHERE transaction_id = $1 AND store_id = $2 AND (occurred_at, kind) < ($3, $4)
  ORDER BY occurred_at DESC, kind DESC LIMIT $5";

/// Of each kind the newest, and the one that was recorded last.
const OUTCOMES_OF_STANDING: &str = "SELECT kind, occurred_at, amount_minor, recorded_at FROM outcomes AS o
  WHERE transaction_id = $1 AND store_id = $2 AND (
    occurred_at = (SELECT MAX(occurred_at) FROM outcomes WHERE transaction_id = $1 AND kind = o.kind)
    OR recorded_at = (SELECT MAX(recorded_at) FROM outcomes WHERE transaction_id = $1))
  ORDER BY occurred_at DESC, kind DESC LIMIT $3";

const EVENTS: &str = "SELECT e.id, e.kind, e.sequence,
    COUNT(CASE WHEN d.state = 'pending' THEN 1 END) AS pending,
    COUNT(CASE WHEN d.state = 'delivered' THEN 1 END) AS delivered,
    COUNT(CASE WHEN d.state = 'dead' THEN 1 END) AS dead
  FROM (SELECT id, kind, sequence FROM events
    WHERE transaction_id = $1 AND store_id = $2 AND sequence < $3 ORDER BY sequence DESC LIMIT $4) AS e
  LEFT JOIN deliveries d ON d.event_id = e.id
  GROUP BY e.id, e.kind, e.sequence ORDER BY e.sequence DESC";

const TOTALS: &str = "SELECT
  (SELECT COALESCE(MAX(revision), 0) FROM revisions WHERE transaction_id = $1 AND store_id = $2) AS revisions,
  (SELECT COUNT(*) FROM decisions WHERE transaction_id = $1 AND store_id = $2) AS decisions,
  (SELECT COUNT(*) FROM outcomes WHERE transaction_id = $1 AND store_id = $2) AS outcomes,
  (SELECT COALESCE(MAX(sequence), 0) FROM events WHERE transaction_id = $1 AND store_id = $2) AS events";

/// Those that are promised count: they will be revisions.
const RECENT: &str = "SELECT COUNT(*) AS made, MIN(received_at) AS oldest FROM (
  SELECT received_at FROM (SELECT received_at FROM revisions
    WHERE transaction_id = $1 AND store_id = $2 ORDER BY revision DESC LIMIT $4) AS newest WHERE received_at > $3
  UNION ALL
  SELECT received_at FROM (SELECT received_at FROM pending
    WHERE transaction_id = $1 AND store_id = $2 AND received_at > $3 LIMIT $4) AS waiting
) AS recent";

/// No revision and no sequence is as high.
const FROM_THE_NEWEST: i64 = i64::MAX;

impl TenantStore<'_> {
    /// How much of everything a transaction has.
    pub async fn totals(&self, id: &TransactionId) -> Result<Totals, StoreError> {
        let Some(row) = row(&self.store.database, TOTALS, of_store(self.tenant, id)).await? else {
            return Ok(Totals::default());
        };
        Ok(Totals {
            revisions: count(&row, "revisions")?,
            decisions: count(&row, "decisions")?,
            outcomes: count(&row, "outcomes")?,
            events: count(&row, "events")?,
        })
    }

    /// Revisions below `before`, newest first.
    pub async fn revisions(
        &self,
        id: &TransactionId,
        before: Option<u32>,
        most: u64,
    ) -> Result<Vec<RevisionView>, StoreError> {
        numbered(self.store, self.tenant, (REVISIONS, revision), id, before, most).await
    }

    /// Decisions upon revisions below `before`, newest first.
    pub async fn decisions(
        &self,
        id: &TransactionId,
        before: Option<u32>,
        most: u64,
    ) -> Result<Vec<DecisionView>, StoreError> {
        numbered(self.store, self.tenant, (DECISIONS, decision), id, before, most).await
    }

    /// Events of a sequence below `before`, newest first.
    pub async fn events(
        &self,
        id: &TransactionId,
        before: Option<u32>,
        most: u64,
    ) -> Result<Vec<EventView>, StoreError> {
        numbered(self.store, self.tenant, (EVENTS, event), id, before, most).await
    }

    /// Outcomes before that one, the one that happened last first.
    pub async fn outcomes(
        &self,
        id: &TransactionId,
        before: Option<OutcomeCursor>,
        most: u64,
    ) -> Result<Vec<OutcomeView>, StoreError> {
        let before = before.map_or((i64::MAX, ""), |cursor| (cursor.occurred_at.as_millis(), cursor.kind.as_str()));
        let values = of_store(self.tenant, id).into_iter().chain([before.0.into(), before.1.into(), limit(most)]);
        rows(&self.store.database, OUTCOMES, values).await?.iter().map(outcome).collect()
    }

    /// The outcomes that say where an order stands: of each kind the newest, and what was recorded last.
    pub async fn outcomes_of_standing(&self, id: &TransactionId) -> Result<Vec<OutcomeView>, StoreError> {
        let values = of_store(self.tenant, id).into_iter().chain([limit(TRANSACTION_LIST_ITEMS)]);
        rows(&self.store.database, OUTCOMES_OF_STANDING, values).await?.iter().map(outcome).collect()
    }

    /// The revisions of submissions received after `since`, those included that are promised; no more than
    /// [`REVISIONS_PER_DAY`] of either are counted.
    pub async fn revisions_since(&self, id: &TransactionId, since: Timestamp) -> Result<RecentRevisions, StoreError> {
        let values = of_store(self.tenant, id).into_iter().chain([since.as_millis().into(), limit(REVISIONS_PER_DAY)]);
        let Some(row) = row(&self.store.database, RECENT, values).await? else {
            return Ok(RecentRevisions { made: 0, oldest: None });
        };
        let oldest: Option<i64> = column(&row, "oldest")?;
        Ok(RecentRevisions { made: count(&row, "made")?, oldest: oldest.map(Timestamp::from_millis) })
    }
}

/// Reads one row.
type RowReader<T> = fn(&QueryResult) -> Result<T, StoreError>;

/// A page of what has a number.
async fn numbered<T>(
    store: &Store,
    tenant: &Tenant,
    (statement, read): (&str, RowReader<T>),
    id: &TransactionId,
    before: Option<u32>,
    most: u64,
) -> Result<Vec<T>, StoreError> {
    let before = before.map_or(FROM_THE_NEWEST, i64::from);
    let values = of_store(tenant, id).into_iter().chain([before.into(), limit(most)]);
    rows(&store.database, statement, values).await?.iter().map(read).collect()
}

fn of_store(tenant: &Tenant, id: &TransactionId) -> [Value; 2] {
    [id.as_str().into(), tenant.store_id.as_str().into()]
}

fn limit(most: u64) -> Value {
    i64::try_from(most).unwrap_or(i64::MAX).into()
}
