//! A DBN file: records are all bytes up to the end or the offset of the error; a cut one gives what came before.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bist_fuzz::recording::dbn(data));
