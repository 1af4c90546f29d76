//! A body of a check.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| touchstone_ingest::invariants::check(bytes));
