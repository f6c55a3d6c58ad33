//! MoldUDP64 packets at planned times, or as fast as the receivers allow.
//!
//! Never skips a message that is late: it goes out at once, in as few packets as hold all that is due, and keeps its
//! planned time as the exchange's timestamp.

use std::io;
use std::net::{SocketAddr, UdpSocket};

use book::Nanos;
use feed_handler::wire::layout::bistech_2112 as layout;
use feed_handler::wire::moldudp64::{DATAGRAM_BYTES_MAX, PacketWriter, PushError};
use zerocopy::IntoBytes;

use super::stream::Message;

/// Messages of one packet: 24 of 52 bytes (the longest of the trading) and their lengths are 1,296 of its 1,380 bytes.
const MESSAGES_PER_PACKET_MAX: u16 = 24;

/// Times of messages: planned and real.
#[derive(Clone, Debug, Default)]
pub struct Times {
    /// Planned, strictly increasing, Unix ns.
    pub planned_ns: Vec<Nanos>,
    /// Real; as long as the messages that were sent.
    pub sent_ns: Vec<Nanos>,
}

/// Planned times of `messages` at `rate_per_s`, the first at `start_ns`.
#[must_use]
pub fn plan(start_ns: Nanos, rate_per_s: u64, messages: usize) -> Vec<Nanos> {
    (0..messages as u64).map(|n| start_ns + n * 1_000_000_000 / rate_per_s.max(1)).collect()
}

/// One line of MoldUDP64.
#[derive(Debug)]
pub struct Sender {
    socket: UdpSocket,
    writer: PacketWriter,
    second: u64,
}

impl Sender {
    /// Sends to `line` from a port of its own.
    ///
    /// # Errors
    /// No socket, or no way to `line`.
    pub fn open(line: SocketAddr) -> io::Result<Self> {
        let any = if line.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(any)?;
        socket.connect(line)?;
        let writer = PacketWriter::new(*b"LOAD000001", 1, DATAGRAM_BYTES_MAX);
        Ok(Self { socket, writer, second: 0 })
    }

    /// Sends one packet of what is due at `now_ns`; returns the messages in it.
    ///
    /// `messages` and `times` are those of the whole run; the real times tell what was sent before.
    ///
    /// # Errors
    /// The socket does not take the packet.
    pub fn send_due(&mut self, messages: &mut [Message], times: &mut Times, now_ns: Nanos) -> io::Result<usize> {
        let begin = times.sent_ns.len();
        let mut at = begin;
        while at < messages.len() && times.planned_ns[at] <= now_ns {
            if !self.push(&mut messages[at], times.planned_ns[at])? {
                break;
            }
            times.sent_ns.push(now_ns);
            at += 1;
        }
        if at > begin {
            self.flush()?;
        }
        Ok(at - begin)
    }

    /// Appends a message with the exchange time `at_ns`; false when the packet is full.
    ///
    /// # Errors
    /// The message can never be sent.
    pub fn push(&mut self, message: &mut Message, at_ns: Nanos) -> io::Result<bool> {
        if self.writer.pending() >= MESSAGES_PER_PACKET_MAX {
            return Ok(false);
        }
        let (second, nanos) = (at_ns / 1_000_000_000, (at_ns % 1_000_000_000) as u32);
        if second != self.second {
            self.second = second;
            let seconds = layout::Seconds { second: (second as u32).into(), ..layout::Seconds::default() };
            self.put(seconds.as_bytes())?;
        }
        self.put(message.stamped(nanos))?;
        Ok(true)
    }

    fn put(&mut self, message: &[u8]) -> io::Result<()> {
        match self.writer.push(message) {
            Ok(_) => Ok(()),
            Err(PushError::Full) => {
                self.flush()?;
                self.writer.push(message).map(|_| ()).map_err(io::Error::other)
            }
            Err(error) => Err(io::Error::other(error)),
        }
    }

    /// Sends what was pushed.
    ///
    /// # Errors
    /// The socket does not take the packet.
    pub fn flush(&mut self) -> io::Result<()> {
        let Some(packet) = self.writer.take() else { return Ok(()) };
        let sent = self.socket.send(packet)?;
        if sent == packet.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
    }

    /// Says that the line is alive and what number comes next, so that a loss at the end is noticed.
    ///
    /// # Errors
    /// The socket does not take the packet.
    pub fn heartbeat(&mut self) -> io::Result<()> {
        self.flush()?;
        self.socket.send(&self.writer.heartbeat()).map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::stream::{Choice, Stream};
    use feed_handler::wire::moldudp64::Packet;

    #[test]
    fn what_is_late_goes_out_at_once_and_keeps_its_planned_time() {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut sender = Sender::open(receiver.local_addr().unwrap()).unwrap();
        let mut stream = Stream::new(2, Choice::InTurn, 1);
        let mut messages: Vec<Message> = (0..4).map(|_| stream.opening()[3]).collect();
        let start_ns = 7_999_999_990;
        let mut times = Times { planned_ns: plan(start_ns, 100_000_000, 4), sent_ns: Vec::new() };
        assert_eq!(sender.send_due(&mut messages, &mut times, start_ns - 1).unwrap(), 0);
        // A stall until after the third: three messages in one packet, the second named twice.
        assert_eq!(sender.send_due(&mut messages, &mut times, start_ns + 25).unwrap(), 3);
        let mut buffer = [0; 2_000];
        let length = receiver.recv(&mut buffer).unwrap();
        let packet = Packet::parse(&buffer[..length]).unwrap();
        let kinds: Vec<(u8, u32)> = packet
            .messages()
            .map(|(_, message)| (message[0], u32::from_be_bytes(message[1..5].try_into().unwrap())))
            .collect();
        assert_eq!(kinds, [(b'T', 7), (b'A', 999_999_990), (b'T', 8), (b'A', 0), (b'A', 10)]);
        assert_eq!(times.sent_ns, [start_ns + 25; 3]);
    }
}
