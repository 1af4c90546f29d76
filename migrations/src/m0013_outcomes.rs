//! Chargebacks by words that cannot be read in opposite ways: upheld and reversed in place of won and lost.

use sea_orm_migration::prelude::*;

/// See the module.
#[derive(Debug, DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.get_connection().execute_unprepared(WORDS).await.map(|_| ())
    }

    async fn down(&self, _: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration("newer rows have the new words alone: restore a backup instead".to_owned()))
    }
}

/// A delivery that waits takes its type and its data from the event, so it is sent with the new words. What a process of
/// the release before writes after this step has the old words and is read as the new ones; such a process does not read
/// the new words, so chargebacks that are reported during an upgrade are delivered by the new notifier.
const WORDS: &str = r#"
UPDATE outcomes SET kind = 'chargeback_upheld' WHERE kind = 'chargeback_won';
UPDATE outcomes SET kind = 'chargeback_reversed' WHERE kind = 'chargeback_lost';
UPDATE history SET what = 'chargeback_upheld' WHERE what = 'chargeback_won';
UPDATE history SET what = 'chargeback_reversed' WHERE what = 'chargeback_lost';
UPDATE history_declared SET what = 'chargeback_upheld' WHERE what = 'chargeback_won';
UPDATE history_declared SET what = 'chargeback_reversed' WHERE what = 'chargeback_lost';
UPDATE events SET kind = 'chargeback.upheld',
    data = REPLACE(data, '"outcome":"chargeback_won"', '"outcome":"chargeback_upheld"')
  WHERE kind = 'chargeback.won';
UPDATE events SET kind = 'chargeback.reversed',
    data = REPLACE(data, '"outcome":"chargeback_lost"', '"outcome":"chargeback_reversed"')
  WHERE kind = 'chargeback.lost';
UPDATE endpoints
  SET events = REPLACE(REPLACE(events, 'chargeback.won', 'chargeback.upheld'), 'chargeback.lost', 'chargeback.reversed')
  WHERE events LIKE '%chargeback.won%' OR events LIKE '%chargeback.lost%';
"#;
