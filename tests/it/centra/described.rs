//! The webhooks in the OpenAPI document and in docs/webhooks.md, held against one another and against what is sent.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use touchstone_centra_double::Order;
use touchstone_schema::event::EventKind;
use touchstone_tests::{Behaviour, Receiver, eventually, touchstone_json};

use super::fixture::{HeldShop, PATH, listen};
use crate::ingest::centra::{sample, tell};
use crate::ingest::fixture::order;
use crate::pipeline::checks;
use crate::pipeline::fixture::{PATIENCE, told};

const GUIDE: &str = include_str!("../../../docs/webhooks.md");

mod json_schema;

on_both_ways_to_run!(every_event_that_is_sent_is_as_the_document_describes_it);

/// The document with the schemas of all webhooks.
struct Described(Value);

impl Described {
    fn read() -> Result<Self> {
        Ok(Self(serde_json::from_str(&touchstone_ingest::openapi())?))
    }

    fn content(&self, kind: &str) -> &Value {
        &self.0["webhooks"][kind]["post"]["requestBody"]["content"]["application/json"]
    }

    /// Refuses a body that its schema does not allow, or that has a member of which the schema does not tell.
    fn check(&self, body: &Value) -> Result<()> {
        let kind = body["type"].as_str().context("it has no type")?;
        let schema = format!("/webhooks/{kind}/post/requestBody/content/application~1json/schema");
        json_schema::validate(&self.0, &schema, body).with_context(|| body.to_string())?;
        let schema = &self.content(kind)["schema"]["properties"];
        for (members, known) in [(body, schema), (&body["data"], &schema["data"]["properties"])] {
            let members = members.as_object().context("it is no object")?;
            let unknown: Vec<_> = members.keys().filter(|name| known.get(name.as_str()).is_none()).collect();
            ensure!(unknown.is_empty(), "{kind} does not describe {unknown:?}");
        }
        Ok(())
    }
}

#[test]
fn every_example_is_valid_by_its_schema_and_spoilt_ones_are_not() -> Result<()> {
    let described = Described::read()?;
    for kind in EventKind::ALL {
        let example = described.content(kind.as_str())["example"].clone();
        ensure!(example["type"] == kind.as_str(), "{kind}");
        described.check(&example).with_context(|| format!("{kind}"))?;
        let members = example["data"].as_object().context("it has data")?;
        for name in members.keys() {
            let mut spoilt = example.clone();
            spoilt["data"][name] = json!({"no": "such"});
            ensure!(described.check(&spoilt).is_err(), "{kind} takes any {name}");
        }
        let mut unknown = example.clone();
        unknown["data"]["unheard_of"] = json!(1);
        ensure!(described.check(&unknown).is_err(), "{kind} lets undescribed members pass");
    }
    Ok(())
}

#[test]
fn guide_shows_a_valid_payload_of_every_event() -> Result<()> {
    let described = Described::read()?;
    let mut shown = BTreeSet::new();
    for block in GUIDE.split("```json\n").skip(1) {
        let text = block.split("```").next().context("the block has no end")?;
        let payload: Value = serde_json::from_str(text).with_context(|| text.to_owned())?;
        described.check(&payload)?;
        shown.insert(payload["type"].as_str().unwrap_or_default().to_owned());
    }
    // Those of one shape are told of together, under one payload.
    for kind in EventKind::ALL {
        let named = GUIDE.contains(&format!("| `{kind}` |"));
        ensure!(named, "the guide does not tell of {kind}");
    }
    let shapes = ["order.scored", "order.decided", "chargeback.opened", "order.cancelled", "payment.failed"];
    let others = ["endpoint.disabled", "endpoint.test"];
    ensure!(shapes.iter().chain(&others).all(|kind| shown.contains(*kind)), "{shown:?}");
    Ok(())
}

async fn every_event_that_is_sent_is_as_the_document_describes_it(shop: HeldShop) -> Result<()> {
    let gone = Receiver::start().await?;
    gone.behave(Behaviour::status(410));
    listen(&shop.pipeline.door, &gone).await?;
    settle_held_orders(&shop).await?;
    live_through_an_order(&shop).await?;
    ask_for_a_trial(&shop).await?;

    let mut missing = Vec::new();
    let all = eventually(PATIENCE, "an event of every type", async || {
        let bodies = shop.webhooks();
        let has = |kind: &&EventKind| bodies.iter().any(|body| body["type"] == kind.as_str());
        missing = EventKind::ALL.iter().filter(|kind| !has(kind)).collect();
        missing.is_empty().then_some(bodies)
    });
    let all = all.await;
    let of_updates = async || {
        let bodies = shop.webhooks();
        (bodies.iter().filter(|body| body["data"]["check"].is_object()).count() == 2).then_some(bodies)
    };
    all.with_context(|| format!("{missing:?} did not come"))?;
    let all = eventually(PATIENCE, "the events of both updates", of_updates).await?;
    let described = Described::read()?;
    all.iter().try_for_each(|body| described.check(body))
}

/// Resumed, cancelled, given to a person; and a payment that failed.
async fn settle_held_orders(shop: &HeldShop) -> Result<()> {
    let (good, bad) = (shop.hold(Order::ordinary(1)).await?, shop.hold(Order::suspicious(2)).await?);
    let odd = shop.hold(Order::ordinary(3).with_hold(&["WAITING_FOR_FRAUD_CHECK", "PAYMENT_MISMATCH"])).await?;
    shop.ended(&good).await?;
    shop.ended(&bad).await?;
    shop.put_off(&odd, "PAYMENT_MISMATCH").await?;
    let mut notice = sample();
    notice["notificationType"] = json!("failedPaymentAttempt");
    let url = format!("{}/v1/centra/{PATH}", shop.pipeline.door.url);
    told(&tell(&url, notice.to_string()).await?, 202).map(drop)
}

/// Scored, decided, scored again, and everything that a merchant can tell of it.
async fn live_through_an_order(shop: &HeldShop) -> Result<()> {
    shop.pipeline.apply_policy(&json!({"bands": {"medium": 0, "high": 100, "critical": 101}})).await?;
    let client = shop.pipeline.client();
    let verdict = told(&client.analyze(&order("D-1")).await?, 200)?;
    let path = format!("/v1/transactions/{}", verdict["transaction_id"].as_str().context("it has an id")?);
    let decision = json!({"decision": "approve", "reviewer": "ann"});
    told(&client.post(&format!("{path}/decision"), &decision).await?, 200)?;
    for kind in ["fulfilled", "chargeback_opened", "chargeback_upheld", "chargeback_reversed", "refunded"] {
        let mut outcome = json!({"type": kind, "occurred_at": "2026-01-02T03:04:05Z"});
        if kind != "fulfilled" {
            outcome["amount"] = json!("12.50");
        }
        told(&client.post(&format!("{path}/outcome"), &outcome).await?, 200)?;
    }
    told(&client.act(&format!("{path}/reanalyze")).await?, 200)?;
    let client = checks::client(&shop.pipeline);
    told(&client.check(&checks::check("D-2")).await?, 200)?;
    for update in [
        json!({"order_id": "D-2", "status": "returned", "note": "no outcome, and flagged"}),
        json!({"order_id": "D-2", "chargeback_status": "opened", "balance": "1.50", "is_locked": true}),
    ] {
        told(&client.update(&update).await?, 200)?;
    }
    Ok(())
}

async fn ask_for_a_trial(shop: &HeldShop) -> Result<()> {
    let backend = &shop.pipeline.door.backend;
    let store = shop.pipeline.door.keys.mine.tenant.store_id.as_str();
    let listed = touchstone_json(backend, &["endpoint", "list", "--store", store]).await?;
    let endpoints = listed["endpoints"].as_array().context("there are endpoints")?;
    let heard = endpoints.iter().find(|endpoint| endpoint["url"] == shop.webhooks_url()).context("ours is there")?;
    let id = heard["endpoint_id"].as_str().context("it has an id")?;
    touchstone_json(backend, &["endpoint", "test", "--endpoint", id]).await.map(drop)
}
