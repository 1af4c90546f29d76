//! Who buys, and where the goods and the bill go.

use serde_json::{Value, json};

use crate::money::code_id;

/// Countries by code, with their English names and the language that the vendor's notices derive their locale from.
const COUNTRIES: &[(&str, &str, &str)] = &[
    ("AT", "Austria", "de"),
    ("BE", "Belgium", "nl"),
    ("BG", "Bulgaria", "bg"),
    ("CH", "Switzerland", "de"),
    ("DE", "Germany", "de"),
    ("DK", "Denmark", "da"),
    ("ES", "Spain", "es"),
    ("FI", "Finland", "fi"),
    ("FR", "France", "fr"),
    ("GB", "United Kingdom", "en"),
    ("IT", "Italy", "it"),
    ("JP", "Japan", "ja"),
    ("NG", "Nigeria", "en"),
    ("NL", "Netherlands", "nl"),
    ("NO", "Norway", "no"),
    ("PL", "Poland", "pl"),
    ("RO", "Romania", "ro"),
    ("RU", "Russia", "ru"),
    ("SE", "Sweden", "sv"),
    ("US", "United States", "en"),
];

/// A postal address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Address {
    /// Given name.
    pub first_name: String,
    /// Family name.
    pub last_name: String,
    /// Company, or empty.
    pub company: String,
    /// Street and house.
    pub address1: String,
    /// What else the street needs, or empty.
    pub address2: String,
    /// Town.
    pub city: String,
    /// Postal code.
    pub zip_code: String,
    /// State or region, or empty.
    pub state: String,
    /// ISO 3166-1 alpha-2.
    pub country: String,
    /// Telephone number.
    pub phone_number: String,
    /// E-mail address.
    pub email: String,
    /// VAT number, or empty.
    pub vat_number: String,
}

impl Address {
    /// The same person, mail and telephone at another place.
    #[must_use]
    pub fn moved_to(&self, address1: &str, city: &str, zip_code: &str, country: &str) -> Self {
        Self {
            address1: address1.to_owned(),
            city: city.to_owned(),
            zip_code: zip_code.to_owned(),
            state: String::new(),
            country: country.to_owned(),
            ..self.clone()
        }
    }

    /// The same place with another e-mail address.
    #[must_use]
    pub fn with_email(&self, email: &str) -> Self {
        Self { email: email.to_owned(), ..self.clone() }
    }

    /// The country in English; the code where the double knows no name.
    #[must_use]
    pub fn country_name(&self) -> &str {
        known_country(&self.country).map_or(&self.country, |(_, name, _)| name)
    }

    /// The country as the vendor's notices give it: a language, and the same letters again for the region. The document
    /// has `sv_SV` for Sweden, whose region would be `SE`.
    #[must_use]
    pub fn country_locale(&self) -> String {
        let language = known_country(&self.country).map_or("en", |(_, _, language)| language);
        format!("{language}_{}", language.to_uppercase())
    }

    /// As an `Address` of the schema.
    pub(crate) fn render(&self) -> Value {
        let state = (!self.state.is_empty())
            .then(|| json!({ "id": code_id(&self.state), "name": self.state, "code": Value::Null }));
        json!({
            "firstName": self.first_name,
            "lastName": self.last_name,
            "companyName": self.company,
            "attention": Value::Null,
            "address1": self.address1,
            "address2": self.address2,
            "city": self.city,
            "zipCode": self.zip_code,
            "stateOrProvince": self.state,
            "phoneNumber": self.phone_number,
            "cellPhoneNumber": Value::Null,
            "email": self.email,
            "vatNumber": self.vat_number,
            "country": { "id": code_id(&self.country), "name": self.country_name(), "code": self.country },
            "state": state,
        })
    }
}

fn known_country(code: &str) -> Option<&'static (&'static str, &'static str, &'static str)> {
    COUNTRIES.iter().find(|(known, ..)| *known == code)
}

/// The shop's account of a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Customer {
    /// The shop's number of the account.
    pub id: i32,
    /// E-mail address.
    pub email: String,
    /// Given name.
    pub first_name: String,
    /// Family name.
    pub last_name: String,
}

impl Customer {
    /// As a `Customer` of the schema.
    pub(crate) fn render(&self) -> Value {
        json!({ "id": self.id, "email": self.email, "firstName": self.first_name, "lastName": self.last_name })
    }
}
