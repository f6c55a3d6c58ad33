//! A client's frames: the same in pieces as in one, and the same messages as another decoder reads.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bist_fuzz::websocket::frames(data));
