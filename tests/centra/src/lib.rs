//! A double of a Centra shop's Integration API, for the integration tests and the demo.
//!
//! Guarantee: an operation is executed only if it is valid GraphQL of the served schema, with coerced variables; what a
//! client sends wrongly is refused as a shop refuses it. Each mutation is recorded with whether it changed anything.
//! Failure: none of its own; it misbehaves on request ([`Fault`]) or at random, repeatably ([`Chaos`]).
//!
//! What is known of the vendor's schema, and how well, is told in [`SDL`].

mod answer;
mod budget;
mod execute;
mod faults;
mod filter;
mod http;
mod money;
mod notice;
mod order;
mod payment;
mod person;
mod render;
mod resolve;
mod sample;
mod server;
mod settings;
mod shop;
#[cfg(test)]
mod tests;

pub use self::{
    budget::{Budgets, Quota, RetryAfter},
    faults::{Chaos, Fault, On},
    money::Money,
    order::{Line, Order},
    payment::{Device, Payment, PaymentMethod},
    person::{Address, Customer},
    server::{Centra, StartError},
    settings::Settings,
    shop::{Kind, Mutation, Requests},
};

/// The schema that a shop serves unless [`Settings::sdl`] says otherwise.
pub const SDL: &str = touchstone_schema::centra::SDL;
