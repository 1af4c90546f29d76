//! What a store does with its transactions: decide, report outcomes, score again, list.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result};
use hyper::Method;
use serde_json::{Value, json};
use touchstone_schema::limits::{IDEMPOTENCY_WINDOW, REVISION_DAY, REVISIONS_PER_DAY};
use touchstone_tests::{SignedClient, touchstone};

use super::fixture::{Pipeline, events, revisions, shown, told};
use crate::ingest::fixture::order;

on_both_ways_to_run![
    decision_settles_a_review_once_and_a_contrary_one_is_refused,
    approved_and_pending_orders_need_no_decision,
    outcome_reported_twice_is_one_outcome_and_one_event,
    an_order_cancelled_while_it_waits_leaves_the_queue_and_cannot_be_decided,
    reanalysis_makes_a_revision_and_names_the_present_policy,
    pages_show_every_transaction_once_and_the_filter_holds,
    transaction_is_scored_again_on_demand_so_often_a_day_and_shows_the_newest,
    decisions_and_outcomes_come_a_page_at_a_time,
];

/// Every order goes to review.
fn review_everything() -> Value {
    json!({"bands": {"medium": 0, "high": 100, "critical": 101}})
}

/// No order goes to review.
fn approve_everything() -> Value {
    json!({"bands": {"medium": 99, "high": 100, "critical": 101}})
}

async fn scored(client: &SignedClient, id: &str) -> Result<String> {
    let verdict = told(&client.analyze(&order(id)).await?, 200)?;
    Ok(verdict["transaction_id"].as_str().context("it has an id")?.to_owned())
}

async fn decide(client: &SignedClient, id: &str, decision: &str, status: u16) -> Result<Value> {
    let document = json!({"decision": decision, "reviewer": "ada", "note": "Called the customer."});
    told(&client.post(&format!("/v1/transactions/{id}/decision"), &document).await?, status)
}

async fn decision_settles_a_review_once_and_a_contrary_one_is_refused(pipeline: &mut Pipeline) -> Result<()> {
    pipeline.apply_policy(&review_everything()).await?;
    pipeline.score();
    let client = pipeline.client();
    for (order, decision, contrary, status) in
        [("T-1", "approve", "reject", "approved"), ("T-2", "reject", "approve", "rejected")]
    {
        let id = scored(&client, order).await?;
        assert_eq!(shown(&client, &json!(id)).await?["status"], "review");
        for _ in 0..2 {
            assert_eq!(decide(&client, &id, decision, 200).await?["status"], status);
        }
        assert_eq!(decide(&client, &id, contrary, 409).await?["code"], "already_decided");
        let transaction = shown(&client, &json!(id)).await?;
        assert_eq!(
            (&transaction["status"], events(&transaction)),
            (&json!(status), vec!["order.scored", "order.decided"])
        );
        let decisions = transaction["decisions"].as_array().context("it has decisions")?;
        assert_eq!(decisions.len(), 1);
        assert_eq!((&decisions[0]["decision"], &decisions[0]["reviewer"]), (&json!(decision), &json!("ada")));
    }
    Ok(())
}

async fn approved_and_pending_orders_need_no_decision(pipeline: &mut Pipeline) -> Result<()> {
    let client = pipeline.client();
    pipeline.apply_policy(&approve_everything()).await?;
    let waiting = pipeline.submission(&order("T-3"))?;
    pipeline.system().promise(&[&waiting], pipeline.door.clock.now()).await?;
    assert_eq!(decide(&client, waiting.transaction_id.as_str(), "approve", 409).await?["code"], "not_open");
    pipeline.score();
    let approved = scored(&client, "T-4").await?;
    assert_eq!(decide(&client, &approved, "reject", 409).await?["code"], "not_open");
    assert_eq!(events(&shown(&client, &json!(approved)).await?), ["order.scored"]);
    decide(&client, "tx_01ARZ3NDEKTSV4RRFFQ69G5FAV", "reject", 404).await?;
    Ok(())
}

async fn outcome_reported_twice_is_one_outcome_and_one_event(pipeline: &mut Pipeline) -> Result<()> {
    pipeline.score();
    let client = pipeline.client();
    let id = scored(&client, "T-5").await?;
    let report = async |kind: &str, status: u16| {
        let document = json!({"type": kind, "occurred_at": "2026-05-04T12:00:00Z", "amount": "129.90"});
        told(&client.post(&format!("/v1/transactions/{id}/outcome"), &document).await?, status)
    };
    for is_new in [true, false] {
        let reported = report("chargeback_opened", 200).await?;
        assert_eq!((&reported["type"], &reported["recorded"]), (&json!("chargeback_opened"), &json!(is_new)));
        assert_eq!(reported["counts_as"], "fraud");
    }
    assert_eq!(report("fulfilled", 200).await?["counts_as"], "neither");
    report("eaten", 422).await?;
    let refund = json!({"type": "refunded", "occurred_at": "2026-05-04T12:00:00Z", "amount": "129.91"});
    let refused = told(&client.post(&format!("/v1/transactions/{id}/outcome"), &refund).await?, 422)?;
    assert_eq!(refused["field"], "/amount", "{refused}");
    let transaction = shown(&client, &json!(id)).await?;
    assert_eq!(events(&transaction), ["order.scored", "chargeback.opened", "order.status_changed"]);
    assert_eq!(transaction["outcomes"].as_array().map(Vec::len), Some(2));
    assert_eq!(transaction["outcomes"][0]["amount"], 129.9);

    // An event that came between takes its number, and the next revision the one after it.
    told(&client.act(&format!("/v1/transactions/{id}/reanalyze")).await?, 200)?;
    let transaction = shown(&client, &json!(id)).await?;
    assert_eq!(transaction["events"][3]["sequence"], 4);
    assert_eq!(events(&transaction)[3], "order.rescored");
    Ok(())
}

async fn an_order_cancelled_while_it_waits_leaves_the_queue_and_cannot_be_decided(
    pipeline: &mut Pipeline,
) -> Result<()> {
    pipeline.apply_policy(&review_everything()).await?;
    pipeline.score();
    let client = pipeline.client();
    for (kind, status) in [("cancelled", "cancelled"), ("refunded", "closed"), ("fulfilled", "approved")] {
        let id = scored(&client, &format!("E-{kind}")).await?;
        let report = json!({"type": kind, "occurred_at": "2026-05-04T12:00:00Z"});
        told(&client.post(&format!("/v1/transactions/{id}/outcome"), &report).await?, 200)?;
        for decision in ["approve", "reject"] {
            let refused = decide(&client, &id, decision, 409).await?;
            assert_eq!((&refused["standing"], &refused["ended_by"]), (&json!(status), &json!(kind)), "{refused}");
            assert!(refused["detail"].as_str().is_some_and(|detail| detail.contains(status)), "{refused}");
        }
        let queue = told(&client.get("/v1/transactions?status=review").await?, 200)?;
        assert_eq!(queue["transactions"], json!([]), "{kind}");
        let by_command = ["order", "decide", "--id", &id, "--decision", "approve", "--reviewer", "ada"];
        let store = pipeline.door.keys.mine.tenant.store_id.as_str();
        let refused = touchstone(&pipeline.door.backend, &[&by_command[..], &["--store", store]].concat()).await?;
        let why = &refused.stderr;
        assert_eq!(refused.code, Some(1), "{why}");
        assert!(why.contains(&format!("is {status}")), "{why}");
        // Scored again, it stays what it is.
        told(&client.send(Method::POST, &format!("/v1/transactions/{id}/reanalyze"), "").await?, 200)?;
        let transaction = shown(&client, &json!(id)).await?;
        assert_eq!((&transaction["status"], &transaction["ended_by"]), (&json!(status), &json!(kind)));
        assert_eq!(events(&transaction), ["order.scored", "order.status_changed", "order.rescored"]);
    }
    Ok(())
}

async fn reanalysis_makes_a_revision_and_names_the_present_policy(pipeline: &mut Pipeline) -> Result<()> {
    pipeline.score();
    let client = pipeline.client();
    let id = scored(&client, "T-6").await?;
    let again = async || client.act(&format!("/v1/transactions/{id}/reanalyze")).await;
    pipeline.door.clock.advance(Duration::from_secs(60));
    let same = told(&again().await?, 200)?;
    let first = shown(&client, &json!(id)).await?;
    assert_eq!((revisions(&first), events(&first)), (2, vec!["order.scored", "order.rescored"]));
    assert_eq!(same["policy_version"], 0);
    for name in ["risk_score", "reasons", "confidence", "explanation"] {
        assert_eq!(first["revisions"][0]["verdict"][name], same[name], "the order is no history of its own");
    }

    let version = pipeline.apply_policy(&review_everything()).await?;
    let other = told(&again().await?, 200)?;
    assert_eq!((&other["policy_version"], &other["recommended_action"]), (&json!(version), &json!("review")));
    let transaction = shown(&client, &json!(id)).await?;
    assert_eq!((revisions(&transaction), &transaction["status"]), (3, &json!("review")));
    told(&client.act("/v1/transactions/tx_01ARZ3NDEKTSV4RRFFQ69G5FAV/reanalyze").await?, 404)?;
    Ok(())
}

/// All numbers that the pages of a list show, newest first.
async fn paged(client: &SignedClient, path: &str, list: &str, number: &str) -> Result<Vec<u64>> {
    let (mut seen, mut query) = (Vec::new(), "?limit=40".to_owned());
    loop {
        let page = told(&client.get(&format!("{path}/{list}{query}")).await?, 200)?;
        let items = page[list].as_array().context("it is a page")?;
        assert!(items.len() <= 40);
        seen.extend(items.iter().filter_map(|item| item[number].as_u64()));
        let Some(cursor) = page["next_cursor"].as_str() else {
            assert_eq!(page["total"], seen.len(), "{list}");
            return Ok(seen);
        };
        query = format!("?limit=40&cursor={cursor}");
    }
}

async fn transaction_is_scored_again_on_demand_so_often_a_day_and_shows_the_newest(
    pipeline: &mut Pipeline,
) -> Result<()> {
    pipeline.score();
    let client = pipeline.client();
    let id = scored(&client, "T-8").await?;
    let path = format!("/v1/transactions/{id}");
    for _ in 1..REVISIONS_PER_DAY {
        told(&client.act(&format!("{path}/reanalyze")).await?, 200)?;
    }
    let refused = client.act(&format!("{path}/reanalyze")).await?;
    assert_eq!((refused.status.as_u16(), &refused.json()?["code"]), (429, &json!("too_many_revisions")));
    assert!((80_000..=86_400).contains(&refused.header("retry-after").parse::<u64>()?), "{refused:?}");

    // An order that comes again after the hour gets its answer all the same.
    pipeline.door.clock.advance(IDEMPOTENCY_WINDOW + Duration::from_secs(1));
    told(&client.analyze(&order("T-8")).await?, 200)?;
    let transaction = shown(&client, &json!(id)).await?;
    let all = REVISIONS_PER_DAY + 1;
    assert_eq!(transaction["totals"], json!({"revisions": all, "decisions": 0, "outcomes": 0, "events": all}));
    for (list, number) in [("revisions", "revision"), ("events", "sequence")] {
        let newest: Vec<_> =
            transaction[list].as_array().context("a list")?.iter().map(|item| item[number].as_u64()).collect();
        assert_eq!(newest, (2..=all).map(Some).collect::<Vec<_>>(), "the newest, oldest first");
        assert_eq!(paged(&client, &path, list, number).await?, (1..=all).rev().collect::<Vec<_>>(), "{list}");
    }
    let newest = transaction["revisions"][99]["verdict"].clone();
    assert_eq!(transaction["verdict"], newest);

    pipeline.door.clock.advance(REVISION_DAY);
    told(&client.act(&format!("{path}/reanalyze")).await?, 200)?;
    Ok(())
}

async fn decisions_and_outcomes_come_a_page_at_a_time(pipeline: &mut Pipeline) -> Result<()> {
    pipeline.apply_policy(&review_everything()).await?;
    pipeline.score();
    let client = pipeline.client();
    let id = scored(&client, "T-9").await?;
    let path = format!("/v1/transactions/{id}");
    told(&client.post(&format!("{path}/decision"), &json!({"decision": "approve", "reviewer": "ada"})).await?, 200)?;
    let received = pipeline.door.clock.now();
    for hours in 1..=5u64 {
        let at = (received - Duration::from_secs(hours * 3_600)).to_rfc3339();
        let outcome = json!({"type": "refunded", "occurred_at": at, "amount": 1.5});
        told(&client.post(&format!("{path}/outcome"), &outcome).await?, 200)?;
    }
    let (mut seen, mut query) = (Vec::new(), "?limit=2".to_owned());
    loop {
        let page = told(&client.get(&format!("{path}/outcomes{query}")).await?, 200)?;
        assert_eq!(page["total"], 5);
        for outcome in page["outcomes"].as_array().context("it is a page")? {
            assert_eq!(outcome["amount"], 1.5);
            seen.push(outcome["occurred_at"].as_str().context("a time")?.to_owned());
        }
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        query = format!("?limit=2&cursor={cursor}");
    }
    assert!(seen.len() == 5 && seen.is_sorted_by(|a, b| a > b), "{seen:?}");
    let decisions = told(&client.get(&format!("{path}/decisions")).await?, 200)?;
    assert_eq!((&decisions["total"], &decisions["decisions"][0]["reviewer"]), (&json!(1), &json!("ada")));
    let wrong = client.get(&format!("{path}/outcomes?cursor=7")).await?;
    assert_eq!((wrong.status.as_u16(), &wrong.json()?["field"]), (422, &json!("/cursor")));
    Ok(())
}

async fn pages_show_every_transaction_once_and_the_filter_holds(pipeline: &mut Pipeline) -> Result<()> {
    pipeline.apply_policy(&approve_everything()).await?;
    pipeline.score();
    let client = pipeline.client();
    let mut expected = BTreeSet::new();
    for number in 0..7 {
        expected.insert(scored(&client, &format!("T-7-{number}")).await?);
        // Some are received in the same millisecond.
        pipeline.door.clock.advance(Duration::from_millis(number % 2));
    }
    pipeline.apply_policy(&review_everything()).await?;
    let review = scored(&client, "T-7-review").await?;
    expected.insert(review.clone());
    let waiting = pipeline.submission(&order("T-7-waiting"))?;
    pipeline.system().promise(&[&waiting], pipeline.door.clock.now()).await?;
    expected.insert(waiting.transaction_id.to_string());

    let (mut seen, mut query) = (Vec::new(), "?limit=2".to_owned());
    loop {
        let page = told(&client.get(&format!("/v1/transactions{query}")).await?, 200)?;
        let lines = page["transactions"].as_array().context("it is a page")?;
        assert!(lines.len() <= 2);
        seen.extend(lines.iter().filter_map(|line| {
            Some((line["received_at"].as_str()?.to_owned(), line["transaction_id"].as_str()?.to_owned()))
        }));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        query = format!("?limit=2&cursor={cursor}");
    }
    assert!(seen.is_sorted_by(|a, b| a > b), "newest first, each once: {seen:?}");
    assert_eq!(seen.into_iter().map(|(_, id)| id).collect::<BTreeSet<_>>(), expected);

    let ids = async |status: &str| -> Result<Vec<Value>> {
        let page = told(&client.get(&format!("/v1/transactions?status={status}")).await?, 200)?;
        let lines = page["transactions"].as_array().context("it is a page")?;
        Ok(lines.iter().map(|line| line["transaction_id"].clone()).collect())
    };
    assert_eq!(ids("review").await?, [json!(review)]);
    assert_eq!(ids("pending").await?, [json!(waiting.transaction_id)]);
    assert_eq!((ids("approved").await?.len(), ids("rejected").await?.len(), ids("failed").await?.len()), (7, 0, 0));
    Ok(())
}
