//! A shop's side of the signed surface: signs and sends orders as the integration examples do.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, bail};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use touchstone_platform::clock::Clock;
use touchstone_platform::crypto::hmac_sha256;
use touchstone_platform::random;
use touchstone_schema::secret::Secret;

use crate::commands::key::NewKey;

/// Clients of the signed surface time out after this (contract section 1).
const CLIENT_LIMIT: Duration = Duration::from_secs(5);
/// Longest answer that is read.
const ANSWER_BYTES: usize = 1 << 20;

/// A client with a key.
pub(super) struct Shopper {
    door: SocketAddr,
    api_key: String,
    hmac_secret: Secret,
    clock: Clock,
}

impl Shopper {
    pub(super) fn new(door: SocketAddr, key: &NewKey, clock: Clock) -> Self {
        let hmac_secret = Secret::new(key.hmac_secret.as_str());
        Self { door, api_key: key.api_key.clone(), hmac_secret, clock }
    }

    /// Sends an order and returns the verdict.
    pub(super) async fn send(&mut self, order: &Value) -> anyhow::Result<Value> {
        let sent = tokio::time::timeout(CLIENT_LIMIT, self.exchange(order)).await;
        sent.context("no answer within five seconds")?
    }

    async fn exchange(&self, order: &Value) -> anyhow::Result<Value> {
        let body = serde_json::to_string(order)?;
        let timestamp = self.clock.now().as_secs().to_string();
        let nonce = hex::encode(random::bytes::<16>());
        let signed = [timestamp.as_bytes(), b".", nonce.as_bytes(), b".", body.as_bytes()];
        let signature = hex::encode(hmac_sha256(&self.hmac_secret, &signed));
        let headers = [
            ("Authorization", format!("Bearer {}", self.api_key)),
            ("X-Fraudshield-Key", self.api_key.clone()),
            ("X-Fraudshield-Timestamp", timestamp),
            ("X-Fraudshield-Nonce", nonce),
            ("X-Fraudshield-Signature", signature),
        ];
        let (status, text) = post(self.door, "/v1/analyze", &headers, body).await?;
        if status != StatusCode::OK {
            bail!("{status}: {}", String::from_utf8_lossy(&text));
        }
        serde_json::from_slice(&text).context("the answer is not JSON")
    }
}

/// Sends a JSON document to the door.
pub(super) async fn post(
    door: SocketAddr,
    path: &str,
    headers: &[(&str, String)],
    body: String,
) -> anyhow::Result<(StatusCode, Bytes)> {
    let mut request = Request::post(path).header("Host", door.to_string()).header("Content-Type", "application/json");
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    let stream = TcpStream::connect(door).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let answer = sender.send_request(request.body(Full::new(Bytes::from(body)))?).await?;
    let status = answer.status();
    let read = Limited::new(answer.into_body(), ANSWER_BYTES).collect().await;
    connection.abort();
    Ok((status, read.map_err(anyhow::Error::from_boxed)?.to_bytes()))
}
