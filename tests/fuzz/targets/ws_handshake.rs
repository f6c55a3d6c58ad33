//! The head of a request: answered once, with the key another implementation computes, in one HTTP response.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bist_fuzz::websocket::handshake(data));
