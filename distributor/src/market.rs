//! The fan-out thread's copy of the market, and what this turn changed of which book.
//!
//! Decides when a book may be shown: not inside an event of several slots, not inside a snapshot. Knows no clients.

#![cfg_attr(not(test), deny(clippy::disallowed_types, clippy::disallowed_methods, clippy::disallowed_macros))]

use std::collections::HashMap;

use book::candle::{Candle, Interval};
use book::names;
use book::replica::{BookView, KeepOrders, Options, Replica, TradeView, prefetch_beside};
use book::slot::{OrderUpdate, Slot, View, action, flags, picture, rtype, system};
use book::{BookIndex, Nanos};

pub mod changes;

use crate::ids::TopicId;
use changes::{PendingEvents, SNAPSHOT_CANDLES_MAX, SNAPSHOT_TRADES_MAX, touched};

/// Newest trades kept per book: the snapshot's, and those that a conflated topic may not have sent yet.
const TRADES_KEPT: usize = SNAPSHOT_TRADES_MAX * 4;

/// Where the orders of a book are that come on request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OrdersOf {
    /// With the book thread alone.
    #[default]
    Absent,
    /// They were asked for.
    Asked,
    /// Here, or known to be too many.
    Here,
    /// They are not wanted any more, and the book thread was told.
    Leaving,
}

/// A book beside its view.
#[derive(Debug, Default)]
pub struct Book {
    /// Topics of this book.
    pub topics: Vec<TopicId>,
    /// Of them, those that need every order change.
    pub order_topics: u32,
    /// Where its orders are, if they come on request.
    pub orders: OrdersOf,
    /// A snapshot came without them: they come behind it.
    pub orders_follow: bool,
    /// They are here, and nobody has followed them for a while.
    pub orders_idle: bool,
    /// [`touched`] since it was last published.
    pub touched: u8,
    /// Events since it was last published; collected only while somebody follows.
    pub events: PendingEvents,
    /// The name under which it may be subscribed; empty until its definition was whole once.
    pub ticker: String,
    /// Decimals of the last published definition.
    pub decimals: u8,
    /// [`BookView::names`] at that definition.
    names: u32,
    /// Number of the newest feed-wide event that changed it (time, end of day, loss).
    feed_seq: u64,
    /// First number missed, while a snapshot after a gap is under way.
    pub gap_from: Option<u64>,
    /// In `Market::changed`.
    listed: bool,
}

/// What a slot asks of the fan-out, beyond publishing at the end of the turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Nothing.
    None,
    /// The book's snapshot is whole.
    SnapshotWhole {
        /// The book.
        book: BookIndex,
        /// It answers what was requested.
        answers: bool,
    },
    /// The book's orders are whole, or will not come any more.
    OrdersWhole {
        /// The book.
        book: BookIndex,
        /// It answers what was requested.
        answers: bool,
    },
    /// A new epoch is in force.
    Epoch,
    /// The feed lost venue messages.
    FeedGap {
        /// First venue number.
        from: u64,
        /// Last venue number.
        to: u64,
    },
    /// The feed's state changed: name for the `feed` frame.
    Feed(&'static str),
}

/// All books.
pub struct Market {
    /// The state of all books.
    pub replica: Replica,
    /// Beside `replica.books()`, place by place.
    books: Vec<Book>,
    /// Those that may be subscribed, by their folded tickers.
    by_folded: HashMap<String, BookIndex>,
    /// Books touched since they were last published.
    changed: Vec<BookIndex>,
    closed: Vec<(BookIndex, Interval, Candle)>,
    /// The book whose event is not whole yet.
    pub unfinished: Option<BookIndex>,
    /// The last slot was a tick of the clock. The event that moved the clock has the same number and comes next.
    pub ends_in_time: bool,
    /// The exchange sent its last message of the day.
    pub ended: bool,
    /// The session in force is not known from its beginning.
    pub joined_midway: bool,
}

impl Market {
    /// Knows nothing yet.
    pub fn new() -> Self {
        Self::with(KeepOrders::Always)
    }

    /// The same, and never knows orders.
    pub fn without_orders() -> Self {
        Self::with(KeepOrders::Never)
    }

    /// The same, and knows the orders that it asked for.
    pub fn on_order_interest() -> Self {
        Self::with(KeepOrders::OnRequest)
    }

    fn with(orders: KeepOrders) -> Self {
        let options = Options { orders, trades_max: TRADES_KEPT, candles_max: SNAPSHOT_CANDLES_MAX };
        Self {
            replica: Replica::new(options),
            books: Vec::new(),
            by_folded: HashMap::new(),
            changed: Vec::new(),
            closed: Vec::new(),
            unfinished: None,
            ends_in_time: false,
            ended: false,
            joined_midway: false,
        }
    }

    /// The view of a book.
    #[inline]
    pub fn view(&self, at: BookIndex) -> &BookView {
        &self.replica.books()[at.as_usize()]
    }

    /// What is known of a book beside its view.
    #[inline]
    pub fn book(&self, at: BookIndex) -> &Book {
        &self.books[at.as_usize()]
    }

    /// The same, to change it.
    #[inline]
    pub fn book_mut(&mut self, at: BookIndex) -> &mut Book {
        &mut self.books[at.as_usize()]
    }

    /// Every book that was ever seen.
    pub fn indices(&self) -> impl Iterator<Item = BookIndex> + use<> {
        (0..self.books.len()).map(BookIndex::from_usize)
    }

    /// Those that may be subscribed.
    pub fn listed(&self) -> impl Iterator<Item = BookIndex> {
        self.indices().filter(|&at| !self.book(at).ticker.is_empty())
    }

    /// Number of the newest event in a frame of this book.
    pub fn seq(&self, at: BookIndex) -> u64 {
        self.view(at).seq.max(self.book(at).feed_seq)
    }

    /// Whether frames and snapshots of this book may be made now.
    pub fn may_show(&self, at: BookIndex) -> bool {
        self.is_settled(at) && self.unfinished != Some(at)
    }

    /// Whether the book is whole and still what its followers know it as: not inside a snapshot, and no new definition
    /// of it is half read.
    pub fn is_settled(&self, at: BookIndex) -> bool {
        let (view, book) = (self.view(at), self.book(at));
        if view.names() == book.names && book.names > 0 {
            return view.in_sync;
        }
        let definition = &view.definition;
        view.in_sync && definition.ticker() == book.ticker && definition.price_decimals == book.decimals
    }

    /// The book is known by its definition from now on, which is whole. Returns the ticker and the decimals that it was
    /// known by.
    pub fn define(&mut self, at: BookIndex) -> (String, u8) {
        let old = names::folded_ticker(&self.book(at).ticker);
        if self.by_folded.get(&old) == Some(&at) {
            self.by_folded.remove(&old);
        }
        self.by_folded.insert(names::folded_ticker(self.view(at).definition.ticker()), at);
        let (view, book) = (&self.replica.books()[at.as_usize()], &mut self.books[at.as_usize()]);
        book.names = view.names();
        let decimals = std::mem::replace(&mut book.decimals, view.definition.price_decimals);
        (std::mem::replace(&mut book.ticker, view.definition.ticker().to_owned()), decimals)
    }

    /// Starts to load what the updates behind `updates[at]` will touch; to be called once for each `at`.
    ///
    /// Returns the place of a book whose levels will change soon.
    #[inline(always)]
    pub fn look_ahead(&mut self, updates: &[Slot], at: usize) -> Option<BookIndex> {
        let place = self.replica.look_ahead(updates, at)?;
        prefetch_beside(self.books.get(place.as_usize())?);
        Some(place)
    }

    /// A book that may be subscribed, by ticker or exchange name, in any case and with Turkish letters or plain ones.
    pub fn find(&self, name: &str) -> Option<BookIndex> {
        let exact = self.replica.find(name).and_then(|view| self.replica.index_of(view.book_id));
        let at = exact.or_else(|| self.by_folded.get(&names::folded_ticker(name)).copied())?;
        (!self.book(at).ticker.is_empty()).then_some(at)
    }

    /// Up to `names_max` tickers that somebody who wrote `name` may have meant. Looks at all that may be subscribed.
    pub fn near(&self, name: &str, names_max: usize) -> Vec<String> {
        let listed = self.by_folded.iter().map(|(folded, &at)| (folded, self.book(at).ticker.as_str()));
        names::near(name, listed, names_max)
    }

    /// The place of the book that a slot is about, if it was seen before.
    pub fn place_of(&self, slot: &Slot) -> Option<BookIndex> {
        self.replica.index_of(slot.book_id())
    }

    /// Takes a changed book from the list; `None` when there is none (left).
    ///
    /// A book in the middle of an event stays in the list.
    pub fn next_changed(&mut self) -> Option<BookIndex> {
        let at = self.changed.iter().rposition(|&at| Some(at) != self.unfinished)?;
        let book = self.changed.swap_remove(at);
        self.book_mut(book).listed = false;
        Some(book)
    }

    /// A book that [`Market::next_changed`] will name `calls` calls later, unless something comes between.
    pub fn changed_soon(&self, calls: usize) -> Option<&Book> {
        self.changed.iter().nth_back(calls).and_then(|&at| self.books.get(at.as_usize()))
    }

    /// Marks a book as changed.
    #[inline]
    fn touch(&mut self, at: BookIndex, bits: u8) {
        let book = &mut self.books[at.as_usize()];
        book.touched |= bits;
        if !book.listed {
            book.listed = true;
            self.changed.push(at);
        }
    }

    fn touch_all(&mut self, bits: u8) {
        let seq = self.replica.seq;
        for at in self.indices() {
            self.book_mut(at).feed_seq = seq;
            self.touch(at, bits);
        }
    }

    /// Takes one slot.
    pub fn apply(&mut self, slot: &Slot) -> Notice {
        let closed = &mut self.closed;
        let about = self.replica.apply(slot, &mut |at, interval, candle| closed.push((at, interval, candle)));
        if self.books.len() < self.replica.books().len() {
            self.books.resize_with(self.replica.books().len(), Book::default);
        }
        if !self.closed.is_empty() {
            self.on_closed();
        }
        self.ends_in_time = false;
        let last = slot.record().flags & flags::LAST != 0;
        let Some(index) = about else {
            self.unfinished = None;
            return self.on_system(slot);
        };
        // The orders of a picture come between events, and no channel but theirs waits for its end.
        let of_orders = match slot.rtype {
            rtype::ORDERS_BEGIN | rtype::ORDERS_END => true,
            rtype::ORDER_UPDATE => slot.record().flags & flags::SNAPSHOT != 0,
            _ => false,
        };
        let whole = last || of_orders || slot.rtype == rtype::SNAPSHOT_END;
        self.unfinished = (!whole).then_some(index);
        if slot.rtype == rtype::LEVEL {
            self.touch(index, touched::LEVELS);
            return Notice::None;
        }
        self.on_book(index, slot)
    }

    /// What a slot that is not a level means for its book.
    #[inline]
    fn on_book(&mut self, at: BookIndex, slot: &Slot) -> Notice {
        let book = &mut self.books[at.as_usize()];
        let followed = !book.topics.is_empty();
        if slot.rtype == rtype::ORDER_UPDATE && book.order_topics == 0 {
            self.touch(at, touched::ORDERS);
            return Notice::None;
        }
        let bits = match slot.view() {
            // Of a picture: no change.
            View::OrderUpdate(update) if update.flags & flags::SNAPSHOT != 0 => 0,
            View::OrderUpdate(update) => {
                book.events.changes.push(*update);
                touched::ORDERS
            }
            View::OrdersBegin(_) => 0,
            View::OrdersEnd(mark) => {
                book.orders_follow = false;
                return Notice::OrdersWhole { book: at, answers: mark.answers != 0 };
            }
            View::TradeUpdate(trade) => {
                if followed {
                    book.events.trades.push(TradeView::from(trade));
                }
                touched::TRADES | touched::CANDLES | touched::STATISTICS
            }
            View::Clear(mark) => {
                if book.order_topics > 0 {
                    book.events.changes.push(cleared(mark.seq, mark.exchange_ns));
                }
                touched::LEVELS | touched::ORDERS
            }
            View::SnapshotBegin(mark) => {
                if mark.from_seq > 0 {
                    book.gap_from = Some(book.gap_from.map_or(mark.from_seq, |from| from.min(mark.from_seq)));
                }
                0
            }
            View::SnapshotEnd(mark) => {
                book.events.changes.clear(); // what the snapshot says stands in it
                let answers = mark.answers != 0;
                book.orders_follow = mark.orders == picture::FOLLOW;
                self.touch(at, touched::ALL);
                return Notice::SnapshotWhole { book: at, answers };
            }
            // The mark is in the frames of every channel that shows a state of the book.
            View::Doubt(_) => touched::LEVELS | touched::ORDERS,
            View::Statistic(_) => touched::STATISTICS,
            View::CandlePrices(_) | View::CandleAmounts(_) => touched::CANDLES,
            View::State(_) => touched::STATUS | touched::AUCTION | touched::STATISTICS,
            View::Equilibrium(_) | View::EquilibriumBest(_) => touched::AUCTION,
            View::TickBand(_) => touched::DEFINITION | touched::STATISTICS,
            _ => touched::DEFINITION,
        };
        if bits != 0 {
            self.touch(at, bits);
        }
        Notice::None
    }

    fn on_closed(&mut self) {
        let seq = self.replica.seq;
        for n in 0..self.closed.len() {
            let (at, interval, candle) = self.closed[n];
            let book = &mut self.books[at.as_usize()];
            book.feed_seq = seq;
            if !book.topics.is_empty() {
                book.events.closed.push((interval, candle));
            }
            self.touch(at, touched::CANDLES);
        }
        self.closed.clear();
    }

    fn on_system(&mut self, slot: &Slot) -> Notice {
        let View::System(record) = slot.view() else { return Notice::None };
        self.ends_in_time = record.code == system::TIME;
        match record.code {
            system::SESSION => {
                (self.ended, self.joined_midway) = (false, false);
                for at in self.indices() {
                    let book = self.book_mut(at);
                    book.events.clear();
                    book.feed_seq = 0;
                    self.touch(at, touched::ALL);
                }
                Notice::Epoch
            }
            system::GAP => {
                self.touch_all(touched::LEVELS | touched::ORDERS);
                Notice::FeedGap { from: record.from, to: record.to }
            }
            // Every book is marked, and its frames say so.
            system::REFUSED | system::JOINED_MIDWAY | system::LINE_MISMATCH => {
                self.joined_midway |= record.code == system::JOINED_MIDWAY;
                self.touch_all(touched::LEVELS | touched::ORDERS);
                Notice::None
            }
            system::START_OF_MESSAGES => Notice::Feed("start_of_messages"),
            system::END_OF_MESSAGES => {
                self.ended = true;
                self.touch_all(touched::STATISTICS);
                Notice::Feed("end_of_messages")
            }
            system::STALE => Notice::Feed("stale"),
            system::ALIVE => Notice::Feed("alive"),
            _ => Notice::None,
        }
    }
}

fn cleared(seq: u64, exchange_ns: Nanos) -> OrderUpdate {
    OrderUpdate {
        length: 16,
        rtype: rtype::ORDER_UPDATE,
        flags: 0,
        side: b'N',
        book_id: 0,
        exchange_ns,
        seq,
        received_ns: 0,
        order_id: 0,
        price: 0,
        quantity: 0,
        position: 0,
        action: action::CLEAR,
        reserved: [0; 3],
    }
}
