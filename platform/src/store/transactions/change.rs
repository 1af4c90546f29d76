//! Decisions and outcomes: each changes its transaction's row and adds an event, under that row's lock.

pub(super) mod checks;
mod ending;

use std::sync::LazyLock;

use sea_orm::DbBackend;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use touchstone_schema::event::{Event, EventKind};
use touchstone_schema::ids::{EventId, RequestId, TransactionId};
use touchstone_schema::money::{Currency, Money};
use touchstone_schema::tenant::{Surface, Tenant};
use touchstone_schema::time::Timestamp;
use touchstone_schema::verdict::{TransactionStatus, VerdictMode};

use super::super::database::{Change, column, count, execute, parsed, row};
use super::super::events::insert_event;
use super::super::history::remember;
use super::super::holds::{follow_decision, follow_outcome, waits_for_a_person};
use super::super::{Store, StoreError};
use super::read::{ended_by, scoped, standing_before_verdict};
use super::{Decided, Decision, NewDecision, NewOutcome, OutcomeKind, OutcomeTaken, Standing};

pub(in crate::store) use ending::is_open;

/// Times that a change is made again after it and a scorer's met on one transaction.
const COLLISIONS: u32 = 3;

/// PostgreSQL locks the row; SQLite's transaction has the whole database. The verdict is read afterwards: a statement that
/// waited for the lock sees the transaction as it is by then, but not the revision that came with that.
const OPEN: &str =
    "SELECT order_id, surface, status, ended_by, revision, sequence, currency, received_at FROM transactions
  WHERE id = $1 AND store_id = $2 AND mode = $3";

const VERDICT: &str = "SELECT verdict FROM revisions WHERE transaction_id = $1 AND revision = $2";

const DECIDED: &str = "SELECT decision FROM decisions WHERE transaction_id = $1 AND revision = $2 AND store_id = $3";

const DECIDE: &str = "INSERT INTO decisions (transaction_id, revision, store_id, decision, reviewer, note, decided_at)
  VALUES ($1, $2, $3, $4, $5, $6, $7)";

const MOVE: &str = "UPDATE transactions SET status = $3, sequence = $4 WHERE id = $1 AND store_id = $2";

const END: &str = "UPDATE transactions SET ended_by = $3, ended_at = $4 WHERE id = $1 AND store_id = $2";

/// An order that has no verdict yet. Whoever records the verdict locks it too, so that one of the two sees the other.
const PENDING: &str = "SELECT submission_id FROM pending WHERE transaction_id = $1 AND store_id = $2 AND mode = $3";

const OUTCOME: &str = "INSERT INTO outcomes (transaction_id, kind, occurred_at, store_id, amount_minor, recorded_at)
  VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING";

/// A transaction whose row is locked.
pub(in crate::store) struct Open<'a> {
    tenant: &'a Tenant,
    pub(in crate::store) id: &'a TransactionId,
    pub(in crate::store) order_id: String,
    surface: Surface,
    pub(in crate::store) status: TransactionStatus,
    ended_by: Option<OutcomeKind>,
    pub(in crate::store) revision: u32,
    sequence: u32,
    currency: String,
    received_at: Timestamp,
    pub(in crate::store) mode: VerdictMode,
}

impl Open<'_> {
    /// The number of its next event.
    pub(in crate::store) const fn next_sequence(&self) -> u32 {
        self.sequence + 1
    }

    const fn standing(&self) -> Standing {
        Standing { status: self.status, ended_by: self.ended_by }
    }

    /// Whether it waits for a person. A Centra shop may hold an order whatever its verdict was.
    async fn waits(&self, change: &Change) -> Result<bool, StoreError> {
        match self.status {
            TransactionStatus::Approved if self.surface == Surface::Centra && self.ended_by.is_none() => {
                waits_for_a_person(change, self.id).await
            }
            status => Ok(is_open(status)),
        }
    }

    /// Notes the report that ends it, and says so to a shop that still holds it.
    async fn end(&self, change: &Change, kind: OutcomeKind, now: Timestamp) -> Result<(), StoreError> {
        let store_id = self.tenant.store_id.as_str();
        let values = [self.id.as_str().into(), store_id.into(), kind.as_str().into(), now.as_millis().into()];
        execute(change.transaction(), END, values).await?;
        if self.surface == Surface::Centra {
            follow_outcome(change, self.id, kind, now).await?;
        }
        Ok(())
    }

    /// Its next event.
    pub(in crate::store) fn event(
        &self,
        kind: EventKind,
        occurred_at: Timestamp,
        request_id: &RequestId,
        data: &impl Serialize,
    ) -> Result<Event, StoreError> {
        Ok(Event {
            id: EventId::of_change(self.id, self.next_sequence()),
            tenant: self.tenant.clone(),
            transaction_id: Some(self.id.clone()),
            surface: Some(self.surface),
            kind,
            sequence: self.next_sequence(),
            occurred_at,
            request_id: request_id.clone(),
            trace: None,
            data: to_raw_value(data).map_err(|error| StoreError::corrupt("event", error))?,
        })
    }

    /// Sets its status and newest sequence number, and adds the event.
    pub(in crate::store) async fn tell(
        &self,
        change: &Change,
        status: TransactionStatus,
        event: &Event,
    ) -> Result<(), StoreError> {
        let store_id = self.tenant.store_id.as_str();
        let sequence = i64::from(event.sequence);
        let values = [self.id.as_str().into(), store_id.into(), status.as_str().into(), sequence.into()];
        execute(change.transaction(), MOVE, values).await?;
        insert_event(change.transaction(), event).await
    }
}

/// The `data` of an `order.decided` event (contract: webhooks).
#[derive(Serialize)]
struct DecisionData<'a> {
    transaction_id: &'a TransactionId,
    order_id: &'a str,
    revision: u32,
    sequence: u32,
    mode: VerdictMode,
    decision: Decision,
    reviewer: &'a str,
    note: Option<&'a str>,
    decided_at: String,
    status: TransactionStatus,
}

/// The `data` of an outcome's event (contract: webhooks).
#[derive(Serialize)]
struct OutcomeData<'a> {
    transaction_id: &'a TransactionId,
    order_id: &'a str,
    revision: u32,
    sequence: u32,
    mode: VerdictMode,
    outcome: OutcomeKind,
    occurred_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    amount: Option<Box<RawValue>>,
    currency: &'a str,
    status: TransactionStatus,
}

/// Makes a change again when a scorer's change of the same transaction came between.
pub(super) async fn meeting<T, F: Future<Output = Result<T, StoreError>>>(
    mut change: impl FnMut() -> F,
) -> Result<T, StoreError> {
    let mut collisions = 0;
    loop {
        match change().await {
            Err(error) if collisions < COLLISIONS && error.is_collision() => collisions += 1,
            done => return done,
        }
    }
}

pub(super) async fn decide(
    store: &Store,
    tenant: &Tenant,
    id: &TransactionId,
    new: &NewDecision,
) -> Result<Decided, StoreError> {
    let change = store.begin().await?;
    let Some(open) = lock(&change, tenant, id).await? else {
        let waiting = standing_before_verdict(change.transaction(), tenant, id).await?;
        return Ok(waiting.map_or(Decided::NotFound, Decided::NotOpen));
    };
    let keys = [id.as_str().into(), i64::from(open.revision).into(), tenant.store_id.as_str().into()];
    if let Some(before) = row(change.transaction(), DECIDED, keys).await? {
        let same = parsed::<Decision>(&before, "decision")? == new.decision;
        return Ok(match (same, ending::is_in_force(new.decision, open.status)) {
            (true, true) => Decided::Already(open.standing()),
            (true, false) => Decided::NotOpen(open.standing()),
            (false, _) => Decided::Contrary(open.standing()),
        });
    }
    if !open.waits(&change).await? {
        return Ok(Decided::NotOpen(open.standing()));
    }
    let status = new.decision.status();
    let data = DecisionData {
        transaction_id: id,
        order_id: &open.order_id,
        revision: open.revision,
        sequence: open.next_sequence(),
        mode: open.mode,
        decision: new.decision,
        reviewer: &new.reviewer,
        note: new.note.as_deref(),
        decided_at: new.now.to_rfc3339(),
        status,
    };
    let event = open.event(EventKind::OrderDecided, new.now, &new.request_id, &data)?;
    let values = [
        id.as_str().into(),
        i64::from(open.revision).into(),
        tenant.store_id.as_str().into(),
        new.decision.as_str().into(),
        new.reviewer.as_str().into(),
        new.note.clone().into(),
        new.now.as_millis().into(),
    ];
    execute(change.transaction(), DECIDE, values).await?;
    open.tell(&change, status, &event).await?;
    if open.surface == Surface::Centra {
        follow_decision(&change, id, new.decision.into(), new.now).await?;
    }
    let entry = remember(&change, id, open.received_at, new.now, new.decision.into()).await?;
    change.commit().await?;
    Ok(Decided::Recorded(Box::new(event), entry))
}

pub(super) async fn record_outcome(
    store: &Store,
    tenant: &Tenant,
    id: &TransactionId,
    new: &NewOutcome,
) -> Result<OutcomeTaken, StoreError> {
    let change = store.begin().await?;
    let mut open = lock(&change, tenant, id).await?;
    if open.is_none() {
        let is_promised = lock_promise(&change, tenant, id).await?;
        // Its verdict may have come while the promise was locked for that.
        open = lock(&change, tenant, id).await?;
        if open.is_none() && !is_promised {
            return Ok(OutcomeTaken::NotFound);
        }
    }
    let values = [
        id.as_str().into(),
        new.kind.as_str().into(),
        new.occurred_at.as_millis().into(),
        tenant.store_id.as_str().into(),
        new.amount_minor.into(),
        new.now.as_millis().into(),
    ];
    if execute(change.transaction(), OUTCOME, values).await? == 0 {
        return Ok(OutcomeTaken::Already);
    }
    let (event, entry) = match open {
        Some(open) => {
            let status = new.kind.status_after(open.status, open.waits(&change).await?);
            let event = outcome_event(&open, new, status)?;
            open.tell(&change, status, &event).await?;
            if new.kind.is_ending() {
                open.end(&change, new.kind, new.now).await?;
            }
            (Some(Box::new(event)), remember(&change, id, open.received_at, new.now, new.kind.into()).await?)
        }
        None => (None, None),
    };
    change.commit().await?;
    Ok(OutcomeTaken::Recorded(event, entry))
}

fn outcome_event(open: &Open<'_>, new: &NewOutcome, status: TransactionStatus) -> Result<Event, StoreError> {
    let kind = match new.kind {
        OutcomeKind::ChargebackOpened => EventKind::ChargebackOpened,
        OutcomeKind::ChargebackUpheld => EventKind::ChargebackUpheld,
        OutcomeKind::ChargebackReversed => EventKind::ChargebackReversed,
        _ => EventKind::OrderStatusChanged,
    };
    let data = OutcomeData {
        transaction_id: open.id,
        order_id: &open.order_id,
        revision: open.revision,
        sequence: open.next_sequence(),
        mode: open.mode,
        outcome: new.kind,
        occurred_at: new.occurred_at.to_rfc3339(),
        amount: decimal(new.amount_minor, &open.currency),
        currency: &open.currency,
        status,
    };
    open.event(kind, new.now, &new.request_id, &data)
}

/// The amount as a JSON number in units of the currency.
fn decimal(minor: Option<i64>, currency: &str) -> Option<Box<RawValue>> {
    let amount = Money::from_minor(minor?, Currency::from_code(currency)?).ok()?;
    RawValue::from_string(amount.to_decimal_text()).ok()
}

/// Locks the promise of a transaction that has no verdict yet; false when there is none, or none any more.
async fn lock_promise(change: &Change, tenant: &Tenant, id: &TransactionId) -> Result<bool, StoreError> {
    static LOCK: LazyLock<String> = LazyLock::new(|| format!("{PENDING} FOR UPDATE"));
    let text = if is_embedded(change) { PENDING } else { &LOCK };
    Ok(row(change.transaction(), text, scoped(tenant, id)).await?.is_some())
}

fn is_embedded(change: &Change) -> bool {
    use sea_orm::ConnectionTrait;
    change.transaction().get_database_backend() == DbBackend::Sqlite
}

/// Locks a transaction of the tenant that has a verdict.
pub(in crate::store) async fn lock<'a>(
    change: &Change,
    tenant: &'a Tenant,
    id: &'a TransactionId,
) -> Result<Option<Open<'a>>, StoreError> {
    #[derive(serde::Deserialize)]
    struct WithMode {
        mode: VerdictMode,
    }
    static LOCK: LazyLock<String> = LazyLock::new(|| format!("{OPEN} FOR UPDATE"));
    let text = if is_embedded(change) { OPEN } else { &LOCK };
    let Some(found) = row(change.transaction(), text, scoped(tenant, id)).await? else { return Ok(None) };
    let revision = column::<i64>(&found, "revision")?;
    let Some(verdict) = row(change.transaction(), VERDICT, [id.as_str().into(), revision.into()]).await? else {
        return Ok(None);
    };
    let verdict: WithMode = serde_json::from_str(&column::<String>(&verdict, "verdict")?)
        .map_err(|error| StoreError::corrupt("verdict", error))?;
    Ok(Some(Open {
        tenant,
        id,
        order_id: column(&found, "order_id")?,
        surface: parsed(&found, "surface")?,
        status: parsed(&found, "status")?,
        ended_by: ended_by(&found)?,
        revision: count(&found, "revision")?,
        sequence: count(&found, "sequence")?,
        currency: column(&found, "currency")?,
        received_at: Timestamp::from_millis(column(&found, "received_at")?),
        mode: verdict.mode,
    }))
}
