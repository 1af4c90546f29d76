//! What reading rows costs.

use touchstone_hostile::{
    Form, Shape, assert_mutations_within_budget, assert_within_budget, csv_rows, documents, samples,
};

use super::super::invariants;
use super::*;

/// Reads a file of a few rows.
fn read(shape: &Shape, format: Format) -> Result<Vec<Batch>, BackfillError> {
    invariants::read(&Arc::new(Policy::built_in()), Some(format), &[shape.text.as_bytes()])
}

#[test]
fn reading_a_row_of_json_costs_a_fixed_multiple_of_its_bytes_whatever_its_shape() {
    let form = Form {
        members: r#""transaction":{"order_id":"A-1","ordered_on":"2026-01-02 03:04:05","order_total":"129.90"}"#,
        list: "products",
        item: r#"{"product_id":7,"title":"Shoe","price":62.5,"quantity":2}"#,
    };
    assert_within_budget(&documents(form), |shape| read(shape, Format::Lines));
}

#[test]
fn reading_a_row_of_csv_costs_a_fixed_multiple_of_its_bytes_whatever_its_shape() {
    let members = [
        ("transaction.order_id", "A-1"),
        ("transaction.ordered_on", "2026-01-02 03:04:05"),
        ("transaction.order_total", "129.90"),
    ];
    let shapes = csv_rows(&members);
    assert!(shapes.iter().all(|shape| read(shape, Format::Csv).is_ok_and(|batches| batches.len() == 1)));
    assert_within_budget(&shapes, |shape| read(shape, Format::Csv));
}

#[test]
fn reading_mutations_of_a_row_costs_a_fixed_multiple_of_their_bytes() {
    let policy = Arc::new(Policy::built_in());
    assert_mutations_within_budget(&samples::first_document(samples::CHECKS), |text| {
        invariants::read(&policy, Some(Format::Lines), &[text.as_bytes()])
    });
}
