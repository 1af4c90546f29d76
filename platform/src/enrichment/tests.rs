//! The folder as a whole: what is taken up, what stays, and what an order is told.

use std::fs;

use touchstone_schema::json::Json;
use touchstone_schema::order::{CountryCode, Order};

use super::database::fixture::{Value, database, nested};
use super::*;

const NOW: Timestamp = Timestamp::from_millis(1_777_900_000_000);

/// A folder that goes with its owner.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let name = format!("touchstone-enrichment-{}", hex::encode(crate::random::bytes::<8>()));
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    /// Puts a file in place as one step, so that it is at rest at once.
    fn put(&self, name: &str, contents: impl AsRef<[u8]>) {
        fs::write(self.0.join("new"), contents).unwrap();
        fs::rename(self.0.join("new"), self.0.join(name)).unwrap();
    }

    fn enricher(&self) -> Arc<Enricher> {
        Enricher::over(self.0.clone(), Clock::manual(NOW))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn order(email: &str, ip: &str) -> Order {
    let text = format!(
        r#"{{"order_id":"1","amount":1,"currency":"USD","customer":{{"email":"{email}"}},"ip_address":"{ip}",
            "billing_address":{{"country":"US","postal_code":"10001"}},"payment":{{"card_bin":"411111"}}}}"#
    );
    Order::parse(&Json::parse_text(&text).unwrap()).unwrap()
}

fn is_disposable(enricher: &Enricher, email: &str) -> bool {
    enricher.snapshot().look_up(&order(email, "192.0.2.1")).email.is_disposable
}

/// Looks twice: the second look takes up what the first one saw.
async fn settle(enricher: &Enricher) {
    enricher.refresh().await;
    enricher.refresh().await;
}

#[tokio::test]
async fn every_file_adds_what_it_knows_of_an_order() {
    let folder = Folder::new();
    folder.put("country.mmdb", database("Country", 1, &[("192.0.2.0/24", nested("DE"))]));
    let place = Value::Map(vec![("latitude", Value::Double(52.5)), ("longitude", Value::Double(13.4))]);
    folder.put("city.mmdb", database("City", 1, &[("192.0.2.0/24", Value::Map(vec![("location", place)]))]));
    folder.put("asn.csv", "192.0.2.0,192.0.2.255,64496,Example");
    folder.put("hosting-asns.txt", "64496");
    folder.put("vpn.txt", "192.0.2.0/30");
    folder.put("tor.txt", "192.0.2.1");
    folder.put("disposable-domains.txt", "throwaway.example");
    folder.put("free-domains.txt", "throwaway.example");
    folder.put("bins.csv", "411111,FR,prepaid");
    folder.put("postcodes.csv", "US,10001,40.7484,-73.9967");
    let enricher = folder.enricher();
    enricher.refresh().await;
    let told = enricher.snapshot().look_up(&order("Ann@Mail.Throwaway.EXAMPLE.", "192.0.2.1"));
    assert_eq!((told.ip.country, told.ip.asn), (CountryCode::parse("DE"), Some(64496)));
    assert!(told.ip.is_hosting && told.ip.is_anonymous && told.ip.is_tor_exit);
    assert!(told.email.is_disposable && told.email.is_free);
    assert_eq!((told.card.country, told.card.is_prepaid), (CountryCode::parse("FR"), Some(true)));
    let places = [told.ip.location, told.billing_location].map(|place| place.unwrap().latitude_microdegrees);
    assert_eq!(places, [52_500_000, 40_748_400]);

    folder.put("hosting.txt", "198.51.100.0/24");
    settle(&enricher).await;
    let elsewhere = enricher.snapshot().look_up(&order("ann@shop.example", "198.51.100.1"));
    assert!(elsewhere.ip.is_hosting);
    assert_eq!(elsewhere.email, Default::default());
}

#[test]
fn the_build_knows_public_lists_without_any_file() {
    let enricher = Enricher::built_in();
    let email = |address: &str| enricher.snapshot().look_up(&order(address, "192.0.2.1")).email;
    assert!(email("ann@mailinator.com").is_disposable && email("ann@inbox.MAILINATOR.com").is_disposable);
    assert!(email("ann@gmail.com").is_free && email("ann@yahoo.co.uk").is_free);
    for relay in touchstone_schema::enrichment::EMAIL_RELAYS {
        assert!(!email(&format!("x@{relay}")).is_disposable, "{relay}");
    }
    for own in ["mail.leefurniture.com", "free.leefurniture.com", "web.com", "outlook.leefurniture.com"] {
        assert!(!email(&format!("ann@{own}")).is_free, "{own}");
    }
}

#[tokio::test]
async fn networks_of_hosting_providers_are_known_as_soon_as_networks_are() {
    let folder = Folder::new();
    folder.put("asn.csv", "192.0.2.0,192.0.2.255,16509");
    let enricher = folder.enricher();
    assert!(!enricher.snapshot().look_up(&order("a@b.example", "192.0.2.1")).ip.is_hosting);
    enricher.refresh().await;
    assert!(enricher.snapshot().look_up(&order("a@b.example", "192.0.2.1")).ip.is_hosting);
}

#[tokio::test]
async fn a_file_is_taken_up_at_rest_replaced_and_given_up_when_it_goes() {
    let folder = Folder::new();
    let enricher = folder.enricher();
    enricher.refresh().await;
    let bare = enricher.snapshot();
    folder.put("disposable-domains.txt", "one.example");
    enricher.refresh().await;
    assert!(!is_disposable(&enricher, "a@one.example"), "it may still be written");
    enricher.refresh().await;
    assert!(is_disposable(&enricher, "a@one.example"));
    let first = enricher.snapshot();
    assert_ne!(first.version(), bare.version());

    folder.put("disposable-domains.txt", "two.example");
    settle(&enricher).await;
    assert!(is_disposable(&enricher, "a@two.example") && !is_disposable(&enricher, "a@one.example"));
    assert!(first.look_up(&order("a@one.example", "192.0.2.1")).email.is_disposable, "a held state does not change");

    fs::remove_file(folder.0.join("disposable-domains.txt")).unwrap();
    settle(&enricher).await;
    assert_eq!(enricher.snapshot().version(), bare.version());
}

#[tokio::test]
async fn a_malformed_file_is_refused_whole_and_the_one_before_it_stays() {
    let folder = Folder::new();
    folder.put("disposable-domains.txt", "one.example");
    let enricher = folder.enricher();
    enricher.refresh().await;
    let good = enricher.snapshot();
    folder.put("disposable-domains.txt", "two.example\nno domain\n");
    settle(&enricher).await;
    assert!(is_disposable(&enricher, "a@one.example") && !is_disposable(&enricher, "a@two.example"));
    assert_eq!(enricher.snapshot().version(), good.version());

    let report = inspect(&folder.0, NOW).into_iter().find(|report| report.file.name == "disposable-domains.txt");
    let Some(FileReport { state: FileState::Bad(error), .. }) = report else { panic!("{report:?}") };
    let causes = format!("{error}: {}", error.problem);
    assert_eq!(causes, "disposable-domains.txt cannot be used: line 2: expected a domain such as example.com");

    folder.put("disposable-domains.txt", "two.example\n");
    settle(&enricher).await;
    assert!(is_disposable(&enricher, "a@two.example"));
}

#[tokio::test]
async fn the_version_goes_by_contents_alone() {
    let version_of = async |text: &str| {
        let folder = Folder::new();
        folder.put("tor.txt", text);
        let enricher = folder.enricher();
        enricher.refresh().await;
        enricher.snapshot().version().to_string()
    };
    let version = version_of("192.0.2.1").await;
    assert_eq!(version.len(), 16);
    assert_eq!(version, version_of("192.0.2.1").await);
    assert_ne!(version, version_of("192.0.2.2").await);
}

#[test]
fn a_report_tells_age_and_coverage_and_what_is_no_file() {
    let folder = Folder::new();
    let built_s = u32::try_from(NOW.as_secs()).unwrap() - 86_400;
    folder.put("country.mmdb", database("Country", built_s, &[("192.0.2.0/24", nested("DE"))]));
    fs::create_dir(folder.0.join("tor.txt")).unwrap();
    for report in inspect(&folder.0, NOW) {
        match (report.file.name, report.state) {
            ("country.mmdb", FileState::Good { age, coverage }) => {
                assert_eq!(age, Duration::from_secs(86_400));
                assert!(coverage.starts_with("1 networks, \"Country\" built "), "{coverage}");
            }
            ("tor.txt", FileState::Bad(error)) => assert!(matches!(error.problem, Problem::NoFile), "{error:?}"),
            ("country.mmdb" | "tor.txt", state) => panic!("{state:?}"),
            (_, state) => assert!(matches!(state, FileState::Absent), "{state:?}"),
        }
    }
}
