//! Hot history in Redis: under each key a string of records, appended as they come.
//!
//! Appending is what costs the server least, and a string what takes the least memory: the reader sorts, and leaves out
//! what is there twice. A key leaves [`HISTORY_SPAN`] after its last entry, and is cut to its newest records when it has
//! many more than are ever looked at. Keys have no hash tag: the key of history tells no store, and one store's history
//! may lie on many nodes.
//!
//! Failure: entries that did not arrive take back that history is held in full. Until the server has heard of it nothing
//! is given here, and a task keeps telling it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use redis::{Script, ScriptInvocation, Value};
use touchstone_schema::history::{HistoryByKey, HistoryKey, KeyedEntry};
use touchstone_schema::limits::{HISTORY_DEPTH, HISTORY_SPAN};
use touchstone_schema::time::Timestamp;

use super::connection::Connection;
use super::record::{self, FULL_RECORD, Reader};
use super::{CacheError, Holder, HotHistory};
use crate::random;
use crate::retry::Backoff;

/// Present while history is held in full; lost with everything else when the server is flushed.
const COMPLETE: &str = "history:complete";
/// Names who fills history.
const FILLING: &str = "history:filling";
/// How long the right to fill outlives the last step of its holder. A step is one page of the store.
const HOLDER_LIFE: Duration = Duration::from_secs(15);
/// What a history key begins with; with the key itself it takes the least that the server's allocator gives for a name.
const PREFIX: &[u8; 5] = b"hist:";
/// Bytes of a key at which it is cut. Seldom enough to spare the sorting.
const CUT_AT: usize = 2 * HISTORY_DEPTH * FULL_RECORD;
/// Records kept then; some more than are looked at, since those of the same millisecond are cut in any order.
const KEPT: usize = HISTORY_DEPTH + HISTORY_DEPTH / 4;
/// Names that the server looks at in one step of forgetting.
const SCANNED: usize = 1_000;

/// See the module.
pub(super) struct RedisHistory(Arc<Shared>);

struct Shared {
    connection: Arc<Connection>,
    append: Script,
    fill: Script,
    /// Times that entries were lost on the way to a server that may still say that it holds history in full.
    losses: AtomicU64,
}

impl RedisHistory {
    pub(super) fn new(connection: Arc<Connection>) -> Self {
        Self(Arc::new(Shared {
            connection,
            append: Script::new(include_str!("append.lua")),
            fill: Script::new(include_str!("fill.lua")),
            losses: AtomicU64::new(0),
        }))
    }

    /// Nobody appends what is new; a holder leaves out what is there. False: the holder lost the right.
    async fn append(
        &self,
        holder: Option<&Holder>,
        entries: &[KeyedEntry],
        now: Timestamp,
    ) -> Result<bool, CacheError> {
        let since = now - HISTORY_SPAN;
        let mut call = self.0.append.key(FILLING);
        call.arg(holder.map_or("", |holder| &holder.0)).arg(HOLDER_LIFE.as_millis() as u64);
        call.arg(HISTORY_SPAN.as_secs()).arg(CUT_AT).arg(KEPT);
        for KeyedEntry { entry, keys } in entries.iter().filter(|keyed| keyed.entry.received_at >= since) {
            for key in keys {
                call.key(name(*key).as_slice());
            }
            call.arg(keys.len()).arg(record::encode(entry));
        }
        self.0.connection.invoke(&call).await
    }

    fn step(&self, holder: &Holder, what: &str) -> ScriptInvocation<'_> {
        let mut call = self.0.fill.key(FILLING);
        call.key(COMPLETE).arg(&holder.0).arg(HOLDER_LIFE.as_millis() as u64).arg(what);
        call
    }

    /// Takes back that history is held in full, as soon as the server can be told.
    fn own_up(&self) {
        if self.0.losses.fetch_add(1, Ordering::SeqCst) > 0 {
            return; // a task is at it
        }
        let shared = Arc::clone(&self.0);
        tokio::spawn(async move {
            let mut backoff = Backoff::default();
            loop {
                let losses = shared.losses.load(Ordering::SeqCst);
                // Whoever fills history may have passed what was lost.
                let told = shared.connection.query::<()>(redis::pipe().del(&[COMPLETE, FILLING])).await;
                match told {
                    Ok(()) if shared.losses.compare_exchange(losses, 0, Ordering::SeqCst, Ordering::SeqCst).is_ok() => {
                        return;
                    }
                    Ok(()) => {}
                    Err(_) => backoff.wait().await,
                }
            }
        });
    }
}

#[async_trait]
impl HotHistory for RedisHistory {
    async fn load(&self, keys: &[HistoryKey], since: Timestamp) -> Result<Option<HistoryByKey>, CacheError> {
        if self.0.losses.load(Ordering::SeqCst) > 0 {
            return Ok(None);
        }
        let mut command = redis::cmd("MGET");
        command.arg(COMPLETE);
        for key in keys {
            command.arg(name(*key).as_slice());
        }
        let mut values = self.0.connection.command::<Vec<Value>>(&command).await?.into_iter();
        if values.next().is_none_or(|mark| mark == Value::Nil) {
            return Ok(None);
        }
        let mut reader = Reader::default();
        let read = |(key, value): (&HistoryKey, Value)| {
            let entries = match value {
                Value::Nil => Vec::new(),
                Value::BulkString(stored) => reader.newest(&stored, since)?,
                _ => return None,
            };
            Some((*key, entries))
        };
        Ok(keys.iter().zip(values).map(read).collect())
    }

    async fn remember(&self, entries: &[KeyedEntry], now: Timestamp) -> Result<(), CacheError> {
        let appended = self.append(None, entries, now).await;
        if appended.is_err() {
            self.own_up();
        }
        appended.map(drop)
    }

    async fn distrust(&self) -> Result<(), CacheError> {
        self.0.connection.query(redis::pipe().del(&[COMPLETE, FILLING])).await
    }

    async fn claim(&self) -> Result<Option<Holder>, CacheError> {
        let holder = Holder(hex::encode(random::bytes::<16>()));
        let mut command = redis::cmd("SET");
        command.arg(FILLING).arg(&holder.0).arg("NX").arg("PX").arg(HOLDER_LIFE.as_millis() as u64);
        let set = self.0.connection.command::<Option<String>>(&command).await?;
        Ok(set.map(|_| holder))
    }

    async fn forget(&self, holder: &Holder) -> Result<bool, CacheError> {
        let mut cursor = 0u64;
        loop {
            let mut scan = redis::cmd("SCAN");
            scan.arg(cursor).arg("MATCH").arg([PREFIX.as_slice(), b"*"].concat()).arg("COUNT").arg(SCANNED);
            let (next, names) = self.0.connection.command::<(u64, Vec<Vec<u8>>)>(&scan).await?;
            let mut call = self.step(holder, "forget");
            for name in &names {
                call.key(name.as_slice());
            }
            if !self.0.connection.invoke(&call).await? {
                return Ok(false);
            }
            if next == 0 {
                return Ok(true);
            }
            cursor = next;
        }
    }

    async fn refill(&self, holder: &Holder, entries: &[KeyedEntry], now: Timestamp) -> Result<bool, CacheError> {
        self.append(Some(holder), entries, now).await
    }

    async fn release(&self, holder: &Holder, complete: bool) -> Result<bool, CacheError> {
        self.0.connection.invoke(&self.step(holder, if complete { "complete" } else { "release" })).await
    }
}

fn name(key: HistoryKey) -> [u8; 13] {
    let mut name = [0; 13];
    name[..PREFIX.len()].copy_from_slice(PREFIX);
    name[PREFIX.len()..].copy_from_slice(&key.as_i64().to_be_bytes());
    name
}
