//! Candles of 1 s, 1 min, 1 h and 1 d in Istanbul time, from trades.
//!
//! Never looks at a clock: a candle closes when the exchange's time passes its end. An interval without a
//! trade has no candle, as in DBN's `ohlcv` schemas.

use crate::slot::{CandleAmounts, CandlePrices, conditions, rtype};
use crate::types::{Nanos, Price};

/// Istanbul is UTC+3 all year since 2016.
pub const ISTANBUL_OFFSET_NS: u64 = 3 * 3_600 * 1_000_000_000;

/// Length of a candle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Interval {
    /// One second.
    Second = 0,
    /// One minute.
    Minute = 1,
    /// One hour.
    Hour = 2,
    /// One calendar day in Istanbul.
    Day = 3,
}

impl Interval {
    /// Every interval, in the order of its number.
    pub const ALL: [Self; 4] = [Self::Second, Self::Minute, Self::Hour, Self::Day];

    /// Length in nanoseconds.
    #[must_use]
    pub const fn length_ns(self) -> u64 {
        match self {
            Self::Second => 1_000_000_000,
            Self::Minute => 60_000_000_000,
            Self::Hour => 3_600_000_000_000,
            Self::Day => 86_400_000_000_000,
        }
    }

    /// The name outside: `1s`, `1m`, `1h`, `1d`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Second => "1s",
            Self::Minute => "1m",
            Self::Hour => "1h",
            Self::Day => "1d",
        }
    }

    /// The interval of an outside name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|interval| interval.name() == name)
    }

    /// Start of the interval that holds `ns`; days begin at midnight in Istanbul.
    #[must_use]
    pub const fn start_ns(self, ns: Nanos) -> Nanos {
        let offset = match self {
            Self::Day => ISTANBUL_OFFSET_NS,
            _ => 0, // OK because UTC+3 is a whole number of hours
        };
        let shifted = ns.saturating_add(offset);
        (shifted - shifted % self.length_ns()).saturating_sub(offset)
    }
}

/// Turnover of a candle stays within 96 bits, 4 × 10¹⁹ currency units, so that two records can carry a candle.
const TURNOVER_MAX: i128 = (1 << 95) - 1;

/// One candle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Candle {
    /// Start of the interval, Unix nanoseconds.
    pub start_ns: Nanos,
    /// First price.
    pub open: Price,
    /// Highest price.
    pub high: Price,
    /// Lowest price.
    pub low: Price,
    /// Last price.
    pub close: Price,
    /// Traded quantity.
    pub volume: u64,
    /// Σ price × quantity, 10⁻⁹ units.
    pub turnover: i128,
    /// Number of trades; 0 = no candle.
    pub trades: u32,
}

impl Candle {
    fn begin(start_ns: Nanos, price: Price) -> Self {
        Self { start_ns, open: price, high: price, low: price, close: price, ..Self::default() }
    }

    /// Counts a trade that came before all that are counted.
    pub(crate) fn on_earlier_trade(&mut self, price: Price, quantity: u64) {
        let amount = i128::from(price.0) * i128::from(quantity);
        let close = if self.trades == 0 { price } else { self.close };
        let (high, low) = if self.trades == 0 { (price, price) } else { (self.high, self.low) };
        *self = Self { open: price, high, low, ..*self };
        self.on_trade(price, quantity, amount);
        self.close = close;
    }

    /// Without the amounts of a trade. Prices stay: they are not known to be another trade's.
    pub(crate) fn less(&self, price: Price, quantity: u64) -> Self {
        Self {
            volume: self.volume.saturating_sub(quantity),
            turnover: self.turnover - i128::from(price.0) * i128::from(quantity),
            trades: self.trades.saturating_sub(1),
            ..*self
        }
    }

    /// `amount`: price × quantity.
    fn on_trade(&mut self, price: Price, quantity: u64, amount: i128) {
        self.high = self.high.max(price);
        self.low = self.low.min(price);
        self.close = price;
        self.volume = self.volume.saturating_add(quantity);
        let turnover = self.turnover.saturating_add(amount);
        self.turnover = turnover.clamp(-TURNOVER_MAX - 1, TURNOVER_MAX);
        self.trades = self.trades.saturating_add(1);
    }

    /// The two records that carry a candle in a snapshot or a correction.
    #[must_use]
    pub fn records(&self, interval: Interval) -> (CandlePrices, CandleAmounts) {
        let turnover = self.turnover.cast_unsigned();
        let prices = CandlePrices {
            length: 16,
            rtype: rtype::CANDLE_PRICES,
            flags: interval as u8,
            side: b'N',
            book_id: 0,
            exchange_ns: 0,
            seq: 0,
            received_ns: 0,
            open: self.open.0,
            high: self.high.0,
            low: self.low.0,
            close: self.close.0,
        };
        let amounts = CandleAmounts {
            length: 16,
            rtype: rtype::CANDLE_AMOUNTS,
            flags: interval as u8,
            side: b'N',
            book_id: 0,
            exchange_ns: 0,
            seq: 0,
            received_ns: 0,
            start_ns: self.start_ns,
            volume: self.volume,
            turnover_low: turnover as u64,
            // OK because the turnover stays within 96 bits.
            count_and_turnover_high: u64::from(self.trades) | ((turnover >> 64) as u64) << 32,
        };
        (prices, amounts)
    }

    /// The candle of two records; `None` for an interval that is not known.
    #[must_use]
    pub fn from_records(prices: &CandlePrices, amounts: &CandleAmounts) -> Option<(Interval, Self)> {
        let interval = *Interval::ALL.get(usize::from(prices.flags))?;
        let high = (amounts.count_and_turnover_high >> 32) as u32;
        let high_bits = i128::from(high.cast_signed()) << 64;
        let candle = Self {
            start_ns: amounts.start_ns,
            open: Price(prices.open),
            high: Price(prices.high),
            low: Price(prices.low),
            close: Price(prices.close),
            volume: amounts.volume,
            turnover: high_bits | i128::from(amounts.turnover_low),
            trades: amounts.count_and_turnover_high as u32,
        };
        Some((interval, candle))
    }
}

/// The forming candles of one book, one per interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candles {
    forming: [Option<Candle>; 4],
    /// The earliest end of the forming candles; `u64::MAX` when none is forming.
    next_end_ns: Nanos,
}

impl Default for Candles {
    fn default() -> Self {
        Self { forming: [None; 4], next_end_ns: u64::MAX }
    }
}

impl Candles {
    /// The candle of `interval` that is forming now.
    #[must_use]
    pub fn forming(&self, interval: Interval) -> Option<&Candle> {
        self.forming[interval as usize].as_ref()
    }

    /// The earliest end of the forming candles; `u64::MAX` when none is forming.
    #[inline]
    pub(crate) fn next_end_ns(&self) -> Nanos {
        self.next_end_ns
    }

    /// Counts a trade at `exchange_ns`. Candles whose end has passed go to `closed` first.
    ///
    /// A trade stamped before the start of the forming candle is counted into the forming one: closed candles
    /// never change.
    #[inline]
    pub fn on_trade(
        &mut self,
        exchange_ns: Nanos,
        price: Price,
        quantity: u64,
        trade_conditions: u8,
        closed: &mut impl FnMut(Interval, Candle),
    ) {
        self.on_time(exchange_ns, closed);
        if trade_conditions & (conditions::NON_PRINTABLE | conditions::BROKEN) != 0 || !price.is_some() {
            return;
        }
        let amount = i128::from(price.0) * i128::from(quantity);
        for interval in Interval::ALL {
            match &mut self.forming[interval as usize] {
                Some(candle) => candle.on_trade(price, quantity, amount),
                None => self.begin(interval, exchange_ns, price).on_trade(price, quantity, amount),
            }
        }
    }

    #[cold]
    fn begin(&mut self, interval: Interval, exchange_ns: Nanos, price: Price) -> &mut Candle {
        let start_ns = interval.start_ns(exchange_ns);
        self.next_end_ns = self.next_end_ns.min(start_ns.saturating_add(interval.length_ns()));
        self.forming[interval as usize].insert(Candle::begin(start_ns, price))
    }

    /// The exchange's clock reached `exchange_ns`: candles whose end has passed are closed.
    #[inline]
    pub fn on_time(&mut self, exchange_ns: Nanos, closed: &mut impl FnMut(Interval, Candle)) {
        if exchange_ns >= self.next_end_ns {
            self.close_until(exchange_ns, closed);
        }
    }

    #[cold]
    fn close_until(&mut self, exchange_ns: Nanos, closed: &mut impl FnMut(Interval, Candle)) {
        let mut next_end_ns = u64::MAX;
        for interval in Interval::ALL {
            let Some(candle) = self.forming[interval as usize] else { continue };
            let end_ns = candle.start_ns.saturating_add(interval.length_ns());
            if exchange_ns >= end_ns {
                self.forming[interval as usize] = None;
                closed(interval, candle);
            } else {
                next_end_ns = next_end_ns.min(end_ns);
            }
        }
        self.next_end_ns = next_end_ns;
    }

    /// Closes every candle, whatever the time is: its session is over.
    #[cold]
    pub fn end(&mut self, closed: &mut impl FnMut(Interval, Candle)) {
        for (interval, candle) in Interval::ALL.into_iter().filter_map(|at| Some((at, self.forming[at as usize]?))) {
            closed(interval, candle);
        }
        *self = Self::default();
    }

    /// The forming candle of `interval` as the two records of a snapshot.
    #[must_use]
    pub fn records(&self, interval: Interval) -> Option<(CandlePrices, CandleAmounts)> {
        Some(self.forming(interval)?.records(interval))
    }

    /// Takes the two records of a snapshot.
    pub fn on_records(&mut self, prices: &CandlePrices, amounts: &CandleAmounts) {
        let Some((interval, candle)) = Candle::from_records(prices, amounts) else { return };
        self.forming[interval as usize] = Some(candle);
        let end_ns = candle.start_ns.saturating_add(interval.length_ns());
        self.next_end_ns = self.next_end_ns.min(end_ns);
    }

    /// Puts `candle` in the place of the forming one with the same start; one without trades takes it away. Returns
    /// whether there was one.
    pub(crate) fn correct(&mut self, interval: Interval, candle: Candle) -> bool {
        let forming = &mut self.forming[interval as usize];
        let is_forming = forming.is_some_and(|forming| forming.start_ns == candle.start_ns);
        if is_forming {
            *forming = (candle.trades > 0).then_some(candle);
        }
        is_forming
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-23 10:00:00 in Istanbul.
    const TEN: Nanos = 1_795_417_200_000_000_000;
    const SECOND: Nanos = 1_000_000_000;

    fn run(trades: &[(Nanos, i64, u64)]) -> (Candles, Vec<(Interval, Candle)>) {
        let mut candles = Candles::default();
        let mut closed = Vec::new();
        for &(ns, price, quantity) in trades {
            candles.on_trade(ns, Price(price), quantity, 0, &mut |interval, candle| closed.push((interval, candle)));
        }
        (candles, closed)
    }

    #[test]
    fn a_day_begins_at_midnight_in_istanbul() {
        let midnight = Interval::Day.start_ns(TEN);
        assert_eq!(TEN - midnight, 10 * 3_600 * SECOND);
        assert_eq!(Interval::Day.start_ns(midnight - 1), midnight - 86_400 * SECOND);
        assert_eq!(Interval::Hour.start_ns(TEN), TEN);
    }

    #[test]
    fn a_candle_closes_when_time_passes_its_end() {
        let (candles, closed) = run(&[(TEN, 10, 1), (TEN + 1, 12, 2), (TEN + 2, 9, 1), (TEN + SECOND, 11, 5)]);
        let first = closed[0];
        assert_eq!(first.0, Interval::Second);
        assert_eq!(
            (first.1.open, first.1.high, first.1.low, first.1.close),
            (Price(10), Price(12), Price(9), Price(9))
        );
        assert_eq!((first.1.volume, first.1.trades, first.1.turnover), (4, 3, 43));
        assert_eq!(closed.len(), 1);
        assert_eq!(candles.forming(Interval::Minute).unwrap().volume, 9);
    }

    #[test]
    fn time_without_trades_closes_too_and_makes_no_empty_candle() {
        let (mut candles, _) = run(&[(TEN, 10, 1)]);
        let mut closed = Vec::new();
        candles.on_time(TEN + 3_600 * SECOND, &mut |interval, _| closed.push(interval));
        assert_eq!(closed, [Interval::Second, Interval::Minute, Interval::Hour]);
        candles.on_time(TEN + 7_200 * SECOND, &mut |interval, _| closed.push(interval));
        assert_eq!(closed.len(), 3);
        assert!(candles.forming(Interval::Day).is_some());
    }

    #[test]
    fn a_late_trade_never_changes_a_closed_candle() {
        let (candles, closed) = run(&[(TEN + SECOND, 10, 1), (TEN, 99, 1)]);
        assert!(closed.is_empty());
        assert_eq!(candles.forming(Interval::Second).unwrap().start_ns, TEN + SECOND);
    }

    #[test]
    fn a_snapshot_gives_the_same_candles() {
        let (candles, _) = run(&[(TEN, -10, u64::MAX / 2), (TEN + 1, i64::MAX - 1, 5)]);
        let mut copy = Candles::default();
        for interval in Interval::ALL {
            let (prices, amounts) = candles.records(interval).unwrap();
            copy.on_records(&prices, &amounts);
        }
        assert_eq!(copy, candles);
    }
}
