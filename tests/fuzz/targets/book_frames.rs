//! Random operations as frames: a client that knows only the protocol rebuilds every level and checksum.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bist_fuzz::frames::book_frames(data));
