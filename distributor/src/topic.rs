//! One stream of frames: a channel of a book with its effective parameters, encoded once for all who follow it.
//!
//! Keeps what it last sent (the head of its chain and the levels), so that the next frame is the difference to that and
//! a newcomer's snapshot fits the chain of those who are there. Knows no sockets.

use std::ops::Range;

use book::candle::{Candle, Interval};
use book::replica::{Auction, BookView, Definition, Levels, TradeView, prefetch_beside};
use book::slot::OrderUpdate;
use book::statistics::Statistics;
use book::types::Level;
use book::{Nanos, Phase, Price};

use crate::book_chain::{BookChain, LEVEL_BYTES_MAX};
use crate::encode::{self, Head};
use crate::frame::{self, opcode};
use crate::json;
use crate::line::{self, LINE_BYTES_MAX, Line, Stamp};
use crate::request::{DEPTH_MAX, Policy};

/// Trades in the snapshot of `trades`.
pub const SNAPSHOT_TRADES_MAX: usize = 50;

/// Closed candles in the snapshot of `ohlcv-…`.
pub const SNAPSHOT_CANDLES_MAX: usize = 500;

/// Trades or closed candles that a conflated topic collects before it sends them early.
const COLLECTED_MAX: usize = 1_000;

/// A channel of one symbol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Channel {
    /// Levels as differences, 1..=100 a side.
    Book,
    /// The best level, whole.
    Mbp1,
    /// The best ten levels, whole.
    Mbp10,
    /// Every order.
    Mbo,
    /// Trades.
    Trades,
    /// Candles.
    Ohlcv(Interval),
    /// Instrument.
    Definition,
    /// Trading phase.
    Status,
    /// Statistics of the day.
    Statistics,
    /// Auction picture.
    Imbalance,
}

/// What of a book an update touched; bits.
pub mod touched {
    /// Price levels.
    pub const LEVELS: u8 = 1;
    /// Orders.
    pub const ORDERS: u8 = 2;
    /// Trades.
    pub const TRADES: u8 = 4;
    /// Forming or closed candles.
    pub const CANDLES: u8 = 8;
    /// Definition.
    pub const DEFINITION: u8 = 16;
    /// Phase.
    pub const STATUS: u8 = 32;
    /// Statistics.
    pub const STATISTICS: u8 = 64;
    /// Auction picture.
    pub const AUCTION: u8 = 128;
    /// Everything.
    pub const ALL: u8 = 255;
}

impl Channel {
    /// Every channel of one symbol.
    pub const ALL: [Self; 13] = [
        Self::Book,
        Self::Mbp1,
        Self::Mbp10,
        Self::Mbo,
        Self::Trades,
        Self::Ohlcv(Interval::Second),
        Self::Ohlcv(Interval::Minute),
        Self::Ohlcv(Interval::Hour),
        Self::Ohlcv(Interval::Day),
        Self::Definition,
        Self::Status,
        Self::Statistics,
        Self::Imbalance,
    ];

    /// The name outside.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Book => "book",
            Self::Mbp1 => "mbp-1",
            Self::Mbp10 => "mbp-10",
            Self::Mbo => "mbo",
            Self::Trades => "trades",
            Self::Ohlcv(Interval::Second) => "ohlcv-1s",
            Self::Ohlcv(Interval::Minute) => "ohlcv-1m",
            Self::Ohlcv(Interval::Hour) => "ohlcv-1h",
            Self::Ohlcv(Interval::Day) => "ohlcv-1d",
            Self::Definition => "definition",
            Self::Status => "status",
            Self::Statistics => "statistics",
            Self::Imbalance => "imbalance",
        }
    }

    /// The channel of an outside name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|channel| channel.name() == name)
    }

    /// Place in [`Channel::ALL`].
    #[must_use]
    pub fn index(self) -> usize {
        Self::ALL.iter().position(|&channel| channel == self).unwrap_or(0)
    }

    /// Default levels a side, 0 where there are none.
    #[must_use]
    pub const fn depth(self) -> u8 {
        match self {
            Self::Book | Self::Mbp10 => 10,
            Self::Mbp1 => 1,
            _ => 0,
        }
    }

    /// Whether updates mean nothing without the snapshot before them.
    #[must_use]
    pub fn needs_snapshot(self) -> bool {
        matches!(self, Self::Book | Self::Mbo)
    }

    /// Default slow-reader policy: states may be skipped, events should not be.
    #[must_use]
    pub const fn policy(self) -> Policy {
        match self {
            Self::Mbo | Self::Trades => Policy::Warn,
            _ => Policy::Skip,
        }
    }

    /// What of a book concerns the channel.
    #[must_use]
    pub const fn touched_by(self) -> u8 {
        match self {
            Self::Book | Self::Mbp1 | Self::Mbp10 => touched::LEVELS,
            Self::Mbo => touched::ORDERS,
            Self::Trades => touched::TRADES,
            Self::Ohlcv(_) => touched::CANDLES,
            Self::Definition => touched::DEFINITION,
            Self::Status => touched::STATUS,
            Self::Statistics => touched::STATISTICS,
            Self::Imbalance => touched::AUCTION,
        }
    }
}

/// Everything that makes two subscriptions share their frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// Place of the book in the replica.
    pub book: u32,
    /// Channel.
    pub channel: Channel,
    /// Levels a side, 0 where there are none.
    pub depth: u8,
    /// At most one frame per so many milliseconds, 0 = every one.
    pub conflate_ms: u32,
    /// Times as text.
    pub rfc3339: bool,
}

/// A follower of a topic.
#[derive(Clone, Copy, Debug)]
pub struct Follower {
    /// Connection.
    pub connection: u32,
    /// Place among its subscriptions.
    pub subscription: u32,
    /// Gets frames now; otherwise a snapshot is due first.
    pub live: bool,
}

/// What happened to a book in this turn, beside its state.
#[derive(Debug, Default)]
pub struct Fresh {
    /// Order changes, in order.
    pub changes: Vec<OrderUpdate>,
    /// Trades, in order.
    pub trades: Vec<TradeView>,
    /// Candles that closed, in order.
    pub closed: Vec<(Interval, Candle)>,
}

impl Fresh {
    /// Forgets all, keeps the memory.
    pub fn clear(&mut self) {
        self.changes.clear();
        self.trades.clear();
        self.closed.clear();
    }
}

/// The time and epoch a frame is stamped with.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Our clock now.
    pub now_ns: Nanos,
    /// Epoch in force.
    pub epoch: u64,
}

/// What was last sent.
#[derive(Debug)]
enum Shadow {
    /// Levels, whole.
    Levels {
        bids: Vec<Level>,
        asks: Vec<Level>,
        maybe_bad: bool,
    },
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
        encode::prefix(&mut self.text, key, ticker, snapshot, epoch);
        self.length = self.text.len() as u32;
        let known = self.text.len().min(PREFIX_BYTES);
        self.bytes[..known].copy_from_slice(&self.text[..known]);
    }

    #[inline(always)]
    fn put(&self, line: &mut Line<'_>) {
        if self.length as usize <= PREFIX_BYTES {
            line.first(self.length as usize, &self.bytes);
        } else {
            line.text(&self.text);
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

/// One stream of frames. What every frame of `book` touches stands in the first lines.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct Topic {
    /// `seq` of the last frame.
    pub head: u64,
    /// Levels that were sent, for differences; of `book` alone.
    chain: Option<Box<BookChain>>,
    /// What it is.
    pub key: Key,
    prefix: Prefix,
    /// Followers that get frames now.
    pub live: usize,
    /// All followers.
    pub followers: Vec<Follower>,
    /// Conflated: earliest time of the next frame.
    pub due_ns: Nanos,
    /// Conflated: something waits for `due_ns`.
    pub waiting: bool,
    /// Conflated: what waits.
    collected: Fresh,
    shadow: Shadow,
    /// Turn and place of the last snapshot, so that newcomers of one turn share it.
    pub snapshot_place: Option<(u64, Range<usize>)>,
}

impl Topic {
    /// A topic that begins at the state of `view`.
    #[must_use]
    pub fn new(key: Key, view: &BookView, head: u64) -> Self {
        let mut topic = Self {
            head,
            chain: None,
            key,
            prefix: Prefix::default(),
            live: 0,
            followers: Vec::new(),
            due_ns: 0,
            waiting: false,
            collected: Fresh::default(),
            shadow: Shadow::None,
            snapshot_place: None,
        };
        topic.refresh(view, head);
        topic
    }

    /// Begins the chain anew at the state of `view`: nobody is at the old one.
    pub fn refresh(&mut self, view: &BookView, head: u64) {
        self.head = head;
        self.collected.clear();
        self.snapshot_place = None;
        self.shadow = match self.key.channel {
            Channel::Book => {
                match &mut self.chain {
                    Some(chain) => chain.refresh(view),
                    None => self.chain = Some(Box::new(BookChain::new(view, self.key.depth))),
                }
                Shadow::None
            }
            Channel::Mbp1 | Channel::Mbp10 => {
                let depth = usize::from(self.key.depth);
                let (mut bids, mut asks) = match std::mem::replace(&mut self.shadow, Shadow::None) {
                    Shadow::Levels { bids, asks, .. } => (bids, asks),
                    _ => (Vec::with_capacity(depth), Vec::with_capacity(depth)),
                };
                take_levels(&view.bids, depth, &mut bids);
                take_levels(&view.asks, depth, &mut asks);
                Shadow::Levels { bids, asks, maybe_bad: view.maybe_bad }
            }
            Channel::Mbo | Channel::Trades => Shadow::None,
            Channel::Ohlcv(interval) => Shadow::Candle(view.candles.forming(interval).copied()),
            Channel::Definition => Shadow::Definition(Box::new((view.definition.clone(), band(view)))),
            Channel::Status => Shadow::Status(view.phase, view.state.clone(), view.state_ns),
            Channel::Statistics => Shadow::Statistics(Box::new(view.statistics)),
            Channel::Imbalance => Shadow::Auction(view.auction),
        };
    }

    /// Starts to load what the next update of `book` will touch.
    #[inline(always)]
    pub fn prefetch(&self) {
        if let Some(chain) = &self.chain {
            chain.prefetch();
            prefetch_beside(&self.prefix.bytes);
            prefetch_beside(&self.prefix.bytes[64]);
        }
    }

    /// Adds this turn's events to what waits; true when they must go out now although it is not time.
    pub fn collect(&mut self, fresh: &Fresh) -> bool {
        match self.key.channel {
            Channel::Trades => self.collected.trades.extend_from_slice(&fresh.trades),
            Channel::Ohlcv(interval) => {
                self.collected.closed.extend(fresh.closed.iter().filter(|(closed, _)| *closed == interval));
            }
            _ => {}
        }
        self.collected.trades.len().max(self.collected.closed.len()) >= COLLECTED_MAX
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
        fresh: &Fresh,
        seq: u64,
        moment: Moment,
        scratch: &mut Scratch,
    ) -> Option<Range<usize>> {
        if self.chain.is_some() {
            return self.write_book(out, view, seq, moment, scratch);
        }
        self.write_other(out, view, fresh, seq, moment, scratch)
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
        let chain = self.chain.as_mut()?;
        let news = chain.news(view)?;
        self.prefix.renew(self.key, view, false, moment.epoch);
        let Scratch { text, stamps, .. } = scratch;
        let at = out.len();
        line::append(out, |line| {
            frame::reserve(line);
            self.prefix.put(line);
            line.put(b",\"seq\":");
            line.integer(seq);
            line.put(b",\"prev_seq\":");
            line.integer(self.head);
            if self.key.rfc3339 {
                calendar(line, text, [view.exchange_ns, view.received_ns, moment.now_ns]);
            } else {
                let [event, received, sent] = stamps;
                line.two_times([view.exchange_ns, view.received_ns], [event, received]);
                line.time(moment.now_ns, sent);
                line.put(b"\"");
            }
            if view.maybe_bad {
                line.put(b",\"maybe_bad\":true");
            }
            chain.write(line, view, news);
            line.put(b"}");
        });
        self.head = seq;
        self.snapshot_place = None;
        Some(frame::finish(out, at, opcode::TEXT))
    }

    fn write_other(
        &mut self,
        out: &mut Vec<u8>,
        view: &BookView,
        fresh: &Fresh,
        seq: u64,
        moment: Moment,
        scratch: &mut Scratch,
    ) -> Option<Range<usize>> {
        let decimals = view.definition.price_decimals;
        let key = self.key;
        let at = frame::begin(out);
        // Whole-picture channels are snapshots in every frame.
        let snapshot = matches!(key.channel, Channel::Mbp1 | Channel::Mbp10);
        self.prefix.renew(key, view, snapshot, moment.epoch);
        out.extend_from_slice(&self.prefix.text);
        encode::numbers(out, &Head { key, view, snapshot, seq, prev_seq: self.head, moment });
        let changed = match (&mut self.shadow, key.channel) {
            (Shadow::Levels { bids, asks, maybe_bad }, _) => {
                let depth = usize::from(key.depth);
                let mut changed = renew(&view.bids, depth, bids, &mut scratch.levels);
                changed |= renew(&view.asks, depth, asks, &mut scratch.levels);
                changed |= std::mem::replace(maybe_bad, view.maybe_bad) != view.maybe_bad;
                encode::levels(out, bids, asks, decimals);
                changed
            }
            (_, Channel::Mbo) => {
                encode::changes(out, &fresh.changes, decimals);
                !fresh.changes.is_empty() && !view.orders_omitted
            }
            (_, Channel::Trades) => {
                encode::trades(out, fresh.trades.iter(), decimals, key.rfc3339);
                !fresh.trades.is_empty()
            }
            (Shadow::Candle(sent), Channel::Ohlcv(interval)) => {
                let closed = || fresh.closed.iter().filter(|(of, _)| *of == interval).map(|(_, candle)| candle);
                let forming = view.candles.forming(interval);
                let changed = closed().next().is_some() || *sent != forming.copied();
                *sent = forming.copied();
                encode::candles(out, closed(), forming, decimals, key.rfc3339);
                changed
            }
            (Shadow::Definition(sent), _) => {
                let changed = sent.0 != view.definition || sent.1 != band(view);
                if changed {
                    **sent = (view.definition.clone(), band(view));
                    encode::definition(out, view);
                }
                changed
            }
            (Shadow::Status(phase, state, since_ns), _) => {
                let changed = *phase != view.phase || *state != view.state || *since_ns != view.state_ns;
                if changed {
                    (*phase, *since_ns) = (view.phase, view.state_ns);
                    state.clone_from(&view.state);
                    encode::status(out, view, key.rfc3339);
                }
                changed
            }
            (Shadow::Statistics(sent), _) => {
                let changed = **sent != view.statistics;
                **sent = view.statistics;
                encode::statistics(out, &view.statistics, decimals);
                changed
            }
            (Shadow::Auction(sent), _) => {
                let changed = *sent != view.auction;
                *sent = view.auction;
                encode::auction(out, view.auction.as_ref(), decimals);
                changed
            }
            (Shadow::Candle(_) | Shadow::None, _) => false, // OK because `refresh` pairs them
        };
        if !changed {
            out.truncate(at);
            return None;
        }
        out.push(b'}');
        self.head = seq;
        self.snapshot_place = None;
        Some(frame::finish(out, at, opcode::TEXT))
    }

    /// Encodes the state at the head of the chain.
    pub fn write_snapshot(&self, out: &mut Vec<u8>, view: &BookView, moment: Moment) -> Range<usize> {
        let decimals = view.definition.price_decimals;
        let key = self.key;
        let at = frame::begin(out);
        encode::head(out, &Head { key, view, snapshot: true, seq: self.head, prev_seq: 0, moment });
        if let Some(chain) = &self.chain {
            let (bids, asks) = chain.levels();
            encode::levels(out, bids, asks, decimals);
            json::raw(out, ",\"checksum\":");
            json::integer(out, chain.checksum());
            out.push(b'}');
            return frame::finish(out, at, opcode::TEXT);
        }
        match (&self.shadow, key.channel) {
            (Shadow::Levels { bids, asks, .. }, _) => encode::levels(out, bids, asks, decimals),
            (_, Channel::Mbo) => encode::orders(out, view),
            (_, Channel::Trades) => {
                // Those that a conflated topic has not sent yet come in its next update.
                let sent = view.trades.iter().rev().filter(|trade| trade.seq <= self.head).take(SNAPSHOT_TRADES_MAX);
                let skip = view.trades.iter().rposition(|trade| trade.seq <= self.head).map_or(0, |at| at + 1);
                let begin = skip - sent.count();
                encode::trades(out, view.trades.range(begin..skip), decimals, key.rfc3339);
            }
            (_, Channel::Ohlcv(interval)) => {
                let closed = &view.closed_candles[interval as usize];
                let begin = closed.len().saturating_sub(SNAPSHOT_CANDLES_MAX);
                encode::candles(out, closed.range(begin..), view.candles.forming(interval), decimals, key.rfc3339);
            }
            (_, Channel::Definition) => encode::definition(out, view),
            (_, Channel::Status) => encode::status(out, view, key.rfc3339),
            (_, Channel::Statistics) => encode::statistics(out, &view.statistics, decimals),
            (_, _) => encode::auction(out, view.auction.as_ref(), decimals),
        }
        out.push(b'}');
        frame::finish(out, at, opcode::TEXT)
    }
}

/// The three times of a frame for who wants them as text.
#[inline(never)]
fn calendar(line: &mut Line<'_>, text: &mut Vec<u8>, times_ns: [Nanos; 3]) {
    for (name, ns) in [",\"ts_event\":", ",\"ts_recv\":", ",\"ts_out\":"].into_iter().zip(times_ns) {
        text.clear();
        json::time(text, ns, true);
        line.text(name.as_bytes());
        line.text(text);
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
