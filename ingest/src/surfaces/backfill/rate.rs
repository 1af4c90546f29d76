//! The least rate at which an upload comes in.
//!
//! Only the time counts that is waited for the sender, so that a database which is slow to keep pieces is not held against
//! him.

use std::time::Duration;

/// The window that is open.
#[derive(Debug)]
pub(super) struct Rate {
    least: u64,
    window: Duration,
    waited: Duration,
    bytes: u64,
}

impl Rate {
    /// At least so many bytes a second over each window.
    pub(super) const fn new(least: u64, window: Duration) -> Self {
        Self { least, window, waited: Duration::ZERO, bytes: 0 }
    }

    /// What is left of the window.
    pub(super) const fn left(&self) -> Duration {
        self.window.saturating_sub(self.waited)
    }

    pub(super) const fn came(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_add(bytes);
    }

    pub(super) const fn waited(&mut self, time: Duration) {
        self.waited = self.waited.saturating_add(time);
    }

    /// Whether the rate was kept, once the window is over. Then the next one begins.
    pub(super) fn judge(&mut self) -> Option<bool> {
        if !self.left().is_zero() {
            return None;
        }
        let is_kept = self.bytes as f64 >= self.least as f64 * self.waited.as_secs_f64();
        (self.waited, self.bytes) = (Duration::ZERO, 0);
        Some(is_kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_judged_by_the_time_that_was_waited_and_begins_again() {
        let mut rate = Rate::new(100, Duration::from_secs(10));
        rate.came(999);
        rate.waited(Duration::from_secs(9));
        assert_eq!((rate.judge(), rate.left()), (None, Duration::from_secs(1)));
        rate.waited(Duration::from_secs(1));
        assert_eq!(rate.judge(), Some(false));
        rate.came(1_000);
        rate.waited(Duration::from_secs(10));
        assert_eq!((rate.judge(), rate.left()), (Some(true), Duration::from_secs(10)));
    }
}
