//! A script of packets, idle turns and skips: every number comes once, in order, or is named as lost once.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bist_fuzz::wire::sequencer(data));
