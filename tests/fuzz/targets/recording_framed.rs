//! A file of messages with lengths: whole messages are all bytes up to the end or the offset of the error.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bist_fuzz::recording::framed(data));
