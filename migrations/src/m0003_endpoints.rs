//! Endpoints of the merchant's own making: what they are for, headers of their own, how fast and in which order they want
//! their deliveries.

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
        let columns = COLUMNS.replace("TEXT", text).replace("{blob}", blob);
        manager.get_connection().execute_unprepared(&columns).await?;
        if postgres {
            manager.get_connection().execute_unprepared(POSITIONS_POSTGRES).await?;
        }
        Ok(())
    }

    async fn down(&self, _: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration("endpoints may have settings by now: restore a backup instead".to_owned()))
    }
}

const COLUMNS: &str = r"
ALTER TABLE endpoints ADD COLUMN description TEXT NOT NULL DEFAULT '';
ALTER TABLE endpoints ADD COLUMN header_names TEXT NOT NULL DEFAULT '';
ALTER TABLE endpoints ADD COLUMN sealed_headers {blob};
-- Deliveries a second; none: as they come.
ALTER TABLE endpoints ADD COLUMN rate_limit BIGINT;
ALTER TABLE endpoints ADD COLUMN ordered BIGINT NOT NULL DEFAULT 0;

-- The place of a delivery in the line of an ordered endpoint; 0 for all others, which no index below sees.
ALTER TABLE deliveries ADD COLUMN position BIGINT NOT NULL DEFAULT 0;
CREATE INDEX deliveries_in_line ON deliveries (endpoint_id, due_at, position, id)
    WHERE state = 'pending' AND position > 0;
";

/// 1 is the place of what had none when its endpoint became an ordered one.
const POSITIONS_POSTGRES: &str = "CREATE SEQUENCE delivery_positions START 2";
