//! An order as Centra answers it.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| touchstone_notifier::invariants::centra_order(bytes));
