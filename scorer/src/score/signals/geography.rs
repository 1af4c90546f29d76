//! Where the parties to an order are: billing, shipping, telephone, IP address, card issuer and device.

use touchstone_schema::order::{Address, CountryCode, Order};

use super::super::confidence::Input;
use super::super::policy::Group;
use super::super::{Check, Facts, Finding, Signal};
use super::{calling_codes, distance, identity, time_zones, words};

/// The signals of this group.
pub const SIGNALS: &[Signal] = &[
    signal(
        "ship_bill_country_mismatch",
        15,
        "the order ships to another country than the billing country",
        &[Input::BillingCountry, Input::ShippingCountry],
        country_mismatch,
    ),
    signal(
        "ship_bill_city_mismatch",
        6,
        "shipping and billing are in the same country, but city and postal code both differ",
        &[Input::Billing, Input::Shipping],
        city_mismatch,
    ),
    signal(
        "ip_billing_country_mismatch",
        15,
        "the IP address is used in another country than the billing country",
        &[Input::IpCountry, Input::BillingCountry],
        |facts| differs_from_ip(facts, billing_country(facts.order)?, "billed in"),
    ),
    signal(
        "ip_shipping_country_mismatch",
        8,
        "the IP address is used in another country than the order ships to",
        &[Input::IpCountry, Input::ShippingCountry],
        |facts| differs_from_ip(facts, shipping_country(facts.order)?, "shipped to"),
    ),
    signal(
        "ip_billing_distance",
        6,
        "the IP address is used more than 1000 km away from the billing address",
        &[Input::Places],
        ip_billing_distance,
    ),
    signal(
        "bin_country_mismatch",
        15,
        "the card was issued in another country than the billing country",
        &[Input::CardIssuer, Input::BillingCountry],
        bin_country_mismatch,
    ),
    signal(
        "country_disagreement",
        15,
        "IP address, billing, shipping, card issuer and telephone are in three or more different countries",
        &[Input::IpCountry, Input::BillingCountry, Input::ShippingCountry, Input::CardIssuer, Input::Phone],
        country_disagreement,
    ),
    signal(
        "phone_country_mismatch",
        6,
        "the telephone number belongs to another country than the billing country",
        &[Input::Phone, Input::BillingCountry],
        phone_country_mismatch,
    ),
    signal(
        "time_zone_mismatch",
        8,
        "no place in the billing country, or in the IP address's country, keeps the time of the device",
        &[Input::TimeZone, Input::IpCountry, Input::BillingCountry],
        time_zone_mismatch,
    ),
    signal(
        "high_risk_country",
        10,
        "billing, shipping, IP address or card issuer is in a country on the policy's list",
        &[Input::Policy, Input::IpCountry, Input::BillingCountry, Input::ShippingCountry, Input::CardIssuer],
        high_risk_country,
    ),
];

const fn signal(
    code: &'static str,
    points: i32,
    meaning: &'static str,
    inputs: &'static [Input],
    check: fn(&Facts<'_>) -> Option<Finding>,
) -> Signal {
    Signal { code, group: Group::Geography, points, meaning, inputs, check: Check::By(check) }
}

/// Shipping and billing countries differ. A country and its overseas territories are one.
pub fn country_mismatch(facts: &Facts<'_>) -> Option<Finding> {
    let (billing, shipping) = (billing_country(facts.order)?, shipping_country(facts.order)?);
    (homeland(billing) != homeland(shipping))
        .then(|| format!("the order ships to {shipping} but is billed in {billing}"))
        .and_then(Finding::because)
}

/// Billing, shipping and IP address are in three different countries: which.
pub fn three_countries(facts: &Facts<'_>) -> Option<[CountryCode; 3]> {
    let (billing, shipping) = (billing_country(facts.order)?, shipping_country(facts.order)?);
    let ip = facts.enrichment.ip.country?;
    let [one, other, third] = [billing, shipping, ip].map(homeland);
    (one != other && other != third && one != third).then_some([billing, shipping, ip])
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

fn differs_from_ip(facts: &Facts<'_>, country: CountryCode, role: &str) -> Option<Finding> {
    let ip = facts.enrichment.ip.country?;
    (homeland(ip) != homeland(country))
        .then(|| format!("the IP address is used in {ip} but the order is {role} {country}"))
        .and_then(Finding::because)
}

fn ip_billing_distance(facts: &Facts<'_>) -> Option<Finding> {
    let km = distance::exceeds_km(facts.enrichment.ip.location?, facts.enrichment.billing_location?)?;
    Finding::because(format!("the IP address is used more than {km} km away from the billing address"))
}

fn bin_country_mismatch(facts: &Facts<'_>) -> Option<Finding> {
    let (issuer, billing) = (facts.enrichment.card.country?, billing_country(facts.order)?);
    (homeland(issuer) != homeland(billing))
        .then(|| format!("the card was issued in {issuer} but the order is billed in {billing}"))
        .and_then(Finding::because)
}

/// A telephone number adds a country only when it can be of none of the others.
fn country_disagreement(facts: &Facts<'_>) -> Option<Finding> {
    let mut different: [Option<(CountryCode, &str)>; 4] = [None; 4];
    let mut count = 0;
    for (country, role) in countries(facts) {
        let is_known = different.iter().flatten().any(|(known, _)| homeland(*known) == homeland(country));
        if let (false, Some(place)) = (is_known, different.get_mut(count)) {
            *place = Some((country, role));
            count += 1;
        }
    }
    let found = || different.iter().flatten();
    let phone = phone_countries(facts.order).filter(|phone| !found().any(|(country, _)| phone.covers(*country)));
    if count + usize::from(phone.is_some()) < 3 {
        return None;
    }
    let named = found().map(|(country, role)| format!("{role} ({country})"));
    let named: Vec<String> = named.chain(phone.map(|phone| format!("telephone ({phone})"))).collect();
    Finding::because(format!("{} are in {} different countries", named.join(", "), named.len()))
}

fn phone_country_mismatch(facts: &Facts<'_>) -> Option<Finding> {
    let billing = billing_country(facts.order)?;
    let phone = phone_countries(facts.order)?;
    (!phone.covers(billing))
        .then(|| format!("the telephone number is of {phone} but the order is billed in {billing}"))
        .and_then(Finding::because)
}

fn time_zone_mismatch(facts: &Facts<'_>) -> Option<Finding> {
    let zone = facts.order.device.time_zone.as_deref()?;
    let billing = billing_country(facts.order).map(|country| (country, "billing country"));
    let ip = facts.enrichment.ip.country.map(|country| (country, "IP address's country"));
    let (country, role) =
        [billing, ip].into_iter().flatten().find(|(country, _)| time_zones::is_impossible(zone, *country))?;
    Finding::because(format!("no place in the {role} ({country}) keeps the time that the device shows"))
}

fn high_risk_country(facts: &Facts<'_>) -> Option<Finding> {
    let listed = facts.policy.high_risk_countries();
    if listed.is_empty() {
        return None;
    }
    let (country, role) = countries(facts).find(|(country, _)| listed.contains(country))?;
    Finding::because(format!("{role} is in {country}, which is on the store's list of risky countries"))
}

/// The countries of an order that are known for certain, with what is there.
fn countries<'f>(facts: &'f Facts<'_>) -> impl Iterator<Item = (CountryCode, &'static str)> + 'f {
    let known = [
        (billing_country(facts.order), "billing"),
        (shipping_country(facts.order), "shipping"),
        (facts.enrichment.ip.country, "the IP address"),
        (facts.enrichment.card.country, "the card's issuer"),
    ];
    known.into_iter().filter_map(|(country, role)| Some((country?, role)))
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
mod tests;
