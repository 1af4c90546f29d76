//! The argument by which the mutations of a Centra shop take their order, as the shop's introspection shows it.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

/// See the module.
#[derive(Debug, DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let postgres = manager.get_database_backend() == DbBackend::Postgres;
        let columns = COLUMNS.replace("TEXT", if postgres { "TEXT COLLATE \"C\"" } else { "TEXT" });
        manager.get_connection().execute_unprepared(&columns).await?;
        Ok(())
    }

    async fn down(&self, _: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration("processes may read these columns by now: restore a backup instead".to_owned()))
    }
}

const COLUMNS: &str = r"
-- When the shop was asked for its arguments; none: it was not asked yet.
ALTER TABLE centra_connections ADD COLUMN arguments_seen_at BIGINT;
-- `order` or `id`; none: the shop shows neither.
ALTER TABLE centra_connections ADD COLUMN resume_argument TEXT;
ALTER TABLE centra_connections ADD COLUMN cancel_argument TEXT;
";
