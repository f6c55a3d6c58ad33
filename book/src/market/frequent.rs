//! The four frequent kinds: adds, cancels, executions, replaces.
//!
//! Two short paths carry nearly all of a day: [`Market::add_usual`] (a new name, a price on the ladder, the highest rank) and
//! [`Market::reduce_usual`] (an order in its own line of the index or the next). Everything else goes to [`Market::add_unusual`] and
//! [`Market::reduce_unusual`], which are complete and slow.

use super::look_ahead::Guess;
use super::rare::{check_crossed, check_uncrossed, second_before, spoil};
use super::updates::{publish, stamp, trade};
use super::{Market, Output};
use crate::anomaly::Anomaly;
use crate::book::{NewOrder, Pools, Touched, book_side, side_of, totals};
use crate::cells::{OrderCell, QueueRank};
use crate::grid::key_of;
use crate::orders::{OrderKey, find_in, place_in};
use crate::slot::{Execution, OrderEvent, QUANTITY_REST, Slot, action, rtype};
use crate::types::{Nanos, Price, Side};

/// An order that loses quantity or goes.
#[derive(Clone, Copy)]
pub(super) struct Loss {
    /// As the event states it: `B`, `A`, or anything else for none.
    pub side: u8,
    pub book_id: u32,
    pub id: u64,
    /// [`QUANTITY_REST`]: all that is left. In a cancel also DBN's undefined size, `u32::MAX`.
    pub quantity: u64,
    /// What readers are told.
    pub action: u8,
    pub times: (Nanos, Nanos),
}

impl Loss {
    #[inline(always)]
    fn is_rest(&self) -> bool {
        self.quantity == QUANTITY_REST || (self.action == action::CANCEL && self.quantity == u64::from(u32::MAX))
    }

    #[cold]
    fn excess(&self) -> Anomaly {
        if self.action == action::FILL { Anomaly::OverExecution } else { Anomaly::OverCancel }
    }
}

impl Market {
    /// Takes one event, numbers it, and says what it changed.
    #[inline]
    pub fn apply(&mut self, event: &Slot, out: &mut impl Output) {
        let dense = self.dense_of_event(event);
        self.apply_at(event, dense, None, out);
    }

    /// Takes one event that was looked at before.
    #[inline(always)]
    pub(super) fn apply_guessed(&mut self, event: &Slot, guess: &Guess, out: &mut impl Output) {
        self.apply_at(event, guess.dense, Some(guess), out);
    }

    /// `dense`: the event's book, or [`super::NO_BOOK`].
    #[inline(always)]
    fn apply_at(&mut self, event: &Slot, dense: u16, guess: Option<&Guess>, out: &mut impl Output) {
        self.seq += 1;
        let rank_ns = if self.rank.is_some() { self.take_rank(event) } else { event.as_order().exchange_ns };
        if event.rtype != rtype::ORDER {
            return self.on_other(event, dense, guess, out);
        }
        let order = event.as_order();
        match order.action {
            action::ADD => self.on_add(order, rank_ns, dense, guess, out),
            action::CANCEL => self.on_cancel(order, dense, guess, out),
            _ => self.on_rare(event, out),
        }
    }

    #[inline(never)]
    fn on_other(&mut self, event: &Slot, dense: u16, guess: Option<&Guess>, out: &mut impl Output) {
        match event.rtype {
            rtype::REPLACE => self.on_replace(event.as_execution(), dense, guess, out),
            rtype::EXECUTION => self.on_execution(event.as_execution(), dense, guess, out),
            _ => self.on_rare(event, out),
        }
    }

    /// The own line of the order that an event names.
    #[inline(always)]
    fn line(&self, guess: Option<&Guess>, id: u64) -> u32 {
        match guess {
            Some(guess) => guess.line,
            None => self.pools.orders.line_of(id),
        }
    }

    #[inline(always)]
    fn on_add(&mut self, event: &OrderEvent, rank_ns: Nanos, dense: u16, guess: Option<&Guess>, out: &mut impl Output) {
        self.on_clock(event.exchange_ns, event.received_ns, out);
        let at = event.side_index();
        let new = NewOrder {
            side: side_of(at as u32),
            id: event.order_id,
            price: Price(event.price),
            quantity: event.quantity(),
            rank: QueueRank { ns: rank_ns, sequence: event.rank_sequence },
        };
        let times = (event.exchange_ns, event.received_ns);
        let line = self.line(guess, new.id);
        if !is_side(event.side) || !self.add_usual(&new, times, dense, line, out) {
            self.add_unusual(event.book_id, NewOrder { side: event.side(), ..new }, times, out);
        }
    }

    #[inline(always)]
    fn on_cancel(&mut self, event: &OrderEvent, dense: u16, guess: Option<&Guess>, out: &mut impl Output) {
        self.on_clock(event.exchange_ns, event.received_ns, out);
        let loss = Loss {
            side: event.side,
            book_id: event.book_id,
            id: event.order_id,
            quantity: event.quantity(),
            action: action::CANCEL,
            times: (event.exchange_ns, event.received_ns),
        };
        self.reduce(loss, dense, guess, out);
    }

    #[inline(always)]
    fn reduce(
        &mut self,
        loss: Loss,
        dense: u16,
        guess: Option<&Guess>,
        out: &mut impl Output,
    ) -> Option<(Side, Price)> {
        let line = self.line(guess, loss.id);
        match self.reduce_usual(&loss, dense, line, out) {
            Some(touched) => Some(touched),
            None => self.reduce_unusual(loss, out),
        }
    }

    /// A replaced order goes and comes again under its new name, behind all others.
    fn on_replace(&mut self, event: &Execution, dense: u16, guess: Option<&Guess>, out: &mut impl Output) {
        self.on_clock(event.exchange_ns, event.received_ns, out);
        let times = (event.exchange_ns, event.received_ns);
        let (side, book_id, id) = (event.side, event.book_id, event.order_id);
        let loss = Loss { side, book_id, id, quantity: QUANTITY_REST, action: action::CANCEL, times };
        let Some((side, _)) = self.reduce(loss, dense, guess, out) else { return };
        let (price, quantity) = (Price(event.price), event.quantity);
        let new = NewOrder { side, id: event.other_id, price, quantity, rank: QueueRank::FIRST };
        let line = self.line(None, new.id);
        if !self.add_usual(&new, times, dense, line, out) {
            self.add_unusual(book_id, new, times, out);
        }
    }

    fn on_execution(&mut self, event: &Execution, dense: u16, guess: Option<&Guess>, out: &mut impl Output) {
        self.on_clock(event.exchange_ns, event.received_ns, out);
        let times = (event.exchange_ns, event.received_ns);
        let (side, book_id, id) = (event.side, event.book_id, event.order_id);
        let quantity = event.quantity.min(QUANTITY_REST - 1);
        let loss = Loss { side, book_id, id, quantity, action: action::FILL, times };
        match self.reduce(loss, dense, guess, out) {
            Some((side, price)) => {
                let Some(dense) = self.dense(book_id) else { return };
                let price = if event.price == Price::NONE.0 { price } else { Price(event.price) };
                let book = &mut self.books[dense];
                let stamp = stamp(book, self.seq, times);
                book.candles.on_time(second_before(self.next_second_ns), &mut |_, _| {});
                trade(book, stamp, side, price, event, out);
            }
            // The trade happened all the same, if only its price is known.
            None if event.price != Price::NONE.0 => self.on_trade(event, out),
            None => {}
        }
    }

    /// Rests an order as is usual, publishes it and its level. `false`: it is not usual, and nothing was changed.
    #[inline(always)]
    fn add_usual(
        &mut self,
        new: &NewOrder,
        times: (Nanos, Nanos),
        dense: u16,
        line: u32,
        out: &mut impl Output,
    ) -> bool {
        let NewOrder { side, id, price, quantity, rank } = *new;
        let Self { pools, books, anomalies, seq, .. } = self;
        let Pools { cells, orders, arena } = pools;
        let Some(book) = books.get_mut(usize::from(dense)) else { return false };
        let at = side.index();
        let key = key_of(at, price.0);
        let index = &mut book.sides[at];
        let (level, on_ladder) = index.on_ladder(key);
        if !on_ladder | !orders.has_room() {
            return false;
        }
        let ranked = cells.is_ranked();
        if cells.has_queues() & (ranked != (rank.sequence != 0)) || (ranked && rank < cells.highest_rank(level)) {
            return false;
        }
        let order = match place_in(cells.line(line), id) {
            Some(place) => line + place as u32,
            None => match orders.take_near(cells, line, id) {
                Some(order) => order,
                None => return false,
            },
        };
        orders.note(cells, order, id, level, quantity);
        cells.add_last(level, order, quantity);
        if ranked {
            cells.note_rank(level, order, rank);
        }
        // Whether it is the level's first is hard to predict, and easy to note again.
        index.set(arena, level);
        book.best[at] = book.best[at].min(key);
        book.orders += 1;
        let position = if cells.has_queues() { cells.count(level) } else { 0 };
        let level = totals(cells, level);
        let touched =
            Touched { side, order_id: id, price, left: quantity, position, level, excess: false, unchanged: false };
        publish(stamp(book, *seq, times), action::ADD, &touched, out);
        if may_cross(book.best) {
            check_crossed(anomalies, book);
        }
        true
    }

    /// Takes quantity off an order as is usual, publishes it and its level, and returns its side and price. `None`: it
    /// is not usual, or further on in the index; nothing was changed.
    #[inline(always)]
    fn reduce_usual(&mut self, loss: &Loss, dense: u16, line: u32, out: &mut impl Output) -> Option<(Side, Price)> {
        let Loss { side, id, quantity, action, times, .. } = *loss;
        let Self { pools, books, anomalies, seq, .. } = self;
        let book = books.get_mut(usize::from(dense))?;
        let Pools { cells, orders, .. } = pools;
        let order = match find_in(cells.line(line), id) {
            Some(place) => line + place as u32,
            None => orders.find_behind(cells, line, id)?,
        };
        let OrderCell { level, quantity: have, .. } = *cells.order(order);
        let scope = cells.level(level).book_side;
        let other = (scope ^ book_side(usize::from(dense), index_of(side))) & (orders.scope_mask() | !1);
        let unnamed = u32::from(!is_side(side)) & orders.scope_mask();
        if other | unnamed != 0 {
            return None;
        }
        // An undisclosed order goes only when all of it does.
        if have == 0 {
            return None;
        }
        let whole = quantity >= have;
        if !whole && loss.is_rest() {
            return None;
        }
        if whole {
            cells.remove(level, order, have);
            orders.forget(cells, line, order);
            book.orders -= 1;
        } else {
            cells.lessen(level, order, quantity);
        }
        let (side, left) = (side_of(scope), have.saturating_sub(quantity));
        let now = totals(cells, level);
        book.on_less(pools, side.index(), level);
        if quantity > have && !loss.is_rest() {
            spoil(anomalies, book, loss.excess());
        }
        let price = now.price;
        let touched =
            Touched { side, order_id: id, price, left, position: 0, level: now, excess: false, unchanged: false };
        publish(stamp(book, *seq, times), action, &touched, out);
        check_uncrossed(book);
        Some((side, price))
    }

    /// Adds an order, whatever it is, if its name is free; publishes it, and looks whether the book crossed.
    #[cold]
    #[inline(never)]
    pub(super) fn add_unusual(&mut self, book_id: u32, new: NewOrder, times: (Nanos, Nanos), out: &mut impl Output) {
        if new.side == Side::None {
            return self.anomaly(Anomaly::NoSide, book_id);
        }
        let Some(dense) = self.dense_or_new(book_id) else { return };
        let Self { pools, books, anomalies, seq, .. } = self;
        let book = &mut books[dense];
        let scope = book_side(dense, new.side.index());
        if pools.find(scope, new.id).is_some() {
            return spoil(anomalies, book, Anomaly::DuplicateOrder);
        }
        if book.off_ladder(new.side, new.price) {
            anomalies.count(Anomaly::OffLadder);
        }
        match book.add(pools, &new) {
            Ok(touched) => {
                publish(stamp(book, *seq, times), action::ADD, &touched, out);
                check_crossed(anomalies, book);
            }
            Err(anomaly) => spoil(anomalies, book, anomaly),
        }
    }

    /// Takes quantity off an order, wherever it is.
    #[cold]
    #[inline(never)]
    fn reduce_unusual(&mut self, loss: Loss, out: &mut impl Output) -> Option<(Side, Price)> {
        let Loss { side, book_id, id, quantity, action, times } = loss;
        let quantity = if loss.is_rest() { QUANTITY_REST } else { quantity };
        let (dense, order) = self.named(book_id, Side::from_byte(side), id)?;
        let Self { pools, books, anomalies, seq, .. } = self;
        let book = &mut books[dense];
        let touched = book.reduce(pools, order, quantity);
        if touched.excess {
            spoil(anomalies, book, loss.excess());
        }
        publish(stamp(book, *seq, times), action, &touched, out);
        check_uncrossed(book);
        Some((touched.side, touched.price))
    }

    /// The order that an event names, and its book; an unknown one is counted.
    pub(super) fn named(&mut self, book_id: u32, side: Side, id: u64) -> Option<(usize, u32)> {
        if (side == Side::None) & (self.limits.key == OrderKey::BookSideId) {
            self.anomaly(Anomaly::NoSide, book_id);
            return None;
        }
        let Some(dense) = self.dense(book_id) else { return self.unknown_order(book_id) };
        match self.pools.find(book_side(dense, side.index()), id) {
            // An id that is unique for the day may still be named under the wrong book.
            Some(order) if self.pools.level_of(order).book_side >> 1 == dense as u32 => Some((dense, order)),
            _ => self.unknown_order(book_id),
        }
    }

    fn unknown_order<T>(&mut self, book_id: u32) -> Option<T> {
        self.anomaly(Anomaly::UnknownOrder, book_id);
        None
    }
}

/// Whether a side's byte states one. One comparison: of two a branch is made, which is as good as random.
#[inline(always)]
const fn is_side(side: u8) -> bool {
    side.wrapping_sub(b'A') < 2
}

/// 0 for bids, 1 for asks, either for neither.
#[inline(always)]
const fn index_of(side: u8) -> usize {
    (side & 1) as usize
}

/// Whether two best keys may cross: all that do, and a side without levels whose other side has the lowest price that
/// there is.
#[inline(always)]
const fn may_cross([bid, ask]: [i64; 2]) -> bool {
    !bid >= ask
}
