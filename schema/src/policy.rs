//! The stored form of a store's verdict policy: versioned, immutable, JSON.

use serde::{Deserialize, Serialize};

use crate::ids::StoreId;

/// One version of a store's policy. `document` is parsed by the scorer; an absent policy means version 0, the default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredPolicy {
    /// The store.
    pub store_id: StoreId,
    /// Rises by one with every change.
    pub version: u32,
    /// The policy as JSON text.
    pub document: String,
}
