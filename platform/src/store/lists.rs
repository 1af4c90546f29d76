//! A store's lists: what it always allows and always blocks, one pair of lists for each world.
//!
//! Guarantee: a change commits together with the version number that makes every process read the lists of that store
//! again, and with its line in the audit log. The values of people are not here: only their keyed hash and a hint.

use sea_orm::{QueryResult, Value};
use touchstone_schema::history::HistoryKey;
use touchstone_schema::ids::{ListEntryId, StoreId, TransactionId};
use touchstone_schema::limits::LIST_ENTRIES;
use touchstone_schema::lists::{ListEntry, ListKind, ListMatcher, ListSubject};
use touchstone_schema::tenant::Tenant;
use touchstone_schema::time::Timestamp;

use super::accounts::{AuditLine, audit, optional_time, time};
use super::database::{Change, column, count, execute, parsed, row, rows};
use super::{StoreError, SystemStore, TenantStore};

/// What became of an entry that was to be added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listed {
    /// It is on the list now.
    Added(ListEntryId),
    /// The list had it; its note and end are now those of the new one.
    Updated(ListEntryId),
    /// The store's lists are full.
    Full,
}

const FIND: &str = "SELECT id FROM list_entries
  WHERE store_id = $1 AND mode = $2 AND list = $3 AND subject = $4 AND matcher = $5";
const COUNT: &str = "SELECT COUNT(*) AS entries FROM list_entries WHERE store_id = $1 AND mode = $2";
const INSERT: &str = "INSERT INTO list_entries (store_id, mode, list, subject, matcher, id, hint, note, created_at,
  expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
const UPDATE: &str = "UPDATE list_entries SET note = $2, expires_at = $3 WHERE id = $1";
const DELETE: &str = "DELETE FROM list_entries WHERE store_id = $1 AND mode = $2 AND id = $3";
const PAGE: &str = "SELECT * FROM list_entries
  WHERE store_id = $1 AND mode = $2 AND ($3 = '' OR list = $3) AND id > $4 ORDER BY id LIMIT $5";
const KEY_OF_ORDER: &str = "SELECT {column} AS key FROM transactions CROSS JOIN history
  WHERE transactions.id = $1 AND store_id = $2 AND transactions.mode = $3
    AND history.received_at = transactions.received_at AND transaction_id = $1 AND what = 'order'";
/// Locks the row, so that two changes of lists never count or look at the same moment.
const TOUCH: &str = "UPDATE directory_version SET version = version + 1 WHERE id = 2";
/// A process of the release before counts a change and does not say whose lists it was.
const MARK_UNKNOWN: &str = "INSERT INTO list_versions (store_id, version)
  SELECT '', version FROM directory_version
  WHERE id = 2 AND version - 1 > (SELECT COALESCE(MAX(version), 0) FROM list_versions)
  ON CONFLICT (store_id) DO UPDATE SET version = excluded.version";
const MARK: &str = "INSERT INTO list_versions (store_id, version)
  VALUES ($1, (SELECT version FROM directory_version WHERE id = 2))
  ON CONFLICT (store_id) DO UPDATE SET version = excluded.version";
const MARKED: &str = "SELECT store_id, version FROM list_versions WHERE version > $1 ORDER BY version";
/// Stores whose lists are read one by one; when those of more have changed, all are read.
const STORES_APART: usize = 64;

impl TenantStore<'_> {
    /// Puts an entry on a list, on behalf of `actor`. Audited.
    pub async fn add_list_entry(&self, entry: &ListEntry, actor: &'static str) -> Result<Listed, StoreError> {
        let change = self.store.begin().await?;
        touch(&change, self.tenant).await?;
        let [store, mode] = owner(self.tenant);
        let matcher = entry.matcher.stored();
        let place: Vec<Value> = vec![
            store.clone(),
            mode.clone(),
            entry.list.as_str().into(),
            entry.subject.as_str().into(),
            matcher.into(),
        ];
        let expires_at: Value = entry.expires_at.map(|end| end.as_millis()).into();
        let listed = if let Some(known) = row(change.transaction(), FIND, place.clone()).await? {
            let id: ListEntryId = parsed(&known, "id")?;
            let values = [id.as_str().into(), entry.note.clone().into(), expires_at];
            execute(change.transaction(), UPDATE, values).await?;
            Listed::Updated(id)
        } else {
            let entries = row(change.transaction(), COUNT, [store, mode]).await?;
            if entries.map_or(Ok(0), |row| count::<usize>(&row, "entries"))? >= LIST_ENTRIES {
                return Ok(Listed::Full);
            }
            let rest: [Value; 5] = [
                entry.id.as_str().into(),
                entry.hint.as_str().into(),
                entry.note.clone().into(),
                entry.created_at.as_millis().into(),
                expires_at,
            ];
            execute(change.transaction(), INSERT, place.into_iter().chain(rest)).await?;
            Listed::Added(entry.id.clone())
        };
        if let Listed::Added(id) | Listed::Updated(id) = &listed {
            let detail = format!("{} {} {id}", entry.list, entry.subject);
            self.audit_lists(&change, actor, "list.add", &detail, entry.created_at).await?;
        }
        change.commit().await?;
        Ok(listed)
    }

    /// Takes an entry off its list; false when the store has no such entry. Audited.
    pub async fn remove_list_entry(
        &self,
        id: &ListEntryId,
        actor: &'static str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let change = self.store.begin().await?;
        touch(&change, self.tenant).await?;
        let [store, mode] = owner(self.tenant);
        let found = execute(change.transaction(), DELETE, [store, mode, id.as_str().into()]).await? > 0;
        if found {
            self.audit_lists(&change, actor, "list.remove", id.as_str(), now).await?;
            change.commit().await?;
        }
        Ok(found)
    }

    /// A page of the store's entries, of one list or of both, oldest first.
    pub async fn list_entries(
        &self,
        list: Option<ListKind>,
        after: Option<&ListEntryId>,
        most: u64,
    ) -> Result<Vec<ListEntry>, StoreError> {
        let [store, mode] = owner(self.tenant);
        let list = list.map_or("", |list| list.as_str());
        let after = after.map_or("", |id| id.as_str());
        let values = [store, mode, list.into(), after.into(), i64::try_from(most).unwrap_or(i64::MAX).into()];
        rows(&self.store.database, PAGE, values).await?.iter().map(entry).collect()
    }

    /// What an order of this store is listed by: its own hashed value of the subject. None when there is no such order,
    /// it did not tell, or the subject is not kept hashed.
    pub async fn list_matcher_of(
        &self,
        transaction: &TransactionId,
        subject: ListSubject,
    ) -> Result<Option<ListMatcher>, StoreError> {
        let Some(kind) = subject.key_kind() else { return Ok(None) };
        let [store, mode] = owner(self.tenant);
        let text = KEY_OF_ORDER.replace("{column}", kind.as_str());
        let found = row(&self.store.database, &text, [transaction.as_str().into(), store, mode]).await?;
        let key = found.map_or(Ok(None), |row| column::<Option<i64>>(&row, "key"))?;
        Ok(key.map(|key| ListMatcher::Key(HistoryKey::from_i64(key))))
    }

    async fn audit_lists(
        &self,
        change: &Change,
        actor: &'static str,
        action: &'static str,
        detail: &str,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        audit(change, AuditLine { actor, store: Some(&self.tenant.store_id), action, detail, at }).await
    }
}

/// Whose lists have changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListChanges {
    /// Those of so many stores, or of ones not known, that all are to be read.
    Any,
    /// Those of these stores.
    Of(Vec<StoreId>),
}

impl SystemStore<'_> {
    /// Whose lists have changed since they had the version `known`; the present version is `version` or a later one.
    pub async fn list_changes(&self, known: i64, version: i64) -> Result<ListChanges, StoreError> {
        let marked = rows(&self.store.database, MARKED, [known.into()]).await?;
        let newest = marked.last().map_or(Ok(known), |row| column(row, "version"))?;
        let stores = marked.iter().map(|row| column::<String>(row, "store_id")).collect::<Result<Vec<_>, _>>()?;
        if newest < version || stores.len() > STORES_APART || stores.iter().any(String::is_empty) {
            return Ok(ListChanges::Any);
        }
        let stores = stores.iter().map(|id| id.parse().map_err(|error| StoreError::corrupt("store_id", error)));
        stores.collect::<Result<_, _>>().map(ListChanges::Of)
    }

    /// Every entry of every list, with its owner.
    pub async fn lists(&self) -> Result<Vec<(Tenant, ListEntry)>, StoreError> {
        rows(&self.store.database, "SELECT * FROM list_entries", []).await?.iter().map(owned).collect()
    }

    /// The entries of one store, of both worlds.
    pub async fn lists_of(&self, store: &StoreId) -> Result<Vec<(Tenant, ListEntry)>, StoreError> {
        let sql = "SELECT * FROM list_entries WHERE store_id = $1";
        rows(&self.store.database, sql, [store.as_str().into()]).await?.iter().map(owned).collect()
    }
}

/// Counts a change of a store's lists.
async fn touch(change: &Change, tenant: &Tenant) -> Result<(), StoreError> {
    execute(change.transaction(), TOUCH, []).await?;
    execute(change.transaction(), MARK_UNKNOWN, []).await?;
    execute(change.transaction(), MARK, [tenant.store_id.as_str().into()]).await.map(|_| ())
}

fn owned(row: &QueryResult) -> Result<(Tenant, ListEntry), StoreError> {
    Ok((Tenant { store_id: parsed(row, "store_id")?, mode: parsed(row, "mode")? }, entry(row)?))
}

fn owner(tenant: &Tenant) -> [Value; 2] {
    [tenant.store_id.as_str().into(), tenant.mode.as_str().into()]
}

fn entry(row: &QueryResult) -> Result<ListEntry, StoreError> {
    let subject = parsed(row, "subject")?;
    let matcher = ListMatcher::from_stored(subject, &column::<String>(row, "matcher")?)
        .ok_or_else(|| StoreError::corrupt("matcher", "not of the form of its subject"))?;
    Ok(ListEntry {
        id: parsed(row, "id")?,
        list: parsed(row, "list")?,
        subject,
        matcher,
        hint: column(row, "hint")?,
        note: column(row, "note")?,
        created_at: time(row, "created_at")?,
        expires_at: optional_time(row, "expires_at")?,
    })
}
