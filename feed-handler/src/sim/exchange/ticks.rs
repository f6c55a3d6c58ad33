//! Price steps and limits in the feed's unit, thousandths of a lira.
//!
//! Knows no rule: the tables and the arithmetic are those of [`book::exchange`].

use book::Price;
use book::exchange::limits::PriceLimits;
use book::exchange::ticks::SHARES;

/// A price in thousandths of a lira: the unit of the feed, whose directory announces three decimals.
pub type Milli = i32;

/// A price that the wire marks as "none": a market order, or no equilibrium.
pub const NO_PRICE: Milli = i32::MIN;

/// 10⁻⁹ liras in a thousandth.
const MILLI: i64 = Price::SCALE / 1_000;

/// The price of so many thousandths.
#[must_use]
pub const fn price_of(milli: Milli) -> Price {
    Price(milli as i64 * MILLI)
}

/// The thousandths of a price; what does not fit is the nearest that does.
#[must_use]
pub fn milli_of(price: Price) -> Milli {
    let milli = price.0 / MILLI;
    Milli::try_from(milli).unwrap_or(if milli < 0 { Milli::MIN } else { Milli::MAX })
}

/// The tick at `price`: the tick of the order price's own band.
#[must_use]
pub fn tick_at(price: Milli) -> Milli {
    milli_of(Price(SHARES.tick_at(price_of(price))))
}

/// Whether an order may carry `price`.
#[must_use]
pub fn is_valid(price: Milli) -> bool {
    SHARES.is_valid(price_of(price))
}

/// The highest valid price at or below `price`, at least the lowest price of the table.
#[must_use]
pub fn round_down(price: Milli) -> Milli {
    milli_of(SHARES.round_down(price_of(price)))
}

/// The valid price `ticks` steps above (negative: below) the valid price `price`, not below the lowest price.
#[must_use]
pub fn step(price: Milli, ticks: i32) -> Milli {
    milli_of(SHARES.step(price_of(price), i64::from(ticks)))
}

/// The number of valid prices below `price`, itself rounded down to a valid one.
#[must_use]
pub fn rank(price: Milli) -> i32 {
    // OK because there are fewer than 2³¹ thousandths.
    SHARES.rank(price_of(price)) as i32
}

/// Lowest and highest price of a day (or of a closing auction), both valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Floor.
    pub low: Milli,
    /// Ceiling.
    pub high: Milli,
}

impl Limits {
    /// `base` ± `percent` %, rounded inward.
    #[must_use]
    pub fn around(base: Milli, percent: u8) -> Self {
        let PriceLimits { low, high } = PriceLimits::around(&SHARES, price_of(base), percent);
        Self { low: milli_of(low), high: milli_of(high) }
    }

    /// The same limits as prices.
    #[must_use]
    pub const fn prices(self) -> PriceLimits {
        PriceLimits { low: price_of(self.low), high: price_of(self.high) }
    }

    /// The nearest price inside.
    #[must_use]
    pub fn clamp(self, price: Milli) -> Milli {
        price.clamp(self.low, self.high.max(self.low))
    }

    /// Whether `price` is inside.
    #[must_use]
    pub fn contains(self, price: Milli) -> bool {
        self.low <= price && price <= self.high
    }

    /// What is inside both; where they do not meet, `self`.
    #[must_use]
    pub fn intersect(self, other: Self) -> Self {
        let both = Self { low: self.low.max(other.low), high: self.high.min(other.high) };
        if both.low <= both.high { both } else { self }
    }

    /// The tick table cut to these limits: `(tick, from, to)` per band, the first `from` the floor, the last `to`
    /// the ceiling, each `to` the last valid price of its band.
    pub fn bands(self) -> impl Iterator<Item = (Milli, Milli, Milli)> {
        let bands = self.prices().bands(&SHARES);
        bands.map(|(tick, from, to)| (milli_of(Price(tick)), milli_of(from), milli_of(to)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousandths_follow_the_tables_of_prices() {
        assert_eq!(Limits::around(18_500, 10), Limits { low: 16_650, high: 20_340 });
        let bands: Vec<_> = Limits::around(18_500, 10).bands().collect();
        assert_eq!(bands, [(10, 16_650, 19_990), (20, 20_000, 20_340)]);
        assert_eq!((step(19_990, 1), step(20_000, -1), tick_at(20_000)), (20_000, 19_990, 20));
        assert_eq!((rank(20_020) - rank(19_980), round_down(20_035), is_valid(20_350)), (3, 20_020, false));
        assert_eq!((milli_of(Price::NONE), milli_of(price_of(NO_PRICE))), (Milli::MAX, NO_PRICE));
    }
}
