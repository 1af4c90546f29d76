//! The checks surface's documents: a check of a transaction or cart becomes a canonical order, an update becomes changes
//! to what is known of it (contract section 3).
//!
//! Guarantee: pure; the same document always reads the same. The `document` of a [`Check`] is accepted by
//! [`crate::order::Order::parse`], keeps the original whole under [`ORIGINAL`], and holds no full card number. Money never
//! passes through a float.
//! Failure: all faults at once, each with the pointer into the document as it was sent and what was expected, never the
//! value.

mod canonical;
mod check;
mod moment;
mod sale;
mod state;
#[cfg(test)]
mod tests;
mod transitions;
mod update;
mod words;

pub use check::{Check, read_check};
pub use moment::parse_moment;
pub use state::{Meaning, State};
pub use transitions::{Flag, is_drawn};
pub use update::{Change, Update, read_update};
pub use words::{CancelledReason, ChargebackStatus, CheckStatus, FraudType, PaymentStatus, ReturnReason};

use crate::ids::TransactionId;
use crate::secret::Secret;
use crate::tenant::{KeyMode, wire_enum};

/// Member of a canonical order that holds the check as it was sent.
pub const ORIGINAL: &str = "check";
/// Member of a canonical order that tells whether the check was of a transaction or a cart.
pub const SUBJECT: &str = "check_subject";

wire_enum! {
    /// What a check is about. Carts and transactions do not share ids.
    Subject {
        /// An authorized purchase.
        Transaction = "transaction",
        /// A shopping cart.
        Cart = "cart",
    }
}

impl Subject {
    /// The member of the documents that names one.
    pub const fn id_member(self) -> &'static str {
        match self {
            Self::Transaction => "order_id",
            Self::Cart => "cart_id",
        }
    }

    /// The transaction that a checked order or cart is kept under.
    pub fn transaction_id(self, data_key: &Secret, mode: KeyMode, id: &str) -> TransactionId {
        match self {
            Self::Transaction => TransactionId::of_order(data_key, mode, crate::tenant::Surface::Checks, id),
            Self::Cart => TransactionId::of_cart(data_key, mode, id),
        }
    }
}
