//! The frames of one topic. A topic keeps the state that it last sent: the next frame is the difference to it, and a
//! new follower's snapshot fits the chain of the others.
//!
//! Appends to the shared bytes; knows no client and no socket.

use std::ops::Range;

use book::candle::Candle;
use book::replica::{Auction, BookView, Definition, Levels, prefetch_beside};
use book::statistics::Statistics;
use book::types::Level;
use book::{Nanos, Phase, Price};

use super::bodies::{self, Head};
use super::book_chain::{BookChain, LEVEL_BYTES_MAX};
use super::frame_writer::{self, FrameWriter, LINE_BYTES_MAX, Stamp};
use super::text as json;
use crate::encode::Moment;
use crate::encode::server_frame::{self, opcode};
use crate::market::changes::{PendingEvents, SNAPSHOT_CANDLES_MAX, SNAPSHOT_TRADES_MAX};
use crate::topics::channel::{Channel, DEPTH_MAX};
use crate::topics::topic::{Key, Topic};

/// The state that the last frame of a topic showed.
#[derive(Debug)]
enum LastSent {
    /// Levels, whole.
    Levels {
        bids: Vec<Level>,
        asks: Vec<Level>,
        maybe_bad: bool,
    },
    /// Events, and whether the book was marked when the last one was sent.
    Mark(bool),
    /// Events: nothing to compare with.
    None,
    Candle(Option<Candle>),
    Definition(Box<(Definition, [Price; 3])>),
    Status(Phase, String, Nanos),
    Statistics(Box<Statistics>),
    Auction(Option<Auction>),
}

/// The text that all updates of a topic begin with, written once for a ticker and an epoch.
#[derive(Debug)]
#[repr(C)]
struct Prefix {
    epoch: u64,
    /// [`BookView::names`] that the ticker was taken from.
    names: u32,
    length: u32,
    /// Its beginning, to be copied as a constant number of bytes.
    bytes: [u8; PREFIX_BYTES],
    ticker: String,
    /// All of it.
    text: Vec<u8>,
}

/// Most prefixes are shorter.
const PREFIX_BYTES: usize = 96;

impl Default for Prefix {
    fn default() -> Self {
        Self { epoch: 0, names: 0, length: 0, bytes: [0; PREFIX_BYTES], ticker: String::new(), text: Vec::new() }
    }
}

impl Prefix {
    #[inline]
    fn renew(&mut self, key: Key, view: &BookView, snapshot: bool, epoch: u64) {
        if self.epoch != epoch || self.names != view.names() || self.length == 0 {
            self.write(key, view, snapshot, epoch);
        }
    }

    #[cold]
    fn write(&mut self, key: Key, view: &BookView, snapshot: bool, epoch: u64) {
        let ticker = view.definition.ticker();
        self.names = view.names();
        if self.epoch == epoch && self.ticker == ticker && self.length > 0 {
            return;
        }
        self.epoch = epoch;
        ticker.clone_into(&mut self.ticker);
        self.text.clear();
        bodies::prefix(&mut self.text, key, ticker, snapshot, epoch);
        self.length = self.text.len() as u32;
        let known = self.text.len().min(PREFIX_BYTES);
        self.bytes[..known].copy_from_slice(&self.text[..known]);
    }

    #[inline(always)]
    fn put(&self, writer: &mut FrameWriter<'_>) {
        if self.length as usize <= PREFIX_BYTES {
            writer.first(self.length as usize, &self.bytes);
        } else {
            writer.text(&self.text);
        }
    }
}

/// The longest line fits: a prefix and six numbers, and of both sides every level twice, gone and new.
const _: () = assert!(2_048 + 4 * DEPTH_MAX as usize * LEVEL_BYTES_MAX <= LINE_BYTES_MAX);

/// What writing a frame needs besides its topic; one for all topics of a thread.
#[derive(Debug)]
pub struct Scratch {
    levels: Vec<Level>,
    text: Vec<u8>,
    /// Of the exchange's clock, of ours at receipt, of ours at sending.
    stamps: [Stamp; 3],
}

impl Scratch {
    /// Takes all the memory that it will ever need.
    #[must_use]
    pub fn new() -> Self {
        Self {
            levels: Vec::with_capacity(DEPTH_MAX as usize),
            text: Vec::with_capacity(64),
            stamps: [",\"ts_event\":\"", "\",\"ts_recv\":\"", "\",\"ts_out\":\""].map(Stamp::new),
        }
    }
}

/// What the frames of a topic are made of: what was last sent, and what all of them begin with.
#[derive(Debug)]
#[repr(C)]
pub struct Frames {
    /// Levels that were sent, for differences; of `book` alone.
    chain: Option<Box<BookChain>>,
    prefix: Prefix,
    last_sent: LastSent,
}

impl Frames {
    fn of(key: Key, view: &BookView) -> Self {
        let mut frames = Self { chain: None, prefix: Prefix::default(), last_sent: LastSent::None };
        frames.take(key, view);
        frames
    }

    /// What was last sent is the state of `view` from now on.
    fn take(&mut self, key: Key, view: &BookView) {
        self.last_sent = match key.channel {
            Channel::Book => {
                match &mut self.chain {
                    Some(chain) => chain.refresh(view),
                    None => self.chain = Some(Box::new(BookChain::new(view, key.depth))),
                }
                LastSent::None
            }
            Channel::Mbp1 | Channel::Mbp10 => {
                let depth = usize::from(key.depth);
                let (mut bids, mut asks) = match std::mem::replace(&mut self.last_sent, LastSent::None) {
                    LastSent::Levels { bids, asks, .. } => (bids, asks),
                    _ => (Vec::with_capacity(depth), Vec::with_capacity(depth)),
                };
                take_levels(&view.bids, depth, &mut bids);
                take_levels(&view.asks, depth, &mut asks);
                LastSent::Levels { bids, asks, maybe_bad: view.maybe_bad() }
            }
            Channel::Mbo => LastSent::Mark(view.maybe_bad()),
            Channel::Trades => LastSent::None,
            Channel::Ohlcv(interval) => LastSent::Candle(view.candles.forming(interval).copied()),
            Channel::Definition => LastSent::Definition(Box::new((view.definition.clone(), band(view)))),
            Channel::Status => LastSent::Status(view.phase, view.state.clone(), view.state_ns),
            Channel::Statistics => LastSent::Statistics(Box::new(view.statistics)),
            Channel::Imbalance => LastSent::Auction(view.auction),
        };
    }

    /// Writes the body of a frame that is not of `book`; false when there is nothing new in it.
    fn write_body(
        &mut self,
        out: &mut Vec<u8>,
        key: Key,
        view: &BookView,
        events: &PendingEvents,
        scratch: &mut Scratch,
    ) -> bool {
        let decimals = view.definition.price_decimals;
        match (&mut self.last_sent, key.channel) {
            (LastSent::Levels { bids, asks, maybe_bad }, _) => {
                let depth = usize::from(key.depth);
                let mut changed = renew(&view.bids, depth, bids, &mut scratch.levels);
                changed |= renew(&view.asks, depth, asks, &mut scratch.levels);
                changed |= std::mem::replace(maybe_bad, view.maybe_bad()) != view.maybe_bad();
                bodies::levels(out, bids, asks, decimals);
                changed
            }
            (LastSent::Mark(maybe_bad), _) => {
                let marked = std::mem::replace(maybe_bad, view.maybe_bad()) != view.maybe_bad();
                bodies::changes(out, &events.changes, decimals);
                (marked || !events.changes.is_empty()) && !view.orders_omitted
            }
            (_, Channel::Trades) => {
                bodies::trades(out, events.trades.iter(), decimals, key.rfc3339);
                !events.trades.is_empty()
            }
            (LastSent::Candle(sent), Channel::Ohlcv(interval)) => {
                let closed = || events.closed.iter().filter(|(of, _)| *of == interval).map(|(_, candle)| candle);
                let forming = view.candles.forming(interval);
                let changed = closed().next().is_some() || *sent != forming.copied();
                *sent = forming.copied();
                bodies::candles(out, closed(), forming, decimals, key.rfc3339);
                changed
            }
            (LastSent::Definition(sent), _) => {
                let changed = sent.0 != view.definition || sent.1 != band(view);
                if changed {
                    **sent = (view.definition.clone(), band(view));
                    bodies::definition(out, view);
                }
                changed
            }
            (LastSent::Status(phase, state, since_ns), _) => {
                let changed = *phase != view.phase || *state != view.state || *since_ns != view.state_ns;
                if changed {
                    (*phase, *since_ns) = (view.phase, view.state_ns);
                    state.clone_from(&view.state);
                    bodies::status(out, view, key.rfc3339);
                }
                changed
            }
            (LastSent::Statistics(sent), _) => {
                let changed = **sent != view.statistics;
                **sent = view.statistics;
                bodies::statistics(out, &view.statistics, decimals);
                changed
            }
            (LastSent::Auction(sent), _) => {
                let changed = *sent != view.auction;
                *sent = view.auction;
                bodies::auction(out, view.auction.as_ref(), decimals);
                changed
            }
            (LastSent::Candle(_) | LastSent::None, _) => false, // OK because `refresh` pairs them
        }
    }
}

impl Topic<Frames> {
    /// A topic that begins at the state of `view`.
    #[must_use]
    pub fn new(key: Key, view: &BookView, head: u64) -> Self {
        Self::of(key, head, Frames::of(key, view))
    }

    /// Begins the chain anew at the state of `view`: nobody is at the old one.
    pub fn refresh(&mut self, view: &BookView, head: u64) {
        self.head = head;
        self.collected.clear();
        self.snapshot_place = None;
        self.frames.take(self.key, view);
    }

    /// Starts to load what the next update of `book` will touch.
    #[inline(always)]
    pub fn prefetch(&self) {
        if let Some(chain) = &self.frames.chain {
            chain.prefetch();
            prefetch_beside(&self.frames.prefix.bytes);
            prefetch_beside(&self.frames.prefix.bytes[64]);
        }
    }

    /// Encodes what was collected and what changed meanwhile.
    pub fn write_collected(
        &mut self,
        out: &mut Vec<u8>,
        view: &BookView,
        seq: u64,
        moment: Moment,
        scratch: &mut Scratch,
    ) -> Option<Range<usize>> {
        let mut collected = std::mem::take(&mut self.collected);
        let place = self.write_update(out, view, &collected, seq, moment, scratch);
        collected.clear();
        self.collected = collected;
        place
    }

    /// Encodes the difference between what was last sent and `view`; `None` when there is none.
    ///
    /// The caller makes sure that `seq` is above the head; it becomes the head.
    pub fn write_update(
        &mut self,
        out: &mut Vec<u8>,
        view: &BookView,
        events: &PendingEvents,
        seq: u64,
        moment: Moment,
        scratch: &mut Scratch,
    ) -> Option<Range<usize>> {
        if self.frames.chain.is_some() {
            return self.write_book(out, view, seq, moment, scratch);
        }
        self.write_other(out, view, events, seq, moment, scratch)
    }

    #[inline(always)]
    fn write_book(
        &mut self,
        out: &mut Vec<u8>,
        view: &BookView,
        seq: u64,
        moment: Moment,
        scratch: &mut Scratch,
    ) -> Option<Range<usize>> {
        let Frames { chain, prefix, .. } = &mut self.frames;
        let chain = chain.as_mut()?;
        let news = chain.news(view)?;
        prefix.renew(self.key, view, false, moment.epoch);
        let Scratch { text, stamps, .. } = scratch;
        let at = out.len();
        frame_writer::append(out, |writer| {
            writer.put(&[0; server_frame::HEAD_BYTES]);
            prefix.put(writer);
            writer.put(b",\"seq\":");
            writer.integer(seq);
            writer.put(b",\"prev_seq\":");
            writer.integer(self.head);
            if self.key.rfc3339 {
                calendar(writer, text, [view.exchange_ns, view.received_ns, moment.now_ns]);
            } else {
                let [event, received, sent] = stamps;
                writer.two_times([view.exchange_ns, view.received_ns], [event, received]);
                writer.time(moment.now_ns, sent);
                writer.put(b"\"");
            }
            if let Some(doubt) = view.doubt {
                writer.put(b",\"maybe_bad\":true,\"reason\":\"");
                writer.text(doubt.name().as_bytes());
                writer.put(b"\"");
            }
            chain.write(writer, view, news);
            writer.put(b"}");
        });
        self.head = seq;
        self.snapshot_place = None;
        Some(server_frame::finish(out, at, opcode::TEXT))
    }

    fn write_other(
        &mut self,
        out: &mut Vec<u8>,
        view: &BookView,
        events: &PendingEvents,
        seq: u64,
        moment: Moment,
        scratch: &mut Scratch,
    ) -> Option<Range<usize>> {
        let key = self.key;
        let at = server_frame::begin(out);
        // Whole-picture channels are snapshots in every frame.
        let snapshot = matches!(key.channel, Channel::Mbp1 | Channel::Mbp10);
        self.frames.prefix.renew(key, view, snapshot, moment.epoch);
        out.extend_from_slice(&self.frames.prefix.text);
        bodies::numbers(out, &Head { key, view, snapshot, seq, prev_seq: self.head, moment });
        let changed = self.frames.write_body(out, key, view, events, scratch);
        if !changed {
            out.truncate(at);
            return None;
        }
        out.push(b'}');
        self.head = seq;
        self.snapshot_place = None;
        Some(server_frame::finish(out, at, opcode::TEXT))
    }

    /// Encodes the state at the head of the chain.
    pub fn write_snapshot(&self, out: &mut Vec<u8>, view: &BookView, moment: Moment) -> Range<usize> {
        let decimals = view.definition.price_decimals;
        let key = self.key;
        let at = server_frame::begin(out);
        bodies::head(out, &Head { key, view, snapshot: true, seq: self.head, prev_seq: 0, moment });
        if let Some(chain) = &self.frames.chain {
            let (bids, asks) = chain.levels();
            bodies::levels(out, bids, asks, decimals);
            json::raw(out, ",\"checksum\":");
            json::integer(out, chain.checksum());
            out.push(b'}');
            return server_frame::finish(out, at, opcode::TEXT);
        }
        match (&self.frames.last_sent, key.channel) {
            (LastSent::Levels { bids, asks, .. }, _) => bodies::levels(out, bids, asks, decimals),
            (_, Channel::Mbo) => bodies::orders(out, view),
            (_, Channel::Trades) => {
                // Those that a conflated topic has not sent yet come in its next update.
                let sent = view.trades.iter().rev().filter(|trade| trade.seq <= self.head).take(SNAPSHOT_TRADES_MAX);
                let skip = view.trades.iter().rposition(|trade| trade.seq <= self.head).map_or(0, |at| at + 1);
                let begin = skip - sent.count();
                bodies::trades(out, view.trades.range(begin..skip), decimals, key.rfc3339);
            }
            (_, Channel::Ohlcv(interval)) => {
                let closed = &view.closed_candles[interval as usize];
                let begin = closed.len().saturating_sub(SNAPSHOT_CANDLES_MAX);
                bodies::candles(out, closed.range(begin..), view.candles.forming(interval), decimals, key.rfc3339);
            }
            (_, Channel::Definition) => bodies::definition(out, view),
            (_, Channel::Status) => bodies::status(out, view, key.rfc3339),
            (_, Channel::Statistics) => bodies::statistics(out, &view.statistics, decimals),
            (_, _) => bodies::auction(out, view.auction.as_ref(), decimals),
        }
        out.push(b'}');
        server_frame::finish(out, at, opcode::TEXT)
    }
}

/// The three times of a frame for who wants them as text.
#[inline(never)]
fn calendar(writer: &mut FrameWriter<'_>, text: &mut Vec<u8>, times_ns: [Nanos; 3]) {
    for (name, ns) in [",\"ts_event\":", ",\"ts_recv\":", ",\"ts_out\":"].into_iter().zip(times_ns) {
        text.clear();
        json::time(text, ns, true);
        writer.text(name.as_bytes());
        writer.text(text);
    }
}

fn band(view: &BookView) -> [Price; 3] {
    [view.statistics.reference, view.statistics.limit_low, view.statistics.limit_high]
}

fn take_levels(levels: &Levels, depth: usize, into: &mut Vec<Level>) {
    into.clear();
    into.extend(levels.iter().take(depth));
}

/// Takes the new best levels; true when they differ from the old ones.
fn renew(levels: &Levels, depth: usize, sent: &mut Vec<Level>, scratch: &mut Vec<Level>) -> bool {
    take_levels(levels, depth, scratch);
    let changed = scratch != sent;
    std::mem::swap(scratch, sent);
    changed
}
