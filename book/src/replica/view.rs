//! One book as a reader knows it: plain data, changed by the replica alone.
//!
//! What every update touches stands first, a cache line for each side and one for the rest.

use std::collections::VecDeque;

use super::levels::Levels;
use super::order_slab::OrderSlab;
use super::orders::Orders;
use crate::candle::{Candle, Candles, Interval};
use crate::checksum::checksum;
use crate::doubt::Doubt;
use crate::phase::Phase;
use crate::slot::{CandleAmounts, CandlePrices, TradeUpdate};
use crate::statistics::Statistics;
use crate::tick::TickTable;
use crate::types::{BookId, Level, Nanos, Price, Side, ticker};

/// A trade as readers show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TradeView {
    /// Ingest sequence number.
    pub seq: u64,
    /// Exchange clock.
    pub exchange_ns: Nanos,
    /// Our clock.
    pub received_ns: Nanos,
    /// The exchange's match number.
    pub match_id: u64,
    /// Price.
    pub price: Price,
    /// Quantity.
    pub quantity: u64,
    /// The aggressor's side, `None` in auctions and where not known.
    pub side: Side,
    /// [`crate::slot::conditions`].
    pub conditions: u8,
}

impl From<&TradeUpdate> for TradeView {
    fn from(trade: &TradeUpdate) -> Self {
        Self {
            seq: trade.seq,
            exchange_ns: trade.exchange_ns,
            received_ns: trade.received_ns,
            match_id: trade.match_id,
            price: Price(trade.price),
            quantity: trade.quantity,
            side: Side::from_byte(trade.side),
            conditions: trade.conditions,
        }
    }
}

/// The auction picture of a book.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Auction {
    /// Equilibrium price.
    pub price: Price,
    /// Bid quantity available at it.
    pub bid_quantity: u64,
    /// Ask quantity available at it.
    pub ask_quantity: u64,
    /// Best bid behind it.
    pub best_bid: Price,
    /// Best ask behind it.
    pub best_ask: Price,
    /// Quantity of the best bid.
    pub best_bid_quantity: u64,
    /// Quantity of the best ask.
    pub best_ask_quantity: u64,
}

/// What is known of an instrument.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Definition {
    /// The exchange's own name, `GARAN.E`.
    pub symbol: String,
    /// Long name.
    pub name: String,
    /// ISIN, or empty.
    pub isin: String,
    /// ISO 4217 code, or empty.
    pub currency: String,
    /// Decimals of prices.
    pub price_decimals: u8,
    /// Round lot.
    pub round_lot: u32,
    /// BISTECH financial product.
    pub product: u8,
    /// Expiration as YYYYMMDD, 0 = none.
    pub expiration: u32,
    /// Strike.
    pub strike: Price,
    /// Underlying book, 0 = none.
    pub underlying_book_id: u32,
    /// Short sell status: 0 allowed, 1 not allowed, 2 up-tick rule; `None` when never stated.
    pub short_sell: Option<u8>,
    /// Tick table.
    pub ticks: TickTable,
    /// All four parts of the definition have come.
    pub complete: bool,
}

impl Definition {
    /// The name used outside: the ticker for shares (`GARAN`), else the exchange's own.
    #[must_use]
    pub fn ticker(&self) -> &str {
        ticker(&self.symbol)
    }
}

/// One book as a reader knows it.
#[derive(Clone, Debug)]
#[repr(C, align(64))]
pub struct BookView {
    /// Bids.
    pub bids: Levels,
    /// Asks.
    pub asks: Levels,
    /// Ingest number of the last update of this book.
    pub seq: u64,
    /// Exchange time of the last update of this book.
    pub exchange_ns: Nanos,
    /// Our clock at the last update of this book.
    pub received_ns: Nanos,
    /// The book.
    pub book_id: BookId,
    pub(super) names: u32,
    /// False between the begin and the end of a snapshot.
    pub in_sync: bool,
    /// Why it may be wrong: the feed lost messages, or the book thread found something impossible.
    pub doubt: Option<Doubt>,
    /// Trades and candles have a hole from a gap in this reader's ring.
    pub history_incomplete: bool,
    /// This replica keeps no orders, or the snapshot left them out because they did not fit or the books keep no queues:
    /// `orders` is empty and not to be shown.
    pub orders_omitted: bool,
    /// Trading phase.
    pub phase: Phase,
    /// Every order, if the replica keeps them.
    pub orders: Orders,
    /// Auction picture; `None` outside auctions.
    pub auction: Option<Auction>,
    /// Statistics of the day.
    pub statistics: Statistics,
    /// Forming candles.
    pub candles: Candles,
    /// A session began, and no candle of it yet: its clock may be behind that of the candles that are kept.
    pub(super) candles_begin_anew: bool,
    /// Newest last.
    pub trades: VecDeque<TradeView>,
    /// Closed candles by interval, oldest first.
    pub closed_candles: [VecDeque<Candle>; 4],
    /// The exchange's own name of the state.
    pub state: String,
    /// Exchange time of the last state change.
    pub state_ns: Nanos,
    /// Instrument.
    pub definition: Definition,
}

impl BookView {
    pub(super) fn new(book_id: BookId, orders: bool, slab: OrderSlab) -> Self {
        Self {
            bids: Levels::new(Side::Bid),
            asks: Levels::new(Side::Ask),
            seq: 0,
            exchange_ns: 0,
            received_ns: 0,
            book_id,
            names: 0,
            // A reader sees a book from its first update on, unless a snapshot says otherwise.
            in_sync: true,
            doubt: None,
            history_incomplete: false,
            orders_omitted: !orders,
            phase: Phase::Unknown,
            orders: Orders::new(slab),
            auction: None,
            statistics: Statistics::default(),
            candles: Candles::default(),
            candles_begin_anew: false,
            trades: VecDeque::new(),
            closed_candles: Default::default(),
            state: String::new(),
            state_ns: 0,
            definition: Definition::default(),
        }
    }

    /// The book is another instrument's now. Its levels go on counting their changes, so that nobody takes the new ones
    /// for the old.
    pub(super) fn begin_anew(&mut self, orders: bool) {
        let mut fresh = Self::new(self.book_id, orders, self.orders.slab().clone());
        (fresh.in_sync, fresh.names) = (self.in_sync, self.names);
        std::mem::swap(&mut fresh.bids, &mut self.bids);
        std::mem::swap(&mut fresh.asks, &mut self.asks);
        *self = fresh;
        self.empty();
    }

    /// Counts how often the symbol or the decimals were stated: while it stays, so do they.
    #[inline]
    #[must_use]
    pub fn names(&self) -> u32 {
        self.names
    }

    /// The levels of a side.
    #[inline]
    #[must_use]
    pub fn levels(&self, side: Side) -> &Levels {
        if side == Side::Bid { &self.bids } else { &self.asks }
    }

    /// The same by [`Side::index`].
    #[inline(always)]
    pub(super) fn levels_of(&self, side: usize) -> &Levels {
        if side == 0 { &self.bids } else { &self.asks }
    }

    #[inline]
    pub(super) fn levels_mut(&mut self, side: Side) -> &mut Levels {
        if side == Side::Bid { &mut self.bids } else { &mut self.asks }
    }

    /// CRC32 over the best ten levels (see [`crate::checksum`]).
    #[must_use]
    pub fn checksum(&self) -> u32 {
        let plain = |level: &Level| (level.price, level.quantity);
        checksum(self.definition.price_decimals, self.asks.iter().map(plain), self.bids.iter().map(plain))
    }

    /// Whether it may be wrong.
    #[inline]
    #[must_use]
    pub fn maybe_bad(&self) -> bool {
        self.doubt.is_some()
    }

    /// A session whose clock went back, as that of a recording in a loop, takes the place of the candles from there on:
    /// those that are kept stay in the order of their times.
    #[cold]
    pub(super) fn forget_candles_ahead(&mut self) {
        for interval in Interval::ALL {
            let Some(start_ns) = self.candles.forming(interval).map(|candle| candle.start_ns) else { return };
            let history = &mut self.closed_candles[interval as usize];
            while history.back().is_some_and(|last| last.start_ns >= start_ns) {
                history.pop_back();
            }
        }
        self.candles_begin_anew = false;
    }

    /// Puts the candle of two records in the place of the one with the same start, or takes that away if it has no trade
    /// left. Returns it if followers do not learn it from the forming candle.
    #[cold]
    pub(super) fn correct_candle(
        &mut self,
        prices: &CandlePrices,
        amounts: &CandleAmounts,
    ) -> Option<(Interval, Candle)> {
        let (interval, candle) = Candle::from_records(prices, amounts)?;
        if self.candles.correct(interval, candle) {
            return (candle.trades == 0).then_some((interval, candle));
        }
        let history = &mut self.closed_candles[interval as usize];
        let at = history.iter().rposition(|kept| kept.start_ns == candle.start_ns);
        match at {
            Some(at) if candle.trades == 0 => {
                history.remove(at);
            }
            Some(at) => history[at] = candle,
            None => {} // older than all that are kept
        }
        Some((interval, candle))
    }

    pub(super) fn empty(&mut self) {
        self.bids.clear();
        self.asks.clear();
        self.orders.clear();
    }

    pub(super) fn next_day(&mut self) {
        self.empty();
        self.statistics = self.statistics.next_day();
        self.candles_begin_anew = true;
        self.auction = None;
        self.phase = Phase::Unknown;
        self.state.clear();
        self.doubt = None;
    }
}
