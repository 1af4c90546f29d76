//! The delivery log and the endpoints of the signed surface, on both ways to run.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use touchstone_ingest::Settings;
use touchstone_platform::random;
use touchstone_platform::store::SystemReason;
use touchstone_platform::store::accounts::{EndpointRow, SealedHeaders};
use touchstone_platform::store::deliveries::{AttemptRecord, DeliveryFilter, DeliveryView, Left, NextStep};
use touchstone_schema::event::{Event, EventKind};
use touchstone_schema::ids::{EndpointId, EventId, RequestId};
use touchstone_schema::time::Timestamp;

use super::fixture::{Door, Key};

/// Adds an endpoint to the store of a key.
async fn endpoint(door: &Door, key: &Key, url: &str) -> Result<EndpointId> {
    let now = door.clock.now();
    let id = EndpointId::mint(now, random::bytes());
    let headers = SealedHeaders { names: vec!["Authorization".to_owned()], sealed: b"sealed header".to_vec() };
    let row = EndpointRow::new(id.clone(), key.tenant.store_id.clone(), url, b"sealed secret".to_vec(), now);
    let row = EndpointRow { headers: Some(headers), ..row };
    door.store.system(SystemReason::Operator).add_endpoint(&row).await?;
    Ok(id)
}

/// Has an event of the key's world planned for whoever wants it.
async fn planned(door: &Door, key: &Key, kind: EventKind) -> Result<EventId> {
    let now = door.clock.now();
    let event = Event {
        id: EventId::mint(now, random::bytes()),
        tenant: key.tenant.clone(),
        transaction_id: None,
        surface: None,
        kind,
        sequence: 1,
        occurred_at: now,
        request_id: RequestId::mint(now, random::bytes()),
        trace: None,
        data: RawValue::from_string("{}".to_owned())?,
    };
    let system = door.store.system(SystemReason::RoleLoop);
    system.add_event(&event).await?;
    system.plan(std::slice::from_ref(&event.id), now, now, Left::default()).await?;
    Ok(event.id)
}

/// Records an attempt of an event's delivery.
async fn attempted(door: &Door, key: &Key, event: &EventId, number: u32, next: NextStep) -> Result<DeliveryView> {
    let system = door.store.system(SystemReason::RoleLoop);
    let filter = DeliveryFilter { event_id: Some(event.clone()), ..DeliveryFilter::default() };
    let found = system.deliveries(&filter, 1).await?.pop().context("it is planned")?;
    let record = AttemptRecord {
        delivery: found.id.clone(),
        endpoint: found.endpoint_id.clone(),
        store_id: key.tenant.store_id.clone(),
        ordered: false,
        number,
        started_at: door.clock.now(),
        duration_ms: 84,
        status: Some(if next == NextStep::Delivered { 200 } else { 500 }),
        error: (next != NextStep::Delivered).then(|| "http_status".to_owned()),
        response_start: "upstream is away".to_owned(),
        next,
    };
    system.record_attempts(&[record], door.clock.now()).await?;
    Ok(found)
}

/// A delivery of the store that arrived, to an endpoint of its own.
pub(super) async fn delivered(door: &Door, key: &Key, url: &str) -> Result<DeliveryView> {
    endpoint(door, key, url).await?;
    let event = planned(door, key, EventKind::OrderScored).await?;
    attempted(door, key, &event, 1, NextStep::Delivered).await
}

fn events_of(page: &Value) -> Vec<&str> {
    page["deliveries"].as_array().into_iter().flatten().filter_map(|row| row["event_id"].as_str()).collect()
}

async fn log_is_paged_newest_first_and_filtered(door: Door) -> Result<()> {
    let mine = door.client(&door.keys.mine);
    let to = endpoint(&door, &door.keys.mine, "https://shop.example/hook").await?;
    let mut events = Vec::new();
    for at in 0..7 {
        let kind = if at == 2 { EventKind::OrderDecided } else { EventKind::OrderScored };
        events.insert(0, planned(&door, &door.keys.mine, kind).await?.to_string());
    }
    let first = mine.get("/v1/deliveries?limit=3").await?.json()?;
    // What is planned meanwhile moves nothing from one page to another.
    let newest = planned(&door, &door.keys.mine, EventKind::OrderScored).await?.to_string();
    let mut seen: Vec<String> = events_of(&first).into_iter().map(str::to_owned).collect();
    let mut cursor = first["next_cursor"].clone();
    while let Some(next) = cursor.as_str() {
        let page = mine.get(&format!("/v1/deliveries?limit=3&cursor={next}")).await?.json()?;
        seen.extend(events_of(&page).into_iter().map(str::to_owned));
        cursor = page["next_cursor"].clone();
    }
    // Those of one millisecond have an order of their own, the same on every page.
    let sorted = |mut list: Vec<String>| {
        list.sort();
        list
    };
    assert_eq!(sorted(seen), sorted(events.clone()));

    let read = async |query: &str| -> Result<Value> { mine.get(&format!("/v1/deliveries?{query}")).await?.json() };
    assert_eq!(events_of(&read("event=order.decided").await?), [events[4].as_str()]);
    assert_eq!(events_of(&read(&format!("event={newest}")).await?), [newest.as_str()]);
    assert_eq!(events_of(&read(&format!("endpoint={to}&state=pending")).await?).len(), 8);
    assert_eq!(events_of(&read("state=dead").await?).len(), 0);
    assert_eq!(events_of(&read("transaction=tx_01ARZ3NDEKTSV4RRFFQ69G5FAV").await?).len(), 0);
    let future = (door.clock.now() + Duration::from_secs(60)).to_rfc3339();
    assert_eq!(events_of(&read(&format!("since={future}")).await?).len(), 0);
    let refused = mine.get("/v1/deliveries?state=gone").await?;
    assert_eq!((refused.status.as_u16(), &refused.json()?["field"]), (422, &json!("/state")));
    Ok(())
}

async fn delivery_shows_its_attempts_and_is_sent_again(door: Door) -> Result<()> {
    let mine = door.client(&door.keys.mine);
    let to = endpoint(&door, &door.keys.mine, "https://shop.example/hook").await?;
    let event = planned(&door, &door.keys.mine, EventKind::OrderScored).await?;
    for number in 1..=3 {
        let next = if number == 3 { NextStep::Dead } else { NextStep::RetryAt(door.clock.now()) };
        attempted(&door, &door.keys.mine, &event, number, next).await?;
    }
    let id = mine.get(&format!("/v1/deliveries?event={event}")).await?.json()?["deliveries"][0]["delivery_id"].clone();
    let path = format!("/v1/deliveries/{}", id.as_str().context("an id")?);
    let shown = mine.get(&format!("{path}?limit=2")).await?.json()?;
    assert_eq!(
        (&shown["state"], &shown["attempts"], &shown["event"]),
        (&json!("dead"), &json!(3), &json!("order.scored"))
    );
    let numbers = |page: &Value| -> Vec<u64> {
        page["attempt_log"].as_array().into_iter().flatten().filter_map(|one| one["number"].as_u64()).collect()
    };
    assert_eq!(numbers(&shown), [3, 2]);
    let attempt = &shown["attempt_log"][0];
    assert_eq!((&attempt["status"], &attempt["error"]), (&json!(500), &json!("http_status")));
    assert_eq!((&attempt["latency_ms"], &attempt["response_start"]), (&json!(84), &json!("upstream is away")));
    let cursor = shown["next_cursor"].as_str().context("one more")?;
    let rest = mine.get(&format!("{path}?limit=2&cursor={cursor}")).await?.json()?;
    assert_eq!((numbers(&rest), &rest["next_cursor"]), (vec![1], &Value::Null));

    for _ in 0..2 {
        let again = mine.send(hyper::Method::POST, &format!("{path}/replay"), "").await?;
        assert_eq!((again.status.as_u16(), &again.json()?["state"]), (200, &json!("pending")));
    }
    let off = mine.send(hyper::Method::POST, &format!("/v1/endpoints/{to}/disable"), "").await?;
    assert_eq!((off.status.as_u16(), &off.json()?["enabled"]), (200, &json!(false)));
    let refused = mine.send(hyper::Method::POST, &format!("{path}/replay"), "").await?;
    assert_eq!((refused.status.as_u16(), &refused.json()?["code"]), (409, &json!("endpoint_disabled")));
    Ok(())
}

async fn each_world_sees_the_deliveries_of_its_own_events(door: Door) -> Result<()> {
    let trial = door.add_test_key(&door.keys.mine).await?;
    door.directory.refresh_now().await?;
    let (live, test) = (door.client(&door.keys.mine), door.client(&trial));
    let to = endpoint(&door, &door.keys.mine, "https://shop.example/hook").await?;
    let (of_live, of_test) = (
        planned(&door, &door.keys.mine, EventKind::OrderScored).await?,
        planned(&door, &trial, EventKind::OrderScored).await?,
    );
    for (client, own, other) in [(&live, &of_live, &of_test), (&test, &of_test, &of_live)] {
        for query in
            [String::new(), format!("endpoint={to}"), "state=pending".to_owned(), "event=order.scored".to_owned()]
        {
            let page = client.get(&format!("/v1/deliveries?{query}")).await?.json()?;
            assert_eq!(events_of(&page), [own.as_str()], "{query}");
        }
        let none = client.get(&format!("/v1/deliveries?event={other}")).await?.json()?;
        assert!(events_of(&none).is_empty());
    }
    let id = live.get("/v1/deliveries").await?.json()?["deliveries"][0]["delivery_id"].clone();
    let path = format!("/v1/deliveries/{}", id.as_str().context("an id")?);
    assert_eq!(test.get(&path).await?.status, 404);
    assert_eq!(test.send(hyper::Method::POST, &format!("{path}/replay"), "").await?.status, 404);

    // Both see the endpoint; to switch it takes a live key.
    assert_eq!(test.get(&format!("/v1/endpoints/{to}")).await?.status, 200);
    let refused = test.send(hyper::Method::POST, &format!("/v1/endpoints/{to}/disable"), "").await?;
    assert_eq!((refused.status.as_u16(), &refused.json()?["code"]), (409, &json!("live_key_needed")));
    let tried = test.send(hyper::Method::POST, &format!("/v1/endpoints/{to}/test"), "").await?.json()?;
    let event: EventId = tried["event_id"].as_str().context("an event")?.parse()?;
    let now = door.clock.now();
    door.store.system(SystemReason::RoleLoop).plan(std::slice::from_ref(&event), now, now, Left::default()).await?;
    assert_eq!(events_of(&test.get("/v1/deliveries?event=endpoint.test").await?.json()?), [event.as_str()]);
    assert!(events_of(&live.get("/v1/deliveries?event=endpoint.test").await?.json()?).is_empty());
    Ok(())
}

async fn endpoints_are_shown_without_secrets_switched_and_recovered(door: Door) -> Result<()> {
    let mine = door.client(&door.keys.mine);
    let to = endpoint(&door, &door.keys.mine, "https://user:hunter2@shop.example/hook?token=hunter2").await?;
    endpoint(&door, &door.keys.mine, "https://shop.example/second").await?;
    let answer = mine.get("/v1/endpoints?limit=1").await?;
    let text = String::from_utf8(answer.body.to_vec())?;
    for secret in ["hunter2", "sealed", "secret\":"] {
        assert!(!text.contains(secret), "{text}");
    }
    let page = answer.json()?;
    let shown = &page["endpoints"][0];
    assert_eq!(shown["url"], "https://***@shop.example/hook?token=***");
    assert_eq!((&shown["header_names"], &shown["enabled"]), (&json!(["Authorization"]), &json!(true)));
    let next = page["next_cursor"].as_str().context("one more")?;
    let rest = mine.get(&format!("/v1/endpoints?limit=1&cursor={next}")).await?.json()?;
    assert_eq!(rest["endpoints"][0]["url"], "https://shop.example/second");

    let path = format!("/v1/endpoints/{to}");
    let post = async |act: &str, body: String| mine.send(hyper::Method::POST, &format!("{path}/{act}"), body).await;
    let since = (door.clock.now() - Duration::from_secs(3_600)).to_rfc3339();
    let asked = json!({ "since": since }).to_string();
    let off = post("disable", String::new()).await?.json()?;
    assert_eq!((&off["enabled"], &off["disabled_reason"]), (&json!(false), &json!("switched off through the API")));
    for (act, body) in [("test", String::new()), ("recover", asked.clone())] {
        let refused = post(act, body).await?;
        assert_eq!((refused.status.as_u16(), &refused.json()?["code"]), (409, &json!("endpoint_disabled")), "{act}");
    }
    assert_eq!(post("enable", String::new()).await?.json()?["enabled"], true);
    let begun = post("recover", asked.clone()).await?;
    assert_eq!(begun.status, 202);
    let joined = post("recover", asked).await?.json()?;
    let recovery = begun.json()?;
    assert_eq!((&joined["recovery_id"], &recovery["state"]), (&recovery["recovery_id"], &json!("running")));
    let listed = mine.get(&format!("{path}/recoveries")).await?.json()?;
    assert_eq!(listed["recoveries"].as_array().map(Vec::len), Some(1));
    let old = Timestamp::from_millis(0).to_rfc3339();
    for body in [json!({ "since": old }), json!({ "since": "yesterday" }), json!({})] {
        let refused = post("recover", body.to_string()).await?;
        assert_eq!((refused.status.as_u16(), &refused.json()?["field"]), (422, &json!("/since")), "{body}");
    }
    Ok(())
}

macro_rules! on_both_ways_to_run {
    ($($behaviour:ident),+ $(,)?) => {
        mod embedded {
            $(#[tokio::test]
            async fn $behaviour() -> anyhow::Result<()> {
                let door = super::Door::embedded(super::Settings::default()).await?;
                Box::pin(super::$behaviour(door)).await
            })+
        }
        mod production {
            $(#[tokio::test]
            async fn $behaviour() -> anyhow::Result<()> {
                let door = Box::pin(super::Door::production(super::Settings::default())).await?;
                Box::pin(super::$behaviour(door)).await
            })+
        }
    };
}

on_both_ways_to_run![
    log_is_paged_newest_first_and_filtered,
    delivery_shows_its_attempts_and_is_sent_again,
    each_world_sees_the_deliveries_of_its_own_events,
    endpoints_are_shown_without_secrets_switched_and_recovered,
];
