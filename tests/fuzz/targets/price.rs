//! Prices as text: printed and read are the same, and fewer decimals cut.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bist_fuzz::price::price(data));
