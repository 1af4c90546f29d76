//! Leasing deliveries that are due, and giving leases back.

use sea_orm::{QueryResult, Value};
use touchstone_schema::ids::{DeliveryId, EndpointId};
use touchstone_schema::time::Timestamp;

use super::{DueDelivery, Left, due_delivery};
use crate::store::database::{column, count, execute, parsed, row, rows};
use crate::store::events::{EVENT_AND_ENDPOINT, json};
use crate::store::{StoreError, SystemStore};

/// `last_error` of a delivery whose endpoint was switched off before it arrived.
pub(super) const ENDPOINT_DISABLED: &str = "endpoint_disabled";

/// A due delivery of an endpoint that is switched off is given up, where operators see and can replay it.
const CLAIM_POSTGRES: &str = "
WITH due AS (
    SELECT id, {fresh} FROM deliveries
    WHERE state = 'pending' AND due_at <= $1 AND endpoint_id <> ALL($4)
        AND NOT ($6 AND endpoint_id IN (SELECT id FROM endpoints WHERE rate_limit IS NOT NULL))
    ORDER BY due_at LIMIT $3
    FOR UPDATE SKIP LOCKED
)
UPDATE deliveries d
SET due_at = $2,
    leased_until = $2,
    state = CASE WHEN p.enabled = 1 THEN 'pending' ELSE 'dead' END,
    last_error = CASE WHEN p.enabled = 1 THEN d.last_error ELSE $5 END
FROM due, events e, endpoints p
WHERE d.id = due.id AND e.id = d.event_id AND p.id = d.endpoint_id
RETURNING d.id AS delivery_id, d.attempts, due.fresh, p.enabled, {columns}";

const CLAIM_SQLITE: &str = "
SELECT d.id AS delivery_id, d.attempts, d.fresh, p.enabled, {columns}
FROM (
    SELECT id, attempts, {fresh}, event_id, endpoint_id FROM deliveries
    WHERE state = 'pending' AND due_at <= $1 AND endpoint_id NOT IN (SELECT value FROM json_each($3))
        AND NOT ($4 AND endpoint_id IN (SELECT id FROM endpoints WHERE rate_limit IS NOT NULL))
    ORDER BY due_at LIMIT $2
) d JOIN events e ON e.id = d.event_id JOIN endpoints p ON p.id = d.endpoint_id";

/// Due since it was planned, so never put off.
const FRESH: &str = "CAST(CASE WHEN due_at = created_at THEN 1 ELSE 0 END AS BIGINT) AS fresh";

const LEASE_SQLITE: &str = "
UPDATE deliveries SET due_at = $2, leased_until = $2 WHERE id IN (SELECT value FROM json_each($1))";

const GIVE_UP_SQLITE: &str = "
UPDATE deliveries SET state = 'dead', last_error = $2 WHERE id IN (SELECT value FROM json_each($1))";

const NEXT_DUE: &str = "SELECT due_at FROM deliveries WHERE state = 'pending' ORDER BY due_at LIMIT 1";

/// See [`super::recording`] on what is pending.
const GIVE_BACK_POSTGRES: &str = "
UPDATE deliveries d SET due_at = given.due_at, leased_until = 0
FROM UNNEST($1::text[], $2::bigint[], $3::bigint[]) AS given (id, leased_until, due_at)
WHERE d.id = given.id AND d.state NOT IN ('delivered', 'dead') AND d.leased_until = given.leased_until";

const GIVE_BACK_SQLITE: &str = "
UPDATE deliveries SET due_at = given.due_at, leased_until = 0
FROM (SELECT value ->> 0 AS id, value ->> 1 AS leased_until, value ->> 2 AS due_at FROM json_each($1)) AS given
WHERE deliveries.id = given.id AND deliveries.state = 'pending' AND deliveries.leased_until = given.leased_until";

const POSTPONE: &str = "
UPDATE deliveries SET due_at = $3 WHERE state = 'pending' AND due_at <= $2 AND endpoint_id = $1";

/// Deliveries that were put off before any attempt: by a limit, or while their endpoint only timed out.
const DUE_NOW: &str = "
UPDATE deliveries SET due_at = $2
WHERE id IN (SELECT id FROM deliveries WHERE endpoint_id = $1 AND state = 'pending' AND attempts = 0
    AND leased_until = 0 AND due_at > $2 AND position = 0 {skip})";

/// [`DUE_NOW`] for a database; rows that a notifier works on are passed over.
pub(in crate::store) fn due_now(embedded: bool) -> String {
    DUE_NOW.replace("{skip}", if embedded { "" } else { "FOR UPDATE SKIP LOCKED" })
}

/// A lease that was not used.
#[derive(Debug, Clone)]
pub struct GivenBack {
    /// The delivery.
    pub delivery: DeliveryId,
    /// When the lease ends.
    pub leased_until: Timestamp,
    /// When the delivery shall be due.
    pub due: Timestamp,
}

impl SystemStore<'_> {
    /// Leases up to `most` deliveries that are due and not leased by anyone, oldest due first, but for those that are
    /// `left`.
    pub async fn claim_due(
        &self,
        now: Timestamp,
        lease_until: Timestamp,
        most: u64,
        left: Left<'_>,
    ) -> Result<Vec<DueDelivery>, StoreError> {
        if self.store.is_embedded() {
            return self.claim_due_embedded(now, lease_until, most, left).await;
        }
        static CLAIM: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| {
            CLAIM_POSTGRES.replace("{columns}", EVENT_AND_ENDPOINT).replace("{fresh}", FRESH)
        });
        let values = [
            now.as_millis().into(),
            lease_until.as_millis().into(),
            limit(most),
            Value::from(left.busy.iter().map(|id| id.as_str().to_owned()).collect::<Vec<_>>()),
            ENDPOINT_DISABLED.into(),
            left.limited.into(),
        ];
        let mut claimed = Vec::new();
        for found in rows(&self.store.database, &CLAIM, values).await? {
            if column::<i64>(&found, "enabled")? == 1 {
                claimed.push(due_delivery(&found, parsed(&found, "delivery_id")?, standing(&found)?, now)?);
            }
        }
        Ok(claimed)
    }

    async fn claim_due_embedded(
        &self,
        now: Timestamp,
        lease_until: Timestamp,
        most: u64,
        left: Left<'_>,
    ) -> Result<Vec<DueDelivery>, StoreError> {
        static CLAIM: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| {
            CLAIM_SQLITE.replace("{columns}", EVENT_AND_ENDPOINT).replace("{fresh}", FRESH)
        });
        // Nearly always nothing is due: a look that takes no write lock comes first.
        if self.next_due().await?.is_none_or(|due| due > now) {
            return Ok(Vec::new());
        }
        let change = self.store.begin().await?;
        let busy = json(&left.busy.iter().map(EndpointId::as_str).collect::<Vec<_>>());
        let values = [now.as_millis().into(), limit(most), busy.into(), left.limited.into()];
        let mut claimed = Vec::new();
        let mut given_up = Vec::new();
        for found in rows(change.transaction(), &CLAIM, values).await? {
            let id: DeliveryId = parsed(&found, "delivery_id")?;
            if column::<i64>(&found, "enabled")? == 1 {
                claimed.push(due_delivery(&found, id, standing(&found)?, now)?);
            } else {
                given_up.push(id);
            }
        }
        let leased = json(&claimed.iter().map(|delivery| delivery.id.as_str()).collect::<Vec<_>>());
        execute(change.transaction(), LEASE_SQLITE, [leased.into(), lease_until.as_millis().into()]).await?;
        if !given_up.is_empty() {
            let values = [json(&given_up).into(), ENDPOINT_DISABLED.into()];
            execute(change.transaction(), GIVE_UP_SQLITE, values).await?;
        }
        change.commit().await?;
        Ok(claimed)
    }

    /// When the next pending delivery falls due or a lease runs out.
    pub async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        let found = row(&self.store.database, NEXT_DUE, []).await?;
        found.map(|found| column(&found, "due_at").map(Timestamp::from_millis)).transpose()
    }

    /// Gives leases back: their deliveries are due as they say. One that another notifier holds by now stays as it is.
    pub async fn give_back(&self, leases: &[GivenBack]) -> Result<(), StoreError> {
        let change = self.store.begin().await?;
        if self.store.is_embedded() {
            let given: Vec<_> = leases
                .iter()
                .map(|one| serde_json::json!([one.delivery, one.leased_until.as_millis(), one.due.as_millis()]))
                .collect();
            execute(change.transaction(), GIVE_BACK_SQLITE, [json(&given).into()]).await?;
        } else {
            let numbers = |of: fn(&GivenBack) -> Timestamp| {
                Value::from(leases.iter().map(|one| of(one).as_millis()).collect::<Vec<_>>())
            };
            let ids = leases.iter().map(|one| one.delivery.as_str().to_owned()).collect::<Vec<_>>();
            let values = [Value::from(ids), numbers(|one| one.leased_until), numbers(|one| one.due)];
            execute(change.transaction(), GIVE_BACK_POSTGRES, values).await?;
        }
        change.commit().await
    }

    /// Has everything that is due of an endpoint, and that nobody has leased, be due at `due`.
    pub async fn postpone(&self, endpoint: &EndpointId, now: Timestamp, due: Timestamp) -> Result<(), StoreError> {
        let change = self.store.begin().await?;
        let values = [endpoint.as_str().into(), now.as_millis().into(), due.as_millis().into()];
        execute(change.transaction(), POSTPONE, values).await?;
        change.commit().await
    }
}

/// The attempts that were made, and whether it was never put off.
fn standing(row: &QueryResult) -> Result<(u32, bool), StoreError> {
    Ok((count(row, "attempts")?, column::<i64>(row, "fresh")? == 1))
}

pub(super) fn limit(most: u64) -> Value {
    i64::try_from(most).unwrap_or(i64::MAX).into()
}
