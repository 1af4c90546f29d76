//! The time of day in countries that have one time zone.

use touchstone_schema::order::CountryCode;
use touchstone_schema::time::Timestamp;

const MINUTES_OF_A_DAY: i64 = 24 * 60;
/// Night is from midnight until here, in minutes.
const END_OF_NIGHT: i64 = 5 * 60;

/// Whether it is between midnight and five in a country, by its winter and by its summer time; none for countries of
/// several zones.
pub(super) fn is_night(at: Timestamp, country: CountryCode) -> Option<bool> {
    let (winter, summer) = offsets(country.as_str())?;
    let minutes = at.as_secs().div_euclid(60);
    let is_night_by = |offset: i64| (minutes + offset).rem_euclid(MINUTES_OF_A_DAY) < END_OF_NIGHT;
    Some(is_night_by(winter) && is_night_by(summer))
}

/// Minutes that standard time and summer time are ahead of UTC (IANA time zone database, 2026).
fn offsets(country: &str) -> Option<(i64, i64)> {
    let (standard, summer) = match country {
        "IS" | "GH" | "SN" | "CI" => (0, 0),
        "GB" | "IE" | "GG" | "JE" | "IM" => (0, 60),
        "NG" | "TN" | "DZ" | "AO" | "CM" => (60, 60),
        "AL" | "AD" | "AT" | "BA" | "BE" | "CH" | "CZ" | "DE" | "DK" | "FR" | "HR" | "HU" | "IT" | "LI" | "LU"
        | "MC" | "ME" | "MK" | "MT" | "NL" | "NO" | "PL" | "RS" | "SE" | "SI" | "SK" | "SM" | "VA" | "XK" => (60, 120),
        "ZA" | "BW" | "MZ" | "ZM" | "ZW" | "RW" | "LY" => (120, 120),
        "BG" | "CY" | "EE" | "EG" | "FI" | "GR" | "IL" | "LB" | "LT" | "LV" | "MD" | "RO" | "UA" => (120, 180),
        "BH" | "BY" | "ET" | "IQ" | "JO" | "KE" | "KW" | "QA" | "SA" | "SY" | "TR" | "TZ" | "UG" | "YE" => (180, 180),
        "AE" | "AM" | "AZ" | "GE" | "MU" | "OM" => (240, 240),
        "MV" | "PK" | "TM" | "TJ" | "UZ" => (300, 300),
        "IN" | "LK" => (330, 330),
        "NP" => (345, 345),
        "BD" | "BT" | "KG" => (360, 360),
        "KH" | "LA" | "TH" | "VN" => (420, 420),
        "BN" | "CN" | "HK" | "MO" | "MY" | "PH" | "SG" | "TW" => (480, 480),
        "JP" | "KR" => (540, 540),
        "AR" | "UY" | "SR" => (-180, -180),
        "BO" | "DO" | "GY" | "PR" | "TT" | "VE" | "BB" => (-240, -240),
        "PY" => (-180, -180),
        "CO" | "JM" | "PA" | "PE" => (-300, -300),
        "CR" | "GT" | "HN" | "NI" | "SV" => (-360, -360),
        _ => return None,
    };
    Some((standard, summer))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn night(at: &str, country: &str) -> Option<bool> {
        is_night(Timestamp::parse_rfc3339(at)?, CountryCode::parse(country)?)
    }

    #[test]
    fn night_is_told_by_the_clock_of_the_country() {
        assert_eq!(night("2026-05-04T18:30:00Z", "JP"), Some(true));
        assert_eq!(night("2026-05-04T18:30:00Z", "IN"), Some(true));
        assert_eq!(night("2026-05-04T18:30:00Z", "GB"), Some(false));
        assert_eq!(night("2026-05-04T03:00:00Z", "CO"), Some(false));
        assert_eq!(night("2026-05-04T06:00:00Z", "CO"), Some(true));
        assert_eq!(night("2026-05-04T06:00:00Z", "US"), None);
    }

    #[test]
    fn an_hour_that_only_one_of_both_times_calls_night_is_not_night() {
        assert_eq!(night("2026-05-04T22:30:00Z", "DE"), Some(false));
        assert_eq!(night("2026-05-04T03:30:00Z", "DE"), Some(false));
    }
}
