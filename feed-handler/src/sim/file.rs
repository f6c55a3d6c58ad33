//! The simulated exchange's messages in a file, as fast as the disk takes them.
//!
//! Same seed, same start, same limits: the same file. Written beside its name first and renamed when it is whole.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use book::Nanos;
use etherparse::PacketBuilder;
use flate2::Compression as Level;
use flate2::write::GzEncoder;

use super::exchange::config::{BadConfig, SimConfig};
use super::exchange::{Exchange, Output};
use crate::wire::layout::moldudp64::Session;
use crate::wire::moldudp64::{DATAGRAM_BYTES_MAX, PacketWriter, PushError};

/// Multicast group of a capture whose configuration names none: the range set aside for documentation.
const GROUP: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(233, 252, 0, 1), 21_001);
/// Sender in a capture: the range set aside for documentation.
const SENDER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(198, 51, 100, 1), 20_001);
/// The capture clock is behind the exchange's by as much as in the real recording.
const CAPTURE_DELAY_NS: u64 = 250_000;
const HEARTBEAT_NS: u64 = 1_000_000_000;
/// Calls of the progress function: once per so many messages.
const PROGRESS_MESSAGES: u64 = 16_384;

/// Why no file was written. A part of it may stand beside its name, ending in `.part`.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// A number of the configuration; trying again does not help.
    #[error(transparent)]
    Config(#[from] BadConfig),
    /// The name does not tell the format.
    #[error("{}: the name must end in .itch, .bistech or .pcap, each with or without .gz", path.display())]
    UnknownFormat {
        /// The name.
        path: PathBuf,
    },
    /// The file.
    #[error("{}: {source}", path.display())]
    Io {
        /// The name.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

/// How far a file is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Messages written.
    pub messages: u64,
    /// Packets written (captures), else 0.
    pub packets: u64,
    /// Trading days begun.
    pub sessions: u32,
    /// The exchange's clock, Unix nanoseconds.
    pub exchange_ns: Nanos,
    /// How much of the current day is over, in thousandths of its exchange time.
    pub day_permille: u32,
}

/// Writes the messages of `config.days` days (0 = one day), or the first `messages_max` (0 = all), whichever is less.
///
/// The format is in the name: `.itch` or `.bistech` are messages with a 2-byte big-endian length before each, `.pcap` is a
/// nanosecond capture of MoldUDP64 packets over Ethernet, IPv4 and UDP, timed by the exchange's clock; with `.gz` the
/// file is compressed. `progress` is called now and then and can break off; the file then holds what was written so far.
///
/// # Errors
/// The configuration, the name, or the disk.
pub fn write_file(
    path: &Path,
    config: &SimConfig,
    start_ns: Nanos,
    messages_max: u64,
    mut progress: impl FnMut(&Progress) -> ControlFlow<()>,
) -> Result<Progress, WriteError> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let (stem, compressed) = name.strip_suffix(".gz").map_or((name, false), |stem| (stem, true));
    let capture = match stem.rsplit_once('.').map(|(_, extension)| extension) {
        Some("itch" | "bistech") => false,
        Some("pcap") => true,
        _ => return Err(WriteError::UnknownFormat { path: path.to_owned() }),
    };
    let config = SimConfig { days: config.days.max(1), ..config.clone() };
    let mut exchange = Exchange::new(&config, start_ns)?;
    let failed = |source| WriteError::Io { path: path.to_owned(), source };

    let part = path.with_file_name(format!("{name}.part"));
    let file = BufWriter::with_capacity(1 << 18, File::create(&part).map_err(failed)?);
    let sink: Sink = if compressed { Sink::Gzip(GzEncoder::new(file, Level::fast())) } else { Sink::Plain(file) };
    let group = match config.destination {
        SocketAddr::V4(destination) if destination.ip().is_multicast() => destination,
        _ => GROUP,
    };
    let mut out = FileOutput {
        sink,
        capture: capture.then(|| Capture {
            writer: PacketWriter::new(exchange.session(), 1, DATAGRAM_BYTES_MAX),
            packet_ns: 0,
            quiet_since_ns: None,
            group,
            frame: Vec::with_capacity(DATAGRAM_BYTES_MAX + 64),
        }),
        progress: Progress::default(),
        messages_max: if messages_max == 0 { u64::MAX } else { messages_max },
        error: None,
    };
    out.begin();
    let mut next_progress = PROGRESS_MESSAGES;
    while exchange.next_ns().is_some() && out.error.is_none() && out.progress.messages < out.messages_max {
        exchange.step(&mut out);
        if out.progress.messages >= next_progress {
            next_progress = out.progress.messages + PROGRESS_MESSAGES;
            let schedule = exchange.schedule();
            let whole_ns = schedule.messages_end_ns - schedule.directory_ns;
            let over_ns = out.progress.exchange_ns.saturating_sub(schedule.directory_ns).min(whole_ns);
            out.progress.day_permille = (over_ns * 1_000 / whole_ns.max(1)) as u32;
            if progress(&out.progress).is_break() {
                break;
            }
        }
    }
    out.flush();
    let FileOutput { sink, progress, error, .. } = out;
    if let Some(source) = error {
        return Err(failed(source));
    }
    sink.finish().and_then(|()| std::fs::rename(&part, path)).map_err(failed)?;
    Ok(progress)
}

enum Sink {
    Plain(BufWriter<File>),
    Gzip(GzEncoder<BufWriter<File>>),
}

impl Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(file) => file.write_all(bytes),
            Self::Gzip(file) => file.write_all(bytes),
        }
    }

    fn finish(self) -> io::Result<()> {
        let file = match self {
            Self::Plain(file) => file,
            Self::Gzip(file) => file.finish()?,
        };
        file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
    }
}

struct Capture {
    writer: PacketWriter,
    packet_ns: Nanos,
    quiet_since_ns: Option<Nanos>,
    group: SocketAddrV4,
    frame: Vec<u8>,
}

struct FileOutput {
    sink: Sink,
    capture: Option<Capture>,
    progress: Progress,
    messages_max: u64,
    /// The first error; nothing is written after it.
    error: Option<io::Error>,
}

impl FileOutput {
    fn write(&mut self, bytes: &[u8]) {
        if self.error.is_none() {
            self.error = self.sink.write(bytes).err();
        }
    }

    /// Head of a capture: nanosecond magic, version 2.4, longest packet, Ethernet.
    fn begin(&mut self) {
        if self.capture.is_some() {
            let mut head = [0; 24];
            head[0..4].copy_from_slice(&0xa1b2_3c4d_u32.to_le_bytes());
            head[4..6].copy_from_slice(&2u16.to_le_bytes());
            head[6..8].copy_from_slice(&4u16.to_le_bytes());
            head[16..20].copy_from_slice(&65_535u32.to_le_bytes());
            head[20..24].copy_from_slice(&1u32.to_le_bytes());
            self.write(&head);
        }
    }

    fn flush(&mut self) {
        let Some(mut capture) = self.capture.take() else { return };
        let packet_ns = capture.packet_ns;
        if let Some(datagram) = capture.writer.take() {
            let frame = frame(datagram, capture.group, &mut capture.frame);
            self.record(packet_ns, frame);
            capture.quiet_since_ns = Some(packet_ns);
        }
        self.capture = Some(capture);
    }

    /// Heartbeats of the quiet time before `at_ns`.
    fn heartbeats(&mut self, at_ns: Nanos) {
        let Some(mut capture) = self.capture.take() else { return };
        while let Some(next_ns) = capture.quiet_since_ns.map(|since_ns| since_ns + HEARTBEAT_NS) {
            if next_ns >= at_ns {
                break;
            }
            let heartbeat = capture.writer.heartbeat();
            let frame = frame(&heartbeat, capture.group, &mut capture.frame);
            self.record(next_ns, frame);
            capture.quiet_since_ns = Some(next_ns);
        }
        self.capture = Some(capture);
    }

    fn record(&mut self, exchange_ns: Nanos, frame: Result<&[u8], io::Error>) {
        let frame = match frame {
            Ok(frame) => frame,
            Err(error) => {
                self.error.get_or_insert(error);
                return;
            }
        };
        let at_ns = exchange_ns + CAPTURE_DELAY_NS;
        // OK because a frame has at most 1,442 bytes, and seconds fit until 2106.
        let length = frame.len() as u32;
        let mut head = [0; 16];
        head[0..4].copy_from_slice(&((at_ns / 1_000_000_000) as u32).to_le_bytes());
        head[4..8].copy_from_slice(&((at_ns % 1_000_000_000) as u32).to_le_bytes());
        head[8..12].copy_from_slice(&length.to_le_bytes());
        head[12..16].copy_from_slice(&length.to_le_bytes());
        self.write(&head);
        self.write(frame);
        self.progress.packets += 1;
    }
}

/// One datagram in its frame.
fn frame<'a>(datagram: &[u8], group: SocketAddrV4, buffer: &'a mut Vec<u8>) -> Result<&'a [u8], io::Error> {
    let [_, b, c, d] = group.ip().octets();
    // RFC 1112: the low 23 bits of the group.
    let builder = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [1, 0, 0x5e, b & 0x7f, c, d])
        .ipv4(SENDER.ip().octets(), group.ip().octets(), 16)
        .udp(SENDER.port(), group.port());
    buffer.clear();
    builder.write(buffer, datagram).map_err(io::Error::other)?;
    Ok(buffer)
}

impl Output for FileOutput {
    fn session_begins(&mut self, session: Session) {
        self.flush();
        self.progress.sessions += 1;
        if let Some(capture) = &mut self.capture {
            capture.writer = PacketWriter::new(session, 1, DATAGRAM_BYTES_MAX);
            capture.quiet_since_ns = None;
        }
    }

    fn message(&mut self, exchange_ns: Nanos, message: &[u8]) {
        if self.progress.messages >= self.messages_max {
            return;
        }
        self.progress.messages += 1;
        self.progress.exchange_ns = exchange_ns;
        if self.capture.is_none() {
            // OK because the longest message of the protocol has 130 bytes.
            self.write(&(message.len() as u16).to_be_bytes());
            self.write(message);
            return;
        }
        if self.capture.as_ref().is_some_and(|capture| capture.packet_ns != exchange_ns) {
            self.flush();
            self.heartbeats(exchange_ns);
        }
        let Some(capture) = &mut self.capture else { return };
        capture.packet_ns = exchange_ns;
        if capture.writer.push(message) == Err(PushError::Full) {
            self.flush();
            if let Some(capture) = &mut self.capture {
                // OK because an empty packet holds any message of the protocol.
                let _ = capture.writer.push(message);
            }
        }
    }

    fn session_ends(&mut self) {
        self.flush();
        if let Some(mut capture) = self.capture.take() {
            for repeat in 1..=3 {
                let end = capture.writer.end_of_session();
                let frame = frame(&end, capture.group, &mut capture.frame);
                self.record(capture.packet_ns + repeat * HEARTBEAT_NS, frame);
            }
            capture.quiet_since_ns = None;
            self.capture = Some(capture);
        }
    }
}
