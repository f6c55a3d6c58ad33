//! A file of unknown format: packed by gzip or zstd it gives the same slots.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bist_fuzz::recording::unknown(data));
