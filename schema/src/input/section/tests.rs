//! Tests of this module.

use proptest::prelude::*;

use super::super::findings::Handling;
use super::*;
use crate::warning::Warning;

/// What a reader makes of member `a` of a document, and the warnings and errors by their codes and pointers.
fn read<T>(
    value: &str,
    handling: Handling,
    read: impl FnOnce(Section<'_>, &mut Findings) -> T,
) -> (T, Vec<(WarningCode, String)>, Vec<String>) {
    let text = format!(r#"{{"a": {value}}}"#);
    let document = Json::parse_text(&text).unwrap();
    let mut findings = Findings::new(handling);
    let section = Section::new(Some(&document), &Path::Root, &mut findings);
    let found = read(section, &mut findings);
    let (faults, warnings) = findings.into_parts();
    let warnings = warnings.into_iter().map(|Warning { code, field, .. }| (code, field)).collect();
    (found, warnings, faults.into_iter().map(|fault| fault.pointer).collect())
}

/// What is read leniently, with the code of its warning; and whether strict reading refuses it.
fn leniently<T>(value: &str, by: impl Fn(Section<'_>, &mut Findings) -> T) -> (T, Option<WarningCode>, bool) {
    let (found, warnings, faults) = read(value, Handling::Lenient, &by);
    assert!(faults.is_empty(), "{value} is refused: {faults:?}");
    let (_, _, refused) = read(value, Handling::Strict, &by);
    (found, warnings.first().map(|(code, _)| *code), !refused.is_empty())
}

#[test]
fn texts_are_read_of_numbers_too_and_what_is_empty_is_absent() {
    use WarningCode::{Malformed, TooLong};
    let text = |value: &str| leniently(value, |section, findings| section.text("a", findings));
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(text(r#"" x ""#), (some("x"), None, false));
    assert_eq!(text("12.50"), (some("12.50"), None, true));
    for empty in ["[]", "{}", "false", r#"{"b": ["", null]}"#] {
        assert_eq!(text(empty), (None, None, true), "{empty}");
    }
    for empty in ["null", r#""""#, r#""  ""#] {
        assert_eq!(text(empty), (None, None, false), "{empty}");
    }
    for odd in ["true", "[1]", r#"{"b": 1}"#] {
        assert_eq!(text(odd), (None, Some(Malformed), true), "{odd}");
    }
    let long = format!(r#""{}""#, "x".repeat(limits::FIELD_CHARS + 1));
    assert_eq!(text(&long), (None, Some(TooLong), true));
}

#[test]
fn an_identity_that_stands_for_a_missing_value_is_absent() {
    let id =
        |value: &str| leniently(value, |section, findings| section.identity_or_number("a", Identity::Id, findings));
    assert_eq!(id("7"), (Some("7".to_owned()), None, false));
    for value in ["0", r#""guest""#, r#""[object Object]""#] {
        assert_eq!(id(value), (None, Some(WarningCode::Placeholder), false), "{value}");
    }
    let email = |value: &str| leniently(value, |section, findings| section.identity("a", Identity::Email, findings));
    assert_eq!(email("0"), (None, Some(WarningCode::Placeholder), true));
}

#[test]
fn numbers_are_read_in_every_clear_form() {
    use WarningCode::{Malformed, Placeholder};
    let count = |value: &str| leniently(value, |section, findings| section.count("a", findings));
    assert_eq!(count(r#""3""#), (Some(3), None, false));
    assert_eq!(count("3.0"), (Some(3), None, false));
    assert_eq!(count(r#""٣""#), (Some(3), None, true));
    assert_eq!(count("2.5"), (None, Some(Malformed), true));
    assert_eq!(count(r#""n/a""#), (None, Some(Placeholder), true));
    let quantity = |value: &str| {
        let (quantity, warning, is_refused) = leniently(value, |section, findings| section.quantity("a", findings));
        (quantity.map(Quantity::to_decimal_text), warning, is_refused)
    };
    assert_eq!(quantity("2"), (Some("2".to_owned()), None, false));
    assert_eq!(quantity("0.3"), (Some("0.3".to_owned()), None, true));
    assert_eq!(quantity(r#""0,3""#), (Some("0.3".to_owned()), None, true));
    assert_eq!(quantity("-1"), (None, Some(Malformed), true));
}

#[test]
fn optional_amounts_are_rounded_half_to_even_and_the_orders_own_is_exact() {
    let euro = Currency::from_code("EUR");
    let money = |value: &str| {
        let (money, warning, is_refused) =
            leniently(value, |section, findings| section.positive_money("a", euro, findings));
        (money.map(Money::minor), warning, is_refused)
    };
    assert_eq!(money("12.50"), (Some(1_250), None, false));
    assert_eq!(money("16.666666666666668"), (Some(1_667), None, true));
    assert_eq!(money("5.005"), (Some(500), None, true));
    assert_eq!(money("5.015"), (Some(502), None, true));
    assert_eq!(money(r#""1.234,56""#), (Some(123_456), None, true));
    assert_eq!(money("-1"), (None, Some(WarningCode::Malformed), true));
    assert_eq!(money("1e20"), (None, Some(WarningCode::Malformed), true));
    for amount in ["5.005", r#""12,50""#, "-1", "true", r#""""#, "null"] {
        let (_, _, refused) =
            read(amount, Handling::Lenient, |section, findings| section.required_amount("a", euro, findings));
        assert_eq!(refused, ["/a"], "{amount}");
    }
}

#[test]
fn an_address_that_is_not_public_is_kept_with_a_warning() {
    use WarningCode::{Malformed, Placeholder, PrivateIp};
    let ip = |value: &str| {
        let (address, warning, is_refused) = leniently(value, |section, findings| section.ip_address("a", findings));
        (address.map(|address| address.to_string()), warning, is_refused)
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(ip(r#""73.138.111.54""#), (some("73.138.111.54"), None, false));
    assert_eq!(ip(r#""10.0.0.1, 73.138.111.54""#), (some("73.138.111.54"), None, true));
    assert_eq!(ip(r#""73.138.111.54:1234""#), (some("73.138.111.54"), None, true));
    assert_eq!(ip(r#""127.0.0.1""#), (some("127.0.0.1"), Some(PrivateIp), false));
    assert_eq!(ip(r#""10.0.0.1, 10.0.0.2""#), (None, Some(PrivateIp), true));
    assert_eq!(ip(r#""unknown""#), (None, Some(Placeholder), true));
    assert_eq!(ip(r#""here""#), (None, Some(Malformed), true));
}

#[test]
fn times_and_months_without_a_value_are_placeholders() {
    use WarningCode::Placeholder;
    let time = |value: &str| {
        let (at, warning, is_refused) =
            leniently(value, |section, findings| section.time("a", TimeForm::RFC_3339, findings));
        (at.map(Timestamp::to_rfc3339), warning, is_refused)
    };
    let at = Some("2021-09-06T18:05:09.000Z".to_owned());
    assert_eq!(time(r#""2021-09-06T18:05:09Z""#), (at.clone(), None, false));
    assert_eq!(time(r#""2021-09-06 18:05:09""#), (at.clone(), None, true));
    assert_eq!(time("1630951509"), (at, None, true));
    assert_eq!(time(r#""0000-00-00""#), (None, Some(Placeholder), true));
    assert_eq!(time(r#""1970-01-01T00:00:00Z""#), (None, Some(Placeholder), false));
    assert_eq!(time(r#""soon""#), (None, Some(WarningCode::Malformed), true));
    let expiry =
        |value: &str| leniently(value, |section, findings| section.expiry("a", ExpiryForm::WITH_SLASH, findings));
    let may = Some(CardExpiry { month: 5, year: 28 });
    assert_eq!(expiry(r#""05/28""#), (may, None, false));
    assert_eq!(expiry(r#""5/2028""#), (may, None, true));
    assert_eq!(expiry("528"), (may, None, true));
    assert_eq!(expiry(r#""00/00""#), (None, Some(Placeholder), true));
}

#[test]
fn the_digits_of_a_masked_card_are_read() {
    let first = |value: &str| leniently(value, |section, findings| section.first_digits("a", 6, 8, findings));
    let last = |value: &str| leniently(value, |section, findings| section.last_digits("a", 4, findings));
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(first("411111"), (some("411111"), None, false));
    assert_eq!(first(r#""411111******1111""#), (some("411111"), None, true));
    assert_eq!(first(r#""4111 11""#), (some("411111"), None, true));
    assert_eq!(first(r#""4111111111""#), (some("41111111"), None, true));
    assert_eq!(first(r#""41111""#), (None, Some(WarningCode::Malformed), true));
    assert_eq!(last("42"), (some("0042"), None, false));
    assert_eq!(last(r#""**** 1111""#), (some("1111"), None, true));
    assert_eq!(last(r#""xx11""#), (None, Some(WarningCode::Malformed), true));
}

#[test]
fn lists_are_read_in_the_forms_that_programs_write() {
    let names = |value: &str| {
        leniently(value, |section, findings| {
            section.list("a", findings, |item, findings| item.text("n", findings).unwrap_or_default())
        })
    };
    let some = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    assert_eq!(names(r#"[{"n": "x"}, {"n": "y"}]"#), (some(&["x", "y"]), None, false));
    assert_eq!(names(r#"[{"n": ""}, {}, {"n": "y"}]"#), (some(&["y"]), None, false));
    assert_eq!(names(r#"{"1": {"n": "x"}, "3": {"n": "y"}}"#), (some(&["x", "y"]), None, true));
    assert_eq!(names(r#"{"n": "x"}"#), (some(&["x"]), None, true));
    assert_eq!(names("{}"), (some(&[]), None, true));
    assert_eq!(names(r#""x""#), (some(&[]), Some(WarningCode::Malformed), true));
    let (_, warnings, _) = read(r#"[7, {"n": "x"}]"#, Handling::Lenient, |section, findings| {
        section.list("a", findings, |item, findings| item.text("n", findings))
    });
    assert_eq!(warnings, [(WarningCode::Malformed, "/a/0".to_owned())]);
}

#[test]
fn a_long_list_is_read_leniently_and_refused_strictly() {
    let long = format!("[{}]", vec![r#"{"n":1}"#; limits::ORDER_LIST_DOCUMENTED + 1].join(","));
    let count = |section: Section<'_>, findings: &mut Findings| section.list("a", findings, |_, _| ()).len();
    assert_eq!(leniently(&long, count), (limits::ORDER_LIST_DOCUMENTED + 1, None, true));
}

#[test]
fn warnings_are_few_and_each_is_there_once() {
    let many = format!("[{}]", vec!["7"; 200].join(","));
    let list = |section: Section<'_>, findings: &mut Findings| {
        section.list("a", findings, |_, _| ());
        section.list("a", findings, |_, _| ());
    };
    let (_, warnings, _) = read(&many, Handling::Lenient, list);
    assert_eq!(warnings.len(), limits::ORDER_WARNINGS);
    let (_, warnings, _) = read("[7]", Handling::Lenient, list);
    assert_eq!(warnings.len(), 1);
}

#[test]
fn an_update_is_read_in_every_clear_form_and_refused_when_it_is_not_clear() {
    let flag = |value: &str| read(value, Handling::Complete, |section, findings| section.flag("a", findings));
    assert_eq!(flag(r#""yes""#), (Some(true), vec![], vec![]));
    assert_eq!(flag(r#""perhaps""#), (None, vec![], vec!["/a".to_owned()]));
}

fn any_value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        "null|true|false|0|-1|1\\.5|1e999999999|1630951509",
        "\"(\\PC{0,12}|[0-9./:, -]{0,20})\""
            .prop_filter("an escape", |text| !text.contains('\\') && !text[1..text.len() - 1].contains('"')),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::btree_map("[a-c0-9]", inner, 0..4).prop_map(|members| {
                let members: Vec<_> = members.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}

fn all(section: Section<'_>, findings: &mut Findings) {
    let euro = Currency::from_code("EUR");
    section.text("a", findings);
    section.identity_or_number("a", Identity::Phone, findings);
    section.identity("a", Identity::Email, findings);
    section.first_digits("a", 6, 8, findings);
    section.last_digits("a", 4, findings);
    section.flag("a", findings);
    section.count("a", findings);
    section.quantity("a", findings);
    section.millionths("a", findings);
    section.money("a", euro, findings);
    section.positive_money("a", None, findings);
    section.country("a", findings);
    section.time("a", TimeForm::RFC_3339, findings);
    section.ip_address("a", findings);
    section.expiry("a", ExpiryForm::WITH_SLASH, findings);
    section.choice("a", |text| (text == "x").then_some(()), "expected x", findings);
    section.object("a", findings, |inner, findings| inner.text("a", findings));
    section.list("a", findings, |inner, findings| inner.text("a", findings));
}

proptest! {
    #[test]
    fn no_value_of_an_optional_member_refuses_the_document(value in any_value()) {
        let (_, _, faults) = read(&value, Handling::Lenient, all);
        prop_assert!(faults.is_empty(), "{:?}", faults);
        read(&value, Handling::Strict, all);
    }
}
