//! Which lists a process reads again after a change, and which it keeps.

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use touchstone_platform::clock::Clock;
use touchstone_platform::crypto::{MasterKeys, SealContext};
use touchstone_platform::directory::Directory;
use touchstone_platform::random;
use touchstone_platform::store::accounts::StoreRow;
use touchstone_platform::store::lists::{ListChanges, Listed};
use touchstone_schema::ids::{ListEntryId, MerchantId};
use touchstone_schema::lists::{ListEntry, ListKind, ListMatcher, ListSubject};
use touchstone_schema::tenant::{KeyMode, Product, RiskGroups, StoreMode, Tenant};

use super::{Database, START, on_both_databases, tenant};

on_both_databases!(
    change_of_one_stores_list_reads_no_other_stores,
    change_of_a_key_reads_no_lists_and_change_of_a_list_no_keys,
    change_by_the_release_before_reads_all_lists,
);

/// The directory of a process, and what its stores are made with.
struct Process<'a> {
    database: &'a Database,
    master: Arc<MasterKeys>,
    directory: Arc<Directory>,
}

impl<'a> Process<'a> {
    async fn open(database: &'a Database) -> anyhow::Result<Self> {
        let master = Arc::new(MasterKeys::parse(&BASE64_STANDARD.encode(random::bytes::<32>()))?);
        let clock = Clock::manual(START);
        let directory = Directory::open(database.store.clone(), Some(Arc::clone(&master)), clock).await?;
        Ok(Self { database, master, directory })
    }

    async fn add_store(&self) -> anyhow::Result<Tenant> {
        let tenant = tenant(KeyMode::Live);
        let (id, merchant_id) = (tenant.store_id.clone(), MerchantId::mint(START, random::bytes()));
        self.database.system().add_merchant(&merchant_id, "Ada", START).await?;
        let context = SealContext { store: id.as_str(), record: id.as_str(), purpose: SealContext::DATA_KEY };
        let row = StoreRow {
            sealed_data_key: self.master.seal(&random::bytes::<32>(), &context)?,
            id,
            merchant_id,
            name: "Boots".to_owned(),
            mode: StoreMode::Live,
            product: Product::Guaranteed,
            currency: "EUR".to_owned(),
            rate_limit_per_minute: 100,
            risk_groups: RiskGroups::default(),
            input: touchstone_schema::tenant::InputSettings::default(),
            created_at: START,
        };
        self.database.system().add_store(&row).await?;
        Ok(tenant)
    }

    async fn add_entry(&self, tenant: &Tenant, domain: &str) -> anyhow::Result<ListEntryId> {
        let entry = ListEntry {
            id: ListEntryId::mint(START, random::bytes()),
            list: ListKind::Block,
            subject: ListSubject::EmailDomain,
            matcher: ListMatcher::Domain(domain.to_owned()),
            hint: domain.to_owned(),
            note: None,
            created_at: START,
            expires_at: None,
        };
        let listed = self.database.store.tenant(tenant).add_list_entry(&entry, "test").await?;
        anyhow::ensure!(listed == Listed::Added(entry.id.clone()), "{listed:?}");
        Ok(entry.id)
    }
}

async fn change_of_one_stores_list_reads_no_other_stores(database: &Database) -> anyhow::Result<()> {
    let process = Process::open(database).await?;
    let (mine, other) = (process.add_store().await?, process.add_store().await?);
    for number in 0..20 {
        process.add_entry(&mine, &format!("{number}.example")).await?;
    }
    let entry = process.add_entry(&other, "a.example").await?;
    process.directory.refresh_now().await?;
    let before = process.directory.snapshot();
    let known = database.system().directory_versions().await?.lists;

    process.add_entry(&other, "b.example").await?;
    let version = database.system().directory_versions().await?.lists;
    let changes = database.system().list_changes(known, version).await?;
    assert_eq!(changes, ListChanges::Of(vec![other.store_id.clone()]));
    assert_eq!(database.system().lists_of(&other.store_id).await?.len(), 2);
    process.directory.refresh_now().await?;
    let after = process.directory.snapshot();
    let same = |tenant: &Tenant| match (before.lists(tenant), after.lists(tenant)) {
        (Some(before), Some(after)) => Arc::ptr_eq(before, after),
        _ => false,
    };
    assert!(same(&mine), "lists that did not change are not read again");
    assert!(!same(&other), "the change is seen");

    let kept = database.store.tenant(&other).list_entries(None, None, 10).await?;
    for id in kept.iter().map(|entry| &entry.id).chain([&entry]) {
        database.store.tenant(&other).remove_list_entry(id, "test", START).await?;
    }
    process.directory.refresh_now().await?;
    assert!(process.directory.snapshot().lists(&other).is_none(), "the last entry is gone");
    assert!(process.directory.snapshot().lists(&mine).is_some());
    Ok(())
}

async fn change_of_a_key_reads_no_lists_and_change_of_a_list_no_keys(database: &Database) -> anyhow::Result<()> {
    let process = Process::open(database).await?;
    let mine = process.add_store().await?;
    process.add_entry(&mine, "a.example").await?;
    process.directory.refresh_now().await?;
    let before = process.directory.snapshot();

    process.add_entry(&mine, "b.example").await?;
    process.directory.refresh_now().await?;
    let listed = process.directory.snapshot();
    let profiles = (before.store(&mine.store_id), listed.store(&mine.store_id));
    assert!(matches!(profiles, (Some(before), Some(after)) if Arc::ptr_eq(before, after)));

    process.add_store().await?;
    process.directory.refresh_now().await?;
    let grown = process.directory.snapshot();
    assert!(matches!((listed.lists(&mine), grown.lists(&mine)), (Some(a), Some(b)) if Arc::ptr_eq(a, b)));
    let profiles = (listed.store(&mine.store_id), grown.store(&mine.store_id));
    assert!(matches!(profiles, (Some(before), Some(after)) if !Arc::ptr_eq(before, after)));
    Ok(())
}

async fn change_by_the_release_before_reads_all_lists(database: &Database) -> anyhow::Result<()> {
    let process = Process::open(database).await?;
    let (mine, other) = (process.add_store().await?, process.add_store().await?);
    process.add_entry(&mine, "a.example").await?;
    let known = database.system().directory_versions().await?.lists;
    let version = database.count_list_change().await?;
    assert_eq!(database.system().list_changes(known, version).await?, ListChanges::Any);
    // Also when a process of this release makes the next change.
    process.add_entry(&other, "b.example").await?;
    let version = database.system().directory_versions().await?.lists;
    assert_eq!(database.system().list_changes(known, version).await?, ListChanges::Any);
    Ok(())
}
