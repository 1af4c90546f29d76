//! Tests of this module.

use proptest::prelude::*;

use super::*;
use AddressMatch as Address;
use SecurityCodeMatch as Code;

fn hints<'a>(gateway: &'a str, card_brand: &'a str) -> Hints<'a> {
    let some = |text: &'a str| Some(text).filter(|text| !text.is_empty());
    Hints { gateway: some(gateway), card_brand: some(card_brand), ..Hints::default() }
}

fn address(text: &str, hints: &Hints<'_>) -> Address {
    avs::read(text, hints).meaning
}

fn code(text: &str, hints: &Hints<'_>) -> Code {
    cvv::read(text, hints).meaning
}

#[test]
fn an_unknown_word_is_unavailable_and_never_a_match() {
    for text in ["BANANA", "OKAY-ISH", "77", "ZZ", "42 Matches", "2 Matches", "-", "'", "MATCHLESS", "YES PLEASE", "✓"]
    {
        let none = Hints::default();
        assert_eq!((address(text, &none), code(text, &none)), (Address::Unavailable, Code::Unavailable), "{text}");
        assert!(!is_understood(Field::Avs, text, &none) && !is_understood(Field::Cvv, text, &none), "{text}");
        assert!(!is_understood(Field::AvsStreet, text, &none), "{text}");
    }
}

#[test]
fn plain_words_are_read_in_any_case_and_spelling() {
    let none = Hints::default();
    for (text, of_address, of_code) in [
        ("MATCH", Address::Match, Code::Match),
        ("Matched", Address::Match, Code::Match),
        ("pass", Address::Match, Code::Match),
        ("TRUE", Address::Match, Code::Match),
        ("no_match", Address::NoMatch, Code::NoMatch),
        ("noMatch", Address::NoMatch, Code::NoMatch),
        ("NOT MATCHED", Address::NoMatch, Code::NoMatch),
        ("DOES_NOT_MATCH", Address::NoMatch, Code::NoMatch),
        ("doesn’t match", Address::NoMatch, Code::NoMatch),
        ("FAIL", Address::NoMatch, Code::NoMatch),
        ("failed", Address::NoMatch, Code::NoMatch),
        ("false", Address::NoMatch, Code::NoMatch),
        ("unavailable", Address::Unavailable, Code::NotProcessed),
        ("UNCHECKED", Address::Unavailable, Code::NotProcessed),
        ("not_checked", Address::Unavailable, Code::NotProcessed),
        ("CVV_NOT_CHECKED", Address::Unavailable, Code::NotProcessed),
        ("partial", Address::Partial, Code::Unavailable),
        ("N/A", Address::Unavailable, Code::NotProcessed),
    ] {
        assert_eq!((address(text, &none), code(text, &none)), (of_address, of_code), "{text}");
        assert!(is_understood(Field::Avs, text, &none) && is_understood(Field::Cvv, text, &none), "{text}");
    }
}

#[test]
fn numbers_of_adyen_are_read_with_their_words_or_where_the_gateway_is_adyen() {
    let (none, adyen) = (Hints::default(), hints("Adyen_Drop-in", ""));
    assert_eq!(address("2 NEITHER POSTAL CODE NOR ADDRESS MATCH", &none), Address::NoMatch);
    assert_eq!(address("7 Both postal code and address match", &none), Address::Match);
    assert_eq!(address("6 Postal code matches", &none), Address::PostalOnly);
    assert_eq!(address("4 AVS not supported for this card type", &none), Address::Unavailable);
    assert_eq!(code("2 Doesn't Match", &none), Code::NoMatch);
    assert_eq!(code("1 MATCHES", &none), Code::Match);
    assert_eq!(code("4 No CVC/CVV provided, but was required", &none), Code::ShouldBePresent);
    assert_eq!(
        ["7", "2", "26", "0", "27"].map(|number| address(number, &adyen)),
        [Address::Match, Address::NoMatch, Address::NoMatch, Address::Unavailable, Address::Unavailable]
    );
    assert_eq!(
        ["1", "2", "6", "7"].map(|number| code(number, &adyen)),
        [Code::Match, Code::NoMatch, Code::NotProcessed, Code::Unavailable]
    );
}

#[test]
fn a_number_alone_says_nothing_where_the_gateway_is_not_known() {
    for number in 0..100 {
        let number = number.to_string();
        let none = Hints::default();
        assert_eq!((address(&number, &none), code(&number, &none)), (Address::Unavailable, Code::Unavailable));
        assert!(!is_understood(Field::Cvv, &number, &none));
    }
}

#[test]
fn a_letter_means_what_the_gateway_means_by_it() {
    for (gateway, letter, expected) in [
        ("braintree", "B", Address::Unavailable),
        ("braintree", "M", Address::Match),
        ("braintree", "I", Address::Unavailable),
        ("Authorize.Net", "B", Address::Unavailable),
        ("authorizenet_cim", "P", Address::Unavailable),
        ("authorize_net", "Y", Address::Match),
        ("paypal", "C", Address::NoMatch),
        ("PayPal Pro", "D", Address::Match),
        ("paypal", "2", Address::Partial),
        ("cybersource", "F", Address::PostalOnly),
        ("cybersource", "J", Address::Match),
        ("Worldpay", "A", Address::Match),
        ("worldpay", "J", Address::NoMatch),
        ("worldpay", "APPROVED", Address::Match),
        ("worldpay", "2224", Address::Match),
        ("worldpay", "2420", Address::StreetOnly),
        ("worldpay", "2240", Address::PostalOnly),
        ("worldpay", "2110", Address::Unavailable),
        ("stripe", "fail", Address::NoMatch),
        ("stripe", "Y", Address::Match),
    ] {
        assert_eq!(address(letter, &hints(gateway, "")), expected, "{gateway} {letter}");
    }
    for (gateway, letter, expected) in [
        ("paypal", "S", Code::Unavailable),
        ("paypal", "0", Code::Match),
        ("payflow_pro", "Y", Code::Match),
        ("braintree", "I", Code::NotProcessed),
        ("worldpay", "FAILED", Code::NoMatch),
        ("worldpay", "NOT SENT TO ACQUIRER", Code::NotProcessed),
        ("worldpay", "4222", Code::NoMatch),
        ("cybersource", "2", Code::Unavailable),
        ("authorize.net", "S", Code::ShouldBePresent),
        ("stripe", "pass", Code::Match),
    ] {
        assert_eq!(code(letter, &hints(gateway, "")), expected, "{gateway} {letter}");
    }
}

#[test]
fn a_letter_means_what_the_scheme_means_by_it() {
    for (brand, letter, expected) in [
        ("visa", "D", Address::Match),
        ("visa", "F", Address::Match),
        ("visa", "C", Address::Unavailable),
        ("Visa Debit", "B", Address::StreetOnly),
        ("mc", "X", Address::Match),
        ("MasterCard", "D", Address::Match),
        ("amex", "D", Address::PostalOnly),
        ("American Express", "E", Address::NameMismatch),
        ("american_express", "F", Address::StreetOnly),
        ("amex", "K", Address::NoMatch),
        ("amex", "L", Address::PostalOnly),
        ("amex", "M", Address::Match),
        ("amex", "O", Address::StreetOnly),
        ("amex", "W", Address::NoMatch),
        ("amex", "X", Address::Unavailable),
        ("amex", "Y", Address::Match),
        ("discover", "A", Address::Match),
        ("discover", "Y", Address::StreetOnly),
        ("discover", "T", Address::PostalOnly),
        ("discover", "W", Address::Unavailable),
        ("discover", "D", Address::Match),
    ] {
        assert_eq!(address(letter, &hints("", brand)), expected, "{brand} {letter}");
    }
    assert_eq!(address("X", &hints("paypal", "amex")), Address::NoMatch);
    assert_eq!(address("D", &hints("paypal", "amex")), Address::Match, "what the gateway's table has of no scheme");
}

#[test]
fn the_scheme_is_known_by_its_name_else_by_the_first_digits_of_the_card() {
    let by = |card_brand, method, card_bin| Hints { gateway: None, card_brand, method, card_bin }.scheme();
    assert_eq!(by(None, None, Some("378282")), Some(Scheme::AmericanExpress));
    assert_eq!(by(None, None, Some("41111111")), Some(Scheme::Visa));
    assert_eq!(by(None, None, Some("222100")), Some(Scheme::Mastercard));
    assert_eq!(by(None, None, Some("601100")), Some(Scheme::Discover));
    assert_eq!(by(None, Some("amex"), Some("411111")), Some(Scheme::AmericanExpress));
    assert_eq!(by(Some("visa"), None, Some("378282")), Some(Scheme::Visa));
    assert_eq!(by(Some("card"), Some("credit_card"), None), None);
    assert_eq!(by(None, None, Some("ab")), None);
    assert_eq!(by(None, None, Some("4é1111")), None);
}

#[test]
fn a_letter_that_tables_use_differently_is_no_match_without_a_hint() {
    let none = Hints::default();
    for table in avs::TABLES {
        for (answer, meaning) in table.rows.iter().filter(|(answer, _)| answer.len() == 1) {
            let is_disputed = avs::TABLES.iter().any(|other| {
                other
                    .rows
                    .iter()
                    .any(|(same, other)| same == answer && (*other == Address::Match) != (*meaning == Address::Match))
            });
            // Y is the one exception; see the table.
            let allowed = ["Y", "M", "X"].contains(answer);
            assert!(!is_disputed || allowed || address(answer, &none) != Address::Match, "{answer}");
        }
    }
    assert_eq!(["D", "F", "J", "Q"].map(|letter| address(letter, &none) == Address::Match), [false; 4]);
}

#[test]
fn street_and_postal_code_are_put_together() {
    let payment = |street: &str, postal: &str| {
        let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        Payment { avs_street_result: some(street), avs_postal_result: some(postal), ..Payment::default() }
    };
    for (street, postal, expected) in [
        ("PASS", "PASS", Address::Match),
        ("PASS", "FAIL", Address::StreetOnly),
        ("PASS", "UNCHECKED", Address::StreetOnly),
        ("FAIL", "PASS", Address::PostalOnly),
        ("UNAVAILABLE", "PASS", Address::PostalOnly),
        ("", "PASS", Address::PostalOnly),
        ("FAIL", "FAIL", Address::NoMatch),
        ("FAIL", "UNCHECKED", Address::NoMatch),
        ("", "FAIL", Address::NoMatch),
        ("UNAVAILABLE", "UNCHECKED", Address::Unavailable),
        ("BANANA", "BANANA", Address::Unavailable),
        ("BANANA", "PASS", Address::PostalOnly),
        ("M", "M", Address::Match),
        ("N", "M", Address::PostalOnly),
        ("Y", "X", Address::StreetOnly),
        ("B", "I", Address::Unavailable),
    ] {
        let answer = address_check(&payment(street, postal)).expect("an answer");
        assert_eq!(answer.meaning, expected, "{street} {postal}");
    }
    assert_eq!(address_check(&payment("", "")), None);
    let unknown = payment("BANANA", "PASS");
    assert_eq!(not_understood(&unknown).collect::<Vec<_>>(), [Field::AvsStreet]);
    assert_eq!(
        address_check(&unknown).and_then(|answer| answer.text).as_deref(),
        Some("street not understood, postal code matches")
    );
    assert!(!address_check(&payment("BANANA", "")).expect("an answer").is_understood());
}

#[test]
fn of_an_answer_for_the_whole_and_for_the_parts_the_stricter_counts() {
    let payment = |whole: &str, street: &str, postal: &str| Payment {
        avs_result: Some(whole.to_owned()),
        avs_street_result: Some(street.to_owned()),
        avs_postal_result: Some(postal.to_owned()),
        ..Payment::default()
    };
    for (whole, street, postal, expected) in [
        ("Y", "FAIL", "FAIL", Address::NoMatch),
        ("N", "PASS", "PASS", Address::NoMatch),
        ("Y", "UNCHECKED", "UNCHECKED", Address::Match),
        ("U", "PASS", "PASS", Address::Match),
        ("A", "FAIL", "PASS", Address::PostalOnly),
    ] {
        let answer = address_check(&payment(whole, street, postal)).expect("an answer");
        assert_eq!(answer.meaning, expected, "{whole} {street} {postal}");
    }
}

#[test]
fn no_table_has_an_answer_twice() {
    fn check<M>(table: &Table<M>) {
        for (at, (answer, _)) in table.rows.iter().enumerate() {
            let again = table.rows[..at].iter().any(|(other, _)| words::are_same(answer, other));
            assert!(!again, "{}: {answer}", table.name);
        }
    }
    avs::TABLES.iter().for_each(|table| check(table));
    cvv::TABLES.iter().for_each(|table| check(table));
    check(&avs::PART);
    check(&avs::WORLDPAY_DIGIT);
    let plain: Vec<_> = words::PLAIN.iter().map(|(word, _)| words::squashed(word).collect::<String>()).collect();
    let distinct: std::collections::HashSet<_> = plain.iter().collect();
    assert_eq!(distinct.len(), plain.len());
}

proptest! {
    #[test]
    fn any_text_is_read_without_a_panic_and_matches_only_by_a_table(
        text in ".{0,40}|[0-9]{1,4}( [A-Za-z' ]{0,20})?|[A-Z]{1,3}",
        gateway in "|adyen|stripe|braintree|authorize.net|cybersource|payflow|paypal|worldpay|.{0,8}",
        brand in "|visa|mc|amex|discover|.{0,8}",
    ) {
        let hints = hints(&gateway, &brand);
        for field in Field::ALL {
            let _ = is_understood(field, &text, &hints);
        }
        let (avs, cvv) = (avs::read(&text, &hints), cvv::read(&text, &hints));
        prop_assert!(avs.is_understood() || avs.meaning == Address::Unavailable);
        prop_assert!(cvv.is_understood() || cvv.meaning == Code::Unavailable);
    }
}
