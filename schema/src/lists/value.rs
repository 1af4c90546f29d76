//! Reads the value of a list entry as a person types it.
//!
//! Guarantee: a value that is read matches the orders that carry it. What no order can match is refused: several values in
//! one text, a pattern, a range with host bits, a full card number. Failure: the expectation, without the value.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};

use super::ListSubject;
use crate::card;
use crate::history::normal;
use crate::input::{Identity, is_placeholder};
use crate::limits::FIELD_CHARS;
use crate::order::{Address, CountryCode};

/// Most digits of a phone number: 15 by ITU-T E.164, and two of an international prefix.
const PHONE_DIGITS: usize = 17;
/// Longest name in the DNS (RFC 1035, section 2.3.4), in its ASCII form.
const DOMAIN_CHARS: usize = 253;
/// Longest label of such a name.
const LABEL_CHARS: usize = 63;
/// Bits before the IPv4 address in an IPv6 address that holds one (RFC 4291, section 2.5.5.2).
const MAPPED_PREFIX: u8 = 96;

/// Shortest prefix of a range of IPv4 addresses: 65 536 of them, more than most networks of customers have.
const LEAST_PREFIX_V4: u8 = 16;
/// Shortest prefix of a range of IPv6 addresses: what a registry gives to a whole provider (RFC 6177 and the registries' policies).
const LEAST_PREFIX_V6: u8 = 32;

const TOO_WIDE: &str = "expected a range of at most 65536 IPv4 addresses (/16), or of IPv6 from /32 on: a wider one holds the \
    customers of whole countries";
const ONE_VALUE: &str = "expected one value: list several by one call for each";
const ONE_IDENTIFIER: &str = "expected one value, without blanks, commas and semicolons: list several by one call for \
    each, and an identifier that contains them by its order (--of-order on the command line)";
const NO_PATTERN: &str = "expected an e-mail address and no pattern: to list every mailbox of a domain, use the subject \
    email_domain with the domain alone, such as shop.example";
const NO_DOMAIN_PATTERN: &str =
    "expected a domain without `*`, such as shop.example: it includes every domain below it";
const A_MAILBOX: &str =
    "expected a domain such as shop.example: to list one mailbox, use the subject email with its whole address";
const NO_IDENTITY: &str = "expected a value of one customer: this one stands for a missing value, and orders with it count as \
    having none";
const A_DOMAIN: &str = "expected a domain such as example.com";
const AN_EMAIL: &str = "expected an e-mail address such as ann@shop.example";
const A_PLACE: &str = "expected `street; postcode; country`, such as `10 High St; SW1A 1AA; GB`";
const A_COUNTRY: &str =
    "expected the country as its ISO 3166-1 code of two letters, such as `10 High St; SW1A 1AA; GB`";

/// What a value is compared by, in its one spelling.
pub(super) enum Read {
    /// To be hashed under the store's key.
    Text(String),
    /// A domain in its ASCII form.
    Domain(String),
    /// One address or many.
    Range(IpNet),
}

/// Reads a value of this subject.
pub(super) fn read(subject: ListSubject, value: &str) -> Result<Read, &'static str> {
    let value = value.trim();
    if value.is_empty() {
        return Err("expected a value");
    }
    if value.chars().nth(FIELD_CHARS).is_some() {
        return Err("expected a value of at most 4096 characters");
    }
    if value.chars().any(char::is_control) {
        return Err(ONE_VALUE);
    }
    if identity_of(subject).is_some_and(|identity| is_placeholder(identity, value)) {
        return Err(NO_IDENTITY);
    }
    match subject {
        ListSubject::Email => email(value).map(Read::Text),
        ListSubject::EmailDomain => email_domain(value).map(Read::Domain),
        ListSubject::Ip => range(value).map(Read::Range),
        ListSubject::Phone => phone(value).map(Read::Text),
        ListSubject::Address => place(value).map(Read::Text),
        ListSubject::Card => card_fingerprint(value).map(Read::Text),
        ListSubject::Device | ListSubject::Customer => identifier(value).map(|text| Read::Text(text.to_owned())),
    }
}

/// What a value of the subject identifies, where some values stand for a missing one.
const fn identity_of(subject: ListSubject) -> Option<Identity> {
    match subject {
        ListSubject::Email => Some(Identity::Email),
        ListSubject::Phone => Some(Identity::Phone),
        ListSubject::Card | ListSubject::Device | ListSubject::Customer => Some(Identity::Id),
        ListSubject::EmailDomain | ListSubject::Ip | ListSubject::Address => None,
    }
}

/// Whether a text has what separates several values.
fn is_several(value: &str) -> bool {
    value.contains([',', ';']) || value.contains(char::is_whitespace)
}

fn email(value: &str) -> Result<String, &'static str> {
    if value.contains('*') || value.starts_with('@') {
        return Err(NO_PATTERN);
    }
    if is_several(value) {
        return Err(ONE_VALUE);
    }
    let (_, domain) = value.split_once('@').ok_or(AN_EMAIL)?;
    if !is_host(&normal::domain(domain)) {
        return Err(AN_EMAIL);
    }
    normal::email(value).ok_or(AN_EMAIL)
}

pub(super) fn email_domain(value: &str) -> Result<String, &'static str> {
    if value.contains('*') {
        return Err(NO_DOMAIN_PATTERN);
    }
    if is_several(value) {
        return Err(ONE_VALUE);
    }
    let bare = value.strip_prefix('@').unwrap_or(value);
    if bare.contains('@') {
        return Err(A_MAILBOX);
    }
    let domain = normal::domain(bare);
    if domain.contains('.') && is_host(&domain) { Ok(domain.into_owned()) } else { Err(A_DOMAIN) }
}

/// Whether a text in ASCII form is a name in the DNS.
fn is_host(domain: &str) -> bool {
    let label = |label: &str| {
        (1..=LABEL_CHARS).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    domain.len() <= DOMAIN_CHARS && domain.split('.').all(label)
}

fn range(value: &str) -> Result<IpNet, &'static str> {
    if is_several(value) {
        return Err(ONE_VALUE);
    }
    if let Ok(address) = value.parse::<IpAddr>() {
        return Ok(address.to_canonical().into());
    }
    let net = network(value).ok_or("expected an IP address or a range such as 203.0.113.0/24")?;
    if net != net.trunc() {
        return Err("expected the first address of the range before its prefix length, such as 203.0.113.0/24: \
            bits after the prefix are set");
    }
    let net = unmapped(net);
    let least = if matches!(net, IpNet::V4(_)) { LEAST_PREFIX_V4 } else { LEAST_PREFIX_V6 };
    if net.prefix_len() < least {
        return Err(TOO_WIDE);
    }
    Ok(net)
}

/// An address as orders carry it, and the length of its prefix: `IpNet` would also read `00.0.0.0`.
fn network(value: &str) -> Option<IpNet> {
    let (address, prefix) = value.split_once('/')?;
    let digits = prefix.bytes().all(|byte| byte.is_ascii_digit());
    IpNet::new(address.parse().ok()?, prefix.parse().ok().filter(|_| digits)?).ok()
}

/// A range of IPv4 addresses that are written as IPv6 addresses, as orders carry them.
fn unmapped(net: IpNet) -> IpNet {
    let IpNet::V6(v6) = net else { return net };
    let inner = v6.addr().to_ipv4_mapped().zip(v6.prefix_len().checked_sub(MAPPED_PREFIX));
    inner.and_then(|(address, prefix)| Ipv4Net::new(address, prefix).ok()).map_or(net, IpNet::V4)
}

fn phone(value: &str) -> Result<String, &'static str> {
    if value.contains([',', ';']) {
        return Err(ONE_VALUE);
    }
    if value.bytes().filter(u8::is_ascii_digit).count() > PHONE_DIGITS {
        return Err("expected one phone number, of at most 17 digits: list several by one call for each");
    }
    normal::phone(value).ok_or("expected a phone number of at least 7 digits, written 0 to 9")
}

fn place(value: &str) -> Result<String, &'static str> {
    let parts: Vec<_> = value.split(';').map(str::trim).collect();
    let [street, postal_code, country] = parts[..] else { return Err(A_PLACE) };
    let country = CountryCode::parse(country).ok_or(A_COUNTRY)?;
    if normal::folded(postal_code).is_empty() {
        return Err(A_PLACE);
    }
    let address = Address {
        address1: Some(street.to_owned()),
        postal_code: Some(postal_code.to_owned()),
        country: Some(country),
        ..Address::default()
    };
    normal::place(&address).ok_or(A_PLACE)
}

fn card_fingerprint(value: &str) -> Result<String, &'static str> {
    if card::mask_text(value).is_some() {
        return Err("expected the gateway's fingerprint of a card, and never a card number");
    }
    identifier(value).map(normal::card_fingerprint)
}

fn identifier(value: &str) -> Result<&str, &'static str> {
    if is_several(value) { Err(ONE_IDENTIFIER) } else { Ok(value) }
}
