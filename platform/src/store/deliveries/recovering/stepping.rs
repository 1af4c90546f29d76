//! One step of a recovery: a bounded number of events, in one transaction.

use sea_orm::DbBackend;

use super::super::ordering::{PARKED, place_of};
use super::*;
use crate::store::events::{json, wanted};
use crate::store::table::{Cell, Columns, Kind, expression, parameters};

/// Events looked at in one transaction.
const LOOKED_AT_TOGETHER: u64 = 500;

/// Why a recovery ends before its end.
const SWITCHED_OFF: &str = "the endpoint was switched off; enable it and recover it again";

/// Locked until the step commits; what another process works on is passed over.
const NEXT: &str = "
SELECT r.*, p.enabled, p.ordered FROM recoveries r JOIN endpoints p ON p.id = r.endpoint_id
WHERE r.finished_at IS NULL AND ($1 = '' OR r.id = $1) ORDER BY r.stepped_at, r.id LIMIT 1 {lock}";

/// The next events of the store, each with the endpoint's delivery of it. The event that tells that the endpoint was switched
/// off is for others.
const WALK: &str = "
SELECT e.id, e.occurred_at, e.sequence, e.mode, d.id AS delivery_id, d.state, d.leased_until, d.due_at,
    CAST(CASE WHEN {wanted} AND NOT (e.kind = 'endpoint.disabled' AND COALESCE({member} = p.id, FALSE))
        THEN 1 ELSE 0 END AS BIGINT) AS is_wanted
FROM events e JOIN endpoints p ON p.id = $2
LEFT JOIN deliveries d ON d.event_id = e.id AND d.endpoint_id = $2
WHERE e.store_id = $1 AND e.occurred_at >= $3 AND (e.occurred_at > $3 OR e.id > $4) AND e.occurred_at <= $5
ORDER BY e.occurred_at, e.id LIMIT $6";

const PLACED: &Columns = &[("id", Kind::Text), ("event_id", Kind::Text), ("mode", Kind::Text), ("place", Kind::Number)];

/// Whoever else plans the event meets the same key.
const PLAN: &str = "
WITH {given}
INSERT INTO deliveries (id, event_id, endpoint_id, store_id, state, attempts, due_at, leased_until, created_at, position,
    mode)
SELECT given_rows.id, given_rows.event_id, $1, $2, 'pending', 0, $3, 0, $4, given_rows.place, given_rows.mode
FROM given_rows WHERE TRUE
ON CONFLICT (event_id, endpoint_id) DO NOTHING";

/// What is settled begins anew, of an ordered endpoint at the place of its event.
const REVIVE: &str = "
WITH {given}
UPDATE deliveries SET state = 'pending', attempts = 0, leased_until = 0, last_error = NULL, due_at = $1,
    position = given_rows.place
FROM given_rows WHERE deliveries.id = given_rows.id AND deliveries.state <> 'pending'";

/// What waits for another attempt need not wait; the attempts that it had count. See [`super::super::recording`] on what is
/// pending.
const HASTEN: &str = "
UPDATE deliveries SET due_at = $2
WHERE state NOT IN ('delivered', 'dead') AND leased_until <= $2 AND due_at > $2 AND due_at < {parked} AND id {any}";

const MOVE: &str = "
UPDATE recoveries SET reached_at = $2, reached_id = $3, looked_at = looked_at + $4, planned = planned + $5,
    revived = revived + $6, hastened = hastened + $7, stepped_at = $8, finished_at = $9, stopped_reason = $10
WHERE id = $1";

/// What became of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stepped {
    /// The recovery.
    pub id: RecoveryId,
    /// Its endpoint.
    pub endpoint: EndpointId,
    /// Whether the endpoint's line may have something to release now.
    pub ordered: bool,
    /// Whether there may be something to deliver.
    pub found: bool,
    /// Whether it has ended.
    pub finished: bool,
}

/// A delivery to plan or to begin anew.
struct Placed {
    id: String,
    event: String,
    mode: String,
    place: i64,
}

/// What a step does.
#[derive(Default)]
struct Work {
    plan: Vec<Placed>,
    revive: Vec<Placed>,
    hasten: Vec<String>,
    looked_at: u64,
    last: Option<(i64, String)>,
}

impl SystemStore<'_> {
    /// Goes on with the recovery that has waited longest, or with `only`. None when there is none that nobody works on.
    pub async fn step_recovery(
        &self,
        only: Option<&RecoveryId>,
        now: Timestamp,
    ) -> Result<Option<Stepped>, StoreError> {
        let change = self.store.begin().await?;
        let lock = if self.store.is_embedded() { "" } else { "FOR NO KEY UPDATE OF r SKIP LOCKED" };
        let next = NEXT.replace("{lock}", lock);
        let only = only.map_or("", RecoveryId::as_str);
        let Some(found) = row(change.transaction(), &next, [only.into()]).await? else { return Ok(None) };
        let recovery = recovery_of(&found)?;
        let ordered = column::<i64>(&found, "ordered")? != 0;
        let enabled = column::<i64>(&found, "enabled")? != 0;
        let store_id: StoreId = parsed(&found, "store_id")?;
        let reached = (recovery.reached.as_millis(), column::<String>(&found, "reached_id")?);
        let work = if enabled {
            look(self.store, change.transaction(), &recovery, &store_id, &reached, ordered, now).await?
        } else {
            Work::default()
        };
        let step = Step { backend: self.store.backend(), recovery: &recovery, store: &store_id, ordered, now };
        let done = step.apply(change.transaction(), &work).await?;
        let finished = !enabled || work.looked_at < LOOKED_AT_TOGETHER;
        let (at, id) = work.last.clone().unwrap_or(reached);
        let values = [
            recovery.id.as_str().into(),
            at.into(),
            id.into(),
            limit(work.looked_at),
            limit(done[0]),
            limit(done[1]),
            limit(done[2]),
            now.as_millis().into(),
            finished.then(|| now.as_millis()).into(),
            (!enabled).then_some(SWITCHED_OFF).into(),
        ];
        execute(change.transaction(), MOVE, values).await?;
        change.commit().await?;
        let found = done.iter().any(|count| *count > 0) || finished;
        Ok(Some(Stepped { id: recovery.id, endpoint: recovery.endpoint, ordered, found, finished }))
    }
}

/// Walks on, and sorts what was met by what is to be done with it.
async fn look(
    store: &Store,
    transaction: &DatabaseTransaction,
    recovery: &Recovery,
    store_id: &StoreId,
    (at, id): &(i64, String),
    ordered: bool,
    now: Timestamp,
) -> Result<Work, StoreError> {
    let (wanted, member) = wanted(store.is_embedded());
    let walk = WALK.replace("{wanted}", &wanted).replace("{member}", member);
    let values = [
        store_id.as_str().into(),
        recovery.endpoint.as_str().into(),
        (*at).into(),
        id.as_str().into(),
        recovery.until.as_millis().into(),
        limit(LOOKED_AT_TOGETHER),
    ];
    let found = rows(transaction, &walk, values).await?;
    let mut work = Work { looked_at: found.len() as u64, ..Work::default() };
    for row in &found {
        let occurred_at = column::<i64>(row, "occurred_at")?;
        let event: String = column(row, "id")?;
        work.last = Some((occurred_at, event.clone()));
        let mode: String = column(row, "mode")?;
        if recovery.mode.is_some_and(|only| only.as_str() != mode) {
            continue;
        }
        let place = place_of(Timestamp::from_millis(occurred_at), column(row, "sequence")?);
        let place = if ordered { place } else { 0 };
        let Some(id) = column::<Option<String>>(row, "delivery_id")? else {
            if column::<i64>(row, "is_wanted")? == 1 && recovery.kind == RecoveryKind::Recover {
                let id = DeliveryId::mint(now, random::bytes()).as_str().to_owned();
                work.plan.push(Placed { id, event, mode, place });
            }
            continue;
        };
        match (recovery.kind, parsed::<DeliveryState>(row, "state")?) {
            (RecoveryKind::Recover, DeliveryState::Dead) => work.revive.push(Placed { id, event, mode, place }),
            (RecoveryKind::Recover, DeliveryState::Pending) => work.hasten.push(id),
            (RecoveryKind::Replay, state)
                if state != DeliveryState::Pending && recovery.only.is_none_or(|only| only == state) =>
            {
                work.revive.push(Placed { id, event, mode, place });
            }
            _ => {}
        }
    }
    Ok(work)
}

/// What the statements of a step share.
struct Step<'a> {
    backend: DbBackend,
    recovery: &'a Recovery,
    store: &'a StoreId,
    ordered: bool,
    now: Timestamp,
}

impl Step<'_> {
    /// How many were planned, revived and hastened.
    async fn apply(&self, transaction: &DatabaseTransaction, work: &Work) -> Result<[u64; 3], StoreError> {
        let due = if self.ordered { PARKED } else { self.now.as_millis() };
        let plan = [
            self.recovery.endpoint.as_str().into(),
            self.store.as_str().into(),
            due.into(),
            self.now.as_millis().into(),
        ];
        let planned = self.placed(transaction, PLAN, plan.into(), &work.plan).await?;
        let revived = self.placed(transaction, REVIVE, vec![due.into()], &work.revive).await?;
        let hastened = self.hasten(transaction, &work.hasten).await?;
        Ok([planned, revived, hastened])
    }

    async fn placed<C: ConnectionTrait>(
        &self,
        connection: &C,
        statement: &str,
        mut values: Vec<Value>,
        placed: &[Placed],
    ) -> Result<u64, StoreError> {
        if placed.is_empty() {
            return Ok(0);
        }
        let given = expression(self.backend, "given_rows", PLACED, values.len() + 1);
        let table: Vec<Vec<Cell<'_>>> = placed
            .iter()
            .map(|one| {
                vec![one.id.as_str().into(), one.event.as_str().into(), one.mode.as_str().into(), one.place.into()]
            })
            .collect();
        values.extend(parameters(self.backend, PLACED, &table));
        execute(connection, &statement.replace("{given}", &given), values).await
    }

    async fn hasten(&self, transaction: &DatabaseTransaction, ids: &[String]) -> Result<u64, StoreError> {
        if ids.is_empty() {
            return Ok(0);
        }
        let (any, ids) = if self.backend == DbBackend::Sqlite {
            ("IN (SELECT value FROM json_each($1))", Value::from(json(ids)))
        } else {
            ("= ANY($1)", Value::from(ids.to_vec()))
        };
        let statement = HASTEN.replace("{any}", any).replace("{parked}", &PARKED.to_string());
        execute(transaction, &statement, [ids, self.now.as_millis().into()]).await
    }
}
