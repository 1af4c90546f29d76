//! Rows that were written under words of earlier releases.

use anyhow::Context;
use sea_orm::{ConnectOptions, ConnectionTrait, DatabaseConnection};
use serde_json::json;
use touchstone_migrations::{Migrator, MigratorTrait};
use touchstone_platform::store::deliveries::Left;
use touchstone_platform::store::transactions::{NewOutcome, OutcomeKind, OutcomeTaken};
use touchstone_platform::store::{Store, StoreSettings, SystemReason};
use touchstone_schema::event::EventKind;
use touchstone_schema::ids::{EndpointId, EventId, RequestId, TransactionId};
use touchstone_schema::secret::Secret;
use touchstone_schema::tenant::{KeyMode, Tenant};
use touchstone_schema::verdict::TransactionStatus;
use touchstone_tests::process::TemporaryFolder;
use touchstone_tests::servers::Postgres;

use super::{START, after, tenant, transaction_id};

/// The step that renames; what comes before it is the schema of the rows.
const STEP: &str = "m0013_outcomes";

#[tokio::test]
async fn chargebacks_of_the_release_before_are_renamed_on_sqlite() -> anyhow::Result<()> {
    let folder = TemporaryFolder::new("store")?;
    let path = folder.path().join("touchstone.db");
    let raw = open(&format!("sqlite://{}?mode=rwc", path.display())).await?;
    chargebacks_are_renamed(&raw, Store::open(&StoreSettings::Sqlite { path }).await?).await
}

#[tokio::test]
async fn chargebacks_of_the_release_before_are_renamed_on_postgres() -> anyhow::Result<()> {
    let server = Box::pin(Postgres::start()).await?;
    let url = server.url("postgres");
    let raw = open(&url).await?;
    let settings = StoreSettings::Postgres { url: Secret::new(url), connections: 2 };
    chargebacks_are_renamed(&raw, Store::open(&settings).await?).await
}

async fn open(url: &str) -> anyhow::Result<DatabaseConnection> {
    let mut options = ConnectOptions::new(url);
    options.max_connections(1).sqlx_logging(false);
    Ok(Box::pin(sea_orm::Database::connect(options)).await?)
}

/// One transaction with both outcomes, their events, history, and an endpoint that wants only these.
async fn write_as_before(raw: &DatabaseConnection, tenant: &Tenant, id: &TransactionId) -> anyhow::Result<EndpointId> {
    let (store, start) = (tenant.store_id.as_str(), START.as_millis());
    let endpoint = EndpointId::mint(START, [3; 10]);
    let blob = "CAST('00' AS {blob})".replace("{blob}", blob(raw));
    let mut rows = vec![
        format!("INSERT INTO merchants VALUES ('mer_1', 'm', {start})"),
        format!(
            "INSERT INTO stores (id, merchant_id, name, mode, product, currency, rate_limit_per_minute, sealed_data_key,
             created_at) VALUES ('{store}', 'mer_1', 's', 'live', 'safe', 'EUR', 9, {blob}, {start})"
        ),
        format!(
            "INSERT INTO endpoints (id, store_id, url, events, sealed_secret, enabled, created_at)
             VALUES ('{endpoint}', '{store}', 'https://a.example', 'order.scored,chargeback.won,chargeback.lost', {blob},
             1, {start})"
        ),
        format!(
            "INSERT INTO transactions (id, store_id, mode, surface, order_id, status, revision, sequence, score, level,
             action, amount_minor, currency, quantity, received_at) VALUES ('{id}', '{store}', 'live', 'signed',
             'order-0', 'approved', 1, 3, 1, 'low', 'approve', 100, 'EUR', 1, {start})"
        ),
    ];
    rows.push(format!(
        "INSERT INTO revisions (transaction_id, revision, store_id, submission_id, body_hash, document, verdict,
         policy_version, received_at, scored_at) VALUES ('{id}', 1, '{store}', 'sub_1', 'ab', '{{}}',
         '{{\"mode\":\"live\"}}', 0, {start}, {start})"
    ));
    for (order_id, outcome) in [("order-1", "refunded"), ("order-2", "cancelled"), ("order-3", "legitimate")] {
        let (waiting, at) = (transaction_id(tenant, order_id), after(5).as_millis());
        rows.extend([
            format!(
                "INSERT INTO transactions (id, store_id, mode, surface, order_id, status, revision, sequence, score, level,
                 action, amount_minor, currency, quantity, received_at) VALUES ('{waiting}', '{store}', 'live', 'signed',
                 '{order_id}', 'review', 1, 1, 40, 'medium', 'review', 100, 'EUR', 1, {start})"
            ),
            format!("INSERT INTO outcomes VALUES ('{waiting}', '{outcome}', {at}, '{store}', NULL, {at})"),
        ]);
    }
    for (number, word) in [(2, "won"), (3, "lost")] {
        let at = after(number).as_millis();
        let event = EventId::of_change(id, u32::try_from(number)?);
        rows.extend([
            format!("INSERT INTO outcomes VALUES ('{id}', 'chargeback_{word}', {at}, '{store}', NULL, {at})"),
            format!(
                "INSERT INTO history (received_at, transaction_id, what, ordered_at, amount_minor, currency, card, declines)
                 VALUES ({at}, '{id}', 'chargeback_{word}', {start}, 100, 'EUR', 7, 0)"
            ),
            format!("INSERT INTO history_declared VALUES (7, {at}, '{id}', 'chargeback_{word}')"),
            format!(
                "INSERT INTO events (id, store_id, mode, transaction_id, kind, sequence, occurred_at, request_id, data)
                 VALUES ('{event}', '{store}', 'live', '{id}', 'chargeback.{word}', {number}, {at}, 'r-1',
                 '{{\"outcome\":\"chargeback_{word}\",\"sequence\":{number}}}')"
            ),
            format!("INSERT INTO unplanned (event_id, occurred_at) VALUES ('{event}', {at})"),
        ]);
    }
    for row in rows {
        raw.execute_unprepared(&row).await.with_context(|| row.clone())?;
    }
    Ok(endpoint)
}

fn blob(raw: &DatabaseConnection) -> &'static str {
    if raw.get_database_backend() == sea_orm::DbBackend::Postgres { "BYTEA" } else { "BLOB" }
}

async fn chargebacks_are_renamed(raw: &DatabaseConnection, store: Store) -> anyhow::Result<()> {
    let steps = Migrator::migrations();
    let before = steps.iter().position(|step| step.name() == STEP).context("the step is there")?;
    Migrator::up(raw, Some(u32::try_from(before)?)).await?;
    let tenant = tenant(KeyMode::Live);
    let id = transaction_id(&tenant, "order-0");
    let endpoint = write_as_before(raw, &tenant, &id).await?;
    store.migrate().await?;

    let orders = store.tenant(&tenant);
    let view = orders.transaction(&id).await?.context("it is there")?;
    let outcomes: Vec<_> = view.outcomes.iter().map(|outcome| outcome.kind).collect();
    assert_eq!(outcomes, [OutcomeKind::ChargebackUpheld, OutcomeKind::ChargebackReversed]);
    let kinds: Vec<_> = view.events.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds, ["chargeback.upheld", "chargeback.reversed"]);
    for kind in [OutcomeKind::ChargebackUpheld, OutcomeKind::ChargebackReversed] {
        let occurred_at = after(if kind == OutcomeKind::ChargebackUpheld { 2 } else { 3 });
        let request_id = RequestId::mint(START, [8; 10]);
        let again = NewOutcome { kind, occurred_at, amount_minor: None, now: after(9), request_id };
        assert!(matches!(orders.record_outcome(&id, &again).await?, OutcomeTaken::Already), "{kind}");
    }
    for (table, column) in [("outcomes", "kind"), ("history", "what"), ("history_declared", "what")] {
        let old = format!("SELECT 1 AS n FROM {table} WHERE {column} IN ('chargeback_won', 'chargeback_lost')");
        assert!(raw.query_one_raw(statement(raw, &old)).await?.is_none(), "{table}");
    }

    for (order_id, status) in [
        ("order-1", TransactionStatus::Closed),
        ("order-2", TransactionStatus::Cancelled),
        ("order-3", TransactionStatus::Review),
    ] {
        let view = orders.transaction(&transaction_id(&tenant, order_id)).await?.context("it is there")?;
        assert_eq!(view.status, status, "{order_id}: what had ended leaves the queue");
        assert_eq!(view.ended_by.is_some(), status != TransactionStatus::Review, "{order_id}");
    }

    let system = store.system(SystemReason::RoleLoop);
    let row = system.endpoint(&endpoint).await?.context("it is there")?;
    assert_eq!(row.events, [EventKind::OrderScored, EventKind::ChargebackUpheld, EventKind::ChargebackReversed]);
    // A process of the release before goes on for a while, and writes its own word.
    let straggler = EventId::of_change(&id, 4);
    let (store_id, at) = (tenant.store_id.as_str(), after(4).as_millis());
    for row in [
        format!(
            "INSERT INTO events (id, store_id, mode, transaction_id, kind, sequence, occurred_at, request_id, data) VALUES
             ('{straggler}', '{store_id}', 'live', '{id}', 'chargeback.won', 4, {at}, 'r-1',
             '{{\"outcome\":\"chargeback_won\",\"sequence\":4}}')"
        ),
        format!("INSERT INTO unplanned (event_id, occurred_at) VALUES ('{straggler}', {at})"),
    ] {
        raw.execute_unprepared(&row).await?;
    }
    let events: Vec<_> = (2..=4).map(|number| EventId::of_change(&id, number)).collect();
    let mut planned = system.plan(&events, after(10), after(20), Left::default()).await?;
    planned.sort_by_key(|delivery| delivery.event.sequence);
    let told: Vec<_> = planned
        .iter()
        .map(|delivery| {
            Ok((delivery.event.kind, serde_json::from_str::<serde_json::Value>(delivery.event.data.get())?))
        })
        .collect::<anyhow::Result<_>>()?;
    let data = |outcome: &str, sequence: u32| json!({"outcome": outcome, "sequence": sequence});
    assert_eq!(
        told,
        [
            (EventKind::ChargebackUpheld, data("chargeback_upheld", 2)),
            (EventKind::ChargebackReversed, data("chargeback_reversed", 3)),
            (EventKind::ChargebackUpheld, data("chargeback_upheld", 4)),
        ]
    );
    Ok(())
}

fn statement(raw: &DatabaseConnection, text: &str) -> sea_orm::Statement {
    sea_orm::Statement::from_string(raw.get_database_backend(), text.to_owned())
}
