//! Versions of policies.

use touchstone_platform::random;
use touchstone_platform::store::accounts::StoreRow;
use touchstone_platform::store::policies::NewPolicy;
use touchstone_schema::ids::MerchantId;
use touchstone_schema::tenant::{KeyMode, Product, StoreMode, Tenant};

use super::{Database, START, after, on_both_databases, tenant};

on_both_databases!(
    versions_rise_by_one_and_never_change,
    only_one_of_two_changes_of_the_same_version_is_kept,
    another_stores_versions_are_not_found,
);

/// A tenant whose store exists.
pub(super) async fn known_tenant(database: &Database) -> anyhow::Result<Tenant> {
    let tenant = tenant(KeyMode::Live);
    let merchant_id = MerchantId::mint(START, random::bytes());
    database.system().add_merchant(&merchant_id, "Ada", START).await?;
    let row = StoreRow {
        id: tenant.store_id.clone(),
        merchant_id,
        name: "Boots".to_owned(),
        mode: StoreMode::Live,
        product: Product::Guaranteed,
        currency: "EUR".to_owned(),
        rate_limit_per_minute: 100,
        risk_groups: touchstone_schema::tenant::RiskGroups::default(),
        input: touchstone_schema::tenant::InputSettings::default(),
        sealed_data_key: Vec::new(),
        created_at: START,
    };
    database.system().add_store(&row).await?;
    Ok(tenant)
}

fn draft(version: u32, document: &str) -> NewPolicy<'_> {
    let now = after(u64::from(version));
    NewPolicy { after: version, document, author: "ann", note: None, rolls_back_to: None, now }
}

async fn versions_rise_by_one_and_never_change(database: &Database) -> anyhow::Result<()> {
    let tenant = known_tenant(database).await?;
    let policies = database.store.tenant(&tenant);
    assert_eq!(policies.newest_policy_version().await?, 0);
    assert!(policies.policy(0).await?.is_none() && policies.policies(None, 10).await?.is_empty());

    let before = database.system().directory_versions().await?.accounts;
    let first = r#"{ "points": {"avs_mismatch": 7} }"#;
    assert_eq!(policies.add_policy(&NewPolicy { note: Some("softer"), ..draft(0, first) }).await?, Some(1));
    assert!(database.system().directory_versions().await?.accounts > before, "processes are told");
    assert_eq!(policies.add_policy(&draft(1, "{}")).await?, Some(2));
    assert_eq!(policies.add_policy(&NewPolicy { rolls_back_to: Some(1), ..draft(2, first) }).await?, Some(3));

    let (made, document) = policies.policy(1).await?.expect("the first version");
    assert_eq!((made.version, made.author.as_str(), made.note.as_deref()), (1, "ann", Some("softer")));
    assert_eq!((document.as_str(), made.created_at), (first, START));
    let listed = policies.policies(None, 2).await?;
    assert_eq!(listed.iter().map(|version| version.version).collect::<Vec<_>>(), [3, 2]);
    let rest = policies.policies(Some(2), 2).await?;
    assert_eq!(rest, [made]);
    let directory = database.system().directory().await?;
    let newest = directory.policies.iter().find(|policy| policy.store_id == tenant.store_id).expect("it is in force");
    assert_eq!((newest.version, newest.document.as_str()), (3, first));
    Ok(())
}

async fn only_one_of_two_changes_of_the_same_version_is_kept(database: &Database) -> anyhow::Result<()> {
    let tenant = known_tenant(database).await?;
    let policies = database.store.tenant(&tenant);
    let drafts: Vec<_> = (0..8).map(|number| format!("{{\"number\":{number}}}")).collect();
    let attempts = drafts.iter().map(|document| async { policies.add_policy(&draft(0, document)).await });
    let added = futures_util::future::try_join_all(attempts).await?;
    assert_eq!(added.iter().flatten().collect::<Vec<_>>(), [&1]);
    let winner = added.iter().position(Option::is_some).expect("one is kept");
    assert_eq!(policies.policy(1).await?.map(|(_, document)| document).as_ref(), drafts.get(winner));
    assert_eq!(policies.newest_policy_version().await?, 1);
    Ok(())
}

async fn another_stores_versions_are_not_found(database: &Database) -> anyhow::Result<()> {
    let owner = known_tenant(database).await?;
    let stranger = known_tenant(database).await?;
    database.store.tenant(&owner).add_policy(&draft(0, "{}")).await?;
    let policies = database.store.tenant(&stranger);
    assert!(policies.policy(1).await?.is_none());
    assert!(policies.policies(None, 10).await?.is_empty());
    assert_eq!(policies.add_policy(&draft(0, "{\"bands\":{}}")).await?, Some(1), "versions are each store's own");
    assert_eq!(database.store.tenant(&owner).policy(1).await?.map(|(_, document)| document).as_deref(), Some("{}"));
    Ok(())
}
