//! The directory: stores, keys, policies, lists and connections, held in memory and kept fresh by a poll.
//!
//! Guarantee: a change in the database is seen by every process within [`POLL_INTERVAL`] and a moment; readers see one
//! consistent state and never wait. Failure: while the database is away the last known state stands. A store or key whose
//! secrets do not open is left out and told in the log, so that one damaged row does not stop the others.
//! Design: ARCHITECTURE.md, "One order, end to end".

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use touchstone_schema::ids::{ConnectionId, KeyId, StoreId};
use touchstone_schema::lists::StoreLists;
use touchstone_schema::policy::StoredPolicy;
use touchstone_schema::secret::Secret;
use touchstone_schema::tenant::{KeyScope, StoreProfile, Tenant};
use touchstone_schema::time::Timestamp;

use crate::clock::Clock;
use crate::crypto::{CryptoError, MasterKeys, SealContext};
use crate::store::accounts::{ConnectionRow, DATA_KEY, DirectoryRows, HMAC_SECRET, KeyRow, StoreRow};
use crate::store::{Store, StoreError, SystemReason, SystemStore};

/// How often the database is asked for changes.
pub const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Least time between two readings that are asked for because something was not found: a stranger who names stores that
/// do not exist must not make us read the database.
const REFRESH_PAUSE: Duration = Duration::from_millis(500);

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
    /// Version of the rows that the snapshot was made from.
    version: AtomicI64,
    /// The same of the lists.
    lists_version: AtomicI64,
    /// When the rows were last read; held while they are read, so that callers read them once between them.
    last_read: Mutex<Timestamp>,
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
            version: AtomicI64::new(0),
            lists_version: AtomicI64::new(0),
            last_read: Mutex::new(clock.now()),
            clock,
        };
        directory.read().await?;
        Ok(Arc::new(directory))
    }

    /// The state as of now; it does not change while it is held.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Reads the directory again, unless that happened a moment ago: for a store or key that was not found and may be
    /// new. Errors are logged; the last known state stands.
    pub async fn refresh(&self) {
        let mut last_read = self.last_read.lock().await;
        if self.clock.now().since(*last_read) < REFRESH_PAUSE {
            return;
        }
        *last_read = self.clock.now();
        if let Err(error) = self.read().await {
            tracing::warn!(error = &error as &dyn std::error::Error, "the directory could not be read again");
        }
    }

    /// Reads the directory again at once, after a change of this very process.
    pub async fn refresh_now(&self) -> Result<(), DirectoryError> {
        let mut last_read = self.last_read.lock().await;
        *last_read = self.clock.now();
        self.read().await
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
            let outcome = self.read_changes().await;
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

    async fn read_changes(&self) -> Result<(), DirectoryError> {
        let system = self.system();
        let (version, lists_version) = tokio::try_join!(system.directory_version(), system.lists_version())?;
        let known = (self.version.load(Ordering::Acquire), self.lists_version.load(Ordering::Acquire));
        if (version, lists_version) == known {
            return Ok(());
        }
        let mut last_read = self.last_read.lock().await;
        *last_read = self.clock.now();
        self.read().await
    }

    /// The version is read before the rows: a change in between is read again, never missed.
    async fn read(&self) -> Result<(), DirectoryError> {
        let version = self.system().directory_version().await?;
        let rows = self.system().directory().await?;
        let mut snapshot = self.open_rows(rows)?;
        snapshot.lists = self.read_lists().await?;
        self.snapshot.store(Arc::new(snapshot));
        self.version.store(version, Ordering::Release);
        Ok(())
    }

    /// The lists, read again only when one of them has changed.
    async fn read_lists(&self) -> Result<Lists, DirectoryError> {
        let version = self.system().lists_version().await?;
        if version == self.lists_version.load(Ordering::Acquire) {
            return Ok(Arc::clone(&self.snapshot().lists));
        }
        let mut lists = HashMap::<Tenant, StoreLists>::new();
        for (tenant, entry) in self.system().lists().await? {
            lists.entry(tenant).or_default().add(entry);
        }
        self.lists_version.store(version, Ordering::Release);
        Ok(Arc::new(lists.into_iter().map(|(tenant, lists)| (tenant, Arc::new(lists))).collect()))
    }

    fn system(&self) -> SystemStore<'_> {
        self.store.system(SystemReason::RoleLoop)
    }

    fn open_rows(&self, rows: DirectoryRows) -> Result<Snapshot, DirectoryError> {
        let mut snapshot = Snapshot::default();
        let (stores, mut last_error) = (rows.stores.len(), None);
        for row in rows.stores {
            let id = row.id.clone();
            match self.open_store(row) {
                Ok(profile) => drop(snapshot.stores.insert(id, Arc::new(profile))),
                Err(error) => {
                    tracing::error!(store = %id, error = &error as &dyn std::error::Error, "store left out: its data key does not open");
                    last_error = Some(error);
                }
            }
        }
        if stores > 0 && snapshot.stores.is_empty() {
            return Err(DirectoryError::NothingOpens { stores, source: last_error });
        }
        for row in rows.keys {
            let (id, store, prefix) = (row.id.clone(), row.store_id.clone(), row.prefix.clone());
            match self.open_key(row) {
                Ok(entry) => {
                    let entry = Arc::new(entry);
                    snapshot.keys_by_prefix.entry(prefix).or_default().push(Arc::clone(&entry));
                    snapshot.keys_by_id.insert(id, entry);
                }
                Err(error) => {
                    tracing::error!(%store, key = %id, error = &error as &dyn std::error::Error, "key left out: its secret does not open");
                }
            }
        }
        for row in rows.connections.into_iter().map(Arc::new) {
            let previous = row.previous_path.as_ref().map(|(path, _)| path);
            for path in std::iter::once(&row.path_hash).chain(previous) {
                snapshot.connections_by_path.insert(path.clone(), Arc::clone(&row));
            }
            snapshot.connections.insert(row.id.clone(), row);
        }
        snapshot.policies.extend(rows.policies.into_iter().map(|policy| (policy.store_id.clone(), Arc::new(policy))));
        Ok(snapshot)
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

/// A key as the door needs it.
#[derive(Debug)]
pub struct KeyEntry {
    /// The key.
    pub id: KeyId,
    /// Whom it speaks for.
    pub tenant: Tenant,
    /// What it may be used for.
    pub scopes: Vec<KeyScope>,
    /// bcrypt hash of the whole key.
    pub key_hash: String,
    /// Master key that the pepper comes from.
    pub pepper_id: String,
    /// Peppered HMAC of the whole key.
    pub key_mac: Vec<u8>,
    /// The HMAC secret.
    pub hmac_secret: Secret,
    /// The secret before the last rotation, and until when it is valid.
    pub previous_hmac_secret: Option<(Secret, Timestamp)>,
    /// bcrypt hash of the Basic-auth password.
    pub password_hash: String,
    /// Peppered HMAC of that password.
    pub password_mac: Option<Vec<u8>>,
}

/// One consistent state of the directory.
#[derive(Debug, Default)]
pub struct Snapshot {
    stores: HashMap<StoreId, Arc<StoreProfile>>,
    keys_by_prefix: HashMap<String, Vec<Arc<KeyEntry>>>,
    keys_by_id: HashMap<KeyId, Arc<KeyEntry>>,
    policies: HashMap<StoreId, Arc<StoredPolicy>>,
    connections: HashMap<ConnectionId, Arc<ConnectionRow>>,
    connections_by_path: HashMap<String, Arc<ConnectionRow>>,
    lists: Lists,
}

type Lists = Arc<HashMap<Tenant, Arc<StoreLists>>>;

impl Snapshot {
    /// A store's profile.
    pub fn store(&self, id: &StoreId) -> Option<&Arc<StoreProfile>> {
        self.stores.get(id)
    }

    /// Keys whose first eight characters are these: nearly always one or none.
    pub fn keys_with_prefix(&self, prefix: &str) -> &[Arc<KeyEntry>] {
        self.keys_by_prefix.get(prefix).map_or(&[], Vec::as_slice)
    }

    /// A key by its id (the user name of Basic auth).
    pub fn key(&self, id: &KeyId) -> Option<&Arc<KeyEntry>> {
        self.keys_by_id.get(id)
    }

    /// A Centra connection that has not ended.
    pub fn connection(&self, id: &ConnectionId) -> Option<&Arc<ConnectionRow>> {
        self.connections.get(id)
    }

    /// The Centra connection that takes notices on the path of this hash (SHA-256, hex) at this time.
    pub fn connection_of_path(&self, path_hash: &str, now: Timestamp) -> Option<&Arc<ConnectionRow>> {
        self.connections_by_path.get(path_hash).filter(|connection| {
            let previous = connection.previous_path.as_ref();
            connection.path_hash == path_hash || previous.is_some_and(|(_, until)| now < *until)
        })
    }

    /// The lists of a store in one world; none when they are empty.
    pub fn lists(&self, tenant: &Tenant) -> Option<&Arc<StoreLists>> {
        self.lists.get(tenant)
    }

    /// A store's newest policy; none means the default.
    pub fn policy(&self, store: &StoreId) -> Option<&Arc<StoredPolicy>> {
        self.policies.get(store)
    }
}
