//! Whether a browser's languages fit a country (RFC 9110, `Accept-Language`; BCP 47 language tags).

use touchstone_schema::order::CountryCode;

/// Whether the list names languages, all of them known here, and none fits the country. English fits everywhere, since
/// browsers all over the world are left at it.
pub(super) fn is_foreign(accepted: &str, country: CountryCode) -> bool {
    let mut tags = accepted.split(',').map(|entry| entry.split(';').next().unwrap_or("").trim());
    let mut some = false;
    let all_foreign = tags.all(|tag| {
        let mut parts = tag.split(['-', '_']);
        let language = parts.next().unwrap_or("");
        let here = parts.any(|part| part.eq_ignore_ascii_case(country.as_str()));
        some = true;
        !here && spoken_in(language).is_some_and(|countries| !countries.split(' ').any(|code| code == country.as_str()))
    });
    some && all_foreign
}

/// Countries where a language is official, in the whole or in a part, or spoken by one in ten (Unicode CLDR, territory
/// information, version 48.2), and some with many speakers more. Languages that are not listed are not judged.
fn spoken_in(language: &str) -> Option<&'static str> {
    let mut lower = [0u8; 2];
    let bytes = language.as_bytes();
    if bytes.len() != lower.len() {
        return None;
    }
    lower.copy_from_slice(bytes);
    lower.make_ascii_lowercase();
    Some(match &lower {
        b"bg" => "BG",
        b"cs" => "CZ SK",
        b"da" => "DK GL FO",
        b"de" => "DE AT CH LI LU BE IT CZ DK FI HU LT NL PL SI SK",
        b"el" => "GR CY",
        b"es" => "ES MX AR CO CL PE VE EC GT CU BO DO HN PY SV NI CR PA UY PR GQ US AD GI BZ FR PH PT RO SX",
        b"et" => "EE",
        b"fi" => "FI SE EE",
        b"fr" => {
            "FR BE CH LU MC CA SN CI ML BF NE TG BJ GN CD CG CM GA MG DJ TD CF HT MA DZ TN GP MQ RE GF YT NC \
             PF LB AD AT BI BL DE GB GQ GW IE IT KM MF MR MT MU NL PM PT RO RW SC ST TF VU WF"
        }
        b"he" => "IL",
        b"hr" => "HR BA AT RS SI",
        b"hu" => "HU RO SK RS AT",
        b"id" => "ID",
        b"is" => "IS",
        b"it" => "IT CH SM VA HR MT",
        b"ja" => "JP",
        b"ko" => "KR KP CN",
        b"lt" => "LT PL",
        b"lv" => "LV",
        b"nb" | b"nn" | b"no" => "NO SJ BV",
        b"nl" => "NL BE SR AW CW SX BQ",
        b"pl" => "PL",
        b"pt" => "PT BR AO MZ CV GW ST TL MO LU GQ",
        b"ro" => "RO MD RS",
        b"ru" => "RU BY KZ KG UA UZ TJ TM AM AZ GE MD EE LV LT IL BG PL SJ",
        b"sk" => "SK CZ RS",
        b"sl" => "SI AT",
        b"sr" => "RS BA ME XK",
        b"sv" => "SE FI AX DK",
        b"th" => "TH",
        b"tr" => "TR CY BG",
        b"uk" => "UA MD RS",
        b"vi" => "VN",
        b"zh" => "CN TW HK MO SG MY BN",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn foreign(accepted: &str, country: &str) -> bool {
        CountryCode::parse(country).is_some_and(|country| is_foreign(accepted, country))
    }

    #[test]
    fn only_languages_that_are_known_to_be_spoken_elsewhere_are_foreign() {
        assert!(foreign("ru-RU,ru;q=0.9", "BR"));
        assert!(foreign("PL", "PT"));
        assert!(!foreign("ru-RU,en;q=0.8", "BR"));
        assert!(!foreign("de-AT", "CH"));
        assert!(!foreign("ja-BR", "BR"));
        assert!(!foreign("tlh", "BR"));
        assert!(!foreign("*", "BR"));
        assert!(!foreign("", "BR"));
    }
}
