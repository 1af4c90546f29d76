//! Webhook endpoints.

use sea_orm::QueryResult;
use touchstone_schema::ids::{EndpointId, StoreId};
use touchstone_schema::time::Timestamp;

use super::{AuditLine, EndpointRow, audit, joined, list, optional_time, previous_secret, time};
use crate::store::database::{column, execute, parsed, row, rows};
use crate::store::{StoreError, SystemStore};

impl SystemStore<'_> {
    /// Adds an endpoint.
    pub async fn add_endpoint(&self, row: &EndpointRow) -> Result<(), StoreError> {
        let change = self.store.begin().await?;
        let values = vec![
            row.id.as_str().into(),
            row.store_id.as_str().into(),
            row.url.as_str().into(),
            joined(&row.events).into(),
            row.sealed_secret.clone().into(),
            i64::from(row.enabled).into(),
            row.created_at.as_millis().into(),
        ];
        let sql = "INSERT INTO endpoints (id, store_id, url, events, sealed_secret, enabled, created_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7)";
        execute(change.transaction(), sql, values).await?;
        let line = AuditLine {
            actor: self.actor(),
            store: Some(&row.store_id),
            action: "endpoint.create",
            detail: row.id.as_str(),
            at: row.created_at,
        };
        audit(&change, line).await?;
        change.commit().await
    }

    /// One endpoint.
    pub async fn endpoint(&self, id: &EndpointId) -> Result<Option<EndpointRow>, StoreError> {
        let row = row(&self.store.database, "SELECT * FROM endpoints WHERE id = $1", vec![id.as_str().into()]).await?;
        row.as_ref().map(endpoint_of).transpose()
    }

    /// The endpoints of a store, oldest first.
    pub async fn endpoints(&self, store: &StoreId) -> Result<Vec<EndpointRow>, StoreError> {
        let sql = "SELECT * FROM endpoints WHERE store_id = $1 ORDER BY created_at, id";
        rows(&self.store.database, sql, vec![store.as_str().into()]).await?.iter().map(endpoint_of).collect()
    }

    /// Switches an endpoint on or off; false when there is no such endpoint. Switching it on forgets its failures.
    /// Audited.
    pub async fn set_endpoint_enabled(
        &self,
        id: &EndpointId,
        enabled: bool,
        reason: Option<&str>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let sql = "UPDATE endpoints SET enabled = $2, disabled_reason = $3,
            failing_since = CASE WHEN $2 = 1 THEN NULL ELSE failing_since END WHERE id = $1";
        let reason = reason.filter(|_| !enabled);
        let action = if enabled { "endpoint.enable" } else { "endpoint.disable" };
        self.change_endpoint(id, sql, vec![i64::from(enabled).into(), reason.into()], action, now).await
    }

    /// Gives an endpoint a fresh secret; the present one signs along until `previous_until`. False when there is no such
    /// endpoint. Audited.
    pub async fn rotate_endpoint(
        &self,
        id: &EndpointId,
        sealed_secret: &[u8],
        previous_until: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let sql = "UPDATE endpoints SET previous_secret = CASE WHEN $3 IS NULL THEN NULL ELSE sealed_secret END,
            previous_until = $3, sealed_secret = $2 WHERE id = $1";
        let until = previous_until.map(Timestamp::as_millis);
        self.change_endpoint(id, sql, vec![sealed_secret.to_vec().into(), until.into()], "endpoint.rotate", now).await
    }

    /// Runs an update whose first parameter is the endpoint, with its audit line.
    async fn change_endpoint(
        &self,
        id: &EndpointId,
        sql: &str,
        mut values: Vec<sea_orm::Value>,
        action: &'static str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let Some(endpoint) = self.endpoint(id).await? else { return Ok(false) };
        values.insert(0, id.as_str().into());
        let change = self.store.begin().await?;
        let found = execute(change.transaction(), sql, values).await? > 0;
        if found {
            let line = AuditLine {
                actor: self.actor(),
                store: Some(&endpoint.store_id),
                action,
                detail: id.as_str(),
                at: now,
            };
            audit(&change, line).await?;
        }
        change.commit().await?;
        Ok(found)
    }
}

fn endpoint_of(row: &QueryResult) -> Result<EndpointRow, StoreError> {
    Ok(EndpointRow {
        id: parsed(row, "id")?,
        store_id: parsed(row, "store_id")?,
        url: column(row, "url")?,
        events: list(row, "events")?,
        sealed_secret: column(row, "sealed_secret")?,
        previous_secret: previous_secret(row, "previous_secret")?,
        enabled: column::<i64>(row, "enabled")? != 0,
        disabled_reason: column(row, "disabled_reason")?,
        failing_since: optional_time(row, "failing_since")?,
        created_at: time(row, "created_at")?,
    })
}
