//! What a bench is fed with: a generated stream, or a recording that was read into memory before anything is timed.
//!
//! Knows the right answer: of a generated stream the generator's best levels, of a recording what the plain reference
//! book (`book::reference`) makes of it. Measures nothing itself.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufReader, Read as _};
use std::path::Path;

use book::market::{Limits, Market, OrderKey};
use book::reference::ReferenceMarket;
use book::types::Level;
use book::{BookId, Side, Slot};
use feed_handler::decode::protocol::{MessageDecoder, Protocol};
use feed_handler::decode::sink::Received;
use feed_handler::decode::{bistech, itch50};
use feed_handler::recording::{Loaded, OpenError, Recording, RecordingOptions, Step};
use flate2::read::MultiGzDecoder;
use zstd::stream::read::Decoder as ZstdDecoder;

use crate::answer::{Answer, Best};
use crate::generate::{Format, Plan, Stream, generate};
use crate::measure::{BenchError, BenchOptions};
use crate::report::grouped;
use crate::run::{self, key, messages};

/// Most bytes of a recording that is held in memory: 12 GiB, a busy NASDAQ day.
const BYTES_MAX: usize = 12 << 30;
/// Messages that the reference book follows: it is plain, and slow on deep books.
const REFERENCE_MESSAGES_MAX: usize = 200_000;

/// Length-prefixed messages in memory, and what the books are at their end.
pub struct Input {
    /// Bytes, counts, and of a generated stream the best levels. Of a recording [`Input::with_books`] finds out how
    /// many orders and books there are, and only the number of `best` counts.
    pub stream: Stream,
    /// Their format.
    pub format: Format,
    /// What it is, for the report.
    pub says: String,
    /// Whether its books keep orders in queues.
    queues: bool,
    generated: bool,
}

impl Input {
    /// Generates or reads what `options` ask for.
    ///
    /// # Errors
    /// A recording that cannot be read, or that has no length-prefixed messages.
    pub fn new(options: &BenchOptions) -> Result<Self, BenchError> {
        match &options.file {
            Some(file) => Self::of_file(file, options),
            None => Self::generated(options),
        }
    }

    fn generated(options: &BenchOptions) -> Result<Self, BenchError> {
        let plan = plan(options)?;
        (options.tell)(&format!("generating {} messages", grouped(plan.messages as u64)));
        let stream = generate(plan);
        let says = says_of(&plan, &stream);
        Ok(Self { stream, format: plan.format, says, queues: !options.levels_only, generated: true })
    }

    /// A generated stream that was written, with the answer that stands beside it.
    fn answered(file: &Path, answer: Answer, options: &BenchOptions) -> Result<Self, BenchError> {
        let bytes = read_whole(file, &answer)?;
        let plan = answer.plan;
        let stream = answer.into_stream(bytes);
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let says = format!("{name}: {}", says_of(&plan, &stream));
        Ok(Self { stream, format: plan.format, says, queues: !options.levels_only, generated: true })
    }

    fn of_file(file: &Path, options: &BenchOptions) -> Result<Self, BenchError> {
        (options.tell)(&format!("reading {}", file.display()));
        if let Some(answer) = answer_beside(file)? {
            return Self::answered(file, answer, options);
        }
        let loaded = Loaded::open(file, &RecordingOptions::default(), BYTES_MAX).map_err(|error| {
            let why = match error {
                OpenError::Unrecognised => "has no length-prefixed messages".to_owned(),
                other => other.to_string(),
            };
            BenchError::Input(format!(
                "{} {why}. This bench takes length-prefixed BISTECH ITCH or ITCH 5.0 (also .gz and .zst); \
                 `bist bench replay` takes every format that `bist inspect` reads",
                file.display()
            ))
        })?;
        let format = match loaded.protocol {
            Protocol::Itch50 => Format::Itch50,
            Protocol::Bistech => Format::Bistech,
        };
        let mut bytes = Vec::new();
        for message in loaded.messages() {
            // OK because the reader took the length from two bytes, or from its table of types.
            bytes.extend((message.len() as u16).to_be_bytes());
            bytes.extend(message);
        }
        let count = loaded.messages().len();
        drop(loaded);
        let file_name = file.file_name().unwrap_or_default().to_string_lossy();
        let (messages, bytes_len) = (grouped(count as u64), grouped(bytes.len() as u64));
        let says = format!("{file_name}: {}, {messages} messages, {bytes_len} bytes", name(format));
        let stream = Stream { bytes, messages: count, live_orders: 0, best: Vec::new() };
        Ok(Self { stream, format, says, queues: !options.levels_only, generated: false })
    }

    /// The same, ready for books: of a recording, how many there are and how many orders rest at once.
    ///
    /// # Errors
    /// A recording that whole books cannot be made of.
    pub fn with_books(mut self) -> Result<Self, BenchError> {
        if !self.generated {
            let (books, orders) = shape(&self.stream.bytes, self.format, self.stream.messages)?;
            self.stream.live_orders = orders;
            self.stream.best = vec![[None, None]; books];
            self.says = format!("{}, books: {books}, up to {} orders at once", self.says, grouped(orders as u64));
        }
        Ok(self)
    }

    /// Whether it was generated, and not recorded.
    #[must_use]
    pub fn is_generated(&self) -> bool {
        self.generated
    }

    /// An empty market for it.
    #[must_use]
    pub fn market(&self) -> Market {
        run::market_with(&self.stream, self.format, self.queues)
    }

    /// Books that a run must compare: those of the generator; none of a recording, whose books are checked before.
    #[must_use]
    pub fn symbols(&self) -> usize {
        if self.generated { self.stream.best.len() } else { 0 }
    }

    /// Whether what a run returned is the generator's answer.
    #[must_use]
    pub fn is_right(&self, best: &run::Best) -> bool {
        !self.generated || *best == self.stream.best
    }

    /// Proves the books before any figure: the whole input through decoder and books, and the plain reference book
    /// beside them for as long as it can keep up. Returns what was checked.
    ///
    /// # Errors
    /// [`BenchError::Wrong`] at the first difference.
    pub fn check_books(&self) -> Result<Vec<String>, BenchError> {
        let mut checked = vec![self.check_reference()?];
        let mut market = self.market();
        let best = run::decode_book(&self.stream.bytes, self.format, &mut market, self.symbols());
        market.check_invariants();
        if self.generated {
            checked.push(check_end(&market, &best, &self.stream.best, self.stream.live_orders)?);
        }
        checked.push("whole input: no message refused, no anomaly, the books' own invariants hold at the end".into());
        Ok(checked)
    }

    /// Every level and order of every book against the plain book, over the first messages.
    fn check_reference(&self) -> Result<String, BenchError> {
        let mut market = self.market();
        let mut reference = ReferenceMarket::new(key(self.format));
        let mut decoder = decoder(self.format);
        let mut count = 0;
        for message in messages(&self.stream.bytes).take(REFERENCE_MESSAGES_MAX) {
            let mut sink = |slot: Slot| {
                market.apply(&slot, &mut ());
                reference.apply(&slot);
            };
            let refused = decoder.decode(message, Received::default(), &mut sink);
            refused.map_err(|refused| BenchError::Wrong(format!("message {count}: {refused}")))?;
            count += 1;
        }
        let all = if count == self.stream.messages { "all" } else { "the first" };
        let books = same_books(&market, &reference, self.queues)?;
        let (count, books) = (grouped(count as u64), grouped(books as u64));
        let orders = if self.queues { " and order by order" } else { "" };
        Ok(format!(
            "every book ({books}) equals the plain reference book, level by level{orders}, after {all} {count} messages"
        ))
    }
}

/// How many books a recording has, and the most orders that rest at once.
///
/// Refuses what would make figures meaningless: messages that are refused, orders that are not known.
fn shape(bytes: &[u8], format: Format, count: usize) -> Result<(usize, usize), BenchError> {
    let mut market = Market::new(Limits {
        books_max: count.clamp(1, 16_384),
        orders_max: (count + 1).min(3_000_000),
        levels_max: count.clamp(1_000, 1_000_000),
        ladder_slots: 1_000_000,
        key: key(format),
        ..Limits::default()
    });
    let mut decoder = decoder(format);
    let mut orders = 0;
    for (n, message) in messages(bytes).enumerate() {
        let refused = decoder.decode(message, Received::default(), &mut |slot: Slot| market.apply(&slot, &mut ()));
        refused.map_err(|refused| {
            BenchError::Input(format!("message {}: {refused}; `bist inspect` lists what is wrong with the file", n + 1))
        })?;
        orders = orders.max(market.orders());
    }
    if let Some(spoilt) = spoilt(&market) {
        return Err(BenchError::Input(format!(
            "the books of this recording are not whole ({spoilt}), as of one that begins in the middle of a day; \
             `bist bench decode` and `bist bench replay` take it"
        )));
    }
    Ok((market.books().len(), orders))
}

/// What made books doubtful, and how often; `None` when nothing did.
#[must_use]
pub fn spoilt(market: &Market) -> Option<String> {
    let kinds = market.anomalies().iter().filter(|(kind, times)| kind.spoils_book() && *times > 0);
    let kinds: Vec<String> = kinds.map(|(kind, times)| format!("{times} times {}", kind.name())).collect();
    (!kinds.is_empty()).then(|| kinds.join(", "))
}

/// The plan of a generated stream.
///
/// # Errors
/// One that cannot be carried out.
pub fn plan(options: &BenchOptions) -> Result<Plan, BenchError> {
    let &BenchOptions { format, seed, messages, symbols, live_orders, .. } = options;
    let plan = Plan { format, seed, messages, symbols, live_orders };
    plan.check().map_err(|error| BenchError::Input(format!("--messages, --symbols, --live-orders: {error}")))?;
    Ok(plan)
}

/// The answer that stands beside a file, if there is one.
///
/// # Errors
/// One that cannot be read.
pub fn answer_beside(file: &Path) -> Result<Option<Answer>, BenchError> {
    Answer::beside(file).map_err(|error| BenchError::Input(error.to_string()))
}

/// What a generated stream is, for the report.
#[must_use]
pub fn says(plan: &Plan, messages: u64, live_orders: usize, bytes: u64) -> String {
    format!(
        "generated {}, seed {}: {} messages, {} symbols, {} orders live at the end, {} MB",
        name(plan.format),
        plan.seed,
        grouped(messages),
        plan.symbols,
        grouped(live_orders as u64),
        bytes / 1_000_000,
    )
}

fn says_of(plan: &Plan, stream: &Stream) -> String {
    says(plan, stream.messages as u64, stream.live_orders, stream.bytes.len() as u64)
}

/// The books at the end of a run against what the generator knows; what was checked.
///
/// # Errors
/// [`BenchError::Wrong`]: other best levels, or another number of resting orders.
pub fn check_end(market: &Market, best: &Best, expected: &Best, live_orders: usize) -> Result<String, BenchError> {
    if best != expected {
        return Err(BenchError::Wrong("the best levels at the end are not the generator's".into()));
    }
    if market.orders() != live_orders {
        let have = market.orders();
        return Err(BenchError::Wrong(format!("{have} orders rest at the end, not {live_orders}")));
    }
    Ok(format!(
        "whole input: best bid and ask of all {} books and the {} resting orders equal the generator's",
        grouped(best.len() as u64),
        grouped(live_orders as u64),
    ))
}

/// All bytes of a generated file, unpacked, in one piece of memory. A file that is not the one of its answer is refused.
fn read_whole(file: &Path, answer: &Answer) -> Result<Vec<u8>, BenchError> {
    let io = |cause| BenchError::Io { doing: format!("reading {}", file.display()), cause };
    let opened = BufReader::with_capacity(1 << 18, File::open(file).map_err(io)?);
    let size = usize::try_from(answer.bytes).ok().filter(|&size| size <= BYTES_MAX);
    let size = size.ok_or_else(|| {
        BenchError::Input(format!("{} is larger than the {BYTES_MAX} bytes that this bench holds", file.display()))
    })?;
    let mut bytes = Vec::with_capacity(size);
    // One byte more than the answer says shows that there are more.
    let limit = answer.bytes + 1;
    match file.extension().and_then(|ending| ending.to_str()) {
        Some("gz") => MultiGzDecoder::new(opened).take(limit).read_to_end(&mut bytes),
        Some("zst") => ZstdDecoder::new(opened).and_then(|file| file.take(limit).read_to_end(&mut bytes)),
        _ => opened.take(limit).read_to_end(&mut bytes),
    }
    .map_err(io)?;
    let count = messages(&bytes).count() as u64;
    if (bytes.len() as u64, count) != (answer.bytes, answer.messages) {
        return Err(BenchError::Input(format!(
            "{} has not the {} bytes and {} messages of its answer {}; write both anew with `bist sim --generate`",
            file.display(),
            grouped(answer.bytes),
            grouped(answer.messages),
            Answer::path(file).display(),
        )));
    }
    Ok(bytes)
}

/// Compares all books, with their orders in `queues` or without; how many there are.
///
/// # Errors
/// The first difference.
pub fn same_books(market: &Market, reference: &ReferenceMarket, queues: bool) -> Result<usize, BenchError> {
    let ids: BTreeSet<BookId> = market.books().iter().map(book::market::Book::id).chain(reference.books()).collect();
    for &book_id in &ids {
        for side in [Side::Bid, Side::Ask] {
            let wrong = |what| BenchError::Wrong(format!("{what} of book {} differ from the reference", book_id.0));
            let levels: Vec<Level> = market.levels(book_id, side).collect();
            if levels != reference.levels(book_id, side) {
                return Err(wrong("levels"));
            }
            let ours = market.queue(book_id, side).map(|(price, id, quantity, _)| (price, id, quantity));
            let theirs = reference.orders(book_id, side).iter().map(|order| (order.price, order.id, order.quantity));
            if queues && !ours.eq(theirs) {
                return Err(wrong("queues"));
            }
        }
    }
    Ok(ids.len())
}

/// Walks a recording of any format through plain books and ours, message by message; what was checked.
///
/// # Errors
/// The recording cannot be read, or a book differs.
pub fn check_recording(file: &Path) -> Result<String, BenchError> {
    let mut recording = open(file)?;
    let mut market = Market::new(limits(recording.order_key()));
    let mut reference = ReferenceMarket::new(recording.order_key());
    while recording.counts().messages < REFERENCE_MESSAGES_MAX as u64 {
        let mut sink = |slot: Slot| {
            market.apply(&slot, &mut ());
            reference.apply(&slot);
        };
        let step = recording.next(&mut sink);
        if step.map_err(|error| BenchError::Input(format!("{}: {error}", file.display())))? == Step::End {
            break;
        }
    }
    let books = same_books(&market, &reference, true)?;
    let (books, count) = (grouped(books as u64), grouped(recording.counts().messages));
    Ok(format!(
        "every book ({books}) equals the plain reference book, level by level and order by order, after {count} messages"
    ))
}

/// Opens a recording of any format.
///
/// # Errors
/// [`BenchError::Input`] with the file's name.
pub fn open(file: &Path) -> Result<Recording, BenchError> {
    Recording::open(file, &RecordingOptions::default()).map_err(|error| {
        let why = match error {
            OpenError::Unrecognised => "is in no format that is known (`bist inspect --help` lists them)".to_owned(),
            other => other.to_string(),
        };
        BenchError::Input(format!("{} {why}", file.display()))
    })
}

/// Bounds for a recording whose size is not known before: a whole NASDAQ day.
#[must_use]
pub fn limits(key: OrderKey) -> Limits {
    Limits {
        books_max: 16_384,
        orders_max: 3_000_000,
        levels_max: 1_000_000,
        ladder_slots: 1_000_000,
        key,
        ..Limits::default()
    }
}

/// A decoder that takes any number of books; times of ITCH 5.0 are times of day.
#[must_use]
pub fn decoder(format: Format) -> MessageDecoder {
    match format {
        Format::Itch50 => itch50::Decoder::new(0, 65_535).into(),
        Format::Bistech => bistech::Decoder::new(65_535, None).into(),
    }
}

/// The name of a format for people.
#[must_use]
pub const fn name(format: Format) -> &'static str {
    match format {
        Format::Itch50 => "ITCH 5.0",
        Format::Bistech => "BISTECH ITCH",
    }
}
