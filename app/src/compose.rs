//! The composition root: builds store, queue, cache and directory from the settings.
//!
//! Guarantee: nothing else decides between the embedded and the production adapters. Embedded mode makes its folder, key
//! and schema by itself; production changes nothing that nobody asked for.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use bytes::Bytes;
use touchstone_platform::cache::{self, Cache, CacheSettings};
use touchstone_platform::clock::Clock;
use touchstone_platform::crypto::MasterKeys;
use touchstone_platform::directory::{Directory, KeyEntry};
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
        let store = wait_for_store(settings).await?;
        let master_keys = master_keys(settings, &store).await?;
        let queue = queue_settings(settings, &store, name, true);
        let queue = queue::open_trusting(&queue, clock.clone(), &settings.trust)
            .await
            .context("the message queue cannot be used")?;
        let cache = cache::open_trusting(&cache_settings(settings), &clock, &settings.trust)
            .await
            .context("the cache cannot be used")?;
        let directory = Directory::open(store.clone(), Some(Arc::clone(&master_keys)), clock.clone()).await?;
        if let Some(refusal) = keys_without_master_key(&directory, &master_keys) {
            anyhow::bail!("{refusal}: {KEEP_OLD_MASTER_KEYS}");
        }
        let enricher = Enricher::over(settings.enrichment_dir(), clock.clone());
        Ok(Self { store, queue, cache, directory, enricher, master_keys, clock })
    }
}

/// What to do about API keys of a master key that is gone.
pub(crate) const KEEP_OLD_MASTER_KEYS: &str = "put the old master key back at the end of TOUCHSTONE_MASTER_KEY, or replace \
    these keys (`touchstone key create`) and revoke them (`touchstone key revoke`)";
/// API keys that are named in one message.
const NAMED_KEYS: usize = 10;

/// The API keys that cannot be used because the master key that they were made under is gone; none when there are none.
pub(crate) fn keys_without_master_key(directory: &Directory, master_keys: &MasterKeys) -> Option<String> {
    let snapshot = directory.snapshot();
    let mut keys: Vec<_> = snapshot.keys().filter(|key| !master_keys.has(&key.pepper_id)).collect();
    keys.sort_unstable_by(|one, other| one.id.cmp(&other.id));
    let named = |key: &&Arc<KeyEntry>| format!("{} (master key `{}`)", key.id, key.pepper_id);
    let names: Vec<_> = keys.iter().take(NAMED_KEYS).map(named).collect();
    let more = keys.len().checked_sub(NAMED_KEYS).filter(|more| *more > 0).map(|more| format!(" and {more} more"));
    (!keys.is_empty()).then(|| {
        let names = names.join(", ");
        format!("API keys are refused whose master key is gone: {names}{}", more.unwrap_or_default())
    })
}

/// What an operator's command works with: the database and, where it asks for them, the keys and the queue.
pub(crate) struct Operator {
    settings: Settings,
    store: Store,
    pub(crate) clock: Clock,
}

impl Operator {
    /// Reads the settings and opens the database, which must be there.
    pub(crate) async fn open() -> anyhow::Result<Self> {
        let settings = load_for_command()?;
        require_database(&settings)?;
        Self::over(settings).await
    }

    /// The same for the first command of a new installation: embedded mode makes the database when there is none, and says
    /// where.
    pub(crate) async fn open_or_create() -> anyhow::Result<Self> {
        let settings = load_for_command()?;
        let is_new = settings.is_embedded() && !settings.database_path().exists();
        prepare_data_dir(&settings)?;
        let operator = Self::over(settings).await?;
        if is_new {
            say_created(&operator.settings);
        }
        Ok(operator)
    }

    async fn over(settings: Settings) -> anyhow::Result<Self> {
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
    pub(crate) async fn master_keys(&self) -> anyhow::Result<Arc<MasterKeys>> {
        master_keys(&self.settings, &self.store).await
    }

    /// The file that embedded mode keeps its own master key in; none where the key comes from a setting.
    pub(crate) fn master_key_file(&self) -> Option<PathBuf> {
        let is_own = self.settings.master_key.is_none() && self.settings.is_embedded();
        is_own.then(|| self.settings.master_key_path())
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

/// Fails where an image wants its data on a volume and none is mounted.
pub(crate) fn require_volume(settings: &Settings) -> anyhow::Result<()> {
    let folder = settings.data_dir();
    if settings.is_embedded()
        && settings.needs_volume
        && !touchstone_platform::inspect::is_mounted(folder).unwrap_or(false)
    {
        anyhow::bail!(
            "no volume is mounted at {0}, so orders and keys would be lost with this container: mount one, such as \
             `docker run --volume touchstone:{0}`, name a folder with TOUCHSTONE_DATA_DIR, or set DATABASE_URL, AMQP_URL \
             and REDIS_URL",
            folder.display()
        );
    }
    Ok(())
}

/// Makes the folder of embedded data, for its owner only.
pub(crate) fn prepare_data_dir(settings: &Settings) -> anyhow::Result<()> {
    let folder = settings.data_dir();
    require_volume(settings)?;
    if !settings.is_embedded() {
        return Ok(());
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

/// Fails when embedded mode has no database: a command in the wrong folder must not answer from an empty one.
fn require_database(settings: &Settings) -> anyhow::Result<()> {
    if !settings.is_embedded() || settings.database_path().exists() {
        return Ok(());
    }
    require_volume(settings)?;
    anyhow::bail!(
        "no data folder at {}: run this where `touchstone serve` keeps its data, or name the folder with \
         TOUCHSTONE_DATA_DIR; for PostgreSQL set DATABASE_URL, AMQP_URL and REDIS_URL. A new folder is made by \
         `touchstone serve`, `touchstone migrate` or `touchstone merchant create`",
        settings.data_dir().display()
    )
}

/// Says on standard error that a new database was made, where, and which way of running it belongs to.
#[expect(clippy::print_stderr, reason = "a person must see it, also where standard output is one JSON document")]
pub(crate) fn say_created(settings: &Settings) {
    eprintln!(
        "A new database was made in {} (embedded; without DATABASE_URL, AMQP_URL and REDIS_URL).",
        settings.data_dir().display()
    );
}

/// Holds the folder of embedded data for the process that serves it, for as long as it lives. None when the services are
/// elsewhere.
///
/// # Errors
/// When another process serves the folder.
pub(crate) fn own_data_dir(settings: &Settings) -> anyhow::Result<Option<File>> {
    if !settings.is_embedded() {
        return Ok(None);
    }
    prepare_data_dir(settings)?;
    let (folder, path) = (settings.data_dir().display(), serving_lock(settings));
    let cannot = || format!("{} cannot be locked", path.display());
    let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
    let mut file = opened.with_context(cannot)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let owner = std::io::read_to_string(&file).unwrap_or_default();
            anyhow::bail!(
                "touchstone already runs on {folder}{}: stop it first, or name another folder with TOUCHSTONE_DATA_DIR",
                owner.trim().parse::<u32>().map(|id| format!(" (process {id})")).unwrap_or_default()
            );
        }
        Err(TryLockError::Error(error)) => return Err(error).with_context(cannot),
    }
    file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())).with_context(cannot)?;
    Ok(Some(file))
}

/// Whether a process serves the folder of embedded data.
pub(crate) fn is_served(settings: &Settings) -> bool {
    let held = File::open(serving_lock(settings)).map(|file| file.try_lock_shared());
    matches!(held, Ok(Err(TryLockError::WouldBlock)))
}

fn serving_lock(settings: &Settings) -> PathBuf {
    settings.data_dir().join("serve.lock")
}

/// The master keys of the setting or, in embedded mode, of the file that it keeps. The file is made for a new database only:
/// with another key nothing that was stored could be opened.
pub(crate) async fn master_keys(settings: &Settings, store: &Store) -> anyhow::Result<Arc<MasterKeys>> {
    let path = settings.master_key_path();
    if settings.master_key.is_none() && settings.is_embedded() && !path.exists() {
        let stores = store.system(SystemReason::Operator).store_rows().await?.len();
        if stores > 0 {
            anyhow::bail!(
                "the master key file {} is missing, and the secrets of {stores} stores are sealed with it: restore it from \
                 its backup, mode 0600",
                path.display()
            );
        }
        return Ok(Arc::new(MasterKeys::load_or_create(&path)?));
    }
    existing_master_keys(settings)
}

/// The same, but nothing is made.
pub(crate) fn existing_master_keys(settings: &Settings) -> anyhow::Result<Arc<MasterKeys>> {
    let keys = match &settings.master_key {
        Some(given) => MasterKeys::parse(given.expose_text().unwrap_or_default())?,
        None if settings.is_embedded() => MasterKeys::load(&settings.master_key_path())?,
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
