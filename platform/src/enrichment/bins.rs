//! Issuers of cards by their first six to eight digits: `bins.csv`.

use touchstone_schema::enrichment::{CardFacts, Enrichment};
use touchstone_schema::order::CountryCode;

use super::lines::{Problem, columns, each_line};
use super::{Subject, Table};

/// Lengths of the first digits, the longest first: the longer one says more (ISO/IEC 7812-1:2017 made them eight).
const LENGTHS: [usize; 3] = [8, 7, 6];

/// Kinds of cards that a file may name.
const FUNDINGS: [&str; 6] = ["credit", "debit", "charge", "deferred_debit", "prepaid", "unknown"];

/// Issuers, sorted by first digits.
#[derive(Debug)]
pub(super) struct Bins {
    keys: Box<[u32]>,
    facts: Box<[(Option<CountryCode>, Option<bool>)]>,
}

impl Bins {
    /// First digits, country and funding a line; of two lines with the same digits the first counts.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Problem> {
        let mut rows = Vec::new();
        each_line(bytes, |number, line| {
            let [bin, country, funding] = columns(line).ok_or("bin,country,funding such as 411111,US,credit")?;
            if rows.is_empty() && number == 1 && bin.eq_ignore_ascii_case("bin") {
                return Ok(());
            }
            let key = key(bin).ok_or("a BIN of 6 to 8 digits in the first column")?;
            rows.push((key, (parse_country(country)?, parse_funding(funding)?)));
            Ok(())
        })?;
        rows.sort_by_key(|(key, _)| *key);
        rows.dedup_by_key(|(key, _)| *key);
        let (keys, facts): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
        Ok(Self { keys: keys.into(), facts: facts.into() })
    }

    fn find(&self, digits: &str) -> Option<(Option<CountryCode>, Option<bool>)> {
        LENGTHS.iter().find_map(|length| {
            let index = self.keys.binary_search(&key(digits.get(..*length)?)?).ok()?;
            self.facts.get(index).copied()
        })
    }
}

/// Length and digits in one number: eight digits take 27 bits.
fn key(digits: &str) -> Option<u32> {
    let is_bin = LENGTHS.contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number: u32 = digits.parse().ok().filter(|_| is_bin)?;
    Some(u32::try_from(digits.len()).ok()? << 27 | number)
}

fn parse_country(text: &str) -> Result<Option<CountryCode>, &'static str> {
    match text {
        "" => Ok(None),
        code => CountryCode::parse(code).map(Some).ok_or("a country code such as DE, or nothing, in the second column"),
    }
}

fn parse_funding(text: &str) -> Result<Option<bool>, &'static str> {
    match FUNDINGS.iter().find(|known| known.eq_ignore_ascii_case(text)) {
        Some(&"unknown") => Ok(None),
        Some(known) => Ok(Some(*known == "prepaid")),
        None if text.is_empty() => Ok(None),
        None => Err("credit, debit, charge, deferred_debit, prepaid, unknown or nothing in the third column"),
    }
}

impl Table for Bins {
    fn tell(&self, subject: &Subject<'_>, enrichment: &mut Enrichment) {
        if let Some((country, is_prepaid)) = subject.card_bin.and_then(|digits| self.find(digits)) {
            enrichment.card = CardFacts { country, is_prepaid };
        }
    }

    fn entries(&self) -> usize {
        self.keys.len()
    }

    fn coverage(&self) -> String {
        format!("{} BINs", self.keys.len())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn told(table: &Bins, digits: &str) -> CardFacts {
        let mut enrichment = Enrichment::default();
        table.tell(&Subject { card_bin: Some(digits), ..Subject::default() }, &mut enrichment);
        enrichment.card
    }

    #[test]
    fn the_longest_first_digits_decide() {
        let text = "bin,country,funding\n411111,US,credit\n41111122,DE,PREPAID\n\"0412345\",\"\",debit\n411111,FR,\n";
        let table = Bins::parse(text.as_bytes()).unwrap();
        assert_eq!(table.coverage(), "3 BINs");
        let facts = |country, is_prepaid| CardFacts { country: CountryCode::parse(country), is_prepaid };
        assert_eq!(told(&table, "411111"), facts("US", Some(false)));
        assert_eq!(told(&table, "41111199"), facts("US", Some(false)));
        assert_eq!(told(&table, "41111122"), facts("DE", Some(true)));
        assert_eq!(told(&table, "04123456"), facts("", Some(false)));
        for unknown in ["412345", "4111", "411112", "x11111", ""] {
            assert_eq!(told(&table, unknown), CardFacts::default(), "{unknown}");
        }
    }

    #[test]
    fn malformed_lines_are_named() {
        for (text, problem) in [
            ("411111,US,credit\n4111,US,credit", "line 2: expected a BIN of 6 to 8 digits"),
            ("411111,USA,credit", "line 1: expected a country code"),
            ("411111,US,gold", "line 1: expected credit, debit"),
            ("411111,US", "line 1: expected bin,country,funding"),
            ("+41111,US,credit", "line 1: expected a BIN"),
        ] {
            let told = Bins::parse(text.as_bytes()).unwrap_err().to_string();
            assert!(told.starts_with(problem), "{text}: {told}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(text in "([0-9,\nUS]{0,60})|(.{0,60})", digits in ".{0,10}") {
            if let Ok(table) = Bins::parse(text.as_bytes()) {
                told(&table, &digits);
            }
        }
    }
}
