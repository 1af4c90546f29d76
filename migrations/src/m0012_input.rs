//! How a store's orders are read: strictly or leniently, and which mail domains are the store's own.

use sea_orm_migration::prelude::*;

/// See the module.
#[derive(Debug, DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.get_connection().execute_unprepared(COLUMNS).await.map(|_| ())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let columns = "ALTER TABLE stores DROP COLUMN strict_input; ALTER TABLE stores DROP COLUMN own_domains;";
        manager.get_connection().execute_unprepared(columns).await.map(|_| ())
    }
}

const COLUMNS: &str = "
ALTER TABLE stores ADD COLUMN strict_input BIGINT NOT NULL DEFAULT 0;
-- With commas between them.
ALTER TABLE stores ADD COLUMN own_domains TEXT NOT NULL DEFAULT '';
";
