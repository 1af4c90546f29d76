//! How much a client may ask of the shop.
//!
//! Budgets are counted in fixed windows that begin one after another from the shop's start. A request that is refused
//! uses nothing up.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::sample::now;

/// How much may be used within each of the two windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Within the short window.
    pub ten_seconds: u32,
    /// Within the long window.
    pub hour: u32,
}

/// What the shop allows, and how long its windows last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budgets {
    /// Requests of any kind.
    pub requests: Quota,
    /// Root fields of mutations.
    pub mutations: Quota,
    /// How long the window lasts that the shop calls `TEN_SECONDS`; tests shorten it.
    pub ten_seconds: Duration,
    /// How long the window lasts that the shop calls `ONE_HOUR`.
    pub hour: Duration,
}

impl Budgets {
    /// What a client may count on when a shop tells nothing.
    #[must_use]
    pub fn modest() -> Self {
        Self {
            requests: Quota { ten_seconds: 60, hour: 5_000 },
            mutations: Quota { ten_seconds: 20, hour: 1_000 },
            ..Self::default()
        }
    }
}

impl Default for Budgets {
    /// So much that a test which is not about budgets never meets them.
    fn default() -> Self {
        let ample = Quota { ten_seconds: 1_000_000, hour: 100_000_000 };
        Self {
            requests: ample,
            mutations: ample,
            ten_seconds: Duration::from_secs(10),
            hour: Duration::from_secs(3_600),
        }
    }
}

/// How `Retry-After` is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RetryAfter {
    /// Seconds from now.
    #[default]
    Seconds,
    /// A date as in HTTP.
    HttpDate,
    /// Seconds since 1970.
    EpochSeconds,
}

impl RetryAfter {
    /// Whole seconds, never too early.
    pub(crate) fn write(self, wait: Duration) -> String {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        // The clock is cut to whole seconds, so a point in time needs one more.
        let then = now() + Duration::from_secs(seconds + 1);
        match self {
            Self::Seconds => seconds.to_string(),
            Self::HttpDate => then.format("%a, %d %b %Y %H:%M:%S GMT").to_string(),
            Self::EpochSeconds => then.timestamp().to_string(),
        }
    }
}

#[derive(Debug)]
struct Window {
    counts: &'static str,
    interval: &'static str,
    length: Duration,
    quota: u32,
    used: u32,
    began: Instant,
}

impl Window {
    fn turn(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.began);
        if passed < self.length {
            return;
        }
        self.used = 0;
        // By whole windows, so that a quiet time does not shift them.
        let windows = passed.as_nanos() / self.length.as_nanos().max(1);
        self.began += self.length * u32::try_from(windows).unwrap_or(u32::MAX);
    }

    fn has_room(&self, cost: u32) -> bool {
        self.used.saturating_add(cost) <= self.quota
    }
}

/// What has been used up.
#[derive(Debug)]
pub(crate) struct Ledger {
    windows: [Window; 4],
}

impl Ledger {
    pub(crate) fn new(budgets: &Budgets, began: Instant) -> Self {
        let short = |counts, quota| Window {
            counts,
            interval: "TEN_SECONDS",
            length: budgets.ten_seconds,
            quota,
            used: 0,
            began,
        };
        let long = |counts, quota| Window { counts, interval: "ONE_HOUR", length: budgets.hour, quota, used: 0, began };
        Self {
            windows: [
                short("REQUEST_COUNT", budgets.requests.ten_seconds),
                long("REQUEST_COUNT", budgets.requests.hour),
                short("MUTATION_COUNT", budgets.mutations.ten_seconds),
                long("MUTATION_COUNT", budgets.mutations.hour),
            ],
        }
    }

    /// Takes one request with so many mutations from the budgets.
    ///
    /// # Errors
    /// How long to wait, when it is more than one of them has left.
    pub(crate) fn charge(&mut self, mutations: u32, now: Instant) -> Result<(), Duration> {
        let cost = |window: &Window| if window.counts == "MUTATION_COUNT" { mutations } else { 1 };
        for window in &mut self.windows {
            window.turn(now);
        }
        let full = self.windows.iter().filter(|window| !window.has_room(cost(window)));
        let wait = full.map(|window| (window.began + window.length).saturating_duration_since(now)).max();
        if let Some(wait) = wait {
            return Err(wait);
        }
        for window in &mut self.windows {
            window.used += cost(window);
        }
        Ok(())
    }

    /// A list of `RateLimit`.
    pub(crate) fn render(&self) -> Value {
        self.windows
            .iter()
            .map(|window| {
                json!({
                    "type": window.counts,
                    "intervalSeconds": window.interval,
                    "quota": window.quota,
                    "usedQuota": window.used,
                    "remainingQuota": window.quota.saturating_sub(window.used),
                })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_window_refuses_until_the_next_one_begins() {
        let began = Instant::now();
        let requests = Quota { ten_seconds: 2, hour: 3 };
        let mut ledger = Ledger::new(&Budgets { requests, ..Budgets::default() }, began);
        let at = |seconds| began + Duration::from_secs(seconds);

        assert_eq!(ledger.charge(0, at(1)), Ok(()));
        assert_eq!(ledger.charge(0, at(2)), Ok(()));
        assert_eq!(ledger.charge(0, at(3)), Err(Duration::from_secs(7)));
        assert_eq!(ledger.charge(0, at(10)), Ok(()));
        // The long window is full now, which is the longer wait.
        assert_eq!(ledger.charge(0, at(20)), Err(Duration::from_secs(3_580)));
        assert_eq!(ledger.charge(0, at(3_600)), Ok(()));
    }

    #[test]
    fn mutations_have_a_budget_of_their_own() {
        let began = Instant::now();
        let mutations = Quota { ten_seconds: 2, hour: 100 };
        let mut ledger = Ledger::new(&Budgets { mutations, ..Budgets::default() }, began);

        assert_eq!(ledger.charge(2, began), Ok(()));
        assert_eq!(ledger.charge(0, began), Ok(()));
        assert_eq!(ledger.charge(1, began), Err(Duration::from_secs(10)));
    }
}
