//! How the shop misbehaves: once, on request, or at random from a seed.

use std::{collections::VecDeque, time::Duration};

use crate::budget::RetryAfter;

/// One way to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Answers this status and does nothing.
    Status(u16),
    /// Does what was asked and then answers this status.
    StatusAfterApplying(u16),
    /// Does nothing, for ever.
    NeverAnswer,
    /// Does what was asked and never says so.
    NeverAnswerAfterApplying,
    /// Answers 429, to be tried again a second later, and does nothing.
    TooMany(RetryAfter),
    /// Answers 403 and does nothing.
    Forbidden,
    /// Answers 200 with `errors` and no data, and does nothing.
    GraphqlErrors,
    /// Answers each mutation with `userErrors` and does nothing. Queries do not meet it.
    UserErrors,
    /// Does what was asked and adds `userWarnings`. Queries do not meet it.
    UserWarnings,
    /// Closes the connection and does nothing.
    CloseWithoutAnswer,
    /// Does what was asked and closes the connection.
    CloseAfterApplying,
    /// Does what was asked, sends the head and half of the body, and closes the connection.
    HalfAnswer,
    /// Answers 200 with a page for people and does nothing.
    NotJson,
    /// Does what was asked at once and answers so much later.
    Slow(Duration),
}

/// How long a [`Fault::TooMany`] asks to wait.
pub(crate) const TOO_MANY_WAIT: Duration = Duration::from_secs(1);

impl Fault {
    /// Whether the shop does what was asked, whatever the client gets to know of it.
    #[must_use]
    pub fn applies(self) -> bool {
        matches!(
            self,
            Self::StatusAfterApplying(_)
                | Self::NeverAnswerAfterApplying
                | Self::UserWarnings
                | Self::CloseAfterApplying
                | Self::HalfAnswer
                | Self::Slow(_)
        )
    }

    fn meets_queries(self) -> bool {
        !matches!(self, Self::UserErrors | Self::UserWarnings)
    }
}

/// Which operations a fault waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum On {
    /// Whatever comes.
    #[default]
    Any,
    /// Queries.
    Queries,
    /// Mutations.
    Mutations,
}

impl On {
    fn includes(self, is_mutation: bool) -> bool {
        match self {
            Self::Any => true,
            Self::Queries => !is_mutation,
            Self::Mutations => is_mutation,
        }
    }
}

/// Faults at random. The same seed gives the same faults to the same sequence of requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chaos {
    /// Where the randomness begins.
    pub seed: u64,
    /// Which operations meet it.
    pub on: On,
    /// Each fault with how many of a thousand operations meet it.
    pub per_mille: Vec<(Fault, u32)>,
}

impl Chaos {
    /// Each passing way to fail equally often. Left out are silence, which takes a client's whole patience, and what a
    /// client may take for final: 403 and `userErrors`.
    #[must_use]
    pub fn evenly(seed: u64, per_mille_each: u32) -> Self {
        let faults = [
            Fault::Status(500),
            Fault::Status(503),
            Fault::StatusAfterApplying(502),
            Fault::TooMany(RetryAfter::Seconds),
            Fault::GraphqlErrors,
            Fault::CloseWithoutAnswer,
            Fault::CloseAfterApplying,
            Fault::HalfAnswer,
            Fault::NotJson,
            Fault::Slow(Duration::from_millis(50)),
        ];
        Self { seed, on: On::Any, per_mille: faults.map(|fault| (fault, per_mille_each)).into() }
    }
}

/// The faults to come.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    queue: VecDeque<(On, Fault)>,
    chaos: Option<Chaos>,
    drawn: u64,
}

impl Faults {
    pub(crate) fn push(&mut self, on: On, fault: Fault) {
        self.queue.push_back((on, fault));
    }

    pub(crate) fn clear(&mut self) {
        self.queue.clear();
    }

    pub(crate) fn waiting(&self) -> usize {
        self.queue.len()
    }

    pub(crate) fn set_chaos(&mut self, chaos: Option<Chaos>) {
        self.chaos = chaos;
        self.drawn = 0;
    }

    /// What the operation at hand meets; the oldest fault on request goes before chance.
    pub(crate) fn take(&mut self, is_mutation: bool) -> Option<Fault> {
        let fits = |on: On, fault: Fault| on.includes(is_mutation) && (is_mutation || fault.meets_queries());
        if let Some(place) = self.queue.iter().position(|(on, fault)| fits(*on, *fault)) {
            return self.queue.remove(place).map(|(_, fault)| fault);
        }
        let chaos = self.chaos.as_ref()?;
        if !chaos.on.includes(is_mutation) {
            return None;
        }
        self.drawn += 1;
        let mut draw = u32::try_from(spread(chaos.seed.wrapping_add(self.drawn)) % 1_000).unwrap_or_default();
        for (fault, per_mille) in &chaos.per_mille {
            match draw.checked_sub(*per_mille) {
                Some(rest) => draw = rest,
                None => return (is_mutation || fault.meets_queries()).then_some(*fault),
            }
        }
        None
    }
}

/// Spreads consecutive numbers over all 64 bits, each to a number of its own (a step of SplitMix64).
pub(crate) fn spread(number: u64) -> u64 {
    let mut bits = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fault_waits_for_its_kind_of_operation() {
        let mut faults = Faults::default();
        faults.push(On::Mutations, Fault::Status(500));
        faults.push(On::Any, Fault::UserErrors);
        faults.push(On::Any, Fault::NotJson);

        assert_eq!(faults.take(false), Some(Fault::NotJson));
        assert_eq!(faults.take(false), None);
        assert_eq!(faults.take(true), Some(Fault::Status(500)));
        assert_eq!(faults.take(true), Some(Fault::UserErrors));
        assert_eq!(faults.take(true), None);
    }

    #[test]
    fn seed_repeats_chaos_at_the_rate_asked_for() {
        let draw = |seed| {
            let mut faults = Faults::default();
            faults.set_chaos(Some(Chaos {
                seed,
                on: On::Any,
                per_mille: vec![(Fault::NotJson, 100), (Fault::Forbidden, 50)],
            }));
            (0..4_000).map(|_| faults.take(true)).collect::<Vec<_>>()
        };
        let drawn = draw(7);

        assert_eq!(drawn, draw(7));
        assert_ne!(drawn, draw(8));
        let count = |wanted: Fault| drawn.iter().filter(|fault| **fault == Some(wanted)).count();
        assert!((300..500).contains(&count(Fault::NotJson)), "{}", count(Fault::NotJson));
        assert!((120..280).contains(&count(Fault::Forbidden)), "{}", count(Fault::Forbidden));
    }
}
