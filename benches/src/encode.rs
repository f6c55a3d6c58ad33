//! Question: how long does it take from an event of a book to the encoded JSON frame of channel `book`?
//!
//! Input: the updates that the book thread makes of a generated stream or a recording, in memory. One thread, one core.
//! Before anything is timed a client built for this check applies every frame, verifies every checksum with the rule as
//! it is worded, and must end with the best levels of the books.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use book::checksum::checksum_of_text;
use book::market::Market;
use book::ring::{Notifier, ring};
use book::slot::{View, system};
use book::worker::{BookWorker, Detail};
use book::{Price, Side, Slot};
use distributor::BookFrames;
use feed_handler::decode::sink::Received;
use serde::Deserialize;

use crate::environment::Environment;
use crate::input::{self, Input};
use crate::measure::{BenchError, BenchOptions, Pin, ns_each, timed};
use crate::report::{Better, Report, Row, grouped};
use crate::run;

/// Levels a side.
const DEPTH: u8 = 10;
/// Slots of the rings on the way to the updates: the least that a reader may have.
const RING_SLOTS: usize = 1_024;
/// What the project promises, ns per frame.
const TARGET_NS: f64 = 200.0;

/// Updates that wait at once: as many as a turn of the fan-out takes.
const RUN_SLOTS: usize = 4_096;
/// Our clock at the first message, so that times have as many digits as they have in service.
const BEGIN_NS: u64 = 1_795_417_200_000_000_000;
/// It goes on by so much for each event.
const EVENT_NS: u64 = 1_000;

/// Updates of all events, one event after the other.
struct Updates {
    /// What a reader gets that asked for no orders.
    levels: Vec<Slot>,
    /// What one gets that asked for all.
    orders: Vec<Slot>,
    /// How many events made them.
    events: usize,
}

/// What every run must make: frames and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Made {
    frames: u64,
    bytes: u64,
}

/// Runs it.
///
/// # Errors
/// The input cannot be used, or the answer is wrong.
pub fn run(options: &BenchOptions) -> Result<Report, BenchError> {
    let pin = Pin::choose(options.core)?;
    let environment = Environment::read(&options.build, &pin);
    let input = Input::new(options)?.with_books()?;
    pin.measured_thread();
    (options.tell)("checking the answer");
    let mut checked = input.check_books()?;
    let (updates, worker) = updates(&input)?;
    let (expected, of_frames) = check(&updates.levels, worker.market())?;
    checked.push(of_frames);
    drop(worker);
    checked.push(format!("every run: {} frames of {} bytes in all", grouped(expected.frames), grouped(expected.bytes)));

    let service = Way { frames: BookFrames::without_orders, updates: &updates.levels };
    let with_orders = Way { frames: BookFrames::new, updates: &updates.orders };
    let per_event = |name, way: &Way<'_>| options.samples(name, || Ok(ns_each(way.follow(), updates.events)));
    let replica = per_event("replica", &service)?;
    let replica_of_orders = per_event("replica of orders", &with_orders)?;
    let per_frame = |name, way: &Way<'_>, run_slots: usize| {
        options.samples(name, || {
            let (made, spent) = timed(|| way.encode(run_slots));
            if made != expected {
                return Err(BenchError::Wrong(format!("{made:?} instead of {expected:?}")));
            }
            Ok(ns_each(spent, usize::try_from(expected.frames).unwrap_or(usize::MAX)))
        })
    };
    let frame = per_frame("event to frame", &service, RUN_SLOTS)?;
    let one_by_one = per_frame("one by one", &service, 1)?;
    let frame_of_orders = per_frame("event to frame with orders", &with_orders, RUN_SLOTS)?;
    let row = Row::new("event to frame", "ns/frame", Better::Lower, frame);
    Ok(Report {
        name: "encode".into(),
        question: "How long does it take from an event of a book to the encoded JSON frame of channel book?".into(),
        input: format!(
            "{}; {} events in {} updates, {} with every order",
            input.says,
            grouped(updates.events as u64),
            grouped(updates.levels.len() as u64),
            grouped(updates.orders.len() as u64)
        ),
        command: options.command.clone(),
        environment,
        checked,
        excluded: vec![
            "decoding, the books themselves and the ring before the fan-out".into(),
            "handing frames to clients, and their sockets".into(),
            "the orders of books that nobody follows order by order, which the book thread does not send: the rows that \
             say so have them for every book"
                .into(),
            format!("an event below the best {DEPTH} levels makes no frame; its time counts for those that do"),
            format!(
                "a frame is that of one event, and {RUN_SLOTS} updates wait at once; the fan-out makes one frame of all \
                 that waits of a book"
            ),
        ],
        rows: vec![
            Row::new("replica", "ns/event", Better::Lower, replica),
            if options.small { row } else { row.with_target(TARGET_NS) },
            Row::new("event to frame, one update at a time", "ns/frame", Better::Lower, one_by_one),
            Row::new("replica, every order followed", "ns/event", Better::Lower, replica_of_orders),
            Row::new("event to frame, every order followed", "ns/frame", Better::Lower, frame_of_orders),
        ],
        latencies: Vec::new(),
    })
}

/// What the book thread publishes, through its own turn and a reader's ring; the books at the end beside it.
fn updates(input: &Input) -> Result<(Updates, BookWorker), BenchError> {
    let stream = &input.stream;
    let books_max = stream.best.len() + 1;
    let market = run::market(stream, input.format);
    let (mut events, at_worker) = ring("events", RING_SLOTS, Notifier::new());
    let (at_levels, mut levels) = ring("levels", RING_SLOTS, Notifier::new());
    let (at_orders, mut orders) = ring("orders", RING_SLOTS, Notifier::new());
    let mut worker = BookWorker::new(at_worker, market);
    worker.add_reader(at_levels, Detail::Levels, books_max);
    worker.add_reader(at_orders, Detail::Orders, books_max);
    let mut updates = Updates { levels: Vec::new(), orders: Vec::new(), events: 0 };
    let mut decoder = input::decoder(input.format);
    for (n, message) in run::messages(&stream.bytes).enumerate() {
        // OK because the ring is empty before every message, and far larger than what one message becomes.
        let mut sink = |slot: Slot| {
            let _ = events.push(slot);
        };
        let received = Received { received_ns: BEGIN_NS + n as u64 * EVENT_NS, ..Received::default() };
        let refused = decoder.decode(message, received, &mut sink);
        refused.map_err(|refused| BenchError::Wrong(format!("a message was refused: {refused}")))?;
        worker.do_work(0);
        let before = updates.orders.len();
        levels.drain(usize::MAX, |slot| updates.levels.push(*slot));
        orders.drain(usize::MAX, |slot| updates.orders.push(*slot));
        updates.events += usize::from(updates.orders[before..].iter().any(|slot| !is_time(slot)));
    }
    Ok((updates, worker))
}

/// A tick of the clock has the number of the event behind it, and goes out together with it.
fn is_time(slot: &Slot) -> bool {
    matches!(slot.view(), View::System(record) if record.code == system::TIME)
}

/// What the frames are made of, and by whom.
struct Way<'a> {
    frames: fn(u8) -> BookFrames,
    updates: &'a [Slot],
}

impl Way<'_> {
    fn follow(&self) -> Duration {
        let mut frames = (self.frames)(DEPTH);
        timed(|| self.updates.chunks(RUN_SLOTS).for_each(|run| frames.follow(run))).1
    }

    fn encode(&self, run_slots: usize) -> Made {
        let (mut frames, mut made) = ((self.frames)(DEPTH), Made::default());
        each_frame(&mut frames, self.updates, run_slots, |frame| {
            made.frames += 1;
            made.bytes += frame.len() as u64;
        });
        made
    }
}

#[inline]
fn each_frame(frames: &mut BookFrames, updates: &[Slot], run_slots: usize, mut each: impl FnMut(&[u8])) {
    let mut now_ns = BEGIN_NS;
    for run in updates.chunks(run_slots) {
        let clock = || {
            now_ns += EVENT_NS;
            now_ns
        };
        frames.apply_all(run, clock, &mut each);
    }
}

#[derive(Deserialize)]
struct Frame<'a> {
    symbol: &'a str,
    seq: u64,
    prev_seq: u64,
    bids: Vec<(&'a str, &'a str, u32)>,
    asks: Vec<(&'a str, &'a str, u32)>,
    checksum: u32,
}

/// One book as a client holds it: bids by falling, asks by rising price; texts as written.
#[derive(Default)]
struct Client {
    seq: u64,
    bids: BTreeMap<Reverse<u64>, (String, String)>,
    asks: BTreeMap<u64, (String, String)>,
}

impl Client {
    fn apply(&mut self, frame: &Frame<'_>) -> Result<(), String> {
        if frame.prev_seq != self.seq || frame.seq <= self.seq {
            return Err(format!(
                "{} goes from {} to {}, not from {}",
                frame.symbol, frame.prev_seq, frame.seq, self.seq
            ));
        }
        self.seq = frame.seq;
        for &(price, quantity, _) in &frame.bids {
            put(&mut self.bids, Reverse(units(price)?), price, quantity);
        }
        for &(price, quantity, _) in &frame.asks {
            put(&mut self.asks, units(price)?, price, quantity);
        }
        while self.bids.len() > usize::from(DEPTH) {
            self.bids.pop_last();
        }
        while self.asks.len() > usize::from(DEPTH) {
            self.asks.pop_last();
        }
        fn texts<K>(side: &BTreeMap<K, (String, String)>) -> Vec<(&str, &str)> {
            side.values().map(|(price, quantity)| (price.as_str(), quantity.as_str())).collect()
        }
        let ours = checksum_of_text(&texts(&self.asks), &texts(&self.bids));
        if ours == frame.checksum { Ok(()) } else { Err(format!("checksum of {} at {}", frame.symbol, frame.seq)) }
    }
}

fn put<K: Ord>(side: &mut BTreeMap<K, (String, String)>, key: K, price: &str, quantity: &str) {
    if quantity == "0" {
        side.remove(&key);
    } else {
        side.insert(key, (price.to_owned(), quantity.to_owned()));
    }
}

/// A price's digits without its dot: comparable within one book, whose prices have the same decimals.
fn units(price: &str) -> Result<u64, String> {
    price.replace('.', "").parse().map_err(|_| format!("price {price:?}"))
}

/// Every frame through a client; then its best levels against those of the books.
fn check(updates: &[Slot], market: &Market) -> Result<(Made, String), BenchError> {
    let mut clients: HashMap<String, Client> = HashMap::new();
    let mut made = Made::default();
    let mut fault = None;
    each_frame(&mut BookFrames::without_orders(DEPTH), updates, RUN_SLOTS, |bytes| {
        made.frames += 1;
        made.bytes += bytes.len() as u64;
        if fault.is_none() {
            fault = client_takes(&mut clients, bytes).err();
        }
    });
    if let Some(fault) = fault {
        return Err(BenchError::Wrong(fault));
    }
    for book in market.books() {
        let client = clients.get(book::types::ticker(book.symbol()));
        let level = |side| market.levels(book.id(), side).next().map(|level| (level.price, level.quantity));
        let bid = client.and_then(|client| client.bids.values().next());
        let ask = client.and_then(|client| client.asks.values().next());
        if !same(level(Side::Bid), bid, book.price_decimals()) || !same(level(Side::Ask), ask, book.price_decimals()) {
            return Err(BenchError::Wrong(format!("a client's best level of {} is not the book's", book.symbol())));
        }
    }
    let (frames, books) = (grouped(made.frames), grouped(market.books().len() as u64));
    let checked = format!(
        "a client applied all {frames} frames: no hole, every checksum right, and at the end the best \
         levels of every book ({books})"
    );
    Ok((made, checked))
}

fn client_takes(clients: &mut HashMap<String, Client>, bytes: &[u8]) -> Result<(), String> {
    let json = bytes.iter().position(|&byte| byte == b'{').map_or(&[][..], |at| &bytes[at..]);
    let frame: Frame<'_> = serde_json::from_slice(json).map_err(|error| format!("a frame is no JSON: {error}"))?;
    clients.entry(frame.symbol.to_owned()).or_default().apply(&frame)
}

fn same(level: Option<(Price, u64)>, text: Option<&(String, String)>, decimals: u8) -> bool {
    match (level, text) {
        (Some((price, quantity)), Some((price_text, quantity_text))) => {
            price.write(decimals, &mut [0; 24]) == price_text && quantity.to_string() == *quantity_text
        }
        (None, None) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::Format;

    #[test]
    fn the_small_mode_answers_for_both_formats() {
        for format in [Format::Itch50, Format::Bistech] {
            let report = run(&BenchOptions { format, ..BenchOptions::small() }).unwrap();
            assert!(report.rows.iter().all(|row| row.samples.len() == 3), "{format:?}");
        }
    }

    #[test]
    fn missing_updates_give_no_figure() {
        let input = Input::new(&BenchOptions::small()).unwrap().with_books().unwrap();
        let (mut updates, worker) = updates(&input).unwrap();
        check(&updates.levels, worker.market()).unwrap();
        let is_level = |slot: &Slot| matches!(slot.view(), View::Level(_));
        // All of the second half: after one alone the best levels could still be right by chance.
        let late = updates.levels.len() / 2;
        updates.levels[late..].iter_mut().filter(|slot| is_level(slot)).for_each(|slot| *slot = Slot::EMPTY);
        assert!(matches!(check(&updates.levels, worker.market()), Err(BenchError::Wrong(_))));
    }
}
