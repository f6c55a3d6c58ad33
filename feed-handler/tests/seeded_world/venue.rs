//! The exchange of the world: sessions with a clean stream each, and the datagrams that carry it, in virtual time.
//!
//! Sends nothing wrong by itself: what a line does to its datagrams is [`lines`](super::lines)' business.

use feed_handler::sim::exchange::config::{Clock, Compression, SimConfig};
use feed_handler::sim::exchange::{Exchange, Output};
use feed_handler::wire::layout::moldudp64::Session;
use feed_handler::wire::moldudp64::{DATAGRAM_BYTES_MAX, Packet, PacketWriter, PushError, Request};

use super::itch50_flow::Itch50Flow;
use super::{MS, SECOND};

/// A quiet line says so often that it is alive.
const HEARTBEAT_NS: u64 = SECOND;
/// An ended session says so this often.
const END_NS: u64 = SECOND / 5;
/// Messages a second.
const RATE: u32 = 250;

/// A session as the exchange knows it. Whatever carries its messages is a copy.
#[derive(Debug)]
pub struct Stream {
    pub name: Session,
    /// Number 1 is the first.
    pub messages: Vec<Vec<u8>>,
}

impl Stream {
    /// A packet of the messages from number `from` on, as many of `count` as fit.
    pub fn packet(&self, from: u64, count: u64) -> Option<Vec<u8>> {
        let mut writer = PacketWriter::new(self.name, from, DATAGRAM_BYTES_MAX);
        let begin = usize::try_from(from.checked_sub(1)?).ok()?;
        for message in self.messages.get(begin..)?.iter().take(count as usize) {
            if writer.push(message).is_err() {
                break;
            }
        }
        writer.take().map(<[u8]>::to_vec)
    }

    /// The number after the last message.
    pub fn next(&self) -> u64 {
        self.messages.len() as u64 + 1
    }

    pub fn heartbeat(&self, next: u64) -> Vec<u8> {
        PacketWriter::new(self.name, next, DATAGRAM_BYTES_MAX).heartbeat().to_vec()
    }

    pub fn end(&self, next: u64) -> Vec<u8> {
        PacketWriter::new(self.name, next, DATAGRAM_BYTES_MAX).end_of_session().to_vec()
    }
}

/// Which protocol the exchange speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speech {
    Bistech,
    Itch50,
}

impl Speech {
    /// Messages after which a restart under the old name takes longer to be overtaken than to be believed. An opening
    /// auction is thousands of messages in its first second.
    pub fn overtaken_late(self) -> u64 {
        match self {
            Self::Bistech => 11_000,
            Self::Itch50 => 2_000,
        }
    }
}

enum Flow {
    /// Shares, phases and matching of the simulated exchange.
    Bistech(Box<Exchange>),
    /// Orders on a few stocks, without phases.
    Itch50(Box<Itch50Flow>),
}

/// An exchange, all its sessions, and what its line has to send.
pub struct Venue {
    speech: Speech,
    seed: u64,
    /// Told apart in the session's name.
    runs: u32,
    flow: Flow,
    books: usize,
    line: Line,
}

/// The current session on its way into datagrams.
struct Line {
    streams: Vec<Stream>,
    writer: PacketWriter,
    packet_ns: u64,
    due: Vec<Vec<u8>>,
    spoke_ns: u64,
    ended: bool,
}

impl Venue {
    /// An exchange whose first session begins at `now_ns`.
    pub fn new(speech: Speech, seed: u64, run: u32, books: usize, now_ns: u64) -> Self {
        let line = Line {
            streams: Vec::new(),
            writer: PacketWriter::new([0; 10], 1, DATAGRAM_BYTES_MAX),
            packet_ns: 0,
            due: Vec::new(),
            spoke_ns: now_ns,
            ended: false,
        };
        let flow = flow(speech, seed, run, books, now_ns);
        Self { speech, seed, runs: run, flow, books, line }
    }

    /// Everything that is sent up to `now_ns`, heartbeats included.
    pub fn take_due(&mut self, now_ns: u64) -> Vec<Vec<u8>> {
        let line = &mut self.line;
        match &mut self.flow {
            Flow::Bistech(exchange) => {
                while exchange.next_ns().is_some_and(|next_ns| exchange.timeline().planned_ns(next_ns) <= now_ns) {
                    exchange.step(line);
                }
            }
            Flow::Itch50(flow) => flow.advance(now_ns, line),
        }
        line.flush();
        let quiet_max_ns = if line.ended { END_NS } else { HEARTBEAT_NS };
        if line.due.is_empty() && now_ns - line.spoke_ns >= quiet_max_ns {
            line.say_alive();
        }
        if !line.due.is_empty() {
            line.spoke_ns = now_ns;
        }
        std::mem::take(&mut line.due)
    }

    /// The exchange starts over: under a new name, or under the old one.
    pub fn restart(&mut self, now_ns: u64, under_new_name: bool) {
        self.seed = self.seed.wrapping_add(0x9E37_79B9);
        self.runs += u32::from(under_new_name);
        self.line.flush();
        self.line.due.clear();
        self.flow = flow(self.speech, self.seed, self.runs, self.books, now_ns);
    }

    /// The current session, if one has begun.
    pub fn current(&self) -> Option<&Stream> {
        self.line.streams.last()
    }

    /// The session before the current one.
    pub fn before(&self) -> Option<&Stream> {
        self.line.streams.iter().rev().nth(1)
    }

    /// Place of the newest session of this name.
    pub fn find(&self, name: Session) -> Option<usize> {
        self.line.streams.iter().rposition(|stream| stream.name == name)
    }

    pub fn stream(&self, at: usize) -> &Stream {
        &self.line.streams[at]
    }

    /// The newest session's answer to a request, if there is one.
    pub fn answer(&self, request: Request) -> Option<Vec<u8>> {
        let stream = self.stream(self.find(request.session)?);
        stream.packet(request.from, request.count.into())
    }
}

fn flow(speech: Speech, seed: u64, run: u32, books: usize, now_ns: u64) -> Flow {
    match speech {
        Speech::Bistech => {
            // An opening of half a second, a day of half a minute.
            let compression = Compression { speed: 900, auction_speed: 2_400, halt_divisor: 30 };
            let config = SimConfig {
                seed,
                rate: RATE,
                clock: Clock::Compressed(compression),
                symbols_max: books,
                run,
                ..SimConfig::default()
            };
            Flow::Bistech(Box::new(Exchange::new(&config, now_ns).expect("a configuration within its ranges")))
        }
        Speech::Itch50 => Flow::Itch50(Box::new(Itch50Flow::new(seed, run, books, now_ns, SECOND / u64::from(RATE)))),
    }
}

impl Line {
    fn flush(&mut self) {
        if let Some(datagram) = self.writer.take() {
            self.due.push(datagram.to_vec());
        }
    }

    fn say_alive(&mut self) {
        let datagram = if self.ended { self.writer.end_of_session() } else { self.writer.heartbeat() };
        self.due.push(datagram.to_vec());
    }
}

impl Output for Line {
    fn session_begins(&mut self, session: Session) {
        self.flush();
        self.writer = PacketWriter::new(session, 1, DATAGRAM_BYTES_MAX);
        self.streams.push(Stream { name: session, messages: Vec::new() });
        self.ended = false;
    }

    fn message(&mut self, exchange_ns: u64, message: &[u8]) {
        // What happens within a millisecond shares a packet as far as it fits.
        if exchange_ns / MS != self.packet_ns {
            self.flush();
            self.packet_ns = exchange_ns / MS;
        }
        if self.writer.push(message) == Err(PushError::Full) {
            self.flush();
            self.writer.push(message).expect("an empty packet holds any message");
        }
        self.streams.last_mut().expect("a session began").messages.push(message.to_vec());
    }

    fn session_ends(&mut self) {
        self.flush();
        self.ended = true;
        self.say_alive();
    }
}

/// The packet with another last byte of its message at `place`.
pub fn with_another_byte(datagram: &[u8], place: u64) -> Option<Vec<u8>> {
    changed(datagram, place, |message| {
        if let Some(last) = message.last_mut() {
            *last ^= 1;
        }
    })
}

/// The packet with its message at `place` cut to its first bytes: whole as a packet, not to be read as a message.
pub fn with_a_cut_message(datagram: &[u8], place: u64) -> Option<Vec<u8>> {
    changed(datagram, place, |message| message.truncate(3))
}

fn changed(datagram: &[u8], place: u64, change: impl Fn(&mut Vec<u8>)) -> Option<Vec<u8>> {
    let packet = Packet::parse(datagram).ok()?;
    let place = place.checked_rem(packet.count.into())?;
    let mut writer = PacketWriter::new(packet.session, packet.sequence, DATAGRAM_BYTES_MAX);
    for (at, (_, message)) in packet.messages().enumerate() {
        let mut message = message.to_vec();
        if at as u64 == place {
            change(&mut message);
        }
        writer.push(&message).ok()?;
    }
    writer.take().map(<[u8]>::to_vec)
}
