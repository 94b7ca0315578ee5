//! See `check` in `src/filter.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| xray_fuzz::filter::check(input));
