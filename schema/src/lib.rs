//! The vocabulary of Touchstone: identifiers, the canonical order, verdicts, queue messages and wire errors.
//!
//! Nothing here does I/O, reads a clock or draws a random number. Every other crate depends on this one; it depends on
//! none of them. A type is parsed once, at the edge, and is valid from then on.

pub mod backfill;
pub mod card;
pub mod centra;
pub mod checks;
mod decimal;
pub mod enrichment;
pub mod event;
pub mod fault;
pub mod history;
pub mod ids;
pub mod json;
pub mod limits;
pub mod lists;
pub mod money;
pub mod number;
pub mod order;
pub mod own_headers;
pub mod policy;
pub mod secret;
pub mod submission;
pub mod tenant;
pub mod time;
pub mod trace;
pub mod verdict;
pub mod warning;
