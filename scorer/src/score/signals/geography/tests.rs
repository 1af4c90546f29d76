//! Countries and places that do not fit together, and those that do.

use serde_json::json;

use touchstone_schema::enrichment::Enrichment;
use touchstone_schema::order::CountryCode;

use crate::score::fixture::{Case, place};

#[test]
fn shipping_abroad_fires_and_names_both_countries() {
    let finding = Case::ordinary().with("/shipping_address/country", "BR").finding("ship_bill_country_mismatch");
    assert_eq!(finding.map(|f| f.detail).as_deref(), Some("the order ships to BR but is billed in US"));
}

#[test]
fn shipping_within_the_country_or_to_its_territories_is_no_country_mismatch() {
    assert!(!Case::ordinary().fires("ship_bill_country_mismatch"));
    assert!(!Case::ordinary().with("/shipping_address/country", "PR").fires("ship_bill_country_mismatch"));
    assert!(!Case::ordinary().without("/shipping_address").fires("ship_bill_country_mismatch"));
}

#[test]
fn another_city_and_postal_code_fires() {
    let moved = json!({"address1": "1 Pine St", "city": "Reno", "postal_code": "89501", "country": "US"});
    assert!(Case::ordinary().with("/shipping_address", moved).fires("ship_bill_city_mismatch"));
}

#[test]
fn another_suburb_of_the_same_postal_code_does_not_fire() {
    assert!(!Case::ordinary().with("/shipping_address/city", "Bee Cave").fires("ship_bill_city_mismatch"));
    assert!(!Case::ordinary().with("/shipping_address/city", "AUSTIN ").fires("ship_bill_city_mismatch"));
}

#[test]
fn three_countries_disagree() {
    let case = Case::ordinary().with("/shipping_address/country", "BR").with("/customer/phone", "+49 30 1234567");
    assert!(case.fires("country_disagreement"));
}

#[test]
fn two_countries_are_no_disagreement() {
    let case = Case::ordinary().with("/shipping_address/country", "BR").with("/customer/phone", "+55 11 91234 5678");
    assert!(!case.fires("country_disagreement"));
}

#[test]
fn a_foreign_phone_number_fires() {
    assert!(Case::ordinary().with("/customer/phone", "0049 30 1234567").fires("phone_country_mismatch"));
}

#[test]
fn a_national_or_matching_phone_number_does_not_fire() {
    assert!(!Case::ordinary().with("/customer/phone", "+1 512 555 0100").fires("phone_country_mismatch"));
    assert!(!Case::ordinary().with("/customer/phone", "(512) 555-0100").fires("phone_country_mismatch"));
    assert!(
        !Case::ordinary()
            .with("/customer/phone", "+1 512 555 0100")
            .with("/billing_address/country", "CA")
            .fires("phone_country_mismatch")
    );
}

fn country(code: &str) -> Option<CountryCode> {
    CountryCode::parse(code)
}

fn known(tell: impl FnOnce(&mut Enrichment)) -> Case {
    Case::ordinary().enriched(tell)
}

#[test]
fn an_ip_address_abroad_fires_against_billing_and_shipping() {
    let abroad = known(|known| known.ip.country = country("NG"));
    for (code, detail) in [
        ("ip_billing_country_mismatch", "the IP address is used in NG but the order is billed in US"),
        ("ip_shipping_country_mismatch", "the IP address is used in NG but the order is shipped to US"),
    ] {
        assert_eq!(abroad.finding(code).map(|finding| finding.detail).as_deref(), Some(detail));
        assert!(!Case::ordinary().fires(code));
        assert!(!known(|known| known.ip.country = country("PR")).fires(code));
        assert!(!known(|known| known.ip.country = None).fires(code));
    }
}

#[test]
fn a_distance_of_more_than_a_thousand_kilometres_fires() {
    let apart = |ip, billing| {
        known(|known| {
            known.ip.location = ip;
            known.billing_location = billing;
        })
        .finding("ip_billing_distance")
        .map(|finding| finding.detail)
    };
    let detail = "the IP address is used more than 5000 km away from the billing address";
    assert_eq!(apart(Some(place(52, 13)), Some(place(30, -98))).as_deref(), Some(detail));
    assert_eq!(apart(Some(place(52, 13)), Some(place(50, 9))), None);
    assert_eq!(apart(None, Some(place(50, 9))), None);
}

#[test]
fn a_card_issued_abroad_fires() {
    let finding = known(|known| known.card.country = country("VN")).finding("bin_country_mismatch");
    let detail = "the card was issued in VN but the order is billed in US";
    assert_eq!(finding.map(|finding| finding.detail).as_deref(), Some(detail));
    assert!(!Case::ordinary().fires("bin_country_mismatch"));
    assert!(!known(|known| known.card.country = None).fires("bin_country_mismatch"));
}

#[test]
fn three_countries_among_all_that_are_known_disagree() {
    let case = known(|known| {
        known.ip.country = country("NG");
        known.card.country = country("VN");
    });
    let detail = "billing (US), the IP address (NG), the card's issuer (VN) are in 3 different countries";
    assert_eq!(case.finding("country_disagreement").map(|finding| finding.detail).as_deref(), Some(detail));
    assert!(!known(|known| known.ip.country = country("NG")).fires("country_disagreement"));
}

#[test]
fn the_rule_of_three_countries_needs_all_three() {
    let case = |ip: &str, shipping: &str| {
        known(|known| known.ip.country = country(ip)).with("/shipping_address/country", shipping)
    };
    assert_eq!(case("NG", "BR").points("rule_three_countries"), Some(30));
    for (ip, shipping) in [("US", "BR"), ("BR", "BR"), ("NG", "US"), ("", "BR")] {
        assert_eq!(case(ip, shipping).points("rule_three_countries"), None, "{ip} {shipping}");
    }
}

#[test]
fn a_time_zone_that_fits_neither_country_fires() {
    let zone = |zone: &str| Case::ordinary().with("/device/time_zone", zone);
    assert!(zone("Asia/Ho_Chi_Minh").fires("time_zone_mismatch"));
    let of_ip = known(|known| known.ip.country = country("VN")).finding("time_zone_mismatch");
    let detail = "no place in the IP address's country (VN) keeps the time that the device shows";
    assert_eq!(of_ip.map(|finding| finding.detail).as_deref(), Some(detail));
    for fitting in ["America/New_York", "US/Pacific", "UTC", "Nowhere/City"] {
        assert!(!zone(fitting).fires("time_zone_mismatch"), "{fitting}");
    }
    assert!(!Case::ordinary().without("/device/time_zone").fires("time_zone_mismatch"));
}

#[test]
fn a_country_on_the_stores_list_fires() {
    let policy = r#"{"high_risk_countries":["BR","VN"]}"#;
    let shipped = Case::ordinary().with("/shipping_address/country", "BR");
    assert!(shipped.clone().policy(policy).fires("high_risk_country"));
    assert!(known(|known| known.card.country = country("VN")).policy(policy).fires("high_risk_country"));
    assert!(!shipped.fires("high_risk_country"));
    assert!(!Case::ordinary().policy(policy).fires("high_risk_country"));
}
