//! Leases of readings: held as long as a process works, however long a row takes, and ended only with the whole file.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use touchstone_ingest::Settings;
use touchstone_platform::random;
use touchstone_platform::store::SystemReason;
use touchstone_platform::store::backfill::{BackfillState, Chunk, Conclusion, NewBackfill, Progress, Read};
use touchstone_schema::backfill::Form;
use touchstone_schema::ids::BackfillId;
use touchstone_schema::secret::Secret;
use touchstone_scorer::backfill::{Reading, read};
use touchstone_scorer::score::policy::Policy;
use touchstone_tests::eventually;

use super::fixture::PATIENCE;
use crate::ingest::fixture::Door;

/// The behaviours on both ways to run.
macro_rules! on_both_stores {
    ($($behaviour:ident),+ $(,)?) => {
        mod embedded {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $behaviour() -> anyhow::Result<()> {
                let door = super::Door::embedded(super::Settings::default()).await?;
                Box::pin(super::$behaviour(&door)).await
            })+
        }
        mod production {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $behaviour() -> anyhow::Result<()> {
                let door = super::Door::production(super::Settings::default()).await?;
                Box::pin(super::$behaviour(&door)).await
            })+
        }
    };
}

on_both_stores![
    a_row_that_takes_longer_than_the_lease_is_read_by_one_scorer_and_ends_once,
    a_backfill_is_done_only_when_all_of_its_bytes_are_committed,
];

const FILE: &str = "{\"transaction\":{\"order_id\":\"L-1\",\"ordered_on\":\"2026-03-01\",\"order_total\":\"9.50\"}}\n";

/// An upload that is whole and waits to be read.
async fn upload(door: &Door) -> Result<BackfillId> {
    let now = door.clock.now();
    let id = BackfillId::mint(now, random::bytes());
    let until = now + Duration::from_secs(60);
    let store = door.store.tenant(&door.keys.mine.tenant);
    let form = Form::default();
    let new = NewBackfill { id: &id, source: "", kind: None, form, now, leased_until: until, actor: "merchant" };
    store.begin_backfill(&new).await?;
    let chunk = Chunk { backfill: &id, number: 0, bytes: FILE.into() };
    store.put_backfill_chunk(chunk, (now, until), u64::MAX >> 1).await?;
    anyhow::ensure!(store.backfill_is_whole(&id, FILE.len() as u64).await?);
    Ok(id)
}

async fn a_row_that_takes_longer_than_the_lease_is_read_by_one_scorer_and_ends_once(door: &Door) -> Result<()> {
    let id = upload(door).await?;
    let lease = Duration::from_secs(3);
    let system = door.store.system(SystemReason::RoleLoop);
    let now = door.clock.now();
    let backfill = system.claim_backfill(now, now + lease).await?.context("it waits")?;
    let (sender, pieces) = mpsc::channel(1);
    let reading = Reading {
        store: door.store.clone(),
        cache: None,
        clock: door.clock.clone(),
        data_key: Secret::new("0123456789abcdef"),
        policy: Arc::new(Policy::built_in()),
        backfill,
        lease,
        pieces,
        is_dry: false,
        side_file: None,
        shutdown: CancellationToken::new(),
    };
    let reading = tokio::spawn(async move { read(reading, |_| ()).await });
    // The row does not come to its end, and another scorer looks for work, until the first lease would have run out thrice.
    let tenant = door.store.tenant(&door.keys.mine.tenant);
    eventually(PATIENCE, "the lease to be renewed again and again", async || {
        let looked_at = door.clock.now();
        assert!(system.claim_backfill(looked_at, looked_at + lease).await.ok()?.is_none(), "the lease was lost");
        let held = tenant.backfill(&id).await.ok()??.leased_until;
        (held > now + lease * 3).then_some(())
    })
    .await?;
    sender.send(Ok(Bytes::from(FILE))).await?;
    drop(sender);
    let outcome = reading.await??;
    assert_eq!((outcome.progress.accepted, outcome.progress.position), (1, FILE.len() as u64));
    let shown = tenant.backfill(&id).await?.context("it is there")?;
    assert_eq!((shown.state, shown.progress.accepted), (BackfillState::Done, 1));
    Ok(())
}

async fn a_backfill_is_done_only_when_all_of_its_bytes_are_committed(door: &Door) -> Result<()> {
    let id = upload(door).await?;
    let system = door.store.system(SystemReason::RoleLoop);
    let now = door.clock.now();
    let until = now + Duration::from_secs(60);
    system.claim_backfill(now, until).await?.context("it waits")?;
    let size = FILE.len() as u64;
    let tenant = &door.keys.mine.tenant;
    let read = Read { id: &id, tenant, leased_until: until, lease_until: until, form: Form::default(), orders: &[] };
    for position in [size - 1, size] {
        // Neither what the process takes for the size nor what came in is enough by itself.
        assert!(!system.finish_backfill(&id, until, size, now).await?, "before byte {position}");
        let progress = Progress { position, ..Progress::default() };
        let conclusion = Conclusion { progress, ..Conclusion::default() };
        system.commit_backfill(&read, |_| Ok(conclusion.clone())).await?.context("the lease is held")?;
        assert!(!system.finish_backfill(&id, until, size - 1, now).await?, "at byte {position}");
    }
    assert!(system.finish_backfill(&id, until, size, now).await?);
    let shown = door.store.tenant(tenant).backfill(&id).await?.context("it is there")?;
    assert_eq!(shown.state, BackfillState::Done);
    Ok(())
}
