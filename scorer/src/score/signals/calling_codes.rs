//! Which countries an international telephone number can belong to (ITU-T E.164 assigned country codes).
//!
//! Compared with the regions by calling code of libphonenumber's metadata, version 9.0.43; some territories that share
//! a code without a numbering plan of their own are added.

use std::fmt;

use touchstone_schema::order::CountryCode;

/// Codes of no country: freephone, satellites, networks of the whole world.
const GLOBAL: [u16; 9] = [800, 808, 870, 878, 881, 882, 883, 888, 979];

/// The countries that share one calling code, the largest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Countries(&'static str);

impl Countries {
    /// Whether a number with this calling code can be of `country`.
    pub(super) fn covers(self, country: CountryCode) -> bool {
        self.0.split(' ').any(|code| code == country.as_str())
    }
}

impl fmt::Display for Countries {
    /// The code of the only country, or of the largest with a hint that there are others.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.split_once(' ') {
            Some((largest, _)) => write!(f, "{largest} or a neighbour"),
            None => f.write_str(self.0),
        }
    }
}

/// The countries of a number that is written with its country code: `+49 …` or `0049 …`.
pub(super) fn countries(phone: &str) -> Option<Countries> {
    let digits = international_digits(phone)?;
    let mut code = 0u16;
    // No code is the beginning of another, so the first that is assigned is the one.
    for digit in digits.take(3) {
        code = code * 10 + digit;
        if let Some(countries) = assigned(code) {
            return Some(Countries(countries));
        }
    }
    None
}

/// Whether the number is written with a country code that is not assigned to anybody.
pub(super) fn is_unassigned(phone: &str) -> bool {
    let Some(digits) = international_digits(phone) else { return false };
    let code = digits.take(3).fold(0, |code, digit| code * 10 + digit);
    countries(phone).is_none() && !GLOBAL.contains(&code)
}

fn international_digits(phone: &str) -> Option<impl Iterator<Item = u16> + '_> {
    let phone = phone.trim_start();
    let number = phone.strip_prefix('+').or_else(|| phone.strip_prefix("00"))?;
    Some(number.chars().filter_map(|c| c.to_digit(10)).filter_map(|digit| u16::try_from(digit).ok()))
}

fn assigned(code: u16) -> Option<&'static str> {
    Some(match code {
        1 => "US CA PR DO JM TT BS BB BM GU VI AG AI AS DM GD KN KY LC MP MS SX TC VC VG UM",
        7 => "RU KZ",
        20 => "EG",
        27 => "ZA",
        30 => "GR",
        31 => "NL",
        32 => "BE",
        33 => "FR",
        34 => "ES",
        36 => "HU",
        39 => "IT VA",
        40 => "RO",
        41 => "CH",
        43 => "AT",
        44 => "GB GG JE IM",
        45 => "DK",
        46 => "SE",
        47 => "NO SJ BV",
        48 => "PL",
        49 => "DE",
        51 => "PE",
        52 => "MX",
        53 => "CU",
        54 => "AR",
        55 => "BR",
        56 => "CL",
        57 => "CO",
        58 => "VE",
        60 => "MY",
        61 => "AU CX CC",
        62 => "ID",
        63 => "PH",
        64 => "NZ PN",
        65 => "SG",
        66 => "TH",
        81 => "JP",
        82 => "KR",
        84 => "VN",
        86 => "CN",
        90 => "TR",
        91 => "IN",
        92 => "PK",
        93 => "AF",
        94 => "LK",
        95 => "MM",
        98 => "IR",
        211 => "SS",
        212 => "MA EH",
        213 => "DZ",
        216 => "TN",
        218 => "LY",
        220 => "GM",
        221 => "SN",
        222 => "MR",
        223 => "ML",
        224 => "GN",
        225 => "CI",
        226 => "BF",
        227 => "NE",
        228 => "TG",
        229 => "BJ",
        230 => "MU",
        231 => "LR",
        232 => "SL",
        233 => "GH",
        234 => "NG",
        235 => "TD",
        236 => "CF",
        237 => "CM",
        238 => "CV",
        239 => "ST",
        240 => "GQ",
        241 => "GA",
        242 => "CG",
        243 => "CD",
        244 => "AO",
        245 => "GW",
        246 => "IO",
        247 => "SH",
        248 => "SC",
        249 => "SD",
        250 => "RW",
        251 => "ET",
        252 => "SO",
        253 => "DJ",
        254 => "KE",
        255 => "TZ",
        256 => "UG",
        257 => "BI",
        258 => "MZ",
        260 => "ZM",
        261 => "MG",
        262 => "RE YT TF",
        263 => "ZW",
        264 => "NA",
        265 => "MW",
        266 => "LS",
        267 => "BW",
        268 => "SZ",
        269 => "KM",
        290 => "SH",
        291 => "ER",
        297 => "AW",
        298 => "FO",
        299 => "GL",
        350 => "GI",
        351 => "PT",
        352 => "LU",
        353 => "IE",
        354 => "IS",
        355 => "AL",
        356 => "MT",
        357 => "CY",
        358 => "FI AX",
        359 => "BG",
        370 => "LT",
        371 => "LV",
        372 => "EE",
        373 => "MD",
        374 => "AM",
        375 => "BY",
        376 => "AD",
        377 => "MC",
        378 => "SM",
        380 => "UA",
        381 => "RS",
        382 => "ME",
        383 => "XK",
        385 => "HR",
        386 => "SI",
        387 => "BA",
        389 => "MK",
        420 => "CZ",
        421 => "SK",
        423 => "LI",
        500 => "FK GS",
        501 => "BZ",
        502 => "GT",
        503 => "SV",
        504 => "HN",
        505 => "NI",
        506 => "CR",
        507 => "PA",
        508 => "PM",
        509 => "HT",
        590 => "GP BL MF",
        591 => "BO",
        592 => "GY",
        593 => "EC",
        594 => "GF",
        595 => "PY",
        596 => "MQ",
        597 => "SR",
        598 => "UY",
        599 => "CW BQ",
        670 => "TL",
        672 => "NF AQ HM",
        673 => "BN",
        674 => "NR",
        675 => "PG",
        676 => "TO",
        677 => "SB",
        678 => "VU",
        679 => "FJ",
        680 => "PW",
        681 => "WF",
        682 => "CK",
        683 => "NU",
        685 => "WS",
        686 => "KI",
        687 => "NC",
        688 => "TV",
        689 => "PF",
        690 => "TK",
        691 => "FM",
        692 => "MH",
        850 => "KP",
        852 => "HK",
        853 => "MO",
        855 => "KH",
        856 => "LA",
        880 => "BD",
        886 => "TW",
        960 => "MV",
        961 => "LB",
        962 => "JO",
        963 => "SY",
        964 => "IQ",
        965 => "KW",
        966 => "SA",
        967 => "YE",
        968 => "OM",
        970 => "PS",
        971 => "AE",
        972 => "IL PS",
        973 => "BH",
        974 => "QA",
        975 => "BT",
        976 => "MN",
        977 => "NP",
        992 => "TJ",
        993 => "TM",
        994 => "AZ",
        995 => "GE",
        996 => "KG",
        998 => "UZ",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_code_is_a_country() {
        for countries in (0..1_000).filter_map(assigned) {
            assert!(countries.split(' ').all(|code| CountryCode::parse(code).is_some()), "{countries}");
        }
    }

    #[test]
    fn no_code_begins_another() {
        for code in (10..1_000).filter(|code| assigned(*code).is_some()) {
            assert!(assigned(code / 10).is_none() && (code < 100 || assigned(code / 100).is_none()), "{code}");
        }
    }

    #[test]
    fn only_international_numbers_have_a_country() {
        assert_eq!(countries("+353 1 234 5678"), Some(Countries("IE")));
        assert_eq!(countries("00 44 20 7946 0000"), Some(Countries("GB GG JE IM")));
        assert_eq!(countries("030 1234567"), None);
        assert_eq!(countries("+"), None);
    }

    #[test]
    fn codes_of_networks_are_assigned_although_to_no_country() {
        assert!(!is_unassigned("+881 6 12345678") && !is_unassigned("+49 30 1234567") && !is_unassigned("030 123456"));
        assert!(is_unassigned("+999 123456789") && is_unassigned("+"));
    }
}
