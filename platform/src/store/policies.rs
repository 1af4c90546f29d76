//! A store's verdict policies: numbered versions that are added and never changed.
//!
//! Guarantee: a version commits together with the number that makes every process read the directory again, and with its
//! line in the audit log. Versions rise by one from 1; of two that were made from the same version only one is added, so
//! that nobody undoes a change unseen. They hold for the live and the test world alike. Failure: nothing of a version is
//! kept when any part of it fails.

use sea_orm::QueryResult;
use touchstone_schema::ids::StoreId;
use touchstone_schema::limits::PAGE_ITEMS;
use touchstone_schema::time::Timestamp;

use super::accounts::{AuditLine, audit, touch_directory};
use super::database::{Change, column, count, execute, row, rows};
use super::{StoreError, TenantStore};

/// Which versions there are; documents are read one at a time, because they may be large.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyVersion {
    /// Its number, from 1.
    pub version: u32,
    /// Who made it.
    pub author: String,
    /// Why.
    pub note: Option<String>,
    /// When.
    pub created_at: Timestamp,
}

/// A policy to be added.
#[derive(Debug, Clone, Copy)]
pub struct NewPolicy<'a> {
    /// The newest version when it was made; 0 for none.
    pub after: u32,
    /// The policy as JSON text, checked.
    pub document: &'a str,
    /// Who makes it.
    pub author: &'a str,
    /// Why.
    pub note: Option<&'a str>,
    /// The earlier version that it goes back to, if it does.
    pub rolls_back_to: Option<u32>,
    /// Now.
    pub now: Timestamp,
}

const NEWEST: &str = "SELECT COALESCE(MAX(version), 0) AS version FROM policies WHERE store_id = $1";

const ADD: &str = "INSERT INTO policies (store_id, version, document, author, note, created_at)
  VALUES ($1, $2, $3, $4, $5, $6)";

const ONE: &str =
    "SELECT version, author, note, created_at, document FROM policies WHERE store_id = $1 AND version = $2";

const PAGE: &str = "SELECT version, author, note, created_at FROM policies WHERE store_id = $1 AND version < $2
  ORDER BY version DESC LIMIT $3";

impl TenantStore<'_> {
    /// Number of the newest version of the store's policy; 0 for none.
    pub async fn newest_policy_version(&self) -> Result<u32, StoreError> {
        newest(&self.store.database, self.store_id()).await
    }

    /// A version of the store's policy with its document.
    pub async fn policy(&self, version: u32) -> Result<Option<(PolicyVersion, String)>, StoreError> {
        let values = [self.store_id().as_str().into(), i64::from(version).into()];
        let row = row(&self.store.database, ONE, values).await?;
        row.map(|row| Ok((version_of(&row)?, column(&row, "document")?))).transpose()
    }

    /// A page of the store's versions, newest first, beginning below `before`; at most [`PAGE_ITEMS`] and one, so that a
    /// caller can tell whether another page follows.
    pub async fn policies(&self, before: Option<u32>, most: u64) -> Result<Vec<PolicyVersion>, StoreError> {
        let most = most.min(PAGE_ITEMS + 1);
        let values = [
            self.store_id().as_str().into(),
            before.map_or(i64::MAX, i64::from).into(),
            i64::try_from(most).unwrap_or(i64::MAX).into(),
        ];
        rows(&self.store.database, PAGE, values).await?.iter().map(version_of).collect()
    }

    /// Adds a version and returns its number; `None` when another was added after the one that it was made from.
    pub async fn add_policy(&self, new: &NewPolicy<'_>) -> Result<Option<u32>, StoreError> {
        let change = self.store.begin().await?;
        // Its row, locked from here on, keeps two changes apart.
        touch_directory(&change).await?;
        if newest(change.transaction(), self.store_id()).await? != new.after {
            return Ok(None);
        }
        let version = new.after + 1;
        let values = [
            self.store_id().as_str().into(),
            i64::from(version).into(),
            new.document.into(),
            new.author.into(),
            new.note.into(),
            new.now.as_millis().into(),
        ];
        execute(change.transaction(), ADD, values).await?;
        self.audit_policy(&change, new, version).await?;
        change.commit().await?;
        Ok(Some(version))
    }

    async fn audit_policy(&self, change: &Change, new: &NewPolicy<'_>, version: u32) -> Result<(), StoreError> {
        let (action, detail) = match new.rolls_back_to {
            None => ("policy.apply", format!("version {version}")),
            Some(earlier) => ("policy.rollback", format!("version {version} as version {earlier}")),
        };
        let line = AuditLine { actor: new.author, store: Some(self.store_id()), action, detail: &detail, at: new.now };
        audit(change, line).await
    }

    const fn store_id(&self) -> &StoreId {
        &self.tenant.store_id
    }
}

async fn newest(connection: &impl sea_orm::ConnectionTrait, store: &StoreId) -> Result<u32, StoreError> {
    row(connection, NEWEST, [store.as_str().into()]).await?.map_or(Ok(0), |row| count(&row, "version"))
}

fn version_of(row: &QueryResult) -> Result<PolicyVersion, StoreError> {
    Ok(PolicyVersion {
        version: count(row, "version")?,
        author: column(row, "author")?,
        note: column(row, "note")?,
        created_at: Timestamp::from_millis(column(row, "created_at")?),
    })
}
