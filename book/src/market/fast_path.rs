//! The four frequent kinds: adds, cancels, executions, replaces.
//!
//! Two short paths carry nearly all of a day: [`Market::add_fast`] (a new name, a price on the ladder, the highest rank) and
//! [`Market::reduce_fast`] (an order in its own line of the index or the next). Everything else goes to [`Market::add_slow`] and
//! [`Market::reduce_slow`], which are complete and slow.

use super::changes::{By, NewOrder, Reduction, times};
use super::look_ahead::Name;
use super::slow_path::{check_crossed, check_uncrossed, second_before, spoil};
use super::updates::{publish, stamp, trade};
use super::{Market, Output};
use crate::anomaly::Anomaly;
use crate::market::book::{OrderTerms, Touched, book_side, side_of, totals};
use crate::market::store::Store;
use crate::market::store::ladder::key_of;
use crate::market::store::node::{Nodes as _, OrderNode};
use crate::market::store::order_index::{OrderKey, find_in, free_slot_in};
use crate::slot::{QUANTITY_REST, Slot, action, rtype};
use crate::types::{BookIndex, Nanos, Price, Side};

impl Market {
    /// Takes one event, numbers it, and says what it changed.
    #[inline]
    pub fn apply(&mut self, event: &Slot, out: &mut impl Output) {
        let book_at = self.book_of_event(event);
        self.apply_at(event, book_at, None, out);
        self.after(event, out);
    }

    /// Takes one event that was looked at before.
    #[inline(always)]
    pub(super) fn apply_named(&mut self, event: &Slot, name: Name, out: &mut impl Output) {
        self.apply_at(event, name.book_at, Some(name.line), out);
        self.after(event, out);
    }

    /// Readers learn in the turn of the cause that a book may be wrong.
    #[inline(always)]
    fn after(&mut self, event: &Slot, out: &mut impl Output) {
        if let Some(index) = self.doubted {
            self.tell_doubt(index, event, out);
        }
    }

    /// `book_at`: the event's book, or [`super::NO_BOOK`]. `line`: the own line of the order that it names, where it is known.
    #[inline(always)]
    fn apply_at(&mut self, event: &Slot, book_at: u16, line: Option<u32>, out: &mut impl Output) {
        self.seq += 1;
        if self.rank.is_some() {
            return self.apply_after_rank(event, book_at, line, out);
        }
        if event.rtype != rtype::ORDER {
            return self.on_other(event, book_at, line, out);
        }
        match event.as_order().action {
            action::ADD => self.on_add(event, None, book_at, line, out),
            action::CANCEL => self.on_cancel(event, book_at, line, out),
            _ => self.on_slow(event, out),
        }
    }

    /// Takes one event behind one that stated a rank.
    #[inline(never)]
    fn apply_after_rank(&mut self, event: &Slot, book_at: u16, line: Option<u32>, out: &mut impl Output) {
        let rank_ns = self.take_rank(event);
        match (event.rtype, event.as_order().action) {
            (rtype::ORDER, action::ADD) => self.on_add(event, rank_ns, book_at, line, out),
            (rtype::ORDER, action::CANCEL) => self.on_cancel(event, book_at, line, out),
            _ => self.on_other(event, book_at, line, out),
        }
    }

    #[inline(never)]
    fn on_other(&mut self, event: &Slot, book_at: u16, line: Option<u32>, out: &mut impl Output) {
        match event.rtype {
            rtype::REPLACE => self.on_replace(event, book_at, line, out),
            rtype::EXECUTION => self.on_execution(event, book_at, line, out),
            _ => self.on_slow(event, out),
        }
    }

    /// The own line of the order that an event names.
    #[inline(always)]
    fn line(&self, line: Option<u32>, id: u64) -> u32 {
        match line {
            Some(line) => line,
            None => self.store.orders.line_of(id),
        }
    }

    #[inline(always)]
    fn on_add(&mut self, event: &Slot, rank_ns: Option<Nanos>, book_at: u16, line: Option<u32>, out: &mut impl Output) {
        let order = event.as_order();
        self.on_clock(order.exchange_ns, order.received_ns, out);
        let side = side_of(order.side_index() as u32);
        let new = NewOrder { event, by: By::Order, side, rank_ns };
        let line = self.line(line, order.order_id);
        if !is_side(order.side) || !self.add_fast(&new, book_at, line, out) {
            self.add_slow(order.book_id, new.order(order.side()), times(event), out);
        }
    }

    #[inline(always)]
    fn on_cancel(&mut self, event: &Slot, book_at: u16, line: Option<u32>, out: &mut impl Output) {
        let order = event.as_order();
        self.on_clock(order.exchange_ns, order.received_ns, out);
        self.reduce(Reduction { event, by: By::Order }, book_at, line, out);
    }

    #[inline(always)]
    fn reduce(
        &mut self,
        reduction: Reduction,
        book_at: u16,
        line: Option<u32>,
        out: &mut impl Output,
    ) -> Option<(Side, Price)> {
        let line = self.line(line, reduction.id());
        match self.reduce_fast(reduction, book_at, line, out) {
            Some(touched) => Some(touched),
            None => self.reduce_slow(reduction, out),
        }
    }

    /// A replaced order goes and comes again under its new name, behind all others.
    fn on_replace(&mut self, event: &Slot, book_at: u16, line: Option<u32>, out: &mut impl Output) {
        let replace = event.as_execution();
        self.on_clock(replace.exchange_ns, replace.received_ns, out);
        let Some((side, _)) = self.reduce(Reduction { event, by: By::Replace }, book_at, line, out) else { return };
        let new = NewOrder { event, by: By::Replace, side, rank_ns: None };
        let line = self.line(None, replace.other_id);
        if !self.add_fast(&new, book_at, line, out) {
            self.add_slow(replace.book_id, new.order(side), times(event), out);
        }
    }

    fn on_execution(&mut self, event: &Slot, book_at: u16, line: Option<u32>, out: &mut impl Output) {
        let execution = event.as_execution();
        self.on_clock(execution.exchange_ns, execution.received_ns, out);
        match self.reduce(Reduction { event, by: By::Execution }, book_at, line, out) {
            Some((side, price)) => {
                let Some(index) = self.index_of(execution.book_id) else { return };
                let price = if execution.price == Price::NONE.0 { price } else { Price(execution.price) };
                let book = &mut self.books[index.as_usize()];
                let stamp = stamp(book, self.seq, times(event));
                book.candles.on_time(second_before(self.next_second_ns), &mut |_, _| {});
                trade(&mut self.trade_log, book, stamp, side, price, execution, out);
            }
            // The trade happened all the same, if only its price is known.
            None if execution.price != Price::NONE.0 => self.on_trade(execution, out),
            None => {}
        }
    }

    /// Rests an order as is usual, publishes it and its level. `false`: it is not usual, and nothing was changed.
    #[inline(always)]
    fn add_fast(&mut self, new: &NewOrder, book_at: u16, line: u32, out: &mut impl Output) -> bool {
        let Self { store, books, anomalies, doubted, seq, .. } = self;
        let Store { pool, orders, arena, .. } = store;
        let Some(book) = books.get_mut(usize::from(book_at)) else { return false };
        let at = new.side.index();
        let key = key_of(at, new.price().0);
        let index = &mut book.sides[at];
        let (level, on_ladder) = index.on_ladder(key);
        if !on_ladder | !orders.has_room() {
            return false;
        }
        if pool.is_ranked() {
            if new.rank().sequence == 0 || new.rank() < pool.highest_rank(level) {
                return false;
            }
        } else if new.rank().sequence != 0 && pool.has_queues() {
            return false;
        }
        let queues = pool.has_queues();
        let nodes = pool.nodes_mut();
        let id = new.id();
        let order = match free_slot_in(nodes.line(line), id) {
            Some(place) => line + place as u32,
            None => match orders.take_near(nodes, line, id) {
                Some(order) => order,
                None => return false,
            },
        };
        let quantity = new.quantity();
        orders.note(nodes, order, id, level, quantity);
        nodes.add_last(level, order, quantity, queues);
        let position = if queues { nodes.level(level).count } else { 0 };
        let now = totals(nodes, level);
        if pool.is_ranked() {
            pool.note_rank(level, order, new.rank());
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
            check_crossed(anomalies, doubted, book);
        }
        true
    }

    /// Takes quantity off an order as is usual, publishes it and its level, and returns its side and price. `None`: it
    /// is not usual, or further on in the index; nothing was changed.
    #[inline(always)]
    fn reduce_fast(
        &mut self,
        reduction: Reduction,
        book_at: u16,
        line: u32,
        out: &mut impl Output,
    ) -> Option<(Side, Price)> {
        let id = reduction.id();
        let Self { store, books, anomalies, doubted, seq, .. } = self;
        let book = books.get_mut(usize::from(book_at))?;
        let Store { pool, orders, .. } = store;
        let queues = pool.has_queues();
        let nodes = pool.nodes_mut();
        let order = match find_in(nodes.line(line), id) {
            Some(place) => line + place as u32,
            None => orders.find_behind(nodes, line, id)?,
        };
        let OrderNode { level, quantity: have, .. } = *nodes.order(order);
        let scope = nodes.level(level).book_side;
        // The order is one of that book, and of that side where this is a part of its name.
        let side = u32::from(reduction.side()) ^ u32::from(side_of(scope) as u8);
        if (scope >> 1 ^ u32::from(book_at)) | (side & orders.scope_mask()) != 0 {
            return None;
        }
        // An undisclosed order goes only when all of it does.
        if have == 0 {
            return None;
        }
        let quantity = reduction.quantity(have);
        let whole = quantity >= have;
        if whole {
            nodes.take_out(level, order, have, queues);
            orders.forget(nodes, line, order);
            book.orders -= 1;
        } else {
            nodes.lessen(level, order, quantity);
        }
        let (side, left) = (side_of(scope), have.saturating_sub(quantity));
        let (now, is_empty) = (totals(nodes, level), nodes.level(level).count == 0);
        book.on_less(store, side.index(), level, is_empty);
        if quantity > have {
            spoil(anomalies, doubted, book, reduction.excess());
        }
        let price = now.price;
        let touched =
            Touched { side, order_id: id, price, left, position: 0, level: now, excess: false, unchanged: false };
        publish(stamp(book, *seq, times(reduction.event)), reduction.action(), &touched, out);
        check_uncrossed(book);
        Some((side, price))
    }

    /// Adds an order, whatever it is, if its name is free; publishes it, and looks whether the book crossed.
    #[cold]
    #[inline(never)]
    pub(super) fn add_slow(&mut self, book_id: u32, new: OrderTerms, times: (Nanos, Nanos), out: &mut impl Output) {
        if new.side == Side::None {
            return self.anomaly(Anomaly::NoSide, book_id);
        }
        let Some(index) = self.index_or_new(book_id) else { return };
        let Self { store, books, anomalies, doubted, seq, .. } = self;
        let book = &mut books[index.as_usize()];
        let scope = book_side(index, new.side.index());
        if store.find(scope, new.id).is_some() {
            return spoil(anomalies, doubted, book, Anomaly::DuplicateOrder);
        }
        if book.off_ladder(new.side, new.price) {
            anomalies.count(Anomaly::OffLadder);
        }
        match book.add(store, &new) {
            Ok(touched) => {
                publish(stamp(book, *seq, times), action::ADD, &touched, out);
                check_crossed(anomalies, doubted, book);
            }
            Err(anomaly) => spoil(anomalies, doubted, book, anomaly),
        }
    }

    /// Takes quantity off an order, wherever it is.
    #[cold]
    #[inline(never)]
    fn reduce_slow(&mut self, reduction: Reduction, out: &mut impl Output) -> Option<(Side, Price)> {
        let quantity = reduction.quantity(QUANTITY_REST);
        let book_id = reduction.event.as_order().book_id;
        let (index, order) = self.named(book_id, Side::from_byte(reduction.side()), reduction.id())?;
        let Self { store, books, anomalies, doubted, seq, .. } = self;
        let book = &mut books[index.as_usize()];
        let touched = book.reduce(store, order, quantity);
        if touched.excess {
            spoil(anomalies, doubted, book, reduction.excess());
        }
        publish(stamp(book, *seq, times(reduction.event)), reduction.action(), &touched, out);
        check_uncrossed(book);
        Some((touched.side, touched.price))
    }

    /// The order that an event names, and its book; an unknown one is counted.
    pub(super) fn named(&mut self, book_id: u32, side: Side, id: u64) -> Option<(BookIndex, u32)> {
        if (side == Side::None) & (self.limits.key == OrderKey::BookSideId) {
            self.anomaly(Anomaly::NoSide, book_id);
            return None;
        }
        let Some(index) = self.index_of(book_id) else { return self.unknown_order(book_id) };
        match self.store.find(book_side(index, side.index()), id) {
            // An id that is unique for the day may still be named under the wrong book.
            Some(order) if self.store.level_of(order).book_side >> 1 == index.0 => Some((index, order)),
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
