//! The report that ended an order, and chargebacks by words that cannot be read in opposite ways: upheld and reversed in
//! place of won and lost.

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
        let connection = manager.get_connection();
        connection.execute_unprepared(WORDS).await?;
        connection.execute_unprepared(&ENDINGS.replace("TEXT", text)).await.map(|_| ())
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

/// Reviews that are open although the end of their order was reported since it was received leave the queue, as they do
/// from now on. Other orders are left as they are: their outcomes are many. So are those that a Centra shop may hold, whose
/// holds do not know of the report.
const ENDINGS: &str = "
ALTER TABLE transactions ADD COLUMN ended_by TEXT;
ALTER TABLE transactions ADD COLUMN ended_at BIGINT;
UPDATE transactions SET
    ended_by = (SELECT o.kind FROM outcomes o WHERE o.transaction_id = transactions.id AND o.kind <> 'legitimate'
      AND o.recorded_at >= transactions.received_at ORDER BY o.recorded_at DESC, o.kind LIMIT 1),
    ended_at = (SELECT MAX(o.recorded_at) FROM outcomes o WHERE o.transaction_id = transactions.id
      AND o.kind <> 'legitimate' AND o.recorded_at >= transactions.received_at)
  WHERE status IN ('review', 'held') AND surface <> 'centra';
UPDATE transactions SET status = CASE
    WHEN EXISTS (SELECT 1 FROM outcomes o WHERE o.transaction_id = transactions.id AND o.kind = 'cancelled'
      AND o.recorded_at >= transactions.received_at) THEN 'cancelled'
    WHEN ended_by = 'fulfilled' THEN 'approved' ELSE 'closed' END
  WHERE status IN ('review', 'held') AND ended_by IS NOT NULL;
";
