//! Recoveries: an endpoint gets what it wants of a span of time and has not got, or gets it again.
//!
//! A recovery is a row that remembers how far it has walked through the store's events, in the order of time. For each event
//! that the endpoint wants: no delivery, one is planned; a dead one begins anew; one that waits for another attempt is
//! due now. A replay begins settled deliveries anew and plans none.
//!
//! Guarantee: a step changes its deliveries and moves the row in one transaction, so a crash at any moment repeats nothing and
//! leaves nothing out, and whoever looks next goes on. An event has one delivery per endpoint, whoever plans it. What
//! a notifier has leased is left alone. Of an ordered endpoint nothing newer than what the walk has reached is released.
//! Failure: a recovery of an endpoint that is switched off ends there, with the reason.

use sea_orm::{ConnectionTrait, DatabaseTransaction, QueryResult, Value};
use touchstone_schema::ids::{DeliveryId, EndpointId, RecoveryId, StoreId};
use touchstone_schema::limits::{PAGE_ITEMS, RECOVERY_SPAN};
use touchstone_schema::tenant::{KeyMode, wire_enum};
use touchstone_schema::time::Timestamp;

use super::DeliveryState;
use super::claiming::limit;
use crate::random;
use crate::store::accounts::{AuditLine, audit, optional_time, time};
use crate::store::database::{column, count, execute, parsed, row, rows};
use crate::store::{Store, StoreError, SystemStore, TenantStore};

mod stepping;

pub use stepping::Stepped;

wire_enum! {
    /// What a recovery does.
    RecoveryKind {
        /// Sends what the endpoint has not got.
        Recover = "recover",
        /// Sends again what was settled.
        Replay = "replay",
    }
}

/// A recovery and how far it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovery {
    /// Its id.
    pub id: RecoveryId,
    /// The endpoint.
    pub endpoint: EndpointId,
    /// What is done.
    pub kind: RecoveryKind,
    /// Whose events; none for both worlds'.
    pub mode: Option<KeyMode>,
    /// Which settled deliveries a replay sends again; none for all.
    pub only: Option<DeliveryState>,
    /// Events since then.
    pub since: Timestamp,
    /// Events until then: later ones were planned as ever.
    pub until: Timestamp,
    /// The time of the last event that was looked at.
    pub reached: Timestamp,
    /// Events looked at.
    pub looked_at: u64,
    /// Events that had no delivery and have one now.
    pub planned: u64,
    /// Settled deliveries that began anew.
    pub revived: u64,
    /// Waiting deliveries whose attempt came earlier.
    pub hastened: u64,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// Why it ended before its end.
    pub stopped_reason: Option<String>,
}

impl Recovery {
    /// `running`, `done` or `stopped`.
    pub fn state(&self) -> &'static str {
        match (self.finished_at, &self.stopped_reason) {
            (None, _) => "running",
            (Some(_), None) => "done",
            (Some(_), Some(_)) => "stopped",
        }
    }
}

/// A recovery to begin.
#[derive(Debug, Clone)]
pub struct NewRecovery {
    /// The endpoint.
    pub endpoint: EndpointId,
    /// What is to be done.
    pub kind: RecoveryKind,
    /// Which settled deliveries a replay sends again; none for all.
    pub only: Option<DeliveryState>,
    /// Events since then.
    pub since: Timestamp,
}

/// What became of a recovery that was to begin.
#[derive(Debug)]
pub enum Begun {
    /// It runs from now on.
    Started(Recovery),
    /// The same ran already, and does this too.
    Joined(Recovery),
    /// Another of this endpoint has to end first.
    Busy(Recovery),
    /// The endpoint is switched off: what would be sent would die at once.
    Disabled,
    /// It would begin in the future, or longer ago than [`RECOVERY_SPAN`].
    OutOfReach,
    /// There is no such endpoint.
    NotFound,
}

/// Locks the endpoint, so that nothing of its line is released between the look and the row.
const ENDPOINT: &str = "SELECT store_id, enabled FROM endpoints WHERE id = $1 AND ($2 = '' OR store_id = $2)";

const OPEN: &str = "SELECT * FROM recoveries WHERE endpoint_id = $1 AND mode = $2 AND finished_at IS NULL";

const INSERT: &str = "
INSERT INTO recoveries (id, endpoint_id, store_id, mode, kind, only_state, since, until, reached_at, reached_id,
    created_at, stepped_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $7, '', $8, $8)";

const EXTEND: &str = "
UPDATE recoveries SET until = $2,
    reached_at = CASE WHEN $3 < since THEN $3 ELSE reached_at END,
    reached_id = CASE WHEN $3 < since THEN '' ELSE reached_id END,
    since = CASE WHEN $3 < since THEN $3 ELSE since END
WHERE id = $1";

const ONE: &str = "SELECT * FROM recoveries WHERE id = $1 AND ($2 = '' OR store_id = $2) AND ($3 = '' OR mode = $3)";

const PAGE: &str = "
SELECT * FROM recoveries
WHERE endpoint_id = $1 AND ($2 = '' OR store_id = $2) AND ($3 = '' OR mode IN ($3, '')) AND ($4 = '' OR id < $4)
ORDER BY id DESC LIMIT $5";

/// Who asks, and for whose events: a tenant for its own, an operator for all.
#[derive(Debug, Clone, Copy)]
struct Asker<'a> {
    store: Option<&'a StoreId>,
    mode: Option<KeyMode>,
    actor: &'static str,
}

impl Asker<'_> {
    fn store(&self) -> &str {
        self.store.map_or("", StoreId::as_str)
    }

    fn mode(&self) -> &'static str {
        self.mode.map_or("", KeyMode::as_str)
    }
}

impl TenantStore<'_> {
    /// Begins a recovery of the tenant's events to an endpoint of its store. Audited.
    pub async fn begin_recovery(
        &self,
        new: &NewRecovery,
        actor: &'static str,
        now: Timestamp,
    ) -> Result<Begun, StoreError> {
        begin(self.store, Asker { actor, ..self.asker() }, new, now).await
    }

    /// A page of the recoveries that an endpoint of the store had of the tenant's events, newest first.
    pub async fn recoveries(
        &self,
        endpoint: &EndpointId,
        before: Option<&RecoveryId>,
        most: u64,
    ) -> Result<Vec<Recovery>, StoreError> {
        page(self.store, self.asker(), endpoint, before, most).await
    }

    fn asker(&self) -> Asker<'_> {
        Asker { store: Some(&self.tenant.store_id), mode: Some(self.tenant.mode), actor: "" }
    }
}

impl SystemStore<'_> {
    /// Begins a recovery of both worlds' events to an endpoint. Audited.
    pub async fn begin_recovery(&self, new: &NewRecovery, now: Timestamp) -> Result<Begun, StoreError> {
        begin(self.store, self.asker(), new, now).await
    }

    /// A page of an endpoint's recoveries, newest first.
    pub async fn recoveries(
        &self,
        endpoint: &EndpointId,
        before: Option<&RecoveryId>,
        most: u64,
    ) -> Result<Vec<Recovery>, StoreError> {
        page(self.store, self.asker(), endpoint, before, most).await
    }

    /// One recovery.
    pub async fn recovery(&self, id: &RecoveryId) -> Result<Option<Recovery>, StoreError> {
        let values = [id.as_str().into(), "".into(), "".into()];
        row(&self.store.database, ONE, values).await?.as_ref().map(recovery_of).transpose()
    }

    const fn asker(&self) -> Asker<'static> {
        Asker { store: None, mode: None, actor: self.actor() }
    }
}

async fn begin(store: &Store, asker: Asker<'_>, new: &NewRecovery, now: Timestamp) -> Result<Begun, StoreError> {
    if new.since > now || new.since < now - RECOVERY_SPAN {
        return Ok(Begun::OutOfReach);
    }
    let change = store.begin().await?;
    let lock = if store.is_embedded() { "" } else { " FOR NO KEY UPDATE" };
    let values = [new.endpoint.as_str().into(), asker.store().into()];
    let Some(endpoint) = row(change.transaction(), &format!("{ENDPOINT}{lock}"), values).await? else {
        return Ok(Begun::NotFound);
    };
    if column::<i64>(&endpoint, "enabled")? == 0 {
        return Ok(Begun::Disabled);
    }
    if let Some(open) = open(change.transaction(), asker, new).await? {
        let is_same = open.kind == new.kind && open.only == new.only;
        // To walk again over what was recovered changes nothing; over what was replayed it would send it twice.
        if !is_same || (new.kind == RecoveryKind::Replay && new.since < open.since) {
            return Ok(Begun::Busy(open));
        }
        let values = [open.id.as_str().into(), now.as_millis().into(), new.since.as_millis().into()];
        execute(change.transaction(), EXTEND, values).await?;
        change.commit().await?;
        return Ok(Begun::Joined(Recovery { since: open.since.min(new.since), until: now, ..open }));
    }
    let store_id: StoreId = parsed(&endpoint, "store_id")?;
    let id = RecoveryId::mint(now, random::bytes());
    let values = [
        id.as_str().into(),
        new.endpoint.as_str().into(),
        store_id.as_str().into(),
        asker.mode().into(),
        new.kind.as_str().into(),
        new.only.map_or("", DeliveryState::as_str).into(),
        new.since.as_millis().into(),
        now.as_millis().into(),
    ];
    execute(change.transaction(), INSERT, values).await?;
    let action = match new.kind {
        RecoveryKind::Recover => "endpoint.recover",
        RecoveryKind::Replay => "endpoint.replay",
    };
    let detail = new.endpoint.as_str();
    audit(&change, AuditLine { actor: asker.actor, store: Some(&store_id), action, detail, at: now }).await?;
    let started = open(change.transaction(), asker, new).await?;
    change.commit().await?;
    started.map(Begun::Started).ok_or_else(|| StoreError::corrupt("recoveries", "a row that was added is not there"))
}

/// The recovery of the same events that this endpoint has.
async fn open(
    transaction: &DatabaseTransaction,
    asker: Asker<'_>,
    new: &NewRecovery,
) -> Result<Option<Recovery>, StoreError> {
    let values = [new.endpoint.as_str().into(), asker.mode().into()];
    row(transaction, OPEN, values).await?.as_ref().map(recovery_of).transpose()
}

async fn page(
    store: &Store,
    asker: Asker<'_>,
    endpoint: &EndpointId,
    before: Option<&RecoveryId>,
    most: u64,
) -> Result<Vec<Recovery>, StoreError> {
    let values = [
        endpoint.as_str().into(),
        asker.store().into(),
        asker.mode().into(),
        before.map_or("", RecoveryId::as_str).into(),
        limit(most.min(PAGE_ITEMS)),
    ];
    rows(&store.database, PAGE, values).await?.iter().map(recovery_of).collect()
}

fn recovery_of(row: &QueryResult) -> Result<Recovery, StoreError> {
    let mode: String = column(row, "mode")?;
    let only: String = column(row, "only_state")?;
    Ok(Recovery {
        id: parsed(row, "id")?,
        endpoint: parsed(row, "endpoint_id")?,
        kind: parsed(row, "kind")?,
        mode: KeyMode::parse(&mode),
        only: DeliveryState::parse(&only),
        since: time(row, "since")?,
        until: time(row, "until")?,
        reached: time(row, "reached_at")?,
        looked_at: count(row, "looked_at")?,
        planned: count(row, "planned")?,
        revived: count(row, "revived")?,
        hastened: count(row, "hastened")?,
        created_at: time(row, "created_at")?,
        finished_at: optional_time(row, "finished_at")?,
        stopped_reason: column(row, "stopped_reason")?,
    })
}
