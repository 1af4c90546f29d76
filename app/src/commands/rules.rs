//! `touchstone rules`: a store's own rules, and the policy document that holds them.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use serde_json::Value;
use serde_json::value::RawValue;
use touchstone_schema::ids::StoreId;
use touchstone_schema::visible::visible;

use super::policy::{Known, Signature, check};
use super::{Since, parse_since};
use crate::compose::Operator;
use crate::output::{Output, table};

mod backtest;

/// Largest policy file, in bytes: every process holds the policies of all stores in memory.
const FILE_BYTES: u64 = 262_144;

/// A store's own rules.
#[derive(Debug, Subcommand)]
pub(crate) enum RulesCommand {
    /// Make a file the next version of the store's policy.
    Apply {
        #[command(flatten)]
        draft: Draft,
        #[command(flatten)]
        signature: Signature,
        /// Take away the rules that the file does not have; without it a file that loses any is refused.
        #[arg(long)]
        replace: bool,
    },
    /// Show the rules that a store's verdicts are given under, or those of an earlier version.
    #[command(disable_version_flag = true)]
    Show {
        /// The store.
        #[arg(long, env = "TOUCHSTONE_STORE")]
        store: StoreId,
        /// Of this version of the policy; of the newest when not given.
        #[arg(long)]
        version: Option<u32>,
    },
    /// Score recorded orders again under a file and compare; nothing is written and nobody is told.
    Test {
        #[command(flatten)]
        draft: Draft,
        /// Orders received since then: a time, or a span before now such as 30d.
        #[arg(long, value_parser = parse_since)]
        since: Since,
        /// Orders received before then; all when not given.
        #[arg(long, value_parser = parse_since)]
        until: Option<Since>,
        /// Orders of the test world.
        #[arg(long)]
        test: bool,
    },
}

/// A policy that is not in force.
#[derive(Debug, Args)]
pub(crate) struct Draft {
    /// The store.
    #[arg(long, env = "TOUCHSTONE_STORE")]
    store: StoreId,
    /// A policy (a JSON object), or only its rules (a JSON array) in place of those of the policy in force.
    #[arg(long)]
    file: PathBuf,
}

pub(crate) async fn run(command: RulesCommand, operator: &Operator, output: Output) -> anyhow::Result<()> {
    match command {
        RulesCommand::Apply { draft, signature, replace } => {
            let current = Known::find(operator, &draft.store, None).await?;
            let document = draft.document(&current)?;
            if !replace {
                require_no_loss(&current.document, &document)?;
            }
            current.replace(operator, &document, &signature, None, output).await
        }
        RulesCommand::Show { store, version } => {
            let known = Known::find(operator, &store, version).await?;
            let rules = known.json()?.get("rules").cloned().unwrap_or_else(|| Value::Array(Vec::new()));
            output.show(&known.document_with("rules", &rules)?, || format!("{}{}", known.title(), listed(&rules)))
        }
        RulesCommand::Test { draft, since, until, test } => {
            let current = Known::find(operator, &draft.store, None).await?;
            let document = draft.document(&current)?;
            let now = operator.clock.now();
            let span = since.at(now)..until.map_or(now, |until| until.at(now));
            backtest::run(operator, &current, &document, span, test, output).await
        }
    }
}

/// Fails when a document lacks rules that are in force.
fn require_no_loss(current: &str, document: &str) -> anyhow::Result<()> {
    let names = |document: &str| -> anyhow::Result<BTreeSet<String>> {
        let document: Value = serde_json::from_str(document)?;
        let rules = document["rules"].as_array().into_iter().flatten();
        Ok(rules.filter_map(|rule| rule["name"].as_str().map(str::to_owned)).collect())
    };
    let (current, next) = (names(current)?, names(document)?);
    let lost: Vec<_> = current.difference(&next).map(|name| visible(name)).collect();
    if lost.is_empty() {
        return Ok(());
    }
    bail!(
        "this would delete {} of {} rules: {}; add them to the file (`touchstone rules show --json` prints them), or say \
         --replace",
        lost.len(),
        current.len(),
        lost.join(", ")
    )
}

impl Draft {
    /// The whole policy that the file makes of the one in force, checked.
    fn document(&self, current: &Known) -> anyhow::Result<String> {
        let text = read(&self.file)?;
        let document = if text.trim_start().starts_with('[') {
            with_rules(&current.document, &text).with_context(|| format!("{} is not JSON", self.file.display()))?
        } else {
            text
        };
        check(&document).with_context(|| format!("{} is refused", self.file.display()))?;
        Ok(document)
    }
}

fn read(file: &Path) -> anyhow::Result<String> {
    let name = file.display();
    let opened = std::fs::File::open(file).with_context(|| format!("{name} cannot be opened"))?;
    let mut text = String::new();
    opened.take(FILE_BYTES + 1).read_to_string(&mut text).with_context(|| format!("{name} cannot be read as text"))?;
    if text.len() as u64 > FILE_BYTES {
        bail!("{name} is too large: expected a policy of at most {FILE_BYTES} bytes");
    }
    Ok(text)
}

/// A policy with other rules; everything else stays as it is, to the digit.
fn with_rules(document: &str, rules: &str) -> anyhow::Result<String> {
    let mut members: std::collections::BTreeMap<String, Box<RawValue>> = serde_json::from_str(document)?;
    members.insert("rules".to_owned(), serde_json::from_str(rules)?);
    Ok(serde_json::to_string(&members)?)
}

fn listed(rules: &Value) -> String {
    let text = |rule: &Value, name: &str| match rule.get(name) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    let row = |rule: &Value| {
        let when = rule.get("when").map(condition).unwrap_or_default();
        let is_on = rule.get("enabled") != Some(&Value::Bool(false));
        let mode = if is_on { text(rule, "mode") } else { "off".to_owned() };
        vec![text(rule, "name"), when, text(rule, "points"), text(rule, "action"), mode]
    };
    let rows = rules.as_array().into_iter().flatten().map(row).collect();
    table(&["rule", "when", "points", "action", "mode"], rows, "No rules of its own.")
}

/// A condition in words: `amount gt 500 and (device.id not_exists or customer.is_guest eq true)`.
fn condition(when: &Value) -> String {
    let Some(conditions) = when.get("conditions").and_then(Value::as_array) else {
        let operand = |value: &Value| match value.get("field").and_then(Value::as_str) {
            Some(field) => field.to_owned(),
            None => value.to_string(),
        };
        let (field, op) = (when.get("field").and_then(Value::as_str), when.get("op").and_then(Value::as_str));
        let words = [field.map(str::to_owned), op.map(str::to_owned), when.get("value").map(operand)];
        return words.into_iter().flatten().collect::<Vec<_>>().join(" ");
    };
    let nested = |inner: &Value| match inner.get("conditions") {
        Some(_) => format!("({})", condition(inner)),
        None => condition(inner),
    };
    let logic = when.get("logic").and_then(Value::as_str).unwrap_or("and");
    conditions.iter().map(nested).collect::<Vec<_>>().join(&format!(" {logic} "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rules_take_the_place_of_rules_and_nothing_else_moves() {
        let document = r#"{"rules":[1],"points":{"avs_mismatch":7},"x":123456789012.345678}"#;
        let merged = with_rules(document, " [ {\"name\":\"a\"} ]\n").unwrap();
        assert_eq!(merged, r#"{"points":{"avs_mismatch":7},"rules":[ {"name":"a"} ],"x":123456789012.345678}"#);
        assert!(with_rules(document, "[").is_err());
    }

    #[test]
    fn a_file_that_loses_rules_is_refused_with_their_names() {
        let current = r#"{"rules":[{"name":"a"},{"name":"b"}]}"#;
        assert!(require_no_loss(current, r#"{"rules":[{"name":"b"},{"name":"a"},{"name":"c"}]}"#).is_ok());
        assert!(require_no_loss("{}", "{}").is_ok());
        for document in ["{}", r#"{"rules":[]}"#, r#"{"rules":[{"name":"c"}]}"#] {
            let refused = require_no_loss(current, document).unwrap_err().to_string();
            assert!(refused.contains("2 of 2 rules: a, b") && refused.contains("--replace"), "{refused}");
        }
    }

    #[test]
    fn conditions_are_told_in_words() {
        let when = json!({"logic": "and", "conditions": [
            {"field": "amount", "op": "gt", "value": 500},
            {"logic": "or", "conditions": [
                {"field": "customer.id", "op": "not_exists"},
                {"field": "billing_address.country", "op": "ne", "value": {"field": "shipping_address.country"}},
            ]},
        ]});
        let expected =
            "amount gt 500 and (customer.id not_exists or billing_address.country ne shipping_address.country)";
        assert_eq!(condition(&when), expected);
    }
}
