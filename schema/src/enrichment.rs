//! What outside data tells of an order: country and network of its address, kind of its e-mail provider, issuer of its
//! card.
//!
//! Looked up before scoring, so that scoring stays pure; absent where no data file is there or it knows nothing.

use crate::order::CountryCode;

/// Mail relays that hide a customer's address behind a random one. They are the customer's choice and no evidence, whatever
/// public lists of disposable domains say.
pub const EMAIL_RELAYS: &[&str] =
    &["privaterelay.appleid.com", "mozmail.com", "duck.com", "simplelogin.com", "passmail.net"];

/// What is known of one order from outside data.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Enrichment {
    /// Of its IP address.
    pub ip: IpFacts,
    /// Of the domain of its e-mail address.
    pub email: EmailFacts,
    /// Of its card's first digits.
    pub card: CardFacts,
    /// Where its billing postcode lies, when a table of postcodes is there.
    pub billing_location: Option<Location>,
}

/// Of an IP address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IpFacts {
    /// Country that the address is used in.
    pub country: Option<CountryCode>,
    /// Where it is used.
    pub location: Option<Location>,
    /// Number of the network (autonomous system) that announces it.
    pub asn: Option<u32>,
    /// Belongs to a hosting provider.
    pub is_hosting: bool,
    /// Belongs to a proxy or VPN.
    pub is_anonymous: bool,
    /// Is an exit of the Tor network.
    pub is_tor_exit: bool,
}

/// Of an e-mail domain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EmailFacts {
    /// Hands out addresses that live for minutes.
    pub is_disposable: bool,
    /// Hands out addresses to anybody for nothing.
    pub is_free: bool,
}

/// Of a card.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CardFacts {
    /// Country of the issuing bank.
    pub country: Option<CountryCode>,
    /// Whether it is a prepaid card.
    pub is_prepaid: Option<bool>,
}

/// A place, in millionths of a degree: whole numbers, so that a distance is the same on every machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Location {
    /// North is positive.
    pub latitude_microdegrees: i32,
    /// East is positive.
    pub longitude_microdegrees: i32,
}
