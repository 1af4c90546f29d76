//! What lets every notifier see a changed endpoint at once: the place of its last change in the order of all changes. And
//! the trace that an event belongs to.

use sea_orm_migration::prelude::*;

/// See the module.
#[derive(Debug, DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.get_connection().execute_unprepared(CHANGES).await?;
        Ok(())
    }

    async fn down(&self, _: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration("processes may go by these columns by now: restore a backup instead".to_owned()))
    }
}

const CHANGES: &str = r"
ALTER TABLE endpoints ADD COLUMN version BIGINT NOT NULL DEFAULT 0;
CREATE INDEX endpoints_changed ON endpoints (version);
-- Counted up by every change of an endpoint, under a lock that is held to its end: what commits later has a higher number.
INSERT INTO directory_version (id, version) VALUES (3, 0);

-- The place in a trace that caused it: `traceparent`, and `tracestate` after a blank.
ALTER TABLE events ADD COLUMN trace TEXT;
";
