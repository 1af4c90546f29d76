//! Fields that only an unsigned notice told make a verdict stricter, never milder.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use touchstone_platform::queue::Lane;
use touchstone_schema::submission::SubmissionKind;
use touchstone_schema::tenant::Surface;

use super::fixture::{Pipeline, codes, told};
use crate::ingest::fixture;

on_both_ways_to_run![
    allowed_address_of_hearsay_lowers_nothing_and_a_blocked_one_raises,
    rules_that_trust_hearsay_do_not_count_and_those_that_suspect_it_do,
];

/// An order of a customer of its own.
fn order(id: &str) -> Value {
    let mut order = fixture::order(id);
    order["customer"]["email"] = json!(format!("{id}@example.com"));
    order
}

/// An order as it is held by a shop, from this address; whether only a notice told it.
fn held(id: &str, address: &str, is_hearsay: bool) -> Value {
    let mut order = order(id);
    order["ip_address"] = json!(address);
    order["user_agent"] = json!("Mozilla/5.0 (Macintosh; Intel Mac OS X 14.4; rv:123.0) Gecko/20100101 Firefox/123.0");
    if is_hearsay {
        order["unverified"] = json!(["/ip_address", "/user_agent", "/device/accept_language"]);
    }
    order
}

/// Its verdict, whose reasons add up.
async fn verdict(pipeline: &Pipeline, order: &Value) -> Result<Value> {
    let mut submission = pipeline.submission(order)?;
    (submission.kind, submission.surface) = (SubmissionKind::Held, Surface::Centra);
    pipeline.door.queue.publish(Lane::Durable, vec![serde_json::to_vec(&submission)?.into()]).await?;
    let settled = pipeline.settled(&pipeline.client(), submission.transaction_id.as_str()).await?;
    let verdict = settled["verdict"].clone();
    let points = verdict["reasons"].as_array().into_iter().flatten().filter_map(|one| one["points"].as_i64());
    let score = verdict["risk_score"].as_i64().context("it has a score")?;
    assert_eq!(points.sum::<i64>().clamp(0, 100), score, "{verdict}");
    Ok(verdict)
}

fn score(verdict: &Value) -> Option<u64> {
    verdict["risk_score"].as_u64()
}

async fn allowed_address_of_hearsay_lowers_nothing_and_a_blocked_one_raises(pipeline: &mut Pipeline) -> Result<()> {
    for (list, addresses) in [("allow", "203.0.113.0/24"), ("block", "198.51.100.0/24")] {
        let entry = json!({"list": list, "subject": "ip", "value": addresses});
        told(&pipeline.client().post("/v1/lists", &entry).await?, 200)?;
    }
    pipeline.door.directory.refresh_now().await?;
    pipeline.score();
    let usual = verdict(pipeline, &order("Y-1")).await?;
    assert!(score(&usual) > Some(0), "{usual}");

    let sure = verdict(pipeline, &held("Y-2", "203.0.113.7", false)).await?;
    assert_eq!((score(&sure), codes(&sure).contains(&"list_allow")), (Some(0), true), "{sure}");
    let hearsay = verdict(pipeline, &held("Y-3", "203.0.113.7", true)).await?;
    assert!(!codes(&hearsay).contains(&"list_allow") && score(&hearsay) >= score(&usual), "{hearsay}");
    let blocked = verdict(pipeline, &held("Y-4", "198.51.100.7", true)).await?;
    assert_eq!((score(&blocked), codes(&blocked).contains(&"list_block")), (Some(100), true), "{blocked}");
    Ok(())
}

async fn rules_that_trust_hearsay_do_not_count_and_those_that_suspect_it_do(pipeline: &mut Pipeline) -> Result<()> {
    let rule = |name: &str, address: &str, points: i64, action: Value| {
        let when = json!({"field": "ip_address", "op": "eq", "value": address});
        json!({"name": name, "when": {"logic": "and", "conditions": [when]}, "points": points, "action": action,
            "enabled": true, "mode": "live"})
    };
    let rules = json!([
        rule("trusted office", "203.0.113.7", -50, json!("approve")),
        rule("bad neighbourhood", "198.51.100.7", 30, json!("review")),
    ]);
    pipeline.apply_policy(&json!({"rules": rules, "bands": {"medium": 1, "high": 99, "critical": 101}})).await?;
    pipeline.score();
    let usual = verdict(pipeline, &order("Y-11")).await?;
    assert_eq!(usual["recommended_action"], "review", "{usual}");
    let sure = verdict(pipeline, &held("Y-12", "203.0.113.7", false)).await?;
    assert_eq!((score(&sure), &sure["recommended_action"]), (Some(0), &json!("approve")), "{sure}");
    let hearsay = verdict(pipeline, &held("Y-13", "203.0.113.7", true)).await?;
    assert!(score(&hearsay) >= score(&usual), "{hearsay}");
    assert_eq!(hearsay["recommended_action"], "review", "{hearsay}");
    let suspect = verdict(pipeline, &held("Y-14", "198.51.100.7", true)).await?;
    assert!(score(&suspect) >= score(&usual).map(|points| points + 27), "{suspect}");
    assert!(codes(&suspect).contains(&"rule_bad_neighbourhood"), "{suspect}");
    Ok(())
}
