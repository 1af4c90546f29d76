//! A store with one connection to a double of a Centra shop, and every role in this process.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use touchstone_centra_double::{Centra, Kind, Order, Settings as ShopSettings};
use touchstone_notifier::{Dependencies, NotifierError, Settings};
use touchstone_platform::clock::Clock;
use touchstone_platform::crypto::{SealContext, generate_webhook_secret, sha256_hex};
use touchstone_platform::egress::EgressPolicy;
use touchstone_platform::queue::Lane;
use touchstone_platform::random;
use touchstone_platform::store::SystemReason;
use touchstone_platform::store::accounts::{ConnectionRow, EndpointRow};
use touchstone_platform::store::holds::Hold;
use touchstone_schema::centra::{
    ConnectionSettings, HoldOutcome, HoldState, Notice, OrderArgument, OrderArguments, WAITING_NOTICE,
};
use touchstone_schema::ids::{ConnectionId, EndpointId, RequestId};
use touchstone_tests::{Backend, Receiver, eventually};

use crate::ingest::fixture::Door;
use crate::pipeline::fixture::{PATIENCE, Pipeline};

/// Longest request to the shop: short, so that one that is never answered is soon over.
pub(super) const SHOP_TIMEOUT: Duration = Duration::from_millis(500);
/// Token of the connector's path.
pub(super) const PATH: &str = "0123456789abcdefghijABCDEFGHIJ01";

pub(super) struct HeldShop {
    pub(super) pipeline: Pipeline,
    pub(super) centra: Centra,
    pub(super) connection: ConnectionId,
    receiver: Receiver,
    notifiers: Vec<(CancellationToken, JoinHandle<Result<(), NotifierError>>)>,
}

impl HeldShop {
    /// Opens a store and a shop whose mutations take their order by this argument; scorer and notifier run.
    pub(super) async fn open_by(backend: Backend, argument: OrderArgument) -> Result<Self> {
        let shop = ShopSettings { order_argument: Some(argument), ..ShopSettings::default() };
        Self::open_with(backend, shop, ConnectionSettings::default()).await
    }

    pub(super) async fn open_with(backend: Backend, shop: ShopSettings, settings: ConnectionSettings) -> Result<Self> {
        let mut pipeline = Pipeline::open_at(backend, Clock::system()).await?;
        let centra = Centra::start(shop).await?;
        let connection = connect(&pipeline.door, &centra, settings).await?;
        let receiver = Receiver::start().await?;
        listen(&pipeline.door, &receiver).await?;
        pipeline.score();
        let mut opened = Self { pipeline, centra, connection, receiver, notifiers: Vec::new() };
        opened.notify();
        Ok(opened)
    }

    /// Starts a notifier beside those that run.
    pub(super) fn notify(&mut self) {
        let settings = Settings {
            poll_interval: Duration::from_millis(100),
            centra_timeout: SHOP_TIMEOUT,
            centra_pause: Duration::from_millis(100),
            ..Settings::default()
        };
        let door = &self.pipeline.door;
        let dependencies = Dependencies {
            store: door.store.clone(),
            directory: Arc::clone(&door.directory),
            queue: Arc::clone(&door.queue),
            clock: door.clock.clone(),
            master_keys: Arc::clone(&door.master),
            egress: Arc::new(EgressPolicy::parse("127.0.0.0/8").expect("it is a network")),
        };
        let shutdown = CancellationToken::new();
        let running = tokio::spawn(touchstone_notifier::run(settings, dependencies, shutdown.clone()));
        self.notifiers.push((shutdown, running));
    }

    /// Stops the notifiers, which finish what they have in hand.
    pub(super) async fn stop_notifiers(&mut self) -> Result<()> {
        for (shutdown, running) in self.notifiers.drain(..) {
            shutdown.cancel();
            running.await??;
        }
        Ok(())
    }

    /// Puts an order into the shop and has it announced.
    pub(super) async fn hold(&self, order: Order) -> Result<String> {
        let id = order.id.clone();
        self.centra.put(order);
        self.announce(&id, &id).await?;
        Ok(id)
    }

    /// Announces an order under a name.
    pub(super) async fn announce(&self, id: &str, reference: &str) -> Result<()> {
        let document = self.centra.notice(id).unwrap_or(Value::Null);
        let now = self.pipeline.door.clock.now();
        let notice = Notice {
            version: Notice::VERSION,
            connection_id: self.connection.clone(),
            tenant: self.pipeline.door.keys.mine.tenant.clone(),
            kind: WAITING_NOTICE.to_owned(),
            reference: reference.to_owned(),
            received_at: now,
            request_id: RequestId::mint(now, random::bytes()),
            document: RawValue::from_string(document.to_string())?,
        };
        let body = Bytes::from(serde_json::to_vec(&notice)?);
        Ok(self.pipeline.door.queue.publish(Lane::Notices, vec![body]).await?)
    }

    /// The mutations that changed an order.
    pub(super) fn applied(&self, id: &str) -> Vec<Kind> {
        self.centra.applied(id).into_iter().map(|mutation| mutation.kind).collect()
    }

    /// All mutations that were asked for an order.
    pub(super) fn asked(&self, id: &str) -> usize {
        self.centra.mutations().iter().filter(|mutation| mutation.order_id == id).count()
    }

    /// The holds of an order, open ones first.
    pub(super) async fn holds(&self, id: &str) -> Result<Vec<Hold>> {
        let system = self.pipeline.system();
        let mut holds = system.open_holds(&self.connection).await?;
        holds.extend(system.ended_holds(&self.connection).await?);
        let is_of = |hold: &Hold| hold.centra_id.as_deref() == Some(id) || hold.reference == id;
        Ok(holds.into_iter().filter(is_of).collect())
    }

    /// Waits until no hold of the order is open; how they ended.
    pub(super) async fn ended(&self, id: &str) -> Result<Vec<HoldOutcome>> {
        let mut seen = Vec::new();
        let ended = eventually(PATIENCE, "the holds of an order to end", async || {
            seen = self.holds(id).await.ok()?;
            let outcomes: Vec<_> = seen.iter().filter_map(|hold| hold.outcome).collect();
            (!seen.is_empty() && outcomes.len() == seen.len()).then_some(outcomes)
        });
        let ended = ended.await;
        ended.with_context(|| format!("last seen: {seen:?}"))
    }

    /// Waits until the one open hold of the order is in a state.
    pub(super) async fn in_state(&self, id: &str, state: HoldState) -> Result<Hold> {
        let mut seen = Vec::new();
        let found = eventually(PATIENCE, "a hold to come to a state", async || {
            seen = self.holds(id).await.ok()?;
            seen.iter().find(|hold| hold.state == state).cloned()
        });
        let found = found.await;
        found.with_context(|| format!("{state} is awaited; last seen: {seen:?}"))
    }

    /// Waits until the order's hold was looked at and put off with this error.
    pub(super) async fn put_off(&self, id: &str, error: &str) -> Result<Hold> {
        let mut seen = Vec::new();
        let found = eventually(PATIENCE, "a hold to be put off", async || {
            seen = self.holds(id).await.ok()?;
            seen.iter().find(|hold| hold.last_error.as_deref().is_some_and(|told| told.contains(error))).cloned()
        });
        let found = found.await;
        found.with_context(|| format!("{error:?} is awaited; last seen: {seen:?}"))
    }

    /// The transaction of an order as its merchant sees it.
    pub(super) async fn transaction(&self, id: &str) -> Result<Value> {
        let holds = self.holds(id).await?;
        let transaction = holds.iter().find_map(|hold| hold.transaction_id.clone()).context("it was never named")?;
        let answer = self.pipeline.client().get(&format!("/v1/transactions/{transaction}")).await?;
        ensure!(answer.status == 200, "{answer:?}");
        answer.json()
    }

    /// The data of the webhook that told of an order.
    pub(super) async fn told(&self, id: &str, kind: &str) -> Result<Value> {
        let told = eventually(PATIENCE, "a webhook", async || {
            self.webhooks().into_iter().find(|document| document["type"] == kind && document["data"]["order_id"] == id)
        });
        Ok(told.await?["data"].clone())
    }

    /// Everything that the merchant was told, oldest first.
    pub(super) fn webhooks(&self) -> Vec<Value> {
        self.receiver.deliveries().into_iter().filter_map(|delivery| delivery.json().ok()).collect()
    }

    /// Where the merchant is told of it.
    pub(super) fn webhooks_url(&self) -> String {
        self.receiver.url()
    }

    /// Gives the connection another token.
    pub(super) async fn set_token(&self, token: &str) -> Result<()> {
        let door = &self.pipeline.door;
        let store = &door.keys.mine.tenant.store_id;
        let context =
            SealContext { store: store.as_str(), record: self.connection.as_str(), purpose: SealContext::CENTRA_TOKEN };
        let sealed = door.master.seal(token.as_bytes(), &context)?;
        let system = self.pipeline.system();
        ensure!(system.set_connection_token(&self.connection, &sealed, door.clock.now()).await?, "it is there");
        Ok(())
    }

    /// The arguments that are kept for the shop's mutations.
    pub(super) async fn kept_arguments(&self) -> Result<Option<OrderArguments>> {
        Ok(self.pipeline.system().connection(&self.connection).await?.context("the connection")?.arguments)
    }

    /// Changes what the connection does.
    pub(super) async fn set(&self, settings: ConnectionSettings) -> Result<()> {
        let now = self.pipeline.door.clock.now();
        ensure!(self.pipeline.system().set_connection(&self.connection, &settings, now).await?, "it is there");
        Ok(self.pipeline.door.directory.refresh_now().await?)
    }
}

impl Drop for HeldShop {
    fn drop(&mut self) {
        for (shutdown, _) in &self.notifiers {
            shutdown.cancel();
        }
    }
}

async fn connect(door: &Door, centra: &Centra, settings: ConnectionSettings) -> Result<ConnectionId> {
    let now = door.clock.now();
    let id = ConnectionId::mint(now, random::bytes());
    let store_id = door.keys.mine.tenant.store_id.clone();
    let context = SealContext { store: store_id.as_str(), record: id.as_str(), purpose: SealContext::CENTRA_TOKEN };
    let row = ConnectionRow {
        id: id.clone(),
        api_url: centra.api_url(),
        sealed_token: door.master.seal(centra.token().as_bytes(), &context)?,
        token_set_at: now,
        path_hash: sha256_hex(PATH.as_bytes()),
        previous_path: None,
        settings,
        created_at: now,
        disconnected_at: None,
        stopped_reason: None,
        paused_until: now,
        swept_at: None,
        arguments: None,
        store_id,
    };
    door.store.system(SystemReason::Operator).add_connection(&row).await?;
    door.directory.refresh_now().await?;
    Ok(id)
}

/// Has the merchant told of everything.
pub(super) async fn listen(door: &Door, receiver: &Receiver) -> Result<()> {
    let now = door.clock.now();
    let id = EndpointId::mint(now, random::bytes());
    let store_id = door.keys.mine.tenant.store_id.clone();
    let context = SealContext { store: store_id.as_str(), record: id.as_str(), purpose: SealContext::WEBHOOK_SECRET };
    let sealed = door.master.seal(generate_webhook_secret().expose(), &context)?;
    let row = EndpointRow::new(id, store_id, &receiver.url(), sealed, now);
    Ok(door.store.system(SystemReason::Operator).add_endpoint(&row).await?)
}
