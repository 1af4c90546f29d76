//! Any JSON document.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| touchstone_schema::json::invariants::document(bytes));
