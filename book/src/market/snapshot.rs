//! A book as updates that replace whatever a reader knew of it.
//!
//! Changes nothing; the order of the records is that of the protocol (`docs/protocols`).

use super::rare::second_before;
use super::updates::{Marked, Stamp, level_update, mark, order_update};
use super::{Market, Output};
use crate::book::Book;
use crate::candle::Interval;
use crate::slot::{Slot, TickBand, action, flags, rtype};
use crate::types::{Price, Side};

/// What of a book is written for a reader.
#[derive(Clone, Copy, Debug, Default)]
pub struct Picture {
    /// All of it, or its orders alone.
    pub whole: bool,
    /// Its orders.
    pub orders: bool,
    /// First and last number that the reader did not get (0, 0: none).
    pub missed: (u64, u64),
    /// It answers a [`Wish`](crate::wishes::Wish) of the reader.
    pub answers: bool,
}

impl Market {
    /// What a snapshot takes beside its orders and the two marks.
    fn state_slots(&self, book: &Book) -> usize {
        let fixed = 8 + crate::tick::TICK_BANDS_MAX + crate::statistics::Statistics::RECORDS + 2 * 4;
        let levels = Side::Bid.index()..=Side::Ask.index();
        let levels: usize = levels.map(|side| book.levels(&self.pools, [Side::Bid, Side::Ask][side]).count()).sum();
        fixed + levels
    }

    /// Number of slots [`Market::picture`] will write for a book.
    #[must_use]
    pub fn picture_slots(&self, book: &Book, what: Picture) -> usize {
        let orders = if what.orders { book.orders() as usize } else { 0 };
        2 + orders + if what.whole { self.state_slots(book) } else { 0 }
    }

    /// Writes a book, or its orders alone, as updates that replace what the reader knew of it. Without orders, begin and
    /// end say so.
    pub fn picture(&self, book: &Book, what: Picture, out: &mut impl Output) {
        let orders = what.orders && self.limits.queues;
        let flags = flags::SNAPSHOT | if book.maybe_bad { flags::MAYBE_BAD_BOOK } else { 0 };
        let stamp = Stamp {
            book_id: book.id.0,
            seq: book.seq,
            exchange_ns: book.exchange_ns,
            received_ns: book.received_ns,
            flags,
        };
        let (begin, end) = if what.whole {
            (rtype::SNAPSHOT_BEGIN, rtype::SNAPSHOT_END)
        } else {
            (rtype::ORDERS_BEGIN, rtype::ORDERS_END)
        };
        let marked = Marked { orders_omitted: !orders, epoch: self.epoch, ..Marked::default() };
        out.push(mark(begin, stamp, Marked { missed: what.missed, ..marked }));
        if what.whole {
            self.push_state(book, stamp, out);
        }
        for side in [Side::Bid, Side::Ask] {
            if what.whole {
                book.levels(&self.pools, side).for_each(|level| out.push(level_update(stamp, side, level)));
            }
            if orders {
                for (price, id, quantity, place) in book.queue(&self.pools, side) {
                    out.push(order_update(stamp, side, action::ADD, id.0, price, quantity, place));
                }
            }
        }
        out.push(mark(end, stamp, Marked { answers: what.answers, ..marked }));
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
