//! Daily price limits, and those of the closing auction.
//!
//! Rounding is inward: the floor up, the ceiling down, each by the step of its own band, so that the largest move is usually a
//! little under the percentage. Where the base price comes from (the close before, adjusted for corporate actions) is not known here.

use super::ticks::TickRules;
use crate::types::Price;

/// Shares, funds, certificates: percent of the base price, since March 2020 "until further notice".
pub const SHARES_PERCENT: u8 = 10;
/// Pre-emptive rights and the ticker ISKUR: percent of the base price.
pub const RIGHTS_PERCENT: u8 = 50;
/// Closing auction and trading at close: percent of the last continuous price, inside the daily limits.
pub const CLOSING_PERCENT: u8 = 3;

/// Lowest and highest price of a day (or of a closing auction), both valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PriceLimits {
    /// Floor.
    pub low: Price,
    /// Ceiling.
    pub high: Price,
}

impl PriceLimits {
    /// `base` ± `percent` %, rounded inward.
    #[must_use]
    pub fn around(rules: &TickRules, base: Price, percent: u8) -> Self {
        let (base, percent) = (i128::from(base.0), i128::from(percent));
        // The floor must not lose its fraction before it is rounded up.
        let low = (base * (100 - percent)).div_euclid(100) + i128::from((base * (100 - percent)).rem_euclid(100) > 0);
        let high = (base * (100 + percent)).div_euclid(100);
        let price = |nanos: i128| Price(i64::try_from(nanos).unwrap_or(if nanos < 0 { i64::MIN } else { i64::MAX }));
        Self { low: rules.round_up(price(low)), high: rules.round_down(price(high)) }
    }

    /// The nearest price inside.
    #[must_use]
    pub fn clamp(self, price: Price) -> Price {
        price.clamp(self.low, self.high.max(self.low))
    }

    /// Whether `price` is inside.
    #[must_use]
    pub fn contains(self, price: Price) -> bool {
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
    pub fn bands(self, rules: &TickRules) -> impl Iterator<Item = (i64, Price, Price)> {
        let bands = rules.bands;
        (0..bands.len()).filter_map(move |at| {
            let band = bands[at];
            let end = bands.get(at + 1).map_or(Price::NONE, |next| Price(next.from.0 - band.tick));
            let (from, to) = (band.from.max(self.low), end.min(self.high));
            (from <= to).then_some((band.tick, from, to))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::ticks::SHARES;
    use super::*;
    use proptest::prelude::*;

    const KURUS: i64 = 10_000_000;

    fn limits(low: i64, high: i64) -> PriceLimits {
        PriceLimits { low: Price(low * KURUS), high: Price(high * KURUS) }
    }

    #[test]
    fn the_worked_examples_of_daily_limits_hold() {
        for (base, low, high) in
            [(204, 184, 224), (275, 248, 302), (2_100, 1_890, 2_310), (2_270, 2_044, 2_496), (1_850, 1_665, 2_034)]
        {
            assert_eq!(PriceLimits::around(&SHARES, Price(base * KURUS), 10), limits(low, high), "base {base}");
        }
    }

    #[test]
    fn the_tick_table_of_a_day_is_cut_at_its_limits() {
        let bands = |base: i64| -> Vec<_> {
            let limits = PriceLimits::around(&SHARES, Price(base * KURUS), 10);
            limits.bands(&SHARES).map(|(tick, from, to)| (tick / KURUS, from.0 / KURUS, to.0 / KURUS)).collect()
        };
        assert_eq!(bands(1_850), [(1, 1_665, 1_999), (2, 2_000, 2_034)]);
        assert_eq!(bands(745_000), [(250, 670_500, 819_500)]);
    }

    #[test]
    fn a_closing_auction_stays_inside_the_day() {
        let day = PriceLimits::around(&SHARES, Price(10_000 * KURUS), SHARES_PERCENT);
        let closing = PriceLimits::around(&SHARES, Price(10_900 * KURUS), CLOSING_PERCENT);
        assert_eq!(day.intersect(closing), limits(10_580, 11_000));
        assert_eq!(day.intersect(limits(1, 2)), day);
    }

    proptest! {
        #[test]
        fn rounding_is_inward_and_exact(base in 10..900_000i64) {
            let limits = PriceLimits::around(&SHARES, Price(base * KURUS), 10);
            prop_assert!(SHARES.is_valid(limits.low) && SHARES.is_valid(limits.high));
            prop_assert!(limits.low.0 * 100 >= base * KURUS * 90);
            prop_assert!(limits.high.0 * 100 <= base * KURUS * 110);
            prop_assert!(SHARES.step(limits.low, -1).0 * 100 < base * KURUS * 90);
            prop_assert!(SHARES.step(limits.high, 1).0 * 100 > base * KURUS * 110);
        }

        #[test]
        fn no_base_is_too_large(base: i64, percent in 0u8..=100) {
            let limits = PriceLimits::around(&SHARES, Price(base), percent);
            let inside = limits.clamp(Price(base));
            prop_assert!(limits.contains(inside) || limits.high < limits.low);
        }
    }
}
