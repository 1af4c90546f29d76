//! SQLite: one table of all history keys in place of an index for each kind.

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
        manager.get_connection().execute_unprepared(KEYS).await.map(|_| ())
    }

    async fn down(&self, _: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration("entries may be found by these keys alone: restore a backup instead".to_owned()))
    }
}

/// An index is written in the order in which rows come, so that thousands of past orders changed a page of each index for
/// every entry. This table is written in its own order, and a file in the order of time stays within a month or two of it.
/// The embedded database belongs to one program, so no older one writes beside it.
const KEYS: &str = "
CREATE TABLE history_keys (
    -- Of 30 days, counted from 1970.
    month BIGINT NOT NULL,
    key BIGINT NOT NULL,
    received_at BIGINT NOT NULL,
    -- The row of history.
    entry BIGINT NOT NULL,
    PRIMARY KEY (month, key, received_at, entry)
) WITHOUT ROWID;
INSERT INTO history_keys (month, key, received_at, entry)
  SELECT received_at / 2592000000, key, received_at, entry FROM (
    SELECT card AS key, received_at, rowid AS entry FROM history
    UNION ALL SELECT email, received_at, rowid FROM history
    UNION ALL SELECT phone, received_at, rowid FROM history
    UNION ALL SELECT device, received_at, rowid FROM history
    UNION ALL SELECT ip, received_at, rowid FROM history
    UNION ALL SELECT address, received_at, rowid FROM history
    UNION ALL SELECT customer, received_at, rowid FROM history)
  WHERE key IS NOT NULL ORDER BY 1, 2, 3, 4;
DROP INDEX history_by_card;
DROP INDEX history_by_email;
DROP INDEX history_by_phone;
DROP INDEX history_by_device;
DROP INDEX history_by_ip;
DROP INDEX history_by_address;
DROP INDEX history_by_customer;
";
