//! Merchants, stores, keys and endpoints: what operators set up and roles read.
//!
//! Guarantee: a change that the directory shows commits together with the version number that makes every process read
//! it, and with its line in the audit log. Failure: nothing of a change is kept when any part of it fails.

use sea_orm::QueryResult;
use touchstone_schema::centra::{ConnectionSettings, OrderArguments};
use touchstone_schema::ids::{ConnectionId, EventId, KeyId, MerchantId, StoreId};
use touchstone_schema::policy::StoredPolicy;
use touchstone_schema::renamed::present;
use touchstone_schema::tenant::{InputSettings, KeyMode, KeyScope, Product, RiskGroups, StoreMode};
use touchstone_schema::time::Timestamp;

use super::database::{Change, column, execute};
use super::{StoreError, SystemReason, SystemStore};
use crate::random;

mod connections;
mod endpoints;
mod keys;
mod own_endpoints;
mod reseal;
mod stores;

pub use endpoints::{EndpointChange, EndpointRow, SealedHeaders};
pub use own_endpoints::{EndpointView, GivenUp, GivenUpCounts, OFF_BY_API, OFF_BY_OPERATOR, Tested};
pub use reseal::{CENTRA_TOKEN, DATA_KEY, HMAC_SECRET, Reseal, WEBHOOK_HEADERS, WEBHOOK_SECRET};

pub(super) use connections::connection_of;
pub(super) use endpoints::count_change;

/// A row of `merchants`.
#[derive(Debug, Clone)]
pub struct MerchantRow {
    /// The merchant.
    pub id: MerchantId,
    /// Its name.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A row of `stores`; the data key is sealed with the context `data-key`.
#[derive(Debug, Clone)]
pub struct StoreRow {
    /// The store.
    pub id: StoreId,
    /// Its owner.
    pub merchant_id: MerchantId,
    /// Its name.
    pub name: String,
    /// Whether verdicts act.
    pub mode: StoreMode,
    /// Product of the orders surface.
    pub product: Product,
    /// ISO 4217 code.
    pub currency: String,
    /// Requests a minute, per mode.
    pub rate_limit_per_minute: u32,
    /// What its scores are called on the checks surface.
    pub risk_groups: RiskGroups,
    /// How its orders are read.
    pub input: InputSettings,
    /// Sealed data key.
    pub sealed_data_key: Vec<u8>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// Changes to a store; `None` leaves a setting as it is.
#[derive(Debug, Clone, Default)]
pub struct StoreChange {
    /// New name.
    pub name: Option<String>,
    /// New mode.
    pub mode: Option<StoreMode>,
    /// New product.
    pub product: Option<Product>,
    /// New currency.
    pub currency: Option<String>,
    /// New rate limit.
    pub rate_limit_per_minute: Option<u32>,
    /// New highest score of the risk group low.
    pub risk_low: Option<u8>,
    /// New highest score of the risk group medium.
    pub risk_medium: Option<u8>,
    /// Whether orders are read strictly from now on.
    pub strict_input: Option<bool>,
    /// New mail domains of the store itself; they replace the present ones.
    pub own_domains: Option<Vec<String>>,
}

/// A row of `api_keys`.
#[derive(Debug, Clone)]
pub struct KeyRow {
    /// The key.
    pub id: KeyId,
    /// Its store.
    pub store_id: StoreId,
    /// Which world it opens.
    pub mode: KeyMode,
    /// First eight characters after the key's prefix: the look-up index, and all that can be shown again.
    pub prefix: String,
    /// bcrypt hash of the whole key.
    pub key_hash: String,
    /// Master key that the pepper of `key_mac` comes from.
    pub pepper_id: String,
    /// Peppered HMAC of the whole key: the cheap first comparison.
    pub key_mac: Vec<u8>,
    /// Sealed HMAC secret (context `hmac-secret`).
    pub sealed_hmac_secret: Vec<u8>,
    /// The secret before the last rotation, and until when it is valid.
    pub previous_hmac_secret: Option<(Vec<u8>, Timestamp)>,
    /// bcrypt hash of the Basic-auth password of the checks surface.
    pub password_hash: String,
    /// Peppered HMAC of that password, under the same pepper as `key_mac`; keys of before there was one have none.
    pub password_mac: Option<Vec<u8>>,
    /// What it may be used for.
    pub scopes: Vec<KeyScope>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// A row of `centra_connections`.
#[derive(Debug, Clone)]
pub struct ConnectionRow {
    /// The connection.
    pub id: ConnectionId,
    /// Its store.
    pub store_id: StoreId,
    /// Where the shop's Integration API is.
    pub api_url: String,
    /// Sealed access token (context `centra-token`).
    pub sealed_token: Vec<u8>,
    /// When the token was given to us.
    pub token_set_at: Timestamp,
    /// SHA-256 of the path that the shop's notices come in by, hex.
    pub path_hash: String,
    /// The same of the path before the last rotation, and until when it is taken.
    pub previous_path: Option<(String, Timestamp)>,
    /// What is done with verdicts.
    pub settings: ConnectionSettings,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was ended.
    pub disconnected_at: Option<Timestamp>,
    /// Why nothing is asked of the shop until there is another token.
    pub stopped_reason: Option<String>,
    /// Until when the shop wants to be left alone.
    pub paused_until: Timestamp,
    /// When the shop was last looked through for held orders.
    pub swept_at: Option<Timestamp>,
    /// The arguments that the shop's mutations take; none: the shop was not asked yet.
    pub arguments: Option<OrderArguments>,
}

/// What changes whenever something of the directory does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DirectoryVersions {
    /// Counts changes of stores, keys, policies and connections.
    pub accounts: i64,
    /// Counts changes of lists.
    pub lists: i64,
}

/// All that the directory holds but lists: every store, its keys that are not revoked, its Centra connections that have not ended,
/// and the newest policy of each.
#[derive(Debug, Default)]
pub struct DirectoryRows {
    /// Stores.
    pub stores: Vec<StoreRow>,
    /// Keys, revoked ones left out.
    pub keys: Vec<KeyRow>,
    /// Newest policy per store.
    pub policies: Vec<StoredPolicy>,
    /// Centra connections, ended ones left out.
    pub connections: Vec<ConnectionRow>,
}

impl SystemStore<'_> {
    /// Who the audit log says it was.
    pub(super) const fn actor(&self) -> &'static str {
        match self.reason {
            SystemReason::Operator => "operator",
            SystemReason::RoleLoop => "system",
        }
    }
}

/// Makes every process read the directory again; its row, locked from then on, keeps two changes apart.
pub(super) async fn touch_directory(change: &Change) -> Result<(), StoreError> {
    let sql = "UPDATE directory_version SET version = version + 1 WHERE id = 1";
    execute(change.transaction(), sql, []).await.map(|_| ())
}

/// A line of the audit log.
pub(super) struct AuditLine<'a> {
    pub(super) actor: &'a str,
    pub(super) store: Option<&'a StoreId>,
    pub(super) action: &'static str,
    pub(super) detail: &'a str,
    pub(super) at: Timestamp,
}

pub(super) async fn audit(change: &Change, line: AuditLine<'_>) -> Result<(), StoreError> {
    let id = EventId::mint(line.at, random::bytes()).as_str().replacen(EventId::PREFIX, "aud_", 1);
    let values = [
        id.into(),
        line.at.as_millis().into(),
        line.store.map(StoreId::as_str).into(),
        line.actor.into(),
        line.action.into(),
        line.detail.into(),
    ];
    let sql = "INSERT INTO audit_log (id, at, store_id, actor, action, detail) VALUES ($1, $2, $3, $4, $5, $6)";
    execute(change.transaction(), sql, values).await.map(|_| ())
}

/// A column of comma-separated values; the empty text is the empty list.
fn list<T: std::str::FromStr<Err = String>>(row: &QueryResult, name: &'static str) -> Result<Vec<T>, StoreError> {
    let text: String = column(row, name)?;
    let parts = text.split(',').filter(|part| !part.is_empty());
    parts.map(|part| present(part).parse().map_err(|error: String| StoreError::corrupt(name, error))).collect()
}

pub(super) fn time(row: &QueryResult, name: &'static str) -> Result<Timestamp, StoreError> {
    column(row, name).map(Timestamp::from_millis)
}

pub(super) fn optional_time(row: &QueryResult, name: &'static str) -> Result<Option<Timestamp>, StoreError> {
    Ok(column::<Option<i64>>(row, name)?.map(Timestamp::from_millis))
}

/// A secret before its last rotation with the end of its validity, where there is one.
fn previous_secret(row: &QueryResult, name: &'static str) -> Result<Option<(Vec<u8>, Timestamp)>, StoreError> {
    Ok(column::<Option<Vec<u8>>>(row, name)?.zip(optional_time(row, "previous_until")?))
}

fn joined<T: std::fmt::Display>(values: &[T]) -> String {
    values.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}
