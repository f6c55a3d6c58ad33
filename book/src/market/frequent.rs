//! The four frequent kinds: adds, cancels, executions, replaces.
//!
//! Two short paths carry nearly all of a day: [`Market::add_usual`] (a new name, a price on the ladder, the highest rank) and
//! [`Market::reduce_usual`] (an order in its own line of the index or the next). Everything else goes to [`Market::add_unusual`] and
//! [`Market::reduce_unusual`], which are complete and slow.

use super::changes::{Arrival, By, Loss, times};
use super::look_ahead::Name;
use super::rare::{check_crossed, check_uncrossed, second_before, spoil};
use super::updates::{publish, stamp, trade};
use super::{Market, Output};
use crate::anomaly::Anomaly;
use crate::book::{NewOrder, Pools, Touched, book_side, side_of, totals};
use crate::grid::key_of;
use crate::orders::{OrderKey, find_in, place_in};
use crate::slot::{QUANTITY_REST, Slot, action, rtype};
use crate::types::{Nanos, Price, Side};
use crate::units::{OrderCell, Units as _};

impl Market {
    /// Takes one event, numbers it, and says what it changed.
    #[inline]
    pub fn apply(&mut self, event: &Slot, out: &mut impl Output) {
        let dense = self.dense_of_event(event);
        self.apply_at(event, dense, None, out);
    }

    /// Takes one event that was looked at before.
    #[inline(always)]
    pub(super) fn apply_named(&mut self, event: &Slot, name: Name, out: &mut impl Output) {
        self.apply_at(event, name.dense, Some(name.line), out);
    }

    /// `dense`: the event's book, or [`super::NO_BOOK`]. `line`: the own line of the order that it names, where it is known.
    #[inline(always)]
    fn apply_at(&mut self, event: &Slot, dense: u16, line: Option<u32>, out: &mut impl Output) {
        self.seq += 1;
        if self.rank.is_some() {
            return self.apply_after_rank(event, dense, line, out);
        }
        if event.rtype != rtype::ORDER {
            return self.on_other(event, dense, line, out);
        }
        match event.as_order().action {
            action::ADD => self.on_add(event, None, dense, line, out),
            action::CANCEL => self.on_cancel(event, dense, line, out),
            _ => self.on_rare(event, out),
        }
    }

    /// Takes one event behind one that stated a rank.
    #[inline(never)]
    fn apply_after_rank(&mut self, event: &Slot, dense: u16, line: Option<u32>, out: &mut impl Output) {
        let rank_ns = self.take_rank(event);
        match (event.rtype, event.as_order().action) {
            (rtype::ORDER, action::ADD) => self.on_add(event, rank_ns, dense, line, out),
            (rtype::ORDER, action::CANCEL) => self.on_cancel(event, dense, line, out),
            _ => self.on_other(event, dense, line, out),
        }
    }

    #[inline(never)]
    fn on_other(&mut self, event: &Slot, dense: u16, line: Option<u32>, out: &mut impl Output) {
        match event.rtype {
            rtype::REPLACE => self.on_replace(event, dense, line, out),
            rtype::EXECUTION => self.on_execution(event, dense, line, out),
            _ => self.on_rare(event, out),
        }
    }

    /// The own line of the order that an event names.
    #[inline(always)]
    fn line(&self, line: Option<u32>, id: u64) -> u32 {
        match line {
            Some(line) => line,
            None => self.pools.orders.line_of(id),
        }
    }

    #[inline(always)]
    fn on_add(&mut self, event: &Slot, rank_ns: Option<Nanos>, dense: u16, line: Option<u32>, out: &mut impl Output) {
        let order = event.as_order();
        self.on_clock(order.exchange_ns, order.received_ns, out);
        let side = side_of(order.side_index() as u32);
        let new = Arrival { event, by: By::Order, side, rank_ns };
        let line = self.line(line, order.order_id);
        if !is_side(order.side) || !self.add_usual(&new, dense, line, out) {
            self.add_unusual(order.book_id, new.order(order.side()), times(event), out);
        }
    }

    #[inline(always)]
    fn on_cancel(&mut self, event: &Slot, dense: u16, line: Option<u32>, out: &mut impl Output) {
        let order = event.as_order();
        self.on_clock(order.exchange_ns, order.received_ns, out);
        self.reduce(Loss { event, by: By::Order }, dense, line, out);
    }

    #[inline(always)]
    fn reduce(&mut self, loss: Loss, dense: u16, line: Option<u32>, out: &mut impl Output) -> Option<(Side, Price)> {
        let line = self.line(line, loss.id());
        match self.reduce_usual(loss, dense, line, out) {
            Some(touched) => Some(touched),
            None => self.reduce_unusual(loss, out),
        }
    }

    /// A replaced order goes and comes again under its new name, behind all others.
    fn on_replace(&mut self, event: &Slot, dense: u16, line: Option<u32>, out: &mut impl Output) {
        let replace = event.as_execution();
        self.on_clock(replace.exchange_ns, replace.received_ns, out);
        let Some((side, _)) = self.reduce(Loss { event, by: By::Replace }, dense, line, out) else { return };
        let new = Arrival { event, by: By::Replace, side, rank_ns: None };
        let line = self.line(None, replace.other_id);
        if !self.add_usual(&new, dense, line, out) {
            self.add_unusual(replace.book_id, new.order(side), times(event), out);
        }
    }

    fn on_execution(&mut self, event: &Slot, dense: u16, line: Option<u32>, out: &mut impl Output) {
        let execution = event.as_execution();
        self.on_clock(execution.exchange_ns, execution.received_ns, out);
        match self.reduce(Loss { event, by: By::Execution }, dense, line, out) {
            Some((side, price)) => {
                let Some(dense) = self.dense(execution.book_id) else { return };
                let price = if execution.price == Price::NONE.0 { price } else { Price(execution.price) };
                let book = &mut self.books[dense];
                let stamp = stamp(book, self.seq, times(event));
                book.candles.on_time(second_before(self.next_second_ns), &mut |_, _| {});
                trade(book, stamp, side, price, execution, out);
            }
            // The trade happened all the same, if only its price is known.
            None if execution.price != Price::NONE.0 => self.on_trade(execution, out),
            None => {}
        }
    }

    /// Rests an order as is usual, publishes it and its level. `false`: it is not usual, and nothing was changed.
    #[inline(always)]
    fn add_usual(&mut self, new: &Arrival, dense: u16, line: u32, out: &mut impl Output) -> bool {
        let Self { pools, books, anomalies, seq, .. } = self;
        let Pools { cells, orders, arena, .. } = pools;
        let Some(book) = books.get_mut(usize::from(dense)) else { return false };
        let at = new.side.index();
        let key = key_of(at, new.price().0);
        let index = &mut book.sides[at];
        let (level, on_ladder) = index.on_ladder(key);
        if !on_ladder | !orders.has_room() {
            return false;
        }
        if cells.is_ranked() {
            if new.rank().sequence == 0 || new.rank() < cells.highest_rank(level) {
                return false;
            }
        } else if new.rank().sequence != 0 && cells.has_queues() {
            return false;
        }
        let queues = cells.has_queues();
        let units = cells.units_mut();
        let id = new.id();
        let order = match place_in(units.line(line), id) {
            Some(place) => line + place as u32,
            None => match orders.take_near(units, line, id) {
                Some(order) => order,
                None => return false,
            },
        };
        let quantity = new.quantity();
        orders.note(units, order, id, level, quantity);
        units.add_last(level, order, quantity, queues);
        let position = if queues { units.level(level).count } else { 0 };
        let now = totals(units, level);
        if cells.is_ranked() {
            cells.note_rank(level, order, new.rank());
        }
        // Whether it is the level's first is hard to predict, and easy to note again.
        index.set(arena, level);
        book.best[at] = book.best[at].min(key);
        book.orders += 1;
        let touched = Touched {
            side: new.side,
            order_id: id,
            price: new.price(),
            left: quantity,
            position,
            level: now,
            excess: false,
            unchanged: false,
        };
        publish(stamp(book, *seq, times(new.event)), action::ADD, &touched, out);
        if may_cross(book.best) {
            check_crossed(anomalies, book);
        }
        true
    }

    /// Takes quantity off an order as is usual, publishes it and its level, and returns its side and price. `None`: it
    /// is not usual, or further on in the index; nothing was changed.
    #[inline(always)]
    fn reduce_usual(&mut self, loss: Loss, dense: u16, line: u32, out: &mut impl Output) -> Option<(Side, Price)> {
        let id = loss.id();
        let Self { pools, books, anomalies, seq, .. } = self;
        let book = books.get_mut(usize::from(dense))?;
        let Pools { cells, orders, .. } = pools;
        let queues = cells.has_queues();
        let units = cells.units_mut();
        let order = match find_in(units.line(line), id) {
            Some(place) => line + place as u32,
            None => orders.find_behind(units, line, id)?,
        };
        let OrderCell { level, quantity: have, .. } = *units.order(order);
        let scope = units.level(level).book_side;
        // The order is one of that book, and of that side where this is a part of its name.
        let side = u32::from(loss.side()) ^ u32::from(side_of(scope) as u8);
        if (scope >> 1 ^ u32::from(dense)) | (side & orders.scope_mask()) != 0 {
            return None;
        }
        // An undisclosed order goes only when all of it does.
        if have == 0 {
            return None;
        }
        let quantity = loss.quantity(have);
        let whole = quantity >= have;
        if whole {
            units.take_out(level, order, have, queues);
            orders.forget(units, line, order);
            book.orders -= 1;
        } else {
            units.lessen(level, order, quantity);
        }
        let (side, left) = (side_of(scope), have.saturating_sub(quantity));
        let (now, is_empty) = (totals(units, level), units.level(level).count == 0);
        book.on_less(pools, side.index(), level, is_empty);
        if quantity > have {
            spoil(anomalies, book, loss.excess());
        }
        let price = now.price;
        let touched =
            Touched { side, order_id: id, price, left, position: 0, level: now, excess: false, unchanged: false };
        publish(stamp(book, *seq, times(loss.event)), loss.action(), &touched, out);
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
        let quantity = loss.quantity(QUANTITY_REST);
        let book_id = loss.event.as_order().book_id;
        let (dense, order) = self.named(book_id, Side::from_byte(loss.side()), loss.id())?;
        let Self { pools, books, anomalies, seq, .. } = self;
        let book = &mut books[dense];
        let touched = book.reduce(pools, order, quantity);
        if touched.excess {
            spoil(anomalies, book, loss.excess());
        }
        publish(stamp(book, *seq, times(loss.event)), loss.action(), &touched, out);
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

/// Whether two best keys may cross: all that do, and a side without levels whose other side has the lowest price that
/// there is.
#[inline(always)]
const fn may_cross([bid, ask]: [i64; 2]) -> bool {
    !bid >= ask
}
