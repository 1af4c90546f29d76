//! Every row of the contract's tables, as `fixtures/contract/checks.toml` has them beside the document.

use std::collections::BTreeMap;

use anyhow::{Result, bail, ensure};
use hyper::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use touchstone_schema::limits::BODY_BYTES;
use touchstone_schema::tenant::{KeyMode, KeyScope, RiskGroups};
use touchstone_tests::Answer;

use super::{CART, Client, ORDER, ORDER_CHECK, cart, check, client, refused};
use crate::pipeline::fixture::{Pipeline, told};

on_both_ways_to_run![
    every_row_of_the_tables_is_kept,
    every_status_is_answered_as_the_table_has_it,
    risk_groups_are_those_of_the_table_and_of_the_store,
];

/// The contract's tables.
#[derive(Deserialize)]
struct Contract {
    check: Vec<FieldRow>,
    order: BTreeMap<String, Vec<String>>,
    cart: BTreeMap<String, Vec<String>>,
    members: BTreeMap<String, [String; 2]>,
    answer: Vec<AnswerRow>,
    risk_groups: GroupRows,
    drawn: BTreeMap<String, Vec<String>>,
}

impl Contract {
    fn read() -> Result<Self> {
        Ok(toml::from_str(include_str!("../../../fixtures/contract/checks.toml"))?)
    }
}

#[derive(Deserialize)]
struct FieldRow {
    field: String,
    value: String,
    #[serde(default = "taken")]
    status: u16,
    source: Option<String>,
}

const fn taken() -> u16 {
    200
}

#[derive(Deserialize)]
struct AnswerRow {
    status: u16,
    when: String,
    #[serde(default)]
    source: String,
}

#[derive(Deserialize)]
struct GroupRows {
    default: (u8, u8),
    rows: Vec<(u8, u8, u8, String)>,
}

/// Runs every row, and tells of all that were not kept.
async fn every_row_of_the_tables_is_kept(pipeline: &mut Pipeline) -> Result<()> {
    pipeline.score();
    let contract = Contract::read()?;
    let client = client(pipeline);
    let mut broken = Vec::new();
    for (number, row) in contract.check.iter().enumerate() {
        let kept = field_row(&client, number, row).await;
        broken.extend(kept.err().map(|error| format!("check {} = {}: {error:#}", row.field, row.value)));
    }
    told(&client.check(&check("W")).await?, 200)?;
    told(&client.send(Method::POST, CART, &cart("W")).await?, 200)?;
    for (path, id, words) in [(ORDER, "order_id", &contract.order), (CART, "cart_id", &contract.cart)] {
        for (member, words) in words {
            for word in words.iter().map(String::as_str).chain(["", "no such word"]) {
                let answer = client.send(Method::PATCH, path, &json!({id: "W", member: word})).await?;
                let kept = match word {
                    "no such word" => refused(&answer, 406, &format!("/{member}")),
                    _ => told(&answer, 200).map(drop),
                };
                broken.extend(kept.err().map(|error| format!("update {id} {member} = {word:?}: {error:#}")));
            }
        }
    }
    for (member, [good, bad]) in &contract.members {
        for (value, status) in [(good, 200), (bad, 406)] {
            let value: Value = serde_json::from_str(value)?;
            let update = json!({"order_id": "W", member: value});
            let answer = match status {
                200 => client.update(&update).await?,
                _ => client.update_strictly(&update).await?,
            };
            let kept =
                if status == 200 { told(&answer, 200).map(drop) } else { refused(&answer, 406, &format!("/{member}")) };
            broken.extend(kept.err().map(|error| format!("update {member} = {value}: {error:#}")));
        }
    }
    for (path, id, words, drawn) in [
        (ORDER, "order_id", &contract.order, &contract.drawn["order"]),
        (CART, "cart_id", &contract.cart, &contract.drawn["cart"]),
    ] {
        for (from, to) in words["status"].iter().flat_map(|from| words["status"].iter().map(move |to| (from, to))) {
            let row = format!("{from} > {to}");
            let kept = transition_row(&client, path, id, (from, to), from == to || drawn.contains(&row)).await;
            broken.extend(kept.err().map(|error| format!("{id} {row}: {error:#}")));
        }
    }
    ensure!(broken.is_empty(), "{} rows are not kept:\n{}", broken.len(), broken.join("\n"));
    Ok(())
}

async fn field_row(client: &Client<'_>, number: usize, row: &FieldRow) -> Result<()> {
    let mut document = json!({"transaction": {"order_id": format!("F-{number}"), "ordered_on": "2026-01-02"}});
    let (section, member) = row.field[1..].split_once('/').unwrap_or((&row.field[1..], ""));
    let place = if member.is_empty() { &mut document[section] } else { &mut document[section][member] };
    *place = serde_json::from_str(&row.value)?;
    let strict = client.check_strictly(&document).await?;
    let source = row.source.as_deref().unwrap_or(&row.field);
    match row.status {
        200 => return told(&strict, 200).map(drop),
        status => refused(&strict, status, source)?,
    }
    let lenient = client.check(&document).await?;
    if is_never_optional(source) {
        return refused(&lenient, row.status, source);
    }
    let warnings = told(&lenient, 200)?["data"]["warnings"].clone();
    let is_read = row.value == r#""DEU""# || row.value == r#""424242424242""# || row.value == "{}";
    let is_named = warnings.as_array().into_iter().flatten().any(|warning| warning["field"] == source);
    ensure!(is_named != is_read, "{warnings}");
    Ok(())
}

/// Whether a field of a check is refused whatever the handling: it is required, the order's own amount, or holds a card.
fn is_never_optional(field: &str) -> bool {
    let transaction = ["order_id", "ordered_on", "order_total", "order_currency"];
    let is_head = field.strip_prefix("/transaction/").is_some_and(|name| transaction.contains(&name));
    is_head || field.starts_with("/products/") || field == "/payment/number"
}

async fn transition_row(
    client: &Client<'_>,
    path: &str,
    id: &str,
    (from, to): (&str, &str),
    is_drawn: bool,
) -> Result<()> {
    let set =
        async |status: &str| told(&client.send(Method::PATCH, path, &json!({id: "W", "status": status})).await?, 200);
    set(from).await?;
    let flagged = set(to).await?["data"]["flagged"].clone();
    let expected = if is_drawn { json!([]) } else { json!(["status"]) };
    ensure!(flagged == expected, "flagged {flagged}");
    Ok(())
}

/// Everything but the missing verdict is answered while a scorer runs.
async fn every_status_is_answered_as_the_table_has_it(pipeline: &mut Pipeline) -> Result<()> {
    let few = pipeline.door.add_key(&pipeline.door.keys.few, KeyMode::Live, KeyScope::Checks).await?;
    let no_verdict = client(pipeline).check(&check("late")).await?;
    pipeline.score();
    let (mine, few) = (client(pipeline), Client::of(pipeline, &few));
    told(&mine.check(&check("known")).await?, 200)?;
    let update = json!({"order_id": "known", "updated_on": "2026-02-01", "note": "one"});
    told(&mine.update(&update).await?, 200)?;
    while few.check(&check("few")).await?.status == 200 {}

    let mut broken = Vec::new();
    for row in Contract::read()?.answer {
        let answer = if row.when == "no verdict comes" {
            no_verdict.clone()
        } else {
            answer_when(&row.when, pipeline, &mine, &few, &update).await?
        };
        let kept = match row.status {
            200 => told(&answer, 200).map(drop),
            status => refused(&answer, status, &row.source),
        };
        broken.extend(kept.err().map(|error| format!("{}: {error:#}", row.when)));
    }
    ensure!(broken.is_empty(), "{} rows are not kept:\n{}", broken.len(), broken.join("\n"));
    Ok(())
}

async fn answer_when(
    when: &str,
    pipeline: &Pipeline,
    mine: &Client<'_>,
    few: &Client<'_>,
    update: &Value,
) -> Result<Answer> {
    let keys = &pipeline.door.keys;
    let text = async |media: &str, text: String| mine.send_text(Method::POST, ORDER_CHECK, media, text).await;
    match when {
        "a check is new" => mine.check(&check("new")).await,
        "a check is sent again" => mine.check(&check("known")).await,
        "nobody asks" => Client::with(pipeline, "", "").check(&check("1")).await,
        "the password is another's" => {
            Client::with(pipeline, keys.checks[0].id.as_str(), &keys.checks[1].password).check(&check("1")).await
        }
        "the key is of another surface" => Client::of(pipeline, &keys.no_scope).check(&check("1")).await,
        "an unknown id is updated" => mine.update(&json!({"order_id": "nobody's", "note": "lost"})).await,
        "an unknown id is updated within a wrapper" => {
            mine.update(&json!({"transaction": {"order_id": "nobody's", "note": "lost"}})).await
        }
        "another's id is updated" => {
            let stranger = Client::of(pipeline, &keys.checks[1]);
            stranger.update(&json!({"order_id": "known", "note": "mine"})).await
        }
        "a check is deleted" => mine.send(Method::DELETE, ORDER_CHECK, &check("known")).await,
        "a body is no JSON" => text("application/json", "{".to_owned()).await,
        "a member is there twice" => {
            text("application/json", r#"{"transaction":{"order_id":"1","order_id":"2"}}"#.to_owned()).await
        }
        "a text has a NUL" => text("application/json", r#"{"transaction":{"order_id":"\u0000"}}"#.to_owned()).await,
        "a check has other data" => {
            let mut other = check("known");
            other["transaction"]["order_total"] = json!(1);
            mine.check(&other).await
        }
        "an update is sent again" => mine.update(update).await,
        "a body has more than 262 144 bytes" => text("application/json", " ".repeat(BODY_BYTES + 1)).await,
        "a body is of another type" => text("text/plain", check("1").to_string()).await,
        "a store asks too often" => few.check(&check("few")).await,
        _ => bail!("no such case"),
    }
}

async fn risk_groups_are_those_of_the_table_and_of_the_store(pipeline: &mut Pipeline) -> Result<()> {
    pipeline.score();
    let GroupRows { default, rows } = Contract::read()?.risk_groups;
    let RiskGroups { low, medium } = RiskGroups::default();
    assert_eq!((low, medium), default);
    for (low, medium, score, group) in rows {
        let told = RiskGroups { low, medium }.of(score);
        ensure!(told.as_str() == group, "{low}, {medium}: {score} is {told}");
    }
    let score = told(&client(pipeline).check(&check("G-1")).await?, 200)?["data"]["risk_score"].take();
    let score = u8::try_from(score.as_u64().unwrap_or_default())?;
    ensure!(score > 0, "a score that thresholds can lie below");
    for (groups, group) in [
        (RiskGroups { low: score, medium: 100 }, "low"),
        (RiskGroups { low: score - 1, medium: score }, "medium"),
        (RiskGroups { low: 0, medium: score - 1 }, "high"),
    ] {
        let key = pipeline.door.add_checks_store(groups).await?;
        let answer = told(&Client::of(pipeline, &key).check(&check("G-1")).await?, 200)?;
        assert_eq!((&answer["data"]["risk_score"], &answer["data"]["risk_group"]), (&json!(score), &json!(group)));
    }
    Ok(())
}
