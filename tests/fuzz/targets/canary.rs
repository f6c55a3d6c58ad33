//! Fails on purpose, behind five bytes that only coverage and comparisons lead to: a run that does not find it finds nothing.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bist_fuzz::canary::canary(data));
