//! Messages out of recorded MoldUDP64 packets: from captures and from files of bare datagrams.
//!
//! One stream per UDP destination, each with its own sequence and decoder, because partitions share neither. Packets
//! are taken in recorded order: what comes twice is dropped, what is missing is told as a gap. Nothing can be asked
//! for again.

use std::net::SocketAddr;

use book::Nanos;
use book::slot::{System, system};

use super::input::Input;
use super::mold::MoldFile;
use super::pcap::{Capture, Skipped};
use super::protocol::{Decoder, Protocol};
use super::recording::{Counts, DecoderOptions, Step, Taken};
use super::{ReadError, protocol};
use crate::layout::moldudp64::Session;
use crate::moldudp64::{Packet, PacketKind};
use crate::sink::{Received, Sink};

/// Destinations of one capture that are followed; packets to further ones are counted as passed over.
const STREAMS_MAX: usize = 64;
/// Most bytes of a datagram.
const DATAGRAM_MAX: usize = 65_536;

/// Where datagrams come from.
pub(super) enum Reader {
    Capture(Capture),
    Bare(MoldFile),
}

/// The packets of one recording.
pub(super) struct Packets {
    reader: Reader,
    protocol: Option<Protocol>,
    decoder_options: DecoderOptions,
    /// Ports to follow; empty = all.
    ports: Vec<u16>,
    /// All destinations are lines of one stream (A and B of a partition).
    merged: bool,
    streams: Vec<Stream>,
    /// The packet whose messages are being given out, whole.
    packet: Vec<u8>,
    current: Option<Current>,
    messages: u64,
}

struct Stream {
    destination: Option<SocketAddr>,
    session: Session,
    next: u64,
    decoder: Decoder,
    implied: protocol::ImpliedDirectory,
}

/// How far the packet at hand has been given out.
#[derive(Clone, Copy)]
struct Current {
    stream: usize,
    captured_ns: Nanos,
    /// Offset of the next block.
    at: usize,
    /// Number of the next message; 0 when the packet has none.
    sequence: u64,
    left: u16,
}

impl Packets {
    pub fn new(
        reader: Reader,
        protocol: Option<Protocol>,
        decoder_options: DecoderOptions,
        ports: Vec<u16>,
        merged: bool,
    ) -> Self {
        Self {
            reader,
            protocol,
            decoder_options,
            ports,
            merged,
            streams: Vec::new(),
            packet: Vec::with_capacity(DATAGRAM_MAX),
            current: None,
            messages: 0,
        }
    }

    pub fn next(&mut self, counts: &mut Counts, sink: &mut impl Sink) -> Result<Step, ReadError> {
        loop {
            if let Some(current) = &mut self.current
                && current.left > 0
            {
                let message = take_block(&self.packet, current);
                let stream = &mut self.streams[current.stream];
                self.messages += 1;
                let numbered = current.sequence > 0;
                let sequence = if numbered { current.sequence } else { self.messages };
                current.sequence += u64::from(numbered);
                let received =
                    Received { received_ns: current.captured_ns, sequence, channel_id: current.stream as u8 };
                let taken = Taken::decode(
                    message,
                    received,
                    &mut stream.decoder,
                    &mut stream.implied,
                    &self.decoder_options,
                    sink,
                );
                return Ok(Step::Message(taken));
            }
            self.current = None;
            match self.next_packet(counts)? {
                Next::End => return Ok(Step::End),
                Next::Packet => {}
                Next::Gap { from, to, captured_ns } => {
                    sink.push(System::new(system::GAP, 0, captured_ns, from, to, 0).into());
                    return Ok(Step::Gap { from, to });
                }
                Next::Session => return Ok(Step::Session),
            }
        }
    }

    /// Reads on to the next packet that has something new.
    fn next_packet(&mut self, counts: &mut Counts) -> Result<Next, ReadError> {
        loop {
            let (captured_ns, destination, payload) = match &mut self.reader {
                Reader::Capture(capture) => match capture.next_datagram()? {
                    None => return Ok(Next::End),
                    Some(datagram) => (datagram.captured_ns, Some(datagram.destination), datagram.payload),
                },
                Reader::Bare(file) => match file.next_datagram()? {
                    None => return Ok(Next::End),
                    Some(payload) => (0, None, payload),
                },
            };
            if destination.is_some_and(|to| !self.ports.is_empty() && !self.ports.contains(&to.port())) {
                counts.other_ports += 1;
                continue;
            }
            counts.packets += 1;
            let packet = match Packet::parse(payload) {
                Ok(packet) => packet,
                Err(_) => {
                    counts.damaged_packets += 1;
                    continue;
                }
            };
            if self.protocol.is_none() && packet.count > 0 {
                self.protocol = Protocol::of_datagram(payload);
            }
            let Some(protocol) = self.protocol else {
                // Nothing in it said what it is; a heartbeat, or not ours at all.
                if packet.count > 0 {
                    counts.damaged_packets += 1;
                } else {
                    counts.heartbeats += 1;
                }
                continue;
            };
            let wanted = if self.merged { None } else { destination };
            let at = match self.streams.iter().position(|stream| stream.destination == wanted) {
                Some(at) => at,
                None if self.streams.len() == STREAMS_MAX => {
                    counts.other_ports += 1;
                    continue;
                }
                None => {
                    self.streams.push(Stream {
                        destination: wanted,
                        session: packet.session,
                        // A capture may start anywhere in the day; what was before is not lost but never recorded.
                        next: packet.sequence,
                        decoder: self.decoder_options.decoder(protocol),
                        implied: protocol::ImpliedDirectory::default(),
                    });
                    counts.streams.push((destination, packet.session));
                    self.streams.len() - 1
                }
            };
            let stream = &mut self.streams[at];
            let new_session = stream.session != packet.session;
            if new_session {
                (stream.session, stream.next) = (packet.session, packet.sequence);
                stream.decoder.reset();
                stream.implied = protocol::ImpliedDirectory::default();
            }
            match packet.kind {
                PacketKind::Heartbeat => counts.heartbeats += 1,
                PacketKind::EndOfSession => counts.ends_of_session += 1,
                PacketKind::Messages => {}
            }
            // Number 0 is no number (the protocol counts from 1): tools write it into packets they made up.
            let numbered = packet.sequence > 0;
            let (mut skip, mut gap) = (0, None);
            if numbered {
                if packet.sequence > stream.next {
                    gap = Some((stream.next, packet.sequence - 1));
                    stream.decoder.forget_time();
                }
                skip = stream.next.saturating_sub(packet.sequence).min(u64::from(packet.count)) as u16;
                if packet.kind == PacketKind::Messages && skip == packet.count {
                    counts.repeats += 1;
                }
                stream.next = stream.next.max(packet.next_sequence());
            }
            if packet.count > skip {
                self.packet.clear();
                self.packet.extend_from_slice(payload);
                let mut current = Current {
                    stream: at,
                    captured_ns,
                    at: crate::moldudp64::HEADER_BYTES,
                    sequence: packet.sequence + u64::from(skip),
                    left: packet.count,
                };
                for _ in 0..skip {
                    take_block(&self.packet, &mut current);
                }
                self.current = Some(current);
            }
            if new_session {
                return Ok(Next::Session);
            }
            if let Some((from, to)) = gap {
                return Ok(Next::Gap { from, to, captured_ns });
            }
            if self.current.is_some() {
                return Ok(Next::Packet);
            }
        }
    }

    pub fn protocol(&self) -> Option<Protocol> {
        self.protocol
    }

    pub fn skipped(&self) -> Skipped {
        match &self.reader {
            Reader::Capture(capture) => capture.skipped(),
            Reader::Bare(_) => Skipped::default(),
        }
    }

    pub fn input(&self) -> &Input {
        match &self.reader {
            Reader::Capture(capture) => capture.input(),
            Reader::Bare(file) => file.input(),
        }
    }
}

enum Next {
    Packet,
    Gap { from: u64, to: u64, captured_ns: Nanos },
    Session,
    End,
}

/// The next block of a packet that was parsed as whole.
fn take_block<'a>(packet: &'a [u8], current: &mut Current) -> &'a [u8] {
    let start = current.at + 2;
    let length = usize::from(u16::from_be_bytes([packet[current.at], packet[current.at + 1]]));
    current.at = start + length;
    current.left -= 1;
    &packet[start..start + length]
}
