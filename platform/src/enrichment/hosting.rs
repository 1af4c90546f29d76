//! Networks of hosting providers by their number: `hosting-asns.txt`.

use touchstone_schema::enrichment::Enrichment;

use super::lines::{Problem, each_line};
use super::{Subject, Table};

/// Numbers of networks, sorted.
#[derive(Debug, Default)]
pub(super) struct HostingNetworks(Box<[u32]>);

impl HostingNetworks {
    /// One number a line, with or without `AS` before it.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Problem> {
        let mut numbers = Vec::new();
        each_line(bytes, |_, line| {
            numbers.push(number(line).ok_or("the number of a network, such as AS64496")?);
            Ok(())
        })?;
        numbers.sort_unstable();
        numbers.dedup();
        Ok(Self(numbers.into()))
    }
}

/// The number of a network, with or without `AS` before it.
pub(super) fn number(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("AS").or_else(|| text.strip_prefix("as")).unwrap_or(text);
    digits.parse().ok().filter(|_| digits.starts_with(|c: char| c.is_ascii_digit()))
}

impl Table for HostingNetworks {
    fn tell(&self, _: &Subject<'_>, enrichment: &mut Enrichment) {
        if enrichment.ip.asn.is_some_and(|asn| self.0.binary_search(&asn).is_ok()) {
            enrichment.ip.is_hosting = true;
        }
    }

    fn entries(&self) -> usize {
        self.0.len()
    }

    fn coverage(&self) -> String {
        format!("{} networks", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn addresses_of_listed_networks_are_hosting() {
        let table = HostingNetworks::parse(b"AS64497 # Example hosting\n64496\nas64496\n").unwrap();
        let told = |asn| {
            let mut enrichment = Enrichment::default();
            enrichment.ip.asn = asn;
            table.tell(&Subject::default(), &mut enrichment);
            enrichment.ip.is_hosting
        };
        assert_eq!([Some(64496), Some(64497), Some(64498), None].map(told), [true, true, false, false]);
        assert_eq!(table.coverage(), "2 networks");
    }

    #[test]
    fn malformed_lines_are_named() {
        for text in ["64496\nASN64496", "1\n+5", "1\n4294967296", "1\n1 2"] {
            let problem = HostingNetworks::parse(text.as_bytes()).unwrap_err().to_string();
            assert_eq!(problem, "line 2: expected the number of a network, such as AS64496", "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = HostingNetworks::parse(&bytes);
        }
    }
}
