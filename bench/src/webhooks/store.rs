//! A store with endpoints and events, made straight in the database.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context;
use bytes::Bytes;
use serde_json::{json, value::RawValue};
use sqlx::{Connection, PgConnection};
use touchstone_platform::{
    clock::Clock,
    crypto::{MasterKeys, SealContext, generate_webhook_secret},
    queue::{self, Lane, Queue, QueueSettings},
    random,
    store::{Store, StoreSettings, SystemReason, accounts::EndpointRow},
};
use touchstone_schema::{
    event::{Event, EventBatch, EventKind},
    ids::{EndpointId, EventId, RequestId, StoreId},
    secret::Secret,
    tenant::{KeyMode, Tenant},
};
use touchstone_tests::{Backend, eventually, touchstone, touchstone_json};

use super::member;

/// Events that are added at once.
const TOGETHER: usize = 16;

pub(super) struct Shop {
    store: Store,
    queue: Arc<dyn Queue>,
    master: MasterKeys,
    tenant: Tenant,
    clock: Clock,
    database_url: String,
}

/// The `data` of an event; with type and timestamp its body has 216 bytes, as that of the published figures.
fn data() -> String {
    json!({"order_id": "ORDER-1001", "risk_score": 42, "risk_level": "medium", "recommended_action": "review", "note":
        "0123456789"})
    .to_string()
}

/// The body of a webhook.
pub(super) fn body() -> String {
    format!(r#"{{"type":"order.scored","timestamp":"2026-01-02T03:04:05.678Z","data":{}}}"#, data())
}

impl Shop {
    pub(super) async fn open(backend: &Backend) -> anyhow::Result<Self> {
        let printed = touchstone(backend, &["migrate"]).await?;
        anyhow::ensure!(printed.code == Some(0), "touchstone migrate failed: {}", printed.stderr);
        let merchant = touchstone_json(backend, &["merchant", "create", "--name", "Bench"]).await?;
        let merchant = member(&merchant, "/merchant_id")?;
        let store = touchstone_json(backend, &["store", "create", "--merchant", merchant, "--name", "Bench"]).await?;
        let store_id: StoreId = member(&store, "/store_id")?.parse()?;
        let url = Secret::new(backend.database_url.as_str());
        let amqp_url = Secret::new(backend.amqp_url.clone().context("there is a broker")?);
        let broker = QueueSettings::RabbitMq { url: amqp_url, connection_name: "bench".to_owned() };
        Ok(Self {
            store: Store::open(&StoreSettings::Postgres { url, connections: 16 }).await?,
            queue: queue::open(&broker, Clock::system()).await?,
            master: MasterKeys::parse(backend.master_key.as_deref().unwrap_or_default())?,
            tenant: Tenant { store_id, mode: KeyMode::Live },
            clock: Clock::system(),
            database_url: backend.database_url.clone(),
        })
    }

    pub(super) async fn add_endpoints(&self, urls: &[String]) -> anyhow::Result<()> {
        for url in urls {
            let (id, store_id) = (EndpointId::mint(self.clock.now(), random::bytes()), self.tenant.store_id.clone());
            let context =
                SealContext { store: store_id.as_str(), record: id.as_str(), purpose: SealContext::WEBHOOK_SECRET };
            let sealed = self.master.seal(generate_webhook_secret().expose(), &context)?;
            let row = EndpointRow::new(id.clone(), store_id.clone(), url, sealed, self.clock.now());
            self.store.system(SystemReason::Operator).add_endpoint(&row).await?;
        }
        Ok(())
    }

    fn event(&self) -> anyhow::Result<Event> {
        Ok(Event {
            id: EventId::mint(self.clock.now(), random::bytes()),
            tenant: self.tenant.clone(),
            transaction_id: None,
            surface: None,
            kind: EventKind::OrderScored,
            sequence: 1,
            occurred_at: self.clock.now(),
            request_id: RequestId::mint(self.clock.now(), random::bytes()),
            trace: None,
            data: RawValue::from_string(data())?,
        })
    }

    /// Adds events that nobody announces, as old as the sweep wants them.
    pub(super) async fn add_events(&self, count: usize) -> anyhow::Result<()> {
        let mut added = 0;
        while added < count {
            let together = (0..TOGETHER.min(count - added)).map(|_| async {
                let mut event = self.event()?;
                event.occurred_at = event.occurred_at - Duration::from_secs(60);
                anyhow::Ok(self.store.system(SystemReason::Operator).add_event(&event).await?)
            });
            added += futures_util::future::try_join_all(together).await?.len();
        }
        Ok(())
    }

    /// Adds an event and announces it, as the scorer does.
    pub(super) async fn announce_event(&self) -> anyhow::Result<()> {
        let event = self.event()?;
        self.store.system(SystemReason::Operator).add_event(&event).await?;
        let body = Bytes::from(serde_json::to_vec(&EventBatch::new(vec![event]))?);
        Ok(self.queue.publish(Lane::Events, vec![body]).await?)
    }

    /// Waits until nothing waits any more, and so many deliveries are recorded as delivered. Both looks while it waits are
    /// of an index that holds what waits and nothing else, so that looking takes nothing from what is measured.
    pub(super) async fn wait_until_delivered(&self, count: usize, within: Duration) -> anyhow::Result<Instant> {
        const WAITS: &str = "SELECT EXISTS (SELECT FROM unplanned) \
             OR EXISTS (SELECT FROM deliveries WHERE state = 'pending' ORDER BY due_at LIMIT 1)";
        let mut connection = PgConnection::connect(&self.database_url).await?;
        let recorded = eventually(within, "every delivery to be recorded", async || {
            let waits: bool = sqlx::query_scalar(WAITS).fetch_one(&mut connection).await.ok()?;
            (!waits).then(Instant::now)
        })
        .await?;
        let delivered = "SELECT COUNT(*) FROM deliveries WHERE state = 'delivered'";
        let delivered: i64 = sqlx::query_scalar(delivered).fetch_one(&mut connection).await?;
        anyhow::ensure!(delivered == i64::try_from(count)?, "{delivered} of {count} deliveries are recorded");
        Ok(recorded)
    }
}
