//! Scores orders: consume → history → score → record → publish.
//!
//! Guarantee: a submission gets one verdict, however often and by however many lanes it arrives; a verdict, its event
//! and its history are committed together, before anyone is told. Failure: while the database is away the batch in hand
//! waits and nothing is requeued; an order that the database refuses, or that cannot be read, is dead-lettered alone.
//! Design: ARCHITECTURE.md, "One order, end to end".

mod announce;
pub mod backfill;
pub mod backtest;
mod batch;
mod consume;
mod hearsay;
mod history;
mod history_keys;
mod norms_source;
mod record;
pub mod rekey;
pub mod replay;
pub mod score;
mod sweep;

pub use consume::{Dependencies, ScorerError, run};
