//! Objects of S3 and of servers that speak like it.
//!
//! The library signs and retries; its requests go by the HTTP client that this program has already, so that no second one
//! comes with it.

use std::io;

use anyhow::{Context as _, bail};
use async_trait::async_trait;
use futures_util::StreamExt as _;
use http_body_util::BodyExt as _;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector as TcpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use object_store::aws::AmazonS3Builder;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody, HttpResponse, HttpResponseBody,
    HttpService,
};
use object_store::path::Path;
use object_store::{ClientOptions, ObjectStoreExt as _};
use tokio::sync::mpsc;
use touchstone_scorer::backfill::{PIECES_AHEAD, Pieces};

/// An object, by its bucket and key.
#[derive(Debug)]
pub(super) struct Object {
    bucket: String,
    key: Path,
}

impl Object {
    /// The object of `s3://bucket/key`.
    pub(super) fn named(url: &str) -> anyhow::Result<Self> {
        let named = url.strip_prefix("s3://").and_then(|rest| rest.split_once('/'));
        let Some((bucket, key)) = named.filter(|(bucket, key)| !bucket.is_empty() && !key.is_empty()) else {
            bail!("{url} is no object: expected s3://bucket/key");
        };
        let key = Path::parse(key).with_context(|| format!("{url} is no object: expected s3://bucket/key"))?;
        Ok(Self { bucket: bucket.to_owned(), key })
    }

    /// Its size and its bytes.
    pub(super) async fn open(&self) -> io::Result<(u64, Pieces)> {
        let builder = AmazonS3Builder::from_env().with_bucket_name(&self.bucket).with_http_connector(Requests);
        // Whoever names an endpoint without TLS means it.
        let endpoint = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"].map(std::env::var);
        let is_plain = endpoint.into_iter().flatten().any(|endpoint| endpoint.starts_with("http://"));
        let builder = if is_plain { builder.with_allow_http(true) } else { builder };
        let found = builder.build().map_err(io::Error::other)?.get(&self.key).await.map_err(io::Error::other)?;
        let size = found.meta.size;
        let mut stream = found.into_stream();
        let (sender, receiver) = mpsc::channel(PIECES_AHEAD);
        tokio::spawn(async move {
            while let Some(piece) = stream.next().await {
                let piece = piece.map_err(io::Error::other);
                let is_last = piece.is_err();
                if sender.send(piece).await.is_err() || is_last {
                    return;
                }
            }
        });
        Ok((size, receiver))
    }
}

/// Makes the client that requests go by.
#[derive(Debug)]
struct Requests;

impl HttpConnector for Requests {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        let failed = |source: io::Error| object_store::Error::Generic { store: "S3", source: Box::new(source) };
        let connector = HttpsConnectorBuilder::new().with_native_roots().map_err(failed)?;
        let connector = connector.https_or_http().enable_http1().build();
        let client = Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(connector);
        Ok(HttpClient::new(Exchange(client)))
    }
}

/// Requests by our client.
#[derive(Debug)]
struct Exchange(Client<HttpsConnector<TcpConnector>, HttpRequestBody>);

#[async_trait]
impl HttpService for Exchange {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let answered = self.0.request(request).await;
        let response = answered.map_err(|error| {
            let kind = if error.is_connect() { HttpErrorKind::Connect } else { HttpErrorKind::Request };
            HttpError::new(kind, error)
        })?;
        let read = |error| HttpError::new(HttpErrorKind::Interrupted, error);
        Ok(response.map(|body| HttpResponseBody::new(body.map_err(read))))
    }
}
