//! A file of past orders, as CSV.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| touchstone_scorer::backfill::invariants::csv_file(bytes));
