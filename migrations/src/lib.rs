//! The database schema, for PostgreSQL and SQLite, as steps that are applied once and never edited afterwards.
//!
//! Steps only expand what is there; removing waits for a release in which nothing reads it any more, so that old and new
//! processes can run side by side during an upgrade.

pub use sea_orm_migration::MigratorTrait;
use sea_orm_migration::prelude::*;

mod m0001_spine;
mod m0002_centra;
mod m0003_endpoints;
mod m0004_placed_orders;
mod m0005_checks;
mod m0006_backfill;
mod m0007_delivery_log;
mod m0008_changes;
mod m0009_delivery_pace;
mod m0010_history_keys;
mod m0011_history_periods;
mod m0012_input;
mod m0013_outcomes;
mod m0014_list_versions;
mod m0015_centra_arguments;
mod m0016_file_forms;
mod m0017_old_notices;
mod m0018_history_rekeys;

/// The list of steps.
#[derive(Debug)]
pub struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m0001_spine::Migration),
            Box::new(m0002_centra::Migration),
            Box::new(m0003_endpoints::Migration),
            Box::new(m0004_placed_orders::Migration),
            Box::new(m0005_checks::Migration),
            Box::new(m0006_backfill::Migration),
            Box::new(m0007_delivery_log::Migration),
            Box::new(m0008_changes::Migration),
            Box::new(m0009_delivery_pace::Migration),
            Box::new(m0010_history_keys::Migration),
            Box::new(m0011_history_periods::Migration),
            Box::new(m0012_input::Migration),
            Box::new(m0013_outcomes::Migration),
            Box::new(m0014_list_versions::Migration),
            Box::new(m0015_centra_arguments::Migration),
            Box::new(m0016_file_forms::Migration),
            Box::new(m0017_old_notices::Migration),
            Box::new(m0018_history_rekeys::Migration),
        ]
    }
}
