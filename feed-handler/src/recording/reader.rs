//! A recording of any format we know, one message at a time.
//!
//! Opens the file, finds out what it is, and then [`Recording::next`] gives the slots of one message to a sink and
//! says when it was recorded and where it stands. What cannot be read is counted by reason; what ends too early gives
//! everything before it and then an error with its offset. Never sleeps: when a message is due is
//! [`pacing`](super::pacing)'s business.

use std::path::Path;

use book::Slot;
use book::market::OrderKey;

use super::counts::RecordingCounts;
use super::date::{day_in_name, new_york_midnight_ns};
use super::dbn::DbnFile;
use super::error::{OpenError, ReadError};
use super::format::{Format, recognise};
use super::implied_directory::ImpliedDirectory;
use super::input::{Input, PEEK_MAX};
use super::lobster::{self, LobsterFile};
use super::mold::MoldFile;
use super::options::RecordingOptions;
use super::packets::{Packets, Reader};
use super::pcap::{Capture, Skipped};
use super::raw::Framed;
use super::step::{DecoderOptions, RecordedMessage, Step};
use crate::decode::protocol::{MessageDecoder, Protocol, exchange_ns};
use crate::decode::sink::{Received, Sink};
use crate::decode::{bistech, itch50};

/// A recording, open.
pub struct Recording {
    body: Body,
    format: Format,
    counts: RecordingCounts,
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
    decoder: MessageDecoder,
    implied: ImpliedDirectory,
    options: DecoderOptions,
}

impl Recording {
    /// Opens a file and finds out what it is.
    ///
    /// # Errors
    /// The file cannot be opened, is in no known format, or its head is cut or damaged.
    pub fn open(path: &Path, options: &RecordingOptions) -> Result<Self, OpenError> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        Self::from_input(Input::open(path)?, &name, options)
    }

    /// The same from bytes in memory; `name` is a file name, for the formats that need one.
    ///
    /// # Errors
    /// The bytes are in no known format, or their head is cut or damaged.
    pub fn from_bytes(bytes: Vec<u8>, name: &str, options: &RecordingOptions) -> Result<Self, OpenError> {
        Self::from_input(Input::from_bytes(bytes)?, name, options)
    }

    fn from_input(mut input: Input, name: &str, options: &RecordingOptions) -> Result<Self, OpenError> {
        let decoder_options = DecoderOptions {
            midnight_ns: options.midnight_ns.unwrap_or_else(|| day_in_name(name).map_or(0, new_york_midnight_ns)),
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
        let mut counts = RecordingCounts::default();
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
        if self.ended {
            self.counts.trailing_bytes = self.input().trailing_bytes();
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
                    Step::Message(RecordedMessage::decode(message, received, decoder, implied, options, sink))
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
                    Step::Message(RecordedMessage {
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
                    Step::Message(RecordedMessage {
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
    pub fn counts(&self) -> &RecordingCounts {
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
        self.input().progress()
    }

    /// Why nothing of it could be read, in words; `None` while something could. Known at the end.
    #[must_use]
    pub fn nothing_read(&self) -> Option<String> {
        if let Some(words) = self.counts.nothing_read() {
            return Some(words);
        }
        let RecordingCounts { packets, damaged_packets, other_ports, refused_streams, .. } = self.counts;
        if !matches!(self.format, Format::Pcap | Format::Mold) || packets > damaged_packets + refused_streams {
            return None;
        }
        let Skipped { not_udp, unreadable, fragments, link } = self.skipped();
        Some(format!(
            "no packet of a feed is in it: {not_udp} frames are not UDP, {unreadable} unreadable, {fragments} \
             fragments, {link} of other links, {other_ports} to ports that are not followed, {damaged_packets} no \
             whole MoldUDP64 packet"
        ))
    }

    fn input(&self) -> &Input {
        match &self.body {
            Body::Framed(body) => body.file.input(),
            Body::Packets(packets) => packets.input(),
            Body::Dbn(file) => file.input(),
            Body::Lobster(file) => file.input(),
        }
    }

    /// The file and the protocol of length-prefixed messages; `None` for every other format.
    pub(super) fn framed_mut(&mut self) -> Option<(&mut Framed, Protocol)> {
        match &mut self.body {
            Body::Framed(body) => Some((&mut body.file, body.decoder.protocol())),
            Body::Packets(_) | Body::Dbn(_) | Body::Lobster(_) => None,
        }
    }
}
