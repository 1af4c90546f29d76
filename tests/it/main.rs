//! The integration tests, one binary.

mod chaos;
mod cli;
mod contract;
mod examples;
mod harness;
mod ingest;
mod notifier;
mod pipeline;
