//! How often a connection may send notices. Its path is the only credential and may be known to others, and every notice is
//! kept for a while; so what one path can fill the database with has a limit that no other part has to be asked for.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use touchstone_platform::bucket::TokenBucket;
use touchstone_schema::ids::ConnectionId;
use touchstone_schema::time::Timestamp;

/// Notices of one connection that may come at once, to this process.
const BURST: u32 = 300;
/// Time in which one more is earned: 5 a second, 18 000 an hour.
const EVERY: Duration = Duration::from_millis(200);
/// A longer notice counts as one more for each of these, in bytes: the vendor's sample has 1 500.
const NOTICE_BYTES: usize = 16 * 1024;
/// Connections that are remembered; above that those are forgotten that have sent nothing for a minute.
const CONNECTIONS: usize = 1_024;

/// The pace of each connection of a process.
#[derive(Debug, Default)]
pub(crate) struct Pace(Mutex<HashMap<ConnectionId, TokenBucket>>);

impl Pace {
    /// Lets a notice of so many bytes in.
    ///
    /// # Errors
    /// How long the connection has to wait.
    pub(super) fn enter(&self, connection: &ConnectionId, bytes: usize, now: Timestamp) -> Result<(), Duration> {
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= CONNECTIONS {
            buckets.retain(|_, bucket| !bucket.is_full(now));
        }
        let bucket = buckets.entry(connection.clone()).or_insert_with(|| TokenBucket::new(EVERY, BURST));
        bucket.take(u32::try_from(1 + bytes / NOTICE_BYTES).unwrap_or(u32::MAX), now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_777_900_000_000);

    fn connection(number: u8) -> ConnectionId {
        ConnectionId::mint(NOW, [number; 10])
    }

    #[test]
    fn connection_waits_after_its_burst_and_others_do_not() {
        let pace = Pace::default();
        assert!((0..BURST).all(|_| pace.enter(&connection(1), 1_500, NOW).is_ok()));
        assert_eq!(pace.enter(&connection(1), 1_500, NOW), Err(EVERY));
        assert!(pace.enter(&connection(2), 1_500, NOW).is_ok());
        assert!(pace.enter(&connection(1), 1_500, NOW + EVERY).is_ok());
    }

    #[test]
    fn long_notices_count_for_several() {
        let pace = Pace::default();
        let taken = (0..BURST).filter(|_| pace.enter(&connection(1), 256 * 1024, NOW).is_ok()).count();
        assert_eq!(taken, 17);
    }
}
