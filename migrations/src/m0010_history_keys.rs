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
/// It names the rows of history by a number of their own, which neither VACUUM nor a dump changes. The embedded database
/// belongs to one program, so no older one writes beside it.
const KEYS: &str = "
CREATE TABLE history_rows (
    entry INTEGER PRIMARY KEY,
    received_at BIGINT NOT NULL,
    transaction_id TEXT NOT NULL,
    what TEXT NOT NULL,
    ordered_at BIGINT NOT NULL,
    amount_minor BIGINT NOT NULL,
    currency TEXT NOT NULL,
    card BIGINT,
    email BIGINT,
    phone BIGINT,
    device BIGINT,
    ip BIGINT,
    address BIGINT,
    customer BIGINT,
    name BIGINT,
    declines BIGINT NOT NULL,
    UNIQUE (received_at, transaction_id, what)
);
INSERT INTO history_rows (received_at, transaction_id, what, ordered_at, amount_minor, currency, card, email, phone,
    device, ip, address, customer, name, declines)
  SELECT received_at, transaction_id, what, ordered_at, amount_minor, currency, card, email, phone, device, ip, address,
    customer, name, declines
  FROM history ORDER BY received_at, transaction_id, what;
DROP TABLE history;
ALTER TABLE history_rows RENAME TO history;

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
    SELECT card AS key, received_at, entry FROM history
    UNION ALL SELECT email, received_at, entry FROM history
    UNION ALL SELECT phone, received_at, entry FROM history
    UNION ALL SELECT device, received_at, entry FROM history
    UNION ALL SELECT ip, received_at, entry FROM history
    UNION ALL SELECT address, received_at, entry FROM history
    UNION ALL SELECT customer, received_at, entry FROM history)
  WHERE key IS NOT NULL ORDER BY 1, 2, 3, 4;
";
