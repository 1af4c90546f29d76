//! Answers of the address verification.

use std::borrow::Cow;

use super::words::{self, Said, plain};
use super::{Answer, Gateway, Hints, Scheme, Table};
use crate::tenant::wire_enum;

wire_enum! {
    /// What the issuer says of the billing address.
    AddressMatch {
        /// Street and postal code match.
        Match = "match",
        /// Only the street matches; the postal code does not, or was not checked.
        StreetOnly = "street_only",
        /// Only the postal code matches; the street does not, or was not checked.
        PostalOnly = "postal_only",
        /// A part matches, and the answer does not say which.
        Partial = "partial",
        /// Street and postal code match, the cardholder's name does not.
        NameMismatch = "name_mismatch",
        /// Nothing that was checked of street and postal code matches.
        NoMatch = "no_match",
        /// Not checked, not supported, or an answer that no table has.
        Unavailable = "unavailable",
    }
}

impl AddressMatch {
    /// Whether it says anything of the address.
    pub const fn is_informative(self) -> bool {
        !matches!(self, Self::Unavailable)
    }

    /// Of two answers the higher counts.
    pub(super) const fn strictness(self) -> u8 {
        match self {
            Self::Unavailable => 0,
            Self::Match => 1,
            Self::StreetOnly | Self::PostalOnly | Self::Partial | Self::NameMismatch => 2,
            Self::NoMatch => 3,
        }
    }
}

use AddressMatch::{Match, NameMismatch, NoMatch, Partial, PostalOnly, StreetOnly, Unavailable};

type AvsTable = Table<AddressMatch>;

/// Numbers, each with the text that Adyen sends after it.
pub(super) const ADYEN: AvsTable = Table {
    name: "Adyen",
    asked: "`payment.gateway` names Adyen, or the number is followed by its words",
    source: "Adyen documentation, \"AVS responses\" (`additionalData.avsResult`)",
    rows: &[
        ("0 Unknown", Unavailable),
        ("1 Address matches, postal code doesn't", StreetOnly),
        ("2 Neither postal code nor address match", NoMatch),
        ("3 AVS unavailable", Unavailable),
        ("4 AVS not supported for this card type", Unavailable),
        ("5 No AVS data provided", Unavailable),
        ("6 Postal code matches, address doesn't match", PostalOnly),
        ("7 Both postal code and address match", Match),
        ("8 Address not checked, postal code unknown", Unavailable),
        ("9 Address matches, postal code unknown", StreetOnly),
        ("10 Address doesn't match, postal code unknown", NoMatch),
        ("11 Postal code not checked, address unknown", Unavailable),
        ("12 Address matches, postal code not checked", StreetOnly),
        ("13 Address doesn't match, postal code not checked", NoMatch),
        ("14 Postal code matches, address unknown", PostalOnly),
        ("15 Postal code matches, address not checked", PostalOnly),
        ("16 Postal code doesn't match, address unknown", NoMatch),
        ("17 Postal code doesn't match, address not checked", NoMatch),
        ("18 Neither postal code nor address were checked", Unavailable),
        ("19 Name and postal code matches", PostalOnly),
        ("20 Name, address and postal code matches", Match),
        ("21 Name and address matches", StreetOnly),
        ("22 Name matches", NoMatch),
        ("23 Postal code matches, name doesn't match", PostalOnly),
        ("24 Both postal code and address matches, name doesn't match", NameMismatch),
        ("25 Address matches, name doesn't match", StreetOnly),
        ("26 Neither postal code, address nor name matches", NoMatch),
    ],
};

pub(super) const AUTHORIZE_NET: AvsTable = Table {
    name: "Authorize.Net",
    asked: "`payment.gateway` names Authorize.Net",
    source: "Authorize.Net knowledge base, \"What are the different AVS response codes?\"",
    rows: &[
        ("A", StreetOnly),
        ("B", Unavailable),
        ("E", Unavailable),
        ("G", Unavailable),
        ("N", NoMatch),
        ("P", Unavailable),
        ("R", Unavailable),
        ("S", Unavailable),
        ("U", Unavailable),
        ("W", PostalOnly),
        ("X", Match),
        ("Y", Match),
        ("Z", PostalOnly),
    ],
};

pub(super) const BRAINTREE: AvsTable = Table {
    name: "Braintree",
    asked: "`payment.gateway` names Braintree",
    source: "Braintree documentation, \"AVS and CVV response codes\"; street and postal code have an answer each",
    rows: &[
        ("M", Match),
        ("N", NoMatch),
        ("U", Unavailable),
        ("I", Unavailable),
        ("S", Unavailable),
        ("E", Unavailable),
        ("A", Unavailable),
        ("B", Unavailable),
    ],
};

pub(super) const CYBERSOURCE: AvsTable = Table {
    name: "CyberSource",
    asked: "`payment.gateway` names CyberSource",
    source: "CyberSource developer guides, \"AVS codes\"",
    rows: &[
        ("A", StreetOnly),
        ("B", StreetOnly),
        ("C", NoMatch),
        ("D", Match),
        ("E", Unavailable),
        ("F", PostalOnly),
        ("G", Unavailable),
        ("H", NameMismatch),
        ("I", Unavailable),
        ("J", Match),
        ("K", NoMatch),
        ("L", PostalOnly),
        ("M", Match),
        ("N", NoMatch),
        ("O", StreetOnly),
        ("P", PostalOnly),
        ("Q", Match),
        ("R", Unavailable),
        ("S", Unavailable),
        ("T", StreetOnly),
        ("U", Unavailable),
        ("V", Match),
        ("W", PostalOnly),
        ("X", Match),
        ("Y", Match),
        ("Z", PostalOnly),
        ("1", Unavailable),
        ("2", Unavailable),
    ],
};

pub(super) const PAYPAL: AvsTable = Table {
    name: "PayPal",
    asked: "`payment.gateway` names PayPal or Payflow; the numbers are those of Maestro",
    source: "PayPal Orders API reference, `processor_response.avs_code`",
    rows: &[
        ("A", StreetOnly),
        ("B", StreetOnly),
        ("C", NoMatch),
        ("D", Match),
        ("E", Unavailable),
        ("F", Match),
        ("G", Unavailable),
        ("I", Unavailable),
        ("M", Match),
        ("N", NoMatch),
        ("P", PostalOnly),
        ("R", Unavailable),
        ("S", Unavailable),
        ("U", Unavailable),
        ("W", PostalOnly),
        ("X", Match),
        ("Y", Match),
        ("Z", PostalOnly),
        ("Null", Unavailable),
        ("0", Match),
        ("1", NoMatch),
        ("2", Partial),
        ("3", Unavailable),
        ("4", Unavailable),
    ],
};

pub(super) const PAYPAL_AMERICAN_EXPRESS: AvsTable = Table {
    name: "PayPal, American Express",
    asked: "the same, and the card is American Express",
    source: "PayPal Orders API reference, `processor_response.avs_code`",
    rows: &[("E", NameMismatch), ("F", StreetOnly), ("W", NoMatch), ("X", NoMatch)],
};

pub(super) const WORLDPAY: AvsTable = Table {
    name: "Worldpay",
    asked: "`payment.gateway` names Worldpay",
    source: "Worldpay support centre, \"AVS, CVC and AAV results\"; Worldpay API, `avsResultCode`",
    rows: &[
        ("A", Match),
        ("B", PostalOnly),
        ("C", PostalOnly),
        ("D", StreetOnly),
        ("E", Unavailable),
        ("F", StreetOnly),
        ("G", NoMatch),
        ("H", Unavailable),
        ("I", NoMatch),
        ("J", NoMatch),
        ("Postcode and address matched", Match),
        ("Postcode matched; address not checked", PostalOnly),
        ("Postcode matched; address not matched", PostalOnly),
        ("Address matched; postcode not checked", StreetOnly),
        ("Postcode and address not checked", Unavailable),
        ("Address matched; postcode not matched", StreetOnly),
        ("Postcode not checked; address not matched", NoMatch),
        ("Address not checked; postcode not matched", NoMatch),
        ("Postcode and address not matched", NoMatch),
        ("APPROVED", Match),
        ("FAILED", NoMatch),
        ("NOT SENT TO ACQUIRER", Unavailable),
        ("NO RESPONSE FROM ACQUIRER", Unavailable),
        ("NOT CHECKED BY ACQUIRER", Unavailable),
        ("NOT SUPPLIED BY SHOPPER", Unavailable),
    ],
};

pub(super) const VISA: AvsTable = Table {
    name: "Visa",
    asked: "the card is Visa; also for Mastercard and Discover, where gateways answer in these letters",
    source: "Checkout.com documentation, \"AVS codes\", scheme Visa",
    rows: &[
        ("A", StreetOnly),
        ("B", StreetOnly),
        ("C", Unavailable),
        ("D", Match),
        ("E", Unavailable),
        ("F", Match),
        ("G", Unavailable),
        ("I", Unavailable),
        ("M", Match),
        ("N", NoMatch),
        ("P", PostalOnly),
        ("R", Unavailable),
        ("S", Unavailable),
        ("U", Unavailable),
        ("Y", Match),
        ("Z", PostalOnly),
    ],
};

pub(super) const MASTERCARD: AvsTable = Table {
    name: "Mastercard",
    asked: "the card is Mastercard",
    source: "Checkout.com documentation, \"AVS codes\", scheme Mastercard",
    rows: &[
        ("A", StreetOnly),
        ("N", NoMatch),
        ("R", Unavailable),
        ("S", Unavailable),
        ("U", Unavailable),
        ("W", PostalOnly),
        ("X", Match),
        ("Y", Match),
        ("Z", PostalOnly),
    ],
};

pub(super) const DISCOVER: AvsTable = Table {
    name: "Discover",
    asked: "the card is Discover and no gateway with a table of its own is named",
    source: "Global Payments merchant portal, \"AVS response codes\", Discover",
    rows: &[
        ("A", Match),
        ("G", Unavailable),
        ("N", NoMatch),
        ("S", Unavailable),
        ("T", PostalOnly),
        ("U", Unavailable),
        ("W", Unavailable),
        ("X", Match),
        ("Y", StreetOnly),
        ("Z", PostalOnly),
    ],
};

pub(super) const AMERICAN_EXPRESS: AvsTable = Table {
    name: "American Express",
    asked: "the card is American Express",
    source: "Sertifi support, \"AVS code reference\", American Express; W: PayPal Orders API reference. X is a match at \
             CyberSource and none at PayPal",
    rows: &[
        ("A", StreetOnly),
        ("D", PostalOnly),
        ("E", NameMismatch),
        ("F", StreetOnly),
        ("K", NoMatch),
        ("L", PostalOnly),
        ("M", Match),
        ("N", NoMatch),
        ("O", StreetOnly),
        ("R", Unavailable),
        ("S", Unavailable),
        ("U", Unavailable),
        ("W", NoMatch),
        ("X", Unavailable),
        ("Y", Match),
        ("Z", PostalOnly),
    ],
};

/// What is left when neither gateway nor scheme decides. A letter of which one table says match and another does not is
/// no match here. `Y` is the exception: only Discover reads it otherwise, and its cards are known by their first digits.
pub(super) const COMMON: AvsTable = Table {
    name: "Any",
    asked: "nothing above has the answer",
    source: "the tables above, where they agree; else the reading that is no match. AE1 to AE7: Checkout.com \
             documentation, \"AVS codes\"",
    rows: &[
        ("A", StreetOnly),
        ("B", StreetOnly),
        ("C", Unavailable),
        ("D", PostalOnly),
        ("E", Unavailable),
        ("F", Partial),
        ("G", Unavailable),
        ("H", NameMismatch),
        ("I", Unavailable),
        ("J", Unavailable),
        ("K", NoMatch),
        ("L", PostalOnly),
        ("M", Match),
        ("N", NoMatch),
        ("O", StreetOnly),
        ("P", PostalOnly),
        ("Q", Unavailable),
        ("R", Unavailable),
        ("S", Unavailable),
        ("T", Partial),
        ("U", Unavailable),
        ("V", Match),
        ("W", PostalOnly),
        ("X", Match),
        ("Y", Match),
        ("Z", PostalOnly),
        ("AE1", PostalOnly),
        ("AE2", NameMismatch),
        ("AE3", StreetOnly),
        ("AE4", NoMatch),
        ("AE5", PostalOnly),
        ("AE6", Match),
        ("AE7", StreetOnly),
    ],
};

/// Every table, in the order of the reference page.
#[cfg(test)]
pub(super) const TABLES: [&AvsTable; 12] = [
    &ADYEN,
    &AUTHORIZE_NET,
    &BRAINTREE,
    &CYBERSOURCE,
    &PAYPAL,
    &PAYPAL_AMERICAN_EXPRESS,
    &WORLDPAY,
    &VISA,
    &MASTERCARD,
    &DISCOVER,
    &AMERICAN_EXPRESS,
    &COMMON,
];

/// Letters of an answer for one part alone.
pub(super) const PART: Table<Said> = Table {
    name: "Street or postal code alone",
    asked: "`payment.avs_street_result` and `payment.avs_postal_result`",
    source: "Braintree documentation, \"AVS and CVV response codes\"; PayPal Payflow guides, `AVSADDR` and `AVSZIP`",
    rows: &[
        ("Y", Said::Match),
        ("M", Said::Match),
        ("N", Said::NoMatch),
        ("X", Said::Unchecked),
        ("U", Said::Unchecked),
        ("I", Said::Unchecked),
        ("S", Said::Unchecked),
        ("E", Said::Unchecked),
        ("A", Said::Unchecked),
        ("B", Said::Unchecked),
    ],
};

/// Digits of Worldpay's result field, and of its parts.
pub(super) const WORLDPAY_DIGIT: Table<Said> = Table {
    name: "Worldpay digits",
    asked: "`payment.gateway` names Worldpay; of four digits the first is the security code, the second the postal code, \
            the third the street",
    source: "Worldpay, \"Address and security code verification result formats\"; 8: Monext documentation, \
             \"resultFromAcquirer\"",
    rows: &[
        ("0", Said::Unchecked),
        ("1", Said::Unchecked),
        ("2", Said::Match),
        ("4", Said::NoMatch),
        ("8", Said::Partly),
    ],
};

/// Reads an answer for the whole address.
pub(super) fn read(text: &str, hints: &Hints<'_>) -> Answer<AddressMatch> {
    find(text, hints).unwrap_or(Answer { meaning: Unavailable, text: None })
}

fn find(text: &str, hints: &Hints<'_>) -> Option<Answer<AddressMatch>> {
    let (gateway, scheme) = (hints.gateway(), hints.scheme());
    words::adyen(text, gateway == Some(Gateway::Adyen), &ADYEN)
        .or_else(|| worldpay_digits(text, gateway))
        .or_else(|| tables(gateway, scheme).iter().find_map(|table| table.find(text)))
        .or_else(|| {
            let (word, said) = plain(text)?;
            Some(Answer { meaning: meaning(said), text: Some(Cow::Borrowed(word)) })
        })
}

/// The tables that may have a letter, in the order in which they are asked.
fn tables(gateway: Option<Gateway>, scheme: Option<Scheme>) -> Vec<&'static AvsTable> {
    let is_american_express = scheme == Some(Scheme::AmericanExpress);
    let of_gateway: &[&AvsTable] = match gateway {
        Some(Gateway::AuthorizeNet) => &[&AUTHORIZE_NET],
        Some(Gateway::Braintree) => &[&BRAINTREE],
        Some(Gateway::CyberSource) => &[&CYBERSOURCE],
        Some(Gateway::PayPal | Gateway::Payflow) if is_american_express => &[&PAYPAL_AMERICAN_EXPRESS, &PAYPAL],
        Some(Gateway::PayPal | Gateway::Payflow) => &[&PAYPAL],
        Some(Gateway::Worldpay) => &[&WORLDPAY],
        Some(Gateway::Adyen) | None => &[],
    };
    let of_scheme: &[&AvsTable] = match scheme {
        Some(Scheme::Visa) => &[&VISA],
        Some(Scheme::Mastercard) => &[&MASTERCARD, &VISA],
        Some(Scheme::Discover) => &[&DISCOVER, &VISA],
        Some(Scheme::AmericanExpress) => &[&AMERICAN_EXPRESS],
        None => &[],
    };
    of_gateway.iter().chain(of_scheme).copied().chain([&COMMON]).collect()
}

/// Four digits of Worldpay's result field.
fn worldpay_digits(text: &str, gateway: Option<Gateway>) -> Option<Answer<AddressMatch>> {
    let text = text.trim();
    if gateway != Some(Gateway::Worldpay) || text.len() != 4 {
        return None;
    }
    let digit = |at: usize| text.get(at..=at).and_then(|digit| WORLDPAY_DIGIT.find(digit)).map(|found| found.meaning);
    let (postal, street) = (digit(1)?, digit(2)?);
    Some(Answer {
        meaning: combined(Some(street), Some(postal)),
        text: Some(format!("street {}, postal code {}", shown(street), shown(postal)).into()),
    })
}

/// What an answer for one part says; none when no table has it.
pub(super) fn read_part(text: &str, hints: &Hints<'_>) -> Option<Said> {
    let is_worldpay = hints.gateway() == Some(Gateway::Worldpay);
    let of_worldpay = || WORLDPAY_DIGIT.find(text).filter(|_| is_worldpay);
    let letter = PART.find(text).or_else(of_worldpay).map(|found| found.meaning);
    letter.or_else(|| plain(text).map(|(_, said)| said))
}

/// The answers for street and postal code, as one.
pub(super) fn read_parts(street: Option<&str>, postal: Option<&str>, hints: &Hints<'_>) -> Answer<AddressMatch> {
    let said = |text: Option<&str>| text.map(|text| read_part(text, hints));
    let (street, postal) = (said(street), said(postal));
    let is_understood = street.flatten().or(postal.flatten()).is_some();
    let part = |name: &str, said: Option<Option<Said>>| {
        said.map(|said| format!("{name} {}", said.map_or("not understood", shown)))
    };
    let text = [part("street", street), part("postal code", postal)].into_iter().flatten().collect::<Vec<_>>();
    Answer {
        meaning: combined(street.flatten(), postal.flatten()),
        text: is_understood.then(|| Cow::Owned(text.join(", "))),
    }
}

/// Street and postal code as one. A part that is not there was not checked.
fn combined(street: Option<Said>, postal: Option<Said>) -> AddressMatch {
    let or_unchecked = |said: Option<Said>| said.unwrap_or(Said::Unchecked);
    match (or_unchecked(street), or_unchecked(postal)) {
        (Said::Match, Said::Match) => Match,
        (Said::Match, Said::NoMatch | Said::Unchecked) => StreetOnly,
        (Said::NoMatch | Said::Unchecked, Said::Match) => PostalOnly,
        (Said::Partly, _) | (_, Said::Partly) => Partial,
        (Said::Unchecked, Said::Unchecked) => Unavailable,
        (Said::NoMatch, _) | (_, Said::NoMatch) => NoMatch,
    }
}

const fn meaning(said: Said) -> AddressMatch {
    match said {
        Said::Match => Match,
        Said::NoMatch => NoMatch,
        Said::Partly => Partial,
        Said::Unchecked => Unavailable,
    }
}

const fn shown(said: Said) -> &'static str {
    match said {
        Said::Match => "matches",
        Said::NoMatch => "does not match",
        Said::Partly => "matches in part",
        Said::Unchecked => "not checked",
    }
}
