//! One trace from the door to the merchant, over every process and retry; and nothing of it where nobody asked.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use hyper::Method;
use serde_json::Value;
use touchstone_tests::{
    Backend, Behaviour, Credentials, Receiver, SignedClient, Touchstone, eventually, touchstone_json,
};

use crate::ingest::fixture::order;

const PATIENCE: Duration = Duration::from_secs(30);
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const STATE: &str = "congo=t61rcWkgMzE";

/// A shop whose endpoint is `merchant`, and the processes of these roles.
struct World {
    client: SignedClient,
    merchant: Receiver,
    processes: Vec<Touchstone>,
    _backend: Backend,
}

impl World {
    async fn start(backend: Backend, roles: &[&str], settings: &[(&str, &str)]) -> Result<Self> {
        if backend.amqp_url.is_some() {
            touchstone_json(&backend, &["migrate"]).await?;
        }
        let made = async |arguments: &[&str], name: &str| -> Result<String> {
            let document = touchstone_json(&backend, arguments).await?;
            Ok(document[name].as_str().with_context(|| format!("no {name} in {document}"))?.to_owned())
        };
        let merchant = made(&["merchant", "create", "--name", "Keller"], "merchant_id").await?;
        let store = made(&["store", "create", "--merchant", &merchant, "--name", "Shop"], "store_id").await?;
        let key = touchstone_json(&backend, &["key", "create", "--store", &store]).await?;
        let merchant = Receiver::start().await?;
        made(&["endpoint", "create", "--store", &store, "--url", &merchant.url()], "endpoint_id").await?;
        let mut processes = Vec::new();
        for role in roles {
            let with = |process: Touchstone, (name, value): &(&str, &str)| process.with(name, value);
            processes.push(settings.iter().fold(Touchstone::new(role, &backend)?, with).start().await?);
        }
        let client = SignedClient::new(&processes[0].url(), Credentials::from_json(&key)?);
        Ok(Self { client, merchant, processes, _backend: backend })
    }

    async fn send(&self, id: &str, headers: &[(&'static str, &'static str)]) -> Result<()> {
        let mut request = self.client.request(Method::POST, "/v1/analyze", order(id).to_string())?;
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse()?);
        }
        let answer = self.client.execute(request).await?;
        ensure!(answer.status.is_success(), "{answer:?}");
        Ok(())
    }
}

/// All spans that the collector was sent, by their ids.
fn spans(collector: &Receiver) -> Result<BTreeMap<String, Value>> {
    let mut spans = BTreeMap::new();
    for sent in collector.deliveries() {
        ensure!(sent.path == "/v1/traces" && sent.header("content-type") == "application/json", "{sent:?}");
        ensure!(sent.header("authorization") == "Bearer t", "{sent:?}");
        for span in sent.json()?["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().context("no spans")? {
            spans.insert(span["spanId"].as_str().context("no id")?.to_owned(), span.clone());
        }
    }
    Ok(spans)
}

/// The names of the spans from this one up to where the trace came in, and what that says its parent is.
fn line_of(span: &Value, spans: &BTreeMap<String, Value>) -> (Vec<String>, String) {
    let (mut names, mut at) = (Vec::new(), span);
    loop {
        names.push(at["name"].as_str().unwrap_or_default().to_owned());
        let parent = at["parentSpanId"].as_str().unwrap_or_default();
        match spans.get(parent) {
            Some(above) => at = above,
            None => return (names, parent.to_owned()),
        }
    }
}

async fn expect_one_trace(backend: Backend, roles: &[&str]) -> Result<()> {
    let collector = Receiver::start().await?;
    let url = collector.url().replace("/webhooks", "");
    let settings =
        [("OTEL_EXPORTER_OTLP_ENDPOINT", url.as_str()), ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer t")];
    let world = World::start(backend, roles, &settings).await?;
    world.merchant.behave(Behaviour::status(500));
    world.send("T-1", &[("traceparent", PARENT), ("tracestate", STATE)]).await?;
    world.merchant.wait_for(1, PATIENCE).await?;
    world.merchant.behave(Behaviour::status(200));
    let both = world.merchant.wait_for(2, PATIENCE).await?;

    let deliver = |spans: &BTreeMap<String, Value>| {
        spans.values().filter(|span| span["name"] == "deliver").cloned().collect::<Vec<_>>()
    };
    let spans_of_all = eventually(PATIENCE, "all spans", async || {
        let spans = spans(&collector).ok()?;
        let names: BTreeSet<_> = spans.values().filter_map(|span| span["name"].as_str()).collect();
        let is_whole = ["screen", "score", "commit", "plan", "deliver"].iter().all(|name| names.contains(name));
        (is_whole && deliver(&spans).len() == 2).then_some(spans)
    })
    .await?;
    ensure!(spans_of_all.values().all(|span| span["traceId"] == TRACE), "{spans_of_all:#?}");
    for attempt in deliver(&spans_of_all) {
        let (line, came_from) = line_of(&attempt, &spans_of_all);
        ensure!(line == ["deliver", "score", "screen"] && came_from == PARENT[36..52], "{line:?} {came_from}");
    }
    // The merchant may go on from the attempt that it was told by.
    for delivery in &both {
        let parent = delivery.header("traceparent");
        let span = spans_of_all.get(parent.get(36..52).unwrap_or_default()).context("no span of that id")?;
        ensure!(parent.get(3..35) == Some(TRACE) && span["name"] == "deliver", "{parent}");
        ensure!(delivery.header("tracestate") == STATE, "{:?}", delivery.headers);
    }
    let log = world.processes.last().context("none runs")?.log()?;
    ensure!(log.lines().any(|line| line.contains("webhook failed") && line.contains(TRACE)), "{log}");

    // One that is malformed begins none of the caller's, and one that is not to be recorded is not.
    world.send("T-2", &[("traceparent", "00-zz")]).await?;
    world.send("T-3", &[("traceparent", "00-11111111111111111111111111111111-00f067aa0ba902b7-00")]).await?;
    let four = world.merchant.wait_for(4, PATIENCE).await?;
    let traces: BTreeSet<_> = four.iter().filter_map(|delivery| delivery.header("traceparent").get(3..35)).collect();
    ensure!(traces.len() == 3 && traces.contains("11111111111111111111111111111111"), "{traces:?}");
    let ids = |spans: BTreeMap<String, Value>| -> BTreeSet<String> {
        spans.values().filter_map(|span| Some(span["traceId"].as_str()?.to_owned())).collect()
    };
    let new = eventually(PATIENCE, "the new trace", async || {
        let all = spans(&collector).ok()?;
        (deliver(&all).len() == 3).then(|| ids(all))
    });
    ensure!(new.await?.len() == 2, "one that the caller began, and one of our own");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spans_of_three_processes_are_one_trace_that_a_retry_keeps() -> Result<()> {
    let backend = Box::pin(Backend::production()).await?;
    Box::pin(expect_one_trace(backend, &["ingest", "scorer", "notifier"])).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spans_of_the_embedded_process_are_one_trace_that_a_retry_keeps() -> Result<()> {
    Box::pin(expect_one_trace(Backend::embedded()?, &["all"])).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_collector_a_trace_is_passed_on_and_none_is_begun() -> Result<()> {
    let world = Box::pin(World::start(Backend::embedded()?, &["all"], &[])).await?;
    world.send("T-1", &[("traceparent", PARENT), ("tracestate", STATE)]).await?;
    let first = world.merchant.wait_for(1, PATIENCE).await?.remove(0);
    ensure!(first.header("traceparent") == PARENT && first.header("tracestate") == STATE, "{:?}", first.headers);
    world.send("T-2", &[]).await?;
    let second = world.merchant.wait_for(2, PATIENCE).await?.remove(1);
    ensure!(!second.headers.contains_key("traceparent"), "{:?}", second.headers);
    Ok(())
}
