//! The integration tests, one binary.

mod backfill;
mod bounds;
mod centra;
mod chaos;
mod cli;
mod cli_centra;
mod cli_order;
mod cli_policy;
mod compose;
mod contract;
mod dead_letters;
mod examples;
mod fuzz;
mod harness;
mod ingest;
mod installation;
mod notifier;
mod pipeline;
mod roles;
mod testing;
mod tls;
mod traces;
