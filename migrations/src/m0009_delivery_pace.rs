//! What makes deliveries cheaper and their pace exact: fewer checks of references, and the right to pace.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

/// See the module.
#[derive(Debug, DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let connection = manager.get_connection();
        if manager.get_database_backend() == DbBackend::Postgres {
            connection.execute_unprepared(REFERENCES_POSTGRES).await?;
        }
        connection.execute_unprepared(RIGHTS).await.map(|_| ())
    }

    async fn down(&self, _: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration("a process may hold a right by now: restore a backup instead".to_owned()))
    }
}

/// Each delivery locked its endpoint's row, so those of a busy endpoint waited for each other and cost more than all the
/// rest of their planning. Endpoints are never deleted, and deliveries only where no attempt is left.
const REFERENCES_POSTGRES: &str = "
ALTER TABLE deliveries DROP CONSTRAINT deliveries_endpoint_id_fkey;
ALTER TABLE attempts DROP CONSTRAINT attempts_delivery_id_fkey;
";

/// What one process at a time may do, and until when the one that holds the right may.
const RIGHTS: &str = "
CREATE TABLE rights (
    name TEXT PRIMARY KEY,
    holder TEXT NOT NULL,
    held_until BIGINT NOT NULL
);
INSERT INTO rights (name, holder, held_until) VALUES ('pace', '', 0);
";
