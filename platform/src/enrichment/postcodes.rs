//! Where postcodes lie: `postcodes.csv`.

use touchstone_schema::enrichment::{Enrichment, Location};
use touchstone_schema::order::CountryCode;

use super::lines::{Problem, columns, each_line};
use super::{Subject, Table};

/// Longest postcode without blanks and hyphens; with the country it fills a number of 96 bits.
const CODE_BYTES: usize = 10;
/// Shortest part of a postcode that may stand for the whole: districts of British cities have two characters.
const SHORTEST_PART: usize = 2;

/// Places, sorted by country and code.
#[derive(Debug)]
pub(super) struct Postcodes {
    keys: Box<[Key]>,
    places: Box<[Location]>,
}

/// Country and code in capitals, filled up with zeros.
type Key = [u8; 2 + CODE_BYTES];

impl Postcodes {
    /// Country, code, latitude and longitude a line; of two lines with the same code the first counts.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Problem> {
        const EXPECTED: &str = "country,postal_code,latitude,longitude such as US,10001,40.7484,-73.9967";
        let mut rows = Vec::new();
        each_line(bytes, |number, line| {
            let [country, code, latitude, longitude] = columns(line).ok_or(EXPECTED)?;
            if rows.is_empty() && number == 1 && country.eq_ignore_ascii_case("country") {
                return Ok(());
            }
            let country = CountryCode::parse(country).ok_or("a country code such as US in the first column")?;
            let (key, length) = key(country, code).ok_or("a postcode of 2 to 10 letters and digits")?;
            if length > CODE_BYTES {
                return Err("a postcode of 2 to 10 letters and digits");
            }
            let degrees = |text: &str| text.parse().map_err(|_| EXPECTED);
            let place = location(degrees(latitude)?, degrees(longitude)?);
            rows.push((key, place.ok_or("a latitude from -90 to 90 and a longitude from -180 to 180")?));
            Ok(())
        })?;
        rows.sort_by_key(|(key, _)| *key);
        rows.dedup_by_key(|(key, _)| *key);
        let (keys, places): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
        Ok(Self { keys: keys.into(), places: places.into() })
    }

    /// The place of a code, or of the longest part of it that the table has: a table of Canada has three characters a
    /// code, one of the United States five.
    fn find(&self, country: CountryCode, code: &str) -> Option<Location> {
        let (mut key, length) = key(country, code)?;
        for length in (SHORTEST_PART..=length.min(CODE_BYTES)).rev() {
            if let Some(rest) = key.get_mut(2 + length..) {
                rest.fill(0);
            }
            if let Ok(index) = self.keys.binary_search(&key) {
                return self.places.get(index).copied();
            }
        }
        None
    }
}

/// The key of a code, cut to [`CODE_BYTES`], and how long the code was; none for one that is too short.
fn key(country: CountryCode, code: &str) -> Option<(Key, usize)> {
    let mut key = Key::default();
    let mut length = 0;
    key.iter_mut().zip(country.as_str().bytes()).for_each(|(to, from)| *to = from);
    for c in code.chars().filter(|c| !matches!(c, ' ' | '-')) {
        if !c.is_ascii_alphanumeric() {
            return None;
        }
        if let Some(to) = key.get_mut(2 + length) {
            *to = u8::try_from(c.to_ascii_uppercase()).ok()?;
        }
        length += 1;
    }
    (length >= SHORTEST_PART).then_some((key, length))
}

/// A place of these degrees, if it is on Earth.
pub(super) fn location(latitude: f64, longitude: f64) -> Option<Location> {
    // Reading, multiplying and rounding are exact by IEEE 754: the same on every machine.
    let microdegrees = |degrees: f64| (degrees * 1e6).round() as i32;
    ((-90.0..=90.0).contains(&latitude) && (-180.0..=180.0).contains(&longitude)).then(|| Location {
        latitude_microdegrees: microdegrees(latitude),
        longitude_microdegrees: microdegrees(longitude),
    })
}

impl Table for Postcodes {
    fn tell(&self, subject: &Subject<'_>, enrichment: &mut Enrichment) {
        if let Some((country, code)) = subject.billing_postcode {
            enrichment.billing_location = self.find(country, code);
        }
    }

    fn entries(&self) -> usize {
        self.keys.len()
    }

    fn coverage(&self) -> String {
        let countries = self.keys.chunk_by(|one, next| one[..2] == next[..2]).count();
        format!("{} postcodes of {countries} countries", self.keys.len())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: &[u8] =
        b"country,postal_code,latitude,longitude\nUS,10001,40.7484,-73.9967\nCA,K1A,45.421106,-75.690308
GB,M1,53.4774,-2.2355\nGB,M11,53.4787,-2.1804\nDE,10115,52.5323,13.3846\nUS,10001,0,0\n";

    fn found(country: &str, code: &str) -> Option<(i32, i32)> {
        let table = Postcodes::parse(TEXT).unwrap();
        let place = table.find(CountryCode::parse(country).unwrap(), code)?;
        Some((place.latitude_microdegrees, place.longitude_microdegrees))
    }

    #[test]
    fn codes_are_found_as_people_write_them_and_by_their_longest_known_part() {
        let new_york = Some((40_748_400, -73_996_700));
        assert_eq!(found("US", "10001"), new_york);
        assert_eq!(found("US", " 10001-4356"), new_york);
        assert_eq!(found("CA", "k1a 0b1"), Some((45_421_106, -75_690_308)));
        assert_eq!(found("GB", "M1"), Some((53_477_400, -2_235_500)));
        assert_eq!(found("GB", "M11 4AA"), Some((53_478_700, -2_180_400)));
        assert_eq!(Postcodes::parse(TEXT).unwrap().coverage(), "5 postcodes of 4 countries");
    }

    #[test]
    fn codes_of_elsewhere_are_not_found() {
        for (country, code) in
            [("US", "10002"), ("FR", "10001"), ("US", "1"), ("US", ""), ("DE", "1011五"), ("CA", "K2")]
        {
            assert_eq!(found(country, code), None, "{country} {code}");
        }
    }

    #[test]
    fn malformed_lines_are_named() {
        for (text, problem) in [
            ("US,10001,40.7,-73.9\nXX,1,1,1", "line 2: expected a country code"),
            ("US,1,1,1", "line 1: expected a postcode"),
            ("US,12345678901,1,1", "line 1: expected a postcode"),
            ("US,10001,91,1", "line 1: expected a latitude"),
            ("US,10001,NaN,1", "line 1: expected a latitude"),
            ("US,10001,north,1", "line 1: expected country,postal_code"),
            ("US,10001,1", "line 1: expected country,postal_code"),
        ] {
            let told = Postcodes::parse(text.as_bytes()).unwrap_err().to_string();
            assert!(told.starts_with(problem), "{text}: {told}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(text in "([0-9A-Z,.\n]{0,60})|(.{0,60})", code in ".{0,15}") {
            if let Ok(table) = Postcodes::parse(text.as_bytes()) {
                table.find(CountryCode::parse("US").unwrap(), &code);
            }
        }
    }
}
