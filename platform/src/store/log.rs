//! SQLite's write-ahead log, brought into the file beside the commits instead of within them.
//!
//! Guarantee: a commit waits for the disk once, for its own pages of the log. When the log is [`LONGEST`], the writers of
//! this process wait for one run, after which it begins anew. Failure: a run that fails is made up for by the next; until
//! then the log is read along with the file, as after a crash.

use std::sync::Arc;
use std::time::Duration;

use sea_orm::DatabaseConnection;
use tokio::sync::{Mutex, Notify};
use tokio::task::JoinHandle;

use super::StoreError;
use super::database::{column, row};

/// Pages that make a run worth its two waits for the disk; SQLite's own measure.
const WORTH: i64 = 1_000;
/// Pages of a log that writers wait for.
const LONGEST: i64 = 16_384;
/// What a log that has begun anew is cut to, in bytes: as many pages, of 4 KiB.
pub(super) const KEPT_BYTES: i64 = LONGEST * 4_096;
/// Least time between two looks.
const LOOK: Duration = Duration::from_millis(50);

/// The writers of this process, who take turns, and the log that they fill.
#[derive(Debug)]
pub(super) struct Writers {
    /// Held by the one that writes.
    pub(super) turn: Arc<Mutex<()>>,
    committed: Arc<Notify>,
    keeping: JoinHandle<()>,
}

impl Writers {
    /// Keeps the log of this database until it is dropped.
    pub(super) fn new(database: DatabaseConnection) -> Self {
        let (turn, committed) = (Arc::default(), Arc::default());
        let keeping = tokio::spawn(keep(database, Arc::clone(&turn), Arc::clone(&committed)));
        Self { turn, committed, keeping }
    }

    /// Says that the log has grown.
    pub(super) fn committed(&self) {
        self.committed.notify_one();
    }
}

impl Drop for Writers {
    fn drop(&mut self) {
        self.keeping.abort();
    }
}

async fn keep(database: DatabaseConnection, turn: Arc<Mutex<()>>, committed: Arc<Notify>) {
    loop {
        committed.notified().await;
        if let Err(error) = look(&database, &turn).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the database's log was not brought into its file"
            );
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn look(database: &DatabaseConnection, turn: &Mutex<()>) -> Result<(), StoreError> {
    let mut log = pages(database, "PRAGMA wal_checkpoint(NOOP)").await?;
    if log.whole - log.done >= WORTH {
        log = pages(database, RUN).await?;
    }
    if log.whole >= LONGEST {
        let _turn = turn.lock().await;
        pages(database, RUN).await?;
    }
    Ok(())
}

/// Brings what can be brought without waiting for anybody.
const RUN: &str = "PRAGMA wal_checkpoint(PASSIVE)";

/// Pages of the log, and how many of them are in the file.
struct Log {
    whole: i64,
    done: i64,
}

async fn pages(database: &DatabaseConnection, pragma: &str) -> Result<Log, StoreError> {
    let found = row(database, pragma, []).await?;
    let found = found.ok_or_else(|| StoreError::corrupt("log", "its length is not told"))?;
    Ok(Log { whole: column(&found, "log")?, done: column(&found, "checkpointed")? })
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::database::execute;
    use super::super::{Store, StoreSettings};
    use super::*;
    use crate::random;

    const PAGE: u64 = 4_096;
    const PATIENCE: Duration = Duration::from_secs(30);
    const FILL: &str =
        "WITH RECURSIVE pages(number) AS (SELECT 1 UNION ALL SELECT number + 1 FROM pages WHERE number < $1)
      INSERT INTO filler (bytes) SELECT randomblob(4000) FROM pages";

    async fn open() -> (PathBuf, Store) {
        let path = std::env::temp_dir().join(format!("touchstone-log-{}.db", hex::encode(random::bytes::<8>())));
        let store = Store::open(&StoreSettings::Sqlite { path: path.clone() }).await.expect("a file can be made");
        execute(&store.database, "CREATE TABLE filler (bytes BLOB NOT NULL)", []).await.expect("a table can be made");
        (path, store)
    }

    async fn fill(store: &Store, pages: i64) {
        let change = store.begin().await.expect("nobody else writes for long");
        execute(change.transaction(), FILL, [pages.into()]).await.expect("there is room");
        change.commit().await.expect("a commit");
    }

    fn length(path: &std::path::Path, ending: &str) -> u64 {
        let mut name = path.as_os_str().to_owned();
        name.push(ending);
        std::fs::metadata(name).map_or(0, |file| file.len())
    }

    fn forget(path: &std::path::Path) {
        for ending in ["", "-wal", "-shm"] {
            let mut name = path.as_os_str().to_owned();
            name.push(ending);
            let _ = std::fs::remove_file(name);
        }
    }

    #[tokio::test]
    async fn what_was_committed_reaches_the_file_without_another_commit() {
        let (path, store) = open().await;
        fill(&store, 2 * WORTH).await;
        let reached = tokio::time::timeout(PATIENCE, async {
            while length(&path, "") < u64::try_from(2 * WORTH).expect("a length") * PAGE {
                tokio::time::sleep(LOOK).await;
            }
        });
        reached.await.expect("it reaches the file");
        forget(&path);
    }

    #[tokio::test]
    async fn log_begins_anew_while_commits_follow_each_other() {
        let (path, store) = open().await;
        let longest = u64::try_from(LONGEST).expect("a length") * PAGE;
        let (mut written, mut seen) = (0, 0);
        while written < 4 * longest {
            fill(&store, WORTH).await;
            written += u64::try_from(WORTH).expect("a length") * PAGE;
            seen = length(&path, "-wal").max(seen);
        }
        assert!(seen < 2 * longest, "{seen} bytes of log, of {written} that were written");
        forget(&path);
    }
}
