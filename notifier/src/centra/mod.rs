//! The Centra connector's working half: orders that a shop holds for us, from the notice to resume or cancel.
//!
//! The flow of a hold: `take` keeps the notice → `work` finds what is due at each shop → `reading` fetches the orders
//! (through `client`, within `budget`), makes canonical ones of them (`order`, `payment`) and hands them to the scorer →
//! `judging` takes the verdicts → `acting` reads once more and resumes or cancels; `next` says what may follow what, and
//! `sweep` finds what no notice announced.
//!
//! Guarantee (design promise 2): an order is resumed or cancelled at most once and never both, only while the shop holds
//! it for us; one that is held is never forgotten. What is wanted, and that it was asked for, is committed first, and every
//! attempt begins with reading the order, so that a lost answer is found out and nothing is asked for twice.
//! Failure: one notifier at a time speaks with a shop, under a lease that runs out when it dies. A shop that is away, busy
//! or refuses our token stops its own orders only. Design: ARCHITECTURE.md, "Held orders".

mod acting;
mod arguments;
mod budget;
mod client;
#[cfg(any(test, fuzzing))]
pub mod invariants;
mod judging;
mod next;
mod operations;
mod order;
mod payment;
mod reading;
mod shop;
mod sweep;
mod take;
mod work;

pub(crate) use arguments::MUTATION_ARGUMENTS;
pub use arguments::order_arguments;
pub use client::ApiError;
pub(crate) use client::{Api, Target};
pub use operations::{Operation, operations};
pub(crate) use take::run as take_notices;
pub(crate) use work::Worker;
