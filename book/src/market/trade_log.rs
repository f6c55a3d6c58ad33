//! The newest trades of all books, so that a trade that the exchange breaks can be taken out of its day.
//!
//! Holds a fixed number of them ([`Limits::trades_max`](super::Limits::trades_max)); the oldest goes for a new one, whatever
//! its book. Never allocates after construction, and changes no figure.

use crate::candle::{Candle, Interval};
use crate::memory::table;
use crate::slot::conditions;
use crate::types::{Nanos, Price};

/// A trade as it was counted.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Kept {
    /// The exchange's match number.
    pub match_id: u64,
    /// Price.
    pub price: Price,
    /// Quantity.
    pub quantity: u64,
    /// The exchange's clock.
    pub exchange_ns: Nanos,
    /// Number of the trade before it of the same book and day; 0: it was the first.
    pub before: u64,
    /// [`conditions`].
    pub conditions: u8,
}

impl Kept {
    /// Whether the figures of the day hold it.
    pub fn is_counted(&self) -> bool {
        self.conditions & (conditions::NON_PRINTABLE | conditions::BROKEN) == 0 && self.price.is_some()
    }
}

/// The counted trades of a day or of a part of it, and whether these are all.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Figures {
    /// Open, high, low, close, volume, turnover and count.
    pub candle: Candle,
    /// No trade of the span has left the log.
    pub whole: bool,
}

/// Trades by their number, which counts from 1; the place of number n is n modulo the size, a power of two.
pub(super) struct TradeLog {
    trades: Vec<Kept>,
    next: u64,
}

/// Places that a log of `trades_max` trades takes.
pub(super) const fn places(trades_max: usize) -> usize {
    trades_max.next_power_of_two()
}

impl TradeLog {
    /// Room for at least `trades_max` trades, all of it touched.
    pub fn new(trades_max: usize) -> Self {
        Self { trades: table(places(trades_max), Kept::default()), next: 1 }
    }

    /// Keeps a trade as the newest of its book, whose newest one was number `newest`.
    #[inline]
    pub fn keep(&mut self, newest: &mut u64, trade: Kept) {
        // A trade that is stamped late is counted where the clock stands, as candles do.
        let reached_ns = self.get(*newest).map_or(0, |(_, kept)| kept.exchange_ns);
        let at = self.place(self.next);
        self.trades[at] = Kept { before: *newest, exchange_ns: trade.exchange_ns.max(reached_ns), ..trade };
        *newest = self.next;
        self.next += 1;
    }

    /// The trade `match_id` of the book whose newest trade is number `newest`.
    pub fn find(&self, newest: u64, match_id: u64) -> Option<u64> {
        self.chain(newest).find(|(_, kept)| kept.match_id == match_id).map(|(number, _)| number)
    }

    /// Notes that a trade which was found is broken; returns it as it was until now.
    pub fn mark_broken(&mut self, number: u64) -> Kept {
        let at = self.place(number);
        let before = self.trades[at];
        self.trades[at].conditions |= conditions::BROKEN;
        before
    }

    /// The counted trades of a book from `from_ns` until before `to_ns`. Walks them, newest first.
    pub fn figures(&self, newest: u64, from_ns: Nanos, to_ns: Nanos) -> Figures {
        let mut candle = Candle::default();
        let mut whole = newest == 0;
        for (_, kept) in self.chain(newest) {
            if kept.exchange_ns < from_ns {
                whole = true;
                break;
            }
            if kept.exchange_ns < to_ns && kept.is_counted() {
                candle.on_earlier_trade(kept.price, kept.quantity);
            }
            whole = kept.before == 0;
        }
        candle.start_ns = from_ns;
        Figures { candle, whole }
    }

    /// The same for the candle of `interval` that holds `exchange_ns`.
    pub fn candle(&self, newest: u64, interval: Interval, exchange_ns: Nanos) -> Figures {
        let start_ns = interval.start_ns(exchange_ns);
        self.figures(newest, start_ns, start_ns.saturating_add(interval.length_ns()))
    }

    /// Trades of one book with their numbers, newest first, as far as they are kept.
    fn chain(&self, newest: u64) -> impl Iterator<Item = (u64, &Kept)> {
        std::iter::successors(self.get(newest), |(_, kept)| self.get(kept.before))
    }

    fn get(&self, number: u64) -> Option<(u64, &Kept)> {
        let is_kept = number > 0 && self.next - number <= self.trades.len() as u64;
        is_kept.then(|| (number, &self.trades[self.place(number)]))
    }

    #[inline]
    fn place(&self, number: u64) -> usize {
        number as usize & (self.trades.len() - 1)
    }
}
