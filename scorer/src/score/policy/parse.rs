//! Reads and checks a policy document, telling all that is wrong with it at once.

use std::collections::BTreeMap;

use touchstone_schema::fault::Fault;
use touchstone_schema::history::HistoryKeyKind;
use touchstone_schema::json::{Json, Path};
use touchstone_schema::limits;
use touchstone_schema::money::{Currency, MAX_MINOR};
use touchstone_schema::order::CountryCode;
use touchstone_schema::verdict::{Action, RiskLevel};

use super::super::rules::field::Field;
use super::super::rules::parse::RuleReader;
use super::super::rules::presets;
use super::super::signals;
use super::document::{Bands, Group, PolicyDocument};
use super::read::{Faults, Place};

const POINTS: std::ops::RangeInclusive<i64> = -(limits::POLICY_POINTS as i64)..=limits::POLICY_POINTS as i64;

/// The members of a policy document.
const MEMBERS: &[&str] = &[
    "preset",
    "bands",
    "actions",
    "points",
    "disabled",
    "caps",
    "high_amounts",
    "rules",
    "history_keys",
    "high_risk_countries",
    "risky_skus",
    "merchant_score_scale",
];

/// The policy that a text is, or everything that is wrong with it.
pub(super) fn parse(text: &str) -> Result<PolicyDocument, Vec<Fault>> {
    if text.len() > limits::POLICY_BYTES {
        return Err(vec![Fault::new("", format!("expected a document of at most {} bytes", limits::POLICY_BYTES))]);
    }
    let json = Json::parse_text(text).map_err(|error| vec![Fault::from(&error)])?;
    let mut faults = Faults::default();
    let document = document(Place::new(&json, &Path::Root), &mut faults);
    faults.none_or(document)
}

fn document(root: Place<'_>, faults: &mut Faults) -> Option<PolicyDocument> {
    let mut document = PolicyDocument::default();
    // Rules refer to the keys that are declared beside them, and codes to the rules.
    member(&root, "history_keys", |place| document.history_keys = history_keys(place, faults));
    member(&root, "rules", |place| document.rules = RuleReader::new(&document.history_keys).rules(place, faults));
    for (key, json) in root.members(faults)? {
        let path = root.path.key(key);
        let place = Place::new(json, &path);
        match key.as_ref() {
            "preset" => document.preset = place.choice(faults).unwrap_or_default(),
            "bands" => document.bands = bands(place, faults),
            "actions" => document.actions = actions(place, faults),
            "points" => document.points = points(place, &document, faults),
            "disabled" => document.disabled = disabled(place, &document, faults),
            "caps" => document.caps = caps(place, faults),
            "high_amounts" => document.high_amounts = high_amounts(place, faults),
            "rules" | "history_keys" => {}
            "high_risk_countries" => document.high_risk_countries = countries(place, faults),
            "risky_skus" => {
                document.risky_skus = place.each(limits::POLICY_LIST_ITEMS, faults, |place, faults| {
                    place.text(limits::RULE_TEXT_CHARS, faults).map(str::to_owned)
                });
            }
            "merchant_score_scale" => document.merchant_score_scale = merchant_score_scale(place, faults),
            _ => place.refuse_unknown(MEMBERS, faults),
        }
    }
    Some(document)
}

fn member(root: &Place<'_>, key: &str, read: impl FnOnce(Place<'_>)) {
    if let Some(json) = root.json.get(key) {
        read(Place::new(json, &root.path.key(key)));
    }
}

fn bands(place: Place<'_>, faults: &mut Faults) -> Bands {
    let mut bands = Bands::default();
    for (key, json) in place.members(faults).unwrap_or_default() {
        let path = place.path.key(key);
        let member = Place::new(json, &path);
        let band = match key.as_ref() {
            "medium" => &mut bands.medium,
            "high" => &mut bands.high,
            "critical" => &mut bands.critical,
            _ => {
                member.refuse_unknown(&["medium", "high", "critical"], faults);
                continue;
            }
        };
        // 101 is never reached: it switches a band off.
        *band = member.whole(0..=101, faults).and_then(|least| u8::try_from(least).ok()).unwrap_or(*band);
    }
    if !(bands.medium < bands.high && bands.high < bands.critical) {
        faults.add(place.path, "expected medium < high < critical <= 101");
    }
    bands
}

fn actions(place: Place<'_>, faults: &mut Faults) -> BTreeMap<RiskLevel, Action> {
    let entries = place.entries(RiskLevel::ALL.len(), faults, |key, place, faults| {
        let level = known::<RiskLevel>(key, &place, faults);
        Some((level?, place.choice(faults)?))
    });
    entries.into_iter().collect()
}

fn caps(place: Place<'_>, faults: &mut Faults) -> BTreeMap<Group, i32> {
    let entries = place.entries(Group::ALL.len(), faults, |key, place, faults| {
        let group = known::<Group>(key, &place, faults);
        let cap = place.whole(0..=*POINTS.end(), faults)?;
        Some((group?, i32::try_from(cap).ok()?))
    });
    entries.into_iter().collect()
}

/// The value that a key names, or a fault.
fn known<T: std::str::FromStr<Err = String>>(key: &str, place: &Place<'_>, faults: &mut Faults) -> Option<T> {
    key.parse().map_err(|expected: String| faults.add(place.path, expected)).ok()
}

fn points(place: Place<'_>, document: &PolicyDocument, faults: &mut Faults) -> BTreeMap<String, i32> {
    let entries = place.entries(limits::POLICY_LIST_ITEMS, faults, |code, place, faults| {
        refuse_unknown_code(code, &place, document, faults);
        let points = place.whole(POINTS, faults)?;
        Some((code.to_owned(), i32::try_from(points).ok()?))
    });
    entries.into_iter().collect()
}

fn disabled(place: Place<'_>, document: &PolicyDocument, faults: &mut Faults) -> Vec<String> {
    place.each(limits::POLICY_LIST_ITEMS, faults, |place, faults| {
        let code = place.text(limits::RULE_TEXT_CHARS, faults)?;
        refuse_unknown_code(code, &place, document, faults);
        Some(code.to_owned())
    })
}

fn refuse_unknown_code(code: &str, place: &Place<'_>, document: &PolicyDocument, faults: &mut Faults) {
    let is_known = signals::find(code).is_some()
        || presets::all().any(|rule| rule.code() == code)
        || document.rules.iter().any(|rule| rule.code() == code);
    if !is_known {
        faults.add(place.path, "no signal or rule has this code");
    }
}

fn high_amounts(place: Place<'_>, faults: &mut Faults) -> BTreeMap<String, [i64; 3]> {
    let entries = place.entries(limits::POLICY_LIST_ITEMS, faults, |code, place, faults| {
        let currency = Currency::from_code(code).filter(|known| known.code() == code);
        place.expect(currency, "expected an ISO 4217 currency code in capitals, such as EUR", faults);
        let amounts = whole_numbers::<3>(&place)
            .filter(|[high, higher, highest]| 0 < *high && high < higher && higher < highest && *highest <= MAX_MINOR);
        let amounts = place.expect(amounts, "expected three rising amounts above zero, in major units", faults)?;
        Some((code.to_owned(), amounts))
    });
    entries.into_iter().collect()
}

fn merchant_score_scale(place: Place<'_>, faults: &mut Faults) -> Option<[i64; 2]> {
    if place.json == &Json::Null {
        return None;
    }
    let scale = whole_numbers::<2>(&place).filter(|[safest, riskiest]| safest != riskiest);
    let scale = scale.filter(|ends| ends.iter().all(|end| end.unsigned_abs() <= MAX_MINOR.unsigned_abs()));
    place.expect(scale, "expected two different scores, the safest first, such as [0, 100] or [850, 300]", faults)
}

fn whole_numbers<const COUNT: usize>(place: &Place<'_>) -> Option<[i64; COUNT]> {
    let numbers = place.json.as_array()?.iter().map(|item| item.as_number()?.parse().ok());
    numbers.collect::<Option<Vec<i64>>>()?.try_into().ok()
}

fn countries(place: Place<'_>, faults: &mut Faults) -> Vec<CountryCode> {
    place.each(limits::POLICY_LIST_ITEMS, faults, |place, faults| {
        let country = place.json.as_str().and_then(CountryCode::parse);
        place.expect(country, "expected an ISO 3166 alpha-2 country code such as DE", faults)
    })
}

fn history_keys(place: Place<'_>, faults: &mut Faults) -> BTreeMap<String, String> {
    let entries = place.entries(limits::POLICY_HISTORY_KEYS, faults, |name, place, faults| {
        if !is_key_name(name) || HistoryKeyKind::parse(name).is_some() {
            let expected = "expected a name of lower-case letters, digits and underscores that is no built-in key";
            faults.add(place.path, expected);
        }
        let field = place.text(limits::RULE_TEXT_CHARS, faults)?;
        let is_single = Field::of_order(field).is_some();
        let expected = "expected a single field of the order, such as metadata.terminal or customer.last_name";
        place.expect(is_single.then(|| (name.to_owned(), field.to_owned())), expected, faults)
    });
    entries.into_iter().collect()
}

fn is_key_name(name: &str) -> bool {
    (1..=limits::RULE_NAME_CHARS).contains(&name.len())
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}
