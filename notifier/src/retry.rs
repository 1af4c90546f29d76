//! When to try again: a pure function of how the attempt ended, its number, the time and a random fraction.

use std::time::Duration;

use chrono::DateTime;
use touchstone_platform::store::deliveries::NextStep;
use touchstone_schema::time::Timestamp;

/// Waits between attempts (contract section 5): the first attempt is made at once, the last of eight ends it.
pub const SCHEDULE: [Duration; 7] = [
    Duration::from_secs(5),
    Duration::from_secs(5 * 60),
    Duration::from_secs(30 * 60),
    Duration::from_secs(2 * 3_600),
    Duration::from_secs(5 * 3_600),
    Duration::from_secs(10 * 3_600),
    Duration::from_secs(10 * 3_600),
];
/// Longest `Retry-After` that is honoured; a longer one counts as this.
pub const RETRY_AFTER_MOST: Duration = Duration::from_secs(24 * 3_600);
/// Share by which a wait is shortened or lengthened at random.
const JITTER: f64 = 0.2;

/// How an attempt ended, as far as the schedule cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// 2xx, read to its end or bound in time.
    Arrived,
    /// 410.
    Gone,
    /// Anything else, with the `Retry-After` of a 429, 502, 503 or 504.
    Failed { retry_after: Option<Duration> },
}

/// What follows attempt `number` (from 1), at `now`; `fraction` in `[0, 1)` draws the jitter. A `Retry-After` can only
/// lengthen the wait: the schedule is what protects an endpoint that asks for less than it needs.
pub(crate) fn next_step(ending: Ending, number: u32, now: Timestamp, fraction: f64) -> NextStep {
    let retry_after = match ending {
        Ending::Arrived => return NextStep::Delivered,
        Ending::Gone => return NextStep::DisableEndpoint,
        Ending::Failed { retry_after } => retry_after.unwrap_or_default(),
    };
    let Some(wait) = SCHEDULE.get(number.max(1) as usize - 1) else { return NextStep::Dead };
    let jittered = wait.mul_f64(1.0 - JITTER + 2.0 * JITTER * fraction.clamp(0.0, 1.0));
    NextStep::RetryAt(now + jittered.max(retry_after.min(RETRY_AFTER_MOST)))
}

/// Reads a `Retry-After`: seconds or an HTTP date; `None` when it is neither. A date that has passed is no wait.
pub(crate) fn parse_retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(value.parse().map_or(RETRY_AFTER_MOST, Duration::from_secs).min(RETRY_AFTER_MOST));
    }
    let date = DateTime::parse_from_rfc2822(value).ok()?;
    Some(Timestamp::from_millis(date.timestamp_millis()).since(now).min(RETRY_AFTER_MOST))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_760_000_000_000);
    const FAILED: Ending = Ending::Failed { retry_after: None };

    fn wait_s(number: u32, fraction: f64) -> Option<u64> {
        match next_step(FAILED, number, NOW, fraction) {
            NextStep::RetryAt(due) => Some(due.since(NOW).as_secs()),
            _ => None,
        }
    }

    #[test]
    fn schedule_is_exact_to_the_second_without_jitter() {
        let waits: Vec<_> = (1..=7).map(|number| wait_s(number, 0.5)).collect();
        assert_eq!(waits, [5, 300, 1_800, 7_200, 18_000, 36_000, 36_000].map(Some));
    }

    #[test]
    fn jitter_is_a_fifth_either_way() {
        assert_eq!((wait_s(1, 0.0), wait_s(2, 0.0), wait_s(7, 0.0)), (Some(4), Some(240), Some(28_800)));
        assert_eq!((wait_s(1, 1.0), wait_s(2, 1.0), wait_s(7, 1.0)), (Some(6), Some(360), Some(43_200)));
    }

    #[test]
    fn eighth_failure_is_the_last() {
        assert_eq!(next_step(FAILED, 8, NOW, 0.5), NextStep::Dead);
        assert_eq!(next_step(FAILED, u32::MAX, NOW, 0.5), NextStep::Dead);
    }

    #[test]
    fn arrival_and_410_end_at_once() {
        assert_eq!(next_step(Ending::Arrived, 3, NOW, 0.5), NextStep::Delivered);
        assert_eq!(next_step(Ending::Gone, 1, NOW, 0.5), NextStep::DisableEndpoint);
    }

    #[test]
    fn retry_after_lengthens_the_wait_and_is_clamped() {
        let wait = |seconds| match next_step(
            Ending::Failed { retry_after: Some(Duration::from_secs(seconds)) },
            1,
            NOW,
            0.5,
        ) {
            NextStep::RetryAt(due) => due.since(NOW).as_secs(),
            other => panic!("{other:?}"),
        };
        assert_eq!((wait(0), wait(120), wait(u64::MAX)), (5, 120, RETRY_AFTER_MOST.as_secs()));
    }

    #[test]
    fn retry_after_reads_seconds_and_dates() {
        let at = Timestamp::parse_rfc3339("1994-11-06T08:49:00Z").unwrap();
        assert_eq!(parse_retry_after("120", at), Some(Duration::from_secs(120)));
        assert_eq!(parse_retry_after("Sun, 06 Nov 1994 08:49:37 GMT", at), Some(Duration::from_secs(37)));
        assert_eq!(parse_retry_after("Sun, 06 Nov 1994 08:48:00 GMT", at), Some(Duration::ZERO));
        assert_eq!(parse_retry_after("99999999999999999999999", at), Some(RETRY_AFTER_MOST));
        assert_eq!(
            (parse_retry_after("", at), parse_retry_after("soon", at), parse_retry_after("-1", at)),
            (None, None, None)
        );
    }

    proptest! {
        #[test]
        fn any_retry_after_is_read_within_its_limit(value in ".{0,64}", now in any::<i64>()) {
            let wait = parse_retry_after(&value, Timestamp::from_millis(now));
            prop_assert!(wait.unwrap_or_default() <= RETRY_AFTER_MOST);
        }

        #[test]
        fn any_wait_lies_within_jitter_and_limit(number in any::<u32>(), fraction in -1.0f64..2.0, after in any::<u64>()) {
            let ending = Ending::Failed { retry_after: Some(Duration::from_secs(after)) };
            if let NextStep::RetryAt(due) = next_step(ending, number, NOW, fraction) {
                prop_assert!(due.since(NOW) >= Duration::from_secs(4));
                prop_assert!(due.since(NOW) <= RETRY_AFTER_MOST);
            }
        }
    }
}
