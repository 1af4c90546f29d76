//! The cache in Redis, for any number of processes.
//!
//! Guarantee: every method is one round trip, and admission one atomic step of the server. Failure: a server that is down
//! or silent is an error soon, see [`connection`].
//!
//! Keys of a store share the hash tag `{store:mode}`; nonces and revocations have that of their API key, since they are
//! reached without the store. Design: ARCHITECTURE.md, "When a part is down".

mod connection;
mod history;
mod record;
mod verdict;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use redis::Script;
use touchstone_schema::ids::KeyId;
use touchstone_schema::limits::{IDEMPOTENCY_WINDOW, NONCE_TTL};
use touchstone_schema::secret::Secret;
use touchstone_schema::tenant::Tenant;
use touchstone_schema::time::Timestamp;

use self::connection::Connection;
pub(crate) use self::connection::client;
use self::history::RedisHistory;
use super::rate::{REQUEST, rate_state};
use super::{Admission, Admitted, Cache, CacheError, Finished, Holder, HotHistory, REVOKED_FOR};
use crate::transport::Trust;

/// Life of a store's backlog; it is empty again after a minute.
const BACKLOG_TTL: Duration = Duration::from_secs(120);
/// Oldest major version that the scripts were made for.
const OLDEST_VERSION: u32 = 7;
/// Settings of the server that promises rest on (design, "When a part is down").
const WANTED_SETTINGS: [(&str, &str, &str); 2] = [
    ("appendonly", "yes", "otherwise a restart forgets nonces, and requests can be replayed"),
    ("maxmemory-policy", "noeviction", "otherwise nonces are evicted early, and requests can be replayed"),
];

/// See the module.
pub(super) struct RedisCache {
    connection: Arc<Connection>,
    admit: Script,
    release: Script,
    history: RedisHistory,
}

impl RedisCache {
    /// Prepares a connection, which is made on first use.
    pub(super) fn open(url: &Secret, trust: &Trust) -> Result<Self, CacheError> {
        let connection = Arc::new(Connection::open(url, trust)?);
        Ok(Self {
            history: RedisHistory::new(Arc::clone(&connection)),
            connection,
            admit: Script::new(include_str!("admit.lua")),
            release: Script::new(include_str!("release.lua")),
        })
    }
}

#[async_trait]
impl Cache for RedisCache {
    async fn admit(&self, admission: &Admission<'_>) -> Result<Admitted, CacheError> {
        let mut call = self.admit.key(revoked_key(admission.key));
        call.key(backlog_key(admission.tenant));
        if let Some(signed) = &admission.signed {
            call.key(nonce_key(admission.key, signed.nonce));
            if let Some(order_id) = signed.order_id {
                call.key(verdict_key(admission.tenant, order_id));
            }
        }
        let mark = admission.signed.as_ref().map_or("", |signed| signed.mark);
        call.arg(admission.now.as_millis()).arg(admission.limit_per_minute).arg(mark);
        call.arg(NONCE_TTL.as_millis() as u64).arg(BACKLOG_TTL.as_millis() as u64).arg(REQUEST);
        let (outcome, level, stored): (u8, u64, Option<String>) = self.connection.invoke(&call).await?;
        let rate = rate_state(admission.limit_per_minute, level);
        match outcome {
            0 => {
                let finished = stored.as_deref().and_then(verdict::decode);
                let in_time = |received_at| admission.now.since(received_at) < IDEMPOTENCY_WINDOW;
                Ok(Admitted::Yes { rate, finished: finished.filter(|verdict| in_time(verdict.received_at)) })
            }
            1 => Ok(Admitted::Revoked),
            2 => Ok(Admitted::RateLimited { rate }),
            3 => Ok(Admitted::Replayed),
            _ => Err(CacheError::new("the admission script gave an unknown outcome")),
        }
    }

    async fn release_nonce(&self, key: &KeyId, nonce: &str, mark: &str) -> Result<(), CacheError> {
        self.connection.invoke::<()>(self.release.key(nonce_key(key, nonce)).arg(mark)).await
    }

    async fn revoke(&self, key: &KeyId) -> Result<(), CacheError> {
        self.connection.query(redis::pipe().set_ex(revoked_key(key), 1, REVOKED_FOR.as_secs())).await
    }

    async fn remember(&self, finished: &[Finished<'_>], now: Timestamp) -> Result<(), CacheError> {
        let mut commands = redis::pipe();
        for order in finished {
            let age = now.since(order.verdict.received_at);
            if let Some(life) = IDEMPOTENCY_WINDOW.checked_sub(age).filter(|life| !life.is_zero()) {
                let key = verdict_key(order.tenant, order.order_id);
                commands.pset_ex(key, verdict::encode(order.verdict), life.as_millis() as u64).ignore();
            }
        }
        if commands.is_empty() { Ok(()) } else { self.connection.query(&commands).await }
    }

    fn history(&self) -> Option<&dyn HotHistory> {
        Some(&self.history)
    }

    async fn check(&self) -> Result<(), CacheError> {
        self.connection.query(redis::pipe().ping().ignore()).await
    }

    async fn shortcomings(&self) -> Result<Vec<String>, CacheError> {
        let (server,): (redis::InfoDict,) = self.connection.query(redis::pipe().cmd("INFO").arg("server")).await?;
        let version: String = server.get("redis_version").unwrap_or_default();
        let major = version.split('.').next().and_then(|major| major.parse().ok()).unwrap_or(0);
        let mut found = Vec::new();
        if major < OLDEST_VERSION {
            found.push(format!("Redis is of version {version}; version {OLDEST_VERSION} or later is needed"));
        }
        for (name, wanted, reason) in WANTED_SETTINGS {
            let read = self.connection.query(redis::pipe().cmd("CONFIG").arg("GET").arg(name)).await;
            let (settings,): (HashMap<String, String>,) = read.unwrap_or_default();
            match settings.get(name) {
                Some(value) if value == wanted => {}
                Some(value) => found.push(format!("Redis has `{name} {value}`; set `{name} {wanted}`: {reason}")),
                None => found.push(format!("Redis does not tell its `{name}`; make sure it is `{wanted}`: {reason}")),
            }
        }
        Ok(found)
    }
}

fn revoked_key(key: &KeyId) -> String {
    format!("{{{key}}}:revoked")
}

fn nonce_key(key: &KeyId, nonce: &str) -> String {
    format!("{{{key}}}:nonce:{nonce}")
}

fn backlog_key(tenant: &Tenant) -> String {
    format!("{{{}:{}}}:backlog", tenant.store_id, tenant.mode)
}

fn verdict_key(tenant: &Tenant, order_id: &str) -> String {
    format!("{{{}:{}}}:verdict:{order_id}", tenant.store_id, tenant.mode)
}
