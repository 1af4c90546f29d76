//! `touchstone serve`: runs the pipeline, or one role of it.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use clap::Args;
use serde_json::json;
use tokio::net::TcpListener;
use touchstone_platform::crypto::BcryptVerifier;
use touchstone_platform::egress::EgressPolicy;
use touchstone_platform::lifecycle::{self, Lifecycle};
use touchstone_platform::settings::Settings;
use touchstone_platform::telemetry::{self, Metrics, Readiness, TraceExport};
use touchstone_schema::tenant::wire_enum;

use crate::compose::{self, Platform};
use crate::output::Output;

wire_enum! {
    /// What a process does.
    Role {
        /// Everything.
        All = "all",
        /// The HTTP door.
        Ingest = "ingest",
        /// Screening.
        Scorer = "scorer",
        /// Webhooks.
        Notifier = "notifier",
    }
}

impl Role {
    fn includes(self, other: Self) -> bool {
        self == Self::All || self == other
    }
}

/// What to run.
#[derive(Debug, Args)]
pub(crate) struct ServeArguments {
    /// all, ingest, scorer or notifier.
    #[arg(default_value = "all")]
    role: Role,
    /// Serve /healthz, /readyz and /metrics to operators on this address.
    #[arg(long, value_name = "ADDR")]
    probe_listen: Option<SocketAddr>,
}

pub(crate) async fn run(arguments: ServeArguments, output: Output) -> anyhow::Result<()> {
    let settings = Settings::load()?;
    telemetry::log_to_stderr(&settings.log);
    let role = arguments.role;
    if settings.is_embedded() && role != Role::All {
        bail!(
            "`serve {role}` needs services to share with the other roles: set DATABASE_URL, AMQP_URL and REDIS_URL, or \
             run everything in one process with `touchstone serve`"
        );
    }
    let is_new = settings.is_embedded() && !settings.database_path().exists();
    let _owned = compose::own_data_dir(&settings)?;
    let door = match role.includes(Role::Ingest) {
        true => Some(bind(settings.listen, "TOUCHSTONE_LISTEN").await?),
        false => None,
    };
    let probes = match arguments.probe_listen {
        Some(address) => Some(bind(address, "--probe-listen").await?),
        None => None,
    };
    let traces = match &settings.traces {
        Some(traces) => TraceExport::start(traces, role.as_str()).context("OTEL_EXPORTER_OTLP_ENDPOINT")?,
        None => None,
    };
    lifecycle::raise_open_files();
    let platform = Platform::open(&settings, role.as_str()).await?;
    if is_new {
        compose::say_created(&settings);
    }
    let metrics = Metrics::install();
    let mut lifecycle = Lifecycle::default();
    let addresses = (local(door.as_ref())?, local(probes.as_ref())?);
    spawn(&mut lifecycle, &platform, role, door, &RoleSettings::of(&settings, addresses.0));
    if let Some(listener) = probes {
        let readiness = Arc::new(Dependencies::of(&platform, role));
        let shutdown = lifecycle.shutdown();
        lifecycle.spawn("probes", telemetry::serve_probes(listener, metrics.clone(), readiness, shutdown));
    }
    lifecycle.spawn("metrics", metrics.upkeep(lifecycle.shutdown()));
    tell(role, &settings, addresses, output)?;
    let ended = lifecycle.run().await;
    platform.queue.close().await;
    if let Some(traces) = traces {
        traces.finish().await;
    }
    Ok(ended?)
}

async fn bind(address: SocketAddr, name: &str) -> anyhow::Result<TcpListener> {
    let bound = TcpListener::bind(address).await;
    bound.with_context(|| format!("{name}: cannot listen on {address}; for example {name}=127.0.0.1:8081"))
}

fn local(listener: Option<&TcpListener>) -> anyhow::Result<Option<SocketAddr>> {
    Ok(listener.map(TcpListener::local_addr).transpose()?)
}

/// What the roles are told from outside.
pub(crate) struct RoleSettings {
    pub(crate) ingest: touchstone_ingest::Settings,
    pub(crate) notifier: touchstone_notifier::Settings,
    pub(crate) egress: EgressPolicy,
}

impl RoleSettings {
    pub(crate) fn of(settings: &Settings, door: Option<SocketAddr>) -> Self {
        let public_url = match (&settings.public_url, door) {
            (Some(url), _) => url.as_str().trim_end_matches('/').to_owned(),
            (None, Some(address)) => format!("http://{address}"),
            (None, None) => touchstone_ingest::Settings::default().public_url,
        };
        Self {
            ingest: touchstone_ingest::Settings {
                public_url,
                trusted_proxies: settings.trusted_proxies.clone(),
                upload_day_bytes: settings.upload_day_bytes,
                ..Default::default()
            },
            notifier: touchstone_notifier::Settings { centra_timeout: settings.centra_timeout, ..Default::default() },
            egress: EgressPolicy::new(settings.egress_allow.clone()),
        }
    }
}

/// Starts the tasks of a role. `door` is there whenever the role includes ingest.
pub(crate) fn spawn(
    lifecycle: &mut Lifecycle,
    platform: &Platform,
    role: Role,
    door: Option<TcpListener>,
    settings: &RoleSettings,
) {
    let shutdown = lifecycle.shutdown();
    lifecycle.spawn("directory", Arc::clone(&platform.directory).poll(shutdown.clone()));
    if let Some(listener) = door {
        let dependencies = touchstone_ingest::Dependencies {
            store: platform.store.clone(),
            queue: Arc::clone(&platform.queue),
            cache: Arc::clone(&platform.cache),
            directory: Arc::clone(&platform.directory),
            master_keys: Arc::clone(&platform.master_keys),
            bcrypt: Arc::new(BcryptVerifier::default()),
            clock: platform.clock.clone(),
        };
        let run = touchstone_ingest::run(settings.ingest.clone(), dependencies, listener, shutdown.clone());
        lifecycle.spawn("ingest", run);
    }
    if role.includes(Role::Scorer) {
        let dependencies = touchstone_scorer::Dependencies {
            store: platform.store.clone(),
            queue: Arc::clone(&platform.queue),
            cache: Arc::clone(&platform.cache),
            directory: Arc::clone(&platform.directory),
            enricher: Arc::clone(&platform.enricher),
            clock: platform.clock.clone(),
        };
        lifecycle.spawn("scorer", touchstone_scorer::run(dependencies, shutdown.clone()));
    }
    if role.includes(Role::Notifier) {
        let dependencies = touchstone_notifier::Dependencies {
            store: platform.store.clone(),
            directory: Arc::clone(&platform.directory),
            queue: Arc::clone(&platform.queue),
            clock: platform.clock.clone(),
            master_keys: Arc::clone(&platform.master_keys),
            egress: Arc::new(settings.egress.clone()),
        };
        lifecycle.spawn("notifier", touchstone_notifier::run(settings.notifier.clone(), dependencies, shutdown));
    }
}

fn tell(
    role: Role,
    settings: &Settings,
    (door, probes): (Option<SocketAddr>, Option<SocketAddr>),
    output: Output,
) -> anyhow::Result<()> {
    let document = json!({
        "role": role,
        "embedded": settings.is_embedded(),
        "listen": door.map(|address| address.to_string()),
        "probe_listen": probes.map(|address| address.to_string()),
    });
    output.show(&document, || {
        let kind = match settings.is_embedded() {
            true => format!("embedded, data in {}", settings.data_dir().display()),
            false => "with RabbitMQ, PostgreSQL and Redis".to_owned(),
        };
        let mut text = format!("Touchstone {role} runs ({kind}). Stop it with Ctrl-C.\n");
        if let Some(address) = door {
            text.push_str(&format!("  orders   http://{address}/v1/analyze\n  manual   http://{address}/docs\n"));
        }
        if let Some(address) = probes {
            text.push_str(&format!("  probes   http://{address}/readyz and /metrics\n"));
        }
        text
    })
}

/// The dependencies of a role, for the probe door.
struct Dependencies {
    platform: (touchstone_platform::store::Store, Arc<dyn touchstone_platform::queue::Queue>),
    cache: Option<Arc<dyn touchstone_platform::cache::Cache>>,
}

impl Dependencies {
    fn of(platform: &Platform, role: Role) -> Self {
        let uses_cache = role.includes(Role::Ingest);
        Self {
            platform: (platform.store.clone(), Arc::clone(&platform.queue)),
            cache: uses_cache.then(|| Arc::clone(&platform.cache)),
        }
    }
}

#[async_trait::async_trait]
impl Readiness for Dependencies {
    async fn check(&self) -> Vec<(&'static str, Result<(), String>)> {
        let (store, queue) = &self.platform;
        let cache = async {
            match &self.cache {
                Some(cache) => Some(cache.check().await.map_err(|error| error.to_string())),
                None => None,
            }
        };
        let (store, queue, cache) = tokio::join!(store.check(), queue.check(), cache);
        let mut checks = vec![
            ("store", store.map_err(|error| error.to_string())),
            ("queue", queue.map_err(|error| error.to_string())),
        ];
        checks.extend(cache.map(|outcome| ("cache", outcome)));
        checks
    }
}
