//! Two lines with loss, repeats and disorder, with and without a server: the one stream is what was sent.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bist_fuzz::lines::two_lines(data));
