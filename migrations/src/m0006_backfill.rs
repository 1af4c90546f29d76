//! Backfill: files of past orders, what was read of them, and the orders that came with them.

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
        // A table that is its own index is written once a row, not twice.
        let clustered = if postgres { "" } else { " WITHOUT ROWID" };
        let tables = TABLES.replace("TEXT", text).replace("{blob}", blob).replace("{clustered}", clustered);
        manager.get_connection().execute_unprepared(&tables).await.map(|_| ())
    }

    async fn down(&self, _: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration("past orders may have been read by now: restore a backup instead".to_owned()))
    }
}

const TABLES: &str = r"
-- One reading of one file: by a command, or of an upload.
CREATE TABLE backfills (
    id TEXT PRIMARY KEY,
    store_id TEXT NOT NULL REFERENCES stores (id),
    mode TEXT NOT NULL,
    -- What a command reads; empty of an upload.
    source TEXT NOT NULL,
    kind TEXT NOT NULL,
    format TEXT NOT NULL,
    state TEXT NOT NULL,
    -- Bytes of an upload.
    size BIGINT NOT NULL,
    -- How far it was read and committed, and the hash of the rows up to there.
    position BIGINT NOT NULL,
    position_hash TEXT NOT NULL,
    accepted BIGINT NOT NULL,
    unchanged BIGINT NOT NULL,
    refused BIGINT NOT NULL,
    -- Length of the side file of refused rows.
    refused_bytes BIGINT NOT NULL,
    -- 1 while entries of history may be committed that the cache has not got.
    unshared BIGINT NOT NULL,
    failure TEXT,
    leased_until BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    finished_at BIGINT
);
CREATE INDEX backfills_open ON backfills (leased_until) WHERE finished_at IS NULL;
CREATE INDEX backfills_by_store ON backfills (store_id, mode, id);

CREATE TABLE backfill_chunks (
    backfill_id TEXT NOT NULL REFERENCES backfills (id),
    number BIGINT NOT NULL,
    bytes {blob} NOT NULL,
    PRIMARY KEY (backfill_id, number)
);

CREATE TABLE backfill_refusals (
    backfill_id TEXT NOT NULL REFERENCES backfills (id),
    number BIGINT NOT NULL,
    line BIGINT NOT NULL,
    field TEXT NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (backfill_id, number)
);

-- The orders that came with files, once each, and where their entries of history are.
CREATE TABLE backfilled (
    id TEXT PRIMARY KEY,
    store_id TEXT NOT NULL,
    mode TEXT NOT NULL,
    digest BIGINT NOT NULL,
    -- The order's entry: its own, or that of a transaction which was screened.
    entry_id TEXT NOT NULL,
    entry_at BIGINT NOT NULL,
    -- What was told of it, a bit for each thing.
    told BIGINT NOT NULL,
    amount_minor BIGINT NOT NULL,
    currency TEXT NOT NULL,
    quantity BIGINT NOT NULL
){clustered};
-- Of those that were not screened: what is usual at a store is taken from its newest orders.
CREATE INDEX backfilled_by_time ON backfilled (store_id, mode, entry_at, id) WHERE entry_id = id;
";
