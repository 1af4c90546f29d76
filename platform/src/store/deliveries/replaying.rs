//! Sending one delivery again. Many are sent again by a replay: see `recovering`.

use touchstone_schema::ids::{DeliveryId, StoreId};
use touchstone_schema::tenant::Tenant;
use touchstone_schema::time::Timestamp;

use super::DeliveryView;
use super::log::one;
use super::ordering::PARKED;
use crate::store::accounts::{AuditLine, audit};
use crate::store::database::{column, execute, parsed, row};
use crate::store::{Store, StoreError, SystemStore, TenantStore};

/// What became of a delivery that was to be sent again.
#[derive(Debug)]
pub enum Replayed {
    /// It is due, or under way already; of an ordered endpoint it stands in line.
    Due(Box<DeliveryView>),
    /// Its endpoint is switched off: it would die at once.
    Disabled,
    /// There is no such delivery.
    NotFound,
}

const ENDPOINT: &str = "
SELECT p.store_id, p.enabled FROM deliveries d JOIN endpoints p ON p.id = d.endpoint_id WHERE d.id = $1";

/// Attempts are counted anew. One of an ordered endpoint takes its place in the line, where the notifier finds it.
const AGAIN: &str = "
UPDATE deliveries AS d SET state = 'pending', attempts = 0, leased_until = 0, last_error = NULL,
    due_at = CASE WHEN p.ordered = 1 THEN {parked} ELSE $2 END,
    position = CASE WHEN p.ordered = 1 AND d.position = 0 THEN 1 ELSE d.position END
FROM endpoints p
WHERE p.id = d.endpoint_id AND d.id = $1 AND d.state <> 'pending'";

/// One that waits for another attempt need not wait; the attempts that it had count.
const HASTEN: &str = "
UPDATE deliveries SET due_at = $2
WHERE id = $1 AND state = 'pending' AND leased_until <= $2 AND due_at > $2 AND due_at < {parked}";

impl TenantStore<'_> {
    /// Sends a delivery of an event of the tenant again. Audited.
    pub async fn replay_delivery(
        &self,
        id: &DeliveryId,
        actor: &'static str,
        now: Timestamp,
    ) -> Result<Replayed, StoreError> {
        replay(self.store, Some(self.tenant), id, actor, now).await
    }
}

impl SystemStore<'_> {
    /// Sends a delivery again. Audited.
    pub async fn replay_delivery(&self, id: &DeliveryId, now: Timestamp) -> Result<Replayed, StoreError> {
        replay(self.store, None, id, self.actor(), now).await
    }
}

async fn replay(
    store: &Store,
    tenant: Option<&Tenant>,
    id: &DeliveryId,
    actor: &'static str,
    now: Timestamp,
) -> Result<Replayed, StoreError> {
    if one(store, tenant, id).await?.is_none() {
        return Ok(Replayed::NotFound);
    }
    let change = store.begin().await?;
    let Some(endpoint) = row(change.transaction(), ENDPOINT, [id.as_str().into()]).await? else {
        return Ok(Replayed::NotFound);
    };
    if column::<i64>(&endpoint, "enabled")? == 0 {
        return Ok(Replayed::Disabled);
    }
    let mut changed = 0;
    for statement in [HASTEN, AGAIN] {
        let statement = statement.replace("{parked}", &PARKED.to_string());
        let values = [id.as_str().into(), now.as_millis().into()];
        changed += execute(change.transaction(), &statement, values).await?;
    }
    if changed > 0 {
        let store_id: StoreId = parsed(&endpoint, "store_id")?;
        let line = AuditLine { actor, store: Some(&store_id), action: "delivery.replay", detail: id.as_str(), at: now };
        audit(&change, line).await?;
    }
    change.commit().await?;
    let now_so = one(store, tenant, id).await?;
    Ok(now_so.map_or(Replayed::NotFound, |view| Replayed::Due(Box::new(view))))
}
