//! The webhooks of the document: for every type of event what it means, the schema of its body, and an example.
//!
//! Guarantee: the examples and the events that the pipeline really sends are valid by these schemas, and have no member
//! that is not described here: `centra::described` in the integration tests. More members may come; receivers pass over
//! what they do not know.

use serde_json::{Map, Value, json};
use touchstone_platform::store::transactions::{Decision, OutcomeKind};
use touchstone_schema::centra::{Effect, HoldOutcome, WantedBy};
use touchstone_schema::checks::{CheckStatus, Subject};
use touchstone_schema::event::EventKind;
use touchstone_schema::limits::{CHECK_FLAGS, ORDER_WARNINGS, SHOP_WARNINGS, VERDICT_REASONS};
use touchstone_schema::verdict::{Action, RiskLevel, TransactionStatus, VerdictMode};

const TRANSACTION: &str = "tx_01ARZ3NDEKTSV4RRFFQ69G5FAV";
const CONNECTION: &str = "cen_01ARZ3NDEKTSV4RRFFQ69G5FAV";
const ENDPOINT: &str = "ep_01ARZ3NDEKTSV4RRFFQ69G5FAV";
const TIME: &str = "2026-01-02T03:04:05.678Z";

const DELIVERY: &str = "Sent at least once: tell repetitions by webhook-id. Any 2xx within 15 s is success.";
const SIGNATURE: &str = "`v1,` and the base64 HMAC-SHA256 of `{id}.{timestamp}.{body}`; several, separated by spaces, \
    during a rotation.";

/// One webhook per type of event, as OpenAPI has them.
pub(super) fn webhooks() -> Value {
    EventKind::ALL.iter().map(|kind| (kind.as_str().to_owned(), webhook(*kind))).collect::<Map<_, _>>().into()
}

/// An example of an event's data, as test mode sends it.
pub(crate) fn example_of(kind: EventKind) -> Value {
    let (_, _, mut example) = told(kind);
    if let Some(mode) = example.get_mut("mode") {
        *mode = json!(VerdictMode::Test);
    }
    example
}

fn webhook(kind: EventKind) -> Value {
    let header = |name: &str, description: &str| json!({"name": name, "in": "header", "required": true, "description": description, "schema": {"type": "string"}});
    let (meaning, data, example) = told(kind);
    json!({"post": {
        "operationId": kind.as_str(), "tags": ["Webhooks"], "summary": kind.as_str(),
        "description": format!("{meaning} {DELIVERY}"),
        "parameters": [
            header("webhook-id", "The event's id, the same on every attempt."),
            header("webhook-timestamp", "Unix seconds of this attempt."),
            header("webhook-signature", SIGNATURE),
        ],
        "requestBody": {"required": true, "content": {"application/json": {
            "schema": object(json!({
                "type": {"const": kind.as_str()},
                "timestamp": described("When it happened, the same on every attempt.", time()),
                "data": data,
            }), &[]),
            "example": {"type": kind.as_str(), "timestamp": TIME, "data": example},
        }}},
        "responses": {"2XX": {"description": "Received."}, "410": {"description": "Switches the endpoint off."}},
    }})
}

/// What an event means, the schema of its data, and an example of them.
fn told(kind: EventKind) -> (&'static str, Value, Value) {
    match kind {
        EventKind::OrderScored => ("The first verdict of an order.", verdict(), verdict_example(1)),
        EventKind::OrderRescored => {
            ("The order was scored again: act on the latest revision.", verdict(), verdict_example(2))
        }
        EventKind::OrderDecided => ("A person settled a review or a hold.", decision(), decision_example()),
        EventKind::OrderStatusChanged => {
            ("You told what became of the order.", outcome(), outcome_example("fulfilled", "approved"))
        }
        EventKind::ChargebackOpened => {
            ("A chargeback was opened.", outcome(), outcome_example("chargeback_opened", "approved"))
        }
        EventKind::ChargebackUpheld => (
            "The customer's claim was upheld: the customer keeps the money.",
            outcome(),
            outcome_example("chargeback_upheld", "approved"),
        ),
        EventKind::ChargebackReversed => (
            "The chargeback was reversed: you keep the money.",
            outcome(),
            outcome_example("chargeback_reversed", "approved"),
        ),
        EventKind::OrderResumed => {
            ("A held Centra order goes on.", held(), held_example("resume", Some("resumed"), Some("approved")))
        }
        EventKind::OrderCancelled => {
            ("A held Centra order was cancelled.", held(), held_example("cancel", Some("cancelled"), Some("cancelled")))
        }
        EventKind::OrderActionFailed => {
            ("A held Centra order needs a person: `detail` says why.", held(), held_example("cancel", None, None))
        }
        EventKind::PaymentFailed => ("A payment attempt failed at a Centra shop.", payment(), payment_example()),
        EventKind::EndpointDisabled => {
            ("An endpoint of yours was switched off; the others are told.", disabled(), disabled_example())
        }
        EventKind::EndpointTest => (
            "You asked for a trial.",
            object(json!({"endpoint_id": id("ep_"), "message": text()}), &[]),
            json!({"endpoint_id": ENDPOINT, "message": "Hello from Touchstone."}),
        ),
    }
}

fn verdict() -> Value {
    let reasons =
        || json!({"type": "array", "maxItems": VERDICT_REASONS, "items": {"$ref": "#/components/schemas/Reason"}});
    let members = json!({
        "risk_score": {"type": "integer", "minimum": 0, "maximum": 100},
        "risk_level": {"enum": RiskLevel::ALL},
        "recommended_action": {"enum": Action::ALL},
        "confidence": described(
            "Share of the scored inputs that were known.",
            json!({"type": "number", "minimum": 0, "maximum": 1}),
        ),
        "reason_codes": {"type": "array", "maxItems": VERDICT_REASONS, "items": text()},
        "reasons": described("The evidence, heaviest first; the points add up to the unclamped score.", reasons()),
        "shadow_reasons": described("What rules on trial would have added.", reasons()),
        "explanation": text(),
        "policy_version": {"type": "integer", "minimum": 0},
        "warnings": {
            "type": "array", "maxItems": ORDER_WARNINGS, "items": {"$ref": "#/components/schemas/Warning"},
            "description": "Optional fields of the order that could not be used as they were sent.",
        },
        "scored_at": time(),
    });
    object(of_transaction(members), &["shadow_reasons", "warnings"])
}

fn verdict_example(number: u32) -> Value {
    json!({
        "revision": number, "sequence": number, "transaction_id": TRANSACTION, "order_id": "1001", "risk_score": 42,
        "risk_level": "medium", "recommended_action": "review", "confidence": 0.61, "reason_codes": ["avs_mismatch", "velocity_email"],
        "reasons": [
            {"code": "avs_mismatch", "points": 30, "detail": "the billing address does not match the card issuer's records (AVS N)"},
            {"code": "velocity_email", "points": 12, "detail": "4 orders with this e-mail address within a day"},
        ],
        "explanation": "Medium risk: the billing address does not match.", "policy_version": 0, "warnings": [], "mode": "live", "scored_at": TIME,
    })
}

fn decision() -> Value {
    let members = json!({
        "decision": {"enum": Decision::ALL}, "reviewer": text(), "note": nullable(text()), "decided_at": time(), "status": status(),
    });
    object(of_transaction(members), &[])
}

fn decision_example() -> Value {
    json!({
        "transaction_id": TRANSACTION, "order_id": "1001", "revision": 1, "sequence": 2, "mode": "live", "decision": "approve",
        "reviewer": "ann", "note": "Called the customer.", "decided_at": TIME, "status": "approved",
    })
}

fn outcome() -> Value {
    let members = json!({
        "occurred_at": described("When you said that it happened.", time()),
        "amount": described("In units of the currency, when you told it.", json!({"type": "number"})),
        "currency": {"type": "string", "minLength": 3, "maxLength": 3}, "status": status(),
    });
    let mut members = of_transaction(members);
    members["outcome"] = described(
        "Absent where an update of the checks surface told none of these.",
        json!({"enum": OutcomeKind::ALL}),
    );
    members["check"] = described(
        "Of an update of the checks surface: where all updates say that it stands now.",
        json!({"type": "object", "required": ["subject", "status"], "properties": {
            "subject": {"enum": Subject::ALL}, "status": {"enum": CheckStatus::ALL},
        }}),
    );
    members["flags"] = described(
        "Of an update of the checks surface: changes that were not to be expected.",
        json!({"type": "array", "maxItems": CHECK_FLAGS, "items": {"type": "object", "required": ["member", "from", "to"], "properties": {
            "member": text(), "from": nullable(text()), "to": nullable(text()),
        }}}),
    );
    object(members, &["amount", "outcome", "check", "flags"])
}

fn outcome_example(outcome: &str, status: &str) -> Value {
    json!({
        "transaction_id": TRANSACTION, "order_id": "1001", "revision": 1, "sequence": 3, "mode": "live", "outcome": outcome,
        "occurred_at": "2026-01-01T12:00:00.000Z", "amount": 129.9, "currency": "EUR", "status": status,
    })
}

fn held() -> Value {
    let mut members = of_transaction(json!({
        "status": status(),
        "connection_id": id("cen_"),
        "order_number": nullable(json!({"type": "integer"})),
        "wanted": described("What was to be done.", nullable(json!({"enum": Effect::ALL}))),
        "wanted_by": described("Who or what wanted it.", nullable(json!({"enum": WantedBy::ALL}))),
        "would_have": described("What a shadow store would have done.", json!({"enum": Effect::ALL})),
        "outcome": described("How the hold ended; absent while it goes on.", json!({"enum": HoldOutcome::ALL})),
        "detail": text(),
        "warnings": described("What the shop said to it.", json!({"type": "array", "maxItems": SHOP_WARNINGS, "items": text()})),
    }));
    members["transaction_id"] = described("Null when the order has none yet.", nullable(id("tx_")));
    object(members, &["status", "would_have", "outcome", "detail", "warnings"])
}

fn held_example(wanted: &str, outcome: Option<&str>, status: Option<&str>) -> Value {
    let mut example = json!({
        "transaction_id": TRANSACTION, "order_id": "3f1c", "revision": 1, "sequence": 2, "mode": "live", "status": status.unwrap_or("held"),
        "connection_id": CONNECTION, "order_number": 1001, "wanted": wanted, "wanted_by": "verdict",
    });
    match outcome {
        Some(outcome) => example["outcome"] = json!(outcome),
        None => example["detail"] = json!("the shop answered: Order has been captured already"),
    }
    example
}

fn payment() -> Value {
    let members = json!({"order_id": text(), "mode": mode(), "connection_id": id("cen_"), "occurred_at": time()});
    object(members, &["connection_id"])
}

fn payment_example() -> Value {
    json!({"order_id": "1001", "mode": "live", "connection_id": CONNECTION, "occurred_at": TIME})
}

fn disabled() -> Value {
    let members =
        json!({"endpoint_id": id("ep_"), "reason": text(), "failing_since": nullable(time()), "disabled_at": time()});
    object(members, &[])
}

fn disabled_example() -> Value {
    json!({
        "endpoint_id": ENDPOINT, "reason": "the endpoint answered 410 Gone", "failing_since": TIME, "disabled_at": TIME,
    })
}

/// The members that every event of a transaction has, before its own.
fn of_transaction(own: Value) -> Value {
    let mut members = json!({
        "transaction_id": id("tx_"),
        "order_id": described("Your id of the order.", text()),
        "revision": described("Rises with every scoring of the order.", json!({"type": "integer", "minimum": 0})),
        "sequence": described("Rises by one per event of the transaction.", json!({"type": "integer", "minimum": 0})),
        "mode": mode(),
    });
    if let (Some(members), Value::Object(own)) = (members.as_object_mut(), own) {
        members.extend(own);
    }
    members
}

fn object(properties: Value, optional: &[&str]) -> Value {
    let names = properties.as_object().into_iter().flat_map(Map::keys);
    let required: Vec<_> = names.filter(|name| !optional.contains(&name.as_str())).cloned().collect();
    let mut schema = json!({"type": "object", "required": required});
    schema["properties"] = properties;
    schema
}

fn described(description: &str, mut schema: Value) -> Value {
    schema["description"] = json!(description);
    schema
}

fn nullable(schema: Value) -> Value {
    let either = vec![schema, json!({"type": "null"})];
    json!({ "anyOf": either })
}

fn text() -> Value {
    json!({"type": "string"})
}

fn time() -> Value {
    json!({"type": "string", "format": "date-time"})
}

fn id(prefix: &str) -> Value {
    json!({"type": "string", "pattern": format!("^{prefix}[0-9A-Z]{{26}}$")})
}

fn mode() -> Value {
    json!({"enum": VerdictMode::ALL})
}

fn status() -> Value {
    described("The transaction's status after this.", json!({"enum": TransactionStatus::ALL}))
}
