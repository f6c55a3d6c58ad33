//! BISTECH messages: a message is decoded whole or refused with nothing of it given out, and both are counted.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bist_fuzz::wire::bistech_decode(data));
