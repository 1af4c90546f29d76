//! Backfill: the form of a file as it was recognised, rows that were read with warnings, and bytes that stores uploaded.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

/// See the module.
#[derive(Debug, DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let postgres = manager.get_database_backend() == DbBackend::Postgres;
        let text = if postgres { "TEXT COLLATE \"C\"" } else { "TEXT" };
        manager.get_connection().execute_unprepared(&TABLES.replace("TEXT", text)).await.map(|_| ())
    }

    async fn down(&self, _: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration("files may have been read in these forms: restore a backup instead".to_owned()))
    }
}

const TABLES: &str = r"
-- Beside the format: said of the file, or recognised by its beginning; empty while neither.
ALTER TABLE backfills ADD COLUMN encoding TEXT NOT NULL DEFAULT '';
ALTER TABLE backfills ADD COLUMN separator TEXT NOT NULL DEFAULT '';
ALTER TABLE backfills ADD COLUMN decimal_mark TEXT NOT NULL DEFAULT '';
-- Rows that were read with warnings, and the warnings.
ALTER TABLE backfills ADD COLUMN warned BIGINT NOT NULL DEFAULT 0;
ALTER TABLE backfills ADD COLUMN warnings BIGINT NOT NULL DEFAULT 0;

CREATE TABLE backfill_warnings (
    backfill_id TEXT NOT NULL REFERENCES backfills (id),
    number BIGINT NOT NULL,
    line BIGINT NOT NULL,
    code TEXT NOT NULL,
    field TEXT NOT NULL,
    message TEXT NOT NULL,
    PRIMARY KEY (backfill_id, number)
);

-- Bytes that a store uploaded, by days (UTC) counted from 1970, whether or not its uploads became whole.
CREATE TABLE backfill_uploaded (
    store_id TEXT NOT NULL REFERENCES stores (id),
    day BIGINT NOT NULL,
    bytes BIGINT NOT NULL,
    PRIMARY KEY (store_id, day)
);
";
