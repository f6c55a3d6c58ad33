//! Messages out of recorded MoldUDP64 packets: from captures and from files of bare datagrams.
//!
//! One stream per session, each with its own sequencer and decoder, because partitions share neither numbers nor
//! seconds. Lines A and B of a partition, and the answers of a request server, are the same session and fill each other's
//! holes, wherever they were sent to; an address that brings a session nobody knows yet has begun its next one. Time is
//! the capture's. Nothing can be asked for again: what the capture does not have is a gap.

use std::collections::{HashSet, VecDeque};
use std::net::SocketAddr;
use std::ops::Range;

use book::slot::{OrderEvent, Stamp, System, system};
use book::{BookId, Nanos, Slot};

use super::counts::{ForeignPackets, RecordingCounts};
use super::error::ReadError;
use super::format::{datagram_protocol, foreign_datagram};
use super::implied_directory::ImpliedDirectory;
use super::input::Input;
use super::mold::MoldFile;
use super::pcap::{Capture, Skipped};
use super::step::{DecoderOptions, RecordedMessage, Step};
use crate::decode::protocol::{MessageDecoder, Protocol};
use crate::decode::sink::{Received, Sink};
use crate::recovery::sequencer::{Sequenced, Sequencer, SequencerConfig, Start};
use crate::wire::layout::moldudp64::Session;
use crate::wire::moldudp64::{Packet, PacketKind};

/// Streams of one capture that are followed; packets of further ones are counted as refused.
const STREAMS_MAX: usize = 64;
/// Addresses of one stream that are remembered: two lines, their answers, and room for captures of many hosts.
const DESTINATIONS_MAX: usize = 64;

/// Bounds of each stream's sequencer: it joins wherever the capture starts, keeps 256 packets of any Ethernet frame
/// (2.3 MB) while a number before them is missing, and gives a gap up after 200 ms of capture time.
const SEQUENCER: SequencerConfig = SequencerConfig {
    start: Start::Join,
    packets_parked_max: 256,
    datagram_bytes_max: 9_000,
    gap_timeout_ns: 200_000_000,
    restart_after_ns: 5_000_000_000,
    packets_released_max: 16,
    jump_max: u64::MAX, // excerpts leap as far as they like: a hole, not a new session
    recovery: None,
    compares_lines: false,
};

/// Datagrams read at the start to find out the protocol; a capture without messages among its first thousand says
/// what it is later, or never.
const PRIMING_DATAGRAMS_MAX: usize = 1_000;

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
    /// All destinations are lines of one stream, whatever their sessions are called.
    merged: bool,
    streams: Vec<Stream>,
    ready: Ready,
    messages: u64,
    /// Latest clock of the capture; past the end of the file, the time by which what is waited for is late.
    latest_ns: Nanos,
    /// Stream to be emptied next, once the file is at its end.
    flushing: Option<usize>,
    /// Why the file ended, kept until everything before it was given out.
    error: Option<ReadError>,
}

struct Stream {
    /// Where its packets were sent to.
    destinations: Vec<Option<SocketAddr>>,
    sequencer: Sequencer,
    decoder: MessageDecoder,
    implied: ImpliedDirectory,
    /// Books that it feeds; its new session empties these.
    books: HashSet<u32>,
}

/// What the sequencer of one stream gave out for one datagram, still to be taken. As long as a call of the sequencer
/// makes it at most; its memory is kept.
#[derive(Default)]
struct Ready {
    stream: usize,
    captured_ns: Nanos,
    bytes: Vec<u8>,
    items: VecDeque<Item>,
}

enum Item {
    /// `sequence` 0: a message without a number.
    Message {
        sequence: u64,
        bytes: Range<usize>,
    },
    Gap {
        from: u64,
        to: u64,
    },
    Session,
}

impl Stream {
    /// The stream of `session`, else the one whose packets came to `destination`, else a new one; `None` when there
    /// are too many.
    fn find_or_open(
        streams: &mut Vec<Self>,
        session: Option<Session>,
        destination: Option<SocketAddr>,
        protocol: Protocol,
        options: &DecoderOptions,
    ) -> Option<usize> {
        let of_session =
            || streams.iter().position(|stream| session.is_some() && stream.sequencer.session() == session);
        let to_destination = || streams.iter().position(|stream| stream.destinations.contains(&destination));
        if let Some(at) = of_session().or_else(to_destination) {
            let destinations = &mut streams[at].destinations;
            if !destinations.contains(&destination) && destinations.len() < DESTINATIONS_MAX {
                destinations.push(destination);
            }
            return Some(at);
        }
        if streams.len() == STREAMS_MAX {
            return None;
        }
        streams.push(Self {
            destinations: vec![destination],
            sequencer: Sequencer::new(SEQUENCER),
            decoder: options.decoder(protocol),
            implied: ImpliedDirectory::default(),
            books: HashSet::new(),
        });
        Some(streams.len() - 1)
    }

    /// Begins a session: forgets what the decoder knew, and empties the books that the stream feeds.
    fn begin_session(&mut self, now_ns: Nanos, channel_id: u8, sink: &mut impl Sink) {
        self.decoder.reset(None);
        self.implied = ImpliedDirectory::default();
        let mut books: Vec<u32> = self.books.drain().collect();
        books.sort_unstable();
        for book_id in books {
            let book_id = BookId(book_id);
            sink.push(OrderEvent::clear(Stamp { book_id, received_ns: now_ns, channel_id, ..Stamp::default() }).into());
        }
    }
}

/// Passes slots on and notes the books that they are about, up to a bound.
struct Noting<'a, S> {
    books: &'a mut HashSet<u32>,
    books_max: usize,
    sink: &'a mut S,
}

impl<S: Sink> Sink for Noting<'_, S> {
    fn push(&mut self, slot: Slot) {
        let book_id = slot.record().book_id;
        if book_id != 0 && self.books.len() <= self.books_max {
            self.books.insert(book_id);
        }
        self.sink.push(slot);
    }
}

impl Ready {
    fn begin(&mut self, stream: usize, captured_ns: Nanos) {
        debug_assert!(self.items.is_empty());
        (self.stream, self.captured_ns) = (stream, captured_ns);
        self.bytes.clear();
    }

    fn message(&mut self, sequence: u64, message: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(message);
        self.items.push_back(Item::Message { sequence, bytes: start..self.bytes.len() });
    }

    fn sequenced(&mut self, sequenced: Sequenced<'_>, first_session: &mut bool) {
        match sequenced {
            Sequenced::Message { sequence, message } => self.message(sequence, message),
            Sequenced::Gap { from, to } => self.items.push_back(Item::Gap { from, to }),
            Sequenced::Session { .. } => {
                if !std::mem::take(first_session) {
                    self.items.push_back(Item::Session);
                }
            }
            // The end is counted as a packet, there is no server to ask, and lines are not compared.
            Sequenced::EndOfSession { .. } | Sequenced::Request(_) | Sequenced::LineMismatch { .. } => {}
        }
    }
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
            ready: Ready::default(),
            messages: 0,
            latest_ns: 0,
            flushing: None,
            error: None,
        }
    }

    pub fn next(&mut self, counts: &mut RecordingCounts, sink: &mut impl Sink) -> Result<Step, ReadError> {
        loop {
            if let Some(item) = self.ready.items.pop_front() {
                return Ok(self.give(item, sink));
            }
            let Some(at) = self.flushing else {
                self.advance(counts);
                continue;
            };
            if !self.flush(at) {
                return self.error.take().map_or(Ok(Step::End), Err);
            }
        }
    }

    /// Reads on until the protocol is known, so that whoever opens the recording can ask for it before the first
    /// message.
    pub fn prime(&mut self, counts: &mut RecordingCounts) {
        for _ in 0..PRIMING_DATAGRAMS_MAX {
            if self.protocol.is_some() || self.flushing.is_some() || !self.ready.items.is_empty() {
                return;
            }
            self.advance(counts);
        }
    }

    /// Reads one datagram, or notes why there is none.
    fn advance(&mut self, counts: &mut RecordingCounts) {
        if let Err(error) = self.read(counts) {
            self.error = Some(error);
            self.flushing = Some(0);
        }
    }

    fn give(&mut self, item: Item, sink: &mut impl Sink) -> Step {
        let Ready { stream, captured_ns, .. } = self.ready;
        let is_alone = self.streams.len() == 1;
        let books_max = self.decoder_options.books_max;
        let Stream { decoder, implied, books, .. } = &mut self.streams[stream];
        match item {
            Item::Message { sequence, bytes } => {
                self.messages += 1;
                let sequence = if sequence > 0 { sequence } else { self.messages };
                let received = Received { received_ns: captured_ns, sequence, channel_id: stream as u8 };
                let message = &self.ready.bytes[bytes];
                let sink = &mut Noting { books, books_max, sink };
                Step::Message(RecordedMessage::decode(message, received, decoder, implied, &self.decoder_options, sink))
            }
            Item::Gap { from, to } => {
                sink.push(System::new(system::GAP, 0, captured_ns, from, to, 0).into());
                Step::Gap { from, to }
            }
            // With more books than are noted nobody knows which are its own.
            Item::Session if is_alone || books.len() > books_max => {
                self.streams[stream].begin_session(captured_ns, 0, &mut |_: Slot| {});
                Step::Session
            }
            Item::Session => {
                self.streams[stream].begin_session(captured_ns, stream as u8, sink);
                Step::PartitionSession
            }
        }
    }

    /// Takes one datagram to its stream's sequencer; at the end of the file, begins to empty these.
    fn read(&mut self, counts: &mut RecordingCounts) -> Result<(), ReadError> {
        let (captured_ns, destination, payload) = match &mut self.reader {
            Reader::Capture(capture) => match capture.next_datagram()? {
                None => {
                    self.flushing = Some(0);
                    return Ok(());
                }
                Some(datagram) => (datagram.captured_ns, Some(datagram.destination), datagram.payload),
            },
            Reader::Bare(file) => match file.next_datagram()? {
                None => {
                    self.flushing = Some(0);
                    return Ok(());
                }
                Some(payload) => (0, None, payload),
            },
        };
        if destination.is_some_and(|to| !self.ports.is_empty() && !self.ports.contains(&to.port())) {
            counts.other_ports += 1;
            return Ok(());
        }
        counts.packets += 1;
        self.latest_ns = self.latest_ns.max(captured_ns);
        let Ok(packet) = Packet::parse(payload) else {
            counts.damaged_packets += 1;
            return Ok(());
        };
        if self.protocol.is_none() {
            self.protocol = datagram_protocol(payload);
        }
        let Some(protocol) = self.protocol else {
            // Nothing so far said what is in these packets: heartbeats before the first message, or not ours at all.
            if packet.count == 0 {
                counts.heartbeats += 1;
            } else {
                on_foreign(&packet, payload, counts);
            }
            return Ok(());
        };
        let (wanted, session) = if self.merged { (None, None) } else { (destination, Some(packet.session)) };
        let known = self.streams.len();
        let Some(at) = Stream::find_or_open(&mut self.streams, session, wanted, protocol, &self.decoder_options) else {
            counts.refused_streams += 1;
            return Ok(());
        };
        if self.streams.len() > known {
            counts.streams.push((destination, packet.session));
        }
        self.ready.begin(at, captured_ns);
        // The protocol counts from 1; number 0 is what tools write into packets they made up, and says no order.
        if packet.sequence == 0 && packet.count > 0 {
            for (_, message) in packet.messages() {
                self.ready.message(0, message);
            }
            return Ok(());
        }
        match packet.kind {
            PacketKind::Messages => {}
            PacketKind::Heartbeat => counts.heartbeats += 1,
            PacketKind::EndOfSession => counts.ends_of_session += 1,
        }
        let Stream { sequencer, .. } = &mut self.streams[at];
        let (ready, repeats) = (&mut self.ready, sequencer.counters.repeats);
        let mut first_session = sequencer.session().is_none();
        let parsed =
            sequencer.on_packet(captured_ns, payload, &mut |sequenced| ready.sequenced(sequenced, &mut first_session));
        debug_assert!(parsed.is_ok(), "parsed above");
        counts.repeats += sequencer.counters.repeats - repeats;
        Ok(())
    }

    /// Takes what stream `at` still holds, giving up what it waits for; `false` when there is no such stream.
    fn flush(&mut self, at: usize) -> bool {
        let Some(Stream { sequencer, .. }) = self.streams.get_mut(at) else { return false };
        let captured_ns = self.ready.captured_ns;
        self.ready.begin(at, captured_ns);
        let ready = &mut self.ready;
        if !sequencer.has_gap() && !sequencer.has_ready() {
            let concluded = sequencer.conclude(self.latest_ns, &mut |sequenced| ready.sequenced(sequenced, &mut false));
            self.flushing = Some(if concluded { at } else { at + 1 });
            return true;
        }
        self.latest_ns = self.latest_ns.saturating_add(SEQUENCER.gap_timeout_ns);
        sequencer.on_idle(self.latest_ns, &mut |sequenced| ready.sequenced(sequenced, &mut false));
        true
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

/// Counts a whole packet whose messages are of no protocol that is read, and notes what the first one looks like.
#[cold]
fn on_foreign(packet: &Packet<'_>, payload: &[u8], counts: &mut RecordingCounts) {
    counts.foreign_packets += 1;
    if counts.foreign.is_none() {
        let first = packet.messages().next().map_or(&[][..], |(_, message)| message);
        counts.foreign = Some(ForeignPackets {
            name: foreign_datagram(payload),
            kind: first.first().copied().unwrap_or(0),
            length: first.len(),
        });
    }
}
