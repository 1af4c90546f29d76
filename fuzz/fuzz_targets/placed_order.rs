//! A body of `POST /v1/orders`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| touchstone_ingest::invariants::placed_order(bytes));
