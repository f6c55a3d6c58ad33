//! A trade that the exchange breaks: it leaves the statistics of the day and its candles, and readers get those anew.
//!
//! What cannot be taken out, because the trade or those around it are kept no more, marks the book. Off the hot path.

use super::slow_path::second_before;
use super::trade_log::{Figures, Kept};
use super::updates::{Stamp, stamp, trade};
use super::{Market, Output};
use crate::anomaly::Anomaly;
use crate::candle::{Candle, Interval};
use crate::market::book::Book;
use crate::slot::{Execution, Slot};
use crate::types::{Nanos, Price};

impl Market {
    /// Takes the trade that `event` names out of all figures, and publishes what they are now, then the break itself.
    #[cold]
    #[inline(never)]
    pub(super) fn on_broken(&mut self, event: &Execution, out: &mut impl Output) {
        let Some(index) = self.index_or_new(event.book_id) else { return };
        let book = &mut self.books[index.as_usize()];
        let stamp = stamp(book, self.seq, (event.exchange_ns, event.received_ns));
        book.candles.on_time(second_before(self.next_second_ns), &mut |_, _| {});
        let is_right = match self.trade_log.find(book.newest_trade, event.other_id) {
            Some(number) => {
                let broken = self.trade_log.mark_broken(number);
                !broken.is_counted() || self.take_out(index.as_usize(), &broken, stamp, out)
            }
            None => false,
        };
        // Last, because a slot of a candle cannot carry the end of an event.
        let book = &mut self.books[index.as_usize()];
        trade(&mut self.trade_log, book, stamp, event.side(), Price(event.price), event, out);
        if !is_right {
            self.anomaly(Anomaly::BrokenTrade, event.book_id);
        }
    }

    /// Whether every figure is right without it.
    fn take_out(&mut self, index: usize, broken: &Kept, stamp: Stamp, out: &mut impl Output) -> bool {
        let (log, book) = (&self.trade_log, &mut self.books[index]);
        let day = log.figures(book.newest_trade, 0, Nanos::MAX);
        let mut is_right = book.statistics.take_out(broken.price, broken.quantity, &day.candle, day.whole);
        for interval in Interval::ALL {
            let figures = log.candle(book.newest_trade, interval, broken.exchange_ns);
            match corrected(book, interval, &figures, broken) {
                Some(candle) => {
                    let (prices, amounts) = candle.records(interval);
                    out.push(Slot::from(prices).stamped(stamp.book_id, stamp.exchange_ns, stamp.seq));
                    out.push(Slot::from(amounts).stamped(stamp.book_id, stamp.exchange_ns, stamp.seq));
                    book.candles.correct(interval, candle);
                    is_right &= figures.whole;
                }
                None => is_right = false,
            }
        }
        for record in book.statistics.records() {
            out.push(Slot::from(record).stamped(stamp.book_id, stamp.exchange_ns, stamp.seq));
        }
        is_right
    }
}

/// The candle that held the broken trade, without it; `None` where it has closed and its trades are kept no more.
fn corrected(book: &Book, interval: Interval, figures: &Figures, broken: &Kept) -> Option<Candle> {
    if figures.whole {
        return Some(figures.candle);
    }
    let forming = book.candles.forming(interval).filter(|forming| forming.start_ns == figures.candle.start_ns)?;
    Some(forming.less(broken.price, broken.quantity))
}
