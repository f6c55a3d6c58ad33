//! Frames of the server: another decoder reads the payloads that were put in.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bist_fuzz::websocket::server_frames(data));
