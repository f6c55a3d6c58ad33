//! ITCH 5.0 messages: a message is decoded whole or refused with nothing of it given out.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bist_fuzz::wire::itch50_decode(data));
