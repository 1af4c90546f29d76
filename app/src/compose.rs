//! The composition root: builds store, queue, cache and directory from the settings.
//!
//! Guarantee: nothing else decides between the embedded and the production adapters. Embedded mode makes its folder, key
//! and schema by itself; production changes nothing that nobody asked for.

use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::sync::Arc;

use anyhow::Context as _;
use bytes::Bytes;
use touchstone_platform::cache::{self, Cache, CacheSettings};
use touchstone_platform::clock::Clock;
use touchstone_platform::crypto::MasterKeys;
use touchstone_platform::directory::Directory;
use touchstone_platform::egress::EgressPolicy;
use touchstone_platform::enrichment::{self, Enricher};
use touchstone_platform::queue::{self, Lane, Queue, QueueSettings};
use touchstone_platform::retry::Backoff;
use touchstone_platform::settings::{Services, Settings};
use touchstone_platform::store::history::Remembered;
use touchstone_platform::store::{Store, StoreSettings, SystemReason, SystemStore};
use touchstone_platform::transport::{self, Protection};
use touchstone_schema::event::{Event, EventBatch};
use url::Url;

/// PostgreSQL connections of a process that serves; batching makes more of them useless (bench: floor).
const SERVING_CONNECTIONS: u32 = 16;
/// PostgreSQL connections of a command.
const COMMAND_CONNECTIONS: u32 = 2;

/// What the roles of a process work with.
pub(crate) struct Platform {
    pub(crate) store: Store,
    pub(crate) queue: Arc<dyn Queue>,
    pub(crate) cache: Arc<dyn Cache>,
    pub(crate) directory: Arc<Directory>,
    pub(crate) enricher: Arc<Enricher>,
    pub(crate) master_keys: Arc<MasterKeys>,
    pub(crate) clock: Clock,
}

impl Platform {
    /// Opens everything for a process that serves. A database that is away is waited for; a schema that is not current
    /// or a key that opens nothing stops the start.
    pub(crate) async fn open(settings: &Settings, name: &str) -> anyhow::Result<Self> {
        let clock = Clock::system();
        prepare_data_dir(settings)?;
        let master_keys = master_keys(settings)?;
        let store = wait_for_store(settings).await?;
        let queue = queue_settings(settings, &store, name, true);
        let queue = queue::open_trusting(&queue, clock.clone(), &settings.trust)
            .await
            .context("the message queue cannot be used")?;
        let cache = cache::open_trusting(&cache_settings(settings), &clock, &settings.trust)
            .await
            .context("the cache cannot be used")?;
        let directory = Directory::open(store.clone(), Some(Arc::clone(&master_keys)), clock.clone()).await?;
        let enricher = Enricher::over(settings.enrichment_dir(), clock.clone());
        Ok(Self { store, queue, cache, directory, enricher, master_keys, clock })
    }
}

/// What an operator's command works with: the database and, where it asks for them, the keys and the queue.
pub(crate) struct Operator {
    settings: Settings,
    store: Store,
    pub(crate) clock: Clock,
}

impl Operator {
    /// Reads the settings and opens the database; embedded mode makes it when there is none.
    pub(crate) async fn open() -> anyhow::Result<Self> {
        let settings = load_for_command()?;
        prepare_data_dir(&settings)?;
        let store = open_store(&settings, COMMAND_CONNECTIONS).await?;
        Ok(Self { settings, store, clock: Clock::system() })
    }

    /// All rows, for the operator.
    pub(crate) const fn system(&self) -> SystemStore<'_> {
        self.store.system(SystemReason::Operator)
    }

    /// Outside data, as the files in the data folder are now.
    pub(crate) async fn enrichment(&self) -> Arc<enrichment::Snapshot> {
        let enricher = Enricher::over(self.settings.enrichment_dir(), self.clock.clone());
        enricher.refresh().await;
        enricher.snapshot()
    }

    /// The database.
    pub(crate) const fn store(&self) -> &Store {
        &self.store
    }

    /// The master keys.
    pub(crate) fn master_keys(&self) -> anyhow::Result<Arc<MasterKeys>> {
        master_keys(&self.settings)
    }

    /// The queue; in embedded mode beside the process that serves.
    pub(crate) async fn queue(&self) -> anyhow::Result<Arc<dyn Queue>> {
        let settings = queue_settings(&self.settings, &self.store, "command", false);
        let opened = queue::open_trusting(&settings, self.clock.clone(), &self.settings.trust).await;
        opened.context("the message queue cannot be used")
    }

    /// Tells the notifier of an event that is committed. When the broker is away the notifier finds it by itself.
    pub(crate) async fn announce(&self, event: Event) -> bool {
        let Ok(queue) = self.queue().await else { return false };
        let batch = serde_json::to_vec(&EventBatch::new(vec![event])).map(Bytes::from);
        let published = match batch {
            Ok(body) => queue.publish(Lane::Events, vec![body]).await.is_ok(),
            Err(_) => false,
        };
        queue.close().await;
        published
    }

    /// Refuses a webhook address that deliveries would be refused at later.
    pub(crate) fn check_egress(&self, url: &Url) -> anyhow::Result<()> {
        if let Some(host) = url.host() {
            self.egress().check_host_literal(&host).context("webhooks cannot be sent there")?;
        }
        Ok(())
    }

    /// What outgoing requests may reach.
    pub(crate) fn egress(&self) -> EgressPolicy {
        EgressPolicy::new(self.settings.egress_allow.clone())
    }

    /// Networks that outgoing requests may reach although they are private.
    pub(crate) fn exempted_networks(&self) -> &[ipnet::IpNet] {
        &self.settings.egress_allow
    }

    /// Where callers reach the public door, as far as it is known.
    pub(crate) fn public_url(&self) -> String {
        let given = self.settings.public_url.as_ref().map(|url| url.as_str().trim_end_matches('/').to_owned());
        given.unwrap_or_else(|| format!("http://{}", self.settings.listen))
    }

    /// Hands what was learnt of an order to hot history, where there is one.
    pub(crate) async fn remember(&self, learnt: Option<Remembered>) -> anyhow::Result<()> {
        let cache = self.shared_cache().await?;
        if let (Some(learnt), Some(hot)) = (learnt, cache.as_deref().and_then(Cache::history)) {
            hot.remember(&[learnt.into()], self.clock.now()).await?;
        }
        Ok(())
    }

    /// The shared cache; none in embedded mode, where it lives inside the process that serves.
    pub(crate) async fn shared_cache(&self) -> anyhow::Result<Option<Arc<dyn Cache>>> {
        if self.settings.is_embedded() {
            return Ok(None);
        }
        let cache = cache::open_trusting(&cache_settings(&self.settings), &self.clock, &self.settings.trust).await;
        cache.map(Some).context("the cache cannot be used")
    }
}

/// Settings of a command that does not serve: its log is quiet unless asked for.
pub(crate) fn load_for_command() -> anyhow::Result<Settings> {
    let settings = Settings::load()?;
    let mut log = settings.log.clone();
    if log.filter == "info" {
        log.filter = "error".to_owned();
    }
    touchstone_platform::telemetry::log_to_stderr(&log);
    Ok(settings)
}

/// Makes the folder of embedded data, for its owner only.
pub(crate) fn prepare_data_dir(settings: &Settings) -> anyhow::Result<()> {
    let folder = settings.data_dir();
    if !settings.is_embedded() {
        return Ok(());
    }
    if settings.needs_volume && !touchstone_platform::inspect::is_mounted(folder).unwrap_or(false) {
        anyhow::bail!(
            "no volume is mounted at {0}, so orders and keys would be lost with this container: mount one, such as \
             `docker run --volume touchstone:{0}`, name a folder with TOUCHSTONE_DATA_DIR, or set DATABASE_URL, AMQP_URL \
             and REDIS_URL",
            folder.display()
        );
    }
    if folder.is_dir() {
        return Ok(());
    }
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).with_context(|| {
        format!(
            "TOUCHSTONE_DATA_DIR: the folder {} cannot be made; for example TOUCHSTONE_DATA_DIR=./data",
            folder.display()
        )
    })
}

/// The master keys of the setting or, in embedded mode, of the file that it keeps.
pub(crate) fn master_keys(settings: &Settings) -> anyhow::Result<Arc<MasterKeys>> {
    let keys = match &settings.master_key {
        Some(given) => MasterKeys::parse(given.expose_text().unwrap_or_default())?,
        None if settings.is_embedded() => MasterKeys::load_or_create(&settings.master_key_path())?,
        None => anyhow::bail!(
            "setting TOUCHSTONE_MASTER_KEY: is missing, and secrets cannot be stored without it; for example \
             TOUCHSTONE_MASTER_KEY=$(openssl rand -base64 32), kept safe and given to every process"
        ),
    };
    Ok(Arc::new(keys))
}

/// Opens the database, whose schema must be current; embedded mode brings it up to date itself.
pub(crate) async fn open_store(settings: &Settings, connections: u32) -> anyhow::Result<Store> {
    let store = connect(settings, connections).await?;
    if settings.is_embedded() {
        store.migrate().await.context("the SQLite file cannot be brought up to date")?;
    } else {
        store.require_current().await?;
    }
    Ok(store)
}

/// Connects to the database, whatever its schema.
pub(crate) async fn connect(settings: &Settings, connections: u32) -> anyhow::Result<Store> {
    let (place, where_to) = match &settings.services {
        Services::Embedded => {
            let path = settings.database_path();
            let place = format!("the SQLite file {} cannot be opened", path.display());
            (place, StoreSettings::Sqlite { path })
        }
        Services::Production { database_url, .. } => {
            let how = match transport::of_postgres(database_url) {
                Protection::Verified => {
                    ", over TLS with a verified certificate; docs/operate.md, \"TLS to the services\""
                }
                _ => "",
            };
            let place = format!("PostgreSQL cannot be reached (DATABASE_URL{how})");
            (place, StoreSettings::Postgres { url: database_url.clone(), connections })
        }
    };
    Store::open_trusting(&where_to, &settings.trust).await.context(place)
}

async fn wait_for_store(settings: &Settings) -> anyhow::Result<Store> {
    let mut backoff = Backoff::default();
    loop {
        let error = match open_store(settings, SERVING_CONNECTIONS).await {
            Ok(store) => return Ok(store),
            Err(error) => error,
        };
        let transient = error
            .downcast_ref::<touchstone_platform::store::StoreError>()
            .is_some_and(touchstone_platform::store::StoreError::is_transient);
        if settings.is_embedded() || !transient {
            return Err(error);
        }
        tracing::warn!(error = %format!("{error:#}"), "the database is away: waiting for it");
        backoff.wait().await;
    }
}

fn queue_settings(settings: &Settings, store: &Store, name: &str, owner: bool) -> QueueSettings {
    match &settings.services {
        Services::Production { amqp_url, .. } => {
            QueueSettings::RabbitMq { url: amqp_url.clone(), connection_name: format!("touchstone {name}") }
        }
        Services::Embedded => {
            let store = store.clone();
            if owner { QueueSettings::Embedded { store } } else { QueueSettings::BesideEmbedded { store } }
        }
    }
}

fn cache_settings(settings: &Settings) -> CacheSettings {
    match &settings.services {
        Services::Production { redis_url, .. } => CacheSettings::Redis { url: redis_url.clone() },
        Services::Embedded => CacheSettings::Embedded { path: Some(settings.data_dir().join("nonces")) },
    }
}

/// Permission bits of a file or folder.
pub(crate) fn mode_of(path: &std::path::Path) -> std::io::Result<u32> {
    Ok(std::fs::metadata(path)?.permissions().mode() & 0o777)
}
