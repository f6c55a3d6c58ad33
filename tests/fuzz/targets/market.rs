//! Random operations: the fast market, replicas, snapshots, look-ahead and levels without queues equal the plain market.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bist_fuzz::market::operations(data));
