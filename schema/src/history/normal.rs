//! One spelling for each thing that history and lists tell apart: whatever is typed, sent or listed differently but means
//! the same mailbox, number, place or card becomes the same text, which is then hashed.

use crate::order::Address;

/// Fewest digits that make a phone number worth comparing.
const PHONE_DIGITS: usize = 7;
/// Last digits of a phone number that are compared: national and international spellings of one number meet.
const PHONE_SUFFIX: usize = 9;

/// Lower case, without the tag after a plus sign; dots of the local part are dropped where the provider ignores them.
pub fn email(text: &str) -> Option<String> {
    let lower = text.trim().to_lowercase();
    let (local, domain) = lower.rsplit_once('@')?;
    let local = local.split('+').next().unwrap_or(local);
    let (local, domain) = match domain {
        "gmail.com" | "googlemail.com" => (local.replace('.', ""), "gmail.com"),
        _ => (local.to_owned(), domain),
    };
    (!local.is_empty() && !domain.is_empty()).then(|| format!("{local}@{domain}"))
}

/// The last digits of a number that has enough of them.
pub fn phone(text: &str) -> Option<String> {
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    (digits.len() >= PHONE_DIGITS).then(|| digits[digits.len().saturating_sub(PHONE_SUFFIX)..].to_owned())
}

/// A card that the gateway's fingerprint names.
pub fn card_fingerprint(fingerprint: &str) -> String {
    format!("fingerprint {fingerprint}")
}

/// Street, second line, postcode (else city) and country.
pub fn place(address: &Address) -> Option<String> {
    let street = folded(address.address1.as_deref()?);
    let postal_code = folded(address.postal_code.as_deref().or(address.city.as_deref())?);
    let second = address.address2.as_deref().map(folded).unwrap_or_default();
    let country = address.country.map(|country| country.to_string()).unwrap_or_default();
    (!street.is_empty()).then(|| format!("{street}/{second}/{postal_code}/{country}"))
}

/// Letters and digits in lower case, nothing else: spelling, spacing and punctuation do not tell names and places apart.
pub fn folded(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_mailbox_meet() {
        assert_eq!(email("Ann.Lee+shop@Gmail.com"), email("annlee@googlemail.com"));
        assert_ne!(email("ann.lee@example.com"), email("annlee@example.com"));
        assert_eq!(email("no-at-sign"), None);
    }

    #[test]
    fn national_and_international_spellings_of_a_number_meet() {
        assert_eq!(phone("+46 70-123 45 67"), phone("0046701234567"));
        assert_eq!(phone("12345"), None);
    }

    #[test]
    fn addresses_meet_whatever_their_spacing_and_case() {
        let address = |street: &str| Address {
            address1: Some(street.into()),
            postal_code: Some("SW1A 1AA".into()),
            ..Address::default()
        };
        assert_eq!(place(&address("10, Downing St.")), place(&address("10 DOWNING ST")));
    }
}
