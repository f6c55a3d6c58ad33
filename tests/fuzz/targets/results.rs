//! A result of `bist bench` of any text, or with any bytes for a histogram: refused with words, or as good as itself.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bist_fuzz::results::results(data));
