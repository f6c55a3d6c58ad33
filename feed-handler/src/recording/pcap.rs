//! UDP payloads out of packet captures: pcap (micro- and nanoseconds, both byte orders) and pcapng.
//!
//! Frames that are not UDP over IP are counted and passed over, and so are fragments: no exchange feed of ours is
//! fragmented. Knows nothing of what the payload is. Link types: Ethernet (with 802.1Q and QinQ), raw IP, Linux
//! cooked (both), BSD loopback.

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

use book::Nanos;
use etherparse::{EtherType, NetSlice, SlicedPacket, TransportSlice};
use pcap_parser::pcapng::{self, Block};
use pcap_parser::traits::PcapNGPacketBlock;
use pcap_parser::{Linktype, parse_pcap_frame, parse_pcap_frame_be, parse_pcap_header};

use super::error::{ReadError, end_of};
use super::input::{Input, PEEK_MAX};

const FILE_HEAD: usize = 24;
const RECORD_HEAD: usize = 16;
/// Type and length of a pcapng block.
const BLOCK_HEAD: usize = 8;
const SECTION_HEADER: u32 = 0x0A0D_0D0A;
/// The Packet Block, superseded by the enhanced one and still found (pcapng draft, appendix A).
const PACKET_BLOCK: u32 = 2;
/// What stands before its frame: block head, interface and drops, clock, bytes captured, bytes on the wire.
const PACKET_BLOCK_HEAD: usize = 28;
/// Interfaces of one pcapng section that are kept; packets of further ones are passed over.
const INTERFACES_MAX: usize = 256;
const SECOND_NS: u64 = 1_000_000_000;

/// A packet capture.
pub struct Capture {
    input: Input,
    lent: usize,
    layout: Layout,
    skipped: Skipped,
}

/// Frames that were passed over, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Skipped {
    /// Not UDP over IP: ARP, TCP, and whatever else runs on the wire.
    pub not_udp: u64,
    /// Cut by the capture's snap length or otherwise not readable as what it claims to be.
    pub unreadable: u64,
    /// Fragments of an IP packet.
    pub fragments: u64,
    /// On a link of a type that is not read, or of an interface that was not described.
    pub link: u64,
}

/// One UDP payload.
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    /// Clock of the capture.
    pub captured_ns: Nanos,
    /// Where it was sent to.
    pub destination: SocketAddr,
    /// The payload.
    pub payload: &'a [u8],
}

enum Layout {
    Classic { big_endian: bool, tick_ns: u64, link: Linktype },
    Blocks { big_endian: bool, interfaces: Vec<Interface> },
}

#[derive(Clone, Copy)]
struct Interface {
    link: Linktype,
    ticks_per_second: u64,
    offset_seconds: i64,
}

/// Whether `head` is the start of a capture.
#[must_use]
pub fn is_capture(head: &[u8]) -> bool {
    match head.first_chunk::<4>() {
        Some(&magic) => {
            matches!(u32::from_le_bytes(magic), 0xA1B2_C3D4 | 0xA1B2_3C4D | 0xD4C3_B2A1 | 0x4D3C_B2A1 | SECTION_HEADER)
        }
        None => false,
    }
}

impl Capture {
    /// Reads from `input`, which [`is_capture`] said yes to.
    ///
    /// # Errors
    /// The head is cut or is not one of a capture.
    pub fn new(mut input: Input) -> Result<Self, ReadError> {
        let head = input.peek(FILE_HEAD);
        if head.starts_with(&SECTION_HEADER.to_be_bytes()) {
            // The section's own block says its byte order; until it is read no other block can come.
            let layout = Layout::Blocks { big_endian: false, interfaces: Vec::new() };
            return Ok(Self { input, lent: 0, layout, skipped: Skipped::default() });
        }
        if head.len() < FILE_HEAD {
            end_of(&mut input, "the head of the capture")?;
            return Err(ReadError::Truncated { offset: 0, inside: "the head of the capture" });
        }
        let Ok((_, header)) = parse_pcap_header(&head[..FILE_HEAD]) else {
            return Err(ReadError::Damaged { offset: 0, what: "not the head of a capture" });
        };
        let tick_ns = if header.is_nanosecond_precision() { 1 } else { 1_000 };
        // The upper bits say whether a frame check sequence follows; the rest is the type.
        let link = Linktype(header.network.0 & 0xFFFF);
        let layout = Layout::Classic { big_endian: header.is_bigendian(), tick_ns, link };
        input.consume(FILE_HEAD);
        Ok(Self { input, lent: 0, layout, skipped: Skipped::default() })
    }

    /// The next UDP payload; `None` at the end.
    ///
    /// # Errors
    /// The file ends inside a record, or a record is longer than any can be.
    pub fn next_datagram(&mut self) -> Result<Option<Datagram<'_>>, ReadError> {
        loop {
            self.input.consume(std::mem::take(&mut self.lent));
            let frame = match &mut self.layout {
                Layout::Classic { big_endian, tick_ns, link } => {
                    classic(&mut self.input, &mut self.lent, *big_endian, *tick_ns, *link)?
                }
                Layout::Blocks { big_endian, interfaces } => {
                    block(&mut self.input, &mut self.lent, big_endian, interfaces)?
                }
            };
            let frame = match frame {
                Found::End => return Ok(None),
                Found::Nothing => continue,
                Found::UnknownLink => {
                    self.skipped.link += 1;
                    continue;
                }
                Found::Frame(frame) => frame,
            };
            match udp(frame.link, &self.input.peek(0)[frame.bytes.clone()]) {
                Ok((destination, payload)) => {
                    let payload = frame.bytes.start + payload.start..frame.bytes.start + payload.end;
                    let payload = &self.input.peek(0)[payload];
                    return Ok(Some(Datagram { captured_ns: frame.captured_ns, destination, payload }));
                }
                Err(Skip::NotUdp) => self.skipped.not_udp += 1,
                Err(Skip::Unreadable) => self.skipped.unreadable += 1,
                Err(Skip::Fragment) => self.skipped.fragments += 1,
                Err(Skip::Link) => self.skipped.link += 1,
            }
        }
    }

    /// Frames passed over so far.
    #[must_use]
    pub fn skipped(&self) -> Skipped {
        self.skipped
    }

    /// The stream below.
    #[must_use]
    pub fn input(&self) -> &Input {
        &self.input
    }
}

struct Frame {
    captured_ns: Nanos,
    link: Linktype,
    /// Where it stands in what the input shows now.
    bytes: Range<usize>,
}

enum Found {
    Frame(Frame),
    /// A block that holds no frame.
    Nothing,
    UnknownLink,
    End,
}

fn classic(
    input: &mut Input,
    lent: &mut usize,
    big_endian: bool,
    tick_ns: u64,
    link: Linktype,
) -> Result<Found, ReadError> {
    let head = input.peek(RECORD_HEAD);
    if head.len() < RECORD_HEAD {
        return end_of(input, "the head of a record").map(|()| Found::End);
    }
    let stated = [head[8], head[9], head[10], head[11]];
    let length = if big_endian { u32::from_be_bytes(stated) } else { u32::from_le_bytes(stated) } as usize;
    if length > PEEK_MAX - RECORD_HEAD {
        let offset = input.offset();
        return Err(ReadError::Damaged { offset, what: "a record longer than any can be" });
    }
    let bytes = input.peek(RECORD_HEAD + length);
    let parse = if big_endian { parse_pcap_frame_be } else { parse_pcap_frame };
    let Ok((_, record)) = parse(bytes) else {
        return end_of(input, "a record").map(|()| Found::End);
    };
    let captured_ns = u64::from(record.ts_sec) * SECOND_NS + u64::from(record.ts_usec) * tick_ns;
    *lent = RECORD_HEAD + length;
    Ok(Found::Frame(Frame { captured_ns, link, bytes: RECORD_HEAD..RECORD_HEAD + length }))
}

fn block(
    input: &mut Input,
    lent: &mut usize,
    big_endian: &mut bool,
    interfaces: &mut Vec<Interface>,
) -> Result<Found, ReadError> {
    let head = input.peek(BLOCK_HEAD + 4);
    if head.len() < BLOCK_HEAD + 4 {
        return end_of(input, "the head of a block").map(|()| Found::End);
    }
    if head.starts_with(&SECTION_HEADER.to_be_bytes()) {
        *big_endian = head[8..12] == [0x1A, 0x2B, 0x3C, 0x4D];
        interfaces.clear();
    }
    let stated = [head[4], head[5], head[6], head[7]];
    let length = if *big_endian { u32::from_be_bytes(stated) } else { u32::from_le_bytes(stated) } as usize;
    if length < BLOCK_HEAD + 4 || !length.is_multiple_of(4) {
        let offset = input.offset();
        return Err(ReadError::Damaged { offset, what: "a block of an impossible length" });
    }
    if length > PEEK_MAX {
        // OK because no packet is that long: names, secrets or a comment of somebody's, which may be.
        let offset = input.offset();
        let whole = input.skip(length as u64);
        return if whole { Ok(Found::Nothing) } else { Err(ReadError::Truncated { offset, inside: "a block" }) };
    }
    let bytes = input.peek(length);
    if bytes.len() < length {
        return end_of(input, "a block").map(|()| Found::End);
    }
    *lent = length;
    let bytes = &bytes[..length];
    let parse = if *big_endian { pcapng::parse_block_be } else { pcapng::parse_block_le };
    let Ok((_, block)) = parse(bytes) else {
        let offset = input.offset();
        return Err(ReadError::Damaged { offset, what: "a block that contradicts itself" });
    };
    Ok(match block {
        Block::InterfaceDescription(described) => {
            if interfaces.len() < INTERFACES_MAX {
                interfaces.push(Interface {
                    link: described.linktype,
                    ticks_per_second: described.ts_resolution().filter(|&ticks| ticks > 0).unwrap_or(1_000_000),
                    offset_seconds: described.ts_offset(),
                });
            }
            Found::Nothing
        }
        Block::EnhancedPacket(packet) => match interfaces.get(packet.if_id as usize) {
            None => Found::UnknownLink,
            Some(interface) => {
                let ticks = u64::from(packet.ts_high) << 32 | u64::from(packet.ts_low);
                found(bytes, packet.packet_data(), interface, ticks)
            }
        },
        // A simple packet has no time and no interface number: it belongs to the first one.
        Block::SimplePacket(packet) => match interfaces.first() {
            None => Found::UnknownLink,
            Some(interface) => found(bytes, packet.packet_data(), interface, 0),
        },
        Block::Unknown(unknown) if unknown.block_type == PACKET_BLOCK => {
            let Some(frame) = packet_block(bytes, *big_endian, interfaces) else {
                let offset = input.offset();
                return Err(ReadError::Damaged { offset, what: "a block that contradicts itself" });
            };
            frame
        }
        _ => Found::Nothing,
    })
}

/// The frame of a Packet Block; `None` when it states more bytes than it has.
fn packet_block(block: &[u8], big_endian: bool, interfaces: &[Interface]) -> Option<Found> {
    let word = |at: usize| {
        let bytes = *block.get(at..)?.first_chunk()?;
        Some(if big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    };
    let number = *block.get(BLOCK_HEAD..)?.first_chunk()?;
    let number = if big_endian { u16::from_be_bytes(number) } else { u16::from_le_bytes(number) };
    let ticks = u64::from(word(12)?) << 32 | u64::from(word(16)?);
    let end = PACKET_BLOCK_HEAD.checked_add(word(20)? as usize)?;
    let data = block.get(..block.len() - size_of::<u32>())?.get(PACKET_BLOCK_HEAD..end)?;
    let Some(interface) = interfaces.get(usize::from(number)) else { return Some(Found::UnknownLink) };
    Some(found(block, data, interface, ticks))
}

fn found(block: &[u8], data: &[u8], interface: &Interface, ticks: u64) -> Found {
    let Some(bytes) = range_in(block, data) else { return Found::Nothing };
    let per_second = u128::from(interface.ticks_per_second);
    let since_ns = (u128::from(ticks) * u128::from(SECOND_NS) / per_second) as i128;
    let captured_ns = since_ns + i128::from(interface.offset_seconds) * i128::from(SECOND_NS);
    let captured_ns = u64::try_from(captured_ns).unwrap_or(0);
    Found::Frame(Frame { captured_ns, link: interface.link, bytes })
}

enum Skip {
    NotUdp,
    Unreadable,
    Fragment,
    Link,
}

/// Destination and place of the UDP payload inside `frame`.
fn udp(link: Linktype, frame: &[u8]) -> Result<(SocketAddr, Range<usize>), Skip> {
    let sliced = match link.0 {
        1 => SlicedPacket::from_ethernet(frame),
        // Raw IP under its registered number and those of several BSDs.
        12 | 14 | 101 | 228 | 229 => SlicedPacket::from_ip(frame),
        113 => SlicedPacket::from_linux_sll(frame),
        // Linux cooked, second version: the protocol first, 20 bytes in all.
        276 if frame.len() >= 20 => {
            SlicedPacket::from_ether_type(EtherType(u16::from_be_bytes([frame[0], frame[1]])), &frame[20..])
        }
        // BSD loopback: four bytes that name the address family in somebody's byte order.
        0 | 108 if frame.len() >= 4 => SlicedPacket::from_ip(&frame[4..]),
        0 | 108 | 276 => return Err(Skip::Unreadable),
        _ => return Err(Skip::Link),
    };
    let sliced = sliced.map_err(|_| Skip::Unreadable)?;
    if sliced.is_ip_payload_fragmented() {
        return Err(Skip::Fragment);
    }
    let Some(TransportSlice::Udp(datagram)) = &sliced.transport else { return Err(Skip::NotUdp) };
    let address = match &sliced.net {
        Some(NetSlice::Ipv4(ip)) => IpAddr::V4(ip.header().destination_addr()),
        Some(NetSlice::Ipv6(ip)) => IpAddr::V6(ip.header().destination_addr()),
        _ => return Err(Skip::NotUdp),
    };
    let payload = range_in(frame, datagram.payload()).ok_or(Skip::Unreadable)?;
    Ok((SocketAddr::new(address, datagram.destination_port()), payload))
}

/// Where `inner` stands inside `outer`, of which it is a part.
fn range_in(outer: &[u8], inner: &[u8]) -> Option<Range<usize>> {
    let start = (inner.as_ptr() as usize).checked_sub(outer.as_ptr() as usize)?;
    let end = start.checked_add(inner.len())?;
    (end <= outer.len()).then_some(start..end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use etherparse::PacketBuilder;

    const PAYLOAD: &[u8] = b"payload";

    fn ethernet(tags: usize) -> Vec<u8> {
        let builder = PacketBuilder::ethernet2([1; 6], [2; 6]);
        let mut bytes = Vec::new();
        let vlan = |number| etherparse::VlanId::try_new(number).unwrap();
        match tags {
            0 => builder.ipv4([10, 0, 0, 1], [233, 252, 0, 1], 16).udp(5, 21_001).write(&mut bytes, PAYLOAD),
            1 => builder
                .single_vlan(vlan(7))
                .ipv4([10, 0, 0, 1], [233, 252, 0, 1], 16)
                .udp(5, 21_001)
                .write(&mut bytes, PAYLOAD),
            _ => builder
                .double_vlan(vlan(7), vlan(8))
                .ipv4([10, 0, 0, 1], [233, 252, 0, 1], 16)
                .udp(5, 21_001)
                .write(&mut bytes, PAYLOAD),
        }
        .unwrap();
        bytes
    }

    fn classic_file(big_endian: bool, nanoseconds: bool, link: u32, frames: &[Vec<u8>]) -> Vec<u8> {
        let number = |value: u32| if big_endian { value.to_be_bytes() } else { value.to_le_bytes() };
        let mut bytes = number(if nanoseconds { 0xA1B2_3C4D } else { 0xA1B2_C3D4 }).to_vec();
        bytes.extend(if big_endian { [0, 2, 0, 4] } else { [2, 0, 4, 0] });
        for value in [0, 0, 65_535, link] {
            bytes.extend(number(value));
        }
        for (at, frame) in frames.iter().enumerate() {
            for value in [100 + at as u32, 7, frame.len() as u32, frame.len() as u32] {
                bytes.extend(number(value));
            }
            bytes.extend(frame);
        }
        bytes
    }

    fn block_of(kind: u32, body: &[u8]) -> Vec<u8> {
        let length = (body.len().next_multiple_of(4) + 12) as u32;
        let mut bytes = [kind.to_le_bytes(), length.to_le_bytes()].concat();
        bytes.extend(body);
        bytes.resize(length as usize - 4, 0);
        bytes.extend(length.to_le_bytes());
        bytes
    }

    /// One section, one Ethernet interface with nanosecond ticks, one packet.
    fn blocks_file(frame: &[u8], time_ns: u64) -> Vec<u8> {
        let mut section = 0x1A2B_3C4Du32.to_le_bytes().to_vec();
        section.extend([1, 0, 0, 0]);
        section.extend([0xFF; 8]);
        let mut interface = vec![1, 0, 0, 0, 0, 0, 4, 0];
        interface.extend([9, 0, 1, 0, 9, 0, 0, 0, 0, 0, 0, 0]); // if_tsresol = 9, end of options
        let mut packet = vec![0; 4];
        packet.extend(((time_ns >> 32) as u32).to_le_bytes());
        packet.extend((time_ns as u32).to_le_bytes());
        packet.extend((frame.len() as u32).to_le_bytes());
        packet.extend((frame.len() as u32).to_le_bytes());
        packet.extend(frame);
        [block_of(SECTION_HEADER, &section), block_of(1, &interface), block_of(6, &packet)].concat()
    }

    type Seen = Vec<(Nanos, SocketAddr, Vec<u8>)>;

    fn read(bytes: Vec<u8>) -> (Seen, Skipped, Option<ReadError>) {
        let mut capture = match Capture::new(Input::from_bytes(bytes).unwrap()) {
            Ok(capture) => capture,
            Err(error) => return (Vec::new(), Skipped::default(), Some(error)),
        };
        let mut seen = Vec::new();
        let error = loop {
            match capture.next_datagram() {
                Ok(Some(datagram)) => {
                    seen.push((datagram.captured_ns, datagram.destination, datagram.payload.to_vec()));
                }
                Ok(None) => break None,
                Err(error) => break Some(error),
            }
        };
        (seen, capture.skipped(), error)
    }

    #[test]
    fn both_byte_orders_and_clocks_and_tagged_frames_are_read() {
        let destination: SocketAddr = "233.252.0.1:21001".parse().unwrap();
        for (big_endian, nanoseconds) in [(false, false), (false, true), (true, false), (true, true)] {
            let file = classic_file(big_endian, nanoseconds, 1, &[ethernet(0), ethernet(1), ethernet(2)]);
            let (seen, skipped, error) = read(file);
            assert!(error.is_none() && skipped == Skipped::default());
            let tick = if nanoseconds { 1 } else { 1_000 };
            let expected: Vec<_> =
                (100..103).map(|second| (second * SECOND_NS + 7 * tick, destination, PAYLOAD.to_vec())).collect();
            assert_eq!(seen, expected);
        }
    }

    #[test]
    fn other_links_carry_the_same_payload() {
        let ip = ethernet(0)[14..].to_vec();
        let cooked = [&[0, 0, 0, 1, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0][..], &ip].concat();
        let cooked2 = [&[8, 0][..], &[0; 18], &ip].concat();
        let loopback = [&[2, 0, 0, 0][..], &ip].concat();
        for (link, frame) in [(101, ip), (113, cooked), (276, cooked2), (0, loopback)] {
            let (seen, skipped, _) = read(classic_file(false, true, link, &[frame]));
            assert_eq!((seen.len(), skipped), (1, Skipped::default()), "link {link}");
            assert_eq!(seen[0].2, PAYLOAD);
        }
        let (seen, skipped, _) = read(classic_file(false, true, 147, &[ethernet(0)]));
        assert_eq!((seen.len(), skipped.link), (0, 1));
    }

    #[test]
    fn what_is_not_udp_is_counted_and_passed_over() {
        let mut tcp = Vec::new();
        let builder = PacketBuilder::ethernet2([1; 6], [2; 6]).ipv4([1; 4], [2; 4], 16).tcp(1, 2, 3, 4);
        builder.write(&mut tcp, PAYLOAD).unwrap();
        let mut fragment = ethernet(0);
        fragment[20] = 0x20; // more fragments
        let cut = ethernet(0)[..30].to_vec();
        let (seen, skipped, error) = read(classic_file(false, true, 1, &[tcp, fragment, cut, ethernet(0)]));
        assert!(error.is_none());
        assert_eq!(seen.len(), 1);
        assert_eq!(skipped, Skipped { not_udp: 1, fragments: 1, unreadable: 1, link: 0 });
    }

    #[test]
    fn the_newer_format_is_read_too() {
        let time_ns = 1_663_740_000_123_456_789;
        let (seen, _, error) = read(blocks_file(&ethernet(1), time_ns));
        assert!(error.is_none(), "{error:?}");
        assert_eq!(seen.len(), 1);
        assert_eq!((seen[0].0, &seen[0].2[..]), (time_ns, PAYLOAD));
    }

    #[test]
    fn the_superseded_packet_block_is_read_beside_the_others() {
        let (time_ns, frame) = (1_663_740_000_123_456_789u64, ethernet(0));
        let mut packet = vec![0, 0, 0, 0];
        packet.extend(((time_ns >> 32) as u32).to_le_bytes());
        packet.extend((time_ns as u32).to_le_bytes());
        packet.extend((frame.len() as u32).to_le_bytes());
        packet.extend((frame.len() as u32).to_le_bytes());
        packet.extend(&frame);
        let file = [blocks_file(&ethernet(1), time_ns), block_of(PACKET_BLOCK, &packet)].concat();
        let (seen, skipped, error) = read(file);
        assert!(error.is_none() && skipped == Skipped::default(), "{error:?}");
        assert_eq!(seen.len(), 2);
        assert!(seen[0] == seen[1]);
        packet[12] += 200;
        let (seen, _, error) = read([blocks_file(&ethernet(1), time_ns), block_of(PACKET_BLOCK, &packet)].concat());
        assert!(seen.len() == 1 && matches!(error, Some(ReadError::Damaged { .. })), "{error:?}");
    }

    #[test]
    fn every_cut_is_told_and_none_panics() {
        for file in [classic_file(false, true, 1, &[ethernet(0), ethernet(2)]), blocks_file(&ethernet(0), 1)] {
            for cut in 4..file.len() {
                let (seen, _, error) = read(file[..cut].to_vec());
                assert!(seen.len() < 2);
                if let Some(error) = error {
                    assert!(error.offset() <= cut as u64);
                }
            }
        }
    }
}
