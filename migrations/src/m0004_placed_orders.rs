//! Orders that came in by the orders surface: the number that each is answered under, and what is answered of it beside
//! its verdict.

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
        manager.get_connection().execute_unprepared(&TABLES.replace("TEXT", text)).await.map(|_| ())
    }

    async fn down(&self, _: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration("orders may have been accepted: restore a backup instead".to_owned()))
    }
}

const TABLES: &str = r"
CREATE TABLE placed_orders (
    id BIGINT PRIMARY KEY,
    store_id TEXT NOT NULL REFERENCES stores (id),
    -- The world of the key that sent it; its transaction lies in the test world when it is a trial.
    mode TEXT NOT NULL,
    site_name TEXT NOT NULL,
    order_number TEXT NOT NULL,
    transaction_id TEXT NOT NULL,
    is_trial BIGINT NOT NULL,
    -- The store's product when the order was placed: what its statuses mean.
    product TEXT NOT NULL,
    customer_id TEXT,
    amount_minor BIGINT NOT NULL,
    currency TEXT NOT NULL,
    is_usa BIGINT NOT NULL,
    ships_to_billing BIGINT NOT NULL,
    avs_code TEXT,
    shipping_method TEXT,
    -- As it was sent, card numbers masked.
    document TEXT NOT NULL,
    placed_at BIGINT NOT NULL
);
-- A site uses an order number once.
CREATE UNIQUE INDEX placed_orders_once ON placed_orders (store_id, mode, site_name, order_number);
CREATE INDEX placed_orders_by_number ON placed_orders (store_id, mode, order_number);
";
