//! A front door in this process, on real adapters, with stores and keys of its own.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use touchstone_ingest::{Dependencies, Settings};
use touchstone_platform::cache::{self, Cache, CacheSettings};
use touchstone_platform::clock::Clock;
use touchstone_platform::crypto::{ApiKey, BcryptVerifier, MasterKeys, SealContext, generate_hmac_secret, sha256_hex};
use touchstone_platform::directory::Directory;
use touchstone_platform::queue::{self, Disposition, Lane, Queue, QueueSettings};
use touchstone_platform::random;
use touchstone_platform::store::accounts::{ConnectionRow, KeyRow, StoreRow};
use touchstone_platform::store::{Store, StoreSettings, SystemReason};
use touchstone_schema::centra::ConnectionSettings;
use touchstone_schema::ids::{ConnectionId, KeyId, MerchantId, StoreId};
use touchstone_schema::secret::Secret;
use touchstone_schema::submission::{Answer, Submission};
use touchstone_schema::tenant::{KeyMode, KeyScope, Product, RiskGroups, StoreMode, Tenant};
use touchstone_tests::{Backend, Credentials, SignedClient};

/// A door, the ports behind it, and two stores that know it.
pub(crate) struct Door {
    pub(crate) url: String,
    pub(crate) address: std::net::SocketAddr,
    pub(crate) store: Store,
    pub(crate) queue: Arc<dyn Queue>,
    pub(crate) cache: Arc<dyn Cache>,
    pub(crate) keys: Keys,
    pub(crate) shutdown: CancellationToken,
    pub(crate) served: Option<tokio::task::JoinHandle<Result<(), touchstone_ingest::IngestError>>>,
    pub(crate) clock: Clock,
    pub(crate) directory: Arc<Directory>,
    pub(crate) backend: Backend,
    pub(crate) master: Arc<MasterKeys>,
    bcrypt: Arc<BcryptVerifier>,
}

/// The keys that the fixture made.
pub(crate) struct Keys {
    pub(crate) mine: Key,
    pub(crate) theirs: Key,
    pub(crate) no_scope: Key,
    pub(crate) few: Key,
    /// Keys of the checks surface, of the stores of `mine` and `theirs`.
    pub(crate) checks: [Key; 2],
}

/// A key and what only its owner knows.
#[derive(Clone)]
pub(crate) struct Key {
    pub(crate) id: KeyId,
    pub(crate) tenant: Tenant,
    pub(crate) credentials: Credentials,
    /// Password of Basic auth.
    pub(crate) password: String,
}

struct Maker<'a> {
    store: &'a Store,
    master: &'a MasterKeys,
    bcrypt: &'a BcryptVerifier,
    clock: &'a Clock,
}

impl Door {
    pub(crate) async fn embedded(settings: Settings) -> anyhow::Result<Self> {
        Self::open(Backend::embedded()?, settings).await
    }

    pub(crate) async fn production(settings: Settings) -> anyhow::Result<Self> {
        Self::open(Backend::production().await?, settings).await
    }

    pub(crate) async fn open(backend: Backend, settings: Settings) -> anyhow::Result<Self> {
        Self::open_at(backend, settings, Clock::system()).await
    }

    /// A door whose time a test may move.
    pub(crate) async fn open_at(backend: Backend, settings: Settings, clock: Clock) -> anyhow::Result<Self> {
        let store = open_store(&backend).await?;
        let queue = open_queue(&backend, &store, &clock).await?;
        let cache = match &backend.redis_url {
            Some(url) => CacheSettings::Redis { url: Secret::new(url.as_str()) },
            None => CacheSettings::Embedded { path: Some(backend.data_dir().join("nonces")) },
        };
        let cache = cache::open(&cache, &clock).await?;
        let master = Arc::new(MasterKeys::parse(&BASE64_STANDARD.encode(random::bytes::<32>()))?);
        let bcrypt = Arc::new(BcryptVerifier::default());
        let maker = Maker { store: &store, master: &master, bcrypt: &bcrypt, clock: &clock };
        let mine = maker.store(10_000).await?;
        let theirs = maker.store(10_000).await?;
        let few = maker.store(2).await?;
        let keys = Keys {
            mine: maker.key(&mine, KeyMode::Live, KeyScope::Signed).await?,
            theirs: maker.key(&theirs, KeyMode::Live, KeyScope::Signed).await?,
            no_scope: maker.key(&mine, KeyMode::Live, KeyScope::Orders).await?,
            few: maker.key(&few, KeyMode::Live, KeyScope::Signed).await?,
            checks: [
                maker.key(&mine, KeyMode::Live, KeyScope::Checks).await?,
                maker.key(&theirs, KeyMode::Live, KeyScope::Checks).await?,
            ],
        };
        let directory = Directory::open(store.clone(), Some(Arc::clone(&master)), clock.clone()).await?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let shutdown = CancellationToken::new();
        tokio::spawn(Arc::clone(&directory).poll(shutdown.clone()));
        let dependencies = Dependencies {
            store: store.clone(),
            queue: Arc::clone(&queue),
            cache: Arc::clone(&cache),
            directory: Arc::clone(&directory),
            master_keys: Arc::clone(&master),
            bcrypt: Arc::clone(&bcrypt),
            clock: clock.clone(),
        };
        let served = tokio::spawn(touchstone_ingest::run(settings, dependencies, listener, shutdown.clone()));
        Ok(Self {
            url: format!("http://{address}"),
            address,
            store,
            queue,
            cache,
            keys,
            shutdown,
            served: Some(served),
            clock,
            directory,
            backend,
            master,
            bcrypt,
        })
    }

    pub(crate) fn client(&self, key: &Key) -> SignedClient {
        SignedClient::new(&self.url, key.credentials.clone()).with_clock(self.clock.clone())
    }

    /// Makes another store with a key of its own.
    pub(crate) async fn add_store(&self) -> anyhow::Result<Key> {
        let store = self.maker().store(10_000).await?;
        self.maker().key(&store, KeyMode::Live, KeyScope::Signed).await
    }

    /// Makes a key of the test world for the store of `key`.
    pub(crate) async fn add_test_key(&self, key: &Key) -> anyhow::Result<Key> {
        self.maker().key(&key.tenant.store_id, KeyMode::Test, KeyScope::Signed).await
    }

    /// Makes a store of a product with a key of the orders surface, and a key of its signed surface.
    pub(crate) async fn add_orders_store(&self, product: Product) -> anyhow::Result<(Key, Key)> {
        let store = self.maker().store_of(10_000, product, RiskGroups::default()).await?;
        let orders = self.maker().key(&store, KeyMode::Live, KeyScope::Orders).await?;
        let signed = self.maker().key(&store, KeyMode::Live, KeyScope::Signed).await?;
        self.directory.refresh_now().await?;
        Ok((orders, signed))
    }

    /// Makes a store of its own groups of risk with a key of the checks surface.
    pub(crate) async fn add_checks_store(&self, risk_groups: RiskGroups) -> anyhow::Result<Key> {
        let store = self.maker().store_of(10_000, Product::Guaranteed, risk_groups).await?;
        let key = self.maker().key(&store, KeyMode::Live, KeyScope::Checks).await?;
        self.directory.refresh_now().await?;
        Ok(key)
    }

    /// Makes another key for the store of `key`.
    pub(crate) async fn add_key(&self, key: &Key, mode: KeyMode, scope: KeyScope) -> anyhow::Result<Key> {
        let made = self.add_unread_key(key, mode, scope).await?;
        self.directory.refresh_now().await?;
        Ok(made)
    }

    /// The same as another process makes it, without notice to this one.
    pub(crate) async fn add_unread_key(&self, key: &Key, mode: KeyMode, scope: KeyScope) -> anyhow::Result<Key> {
        self.maker().key(&key.tenant.store_id, mode, scope).await
    }

    /// Connects the store of `key` to a shop that is not there. Returns the connection, and the URL of its notices.
    pub(crate) async fn connect_shop(&self, key: &Key) -> anyhow::Result<(ConnectionId, String)> {
        let token = hex::encode(random::bytes::<16>());
        let row = connection_row(&key.tenant.store_id, &token, &self.clock);
        self.store.system(SystemReason::Operator).add_connection(&row).await?;
        self.directory.refresh_now().await?;
        Ok((row.id, format!("{}/v1/centra/{token}", self.url)))
    }

    /// A directory as another process has it, which nothing keeps fresh.
    pub(crate) async fn open_directory(&self) -> anyhow::Result<Arc<Directory>> {
        Ok(Directory::open(self.store.clone(), Some(Arc::clone(&self.master)), self.clock.clone()).await?)
    }

    fn maker(&self) -> Maker<'_> {
        Maker { store: &self.store, master: &self.master, bcrypt: &self.bcrypt, clock: &self.clock }
    }

    /// Gives a key a fresh secret; the old one stays valid for `grace`.
    pub(crate) async fn rotate(&self, key: &Key, grace: Duration) -> anyhow::Result<Credentials> {
        let secret = generate_hmac_secret();
        let (store, record) = (key.tenant.store_id.as_str(), key.id.as_str());
        let context = SealContext { store, record, purpose: SealContext::HMAC_SECRET };
        let sealed = self.master.seal(secret.expose(), &context)?;
        let now = Clock::system().now();
        self.store.system(SystemReason::Operator).rotate_key(&key.id, &sealed, Some(now + grace), now).await?;
        let hmac_secret = secret.expose_text().unwrap_or_default().to_owned();
        Ok(Credentials { api_key: key.credentials.api_key.clone(), hmac_secret })
    }

    /// Answers interactive submissions as `answer` says, until the door closes.
    pub(crate) async fn scorer(&self, answer: fn(&Submission) -> Answer) -> anyhow::Result<()> {
        let mut consumer = self.queue.consume(Lane::Interactive, 64).await?;
        let shutdown = self.shutdown.clone();
        tokio::spawn(async move {
            loop {
                let deliveries = tokio::select! {
                    () = shutdown.cancelled() => return,
                    deliveries = consumer.next(64) => deliveries,
                };
                let replies = deliveries.iter().filter_map(|delivery| {
                    let submission: Submission = serde_json::from_slice(&delivery.body).ok()?;
                    Some((delivery, serde_json::to_vec(&answer(&submission)).ok()?.into()))
                });
                let _ = consumer.reply(replies.collect()).await;
                let settled = deliveries.into_iter().map(|delivery| (delivery, Disposition::Ack)).collect();
                let _ = consumer.settle(settled).await;
            }
        });
        Ok(())
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

impl Maker<'_> {
    async fn store(&self, rate_limit_per_minute: u32) -> anyhow::Result<StoreId> {
        self.store_of(rate_limit_per_minute, Product::Guaranteed, RiskGroups::default()).await
    }

    async fn store_of(
        &self,
        rate_limit_per_minute: u32,
        product: Product,
        risk_groups: RiskGroups,
    ) -> anyhow::Result<StoreId> {
        let now = self.clock.now();
        let merchant_id = MerchantId::mint(now, random::bytes());
        let id = StoreId::mint(now, random::bytes());
        let context = SealContext { store: id.as_str(), record: id.as_str(), purpose: SealContext::DATA_KEY };
        let row = StoreRow {
            sealed_data_key: self.master.seal(&random::bytes::<32>(), &context)?,
            id: id.clone(),
            merchant_id: merchant_id.clone(),
            name: "Boots".to_owned(),
            mode: StoreMode::Live,
            product,
            currency: "EUR".to_owned(),
            rate_limit_per_minute,
            risk_groups,
            input: touchstone_schema::tenant::InputSettings::default(),
            created_at: now,
        };
        let system = self.store.system(SystemReason::Operator);
        system.add_merchant(&merchant_id, "Ada", now).await?;
        system.add_store(&row).await?;
        Ok(id)
    }

    async fn key(&self, store: &StoreId, mode: KeyMode, scope: KeyScope) -> anyhow::Result<Key> {
        let now = self.clock.now();
        let id = KeyId::mint(now, random::bytes());
        let api_key = ApiKey::generate(mode);
        let secret = generate_hmac_secret();
        let password = hex::encode(random::bytes::<16>());
        let (pepper_id, mac) = self.master.pepper_mac(&api_key);
        let context = SealContext { store: store.as_str(), record: id.as_str(), purpose: SealContext::HMAC_SECRET };
        let row = KeyRow {
            id: id.clone(),
            store_id: store.clone(),
            mode,
            prefix: api_key.prefix8().to_owned(),
            key_hash: self.bcrypt.hash(api_key.expose()).await?,
            pepper_id,
            key_mac: mac.to_vec(),
            sealed_hmac_secret: self.master.seal(secret.expose(), &context)?,
            previous_hmac_secret: None,
            password_hash: self.bcrypt.hash(&password).await?,
            password_mac: Some(self.master.password_mac(&password).to_vec()),
            scopes: vec![scope],
            created_at: now,
            revoked_at: None,
        };
        self.store.system(SystemReason::Operator).add_key(&row).await?;
        let credentials = Credentials {
            api_key: api_key.expose().to_owned(),
            hmac_secret: secret.expose_text().unwrap_or_default().to_owned(),
        };
        Ok(Key { id, tenant: Tenant { store_id: store.clone(), mode }, credentials, password })
    }
}

/// A connection of a store whose notices come in by this token.
pub(crate) fn connection_row(store: &StoreId, token: &str, clock: &Clock) -> ConnectionRow {
    let now = clock.now();
    ConnectionRow {
        id: ConnectionId::mint(now, random::bytes()),
        store_id: store.clone(),
        api_url: "https://shop.invalid/graphql".to_owned(),
        sealed_token: vec![1],
        token_set_at: now,
        path_hash: sha256_hex(token.as_bytes()),
        previous_path: None,
        settings: ConnectionSettings::default(),
        created_at: now,
        disconnected_at: None,
        stopped_reason: None,
        paused_until: now,
        swept_at: None,
        arguments: None,
    }
}

async fn open_store(backend: &Backend) -> anyhow::Result<Store> {
    let settings = if backend.amqp_url.is_some() {
        StoreSettings::Postgres { url: Secret::new(backend.database_url.as_str()), connections: 8 }
    } else {
        StoreSettings::Sqlite { path: backend.data_dir().join("touchstone.sqlite") }
    };
    let store = Store::open(&settings).await?;
    store.migrate().await?;
    Ok(store)
}

async fn open_queue(backend: &Backend, store: &Store, clock: &Clock) -> anyhow::Result<Arc<dyn Queue>> {
    let settings = match &backend.amqp_url {
        Some(url) => {
            QueueSettings::RabbitMq { url: Secret::new(url.as_str()), connection_name: "ingest-test".to_owned() }
        }
        None => QueueSettings::Embedded { store: store.clone() },
    };
    let queue = queue::open(&settings, clock.clone()).await?;
    touchstone_tests::eventually(Duration::from_secs(20), "the queue", async || queue.check().await.ok()).await?;
    Ok(queue)
}

/// A small order with an id of its own.
pub(crate) fn order(order_id: &str) -> Value {
    json!({"order_id": order_id, "amount": "129.90", "currency": "EUR", "customer": {"email": "ada@example.com"}})
}

/// The verdict that the stand-in scorer gives.
pub(crate) fn verdict_of(submission: &Submission) -> Answer {
    let document = json!({
        "transaction_id": submission.transaction_id, "order_id": submission.order_id, "risk_score": 12,
        "risk_level": "low", "recommended_action": "approve",
    });
    Answer::Verdict { verdict: serde_json::value::to_raw_value(&document).expect("it is JSON") }
}

/// The stand-in scorer says that another order has the id.
pub(crate) fn conflict_of(submission: &Submission) -> Answer {
    let Answer::Verdict { verdict } = verdict_of(submission) else { return Answer::Failed };
    Answer::Conflict { verdict }
}
