//! What is measured: the product, the floor and the two controls, each in processes of its own on private data.
//!
//! Guarantee: all of them end with the value that holds them, also when the bench is killed.

use std::{net::SocketAddr, process::Command, sync::Arc, time::Duration};

use anyhow::Context;
use serde_json::Value;
use tokio::net::TcpStream;
use touchstone_platform::random;
use touchstone_tests::{
    Backend, Credentials, Receiver, SignedClient, Touchstone,
    process::{Port, Process, TemporaryFolder},
    touchstone, touchstone_json,
};

use crate::{
    floor::{Part, Requests},
    load::{ANSWER_WITHIN, Caller, HttpCaller, NO_ANSWER, Run, run},
    machine::Processes,
    order::Orders,
};

/// How long a process of the floor may take to be ready.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// Requests a minute that the store may send: the most that can be set, and above what one machine carries.
const RATE_LIMIT: &str = "1000000";

/// The product on the production path: one process of each role.
pub(crate) struct Product {
    roles: Vec<(&'static str, Touchstone)>,
    credentials: Credentials,
    pub(crate) address: SocketAddr,
    pub(crate) orders: Arc<Orders>,
    pub(crate) processes: Processes,
    _sink: Option<Receiver>,
    _backend: Backend,
}

impl Product {
    /// Starts it with one store, and with a receiver of webhooks if asked for.
    pub(crate) async fn start(webhooks: bool) -> anyhow::Result<Self> {
        let sink = if webhooks { Some(Receiver::start().await?) } else { None };
        let product = Box::pin(Self::start_with(sink.as_ref().map(Receiver::url).as_deref())).await?;
        Ok(Self { _sink: sink, ..product })
    }

    /// The same, with webhooks to a receiver of the caller's.
    pub(crate) async fn start_with(receiver: Option<&str>) -> anyhow::Result<Self> {
        let backend = Backend::production().await?;
        let printed = touchstone(&backend, &["migrate"]).await?;
        anyhow::ensure!(printed.code == Some(0), "touchstone migrate failed: {}", printed.stderr);
        let merchant = touchstone_json(&backend, &["merchant", "create", "--name", "Bench"]).await?;
        let merchant = text(&merchant, "merchant_id")?;
        let arguments = ["store", "create", "--merchant", merchant, "--name", "Bench", "--rate-limit", RATE_LIMIT];
        let store = touchstone_json(&backend, &arguments).await?;
        let store = text(&store, "store_id")?;
        if let Some(url) = receiver {
            touchstone_json(&backend, &["endpoint", "create", "--store", store, "--url", url]).await?;
        }
        let key = touchstone_json(&backend, &["key", "create", "--store", store]).await?;
        let credentials = Credentials::from_json(&key)?;
        let orders = Arc::new(Orders::new(&credentials.api_key, &credentials.hmac_secret)?);
        let mut roles = Vec::new();
        let mut processes = Processes::default();
        for role in ["ingest", "scorer", "notifier"] {
            let process = Box::pin(Touchstone::new(role, &backend)?.with("TOUCHSTONE_LOG", "warn").start()).await?;
            processes = processes.with(role, process.id());
            roles.push((role, process));
        }
        let url = roles.first().map(|(_, ingest)| ingest.url()).unwrap_or_default();
        let address = url.trim_start_matches("http://").parse().context("ingest has an address")?;
        let processes = with_servers(processes, &backend);
        Ok(Self { roles, credentials, address, orders, processes, _sink: None, _backend: backend })
    }

    /// One run over `connections` connections.
    pub(crate) async fn run(&self, connections: usize, window: Duration) -> anyhow::Result<Run> {
        run(HttpCaller::many(connections, self.address, &self.orders), window, &self.processes).await
    }

    /// A client for the other signed routes.
    pub(crate) fn client(&self) -> SignedClient {
        SignedClient::new(&format!("http://{}", self.address), self.credentials.clone())
    }

    /// The end of every role's log: what it warned of.
    pub(crate) fn warnings(&self) -> Vec<(&'static str, usize)> {
        let lines = |process: &Touchstone| process.log().map_or(0, |log| log.lines().count());
        self.roles.iter().map(|(role, process)| (*role, lines(process))).filter(|(_, lines)| *lines > 0).collect()
    }
}

/// The floor and its controls.
pub(crate) struct Floor {
    door: (SocketAddr, Processes),
    hello: (SocketAddr, Processes),
    echo: (Requests, Processes),
    orders: Arc<Orders>,
    _processes: Vec<(Process, Port)>,
    _folder: TemporaryFolder,
    _backend: Backend,
}

impl Floor {
    /// Starts all its processes.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let backend = Backend::production().await?;
        let folder = TemporaryFolder::new("floor")?;
        let secret = hex::encode(random::bytes::<32>());
        let orders = Arc::new(Orders::new("fcc_live_floor", &secret)?);
        let mut started = Vec::new();
        for part in [Part::Worker, Part::Door, Part::Hello, Part::Echo] {
            let port = Port::reserve()?;
            let mut command = Command::new(std::env::current_exe()?);
            command.args(["floor", &format!("{part:?}").to_lowercase()]).envs(backend.environment());
            command.env("BENCH_SECRET", &secret).env("BENCH_LISTEN", format!("127.0.0.1:{}", port.number()));
            let log = folder.path().join(format!("{part:?}"));
            started.push((Process::spawn(&format!("floor {part:?}"), &mut command, &log)?, port));
        }
        let amqp_url = backend.amqp_url.as_deref().context("the floor has a broker")?;
        let [(worker, _), (door, door_port), (hello, hello_port), (echo, _)] = started.as_mut_slice() else {
            anyhow::bail!("the floor has four parts");
        };
        let (door_at, hello_at) = (address(door_port), address(hello_port));
        door.wait_until_ready(READY_WITHIN, async || TcpStream::connect(door_at).await.is_ok()).await?;
        hello.wait_until_ready(READY_WITHIN, async || TcpStream::connect(hello_at).await.is_ok()).await?;
        let processes = Processes::default().with("door", Some(door.id())).with("worker", Some(worker.id()));
        let of_door = with_servers(processes, &backend);
        let of_hello = Processes::default().with("door", Some(hello.id()));
        let of_echo = with_servers(Processes::default().with("worker", Some(echo.id())), &backend);
        let floor = Self {
            door: (door_at, of_door),
            hello: (hello_at, of_hello),
            echo: (Requests::to_echo(amqp_url).await?, of_echo),
            orders,
            _processes: started,
            _folder: folder,
            _backend: backend,
        };
        // A worker that died would leave the first order unanswered.
        let mut caller = HttpCaller::new(door_at, &floor.orders);
        let (status, _) = caller.exchange(READY_WITHIN).await.context("the floor does not answer")?;
        anyhow::ensure!(status == 200, "the floor answers {status}");
        Ok(floor)
    }

    /// One run of the whole floor.
    pub(crate) async fn run(&self, connections: usize, window: Duration) -> anyhow::Result<Run> {
        run(HttpCaller::many(connections, self.door.0, &self.orders), window, &self.door.1).await
    }

    /// One run of the bare HTTP answer.
    pub(crate) async fn run_hello(&self, connections: usize, window: Duration) -> anyhow::Result<Run> {
        run(HttpCaller::many(connections, self.hello.0, &self.orders), window, &self.hello.1).await
    }

    /// One run of the bare request-reply.
    pub(crate) async fn run_echo(&self, connections: usize, window: Duration) -> anyhow::Result<Run> {
        let caller = || EchoCaller { requests: self.echo.0.clone(), orders: Arc::clone(&self.orders) };
        run((0..connections).map(|_| caller()).collect(), window, &self.echo.1).await
    }
}

struct EchoCaller {
    requests: Requests,
    orders: Arc<Orders>,
}

impl Caller for EchoCaller {
    async fn call(&mut self) -> u16 {
        let document = self.orders.document();
        let asked = tokio::time::timeout(ANSWER_WITHIN, self.requests.ask(document.as_bytes()));
        if matches!(asked.await, Ok(Ok(_))) { 200 } else { NO_ANSWER }
    }
}

fn address(port: &Port) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port.number()))
}

pub(crate) fn with_servers(processes: Processes, backend: &Backend) -> Processes {
    processes
        .with_listener("rabbitmq", backend.amqp_url.as_deref().unwrap_or_default())
        .with_listener("postgres", &backend.database_url)
        .with_listener("redis", backend.redis_url.as_deref().unwrap_or_default())
}

fn text<'a>(document: &'a Value, member: &str) -> anyhow::Result<&'a str> {
    document[member].as_str().with_context(|| format!("touchstone printed no {member}: {document}"))
}
