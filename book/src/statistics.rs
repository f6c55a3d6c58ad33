//! Trading statistics of one book and one day, derived from its trades.
//!
//! The book thread and every reader run this same code on the same trades, so that they always agree.
//! Never looks at a clock: a day ends when the feed says so.

use crate::candle::Candle;
use crate::slot::{StatisticUpdate, TradeUpdate, conditions, rtype, statistic};
use crate::tick::TickTable;
use crate::types::Price;

/// Open, high, low, last, close, volume, turnover and count of one day. Non-printable trades are left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// First trade.
    pub open: Price,
    /// Highest trade.
    pub high: Price,
    /// Lowest trade.
    pub low: Price,
    /// Last trade.
    pub last: Price,
    /// Closing price: price of the closing auction, else the last trade, once the day is over.
    pub close: Price,
    /// Base price of the day: what the change is measured from.
    pub reference: Price,
    /// Lowest price allowed today.
    pub limit_low: Price,
    /// Highest price allowed today.
    pub limit_high: Price,
    /// Traded quantity.
    pub volume: u64,
    /// Σ price × quantity, in 10⁻⁹ currency units.
    pub turnover: i128,
    /// Number of trades.
    pub trades: u64,
}

impl Statistics {
    /// Counts a trade. Non-printable and broken ones change nothing.
    #[inline]
    pub fn on_trade(&mut self, price: Price, quantity: u64, trade_conditions: u8) {
        if trade_conditions & (conditions::NON_PRINTABLE | conditions::BROKEN) != 0 || !price.is_some() {
            return;
        }
        if self.trades == 0 {
            self.open = price;
            self.high = price;
            self.low = price;
        } else {
            self.high = self.high.max(price);
            self.low = self.low.min(price);
        }
        self.last = price;
        self.volume = self.volume.saturating_add(quantity);
        self.turnover = self.turnover.saturating_add(i128::from(price.0) * i128::from(quantity));
        self.trades += 1;
    }

    /// Takes out a trade that was counted. `rest` are the other trades of the day as far as they are kept, `whole`: all of
    /// them. Returns whether every figure is right now; amounts and the last price are in any case.
    pub(crate) fn take_out(&mut self, price: Price, quantity: u64, rest: &Candle, whole: bool) -> bool {
        self.volume = self.volume.saturating_sub(quantity);
        self.turnover = self.turnover.saturating_sub(i128::from(price.0) * i128::from(quantity));
        self.trades = self.trades.saturating_sub(1);
        let is_last_known = whole || rest.trades > 0;
        if is_last_known {
            if self.close == self.last {
                self.close = if self.close.is_some() { rest.close } else { self.close };
            }
            self.last = rest.close;
        }
        let was_extreme = price == self.high || price == self.low;
        if whole {
            (self.open, self.high, self.low) = (rest.open, rest.high, rest.low);
        }
        whole || (is_last_known && !was_extreme)
    }

    /// Counts the trade of an update record.
    #[inline]
    pub fn on_trade_update(&mut self, trade: &TradeUpdate) {
        self.on_trade(Price(trade.price), trade.quantity, trade.conditions);
    }

    /// Takes the day's price band and base price from a tick table; what is not stated stays.
    pub fn set_band(&mut self, ticks: &TickTable, reference: Price) {
        if let Some((low, high)) = ticks.span() {
            self.limit_low = low;
            self.limit_high = high;
        }
        if reference.is_some() {
            self.reference = reference;
        }
    }

    /// The day is over: the last trade becomes the close unless a closing auction already set it.
    pub fn on_close(&mut self) {
        if !self.close.is_some() {
            self.close = self.last;
        }
    }

    /// A new day: the old close (or last, or reference) is the new reference, all else is empty.
    #[must_use]
    pub fn next_day(&self) -> Self {
        let reference = [self.close, self.last, self.reference].into_iter().find(|price| price.is_some());
        Self { reference: reference.unwrap_or_default(), ..Self::default() }
    }

    /// Volume-weighted average price, rounded half up to 10⁻⁹; `None` without volume.
    #[must_use]
    pub fn vwap(&self) -> Option<Price> {
        if self.volume == 0 {
            return None;
        }
        let volume = i128::from(self.volume);
        i64::try_from((self.turnover + volume / 2).div_euclid(volume)).ok().map(Price)
    }

    /// Last (or close) minus reference; `None` while either is missing.
    #[must_use]
    pub fn change(&self) -> Option<Price> {
        (self.last.is_some() && self.reference.is_some()).then(|| Price(self.last.0 - self.reference.0))
    }

    /// The change in hundredths of a percent of the reference, rounded half away from zero.
    #[must_use]
    pub fn change_basis_points(&self) -> Option<i64> {
        let change = i128::from(self.change()?.0);
        let reference = i128::from(self.reference.0);
        if reference == 0 {
            return None;
        }
        let doubled = change * 20_000 / reference;
        i64::try_from((doubled + doubled.signum()) / 2).ok()
    }

    /// Number of records of [`Statistics::records`].
    pub const RECORDS: usize = 11;

    /// Everything as records, for a snapshot.
    #[must_use]
    pub fn records(&self) -> [StatisticUpdate; Self::RECORDS] {
        let turnover = self.turnover.cast_unsigned();
        let price = |kind, price: Price| record(kind, price.0, 0, 0);
        [
            price(statistic::OPEN, self.open),
            price(statistic::HIGH, self.high),
            price(statistic::LOW, self.low),
            price(statistic::LAST, self.last),
            price(statistic::CLOSE, self.close),
            price(statistic::REFERENCE, self.reference),
            price(statistic::LIMIT_LOW, self.limit_low),
            price(statistic::LIMIT_HIGH, self.limit_high),
            record(statistic::VOLUME, 0, self.volume, 0),
            record(statistic::TURNOVER, 0, turnover as u64, (turnover >> 64) as u64),
            record(statistic::TRADES, 0, self.trades, 0),
        ]
    }

    /// Takes one record of a snapshot; unknown kinds are ignored (a newer writer).
    pub fn on_record(&mut self, record: &StatisticUpdate) {
        let price = Price(record.price);
        match record.kind {
            statistic::OPEN => self.open = price,
            statistic::HIGH => self.high = price,
            statistic::LOW => self.low = price,
            statistic::LAST => self.last = price,
            statistic::CLOSE => self.close = price,
            statistic::REFERENCE => self.reference = price,
            statistic::LIMIT_LOW => self.limit_low = price,
            statistic::LIMIT_HIGH => self.limit_high = price,
            statistic::VOLUME => self.volume = record.amount_low,
            statistic::TURNOVER => {
                self.turnover = (u128::from(record.amount_high) << 64 | u128::from(record.amount_low)).cast_signed();
            }
            statistic::TRADES => self.trades = record.amount_low,
            _ => {}
        }
    }
}

fn record(kind: u8, price: i64, amount_low: u64, amount_high: u64) -> StatisticUpdate {
    StatisticUpdate {
        length: 16,
        rtype: rtype::STATISTIC,
        flags: 0,
        side: b'N',
        book_id: 0,
        exchange_ns: 0,
        seq: 0,
        received_ns: 0,
        price,
        amount_low,
        amount_high,
        kind,
        reserved: [0; 7],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn price(cents: i64) -> Price {
        Price::from_decimal(cents, 2).unwrap()
    }

    fn day() -> Statistics {
        let mut day = Statistics { reference: price(2_000), ..Statistics::default() };
        day.on_trade(price(2_010), 100, 0);
        day.on_trade(price(1_990), 50, 0);
        day.on_trade(price(9_999), 7, conditions::NON_PRINTABLE);
        day.on_trade(price(2_030), 50, conditions::CROSS);
        day
    }

    #[test]
    fn printable_trades_make_the_statistics() {
        let day = day();
        assert_eq!((day.open, day.high, day.low, day.last), (price(2_010), price(2_030), price(1_990), price(2_030)));
        assert_eq!((day.volume, day.trades), (200, 3));
        assert_eq!(day.turnover, i128::from(price(1).0) * (2_010 * 100 + 1_990 * 50 + 2_030 * 50));
        assert_eq!(day.vwap(), Some(price(2_010)));
        assert_eq!(day.change_basis_points(), Some(150));
    }

    #[test]
    fn a_snapshot_gives_the_same_statistics() {
        let mut day = day();
        day.turnover = -1;
        day.on_close();
        let mut copy = Statistics::default();
        day.records().iter().for_each(|record| copy.on_record(record));
        assert_eq!(copy, day);
    }

    #[test]
    fn the_close_is_the_next_reference() {
        let mut first = day();
        first.on_close();
        let next = first.next_day();
        assert_eq!(next.reference, price(2_030));
        assert_eq!((next.trades, next.open), (0, Price::NONE));
        assert_eq!(next.next_day().reference, price(2_030), "a day without trades keeps the base price");
    }

    #[test]
    fn changes_are_rounded_away_from_zero() {
        let at = |last, reference| Statistics { last: Price(last), reference: Price(reference), ..Default::default() };
        assert_eq!(at(10_015, 10_010).change_basis_points(), Some(5));
        assert_eq!(at(99_995, 100_000).change_basis_points(), Some(-1));
        assert_eq!(at(5, 0).change_basis_points(), None);
    }
}
