//! The orders surface (contract section 2): an order is taken and promised, and what became of it is asked for.
//!
//! Guarantee: 202 only when the order and its promise are committed and its message is confirmed. A site's order number
//! names one order; whoever sends it again is told where that order is.
//! Failure: what was committed but not confirmed is answered 503 and is screened all the same, because the sweep finds it;
//! sent again it is 409 with its place.

mod canonical;
mod check;
mod document;
pub(crate) mod refusal;
pub(crate) mod show;
mod standing;
pub(crate) mod submit;
pub(crate) mod tables;
mod trial;

use touchstone_schema::ids::PlacedOrderId;

/// Where an order is found.
fn location(id: PlacedOrderId) -> String {
    format!("/v1/orders/{id}")
}
