//! Looking again for credentials that were not found, or did not fit: they may have been made a moment ago by another
//! process.
//!
//! Guarantee: what a command has committed before a request came in is found at that request, as long as the budget
//! lasts; after that the poll finds it. A stranger causes at most [`BURST`] looks at once and one every [`EVERY`], one at
//! a time, each a query of two rows by their keys that does not depend on what the stranger sent; and none for a name that
//! was looked for within [`REFUSED_FOR`]. Requests that wait at the same time share a look that began after they came.
//! Failure: while the database does not answer nobody looks for [`PAUSE`], and what is known stands.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::timeout;
use touchstone_schema::time::Timestamp;

use super::{Directory, DirectoryError, Snapshot};
use crate::bucket::TokenBucket;

/// Looks that may come at once.
const BURST: u32 = 20;
/// Time in which one more look is earned.
const EVERY: Duration = Duration::from_millis(50);
/// How long a name that was not found is not looked for again. The poll finds it in that time.
const REFUSED_FOR: Duration = super::POLL_INTERVAL;
/// Names remembered as not found; when there are more, all are forgotten.
const REFUSED_NAMES: usize = 4_096;
/// Longest wait of a request for a look.
const WAIT: Duration = Duration::from_millis(500);
/// How long nobody looks after a look that failed.
const PAUSE: Duration = Duration::from_secs(1);

/// The looks of a process.
#[derive(Debug)]
pub(super) struct Looks {
    /// Held during a look.
    turn: tokio::sync::Mutex<()>,
    /// How many have begun.
    begun: AtomicU64,
    /// The number of the newest one that ended well.
    done: AtomicU64,
    state: Mutex<State>,
    /// Of a seed of this process: nobody can choose names that are taken for others.
    hasher: RandomState,
}

#[derive(Debug)]
struct State {
    budget: TokenBucket,
    refused: HashMap<u64, Timestamp>,
    paused_until: Timestamp,
}

impl Default for Looks {
    fn default() -> Self {
        let state = State {
            budget: TokenBucket::new(EVERY, BURST),
            refused: HashMap::new(),
            paused_until: Timestamp::from_millis(0),
        };
        Self {
            turn: tokio::sync::Mutex::default(),
            begun: AtomicU64::default(),
            done: AtomicU64::default(),
            state: Mutex::new(state),
            hasher: RandomState::new(),
        }
    }
}

impl State {
    /// Whether a look for this name can lead to anything.
    fn is_open(&self, name: u64, now: Timestamp) -> bool {
        now >= self.paused_until && self.refused.get(&name).is_none_or(|until| now >= *until)
    }

    fn refuse(&mut self, name: u64, now: Timestamp) {
        if self.refused.len() >= REFUSED_NAMES {
            self.refused.clear();
        }
        self.refused.insert(name, now + REFUSED_FOR);
    }
}

/// What became of a look.
enum Look {
    /// It ended after the caller asked.
    Done,
    /// There were too many.
    OverBudget,
}

impl Directory {
    /// Looks whether something was made since `seen` was taken, for credentials that are not in it or do not fit. `name`
    /// is what they are found by. Gives the newer state; none when nothing has changed, or too many were looked for.
    pub async fn look_again(&self, seen: &Arc<Snapshot>, name: &str) -> Option<Arc<Snapshot>> {
        let (name, now) = (self.looks.hasher.hash_one(name), self.clock.now());
        if !self.looks.state().is_open(name, now) {
            return None;
        }
        let result = match timeout(WAIT, self.look(now)).await {
            Ok(Ok(Look::Done)) => "done",
            Ok(Ok(Look::OverBudget)) => "over_budget",
            Ok(Err(_)) | Err(_) => "failed",
        };
        metrics::counter!("touchstone_directory_looks_total", "result" => result).increment(1);
        match result {
            "done" => {}
            "over_budget" => return None,
            _ => {
                self.looks.state().paused_until = self.clock.now() + PAUSE;
                return None;
            }
        }
        let found = self.snapshot();
        if Arc::ptr_eq(&found, seen) {
            self.looks.state().refuse(name, self.clock.now());
            return None;
        }
        Some(found)
    }

    /// Reads what has changed, or waits for another caller's look that began after this one asked.
    async fn look(&self, now: Timestamp) -> Result<Look, DirectoryError> {
        let asked = self.looks.begun.load(Ordering::Acquire);
        let _turn = self.looks.turn.lock().await;
        if self.looks.done.load(Ordering::Acquire) > asked {
            return Ok(Look::Done);
        }
        if self.looks.state().budget.take(1, now).is_err() {
            return Ok(Look::OverBudget);
        }
        let number = self.looks.begun.fetch_add(1, Ordering::AcqRel) + 1;
        self.refresh_now().await?;
        self.looks.done.store(number, Ordering::Release);
        Ok(Look::Done)
    }
}

impl Looks {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
