//! Sets and tables of IP addresses: sorted ranges, found by bisection.

use std::net::IpAddr;

use ipnet::IpNet;
use touchstone_schema::enrichment::{Enrichment, IpFacts};

use super::lines::{Problem, columns, each_line, network};
use super::{Subject, Table};

/// An address as a number.
trait Number: Copy + Ord {
    /// The number after it; none after the last.
    fn next(self) -> Option<Self>;

    /// The number before it; none before the first.
    fn previous(self) -> Option<Self>;
}

impl Number for u32 {
    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }

    fn previous(self) -> Option<Self> {
        self.checked_sub(1)
    }
}

impl Number for u128 {
    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }

    fn previous(self) -> Option<Self> {
        self.checked_sub(1)
    }
}

/// A range as a file has it.
#[derive(Debug, Clone, Copy)]
struct Row<A, V> {
    start: A,
    end: A,
    value: V,
}

/// Ranges without overlap, in order. Apart from each other, so that a search touches the starts only.
#[derive(Debug)]
struct Ranges<A, V> {
    starts: Box<[A]>,
    ends: Box<[A]>,
    values: Box<[V]>,
}

impl<A: Number, V: Copy + PartialEq> Ranges<A, V> {
    /// Sorts rows. Of those that overlap, the one that begins later counts, then the narrower one, then the later line:
    /// within a network that is the part of it that another one announces.
    fn new(mut rows: Vec<Row<A, V>>) -> Self {
        rows.sort_by_key(|row| (row.start, std::cmp::Reverse(row.end)));
        let mut flat = Flat { rows: Vec::with_capacity(rows.len()), open: Vec::new(), cursor: None };
        for row in rows {
            flat.close_before(row.start);
            flat.add_open_before(row.start);
            flat.open.push(row);
            flat.cursor = Some(row.start);
        }
        while flat.close_last() {}
        Self {
            starts: flat.rows.iter().map(|row| row.start).collect(),
            ends: flat.rows.iter().map(|row| row.end).collect(),
            values: flat.rows.iter().map(|row| row.value).collect(),
        }
    }

    fn find(&self, address: A) -> Option<V> {
        let index = self.starts.partition_point(|start| *start <= address).checked_sub(1)?;
        self.ends.get(index).filter(|end| address <= **end)?;
        self.values.get(index).copied()
    }
}

/// Ranges on their way to not overlapping, taken in the order of their starts.
struct Flat<A, V> {
    rows: Vec<Row<A, V>>,
    /// Those that reach beyond what was taken so far; the last one counts.
    open: Vec<Row<A, V>>,
    /// The first address that is not in `rows` yet; none after the last address of all.
    cursor: Option<A>,
}

impl<A: Number, V: Copy + PartialEq> Flat<A, V> {
    /// Ends the ranges on top that end before `start`.
    fn close_before(&mut self, start: A) {
        while self.open.last().is_some_and(|row| row.end < start) {
            self.close_last();
        }
    }

    /// Ends the range on top. Whether there was one.
    fn close_last(&mut self) -> bool {
        let Some(row) = self.open.pop() else { return false };
        if let Some(cursor) = self.cursor.filter(|cursor| *cursor <= row.end) {
            self.add(cursor, row.end, row.value);
            self.cursor = row.end.next();
        }
        true
    }

    /// Takes what the range on top has before `start`.
    fn add_open_before(&mut self, start: A) {
        if let (Some(row), Some(cursor), Some(end)) = (self.open.last().copied(), self.cursor, start.previous())
            && cursor <= end
        {
            self.add(cursor, end, row.value);
        }
    }

    /// Adds a range, joined with the one before it when they touch and say the same.
    fn add(&mut self, start: A, end: A, value: V) {
        match self.rows.last_mut() {
            Some(last) if last.value == value && last.end.next() == Some(start) => last.end = end,
            _ => self.rows.push(Row { start, end, value }),
        }
    }
}

/// A value for ranges of addresses of both families.
#[derive(Debug)]
struct AddressMap<V> {
    v4: Ranges<u32, V>,
    v6: Ranges<u128, V>,
}

/// Rows of an [`AddressMap`] as they are read.
struct Rows<V> {
    v4: Vec<Row<u32, V>>,
    v6: Vec<Row<u128, V>>,
}

impl<V: Copy + PartialEq> Rows<V> {
    const fn new() -> Self {
        Self { v4: Vec::new(), v6: Vec::new() }
    }

    fn add(&mut self, start: IpAddr, end: IpAddr, value: V) -> Result<(), &'static str> {
        match (start.to_canonical(), end.to_canonical()) {
            (IpAddr::V4(start), IpAddr::V4(end)) if start <= end => {
                self.v4.push(Row { start: start.into(), end: end.into(), value });
            }
            (IpAddr::V6(start), IpAddr::V6(end)) if start <= end => {
                self.v6.push(Row { start: start.into(), end: end.into(), value });
            }
            _ => return Err("a first and a last address of one family, in this order"),
        }
        Ok(())
    }

    fn sorted(self) -> AddressMap<V> {
        AddressMap { v4: Ranges::new(self.v4), v6: Ranges::new(self.v6) }
    }
}

impl<V: Copy + PartialEq> AddressMap<V> {
    fn find(&self, address: IpAddr) -> Option<V> {
        match address.to_canonical() {
            IpAddr::V4(v4) => self.v4.find(v4.into()),
            IpAddr::V6(v6) => self.v6.find(v6.into()),
        }
    }

    fn len(&self) -> usize {
        self.v4.starts.len() + self.v6.starts.len()
    }

    fn coverage(&self) -> String {
        format!("{} ranges of IPv4, {} of IPv6", self.v4.starts.len(), self.v6.starts.len())
    }
}

/// What a set of addresses says of one that is in it.
type Mark = fn(&mut IpFacts);

/// Addresses and networks that something is true of: `hosting.txt`, `vpn.txt`, `tor.txt`.
#[derive(Debug)]
pub(super) struct Addresses {
    map: AddressMap<()>,
    mark: Mark,
}

impl Addresses {
    /// One address or network a line.
    pub(super) fn parse(bytes: &[u8], mark: Mark) -> Result<Self, Problem> {
        let mut rows = Rows::new();
        each_line(bytes, |_, line| {
            let network: IpNet = network(line)?;
            rows.add(network.network(), network.broadcast(), ())
        })?;
        Ok(Self { map: rows.sorted(), mark })
    }
}

impl Table for Addresses {
    fn tell(&self, subject: &Subject<'_>, enrichment: &mut Enrichment) {
        if subject.ip.is_some_and(|ip| self.map.find(ip).is_some()) {
            (self.mark)(&mut enrichment.ip);
        }
    }

    fn entries(&self) -> usize {
        self.map.len()
    }

    fn coverage(&self) -> String {
        self.map.coverage()
    }
}

/// Which network announces an address: `asn.csv`.
#[derive(Debug)]
pub(super) struct Networks(AddressMap<u32>);

impl Networks {
    /// First address, last address and number of a network a line; further columns are ignored.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Problem> {
        const EXPECTED: &str = "first address, last address and network number, such as 192.0.2.0,192.0.2.255,64496";
        let mut rows = Rows::new();
        each_line(bytes, |_, line| {
            let [start, end, asn] = columns(line).ok_or(EXPECTED)?;
            let (start, end) = (start.parse().map_err(|_| EXPECTED)?, end.parse().map_err(|_| EXPECTED)?);
            rows.add(start, end, asn.parse().map_err(|_| EXPECTED)?)
        })?;
        Ok(Self(rows.sorted()))
    }
}

impl Table for Networks {
    fn tell(&self, subject: &Subject<'_>, enrichment: &mut Enrichment) {
        if enrichment.ip.asn.is_none() {
            enrichment.ip.asn = subject.ip.and_then(|ip| self.0.find(ip));
        }
    }

    fn entries(&self) -> usize {
        self.0.len()
    }

    fn coverage(&self) -> String {
        self.0.coverage()
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::*;

    fn tor(text: &str) -> Addresses {
        Addresses::parse(text.as_bytes(), |ip| ip.is_tor_exit = true).unwrap()
    }

    fn has(set: &Addresses, address: &str) -> bool {
        let subject = Subject { ip: Some(address.parse().unwrap()), ..Subject::default() };
        let mut enrichment = Enrichment::default();
        set.tell(&subject, &mut enrichment);
        enrichment.ip.is_tor_exit
    }

    #[test]
    fn addresses_of_both_families_are_found_at_the_edges_of_their_ranges() {
        let set = tor("192.0.2.0/24 # a network\n198.51.100.7\n2001:db8::/32\n");
        for inside in ["192.0.2.0", "192.0.2.255", "198.51.100.7", "2001:db8::", "2001:db8:ffff::1", "::ffff:192.0.2.1"]
        {
            assert!(has(&set, inside), "{inside}");
        }
        for outside in ["192.0.1.255", "192.0.3.0", "198.51.100.6", "198.51.100.8", "2001:db9::", "0.0.0.0", "::"] {
            assert!(!has(&set, outside), "{outside}");
        }
        assert!(!has(&tor(""), "192.0.2.0"));
    }

    #[test]
    fn ranges_that_touch_or_overlap_become_one() {
        let set = tor("192.0.2.128/25\n192.0.2.0/25\n192.0.2.64/26\n192.0.3.0/24\n255.255.255.255\n255.255.255.254\n");
        assert_eq!((set.entries(), set.coverage().as_str()), (2, "2 ranges of IPv4, 0 of IPv6"));
        assert!(has(&set, "192.0.3.255") && has(&set, "255.255.255.254"));
    }

    #[test]
    fn networks_are_told_by_number_unless_another_file_knew() {
        let table = Networks::parse(b"192.0.2.0,192.0.2.255,64496,\"Example, Inc.\"\n2001:db8::,2001:db8::ff,64497\n");
        let table = table.unwrap();
        let told = |address: &str, before| {
            let subject = Subject { ip: Some(address.parse().unwrap()), ..Subject::default() };
            let mut enrichment = Enrichment::default();
            enrichment.ip.asn = before;
            table.tell(&subject, &mut enrichment);
            enrichment.ip.asn
        };
        assert_eq!(told("192.0.2.9", None), Some(64496));
        assert_eq!(told("2001:db8::9", None), Some(64497));
        assert_eq!(told("192.0.2.9", Some(1)), Some(1));
        assert_eq!(told("192.0.3.9", None), None);
    }

    #[test]
    fn malformed_lines_are_named() {
        for (text, line) in [
            ("192.0.2.0,192.0.2.255,64496\n192.0.2.9,192.0.2.1,1", "line 2"),
            ("192.0.2.0,2001:db8::,1", "line 1"),
            ("192.0.2.0,192.0.2.255,AS1", "line 1"),
            ("192.0.2.0,192.0.2.255", "line 1"),
        ] {
            let problem = Networks::parse(text.as_bytes()).unwrap_err().to_string();
            assert!(problem.starts_with(line), "{text}: {problem}");
        }
    }

    proptest! {
        #[test]
        fn a_set_says_what_looking_at_every_network_says(
            networks in prop::collection::vec((any::<u16>(), 20_u8..=32), 0..40),
            probes in prop::collection::vec(any::<u16>(), 0..60),
        ) {
            let networks: Vec<IpNet> = networks
                .iter()
                .map(|(low, length)| format!("10.1.{}.{}/{length}", low >> 8, low & 255).parse().unwrap())
                .collect();
            let text: String = networks.iter().map(|network| format!("{network}\n")).collect();
            let set = tor(&text);
            for probe in probes {
                let address = IpAddr::V4(Ipv4Addr::from(0x0a01_0000 | u32::from(probe)));
                let expected = networks.iter().any(|network| network.contains(&address));
                prop_assert_eq!(has(&set, &address.to_string()), expected);
            }
        }

        #[test]
        fn of_ranges_that_overlap_the_one_that_begins_later_counts(
            rows in prop::collection::vec((any::<u8>(), any::<u8>(), 0_u32..4), 0..12),
        ) {
            let mut rows: Vec<_> = rows.into_iter().map(|(a, b, value)| (a.min(b), a.max(b), value)).collect();
            let text: String = rows.iter().map(|(a, b, value)| format!("0.0.0.{a},0.0.0.{b},{value}\n")).collect();
            let table = Networks::parse(text.as_bytes()).unwrap();
            rows.sort_by_key(|(start, end, _)| (*start, std::cmp::Reverse(*end)));
            for last in 0..=255 {
                let expected = rows.iter().rev().find(|(start, end, _)| (*start..=*end).contains(&last));
                let found = table.0.find(IpAddr::V4(Ipv4Addr::new(0, 0, 0, last)));
                prop_assert_eq!(found, expected.map(|(.., value)| *value), "{}", text);
            }
        }

        #[test]
        fn no_bytes_make_it_panic(text in "([0-9a-f.:/,\n#\"]{0,60})|(.{0,60})") {
            let _ = Addresses::parse(text.as_bytes(), |_| {});
            let _ = Networks::parse(text.as_bytes());
        }
    }
}
