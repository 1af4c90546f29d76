//! Receives Touchstone's webhooks (Standard Webhooks). Needs axum, base64, hmac, serde_json, sha2 and tokio.
//!
//!   TOUCHSTONE_WEBHOOK_SECRET=whsec_… PORT=9000 cargo run

#![expect(clippy::print_stdout, clippy::disallowed_methods, reason = "a program to copy, which has no clock of ours")]

use std::collections::HashSet;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::{Bytes, HttpBody as _};
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use base64::{Engine, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;

const TOLERANCE_S: u64 = 300;
const LARGEST_BODY: usize = 1 << 20;
const TIMEOUT: Duration = Duration::from_secs(15);

struct Receiver {
    secret: Vec<u8>,
    /// Your database, with a unique key on the id.
    seen: Mutex<HashSet<String>>,
}

impl Receiver {
    /// The webhook's id, when Touchstone signed exactly these bytes, just now.
    fn genuine<'a>(&self, headers: &'a HeaderMap, body: &[u8]) -> Option<&'a str> {
        let header = |name: &str| headers.get(name)?.to_str().ok();
        let (id, timestamp) = (header("webhook-id")?, header("webhook-timestamp")?);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs();
        if now.abs_diff(timestamp.parse().ok()?) > TOLERANCE_S {
            return None;
        }
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.secret).ok()?;
        mac.update(format!("{id}.{timestamp}.").as_bytes());
        mac.update(body);
        // During a rotation there are several signatures, and one that fits is enough.
        let signatures = header("webhook-signature")?.split(' ').filter_map(|text| text.strip_prefix("v1,"));
        let mut decoded = signatures.filter_map(|text| BASE64_STANDARD.decode(text).ok());
        decoded.any(|signature| mac.clone().verify_slice(&signature).is_ok()).then_some(id)
    }
}

async fn receive(State(receiver): State<Arc<Receiver>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let Some(id) = receiver.genuine(&headers, &body) else { return StatusCode::UNAUTHORIZED };
    let Ok(event) = serde_json::from_slice::<Value>(&body) else { return StatusCode::BAD_REQUEST };
    // A retry has the same id.
    if receiver.seen.lock().unwrap_or_else(PoisonError::into_inner).insert(id.to_owned()) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let data = &event["data"];
        println!("verified {} {} {}", text(&event["type"]), text(&data["order_id"]), text(&data["recommended_action"]));
    }
    StatusCode::NO_CONTENT
}

/// Ends a request whose sender is too slow, and refuses at once a body that is announced as too long.
async fn limited(request: Request, next: Next) -> Response {
    if request.body().size_hint().lower() > LARGEST_BODY as u64 {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    }
    let answer = tokio::time::timeout(TIMEOUT, next.run(request)).await;
    answer.unwrap_or_else(|_| StatusCode::REQUEST_TIMEOUT.into_response())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let secret = std::env::var("TOUCHSTONE_WEBHOOK_SECRET")?;
    let secret = BASE64_STANDARD.decode(secret.trim_start_matches("whsec_"))?;
    let receiver = Arc::new(Receiver { secret, seen: Mutex::default() });
    let routes = Router::new()
        .fallback(post(receive))
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .layer(from_fn(limited))
        .with_state(receiver);
    let port = std::env::var("PORT").unwrap_or_else(|_| "9000".to_owned());
    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    println!("listening on port {port}");
    Ok(axum::serve(listener, routes).await?)
}
