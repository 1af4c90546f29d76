//! The store's contract, on PostgreSQL and on SQLite.

mod history;
mod lists;
mod notices;
mod orders;
mod outage;
mod outbox;
mod policies;
mod recorded;
mod renaming;
mod scoring;
mod sweeping;
mod tenancy;

use std::time::Duration;

use sea_orm::ConnectionTrait as _;
use serde_json::value::RawValue;
use touchstone_platform::random;
use touchstone_platform::store::scoring::{NewRevision, verdict_event_data};
use touchstone_platform::store::{Store, StoreSettings, SystemReason, SystemStore};
use touchstone_schema::event::{Event, EventKind};
use touchstone_schema::history::{Happening, HistoryEntry, HistoryKey, HistoryKeys};
use touchstone_schema::ids::{EventId, RequestId, StoreId, SubmissionId, TransactionId};
use touchstone_schema::money::{Currency, Money};
use touchstone_schema::secret::Secret;
use touchstone_schema::submission::{Submission, SubmissionKind};
use touchstone_schema::tenant::{KeyMode, Surface, Tenant};
use touchstone_schema::time::Timestamp;
use touchstone_schema::verdict::{Action, RiskLevel};
use touchstone_tests::process::TemporaryFolder;
use touchstone_tests::servers::Postgres;

/// When the orders of these tests begin to arrive.
const START: Timestamp = Timestamp::from_millis(1_790_000_000_000);

/// Declares each behaviour as a test on either database.
macro_rules! on_both_databases {
    ($($behaviour:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $behaviour() -> anyhow::Result<()> {
                Box::pin(super::$behaviour(&crate::contract::store::Database::sqlite().await?)).await
            })+
        }
        mod postgres {
            $(#[tokio::test]
            async fn $behaviour() -> anyhow::Result<()> {
                Box::pin(super::$behaviour(&crate::contract::store::Database::postgres().await?)).await
            })+
        }
    };
}
pub(crate) use on_both_databases;

/// A migrated store of one test.
struct Database {
    store: Store,
    url: String,
    _server: Option<Postgres>,
    _folder: Option<TemporaryFolder>,
}

impl Database {
    async fn sqlite() -> anyhow::Result<Self> {
        let folder = TemporaryFolder::new("store")?;
        let path = folder.path().join("touchstone.db");
        let url = format!("sqlite://{}", path.display());
        let store = Store::open(&StoreSettings::Sqlite { path }).await?;
        store.migrate().await?;
        Ok(Self { store, url, _server: None, _folder: Some(folder) })
    }

    async fn postgres() -> anyhow::Result<Self> {
        let server = Box::pin(Postgres::start()).await?;
        let store = open_postgres(&server).await?;
        store.migrate().await?;
        Ok(Self { store, url: server.url("postgres"), _server: Some(server), _folder: None })
    }

    /// Counts a change of lists as the release before did, which did not store whose lists it changed. Gives its number.
    async fn count_list_change(&self) -> anyhow::Result<i64> {
        let connection = Box::pin(sea_orm::Database::connect(&self.url)).await?;
        connection.execute_unprepared("UPDATE directory_version SET version = version + 1 WHERE id = 2").await?;
        Ok(self.system().directory_versions().await?.lists)
    }

    fn system(&self) -> SystemStore<'_> {
        self.store.system(SystemReason::RoleLoop)
    }
}

async fn open_postgres(server: &Postgres) -> anyhow::Result<Store> {
    let url = Secret::new(server.url("postgres"));
    Ok(Store::open(&StoreSettings::Postgres { url, connections: 8 }).await?)
}

fn tenant(mode: KeyMode) -> Tenant {
    Tenant { store_id: StoreId::mint(START, random::bytes()), mode }
}

fn after(seconds: u64) -> Timestamp {
    START + Duration::from_secs(seconds)
}

fn raw(json: &str) -> Box<RawValue> {
    RawValue::from_string(json.to_owned()).expect("valid JSON")
}

fn transaction_id(tenant: &Tenant, order_id: &str) -> TransactionId {
    let key = Secret::new(tenant.store_id.as_str());
    TransactionId::of_order(&key, tenant.mode, Surface::Signed, order_id)
}

/// An order of the tenant, received so many seconds after the start.
fn submission(tenant: &Tenant, order_id: &str, seconds: u64) -> Submission {
    Submission {
        version: Submission::VERSION,
        id: SubmissionId::mint(after(seconds), random::bytes()),
        tenant: tenant.clone(),
        surface: Surface::Signed,
        kind: SubmissionKind::Order,
        transaction_id: transaction_id(tenant, order_id),
        order_id: order_id.to_owned(),
        body_hash: "ab".repeat(32),
        received_at: after(seconds),
        deadline: None,
        request_id: RequestId::mint(after(seconds), random::bytes()),
        trace: None,
        document: raw(r#"{"order_id":"1","note":"Zoë \"x\" \\u0041"}"#),
    }
}

fn key_of(tenant: &Tenant, kind: &str, value: &str) -> HistoryKey {
    HistoryKey::of(&Secret::new(tenant.store_id.as_str()), tenant.mode, kind, value)
}

/// A verdict upon the submission; its event is the `sequence`-th of the transaction.
fn verdict(submission: &Submission, revision: u32, sequence: u32, action: Action) -> NewRevision<'_> {
    let tenant = &submission.tenant;
    let mode = if tenant.mode == KeyMode::Test { "test" } else { "live" };
    let rescored = if revision == 1 { EventKind::OrderScored } else { EventKind::OrderRescored };
    let order_id = serde_json::Value::from(submission.order_id.as_str());
    let document = format!(r#"{{"mode":"{mode}","revision":{revision},"order":{order_id}}}"#);
    NewRevision {
        submission,
        revision,
        body_hash: submission.body_hash.clone(),
        document: submission.document.get().into(),
        score: 40,
        level: RiskLevel::Medium,
        action,
        policy_version: 1,
        enrichment_version: Some("0123456789abcdef".into()),
        amount_minor: 1_250,
        currency: "EUR".to_owned(),
        quantity: 2,
        reopens: false,
        scored_at: submission.received_at + Duration::from_millis(20),
        event: Event {
            id: EventId::of_change(&submission.transaction_id, sequence),
            tenant: tenant.clone(),
            transaction_id: Some(submission.transaction_id.clone()),
            surface: None,
            kind: rescored,
            sequence,
            occurred_at: submission.received_at,
            request_id: submission.request_id.clone(),
            trace: None,
            data: raw(&verdict_event_data(revision, sequence, &document)),
        },
        verdict: document,
        history: HistoryEntry {
            what: Happening::Order,
            transaction_id: submission.transaction_id.clone(),
            received_at: submission.received_at,
            ordered_at: submission.received_at,
            amount: Money::parse("12.50", Currency::from_code("EUR").expect("a currency")).expect("an amount"),
            keys: HistoryKeys {
                card: Some(key_of(tenant, "card", "4111")),
                email: Some(key_of(tenant, "email", &submission.order_id)),
                ..HistoryKeys::default()
            },
            name: Some(key_of(tenant, "name", "doe")),
            declines: 2,
        },
        declared_keys: Vec::new(),
        warnings: Vec::new(),
    }
}

/// Records first verdicts of orders, each received a second after the one before.
async fn record_orders(database: &Database, tenant: &Tenant, count: u64, action: Action) -> anyhow::Result<()> {
    let submissions: Vec<_> = (0..count).map(|n| submission(tenant, &format!("order-{n}"), n)).collect();
    for batch in submissions.chunks(64) {
        let new: Vec<_> = batch.iter().map(|one| verdict(one, 1, 1, action)).collect();
        let recorded = database.system().record(&new, &[]).await?;
        anyhow::ensure!(recorded.iter().all(|recorded| *recorded), "every order is recorded");
    }
    Ok(())
}
