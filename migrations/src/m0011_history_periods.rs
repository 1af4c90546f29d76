//! SQLite: the table of all history keys by ten days instead of thirty.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

/// See the module.
#[derive(Debug, DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        if manager.get_database_backend() == DbBackend::Postgres {
            return Ok(());
        }
        manager.get_connection().execute_unprepared(PERIODS).await.map(|_| ())
    }

    async fn down(&self, _: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration("entries may be found by these keys alone: restore a backup instead".to_owned()))
    }
}

/// Some thousand past orders have keys all over a period, and change most of its pages: fewer of a shorter one.
const PERIODS: &str = "
ALTER TABLE history_keys RENAME TO history_keys_of_months;
CREATE TABLE history_keys (
    -- Of ten days, counted from 1970.
    period BIGINT NOT NULL,
    key BIGINT NOT NULL,
    received_at BIGINT NOT NULL,
    -- The row of history.
    entry BIGINT NOT NULL,
    PRIMARY KEY (period, key, received_at, entry)
) WITHOUT ROWID;
INSERT INTO history_keys (period, key, received_at, entry)
  SELECT received_at / 864000000, key, received_at, entry FROM history_keys_of_months ORDER BY 1, 2, 3, 4;
DROP TABLE history_keys_of_months;
";
