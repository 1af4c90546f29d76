//! Databases that are as they should be, and those that are not.

use proptest::prelude::*;

use super::fixture::{Value, database, nested};
use super::*;

/// 2026-05-01T00:00:00Z.
const BUILT_S: u32 = 1_777_593_600;

fn told(database: &Database, address: &str) -> Enrichment {
    let mut enrichment = Enrichment::default();
    database.tell(&Subject { ip: Some(address.parse().unwrap()), ..Subject::default() }, &mut enrichment);
    enrichment
}

fn countries() -> Vec<u8> {
    let flat = |code| Value::Map(vec![("country_code", Value::Text(code))]);
    let registered = Value::Map(vec![("registered_country", Value::Map(vec![("iso_code", Value::Text("FR"))]))]);
    let records = [
        ("192.0.2.0/24", nested("DE")),
        ("198.51.100.0/24", flat("us")),
        ("203.0.113.0/24", registered),
        ("2001:db8::/32", nested("BR")),
        ("2001:db8:9::/48", flat("EU")),
    ];
    database("Test-Country", BUILT_S, &records)
}

#[test]
fn countries_are_read_from_both_layouts_and_both_families() {
    let database = Database::open(countries(), Purpose::Country).unwrap();
    let country = |address: &str| told(&database, address).ip.country.map(|country| country.to_string());
    for (address, code) in [
        ("192.0.2.77", Some("DE")),
        ("198.51.100.1", Some("US")),
        ("203.0.113.255", Some("FR")),
        ("2001:db8:1::1", Some("BR")),
        ("2001:db8:9::1", None),
        ("192.0.3.1", None),
        ("2001:db9::1", None),
    ] {
        assert_eq!(country(address).as_deref(), code, "{address}");
    }
    assert!(database.coverage().ends_with("networks, \"Test-Country\" built 2026-05-01"), "{}", database.coverage());
    assert_eq!(database.built_at(), Some(Timestamp::from_millis(i64::from(BUILT_S) * 1_000)));
}

#[test]
fn a_city_tells_its_place_and_the_country_that_nobody_told_before() {
    let nested_place = Value::Map(vec![("latitude", Value::Double(52.5)), ("longitude", Value::Double(13.400_000_4))]);
    let berlin = vec![("country", Value::Map(vec![("iso_code", Value::Text("DE"))])), ("location", nested_place)];
    let flat = vec![("latitude", Value::Single(-33.875)), ("longitude", Value::Single(151.25))];
    let records = [("192.0.2.0/24", Value::Map(berlin)), ("198.51.100.0/24", Value::Map(flat))];
    let database = Database::open(database("Test-City", BUILT_S, &records), Purpose::City).unwrap();
    let place = |address: &str| told(&database, address).ip.location;
    let at = |latitude_microdegrees, longitude_microdegrees| Location { latitude_microdegrees, longitude_microdegrees };
    assert_eq!(place("192.0.2.1"), Some(at(52_500_000, 13_400_000)));
    assert_eq!(place("198.51.100.1"), Some(at(-33_875_000, 151_250_000)));
    assert_eq!(told(&database, "192.0.2.1").ip.country, CountryCode::parse("DE"));
    let mut enrichment = Enrichment::default();
    enrichment.ip.country = CountryCode::parse("AT");
    let subject = Subject { ip: Some("192.0.2.1".parse().unwrap()), ..Subject::default() };
    database.tell(&subject, &mut enrichment);
    assert_eq!(enrichment.ip.country, CountryCode::parse("AT"));
}

#[test]
fn networks_are_read_as_number_or_text() {
    let records = [
        ("192.0.2.0/24", Value::Map(vec![("autonomous_system_number", Value::Number(64496))])),
        ("198.51.100.0/24", Value::Map(vec![("asn", Value::Text("AS64497"))])),
        ("203.0.113.0/24", Value::Map(vec![("autonomous_system_number", Value::Short(3))])),
    ];
    let database = Database::open(database("Test-ASN", BUILT_S, &records), Purpose::Network).unwrap();
    assert_eq!(told(&database, "192.0.2.1").ip.asn, Some(64496));
    assert_eq!(told(&database, "198.51.100.1").ip.asn, Some(64497));
    assert_eq!(told(&database, "203.0.113.1").ip.asn, Some(3));
}

#[test]
fn a_database_of_something_else_is_refused_and_says_what_it_is() {
    let problem = Database::open(countries(), Purpose::Network).unwrap_err().to_string();
    assert!(problem.contains("autonomous_system_number") && problem.contains("Test-Country"), "{problem}");
    assert!(matches!(Database::open(b"<html>404".to_vec(), Purpose::Country), Err(Problem::Database(_))));
}

#[test]
fn a_tree_that_runs_in_circles_is_refused() {
    let mut bytes = countries();
    // Both halves of the first nodes lead to the root.
    bytes[..6 * 8].fill(0);
    assert!(Database::open(bytes, Purpose::Country).is_err());
}

proptest! {
    #[test]
    fn damaged_databases_are_refused_or_read_and_never_panic(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
        is_cut in any::<bool>(),
        address in any::<u128>(),
    ) {
        let mut bytes = countries();
        for (at, byte) in &damage {
            let at = at.index(bytes.len());
            bytes[at] = *byte;
        }
        if is_cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        for purpose in [Purpose::Country, Purpose::City, Purpose::Network] {
            if let Ok(database) = Database::open(bytes.clone(), purpose) {
                let address = std::net::Ipv6Addr::from(address).to_string();
                for address in ["192.0.2.1", "198.51.100.9", "2001:db8::1", "2001:db8:9::1", &address] {
                    told(&database, address);
                }
                database.coverage();
            }
        }
    }
}
