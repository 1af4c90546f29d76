//! Tests of this module.

use proptest::prelude::*;

use super::*;

#[test]
fn booleans_are_read_in_words_and_digits() {
    for text in ["true", "TRUE", "1", "yes", "Y", "t", "on", "١"] {
        assert_eq!(boolean(text), Some(true), "{text}");
    }
    for text in ["false", "0", "No", "n", "off", "F"] {
        assert_eq!(boolean(text), Some(false), "{text}");
    }
    assert_eq!(["maybe", "2", "", "-1", "null"].map(boolean), [None; 5]);
}

fn rfc_3339(text: &str) -> Option<String> {
    match moment(text)? {
        Moment::At(at) => Some(at.to_rfc3339()),
        Moment::Placeholder => Some("placeholder".to_owned()),
    }
}

#[test]
fn times_are_read_however_shops_write_them() {
    for (text, expected) in [
        ("2021-09-06T18:05:09", "2021-09-06T18:05:09.000Z"),
        ("2021-09-06T18:05:09Z", "2021-09-06T18:05:09.000Z"),
        ("2021-09-06T18:05:09+0100", "2021-09-06T17:05:09.000Z"),
        ("2021-09-06T18:05:09+01:00", "2021-09-06T17:05:09.000Z"),
        ("2021-09-06 18:05:09 +0100", "2021-09-06T17:05:09.000Z"),
        ("2021-09-06 18:05:09", "2021-09-06T18:05:09.000Z"),
        ("2021-09-06 18:05:09.250", "2021-09-06T18:05:09.250Z"),
        ("2021-09-06 18:05:09 UTC", "2021-09-06T18:05:09.000Z"),
        ("2021/09/06 18:05:09", "2021-09-06T18:05:09.000Z"),
        ("2021.09.06 18:05", "2021-09-06T18:05:00.000Z"),
        ("2021-09-06", "2021-09-06T00:00:00.000Z"),
        ("20210906", "2021-09-06T00:00:00.000Z"),
        ("Mon, 06 Sep 2021 18:05:09 +0000", "2021-09-06T18:05:09.000Z"),
        ("1630951509", "2021-09-06T18:05:09.000Z"),
        ("1630951509.25", "2021-09-06T18:05:09.250Z"),
        ("1630951509250", "2021-09-06T18:05:09.250Z"),
        ("1.63095150925e12", "2021-09-06T18:05:09.250Z"),
        ("1630951509250123", "2021-09-06T18:05:09.250Z"),
        ("٢٠٢١-٠٩-٠٦", "2021-09-06T00:00:00.000Z"),
        ("0000-00-00", "placeholder"),
        ("0000-00-00 00:00:00", "placeholder"),
        ("0001-01-01T00:00:00Z", "placeholder"),
        ("1970-01-01 00:00:00", "placeholder"),
        ("0", "placeholder"),
    ] {
        assert_eq!(rfc_3339(text).as_deref(), Some(expected), "{text}");
    }
    for text in [
        "",
        "yesterday",
        "09/06/2021",
        "06.09.2021",
        "2021-13-01",
        "2021-02-30",
        "7",
        "-1",
        "999999999999999999",
        "1e999999",
    ] {
        assert_eq!(rfc_3339(text), None, "{text}");
    }
}

#[test]
fn the_first_public_address_of_a_list_counts() {
    let one = |text: &str| Some(IpForm::One(text.parse().unwrap()));
    let public = |text: &str| Some(IpForm::FirstPublic(text.parse().unwrap()));
    for (text, expected) in [
        ("73.138.111.54", one("73.138.111.54")),
        ("73.138.111.54:443", one("73.138.111.54")),
        ("[2a00:1450::5]:443", one("2a00:1450::5")),
        ("[2a00:1450::5]", one("2a00:1450::5")),
        ("2a00:1450::5", one("2a00:1450::5")),
        ("fe80::1%eth0", one("fe80::1")),
        ("::ffff:73.138.111.54", one("73.138.111.54")),
        ("10.0.0.1", one("10.0.0.1")),
        ("10.0.0.1, 73.138.111.54, 8.8.8.8", public("73.138.111.54")),
        ("unknown, 73.138.111.54", public("73.138.111.54")),
        ("for=\"[2a00:1450::5]:443\", for=10.0.0.1", public("2a00:1450::5")),
        ("10.0.0.1 192.168.0.1", Some(IpForm::NonePublic)),
        ("unknown", None),
        ("unknown, hidden", None),
        ("", None),
        (",", None),
        ("1.2.3", None),
        ("localhost:80", None),
    ] {
        assert_eq!(ip_address(text), expected, "{text}");
    }
}

#[test]
fn months_are_read_however_gateways_write_them() {
    for text in [
        "05/28",
        "5/28",
        "05/2028",
        "05-28",
        "05 / 28",
        "0528",
        "528",
        "052028",
        "202805",
        "2028-05",
        "2028-05-31",
        "٠٥/٢٨",
    ] {
        let Some(Expiry::Until(month)) = expiry(text) else { panic!("{text}") };
        assert_eq!(month.to_string(), "05/28", "{text}");
    }
    for text in ["00/00", "0000", "00/0000"] {
        assert_eq!(expiry(text), Some(Expiry::Placeholder), "{text}");
    }
    for text in ["", "13/28", "0/28", "05", "05/1928", "05/28/30", "May 28", "2805", "05/280", "1328"] {
        assert_eq!(expiry(text), None, "{text}");
    }
}

#[test]
fn amounts_are_read_with_points_and_commas_unless_they_may_be_either() {
    for (text, expected) in [
        ("12.50", "12.50"),
        ("12,50", "12.50"),
        ("12,5", "12.5"),
        ("-12,50", "-12.50"),
        ("1.234,56", "1234.56"),
        ("1,234.56", "1234.56"),
        ("1 234,56", "1234.56"),
        ("1'234.56", "1234.56"),
        ("1.234.567,8", "1234567.8"),
        ("1.234.567", "1234567"),
        ("1,234,567", "1234567"),
        ("1 234", "1234"),
        ("16.666666666666668", "16.666666666666668"),
        ("5.005", "5.005"),
        ("1e3", "1e3"),
        ("١٢٫٥", "12.5"),
    ] {
        assert_eq!(decimal(text).as_deref(), Some(expected), "{text}");
    }
    for text in [
        "",
        "1,234",
        "1,23,456.7",
        "1234,567,8",
        "12.5€",
        "EUR 5",
        "--1",
        ",",
        ".",
        "1.2345,6",
        "12,34.5",
        "12 50",
        "1 234.567,8",
    ] {
        assert_eq!(decimal(text), None, "{text}");
    }
}

#[test]
fn countries_are_read_by_code_name_and_locale() {
    for (text, expected) in [
        ("DE", "DE"),
        ("de", "DE"),
        ("UK", "GB"),
        ("EL", "GR"),
        ("DEU", "DE"),
        ("usa", "US"),
        ("XKX", "XK"),
        ("Germany", "DE"),
        ("sv_SE", "SE"),
        ("en-GB", "GB"),
    ] {
        assert_eq!(country(text).map(|code| code.to_string()).as_deref(), Some(expected), "{text}");
    }
    for text in ["", "ZZ", "ZZZ", "Atlantis", "1", "en_XX", "_"] {
        assert_eq!(country(text), None, "{text}");
    }
}

#[test]
fn every_country_has_one_code_of_three_letters() {
    let two = ('A'..='Z').flat_map(|a| ('A'..='Z').map(move |b| format!("{a}{b}")));
    let countries = two.filter(|code| code != "UK" && CountryCode::parse(code).is_some()).count();
    let letters = || 'A'..='Z';
    let three = letters().flat_map(|a| letters().flat_map(move |b| letters().map(move |c| format!("{a}{b}{c}"))));
    let named: std::collections::HashSet<_> = three.filter_map(|code| CountryCode::by_alpha_3(&code)).collect();
    assert_eq!(named.len(), countries);
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC{0,40}|[0-9./:,; -]{0,30}") {
        boolean(&text);
        moment(&text);
        ip_address(&text);
        expiry(&text);
        country(&text);
        if let Some(number) = decimal(&text) {
            prop_assert!(Decimal::parse(&number).is_some());
        }
    }

    #[test]
    fn an_amount_with_a_decimal_comma_is_the_one_with_a_point(whole in 0u32..10_000_000, cents in 0u32..100) {
        let point = format!("{whole}.{cents:02}");
        let comma = point.replace('.', ",");
        prop_assert_eq!(decimal(&comma).unwrap(), decimal(&point).unwrap());
    }

    #[test]
    fn seconds_and_milliseconds_of_one_time_are_one_time(seconds in 100_000_000i64..4_000_000_000) {
        prop_assert_eq!(moment(&seconds.to_string()), moment(&(seconds * 1_000).to_string()));
    }
}
