//! No request reads or changes another store's anything: over every route of the OpenAPI document.

use hyper::Method;
use serde_json::Value;
use touchstone_ingest::Settings;

use super::fixture::{Door, order};

/// Routes that need no key. This list only shrinks.
const OPEN: &[&str] = &["/healthz", "/readyz", "/openapi.json", "/docs"];
/// Routes whose path is the credential: `ingest::centra` shows that it opens nothing but its own store.
const TOKENED: &[&str] = &["/v1/centra/{connector_token}"];
/// Routes that an API key alone opens: `ingest::orders` shows that foreign numbers are 404.
const KEYED: &[&str] = &["/v1/orders", "/v1/orders/{orderId}"];
/// Routes that name nothing of a store.
const OWN: &[&str] =
    &["/v1/analyze", "/v1/backfill", "/v1/deliveries", "/v1/endpoints", "/v1/lists", "/v1/transactions"];
/// Routes of another credential, which is no signature: `pipeline::checks` shows that they open nothing but its own store.
const BASIC: &[&str] = &["/v2/risk/order/ecommerce", "/v2/risk/order", "/v2/risk/cart"];

fn body_for(path: &str) -> &'static str {
    match path.rsplit('/').next() {
        Some("decision") => r#"{"decision":"approve","reviewer":"eve"}"#,
        Some("recover") => r#"{"since":"2026-01-02T03:04:05Z"}"#,
        Some("outcome") => r#"{"type":"fulfilled","occurred_at":"2026-01-02T03:04:05Z"}"#,
        _ => "",
    }
}

#[tokio::test]
async fn foreign_and_malformed_ids_are_404_on_every_route() -> anyhow::Result<()> {
    let door = Door::embedded(Settings::default()).await?;
    let (mine, theirs) = (door.client(&door.keys.mine), door.client(&door.keys.theirs));
    // Nobody scores, so the order is promised: it exists, for its owner only.
    let promised = mine.analyze(&order("T-1")).await?.json()?;
    let id = promised["transaction_id"].as_str().expect("it is promised");
    assert_eq!(mine.get(&format!("/v1/transactions/{id}")).await?.status, 200);
    assert_eq!(theirs.get("/v1/transactions").await?.json()?["transactions"].as_array().map(Vec::len), Some(0));
    let entry = serde_json::json!({"list": "block", "subject": "email_domain", "value": "example.com"});
    let listed = mine.post("/v1/lists", &entry).await?.json()?;
    let listed = listed["id"].as_str().expect("it is listed");
    assert_eq!(theirs.get("/v1/lists").await?.json()?["entries"].as_array().map(Vec::len), Some(0));
    let delivery = super::deliveries::delivered(&door, &door.keys.mine, "https://shop.example/hook").await?;
    let (delivery, endpoint) = (delivery.id.to_string(), delivery.endpoint_id.to_string());
    assert_eq!(mine.get(&format!("/v1/deliveries/{delivery}")).await?.status, 200);
    assert_eq!(theirs.get("/v1/deliveries").await?.json()?["deliveries"].as_array().map(Vec::len), Some(0));
    assert_eq!(theirs.get("/v1/endpoints").await?.json()?["endpoints"].as_array().map(Vec::len), Some(0));
    let document: Value = serde_json::from_str(&touchstone_ingest::openapi())?;
    let mut tried = 0;
    for (path, operations) in document["paths"].as_object().expect("it has paths") {
        let id = match path.split('/').nth(2) {
            Some("lists") => listed,
            Some("deliveries") => &delivery,
            Some("endpoints") => &endpoint,
            _ => id,
        };
        for method in operations.as_object().expect("it has methods").keys() {
            let method: Method = method.to_uppercase().parse()?;
            if OPEN.contains(&path.as_str()) {
                continue;
            }
            for named in [id, "%ff"] {
                let unsigned = hyper::Request::builder().method(method.clone());
                let unsigned = unsigned.uri(format!("{}{}", door.url, path.replace("{id}", named)));
                let unsigned = unsigned.body(http_body_util::Full::default())?;
                let stranger = touchstone_tests::HttpClient::new().send(unsigned).await?;
                assert_eq!(stranger.status, 401, "{method} {path} {named} without a signature");
            }
            if [TOKENED, KEYED, BASIC].iter().any(|others| others.contains(&path.as_str())) {
                assert_eq!(theirs.send(method, path, "{}").await?.status, 401, "{path} with a signature");
                continue;
            }
            if OWN.contains(&path.as_str()) {
                continue;
            }
            for named in [id, "tx_01ARZ3NDEKTSV4RRFFQ69G5FAV", "7", "tx_", "..%2f..", "%ff"] {
                let answer = theirs.send(method.clone(), &path.replace("{id}", named), body_for(path)).await?;
                anyhow::ensure!(answer.status == 404, "{method} {path} {named}: {answer:?}");
                tried += 1;
            }
        }
    }
    assert_eq!(tried, 18 * 6, "all routes that name something of a store");
    assert_eq!(mine.get("/v1/lists").await?.json()?["entries"][0]["id"], listed, "a stranger took it off");
    assert_eq!(
        mine.get(&format!("/v1/endpoints/{endpoint}")).await?.json()?["enabled"],
        true,
        "a stranger switched it"
    );
    assert_eq!(mine.get(&format!("/v1/deliveries/{delivery}")).await?.json()?["state"], "delivered");
    Ok(())
}
