//! See `check` in `src/to_segments.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| xray_fuzz::to_segments::check(input));
