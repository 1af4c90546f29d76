//! The attempts in flight: quick ones, each in a slot, and slow ones, which have left theirs to others.
//!
//! Guarantee: an attempt that has not ended after [`SLOW_AFTER`] gives its slot up, so endpoints that hang keep the others
//! waiting for no longer than that, as long as the slow ones have places left. When they have none, those of endpoints
//! that fail hold at most half of the slots. Failure: an attempt that dies is told, and the dispatcher ends.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};
use touchstone_schema::ids::EndpointId;

use crate::Settings;
use crate::pace::Outcome;

/// When an attempt that has not ended counts as slow: most receivers have answered by then.
pub(crate) const SLOW_AFTER: Duration = Duration::from_millis(100);

/// What there is to know of the flights.
#[derive(Debug)]
pub(crate) enum News {
    /// An attempt ended.
    Ended {
        /// Its endpoint.
        endpoint: EndpointId,
        /// How.
        outcome: Outcome,
        /// Whether it had become slow.
        was_slow: bool,
    },
    /// An attempt to this endpoint has become slow.
    Slow(EndpointId),
    /// An attempt died.
    Died(JoinError),
}

#[derive(Debug)]
struct Flight {
    endpoint: EndpointId,
    failing: bool,
    slow: bool,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Flights {
    slots: usize,
    slow_places: usize,
    attempts: JoinSet<(u64, Outcome)>,
    flying: HashMap<u64, Flight>,
    /// The quick ones, oldest first, and some that have ended.
    by_age: VecDeque<(Instant, u64)>,
    begun: u64,
    slow: usize,
    /// Quick ones to endpoints that fail.
    failing: usize,
}

impl Flights {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            slots: settings.concurrency,
            slow_places: settings.slow_concurrency,
            attempts: JoinSet::new(),
            flying: HashMap::new(),
            by_age: VecDeque::new(),
            begun: 0,
            slow: 0,
            failing: 0,
        }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.flying.len()
    }

    /// How many of them are slow.
    pub(crate) const fn slow(&self) -> usize {
        self.slow
    }

    /// Whether another attempt may begin.
    pub(crate) fn has_slot(&self) -> bool {
        self.flying.len() - self.slow < self.slots
    }

    /// Whether another attempt to an endpoint that fails may begin.
    pub(crate) fn has_slot_for_failing(&self) -> bool {
        self.has_slot() && self.failing < (self.slots / 2).max(1)
    }

    /// Begins an attempt.
    pub(crate) fn begin(
        &mut self,
        endpoint: EndpointId,
        failing: bool,
        attempt: impl Future<Output = Outcome> + Send + 'static,
    ) {
        self.begun += 1;
        let number = self.begun;
        self.failing += usize::from(failing);
        self.flying.insert(number, Flight { endpoint, failing, slow: false });
        self.by_age.push_back((Instant::now() + SLOW_AFTER, number));
        self.attempts.spawn(async move { (number, attempt.await) });
    }

    /// The next news; `None` when nothing flies. Dropping the future loses none.
    pub(crate) async fn next(&mut self) -> Option<News> {
        loop {
            let slow_at = self.next_slow();
            let ended = match slow_at {
                None => self.attempts.join_next().await?,
                Some((at, number)) => tokio::select! {
                    ended = self.attempts.join_next() => ended?,
                    () = sleep_until(at) => match self.slow_down(number) {
                        Some(endpoint) => return Some(News::Slow(endpoint)),
                        None => continue,
                    },
                },
            };
            return Some(match ended {
                Ok((number, outcome)) => match self.land(number) {
                    Some(flight) => News::Ended { endpoint: flight.endpoint, outcome, was_slow: flight.slow },
                    None => continue,
                },
                Err(error) => News::Died(error),
            });
        }
    }

    /// When the oldest quick one becomes slow; `None` while that would change nothing.
    fn next_slow(&mut self) -> Option<(Instant, u64)> {
        while self.by_age.front().is_some_and(|(_, number)| !self.flying.contains_key(number)) {
            self.by_age.pop_front();
        }
        self.by_age.front().copied().filter(|_| self.slow < self.slow_places)
    }

    fn slow_down(&mut self, number: u64) -> Option<EndpointId> {
        self.by_age.pop_front();
        let flight = self.flying.get_mut(&number)?;
        flight.slow = true;
        self.slow += 1;
        self.failing -= usize::from(flight.failing);
        Some(flight.endpoint.clone())
    }

    fn land(&mut self, number: u64) -> Option<Flight> {
        let flight = self.flying.remove(&number)?;
        if flight.slow {
            self.slow -= 1;
        } else {
            self.failing -= usize::from(flight.failing);
        }
        Some(flight)
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use tokio::sync::oneshot;
    use touchstone_platform::random;
    use touchstone_schema::time::Timestamp;

    use super::*;

    fn endpoint() -> EndpointId {
        EndpointId::mint(Timestamp::from_millis(1_790_000_000_000), random::bytes())
    }

    fn flights(slots: usize, slow_places: usize) -> Flights {
        Flights::new(&Settings { concurrency: slots, slow_concurrency: slow_places, ..Settings::default() })
    }

    #[tokio::test]
    async fn an_attempt_that_hangs_leaves_its_slot_to_others() {
        let (mut flights, hanging) = (flights(1, 1), endpoint());
        let began = Instant::now();
        flights.begin(hanging.clone(), false, pending());
        assert!(!flights.has_slot());
        assert!(matches!(flights.next().await, Some(News::Slow(slow)) if slow == hanging));
        assert!(began.elapsed() >= SLOW_AFTER);
        assert!(flights.has_slot());
        flights.begin(endpoint(), false, ready(Outcome::Arrived));
        let news = flights.next().await;
        assert!(matches!(news, Some(News::Ended { outcome: Outcome::Arrived, was_slow: false, .. })), "{news:?}");
        assert_eq!((flights.count(), flights.slow()), (1, 1));
    }

    #[tokio::test]
    async fn where_slow_ones_have_no_place_left_failing_endpoints_hold_half_of_the_slots() {
        let mut flights = flights(4, 0);
        for _ in 0..2 {
            assert!(flights.has_slot_for_failing());
            flights.begin(endpoint(), true, pending());
        }
        assert!(!flights.has_slot_for_failing() && flights.has_slot());
        let none = tokio::time::timeout(SLOW_AFTER * 2, flights.next()).await;
        assert!(none.is_err(), "none became slow: {none:?}");
        assert!(!flights.has_slot_for_failing());
    }

    #[tokio::test]
    async fn a_slow_attempt_that_ends_makes_place_for_another() {
        let mut flights = flights(2, 1);
        let (end, ended) = oneshot::channel();
        flights.begin(endpoint(), true, async { ended.await.unwrap() });
        flights.begin(endpoint(), true, pending());
        assert!(matches!(flights.next().await, Some(News::Slow(_))));
        end.send(Outcome::TimedOut).unwrap();
        assert!(matches!(flights.next().await, Some(News::Ended { was_slow: true, .. })));
        assert!(matches!(flights.next().await, Some(News::Slow(_))), "the second takes the place at once");
        assert_eq!((flights.count(), flights.slow()), (1, 1));
    }
}
