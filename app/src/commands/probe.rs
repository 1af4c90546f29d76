//! `touchstone probe`: the health check of a container that has no other program.

use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use http_body_util::Empty;
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use serde_json::json;
use url::Url;

use crate::output::Output;

/// Longest wait for the answer.
const LIMIT: Duration = Duration::from_secs(5);

/// What to fetch.
#[derive(Debug, Args)]
pub(crate) struct ProbeArguments {
    /// An http:// address, such as http://127.0.0.1:8080/readyz.
    url: Url,
}

pub(crate) async fn run(arguments: &ProbeArguments, output: Output) -> anyhow::Result<()> {
    let url = &arguments.url;
    let status = tokio::time::timeout(LIMIT, fetch_status(url))
        .await
        .with_context(|| format!("{url} did not answer within {LIMIT:?}"))?
        .with_context(|| format!("{url} cannot be fetched"))?;
    if !status.is_success() {
        bail!("{url} answered {status}");
    }
    output.show(&json!({ "url": url.as_str(), "status": status.as_u16() }), || format!("{url} answered {status}."))
}

async fn fetch_status(url: &Url) -> anyhow::Result<hyper::StatusCode> {
    if url.scheme() != "http" {
        bail!("expected an address that begins with http://");
    }
    let host = url.host_str().context("the address names no host")?;
    let port = url.port_or_known_default().unwrap_or(80);
    let stream = tokio::net::TcpStream::connect((host.trim_matches(['[', ']']), port)).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let path = &url[url::Position::BeforePath..url::Position::AfterQuery];
    let request =
        Request::get(path).header(hyper::header::HOST, format!("{host}:{port}")).body(Empty::<Bytes>::new())?;
    let status = sender.send_request(request).await?.status();
    connection.abort();
    Ok(status)
}
