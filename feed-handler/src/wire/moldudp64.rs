//! MoldUDP64 packets: reading, writing, and asking for lost ones. No socket, no clock.
//!
//! Never hands out a part of a damaged packet: all blocks are walked before the first one is given.

use zerocopy::FromBytes;
use zerocopy::big_endian::{U16, U64};

pub use crate::wire::layout::moldudp64::Session;
use crate::wire::layout::moldudp64::{BLOCK_LENGTH_BYTES, COUNT_END_OF_SESSION, COUNT_HEARTBEAT, COUNT_MAX, Header};

/// Bytes of the head of a packet, and of a request.
pub const HEADER_BYTES: usize = size_of::<Header>();
/// Largest datagram our own senders make: fits a 1,500-byte Ethernet frame with room for tunnels.
pub const DATAGRAM_BYTES_MAX: usize = 1_400;

/// What a packet is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacketKind {
    /// Carries messages.
    Messages,
    /// Says that the sender is alive and what number comes next.
    Heartbeat,
    /// The session is over; the number is the one that would have come next.
    EndOfSession,
}

/// A packet whose blocks are known to be whole.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// Session.
    pub session: Session,
    /// Number of the first message, or the next expected number when there is none.
    pub sequence: u64,
    /// Messages in the packet.
    pub count: u16,
    /// What it is for.
    pub kind: PacketKind,
    body: &'a [u8],
}

/// Why a datagram is not a packet. Nothing of it is delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPacket {
    /// No room for a header.
    #[error("datagram of {got} bytes is shorter than the 20-byte header")]
    NoHeader {
        /// Bytes there.
        got: usize,
    },
    /// A block, or its length, ends behind the datagram.
    #[error("block {block} of {count} reaches behind the end of the datagram")]
    Cut {
        /// 1-based block.
        block: u16,
        /// Blocks announced.
        count: u16,
    },
    /// The datagram goes on after the last block.
    #[error("{extra} bytes after the last of {count} blocks")]
    Extra {
        /// Bytes left over.
        extra: usize,
        /// Blocks announced.
        count: u16,
    },
    /// The numbers of the messages do not fit 64 bits.
    #[error("message numbers from {sequence} on run over")]
    SequenceOverflow {
        /// Number of the first message.
        sequence: u64,
    },
}

impl<'a> Packet<'a> {
    /// Reads one datagram and walks all of its blocks.
    ///
    /// # Errors
    /// [`BadPacket`] when it is damaged in any way.
    #[inline]
    pub fn parse(datagram: &'a [u8]) -> Result<Self, BadPacket> {
        let Ok((header, body)) = Header::ref_from_prefix(datagram) else {
            return Err(BadPacket::NoHeader { got: datagram.len() });
        };
        let sequence = header.sequence.get();
        let (kind, count) = match header.count.get() {
            COUNT_HEARTBEAT => (PacketKind::Heartbeat, 0),
            COUNT_END_OF_SESSION => (PacketKind::EndOfSession, 0),
            count => (PacketKind::Messages, count),
        };
        let mut rest = body;
        for block in 1..=count {
            let Some((_, after)) = split_block(rest) else { return Err(BadPacket::Cut { block, count }) };
            rest = after;
        }
        if !rest.is_empty() {
            return Err(BadPacket::Extra { extra: rest.len(), count });
        }
        if sequence.checked_add(u64::from(count)).is_none() {
            return Err(BadPacket::SequenceOverflow { sequence });
        }
        Ok(Self { session: header.session, sequence, count, kind, body })
    }

    /// Number of the message that follows this packet.
    #[inline]
    #[must_use]
    pub const fn next_sequence(&self) -> u64 {
        self.sequence.saturating_add(self.count as u64)
    }

    /// The messages with their numbers.
    #[inline]
    #[must_use]
    pub const fn messages(&self) -> Messages<'a> {
        Messages { rest: self.body, sequence: self.sequence, left: self.count }
    }
}

/// The messages of one packet, in order.
#[derive(Clone, Debug)]
pub struct Messages<'a> {
    rest: &'a [u8],
    sequence: u64,
    left: u16,
}

impl<'a> Iterator for Messages<'a> {
    type Item = (u64, &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        let (message, rest) = split_block(self.rest)?;
        let sequence = self.sequence;
        self.rest = rest;
        self.left -= 1;
        // OK because `parse` proved that all numbers of the packet and the one after it fit.
        self.sequence = sequence.wrapping_add(1);
        Some((sequence, message))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (usize::from(self.left), Some(usize::from(self.left)))
    }
}

impl ExactSizeIterator for Messages<'_> {}

/// First block and what follows it; `None` when it is cut.
#[inline]
fn split_block(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = U16::ref_from_prefix(bytes).ok()?;
    rest.split_at_checked(usize::from(length.get()))
}

/// A request for messages that were lost, sent by unicast to a request server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Session.
    pub session: Session,
    /// First number wanted.
    pub from: u64,
    /// Messages wanted; the answer may hold fewer.
    pub count: u16,
}

impl Request {
    /// The datagram.
    #[must_use]
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        header(self.session, self.from, self.count)
    }

    /// Reads a request; `None` unless it is exactly 20 bytes.
    #[must_use]
    pub fn decode(datagram: &[u8]) -> Option<Self> {
        let header = Header::ref_from_bytes(datagram).ok()?;
        Some(Self { session: header.session, from: header.sequence.get(), count: header.count.get() })
    }
}

fn header(session: Session, sequence: u64, count: u16) -> [u8; HEADER_BYTES] {
    zerocopy::transmute!(Header { session, sequence: U64::new(sequence), count: U16::new(count) })
}

/// Why a message was not put into a packet. The packet is as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PushError {
    /// This packet has no room left: send it, then push again.
    #[error("the packet is full")]
    Full,
    /// The message fits no packet of this writer.
    #[error("a message of {bytes} bytes fits no packet")]
    TooLong {
        /// Bytes of the message.
        bytes: usize,
    },
    /// The numbers of the session are used up.
    #[error("the session has no numbers left")]
    NoNumbers,
}

/// Puts numbered messages into packets. All memory is taken at construction.
#[derive(Debug)]
pub struct PacketWriter {
    session: Session,
    /// Number of the first message of the packet being filled.
    sequence: u64,
    count: u16,
    /// As long as the largest datagram; `used` bytes are filled.
    buffer: Box<[u8]>,
    used: usize,
}

impl PacketWriter {
    /// A writer whose first message gets the number `next_sequence` and whose datagrams have at most
    /// `datagram_bytes_max` bytes (at least 64, at most 65,507, the most that IPv4 carries).
    #[must_use]
    pub fn new(session: Session, next_sequence: u64, datagram_bytes_max: usize) -> Self {
        let buffer = vec![0; datagram_bytes_max.clamp(64, 65_507)].into_boxed_slice();
        Self { session, sequence: next_sequence, count: 0, buffer, used: HEADER_BYTES }
    }

    /// Appends one message and gives it its number.
    ///
    /// # Errors
    /// [`PushError::Full`]: take the packet and push again. The others do not go away by trying again.
    #[inline]
    pub fn push(&mut self, message: &[u8]) -> Result<u64, PushError> {
        let block_bytes = BLOCK_LENGTH_BYTES + message.len();
        let Ok(length) = u16::try_from(message.len()) else {
            return Err(PushError::TooLong { bytes: message.len() });
        };
        if HEADER_BYTES + block_bytes > self.buffer.len() {
            return Err(PushError::TooLong { bytes: message.len() });
        }
        if self.count == COUNT_MAX || self.used + block_bytes > self.buffer.len() {
            return Err(PushError::Full);
        }
        let number = self.next_sequence();
        if number == u64::MAX {
            return Err(PushError::NoNumbers);
        }
        let block = &mut self.buffer[self.used..self.used + block_bytes];
        block[..BLOCK_LENGTH_BYTES].copy_from_slice(&length.to_be_bytes());
        block[BLOCK_LENGTH_BYTES..].copy_from_slice(message);
        self.used += block_bytes;
        self.count += 1;
        Ok(number)
    }

    /// Closes the packet and gives its datagram, or `None` when nothing was pushed. The next push begins a new one.
    pub fn take(&mut self) -> Option<&[u8]> {
        if self.count == 0 {
            return None;
        }
        self.buffer[..HEADER_BYTES].copy_from_slice(&header(self.session, self.sequence, self.count));
        let used = std::mem::replace(&mut self.used, HEADER_BYTES);
        self.sequence += u64::from(std::mem::take(&mut self.count));
        Some(&self.buffer[..used])
    }

    /// A heartbeat: the number of the first message that was not taken yet.
    #[must_use]
    pub fn heartbeat(&self) -> [u8; HEADER_BYTES] {
        header(self.session, self.sequence, COUNT_HEARTBEAT)
    }

    /// The end of the session. Take the last packet first; send it several times.
    #[must_use]
    pub fn end_of_session(&self) -> [u8; HEADER_BYTES] {
        header(self.session, self.sequence, COUNT_END_OF_SESSION)
    }

    /// Number that the next pushed message gets.
    #[must_use]
    pub fn next_sequence(&self) -> u64 {
        // OK because `push` refuses the message that would get `u64::MAX`.
        self.sequence + u64::from(self.count)
    }

    /// Messages in the packet being filled.
    #[must_use]
    pub fn pending(&self) -> u16 {
        self.count
    }

    /// The session.
    #[must_use]
    pub fn session(&self) -> Session {
        self.session
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SESSION: Session = *b"S000000001";

    fn packet(sequence: u64, messages: &[&[u8]]) -> Vec<u8> {
        let mut writer = PacketWriter::new(SESSION, sequence, DATAGRAM_BYTES_MAX);
        for message in messages {
            writer.push(message).unwrap();
        }
        writer.take().unwrap().to_vec()
    }

    #[test]
    fn what_is_written_is_read() {
        let datagram = packet(7, &[b"one", b"", b"three"]);
        let parsed = Packet::parse(&datagram).unwrap();
        assert_eq!((parsed.session, parsed.sequence, parsed.count), (SESSION, 7, 3));
        assert_eq!((parsed.kind, parsed.next_sequence()), (PacketKind::Messages, 10));
        let messages: Vec<_> = parsed.messages().collect();
        assert_eq!(messages, [(7, b"one".as_slice()), (8, b""), (9, b"three")]);
    }

    #[test]
    fn a_full_packet_refuses_and_the_next_one_goes_on_with_the_numbers() {
        let mut writer = PacketWriter::new(SESSION, 1, 64);
        assert_eq!(writer.push(&[0; 43]), Err(PushError::TooLong { bytes: 43 }), "64 = 20 + 2 + 42");
        assert_eq!(writer.push(&[1; 20]), Ok(1));
        assert_eq!(writer.push(&[2; 20]), Ok(2));
        assert_eq!(writer.push(b""), Err(PushError::Full), "no room for a length");
        assert_eq!(writer.take().map(<[u8]>::len), Some(64));
        assert_eq!(writer.take(), None);
        assert_eq!(Packet::parse(&writer.heartbeat()).unwrap().sequence, 3);
        assert_eq!(writer.push(b"x"), Ok(3));
        assert_eq!(Packet::parse(writer.take().unwrap()).unwrap().sequence, 3);
        let end = Packet::parse(&writer.end_of_session()).map(|end| (end.kind, end.sequence, end.count));
        assert_eq!(end, Ok((PacketKind::EndOfSession, 4, 0)));
    }

    #[test]
    fn a_packet_cut_anywhere_is_damaged_as_a_whole() {
        let whole = packet(1, &[b"abc", b"defg"]);
        for cut in 0..whole.len() {
            assert!(Packet::parse(&whole[..cut]).is_err(), "cut at {cut}");
        }
        let mut longer = whole;
        longer.push(0);
        assert_eq!(Packet::parse(&longer).unwrap_err(), BadPacket::Extra { extra: 1, count: 2 });
        let heartbeat = PacketWriter::new(SESSION, 1, 64).heartbeat();
        assert_eq!(
            Packet::parse(&[&heartbeat[..], b"\0\0"].concat()).unwrap_err(),
            BadPacket::Extra { extra: 2, count: 0 },
            "a heartbeat has no blocks"
        );
    }

    #[test]
    fn numbers_that_run_over_are_refused_by_both_ends() {
        let mut datagram = packet(1, &[b"a", b"b"]);
        datagram[10..18].copy_from_slice(&(u64::MAX - 1).to_be_bytes());
        assert_eq!(Packet::parse(&datagram).unwrap_err(), BadPacket::SequenceOverflow { sequence: u64::MAX - 1 });
        datagram[10..18].copy_from_slice(&(u64::MAX - 2).to_be_bytes());
        assert_eq!(Packet::parse(&datagram).unwrap().messages().last(), Some((u64::MAX - 1, b"b".as_slice())));
        let mut writer = PacketWriter::new(SESSION, u64::MAX - 1, 64);
        assert_eq!(writer.push(b"last"), Ok(u64::MAX - 1));
        assert_eq!(writer.push(b"none"), Err(PushError::NoNumbers));
    }

    #[test]
    fn a_request_is_twenty_bytes() {
        let request = Request { session: SESSION, from: 0x0102_0304_0506_0708, count: 0x090A };
        let datagram = request.encode();
        assert_eq!(&datagram, b"S000000001\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0A");
        assert_eq!(Request::decode(&datagram), Some(request));
        assert_eq!(Request::decode(&datagram[..19]), None);
        assert_eq!(Request::decode(&[datagram.as_slice(), b"x"].concat()), None);
    }
}
