//! Merchants and stores, and the directory that is read of them.

use sea_orm::QueryResult;
use touchstone_schema::ids::{MerchantId, StoreId};
use touchstone_schema::policy::StoredPolicy;
use touchstone_schema::tenant::{InputSettings, RiskGroups};
use touchstone_schema::time::Timestamp;

use super::{
    AuditLine, DirectoryRows, DirectoryVersions, MerchantRow, StoreChange, StoreRow, audit, connection_of, keys, time,
    touch_directory,
};
use crate::store::database::{column, count, execute, parsed, row, rows};
use crate::store::{StoreError, SystemStore};

/// The newest version of every store's policy.
const NEWEST_POLICIES: &str = "SELECT store_id, version, document FROM policies AS newest
    WHERE version = (SELECT MAX(version) FROM policies WHERE store_id = newest.store_id)";

/// Between the mail domains of a store.
const DOMAIN_SEPARATOR: &str = ",";

impl SystemStore<'_> {
    /// Numbers that change whenever something of the directory does; cheap enough to be asked every second.
    pub async fn directory_versions(&self) -> Result<DirectoryVersions, StoreError> {
        let sql = "SELECT id, version FROM directory_version WHERE id IN (1, 2)";
        let (mut accounts, mut lists) = (None, None);
        for row in rows(&self.store.database, sql, vec![]).await? {
            match column::<i64>(&row, "id")? {
                1 => accounts = Some(column(&row, "version")?),
                _ => lists = Some(column(&row, "version")?),
            }
        }
        let versions = accounts.zip(lists).map(|(accounts, lists)| DirectoryVersions { accounts, lists });
        versions.ok_or(StoreError::NotMigrated)
    }

    /// All that the directory holds.
    pub async fn directory(&self) -> Result<DirectoryRows, StoreError> {
        let keys = rows(&self.store.database, "SELECT * FROM api_keys WHERE revoked_at IS NULL", vec![]).await?;
        let policies = rows(&self.store.database, NEWEST_POLICIES, vec![]).await?;
        let stores = rows(&self.store.database, "SELECT * FROM stores", vec![]).await?;
        let connections = "SELECT * FROM centra_connections WHERE disconnected_at IS NULL";
        let connections = rows(&self.store.database, connections, vec![]).await?;
        Ok(DirectoryRows {
            stores: stores.iter().map(store_of).collect::<Result<_, _>>()?,
            keys: keys.iter().map(keys::key_of).collect::<Result<_, _>>()?,
            policies: policies.iter().map(policy_of).collect::<Result<_, _>>()?,
            connections: connections.iter().map(connection_of).collect::<Result<_, _>>()?,
        })
    }

    /// Adds a merchant.
    pub async fn add_merchant(&self, id: &MerchantId, name: &str, now: Timestamp) -> Result<(), StoreError> {
        let change = self.store.begin().await?;
        let values = vec![id.as_str().into(), name.into(), now.as_millis().into()];
        execute(change.transaction(), "INSERT INTO merchants (id, name, created_at) VALUES ($1, $2, $3)", values)
            .await?;
        let line =
            AuditLine { actor: self.actor(), store: None, action: "merchant.create", detail: id.as_str(), at: now };
        audit(&change, line).await?;
        change.commit().await
    }

    /// Every merchant, newest first.
    pub async fn merchants(&self) -> Result<Vec<MerchantRow>, StoreError> {
        let sql = "SELECT id, name, created_at FROM merchants ORDER BY created_at DESC, id DESC";
        let found = rows(&self.store.database, sql, vec![]).await?;
        let of = |row: &QueryResult| {
            Ok(MerchantRow { id: parsed(row, "id")?, name: column(row, "name")?, created_at: time(row, "created_at")? })
        };
        found.iter().map(of).collect()
    }

    /// Whether a merchant exists.
    pub async fn merchant_exists(&self, id: &MerchantId) -> Result<bool, StoreError> {
        let row = row(&self.store.database, "SELECT id FROM merchants WHERE id = $1", vec![id.as_str().into()]).await?;
        Ok(row.is_some())
    }

    /// Adds a store.
    pub async fn add_store(&self, row: &StoreRow) -> Result<(), StoreError> {
        let change = self.store.begin().await?;
        touch_directory(&change).await?;
        let values = vec![
            row.id.as_str().into(),
            row.merchant_id.as_str().into(),
            row.name.as_str().into(),
            row.mode.as_str().into(),
            row.product.as_str().into(),
            row.currency.as_str().into(),
            i64::from(row.rate_limit_per_minute).into(),
            row.sealed_data_key.clone().into(),
            row.created_at.as_millis().into(),
            i64::from(row.risk_groups.low).into(),
            i64::from(row.risk_groups.medium).into(),
            i64::from(row.input.is_strict).into(),
            row.input.own_domains.join(DOMAIN_SEPARATOR).into(),
        ];
        let sql = "INSERT INTO stores (id, merchant_id, name, mode, product, currency, rate_limit_per_minute,
            sealed_data_key, created_at, risk_low, risk_medium, strict_input, own_domains)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)";
        execute(change.transaction(), sql, values).await?;
        let line = AuditLine {
            actor: self.actor(),
            store: Some(&row.id),
            action: "store.create",
            detail: row.merchant_id.as_str(),
            at: row.created_at,
        };
        audit(&change, line).await?;
        change.commit().await
    }

    /// Every store, newest first.
    pub async fn store_rows(&self) -> Result<Vec<StoreRow>, StoreError> {
        let sql = "SELECT * FROM stores ORDER BY created_at DESC, id DESC";
        rows(&self.store.database, sql, vec![]).await?.iter().map(store_of).collect()
    }

    /// One store.
    pub async fn store_row(&self, id: &StoreId) -> Result<Option<StoreRow>, StoreError> {
        let row = row(&self.store.database, "SELECT * FROM stores WHERE id = $1", vec![id.as_str().into()]).await?;
        row.as_ref().map(store_of).transpose()
    }

    /// Changes a store's settings; false when there is no such store. Audited.
    pub async fn change_store(&self, id: &StoreId, settings: &StoreChange, now: Timestamp) -> Result<bool, StoreError> {
        let change = self.store.begin().await?;
        touch_directory(&change).await?;
        let values = vec![
            id.as_str().into(),
            settings.name.as_deref().into(),
            settings.mode.map(|mode| mode.as_str()).into(),
            settings.product.map(|product| product.as_str()).into(),
            settings.currency.as_deref().into(),
            settings.rate_limit_per_minute.map(i64::from).into(),
            settings.risk_low.map(i64::from).into(),
            settings.risk_medium.map(i64::from).into(),
            settings.strict_input.map(i64::from).into(),
            settings.own_domains.as_ref().map(|domains| domains.join(DOMAIN_SEPARATOR)).into(),
        ];
        let sql = "UPDATE stores SET name = COALESCE($2, name), mode = COALESCE($3, mode),
            product = COALESCE($4, product), currency = COALESCE($5, currency),
            rate_limit_per_minute = COALESCE($6, rate_limit_per_minute), risk_low = COALESCE($7, risk_low),
            risk_medium = COALESCE($8, risk_medium), strict_input = COALESCE($9, strict_input),
            own_domains = COALESCE($10, own_domains) WHERE id = $1";
        let found = execute(change.transaction(), sql, values).await? > 0;
        if found {
            let line = AuditLine {
                actor: self.actor(),
                store: Some(id),
                action: "store.set",
                detail: &changed_names(settings),
                at: now,
            };
            audit(&change, line).await?;
        }
        change.commit().await?;
        Ok(found)
    }
}

/// Names of the settings that are changed, for the audit log.
fn changed_names(change: &StoreChange) -> String {
    let names = [
        ("name", change.name.is_some()),
        ("mode", change.mode.is_some()),
        ("product", change.product.is_some()),
        ("currency", change.currency.is_some()),
        ("rate_limit", change.rate_limit_per_minute.is_some()),
        ("risk_low", change.risk_low.is_some()),
        ("risk_medium", change.risk_medium.is_some()),
        ("strict_input", change.strict_input.is_some()),
        ("own_domains", change.own_domains.is_some()),
    ];
    let given: Vec<_> = names.into_iter().filter_map(|(name, given)| given.then_some(name)).collect();
    given.join(",")
}

fn store_of(row: &QueryResult) -> Result<StoreRow, StoreError> {
    Ok(StoreRow {
        id: parsed(row, "id")?,
        merchant_id: parsed(row, "merchant_id")?,
        name: column(row, "name")?,
        mode: parsed(row, "mode")?,
        product: parsed(row, "product")?,
        currency: column(row, "currency")?,
        rate_limit_per_minute: count(row, "rate_limit_per_minute")?,
        risk_groups: RiskGroups { low: count(row, "risk_low")?, medium: count(row, "risk_medium")? },
        input: input_of(row)?,
        sealed_data_key: column(row, "sealed_data_key")?,
        created_at: time(row, "created_at")?,
    })
}

fn input_of(row: &QueryResult) -> Result<InputSettings, StoreError> {
    let domains: String = column(row, "own_domains")?;
    let domains = domains.split(DOMAIN_SEPARATOR).filter(|domain| !domain.is_empty());
    let is_strict = count::<u32>(row, "strict_input")? != 0;
    Ok(InputSettings { is_strict, own_domains: domains.map(str::to_owned).collect() })
}

fn policy_of(row: &QueryResult) -> Result<StoredPolicy, StoreError> {
    Ok(StoredPolicy {
        store_id: parsed(row, "store_id")?,
        version: count(row, "version")?,
        document: column(row, "document")?,
    })
}
