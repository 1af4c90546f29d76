//! A platform that sends signed requests, as the integrator's examples do (contracts.md §1).

use anyhow::Context;
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http_body_util::Full;
use hyper::{Method, Request};
use serde_json::Value;
use sha2::{Digest, Sha256};
use touchstone_platform::{clock::Clock, random};

use crate::http::{Answer, HttpClient};

/// The one route whose signature covers the body alone.
const ANALYZE: &str = "/v1/analyze";

/// What `touchstone key create --json` prints, as far as signing needs it.
#[derive(Clone)]
pub struct Credentials {
    /// `fcc_live_…` or `fcc_test_…`.
    pub api_key: String,
    /// The secret, as it was shown once.
    pub hmac_secret: String,
}

impl Credentials {
    /// Takes them from the printed document.
    ///
    /// # Errors
    /// When a member is missing.
    pub fn from_json(key: &Value) -> anyhow::Result<Self> {
        let member =
            |name: &str| key[name].as_str().map(str::to_owned).with_context(|| format!("key create printed no {name}"));
        Ok(Self { api_key: member("api_key")?, hmac_secret: member("hmac_secret")? })
    }

    /// The signature of `{timestamp}.{nonce}.{rest}` in hexadecimal digits.
    ///
    /// # Errors
    /// Never in practice: HMAC takes keys of every length.
    pub fn sign(&self, timestamp: &str, nonce: &str, rest: &[u8]) -> anyhow::Result<String> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.hmac_secret.as_bytes())?;
        mac.update(format!("{timestamp}.{nonce}.").as_bytes());
        mac.update(rest);
        Ok(hex::encode(mac.finalize().into_bytes()))
    }
}

/// A client with one key, one address and connections that stay open.
#[derive(Clone)]
pub struct SignedClient {
    base_url: String,
    credentials: Credentials,
    http: HttpClient,
    clock: Clock,
}

impl SignedClient {
    /// A client of the public door at `base_url`, such as `http://127.0.0.1:8080`.
    #[must_use]
    pub fn new(base_url: &str, credentials: Credentials) -> Self {
        Self {
            base_url: base_url.trim_end_matches('/').to_owned(),
            credentials,
            http: HttpClient::new(),
            clock: Clock::system(),
        }
    }

    /// Stamps its requests by another clock than the machine's.
    #[must_use]
    pub fn with_clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Sends an order for screening.
    ///
    /// # Errors
    /// When no answer comes. Every status is an answer.
    pub async fn analyze(&self, order: &Value) -> anyhow::Result<Answer> {
        self.send(Method::POST, ANALYZE, order.to_string()).await
    }

    /// Reads a signed route, such as `/v1/transactions/tx_…`.
    ///
    /// # Errors
    /// When no answer comes.
    pub async fn get(&self, path_and_query: &str) -> anyhow::Result<Answer> {
        self.send(Method::GET, path_and_query, "").await
    }

    /// Sends a document to a signed route.
    ///
    /// # Errors
    /// When no answer comes.
    pub async fn post(&self, path_and_query: &str, document: &Value) -> anyhow::Result<Answer> {
        self.send(Method::POST, path_and_query, document.to_string()).await
    }

    /// Asks for what needs no document, such as `/v1/transactions/tx_…/reanalyze`.
    ///
    /// # Errors
    /// When no answer comes.
    pub async fn act(&self, path: &str) -> anyhow::Result<Answer> {
        self.send(Method::POST, path, "").await
    }

    /// Signs and sends.
    ///
    /// # Errors
    /// When no answer comes.
    pub async fn send(&self, method: Method, path_and_query: &str, body: impl Into<Bytes>) -> anyhow::Result<Answer> {
        self.execute(self.request(method, path_and_query, body)?).await
    }

    /// Makes a correct request with a fresh nonce, for a test to spoil or to send twice.
    ///
    /// # Errors
    /// When the path is none.
    pub fn request(
        &self,
        method: Method,
        path_and_query: &str,
        body: impl Into<Bytes>,
    ) -> anyhow::Result<Request<Full<Bytes>>> {
        self.request_with_nonce(method, path_and_query, &fresh_nonce(), body)
    }

    /// The same with a nonce of the caller's choice.
    ///
    /// # Errors
    /// When the path or the nonce is none.
    pub fn request_with_nonce(
        &self,
        method: Method,
        path_and_query: &str,
        nonce: &str,
        body: impl Into<Bytes>,
    ) -> anyhow::Result<Request<Full<Bytes>>> {
        let body = body.into();
        let stands_for_body = body.clone();
        self.request_over(method, path_and_query, nonce, &stands_for_body, body)
    }

    /// Uploads a file, signed over its SHA-256.
    ///
    /// # Errors
    /// When no answer comes.
    pub async fn upload(&self, path_and_query: &str, media: &str, file: impl Into<Bytes>) -> anyhow::Result<Answer> {
        let file = file.into();
        let sha256 = hex::encode(Sha256::digest(&file));
        self.execute(self.upload_request(path_and_query, media, &sha256, file)?).await
    }

    /// An upload that says that its file has this SHA-256.
    ///
    /// # Errors
    /// When the path is none.
    pub fn upload_request(
        &self,
        path_and_query: &str,
        media: &str,
        sha256: &str,
        file: impl Into<Bytes>,
    ) -> anyhow::Result<Request<Full<Bytes>>> {
        let mut request =
            self.request_over(Method::POST, path_and_query, &fresh_nonce(), sha256.as_bytes(), file.into())?;
        request.headers_mut().insert("X-Content-SHA256", sha256.parse()?);
        request.headers_mut().insert("Content-Type", media.parse()?);
        Ok(request)
    }

    fn request_over(
        &self,
        method: Method,
        path_and_query: &str,
        nonce: &str,
        stands_for_body: &[u8],
        body: Bytes,
    ) -> anyhow::Result<Request<Full<Bytes>>> {
        let timestamp = self.clock.now().as_millis().div_euclid(1_000).to_string();
        let mut signed = Vec::new();
        if (&method, path_and_query) != (&Method::POST, ANALYZE) {
            signed.extend_from_slice(format!("{method} {path_and_query}.").as_bytes());
        }
        signed.extend_from_slice(stands_for_body);
        let Credentials { api_key, .. } = &self.credentials;
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path_and_query}", self.base_url))
            .header("Authorization", format!("Bearer {api_key}"))
            .header("X-Fraudshield-Key", api_key)
            .header("X-Fraudshield-Timestamp", &timestamp)
            .header("X-Fraudshield-Nonce", nonce)
            .header("X-Fraudshield-Signature", self.credentials.sign(&timestamp, nonce, &signed)?);
        if !body.is_empty() {
            request = request.header("Content-Type", "application/json");
        }
        Ok(request.body(Full::new(body))?)
    }

    /// Sends a request as it is, over the connections of this client.
    ///
    /// # Errors
    /// When no answer comes.
    pub async fn execute(&self, request: Request<Full<Bytes>>) -> anyhow::Result<Answer> {
        self.http.send(request).await
    }
}

fn fresh_nonce() -> String {
    hex::encode(random::bytes::<16>())
}
