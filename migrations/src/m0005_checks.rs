//! The checks surface: the cheap first comparison of its password, risk groups per store, and what updates told.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

/// See the module.
#[derive(Debug, DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let postgres = manager.get_database_backend() == DbBackend::Postgres;
        let (blob, text) = if postgres { ("BYTEA", "TEXT COLLATE \"C\"") } else { ("BLOB", "TEXT") };
        let tables = TABLES.replace("TEXT", text).replace("{blob}", blob);
        manager.get_connection().execute_unprepared(&tables).await?;
        Ok(())
    }

    async fn down(&self, _: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration("checks may have updates by now: restore a backup instead".to_owned()))
    }
}

const TABLES: &str = r"
-- Keys of before have none, and do not open the checks surface.
ALTER TABLE api_keys ADD COLUMN password_mac {blob};

ALTER TABLE stores ADD COLUMN risk_low BIGINT NOT NULL DEFAULT 30;
ALTER TABLE stores ADD COLUMN risk_medium BIGINT NOT NULL DEFAULT 75;

-- What is known of a checked transaction or cart by its updates; no row before the first.
CREATE TABLE check_states (
    transaction_id TEXT PRIMARY KEY,
    store_id TEXT NOT NULL,
    state TEXT NOT NULL
);

-- The updates as they were sent, in the order in which they were applied.
CREATE TABLE check_updates (
    transaction_id TEXT NOT NULL,
    sequence BIGINT NOT NULL,
    store_id TEXT NOT NULL,
    updated_on BIGINT,
    received_at BIGINT NOT NULL,
    document TEXT NOT NULL,
    -- Changes that were not to be expected, as JSON.
    flags TEXT NOT NULL,
    PRIMARY KEY (transaction_id, sequence)
);
CREATE UNIQUE INDEX check_updates_once ON check_updates (transaction_id, updated_on);
";
