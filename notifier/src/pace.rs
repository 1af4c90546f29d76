//! When an endpoint may be attempted: its limit of deliveries a second, and the pause of one that does nothing but time out.
//!
//! Guarantee: within any second no more attempts begin than the endpoint's limit (of all notifiers the one with the right of
//! [`crate::pace_right`] makes them), and what comes later is due later, in the order in which it came.
//! An endpoint whose last [`BREAK_AFTER`] attempts all timed out is left alone for a
//! while, then one attempt finds out. Failure: all of this is in memory; another process, or this one after a restart,
//! finds it out anew, while the due times that came of it are in the database.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use touchstone_schema::ids::EndpointId;
use touchstone_schema::time::Timestamp;

/// Attempts in a row that time out before an endpoint is left alone.
pub(crate) const BREAK_AFTER: u32 = 5;
/// How long it is left alone first; doubled each time that it times out again.
pub(crate) const FIRST_PAUSE: Duration = Duration::from_secs(30);
/// Longest that it is left alone.
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_secs(600);
/// Limited endpoints remembered before those that are idle are forgotten.
const WINDOWS: usize = 4_096;
const SECOND: Duration = Duration::from_secs(1);

/// How an attempt ended, as far as its endpoint's pace cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// 2xx.
    Arrived,
    /// Nothing came within the time-out.
    TimedOut,
    /// Anything else.
    Failed,
}

/// What is remembered of endpoints; those without limit and without time-outs leave nothing here.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    windows: HashMap<EndpointId, Window>,
    breakers: HashMap<EndpointId, Breaker>,
}

/// The attempts of the last second, and the places given to what has to wait.
#[derive(Debug)]
struct Window {
    begun: VecDeque<Timestamp>,
    /// The last second that places were given in.
    places_at: Timestamp,
    places: usize,
    /// When those shall return that came back and found no room.
    return_at: Timestamp,
    returning: usize,
}

#[derive(Debug)]
struct Breaker {
    timeouts: u32,
    pause: Duration,
    open_until: Timestamp,
}

impl Pace {
    /// Notes that an attempt begins, or tells when it may: `fresh` ones stand behind those that wait already.
    pub(crate) fn begin(
        &mut self,
        endpoint: &EndpointId,
        limit: u32,
        fresh: bool,
        now: Timestamp,
    ) -> Option<Timestamp> {
        if self.windows.len() >= WINDOWS && !self.windows.contains_key(endpoint) {
            self.windows.retain(|_, window| window.is_live(now));
        }
        let new = || Window { begun: VecDeque::new(), places_at: now, places: 0, return_at: now, returning: 0 };
        self.windows.entry(endpoint.clone()).or_insert_with(new).begin(limit.max(1) as usize, fresh, now)
    }

    /// Takes note of an attempt's end; tells until when the endpoint is left alone, if that begins here.
    pub(crate) fn ended(&mut self, endpoint: &EndpointId, outcome: Outcome, now: Timestamp) -> Option<Timestamp> {
        if outcome != Outcome::TimedOut {
            self.breakers.remove(endpoint);
            return None;
        }
        if self.breakers.len() >= WINDOWS && !self.breakers.contains_key(endpoint) {
            self.breakers.retain(|_, breaker| breaker.open_until > now);
        }
        let fresh = Breaker { timeouts: 0, pause: FIRST_PAUSE / 2, open_until: now };
        let breaker = self.breakers.entry(endpoint.clone()).or_insert(fresh);
        breaker.timeouts = breaker.timeouts.saturating_add(1);
        if breaker.timeouts < BREAK_AFTER || breaker.open_until > now {
            return None;
        }
        breaker.pause = (breaker.pause * 2).min(LONGEST_PAUSE);
        breaker.open_until = now + breaker.pause;
        Some(breaker.open_until)
    }

    /// Forgets what was found out about an endpoint that is another now; what has begun within the last second still counts.
    pub(crate) fn forget(&mut self, endpoint: &EndpointId, now: Timestamp) {
        self.breakers.remove(endpoint);
        if let Some(window) = self.windows.get_mut(endpoint) {
            window.places_at = now;
        }
    }

    /// Until when the endpoint is left alone.
    pub(crate) fn paused(&self, endpoint: &EndpointId, now: Timestamp) -> Option<Timestamp> {
        self.breakers.get(endpoint).map(|breaker| breaker.open_until).filter(|until| *until > now)
    }

    /// Whether the endpoint has to show that it answers again.
    pub(crate) fn on_trial(&self, endpoint: &EndpointId) -> bool {
        self.breakers.get(endpoint).is_some_and(|breaker| breaker.timeouts >= BREAK_AFTER)
    }
}

impl Window {
    fn begin(&mut self, limit: usize, fresh: bool, now: Timestamp) -> Option<Timestamp> {
        while self.begun.front().is_some_and(|begun| *begun + SECOND <= now) {
            self.begun.pop_front();
        }
        let waiting = self.places_at > now;
        if self.begun.len() < limit && !(fresh && waiting) {
            self.begun.push_back(now);
            return None;
        }
        let room_at = self.begun.front().map_or(now, |begun| *begun) + SECOND;
        if !fresh {
            if self.return_at <= now {
                (self.return_at, self.returning) = (room_at, 0);
            }
            // More than there can be room for stand behind the others, or they would all be looked at every second.
            self.returning += 1;
            if self.returning <= limit {
                return Some(room_at);
            }
        }
        if !waiting {
            (self.places_at, self.places) = (room_at, 0);
        } else if self.places >= limit {
            (self.places_at, self.places) = (self.places_at + SECOND, 0);
        }
        self.places += 1;
        Some(self.places_at)
    }

    fn is_live(&self, now: Timestamp) -> bool {
        self.places_at > now || self.begun.back().is_some_and(|begun| *begun + SECOND > now)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use touchstone_platform::random;

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

    fn endpoint() -> EndpointId {
        EndpointId::mint(NOW, random::bytes())
    }

    #[test]
    fn a_limit_lets_so_many_a_second_begin_and_places_the_rest() {
        let (mut pace, endpoint) = (Pace::default(), endpoint());
        let begun: Vec<_> = (0..8).map(|_| pace.begin(&endpoint, 3, true, NOW)).collect();
        let (next, after) = (Some(NOW + SECOND), Some(NOW + SECOND * 2));
        assert_eq!(begun, [None, None, None, next, next, next, after, after]);
        // Those that come back find their place, and one that comes meanwhile stands behind them.
        assert_eq!(pace.begin(&endpoint, 3, true, NOW + SECOND), after);
        assert_eq!([0; 3].map(|_| pace.begin(&endpoint, 3, false, NOW + SECOND)), [None; 3]);
        assert_eq!(
            [0; 4].map(|_| pace.begin(&endpoint, 3, false, NOW + SECOND)),
            [after, after, after, Some(NOW + SECOND * 3)]
        );
    }

    #[test]
    fn time_outs_in_a_row_pause_an_endpoint_for_longer_and_longer() {
        let (mut pace, endpoint) = (Pace::default(), endpoint());
        let mut now = NOW;
        for _ in 1..BREAK_AFTER {
            assert_eq!(pace.ended(&endpoint, Outcome::TimedOut, now), None);
            assert!(!pace.on_trial(&endpoint));
        }
        for pause in [30, 60, 120, 240, 480, 600, 600].map(Duration::from_secs) {
            assert_eq!(pace.ended(&endpoint, Outcome::TimedOut, now), Some(now + pause));
            // What was in flight meanwhile changes nothing.
            assert_eq!(pace.ended(&endpoint, Outcome::TimedOut, now), None);
            assert_eq!(pace.paused(&endpoint, now), Some(now + pause));
            now = now + pause;
            assert!(pace.paused(&endpoint, now).is_none() && pace.on_trial(&endpoint));
        }
        assert_eq!(pace.ended(&endpoint, Outcome::Failed, now), None);
        assert!(!pace.on_trial(&endpoint), "an answer, whatever it says, ends the pause");
    }

    proptest! {
        #[test]
        fn no_second_sees_more_than_the_limit(
            limit in 1u32..20,
            steps in proptest::collection::vec((0u64..400, any::<bool>()), 1..300),
        ) {
            let (mut pace, endpoint) = (Pace::default(), endpoint());
            let (mut now, mut begun) = (NOW, Vec::new());
            for (wait_ms, fresh) in steps {
                now = now + Duration::from_millis(wait_ms);
                match pace.begin(&endpoint, limit, fresh, now) {
                    None => begun.push(now),
                    Some(due) => prop_assert!(due > now),
                }
            }
            for (at, first) in begun.iter().enumerate() {
                let within = begun[at..].iter().filter(|one| one.since(*first) < SECOND).count();
                prop_assert!(within <= limit as usize);
            }
        }
    }
}
