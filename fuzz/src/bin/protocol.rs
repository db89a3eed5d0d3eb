#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| creance_fuzz::protocol(bytes));
