//! Webhook endpoints.

use sea_orm::{ConnectionTrait, QueryResult, Value};
use touchstone_schema::event::EventKind;
use touchstone_schema::ids::{EndpointId, StoreId};
use touchstone_schema::time::Timestamp;

use super::{AuditLine, audit, joined, list, optional_time, previous_secret, time};
use crate::store::database::{column, execute, parsed, row, rows};
use crate::store::deliveries::{due_now, line_up};
use crate::store::{StoreError, SystemStore};

const CHANGED_AFTER: &str = "SELECT id, version FROM endpoints WHERE version > $1 ORDER BY version LIMIT $2";

const COUNTED: &str = "
UPDATE endpoints SET version = (SELECT version FROM directory_version WHERE id = 3) WHERE id = $1";

/// A row of `endpoints`.
#[derive(Debug, Clone)]
pub struct EndpointRow {
    /// The endpoint.
    pub id: EndpointId,
    /// Its store.
    pub store_id: StoreId,
    /// Where to deliver.
    pub url: String,
    /// Which events it wants; empty means all.
    pub events: Vec<EventKind>,
    /// What it is for, in the merchant's words.
    pub description: String,
    /// Headers of the merchant's own, where there are any.
    pub headers: Option<SealedHeaders>,
    /// Most deliveries a second, of one notifier.
    pub rate_limit: Option<u32>,
    /// Whether its deliveries are attempted one after the other, in the order of their events.
    pub ordered: bool,
    /// Sealed signing secret (context `webhook-secret`).
    pub sealed_secret: Vec<u8>,
    /// The secret before the last rotation, and until when it signs along.
    pub previous_secret: Option<(Vec<u8>, Timestamp)>,
    /// Whether it receives.
    pub enabled: bool,
    /// Why it was disabled.
    pub disabled_reason: Option<String>,
    /// When its present run of failures began.
    pub failing_since: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
}

impl EndpointRow {
    /// An endpoint that is switched on, wants everything as it comes and has no settings yet.
    pub fn new(id: EndpointId, store_id: StoreId, url: &str, sealed_secret: Vec<u8>, created_at: Timestamp) -> Self {
        Self {
            id,
            store_id,
            url: url.to_owned(),
            events: Vec::new(),
            description: String::new(),
            headers: None,
            rate_limit: None,
            ordered: false,
            sealed_secret,
            previous_secret: None,
            enabled: true,
            disabled_reason: None,
            failing_since: None,
            created_at,
        }
    }
}

/// An endpoint's own headers: their values are secrets, so only the names can be told.
#[derive(Debug, Clone)]
pub struct SealedHeaders {
    /// The names, as they were given.
    pub names: Vec<String>,
    /// Names and values, sealed with the context `webhook-headers`.
    pub sealed: Vec<u8>,
}

/// Changes to an endpoint; `None` leaves a setting as it is.
#[derive(Debug, Clone, Default)]
pub struct EndpointChange {
    /// New URL.
    pub url: Option<String>,
    /// New filter; empty means all.
    pub events: Option<Vec<EventKind>>,
    /// New description.
    pub description: Option<String>,
    /// New headers in the place of the old ones, or none.
    pub headers: Option<Option<SealedHeaders>>,
    /// New limit of deliveries a second, or none.
    pub rate_limit: Option<Option<u32>>,
    /// Whether deliveries keep their order.
    pub ordered: Option<bool>,
}

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
            row.description.as_str().into(),
            names_of(row.headers.as_ref()).into(),
            row.headers.as_ref().map(|headers| headers.sealed.clone()).into(),
            row.rate_limit.map(i64::from).into(),
            i64::from(row.ordered).into(),
        ];
        let sql = "INSERT INTO endpoints (id, store_id, url, events, sealed_secret, enabled, created_at, description,
            header_names, sealed_headers, rate_limit, ordered)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";
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

    /// Changes settings of an endpoint; false when there is no such endpoint. One that becomes ordered has what waits put in
    /// line; where the address or the limit is another, what only waits for its first attempt is due at once. Audited.
    pub async fn set_endpoint(
        &self,
        id: &EndpointId,
        settings: &EndpointChange,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let headers = settings.headers.as_ref().map(Option::as_ref);
        let values = vec![
            settings.url.as_deref().into(),
            settings.events.as_deref().map(joined).into(),
            settings.description.as_deref().into(),
            headers.map(names_of).into(),
            headers.flatten().map(|headers| headers.sealed.clone()).into(),
            i64::from(settings.rate_limit.is_some()).into(),
            settings.rate_limit.flatten().map(i64::from).into(),
            settings.ordered.map(i64::from).into(),
        ];
        let sql = "UPDATE endpoints SET url = COALESCE($2, url), events = COALESCE($3, events),
            description = COALESCE($4, description), header_names = COALESCE($5, header_names),
            sealed_headers = CASE WHEN $5 IS NULL THEN sealed_headers ELSE $6 END,
            rate_limit = CASE WHEN $7 = 1 THEN $8 ELSE rate_limit END, ordered = COALESCE($9, ordered)
            WHERE id = $1";
        let embedded = self.store.is_embedded();
        let mut then = Vec::new();
        if settings.url.is_some() || settings.rate_limit.is_some() {
            then.push((due_now(embedded), [id.as_str().into(), now.as_millis().into()]));
        }
        if settings.ordered == Some(true) {
            then.push((line_up(embedded), [id.as_str().into(), now.as_millis().into()]));
        }
        self.change_endpoint_and(id, (sql, values), then, "endpoint.set", now).await
    }

    /// Endpoints that were changed after the change of this number, and the numbers of their last changes, first ones first.
    pub async fn endpoints_changed_after(&self, version: i64, most: u64) -> Result<Vec<(EndpointId, i64)>, StoreError> {
        let values = [version.into(), i64::try_from(most).unwrap_or(i64::MAX).into()];
        let changed = rows(&self.store.database, CHANGED_AFTER, values).await?;
        changed.iter().map(|row| Ok((parsed(row, "id")?, column(row, "version")?))).collect()
    }

    /// Runs an update whose first parameter is the endpoint, with its audit line.
    async fn change_endpoint(
        &self,
        id: &EndpointId,
        sql: &str,
        values: Vec<Value>,
        action: &'static str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.change_endpoint_and(id, (sql, values), Vec::new(), action, now).await
    }

    /// The same, and in the same transaction what follows from it.
    async fn change_endpoint_and(
        &self,
        id: &EndpointId,
        (sql, mut values): (&str, Vec<Value>),
        then: Vec<(String, [Value; 2])>,
        action: &'static str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let Some(endpoint) = self.endpoint(id).await? else { return Ok(false) };
        values.insert(0, id.as_str().into());
        let change = self.store.begin().await?;
        let found = execute(change.transaction(), sql, values).await? > 0;
        if found {
            for (sql, values) in then {
                execute(change.transaction(), &sql, values).await?;
            }
            let line = AuditLine {
                actor: self.actor(),
                store: Some(&endpoint.store_id),
                action,
                detail: id.as_str(),
                at: now,
            };
            audit(&change, line).await?;
            count_change(change.transaction(), id).await?;
        }
        change.commit().await?;
        Ok(found)
    }
}

/// Tells the notifiers that an endpoint has changed. The last step of its transaction: whoever waits for the counter holds no
/// lock that its holder still needs.
pub(in crate::store) async fn count_change<C: ConnectionTrait>(
    connection: &C,
    endpoint: &EndpointId,
) -> Result<(), StoreError> {
    execute(connection, "UPDATE directory_version SET version = version + 1 WHERE id = 3", []).await?;
    execute(connection, COUNTED, [endpoint.as_str().into()]).await?;
    Ok(())
}

fn endpoint_of(row: &QueryResult) -> Result<EndpointRow, StoreError> {
    Ok(EndpointRow {
        id: parsed(row, "id")?,
        store_id: parsed(row, "store_id")?,
        url: column(row, "url")?,
        events: list(row, "events")?,
        description: column(row, "description")?,
        headers: headers_of(row)?,
        rate_limit: column::<Option<i64>>(row, "rate_limit")?.and_then(|limit| u32::try_from(limit).ok()),
        ordered: column::<i64>(row, "ordered")? != 0,
        sealed_secret: column(row, "sealed_secret")?,
        previous_secret: previous_secret(row, "previous_secret")?,
        enabled: column::<i64>(row, "enabled")? != 0,
        disabled_reason: column(row, "disabled_reason")?,
        failing_since: optional_time(row, "failing_since")?,
        created_at: time(row, "created_at")?,
    })
}

fn headers_of(row: &QueryResult) -> Result<Option<SealedHeaders>, StoreError> {
    let Some(sealed) = column::<Option<Vec<u8>>>(row, "sealed_headers")? else { return Ok(None) };
    let names: String = column(row, "header_names")?;
    Ok(Some(SealedHeaders { names: names.split(',').map(str::to_owned).collect(), sealed }))
}

fn names_of(headers: Option<&SealedHeaders>) -> String {
    headers.map_or_else(String::new, |headers| headers.names.join(","))
}
