//! A small HTTP client: keeps connections alive, follows nothing, hides nothing.

use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{HeaderMap, Method, Request, StatusCode};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::Value;

/// How long an answer may take: far above every deadline of Touchstone, so that a hang shows as one.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// What a server answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: StatusCode,
    /// The header fields.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

impl Answer {
    /// The body as JSON.
    ///
    /// # Errors
    /// When it is none; the message has status and body.
    pub fn json(&self) -> anyhow::Result<Value> {
        serde_json::from_slice(&self.body)
            .with_context(|| format!("no JSON: {} {}", self.status, String::from_utf8_lossy(&self.body)))
    }

    /// A header field as text; empty when it is absent or no text.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// A client with a pool of connections of its own.
#[derive(Clone, Debug)]
pub struct HttpClient {
    client: Client<HttpConnector, Full<Bytes>>,
}

impl Default for HttpClient {
    fn default() -> Self {
        Self::new()
    }
}

impl HttpClient {
    /// A client without connections yet.
    #[must_use]
    pub fn new() -> Self {
        Self { client: Client::builder(TokioExecutor::new()).build_http() }
    }

    /// Sends a request and reads the whole answer.
    ///
    /// # Errors
    /// When the server cannot be reached, closes early, or does not answer within 30 s.
    pub async fn send(&self, request: Request<Full<Bytes>>) -> anyhow::Result<Answer> {
        let what = format!("{} {}", request.method(), request.uri());
        let exchange = Box::pin(async {
            let (parts, body) = self.client.request(request).await?.into_parts();
            let body = body.collect().await?.to_bytes();
            anyhow::Ok(Answer { status: parts.status, headers: parts.headers, body })
        });
        let answer = tokio::time::timeout(ANSWER_WITHIN, exchange).await;
        answer.with_context(|| format!("{what}: no answer within {ANSWER_WITHIN:?}"))?.context(what)
    }

    /// Reads one URL.
    ///
    /// # Errors
    /// As [`HttpClient::send`].
    pub async fn get(&self, url: &str) -> anyhow::Result<Answer> {
        self.send(Request::builder().method(Method::GET).uri(url).body(Full::default())?).await
    }
}
