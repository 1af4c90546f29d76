//! The lenient reader that every surface reads orders with.
//!
//! Guarantee: an optional field never stops an order. A value in an unusual but clear form (`"1"` for true, a time
//! without an offset, `ip:port`) is read; one that cannot be read counts as absent and becomes a [`Warning`]; one that
//! stands for a missing value (`guest`, `0`, all-zero telephone numbers) counts as absent too. Reading is pure and
//! deterministic, and no input panics.
//! Failure: required fields are refused with a [`Fault`] each; with [`Handling::Strict`] everything else that is not in
//! the documented form is refused too.
//!
//! [`Warning`]: crate::warning::Warning
//! [`Fault`]: crate::fault::Fault

mod findings;
mod forms;
mod numerals;
mod placeholder;
mod reading;
mod section;

pub use findings::{Findings, Handling};
pub use forms::{Expiry, IpForm, Moment, boolean, country, decimal, expiry, ip_address, moment};
pub use numerals::to_ascii_digits;
pub use placeholder::{Identity, is_own_mailbox, is_placeholder};
pub use reading::{fits, is_digits, is_empty};
pub use section::{ExpiryForm, Section, TimeForm};
