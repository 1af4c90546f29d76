//! API keys.

use sea_orm::QueryResult;
use touchstone_schema::ids::{KeyId, StoreId};
use touchstone_schema::time::Timestamp;

use super::{AuditLine, KeyRow, audit, joined, list, optional_time, previous_secret, time, touch_directory};
use crate::store::database::{column, execute, parsed, row, rows};
use crate::store::{StoreError, SystemStore};

impl SystemStore<'_> {
    /// Adds a key.
    pub async fn add_key(&self, row: &KeyRow) -> Result<(), StoreError> {
        let change = self.store.begin().await?;
        touch_directory(&change).await?;
        let values = vec![
            row.id.as_str().into(),
            row.store_id.as_str().into(),
            row.mode.as_str().into(),
            row.prefix.as_str().into(),
            row.key_hash.as_str().into(),
            row.pepper_id.as_str().into(),
            row.key_mac.clone().into(),
            row.sealed_hmac_secret.clone().into(),
            row.password_hash.as_str().into(),
            joined(&row.scopes).into(),
            row.created_at.as_millis().into(),
            row.password_mac.clone().into(),
        ];
        let sql = "INSERT INTO api_keys (id, store_id, mode, prefix, key_hash, pepper_id, key_mac, sealed_hmac_secret,
            password_hash, scopes, created_at, password_mac)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";
        execute(change.transaction(), sql, values).await?;
        let line = AuditLine {
            actor: self.actor(),
            store: Some(&row.store_id),
            action: "key.create",
            detail: row.id.as_str(),
            at: row.created_at,
        };
        audit(&change, line).await?;
        change.commit().await
    }

    /// One key, revoked or not.
    pub async fn key(&self, id: &KeyId) -> Result<Option<KeyRow>, StoreError> {
        let row = row(&self.store.database, "SELECT * FROM api_keys WHERE id = $1", vec![id.as_str().into()]).await?;
        row.as_ref().map(key_of).transpose()
    }

    /// The keys of a store, revoked ones included, oldest first.
    pub async fn keys(&self, store: &StoreId) -> Result<Vec<KeyRow>, StoreError> {
        let sql = "SELECT * FROM api_keys WHERE store_id = $1 ORDER BY created_at, id";
        rows(&self.store.database, sql, vec![store.as_str().into()]).await?.iter().map(key_of).collect()
    }

    /// Gives a key a fresh HMAC secret; the present one stays valid until `previous_until` (none: ends now). False when
    /// there is no such key, or it is revoked. Audited.
    pub async fn rotate_key(
        &self,
        id: &KeyId,
        sealed_secret: &[u8],
        previous_until: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let sql =
            "UPDATE api_keys SET previous_hmac_secret = CASE WHEN $3 IS NULL THEN NULL ELSE sealed_hmac_secret END,
            previous_until = $3, sealed_hmac_secret = $2 WHERE id = $1 AND revoked_at IS NULL";
        let until = previous_until.map(Timestamp::as_millis);
        self.change_key(id, sql, vec![sealed_secret.to_vec().into(), until.into()], "key.rotate", now).await
    }

    /// Revokes a key; false when there is no such key. Revoking it again keeps the first time. Audited.
    pub async fn revoke_key(&self, id: &KeyId, now: Timestamp) -> Result<bool, StoreError> {
        let sql = "UPDATE api_keys SET revoked_at = COALESCE(revoked_at, $2) WHERE id = $1";
        self.change_key(id, sql, vec![now.as_millis().into()], "key.revoke", now).await
    }

    /// Runs an update whose first parameter is the key, with its audit line.
    async fn change_key(
        &self,
        id: &KeyId,
        sql: &str,
        mut values: Vec<sea_orm::Value>,
        action: &'static str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let Some(key) = self.key(id).await? else { return Ok(false) };
        values.insert(0, id.as_str().into());
        let change = self.store.begin().await?;
        touch_directory(&change).await?;
        let found = execute(change.transaction(), sql, values).await? > 0;
        if found {
            let line =
                AuditLine { actor: self.actor(), store: Some(&key.store_id), action, detail: id.as_str(), at: now };
            audit(&change, line).await?;
        }
        change.commit().await?;
        Ok(found)
    }
}

pub(super) fn key_of(row: &QueryResult) -> Result<KeyRow, StoreError> {
    Ok(KeyRow {
        id: parsed(row, "id")?,
        store_id: parsed(row, "store_id")?,
        mode: parsed(row, "mode")?,
        prefix: column(row, "prefix")?,
        key_hash: column(row, "key_hash")?,
        pepper_id: column(row, "pepper_id")?,
        key_mac: column(row, "key_mac")?,
        sealed_hmac_secret: column(row, "sealed_hmac_secret")?,
        previous_hmac_secret: previous_secret(row, "previous_hmac_secret")?,
        password_hash: column(row, "password_hash")?,
        password_mac: column(row, "password_mac")?,
        scopes: list(row, "scopes")?,
        created_at: time(row, "created_at")?,
        revoked_at: optional_time(row, "revoked_at")?,
    })
}
