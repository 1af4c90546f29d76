//! A client of RabbitMQ's management API, as far as tests need it.

use anyhow::{Context, ensure};
use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http_body_util::Full;
use hyper::{Method, Request, header};
use serde_json::Value;
use url::Url;

use crate::http::HttpClient;

/// The management API of one broker.
#[derive(Clone)]
pub struct Admin {
    base: Url,
    authorization: String,
}

impl Admin {
    /// Takes an address such as `http://user:password@127.0.0.1:15672`.
    ///
    /// # Errors
    /// When it is no URL.
    pub fn new(url: &str) -> anyhow::Result<Self> {
        let mut base = Url::parse(url).context("the management address is no URL")?;
        let credentials = format!("{}:{}", base.username(), base.password().unwrap_or_default());
        let _ = base.set_username("");
        let _ = base.set_password(None);
        Ok(Self { base, authorization: format!("Basic {}", BASE64_STANDARD.encode(credentials)) })
    }

    async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<Value> {
        let url = self.base.join(path)?;
        let request = Request::builder()
            .method(method.clone())
            .uri(url.as_str())
            .header(header::AUTHORIZATION, &self.authorization)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body.map(Value::to_string).unwrap_or_default())))?;
        let answer = HttpClient::new().send(request).await?;
        ensure!(
            answer.status.is_success(),
            "{method} {path}: {} {}",
            answer.status,
            String::from_utf8_lossy(&answer.body)
        );
        if answer.body.is_empty() { Ok(Value::Null) } else { answer.json() }
    }

    /// Reads.
    ///
    /// # Errors
    /// When the broker cannot be reached or refuses.
    pub async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.send(Method::GET, path, None).await
    }

    /// Creates or replaces.
    ///
    /// # Errors
    /// When the broker cannot be reached or refuses.
    pub async fn put(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.send(Method::PUT, path, Some(body)).await
    }

    /// Acts, for example publishes or fetches messages.
    ///
    /// # Errors
    /// When the broker cannot be reached or refuses.
    pub async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.send(Method::POST, path, Some(body)).await
    }

    /// Removes.
    ///
    /// # Errors
    /// When the broker cannot be reached or refuses.
    pub async fn delete(&self, path: &str) -> anyhow::Result<Value> {
        self.send(Method::DELETE, path, None).await
    }
}
