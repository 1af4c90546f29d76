//! Backoff between attempts to reach a service: exponential, jittered, without end.
//!
//! The only module that names the `backoff` crate.

use std::time::Duration;

use backoff::ExponentialBackoff;
use backoff::backoff::Backoff as _;

/// Delays of 100 ms growing to 5 s, each ± 30 %, for as long as it takes.
#[derive(Debug)]
pub struct Backoff(ExponentialBackoff);

impl Backoff {
    /// First delay.
    pub const FIRST: Duration = Duration::from_millis(100);
    /// Longest delay.
    pub const LONGEST: Duration = Duration::from_secs(5);

    /// Starts over from the first delay.
    pub fn reset(&mut self) {
        self.0.reset();
    }

    /// The next delay.
    pub fn delay(&mut self) -> Duration {
        self.0.next_backoff().unwrap_or(Self::LONGEST)
    }

    /// Waits for the next delay.
    pub async fn wait(&mut self) {
        tokio::time::sleep(self.delay()).await;
    }
}

impl Default for Backoff {
    fn default() -> Self {
        let mut policy = ExponentialBackoff {
            initial_interval: Self::FIRST,
            current_interval: Self::FIRST,
            max_interval: Self::LONGEST,
            randomization_factor: 0.3,
            max_elapsed_time: None,
            ..ExponentialBackoff::default()
        };
        policy.reset();
        Self(policy)
    }
}
