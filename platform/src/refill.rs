//! Fills hot history from the store: all of it when it was lost, the newest of it when somebody may have died between
//! committing entries and handing them on.
//!
//! Guarantee: when [`rebuild`] is done, hot history holds what the store holds. What is committed while it runs is
//! written by whoever commits it, after the old was forgotten, so that no entry falls in between. One process at a time
//! does either; memory is that of a page. Failure: hot history stays incomplete and is not read; start anew.

use touchstone_schema::history::KeyedEntry;
use touchstone_schema::limits::HISTORY_SPAN;
use touchstone_schema::time::Timestamp;

use crate::cache::{CacheError, Holder, HotHistory};
use crate::clock::Clock;
use crate::store::history::HistoryCursor;
use crate::store::{StoreError, SystemStore};

/// Entries that are read and written together: some milliseconds of either server.
const PAGE: u64 = 400;

/// Why history was not filled.
#[derive(Debug, thiserror::Error)]
pub enum RefillError {
    /// It cannot be read.
    #[error("history cannot be read")]
    Store(#[from] StoreError),
    /// It cannot be written.
    #[error("history cannot be written")]
    Cache(#[from] CacheError),
    /// Another process has the right to fill it.
    #[error("another process is filling history right now")]
    Busy,
    /// The right to fill it was lost.
    #[error("what was filled is lost: the cache was flushed meanwhile, or an entry did not reach it")]
    Interrupted,
}

/// Forgets hot history and fills it with that of the store. `progress` is told how many entries have been written.
pub async fn rebuild(
    store: SystemStore<'_>,
    hot: &dyn HotHistory,
    clock: &Clock,
    progress: impl FnMut(u64) + Send,
) -> Result<u64, RefillError> {
    let holder = hot.claim().await?.ok_or(RefillError::Busy)?;
    let since = clock.now() - HISTORY_SPAN;
    let filled = async {
        still(hot.forget(&holder).await?)?;
        fill(&store, hot, &holder, (since, clock), progress).await
    };
    let filled = filled.await;
    release(hot, &holder, filled, true).await
}

/// Adds what the store has learnt since then and hot history has not.
pub async fn catch_up(
    store: SystemStore<'_>,
    hot: &dyn HotHistory,
    clock: &Clock,
    since: Timestamp,
) -> Result<u64, RefillError> {
    let holder = hot.claim().await?.ok_or(RefillError::Busy)?;
    let filled = fill(&store, hot, &holder, (since, clock), |_| ()).await;
    release(hot, &holder, filled, false).await
}

async fn fill(
    store: &SystemStore<'_>,
    hot: &dyn HotHistory,
    holder: &Holder,
    (since, clock): (Timestamp, &Clock),
    mut progress: impl FnMut(u64) + Send,
) -> Result<u64, RefillError> {
    let mut filled = 0;
    let mut last: Option<HistoryCursor> = None;
    loop {
        let page = store.history_page(last.as_ref(), since, PAGE).await?;
        last = page.last().map(|one| HistoryCursor::from(one.entry.as_ref()));
        let entries: Vec<KeyedEntry> = page.into_iter().map(KeyedEntry::from).collect();
        let count = entries.len() as u64;
        if count > 0 {
            still(hot.refill(holder, &entries, clock.now()).await?)?;
            filled += count;
            progress(filled);
        }
        if count < PAGE {
            return Ok(filled);
        }
    }
}

/// Gives the right back, whatever came of it, so that nobody waits for it to expire.
async fn release(
    hot: &dyn HotHistory,
    holder: &Holder,
    filled: Result<u64, RefillError>,
    complete: bool,
) -> Result<u64, RefillError> {
    let released = hot.release(holder, complete && filled.is_ok()).await;
    let filled = filled?;
    still(released?)?;
    Ok(filled)
}

const fn still(held: bool) -> Result<(), RefillError> {
    if held { Ok(()) } else { Err(RefillError::Interrupted) }
}
