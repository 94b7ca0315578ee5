//! See `check` in `src/body.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| xray_fuzz::body::check(input));
