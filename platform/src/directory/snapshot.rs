//! What the directory knows at one time, found by what a request names.

use std::collections::HashMap;
use std::sync::Arc;

use touchstone_schema::ids::{ConnectionId, KeyId, StoreId};
use touchstone_schema::lists::StoreLists;
use touchstone_schema::policy::StoredPolicy;
use touchstone_schema::secret::Secret;
use touchstone_schema::tenant::{KeyScope, StoreProfile, Tenant};
use touchstone_schema::time::Timestamp;

use crate::store::accounts::ConnectionRow;

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
    pub(super) accounts: Arc<Accounts>,
    pub(super) lists: Arc<Lists>,
}

/// All but the lists.
#[derive(Debug, Default)]
pub(super) struct Accounts {
    pub(super) stores: HashMap<StoreId, Arc<StoreProfile>>,
    pub(super) keys_by_prefix: HashMap<String, Vec<Arc<KeyEntry>>>,
    pub(super) keys_by_id: HashMap<KeyId, Arc<KeyEntry>>,
    pub(super) policies: HashMap<StoreId, Arc<StoredPolicy>>,
    pub(super) connections: HashMap<ConnectionId, Arc<ConnectionRow>>,
    pub(super) connections_by_path: HashMap<String, Arc<ConnectionRow>>,
}

/// The lists of each store, apart for its two worlds.
pub(super) type Lists = HashMap<Tenant, Arc<StoreLists>>;

impl Snapshot {
    /// A store's profile.
    pub fn store(&self, id: &StoreId) -> Option<&Arc<StoreProfile>> {
        self.accounts.stores.get(id)
    }

    /// Keys whose first eight characters are these: nearly always one or none.
    pub fn keys_with_prefix(&self, prefix: &str) -> &[Arc<KeyEntry>] {
        self.accounts.keys_by_prefix.get(prefix).map_or(&[], Vec::as_slice)
    }

    /// Every key that is not revoked.
    pub fn keys(&self) -> impl Iterator<Item = &Arc<KeyEntry>> {
        self.accounts.keys_by_id.values()
    }

    /// A key by its id (the user name of Basic auth).
    pub fn key(&self, id: &KeyId) -> Option<&Arc<KeyEntry>> {
        self.accounts.keys_by_id.get(id)
    }

    /// A Centra connection that has not ended.
    pub fn connection(&self, id: &ConnectionId) -> Option<&Arc<ConnectionRow>> {
        self.accounts.connections.get(id)
    }

    /// The Centra connection that takes notices on the path of this hash (SHA-256, hex) at this time.
    pub fn connection_of_path(&self, path_hash: &str, now: Timestamp) -> Option<&Arc<ConnectionRow>> {
        self.accounts.connections_by_path.get(path_hash).filter(|connection| {
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
        self.accounts.policies.get(store)
    }
}
