//! How much may be asked of a shop: its budgets are shared with its other integrations.
//!
//! Guarantee: at most half of what a shop says is left is spent between two such answers (contract: Centra connector). A
//! shop that does not say is taken to have what is usual.

use std::time::Duration;

use serde::Deserialize;
use touchstone_schema::time::Timestamp;

/// How long an answer about the budgets is gone by.
const FRESH_FOR: Duration = Duration::from_secs(10);
/// How long it is not asked again of a shop that does not know the question.
const UNKNOWN_FOR: Duration = Duration::from_secs(3_600);
/// Longest wait for a budget before it is asked about again.
const ASK_AGAIN: Duration = Duration::from_secs(60);

const TEN_SECONDS: Duration = Duration::from_secs(10);
const ONE_HOUR: Duration = Duration::from_secs(3_600);

/// What a shop has that does not say: (mutations only, window, quota) (contract: Centra connector).
const USUAL: [(bool, Duration, u32); 4] =
    [(false, TEN_SECONDS, 60), (false, ONE_HOUR, 5_000), (true, TEN_SECONDS, 20), (true, ONE_HOUR, 1_000)];

/// One budget, as the shop tells it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RateLimit {
    r#type: String,
    interval_seconds: String,
    quota: i64,
    remaining_quota: i64,
}

#[derive(Debug)]
struct Window {
    mutations_only: bool,
    span: Duration,
    /// What a whole new window allows us.
    renewed: u32,
    /// What is left for us of the present one.
    left: u32,
    since: Timestamp,
}

/// What we may spend at one shop.
#[derive(Debug)]
pub(super) struct Budget {
    windows: Vec<Window>,
    ask_at: Timestamp,
}

impl Budget {
    /// The usual one, to be asked about at once.
    pub(super) fn usual(now: Timestamp) -> Self {
        let windows = USUAL.map(|(mutations_only, span, quota)| {
            let half = quota / 2;
            Window { mutations_only, span, renewed: half, left: half, since: now }
        });
        Self { windows: windows.into(), ask_at: now }
    }

    /// Whether the shop is to be asked what is left.
    pub(super) fn is_stale(&self, now: Timestamp) -> bool {
        now >= self.ask_at
    }

    /// Takes the shop's answer.
    pub(super) fn told(&mut self, limits: &[RateLimit], now: Timestamp) {
        let windows = limits.iter().filter_map(|limit| {
            let mutations_only = match limit.r#type.as_str() {
                "REQUEST_COUNT" => false,
                "MUTATION_COUNT" => true,
                _ => return None,
            };
            let span = match limit.interval_seconds.as_str() {
                "TEN_SECONDS" => TEN_SECONDS,
                "ONE_HOUR" => ONE_HOUR,
                _ => return None,
            };
            let half = |quota: i64| u32::try_from(quota.max(0) / 2).unwrap_or(u32::MAX);
            let (renewed, left) = (half(limit.quota), half(limit.remaining_quota));
            Some(Window { mutations_only, span, renewed, left, since: now })
        });
        self.windows = windows.collect();
        self.ask_at = now + FRESH_FOR;
    }

    /// The shop does not know the question: what is usual stands.
    pub(super) fn not_told(&mut self, now: Timestamp) {
        self.ask_at = now + UNKNOWN_FOR;
    }

    /// Spends one request; when there is none left, says when to come again.
    pub(super) fn spend(&mut self, is_mutation: bool, now: Timestamp) -> Result<(), Timestamp> {
        let concerned = |window: &&mut Window| is_mutation || !window.mutations_only;
        let mut again = None;
        for window in self.windows.iter_mut().filter(concerned) {
            if now.since(window.since) >= window.span {
                (window.since, window.left) = (now, window.renewed);
            }
            if window.left == 0 {
                let renewed = (window.since + window.span).min(now + ASK_AGAIN);
                again = again.max(Some(renewed));
            }
        }
        if let Some(again) = again {
            self.ask_at = self.ask_at.min(again);
            return Err(again);
        }
        for window in self.windows.iter_mut().filter(concerned) {
            window.left -= 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000_000);

    fn limit(kind: &str, interval: &str, quota: i64, remaining: i64) -> RateLimit {
        RateLimit { r#type: kind.to_owned(), interval_seconds: interval.to_owned(), quota, remaining_quota: remaining }
    }

    fn spent(budget: &mut Budget, is_mutation: bool, at: Timestamp) -> usize {
        (0..10_000).take_while(|_| budget.spend(is_mutation, at).is_ok()).count()
    }

    #[test]
    fn half_of_what_is_usual_is_spent_where_a_shop_does_not_say() {
        assert_eq!(spent(&mut Budget::usual(NOW), false, NOW), 30);
        assert_eq!(spent(&mut Budget::usual(NOW), true, NOW), 10);
    }

    #[test]
    fn half_of_what_is_left_is_spent_between_two_answers() {
        let mut budget = Budget::usual(NOW);
        budget.told(&[limit("REQUEST_COUNT", "TEN_SECONDS", 100, 40), limit("MUTATION_COUNT", "ONE_HOUR", 50, 9)], NOW);
        assert_eq!(spent(&mut budget, true, NOW), 4);
        assert_eq!(spent(&mut budget, false, NOW), 16);
        budget.told(&[limit("REQUEST_COUNT", "TEN_SECONDS", 100, 20)], NOW);
        assert_eq!(spent(&mut budget, false, NOW), 10);
    }

    #[test]
    fn a_new_window_is_half_of_its_quota_and_says_when_it_comes() {
        let mut budget = Budget::usual(NOW);
        budget.told(&[limit("REQUEST_COUNT", "TEN_SECONDS", 8, 0)], NOW);
        assert_eq!(budget.spend(false, NOW), Err(NOW + TEN_SECONDS));
        assert_eq!(spent(&mut budget, false, NOW + TEN_SECONDS), 4);
        budget.told(&[limit("REQUEST_COUNT", "ONE_HOUR", 8, 0)], NOW);
        assert_eq!(budget.spend(false, NOW), Err(NOW + ASK_AGAIN));
        assert!(budget.is_stale(NOW + ASK_AGAIN));
    }

    #[test]
    fn a_shop_is_asked_anew_after_ten_seconds_and_hourly_where_it_does_not_know() {
        let mut budget = Budget::usual(NOW);
        assert!(budget.is_stale(NOW));
        budget.told(&[], NOW);
        assert!(!budget.is_stale(NOW) && budget.is_stale(NOW + FRESH_FOR));
        budget.not_told(NOW);
        assert!(!budget.is_stale(NOW + FRESH_FOR) && budget.is_stale(NOW + UNKNOWN_FOR));
    }

    #[test]
    fn kinds_that_are_not_known_bound_nothing() {
        let mut budget = Budget::usual(NOW);
        budget.told(&[limit("QUERY_COMPLEXITY", "TEN_SECONDS", 1, 0), limit("REQUEST_COUNT", "A_WEEK", 1, 0)], NOW);
        assert_eq!(spent(&mut budget, true, NOW), 10_000);
    }
}
