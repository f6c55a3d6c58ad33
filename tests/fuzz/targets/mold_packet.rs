//! A MoldUDP64 datagram or request: what is accepted is written again to the same bytes.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bist_fuzz::wire::mold_packet(data));
