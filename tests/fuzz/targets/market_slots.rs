//! Slots of any bytes: no look-ahead, no missing queue and no stray kind changes a level or breaks a link.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bist_fuzz::market::slots(data));
