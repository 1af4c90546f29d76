//! Documents as they are sent in earnest: what spoilt ones are made of, and where the fuzz targets begin.

/// Signed orders, all fields in their documented form and all fields odd.
pub const SIGNED_ORDERS: &[&[u8]] =
    &[include_bytes!("../samples/signed_order/full.json"), include_bytes!("../samples/signed_order/odd.json")];
/// Checks of a transaction and of a cart.
pub const CHECKS: &[&[u8]] =
    &[include_bytes!("../samples/check/full.json"), include_bytes!("../samples/check/cart.json")];
/// Updates of checks.
pub const CHECK_UPDATES: &[&[u8]] =
    &[include_bytes!("../samples/check_update/order.json"), include_bytes!("../samples/check_update/cart.json")];
/// Orders of the orders surface.
pub const PLACED_ORDERS: &[&[u8]] = &[include_bytes!("../samples/placed_order/full.json")];
/// Notices of Centra: of an order that waits, of a payment that failed.
pub const CENTRA_NOTICES: &[&[u8]] =
    &[include_bytes!("../samples/centra_notice/waiting.json"), include_bytes!("../samples/centra_notice/failed.json")];
/// Orders as Centra's Integration API answers them.
pub const CENTRA_ORDERS: &[&[u8]] = &[include_bytes!("../samples/centra_order/full.json")];
/// Files of past orders as CSV: UTF-8, Windows-1252, UTF-16.
pub const CSV_FILES: &[&[u8]] = &[
    include_bytes!("../samples/csv/comma.csv"),
    include_bytes!("../samples/csv/sheet.csv"),
    include_bytes!("../samples/csv/utf16.csv"),
];
/// Files of past orders as JSONP and as lines.
pub const JSONP_FILES: &[&[u8]] =
    &[include_bytes!("../samples/jsonp/guarded.js"), include_bytes!("../samples/jsonp/lines.ndjson")];

/// The first of some samples, all of which are JSON or begin with one that is.
///
/// # Panics
/// When it is no JSON.
pub fn first_document(samples: &[&[u8]]) -> serde_json::Value {
    serde_json::from_slice(samples[0]).expect("the first sample is JSON")
}
