//! No request reads or changes another store's anything: over every route of the OpenAPI document.

use hyper::Method;
use serde_json::Value;
use touchstone_ingest::Settings;

use super::fixture::{Door, order};

/// Routes that need no key. This list only shrinks.
const OPEN: &[&str] = &["/healthz", "/readyz", "/openapi.json", "/docs"];
/// Routes whose path is the credential: `ingest::centra` shows that it opens nothing but its own store.
const TOKENED: &[&str] = &["/v1/centra/{connector_token}"];
/// Routes that name nothing of a store.
const OWN: &[&str] = &["/v1/analyze", "/v1/backfill", "/v1/lists", "/v1/transactions"];

fn body_for(path: &str) -> &'static str {
    match path.rsplit('/').next() {
        Some("decision") => r#"{"decision":"approve","reviewer":"eve"}"#,
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
    let document: Value = serde_json::from_str(&touchstone_ingest::openapi())?;
    let mut tried = 0;
    for (path, operations) in document["paths"].as_object().expect("it has paths") {
        let id = if path.starts_with("/v1/lists") { listed } else { id };
        for method in operations.as_object().expect("it has methods").keys() {
            let method: Method = method.to_uppercase().parse()?;
            let unsigned = touchstone_tests::HttpClient::new();
            let request = hyper::Request::builder().method(method.clone()).uri(format!(
                "{}{}",
                door.url,
                path.replace("{id}", id)
            ));
            let stranger = unsigned.send(request.body(http_body_util::Full::default())?).await?;
            if OPEN.contains(&path.as_str()) {
                continue;
            }
            assert_eq!(stranger.status, 401, "{method} {path} without a signature");
            if TOKENED.contains(&path.as_str()) {
                assert_eq!(theirs.send(method, path, "{}").await?.status, 401, "{path} with a signature");
                continue;
            }
            if OWN.contains(&path.as_str()) {
                continue;
            }
            for named in [id, "tx_01ARZ3NDEKTSV4RRFFQ69G5FAV", "7", "tx_", "..%2f.."] {
                let answer = theirs.send(method.clone(), &path.replace("{id}", named), body_for(path)).await?;
                anyhow::ensure!(answer.status == 404, "{method} {path} {named}: {answer:?}");
                tried += 1;
            }
        }
    }
    assert_eq!(tried, 5 * 6, "all routes that name something of a store");
    assert_eq!(mine.get("/v1/lists").await?.json()?["entries"][0]["id"], listed, "a stranger took it off");
    Ok(())
}
