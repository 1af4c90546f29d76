//! Migrations, refusals and outages.

use std::time::Duration;

use touchstone_platform::store::{Store, StoreError, StoreSettings};
use touchstone_schema::tenant::KeyMode;
use touchstone_schema::verdict::Action;
use touchstone_tests::eventually;
use touchstone_tests::process::TemporaryFolder;
use touchstone_tests::servers::Postgres;

use super::{Database, open_postgres, submission, tenant, verdict};

#[tokio::test]
async fn fresh_sqlite_file_is_not_current_until_it_is_migrated() -> anyhow::Result<()> {
    let folder = TemporaryFolder::new("store")?;
    let settings = StoreSettings::Sqlite { path: folder.path().join("touchstone.db") };
    migrated_by_several_at_once(&Store::open(&settings).await?, &Store::open(&settings).await?).await
}

#[tokio::test]
async fn fresh_postgres_database_is_not_current_until_it_is_migrated() -> anyhow::Result<()> {
    let server = Box::pin(Postgres::start()).await?;
    migrated_by_several_at_once(&open_postgres(&server).await?, &open_postgres(&server).await?).await
}

async fn migrated_by_several_at_once(one: &Store, other: &Store) -> anyhow::Result<()> {
    assert!(matches!(one.require_current().await, Err(StoreError::NotMigrated)));
    let (first, second) = tokio::join!(Box::pin(one.migrate()), Box::pin(other.migrate()));
    first?;
    second?;
    one.migrate().await?;
    one.require_current().await?;
    Ok(other.check().await?)
}

#[tokio::test]
async fn order_that_postgres_cannot_hold_is_refused_and_not_an_outage() -> anyhow::Result<()> {
    let database = Database::postgres().await?;
    let order = submission(&tenant(KeyMode::Live), "nul\0", 0);
    let refused = database.system().record(&[verdict(&order, 1, 1, Action::Hold)], &[]).await;
    assert!(matches!(refused, Err(StoreError::Refused(_))), "{refused:?}");
    Ok(())
}

#[tokio::test]
async fn store_works_again_after_postgres_was_away() -> anyhow::Result<()> {
    let mut server = Box::pin(Postgres::start()).await?;
    let store = open_postgres(&server).await?;
    store.migrate().await?;
    server.kill();
    let away = store.check().await;
    assert!(matches!(away, Err(StoreError::Unavailable(_))), "{away:?}");
    Box::pin(server.restart()).await?;
    let within = Duration::from_secs(30);
    eventually(within, "the store to answer again", async || store.check().await.ok()).await?;
    server.stop().await?;
    let away = store.check().await;
    assert!(matches!(away, Err(StoreError::Unavailable(_))), "{away:?}");
    Box::pin(server.restart()).await?;
    eventually(within, "the store to answer again", async || store.check().await.ok()).await
}
