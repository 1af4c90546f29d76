//! The cache inside the process, for the embedded mode.
//!
//! Guarantee: the same answers as the Redis adapter, and nonces survive a `kill -9`: a request is admitted when its
//! nonce has been handed to the operating system. Memory is bounded by named limits. It keeps no history: the store is in
//! the same process. Failure: when the nonce file cannot
//! be written, or there are more unexpired nonces than the limit, admission is an error.

mod admissions;
mod journal;
mod memory;

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use touchstone_schema::ids::KeyId;
use touchstone_schema::time::Timestamp;

use self::admissions::{Admissions, Decision, NonceDigest};
use self::journal::Journal;
use self::memory::RecentVerdicts;
use super::{Admission, Admitted, Cache, CacheError, Finished, HotHistory};

/// See the module.
pub(super) struct EmbeddedCache {
    admissions: Mutex<Admissions>,
    verdicts: Mutex<RecentVerdicts>,
    journal: Option<Journal>,
}

impl EmbeddedCache {
    /// Opens the nonce file, if there is to be one, and takes over what it holds.
    pub(super) fn open(path: Option<&Path>, now: Timestamp) -> std::io::Result<Self> {
        let mut admissions = Admissions::default();
        let journal = match path {
            Some(path) => {
                let (journal, records) = Journal::open(path)?;
                admissions.restore(&records, now);
                Some(journal)
            }
            None => None,
        };
        Ok(Self { admissions: Mutex::new(admissions), verdicts: Mutex::default(), journal })
    }
}

#[async_trait]
impl Cache for EmbeddedCache {
    async fn admit(&self, admission: &Admission<'_>) -> Result<Admitted, CacheError> {
        let (held, rate) = match lock(&self.admissions).decide(admission) {
            Decision::Final(outcome) => return Ok(outcome),
            Decision::TooManyNonces => return Err(CacheError::new("more nonces than the limit are unexpired")),
            Decision::Admit { held, rate } => (held, rate),
        };
        let (Some((nonce, record)), Some(signed)) = (held, &admission.signed) else {
            return Ok(Admitted::Yes { rate, finished: None });
        };
        if let Some(journal) = &self.journal
            && let Err(error) = journal.append(record).await
        {
            lock(&self.admissions).release(&nonce, signed.mark);
            return Err(CacheError::new(error));
        }
        let finished = signed.order_id.and_then(|id| lock(&self.verdicts).get(admission.tenant, id, admission.now));
        Ok(Admitted::Yes { rate, finished })
    }

    async fn release_nonce(&self, key: &KeyId, nonce: &str, mark: &str) -> Result<(), CacheError> {
        let released = lock(&self.admissions).release(&NonceDigest::of(key, nonce), mark);
        match (released, &self.journal) {
            (Some(record), Some(journal)) => journal.append(record).await.map_err(CacheError::new),
            _ => Ok(()),
        }
    }

    async fn revoke(&self, key: &KeyId) -> Result<(), CacheError> {
        lock(&self.admissions).revoke(key);
        Ok(())
    }

    async fn remember(&self, finished: &[Finished<'_>], now: Timestamp) -> Result<(), CacheError> {
        let mut verdicts = lock(&self.verdicts);
        for order in finished {
            verdicts.insert(order, now);
        }
        Ok(())
    }

    fn history(&self) -> Option<&dyn HotHistory> {
        None
    }

    async fn check(&self) -> Result<(), CacheError> {
        match &self.journal {
            Some(journal) => journal.check().map_err(CacheError::new),
            None => Ok(()),
        }
    }

    async fn shortcomings(&self) -> Result<Vec<String>, CacheError> {
        Ok(Vec::new())
    }
}

/// A panic under one of these locks leaves nothing half done that later callers could not live with.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
