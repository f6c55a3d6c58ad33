//! A configuration file of any text: refused by name, or read; and what `bist config --print` shows is read as the same.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bist_fuzz::settings::settings(data));
