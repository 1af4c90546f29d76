//! Connections to Centra shops.

use sea_orm::QueryResult;
use touchstone_schema::centra::{ConnectionSettings, OrderArgument, OrderArguments};
use touchstone_schema::ids::{ConnectionId, StoreId};
use touchstone_schema::time::Timestamp;

use super::{AuditLine, ConnectionRow, audit, optional_time, time, touch_directory};
use crate::store::database::{column, execute, parsed, row, rows};
use crate::store::{StoreError, SystemStore};

impl SystemStore<'_> {
    /// Adds a connection. Its first sweep is due at once.
    pub async fn add_connection(&self, row: &ConnectionRow) -> Result<(), StoreError> {
        let change = self.store.begin().await?;
        touch_directory(&change).await?;
        let values = vec![
            row.id.as_str().into(),
            row.store_id.as_str().into(),
            row.api_url.as_str().into(),
            row.sealed_token.clone().into(),
            row.token_set_at.as_millis().into(),
            row.path_hash.as_str().into(),
            settings_text(&row.settings)?.into(),
            row.created_at.as_millis().into(),
            row.arguments.map(|_| row.created_at.as_millis()).into(),
            argument_text(row.arguments.and_then(|shown| shown.resume)).into(),
            argument_text(row.arguments.and_then(|shown| shown.cancel)).into(),
        ];
        let sql =
            "INSERT INTO centra_connections (id, store_id, api_url, sealed_token, token_set_at, path_hash, settings,
            created_at, paused_until, leased_until, sweep_due_at, releasing,
            arguments_seen_at, resume_argument, cancel_argument)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0, 0, $8, 0, $9, $10, $11)";
        execute(change.transaction(), sql, values).await?;
        let line = AuditLine {
            actor: self.actor(),
            store: Some(&row.store_id),
            action: "centra.connect",
            detail: row.id.as_str(),
            at: row.created_at,
        };
        audit(&change, line).await?;
        change.commit().await
    }

    /// One connection, ended or not.
    pub async fn connection(&self, id: &ConnectionId) -> Result<Option<ConnectionRow>, StoreError> {
        let sql = "SELECT * FROM centra_connections WHERE id = $1";
        row(&self.store.database, sql, [id.as_str().into()]).await?.as_ref().map(connection_of).transpose()
    }

    /// The connections of a store, or of all when none is named; oldest first, ended ones included.
    pub async fn connections(&self, store: Option<&StoreId>) -> Result<Vec<ConnectionRow>, StoreError> {
        let sql = "SELECT * FROM centra_connections WHERE $1 = '' OR store_id = $1 ORDER BY created_at, id";
        let store = store.map_or("", StoreId::as_str);
        rows(&self.store.database, sql, [store.into()]).await?.iter().map(connection_of).collect()
    }

    /// Replaces the settings; false when there is no such connection, or it has ended. The next sweep is due at once.
    /// Audited.
    pub async fn set_connection(
        &self,
        id: &ConnectionId,
        settings: &ConnectionSettings,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let sql = "UPDATE centra_connections SET settings = $2, sweep_due_at = $3
            WHERE id = $1 AND disconnected_at IS NULL";
        let values = vec![settings_text(settings)?.into(), now.as_millis().into()];
        self.change_connection(id, sql, values, "centra.set", now).await
    }

    /// Gives a connection a fresh token, with which it goes on at once; false when there is no such connection, or it has
    /// ended. Audited.
    pub async fn set_connection_token(
        &self,
        id: &ConnectionId,
        sealed_token: &[u8],
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let sql = "UPDATE centra_connections SET sealed_token = $2, token_set_at = $3, stopped_reason = NULL,
            paused_until = 0, sweep_due_at = $3 WHERE id = $1 AND disconnected_at IS NULL";
        let values = vec![sealed_token.to_vec().into(), now.as_millis().into()];
        self.change_connection(id, sql, values, "centra.set_token", now).await
    }

    /// Keeps the arguments that the shop's mutations take; false when there is no such connection, or it has ended. Audited.
    pub async fn set_connection_arguments(
        &self,
        id: &ConnectionId,
        shown: OrderArguments,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let sql = "UPDATE centra_connections SET arguments_seen_at = $2, resume_argument = $3, cancel_argument = $4
            WHERE id = $1 AND disconnected_at IS NULL";
        let values =
            vec![now.as_millis().into(), argument_text(shown.resume).into(), argument_text(shown.cancel).into()];
        self.change_connection(id, sql, values, "centra.set_arguments", now).await
    }

    /// Gives a connection a fresh path; the present one is taken until `previous_until`. False when there is no such
    /// connection, or it has ended. Audited.
    pub async fn rotate_connection_path(
        &self,
        id: &ConnectionId,
        path_hash: &str,
        previous_until: Timestamp,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let sql = "UPDATE centra_connections SET previous_path_hash = path_hash, previous_until = $3, path_hash = $2
            WHERE id = $1 AND disconnected_at IS NULL";
        let values = vec![path_hash.into(), previous_until.as_millis().into()];
        self.change_connection(id, sql, values, "centra.rotate_path", now).await
    }

    /// Ends a connection: its path is refused, nothing is asked of the shop any more, and its open holds stay as they are.
    /// False when there is no such connection, or it has ended before. Audited.
    pub async fn end_connection(&self, id: &ConnectionId, now: Timestamp) -> Result<bool, StoreError> {
        let sql = "UPDATE centra_connections SET disconnected_at = $2 WHERE id = $1 AND disconnected_at IS NULL";
        self.change_connection(id, sql, vec![now.as_millis().into()], "centra.disconnect", now).await
    }

    /// Runs an update whose first parameter is the connection, with its audit line.
    async fn change_connection(
        &self,
        id: &ConnectionId,
        sql: &str,
        mut values: Vec<sea_orm::Value>,
        action: &'static str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let Some(connection) = self.connection(id).await? else { return Ok(false) };
        values.insert(0, id.as_str().into());
        let change = self.store.begin().await?;
        touch_directory(&change).await?;
        let found = execute(change.transaction(), sql, values).await? > 0;
        if found {
            let store = Some(&connection.store_id);
            audit(&change, AuditLine { actor: self.actor(), store, action, detail: id.as_str(), at: now }).await?;
        }
        change.commit().await?;
        Ok(found)
    }
}

fn settings_text(settings: &ConnectionSettings) -> Result<String, StoreError> {
    serde_json::to_string(settings).map_err(|error| StoreError::corrupt("settings", error))
}

fn argument_text(argument: Option<OrderArgument>) -> Option<&'static str> {
    argument.map(OrderArgument::as_str)
}

fn argument(row: &QueryResult, name: &'static str) -> Result<Option<OrderArgument>, StoreError> {
    let text: Option<String> = column(row, name)?;
    text.map(|text| text.parse().map_err(|error: String| StoreError::corrupt(name, error))).transpose()
}

/// What the shop showed, when it was asked.
fn arguments(row: &QueryResult) -> Result<Option<OrderArguments>, StoreError> {
    let shown = OrderArguments { resume: argument(row, "resume_argument")?, cancel: argument(row, "cancel_argument")? };
    Ok(optional_time(row, "arguments_seen_at")?.map(|_| shown))
}

pub(in crate::store) fn connection_of(row: &QueryResult) -> Result<ConnectionRow, StoreError> {
    let settings: String = column(row, "settings")?;
    let previous_path: Option<String> = column(row, "previous_path_hash")?;
    Ok(ConnectionRow {
        id: parsed(row, "id")?,
        store_id: parsed(row, "store_id")?,
        api_url: column(row, "api_url")?,
        sealed_token: column(row, "sealed_token")?,
        token_set_at: time(row, "token_set_at")?,
        path_hash: column(row, "path_hash")?,
        previous_path: previous_path.zip(optional_time(row, "previous_until")?),
        settings: serde_json::from_str(&settings).map_err(|error| StoreError::corrupt("settings", error))?,
        created_at: time(row, "created_at")?,
        disconnected_at: optional_time(row, "disconnected_at")?,
        stopped_reason: column(row, "stopped_reason")?,
        paused_until: time(row, "paused_until")?,
        swept_at: optional_time(row, "swept_at")?,
        arguments: arguments(row)?,
    })
}
