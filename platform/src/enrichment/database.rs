//! Databases in MaxMind's format: `country.mmdb`, `city.mmdb`, `asn.mmdb`.
//!
//! Guarantee: a database that is used was read whole before: its tree ends, and every record in it can be decoded. The
//! file is held in memory, not mapped: whoever shortens a mapped file ends the process that reads it.
//! Both layouts in use are understood: the nested one of MaxMind and DB-IP, and the flat one of open collections.

use std::collections::HashSet;
use std::net::IpAddr;

use maxminddb::PathElement::{self, Key};
use maxminddb::{LookupResult, Reader, WithinOptions};
use serde::Deserialize;
use touchstone_schema::enrichment::{Enrichment, Location};
use touchstone_schema::order::CountryCode;
use touchstone_schema::time::Timestamp;

use super::lines::Problem;
use super::{Subject, Table, hosting, postcodes};

type Path = &'static [PathElement<'static>];

/// Where a record has its country: ISO code of where it is used, else of whom it is registered to.
const COUNTRY: [Path; 3] =
    [&[Key("country"), Key("iso_code")], &[Key("country_code")], &[Key("registered_country"), Key("iso_code")]];
/// Where it has its latitude and longitude.
const PLACE: [[Path; 2]; 2] = [
    [&[Key("location"), Key("latitude")], &[Key("location"), Key("longitude")]],
    [&[Key("latitude")], &[Key("longitude")]],
];
/// Where it has the number of its network, and where it has it as a text.
const NUMBER: Path = &[Key("autonomous_system_number")];
const NUMBER_AS_TEXT: Path = &[Key("asn")];

/// A tree of `n` nodes has `n + 1` leaves, a few more when branches are shared; what has many more is a knot.
const LEAVES_PER_NODE: usize = 3;

/// What a database is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Country,
    City,
    Network,
}

/// A database in memory.
#[derive(Debug)]
pub(super) struct Database {
    reader: Reader<Vec<u8>>,
    purpose: Purpose,
    networks: usize,
}

type Record<'a> = LookupResult<'a, Vec<u8>>;

impl Database {
    /// Opens a database and reads all of it once.
    pub(super) fn open(bytes: Vec<u8>, purpose: Purpose) -> Result<Self, Problem> {
        let reader = Reader::from_source(bytes)?;
        let networks = survey(&reader, purpose)?;
        if networks == 0 {
            let expected = match purpose {
                Purpose::Country => "country.iso_code or country_code",
                Purpose::City => "location.latitude and longitude, or latitude and longitude",
                Purpose::Network => "autonomous_system_number or asn",
            };
            return Err(Problem::OtherDatabase { expected, kind: kind(&reader) });
        }
        Ok(Self { reader, purpose, networks })
    }

    fn record(&self, address: IpAddr) -> Option<Record<'_>> {
        self.reader.lookup(address).ok().filter(LookupResult::has_data)
    }
}

/// Walks the tree and decodes every record once. Returns how many networks have what the purpose asks for.
fn survey(reader: &Reader<Vec<u8>>, purpose: Purpose) -> Result<usize, Problem> {
    let most = (reader.metadata().node_count as usize + 1).saturating_mul(LEAVES_PER_NODE);
    let (mut told, mut untold) = (HashSet::new(), HashSet::new());
    let (mut leaves, mut networks) = (0, 0);
    for leaf in reader.networks(WithinOptions::default().include_networks_without_data())? {
        let record = leaf?;
        leaves += 1;
        if leaves > most {
            return Err(knot());
        }
        let Some(offset) = record.offset() else { continue };
        if !told.contains(&offset) && !untold.contains(&offset) {
            record.decode::<serde::de::IgnoredAny>()?;
            let is_told = match purpose {
                Purpose::Country => country(&record).is_some(),
                Purpose::City => place(&record).is_some(),
                Purpose::Network => asn(&record).is_some(),
            };
            if is_told {
                told.insert(offset)
            } else {
                untold.insert(offset)
            };
        }
        networks += usize::from(told.contains(&offset));
    }
    Ok(networks)
}

/// What a database says of itself, fit for a line of a log.
fn kind(reader: &Reader<Vec<u8>>) -> String {
    reader.metadata().database_type.chars().filter(|c| !c.is_control()).take(80).collect()
}

fn knot() -> Problem {
    Problem::Read(std::io::Error::new(std::io::ErrorKind::InvalidData, "its search tree does not end"))
}

/// What a record has at a path; nothing when there is nothing, or something else.
fn at<'a, T: Deserialize<'a>>(record: &Record<'a>, path: Path) -> Option<T> {
    record.decode_path(path).ok().flatten()
}

fn country(record: &Record<'_>) -> Option<CountryCode> {
    COUNTRY.iter().find_map(|path| CountryCode::parse(at(record, path)?))
}

fn place(record: &Record<'_>) -> Option<Location> {
    let degrees = |path| at::<f64>(record, path).or_else(|| at::<f32>(record, path).map(f64::from));
    PLACE.iter().find_map(|[latitude, longitude]| postcodes::location(degrees(latitude)?, degrees(longitude)?))
}

fn asn(record: &Record<'_>) -> Option<u32> {
    let number = at(record, NUMBER).or_else(|| at::<u16>(record, NUMBER).map(u32::from));
    number.or_else(|| hosting::number(at(record, NUMBER_AS_TEXT)?))
}

impl Table for Database {
    fn tell(&self, subject: &Subject<'_>, enrichment: &mut Enrichment) {
        let Some(record) = subject.ip.and_then(|ip| self.record(ip)) else { return };
        let ip = &mut enrichment.ip;
        match self.purpose {
            Purpose::Country => ip.country = country(&record),
            Purpose::City => {
                ip.country = ip.country.or_else(|| country(&record));
                ip.location = place(&record);
            }
            Purpose::Network => ip.asn = asn(&record),
        }
    }

    fn entries(&self) -> usize {
        self.networks
    }

    fn coverage(&self) -> String {
        let built = self.built_at().map(Timestamp::to_rfc3339);
        let day = built.as_deref().and_then(|text| text.split('T').next()).unwrap_or("at an unknown time");
        format!("{} networks, {:?} built {day}", self.networks, kind(&self.reader))
    }

    fn built_at(&self) -> Option<Timestamp> {
        let seconds = i64::try_from(self.reader.metadata().build_epoch).ok()?;
        Some(Timestamp::from_millis(seconds.checked_mul(1_000)?))
    }
}

#[cfg(test)]
pub(super) mod fixture;
#[cfg(test)]
mod tests;
