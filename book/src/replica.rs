//! A reader's copy of the market, made of published updates alone.
//!
//! Runs on the reader's own thread (fan-out, view): may allocate when something new appears, never touches a
//! socket or a clock, and never invents: what a gap swallowed stays marked until a snapshot replaces it.

use std::collections::{BTreeMap, HashMap, VecDeque};

use crate::candle::{Candle, Candles, Interval};
use crate::checksum::checksum;
use crate::phase::Phase;
use crate::slot::{
    CandlePrices, Contract, Equilibrium, EquilibriumBest, LevelUpdate, Mark, OrderUpdate, Slot, State, Symbol, System,
    Terms, TradeUpdate, View, action, flags, system, text,
};
use crate::statistics::Statistics;
use crate::tick::TickTable;
use crate::types::{BookId, Nanos, OrderId, Price, Side};

/// What a replica keeps.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Keep every order (needed for order-by-order snapshots).
    pub orders: bool,
    /// Trades kept per book; the oldest goes first.
    pub trades_max: usize,
    /// Closed candles kept per book and interval; the oldest goes first.
    pub candles_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { orders: false, trades_max: 500, candles_max: 720 }
    }
}

/// A price level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// Price.
    pub price: Price,
    /// Total visible quantity.
    pub quantity: u64,
    /// Number of orders.
    pub count: u32,
}

/// One side's levels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Levels {
    side: Side,
    /// Best last: most changes are near the best, so they move little.
    worst_first: Vec<Level>,
}

impl Levels {
    /// No levels.
    #[must_use]
    pub fn new(side: Side) -> Self {
        Self { side, worst_first: Vec::with_capacity(256) }
    }

    /// Best first.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Level> + DoubleEndedIterator {
        self.worst_first.iter().rev()
    }

    /// The best level.
    #[must_use]
    pub fn best(&self) -> Option<&Level> {
        self.worst_first.last()
    }

    /// Number of levels.
    #[must_use]
    pub fn len(&self) -> usize {
        self.worst_first.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.worst_first.is_empty()
    }

    /// Sets a level's totals (both zero: removes it) and returns its 0-based rank from the best.
    pub fn set(&mut self, level: Level) -> usize {
        let ahead = |a: Price, b: Price| if self.side == Side::Bid { a < b } else { a > b };
        let at = self.worst_first.partition_point(|have| ahead(have.price, level.price));
        let there = self.worst_first.get(at).is_some_and(|have| have.price == level.price);
        let gone = level.quantity == 0 && level.count == 0;
        match (there, gone) {
            (true, false) => self.worst_first[at] = level,
            (true, true) => {
                self.worst_first.remove(at);
                return self.worst_first.len() - at;
            }
            (false, false) => self.worst_first.insert(at, level),
            (false, true) => return self.worst_first.len() - at,
        }
        self.worst_first.len() - 1 - at
    }

    fn clear(&mut self) {
        self.worst_first.clear();
    }
}

/// An order of the replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderView {
    /// The exchange's number.
    pub order_id: OrderId,
    /// Quantity that is left.
    pub quantity: u64,
}

/// Every order, by side and price, each level in queue order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Orders {
    places: HashMap<(Side, OrderId), Price>,
    queues: [BTreeMap<Price, Vec<OrderView>>; 2],
}

impl Orders {
    /// Orders of a side, best first; market orders first of all.
    pub fn iter(&self, side: Side) -> Box<dyn Iterator<Item = (Price, OrderView)> + '_> {
        let queues = &self.queues[side.index()];
        let market = queues.get(&Price::NONE).into_iter().flatten().map(|&order| (Price::NONE, order));
        let flat = |(&price, queue): (&Price, &'_ Vec<OrderView>)| {
            queue.iter().map(move |&order| (price, order)).collect::<Vec<_>>()
        };
        let priced = queues.range(..Price::NONE);
        if side == Side::Bid {
            Box::new(market.chain(priced.rev().flat_map(flat)))
        } else {
            Box::new(market.chain(priced.flat_map(flat)))
        }
    }

    /// Number of orders on both sides.
    #[must_use]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    fn on_update(&mut self, update: &OrderUpdate) {
        let side = Side::from_byte(update.side);
        let order_id = OrderId(update.order_id);
        let price = Price(update.price);
        let in_place = update.action != action::ADD && update.action != action::MODIFY && update.quantity > 0;
        if in_place {
            if let Some(have) = self.find(side, order_id) {
                have.quantity = update.quantity;
            }
            return;
        }
        self.remove(side, order_id);
        if update.position > 0 {
            self.places.insert((side, order_id), price);
            let queue = self.queues[side.index()].entry(price).or_default();
            let at = (update.position as usize - 1).min(queue.len());
            queue.insert(at, OrderView { order_id, quantity: update.quantity });
        }
    }

    fn find(&mut self, side: Side, order_id: OrderId) -> Option<&mut OrderView> {
        let price = self.places.get(&(side, order_id))?;
        self.queues[side.index()].get_mut(price)?.iter_mut().find(|order| order.order_id == order_id)
    }

    fn remove(&mut self, side: Side, order_id: OrderId) {
        let Some(price) = self.places.remove(&(side, order_id)) else { return };
        let queues = &mut self.queues[side.index()];
        if let Some(queue) = queues.get_mut(&price) {
            queue.retain(|order| order.order_id != order_id);
            if queue.is_empty() {
                queues.remove(&price);
            }
        }
    }

    fn clear(&mut self) {
        self.places.clear();
        self.queues.iter_mut().for_each(BTreeMap::clear);
    }
}

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

/// The outside name of an exchange symbol: a share loses its `.E`.
#[must_use]
pub fn ticker(symbol: &str) -> &str {
    symbol.strip_suffix(".E").unwrap_or(symbol)
}

/// One book as a reader knows it.
#[derive(Clone, Debug)]
pub struct BookView {
    /// The book.
    pub book_id: BookId,
    /// Instrument.
    pub definition: Definition,
    /// Trading phase.
    pub phase: Phase,
    /// The exchange's own name of the state.
    pub state: String,
    /// Exchange time of the last state change.
    pub state_ns: Nanos,
    /// Bids.
    pub bids: Levels,
    /// Asks.
    pub asks: Levels,
    /// Every order, if the replica keeps them.
    pub orders: Orders,
    /// The snapshot left the orders out because they did not fit: `orders` is empty and not to be shown.
    pub orders_omitted: bool,
    /// Auction picture; `None` outside auctions.
    pub auction: Option<Auction>,
    /// Statistics of the day.
    pub statistics: Statistics,
    /// Forming candles.
    pub candles: Candles,
    /// Closed candles by interval, oldest first.
    pub closed_candles: [VecDeque<Candle>; 4],
    /// Newest last.
    pub trades: VecDeque<TradeView>,
    /// Ingest number of the last update of this book.
    pub seq: u64,
    /// Exchange time of the last update of this book.
    pub exchange_ns: Nanos,
    /// Our clock at the last update of this book.
    pub received_ns: Nanos,
    /// False between the begin and the end of a snapshot.
    pub in_sync: bool,
    /// The feed lost messages, or the book thread found something impossible: it may be wrong.
    pub maybe_bad: bool,
    /// Trades and candles have a hole from a gap in this reader's ring.
    pub history_incomplete: bool,
}

impl BookView {
    fn new(book_id: BookId) -> Self {
        Self {
            book_id,
            definition: Definition::default(),
            phase: Phase::Unknown,
            state: String::new(),
            state_ns: 0,
            bids: Levels::new(Side::Bid),
            asks: Levels::new(Side::Ask),
            orders: Orders::default(),
            orders_omitted: false,
            auction: None,
            statistics: Statistics::default(),
            candles: Candles::default(),
            closed_candles: Default::default(),
            trades: VecDeque::new(),
            seq: 0,
            exchange_ns: 0,
            received_ns: 0,
            // A reader sees a book from its first update on, unless a snapshot says otherwise.
            in_sync: true,
            maybe_bad: false,
            history_incomplete: false,
        }
    }

    /// The levels of a side.
    #[must_use]
    pub fn levels(&self, side: Side) -> &Levels {
        if side == Side::Bid { &self.bids } else { &self.asks }
    }

    fn levels_mut(&mut self, side: Side) -> &mut Levels {
        if side == Side::Bid { &mut self.bids } else { &mut self.asks }
    }

    /// CRC32 over the best ten levels (see [`crate::checksum`]).
    #[must_use]
    pub fn checksum(&self) -> u32 {
        let plain = |level: &Level| (level.price, level.quantity);
        checksum(self.definition.price_decimals, self.asks.iter().map(plain), self.bids.iter().map(plain))
    }

    fn empty(&mut self) {
        self.bids.clear();
        self.asks.clear();
        self.orders.clear();
    }

    fn next_day(&mut self) {
        self.empty();
        self.statistics = self.statistics.next_day();
        self.auction = None;
        self.phase = Phase::Unknown;
        self.state.clear();
        self.maybe_bad = false;
    }
}

/// A reader's copy of all books.
#[derive(Debug)]
pub struct Replica {
    options: Options,
    books: Vec<BookView>,
    by_id: HashMap<BookId, usize>,
    by_symbol: HashMap<String, usize>,
    pending_candle: Option<CandlePrices>,
    /// Epoch in force; 0 before the first session.
    pub epoch: u64,
    /// Ingest number of the last update seen.
    pub seq: u64,
    /// The exchange's clock.
    pub exchange_ns: Nanos,
    /// The feed said that nothing comes any more.
    pub stale: bool,
    /// The exchange sent its last message of the day.
    pub day_over: bool,
}

impl Replica {
    /// Knows nothing yet.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self {
            options,
            books: Vec::new(),
            by_id: HashMap::new(),
            by_symbol: HashMap::new(),
            pending_candle: None,
            epoch: 0,
            seq: 0,
            exchange_ns: 0,
            stale: false,
            day_over: false,
        }
    }

    /// All books, in the order they were first seen.
    #[must_use]
    pub fn books(&self) -> &[BookView] {
        &self.books
    }

    /// A book by id.
    #[must_use]
    pub fn book(&self, book_id: BookId) -> Option<&BookView> {
        self.by_id.get(&book_id).map(|&at| &self.books[at])
    }

    /// A book by ticker (`GARAN`) or by the exchange's own name (`GARAN.E`).
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&BookView> {
        self.by_symbol.get(ticker(name)).map(|&at| &self.books[at])
    }

    /// Takes one published slot. Candles that it closes go to `closed` as well as into the book's history.
    ///
    /// Returns the book it was about, `None` for slots about the whole feed.
    pub fn apply(&mut self, slot: &Slot, closed: &mut impl FnMut(BookId, Interval, Candle)) -> Option<BookId> {
        match slot.view() {
            View::Level(update) => self.on_level(update),
            View::OrderUpdate(update) => self.on_order(update),
            View::TradeUpdate(trade) => self.on_trade(trade, closed),
            View::Clear(mark) => self.stamp(mark.book_id, mark.seq, mark.exchange_ns, mark.received_ns).empty(),
            View::SnapshotBegin(mark) => self.on_snapshot_begin(mark),
            View::SnapshotEnd(mark) => self.on_snapshot_end(mark),
            View::Statistic(record) => self.entry(record.book_id).statistics.on_record(record),
            View::CandlePrices(prices) => self.pending_candle = Some(*prices),
            View::CandleAmounts(amounts) => {
                if let Some(prices) = self.pending_candle.take() {
                    self.entry(amounts.book_id).candles.on_records(&prices, amounts);
                }
            }
            View::Symbol(record) => self.on_symbol(record),
            View::LongName(record) => self.entry(record.book_id).definition.name = text(&record.name).to_owned(),
            View::Terms(record) => self.on_terms(record),
            View::Contract(record) => self.on_contract(record),
            View::TickBand(record) => {
                let book = self.entry(record.book_id);
                let _ = book.definition.ticks.add(record); // OK because the book thread counts a bad band
                book.statistics.set_band(&book.definition.ticks, Price(record.reference));
            }
            View::ShortSell(record) => self.entry(record.book_id).definition.short_sell = Some(record.status),
            View::State(record) => self.on_state(record),
            View::Equilibrium(record) => self.on_equilibrium(record),
            View::EquilibriumBest(record) => self.on_equilibrium_best(record),
            View::System(record) => {
                self.on_system(record, closed);
                return None;
            }
            View::Leg(record) => {
                self.stamp(record.book_id, record.seq, record.exchange_ns, record.received_ns);
            }
            // Never published to readers.
            View::Order(_)
            | View::Execution(_)
            | View::Replace(_)
            | View::Trade(_)
            | View::Rank(_)
            | View::Unknown(_) => return None,
        }
        Some(book_id_of(slot))
    }

    fn entry(&mut self, book_id: u32) -> &mut BookView {
        let book_id = BookId(book_id);
        let at = *self.by_id.entry(book_id).or_insert_with(|| {
            self.books.push(BookView::new(book_id));
            self.books.len() - 1
        });
        &mut self.books[at]
    }

    fn stamp(&mut self, book_id: u32, seq: u64, exchange_ns: Nanos, received_ns: Nanos) -> &mut BookView {
        self.seq = self.seq.max(seq);
        self.exchange_ns = self.exchange_ns.max(exchange_ns);
        let book = self.entry(book_id);
        book.seq = book.seq.max(seq);
        book.exchange_ns = exchange_ns;
        book.received_ns = received_ns;
        book
    }

    fn on_level(&mut self, update: &LevelUpdate) {
        let book = self.stamp(update.book_id, update.seq, update.exchange_ns, update.received_ns);
        book.maybe_bad = update.flags & flags::MAYBE_BAD_BOOK != 0;
        book.levels_mut(Side::from_byte(update.side)).set(Level {
            price: Price(update.price),
            quantity: update.quantity,
            count: update.count,
        });
    }

    fn on_order(&mut self, update: &OrderUpdate) {
        let keep = self.options.orders;
        let book = self.stamp(update.book_id, update.seq, update.exchange_ns, update.received_ns);
        if keep && !book.orders_omitted {
            book.orders.on_update(update);
        }
    }

    fn on_trade(&mut self, trade: &TradeUpdate, closed: &mut impl FnMut(BookId, Interval, Candle)) {
        let Options { trades_max, candles_max, .. } = self.options;
        let book = self.stamp(trade.book_id, trade.seq, trade.exchange_ns, trade.received_ns);
        book.statistics.on_trade_update(trade);
        let (book_id, history) = (book.book_id, &mut book.closed_candles);
        book.candles.on_trade(
            trade.exchange_ns,
            Price(trade.price),
            trade.quantity,
            trade.conditions,
            &mut |interval, candle| {
                keep(&mut history[interval as usize], candle, candles_max);
                closed(book_id, interval, candle);
            },
        );
        keep(&mut book.trades, TradeView::from(trade), trades_max);
    }

    fn on_snapshot_begin(&mut self, mark: &Mark) {
        self.epoch = self.epoch.max(mark.epoch);
        let book = self.stamp(mark.book_id, mark.seq, mark.exchange_ns, mark.received_ns);
        book.empty();
        book.statistics = Statistics::default();
        book.candles = Candles::default();
        book.auction = None;
        book.in_sync = false;
        book.orders_omitted = mark.orders_omitted != 0;
        book.history_incomplete |= mark.from_seq > 0;
    }

    fn on_snapshot_end(&mut self, mark: &Mark) {
        let book = self.stamp(mark.book_id, mark.seq, mark.exchange_ns, mark.received_ns);
        book.in_sync = true;
        book.maybe_bad = mark.flags & flags::MAYBE_BAD_BOOK != 0;
    }

    fn on_symbol(&mut self, record: &Symbol) {
        let symbol = text(&record.symbol).to_owned();
        let book = self.stamp(record.book_id, record.seq, record.exchange_ns, record.received_ns);
        if book.definition.symbol != symbol {
            // The exchange may give the number of an expired book to a new instrument.
            let (book_id, in_sync, fresh) = (book.book_id, book.in_sync, book.definition.symbol.is_empty());
            if !fresh {
                *book = BookView { in_sync, ..BookView::new(book_id) };
            }
            book.definition.symbol.clone_from(&symbol);
        }
        book.definition.ticks.clear();
        book.definition.complete = false;
        let at = self.by_id[&BookId(record.book_id)];
        self.by_symbol.retain(|_, &mut have| have != at);
        self.by_symbol.insert(ticker(&symbol).to_owned(), at);
    }

    fn on_terms(&mut self, record: &Terms) {
        let definition = &mut self.entry(record.book_id).definition;
        text(&record.isin).clone_into(&mut definition.isin);
        text(&record.currency).clone_into(&mut definition.currency);
        definition.price_decimals = record.price_decimals.min(Price::DECIMALS);
        definition.round_lot = record.round_lot;
        definition.product = record.product;
        definition.expiration = record.expiration;
        definition.underlying_book_id = record.underlying_book_id;
    }

    fn on_contract(&mut self, record: &Contract) {
        let definition = &mut self.entry(record.book_id).definition;
        definition.strike = Price(record.strike);
        definition.complete = true;
    }

    fn on_state(&mut self, record: &State) {
        let book = self.stamp(record.book_id, record.seq, record.exchange_ns, record.received_ns);
        book.phase = record.phase();
        record.name().clone_into(&mut book.state);
        book.state_ns = record.exchange_ns;
        if !book.phase.is_auction() {
            book.auction = None;
        }
        if book.phase == Phase::Closed {
            book.statistics.on_close();
        }
    }

    fn on_equilibrium(&mut self, record: &Equilibrium) {
        let book = self.stamp(record.book_id, record.seq, record.exchange_ns, record.received_ns);
        let auction = book.auction.get_or_insert_default();
        auction.price = Price(record.price);
        auction.bid_quantity = record.bid_quantity;
        auction.ask_quantity = record.ask_quantity;
    }

    fn on_equilibrium_best(&mut self, record: &EquilibriumBest) {
        let book = self.stamp(record.book_id, record.seq, record.exchange_ns, record.received_ns);
        let auction = book.auction.get_or_insert_default();
        auction.best_bid = Price(record.bid_price);
        auction.best_ask = Price(record.ask_price);
        auction.best_bid_quantity = record.bid_quantity;
        auction.best_ask_quantity = record.ask_quantity;
    }

    fn on_system(&mut self, record: &System, closed: &mut impl FnMut(BookId, Interval, Candle)) {
        self.exchange_ns = self.exchange_ns.max(record.exchange_ns);
        match record.code {
            system::SESSION => {
                self.epoch = record.epoch;
                self.seq = 0;
                self.day_over = false;
                self.exchange_ns = record.exchange_ns;
                for book in &mut self.books {
                    book.seq = 0;
                    book.next_day();
                }
            }
            system::END_OF_MESSAGES => {
                self.day_over = true;
                self.books.iter_mut().for_each(|book| book.statistics.on_close());
            }
            system::GAP => self.books.iter_mut().for_each(|book| book.maybe_bad = true),
            system::TIME => {
                let candles_max = self.options.candles_max;
                for book in &mut self.books {
                    let (book_id, history) = (book.book_id, &mut book.closed_candles);
                    book.candles.on_time(record.exchange_ns, &mut |interval, candle| {
                        keep(&mut history[interval as usize], candle, candles_max);
                        closed(book_id, interval, candle);
                    });
                }
            }
            system::STALE => self.stale = true,
            system::ALIVE => self.stale = false,
            _ => {}
        }
        self.seq = self.seq.max(record.seq);
    }
}

fn keep<T>(history: &mut VecDeque<T>, item: T, items_max: usize) {
    if items_max == 0 {
        return;
    }
    while history.len() >= items_max {
        history.pop_front();
    }
    history.push_back(item);
}

fn book_id_of(slot: &Slot) -> BookId {
    let bytes = slot.as_bytes();
    BookId(u32::from_ne_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_keep_their_order_and_tell_their_rank() {
        let level = |price, quantity| Level { price: Price(price), quantity, count: u32::from(quantity > 0) };
        let mut bids = Levels::new(Side::Bid);
        assert_eq!(bids.set(level(10, 1)), 0);
        assert_eq!(bids.set(level(12, 1)), 0);
        assert_eq!(bids.set(level(11, 1)), 1);
        assert_eq!(bids.set(level(10, 0)), 2);
        assert_eq!(bids.set(level(9, 0)), 2, "removing what is not there changes nothing");
        let prices: Vec<_> = bids.iter().map(|level| level.price.0).collect();
        assert_eq!(prices, [12, 11]);
        let mut asks = Levels::new(Side::Ask);
        asks.set(level(12, 1));
        assert_eq!(asks.set(level(10, 1)), 0);
    }

    #[test]
    fn a_share_is_known_by_its_ticker() {
        assert_eq!(ticker("GARAN.E"), "GARAN");
        assert_eq!(ticker("GARAN.R"), "GARAN.R");
        assert_eq!(ticker("F_XU0300426"), "F_XU0300426");
    }
}
