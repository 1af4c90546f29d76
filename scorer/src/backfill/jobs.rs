//! Uploads, read in the background by whichever scorer has the time.
//!
//! Guarantee: one process reads an upload at a time, by a lease; when it dies another goes on where its last commit was.
//! What breaks off on its way in is forgotten. Failure: while the database is away nothing is looked for.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use touchstone_platform::store::backfill::Backfill;
use touchstone_platform::store::{Store, StoreError, SystemReason};

use super::{BackfillError, LEASE, PIECES_AHEAD, Pieces, Reading, read};
use crate::batch::{PolicyCache, policy_of};
use crate::consume::Dependencies;

/// How often it is looked for uploads.
const LOOK: Duration = Duration::from_secs(1);
/// Looks between two clearings up.
const LOOKS_A_CLEARING: u32 = 10;
/// Uploads that are forgotten at a time.
const FORGOTTEN: u64 = 8;

/// Reads uploads until shutdown.
pub(crate) async fn run(dependencies: Dependencies, shutdown: CancellationToken) -> Result<(), Infallible> {
    let mut interval = tokio::time::interval(LOOK);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut looks = 0u32;
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            _ = interval.tick() => {}
        }
        if let Err(error) = work(&dependencies, &shutdown).await {
            tracing::debug!(error = &error as &dyn std::error::Error, "uploads could not be looked for");
        }
        if looks.is_multiple_of(LOOKS_A_CLEARING)
            && let Err(error) = clear_up(&dependencies).await
        {
            tracing::debug!(error = &error as &dyn std::error::Error, "uploads could not be cleared up");
        }
        looks = looks.wrapping_add(1);
    }
}

/// Reads what waits, one upload after the other.
async fn work(dependencies: &Dependencies, shutdown: &CancellationToken) -> Result<(), StoreError> {
    while !shutdown.is_cancelled() {
        let now = dependencies.clock.now();
        let system = dependencies.store.system(SystemReason::RoleLoop);
        let Some(backfill) = system.claim_backfill(now, now + LEASE).await? else { return Ok(()) };
        let id = backfill.id.clone();
        let leased_until = backfill.leased_until;
        match upload(dependencies, backfill, shutdown).await {
            Ok(()) => system.forget_backfill_chunks(&id).await?,
            Err(error @ BackfillError::Unready(_)) => {
                system.fail_backfill(&id, leased_until, &error.to_string(), dependencies.clock.now()).await?;
                system.forget_backfill_chunks(&id).await?;
            }
            // Told and ended by the reading. Its pieces are cleared up once that is kept: else it is read again, and ends then.
            Err(error) if error.is_final() => {}
            Err(error) => {
                // Its lease runs out, and then it is gone on with.
                tracing::warn!(error = &error as &dyn std::error::Error, backfill = %id, "an upload was not read to its end");
            }
        }
    }
    Ok(())
}

async fn upload(
    dependencies: &Dependencies,
    backfill: Backfill,
    shutdown: &CancellationToken,
) -> Result<(), BackfillError> {
    let mut snapshot = dependencies.directory.snapshot();
    if snapshot.store(&backfill.tenant.store_id).is_none() {
        // A store that was made a moment ago.
        let _ = dependencies.directory.refresh_now().await;
        snapshot = dependencies.directory.snapshot();
    }
    let store_id = &backfill.tenant.store_id;
    let profile = snapshot.store(store_id).ok_or_else(|| BackfillError::Unready("the store is unknown".to_owned()))?;
    let policy = policy_of(&snapshot, store_id, &mut PolicyCache::new()).map_err(BackfillError::Unready)?;
    let (pieces, fetching) = pieces(dependencies.store.clone(), &backfill);
    let id = backfill.id.clone();
    let reading = Reading {
        store: dependencies.store.clone(),
        cache: Some(Arc::clone(&dependencies.cache)),
        clock: dependencies.clock.clone(),
        data_key: profile.data_key.clone(),
        policy,
        backfill,
        lease: LEASE,
        pieces,
        is_dry: false,
        side_file: None,
        shutdown: shutdown.clone(),
    };
    let outcome = Box::pin(read(reading, |_| ())).await;
    fetching.abort();
    let progress = outcome?.progress;
    tracing::info!(
        backfill = %id, accepted = progress.accepted, unchanged = progress.unchanged, warned = progress.warned,
        refused = progress.refused,
        "past orders were read"
    );
    Ok(())
}

/// The pieces of an upload, fetched ahead.
fn pieces(store: Store, backfill: &Backfill) -> (Pieces, JoinHandle<()>) {
    let (sender, receiver) = mpsc::channel(PIECES_AHEAD);
    let (id, size) = (backfill.id.clone(), backfill.size);
    let fetching = tokio::spawn(async move {
        let mut fetched = 0u64;
        for number in 0.. {
            let piece = store.system(SystemReason::RoleLoop).backfill_chunk(&id, number).await;
            let piece = match piece {
                Ok(Some(bytes)) => Ok(Bytes::from(bytes)),
                Ok(None) if fetched == size => return,
                Ok(None) => Err(std::io::Error::other("a piece of the upload is missing")),
                Err(error) => Err(std::io::Error::other(error)),
            };
            fetched += piece.as_ref().map_or(0, |bytes| bytes.len() as u64);
            let is_last = piece.is_err();
            if sender.send(piece).await.is_err() || is_last {
                return;
            }
        }
    });
    (receiver, fetching)
}

/// Forgets uploads that broke off, and has hot history filled anew where a process died before it had handed on what it
/// committed.
async fn clear_up(dependencies: &Dependencies) -> Result<(), StoreError> {
    let system = dependencies.store.system(SystemReason::RoleLoop);
    let now = dependencies.clock.now();
    for id in system.abandoned_backfills(now, FORGOTTEN).await? {
        system.drop_backfill(&id).await?;
    }
    for id in system.left_over_backfills(FORGOTTEN).await? {
        system.forget_backfill_chunks(&id).await?;
    }
    if let Some(hot) = dependencies.cache.history()
        && system.backfill_is_unshared(now).await?
    {
        match hot.distrust().await {
            Ok(()) => system.backfills_are_shared(now).await?,
            Err(error) => tracing::debug!(%error, "the cache cannot be told that it lacks history"),
        }
    }
    Ok(())
}
