//! A LOBSTER file: at most a row for each line; a cut one gives what came before.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bist_fuzz::recording::lobster(data));
