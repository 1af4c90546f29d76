//! The delivery log as merchants read it, and recoveries as durable jobs.

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
        manager.get_connection().execute_unprepared(&STEPS.replace("TEXT", text)).await.map(|_| ())
    }

    async fn down(&self, _: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration("recoveries may be under way: restore a backup instead".to_owned()))
    }
}

/// A process of the release before does not tell the mode: what it plans counts as live, and what reads a store's log asks
/// the event too. Partial indexes cost nothing to the deliveries that they leave out, which are nearly all.
const STEPS: &str = r"
ALTER TABLE deliveries ADD COLUMN mode TEXT NOT NULL DEFAULT 'live';
UPDATE deliveries SET mode = 'test' WHERE event_id IN (SELECT id FROM events WHERE mode = 'test');
CREATE INDEX deliveries_by_endpoint ON deliveries (endpoint_id, id);
CREATE INDEX deliveries_of_trials ON deliveries (store_id, id) WHERE mode = 'test';
CREATE INDEX deliveries_waiting ON deliveries (store_id, id) WHERE state = 'pending';
CREATE INDEX deliveries_dead ON deliveries (store_id, id) WHERE state = 'dead';
CREATE INDEX deliveries_dead_by_endpoint ON deliveries (endpoint_id, id) WHERE state = 'dead';

-- The walk of a recovery, and what may be forgotten without its transaction.
CREATE INDEX events_by_store ON events (store_id, occurred_at);
CREATE INDEX events_of_no_transaction ON events (occurred_at, id) WHERE transaction_id IS NULL;

CREATE INDEX endpoints_in_order ON endpoints (store_id, id);
CREATE INDEX endpoints_off ON endpoints (id) WHERE enabled = 0;

CREATE TABLE recoveries (
    id TEXT PRIMARY KEY,
    endpoint_id TEXT NOT NULL REFERENCES endpoints (id),
    store_id TEXT NOT NULL,
    -- Whose events: live, test, or '' for both.
    mode TEXT NOT NULL,
    -- recover, replay
    kind TEXT NOT NULL,
    -- Which settled deliveries a replay sends again: dead, delivered, or '' for both.
    only_state TEXT NOT NULL,
    since BIGINT NOT NULL,
    until BIGINT NOT NULL,
    -- The last event that was looked at.
    reached_at BIGINT NOT NULL,
    reached_id TEXT NOT NULL,
    looked_at BIGINT NOT NULL DEFAULT 0,
    planned BIGINT NOT NULL DEFAULT 0,
    revived BIGINT NOT NULL DEFAULT 0,
    hastened BIGINT NOT NULL DEFAULT 0,
    created_at BIGINT NOT NULL,
    -- Those that wait longest go on first.
    stepped_at BIGINT NOT NULL,
    finished_at BIGINT,
    -- Why it ended before its end.
    stopped_reason TEXT
);
CREATE INDEX recoveries_by_endpoint ON recoveries (endpoint_id, id);
CREATE INDEX recoveries_due ON recoveries (stepped_at, id) WHERE finished_at IS NULL;
CREATE UNIQUE INDEX recoveries_open ON recoveries (endpoint_id, mode) WHERE finished_at IS NULL;
CREATE INDEX recoveries_over ON recoveries (finished_at) WHERE finished_at IS NOT NULL;
";
