//! How far the keys of history have been computed again.

use sea_orm_migration::prelude::*;

/// See the module.
#[derive(Debug, DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.get_connection().execute_unprepared(TABLE).await.map(|_| ())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.get_connection().execute_unprepared("DROP TABLE history_rekeys").await.map(|_| ())
    }
}

const TABLE: &str = "
CREATE TABLE history_rekeys (
    -- A store, or `all`.
    scope TEXT PRIMARY KEY,
    -- The last entry that was looked at, of the pass that runs or ran last.
    received_at BIGINT NOT NULL,
    transaction_id TEXT NOT NULL,
    what TEXT NOT NULL,
    looked_at BIGINT NOT NULL,
    changed BIGINT NOT NULL,
    without_document BIGINT NOT NULL,
    unreadable BIGINT NOT NULL,
    -- When the first pass began: later entries without a document have keys of this build.
    first_begun_at BIGINT NOT NULL,
    finished_at BIGINT
);
";
