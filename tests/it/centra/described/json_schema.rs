//! Validates by the part of JSON Schema 2020-12 that the document uses.
//!
//! Guarantee: a keyword that is not known here is an error, never passed over, so no schema promises more than is checked.

use anyhow::{Context, Result, bail, ensure};
use chrono::DateTime;
use regex::Regex;
use serde_json::{Map, Value};

/// Refuses a value that the schema at `pointer` of the document does not allow, and says where.
pub(super) fn validate(document: &Value, pointer: &str, value: &Value) -> Result<()> {
    let schema = document.pointer(pointer).with_context(|| format!("the document has no {pointer}"))?;
    check(document, schema, value)
}

fn check(document: &Value, schema: &Value, value: &Value) -> Result<()> {
    let keywords = schema.as_object().with_context(|| format!("{schema} is no schema"))?;
    for (keyword, wanted) in keywords {
        obey(document, keywords, keyword, wanted, value).with_context(|| format!("{keyword} of {schema}"))?;
    }
    Ok(())
}

fn obey(document: &Value, all: &Map<String, Value>, keyword: &str, wanted: &Value, value: &Value) -> Result<()> {
    match keyword {
        "description" | "example" => {}
        "$ref" => {
            let pointer = wanted.as_str().and_then(|reference| reference.strip_prefix('#')).context("it leads away")?;
            validate(document, pointer, value)?;
        }
        "type" => {
            let types = wanted.as_array().map_or_else(|| std::slice::from_ref(wanted), Vec::as_slice);
            ensure!(types.iter().any(|name| is_of(value, name.as_str().unwrap_or_default())), "{value}");
        }
        "const" => ensure!(value == wanted, "{value}"),
        "enum" => ensure!(list(wanted)?.contains(value), "{value}"),
        "anyOf" => {
            ensure!(list(wanted)?.iter().any(|schema| check(document, schema, value).is_ok()), "{value}");
        }
        "required" => {
            let is_there = |name: &Value| value.get(name.as_str().unwrap_or_default()).is_some();
            ensure!(list(wanted)?.iter().all(is_there), "{value}");
        }
        "properties" => {
            for (name, schema) in wanted.as_object().context("it is no object")? {
                let member = value.get(name).map_or(Ok(()), |member| check(document, schema, member));
                member.with_context(|| name.clone())?;
            }
        }
        "items" => value.as_array().into_iter().flatten().try_for_each(|item| check(document, wanted, item))?,
        "minimum" => ensure!(value.as_f64().is_none_or(|number| Some(number) >= wanted.as_f64()), "{value}"),
        "maximum" => ensure!(value.as_f64().is_none_or(|number| Some(number) <= wanted.as_f64()), "{value}"),
        "minLength" => ensure!(length(value).is_none_or(|length| Some(length) >= wanted.as_u64()), "{value}"),
        "maxLength" => ensure!(length(value).is_none_or(|length| Some(length) <= wanted.as_u64()), "{value}"),
        "maxItems" => {
            let items = value.as_array().map(|items| items.len() as u64);
            ensure!(items.is_none_or(|items| Some(items) <= wanted.as_u64()), "{value}");
        }
        "pattern" => {
            let pattern = Regex::new(wanted.as_str().context("it is no text")?)?;
            ensure!(value.as_str().is_none_or(|text| pattern.is_match(text)), "{value}");
        }
        "format" => match wanted.as_str() {
            Some("date-time") => {
                ensure!(value.as_str().is_none_or(|text| DateTime::parse_from_rfc3339(text).is_ok()), "{value}");
            }
            Some("int32") => ensure!(value.as_i64().is_none_or(|number| i32::try_from(number).is_ok()), "{value}"),
            _ => bail!("the format {wanted} is not known here"),
        },
        _ => bail!("{keyword} is not known here: {all:?}"),
    }
    Ok(())
}

fn is_of(value: &Value, name: &str) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        _ => false,
    }
}

fn list(value: &Value) -> Result<&Vec<Value>> {
    value.as_array().context("it is no list")
}

fn length(value: &Value) -> Option<u64> {
    value.as_str().map(|text| text.chars().count() as u64)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_keyword_takes_what_it_should_and_nothing_else() {
        for (schema, valid, invalid) in [
            (json!({"type": "integer", "minimum": 0, "maximum": 100}), json!(100), json!(101)),
            (json!({"type": "integer"}), json!(1), json!(1.5)),
            (json!({"minimum": 0}), json!(0), json!(-1)),
            (json!({"type": ["string", "null"]}), json!(null), json!(1)),
            (json!({"const": "a"}), json!("a"), json!("b")),
            (json!({"enum": ["a", "b"]}), json!("b"), json!("c")),
            (json!({"anyOf": [{"type": "null"}, {"const": 1}]}), json!(1), json!(2)),
            (json!({"required": ["a"]}), json!({"a": null}), json!({"b": 1})),
            (json!({"properties": {"a": {"type": "string"}}}), json!({"b": 1}), json!({"a": 1})),
            (json!({"items": {"type": "string"}}), json!(["a"]), json!(["a", 1])),
            (json!({"minLength": 2, "maxLength": 3}), json!("äbc"), json!("abcd")),
            (json!({"minLength": 2}), json!("ab"), json!("ä")),
            (json!({"maxItems": 2}), json!([1, 2]), json!([1, 2, 3])),
            (json!({"pattern": "^tx_[0-9A-Z]{2}$"}), json!("tx_0A"), json!("tx_0a")),
            (json!({"format": "date-time"}), json!("2026-01-02T03:04:05.678Z"), json!("2026-01-02")),
            (json!({"$ref": "#/defs/text"}), json!("a"), json!(1)),
        ] {
            let document = json!({"schema": schema, "defs": {"text": {"type": "string"}}});
            validate(&document, "/schema", &valid).unwrap();
            assert!(validate(&document, "/schema", &invalid).is_err(), "{schema} takes {invalid}");
        }
        for unknown in
            [json!({"unheardOf": 1}), json!({"format": "email"}), json!({"$ref": "elsewhere.json"}), json!(1)]
        {
            assert!(validate(&json!({"schema": unknown}), "/schema", &json!("a")).is_err(), "{unknown}");
        }
    }
}
