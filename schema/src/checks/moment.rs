//! Times as the checks surface has them.

use chrono::{DateTime, NaiveDate, NaiveDateTime};

use crate::time::Timestamp;

/// A time of RFC 3339, or one without an offset, or a date alone: these two in UTC. Between date and time may be a blank.
pub fn parse_moment(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    let naive = || {
        let at = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f"];
        at.iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())
    };
    let day = || NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0);
    let with_offset = DateTime::parse_from_rfc3339(text).ok().map(|at| at.timestamp_millis());
    let millis = with_offset.or_else(|| naive().or_else(day).map(|at| at.and_utc().timestamp_millis()))?;
    // Four digits of a year: what is written anew is read again.
    (YEAR_0..YEAR_10000).contains(&millis).then(|| Timestamp::from_millis(millis))
}

/// 0000-01-01T00:00:00Z.
const YEAR_0: i64 = -62_167_219_200_000;
/// 10000-01-01T00:00:00Z.
const YEAR_10000: i64 = 253_402_300_800_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_without_an_offset_are_in_utc() {
        let at = Timestamp::parse_rfc3339("2026-01-02T03:04:05Z");
        for text in
            ["2026-01-02T04:04:05+01:00", "2026-01-02T03:04:05", " 2026-01-02 03:04:05 ", "2026-01-02 03:04:05Z"]
        {
            assert_eq!(parse_moment(text), at, "{text}");
        }
        assert_eq!(parse_moment("2026-01-02"), Timestamp::parse_rfc3339("2026-01-02T00:00:00Z"));
        for text in ["", "yesterday", "2026-13-02", "2026-01-02T03:04", "+12026-01-02", "1767323045"] {
            assert_eq!(parse_moment(text), None, "{text}");
        }
    }
}
