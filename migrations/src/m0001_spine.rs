//! Accounts, transactions, the outbox and deliveries.
//!
//! Times are milliseconds since 1970 in BIGINT, money is minor units in BIGINT: the same on both databases, no
//! rounding. Keyed hashes of history are BIGINT. Documents are TEXT: they are answered byte for byte.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

/// See the module.
#[derive(Debug, DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let postgres = manager.get_database_backend() == DbBackend::Postgres;
        // Identifiers are compared byte by byte, which no language's collation is as quick at.
        let (blob, text) = if postgres { ("BYTEA", "TEXT COLLATE \"C\"") } else { ("BLOB", "TEXT") };
        let connection = manager.get_connection();
        connection.execute_unprepared(&TABLES.replace("TEXT", text).replace("{blob}", blob)).await?;
        if postgres {
            connection.execute_unprepared(STORAGE).await?;
        }
        Ok(())
    }

    async fn down(&self, _: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration("the first step cannot be undone: restore a backup instead".to_owned()))
    }
}

/// Order documents and verdicts are mostly between two and eight kilobytes: kept whole in their row they cost
/// neither compression nor a second look-up. Larger ones still move out. The outbox is nearly empty and rewritten all the
/// time: it is swept by what has died in it, not by its size.
const STORAGE: &str = r"
ALTER TABLE revisions SET (toast_tuple_target = 8160);
ALTER TABLE unplanned SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000,
    autovacuum_vacuum_insert_threshold = -1);
";

const TABLES: &str = r"
CREATE TABLE merchants (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE stores (
    id TEXT PRIMARY KEY,
    merchant_id TEXT NOT NULL REFERENCES merchants (id),
    name TEXT NOT NULL,
    mode TEXT NOT NULL,
    product TEXT NOT NULL,
    currency TEXT NOT NULL,
    rate_limit_per_minute BIGINT NOT NULL,
    sealed_data_key {blob} NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE api_keys (
    id TEXT PRIMARY KEY,
    store_id TEXT NOT NULL REFERENCES stores (id),
    mode TEXT NOT NULL,
    prefix TEXT NOT NULL,
    key_hash TEXT NOT NULL,
    pepper_id TEXT NOT NULL,
    key_mac {blob} NOT NULL,
    sealed_hmac_secret {blob} NOT NULL,
    previous_hmac_secret {blob},
    previous_until BIGINT,
    password_hash TEXT NOT NULL,
    scopes TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    revoked_at BIGINT
);
CREATE INDEX api_keys_by_store ON api_keys (store_id);

CREATE TABLE policies (
    store_id TEXT NOT NULL REFERENCES stores (id),
    version BIGINT NOT NULL,
    document TEXT NOT NULL,
    author TEXT NOT NULL,
    note TEXT,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (store_id, version)
);

-- One row, counted up with every change to the three tables above: what processes poll.
CREATE TABLE directory_version (
    id BIGINT PRIMARY KEY,
    version BIGINT NOT NULL
);
-- The second row is the same for the lists, which are many and read apart.
INSERT INTO directory_version (id, version) VALUES (1, 1), (2, 1);

CREATE TABLE list_entries (
    id TEXT PRIMARY KEY,
    store_id TEXT NOT NULL REFERENCES stores (id),
    mode TEXT NOT NULL,
    list TEXT NOT NULL,
    subject TEXT NOT NULL,
    matcher TEXT NOT NULL,
    hint TEXT NOT NULL,
    note TEXT,
    created_at BIGINT NOT NULL,
    expires_at BIGINT
);
CREATE UNIQUE INDEX list_entries_once ON list_entries (store_id, mode, list, subject, matcher);

CREATE TABLE transactions (
    id TEXT PRIMARY KEY,
    store_id TEXT NOT NULL,
    mode TEXT NOT NULL,
    surface TEXT NOT NULL,
    order_id TEXT NOT NULL,
    status TEXT NOT NULL,
    revision BIGINT NOT NULL,
    sequence BIGINT NOT NULL,
    score BIGINT NOT NULL,
    level TEXT NOT NULL,
    action TEXT NOT NULL,
    amount_minor BIGINT NOT NULL,
    currency TEXT NOT NULL,
    -- The largest quantity of one article, 0 when the order names none.
    quantity BIGINT NOT NULL,
    received_at BIGINT NOT NULL
);
CREATE INDEX transactions_by_time ON transactions (store_id, mode, received_at, id);
CREATE INDEX transactions_open ON transactions (store_id, mode, status, received_at, id)
    WHERE status IN ('review', 'held');

CREATE TABLE revisions (
    transaction_id TEXT NOT NULL,
    revision BIGINT NOT NULL,
    store_id TEXT NOT NULL,
    submission_id TEXT NOT NULL,
    body_hash TEXT NOT NULL,
    document TEXT NOT NULL,
    verdict TEXT NOT NULL,
    policy_version BIGINT NOT NULL,
    -- Names the outside data that the verdict was given with.
    enrichment_version TEXT,
    received_at BIGINT NOT NULL,
    scored_at BIGINT NOT NULL,
    PRIMARY KEY (transaction_id, revision)
);
CREATE UNIQUE INDEX revisions_by_submission ON revisions (submission_id);

CREATE TABLE pending (
    submission_id TEXT PRIMARY KEY,
    transaction_id TEXT NOT NULL,
    store_id TEXT NOT NULL,
    mode TEXT NOT NULL,
    surface TEXT NOT NULL,
    order_id TEXT NOT NULL,
    submission TEXT NOT NULL,
    received_at BIGINT NOT NULL,
    due_at BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    failed_reason TEXT
);
CREATE INDEX pending_due ON pending (due_at) WHERE failed_reason IS NULL;
CREATE INDEX pending_by_transaction ON pending (transaction_id);

CREATE TABLE events (
    id TEXT PRIMARY KEY,
    store_id TEXT NOT NULL,
    mode TEXT NOT NULL,
    transaction_id TEXT,
    kind TEXT NOT NULL,
    sequence BIGINT NOT NULL,
    occurred_at BIGINT NOT NULL,
    request_id TEXT NOT NULL,
    -- Of a verdict's event: its revision, whose verdict is the data. Of any other: the data.
    revision BIGINT,
    data TEXT
);
CREATE INDEX events_by_transaction ON events (transaction_id, sequence);

-- The outbox: one row for each event whose deliveries are not planned yet, so few that looking is cheap.
CREATE TABLE unplanned (
    event_id TEXT PRIMARY KEY,
    occurred_at BIGINT NOT NULL
);
CREATE INDEX unplanned_by_time ON unplanned (occurred_at);

CREATE TABLE endpoints (
    id TEXT PRIMARY KEY,
    store_id TEXT NOT NULL REFERENCES stores (id),
    url TEXT NOT NULL,
    events TEXT NOT NULL,
    sealed_secret {blob} NOT NULL,
    previous_secret {blob},
    previous_until BIGINT,
    enabled BIGINT NOT NULL,
    disabled_reason TEXT,
    failing_since BIGINT,
    created_at BIGINT NOT NULL
);
CREATE INDEX endpoints_by_store ON endpoints (store_id);

CREATE TABLE deliveries (
    id TEXT PRIMARY KEY,
    event_id TEXT NOT NULL REFERENCES events (id),
    endpoint_id TEXT NOT NULL REFERENCES endpoints (id),
    store_id TEXT NOT NULL,
    state TEXT NOT NULL,
    attempts BIGINT NOT NULL,
    due_at BIGINT NOT NULL,
    leased_until BIGINT NOT NULL,
    last_error TEXT,
    created_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX deliveries_once ON deliveries (event_id, endpoint_id);
CREATE INDEX deliveries_due ON deliveries (due_at) WHERE state = 'pending';
CREATE INDEX deliveries_by_store ON deliveries (store_id, id);

CREATE TABLE attempts (
    delivery_id TEXT NOT NULL REFERENCES deliveries (id),
    number BIGINT NOT NULL,
    store_id TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    duration_ms BIGINT NOT NULL,
    status BIGINT,
    error TEXT,
    response_start TEXT NOT NULL,
    PRIMARY KEY (delivery_id, number, started_at)
);

CREATE TABLE decisions (
    transaction_id TEXT NOT NULL,
    revision BIGINT NOT NULL,
    store_id TEXT NOT NULL,
    decision TEXT NOT NULL,
    reviewer TEXT NOT NULL,
    note TEXT,
    decided_at BIGINT NOT NULL,
    PRIMARY KEY (transaction_id, revision)
);

CREATE TABLE outcomes (
    transaction_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    occurred_at BIGINT NOT NULL,
    store_id TEXT NOT NULL,
    amount_minor BIGINT,
    recorded_at BIGINT NOT NULL,
    PRIMARY KEY (transaction_id, kind, occurred_at)
);

-- Orders and what became of them, in the order of time.
CREATE TABLE history (
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
    PRIMARY KEY (received_at, transaction_id, what)
);
CREATE INDEX history_by_card ON history (card, received_at) WHERE card IS NOT NULL;
CREATE INDEX history_by_email ON history (email, received_at) WHERE email IS NOT NULL;
CREATE INDEX history_by_phone ON history (phone, received_at) WHERE phone IS NOT NULL;
CREATE INDEX history_by_device ON history (device, received_at) WHERE device IS NOT NULL;
CREATE INDEX history_by_ip ON history (ip, received_at) WHERE ip IS NOT NULL;
CREATE INDEX history_by_address ON history (address, received_at) WHERE address IS NOT NULL;
CREATE INDEX history_by_customer ON history (customer, received_at) WHERE customer IS NOT NULL;

-- Keys on order fields that a policy declares.
CREATE TABLE history_declared (
    key BIGINT NOT NULL,
    received_at BIGINT NOT NULL,
    transaction_id TEXT NOT NULL,
    what TEXT NOT NULL,
    PRIMARY KEY (key, received_at, transaction_id, what)
);
CREATE INDEX history_declared_by_transaction ON history_declared (transaction_id);

-- Append-only: nothing updates or deletes rows here.
CREATE TABLE audit_log (
    id TEXT PRIMARY KEY,
    at BIGINT NOT NULL,
    store_id TEXT,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    detail TEXT NOT NULL
);
";
