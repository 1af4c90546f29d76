//! A token bucket: so many at once, and after that one every so often.
//!
//! Guarantee: over any span of time no more is taken than the burst and what the rate adds in that span. It is kept as one
//! point in time, the moment at which the bucket is full again, so an idle bucket costs nothing.
//! Failure: a clock that goes back adds nothing until it is where it was.

use std::time::Duration;

use touchstone_schema::time::Timestamp;

/// A bucket. It begins full.
#[derive(Debug, Clone, Copy)]
pub struct TokenBucket {
    every: Duration,
    burst: u32,
    full_at: Timestamp,
}

impl TokenBucket {
    /// A full bucket of `burst` tokens, which gets one back `every` so often (whole milliseconds).
    pub const fn new(every: Duration, burst: u32) -> Self {
        Self { every, burst, full_at: Timestamp::from_millis(0) }
    }

    /// Takes `tokens`. More than the burst are never there at once.
    ///
    /// # Errors
    /// How long to wait until they are there; nothing is taken.
    pub fn take(&mut self, tokens: u32, now: Timestamp) -> Result<(), Duration> {
        let full_at = self.full_at.max(now) + self.every.saturating_mul(tokens);
        let missing = full_at.since(now).saturating_sub(self.every.saturating_mul(self.burst));
        if !missing.is_zero() {
            return Err(missing);
        }
        self.full_at = full_at;
        Ok(())
    }

    /// Whether nothing is missing from it.
    pub fn is_full(&self, now: Timestamp) -> bool {
        self.full_at <= now
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EVERY: Duration = Duration::from_millis(50);
    const NOW: Timestamp = Timestamp::from_millis(1_777_900_000_000);

    #[test]
    fn burst_is_there_at_once_and_one_more_after_its_time() {
        let mut bucket = TokenBucket::new(EVERY, 3);
        assert!((0..3).all(|_| bucket.take(1, NOW).is_ok()));
        assert_eq!(bucket.take(1, NOW), Err(EVERY));
        assert!(bucket.take(1, NOW + EVERY).is_ok() && !bucket.is_full(NOW + EVERY));
        assert!(bucket.is_full(NOW + EVERY * 4));
    }

    proptest! {
        #[test]
        fn never_more_is_taken_than_burst_and_rate_allow(
            steps in prop::collection::vec((1u32..5, 0u64..120), 1..60), burst in 1u32..9,
        ) {
            let mut bucket = TokenBucket::new(EVERY, burst);
            let (mut now, mut taken) = (NOW, 0);
            for (tokens, pause_ms) in steps {
                now = now + Duration::from_millis(pause_ms);
                if bucket.take(tokens, now).is_ok() {
                    taken += tokens;
                }
                let earned = now.since(NOW).as_millis() / EVERY.as_millis();
                prop_assert!(u128::from(taken) <= u128::from(burst) + earned);
            }
        }
    }
}
