//! What the connector does: one operation, one request.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{HeaderMap, Request};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::{Value, json};

use crate::Centra;

pub(super) const RESUME: &str = "mutation($id: String!) {
    resumeOrder: resumeDirectToConsumerOrder(order: { id: $id }) {
        order { id status }
        userErrors { message path }
        userWarnings { message path }
    }
}";

pub(super) const CANCEL: &str = "mutation($order: OrderInput!, $input: DirectToConsumerOrderCancelInput!) {
    cancelOrder: cancelDirectToConsumerOrder(order: $order, input: $input) {
        order { id status isOnHold orderHoldReason }
        userErrors { message path }
        userWarnings { message path }
    }
}";

/// Longer than any answer takes that comes.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

pub(super) fn cancel_variables(id: &str) -> Value {
    json!({
        "order": { "id": id },
        "input": {
            "reason": "FRAUD_CHECK_REJECTED",
            "emailOptions": { "sendEmail": false },
            "stockAction": { "releaseItemsBackToWarehouse": true },
            "cancelAuthorization": true,
            "comment": "Rejected by the fraud check",
        },
    })
}

/// Sends an operation; an error is a connection that broke.
pub(super) async fn try_send(shop: &Centra, query: &str, variables: Value) -> Result<Answer, String> {
    let body = json!({ "query": query, "variables": variables }).to_string();
    try_send_body(shop, &shop.token(), body).await
}

pub(super) async fn try_send_body(shop: &Centra, token: &str, body: String) -> Result<Answer, String> {
    let client: Client<HttpConnector, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let request = Request::post(shop.api_url())
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/json")
        .body(Full::from(body))
        .unwrap();
    let exchange = async {
        let (parts, body) = client.request(request).await.map_err(|wrong| wrong.to_string())?.into_parts();
        let body = body.collect().await.map_err(|wrong| wrong.to_string())?.to_bytes();
        Ok(Answer { status: parts.status.as_u16(), headers: parts.headers, body })
    };
    tokio::time::timeout(PATIENCE, exchange).await.unwrap()
}

pub(super) async fn send(shop: &Centra, query: &str, variables: Value) -> Answer {
    try_send(shop, query, variables).await.unwrap()
}

/// The data of an operation that has no errors.
pub(super) async fn data(shop: &Centra, query: &str, variables: Value) -> Value {
    let answer = send(shop, query, variables).await;
    assert_eq!(answer.status, 200);
    let mut answer = answer.json();
    assert_eq!(answer.get("errors"), None, "{answer}");
    answer["data"].take()
}

/// The errors of an operation that was not executed.
pub(super) async fn refusal(shop: &Centra, query: &str, variables: Value) -> String {
    let answer = send(shop, query, variables).await;
    assert_eq!(answer.status, 200);
    let answer = answer.json();
    assert_eq!(answer.get("data").filter(|data| !data.is_null()), None, "{answer}");
    assert_ne!(answer["errors"].as_array().map_or(0, Vec::len), 0, "{answer}");
    answer["errors"].to_string()
}

pub(super) async fn resume(shop: &Centra, id: &str) -> Result<Answer, String> {
    try_send(shop, RESUME, json!({ "id": id })).await
}
