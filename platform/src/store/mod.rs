//! The store: the truth, in PostgreSQL or SQLite.
//!
//! Guarantee: what a method commits, it commits whole. Rows of a store are reached through a [`TenantStore`] that only a
//! verified credential or a queue envelope can open, or, by the roles' own loops and the operator's commands, through a
//! [`SystemStore`] that names its reason. Failure: [`StoreError::Unavailable`] may be tried again, the others may not.
//! Design: ARCHITECTURE.md, "Store".

use touchstone_schema::tenant::Tenant;

pub mod accounts;
pub mod amounts;
pub mod backfill;
pub(crate) mod database;
pub mod deliveries;
mod error;
pub mod events;
mod grants;
pub mod history;
pub mod holds;
mod insert;
pub mod lists;
mod log;
pub mod pending;
pub mod placed;
pub mod policies;
pub mod recorded;
pub mod scoring;
mod table;
pub mod transactions;

pub use error::StoreError;
pub use grants::DatabaseRole;

/// Where the data lives.
#[derive(Debug, Clone)]
pub enum StoreSettings {
    /// A PostgreSQL server; the URL is a secret because it carries a password.
    Postgres {
        /// `postgres://user:password@host:port/database`.
        url: touchstone_schema::secret::Secret,
        /// Most connections of this process, at most 16.
        connections: u32,
    },
    /// A SQLite file, made when it is not there.
    Sqlite {
        /// Path of the file.
        path: std::path::PathBuf,
    },
}

/// The database, shared by cloning.
#[derive(Debug, Clone)]
pub struct Store {
    database: sea_orm::DatabaseConnection,
    /// Those of SQLite.
    writers: Option<std::sync::Arc<log::Writers>>,
}

/// Why code reaches across tenants. Every crossing names one, so that a search finds them all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SystemReason {
    /// A role's own loop: sweeps, claims, polls.
    RoleLoop,
    /// A command typed by the operator of this installation; audited where it changes something.
    Operator,
}

/// Rows of one tenant only.
#[derive(Debug)]
pub struct TenantStore<'a> {
    store: &'a Store,
    tenant: &'a Tenant,
}

/// Rows of all tenants.
#[derive(Debug)]
pub struct SystemStore<'a> {
    store: &'a Store,
    reason: SystemReason,
}

impl Store {
    /// The tenant's rows. `tenant` must come from a verified credential or a queue envelope.
    pub const fn tenant<'a>(&'a self, tenant: &'a Tenant) -> TenantStore<'a> {
        TenantStore { store: self, tenant }
    }

    /// All rows, for `reason`.
    pub const fn system(&self, reason: SystemReason) -> SystemStore<'_> {
        SystemStore { store: self, reason }
    }
}
