//! Everything that Touchstone needs from outside itself, behind ports: queue, store, cache, cryptography, clock,
//! settings, telemetry and the life of a process.
//!
//! Guarantee: roles see the ports only; lapin, redis and the database pool are named nowhere else. The embedded and the
//! production adapters pass the same contract tests.

pub mod bucket;
pub mod cache;
pub mod clock;
pub mod crypto;
pub mod directory;
pub mod egress;
pub mod enrichment;
pub mod inspect;
pub mod lifecycle;
pub mod listen;
pub mod queue;
pub mod random;
pub mod refill;
pub mod retry;
pub mod settings;
pub mod store;
pub mod telemetry;
pub mod transport;
