//! A pcap, pcapng or file of datagrams: what is counted is what was given out, and no byte is read twice.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bist_fuzz::recording::capture(data));
