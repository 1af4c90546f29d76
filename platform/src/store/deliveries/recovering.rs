//! Recovering an endpoint: what died or still waits is attempted again now. And forgetting old attempts.
//!
//! Guarantee: a delivery that a notifier has leased is left alone, so none is ever attempted twice at once. Each page commits
//! by itself: what was recovered stays so when the caller is interrupted, and may be asked for again.

use sea_orm::Value;
use touchstone_schema::ids::{DeliveryId, EndpointId, StoreId};
use touchstone_schema::time::Timestamp;

use super::claiming::limit;
use super::ordering::PARKED;
use crate::store::accounts::{AuditLine, audit};
use crate::store::database::{execute, parsed, rows};
use crate::store::events::json;
use crate::store::{StoreError, SystemStore};

/// Deliveries recovered in one transaction.
const RECOVERED_TOGETHER: u64 = 500;

const PAGE: &str = "
SELECT id FROM deliveries
WHERE store_id = $1 AND endpoint_id = $2 AND id > $3 AND created_at >= $4 AND state IN ('dead', 'pending')
ORDER BY id LIMIT $5";

/// What is dead begins anew, in the line of an ordered endpoint.
const REVIVE: &str = "
UPDATE deliveries AS d SET state = 'pending', attempts = 0, leased_until = 0, last_error = NULL,
    due_at = CASE WHEN p.ordered = 1 THEN {parked} ELSE $2 END,
    position = CASE WHEN p.ordered = 1 AND d.position = 0 THEN 1 ELSE d.position END
FROM endpoints p
WHERE p.id = d.endpoint_id AND d.state = 'dead' AND d.id {any}";

/// What waits for another attempt need not wait; the attempts that it had count.
const HASTEN: &str = "
UPDATE deliveries SET due_at = $2
WHERE state = 'pending' AND leased_until <= $2 AND due_at > $2 AND due_at < {parked} AND id {any}";

const FORGET: &str = "
DELETE FROM attempts WHERE (delivery_id, number, started_at) IN (
    SELECT delivery_id, number, started_at FROM attempts
    WHERE delivery_id < $1 AND started_at < $2
    ORDER BY delivery_id LIMIT $3)";

/// What one page of a recovery came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Dead deliveries that begin anew.
    pub dead: u64,
    /// Waiting deliveries whose next attempt is due now.
    pub waiting: u64,
    /// Where the next page begins; none when this was the last.
    pub next: Option<DeliveryId>,
}

impl SystemStore<'_> {
    /// Recovers a page of an endpoint's deliveries that were planned since `since`, those after `after`. Audited.
    pub async fn recover(
        &self,
        (store, endpoint): (&StoreId, &EndpointId),
        since: Timestamp,
        after: Option<&DeliveryId>,
        now: Timestamp,
    ) -> Result<Recovered, StoreError> {
        // An id begins with the time of its planning, so the index by store finds where to begin.
        let first = DeliveryId::mint(since, [0; 10]);
        let values = [
            store.as_str().into(),
            endpoint.as_str().into(),
            after.unwrap_or(&first).as_str().into(),
            since.as_millis().into(),
            limit(RECOVERED_TOGETHER),
        ];
        let change = self.store.begin().await?;
        let found = rows(change.transaction(), PAGE, values).await?;
        let page = found.iter().map(|row| parsed(row, "id")).collect::<Result<Vec<DeliveryId>, _>>()?;
        let Some(last) = page.last().cloned() else { return Ok(Recovered::default()) };
        let ids = page.iter().map(|id| id.as_str().to_owned()).collect::<Vec<_>>();
        let (any, ids) = if self.store.is_embedded() {
            ("IN (SELECT value FROM json_each($1))", Value::from(json(&ids)))
        } else {
            ("= ANY($1)", Value::from(ids))
        };
        let filled = |statement: &str| statement.replace("{any}", any).replace("{parked}", &PARKED.to_string());
        let values = [ids, now.as_millis().into()];
        let waiting = execute(change.transaction(), &filled(HASTEN), values.clone()).await?;
        let dead = execute(change.transaction(), &filled(REVIVE), values).await?;
        if dead + waiting > 0 {
            let line = AuditLine {
                actor: self.actor(),
                store: Some(store),
                action: "endpoint.recover",
                detail: endpoint.as_str(),
                at: now,
            };
            audit(&change, line).await?;
        }
        change.commit().await?;
        let next = (page.len() as u64 == RECOVERED_TOGETHER).then_some(last);
        Ok(Recovered { dead, waiting, next })
    }

    /// Deletes up to `most` attempts that began before `before`, of deliveries planned before that. Returns how many.
    pub async fn forget_attempts(&self, before: Timestamp, most: u64) -> Result<u64, StoreError> {
        let first = DeliveryId::mint(before, [0; 10]);
        let values = [first.as_str().into(), before.as_millis().into(), limit(most)];
        let change = self.store.begin().await?;
        let forgotten = execute(change.transaction(), FORGET, values).await?;
        change.commit().await?;
        Ok(forgotten)
    }
}
