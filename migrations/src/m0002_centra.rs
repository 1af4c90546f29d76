//! Centra: connections, the notices that came in, and the holds: one row for each time that a shop held an order for us.

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
        manager.get_connection().execute_unprepared(&tables).await.map(|_| ())
    }

    async fn down(&self, _: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration("orders may be held by a shop: restore a backup instead".to_owned()))
    }
}

const TABLES: &str = r"
CREATE TABLE centra_connections (
    id TEXT PRIMARY KEY,
    store_id TEXT NOT NULL REFERENCES stores (id),
    api_url TEXT NOT NULL,
    sealed_token {blob} NOT NULL,
    token_set_at BIGINT NOT NULL,
    path_hash TEXT NOT NULL,
    previous_path_hash TEXT,
    previous_until BIGINT,
    settings TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    disconnected_at BIGINT,
    -- Why nothing is asked of the shop any more, until there is another token.
    stopped_reason TEXT,
    -- Until when the shop wants to be left alone.
    paused_until BIGINT NOT NULL,
    -- One notifier at a time speaks with a shop, so that its budget is spent by one.
    leased_until BIGINT NOT NULL,
    sweep_due_at BIGINT NOT NULL,
    swept_at BIGINT,
    -- The next sweep resumes all that it finds.
    releasing BIGINT NOT NULL
);
CREATE INDEX centra_connections_by_store ON centra_connections (store_id);

-- Each notice once, however often it was sent.
CREATE TABLE centra_notices (
    id TEXT PRIMARY KEY,
    connection_id TEXT NOT NULL REFERENCES centra_connections (id),
    store_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    reference TEXT NOT NULL,
    document TEXT NOT NULL,
    received_at BIGINT NOT NULL
);
CREATE INDEX centra_notices_by_reference ON centra_notices (connection_id, reference, received_at);

CREATE TABLE holds (
    id TEXT PRIMARY KEY,
    connection_id TEXT NOT NULL REFERENCES centra_connections (id),
    store_id TEXT NOT NULL,
    -- What the order was called when it was heard of; the two names that Centra has for it come with the first reading.
    reference TEXT NOT NULL,
    centra_id TEXT,
    number BIGINT,
    submission_id TEXT NOT NULL,
    transaction_id TEXT,
    request_id TEXT NOT NULL,
    state TEXT NOT NULL,
    wanted TEXT,
    wanted_by TEXT,
    -- What the verdict would have done at a store in shadow mode.
    would_have TEXT,
    -- A mutation that was sent and whose effect is not known yet.
    sent TEXT,
    sent_at BIGINT,
    attempts BIGINT NOT NULL,
    outcome TEXT,
    last_error TEXT,
    opened_at BIGINT NOT NULL,
    deadline_at BIGINT NOT NULL,
    due_at BIGINT NOT NULL,
    closed_at BIGINT
);
CREATE INDEX holds_due ON holds (connection_id, due_at) WHERE closed_at IS NULL;
CREATE INDEX holds_by_transaction ON holds (transaction_id) WHERE transaction_id IS NOT NULL;
CREATE INDEX holds_by_order ON holds (connection_id, centra_id) WHERE centra_id IS NOT NULL;
-- An order has one open hold, whatever it is called.
CREATE UNIQUE INDEX holds_open_by_reference ON holds (connection_id, reference) WHERE closed_at IS NULL;
CREATE UNIQUE INDEX holds_open_by_order ON holds (connection_id, centra_id)
    WHERE closed_at IS NULL AND centra_id IS NOT NULL;
";
