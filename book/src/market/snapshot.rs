//! A book as updates that replace whatever a reader knew of it.
//!
//! Changes nothing; the order of the records is that of the protocol (`docs/protocols`).

use super::rare::second_before;
use super::updates::{Stamp, level_update, mark, order_update};
use super::{Market, Output};
use crate::book::Book;
use crate::candle::Interval;
use crate::slot::{Slot, TickBand, action, flags, rtype};
use crate::types::{Price, Side};

impl Market {
    /// Number of slots [`Market::snapshot`] will write for a book.
    #[must_use]
    pub fn snapshot_slots(&self, book: &Book, orders: bool) -> usize {
        let fixed = 2 + 8 + crate::tick::TICK_BANDS_MAX + crate::statistics::Statistics::RECORDS + 2 * 4;
        let levels = Side::Bid.index()..=Side::Ask.index();
        let levels: usize = levels.map(|side| book.levels(&self.pools, [Side::Bid, Side::Ask][side]).count()).sum();
        fixed + levels + if orders { book.orders() as usize } else { 0 }
    }

    /// Writes the whole state of a book as updates that replace whatever the reader knew of it.
    ///
    /// `missed` are the numbers the reader did not get (0, 0: none). Without `orders` the begin says so.
    pub fn snapshot(&self, book: &Book, missed: (u64, u64), orders: bool, out: &mut impl Output) {
        let orders = orders && self.limits.queues;
        let flags = flags::SNAPSHOT | if book.maybe_bad { flags::MAYBE_BAD_BOOK } else { 0 };
        let stamp = Stamp {
            book_id: book.id.0,
            seq: book.seq,
            exchange_ns: book.exchange_ns,
            received_ns: book.received_ns,
            flags,
        };
        out.push(mark(rtype::SNAPSHOT_BEGIN, stamp, missed.0, missed.1, !orders, self.epoch));
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
        for side in [Side::Bid, Side::Ask] {
            book.levels(&self.pools, side).for_each(|level| out.push(level_update(stamp, side, level)));
            if orders {
                for (price, id, quantity, place) in book.queue(&self.pools, side) {
                    out.push(order_update(stamp, side, action::ADD, id.0, price, quantity, place));
                }
            }
        }
        out.push(mark(rtype::SNAPSHOT_END, stamp, 0, 0, !orders, self.epoch));
    }
}
