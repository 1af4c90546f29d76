//! What differs between two policies, one line a place.
//!
//! Rules are told apart by their names and codes by themselves, not by their place in a list: one that is added at the
//! front is one difference, not as many as there are rules.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::{Map, Value};
use touchstone_schema::visible::visible;

/// A place at which two documents differ.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Difference {
    /// Names of members and rules from the outside in, each behind a slash.
    path: String,
    /// What is there in the first document; absent when nothing is.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<Value>,
    /// What is there in the second; absent when nothing is.
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<Value>,
}

/// All differences between two documents. A member that one of them leaves out is as if it were there and empty.
pub(crate) fn between(from: &Value, to: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    for name in names(&members(from), &members(to)) {
        let (before, after) = (from.get(name), to.get(name));
        let (empty_before, empty_after) = (after.and_then(emptied), before.and_then(emptied));
        compare(&format!("/{name}"), before.or(empty_before.as_ref()), after.or(empty_after.as_ref()), &mut found);
    }
    found
}

/// The differences as lines: `+` added, `-` taken away, `~` changed.
pub(crate) fn listed(differences: &[Difference]) -> String {
    let line = |difference: &Difference| match (&difference.from, &difference.to) {
        (Some(from), Some(to)) => format!("  ~ {}: {from} → {to}", difference.path),
        (Some(from), None) => format!("  - {}: {from}", difference.path),
        (None, to) => format!("  + {}: {}", difference.path, to.as_ref().unwrap_or(&Value::Null)),
    };
    differences.iter().map(|one| visible(&line(one)).into_owned()).collect::<Vec<_>>().join("\n")
}

fn compare(path: &str, from: Option<&Value>, to: Option<&Value>, found: &mut Vec<Difference>) {
    if from == to {
        return;
    }
    let lists = || Some((codes(from?)?, codes(to?)?));
    if let Some((before, after)) = from.and_then(parts).zip(to.and_then(parts)) {
        let known = found.len();
        for name in names(&before, &after) {
            compare(&format!("{path}/{name}"), part(&before, name), part(&after, name), found);
        }
        if found.len() == known {
            let in_order = |parts: &[(&str, &Value)]| parts.iter().map(|(name, _)| Value::from(*name)).collect();
            found.push(Difference { path: path.to_owned(), from: Some(in_order(&before)), to: Some(in_order(&after)) });
        }
    } else if let Some((before, after)) = lists() {
        let one = |from, to| Difference { path: path.to_owned(), from, to };
        found.extend(before.difference(&after).map(|code| one(Some(Value::from(*code)), None)));
        found.extend(after.difference(&before).map(|code| one(None, Some(Value::from(*code)))));
    } else {
        found.push(Difference { path: path.to_owned(), from: from.cloned(), to: to.cloned() });
    }
}

/// The parts of an object by their names, or of a list whose elements have names of their own.
fn parts(value: &Value) -> Option<Vec<(&str, &Value)>> {
    match value {
        Value::Object(_) => Some(members(value)),
        Value::Array(elements) => {
            let named: Option<Vec<_>> =
                elements.iter().map(|element| Some((element.get("name")?.as_str()?, element))).collect();
            named.filter(|named| names(named, &[]).len() == named.len())
        }
        _ => None,
    }
}

fn members(value: &Value) -> Vec<(&str, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter).map(|(name, member)| (name.as_str(), member)).collect()
}

fn part<'a>(parts: &[(&str, &'a Value)], name: &str) -> Option<&'a Value> {
    parts.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
}

fn names<'a>(one: &[(&'a str, &Value)], other: &[(&'a str, &Value)]) -> BTreeSet<&'a str> {
    one.iter().chain(other).map(|(name, _)| *name).collect()
}

/// A list of texts, whose order says nothing.
fn codes(value: &Value) -> Option<BTreeSet<&str>> {
    value.as_array()?.iter().map(Value::as_str).collect()
}

/// The empty value of the same form, of what can be empty.
fn emptied(value: &Value) -> Option<Value> {
    match value {
        Value::Object(_) => Some(Value::Object(Map::new())),
        Value::Array(_) => Some(Value::Array(Vec::new())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn lines(from: &Value, to: &Value) -> Vec<String> {
        listed(&between(from, to)).lines().map(|line| line.trim().to_owned()).collect()
    }

    #[test]
    fn each_place_is_one_line() {
        let from = json!({"bands": {"medium": 31}, "points": {"avs_mismatch": 7, "old": 1}, "preset": "none"});
        let to = json!({"bands": {"medium": 40}, "points": {"avs_mismatch": 7, "new": 2}, "caps": {"email": 10}});
        let expected = [
            "~ /bands/medium: 31 → 40",
            "+ /caps/email: 10",
            "+ /points/new: 2",
            "- /points/old: 1",
            "- /preset: \"none\"",
        ];
        let mut found = lines(&from, &to);
        found.sort_by_key(|line| line[2..].to_owned());
        assert_eq!(found, expected);
        assert!(between(&from, &from).is_empty());
    }

    #[test]
    fn rules_are_told_apart_by_name_and_codes_by_themselves() {
        let rule = |name: &str, points: i64| json!({"name": name, "points": points});
        let from = json!({"rules": [rule("big", 10), rule("far", 5)], "disabled": ["a", "b"]});
        let to = json!({"rules": [rule("new", 1), rule("big", 20), rule("far", 5)], "disabled": ["b", "c"]});
        let expected = [
            r#"- /disabled: "a""#,
            r#"+ /disabled: "c""#,
            "~ /rules/big/points: 10 → 20",
            r#"+ /rules/new: {"name":"new","points":1}"#,
        ];
        assert_eq!(lines(&from, &to), expected);
    }

    #[test]
    fn another_order_of_rules_is_a_difference_and_of_codes_is_none() {
        let (one, other) = (json!({"name": "one"}), json!({"name": "other"}));
        let found = lines(&json!({"rules": [&one, &other]}), &json!({"rules": [&other, &one]}));
        assert_eq!(found, [r#"~ /rules: ["one","other"] → ["other","one"]"#]);
        assert!(between(&json!({"disabled": ["a", "b"]}), &json!({"disabled": ["b", "a"]})).is_empty());
    }

    #[test]
    fn what_has_no_names_is_compared_whole() {
        let found = lines(&json!({"high_amounts": {"EUR": [1, 2, 3]}}), &json!({"high_amounts": {"EUR": [1, 2, 4]}}));
        assert_eq!(found, ["~ /high_amounts/EUR: [1,2,3] → [1,2,4]"]);
        let (from, to) = (json!([{"name": "same"}, {"name": "same"}]), json!([{"name": "same"}]));
        assert_eq!(between(&json!({"rules": &from}), &json!({"rules": &to})).len(), 1);
    }
}
