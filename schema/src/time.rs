//! Points in time, as milliseconds since 1970-01-01T00:00:00Z, the same in memory, in messages and in the database.

use std::time::Duration;

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

/// Milliseconds of a day.
const DAY_MILLIS: i64 = 86_400_000;

/// A point in time with millisecond precision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From milliseconds since the Unix epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since the Unix epoch, rounded down.
    pub const fn as_secs(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// RFC 3339 in UTC with milliseconds: `2026-01-02T03:04:05.678Z`.
    pub fn to_rfc3339(self) -> String {
        DateTime::<Utc>::from_timestamp_millis(self.0).unwrap_or_default().to_rfc3339_opts(SecondsFormat::Millis, true)
    }

    /// Parses RFC 3339, whatever its offset.
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        DateTime::parse_from_rfc3339(text).ok().map(|at| Self(at.timestamp_millis()))
    }

    /// Parses an ISO 8601 date or time, such as `2026-01-02`, `2026-01-02T03:04:05` or `2026-01-02 03:04:05.678+01:00`. One
    /// without an offset is in UTC, a date is its midnight.
    pub fn parse_iso8601(text: &str) -> Option<Self> {
        const OFFSET: [&str; 2] = ["%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%dT%H:%M%#z"];
        const NAIVE: [&str; 2] = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M"];
        if let Ok(date) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
            return Some(Self(date.and_time(NaiveTime::MIN).and_utc().timestamp_millis()));
        }
        let text = text.replacen([' ', 't'], "T", 1);
        let text = text.replacen(['z', 'Z'], "+00:00", 1);
        let offset = OFFSET.iter().find_map(|form| DateTime::parse_from_str(&text, form).ok());
        let naive = || NAIVE.iter().find_map(|form| NaiveDateTime::parse_from_str(&text, form).ok());
        offset.map(|at| at.timestamp_millis()).or_else(|| naive().map(|at| at.and_utc().timestamp_millis())).map(Self)
    }

    /// The midnight, in UTC, that its day began with.
    pub const fn day(self) -> Self {
        Self(self.0.saturating_sub(self.0.rem_euclid(DAY_MILLIS)))
    }

    /// Time passed since `earlier`; zero when `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl std::ops::Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }
}

impl std::ops::Sub<Duration> for Timestamp {
    type Output = Self;

    fn sub(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn whatever_is_read_as_a_time_is_written_as_the_same_one(
            text in prop_oneof![
                any::<String>(),
                "[0-9]{4}-[0-1][0-9]-[0-3][0-9][Tt ][0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{1,12})?(Z|[+-][0-2][0-9]:[0-6][0-9])",
            ],
        ) {
            if let Some(at) = Timestamp::parse_rfc3339(&text) {
                prop_assert_eq!(Timestamp::parse_rfc3339(&at.to_rfc3339()), Some(at), "{}", at.to_rfc3339());
            }
        }
    }

    #[test]
    fn times_survive_their_text() {
        let at = Timestamp::from_millis(1_767_323_045_678);
        assert_eq!(at.to_rfc3339(), "2026-01-02T03:04:05.678Z");
        assert_eq!(Timestamp::parse_rfc3339(&at.to_rfc3339()), Some(at));
        assert_eq!(Timestamp::parse_rfc3339("2026-01-02T04:04:05.678+01:00"), Some(at));
        for text in ["", "2026-01-02", "2026-01-02T03:04:05", "2026-13-02T03:04:05Z", "1767323045"] {
            assert_eq!(Timestamp::parse_rfc3339(text), None, "{text}");
        }
    }

    #[test]
    fn dates_and_times_without_an_offset_are_in_utc() {
        let parse = |text| Timestamp::parse_iso8601(text).map(Timestamp::to_rfc3339);
        for (text, expected) in [
            ("2026-01-02", "2026-01-02T00:00:00.000Z"),
            ("2026-01-02T03:04", "2026-01-02T03:04:00.000Z"),
            ("2026-01-02 03:04:05", "2026-01-02T03:04:05.000Z"),
            ("2026-01-02T03:04:05.678", "2026-01-02T03:04:05.678Z"),
            ("2020-04-22T20:40:35.664Z", "2020-04-22T20:40:35.664Z"),
            ("2026-01-02t03:04z", "2026-01-02T03:04:00.000Z"),
            ("2026-01-02T03:04:05+0100", "2026-01-02T02:04:05.000Z"),
            ("2026-01-02 03:04:05.5-05:00", "2026-01-02T08:04:05.500Z"),
        ] {
            assert_eq!(parse(text).as_deref(), Some(expected), "{text}");
        }
        for text in
            ["", "2026", "2026-13-01", "2026-02-30", "01/02/2026", "1767323045", "yesterday", "2026-01-02T25:00"]
        {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_day_begins_at_midnight_in_utc() {
        let day = |text: &str| Timestamp::parse_rfc3339(text).map(|at| at.day().to_rfc3339());
        for text in ["2026-01-02T00:00:00Z", "2026-01-02T23:59:59.999Z", "2026-01-03T00:30:00+01:00"] {
            assert_eq!(day(text).as_deref(), Some("2026-01-02T00:00:00.000Z"), "{text}");
        }
        assert_eq!(day("1969-12-31T12:00:00Z").as_deref(), Some("1969-12-31T00:00:00.000Z"));
    }

    #[test]
    fn arithmetic_stays_in_range() {
        let at = Timestamp::from_millis(-1);
        assert_eq!(at.as_secs(), -1);
        assert_eq!(at + Duration::from_millis(2), Timestamp::from_millis(1));
        assert_eq!(at - Duration::from_millis(2), Timestamp::from_millis(-3));
        assert_eq!(Timestamp::from_millis(5).since(at), Duration::from_millis(6));
        assert_eq!(at.since(Timestamp::from_millis(5)), Duration::ZERO);
        assert_eq!(Timestamp::from_millis(i64::MAX) + Duration::MAX, Timestamp::from_millis(i64::MAX));
    }
}
