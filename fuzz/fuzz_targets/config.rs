//! See `check` in `src/config.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| xray_fuzz::config::check(input));
