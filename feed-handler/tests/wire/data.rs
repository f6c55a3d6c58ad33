//! The recordings these tests read, and how they are framed. A test whose data is absent says so and passes.

use std::io::Read;
use std::io::Write as _;
use std::path::PathBuf;

/// The bytes of a recording (`.gz` unpacked), or `None` with a line on the test's output when it is not there.
pub fn read(name: &str) -> Option<Vec<u8>> {
    let root = std::env::var_os("BIST_SHARED_DATA")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"), PathBuf::from);
    let path = root.join(name);
    let Ok(bytes) = std::fs::read(&path) else {
        // Past the test runner's capture: who sees green should also see what did not run.
        let _ = writeln!(std::io::stderr(), "skipped: no recording {}", path.display());
        return None;
    };
    if !name.ends_with(".gz") {
        return Some(bytes);
    }
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(bytes.as_slice()).read_to_end(&mut unpacked).expect("a whole gzip file");
    Some(unpacked)
}

/// Messages behind two-byte lengths; a length of zero is taken from the type by `length_of`.
pub fn framed(bytes: &[u8], length_of: impl Fn(u8) -> Option<usize>) -> Vec<&[u8]> {
    let mut messages = Vec::new();
    let mut rest = bytes;
    while let [high, low, after @ ..] = rest {
        let length = match usize::from(u16::from_be_bytes([*high, *low])) {
            0 => length_of(after[0]).expect("a type that exists"),
            length => length,
        };
        let (message, next) = after.split_at(length);
        messages.push(message);
        rest = next;
    }
    assert!(rest.is_empty(), "a byte is left over");
    messages
}

/// How many messages there are of each type.
pub fn count_by_type<'a>(messages: impl IntoIterator<Item = &'a [u8]>) -> Vec<(char, u64)> {
    let mut counts = std::collections::BTreeMap::new();
    for message in messages {
        *counts.entry(char::from(message[0])).or_insert(0) += 1;
    }
    counts.into_iter().collect()
}

/// UDP payloads of a capture of Ethernet, IPv4 and UDP, in order.
pub fn udp_payloads(capture: &[u8]) -> Vec<Vec<u8>> {
    use pcap_parser::traits::PcapReaderIterator;
    use pcap_parser::{LegacyPcapReader, PcapBlockOwned, PcapError};
    let mut payloads = Vec::new();
    let mut reader = LegacyPcapReader::new(65_536, capture).expect("a capture file");
    loop {
        match reader.next() {
            Ok((offset, block)) => {
                if let PcapBlockOwned::Legacy(frame) = block {
                    let packet = etherparse::SlicedPacket::from_ethernet(frame.data).expect("an Ethernet frame");
                    if let Some(etherparse::TransportSlice::Udp(udp)) = packet.transport {
                        payloads.push(udp.payload().to_vec());
                    }
                }
                reader.consume(offset);
            }
            Err(PcapError::Eof) => return payloads,
            Err(PcapError::Incomplete(_)) => reader.refill().expect("more of the capture"),
            Err(error) => panic!("damaged capture: {error:?}"),
        }
    }
}
