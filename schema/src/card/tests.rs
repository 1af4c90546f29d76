//! Tests of this module.

mod reference;

use proptest::prelude::*;

use super::name::words;
use super::number::{MIN_DIGITS, has_long_run, passes_luhn, separator};
use super::*;

/// Published test numbers of the schemes.
const TEST_CARDS: [&str; 14] = [
    "4111111111111111",
    "4222222222222",
    "5555555555554444",
    "2223003122003222",
    "378282246310005",
    "6011111111111117",
    "6445644564456445",
    "30569309025904",
    "36227206271667",
    "3530111333300000",
    "6205500000000000004",
    "6759649826438453",
    "6304000000000000",
    "3566002020360505",
];

fn has_card(text: &str) -> bool {
    !card_runs(text).is_empty()
}

fn found(text: &str) -> Option<String> {
    screen(&mut Json::parse(text.as_bytes()).unwrap()).err().map(|card| card.pointer)
}

fn masked(text: &str) -> Option<String> {
    let mut document = Json::parse(text.as_bytes()).unwrap();
    mask(&mut document).then(|| document.to_json_string())
}

#[test]
fn cards_of_every_scheme_are_known() {
    for card in TEST_CARDS {
        assert!(has_card(card), "{card}");
        assert!(has_card(&format!("{}{card}", "1 of 2, ".repeat(100))), "{card}");
    }
}

#[test]
fn what_only_looks_like_a_card_is_let_be() {
    for text in [
        "4111111111111112",      // wrong check digit
        "1234567812345670",      // no scheme
        "411111111111111",       // no Visa has 15 digits
        "41111111111111111111",  // 20 digits
        "4111.1111.1111.1111",   // dots do not belong to a card number
        "411111 and 1111111111", // too short each
        "0000000000000000",
    ] {
        assert!(!has_card(text), "{text}");
    }
}

#[test]
fn cards_are_found_inside_longer_text() {
    for text in [
        "card 4111 1111 1111 1111 exp 12/27",
        "4111-1111-1111-1111",
        "x4111111111111111y",
        "2 x 4111 1111 1111 1111 12",
        "4111\u{a0}1111\u{a0}1111\u{a0}1111",
        "é 3782 822463 10005",
    ] {
        assert!(has_card(text), "{text}");
    }
}

#[test]
fn a_card_number_in_a_payment_field_is_refused_with_its_pointer() {
    for (text, pointer) in [
        (r#"{"payment":{"note":"4111111111111111"}}"#, "/payment/note"),
        (r#"{"payment":{"card_bin":4111111111111111}}"#, "/payment/card_bin"),
        (r#"{"payment":{"a":[{"b":"4111 1111 1111 1111"}]}}"#, "/payment/a/0/b"),
        (r#"{"paymentMethod":{"x":"4111111111111111"}}"#, "/paymentMethod/x"),
        (r#"{"x":{"cardNumber":"4111111111111111"}}"#, "/x/cardNumber"),
        (r#"{"creditcard":{"number":"4111111111111111"}}"#, "/creditcard/number"),
        (r#"{"PAN":"4111111111111111"}"#, "/PAN"),
        (r#"{"account_number":"4111111111111111"}"#, "/account_number"),
        (r#"{"card":4.111111111111111e15}"#, "/card"),
        (r#"{"payment":{"4111111111111111":1}}"#, "/payment"),
    ] {
        assert_eq!(found(text).as_deref(), Some(pointer), "{text}");
    }
}

#[test]
fn identifiers_and_other_fields_are_not_refused() {
    for text in [
        r#"{"payment":{"transaction_id":"4111111111111111","card_fingerprint":"4111111111111111"}}"#,
        r#"{"payment":{"pspReference":"4111111111111111","paymentId":4111111111111111,"id":"4111111111111111"}}"#,
        r#"{"payment":{"card_bin":"411111","card_last4":"1111","card_fingerprint":"fp_8a1b"}}"#,
        r#"{"order_id":"4111111111111111","company":"4111111111111111","note":"4111111111111111"}"#,
    ] {
        assert_eq!(found(text), None, "{text}");
    }
}

#[test]
fn only_the_last_four_digits_stay_readable() {
    assert_eq!(
        masked(r#"{"note":"pay with 4111 1111-1111 1111!","n":4111111111111111,"list":["378282246310005"]}"#).unwrap(),
        r#"{"note":"pay with **** ****-**** 1111!","n":"************1111","list":["***********0005"]}"#
    );
}

#[test]
fn digits_that_stay_readable_are_no_part_of_another_card_number() {
    let twice = mask_text("6759649826438453 4 2 2 2 2 2 2 2 2 2 2 2 2");
    assert_eq!(twice.as_deref(), Some("**************53 * * * * * * * * * 2 2 2 2"));
}

#[test]
fn masked_keys_stay_distinct() {
    let document = masked(r#"{"4111111111111111":1,"************1111":2,"4111 1111 1111 1111":3}"#).unwrap();
    assert!(!document.contains("41111"), "{document}");
    assert!(Json::parse(document.as_bytes()).is_ok(), "{document}");
}

#[test]
fn identifiers_and_plain_documents_are_not_masked() {
    assert_eq!(masked(r#"{"order_id":"4111111111111111","pspReference":"4111111111111111"}"#), None);
    assert_eq!(masked(r#"{"a":[1,2.5,"text",null,true],"at":1767323045678,"price":0.4111111111111111}"#), None);
}

#[test]
fn names_are_read_by_words() {
    let split = |name: &str| words(name).join(" ");
    assert_eq!(split("billingCardID"), "billing card id");
    assert_eq!(split("card_last-4"), "card last 4");
    assert_eq!(split("PANValue"), "pan value");
    let is_identifier = |name: &str| Name::read(name).is_identifier;
    assert!(!is_identifier("paid") && is_identifier("orderId") && is_identifier("psp_reference"));
    assert!(is_identifier("orderNumber") && is_identifier("centra_order_number") && !is_identifier("card_number"));
    assert!(is_identifier("cart_token") && !is_identifier("card_token") && !is_identifier("token"));
    let says_card = |name: &str| Name::read(name).says_card;
    assert!(!says_card("company") && says_card("creditcard") && says_card("accountNo"));
}

/// An EAN that passes for a Visa number.
const EAN: &str = "4006381300063";

#[test]
fn article_numbers_are_neither_refused_nor_masked() {
    assert!(has_card(EAN));
    for name in [
        "sku",
        "SKU",
        "skus",
        "sku_code",
        "skuNumber",
        "parentSku",
        "vendor_sku_2",
        "product_id",
        "productId",
        "productID",
        "product_ids",
        "productid",
        "product_code",
        "productNumber",
        "stockNumber",
        "stock_numbers",
        "stocknumber",
        "ean",
        "EAN",
        "ean13",
        "eans",
        "ean_code",
        "gtin",
        "gtin14",
        "GTIN-13",
        "gtins",
        "upc",
        "upcs",
        "barcode",
        "barcodes",
        "bar_code",
        "barCode",
        "isbn",
        "ISBN13",
        "isbns",
        "article_number",
        "articleNo",
        "articlenumber",
        "item_number",
        "item_no",
        "itemCode",
        "part_number",
        "mpn",
        "variant_ids",
        "catalog_no",
        "gift_card_sku",
    ] {
        for value in
            [format!("\"{EAN}\""), EAN.to_owned(), format!("[\"{EAN}\",{EAN}]"), format!("{{\"value\":{EAN}}}")]
        {
            for text in [
                format!(r#"{{"{name}":{value}}}"#),
                format!(r#"{{"line_items":[{{"{name}":{value}}}]}}"#),
                format!(r#"{{"payment":{{"lines":[{{"{name}":{value}}}]}}}}"#),
            ] {
                assert_eq!((found(&text), masked(&text)), (None, None), "{text}");
            }
        }
    }
    for text in [
        r#"{"products":[{"number":"4006381300063"},{"code":4006381300063}]}"#,
        r#"{"article":{"no":"4006381300063"},"item":{"codes":["4006381300063"]}}"#,
        r#"{"gtin":{"code":"4006381300063"},"ean":{"list":["4006381300063"]},"skus":{"0":"4006381300063"}}"#,
        r#"{"skus":{"4006381300063":{"quantity":1}}}"#,
    ] {
        assert_eq!((found(text), masked(text)), (None, None), "{text}");
    }
}

#[test]
fn what_only_stands_beside_an_article_number_is_a_card() {
    for name in [
        "name",
        "product",
        "item",
        "items_note",
        "sku_note",
        "item_card_number",
        "plus",
        "number",
        "code",
        "stock",
        "company",
        "product_value",
        "discount_code",
        "phone_number",
    ] {
        let text = format!(r#"{{"note":{{"{name}":"{EAN}"}}}}"#);
        assert!(found(&text).is_some() || masked(&text).is_some(), "{text}");
    }
    assert!(masked(r#"{"sku":{"note":"4006381300063"}}"#).is_some());
    assert!(masked(r#"{"product":{"value":"4006381300063"}}"#).is_some());
    assert_eq!(found(r#"{"item":{"card":{"number":"4006381300063"}}}"#).as_deref(), Some("/item/card/number"));
}

#[test]
fn no_more_of_a_name_is_read_than_its_beginning() {
    let long = "x".repeat(65);
    for name in [format!("{long}_id"), format!("{long}_sku"), format!("{}_id_id", "x".repeat(61))] {
        assert!(masked(&format!(r#"{{"{name}":"{EAN}"}}"#)).is_some(), "{name}");
    }
    let within = format!("{}_id", "x".repeat(61));
    assert_eq!(masked(&format!(r#"{{"{within}":"{EAN}"}}"#)), None);
    let card = format!("card_{long}");
    assert!(found(&format!(r#"{{"{card}":"{EAN}"}}"#)).is_some());
    assert!(!Name::read(&format!("{}é_id", "x".repeat(63))).is_identifier, "a cut within a character");
}

#[test]
fn a_place_is_told_that_holds_no_part_of_a_card_number() {
    for before in 480..520 {
        let text =
            format!(r#"{{"payment":{{"{}4111 1111 1111 1111":{{"x":"4111111111111111"}}}}}}"#, "k".repeat(before));
        let pointer = found(&text).unwrap();
        assert!(pointer == "/payment" && pointer.len() <= 512, "{pointer}");
        let text = format!(r#"{{"{}/4111 1111 1111 1111":1,"x":"\u0000"}}"#, "k".repeat(before));
        let doubled = format!(r#"{{"{0}4111 1111 1111 1111":1,"{0}4111 1111 1111 1111":2}}"#, "k".repeat(before));
        for error in [Json::parse(text.as_bytes()), Json::parse(doubled.as_bytes())].into_iter().filter_map(Result::err)
        {
            assert!(!error.to_string().contains("1111 1"), "{error}");
        }
    }
}

proptest! {
    #[test]
    fn nothing_panics_and_nothing_is_left(text in "[0-9 a-c-]{0,60}", key in "[a-z_0-9]{0,20}") {
        let mut document = Json::Object(vec![(key.into(), Json::String(text.into()))]);
        let _ = screen(&mut document.clone());
        mask(&mut document);
        prop_assert!(!mask(&mut document));
    }

    #[test]
    fn what_has_no_long_run_has_no_card(text in "[0-9 \u{a0}\u{2013}-]{0,20}[0-9x \u{2010}\u{e9}-]{0,40}") {
        // The look before the search: digits that only blanks and dashes part, counted in the plainest way.
        let parts = text.split(|sign: char| !sign.is_ascii_digit() && separator(sign.to_string().as_bytes()).is_none());
        let longest = parts.map(|part| part.chars().filter(char::is_ascii_digit).count()).max().unwrap_or(0);
        prop_assert_eq!(has_long_run(text.as_bytes()), longest >= MIN_DIGITS);
    }

    #[test]
    fn any_document_is_masked_to_a_document(bytes in "[\\[\\]{}:,\"0-9a-f.eE -]{0,120}") {
        if let Ok(document) = Json::parse(bytes.as_bytes()) {
            let mut document = document;
            mask(&mut document);
            prop_assert!(Json::parse(document.to_json_string().as_bytes()).is_ok());
        }
    }

    #[test]
    fn any_text_is_masked_without_panic(text in ".*") {
        let _ = mask_text(&text);
    }

    #[test]
    fn every_valid_number_is_masked(middle in 0u64..10_000_000_000, before in "[a-z ]{0,5}", after in "[a-z ]{0,5}") {
        let body = format!("41111{middle:0>10}");
        let card = (0..10).map(|check| format!("{body}{check}")).find(|card| passes_luhn(card.as_bytes())).unwrap();
        let masked = mask_text(&format!("{before}{card}{after}")).unwrap();
        prop_assert_eq!(masked, format!("{before}************{}{after}", &card[12..]));
    }
}
