//! The catalogue: one file a group, one function a signal.
//!
//! Adding a signal: write its function and its [`Signal`] entry in the file of its group, and a test that it fires and
//! one that it does not; then let the test of [`reference`] write `docs/signals.md` anew. Nothing else changes.

pub mod address;
pub mod amount;
mod calling_codes;
mod distance;
pub mod email;
pub mod geography;
mod gibberish;
pub mod identity;
pub mod issuer;
mod language;
pub mod lists;
mod mailbox;
pub mod network;
pub mod outcomes;
#[cfg(test)]
mod reference;
mod time_zones;
pub mod velocity;
mod words;

use super::Signal;

/// Every signal, by group.
pub const CATALOGUE: &[&[Signal]] = &[
    issuer::SIGNALS,
    geography::SIGNALS,
    network::SIGNALS,
    email::SIGNALS,
    identity::SIGNALS,
    address::SIGNALS,
    amount::SIGNALS,
    velocity::SIGNALS,
    outcomes::SIGNALS,
    lists::SIGNALS,
];

/// The signal with this code.
pub fn find(code: &str) -> Option<&'static Signal> {
    CATALOGUE.iter().copied().flatten().find(|signal| signal.code == code)
}
