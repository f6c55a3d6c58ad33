//! What is in a recording: counts by type, instruments, gaps and errors; and the book of one instrument, row by row.
//!
//! The logic behind `bist inspect`; printing a progress bar and choosing exit codes is the program's business. Memory is
//! what the books need, not what the file weighs: they begin small, and a file that has more is read again from its
//! start with more room, up to a written bound. A bound that is reached is a finding.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::Path;

use book::anomaly::Anomaly;
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
/// Places of all ladders: 19 MB.
const LADDER_SLOTS: usize = 400_000;
/// By how much a table grows when it is full: at most three readings more.
const GROWTH: usize = 8;
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
    /// Why nothing of the file could be read, in words.
    pub nothing_read: Option<String>,
    /// Tables of books, orders or levels that were full at the largest size, in words: the books are not whole then.
    pub bounds: Vec<String>,
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
        let RecordingCounts { gaps, damaged_packets, foreign_packets, refused_streams, .. } = self.counts;
        let packets = damaged_packets + foreign_packets + refused_streams;
        let is_whole = self.error.is_none() && self.nothing_read.is_none() && self.bounds.is_empty();
        !is_whole || self.counts.refused_total() > 0 || gaps > 0 || packets > 0
    }
}

/// How much the books of a recording may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Room {
    books: usize,
    orders: usize,
    levels: usize,
}

impl Room {
    /// About 45 MB.
    const FIRST: Self = Self { books: 1_024, orders: 65_536, levels: 65_536 };
    /// 1.1 GB; four million resting orders are twice what a day of the whole of NASDAQ needs.
    const LARGEST: Self = Self { books: 60_000, orders: 4_000_000, levels: 1_000_000 };

    /// Larger by what was full; `None` when that is as large as it may be.
    fn grown(self, full: Anomaly) -> Option<Self> {
        let Self { books, orders, levels } = self;
        let larger = match full {
            Anomaly::BooksExhausted => Self { books: (books * GROWTH).min(Self::LARGEST.books), ..self },
            Anomaly::LevelsExhausted => Self { levels: (levels * GROWTH).min(Self::LARGEST.levels), ..self },
            _ => Self { orders: (orders * GROWTH).min(Self::LARGEST.orders), ..self },
        };
        (larger != self).then_some(larger)
    }
}

/// The anomalies that say that a table was full.
const FULL: [Anomaly; 3] = [Anomaly::BooksExhausted, Anomaly::OrdersExhausted, Anomaly::LevelsExhausted];

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
    if !std::fs::metadata(path).map_err(OpenError::Io)?.is_file() {
        // A pipe is there once.
        let recording = Recording::open(path, options)?;
        return Ok(Reading::begin(query, None, rows)?.read(recording, Room::LARGEST, true, rows, progress)?.0);
    }
    inspect_again(&mut || Recording::open(path, options), query, rows, progress)
}

/// The same for whatever `open` opens; it is opened again when it has more books, orders or levels than there is room for.
///
/// # Errors
/// Those of [`inspect`].
pub fn inspect_again(
    open: &mut dyn FnMut() -> Result<Recording, OpenError>,
    query: Option<&BookQuery>,
    rows: &mut dyn Write,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Report, InspectError> {
    let (mut room, mut written) = (Room::FIRST, None);
    loop {
        let reading = Reading::begin(query, written, rows)?;
        let (report, full) = reading.read(open()?, room, false, rows, progress)?;
        match full.and_then(|full| room.grown(full)) {
            None if full.is_none() => return Ok(report),
            // As large as it may be: the report says what was full.
            None => {
                let reading = Reading::begin(query, Some(report.rows).max(written), rows)?;
                return Ok(reading.read(open()?, Room::LARGEST, true, rows, progress)?.0);
            }
            Some(larger) => (room, written) = (larger, Some(report.rows).max(written)),
        }
    }
}

/// One reading of a recording.
struct Reading {
    writer: Option<Rows>,
}

impl Reading {
    /// `written`: rows that an earlier reading has written; they are the same, and not written again.
    fn begin(query: Option<&BookQuery>, written: Option<u64>, rows: &mut dyn Write) -> Result<Self, InspectError> {
        Ok(Self { writer: query.map(|query| Rows::begin(query, written, rows)).transpose()? })
    }

    /// Reads to the end, or (unless `is_last`) until a table of the books is full, which is named then.
    fn read(
        mut self,
        mut recording: Recording,
        room: Room,
        is_last: bool,
        rows: &mut dyn Write,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<(Report, Option<Anomaly>), InspectError> {
        let mut books = Books { room, market: None, events: BTreeMap::new() };
        let mut slots: Vec<Slot> = Vec::with_capacity(64);
        let mut steps = 0u64;
        let (error, full) = loop {
            slots.clear();
            let step = match recording.next(&mut |slot| slots.push(slot)) {
                Ok(Step::End) => break (None, None),
                Ok(step) => step,
                Err(error) => break (Some(error), None),
            };
            books.apply(&recording, step == Step::Session, &slots);
            if !is_last && let Some(full) = books.full() {
                break (None, Some(full));
            }
            if let (Some(writer), Step::Message(message)) = (&mut self.writer, step)
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
        Ok((self.report(&recording, &books, error), full))
    }

    fn report(self, recording: &Recording, books: &Books, error: Option<ReadError>) -> Report {
        let counts = recording.counts().clone();
        let (book, rows) = self.writer.map_or((None, 0), |writer| (writer.book_id, writer.rows));
        Report {
            format: recording.format(),
            protocol: recording.protocol(),
            kinds: kinds(&counts),
            counts,
            skipped: recording.skipped(),
            instruments: books.instruments(),
            anomalies: books.anomalies(),
            error,
            nothing_read: recording.nothing_read(),
            bounds: books.bounds(),
            book,
            rows,
        }
    }
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
struct Books {
    room: Room,
    /// Made at the first message: only then the protocol, and with it what names an order, is sure.
    market: Option<Market>,
    events: BTreeMap<BookId, u64>,
}

impl Books {
    fn market(&mut self, recording: &Recording) -> &mut Market {
        let Room { books, orders, levels } = self.room;
        self.market.get_or_insert_with(|| {
            let mut market = Market::new(Limits {
                books_max: books,
                orders_max: orders,
                levels_max: levels,
                ladder_slots: LADDER_SLOTS,
                key: recording.order_key(),
                seed: 0,
                ..Limits::default()
            });
            begin_session(&mut market);
            market
        })
    }

    /// The table that was full, if one was.
    fn full(&self) -> Option<Anomaly> {
        let anomalies = self.market.as_ref()?.anomalies();
        FULL.into_iter().find(|&full| anomalies.get(full) > 0)
    }

    /// The tables that were full, in words.
    fn bounds(&self) -> Vec<String> {
        let Some(market) = &self.market else { return Vec::new() };
        let Room { books, orders, levels } = self.room;
        let words = FULL.into_iter().zip([(books, "books"), (orders, "resting orders"), (levels, "price levels")]);
        words
            .filter_map(|(full, (max, what))| {
                let refused = market.anomalies().get(full);
                (refused > 0)
                    .then(|| format!("more than {max} {what}: {refused} events refused, the books are not whole"))
            })
            .collect()
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
    /// Rows that stand in the output already, from an earlier reading.
    written: u64,
    line: String,
    sides: [Vec<Level>; 2],
}

impl Rows {
    fn begin(query: &BookQuery, written: Option<u64>, out: &mut dyn Write) -> Result<Self, InspectError> {
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
        if written.is_none() {
            out.write_all(header.as_bytes())?;
        }
        let book_id = query.symbol.strip_prefix('#').and_then(|number| number.parse().ok()).map(BookId);
        Ok(Self {
            symbol: ticker(&query.symbol.to_ascii_uppercase()).to_owned(),
            levels: query.levels,
            book_id,
            rows: 0,
            written: written.unwrap_or(0),
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
        self.rows += 1;
        if self.rows <= self.written {
            return Ok(());
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
            ("foreign", counts.foreign_packets),
            ("sessions over the bound", counts.refused_streams),
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
        for bound in &self.bounds {
            writeln!(f, "bound        {bound}")?;
        }
        if let Some(nothing) = &self.nothing_read {
            writeln!(f, "nothing read {nothing}")?;
        }
        if counts.trailing_bytes > 0 {
            let bytes = counts.trailing_bytes;
            writeln!(f, "remark       {bytes} bytes behind the end of the compressed stream were not read")?;
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
