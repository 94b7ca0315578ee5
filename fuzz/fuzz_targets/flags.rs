//! See `check` in `src/flags.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| xray_fuzz::flags::check(input));
