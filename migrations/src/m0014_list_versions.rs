//! Which store's lists changed when, so that a process reads the lists of these stores alone.

use sea_orm_migration::prelude::*;

/// See the module.
#[derive(Debug, DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.get_connection().execute_unprepared(VERSIONS).await.map(|_| ())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.get_connection().execute_unprepared("DROP TABLE list_versions").await.map(|_| ())
    }
}

const VERSIONS: &str = "
CREATE TABLE list_versions (
    -- Empty: a change of which it is not known whose lists it was, made by a process of the release before.
    store_id TEXT PRIMARY KEY,
    -- The number of the last change, as directory_version counts all changes of lists.
    version BIGINT NOT NULL
);
CREATE INDEX list_versions_by_version ON list_versions (version);
INSERT INTO list_versions (store_id, version) SELECT '', version FROM directory_version WHERE id = 2;
";
