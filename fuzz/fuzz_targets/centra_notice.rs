//! A body that Centra sends.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| touchstone_ingest::invariants::centra_notice(bytes));
