//! Waits for conditions, never for time.
//!
//! Purpose: the single place in the test tree where a poll interval lives.
//! Failure: past the deadline the error names what was awaited and for how long.

use std::time::{Duration, Instant};

/// Pause between two looks at a condition.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Asks `probe` again and again until it answers `Some`, for at most `within`.
///
/// # Errors
/// When `within` has passed; the message names `what`.
pub async fn eventually<T>(
    within: Duration,
    what: &str,
    mut probe: impl AsyncFnMut() -> Option<T>,
) -> anyhow::Result<T> {
    let started = Instant::now();
    loop {
        let left = within.saturating_sub(started.elapsed());
        if let Ok(Some(found)) = tokio::time::timeout(left, probe()).await {
            return Ok(found);
        }
        if started.elapsed() >= within {
            anyhow::bail!("waited {within:?} in vain for {what}");
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}
