//! The directory: stores, keys, policies, lists and connections, held in memory and kept fresh by a poll.
//!
//! Guarantee: a change in the database is seen by every process within [`POLL_INTERVAL`] and a moment, and what was just
//! made is found at its first use ([`Directory::look_again`]); readers see one consistent state and never wait. Lists are
//! read apart from the rest, and only those of stores whose lists have changed. Failure: while the database is away the
//! last known state stands. A store or key whose secrets do not open is left out and logged, so that one damaged row does
//! not stop the others.
//! Design: ARCHITECTURE.md, "One order, end to end".

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use touchstone_schema::ids::StoreId;
use touchstone_schema::lists::StoreLists;
use touchstone_schema::secret::Secret;
use touchstone_schema::tenant::{StoreProfile, Tenant};
use touchstone_schema::time::Timestamp;

use crate::clock::Clock;
use crate::crypto::{CryptoError, MasterKeys, SealContext};
use crate::store::accounts::{DATA_KEY, DirectoryRows, DirectoryVersions, HMAC_SECRET, KeyRow, StoreRow};
use crate::store::lists::ListChanges;
use crate::store::{Store, StoreError, SystemReason, SystemStore};

mod look;
mod snapshot;

use look::Looks;
use snapshot::{Accounts, Lists};
pub use snapshot::{KeyEntry, Snapshot};

/// How often the database is asked for changes.
pub const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Least time between two readings that are asked for because something was not found: a stranger who names stores that
/// do not exist must not make us read the database.
const REFRESH_PAUSE: Duration = Duration::from_millis(500);

/// Before anything was read; the database counts from 1.
const NOTHING_READ: DirectoryVersions = DirectoryVersions { accounts: 0, lists: 0 };

/// The directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// The database could not be read.
    #[error("the directory of stores cannot be read")]
    Store(#[from] StoreError),
    /// Stores exist, and none of them opens.
    #[error(
        "none of the {stores} stores opens with TOUCHSTONE_MASTER_KEY: it is missing or not the key that they were \
         made with"
    )]
    NothingOpens {
        /// How many there are.
        stores: usize,
        /// Why the last of them did not open.
        #[source]
        source: Option<CryptoError>,
    },
}

/// The directory itself, shared by the roles of a process.
#[derive(Debug)]
pub struct Directory {
    store: Store,
    master_keys: Option<Arc<MasterKeys>>,
    clock: Clock,
    snapshot: ArcSwap<Snapshot>,
    /// Held while rows are read, so that callers read them once between them.
    last_read: Mutex<LastRead>,
    looks: Looks,
}

/// What the snapshot was made from.
#[derive(Debug)]
struct LastRead {
    at: Timestamp,
    versions: DirectoryVersions,
}

impl Directory {
    /// Reads the directory for the first time. Without master keys nothing in it opens, which is an error as soon as
    /// there is a store.
    pub async fn open(
        store: Store,
        master_keys: Option<Arc<MasterKeys>>,
        clock: Clock,
    ) -> Result<Arc<Self>, DirectoryError> {
        let directory = Self {
            store,
            master_keys,
            snapshot: ArcSwap::default(),
            last_read: Mutex::new(LastRead { at: clock.now(), versions: NOTHING_READ }),
            looks: Looks::default(),
            clock,
        };
        directory.refresh_now().await?;
        Ok(Arc::new(directory))
    }

    /// The state as of now; it does not change while it is held.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Reads what has changed, unless that happened a moment ago: for a store or connection that was not found and may be
    /// new. Errors are logged; the last known state stands.
    pub async fn refresh(&self) {
        let mut last_read = self.last_read.lock().await;
        if self.clock.now().since(last_read.at) < REFRESH_PAUSE {
            return;
        }
        if let Err(error) = self.read(&mut last_read).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "the directory could not be read again");
        }
    }

    /// Reads what has changed at once, after a change of this very process.
    pub async fn refresh_now(&self) -> Result<(), DirectoryError> {
        self.read(&mut *self.last_read.lock().await).await
    }

    /// Asks every [`POLL_INTERVAL`] whether something changed and reads it, until shutdown.
    pub async fn poll(self: Arc<Self>, shutdown: CancellationToken) -> Result<(), Infallible> {
        let mut interval = tokio::time::interval(POLL_INTERVAL);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut reachable = true;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                _ = interval.tick() => {}
            }
            let outcome = self.refresh_now().await;
            if let Err(error) = &outcome
                && reachable
            {
                tracing::warn!(
                    error = error as &dyn std::error::Error,
                    "the directory cannot be read: its last state stands"
                );
            }
            reachable = outcome.is_ok();
        }
    }

    /// Reads what has changed. The versions are read before the rows: a change in between is read again, never missed.
    async fn read(&self, last: &mut LastRead) -> Result<(), DirectoryError> {
        last.at = self.clock.now();
        let (versions, known) = (self.system().directory_versions().await?, last.versions);
        if versions == known {
            return Ok(());
        }
        let before = self.snapshot();
        let accounts = if versions.accounts == known.accounts {
            Arc::clone(&before.accounts)
        } else {
            Arc::new(self.open_rows(self.system().directory().await?)?)
        };
        let lists = if versions.lists == known.lists {
            Arc::clone(&before.lists)
        } else {
            Arc::new(self.read_lists(&before.lists, known.lists, versions.lists).await?)
        };
        self.snapshot.store(Arc::new(Snapshot { accounts, lists }));
        last.versions = versions;
        Ok(())
    }

    /// The lists, of which only those are read that have changed since the version `known`.
    async fn read_lists(&self, before: &Lists, known: i64, version: i64) -> Result<Lists, DirectoryError> {
        let changes = match known == NOTHING_READ.lists {
            true => ListChanges::Any,
            false => self.system().list_changes(known, version).await?,
        };
        let (mut lists, entries) = match changes {
            ListChanges::Any => (Lists::default(), self.system().lists().await?),
            ListChanges::Of(stores) => {
                let mut entries = Vec::new();
                for store in &stores {
                    entries.extend(self.system().lists_of(store).await?);
                }
                let mut kept = before.clone();
                kept.retain(|tenant, _| !stores.contains(&tenant.store_id));
                (kept, entries)
            }
        };
        metrics::counter!("touchstone_directory_list_entries_read_total").increment(entries.len() as u64);
        let mut read = HashMap::<Tenant, StoreLists>::new();
        for (tenant, entry) in entries {
            read.entry(tenant).or_default().add(entry);
        }
        lists.extend(read.into_iter().map(|(tenant, lists)| (tenant, Arc::new(lists))));
        Ok(lists)
    }

    fn system(&self) -> SystemStore<'_> {
        self.store.system(SystemReason::RoleLoop)
    }

    fn open_rows(&self, rows: DirectoryRows) -> Result<Accounts, DirectoryError> {
        let mut accounts = Accounts::default();
        let (stores, mut last_error) = (rows.stores.len(), None);
        for row in rows.stores {
            let id = row.id.clone();
            match self.open_store(row) {
                Ok(profile) => drop(accounts.stores.insert(id, Arc::new(profile))),
                Err(error) => {
                    tracing::error!(store = %id, error = &error as &dyn std::error::Error, "store left out: its data key does not open");
                    last_error = Some(error);
                }
            }
        }
        if stores > 0 && accounts.stores.is_empty() {
            return Err(DirectoryError::NothingOpens { stores, source: last_error });
        }
        for row in rows.keys {
            let (id, store, prefix) = (row.id.clone(), row.store_id.clone(), row.prefix.clone());
            match self.open_key(row) {
                Ok(entry) => {
                    let entry = Arc::new(entry);
                    accounts.keys_by_prefix.entry(prefix).or_default().push(Arc::clone(&entry));
                    accounts.keys_by_id.insert(id, entry);
                }
                Err(error) => {
                    tracing::error!(%store, key = %id, error = &error as &dyn std::error::Error, "key left out: its secret does not open");
                }
            }
        }
        for row in rows.connections.into_iter().map(Arc::new) {
            let previous = row.previous_path.as_ref().map(|(path, _)| path);
            for path in std::iter::once(&row.path_hash).chain(previous) {
                accounts.connections_by_path.insert(path.clone(), Arc::clone(&row));
            }
            accounts.connections.insert(row.id.clone(), row);
        }
        accounts.policies.extend(rows.policies.into_iter().map(|policy| (policy.store_id.clone(), Arc::new(policy))));
        Ok(accounts)
    }

    fn open_store(&self, row: StoreRow) -> Result<StoreProfile, CryptoError> {
        let data_key = self.unseal(&row.sealed_data_key, &row.id, row.id.as_str(), DATA_KEY)?;
        Ok(StoreProfile {
            store_id: row.id,
            merchant_id: row.merchant_id,
            name: row.name,
            mode: row.mode,
            product: row.product,
            currency: row.currency,
            rate_limit_per_minute: row.rate_limit_per_minute,
            risk_groups: row.risk_groups,
            input: row.input,
            data_key,
        })
    }

    fn open_key(&self, row: KeyRow) -> Result<KeyEntry, CryptoError> {
        let unseal = |sealed: &[u8]| self.unseal(sealed, &row.store_id, row.id.as_str(), HMAC_SECRET);
        let hmac_secret = unseal(&row.sealed_hmac_secret)?;
        let previous = row.previous_hmac_secret.as_ref();
        let previous_hmac_secret = previous.map(|(sealed, until)| Ok((unseal(sealed)?, *until))).transpose()?;
        Ok(KeyEntry {
            id: row.id,
            tenant: Tenant { store_id: row.store_id, mode: row.mode },
            scopes: row.scopes,
            key_hash: row.key_hash,
            pepper_id: row.pepper_id,
            key_mac: row.key_mac,
            hmac_secret,
            previous_hmac_secret,
            password_hash: row.password_hash,
            password_mac: row.password_mac,
        })
    }

    fn unseal(
        &self,
        sealed: &[u8],
        store: &StoreId,
        record: &str,
        purpose: &'static str,
    ) -> Result<Secret, CryptoError> {
        let keys = self.master_keys.as_ref().ok_or_else(|| CryptoError::UnknownKey { id: "any".to_owned() })?;
        keys.open(sealed, &SealContext { store: store.as_str(), record, purpose })
    }
}
