//! Events between their commit and their plan.

use std::time::Duration;

use touchstone_platform::random;
use touchstone_platform::store::SystemReason;
use touchstone_platform::store::accounts::{EndpointRow, StoreRow};
use touchstone_platform::store::deliveries::Left;
use touchstone_schema::ids::{EndpointId, EventId, MerchantId};
use touchstone_schema::tenant::{KeyMode, Product, StoreMode, Tenant};
use touchstone_schema::verdict::Action;

use super::{Database, START, after, on_both_databases, submission, tenant, verdict};

on_both_databases!(verdicts_event_is_planned_once_with_the_data_that_was_told, events_wait_until_they_are_planned);

const LEASE: Duration = Duration::from_secs(60);

/// Makes the tenant's store, with one endpoint that wants everything.
async fn add_endpoint(database: &Database, tenant: &Tenant) -> anyhow::Result<()> {
    let system = database.store.system(SystemReason::Operator);
    let merchant_id = MerchantId::mint(START, random::bytes());
    system.add_merchant(&merchant_id, "merchant", START).await?;
    let store = StoreRow {
        id: tenant.store_id.clone(),
        merchant_id,
        name: "store".to_owned(),
        mode: StoreMode::Live,
        product: Product::ScoreOnly,
        currency: "USD".to_owned(),
        rate_limit_per_minute: 100,
        risk_groups: touchstone_schema::tenant::RiskGroups::default(),
        input: touchstone_schema::tenant::InputSettings::default(),
        sealed_data_key: Vec::new(),
        created_at: START,
    };
    system.add_store(&store).await?;
    let id = EndpointId::mint(START, random::bytes());
    let endpoint = EndpointRow::new(id, tenant.store_id.clone(), "https://shop.example/hook", vec![1], START);
    Ok(system.add_endpoint(&endpoint).await?)
}

async fn verdicts_event_is_planned_once_with_the_data_that_was_told(database: &Database) -> anyhow::Result<()> {
    let tenant = tenant(KeyMode::Live);
    add_endpoint(database, &tenant).await?;
    let order = submission(&tenant, "o\u{7f}\"\\ \u{1F600}", 0);
    let new = verdict(&order, 1, 1, Action::Hold);
    let told = new.event.clone();
    database.system().record(&[new], &[]).await?;
    let mut planners = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (store, id) = (database.store.clone(), told.id.clone());
        planners.spawn(async move {
            store.system(SystemReason::RoleLoop).plan(&[id], START, START + LEASE, Left::default()).await
        });
    }
    let mut planned = Vec::new();
    while let Some(done) = planners.join_next().await {
        planned.extend(done??);
    }
    planned
        .extend(database.system().plan(std::slice::from_ref(&told.id), START, START + LEASE, Left::default()).await?);
    let again = database.system().claim_due(after(61), after(120), 10, Left::default()).await?;
    assert_eq!((planned.len(), again.len()), (1, 1));
    for delivery in planned.iter().chain(&again) {
        assert_eq!(delivery.event.data.get(), told.data.get());
        assert_eq!(serde_json::to_string(&delivery.event)?, serde_json::to_string(&told)?);
    }
    Ok(())
}

async fn events_wait_until_they_are_planned(database: &Database) -> anyhow::Result<()> {
    let tenant = tenant(KeyMode::Live);
    super::record_orders(database, &tenant, 5, Action::Approve).await?;
    let ids: Vec<_> =
        (0..5).map(|n| EventId::of_change(&super::transaction_id(&tenant, &format!("order-{n}")), 1)).collect();
    assert_eq!(database.system().unplanned(after(3), 10).await?, ids[..3]);
    assert_eq!(database.system().unplanned(after(9), 2).await?, ids[..2]);
    assert!(database.system().plan(&ids[1..], START, START + LEASE, Left::default()).await?.is_empty());
    assert_eq!(database.system().unplanned(after(9), 10).await?, ids[..1]);
    Ok(())
}
