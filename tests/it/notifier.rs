//! The notifier on both ways to run, against real receivers; its clock is moved by hand, so that hours pass at once.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use serde_json::value::RawValue;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use touchstone_notifier::{Dependencies, NotifierError, Settings};
use touchstone_platform::clock::Clock;
use touchstone_platform::crypto::{MasterKeys, SealContext, generate_webhook_secret};
use touchstone_platform::directory::Directory;
use touchstone_platform::egress::EgressPolicy;
use touchstone_platform::queue::{self, Lane, Queue, QueueSettings};
use touchstone_platform::random;
use touchstone_platform::store::accounts::{EndpointRow, StoreRow};
use touchstone_platform::store::deliveries::{AttemptView, DeliveryFilter, DeliveryView, Left, Replayed};
use touchstone_platform::store::{Store, StoreSettings, SystemReason, SystemStore};
use touchstone_schema::event::{Event, EventBatch, EventKind};
use touchstone_schema::ids::{EndpointId, EventId, MerchantId, RequestId, StoreId};
use touchstone_schema::secret::Secret;
use touchstone_schema::tenant::{KeyMode, Product, StoreMode, Tenant};
use touchstone_schema::time::Timestamp;
use touchstone_tests::{Backend, Behaviour, Receiver, eventually};

/// Longest that anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
const START: Timestamp = Timestamp::from_millis(1_790_000_000_000);

macro_rules! on_both_ways_to_run {
    ($($behaviour:ident),+ $(,)?) => {
        mod embedded {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $behaviour() -> anyhow::Result<()> {
                let mut world = Box::pin(super::World::new(super::Backend::embedded()?)).await?;
                Box::pin(super::$behaviour(&mut world)).await
            })+
        }
        mod production {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $behaviour() -> anyhow::Result<()> {
                let backend = Box::pin(super::Backend::production()).await?;
                let mut world = Box::pin(super::World::new(backend)).await?;
                Box::pin(super::$behaviour(&mut world)).await
            })+
        }
    };
}

mod egress;
mod endpoints;
mod faults;
mod http2;
mod libraries;
mod metrics;
mod ordering;
mod recovering;
mod recovery;
mod tls;

on_both_ways_to_run![
    event_is_delivered_once_with_a_valid_signature_when_its_message_comes_twice,
    failed_delivery_is_repeated_with_the_same_id_and_body_until_it_arrives,
    hanging_endpoint_does_not_delay_another_and_counts_as_timeout,
    dripping_answer_counts_as_timeout,
    redirect_is_a_failure_and_is_not_followed,
    gone_endpoint_is_disabled_and_the_other_endpoint_is_told,
    endpoint_failing_for_five_days_is_disabled,
    private_address_is_refused_without_an_allowance,
    lease_of_a_dead_notifier_is_taken_over,
    unannounced_event_is_swept_and_a_delivered_one_can_be_replayed,
    retry_after_is_honoured,
    garbage_on_the_queue_is_set_aside_and_the_next_message_goes_on,
];

/// Settings of tests: attempts end soon, and what is due is found at once.
fn quick() -> Settings {
    Settings {
        attempt_timeout: Duration::from_secs(2),
        poll_interval: Duration::from_millis(50),
        ..Settings::default()
    }
}

/// One store of one backend, and a notifier that runs on demand.
struct World {
    store: Store,
    directory: Arc<Directory>,
    queue: Arc<dyn Queue>,
    clock: Clock,
    master_keys: Arc<MasterKeys>,
    tenant: Tenant,
    running: Vec<(CancellationToken, JoinHandle<Result<(), NotifierError>>)>,
    _backend: Backend,
}

impl World {
    async fn new(backend: Backend) -> Result<Self> {
        let settings = match &backend.amqp_url {
            None => StoreSettings::Sqlite { path: backend.data_dir().join("touchstone.db") },
            Some(_) => StoreSettings::Postgres { url: Secret::new(backend.database_url.as_str()), connections: 4 },
        };
        let store = Store::open(&settings).await?;
        store.migrate().await?;
        let queue_settings = match &backend.amqp_url {
            Some(url) => {
                QueueSettings::RabbitMq { url: Secret::new(url.as_str()), connection_name: "notifier".to_owned() }
            }
            None => QueueSettings::Embedded { store: store.clone() },
        };
        let clock = Clock::manual(START);
        let queue = queue::open(&queue_settings, Clock::system()).await?;
        let master_keys = Arc::new(MasterKeys::parse("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")?);
        let merchant = MerchantId::mint(START, random::bytes());
        let tenant = Tenant { store_id: StoreId::mint(START, random::bytes()), mode: KeyMode::Live };
        let system = store.system(SystemReason::Operator);
        system.add_merchant(&merchant, "merchant", START).await?;
        let data_key = SealContext {
            store: tenant.store_id.as_str(),
            record: tenant.store_id.as_str(),
            purpose: SealContext::DATA_KEY,
        };
        let row = StoreRow {
            id: tenant.store_id.clone(),
            merchant_id: merchant,
            name: "store".to_owned(),
            mode: StoreMode::Live,
            product: Product::ScoreOnly,
            currency: "USD".to_owned(),
            rate_limit_per_minute: 100,
            risk_groups: touchstone_schema::tenant::RiskGroups::default(),
            input: touchstone_schema::tenant::InputSettings::default(),
            sealed_data_key: master_keys.seal(b"data key", &data_key)?,
            created_at: START,
        };
        system.add_store(&row).await?;
        let directory = Directory::open(store.clone(), Some(Arc::clone(&master_keys)), Clock::system()).await?;
        Ok(Self { store, directory, queue, clock, master_keys, tenant, running: Vec::new(), _backend: backend })
    }

    fn system(&self) -> SystemStore<'_> {
        self.store.system(SystemReason::RoleLoop)
    }

    /// Starts a notifier that may reach `allow`.
    fn start(&mut self, allow: &str) -> Result<()> {
        self.start_with(allow, quick())
    }

    /// Starts a notifier of these settings, beside those that run.
    fn start_with(&mut self, allow: &str, settings: Settings) -> Result<()> {
        let dependencies = Dependencies {
            store: self.store.clone(),
            directory: Arc::clone(&self.directory),
            queue: Arc::clone(&self.queue),
            clock: self.clock.clone(),
            master_keys: Arc::clone(&self.master_keys),
            egress: Arc::new(EgressPolicy::parse(allow)?),
        };
        let shutdown = CancellationToken::new();
        let running = tokio::spawn(touchstone_notifier::run(settings, dependencies, shutdown.clone()));
        self.running.push((shutdown, running));
        Ok(())
    }

    async fn stop(&mut self) -> Result<()> {
        for (shutdown, running) in self.running.drain(..) {
            shutdown.cancel();
            tokio::time::timeout(PATIENCE, running).await.context("the notifier does not end")???;
        }
        Ok(())
    }

    /// Ends the notifiers as a kill would: nothing is finished, recorded or given back.
    async fn kill(&mut self) {
        for (_, running) in self.running.drain(..) {
            running.abort();
            // It was aborted, or had ended; either way it is over.
            let _ = running.await;
        }
    }

    /// Adds an endpoint that wants everything; returns its id and secret.
    async fn endpoint(&self, url: &str) -> Result<(EndpointId, String)> {
        self.endpoint_with(url, Ok).await
    }

    /// The same, changed before it is added.
    async fn endpoint_with(
        &self,
        url: &str,
        change: impl FnOnce(EndpointRow) -> Result<EndpointRow>,
    ) -> Result<(EndpointId, String)> {
        let (row, secret) = self.endpoint_row(url)?;
        let row = change(row)?;
        self.system().add_endpoint(&row).await?;
        Ok((row.id, secret))
    }

    fn endpoint_row(&self, url: &str) -> Result<(EndpointRow, String)> {
        let id = EndpointId::mint(START, random::bytes());
        let secret = generate_webhook_secret();
        let sealed = self.seal(&id, &secret)?;
        let row = EndpointRow::new(id, self.tenant.store_id.clone(), url, sealed, START);
        Ok((row, secret.expose_text().context("text")?.to_owned()))
    }

    fn seal(&self, endpoint: &EndpointId, secret: &Secret) -> Result<Vec<u8>> {
        let context = SealContext {
            store: self.tenant.store_id.as_str(),
            record: endpoint.as_str(),
            purpose: SealContext::WEBHOOK_SECRET,
        };
        Ok(self.master_keys.seal(secret.expose(), &context)?)
    }

    /// Gives an endpoint another secret, which is returned; the present one signs along until then.
    async fn rotate(&self, endpoint: &EndpointId, until: Option<Timestamp>) -> Result<String> {
        let secret = generate_webhook_secret();
        let sealed = self.seal(endpoint, &secret)?;
        ensure!(self.system().rotate_endpoint(endpoint, &sealed, until, self.clock.now()).await?, "it is there");
        Ok(secret.expose_text().context("text")?.to_owned())
    }

    async fn add_event(&self) -> Result<Event> {
        let event = Event {
            id: EventId::mint(self.clock.now(), random::bytes()),
            tenant: self.tenant.clone(),
            transaction_id: None,
            surface: None,
            kind: EventKind::OrderScored,
            sequence: 1,
            occurred_at: self.clock.now(),
            request_id: RequestId::mint(START, random::bytes()),
            trace: None,
            data: RawValue::from_string(r#"{"order_id":"A-1","risk_score":7}"#.to_owned())?,
        };
        self.system().add_event(&event).await?;
        Ok(event)
    }

    async fn announce(&self, event: &Event) -> Result<()> {
        let message = serde_json::to_vec(&EventBatch::new(vec![event.clone()]))?;
        Ok(self.queue.publish(Lane::Events, vec![Bytes::from(message)]).await?)
    }

    async fn announced_event(&self) -> Result<Event> {
        let event = self.add_event().await?;
        self.announce(&event).await?;
        Ok(event)
    }

    /// Waits until one of the endpoint's deliveries, of a hundred at most, looks as asked.
    async fn delivery(
        &self,
        endpoint: &EndpointId,
        what: &str,
        looks: impl Fn(&DeliveryView) -> bool,
    ) -> Result<(DeliveryView, Vec<AttemptView>)> {
        let filter = DeliveryFilter { endpoint_id: Some(endpoint.clone()), ..DeliveryFilter::default() };
        eventually(PATIENCE, what, async || {
            let listed = self.system().deliveries(&filter, 100).await.ok()?;
            let found = listed.into_iter().find(|delivery| looks(delivery))?;
            self.system().delivery(&found.id).await.ok()?
        })
        .await
    }
}

async fn event_is_delivered_once_with_a_valid_signature_when_its_message_comes_twice(world: &mut World) -> Result<()> {
    let receiver = Receiver::start().await?;
    let (endpoint, secret) = world.endpoint(&receiver.url()).await?;
    world.start("127.0.0.0/8")?;
    let event = world.announced_event().await?;
    world.announce(&event).await?;
    let delivery = receiver.wait_for(1, PATIENCE).await?.remove(0);
    delivery.verify(&secret)?;
    ensure!(delivery.header("webhook-id") == event.id.as_str());
    ensure!(delivery.header("webhook-timestamp") == START.as_secs().to_string());
    ensure!(delivery.header("user-agent").starts_with("Touchstone/"));
    let expected = format!(
        r#"{{"type":"order.scored","timestamp":"{}","data":{{"order_id":"A-1","risk_score":7}}}}"#,
        START.to_rfc3339()
    );
    ensure!(delivery.body == expected, "{:?}", delivery.body);
    let (_, attempts) = world.delivery(&endpoint, "a delivered row", |row| row.state == "delivered").await?;
    ensure!(attempts.len() == 1 && attempts[0].status == Some(200), "{attempts:?}");
    // The second message has been taken when another event that came after it has arrived.
    let last = world.announced_event().await?;
    let all = receiver.wait_for(2, PATIENCE).await?;
    ensure!(all.len() == 2 && all[1].header("webhook-id") == last.id.as_str());
    world.stop().await
}

async fn failed_delivery_is_repeated_with_the_same_id_and_body_until_it_arrives(world: &mut World) -> Result<()> {
    let receiver = Receiver::start().await?;
    receiver.behave(Behaviour::status(500));
    let (endpoint, secret) = world.endpoint(&receiver.url()).await?;
    world.start("127.0.0.0/8")?;
    world.announced_event().await?;
    let (row, attempts) = world.delivery(&endpoint, "a failed attempt", |row| row.attempts == 1).await?;
    ensure!(row.last_error.as_deref() == Some("http_status") && attempts[0].status == Some(500), "{row:?}");
    let due = row.next_attempt_at.as_deref().and_then(Timestamp::parse_rfc3339).context("no next attempt")?;
    ensure!((4_000..=6_000).contains(&due.since(START).as_millis()), "{due:?}");
    receiver.behave(Behaviour::status(204));
    world.clock.advance(Duration::from_secs(6));
    let all = receiver.wait_for(2, PATIENCE).await?;
    ensure!(all[0].header("webhook-id") == all[1].header("webhook-id") && all[0].body == all[1].body);
    ensure!(all[0].header("webhook-timestamp") != all[1].header("webhook-timestamp"));
    all[1].verify(&secret)?;
    world.delivery(&endpoint, "a delivered row", |row| row.state == "delivered" && row.attempts == 2).await?;
    let endpoint = world.system().endpoint(&endpoint).await?.context("the endpoint is gone")?;
    ensure!(endpoint.failing_since.is_none(), "the failure clock stops at success");
    world.stop().await
}

async fn hanging_endpoint_does_not_delay_another_and_counts_as_timeout(world: &mut World) -> Result<()> {
    let (hanging, healthy) = (Receiver::start().await?, Receiver::start().await?);
    hanging.behave(Behaviour::Hang);
    let (hung, _) = world.endpoint(&hanging.url()).await?;
    world.endpoint(&healthy.url()).await?;
    world.start("127.0.0.0/8")?;
    for _ in 0..40 {
        world.announced_event().await?;
    }
    healthy.wait_for(40, PATIENCE).await?;
    ensure!(hanging.deliveries().len() <= 40, "each delivery has at most one attempt in flight");
    let (row, _) = world.delivery(&hung, "a timed-out attempt", |row| row.attempts == 1).await?;
    ensure!(row.last_error.as_deref() == Some("timeout"), "{row:?}");
    world.stop().await
}

async fn dripping_answer_counts_as_timeout(world: &mut World) -> Result<()> {
    let receiver = Receiver::start().await?;
    receiver.behave(Behaviour::Drip);
    let (endpoint, _) = world.endpoint(&receiver.url()).await?;
    world.start("127.0.0.0/8")?;
    world.announced_event().await?;
    let (row, attempts) = world.delivery(&endpoint, "a timed-out attempt", |row| row.attempts == 1).await?;
    ensure!(row.state == "pending" && row.last_error.as_deref() == Some("timeout"), "{row:?}");
    ensure!(attempts[0].duration_ms < 10_000, "{attempts:?}");
    world.stop().await
}

async fn redirect_is_a_failure_and_is_not_followed(world: &mut World) -> Result<()> {
    let (receiver, target) = (Receiver::start().await?, Receiver::start().await?);
    receiver.behave(Behaviour::Answer(307, vec![("location".to_owned(), target.url())]));
    let (endpoint, _) = world.endpoint(&receiver.url()).await?;
    world.start("127.0.0.0/8")?;
    world.announced_event().await?;
    let (row, attempts) = world.delivery(&endpoint, "a failed attempt", |row| row.attempts == 1).await?;
    ensure!(row.state == "pending" && attempts[0].status == Some(307), "{row:?}");
    ensure!(target.deliveries().is_empty());
    world.stop().await
}

async fn gone_endpoint_is_disabled_and_the_other_endpoint_is_told(world: &mut World) -> Result<()> {
    let (gone, other) = (Receiver::start().await?, Receiver::start().await?);
    gone.behave(Behaviour::status(410));
    let (endpoint, _) = world.endpoint(&gone.url()).await?;
    world.endpoint(&other.url()).await?;
    world.start("127.0.0.0/8")?;
    world.announced_event().await?;
    world.delivery(&endpoint, "a dead delivery", |row| row.state == "dead").await?;
    let row = world.system().endpoint(&endpoint).await?.context("the endpoint is gone")?;
    ensure!(!row.enabled && row.disabled_reason.is_some(), "{row:?}");
    world.clock.advance(Duration::from_secs(11));
    let told = other.wait_for(2, PATIENCE).await?;
    ensure!(
        told[1].json()?["type"] == "endpoint.disabled" && told[1].json()?["data"]["endpoint_id"] == endpoint.as_str()
    );
    ensure!(gone.deliveries().len() == 1);
    world.stop().await
}

async fn endpoint_failing_for_five_days_is_disabled(world: &mut World) -> Result<()> {
    let receiver = Receiver::start().await?;
    receiver.behave(Behaviour::Close);
    let (endpoint, _) = world.endpoint(&receiver.url()).await?;
    world.start("127.0.0.0/8")?;
    world.announced_event().await?;
    world.delivery(&endpoint, "a failed attempt", |row| row.attempts == 1).await?;
    // The clock lives in the database: another notifier goes on with it.
    world.stop().await?;
    world.clock.advance(Duration::from_secs(5 * 86_400));
    world.start("127.0.0.0/8")?;
    world.delivery(&endpoint, "a second attempt", |row| row.attempts == 2).await?;
    let row = world.system().endpoint(&endpoint).await?.context("the endpoint is gone")?;
    ensure!(!row.enabled && row.failing_since == Some(START), "{row:?}");
    world.stop().await
}

async fn private_address_is_refused_without_an_allowance(world: &mut World) -> Result<()> {
    let receiver = Receiver::start().await?;
    let mut endpoints = vec![world.endpoint(&receiver.url()).await?.0];
    endpoints.push(world.endpoint(&receiver.url().replace("127.0.0.1", "localhost")).await?.0);
    endpoints.push(world.endpoint(&receiver.url().replace("127.0.0.1", "[::ffff:127.0.0.1]")).await?.0);
    world.start("")?;
    world.announced_event().await?;
    for endpoint in endpoints {
        let (row, _) = world.delivery(&endpoint, "a refused attempt", |row| row.attempts == 1).await?;
        ensure!(row.last_error.as_deref() == Some("blocked_address"), "{row:?}");
    }
    ensure!(receiver.deliveries().is_empty());
    world.stop().await
}

async fn lease_of_a_dead_notifier_is_taken_over(world: &mut World) -> Result<()> {
    let receiver = Receiver::start().await?;
    let (endpoint, _) = world.endpoint(&receiver.url()).await?;
    let event = world.add_event().await?;
    // A notifier that plans, leases and dies.
    let planned = world.system().plan(&[event.id], START, START + Duration::from_secs(60), Left::default()).await?;
    ensure!(planned.len() == 1);
    ensure!(world.system().claim_due(START, START + Duration::from_secs(60), 10, Left::default()).await?.is_empty());
    world.start("127.0.0.0/8")?;
    world.clock.advance(Duration::from_secs(61));
    receiver.wait_for(1, PATIENCE).await?;
    world.delivery(&endpoint, "a delivered row", |row| row.state == "delivered").await?;
    world.stop().await
}

async fn unannounced_event_is_swept_and_a_delivered_one_can_be_replayed(world: &mut World) -> Result<()> {
    let receiver = Receiver::start().await?;
    let (endpoint, secret) = world.endpoint(&receiver.url()).await?;
    world.start("127.0.0.0/8")?;
    world.add_event().await?;
    world.clock.advance(Duration::from_secs(11));
    receiver.wait_for(1, PATIENCE).await?;
    let (row, _) = world.delivery(&endpoint, "a delivered row", |row| row.state == "delivered").await?;
    ensure!(matches!(world.system().replay_delivery(&row.id, world.clock.now()).await?, Replayed::Due(_)));
    let all = receiver.wait_for(2, PATIENCE).await?;
    ensure!(all[0].header("webhook-id") == all[1].header("webhook-id") && all[0].body == all[1].body);
    all[1].verify(&secret)?;
    world.stop().await
}

async fn retry_after_is_honoured(world: &mut World) -> Result<()> {
    let (in_ten_minutes, in_a_day) = (Duration::from_secs(600), Duration::from_secs(86_400));
    let date = (START + in_ten_minutes).as_millis();
    let date = chrono::DateTime::from_timestamp_millis(date).context("no date")?.to_rfc2822();
    let cases = [
        (429, "600", Some(in_ten_minutes)),
        (502, "600", Some(in_ten_minutes)),
        (503, date.as_str(), Some(in_ten_minutes)),
        (504, "600", Some(in_ten_minutes)),
        (503, "99999999", Some(in_a_day)),
        (500, "600", None),
        (503, "soon", None),
    ];
    let mut endpoints = Vec::new();
    for (status, value, wait) in cases {
        let receiver = Receiver::start().await?;
        receiver.behave(Behaviour::Answer(status, vec![("retry-after".to_owned(), value.to_owned())]));
        endpoints.push((status, value, wait, world.endpoint(&receiver.url()).await?.0, receiver));
    }
    world.start("127.0.0.0/8")?;
    world.announced_event().await?;
    for (status, value, wait, endpoint, _receiver) in &endpoints {
        let (row, _) = world.delivery(endpoint, "a failed attempt", |row| row.attempts == 1).await?;
        let due = row.next_attempt_at.as_deref().and_then(Timestamp::parse_rfc3339).context("no next attempt")?;
        let fits = match wait {
            Some(wait) => due == START + *wait,
            None => (4..=6).contains(&due.since(START).as_secs()),
        };
        ensure!(fits, "{status} {value}: {row:?}");
    }
    world.stop().await
}

async fn garbage_on_the_queue_is_set_aside_and_the_next_message_goes_on(world: &mut World) -> Result<()> {
    let receiver = Receiver::start().await?;
    world.endpoint(&receiver.url()).await?;
    world.start("127.0.0.0/8")?;
    let garbage = vec![Bytes::from_static(b"garbage"), Bytes::from_static(b"{\"version\":9}")];
    world.queue.publish(Lane::Events, garbage).await?;
    world.announced_event().await?;
    receiver.wait_for(1, PATIENCE).await?;
    let letters = eventually(PATIENCE, "two dead letters", async || {
        world.queue.dead_letters(10).await.ok().filter(|letters| letters.len() == 2)
    })
    .await?;
    ensure!(letters.iter().any(|letter| letter.reason.contains("format 9")), "{letters:?}");
    world.stop().await
}
