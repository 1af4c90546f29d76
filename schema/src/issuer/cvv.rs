//! Answers of the check of the security code (CVV2, CVC2, CID).

use std::borrow::Cow;

use super::avs::WORLDPAY_DIGIT;
use super::words::{self, Said, plain};
use super::{Answer, Gateway, Hints, Table};
use crate::tenant::wire_enum;

wire_enum! {
    /// What the issuer says of the security code.
    SecurityCodeMatch {
        /// It is the card's.
        Match = "match",
        /// It is not.
        NoMatch = "no_match",
        /// It was not checked.
        NotProcessed = "not_processed",
        /// The shop said that the card has none, and the issuer says that it should have one.
        ShouldBePresent = "should_be_present",
        /// The issuer does not take part, gave no answer, or an answer that no table has.
        Unavailable = "unavailable",
    }
}

impl SecurityCodeMatch {
    /// Whether it says anything of the code.
    pub const fn is_informative(self) -> bool {
        matches!(self, Self::Match | Self::NoMatch)
    }
}

use SecurityCodeMatch::{Match, NoMatch, NotProcessed, ShouldBePresent, Unavailable};

type CvvTable = Table<SecurityCodeMatch>;

/// Numbers, each with the text that Adyen sends after it.
pub(super) const ADYEN: CvvTable = Table {
    name: "Adyen",
    asked: "`payment.gateway` names Adyen, or the number is followed by its words",
    source: "Adyen documentation, \"CVC/CVV result testing\" (`additionalData.cvcResult`)",
    rows: &[
        ("0 Unknown", Unavailable),
        ("1 Matches", Match),
        ("2 Doesn't Match", NoMatch),
        ("3 Not Checked", NotProcessed),
        ("4 No CVC/CVV provided, but was required", ShouldBePresent),
        ("5 Issuer not certified for CVC/CVV", Unavailable),
        ("6 No CVC/CVV provided", NotProcessed),
    ],
};

pub(super) const BRAINTREE: CvvTable = Table {
    name: "Braintree",
    asked: "`payment.gateway` names Braintree",
    source: "Braintree documentation, \"AVS and CVV response codes\"",
    rows: &[
        ("M", Match),
        ("N", NoMatch),
        ("U", NotProcessed),
        ("I", NotProcessed),
        ("S", Unavailable),
        ("A", Unavailable),
        ("B", NotProcessed),
    ],
};

pub(super) const CYBERSOURCE: CvvTable = Table {
    name: "CyberSource",
    asked: "`payment.gateway` names CyberSource",
    source: "CyberSource developer guides, \"Card verification codes\"",
    rows: &[("1", Unavailable), ("2", Unavailable), ("3", Unavailable)],
};

pub(super) const PAYPAL: CvvTable = Table {
    name: "PayPal",
    asked: "`payment.gateway` names PayPal or Payflow; the numbers are those of Maestro",
    source: "PayPal Orders API reference, `processor_response.cvv_code`; Y and X: PayPal Payflow guides, `CVV2MATCH`",
    rows: &[
        ("E", Unavailable),
        ("I", Unavailable),
        ("M", Match),
        ("N", NoMatch),
        ("P", NotProcessed),
        ("S", Unavailable),
        ("U", Unavailable),
        ("X", Unavailable),
        ("Y", Match),
        ("All others", Unavailable),
        ("0", Match),
        ("1", NoMatch),
        ("2", NotProcessed),
        ("3", NotProcessed),
        ("4", Unavailable),
    ],
};

pub(super) const WORLDPAY: CvvTable = Table {
    name: "Worldpay",
    asked: "`payment.gateway` names Worldpay",
    source: "Worldpay API, `cvcResultCode`",
    rows: &[
        ("APPROVED", Match),
        ("FAILED", NoMatch),
        ("NOT SENT TO ACQUIRER", NotProcessed),
        ("NO RESPONSE FROM ACQUIRER", Unavailable),
        ("NOT CHECKED BY ACQUIRER", NotProcessed),
        ("NOT SUPPLIED BY SHOPPER", NotProcessed),
    ],
};

/// The letters of Visa, which the other schemes share. American Express answers Y for a match, and shops send it too.
pub(super) const COMMON: CvvTable = Table {
    name: "Any",
    asked: "nothing above has the answer: Visa, Mastercard, American Express, Discover, Authorize.Net and others",
    source: "Worldpay CNP API reference, \"Card validation response codes\"; Y: TabaPay documentation, \"CVV2 response \
             codes\", American Express; I, X, Z: Payeezy support, \"CVV2/CVD/CVV/CID response codes\"; D: CyberSource \
             (suspicious) and Moneris (invalid) differ, so neither is taken",
    rows: &[
        ("M", Match),
        ("Y", Match),
        ("N", NoMatch),
        ("P", NotProcessed),
        ("S", ShouldBePresent),
        ("U", Unavailable),
        ("X", Unavailable),
        ("I", Unavailable),
        ("E", Unavailable),
        ("D", Unavailable),
        ("Z", Unavailable),
    ],
};

/// Every table, in the order of the reference page.
#[cfg(test)]
pub(super) const TABLES: [&CvvTable; 6] = [&ADYEN, &BRAINTREE, &CYBERSOURCE, &PAYPAL, &WORLDPAY, &COMMON];

/// Reads an answer.
pub(super) fn read(text: &str, hints: &Hints<'_>) -> Answer<SecurityCodeMatch> {
    find(text, hints).unwrap_or(Answer { meaning: Unavailable, text: None })
}

fn find(text: &str, hints: &Hints<'_>) -> Option<Answer<SecurityCodeMatch>> {
    let gateway = hints.gateway();
    let of_gateway = match gateway {
        Some(Gateway::Braintree) => Some(&BRAINTREE),
        Some(Gateway::CyberSource) => Some(&CYBERSOURCE),
        Some(Gateway::PayPal | Gateway::Payflow) => Some(&PAYPAL),
        Some(Gateway::Worldpay) => Some(&WORLDPAY),
        Some(Gateway::Adyen | Gateway::AuthorizeNet) | None => None,
    };
    words::adyen(text, gateway == Some(Gateway::Adyen), &ADYEN)
        .or_else(|| worldpay_digit(text, gateway))
        .or_else(|| of_gateway.into_iter().chain([&COMMON]).find_map(|table| table.find(text)))
        .or_else(|| {
            let (word, said) = plain(text)?;
            Some(Answer { meaning: meaning(said), text: Some(Cow::Borrowed(word)) })
        })
}

/// One digit of Worldpay's, or the first of its four.
fn worldpay_digit(text: &str, gateway: Option<Gateway>) -> Option<Answer<SecurityCodeMatch>> {
    let text = text.trim();
    if gateway != Some(Gateway::Worldpay) || !matches!(text.len(), 1 | 4) {
        return None;
    }
    let found = text.get(..1).and_then(|digit| WORLDPAY_DIGIT.find(digit))?;
    Some(Answer { meaning: meaning(found.meaning), text: found.text })
}

/// A code matches whole or not at all.
const fn meaning(said: Said) -> SecurityCodeMatch {
    match said {
        Said::Match => Match,
        Said::NoMatch => NoMatch,
        Said::Unchecked => NotProcessed,
        Said::Partly => Unavailable,
    }
}
