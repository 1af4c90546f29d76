//! What a notice tells of an order beside its reference: addresses and the shopper's device. All of it is optional, of
//! whatever shape, and never a reason to refuse the notice: what is not as expected is as if it were absent.
//!
//! Guarantee: no document whatever panics, and what comes out fits the canonical order's limits.

use std::net::IpAddr;

use crate::input::{IpForm, country, ip_address};
use crate::json::Json;
use crate::limits;
use crate::order::{Address, CountryCode};

/// The country that a shop means by a code or locale and a name. The name says what the shopper saw, so it counts when
/// they disagree: a locale such as `sv_SV` has the region of El Salvador and may mean Sweden.
pub fn country_of(code: Option<&str>, country_name: Option<&str>) -> Option<CountryCode> {
    let named = country_name.and_then(CountryCode::by_name);
    named.or_else(|| {
        let text = code?.trim();
        let region = text.rsplit(['_', '-']).next().unwrap_or(text);
        CountryCode::parse(region).or_else(|| country(text))
    })
}

/// What the front end of a shop told of the shopper's device.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeviceDetails {
    /// `device_details.ip_address`, an IPv4-mapped one as IPv4.
    pub ip_address: Option<IpAddr>,
    /// `device_details.user_agent`.
    pub user_agent: Option<String>,
    /// `device_details.browser_language`, such as `sv-sv`.
    pub browser_language: Option<String>,
}

impl DeviceDetails {
    /// Those of a notice.
    pub fn of(notice: &Json<'_>) -> Self {
        let Some(details) = notice.get("device_details") else { return Self::default() };
        Self {
            ip_address: text_member(details, "ip_address").and_then(|text| match ip_address(&text)? {
                IpForm::One(address) | IpForm::FirstPublic(address) => Some(address),
                IpForm::NonePublic => None,
            }),
            user_agent: text_member(details, "user_agent"),
            browser_language: text_member(details, "browser_language"),
        }
    }
}

/// Somebody's address in a notice, and how to reach them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Addressee {
    /// The address.
    pub address: Address,
    /// Their e-mail address.
    pub email: Option<String>,
}

impl Addressee {
    /// Member `key` of a notice: `billingAddress` or `shippingAddress`.
    pub fn of(notice: &Json<'_>, key: &str) -> Self {
        let Some(member) = notice.get(key) else { return Self::default() };
        let address = Address {
            first_name: text_member(member, "firstName"),
            last_name: text_member(member, "lastName"),
            company: text_member(member, "company"),
            address1: text_member(member, "address1"),
            address2: text_member(member, "address2"),
            city: text_member(member, "city"),
            region: text_member(member, "state"),
            postal_code: text_member(member, "zipCode"),
            country: country_of(
                text_member(member, "country").as_deref(),
                text_member(member, "countryName").as_deref(),
            ),
            phone: text_member(member, "phoneNumber"),
        };
        Self { address, email: text_member(member, "email") }
    }
}

/// A text, or a number as it is written, that fits a field of an order; blanks alone are absent.
pub fn text_member(object: &Json<'_>, key: &str) -> Option<String> {
    let text = match object.get(key)? {
        Json::String(text) => text.trim(),
        Json::Number(raw) => raw,
        _ => return None,
    };
    (!text.is_empty() && text.chars().count() <= limits::FIELD_CHARS).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_name_of_a_country_counts_more_than_its_locale() {
        let country = |country, name| country_of(country, name).map(|code| code.to_string());
        for (code, name, expected) in [
            (Some("sv_SV"), Some("Sweden"), Some("SE")),
            (Some("sv_SE"), None, Some("SE")),
            (Some("sv-se"), Some("Konungariket Sverige"), Some("SE")),
            (Some("SE"), Some(""), Some("SE")),
            (Some("SV"), Some("El Salvador"), Some("SV")),
            (Some("sv_SV"), None, Some("SV")),
            (Some("zh_Hant_TW"), None, Some("TW")),
            (Some("Sweden"), None, Some("SE")),
            (Some("en_XX"), Some("Atlantis"), None),
            (None, Some("Norway"), Some("NO")),
            (None, None, None),
        ] {
            assert_eq!(country(code, name).as_deref(), expected, "{code:?} {name:?}");
        }
    }

    #[test]
    fn a_device_is_told_as_far_as_it_is_well_formed() {
        let notice = Json::parse_text(
            r#"{"device_details": {"browser_language": " sv-sv ", "ip_address": "::ffff:192.0.2.7", "user_agent": ""}}"#,
        );
        let expected = DeviceDetails {
            ip_address: "192.0.2.7".parse().ok(),
            user_agent: None,
            browser_language: Some("sv-sv".to_owned()),
        };
        assert_eq!(DeviceDetails::of(&notice.unwrap()), expected);
        for other in ["{}", r#"{"device_details": []}"#, r#"{"device_details": {"ip_address": "here"}}"#, "[]", "7"] {
            assert_eq!(DeviceDetails::of(&Json::parse_text(other).unwrap()), DeviceDetails::default(), "{other}");
        }
    }

    #[test]
    fn an_address_is_read_by_the_names_of_the_notice() {
        let notice = Json::parse_text(
            r#"{"billingAddress": {"email": "email@example.com", "firstName": "Sven", "lastName": "Nilsson",
            "company": "", "address1": "Roslagsgatan 10", "zipCode": 11351, "city": "Stockholm", "country": "sv_SV",
            "countryName": "Sweden", "phoneNumber": "+46 70 123 45 67", "vatNumber": ["SE999999999999"]}}"#,
        )
        .unwrap();
        let told = Addressee::of(&notice, "billingAddress");
        assert_eq!(told.email.as_deref(), Some("email@example.com"));
        assert_eq!(told.address.country, CountryCode::parse("SE"));
        assert_eq!(told.address.postal_code.as_deref(), Some("11351"));
        assert_eq!((told.address.company, told.address.region), (None, None));
        assert_eq!(Addressee::of(&notice, "shippingAddress"), Addressee::default());
    }

    /// Any JSON of the names that a notice has, in any shape.
    fn anything() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            "(sv_SV|Sweden|::1|\\PC{0,20})".prop_map(Into::into),
        ];
        let name =
            "(billingAddress|shippingAddress|device_details|country|countryName|ip_address|email|zipCode|\\PC{0,4})";
        leaf.prop_recursive(4, 32, 6, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
                prop::collection::hash_map(name, inner, 0..6)
                    .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_document_panics(notice in anything()) {
            let text = notice.to_string();
            if let Ok(notice) = Json::parse_text(&text) {
                DeviceDetails::of(&notice);
                Addressee::of(&notice, "billingAddress");
                Addressee::of(&notice, "shippingAddress");
            }
        }

        #[test]
        fn no_country_panics(country in "\\PC*", name in "\\PC*") {
            country_of(Some(&country), Some(&name));
        }
    }
}
