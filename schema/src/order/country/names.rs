//! Countries by their names: what shops call them in English, and in the language of the country where shops often do.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::CountryCode;
use crate::history::normal::folded;

/// A line for each code: the names that it goes by. Case, spaces, marks, `the` and `and` make no difference.
const NAMES: &str = "\
AD Andorra
AE United Arab Emirates|UAE
AF Afghanistan
AG Antigua and Barbuda|Antigua
AI Anguilla
AL Albania
AM Armenia
AO Angola
AQ Antarctica
AR Argentina
AS American Samoa
AT Austria|Österreich
AU Australia
AW Aruba
AX Åland Islands|Aland Islands|Åland|Aland
AZ Azerbaijan
BA Bosnia and Herzegovina|Bosnia
BB Barbados
BD Bangladesh
BE Belgium|België|Belgique|Belgien
BF Burkina Faso
BG Bulgaria
BH Bahrain
BI Burundi
BJ Benin
BL Saint Barthélemy|Saint Barthelemy|St. Barthélemy|St. Barthelemy
BM Bermuda
BN Brunei Darussalam|Brunei
BO Bolivia|Bolivia, Plurinational State of|Plurinational State of Bolivia
BQ Bonaire, Sint Eustatius and Saba|Caribbean Netherlands|Bonaire
BR Brazil|Brasil
BS Bahamas
BT Bhutan
BV Bouvet Island
BW Botswana
BY Belarus
BZ Belize
CA Canada
CC Cocos (Keeling) Islands|Cocos Islands
CD Democratic Republic of the Congo|Congo, Democratic Republic of the|Congo (DRC)|Congo - Kinshasa|DR Congo
CF Central African Republic
CG Congo|Republic of the Congo|Congo - Brazzaville
CH Switzerland|Schweiz|Suisse|Svizzera
CI Côte d'Ivoire|Cote d'Ivoire|Ivory Coast
CK Cook Islands
CL Chile
CM Cameroon
CN China|People's Republic of China|Mainland China
CO Colombia
CR Costa Rica
CU Cuba
CV Cabo Verde|Cape Verde
CW Curaçao|Curacao
CX Christmas Island
CY Cyprus
CZ Czechia|Czech Republic|Česká republika|Česko
DE Germany|Deutschland|Tyskland
DJ Djibouti
DK Denmark|Danmark
DM Dominica
DO Dominican Republic
DZ Algeria
EC Ecuador
EE Estonia|Eesti
EG Egypt
EH Western Sahara
ER Eritrea
ES Spain|España|Espana
ET Ethiopia
FI Finland|Suomi
FJ Fiji
FK Falkland Islands|Falkland Islands (Malvinas)|Malvinas
FM Micronesia|Micronesia, Federated States of|Federated States of Micronesia
FO Faroe Islands|Faeroe Islands
FR France|Frankreich
GA Gabon
GB United Kingdom|United Kingdom of Great Britain and Northern Ireland|Great Britain|Britain|England|Scotland|Wales|Northern Ireland
GD Grenada
GE Georgia
GF French Guiana
GG Guernsey
GH Ghana
GI Gibraltar
GL Greenland
GM Gambia
GN Guinea
GP Guadeloupe
GQ Equatorial Guinea
GR Greece|Hellas
GS South Georgia and the South Sandwich Islands|South Georgia
GT Guatemala
GU Guam
GW Guinea-Bissau
GY Guyana
HK Hong Kong|Hong Kong SAR|Hong Kong SAR China
HM Heard Island and McDonald Islands
HN Honduras
HR Croatia|Hrvatska
HT Haiti
HU Hungary|Magyarország
ID Indonesia
IE Ireland|Republic of Ireland|Éire
IL Israel
IM Isle of Man
IN India
IO British Indian Ocean Territory
IQ Iraq
IR Iran|Iran, Islamic Republic of|Islamic Republic of Iran
IS Iceland|Ísland
IT Italy|Italia
JE Jersey
JM Jamaica
JO Jordan
JP Japan
KE Kenya
KG Kyrgyzstan
KH Cambodia
KI Kiribati
KM Comoros
KN Saint Kitts and Nevis|St. Kitts and Nevis
KP North Korea|Korea, Democratic People's Republic of|Korea (Democratic People's Republic of)|Democratic People's Republic of Korea
KR South Korea|Korea, Republic of|Korea (Republic of)|Republic of Korea|Korea
KW Kuwait
KY Cayman Islands
KZ Kazakhstan
LA Laos|Lao People's Democratic Republic
LB Lebanon
LC Saint Lucia|St. Lucia
LI Liechtenstein
LK Sri Lanka
LR Liberia
LS Lesotho
LT Lithuania|Lietuva
LU Luxembourg
LV Latvia|Latvija
LY Libya
MA Morocco
MC Monaco
MD Moldova|Moldova, Republic of|Republic of Moldova
ME Montenegro
MF Saint Martin|Saint Martin (French part)|St. Martin
MG Madagascar
MH Marshall Islands
MK North Macedonia|Macedonia|Republic of North Macedonia|Macedonia, the former Yugoslav Republic of
ML Mali
MM Myanmar|Burma
MN Mongolia
MO Macao|Macau|Macao SAR China
MP Northern Mariana Islands
MQ Martinique
MR Mauritania
MS Montserrat
MT Malta
MU Mauritius
MV Maldives
MW Malawi
MX Mexico|México
MY Malaysia
MZ Mozambique
NA Namibia
NC New Caledonia
NE Niger
NF Norfolk Island
NG Nigeria
NI Nicaragua
NL Netherlands|Holland|Nederland|Kingdom of the Netherlands
NO Norway|Norge
NP Nepal
NR Nauru
NU Niue
NZ New Zealand
OM Oman
PA Panama|Panamá
PE Peru|Perú
PF French Polynesia
PG Papua New Guinea
PH Philippines
PK Pakistan
PL Poland|Polska
PM Saint Pierre and Miquelon|St. Pierre and Miquelon
PN Pitcairn|Pitcairn Islands
PR Puerto Rico
PS Palestine|State of Palestine|Palestine, State of|Palestinian Territories|Palestinian Territory
PT Portugal
PW Palau
PY Paraguay
QA Qatar
RE Réunion|Reunion
RO Romania|România
RS Serbia
RU Russia|Russian Federation
RW Rwanda
SA Saudi Arabia
SB Solomon Islands
SC Seychelles
SD Sudan
SE Sweden|Sverige|Schweden
SG Singapore
SH Saint Helena, Ascension and Tristan da Cunha|Saint Helena|St. Helena
SI Slovenia|Slovenija
SJ Svalbard and Jan Mayen|Svalbard
SK Slovakia|Slovak Republic|Slovensko
SL Sierra Leone
SM San Marino
SN Senegal
SO Somalia
SR Suriname
SS South Sudan
ST São Tomé and Príncipe|Sao Tome and Principe
SV El Salvador
SX Sint Maarten|Sint Maarten (Dutch part)
SY Syria|Syrian Arab Republic
SZ Eswatini|Swaziland
TC Turks and Caicos Islands
TD Chad
TF French Southern Territories
TG Togo
TH Thailand
TJ Tajikistan
TK Tokelau
TL Timor-Leste|East Timor
TM Turkmenistan
TN Tunisia
TO Tonga
TR Türkiye|Turkiye|Turkey
TT Trinidad and Tobago
TV Tuvalu
TW Taiwan|Taiwan, Province of China
TZ Tanzania|Tanzania, United Republic of|United Republic of Tanzania
UA Ukraine
UG Uganda
UM United States Minor Outlying Islands|U.S. Outlying Islands
US United States|United States of America|USA|America
UY Uruguay
UZ Uzbekistan
VA Vatican City|Holy See|Holy See (Vatican City State)|Vatican City State
VC Saint Vincent and the Grenadines|St. Vincent and the Grenadines|Saint Vincent
VE Venezuela|Venezuela, Bolivarian Republic of|Bolivarian Republic of Venezuela
VG British Virgin Islands|Virgin Islands, British|Virgin Islands (British)
VI U.S. Virgin Islands|Virgin Islands, U.S.|Virgin Islands (U.S.)|United States Virgin Islands
VN Vietnam|Viet Nam
VU Vanuatu
WF Wallis and Futuna
WS Samoa
XK Kosovo
YE Yemen
YT Mayotte
ZA South Africa
ZM Zambia
ZW Zimbabwe
";

/// Longest name that is looked for, in bytes.
const NAME_BYTES: usize = 128;

static BY_NAME: LazyLock<HashMap<String, CountryCode>> = LazyLock::new(|| listed().collect());

fn listed() -> impl Iterator<Item = (String, CountryCode)> {
    let lines = NAMES.lines().filter_map(|line| line.split_once(' '));
    lines
        .filter_map(|(code, names)| Some((CountryCode::parse(code)?, names)))
        .flat_map(|(code, names)| names.split('|').map(move |name| (spelling(name), code)))
}

/// One spelling for a name, however it is written.
fn spelling(name: &str) -> String {
    let words = name.split(|c: char| c.is_whitespace() || c == '&' || c == '-');
    words.map(folded).filter(|word| !matches!(word.as_str(), "the" | "and")).collect()
}

impl CountryCode {
    /// The country of a name, such as `Sweden`.
    pub fn by_name(name: &str) -> Option<Self> {
        if name.len() > NAME_BYTES {
            return None;
        }
        BY_NAME.get(&spelling(name)).copied()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_country_has_a_name_and_no_name_two_countries() {
        let mut codes = HashSet::new();
        let mut names = HashMap::new();
        for (name, code) in listed() {
            codes.insert(code);
            let other = names.insert(name.clone(), code);
            assert!(other.is_none_or(|other| other == code), "{name}");
        }
        let assigned = ('A'..='Z').flat_map(|a| ('A'..='Z').map(move |b| format!("{a}{b}")));
        let assigned: HashSet<_> = assigned.filter_map(|code| CountryCode::parse(&code)).collect();
        assert_eq!(codes, assigned);
    }

    #[test]
    fn spellings_of_a_name_meet() {
        let code = |name| CountryCode::by_name(name).map(|code| code.to_string());
        for (name, expected) in [
            ("Sweden", "SE"),
            (" SWEDEN ", "SE"),
            ("The Netherlands", "NL"),
            ("Bosnia & Herzegovina", "BA"),
            ("cote d\u{2019}ivoire", "CI"),
            ("United States of America", "US"),
            ("El Salvador", "SV"),
        ] {
            assert_eq!(code(name).as_deref(), Some(expected), "{name}");
        }
        for name in ["", "the", "Atlantis", &"x".repeat(NAME_BYTES + 1)] {
            assert_eq!(code(name), None, "{name}");
        }
    }
}
