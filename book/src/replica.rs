//! A reader's copy of the market, made of published updates alone.
//!
//! Runs on the reader's own thread (fan-out, view): may allocate when something new appears, never touches a
//! socket or a clock, and never invents: what a gap swallowed stays marked until a snapshot replaces it.

mod index_of;
mod levels;
mod order_slab;
mod orders;
mod view;

use std::collections::{HashMap, VecDeque};
use std::slice;

use crate::candle::{Candle, Candles, Interval};
use crate::doubt::Doubt;
use crate::memory::prefetch;
use crate::phase::Phase;
use crate::replica::index_of::IndexOf;
pub use crate::replica::levels::{Change, Kind, Levels};
use crate::replica::order_slab::OrderSlab;
pub use crate::replica::orders::{OrderView, Orders};
pub use crate::replica::view::{Auction, BookView, Definition, TradeView};
use crate::slot::{
    CandlePrices, Contract, Equilibrium, EquilibriumBest, LevelUpdate, Mark, OrderUpdate, Slot, State, Symbol, System,
    Terms, TradeUpdate, View, flags, picture, rtype, system, text,
};
use crate::statistics::Statistics;
use crate::types::{BookId, BookIndex, Level, Nanos, Price, Side, ticker};

/// Of which books a replica keeps every order (needed for order-by-order snapshots).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeepOrders {
    /// Of none.
    #[default]
    Never,
    /// Of all.
    Always,
    /// Of those that the book thread was asked for ([`OrderInterest`](crate::order_interest::OrderInterest)).
    OnRequest,
}

/// What a replica keeps.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Which orders.
    pub orders: KeepOrders,
    /// Trades kept per book; the oldest goes first.
    pub trades_max: usize,
    /// Closed candles kept per book and interval; the oldest goes first.
    pub candles_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { orders: KeepOrders::Never, trades_max: 500, candles_max: 720 }
    }
}

/// Updates between two looks ahead at the same one: about as long as a line takes to come from memory.
pub const LOOK_AHEAD: usize = 8;

/// Updates whose books are remembered between two looks.
const SEEN: usize = 4 * LOOK_AHEAD;

/// Starts to load the first cache line of something that a reader keeps beside a book; no answer depends on it.
#[inline(always)]
pub fn prefetch_beside<T>(thing: &T) {
    prefetch(slice::from_ref(thing), 0);
}

/// A reader's copy of all books.
#[derive(Debug)]
pub struct Replica {
    options: Options,
    books: Vec<BookView>,
    /// Where the orders of all books lie.
    slab: OrderSlab,
    index_of: IndexOf,
    /// Of the updates looked at: their books, [`IndexOf::UNKNOWN`] where one was not known yet.
    seen: [BookIndex; SEEN],
    /// Beside `books`: not later than the end of the book's first candle to end. A tick of the clock looks here and
    /// leaves the books in peace.
    candle_ends_ns: Vec<Nanos>,
    by_symbol: HashMap<String, BookIndex>,
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
            slab: OrderSlab::default(),
            index_of: IndexOf::default(),
            seen: [IndexOf::UNKNOWN; SEEN],
            candle_ends_ns: Vec::new(),
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
        self.index_of(book_id).map(|at| &self.books[at.as_usize()])
    }

    /// Index of a book in [`Replica::books`]; it stays while the replica lives.
    #[inline]
    #[must_use]
    pub fn index_of(&self, book_id: BookId) -> Option<BookIndex> {
        self.index_of.get(book_id.0)
    }

    /// A book by ticker (`GARAN`) or by the exchange's own name (`GARAN.E`).
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&BookView> {
        self.by_symbol.get(ticker(name)).map(|&at| &self.books[at.as_usize()])
    }

    /// Starts to load what the updates behind `updates[at]` will touch, in two steps: the book, then its levels and its
    /// order. To be called once for each `at` before it is applied; no answer depends on it.
    ///
    /// Returns the index of the book whose levels will change in [`LOOK_AHEAD`] updates, for whoever keeps more beside it.
    #[inline(always)]
    pub fn look_ahead(&mut self, updates: &[Slot], at: usize) -> Option<BookIndex> {
        if at == 0 {
            self.begin_to_look(updates);
        }
        if let Some(far) = updates.get(at + 2 * LOOK_AHEAD) {
            self.look_at_book(far, at + 2 * LOOK_AHEAD);
        }
        let near = updates.get(at + LOOK_AHEAD)?;
        let index = self.seen_at(at + LOOK_AHEAD)?;
        let book = self.books.get(index.as_usize())?;
        if near.rtype == rtype::LEVEL {
            book.levels_of(side_of(near)).prefetch_best();
            return Some(index);
        }
        if near.rtype == rtype::ORDER_UPDATE && self.keeps_orders() {
            let update: &OrderUpdate = zerocopy::transmute_ref!(near);
            book.orders.prefetch(side_of(near), update.order_id);
        }
        None
    }

    /// Index of the book whose levels `updates[at]` will change, if it was looked at already: `at` is behind the last one
    /// given to [`Replica::look_ahead`] by at most [`LOOK_AHEAD`].
    #[inline(always)]
    #[must_use]
    pub fn levels_seen(&self, updates: &[Slot], at: usize) -> Option<BookIndex> {
        if updates.get(at)?.rtype == rtype::LEVEL { self.seen_at(at) } else { None }
    }

    #[inline(always)]
    fn seen_at(&self, at: usize) -> Option<BookIndex> {
        let index = self.seen[at % SEEN];
        (index != IndexOf::UNKNOWN).then_some(index)
    }

    #[inline(never)]
    fn begin_to_look(&mut self, updates: &[Slot]) {
        for (at, update) in updates.iter().enumerate().take(2 * LOOK_AHEAD) {
            self.look_at_book(update, at);
        }
    }

    /// The lines of a book that an update touches: its stamps, and the heads of its side and of its orders.
    #[inline(always)]
    fn look_at_book(&mut self, update: &Slot, at: usize) {
        let index = self.index_of.get(update.record().book_id).unwrap_or(IndexOf::UNKNOWN);
        self.seen[at % SEEN] = index;
        let Some(book) = self.books.get(index.as_usize()) else { return };
        prefetch(slice::from_ref(book.levels_of(side_of(update))), 0);
        prefetch(slice::from_ref(&book.seq), 0);
        if update.rtype == rtype::ORDER_UPDATE && self.keeps_orders() {
            prefetch(slice::from_ref(&book.orders), 0);
        }
    }

    #[inline(always)]
    fn keeps_orders(&self) -> bool {
        self.options.orders != KeepOrders::Never
    }

    /// Takes one published slot. Candles that it closes go to `closed` as well as into the book's history.
    ///
    /// Returns the index of the book it was about, `None` for slots about the whole feed.
    #[inline]
    pub fn apply(&mut self, slot: &Slot, closed: &mut impl FnMut(BookIndex, Interval, Candle)) -> Option<BookIndex> {
        // The two kinds that most updates are, without the way through all the others.
        match slot.rtype {
            rtype::LEVEL => Some(self.on_level(zerocopy::transmute_ref!(slot))),
            rtype::ORDER_UPDATE => Some(self.on_order(zerocopy::transmute_ref!(slot))),
            _ => self.on_rare(slot, closed),
        }
    }

    #[inline(never)]
    fn on_rare(&mut self, slot: &Slot, closed: &mut impl FnMut(BookIndex, Interval, Candle)) -> Option<BookIndex> {
        match slot.view() {
            View::TradeUpdate(trade) => return Some(self.on_trade(trade, closed)),
            View::Clear(mark) => {
                let book = self.stamped(mark.book_id, mark.seq, mark.exchange_ns, mark.received_ns);
                book.empty();
                book.doubt = None;
            }
            View::Doubt(mark) => {
                let book = self.stamped(mark.book_id, mark.seq, mark.exchange_ns, mark.received_ns);
                book.doubt = Doubt::from_code(mark.reason);
            }
            View::SnapshotBegin(mark) => self.on_snapshot_begin(mark),
            View::SnapshotEnd(mark) => self.on_snapshot_end(mark),
            View::OrdersBegin(mark) => self.on_orders_begin(mark),
            View::OrdersEnd(_) => {}
            View::Statistic(record) => self.entry(record.book_id).statistics.on_record(record),
            View::CandlePrices(prices) => self.pending_candle = Some(*prices),
            View::CandleAmounts(amounts) => {
                if let Some(prices) = self.pending_candle.take() {
                    let at = self.index_or_new(amounts.book_id).as_usize();
                    let book = &mut self.books[at];
                    if book.in_sync {
                        // Outside a snapshot: a trade of it was broken. Who follows it is told, forming or not.
                        if let Some((interval, candle)) = book.correct_candle(&prices, amounts) {
                            closed(BookIndex::from_usize(at), interval, candle);
                        }
                    } else {
                        book.candles.on_records(&prices, amounts);
                    }
                    self.candle_ends_ns[at] = book.candles.next_end_ns();
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
            // Taken before, or never published to readers.
            View::Level(_)
            | View::OrderUpdate(_)
            | View::Order(_)
            | View::Execution(_)
            | View::Replace(_)
            | View::Trade(_)
            | View::Rank(_)
            | View::Unknown(_) => return None,
        }
        self.index_of.get(slot.record().book_id)
    }

    #[inline(always)]
    fn index_or_new(&mut self, book_id: u32) -> BookIndex {
        self.index_of.get(book_id).unwrap_or_else(|| self.new_book(book_id))
    }

    #[cold]
    fn new_book(&mut self, book_id: u32) -> BookIndex {
        let index = BookIndex::from_usize(self.books.len());
        self.books.push(BookView::new(BookId(book_id), self.options.orders == KeepOrders::Always, self.slab.clone()));
        self.candle_ends_ns.push(u64::MAX);
        self.index_of.set(book_id, index);
        index
    }

    fn entry(&mut self, book_id: u32) -> &mut BookView {
        let index = self.index_or_new(book_id);
        &mut self.books[index.as_usize()]
    }

    /// Notes that the book's newest update is this one; returns the book's index.
    #[inline(always)]
    fn stamp(&mut self, book_id: u32, seq: u64, exchange_ns: Nanos, received_ns: Nanos) -> BookIndex {
        self.seq = self.seq.max(seq);
        self.exchange_ns = self.exchange_ns.max(exchange_ns);
        let index = self.index_or_new(book_id);
        let book = &mut self.books[index.as_usize()];
        book.seq = book.seq.max(seq);
        book.exchange_ns = exchange_ns;
        book.received_ns = received_ns;
        index
    }

    fn stamped(&mut self, book_id: u32, seq: u64, exchange_ns: Nanos, received_ns: Nanos) -> &mut BookView {
        let index = self.stamp(book_id, seq, exchange_ns, received_ns);
        &mut self.books[index.as_usize()]
    }

    #[inline(always)]
    fn on_level(&mut self, update: &LevelUpdate) -> BookIndex {
        let index = self.stamp(update.book_id, update.seq, update.exchange_ns, update.received_ns);
        let book = &mut self.books[index.as_usize()];
        book.levels_mut(Side::from_byte(update.side)).set(Level {
            price: Price(update.price),
            quantity: update.quantity,
            count: update.count,
        });
        index
    }

    #[inline(always)]
    fn on_order(&mut self, update: &OrderUpdate) -> BookIndex {
        let index = self.stamp(update.book_id, update.seq, update.exchange_ns, update.received_ns);
        let book = &mut self.books[index.as_usize()];
        if !book.orders_omitted {
            let levels = if update.side == b'B' { &book.bids } else { &book.asks };
            let in_picture = update.flags & flags::SNAPSHOT != 0;
            book.orders.on_update(update, (!in_picture).then_some(levels));
        }
        index
    }

    fn on_trade(&mut self, trade: &TradeUpdate, closed: &mut impl FnMut(BookIndex, Interval, Candle)) -> BookIndex {
        let Options { trades_max, candles_max, .. } = self.options;
        let index = self.stamp(trade.book_id, trade.seq, trade.exchange_ns, trade.received_ns);
        let book = &mut self.books[index.as_usize()];
        book.statistics.on_trade_update(trade);
        let history = &mut book.closed_candles;
        book.candles.on_trade(
            trade.exchange_ns,
            Price(trade.price),
            trade.quantity,
            trade.conditions,
            &mut |interval, candle| {
                keep(&mut history[interval as usize], candle, candles_max);
                closed(index, interval, candle);
            },
        );
        self.candle_ends_ns[index.as_usize()] = book.candles.next_end_ns();
        if book.candles_begin_anew {
            book.forget_candles_ahead();
        }
        keep(&mut book.trades, TradeView::from(trade), trades_max);
        index
    }

    fn on_snapshot_begin(&mut self, mark: &Mark) {
        self.epoch = self.epoch.max(mark.epoch);
        let orders_omitted = !self.keeps_orders() || mark.orders != picture::HERE;
        let book = self.stamped(mark.book_id, mark.seq, mark.exchange_ns, mark.received_ns);
        book.empty();
        book.statistics = Statistics::default();
        book.candles = Candles::default();
        book.auction = None;
        book.in_sync = false;
        book.orders_omitted = orders_omitted;
        book.history_incomplete |= mark.from_seq > 0;
    }

    /// All orders of a book come, or will not come any more.
    fn on_orders_begin(&mut self, mark: &Mark) {
        let orders_omitted = !self.keeps_orders() || mark.orders != picture::HERE;
        let book = self.stamped(mark.book_id, mark.seq, mark.exchange_ns, mark.received_ns);
        if orders_omitted {
            // What they took goes to other books.
            book.orders = Orders::new(book.orders.slab().clone());
        } else {
            book.orders.clear();
        }
        book.orders_omitted = orders_omitted;
    }

    fn on_snapshot_end(&mut self, mark: &Mark) {
        let book = self.stamped(mark.book_id, mark.seq, mark.exchange_ns, mark.received_ns);
        book.in_sync = true;
        book.doubt = Doubt::from_code(mark.reason);
    }

    fn on_symbol(&mut self, record: &Symbol) {
        let symbol = text(&record.symbol).to_owned();
        let always = self.options.orders == KeepOrders::Always;
        let book = self.stamped(record.book_id, record.seq, record.exchange_ns, record.received_ns);
        if book.definition.symbol != symbol {
            // The exchange may give the number of an expired book to a new instrument.
            if !book.definition.symbol.is_empty() {
                book.begin_anew(always || !book.orders_omitted);
            }
            book.definition.symbol.clone_from(&symbol);
        }
        book.names += 1;
        book.definition.ticks.clear();
        book.definition.complete = false;
        let at = self.index_or_new(record.book_id);
        self.by_symbol.retain(|_, &mut have| have != at);
        self.by_symbol.insert(ticker(&symbol).to_owned(), at);
    }

    fn on_terms(&mut self, record: &Terms) {
        let book = self.entry(record.book_id);
        book.names += 1;
        let definition = &mut book.definition;
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
        let book = self.stamped(record.book_id, record.seq, record.exchange_ns, record.received_ns);
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
        let book = self.stamped(record.book_id, record.seq, record.exchange_ns, record.received_ns);
        let auction = book.auction.get_or_insert_default();
        auction.price = Price(record.price);
        auction.bid_quantity = record.bid_quantity;
        auction.ask_quantity = record.ask_quantity;
    }

    fn on_equilibrium_best(&mut self, record: &EquilibriumBest) {
        let book = self.stamped(record.book_id, record.seq, record.exchange_ns, record.received_ns);
        let auction = book.auction.get_or_insert_default();
        auction.best_bid = Price(record.bid_price);
        auction.best_ask = Price(record.ask_price);
        auction.best_bid_quantity = record.bid_quantity;
        auction.best_ask_quantity = record.ask_quantity;
    }

    /// All books that have no doubt yet have this one.
    fn doubt_all(&mut self, doubt: Doubt) {
        self.books.iter_mut().for_each(|book| book.doubt = book.doubt.or(Some(doubt)));
    }

    fn on_system(&mut self, record: &System, closed: &mut impl FnMut(BookIndex, Interval, Candle)) {
        self.exchange_ns = self.exchange_ns.max(record.exchange_ns);
        match record.code {
            system::SESSION => {
                self.epoch = record.epoch;
                self.seq = 0;
                self.day_over = false;
                self.exchange_ns = record.exchange_ns;
                let candles_max = self.options.candles_max;
                for (at, book) in self.books.iter_mut().enumerate() {
                    book.seq = 0;
                    let history = &mut book.closed_candles;
                    book.candles.end(&mut |interval, candle| {
                        keep(&mut history[interval as usize], candle, candles_max);
                        closed(BookIndex::from_usize(at), interval, candle);
                    });
                    self.candle_ends_ns[at] = u64::MAX;
                    book.next_day();
                }
            }
            system::END_OF_MESSAGES => {
                self.day_over = true;
                self.books.iter_mut().for_each(|book| book.statistics.on_close());
            }
            system::GAP => self.doubt_all(Doubt::Gap),
            system::REFUSED => self.doubt_all(Doubt::RefusedMessage),
            system::LINE_MISMATCH => self.doubt_all(Doubt::LineMismatch),
            system::JOINED_MIDWAY if record.to == 0 => self.doubt_all(Doubt::JoinedMidway),
            system::JOINED_MIDWAY => self.doubt_all(Doubt::Jump),
            system::TIME => {
                let candles_max = self.options.candles_max;
                for (at, end_ns) in self.candle_ends_ns.iter_mut().enumerate() {
                    if record.exchange_ns < *end_ns {
                        continue;
                    }
                    let book = &mut self.books[at];
                    let history = &mut book.closed_candles;
                    book.candles.on_time(record.exchange_ns, &mut |interval, candle| {
                        keep(&mut history[interval as usize], candle, candles_max);
                        closed(BookIndex::from_usize(at), interval, candle);
                    });
                    *end_ns = book.candles.next_end_ns();
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

/// [`Side::index`] of an update of a level or an order.
#[inline(always)]
fn side_of(slot: &Slot) -> usize {
    usize::from(slot.record().side != b'B')
}
