//! A recording of any format we know, one message at a time.
//!
//! Opens the file, finds out what it is, and then [`Recording::next`] gives the slots of one message to a sink and
//! says when it was recorded and where it stands. What cannot be read is counted by reason; what ends too early gives
//! everything before it and then an error with its offset. Never sleeps: when a message is due is
//! [`pacing`](super::pacing)'s business.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::str::FromStr;

use book::market::OrderKey;
use book::{Nanos, Slot};

use super::ReadError;
use super::date::Day;
use super::dbn_file::{self, DbnFile};
use super::input::{Input, PEEK_MAX};
use super::lobster::{self, LobsterFile};
use super::mold::MoldFile;
use super::packets::{Packets, Reader};
use super::pcap::{self, Capture, Skipped};
use super::protocol::{Decoder, ImpliedDirectory, Protocol, exchange_ns, itch50_exchange_ns};
use super::raw::Framed;
use crate::layout::moldudp64::Session;
use crate::sink::{Received, Refused, Sink};
use crate::{bistech, itch50};

/// Refusals whose place is remembered, for whoever wants to look at the file.
const REFUSALS_KEPT: usize = 10;
/// Gaps that are remembered one by one; all are counted.
const GAPS_KEPT: usize = 100;

/// A recording, open.
pub struct Recording {
    body: Body,
    format: Format,
    counts: Counts,
    ended: bool,
}

enum Body {
    Framed(Box<FramedBody>),
    Packets(Box<Packets>),
    Dbn(Box<DbnFile>),
    Lobster(Box<LobsterFile>),
}

struct FramedBody {
    file: Framed,
    decoder: Decoder,
    implied: ImpliedDirectory,
    options: DecoderOptions,
}

/// What a recording turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Length-prefixed messages.
    Framed(Protocol),
    /// MoldUDP64 datagrams, one after the other.
    Mold,
    /// A packet capture with MoldUDP64 in it.
    Pcap,
    /// DBN.
    Dbn,
    /// LOBSTER messages.
    Lobster,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Framed(protocol) => protocol.name(),
            Self::Mold => "mold",
            Self::Pcap => "mold-pcap",
            Self::Dbn => "dbn",
            Self::Lobster => "lobster",
        })
    }
}

/// What the user says a file is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// Find out.
    #[default]
    Auto,
    /// Messages of this protocol, length-prefixed or in MoldUDP64 packets, whichever the file has.
    Messages(Protocol),
    /// A capture or a file of datagrams; the protocol is found out.
    MoldPcap,
    /// DBN.
    Dbn,
    /// LOBSTER messages.
    Lobster,
}

/// The names that [`Choice`] is read from.
pub const FORMAT_NAMES: [&str; 6] = ["auto", "bistech", "itch50", "dbn", "lobster", "mold-pcap"];

/// A format name that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("format {0:?} is none of auto, bistech, itch50, dbn, lobster, mold-pcap")]
pub struct BadFormat(String);

impl FromStr for Choice {
    type Err = BadFormat;

    fn from_str(name: &str) -> Result<Self, BadFormat> {
        Ok(match name {
            "auto" => Self::Auto,
            "bistech" => Self::Messages(Protocol::Bistech),
            "itch50" => Self::Messages(Protocol::Itch50),
            "mold-pcap" => Self::MoldPcap,
            "dbn" => Self::Dbn,
            "lobster" => Self::Lobster,
            _ => return Err(BadFormat(name.to_owned())),
        })
    }
}

/// How to open a recording.
#[derive(Clone, Debug)]
pub struct Options {
    /// What the file is.
    pub format: Choice,
    /// Midnight in New York of the day, for ITCH 5.0; `None` = from the file's name, else 1 January 1970 (then times
    /// are times of day).
    pub midnight_ns: Option<Nanos>,
    /// UDP ports of a capture to follow; empty = all.
    pub ports: Vec<u16>,
    /// All destinations of a capture are lines of one stream (A and B of one partition).
    pub merged: bool,
    /// Price decimals of BISTECH books that the recording does not announce; `None` refuses their prices.
    pub default_decimals: Option<u8>,
    /// Most books of a recording.
    pub books_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            format: Choice::Auto,
            midnight_ns: None,
            ports: Vec::new(),
            merged: false,
            default_decimals: None,
            books_max: 65_535,
        }
    }
}

/// What decoders need to know.
#[derive(Clone, Copy, Debug)]
pub(super) struct DecoderOptions {
    midnight_ns: Nanos,
    default_decimals: Option<u8>,
    books_max: usize,
}

impl DecoderOptions {
    pub fn decoder(&self, protocol: Protocol) -> Decoder {
        match protocol {
            Protocol::Bistech => bistech::Decoder::new(self.books_max, self.default_decimals).into(),
            Protocol::Itch50 => itch50::Decoder::new(self.midnight_ns, self.books_max).into(),
        }
    }
}

/// Why a recording cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file itself.
    #[error("cannot be opened: {0}")]
    Io(#[from] std::io::Error),
    /// There is nothing in it.
    #[error("is empty")]
    Empty,
    /// Nothing in it says what it is.
    #[error("is in no format that is known; say which with --format (auto, bistech, itch50, dbn, lobster, mold-pcap)")]
    Unrecognised,
    /// The head of the format is cut or damaged.
    #[error("{0}")]
    Head(#[from] ReadError),
}

/// What [`Recording::next`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// One message; its slots are in the sink, unless it was refused.
    Message(Taken),
    /// Messages are missing from the recording; a [`book::slot::system::GAP`] slot is in the sink.
    Gap {
        /// First missing number.
        from: u64,
        /// Last missing number.
        to: u64,
    },
    /// A stream began a new session: everything known of its books is over. No slot is in the sink.
    Session,
    /// There is no more.
    End,
}

/// One message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Type byte; of DBN the action, of LOBSTER the digit, `d` for a definition made by us.
    pub kind: u8,
    /// Number of the transport, or the 1-based place in the file; 0 for what has no place in it.
    pub position: u64,
    /// The clock to replay by: the capture's, or the exchange's where there is no capture; 0 = not known.
    pub recorded_ns: Nanos,
    /// Exchange clock; 0 = not known.
    pub exchange_ns: Nanos,
    /// Slots made.
    pub slots: u32,
    /// Why it made none, if it should have.
    pub refused: Option<Refused>,
}

impl Taken {
    /// Decodes one message of either protocol.
    pub(super) fn decode(
        message: &[u8],
        received: Received,
        decoder: &mut Decoder,
        implied: &mut ImpliedDirectory,
        options: &DecoderOptions,
        sink: &mut impl Sink,
    ) -> Self {
        let mut taken = Self {
            kind: message.first().copied().unwrap_or(0),
            position: received.sequence,
            recorded_ns: received.received_ns,
            ..Self::default()
        };
        let mut sink = |slot: Slot| {
            taken.slots += 1;
            taken.exchange_ns = exchange_ns(&slot);
            sink.push(slot);
        };
        if matches!(decoder, Decoder::Itch50(_)) {
            implied.on_message(options.midnight_ns, message, received, &mut sink);
        }
        taken.refused = decoder.decode(message, received, &mut sink).err();
        if taken.exchange_ns == 0 && taken.refused.is_none() {
            taken.exchange_ns = itch50_exchange_ns(options.midnight_ns, message);
        }
        if taken.recorded_ns == 0 {
            taken.recorded_ns = taken.exchange_ns;
        }
        taken
    }
}

/// What was counted while reading.
#[derive(Clone, Debug)]
pub struct Counts {
    /// Messages (rows, records), refused ones included, definitions of ours not.
    pub messages: u64,
    /// The same by [`Taken::kind`].
    pub by_kind: Box<[u64; 256]>,
    /// Slots made.
    pub slots: u64,
    /// Messages refused, by [`Refused::reason`].
    pub refused: BTreeMap<&'static str, u64>,
    /// The first ten of them: position and reason.
    pub refused_first: Vec<(u64, Refused)>,
    /// Gaps in the numbers.
    pub gaps: u64,
    /// Messages missing in them; stays at the highest number rather than beginning again.
    pub lost: u64,
    /// The first hundred gaps, as first and last missing number.
    pub gaps_first: Vec<(u64, u64)>,
    /// UDP payloads looked at.
    pub packets: u64,
    /// Packets that only said that the sender is alive.
    pub heartbeats: u64,
    /// Packets that ended a session.
    pub ends_of_session: u64,
    /// Messages that had come before, as from the other line.
    pub repeats: u64,
    /// UDP payloads that are no whole MoldUDP64 packet.
    pub damaged_packets: u64,
    /// UDP payloads to ports that are not followed.
    pub other_ports: u64,
    /// Sessions begun after the first one of their stream.
    pub sessions: u64,
    /// Each stream with its first session.
    pub streams: Vec<(Option<SocketAddr>, Session)>,
    /// Earliest and latest exchange clock; `None` before the first message that has one.
    pub exchange_span_ns: Option<(Nanos, Nanos)>,
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            messages: 0,
            by_kind: Box::new([0; 256]),
            slots: 0,
            refused: BTreeMap::new(),
            refused_first: Vec::new(),
            gaps: 0,
            lost: 0,
            gaps_first: Vec::new(),
            packets: 0,
            heartbeats: 0,
            ends_of_session: 0,
            repeats: 0,
            damaged_packets: 0,
            other_ports: 0,
            sessions: 0,
            streams: Vec::new(),
            exchange_span_ns: None,
        }
    }
}

impl Counts {
    fn on_step(&mut self, step: &Step) {
        match step {
            Step::Message(taken) => self.on_message(taken),
            Step::Gap { from, to } => {
                self.gaps += 1;
                // A damaged number can make one gap as long as all numbers are; two of them are longer.
                self.lost = self.lost.saturating_add(to - from + 1);
                if self.gaps_first.len() < GAPS_KEPT {
                    self.gaps_first.push((*from, *to));
                }
            }
            Step::Session => self.sessions += 1,
            Step::End => {}
        }
    }

    fn on_message(&mut self, taken: &Taken) {
        self.slots += u64::from(taken.slots);
        if taken.position > 0 {
            self.messages += 1;
            self.by_kind[usize::from(taken.kind)] += 1;
        }
        if let Some(refused) = taken.refused {
            *self.refused.entry(refused.reason()).or_default() += 1;
            if self.refused_first.len() < REFUSALS_KEPT {
                self.refused_first.push((taken.position, refused));
            }
        }
        if taken.exchange_ns > 0 {
            let (first, last) = self.exchange_span_ns.unwrap_or((taken.exchange_ns, taken.exchange_ns));
            self.exchange_span_ns = Some((first.min(taken.exchange_ns), last.max(taken.exchange_ns)));
        }
    }

    /// All refusals.
    #[must_use]
    pub fn refused_total(&self) -> u64 {
        self.refused.values().sum()
    }
}

impl Recording {
    /// Opens a file and finds out what it is.
    ///
    /// # Errors
    /// The file cannot be opened, is in no known format, or its head is cut or damaged.
    pub fn open(path: &Path, options: &Options) -> Result<Self, OpenError> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        Self::from_input(Input::open(path)?, &name, options)
    }

    /// The same from bytes in memory; `name` is a file name, for the formats that need one.
    ///
    /// # Errors
    /// The bytes are in no known format, or their head is cut or damaged.
    pub fn from_bytes(bytes: Vec<u8>, name: &str, options: &Options) -> Result<Self, OpenError> {
        Self::from_input(Input::from_bytes(bytes)?, name, options)
    }

    fn from_input(mut input: Input, name: &str, options: &Options) -> Result<Self, OpenError> {
        let decoder_options = DecoderOptions {
            midnight_ns: options
                .midnight_ns
                .unwrap_or_else(|| Day::from_name(name).map_or(0, Day::new_york_midnight_ns)),
            default_decimals: options.default_decimals,
            books_max: options.books_max,
        };
        if input.peek(1).is_empty() {
            return Err(match input.take_fault() {
                Some(source) => OpenError::Io(source),
                None => OpenError::Empty,
            });
        }
        let (format, protocol) = recognise(input.peek(PEEK_MAX), name, options.format)?;
        let mut counts = Counts::default();
        let mut packets = |reader| {
            let (ports, merged) = (options.ports.clone(), options.merged);
            let mut packets = Packets::new(reader, protocol, decoder_options, ports, merged);
            packets.prime(&mut counts);
            Body::Packets(Box::new(packets))
        };
        let body = match format {
            Format::Framed(protocol) => Body::Framed(Box::new(FramedBody {
                file: match protocol {
                    Protocol::Bistech => Framed::new(input, bistech::length_of),
                    Protocol::Itch50 => Framed::new(input, itch50::length_of),
                },
                decoder: decoder_options.decoder(protocol),
                implied: ImpliedDirectory::default(),
                options: decoder_options,
            })),
            Format::Mold => packets(Reader::Bare(MoldFile::new(input))),
            Format::Pcap => packets(Reader::Capture(Capture::new(input)?)),
            Format::Dbn => Body::Dbn(Box::new(DbnFile::new(input)?)),
            Format::Lobster => Body::Lobster(Box::new(LobsterFile::new(input, name))),
        };
        Ok(Self { body, format, counts, ended: false })
    }

    /// Gives the slots of the next message (or gap) to `sink`.
    ///
    /// # Errors
    /// The file cannot be read on; everything before that point was given out, and after it comes [`Step::End`].
    pub fn next(&mut self, sink: &mut impl Sink) -> Result<Step, ReadError> {
        if self.ended {
            return Ok(Step::End);
        }
        let step = self.take(sink);
        match &step {
            Ok(step) => {
                self.counts.on_step(step);
                self.ended = *step == Step::End;
            }
            Err(_) => self.ended = true,
        }
        step
    }

    fn take(&mut self, sink: &mut impl Sink) -> Result<Step, ReadError> {
        let position = self.counts.messages + 1;
        Ok(match &mut self.body {
            Body::Framed(body) => {
                let FramedBody { file, decoder, implied, options } = &mut **body;
                file.next_message()?.map_or(Step::End, |message| {
                    let received = Received { received_ns: 0, sequence: position, channel_id: 0 };
                    Step::Message(Taken::decode(message, received, decoder, implied, options, sink))
                })
            }
            Body::Packets(packets) => packets.next(&mut self.counts, sink)?,
            Body::Dbn(file) => {
                let (mut slots, mut clock_ns) = (0, 0);
                let record = file.next(&mut |slot: Slot| {
                    slots += 1;
                    clock_ns = exchange_ns(&slot);
                    sink.push(slot);
                })?;
                record.map_or(Step::End, |record| {
                    Step::Message(Taken {
                        kind: record.kind,
                        position: if record.synthetic { 0 } else { position },
                        recorded_ns: record.recorded_ns,
                        exchange_ns: if record.synthetic { 0 } else { clock_ns },
                        slots,
                        refused: record.refused,
                    })
                })
            }
            Body::Lobster(file) => {
                let mut slots = 0;
                let row = file.next(&mut |slot: Slot| {
                    slots += 1;
                    sink.push(slot);
                })?;
                row.map_or(Step::End, |row| {
                    let synthetic = row.kind == lobster::KIND_DEFINITION;
                    let exchange_ns = if synthetic { 0 } else { row.exchange_ns };
                    Step::Message(Taken {
                        kind: row.kind,
                        position: if synthetic { 0 } else { position },
                        recorded_ns: exchange_ns,
                        exchange_ns,
                        slots,
                        refused: row.refused,
                    })
                })
            }
        })
    }

    /// What the file is.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    /// The message protocol; `None` for formats without one, and for captures whose first thousand datagrams have no
    /// message.
    #[must_use]
    pub fn protocol(&self) -> Option<Protocol> {
        match &self.body {
            Body::Framed(body) => Some(body.decoder.protocol()),
            Body::Packets(packets) => packets.protocol(),
            Body::Dbn(_) | Body::Lobster(_) => None,
        }
    }

    /// What names an order, for the books made of this recording: the reference alone in ITCH 5.0, which states no
    /// side later on; book, side and id everywhere else.
    #[must_use]
    pub fn order_key(&self) -> OrderKey {
        if self.protocol() == Some(Protocol::Itch50) { OrderKey::Id } else { OrderKey::BookSideId }
    }

    /// What was counted so far.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Frames of a capture that were passed over.
    #[must_use]
    pub fn skipped(&self) -> Skipped {
        match &self.body {
            Body::Packets(packets) => packets.skipped(),
            _ => Skipped::default(),
        }
    }

    /// Bytes of the file read so far (compressed ones, if it is) and in all: for a progress bar.
    #[must_use]
    pub fn progress(&self) -> (u64, u64) {
        match &self.body {
            Body::Framed(body) => body.file.input(),
            Body::Packets(packets) => packets.input(),
            Body::Dbn(file) => file.input(),
            Body::Lobster(file) => file.input(),
        }
        .progress()
    }
}

/// Finds out what a file is: by its first bytes, and by its name where these say nothing.
fn recognise(head: &[u8], name: &str, choice: Choice) -> Result<(Format, Option<Protocol>), OpenError> {
    let forced = match choice {
        Choice::Messages(protocol) => Some(protocol),
        _ => None,
    };
    let lowercase = name.to_ascii_lowercase();
    let named = |part: &str| lowercase.contains(part);
    let protocol_named = if named("bistech") {
        Some(Protocol::Bistech)
    } else if named("itch50") || named("itch5") {
        Some(Protocol::Itch50)
    } else {
        None
    };
    match choice {
        Choice::Dbn => return Ok((Format::Dbn, None)),
        Choice::Lobster => return Ok((Format::Lobster, None)),
        _ if pcap::is_capture(head) => return Ok((Format::Pcap, forced.or(protocol_named))),
        Choice::MoldPcap => return Ok((Format::Mold, protocol_named)),
        Choice::Auto if dbn_file::is_dbn(head) => return Ok((Format::Dbn, None)),
        Choice::Auto if lobster::is_lobster(head) => return Ok((Format::Lobster, None)),
        Choice::Auto | Choice::Messages(_) => {}
    }
    if let Some(protocol) = Protocol::of_framed(head).filter(|&found| forced.is_none_or(|forced| forced == found)) {
        return Ok((Format::Framed(protocol), Some(protocol)));
    }
    if let Some(protocol) = Protocol::of_datagram(head).filter(|&found| forced.is_none_or(|forced| forced == found)) {
        return Ok((Format::Mold, Some(protocol)));
    }
    // Nothing whole is in it. What it is called may still say what is cut or damaged there.
    if named(".mold") {
        return Ok((Format::Mold, forced.or(protocol_named)));
    }
    if named(".dbn") {
        return Ok((Format::Dbn, None));
    }
    if named("_message_") && named(".csv") {
        return Ok((Format::Lobster, None));
    }
    match forced.or(protocol_named) {
        Some(protocol) => Ok((Format::Framed(protocol), Some(protocol))),
        None => Err(OpenError::Unrecognised),
    }
}

/// Raw messages of a recording in memory: for benchmarks, where reading must not be timed.
#[derive(Debug)]
pub struct Loaded {
    bytes: Vec<u8>,
    /// End of each message in `bytes`.
    ends: Vec<usize>,
    /// Their protocol.
    pub protocol: Protocol,
}

impl Loaded {
    /// Reads all messages of a length-prefixed file, at most `bytes_max` of them.
    ///
    /// # Errors
    /// The file cannot be opened, is in another format, is cut, or has more than `bytes_max` bytes.
    pub fn open(path: &Path, options: &Options, bytes_max: usize) -> Result<Self, OpenError> {
        let mut recording = Recording::open(path, options)?;
        let Body::Framed(body) = &mut recording.body else { return Err(OpenError::Unrecognised) };
        let mut loaded = Self { bytes: Vec::new(), ends: Vec::new(), protocol: body.decoder.protocol() };
        while let Some(message) = body.file.next_message()? {
            if loaded.bytes.len() + message.len() > bytes_max {
                let message = format!("larger than the {bytes_max} bytes asked for");
                return Err(std::io::Error::new(std::io::ErrorKind::FileTooLarge, message).into());
            }
            loaded.bytes.extend_from_slice(message);
            loaded.ends.push(loaded.bytes.len());
        }
        Ok(loaded)
    }

    /// The messages in order.
    pub fn messages(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.ends.iter().enumerate().map(|(at, &end)| &self.bytes[if at == 0 { 0 } else { self.ends[at - 1] }..end])
    }
}
