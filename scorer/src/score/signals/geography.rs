//! Where the parties to an order are: billing, shipping and telephone. Needs no outside data.

use touchstone_schema::order::{Address, CountryCode, Order};

use super::super::policy::Group;
use super::super::{Facts, Finding, Signal};
use super::{calling_codes, identity, words};

/// The signals of this group.
pub const SIGNALS: &[Signal] = &[
    Signal {
        code: "ship_bill_country_mismatch",
        group: Group::Geography,
        points: 15,
        meaning: "the order ships to another country than the billing country",
        check: country_mismatch,
    },
    Signal {
        code: "ship_bill_city_mismatch",
        group: Group::Geography,
        points: 6,
        meaning: "shipping and billing are in the same country, but city and postal code both differ",
        check: city_mismatch,
    },
    Signal {
        code: "country_disagreement",
        group: Group::Geography,
        points: 15,
        meaning: "billing, shipping and telephone are in three different countries",
        check: country_disagreement,
    },
    Signal {
        code: "phone_country_mismatch",
        group: Group::Geography,
        points: 6,
        meaning: "the telephone number belongs to another country than the billing country",
        check: phone_country_mismatch,
    },
];

/// Shipping and billing countries differ. A country and its overseas territories are one.
pub fn country_mismatch(facts: &Facts<'_>) -> Option<Finding> {
    let (billing, shipping) = (billing_country(facts.order)?, shipping_country(facts.order)?);
    (homeland(billing) != homeland(shipping))
        .then(|| format!("the order ships to {shipping} but is billed in {billing}"))
        .and_then(Finding::because)
}

fn city_mismatch(facts: &Facts<'_>) -> Option<Finding> {
    let (billing, shipping) = (facts.order.billing_address.as_ref()?, facts.order.shipping_address.as_ref()?);
    let differ = |part: fn(&Address) -> Option<&str>| Some(!words::same(part(billing)?, part(shipping)?));
    let city = differ(|address| address.city.as_deref())?;
    let postal_code = differ(|address| address.postal_code.as_deref())?;
    let one_country = homeland(billing.country?) == homeland(shipping.country?);
    (one_country && city && postal_code)
        .then_some("the order ships to another city than the billing address")
        .and_then(Finding::because)
}

fn country_disagreement(facts: &Facts<'_>) -> Option<Finding> {
    let (billing, shipping) = (billing_country(facts.order)?, shipping_country(facts.order)?);
    let phone = phone_countries(facts.order)?;
    let all_differ = homeland(billing) != homeland(shipping) && !phone.covers(billing) && !phone.covers(shipping);
    all_differ
        .then(|| format!("billing ({billing}), shipping ({shipping}) and telephone ({phone}) are in three countries"))
        .and_then(Finding::because)
}

fn phone_country_mismatch(facts: &Facts<'_>) -> Option<Finding> {
    let billing = billing_country(facts.order)?;
    let phone = phone_countries(facts.order)?;
    (!phone.covers(billing))
        .then(|| format!("the telephone number is of {phone} but the order is billed in {billing}"))
        .and_then(Finding::because)
}

fn billing_country(order: &Order) -> Option<CountryCode> {
    order.billing_address.as_ref()?.country
}

fn shipping_country(order: &Order) -> Option<CountryCode> {
    order.shipping_address.as_ref()?.country
}

/// The countries of an international number; a number without country code tells nothing.
fn phone_countries(order: &Order) -> Option<calling_codes::Countries> {
    calling_codes::countries(identity::phone(order)?)
}

/// The state that a territory belongs to, where mail, cards and customs make little difference between them.
fn homeland(country: CountryCode) -> [u8; 2] {
    let code = country.as_str();
    let state = match code {
        "PR" | "GU" | "VI" | "AS" | "MP" | "UM" => "US",
        "GG" | "JE" | "IM" => "GB",
        "GP" | "MQ" | "GF" | "RE" | "YT" | "BL" | "MF" | "PM" => "FR",
        "AX" => "FI",
        "SJ" => "NO",
        "VA" | "SM" => "IT",
        _ => code,
    };
    state.as_bytes().try_into().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::score::fixture::Case;

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
        let case =
            Case::ordinary().with("/shipping_address/country", "BR").with("/customer/phone", "+55 11 91234 5678");
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
}
