//! What is in a recording: counts by type, instruments, gaps and errors; and the book of one instrument, row by row.
//!
//! The logic behind `bist inspect`; printing a progress bar and choosing exit codes is the program's business. Reads
//! the whole file once, in bounded memory.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::Path;

use book::exchange::date::Day;
use book::market::{Limits, Market};
use book::slot::{System, rtype, system, text};
use book::types::{Level, ticker};
use book::{BookId, Nanos, Side, Slot, View};

use crate::decode::protocol::{Protocol, exchange_ns};
use crate::decode::sink::Refused;
use crate::recording::ReadError;
use crate::recording::pcap::Skipped;
use crate::recording::{Format, OpenError, Recording, RecordingCounts, RecordingOptions, Step};
use crate::wire::layout::moldudp64::Session;

/// Most levels of a side that rows may have.
pub const LEVELS_MAX: usize = 1_000;
/// Books of one recording.
const BOOKS_MAX: usize = 60_000;
/// Resting orders of one recording: 320 MB, twice what a day of the whole of NASDAQ needs.
const ORDERS_MAX: usize = 4_000_000;
/// Levels of all books: 96 MB.
const LEVELS_OF_ALL_BOOKS_MAX: usize = 1_000_000;
/// Instruments that a printed report lists; all of them are in [`Report::instruments`].
const INSTRUMENTS_PRINTED: usize = 20;

/// Which book to follow, and how deep.
#[derive(Clone, Debug)]
pub struct BookQuery {
    /// Ticker or the exchange's own name, in any case; `#7` is the book with that number.
    pub symbol: String,
    /// Levels of each side, 1..=[`LEVELS_MAX`].
    pub levels: usize,
}

/// Why a file cannot be inspected at all. A file that is cut or damaged further on can: that is part of the report.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// It cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The rows cannot be written.
    #[error("the rows cannot be written: {0}")]
    Write(#[from] io::Error),
    /// No level, or more than [`LEVELS_MAX`].
    #[error("levels must be in 1..={LEVELS_MAX}")]
    Levels,
}

/// What is in a recording.
#[derive(Debug)]
pub struct Report {
    /// What the file is.
    pub format: Format,
    /// Message protocol, where there is one.
    pub protocol: Option<Protocol>,
    /// Messages by type, in order of their type; definitions made of names and metadata are not among them.
    pub kinds: Vec<(String, u64)>,
    /// Everything counted while reading.
    pub counts: RecordingCounts,
    /// Frames of a capture that were passed over.
    pub skipped: Skipped,
    /// Instruments, by book number.
    pub instruments: Vec<Instrument>,
    /// What the books found wrong with the events, by kind; only kinds that occurred.
    pub anomalies: Vec<(&'static str, u64)>,
    /// Why reading ended before the end of the file.
    pub error: Option<ReadError>,
    /// The book asked for, once it was found.
    pub book: Option<BookId>,
    /// Rows written.
    pub rows: u64,
}

/// One instrument of a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instrument {
    /// The feed's number of its book.
    pub book_id: BookId,
    /// The exchange's own name; empty where the recording does not say it.
    pub symbol: String,
    /// Decimals of its prices.
    pub price_decimals: u8,
    /// Order events, executions and trades.
    pub events: u64,
    /// Orders that rest in its book at the end.
    pub orders: u32,
}

impl Report {
    /// Whether something is wrong with the file or its messages: cut, damaged, refused, or missing.
    ///
    /// What the books found wrong ([`Report::anomalies`]) is not among it: a recording that starts in mid-session
    /// names orders that it never added, and is whole nevertheless.
    #[must_use]
    pub fn has_findings(&self) -> bool {
        let RecordingCounts { gaps, damaged_packets, .. } = self.counts;
        self.error.is_some() || self.counts.refused_total() > 0 || gaps > 0 || damaged_packets > 0
    }
}

/// Reads a recording to its end (or as far as it can be read) and reports what is in it.
///
/// With a `query`, `rows` gets one CSV row for each message that has an order event, execution or trade of that
/// book, with the book as it is after it; a header comes first. `progress` is told the bytes read and in all, about
/// every 10,000 messages.
///
/// # Errors
/// The file cannot be opened, the rows cannot be written, or the query makes no sense.
pub fn inspect(
    path: &Path,
    options: &RecordingOptions,
    query: Option<&BookQuery>,
    rows: &mut dyn Write,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Report, InspectError> {
    inspect_recording(Recording::open(path, options)?, query, rows, progress)
}

/// The same for a recording that is open.
///
/// # Errors
/// The rows cannot be written, or the query makes no sense.
pub fn inspect_recording(
    mut recording: Recording,
    query: Option<&BookQuery>,
    rows: &mut dyn Write,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Report, InspectError> {
    let mut writer = match query {
        Some(query) => Some(Rows::begin(query, rows)?),
        None => None,
    };
    let mut books = Books::default();
    let mut slots: Vec<Slot> = Vec::with_capacity(64);
    let mut steps = 0u64;
    let error = loop {
        slots.clear();
        let step = match recording.next(&mut |slot| slots.push(slot)) {
            Ok(Step::End) => break None,
            Ok(step) => step,
            Err(error) => break Some(error),
        };
        books.apply(&recording, step == Step::Session, &slots);
        if let (Some(writer), Step::Message(message)) = (&mut writer, step)
            && let Some(exchange_ns) = writer.touched_by(&slots)
        {
            writer.write(books.market(&recording), message.position, exchange_ns, rows)?;
        }
        steps += 1;
        if steps.is_multiple_of(10_000) {
            let (read, total) = recording.progress();
            progress(read, total);
        }
    };
    rows.flush()?;
    let (read, total) = recording.progress();
    progress(read, total);
    let counts = recording.counts().clone();
    let (book, rows) = writer.map_or((None, 0), |writer| (writer.book_id, writer.rows));
    Ok(Report {
        format: recording.format(),
        protocol: recording.protocol(),
        kinds: kinds(&counts),
        counts,
        skipped: recording.skipped(),
        instruments: books.instruments(),
        anomalies: books.anomalies(),
        error,
        book,
        rows,
    })
}

/// Messages by the text of their type; only types that occurred.
fn kinds(counts: &RecordingCounts) -> Vec<(String, u64)> {
    (0..=u8::MAX)
        .map(|kind| (kind, counts.by_kind[usize::from(kind)]))
        .filter(|&(_, count)| count > 0)
        .map(|(kind, count)| (kind_name(kind), count))
        .collect()
}

/// The type byte as text.
fn kind_name(kind: u8) -> String {
    if kind.is_ascii_graphic() { char::from(kind).to_string() } else { format!("0x{kind:02x}") }
}

fn begin_session(market: &mut Market) {
    let epoch = market.epoch() + 1;
    market.apply(&System::new(system::SESSION, 0, 0, 0, 0, epoch).into(), &mut ());
}

/// All books of the recording, and what happened to each.
#[derive(Default)]
struct Books {
    /// Made at the first message: only then the protocol, and with it what names an order, is sure.
    market: Option<Market>,
    events: BTreeMap<BookId, u64>,
}

impl Books {
    fn market(&mut self, recording: &Recording) -> &mut Market {
        self.market.get_or_insert_with(|| {
            let (_, file_bytes) = recording.progress();
            // A resting order needs a message of 20 bytes or more, and files shrink to a third or less when
            // compressed: hardly a file has more orders than this, and no small file takes much memory. Should one
            // have more, the report says so.
            let orders_max = usize::try_from(file_bytes / 6).unwrap_or(usize::MAX).clamp(10_000, ORDERS_MAX);
            let mut market = Market::new(Limits {
                books_max: BOOKS_MAX,
                orders_max,
                levels_max: orders_max.min(LEVELS_OF_ALL_BOOKS_MAX),
                ladder_slots: 400_000.min(orders_max * 4),
                key: recording.order_key(),
                seed: 0,
                ..Limits::default()
            });
            begin_session(&mut market);
            market
        })
    }

    /// Applies the slots of one step, and counts them.
    fn apply(&mut self, recording: &Recording, is_new_session: bool, slots: &[Slot]) {
        let market = self.market(recording);
        if is_new_session {
            begin_session(market);
        }
        for slot in slots {
            market.apply(slot, &mut ());
        }
        for slot in slots {
            self.count(slot);
        }
    }

    fn count(&mut self, slot: &Slot) {
        if let Some(book_id) = book_of_event(slot) {
            *self.events.entry(book_id).or_default() += 1;
        }
    }

    fn instruments(&self) -> Vec<Instrument> {
        let books = self.market.as_ref().map_or(&[][..], Market::books);
        let mut instruments: Vec<_> = books
            .iter()
            .map(|book| Instrument {
                book_id: book.id(),
                symbol: book.symbol().to_owned(),
                price_decimals: book.price_decimals(),
                events: self.events.get(&book.id()).copied().unwrap_or(0),
                orders: book.orders(),
            })
            .collect();
        instruments.sort_by_key(|instrument| instrument.book_id);
        instruments
    }

    fn anomalies(&self) -> Vec<(&'static str, u64)> {
        let market = self.market.iter();
        market.flat_map(|market| market.anomalies().iter()).map(|(anomaly, count)| (anomaly.name(), count)).collect()
    }
}

/// The book of an order event, execution, replace or trade.
fn book_of_event(slot: &Slot) -> Option<BookId> {
    match slot.view() {
        View::Order(event) => Some(BookId(event.book_id)),
        View::Execution(event) | View::Replace(event) | View::Trade(event) => Some(BookId(event.book_id)),
        _ => None,
    }
}

/// Writes the rows of one book.
struct Rows {
    symbol: String,
    levels: usize,
    book_id: Option<BookId>,
    rows: u64,
    line: String,
    sides: [Vec<Level>; 2],
}

impl Rows {
    fn begin(query: &BookQuery, out: &mut dyn Write) -> Result<Self, InspectError> {
        if !(1..=LEVELS_MAX).contains(&query.levels) {
            return Err(InspectError::Levels);
        }
        let mut header = "seq,ts_event".to_owned();
        for level in 0..query.levels {
            for side in ["bid", "ask"] {
                header.push_str(&format!(",{side}_px_{level:02},{side}_sz_{level:02},{side}_ct_{level:02}"));
            }
        }
        header.push('\n');
        out.write_all(header.as_bytes())?;
        let book_id = query.symbol.strip_prefix('#').and_then(|number| number.parse().ok()).map(BookId);
        Ok(Self {
            symbol: ticker(&query.symbol.to_ascii_uppercase()).to_owned(),
            levels: query.levels,
            book_id,
            rows: 0,
            line: header,
            sides: [Vec::with_capacity(query.levels), Vec::with_capacity(query.levels)],
        })
    }

    /// Exchange clock of the last slot that is about the book; `None` when none is.
    fn touched_by(&mut self, slots: &[Slot]) -> Option<Nanos> {
        let mut touched = None;
        for slot in slots {
            self.look_for_book(slot);
            if self.is_about_book(slot) {
                touched = Some(exchange_ns(slot));
            }
        }
        touched
    }

    fn look_for_book(&mut self, slot: &Slot) {
        if slot.rtype == rtype::SYMBOL
            && self.book_id.is_none()
            && let View::Symbol(record) = slot.view()
            && ticker(&text(&record.symbol).to_ascii_uppercase()) == self.symbol
        {
            self.book_id = Some(BookId(record.book_id));
        }
    }

    fn is_about_book(&self, slot: &Slot) -> bool {
        self.book_id.is_some() && book_of_event(slot) == self.book_id
    }

    fn write(&mut self, market: &Market, seq: u64, exchange_ns: Nanos, out: &mut dyn Write) -> io::Result<()> {
        let Some(book_id) = self.book_id else { return Ok(()) };
        let decimals = market.book(book_id).map_or(2, book::market::Book::price_decimals);
        for (side, levels) in [Side::Bid, Side::Ask].into_iter().zip(&mut self.sides) {
            levels.clear();
            levels.extend(market.levels(book_id, side).take(self.levels));
        }
        let line = &mut self.line;
        line.clear();
        let mut number = [0; 24];
        line.push_str(&seq.to_string());
        line.push(',');
        line.push_str(&exchange_ns.to_string());
        for at in 0..self.levels {
            for levels in &self.sides {
                match levels.get(at) {
                    None => line.push_str(",,,"),
                    Some(level) => {
                        line.push(',');
                        line.push_str(level.price.write(decimals, &mut number));
                        line.push(',');
                        line.push_str(&level.quantity.to_string());
                        line.push(',');
                        line.push_str(&level.count.to_string());
                    }
                }
            }
        }
        line.push('\n');
        self.rows += 1;
        out.write_all(line.as_bytes())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "format       {}", self.format)?;
        match self.protocol {
            Some(protocol) if self.format.to_string() != protocol.name() => writeln!(f, " ({})", protocol.name())?,
            _ => writeln!(f)?,
        }
        writeln!(f, "messages     {}", self.counts.messages)?;
        for (kind, count) in &self.kinds {
            writeln!(f, "  {kind:<10} {count}")?;
        }
        if let Some((first, last)) = self.counts.exchange_span_ns {
            writeln!(f, "from         {}\nto           {}", Time(first), Time(last))?;
        }
        self.packets(f)?;
        self.findings(f)?;
        writeln!(f, "instruments  {}", self.instruments.len())?;
        for instrument in self.instruments.iter().take(INSTRUMENTS_PRINTED) {
            let Instrument { book_id, symbol, price_decimals, events, orders } = instrument;
            let symbol = if symbol.is_empty() { "?" } else { symbol };
            writeln!(
                f,
                "  {symbol:<12} book {}, {price_decimals} decimals, {events} events, {orders} orders left",
                book_id.0
            )?;
        }
        if self.instruments.len() > INSTRUMENTS_PRINTED {
            writeln!(f, "  ... and {} more", self.instruments.len() - INSTRUMENTS_PRINTED)?;
        }
        Ok(())
    }
}

impl Report {
    fn packets(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = &self.counts;
        if !matches!(self.format, Format::Pcap | Format::Mold) {
            return Ok(());
        }
        writeln!(
            f,
            "packets      {} ({} heartbeats, {} ends of session)",
            counts.packets, counts.heartbeats, counts.ends_of_session
        )?;
        for (destination, session) in &counts.streams {
            writeln!(f, "  stream     {} session {}", Destination(*destination), SessionName(*session))?;
        }
        for (what, count) in [
            ("damaged", counts.damaged_packets),
            ("repeats", counts.repeats),
            ("other ports", counts.other_ports),
            ("new sessions", counts.sessions),
            ("not UDP", self.skipped.not_udp),
            ("unreadable", self.skipped.unreadable),
            ("fragments", self.skipped.fragments),
            ("other links", self.skipped.link),
        ] {
            if count > 0 {
                writeln!(f, "  {what:<10} {count}")?;
            }
        }
        Ok(())
    }

    fn findings(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = &self.counts;
        writeln!(f, "gaps         {} ({} messages missing)", counts.gaps, counts.lost)?;
        for (from, to) in counts.gaps_first.iter().take(10) {
            writeln!(f, "  {from}..={to}")?;
        }
        writeln!(f, "refused      {}", counts.refused_total())?;
        for (reason, count) in &counts.refused {
            writeln!(f, "  {reason:<14} {count}")?;
        }
        for (position, refused) in &counts.refused_first {
            let refused: &Refused = refused;
            writeln!(f, "  at {position}: {refused}")?;
        }
        writeln!(f, "anomalies    {}", self.anomalies.iter().map(|(_, count)| count).sum::<u64>())?;
        for (name, count) in &self.anomalies {
            writeln!(f, "  {name:<14} {count}")?;
        }
        if let Some(error) = &self.error {
            writeln!(f, "error        {error}")?;
        }
        Ok(())
    }
}

struct Destination(Option<SocketAddr>);

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(destination) => destination.fmt(f),
            None => f.write_str("file"),
        }
    }
}

struct SessionName(Session);

impl fmt::Display for SessionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ') {
            write!(f, "{:?}", String::from_utf8_lossy(&self.0))
        } else {
            self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
        }
    }
}

/// A time as `2022-09-21 06:55:26.297788999 UTC`.
struct Time(Nanos);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, nanos) = (self.0 / 1_000_000_000, self.0 % 1_000_000_000);
        let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
        match Day::from_ns(self.0) {
            Some(day) => write!(
                f,
                "{:04}-{:02}-{:02} {hour:02}:{minute:02}:{second:02}.{nanos:09} UTC",
                day.year, day.month, day.day
            ),
            None => write!(f, "{}", self.0),
        }
    }
}
