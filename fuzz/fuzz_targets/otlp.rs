//! See `check` in `src/otlp.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| xray_fuzz::otlp::check(input));
