//! Outside data: what files in the data folder, and lists that come with the build, tell of an order.
//!
//! Guarantee: every file is optional, read off the async threads, checked whole and swapped at once while orders are
//! scored; a [`Snapshot`] does not change while it is held, and its version names the contents that it was made from.
//! Failure: a file that cannot be used is refused as a whole, with its name, the line and what was expected in the log;
//! the good one before it stays in use. An absent file tells nothing.
//! Formats, sources and licences: docs/enrichment.md.

mod addresses;
mod bins;
mod built_in;
mod database;
mod domains;
mod files;
mod hosting;
mod inspect;
mod lines;
mod postcodes;
mod snapshot;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use touchstone_schema::enrichment::Enrichment;
use touchstone_schema::time::Timestamp;

use self::files::{FILE_COUNT, FILES, Loaded, Stamp};
use self::snapshot::Subject;
use crate::clock::Clock;

pub use self::files::{DataFile, FileError};
pub use self::inspect::{FileReport, FileState, built_in_coverage, inspect};
pub use self::lines::Problem;
pub use self::snapshot::Snapshot;

/// How often the folder is looked at. A change is taken up at the second look that finds the file at rest.
pub const POLL_INTERVAL: Duration = Duration::from_secs(2);

/// A file's contents, ready to be asked.
trait Table: std::fmt::Debug + Send + Sync {
    /// Adds what it knows of an order.
    fn tell(&self, subject: &Subject<'_>, enrichment: &mut Enrichment);

    /// How many ranges, domains or other entries it has.
    fn entries(&self) -> usize;

    /// The same for people.
    fn coverage(&self) -> String;

    /// When its data was made, if it says so itself.
    fn built_at(&self) -> Option<Timestamp> {
        None
    }
}

/// Holds the newest good state of the folder.
#[derive(Debug)]
pub struct Enricher {
    folder: Option<PathBuf>,
    clock: Clock,
    snapshot: ArcSwap<Snapshot>,
    /// What the last look saw; held while the next one looks.
    watches: Mutex<[Watch; FILE_COUNT]>,
}

/// What is known of one file in the folder.
#[derive(Debug, Clone, Copy, Default)]
struct Watch {
    /// Whether it was looked at before.
    is_known: bool,
    /// What the last look saw.
    seen: Option<Stamp>,
    /// What was last taken up, or refused.
    settled: Option<Stamp>,
    /// Whether it could not even be looked at, so that this is told once.
    is_hidden: bool,
}

/// What became of one file since the last look.
enum Change {
    Loaded(Box<Loaded>),
    Removed,
    Refused(FileError),
}

impl Enricher {
    /// What the build knows, without any file.
    pub fn built_in() -> Arc<Self> {
        Self::new(None, Clock::system())
    }

    /// Over a folder, which need not exist. Nothing is read before [`Enricher::refresh`].
    pub fn over(folder: PathBuf, clock: Clock) -> Arc<Self> {
        Self::new(Some(folder), clock)
    }

    fn new(folder: Option<PathBuf>, clock: Clock) -> Arc<Self> {
        let snapshot = ArcSwap::from_pointee(Snapshot::new(Default::default()));
        Arc::new(Self { folder, clock, snapshot, watches: Mutex::default() })
    }

    /// The state as of now.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Looks at the folder every [`POLL_INTERVAL`] until shutdown.
    pub async fn poll(self: Arc<Self>, shutdown: CancellationToken) -> Result<(), Infallible> {
        let mut interval = tokio::time::interval(POLL_INTERVAL);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                _ = interval.tick() => self.refresh().await,
            }
        }
    }

    /// Looks at the folder once, and takes up what changed and is at rest.
    pub async fn refresh(&self) {
        let Some(folder) = self.folder.clone() else { return };
        let mut watches = self.watches.lock().await;
        let before = *watches;
        let looked = tokio::task::spawn_blocking(move || look(&folder, before)).await;
        let (after, changes) = match looked {
            Ok(looked) => looked,
            Err(error) => return tracing::error!(%error, "the enrichment files could not be looked at"),
        };
        *watches = after;
        if !changes.is_empty() {
            self.take_up(changes);
        }
        self.tell_ages();
    }

    fn take_up(&self, changes: Vec<(usize, Change)>) {
        let before = self.snapshot();
        let mut files = before.files().clone();
        for (index, change) in changes {
            let (Some(file), Some(slot)) = (FILES.get(index), files.get_mut(index)) else { continue };
            let outcome = tell_change(file, &change);
            match change {
                Change::Loaded(loaded) => *slot = Some(Arc::from(loaded)),
                Change::Removed => *slot = None,
                Change::Refused(_) => {}
            }
            metrics::counter!("touchstone_enrichment_changes_total", "file" => file.name, "outcome" => outcome)
                .increment(1);
            metrics::gauge!("touchstone_enrichment_entries", "file" => file.name)
                .set(slot.as_ref().map_or(0.0, |loaded| loaded.table.entries() as f64));
        }
        let after = Snapshot::new(files);
        if after.version() != before.version() {
            tracing::info!(version = %after.version(), before = %before.version(), "enrichment data changed");
            self.snapshot.store(Arc::new(after));
        }
    }

    fn tell_ages(&self) {
        let now = self.clock.now();
        for (file, loaded) in FILES.iter().zip(self.snapshot.load().files()) {
            if let Some(loaded) = loaded {
                metrics::gauge!("touchstone_enrichment_age_seconds", "file" => file.name)
                    .set(now.since(loaded.made_at).as_secs_f64());
            }
        }
    }
}

/// Puts a change into the log. Returns its name for the metric.
fn tell_change(file: &DataFile, change: &Change) -> &'static str {
    match change {
        Change::Loaded(loaded) => {
            tracing::info!(file = file.name, coverage = loaded.table.coverage(), "enrichment file is in use");
            "loaded"
        }
        Change::Removed => {
            tracing::info!(file = file.name, "enrichment file is gone: it tells nothing any more");
            "removed"
        }
        Change::Refused(error) => {
            let error = error as &dyn std::error::Error;
            tracing::warn!(error, file = file.name, "enrichment file refused: the one before it stays in use");
            "refused"
        }
    }
}

/// Looks at every file once.
fn look(folder: &Path, mut watches: [Watch; FILE_COUNT]) -> ([Watch; FILE_COUNT], Vec<(usize, Change)>) {
    let mut changes = Vec::new();
    for (index, (file, watch)) in FILES.iter().zip(&mut watches).enumerate() {
        changes.extend(watch.look(file, folder).map(|change| (index, change)));
    }
    (watches, changes)
}

impl Watch {
    /// A file that is being written is left until it rests: half of a list is a list too.
    fn look(&mut self, file: &DataFile, folder: &Path) -> Option<Change> {
        let stamp = match file.stamp(folder) {
            Ok(stamp) => stamp,
            Err(error) => return (!std::mem::replace(&mut self.is_hidden, true)).then_some(Change::Refused(error)),
        };
        let is_at_rest = !self.is_known || self.seen == stamp;
        (self.is_known, self.seen, self.is_hidden) = (true, stamp, false);
        if stamp == self.settled || !is_at_rest {
            return None;
        }
        let change = match stamp.map(|_| file.load(folder)) {
            None => Change::Removed,
            Some(Ok(loaded)) => Change::Loaded(Box::new(loaded)),
            Some(Err(error)) => Change::Refused(error),
        };
        if file.stamp(folder).ok()? != stamp {
            // It changed while it was read: at rest later.
            return None;
        }
        self.settled = stamp;
        Some(change)
    }
}
