//! A body of `POST /v1/analyze`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| touchstone_ingest::invariants::signed_order(bytes));
