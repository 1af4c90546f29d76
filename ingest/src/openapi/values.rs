//! What the members of the documents may be, where the types of the code say only that they are texts.
//!
//! Guarantee: closed sets are those of the code, so that the description cannot lag behind.

use serde_json::{Value, json};
use touchstone_platform::store::deliveries::DeliveryState;
use touchstone_platform::store::transactions::{Decision, OutcomeKind};
use touchstone_schema::backfill::{DecimalMark, Encoding, Format, RowKind, Separator};
use touchstone_schema::lists::{ListKind, ListSubject};
use touchstone_schema::tenant::Surface;
use touchstone_schema::verdict::{Action, RiskLevel, TransactionStatus, VerdictMode};
use touchstone_schema::warning::WarningCode;

/// Members whose value is a time, in the documents that say so of any.
const TIMES: &[(&str, &str)] = &[
    ("Attempt", "started_at"),
    ("Backfill", "created_at"),
    ("Backfill", "finished_at"),
    ("Decision", "decided_at"),
    ("Delivery", "created_at"),
    ("Delivery", "next_attempt_at"),
    ("Endpoint", "created_at"),
    ("Endpoint", "failing_since"),
    ("ListEntry", "created_at"),
    ("ListEntry", "expires_at"),
    ("NewOutcome", "occurred_at"),
    ("NewRecovery", "since"),
    ("Outcome", "occurred_at"),
    ("OutcomeTaken", "occurred_at"),
    ("Recovery", "created_at"),
    ("Recovery", "finished_at"),
    ("Recovery", "reached"),
    ("Recovery", "since"),
    ("Recovery", "until"),
    ("Revision", "received_at"),
    ("Revision", "scored_at"),
    ("StoredVerdict", "scored_at"),
    ("Transaction", "received_at"),
    ("TransactionSummary", "received_at"),
];
/// Members whose value is an id of ours, and how it begins.
const IDS: &[(&str, &str, &str)] = &[
    ("Backfill", "backfill_id", "bf_"),
    ("BackfillTaken", "backfill_id", "bf_"),
    ("Decided", "transaction_id", "tx_"),
    ("Delivery", "delivery_id", "dlv_"),
    ("Delivery", "endpoint_id", "ep_"),
    ("Delivery", "event_id", "evt_"),
    ("Endpoint", "endpoint_id", "ep_"),
    ("EndpointTest", "event_id", "evt_"),
    ("Event", "id", "evt_"),
    ("ListEntry", "id", "lst_"),
    ("OutcomeTaken", "transaction_id", "tx_"),
    ("Promise", "transaction_id", "tx_"),
    ("Recovery", "endpoint_id", "ep_"),
    ("Recovery", "recovery_id", "rcv_"),
    ("StoredVerdict", "transaction_id", "tx_"),
    ("Transaction", "transaction_id", "tx_"),
    ("TransactionSummary", "transaction_id", "tx_"),
];

/// Amounts that are numbers or numeric texts, and whether they may be left out.
const AMOUNTS: &[(&str, &str, bool)] =
    &[("NewOutcome", "amount", true), ("Order", "amount", false), ("Order", "shipping_amount", true)];
/// References that are texts or numbers, and which.
const REFERENCES: &[(&str, &str, &str)] = &[("CentraNoticeOrder", "order", "number"), ("Order", "order_id", "integer")];
/// The texts that are numeric.
const NUMERIC: &str = r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?";

/// The names of a closed set.
macro_rules! names {
    ($set:ty) => {
        <$set>::ALL.iter().map(|value| value.as_str()).collect::<Vec<_>>()
    };
}

/// Members, and parameters as `GET /path`, whose value is of a closed set.
fn sets() -> Vec<(&'static str, &'static str, Vec<&'static str>)> {
    let mut sets = vec![
        ("Decided", "status", names!(TransactionStatus)),
        ("Delivery", "state", names!(DeliveryState)),
        ("GET /v1/deliveries", "state", names!(DeliveryState)),
        ("GET /v1/lists", "list", names!(ListKind)),
        ("GET /v1/transactions", "status", names!(TransactionStatus)),
        ("Backfill", "decimal", names!(DecimalMark)),
        ("Backfill", "encoding", names!(Encoding)),
        ("Backfill", "format", names!(Format)),
        ("Backfill", "separator", names!(Separator)),
        ("POST /v1/backfill", "decimal", names!(DecimalMark)),
        ("POST /v1/backfill", "encoding", names!(Encoding)),
        ("POST /v1/backfill", "format", names!(Format)),
        ("POST /v1/backfill", "kind", names!(RowKind)),
        ("POST /v1/backfill", "separator", names!(Separator)),
        ("WarnedRow", "code", names!(WarningCode)),
        ("Promise", "status", vec!["pending"]),
        ("Status", "status", vec!["ok", "ready", "not ready"]),
        ("StoredVerdict", "mode", names!(VerdictMode)),
        ("StoredVerdict", "recommended_action", names!(Action)),
        ("StoredVerdict", "risk_level", names!(RiskLevel)),
        ("Transaction", "ended_by", names!(OutcomeKind)),
        ("Transaction", "status", names!(TransactionStatus)),
        ("Transaction", "surface", names!(Surface)),
        ("TransactionSummary", "recommended_action", names!(Action)),
        ("TransactionSummary", "risk_level", names!(RiskLevel)),
        ("TransactionSummary", "status", names!(TransactionStatus)),
    ];
    for document in ["Decided", "Decision", "NewDecision"] {
        sets.push((document, "decision", names!(Decision)));
    }
    for document in ["NewOutcome", "Outcome", "OutcomeTaken"] {
        sets.push((document, "type", names!(OutcomeKind)));
    }
    for document in ["ListEntry", "NewListEntry"] {
        sets.push((document, "list", names!(ListKind)));
        sets.push((document, "subject", names!(ListSubject)));
    }
    sets
}

/// Writes into a document what its members and parameters may be.
pub(super) fn describe(document: &mut Value) {
    for (place, name, values) in sets() {
        let schema = place_of(document, place, name);
        // A parameter without a value is one that is absent.
        let absent = place.contains(' ').then_some(json!("")).or(is_nullable(schema).then_some(Value::Null));
        schema["enum"] = values.into_iter().map(Value::from).chain(absent).collect();
    }
    for (place, name, is_optional) in AMOUNTS {
        let schema = place_of(document, place, name);
        let (types, pattern) = match is_optional {
            true => (json!(["number", "string", "null"]), format!("^({NUMERIC})?$")),
            false => (json!(["number", "string"]), format!("^{NUMERIC}$")),
        };
        let description = schema["description"].take();
        *schema = json!({"description": description, "type": types, "minimum": 0, "pattern": pattern});
    }
    for (place, name, numbers) in REFERENCES {
        place_of(document, place, name)["type"] = json!(["string", numbers]);
    }
    document["components"]["schemas"]["Order"]["properties"]["order_id"]["minimum"] = json!(0);
    place_of(document, "POST /v1/backfill", "X-Content-SHA256")["pattern"] = json!("^[0-9a-f]{64}$");
    let end = place_of(document, "NewListEntry", "expires_at");
    end["anyOf"] = json!([{"format": "date-time"}, {"const": ""}]);
    for (place, name) in TIMES {
        place_of(document, place, name)["format"] = json!("date-time");
    }
    for (place, name, prefix) in IDS {
        place_of(document, place, name)["pattern"] = json!(format!("^{prefix}[0-9A-HJKMNP-TV-Z]{{26}}$"));
    }
}

fn is_nullable(schema: &Value) -> bool {
    schema["type"].as_array().is_some_and(|types| types.contains(&json!("null")))
}

/// The schema of a member of a document, or of a parameter.
fn place_of<'a>(document: &'a mut Value, place: &str, name: &str) -> &'a mut Value {
    let Some((method, path)) = place.split_once(' ') else {
        return &mut document["components"]["schemas"][place]["properties"][name];
    };
    let operation = &mut document["paths"][path][method.to_lowercase()];
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    let at = parameters.enumerate().find(|(_, parameter)| parameter["name"] == name).map_or(0, |(at, _)| at);
    &mut operation["parameters"][at]["schema"]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_member_that_is_described_exists() {
        let described = crate::surfaces::described().into_openapi();
        let mut document = serde_json::to_value(&described).unwrap();
        let sets = sets().into_iter().map(|(place, name, _)| (place, name));
        let ids = IDS.iter().chain(REFERENCES).map(|(place, name, _)| (*place, *name));
        let amounts = AMOUNTS.iter().map(|(place, name, _)| (*place, *name));
        for (place, name) in sets.chain(TIMES.iter().copied()).chain(ids).chain(amounts) {
            let schema = place_of(&mut document, place, name);
            assert!(schema["type"].is_string() || is_nullable(schema), "{place} {name}");
        }
    }
}
