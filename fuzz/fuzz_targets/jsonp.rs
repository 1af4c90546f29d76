//! A file of past orders, as JSONP.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| touchstone_scorer::backfill::invariants::jsonp_file(bytes));
