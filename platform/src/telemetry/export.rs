//! Sends spans to a collector by OTLP over HTTP, as JSON.
//!
//! Guarantee: what waits is bounded, and so is a request; no work waits for the collector. Failure: what it does not take within
//! [`REQUEST_TIMEOUT`] is dropped and counted; it is told once in the log until it answers again.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Request, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::traces::{FinishedSpan, install};
use crate::settings::TraceSettings;

/// Most spans of one request.
const SPANS_TOGETHER: usize = 512;
/// How long spans wait for company.
const LINGER: Duration = Duration::from_millis(500);
/// Longest request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// The task that sends them.
#[derive(Debug)]
pub struct TraceExport {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl TraceExport {
    /// Begins to record and send spans of this process, which does the work of `role`.
    pub fn start(settings: &TraceSettings, role: &str) -> std::io::Result<Option<Self>> {
        let connector = HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(rustls::crypto::ring::default_provider())?
            .https_or_http()
            .enable_http1()
            .build();
        let http = Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(connector);
        let sender = Sender {
            http,
            url: settings.url.clone(),
            headers: settings.headers.clone(),
            resource: json!({"attributes": [
                attribute("service.name", &settings.service),
                attribute("service.version", env!("CARGO_PKG_VERSION")),
                attribute("touchstone.role", role),
            ]}),
            reachable: true,
        };
        let Some(spans) = install(settings.sampler) else { return Ok(None) };
        let stop = CancellationToken::new();
        let task = tokio::spawn(run(sender, spans, stop.clone()));
        Ok(Some(Self { stop, task }))
    }

    /// Sends what is left, once.
    pub async fn finish(self) {
        self.stop.cancel();
        if let Err(error) = self.task.await {
            tracing::warn!(%error, "spans are lost");
        }
    }
}

async fn run(mut sender: Sender, mut spans: mpsc::Receiver<FinishedSpan>, stop: CancellationToken) {
    let mut together = Vec::with_capacity(SPANS_TOGETHER);
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            taken = spans.recv_many(&mut together, SPANS_TOGETHER) => if taken == 0 { return },
        }
        if together.len() < SPANS_TOGETHER {
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(LINGER) => {}
            }
            take(&mut spans, &mut together);
        }
        sender.send(std::mem::take(&mut together)).await;
    }
    take(&mut spans, &mut together);
    if !together.is_empty() {
        sender.send(together).await;
    }
}

fn take(spans: &mut mpsc::Receiver<FinishedSpan>, together: &mut Vec<FinishedSpan>) {
    while together.len() < SPANS_TOGETHER
        && let Ok(span) = spans.try_recv()
    {
        together.push(span);
    }
}

struct Sender {
    http: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    url: Uri,
    headers: Vec<(HeaderName, HeaderValue)>,
    resource: Value,
    reachable: bool,
}

impl Sender {
    async fn send(&mut self, spans: Vec<FinishedSpan>) {
        let count = spans.len() as u64;
        let document = json!({"resourceSpans": [{
            "resource": self.resource,
            "scopeSpans": [{"scope": {"name": "touchstone"}, "spans": spans.iter().map(described).collect::<Vec<_>>()}],
        }]});
        let told = tokio::time::timeout(REQUEST_TIMEOUT, self.post(document.to_string().into())).await;
        let problem = match told {
            Ok(Ok(status)) if status.is_success() => None,
            Ok(Ok(status)) => Some(format!("it answered {status}")),
            Ok(Err(error)) => Some(error),
            Err(_) => Some("it took too long".to_owned()),
        };
        if let Some(problem) = &problem {
            metrics::counter!("touchstone_spans_dropped_total").increment(count);
            if self.reachable {
                tracing::warn!(problem, "the collector of spans does not take them");
            }
        }
        self.reachable = problem.is_none();
    }

    async fn post(&self, body: Bytes) -> Result<hyper::StatusCode, String> {
        let mut request = Request::post(self.url.clone()).body(Full::new(body)).map_err(|error| error.to_string())?;
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        request.headers_mut().extend(self.headers.iter().cloned());
        Ok(self.http.request(request).await.map_err(|error| error.to_string())?.status())
    }
}

fn described(span: &FinishedSpan) -> Value {
    let links = span.links.iter().map(|link| json!({"traceId": link.trace_id(), "spanId": link.span_id()}));
    json!({
        "traceId": span.context.trace_id(),
        "spanId": span.context.span_id(),
        "traceState": span.context.state().unwrap_or_default(),
        "parentSpanId": span.parent.as_ref().map_or("", |parent| parent.span_id()),
        "name": span.name,
        "kind": span.kind as u8,
        "startTimeUnixNano": span.began_ns.to_string(),
        "endTimeUnixNano": span.ended_ns.to_string(),
        "attributes": span.attributes.iter().map(|(name, value)| attribute(name, value)).collect::<Vec<_>>(),
        "links": links.collect::<Vec<_>>(),
        "status": {"code": if span.failed { 2 } else { 0 }},
    })
}

fn attribute(name: &str, value: &str) -> Value {
    json!({"key": name, "value": {"stringValue": value}})
}
