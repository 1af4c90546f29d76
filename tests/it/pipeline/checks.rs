//! The checks surface: checks, updates and labels.

mod contract;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http_body_util::Full;
use hyper::Method;
use serde_json::{Value, json};
use touchstone_tests::{Answer, HttpClient};

use super::fixture::{Pipeline, events, told};
use crate::ingest::fixture::Key;

on_both_ways_to_run![
    a_check_is_answered_once_and_for_all,
    sixteen_identical_checks_at_once_get_one_verdict_and_one_event,
    carts_and_transactions_do_not_share_ids_and_a_named_cart_is_converted_once,
    bad_credentials_are_one_refusal_and_scopes_are_told_to_owners_only,
    updates_are_recorded_once_and_racing_ones_both_survive,
    labels_of_updates_count_with_the_next_check,
    an_update_that_ends_the_order_closes_its_review,
    what_is_no_sale_is_refused_with_the_update_to_send_instead,
    without_a_verdict_nothing_is_promised,
];

const ORDER: &str = "/v2/risk/order";
const ORDER_CHECK: &str = "/v2/risk/order/ecommerce";
const CART: &str = "/v2/risk/cart";

/// A caller with the credentials of a key.
pub(crate) struct Client<'a> {
    url: &'a str,
    http: HttpClient,
    authorization: String,
}

impl<'a> Client<'a> {
    fn of(pipeline: &'a Pipeline, key: &Key) -> Self {
        Self::with(pipeline, key.id.as_str(), &key.password)
    }

    fn with(pipeline: &'a Pipeline, user: &str, password: &str) -> Self {
        let authorization = format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}")));
        Self { url: &pipeline.door.url, http: HttpClient::new(), authorization }
    }

    async fn send(&self, method: Method, path: &str, document: &Value) -> Result<Answer> {
        self.send_text(method, path, "application/json", document.to_string()).await
    }

    async fn send_text(&self, method: Method, path: &str, media: &str, text: String) -> Result<Answer> {
        let request = hyper::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url))
            .header("authorization", &self.authorization)
            .header("content-type", media);
        self.http.send(request.body(Full::from(text))?).await
    }

    pub(crate) async fn check(&self, document: &Value) -> Result<Answer> {
        self.send(Method::POST, ORDER_CHECK, document).await
    }

    async fn check_strictly(&self, document: &Value) -> Result<Answer> {
        self.send_strictly(Method::POST, ORDER_CHECK, document).await
    }

    async fn update_strictly(&self, document: &Value) -> Result<Answer> {
        self.send_strictly(Method::PATCH, ORDER, document).await
    }

    async fn send_strictly(&self, method: Method, path: &str, document: &Value) -> Result<Answer> {
        let request = hyper::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url))
            .header("authorization", &self.authorization)
            .header("content-type", "application/json")
            .header("prefer", "handling=strict");
        self.http.send(request.body(Full::from(document.to_string()))?).await
    }

    pub(crate) async fn update(&self, document: &Value) -> Result<Answer> {
        self.send(Method::PATCH, ORDER, document).await
    }
}

pub(crate) fn client(pipeline: &Pipeline) -> Client<'_> {
    Client::of(pipeline, &pipeline.door.keys.checks[0])
}

pub(crate) fn check(id: &str) -> Value {
    json!({
        "transaction": {"order_id": id, "ordered_on": "2026-01-02", "order_total": 129.90, "order_currency": "EUR"},
        "billing": {"email": "ada@example.com"},
    })
}

fn cart(id: &str) -> Value {
    json!({"transaction": {"cart_id": id, "ordered_on": "2026-01-02"}})
}

/// A refusal must be the surface's own, and name what is at fault.
fn refused(answer: &Answer, status: u16, source: &str) -> Result<()> {
    let document = told(answer, status)?;
    let is_named = document["success"] == false && document["code"] == status && document["source"] == source;
    ensure!(is_named && document["message"].is_string(), "expected {status} of {source:?}: {document}");
    Ok(())
}

/// An answer without its timer.
fn stored(answer: &Answer) -> Result<Value> {
    let mut document = told(answer, 200)?;
    document["data"]["timer"].take().as_u64().context("it tells its time")?;
    Ok(document)
}

/// The transaction that an answer links to, as its owner sees it.
async fn linked(pipeline: &Pipeline, answer: &Value) -> Result<Value> {
    let link = answer["data"]["link"].as_str().context("it has a link")?;
    let (_, path) = link.split_once("/v1/").context("it leads to a transaction")?;
    told(&pipeline.client().get(&format!("/v1/{path}")).await?, 200)
}

async fn a_check_is_answered_once_and_for_all(pipeline: &mut Pipeline) -> Result<()> {
    pipeline.score();
    let client = client(pipeline);
    let first = stored(&client.check(&check("A-1")).await?)?;
    let data = &first["data"];
    assert_eq!((&first["success"], &data["id"]), (&json!(true), &json!("A-1")));
    let score = data["risk_score"].as_u64().context("it has a score")?;
    let group = if score <= 30 { "low" } else { "medium" };
    assert_eq!(data["risk_group"], group, "{data}");
    let weights: i64 =
        data["tags"].as_array().context("it has tags")?.iter().filter_map(|tag| tag["weight"].as_i64()).sum();
    assert_eq!(weights.clamp(0, 100).unsigned_abs(), score, "{data}");

    pipeline.door.clock.advance(Duration::from_secs(40 * 86_400));
    assert_eq!(stored(&client.check(&check("A-1")).await?)?, first);
    let mut other = check("A-1");
    other["billing"]["email"] = json!("eve@example.com");
    refused(&client.check(&other).await?, 409, "/transaction/order_id")
}

async fn sixteen_identical_checks_at_once_get_one_verdict_and_one_event(pipeline: &mut Pipeline) -> Result<()> {
    pipeline.score();
    let client = client(pipeline);
    let document = check("S-1");
    let answers = futures_util::future::try_join_all((0..16).map(|_| client.check(&document))).await?;
    let mut all = answers.iter().map(stored).collect::<Result<Vec<_>>>()?;
    let one = all.swap_remove(0);
    ensure!(all.iter().all(|other| *other == one), "{all:?}");
    assert_eq!(events(&linked(pipeline, &one).await?), ["order.scored"]);
    Ok(())
}

async fn carts_and_transactions_do_not_share_ids_and_a_named_cart_is_converted_once(
    pipeline: &mut Pipeline,
) -> Result<()> {
    pipeline.score();
    let client = client(pipeline);
    let of_cart = stored(&client.send(Method::POST, CART, &cart("1")).await?)?;
    let mut order = check("1");
    order["transaction"]["cart_token"] = json!("1");
    for _ in 0..2 {
        let of_order = stored(&client.check(&order).await?)?;
        assert_ne!(of_order["data"]["link"], of_cart["data"]["link"]);
    }
    let converted = linked(pipeline, &of_cart).await?;
    assert_eq!(events(&converted), ["order.scored", "order.status_changed"]);
    assert_eq!(converted["check"]["status"], "converted", "{converted}");

    let mut nobodys = check("2");
    nobodys["transaction"]["cart_id"] = json!("never checked");
    stored(&client.check(&nobodys).await?).map(drop)
}

async fn bad_credentials_are_one_refusal_and_scopes_are_told_to_owners_only(pipeline: &mut Pipeline) -> Result<()> {
    let keys = &pipeline.door.keys;
    let known = &keys.checks[0];
    let unknown = "key_01ARZ3NDEKTSV4RRFFQ69G5FAV";
    let no_scope = &keys.no_scope;
    let mut texts = Vec::new();
    for (user, password) in [
        (known.id.as_str(), "wrong"),
        (known.id.as_str(), ""),
        (known.id.as_str(), keys.checks[1].password.as_str()),
        (unknown, known.password.as_str()),
        (no_scope.id.as_str(), "wrong"),
        ("", ""),
    ] {
        let answer = Client::with(pipeline, user, password).check(&check("1")).await?;
        refused(&answer, 401, "Authorization")?;
        ensure!(answer.header("www-authenticate").starts_with("Basic "), "{answer:?}");
        texts.push(answer.body);
    }
    ensure!(texts.iter().all(|text| *text == texts[0]), "{texts:?}");
    refused(&Client::of(pipeline, no_scope).check(&check("1")).await?, 403, "Authorization")
}

async fn updates_are_recorded_once_and_racing_ones_both_survive(pipeline: &mut Pipeline) -> Result<()> {
    pipeline.score();
    let client = client(pipeline);
    refused(&client.update(&json!({"order_id": "U-1", "status": "hold"})).await?, 404, "/order_id")?;
    let answer = stored(&client.check(&check("U-1")).await?)?;
    let at = json!({"order_id": "U-1", "updated_on": "2026-02-01", "note": "one"});
    told(&client.update(&at).await?, 200)?;
    refused(&client.update(&at).await?, 409, "/updated_on")?;
    let stranger = Client::of(pipeline, &pipeline.door.keys.checks[1]);
    refused(&stranger.update(&json!({"order_id": "U-1", "note": "mine"})).await?, 404, "/order_id")?;

    let racing = [json!({"order_id": "U-1", "is_locked": true}), json!({"order_id": "U-1", "agent_code": "a"})];
    let racing = futures_util::future::try_join_all(racing.iter().map(|update| client.update(update))).await?;
    for answer in &racing {
        told(answer, 200)?;
    }
    let unusual = told(&client.update(&json!({"order_id": "U-1", "status": "returned", "note": ""})).await?, 200)?;
    assert_eq!(unusual["data"]["flagged"], json!(["status"]));
    let shown = linked(pipeline, &answer).await?;
    let state = &shown["check"];
    assert_eq!((&state["is_locked"], &state["agent_code"]), (&json!(true), &json!("a")));
    assert_eq!((&state["status"], &state["note"]), (&json!("returned"), &Value::Null));
    let changes = ["order.status_changed"; 4];
    assert_eq!(events(&shown), [&["order.scored"], &changes[..]].concat());
    Ok(())
}

fn weight(answer: &Value, id: &str) -> Option<i64> {
    let tags = answer["data"]["tags"].as_array()?;
    tags.iter().find(|tag| tag["id"] == id)?["weight"].as_i64()
}

async fn labels_of_updates_count_with_the_next_check(pipeline: &mut Pipeline) -> Result<()> {
    pipeline.score();
    let client = client(pipeline);
    let next = async |id: &str| {
        pipeline.door.clock.advance(Duration::from_secs(60));
        stored(&client.check(&check(id)).await?)
    };
    let first = next("L-1").await?;
    assert_eq!(weight(&next("L-2").await?, "prior_chargeback"), None);
    told(&client.update(&json!({"order_id": "L-1", "chargeback_status": "opened"})).await?, 200)?;
    assert_eq!(weight(&next("L-3").await?, "prior_chargeback"), Some(40));
    told(&client.update(&json!({"order_id": "L-2", "is_fraud": true})).await?, 200)?;
    assert_eq!(weight(&next("L-4").await?, "prior_chargeback"), Some(50));
    told(&client.update(&json!({"order_id": "L-1", "chargeback_status": "lost"})).await?, 200)?;
    assert_eq!(weight(&next("L-5").await?, "prior_chargeback"), Some(40), "the merchant kept the money");
    let shown = linked(pipeline, &first).await?;
    assert_eq!(events(&shown), ["order.scored", "chargeback.opened", "chargeback.reversed"]);
    Ok(())
}

async fn an_update_that_ends_the_order_closes_its_review(pipeline: &mut Pipeline) -> Result<()> {
    pipeline.apply_policy(&json!({"bands": {"medium": 0, "high": 100, "critical": 101}})).await?;
    pipeline.score();
    let client = client(pipeline);
    let signed = pipeline.client();
    for (number, update, status, ended_by) in [
        (1, json!({"status": "cancelled"}), "cancelled", json!("cancelled")),
        (2, json!({"status": "fulfilled"}), "approved", json!("fulfilled")),
        (3, json!({"payment_status": "refunded"}), "closed", json!("refunded")),
        (4, json!({"payment_status": "partially refunded"}), "review", json!(null)),
        (5, json!({"chargeback_status": "opened"}), "closed", json!("chargeback_opened")),
        (6, json!({"chargeback_status": "won"}), "closed", json!("chargeback_upheld")),
        (7, json!({"chargeback_status": "lost"}), "closed", json!("chargeback_reversed")),
        (8, json!({"is_fraud": true}), "closed", json!("fraud_confirmed")),
        (9, json!({"is_fraud": false}), "review", json!(null)),
        (10, json!({"status": "returned"}), "approved", json!("fulfilled")),
        (11, json!({"note": "called"}), "review", json!(null)),
    ] {
        let id = format!("E-{number}");
        let answer = stored(&client.check(&check(&id)).await?)?;
        let mut document = update.clone();
        document["order_id"] = json!(id);
        told(&client.update(&document).await?, 200)?;
        let shown = linked(pipeline, &answer).await?;
        assert_eq!((&shown["status"], &shown["ended_by"]), (&json!(status), &ended_by), "{update}");
        let path = format!("/v1/transactions/{}/decision", shown["transaction_id"].as_str().context("an id")?);
        let decision = signed.post(&path, &json!({"decision": "reject", "reviewer": "ada"})).await?;
        if status == "review" {
            told(&decision, 200)?;
            // What the merchant said of the order before does not undo what a person decided.
            told(&client.update(&json!({"order_id": id, "note": "filed"})).await?, 200)?;
            assert_eq!(linked(pipeline, &answer).await?["status"], "rejected", "{update}");
        } else {
            assert_eq!(told(&decision, 409)?["standing"], status, "{update}");
        }
    }
    Ok(())
}

async fn what_is_no_sale_is_refused_with_the_update_to_send_instead(pipeline: &mut Pipeline) -> Result<()> {
    pipeline.score();
    let client = client(pipeline);
    let mut refund = check("R-1");
    refund["transaction"]["type"] = json!("refund");
    let answer = client.check(&refund).await?;
    refused(&answer, 406, "/transaction/type")?;
    let message = answer.json()?["message"].as_str().context("it says why")?.to_owned();
    ensure!(message.contains("PATCH /v2/risk/order with payment_status refunded"), "{message}");
    refund["transaction"]["type"] = json!("sale");
    stored(&client.check(&refund).await?).map(drop)
}

async fn without_a_verdict_nothing_is_promised(pipeline: &mut Pipeline) -> Result<()> {
    let client = client(pipeline);
    refused(&client.check(&check("P-1")).await?, 503, "")?;
    let page = told(&pipeline.client().get("/v1/transactions").await?, 200)?;
    assert_eq!(page["transactions"], json!([]));
    pipeline.score();
    stored(&Client::of(pipeline, &pipeline.door.keys.checks[0]).check(&check("P-1")).await?).map(drop)
}
