//! See `check` in `src/datagram.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| xray_fuzz::datagram::check(input));
