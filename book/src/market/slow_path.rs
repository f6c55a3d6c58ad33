//! Everything but the four frequent kinds: the clock, sessions, definitions, states, bands, modifies, clears, trades.
//!
//! Clear code rather than fast code, out of the way of what is frequent.

use super::updates::{Marked, mark, publish, stamp, trade};
use super::{Market, OrderKey, Output};
use crate::anomaly::{Anomalies, Anomaly};
use crate::candle::Interval;
use crate::doubt::Doubt;
use crate::market::book::{Book, OrderTerms, book_side};
use crate::market::store::node_pool::QueueRank;
use crate::phase::Phase;
use crate::slot::{
    Execution, OrderEvent, PUBLISHER_XIST, QUANTITY_REST, Record, Slot, System, TickBand, View, action, conditions,
    rtype, system,
};
use crate::types::{BookIndex, Nanos, Price, Side, ticker};

impl Market {
    #[inline(never)]
    pub(super) fn on_slow(&mut self, event: &Slot, out: &mut impl Output) {
        match event.view() {
            View::Order(event) => {
                self.on_clock(event.exchange_ns, event.received_ns, out);
                match event.action {
                    action::MODIFY => self.on_modify(event, out),
                    action::CLEAR => self.on_clear(event, out),
                    _ => self.anomaly(Anomaly::UnknownEvent, event.book_id),
                }
            }
            View::Trade(event) => {
                self.on_clock(event.exchange_ns, event.received_ns, out);
                self.on_trade(event, out);
            }
            View::Rank(event) => self.rank = Some((event.book_id, event.rank_ns)),
            View::System(event) => self.on_system(event, out),
            View::Unknown(_) => self.anomalies.count(Anomaly::UnknownEvent),
            _ => self.on_record(event, out),
        }
    }

    /// The ranking time that the event before stated, if this is the add that it was stated for.
    #[cold]
    pub(super) fn take_rank(&mut self, event: &Slot) -> Option<Nanos> {
        let (book_id, rank_ns) = self.rank.take()?;
        if let View::Order(event) = event.view()
            && (event.book_id, event.action) == (book_id, action::ADD)
        {
            return Some(rank_ns);
        }
        self.anomaly(Anomaly::StrayRank, book_id);
        None
    }

    /// A book that nobody has named before begins with the doubt: a feed that was joined midway names orders of it
    /// before it names the book.
    #[cold]
    pub(super) fn anomaly(&mut self, anomaly: Anomaly, book_id: u32) {
        self.anomalies.count(anomaly);
        if let Some(doubt) = Doubt::of(anomaly)
            && let Some(index) = self.index_or_new(book_id)
        {
            cast_doubt(&mut self.doubted, &mut self.books[index.as_usize()], doubt);
        }
    }

    /// The exchange's clock only moves forward; each new second closes candles and tells the readers.
    #[inline(always)]
    pub(super) fn on_clock(&mut self, exchange_ns: Nanos, received_ns: Nanos, out: &mut impl Output) {
        if exchange_ns >= self.next_second_ns {
            self.on_second(exchange_ns, received_ns, out);
        }
    }

    #[cold]
    fn on_second(&mut self, exchange_ns: Nanos, received_ns: Nanos, out: &mut impl Output) {
        let second_ns = Interval::Second.start_ns(exchange_ns);
        self.next_second_ns = second_ns.saturating_add(Interval::Second.length_ns());
        // Candles that end here are closed by their book's next trade, or left out of its next snapshot: nobody reads
        // them before, and a walk over all books each second would be a stall of a millisecond in a wide market.
        let mut record = System::new(system::TIME, second_ns, received_ns, 0, 0, self.epoch);
        record.seq = self.seq;
        out.push(record.into());
    }

    /// A new price or a larger quantity sends an order to the end of its new queue; less quantity keeps its place
    /// (CME Globex, "Modify": reduction of priority).
    fn on_modify(&mut self, event: &OrderEvent, out: &mut impl Output) {
        let (id, quantity) = (event.order_id, event.quantity());
        if self.is_new(event) {
            let (side, price) = (event.side(), Price(event.price));
            let new = OrderTerms { side, id, price, quantity, rank: QueueRank::FIRST };
            return self.add_slow(event.book_id, new, (event.exchange_ns, event.received_ns), out);
        }
        let Some((index, order)) = self.named(event.book_id, event.side(), id) else { return };
        let have = self.store.pool.order(order).quantity;
        let price = self.store.level_of(order).price;
        let times = (event.exchange_ns, event.received_ns);
        let stays = price == event.price && quantity <= have && quantity > 0;
        let book = &mut self.books[index.as_usize()];
        let less = if stays { have - quantity } else { QUANTITY_REST };
        let touched = book.reduce(&mut self.store, order, less);
        publish(stamp(book, self.seq, times), action::CANCEL, &touched, out);
        check_uncrossed(book);
        if !stays {
            let new =
                OrderTerms { side: touched.side, id, price: Price(event.price), quantity, rank: QueueRank::FIRST };
            self.add_slow(event.book_id, new, times, out);
        }
    }

    /// Whether a modify of one of Databento's publishers names an order that nobody added. It states all that an add does,
    /// and is one: a file that begins in the middle, or a venue that replaces (Databento, "Limit order book construction").
    fn is_new(&self, event: &OrderEvent) -> bool {
        let side = event.side();
        let is_whole = side != Side::None && Price(event.price) != Price::NONE && event.quantity() > 0;
        if !is_whole || event.publisher_id == PUBLISHER_XIST || self.limits.key != OrderKey::BookSideId {
            return false;
        }
        let Some(index) = self.index_of(event.book_id) else { return true };
        self.store.find(book_side(index, side.index()), event.order_id).is_none()
    }

    /// A trade that touches no visible order.
    pub(super) fn on_trade(&mut self, event: &Execution, out: &mut impl Output) {
        if event.conditions & conditions::BROKEN != 0 {
            return self.on_broken(event, out);
        }
        let Some(index) = self.index_or_new(event.book_id) else { return };
        let book = &mut self.books[index.as_usize()];
        let stamp = stamp(book, self.seq, (event.exchange_ns, event.received_ns));
        book.candles.on_time(second_before(self.next_second_ns), &mut |_, _| {});
        trade(&mut self.trade_log, book, stamp, event.side(), Price(event.price), event, out);
    }

    fn on_clear(&mut self, event: &OrderEvent, out: &mut impl Output) {
        let Some(index) = self.index_or_new(event.book_id) else { return };
        let book = &mut self.books[index.as_usize()];
        book.clear(&mut self.store);
        let stamp = stamp(book, self.seq, (event.exchange_ns, event.received_ns));
        out.push(mark(rtype::CLEAR, stamp, Marked { epoch: self.epoch, ..Marked::default() }));
    }

    fn on_system(&mut self, event: &System, out: &mut impl Output) {
        match event.code {
            system::SESSION => self.on_session(event),
            system::TIME => return self.on_clock(event.exchange_ns, event.received_ns, out),
            system::GAP => self.doubt_all(Doubt::Gap),
            system::REFUSED if event.book_id != 0 => return self.doubt_one(event.book_id, Doubt::RefusedMessage),
            system::REFUSED => self.doubt_all(Doubt::RefusedMessage),
            system::LINE_MISMATCH => self.doubt_all(Doubt::LineMismatch),
            system::JOINED_MIDWAY => {
                let doubt = if event.to == 0 { Doubt::JoinedMidway } else { Doubt::Jump };
                self.doubt_all(doubt);
            }
            system::END_OF_MESSAGES => self.books.iter_mut().for_each(|book| book.statistics.on_close()),
            _ => {}
        }
        let mut record = *event;
        record.seq = self.seq;
        out.push(record.into());
    }

    /// Readers are told by the mark of the book. One that is not known is not shown.
    fn doubt_one(&mut self, book_id: u32, doubt: Doubt) {
        if let Some(index) = self.index_of(book_id) {
            cast_doubt(&mut self.doubted, &mut self.books[index.as_usize()], doubt);
        }
    }

    /// Readers do the same when the event reaches them.
    fn doubt_all(&mut self, doubt: Doubt) {
        // What was lost may have been the first orders of a book that is not known yet.
        self.born_doubted = self.born_doubted.or(Some(doubt));
        self.books.iter_mut().for_each(|book| book.doubt = book.doubt.or(Some(doubt)));
    }

    /// Tells the readers of a book that it may be wrong, behind what its cause changed.
    #[cold]
    #[inline(never)]
    pub(super) fn tell_doubt(&mut self, index: BookIndex, event: &Slot, out: &mut impl Output) {
        self.doubted = None;
        let Record { exchange_ns, received_ns, .. } = *event.record();
        let book = &mut self.books[index.as_usize()];
        // What the feed says of itself has no time of the exchange's.
        let exchange_ns = if exchange_ns == 0 { book.exchange_ns } else { exchange_ns };
        let stamp = stamp(book, self.seq, (exchange_ns, received_ns));
        let reason = Doubt::code(book.doubt);
        out.push(mark(rtype::DOUBT, stamp, Marked { epoch: self.epoch, reason, ..Marked::default() }));
    }

    /// All books are empty, a new day of statistics begins, numbers start again.
    fn on_session(&mut self, event: &System) {
        (self.doubted, self.born_doubted) = (None, None);
        self.epoch = event.epoch;
        self.seq = 0;
        self.next_second_ns = 0;
        self.store.pool.clear();
        self.store.orders.clear();
        self.store.arena.clear();
        for book in &mut self.books {
            book.candles = Default::default();
            book.newest_trade = 0;
            book.forget_orders();
            book.statistics = book.statistics.next_day();
            book.phase = Phase::Unknown;
            book.records.state = None;
            book.records.equilibrium = None;
            book.records.equilibrium_best = None;
            book.seq = 0;
            book.lay_ladder(&mut self.store);
        }
    }

    /// Definitions, states, auction pictures: kept for snapshots and passed on with their number.
    fn on_record(&mut self, event: &Slot, out: &mut impl Output) {
        let Record { book_id, exchange_ns, received_ns, .. } = *event.record();
        self.on_clock(exchange_ns, received_ns, out);
        let Some(index) = self.index_or_new(book_id) else { return };
        stamp(&mut self.books[index.as_usize()], self.seq, (exchange_ns, received_ns));
        let numbered = event.with_seq(self.seq);
        let book = &mut self.books[index.as_usize()];
        match event.view() {
            View::Symbol(record) => {
                let same = book.symbol() == crate::slot::text(&record.symbol);
                if !same && book.records.symbol.is_some() {
                    // The exchange may give the number of an expired book to a new instrument.
                    book.clear(&mut self.store);
                    book.statistics = Default::default();
                    book.candles = Default::default();
                    book.newest_trade = 0;
                    book.records = Default::default();
                }
                book.ticks.clear();
                book.records.symbol = Some(numbered);
                if !book.statistics.reference.is_some() {
                    book.statistics.reference = self.references.get(ticker(book.symbol())).copied().unwrap_or_default();
                }
            }
            View::LongName(_) => book.records.name = Some(numbered),
            View::Terms(_) => book.records.terms = Some(numbered),
            View::Contract(_) => book.records.contract = Some(numbered),
            View::ShortSell(_) => book.records.short_sell = Some(numbered),
            View::TickBand(band) => {
                // Readers learn the base price from here.
                let band = self.on_tick_band(index, band);
                return out.push(Slot::from(band).with_seq(self.seq));
            }
            View::State(state) => {
                book.records.state = Some(numbered);
                book.phase = state.phase();
                if !book.phase.is_auction() {
                    book.records.equilibrium = None;
                    book.records.equilibrium_best = None;
                }
                if book.phase == Phase::Closed {
                    book.statistics.on_close();
                }
                if book.phase.may_cross() {
                    book.crossed = false;
                } else {
                    check_crossed(&self.anomalies, &mut self.doubted, book);
                }
            }
            View::Equilibrium(_) => book.records.equilibrium = Some(numbered),
            View::EquilibriumBest(_) => book.records.equilibrium_best = Some(numbered),
            View::Leg(_) => {}
            _ => return self.anomaly(Anomaly::UnknownEvent, book_id), // an update kind on the event ring
        }
        out.push(numbered);
    }

    fn on_tick_band(&mut self, index: BookIndex, band: &TickBand) -> TickBand {
        let book = &mut self.books[index.as_usize()];
        if book.ticks.add(band).is_err() {
            self.anomalies.count(Anomaly::BadTickBand);
        } else {
            book.statistics.set_band(&book.ticks, Price(band.reference));
            book.lay_ladder(&mut self.store);
        }
        TickBand { reference: book.statistics.reference.0, ..*band }
    }
}

#[cold]
pub(super) fn spoil(anomalies: &Anomalies, doubted: &mut Option<BookIndex>, book: &mut Book, anomaly: Anomaly) {
    anomalies.count(anomaly);
    if let Some(doubt) = Doubt::of(anomaly) {
        cast_doubt(doubted, book, doubt);
    }
}

/// Notes why a book may be wrong, and that its readers have to be told. The first cause stays.
#[cold]
pub(super) fn cast_doubt(doubted: &mut Option<BookIndex>, book: &mut Book, doubt: Doubt) {
    if book.doubt.is_none() {
        book.doubt = Some(doubt);
        *doubted = Some(book.index);
    }
}

pub(super) fn check_crossed(anomalies: &Anomalies, doubted: &mut Option<BookIndex>, book: &mut Book) {
    if book.is_crossed() && !book.crossed && !book.phase.may_cross() {
        book.crossed = true;
        spoil(anomalies, doubted, book, Anomaly::Crossed);
    }
}

pub(super) fn check_uncrossed(book: &mut Book) {
    if book.crossed {
        book.crossed = book.is_crossed();
    }
}

/// The second that the exchange's clock is in, from the one that it has not reached.
#[inline]
pub(super) const fn second_before(next_second_ns: Nanos) -> Nanos {
    next_second_ns.saturating_sub(Interval::Second.length_ns())
}
