//! What holds of the reader of a shop's orders whatever the shop answers. Property tests and fuzz targets call this
//! function, which panics where it does not hold.

use touchstone_schema::card;
use touchstone_schema::json::Json;
use touchstone_schema::order::Order;

use super::order::{Unmappable, document};

/// An order as the shop's Integration API answers it, which also stands for the notice that announced it.
///
/// # Panics
/// When something does not hold.
pub fn centra_order(answer: &[u8]) {
    let Ok(text) = std::str::from_utf8(answer) else { return };
    for notice in [None, Some(text)] {
        match document(text, notice) {
            Ok(canonical) => {
                let mut json = Json::parse_text(&canonical).expect("the canonical order is JSON");
                Order::parse(&json).expect("the scorer reads it");
                assert!(!card::mask(&mut json), "a card number travels: {canonical}");
            }
            Err(Unmappable::Total | Unmappable::Unreadable) => {}
            Err(Unmappable::Faulty(fault)) => assert_is_required(&fault),
        }
    }
}

/// Only the id and the total may stop an order: one without an id cannot be found again, and a total below zero is none.
fn assert_is_required(fault: &str) {
    let required = ["/order_id: ", "/amount: "];
    assert!(required.iter().any(|field| fault.starts_with(field)), "an optional member stops an order: {fault}");
}

#[cfg(test)]
mod tests {
    use touchstone_hostile::{assert_holds, assert_mutations_within_budget, samples};

    use super::*;

    #[test]
    fn any_order_of_a_shop_with_total_and_id_is_screened() {
        assert_holds(samples::CENTRA_ORDERS, centra_order);
    }

    #[test]
    fn mutations_of_a_shops_order_are_screened_at_a_fixed_multiple_of_their_bytes() {
        assert_mutations_within_budget(&samples::first_document(samples::CENTRA_ORDERS), |text| {
            match document(text, None) {
                Ok(_) | Err(Unmappable::Total) => {}
                Err(Unmappable::Faulty(fault)) => assert_is_required(&fault),
                Err(Unmappable::Unreadable) => panic!("JSON must be read: {text}"),
            }
        });
    }
}
