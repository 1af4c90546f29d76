//! Asks a shop for a description of its API.
//!
//! Guarantee: one request, bound by the egress policy, a time-out and a most of bytes; the token goes nowhere else, for
//! redirects are not followed. Errors name neither the token nor what the shop answered beyond its own messages.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::{HeaderValue, Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use touchstone_platform::egress::EgressPolicy;
use touchstone_schema::secret::Secret;

use crate::connect::{ConnectFault, Connector};

/// Longest time to resolve and connect.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// Longest time for all of it. A description of a whole API is large, and slow to make.
const LIMIT: Duration = Duration::from_secs(30);
/// Most bytes of an answer.
const MOST_BYTES: usize = 32 * 1024 * 1024;
/// Most characters of a message of the shop.
const MESSAGE_CHARS: usize = 200;

/// The introspection that every tool asks, without what only documents.
pub(crate) const QUERY: &str = "query IntrospectionQuery {
  __schema {
    queryType { name }
    mutationType { name }
    types {
      kind
      name
      fields(includeDeprecated: true) {
        name
        args { ...Input }
        type { ...Reference }
        isDeprecated
        deprecationReason
      }
      inputFields { ...Input }
      interfaces { ...Reference }
      enumValues(includeDeprecated: true) { name }
      possibleTypes { ...Reference }
    }
  }
}
fragment Input on __InputValue { name type { ...Reference } defaultValue }
fragment Reference on __Type {
  kind name ofType { kind name ofType { kind name ofType { kind name ofType {
    kind name ofType { kind name ofType { kind name ofType { kind name } } } } } } }
}";

/// Why a shop was not described.
#[derive(Debug, thiserror::Error)]
pub enum IntrospectError {
    /// The address cannot be asked.
    #[error("the address is no URL that can be asked")]
    Url,
    /// The token cannot be sent.
    #[error("the token has characters that no header may have")]
    Token,
    /// The roots of trust of this machine cannot be read.
    #[error("no certificates to verify the shop with")]
    Roots(#[source] std::io::Error),
    /// No connection, or it broke.
    #[error("the shop cannot be reached: {0}")]
    Unreachable(String),
    /// It took too long.
    #[error("the shop did not answer within {} s", LIMIT.as_secs())]
    Timeout,
    /// The token is refused.
    #[error("the shop refuses the token (status {0}): it is wrong or has expired")]
    TokenRefused(u16),
    /// There are more requests than the shop allows.
    #[error("the shop wants fewer requests (status 429)")]
    Throttled,
    /// Another status than 200.
    #[error("the shop answers status {0}")]
    Status(u16),
    /// More than is read.
    #[error("the shop's answer is longer than {} MiB, or broke off", MOST_BYTES / 1024 / 1024)]
    TooLong,
    /// Something else than GraphQL answers there.
    #[error("the answer is no GraphQL answer")]
    NotGraphQl,
    /// The shop will not tell.
    #[error("the shop answers: {0}")]
    Refused(String),
}

/// Asks the shop at `api_url`; gives the `data` of its answer.
pub async fn introspect(api_url: &str, token: &Secret, egress: Arc<EgressPolicy>) -> Result<Value, IntrospectError> {
    tokio::time::timeout(LIMIT, exchange(request(api_url, token)?, egress))
        .await
        .map_err(|_| IntrospectError::Timeout)?
}

fn request(api_url: &str, token: &Secret) -> Result<Request<Full<Bytes>>, IntrospectError> {
    let uri: Uri = api_url.parse().map_err(|_| IntrospectError::Url)?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err(IntrospectError::Url);
    }
    let bearer = [b"Bearer ", token.expose()].concat();
    let mut bearer = HeaderValue::from_bytes(&bearer).map_err(|_| IntrospectError::Token)?;
    bearer.set_sensitive(true);
    let body = serde_json::json!({ "query": QUERY, "operationName": "IntrospectionQuery" }).to_string();
    Request::post(uri)
        .header(CONTENT_TYPE, "application/json")
        .header(ACCEPT, "application/json")
        .header(USER_AGENT, concat!("Touchstone/", env!("CARGO_PKG_VERSION")))
        .header(AUTHORIZATION, bearer)
        .body(Full::new(Bytes::from(body)))
        .map_err(|_| IntrospectError::Url)
}

async fn exchange(request: Request<Full<Bytes>>, egress: Arc<EgressPolicy>) -> Result<Value, IntrospectError> {
    let connector = HttpsConnectorBuilder::new()
        .with_provider_and_native_roots(rustls::crypto::ring::default_provider())
        .map_err(IntrospectError::Roots)?
        .https_or_http()
        .enable_http1()
        .wrap_connector(Connector::new(egress, CONNECT_LIMIT));
    let http = legacy::Client::builder(TokioExecutor::new()).build::<_, Full<Bytes>>(connector);
    let response = http.request(request).await.map_err(|error| IntrospectError::Unreachable(why(&error)))?;
    match response.status() {
        StatusCode::OK => {}
        status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
            return Err(IntrospectError::TokenRefused(status.as_u16()));
        }
        StatusCode::TOO_MANY_REQUESTS => return Err(IntrospectError::Throttled),
        status => return Err(IntrospectError::Status(status.as_u16())),
    }
    let body = Limited::new(response.into_body(), MOST_BYTES).collect().await;
    let body = body.map_err(|_| IntrospectError::TooLong)?.to_bytes();
    let mut answer: Value = serde_json::from_slice(&body).map_err(|_| IntrospectError::NotGraphQl)?;
    if answer["data"]["__schema"].is_object() {
        return Ok(answer["data"].take());
    }
    match answer["errors"][0]["message"].as_str() {
        Some(message) => Err(IntrospectError::Refused(printable(message))),
        None => Err(IntrospectError::NotGraphQl),
    }
}

fn why(error: &legacy::Error) -> String {
    match ConnectFault::behind(error) {
        Some(fault) => fault.to_string(),
        None if error.is_connect() => "the TLS handshake failed".to_owned(),
        None => "the answer is no HTTP, or the connection broke".to_owned(),
    }
}

fn printable(message: &str) -> String {
    message.chars().take(MESSAGE_CHARS).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_web_addresses_and_tokens_that_are_headers_make_a_request() {
        let token = Secret::new("abc");
        for url in ["", "shop.example/graphql", "file:///etc/passwd", "ftp://shop.example/graphql"] {
            assert!(matches!(request(url, &token), Err(IntrospectError::Url)), "{url}");
        }
        let url = "https://shop.example/graphql";
        assert!(matches!(request(url, &Secret::new("a\nb")), Err(IntrospectError::Token)));
        let request = request(url, &token).unwrap();
        assert_eq!(request.headers()[AUTHORIZATION], "Bearer abc");
        assert!(!format!("{request:?}").contains("abc"), "the token is in no log");
    }

    #[tokio::test]
    async fn private_addresses_are_not_asked() {
        let asked = introspect("http://127.0.0.1:9/graphql", &Secret::new("abc"), Arc::default()).await;
        assert!(asked.unwrap_err().to_string().contains("not public"));
    }

    #[test]
    fn what_is_asked_is_an_introspection() {
        let schema = apollo_compiler::Schema::parse_and_validate("type Query { a: Int }", "schema").unwrap();
        apollo_compiler::ExecutableDocument::parse_and_validate(&schema, QUERY, "introspection").unwrap();
    }
}
