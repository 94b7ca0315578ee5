//! See `check` in `src/spool_files.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| xray_fuzz::spool_files::check(input));
