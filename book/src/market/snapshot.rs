//! A book as updates that replace whatever a reader knew of it.
//!
//! Changes nothing; the order of the records is that of the protocol (`docs/protocols`).

use super::slow_path::second_before;
use super::updates::{Marked, Stamp, level_update, mark, order_update};
use super::{Market, Output};
use crate::candle::Interval;
use crate::doubt::Doubt;
use crate::market::book::Book;
use crate::market::store::ladder::key_of;
use crate::slot::{Slot, TickBand, action, flags, picture, rtype};
use crate::types::{Price, Side};

/// How far the orders of a book are written: to the end of a level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Written {
    side: usize,
    is_priced: bool,
    key: i64,
}

impl Written {
    /// To the end of that level. Levels compare as they follow each other: bids first, orders without a price before
    /// others, best prices first.
    pub fn to(side: Side, price: Price) -> Self {
        let side = side.index();
        Self { side, is_priced: price.is_some(), key: key_of(side, price.0) }
    }
}

/// What came of writing a part of a book's orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// That was all.
    Whole,
    /// There is more.
    More,
    /// There is no room for the next level, which has so many orders.
    NoRoom(usize),
}

impl Market {
    /// What a snapshot takes beside its orders and the two marks.
    fn state_slots(&self, book: &Book) -> usize {
        let fixed = 8 + crate::tick::TICK_BANDS_MAX + crate::statistics::Statistics::RECORDS + 2 * 4;
        let levels = Side::Bid.index()..=Side::Ask.index();
        let levels: usize = levels.map(|side| book.levels(&self.store, [Side::Bid, Side::Ask][side]).count()).sum();
        fixed + levels
    }

    /// Number of slots [`Market::snapshot`] will write for a book.
    #[must_use]
    pub fn snapshot_slots(&self, book: &Book, orders: bool) -> usize {
        2 + self.state_slots(book) + if orders { book.orders() as usize } else { 0 }
    }

    /// Writes the whole state of a book as updates that replace whatever the reader knew of it.
    ///
    /// `missed` are the numbers the reader did not get (0, 0: none). Begin and end say what is with the `orders`, which are
    /// [`picture::OMITTED`] where there are no queues; the end says whether this `answers` a [`OrderInterest`](crate::order_interest::OrderInterest).
    pub fn snapshot(&self, book: &Book, missed: (u64, u64), orders: u32, answers: bool, out: &mut impl Output) {
        let orders = if self.limits.queues { orders } else { picture::OMITTED };
        let stamp = stamp_of(book);
        let marked = Marked { orders, epoch: self.epoch, ..Marked::default() };
        out.push(mark(rtype::SNAPSHOT_BEGIN, stamp, Marked { missed, ..marked }));
        self.push_state(book, stamp, out);
        for side in [Side::Bid, Side::Ask] {
            book.levels(&self.store, side).for_each(|level| out.push(level_update(stamp, side, level)));
            if orders == picture::HERE {
                for (price, id, quantity, place) in book.queue(&self.store, side) {
                    out.push(order_update(stamp, side, action::ADD, id.0, price, quantity, place));
                }
            }
        }
        let reason = Doubt::code(book.doubt);
        out.push(mark(rtype::SNAPSHOT_END, stamp, Marked { answers, reason, ..marked }));
    }

    /// Writes the mark in front of a book's orders or, where they are left out, of none.
    pub(crate) fn begin_orders(&self, book: &Book, orders: u32, out: &mut impl Output) {
        let marked = Marked { orders, epoch: self.epoch, ..Marked::default() };
        out.push(mark(rtype::ORDERS_BEGIN, stamp_of(book), marked));
    }

    /// Writes orders of a book from where they are written to, level by level: those of a level at once, and no level more
    /// once `orders_max`, which counts down, is 0. There is room for `room` slots.
    pub(crate) fn write_orders(
        &self,
        book: &Book,
        written: &mut Option<Written>,
        orders_max: &mut usize,
        room: usize,
        out: &mut impl Output,
    ) -> Part {
        let stamp = stamp_of(book);
        let mut count = 0;
        for side in [Side::Bid, Side::Ask] {
            for (price, orders, queue) in book.queues(&self.store, side) {
                let level = Written::to(side, price);
                if written.is_some_and(|written| level <= written) {
                    continue;
                }
                if *orders_max == 0 {
                    return Part::More;
                }
                if count + orders > room {
                    return Part::NoRoom(orders);
                }
                queue.for_each(|(id, quantity, place)| {
                    out.push(order_update(stamp, side, action::ADD, id.0, price, quantity, place));
                });
                count += orders;
                *orders_max = orders_max.saturating_sub(orders);
                *written = Some(level);
            }
        }
        Part::Whole
    }

    /// Writes the mark behind a book's orders, which says whether they answer a [`OrderInterest`](crate::order_interest::OrderInterest).
    pub(crate) fn end_orders(&self, book: &Book, orders: u32, answers: bool, out: &mut impl Output) {
        let marked = Marked { orders, answers, epoch: self.epoch, ..Marked::default() };
        out.push(mark(rtype::ORDERS_END, stamp_of(book), marked));
    }

    /// Everything of a book but its levels and orders.
    fn push_state(&self, book: &Book, stamp: Stamp, out: &mut impl Output) {
        let flags = stamp.flags;
        book.records.iter().for_each(|record| out.push(record.with_flag(flags::SNAPSHOT)));
        for band in book.ticks.bands() {
            let record = TickBand {
                length: 16,
                rtype: rtype::TICK_BAND,
                flags,
                side: b'N',
                book_id: stamp.book_id,
                exchange_ns: stamp.exchange_ns,
                seq: stamp.seq,
                received_ns: stamp.received_ns,
                tick: band.tick,
                from: band.from.0,
                to: band.to.0,
                reference: Price::NONE.0,
            };
            out.push(record.into());
        }
        book.records.iter_state().for_each(|record| out.push(record.with_flag(flags::SNAPSHOT)));
        for record in book.statistics.records() {
            out.push(Slot::from(record).stamped(stamp.book_id, stamp.exchange_ns, stamp.seq));
        }
        let mut candles = book.candles;
        candles.on_time(second_before(self.next_second_ns), &mut |_, _| {});
        for (prices, amounts) in Interval::ALL.into_iter().filter_map(|interval| candles.records(interval)) {
            out.push(Slot::from(prices).stamped(stamp.book_id, stamp.exchange_ns, stamp.seq));
            out.push(Slot::from(amounts).stamped(stamp.book_id, stamp.exchange_ns, stamp.seq));
        }
    }
}

fn stamp_of(book: &Book) -> Stamp {
    Stamp {
        book_id: book.id.0,
        seq: book.seq,
        exchange_ns: book.exchange_ns,
        received_ns: book.received_ns,
        flags: flags::SNAPSHOT | if book.doubt.is_some() { flags::MAYBE_BAD_BOOK } else { 0 },
    }
}
