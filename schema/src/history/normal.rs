//! One spelling for each thing that history and lists tell apart: whatever is typed, sent or listed differently but means
//! the same mailbox, number, place or card becomes the same text, which is then hashed.

use std::borrow::Cow;

use crate::order::Address;

/// Fewest digits that make a phone number worth comparing.
const PHONE_DIGITS: usize = 7;
/// Last digits of a phone number that are compared: national and international spellings of one number meet.
const PHONE_SUFFIX: usize = 9;

/// Lower case, without the tag after a plus sign; dots of the local part are dropped where the provider ignores them. An
/// internationalised domain is its ASCII form.
pub fn email(text: &str) -> Option<String> {
    let (local, domain) = text.trim().rsplit_once('@')?;
    let (local, domain) = (local.to_lowercase(), self::domain(domain));
    let local = local.split('+').next().unwrap_or(&local);
    let (local, domain) = match domain.as_ref() {
        "gmail.com" | "googlemail.com" => (local.replace('.', ""), "gmail.com"),
        domain => (local.to_owned(), domain),
    };
    (!local.is_empty() && !domain.is_empty()).then(|| format!("{local}@{domain}"))
}

/// A domain in its ASCII form (UTS #46) and lower case, without the dot that names the root: `bücher.example` and
/// `xn--bcher-kva.example` are one. What has no such form stays as it is, in lower case.
pub fn domain(text: &str) -> Cow<'_, str> {
    let text = text.strip_suffix('.').unwrap_or(text);
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-');
    if text.bytes().all(is_plain) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(idna::domain_to_ascii(text).unwrap_or_else(|_| text.to_lowercase()))
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
    fn a_domain_and_its_punycode_are_one() {
        assert_eq!(email("ann@bücher.example").as_deref(), Some("ann@xn--bcher-kva.example"));
        for spelling in ["ann@xn--bcher-kva.example", "Ann@BÜCHER.example", "ann@XN--BCHER-KVA.Example."] {
            assert_eq!(email(spelling), email("ann@bücher.example"), "{spelling}");
        }
        assert_eq!(domain("Shop.Example."), "shop.example");
        assert_eq!(domain("xn--\u{10ffff}.example"), "xn--\u{10ffff}.example", "no ASCII form");
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
