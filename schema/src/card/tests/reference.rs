//! The same scan in the plainest way, quadratic as it is: what the linear one finds is held against it.

use proptest::prelude::*;

use super::super::number::{is_card_number, separator};
use super::*;

/// A text masked in the plainest way: each stretch of groups is tried, the longest first, and what was masked is text like
/// any other.
fn naively_masked(text: &str) -> Option<String> {
    let mut signs: Vec<char> = text.chars().collect();
    let is_between = |sign: char| separator(sign.to_string().as_bytes()).is_some();
    let mut first = 0;
    let mut has_masked = false;
    while first < signs.len() {
        let is_digit = |at: usize| signs.get(at).is_some_and(char::is_ascii_digit);
        let begins = is_digit(first) && (first == 0 || !is_digit(first - 1));
        let stretch = signs[first..].iter().take_while(|sign| sign.is_ascii_digit() || is_between(**sign)).count();
        let ends = (first + 1..=first + stretch).rev().filter(|end| begins && is_digit(end - 1) && !is_digit(*end));
        let card = ends.map(|end| first..end).find(|card| {
            let digits: String = signs[card.clone()].iter().filter(|sign| sign.is_ascii_digit()).collect();
            is_card_number(digits.as_bytes())
        });
        if let Some(card) = card {
            has_masked = true;
            let places: Vec<usize> = card.filter(|at| signs[*at].is_ascii_digit()).collect();
            places[..places.len() - 4].iter().for_each(|at| signs[*at] = '*');
        }
        first += 1;
    }
    has_masked.then(|| signs.into_iter().collect())
}

/// What the names above a value say, asked of the whole path each time.
fn naive_treatment(names: &[&str]) -> (bool, bool) {
    let read: Vec<Name> = names.iter().map(|name| Name::read(name)).collect();
    let Some((own, above)) = read.split_last() else { return (false, false) };
    let is_article_number = |end: usize| {
        let mut end = end;
        loop {
            let Some(name) = end.checked_sub(1).map(|last| read[last]) else { return false };
            match name.article {
                Article::Number => return true,
                Article::Thing | Article::Other => return false,
                Article::NumberOf => {
                    let mut thing = end - 1;
                    while thing > 0 && read[thing - 1].article == Article::Element {
                        thing -= 1;
                    }
                    if thing > 0 && read[thing - 1].article == Article::Thing {
                        return true;
                    }
                }
                Article::ValueOf | Article::Element => {}
            }
            end -= 1;
        }
    };
    let is_kept = own.is_identifier || is_article_number(read.len());
    let is_refused = own.says_card || above.iter().any(|name| name.says_card || name.says_payment);
    (is_kept, is_refused)
}

/// The first refused place, and whether anything is masked, by the naive way; `names` are those above.
fn naive_scan<'d>(value: &'d Json<'_>, names: &mut Vec<&'d str>, pointer: &str) -> (Option<String>, bool) {
    let (is_kept, is_refused) = naive_treatment(names);
    let has_card = match value {
        Json::String(text) => naively_masked(text).is_some(),
        Json::Number(raw) => number_card(raw).is_some(),
        Json::Array(items) => {
            let found = items.iter().enumerate().map(|(at, item)| naive_scan(item, names, &format!("{pointer}/{at}")));
            return found
                .collect::<Vec<_>>()
                .into_iter()
                .fold((None, false), |all, one| (all.0.or(one.0), all.1 | one.1));
        }
        Json::Object(members) => {
            let is_payment = names.iter().any(|name| Name::read(name).says_card || Name::read(name).says_payment);
            let is_article_number = {
                let mut with = names.clone();
                with.push("value");
                naive_treatment(&with).0
            };
            let mut all = (None, false);
            for (key, member) in members {
                if naively_masked(key).is_some() && !is_article_number {
                    all.1 = true;
                    all.0 = all.0.or_else(|| is_payment.then(|| pointer.to_owned()));
                }
                names.push(key);
                let one = naive_scan(member, names, &format!("{pointer}/{key}"));
                names.pop();
                all = (all.0.or(one.0), all.1 | one.1);
            }
            return all;
        }
        Json::Null | Json::Bool(_) => false,
    };
    let found = has_card && !is_kept;
    ((found && is_refused).then(|| pointer.to_owned()), found)
}

fn name() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "note",
        "payment",
        "paymentMethod",
        "card",
        "card_id",
        "id",
        "sku",
        "skus",
        "product",
        "items",
        "number",
        "code",
        "value",
        "0",
        "ean",
        "reference",
        "PAN",
        "4006381300063",
        "4111 1111",
        "a-b",
        "name",
    ])
    .prop_map(str::to_owned)
}

/// Texts in which card numbers are likely.
fn text() -> impl Strategy<Value = String> {
    let part = prop::sample::select(vec![
        "4111111111111111",
        "4222222222222",
        "4006381300063",
        "378282246310005",
        "6759649826438453",
        "4111",
        "1111",
        "4",
        "0",
        "1",
        "42",
        " ",
        "-",
        "  ",
        "\u{a0}",
        "\u{2013}",
        "x",
        "é",
        ".",
        "4 2 2 2 2 2 2 2 2 2 2 2 2",
        "4242 4242",
    ]);
    prop::collection::vec(part, 0..12).prop_map(|parts| parts.concat())
}

fn document() -> impl Strategy<Value = Json<'static>> {
    let leaf = prop_oneof![
        text().prop_map(|text| Json::String(text.into())),
        prop::sample::select(vec!["4111111111111111", "4.222222222222e12", "4006381300063", "12.50", "1e99999", "-7"])
            .prop_map(Json::Number),
        Just(Json::Null),
    ];
    leaf.prop_recursive(5, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Json::Array),
            prop::collection::btree_map(name(), inner, 0..5).prop_map(|members| {
                Json::Object(members.into_iter().map(|(key, value)| (Cow::Owned(key), value)).collect())
            }),
        ]
    })
}

proptest! {
    #[test]
    fn the_cards_of_a_text_are_those_that_trying_every_stretch_finds(text in text()) {
        prop_assert_eq!(mask_text(&text), naively_masked(&text), "{}", text);
    }

    #[test]
    fn the_cards_of_digits_and_blanks_are_those_that_trying_every_stretch_finds(text in "[03-6]{1,4}([ -]?[0-9]{1,4}){3,12}") {
        prop_assert_eq!(mask_text(&text), naively_masked(&text), "{}", text);
    }

    #[test]
    fn a_document_is_screened_as_by_asking_the_whole_path_of_each_value(document in document()) {
        let (refused, masks) = naive_scan(&document, &mut Vec::new(), "");
        let refused = refused.map(|pointer| mask_text(&pointer).unwrap_or(pointer));
        let mut screened = document.clone();
        match screen(&mut screened) {
            Err(card) => prop_assert_eq!(Some(card.pointer), refused),
            Ok(has_masked) => {
                prop_assert_eq!(None, refused);
                prop_assert_eq!(has_masked, masks);
                prop_assert_eq!(has_masked, screened != document);
            }
        }
        let mut masked = document.clone();
        prop_assert_eq!(mask(&mut masked), masks);
    }

    #[test]
    fn masking_again_changes_nothing(document in document()) {
        let mut document = document;
        mask(&mut document);
        let once = document.clone();
        prop_assert!(!mask(&mut document));
        prop_assert_eq!(&document, &once);
        prop_assert_eq!(screen(&mut document), Ok(false));
        prop_assert!(Json::parse(document.to_json_string().as_bytes()).is_ok());
    }
}
