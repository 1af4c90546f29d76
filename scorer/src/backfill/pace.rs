//! How much is committed at a time, and how long to rest afterwards.
//!
//! Alone, a commit is as large as its time allows: the more rows it has, the less each costs. While orders arrive, commits
//! are short and pauses long, so that an order seldom finds the database taken, and never for long.

use std::time::Duration;

use tokio::time::Instant;
use touchstone_platform::clock::Clock;
use touchstone_platform::store::{Store, SystemReason};

use super::parse::BATCH_ROWS;

/// Rows of the first commit.
const FIRST_ROWS: usize = 250;
/// Fewest and most rows of a commit.
const ROWS: (usize, usize) = (BATCH_ROWS, 8_000);
/// How long a commit may take while nobody else is there.
const ALONE: Duration = Duration::from_millis(600);
/// How often it is looked whether orders arrive.
const LOOK: Duration = Duration::from_millis(500);
/// How recent an order must be to say that there are more to come.
const RECENT: Duration = Duration::from_secs(5);

/// How a database is shared with orders that arrive.
#[derive(Debug, Clone, Copy)]
struct Share {
    /// How long a commit may take.
    commit: Duration,
    /// How much longer than it the pause is.
    pause: u32,
}

/// One writer at a time: whoever comes during a commit waits for its end.
const SQLITE: Share = Share { commit: Duration::from_millis(3), pause: 60 };
/// Writers go side by side, and compete for processor and disk only.
const POSTGRES: Share = Share { commit: Duration::from_millis(6), pause: 10 };

/// The pace of one reading.
#[derive(Debug)]
pub(super) struct Pace {
    share: Share,
    rows: usize,
    is_live: bool,
    looked_at: Option<Instant>,
}

impl Pace {
    pub(super) const fn new(is_embedded: bool) -> Self {
        let share = if is_embedded { SQLITE } else { POSTGRES };
        Self { share, rows: FIRST_ROWS, is_live: true, looked_at: None }
    }

    /// Rows of the next commit.
    pub(super) const fn rows(&self) -> usize {
        self.rows
    }

    /// Rests after a commit of `rows` rows that took so long.
    pub(super) async fn rest(&mut self, store: &Store, clock: &Clock, rows: usize, took: Duration) {
        if self.looked_at.is_none_or(|at| at.elapsed() >= LOOK) {
            // When it cannot be told, orders are taken to arrive.
            let live = store.system(SystemReason::RoleLoop).is_live_since(clock.now() - RECENT).await;
            self.is_live = live.unwrap_or(true);
            self.looked_at = Some(Instant::now());
        }
        self.rows = next_rows(rows, took, if self.is_live { self.share.commit } else { ALONE });
        if self.is_live {
            tokio::time::sleep(took * self.share.pause).await;
        }
    }
}

/// As many rows as would have taken the wanted time, but never many more than before at once.
fn next_rows(rows: usize, took: Duration, wanted: Duration) -> usize {
    let ratio = wanted.as_secs_f64() / took.as_secs_f64().max(1e-4);
    let next = rows as f64 * ratio.clamp(0.1, 2.0);
    (next as usize).clamp(ROWS.0, ROWS.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commits_grow_to_the_time_they_may_take_and_shrink_at_once() {
        assert_eq!(next_rows(1_000, Duration::from_millis(10), ALONE), 2_000);
        assert_eq!(next_rows(1_000, Duration::from_millis(600), ALONE), 1_000);
        assert_eq!(next_rows(8_000, Duration::from_millis(600), SQLITE.commit), 800);
        assert_eq!(next_rows(8_000, Duration::ZERO, ALONE), ROWS.1);
        assert_eq!(next_rows(20, Duration::from_secs(9), SQLITE.commit), ROWS.0);
    }
}
