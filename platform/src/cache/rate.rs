//! The rate limit: the generic cell rate algorithm in whole numbers, the same in both adapters.
//!
//! A store's backlog rises by [`REQUEST`] with every request and sinks by `limit` every millisecond; it may not exceed
//! one minute's worth. So a full minute's requests may come at once, and after them one every `60 s / limit`, exactly.

use touchstone_schema::time::Timestamp;

use super::RateState;

/// What one request adds to the backlog: the milliseconds of a minute, so that `limit` a millisecond drain it.
pub(super) const REQUEST: u64 = 60_000;

/// A store's backlog at a point in time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Backlog {
    pub(super) at: Timestamp,
    pub(super) level: u64,
}

impl Backlog {
    /// Nothing to work off.
    pub(super) const fn empty(at: Timestamp) -> Self {
        Self { at, level: 0 }
    }

    /// What is left of it at `now`. A clock that lags behind another process's changes nothing.
    pub(super) fn drained(self, now: Timestamp, limit: u32) -> Self {
        let passed_ms = u64::try_from(now.since(self.at).as_millis()).unwrap_or(u64::MAX);
        let level = self.level.saturating_sub(passed_ms.saturating_mul(u64::from(limit)));
        Self { at: self.at.max(now), level }
    }

    /// The backlog with one request more, if there is room for it.
    pub(super) fn with_request(self, limit: u32) -> Option<Self> {
        let level = self.level + REQUEST;
        (level <= capacity(limit)).then_some(Self { level, ..self })
    }
}

/// What to tell the caller of a backlog of `level`.
pub(super) fn rate_state(limit: u32, level: u64) -> RateState {
    let room = capacity(limit).saturating_sub(level);
    let remaining = u32::try_from(room / REQUEST).unwrap_or(u32::MAX);
    let to_drain = if remaining == 0 { REQUEST.saturating_sub(room) } else { level };
    let drained_per_s = u64::from(limit).max(1) * 1_000;
    let reset_s = u32::try_from(to_drain.div_ceil(drained_per_s)).unwrap_or(u32::MAX);
    RateState { limit, remaining, reset_s }
}

fn capacity(limit: u32) -> u64 {
    u64::from(limit) * REQUEST
}
