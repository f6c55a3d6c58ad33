//! A command in JSON: within its ranges, and the same again when it is written as the page says; or a bounded refusal.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bist_fuzz::websocket::request(data));
