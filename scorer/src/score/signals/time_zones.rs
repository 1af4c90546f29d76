//! What the clocks of a country can show: whether a device's time zone fits it, and whether it is night there.

use std::collections::HashMap;
use std::sync::LazyLock;

use touchstone_schema::order::CountryCode;
use touchstone_schema::time::Timestamp;

/// One line for each way to keep time: minutes ahead of UTC in January and in July, the countries with a place that
/// keeps it, and the zones. Made from the IANA time zone database, version 2026f (`zone.tab`, old names included; XK
/// added as Belgrade keeps time). Zones that name no place, such as `Etc/GMT+5`, are left out: they tell nothing.
const TABLE: &str = include_str!("time_zones.txt");

const MINUTES_OF_A_DAY: i32 = 24 * 60;
/// Night is from midnight until here, in minutes.
const END_OF_NIGHT: i32 = 5 * 60;
/// What browsers say that hide where they are.
const HIDDEN: &str = "Atlantic/Reykjavik";

/// Minutes ahead of UTC in January and in July.
type Clock = [i32; 2];

static CLOCKS: LazyLock<Clocks> = LazyLock::new(|| Clocks::read(TABLE));

struct Clocks {
    by_country: HashMap<CountryCode, Vec<Clock>>,
    by_zone: HashMap<&'static str, Clock>,
}

impl Clocks {
    fn read(table: &'static str) -> Self {
        let mut clocks = Self { by_country: HashMap::new(), by_zone: HashMap::new() };
        for line in table.lines() {
            let mut parts = line.split('|');
            let mut minutes = parts.next().unwrap_or_default().split(' ').filter_map(|text| text.parse().ok());
            let (Some(january), Some(july)) = (minutes.next(), minutes.next()) else { continue };
            let clock = [january, july];
            for country in parts.next().unwrap_or_default().split(' ').filter_map(CountryCode::parse) {
                clocks.by_country.entry(country).or_default().push(clock);
            }
            clocks.by_zone.extend(parts.next().unwrap_or_default().split(' ').map(|zone| (zone, clock)));
        }
        clocks
    }
}

/// Whether no place in a country keeps the time of a zone. Never of zones or countries that are not known.
pub(super) fn is_impossible(zone: &str, country: CountryCode) -> bool {
    let clock = CLOCKS.by_zone.get(zone).filter(|_| zone != HIDDEN);
    match (clock, CLOCKS.by_country.get(&country)) {
        (Some(clock), Some(clocks)) => !clocks.contains(clock),
        _ => false,
    }
}

/// Whether it is between midnight and five in a country, by its clock in January and in July; none for countries that
/// keep several times.
pub(super) fn is_night(at: Timestamp, country: CountryCode) -> Option<bool> {
    let [clock] = CLOCKS.by_country.get(&country)?.as_slice() else { return None };
    let minute = i32::try_from(at.as_secs().div_euclid(60).rem_euclid(i64::from(MINUTES_OF_A_DAY))).ok()?;
    Some(clock.iter().all(|offset| (minute + offset).rem_euclid(MINUTES_OF_A_DAY) < END_OF_NIGHT))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn night(at: &str, country: &str) -> Option<bool> {
        is_night(Timestamp::parse_rfc3339(at)?, CountryCode::parse(country)?)
    }

    #[test]
    fn every_line_of_the_table_is_read() {
        for line in TABLE.lines() {
            let parts: Vec<_> = line.split('|').collect();
            let minutes: Vec<i32> = parts[0].split(' ').map(|text| text.parse().expect("minutes")).collect();
            assert!(minutes.len() == 2 && minutes.iter().all(|offset| offset.abs() <= 14 * 60), "{line}");
            assert!(parts.len() == 3 && parts[1].split(' ').all(|code| CountryCode::parse(code).is_some()), "{line}");
            assert!(parts[2].split(' ').all(|zone| zone.contains('/')), "{line}");
        }
        assert_eq!((CLOCKS.by_country.len(), CLOCKS.by_zone.len()), (248, 518));
    }

    #[test]
    fn a_zone_is_impossible_where_no_place_keeps_its_time() {
        let impossible =
            |zone: &str, country: &str| CountryCode::parse(country).is_some_and(|c| is_impossible(zone, c));
        for (zone, country) in
            [("Asia/Ho_Chi_Minh", "US"), ("Europe/London", "DE"), ("America/Santiago", "CA"), ("Asia/Calcutta", "GB")]
        {
            assert!(impossible(zone, country), "{zone} {country}");
        }
        for (zone, country) in [
            ("Europe/Vienna", "DE"),
            ("America/Phoenix", "US"),
            ("Atlantic/Canary", "ES"),
            ("Etc/GMT+5", "DE"),
            ("Atlantic/Reykjavik", "US"),
            ("Mars/Olympus", "US"),
            ("America/Chicago", "BV"),
        ] {
            assert!(!impossible(zone, country), "{zone} {country}");
        }
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
    fn an_hour_that_only_one_of_both_clocks_calls_night_is_not_night() {
        assert_eq!(night("2026-05-04T22:30:00Z", "DE"), Some(false));
        assert_eq!(night("2026-05-04T03:30:00Z", "DE"), Some(false));
    }
}
