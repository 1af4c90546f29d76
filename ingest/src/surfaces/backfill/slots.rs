//! Room for uploads: so many a process, and few of them a store.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use touchstone_schema::ids::StoreId;
use touchstone_schema::limits::BACKFILL_UPLOADS_AT_ONCE;

use crate::problem::Problem;

/// Uploads that a process takes in at once; each holds a piece.
const AT_ONCE: usize = 8;

/// Room for uploads.
#[derive(Debug, Clone)]
pub(crate) struct Uploads {
    all: Arc<Semaphore>,
    of_stores: Arc<Mutex<HashMap<StoreId, u64>>>,
}

impl Default for Uploads {
    fn default() -> Self {
        Self { all: Arc::new(Semaphore::new(AT_ONCE)), of_stores: Arc::default() }
    }
}

impl Uploads {
    /// A slot for an upload of this store.
    pub(super) fn enter(&self, store: &StoreId) -> Result<Slot, Problem> {
        let mut of_stores = self.of_stores.lock().unwrap_or_else(PoisonError::into_inner);
        if of_stores.get(store).is_some_and(|held| *held >= BACKFILL_UPLOADS_AT_ONCE) {
            return Err(too_many_at_once());
        }
        let permit = Arc::clone(&self.all).try_acquire_owned().map_err(|_| Problem::unavailable())?;
        *of_stores.entry(store.clone()).or_default() += 1;
        Ok(Slot { _permit: permit, of_stores: Arc::clone(&self.of_stores), store: store.clone() })
    }
}

/// The slot of one upload, given up when it is dropped.
#[derive(Debug)]
pub(super) struct Slot {
    _permit: OwnedSemaphorePermit,
    of_stores: Arc<Mutex<HashMap<StoreId, u64>>>,
    store: StoreId,
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut of_stores = self.of_stores.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = of_stores.get_mut(&self.store) {
            *held = held.saturating_sub(1);
            if *held == 0 {
                of_stores.remove(&self.store);
            }
        }
    }
}

/// 409: as many uploads of the store come in as may at once.
pub(super) fn too_many_at_once() -> Problem {
    Problem::state_conflict(
        "too_many_backfills",
        format!("Expected at most {BACKFILL_UPLOADS_AT_ONCE} uploads of a store at once; wait for one of them to end."),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_holds_few_of_the_slots_and_gives_them_up() {
        let uploads = Uploads::default();
        let (one, other): (StoreId, StoreId) =
            ("store_01ARZ3NDEKTSV4RRFFQ69G5FAV".parse().unwrap(), "store_01ARZ3NDEKTSV4RRFFQ69G5FAW".parse().unwrap());
        let held: Vec<_> = (0..BACKFILL_UPLOADS_AT_ONCE).map(|_| uploads.enter(&one).unwrap()).collect();
        assert!(uploads.enter(&one).is_err());
        drop(uploads.enter(&other).unwrap());
        drop(held);
        assert!(uploads.enter(&one).is_ok());
        assert!(uploads.of_stores.lock().unwrap().is_empty());
    }
}
