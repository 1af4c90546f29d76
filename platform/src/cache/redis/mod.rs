//! The cache in Redis, for any number of processes.
//!
//! Guarantee: every method is one round trip and one atomic step of the server. Failure: a server that is down or silent
//! is an error within [`ANSWER_WITHIN`]; the connection heals by itself. When entries of history were lost on the way,
//! the cache is no longer said to hold history in full.
//!
//! Keys of a store share the hash tag `{store:mode}`; nonces and revocations have that of their API key, since they are
//! reached without the store. Design: ARCHITECTURE.md, "Cache".

mod entry;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, FromRedisValue, Pipeline, Script, ScriptInvocation};
use touchstone_schema::history::{HistoryByKey, HistoryEntry, HistoryKey};
use touchstone_schema::ids::KeyId;
use touchstone_schema::limits::{HISTORY_DEPTH, HISTORY_SPAN, IDEMPOTENCY_WINDOW, NONCE_TTL};
use touchstone_schema::secret::Secret;
use touchstone_schema::tenant::Tenant;
use touchstone_schema::time::Timestamp;

use super::rate::{REQUEST, rate_state};
use super::{Admission, Admitted, Cache, CacheError, Finished, REVOKED_FOR};

/// How long any method may take, connecting included.
const ANSWER_WITHIN: Duration = Duration::from_millis(250);
/// How long one attempt to connect may take.
const CONNECT_WITHIN: Duration = Duration::from_millis(200);
/// Commands that wait to be sent on the one connection.
const PIPELINED_COMMANDS: usize = 1_024;
/// Life of a store's backlog; it is empty again after a minute.
const BACKLOG_TTL: Duration = Duration::from_secs(120);
/// Entries of a history key at which it is cut to [`HISTORY_DEPTH`]: not at every one, to save the sorting.
const HISTORY_CUT_AT: usize = HISTORY_DEPTH + HISTORY_DEPTH / 4;
/// Present while the cache holds history in full; lost with everything else when the server is flushed.
const HISTORY_COMPLETE: &str = "history:complete";

/// Oldest major version that the scripts were made for.
const OLDEST_VERSION: u32 = 7;
/// Settings of the server that promises rest on (design, "When a part is down").
const WANTED_SETTINGS: [(&str, &str, &str); 2] = [
    ("appendonly", "yes", "otherwise a restart forgets nonces, and requests can be replayed"),
    ("maxmemory-policy", "noeviction", "otherwise nonces are evicted early, and requests can be replayed"),
];

/// See the module.
pub(super) struct RedisCache {
    client: Client,
    connection: ArcSwap<ConnectionManager>,
    admit: Script,
    release: Script,
    remember: Script,
    /// Entries were lost on the way to the server, which must stop saying that it holds history in full.
    history_torn: AtomicBool,
}

impl RedisCache {
    /// Prepares a connection, which is made on first use.
    pub(super) fn open(url: &Secret) -> Result<Self, CacheError> {
        let url = url.expose_text().ok_or_else(|| CacheError::new("the Redis URL is not text"))?;
        let client = Client::open(url).map_err(CacheError::new)?;
        Ok(Self {
            connection: ArcSwap::from_pointee(connect(&client)?),
            client,
            admit: Script::new(include_str!("admit.lua")),
            release: Script::new(include_str!("release.lua")),
            remember: Script::new(include_str!("remember.lua")),
            history_torn: AtomicBool::new(false),
        })
    }

    async fn invoke<T: FromRedisValue>(&self, invocation: &ScriptInvocation<'_>) -> Result<T, CacheError> {
        self.within(async |mut connection| invocation.invoke_async(&mut connection).await).await
    }

    async fn query<T: FromRedisValue>(&self, commands: &Pipeline) -> Result<T, CacheError> {
        self.within(async |mut connection| commands.query_async(&mut connection).await).await
    }

    /// Runs a round trip in bounded time. A connection that is silent, not closed, is replaced: it may lead nowhere.
    async fn within<T>(
        &self,
        round_trip: impl AsyncFnOnce(ConnectionManager) -> redis::RedisResult<T>,
    ) -> Result<T, CacheError> {
        let connection = self.connection.load_full();
        match tokio::time::timeout(ANSWER_WITHIN, round_trip(ConnectionManager::clone(&connection))).await {
            Ok(answer) => answer.map_err(CacheError::new),
            Err(silence) => {
                let fresh = Arc::new(connect(&self.client)?);
                self.connection.compare_and_swap(&connection, fresh);
                Err(CacheError::new(silence))
            }
        }
    }

    async fn try_remember(&self, finished: &[Finished<'_>], now: Timestamp) -> Result<(), CacheError> {
        let verdicts: Vec<_> = finished.iter().filter_map(|order| remaining_verdict(order, now)).collect();
        let entries: Vec<_> =
            finished.iter().filter_map(|order| order.history).filter(|entry| is_recent(entry, now)).collect();
        let mut call = self.remember.arg(verdicts.len());
        call.arg(HISTORY_SPAN.as_millis() as u64).arg(HISTORY_DEPTH).arg(HISTORY_CUT_AT);
        for (key, life_ms, value) in &verdicts {
            call.key(key).arg(*life_ms).arg(value);
        }
        for entry in entries {
            let stored = entry::encode_entry(entry);
            for (_, key) in entry.keys.iter() {
                call.key(history_key(key)).arg(entry.transaction_id.as_str()).arg(stored.as_slice());
            }
        }
        self.invoke(&call).await
    }

    /// Takes back that history is held in full, when entries were lost. True when it had to.
    async fn own_up_to_torn_history(&self) -> Result<bool, CacheError> {
        if !self.history_torn.load(Ordering::SeqCst) {
            return Ok(false);
        }
        self.query::<()>(redis::pipe().del(HISTORY_COMPLETE)).await?;
        self.history_torn.store(false, Ordering::SeqCst);
        Ok(true)
    }
}

#[async_trait]
impl Cache for RedisCache {
    async fn admit(&self, admission: &Admission<'_>) -> Result<Admitted, CacheError> {
        let mut call = self.admit.key(revoked_key(admission.key));
        call.key(backlog_key(admission.tenant)).key(nonce_key(admission.key, admission.nonce));
        if let Some(order_id) = admission.order_id {
            call.key(verdict_key(admission.tenant, order_id));
        }
        call.arg(admission.now.as_millis()).arg(admission.limit_per_minute).arg(admission.mark);
        call.arg(NONCE_TTL.as_millis() as u64).arg(BACKLOG_TTL.as_millis() as u64).arg(REQUEST);
        let (outcome, level, stored): (u8, u64, Option<String>) = self.invoke(&call).await?;
        let rate = rate_state(admission.limit_per_minute, level);
        match outcome {
            0 => {
                let finished = stored.as_deref().and_then(entry::decode_verdict);
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
        self.invoke::<()>(self.release.key(nonce_key(key, nonce)).arg(mark)).await
    }

    async fn revoke(&self, key: &KeyId) -> Result<(), CacheError> {
        self.query(redis::pipe().set_ex(revoked_key(key), 1, REVOKED_FOR.as_secs())).await
    }

    async fn remember(&self, finished: &[Finished<'_>], now: Timestamp) -> Result<(), CacheError> {
        let outcome = self.try_remember(finished, now).await;
        if outcome.is_err() {
            self.history_torn.store(true, Ordering::SeqCst);
        } else {
            self.own_up_to_torn_history().await?;
        }
        outcome
    }

    async fn history(&self, keys: &[HistoryKey], now: Timestamp) -> Result<Option<HistoryByKey>, CacheError> {
        if self.own_up_to_torn_history().await? {
            return Ok(None);
        }
        let mut commands = Pipeline::with_capacity(keys.len() + 1);
        commands.atomic().exists(HISTORY_COMPLETE);
        for key in keys {
            commands.hgetall(history_key(*key));
        }
        let mut answers = self.query::<Vec<redis::Value>>(&commands).await?.into_iter();
        let complete = answers.next().is_some_and(|answer| bool::from_redis_value(answer).unwrap_or(false));
        if !complete {
            return Ok(None);
        }
        let read = |(key, answer): (&HistoryKey, _)| Some((*key, read_entries(answer, now)?));
        Ok(keys.iter().zip(answers).map(read).collect())
    }

    async fn mark_history_complete(&self, complete: bool) -> Result<(), CacheError> {
        // Entries that were lost while somebody filled the cache: it is not full.
        if self.own_up_to_torn_history().await? {
            return Ok(());
        }
        let mut command = redis::pipe();
        if complete {
            command.set(HISTORY_COMPLETE, 1)
        } else {
            command.del(HISTORY_COMPLETE)
        };
        self.query(&command).await
    }

    async fn check(&self) -> Result<(), CacheError> {
        self.query(redis::pipe().ping().ignore()).await
    }

    async fn shortcomings(&self) -> Result<Vec<String>, CacheError> {
        let (server,): (redis::InfoDict,) = self.query(redis::pipe().cmd("INFO").arg("server")).await?;
        let version: String = server.get("redis_version").unwrap_or_default();
        let major = version.split('.').next().and_then(|major| major.parse().ok()).unwrap_or(0);
        let mut found = Vec::new();
        if major < OLDEST_VERSION {
            found.push(format!("Redis is of version {version}; version {OLDEST_VERSION} or later is needed"));
        }
        for (name, wanted, reason) in WANTED_SETTINGS {
            let read = self.query(redis::pipe().cmd("CONFIG").arg("GET").arg(name)).await;
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

fn connect(client: &Client) -> Result<ConnectionManager, CacheError> {
    let settings = ConnectionManagerConfig::new()
        .set_number_of_retries(0)
        .set_connection_timeout(Some(CONNECT_WITHIN))
        .set_response_timeout(None) // every round trip has ANSWER_WITHIN
        .set_pipeline_buffer_size(PIPELINED_COMMANDS);
    ConnectionManager::new_lazy_with_config(client.clone(), settings).map_err(CacheError::new)
}

/// Key, life in milliseconds and value of a verdict that is still within its hour.
fn remaining_verdict(order: &Finished<'_>, now: Timestamp) -> Option<(String, u64, String)> {
    let verdict = order.verdict?;
    let life = IDEMPOTENCY_WINDOW.checked_sub(now.since(verdict.received_at)).filter(|life| !life.is_zero())?;
    Some((verdict_key(order.tenant, order.order_id), life.as_millis() as u64, entry::encode_verdict(verdict)))
}

fn is_recent(entry: &HistoryEntry, now: Timestamp) -> bool {
    now.since(entry.received_at) < HISTORY_SPAN
}

/// The newest entries of a key; `None` when one cannot be read, as after a change of their form.
fn read_entries(answer: redis::Value, now: Timestamp) -> Option<Vec<Arc<HistoryEntry>>> {
    let stored = HashMap::<String, Vec<u8>>::from_redis_value(answer).ok()?;
    let entries: Option<Vec<_>> =
        stored.iter().map(|(transaction, bytes)| entry::decode_entry(transaction, bytes).map(Arc::new)).collect();
    let mut entries = entries?;
    entries.retain(|entry| is_recent(entry, now));
    entries.sort_unstable_by(|a, b| HistoryEntry::newest_first(a, b));
    entries.truncate(HISTORY_DEPTH);
    Some(entries)
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

fn history_key(key: HistoryKey) -> String {
    format!("history:{}", key.as_i64())
}
