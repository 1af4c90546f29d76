//! `docs/issuer-answers.md`, made from the tables: the page cannot be stale, because this test compares.

use std::fmt::Write;
use std::path::Path;

use super::words::{PLAIN, Said};
use super::{AddressMatch, SecurityCodeMatch, Table, avs, cvv};

/// Set to write the page.
const WRITE: &str = "TOUCHSTONE_WRITE_DOCS";

const HEAD: &str = "\
# Answers of the card issuer

A payment gateway reports two checks of the card's issuer: whether the billing address is the one on file (AVS) and whether
the security code is the card's (CVV, CVC, CID). Send the answers as you get them:

| you send | answer for |
|---|---|
| `payment.avs_result` (signed), `payments[].avsCode` (orders), `payment.avs_result_code` (checks, past orders) | the whole address |
| `payment.avs_street_result`, `payment.avs_postal_result` (signed) | street and postal code apart, as Stripe (`address_line1_check`, `address_postal_code_check`) and Braintree report them |
| `payment.cvv_result` (signed; Stripe's `cvc_check`), `payments[].cidResponse` (orders), `payment.cvv_result_code` (checks, past orders) | the security code |

Answers of a Centra shop's payment provider are read from the shop's payment history.

How an answer is read:

1. Upper and lower case, blanks and punctuation do not count: `no_match`, `No match` and `NOMATCH` are the same.
2. The same letter means different things to different gateways and schemes. The table of `payment.gateway` is asked
   first, then the table of the card's scheme (`payment.card_brand`, else `payment.method`, else the first digits of the
   card), then the table for any. Send `payment.gateway` and `payment.card_brand`.
3. Without these, a letter that tables use differently is never read as a match, and a number alone is not understood.
4. An answer that is in no table is `unavailable`, never a match. As an answer that says nothing of the address or the code,
   it lowers `confidence`. The warning `unknown_word` names the field.
5. Where an answer for the whole address and answers for its parts are sent, the stricter counts.

In rules, `payment.avs_result` and `payment.cvv_result` are the answers as sent, in capitals; `payment.avs_meaning` and
`payment.cvv_meaning` are what they mean, in the words of the second columns below.

This page is made from the tables by a test of the crate `schema`.
";

fn page() -> String {
    let mut page = HEAD.to_owned();
    page.push_str("\n## Meanings\n\n| address | what it says |\n|---|---|\n");
    for (meaning, says) in [
        (AddressMatch::Match, "street and postal code match"),
        (AddressMatch::StreetOnly, "only the street matches; the postal code does not, or was not checked"),
        (AddressMatch::PostalOnly, "only the postal code matches; the street does not, or was not checked"),
        (AddressMatch::Partial, "a part matches, and the answer does not say which"),
        (AddressMatch::NameMismatch, "street and postal code match, the cardholder's name does not"),
        (AddressMatch::NoMatch, "nothing that was checked of street and postal code matches"),
        (AddressMatch::Unavailable, "not checked, not supported, or not understood"),
    ] {
        line(&mut page, meaning.as_str(), says);
    }
    page.push_str("\n| security code | what it says |\n|---|---|\n");
    for (meaning, says) in [
        (SecurityCodeMatch::Match, "it is the card's"),
        (SecurityCodeMatch::NoMatch, "it is not the card's"),
        (SecurityCodeMatch::NotProcessed, "it was not checked"),
        (SecurityCodeMatch::ShouldBePresent, "the shop sent none, and the card should have one"),
        (SecurityCodeMatch::Unavailable, "the issuer does not take part, gave no answer, or it is not understood"),
    ] {
        line(&mut page, meaning.as_str(), says);
    }
    page.push_str("\n## Plain words\n\nTaken for both checks, for the whole address and for its parts.\n\n| words | meaning |\n|---|---|\n");
    for (said, meaning) in [
        (Said::Match, "`match`"),
        (Said::NoMatch, "`no_match`"),
        (Said::Partly, "`partial`; of a security code `unavailable`"),
        (Said::Unchecked, "`unavailable`; of a security code `not_processed`"),
    ] {
        let words = PLAIN.iter().filter(|(_, of)| *of == said).map(|(word, _)| format!("`{word}`"));
        writeln!(page, "| {} | {meaning} |", words.collect::<Vec<_>>().join(", ")).expect("a text can be written to");
    }
    page.push_str("\n## Address verification (AVS)\n");
    avs::TABLES.iter().for_each(|table| section(&mut page, table, |meaning| meaning.as_str()));
    section(&mut page, &avs::PART, part);
    section(&mut page, &avs::WORLDPAY_DIGIT, part);
    page.push_str("\n## Security code (CVV, CVC, CID)\n");
    cvv::TABLES.iter().for_each(|table| section(&mut page, table, |meaning| meaning.as_str()));
    page
}

fn line(page: &mut String, meaning: &str, says: &str) {
    writeln!(page, "| `{meaning}` | {says} |").expect("a text can be written to");
}

fn section<M: Copy>(page: &mut String, table: &Table<M>, name: fn(M) -> &'static str) {
    let Table { name: title, asked, source, rows } = table;
    write!(page, "\n### {title}\n\nAsked when: {asked}. Source: {source}.\n\n| answer | meaning |\n|---|---|\n")
        .expect("a text can be written to");
    for (answer, meaning) in *rows {
        line(page, answer, &format!("`{}`", name(*meaning)));
    }
}

const fn part(said: Said) -> &'static str {
    match said {
        Said::Match => "match",
        Said::NoMatch => "no_match",
        Said::Partly => "partial",
        Said::Unchecked => "unavailable",
    }
}

#[test]
fn the_reference_page_has_every_answer() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/issuer-answers.md");
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(&path, page()).expect("the page can be written");
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == page(),
        "docs/issuer-answers.md is stale: run the tests of the crate schema once with {WRITE}=1 and commit it"
    );
}
