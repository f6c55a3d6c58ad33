//! Price steps: which prices an order may have.
//!
//! The step is that of the order price's own band, so it changes during a day and a book can have two. Integers only. Never
//! decides whether an order is allowed.

// OK because prices are written in kuruş, with the lira before the underscore.
#![allow(clippy::inconsistent_digit_grouping)]

use super::date::Day;
use crate::types::Price;

/// One band of a table: prices from `from` up to the next band's `from` are multiples of `tick`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Band {
    /// Lowest price of the band.
    pub from: Price,
    /// Step, 10⁻⁹ currency units.
    pub tick: i64,
}

/// The price steps of a kind of instrument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TickRules {
    /// First day on which they held.
    pub since: Day,
    /// Ascending; the first begins at the lowest price that there is.
    pub bands: &'static [Band],
}

/// A band in kuruş (1/100 TRY).
const fn band(from_kurus: i64, tick_kurus: i64) -> Band {
    const KURUS: i64 = Price::SCALE / 100;
    Band { from: Price(from_kurus * KURUS), tick: tick_kurus * KURUS }
}

/// Exchange notice 19412 of 28 August 2023.
const NOVEMBER_2023: Day = Day { year: 2023, month: 11, day: 6 };

/// Shares and pre-emptive rights. Many public tables still show the ones before, with 0.10 from 100 TRY upwards.
pub const SHARES: TickRules = TickRules {
    since: NOVEMBER_2023,
    bands: &[
        band(1, 1),
        band(20_00, 2),
        band(50_00, 5),
        band(100_00, 10),
        band(250_00, 25),
        band(500_00, 50),
        band(1_000_00, 1_00),
        band(2_500_00, 2_50),
    ],
};

/// Exchange-traded funds, units of real-estate and venture-capital funds.
pub const FUND_UNITS: TickRules = TickRules {
    since: NOVEMBER_2023,
    bands: &[
        band(1, 1),
        band(50_00, 2),
        band(100_00, 5),
        band(250_00, 10),
        band(500_00, 25),
        band(1_000_00, 50),
        band(2_500_00, 1_00),
    ],
};

/// Warrants and certificates.
pub const WARRANTS: TickRules = TickRules { since: NOVEMBER_2023, bands: &[band(1, 1)] };

const _: () = assert!(SHARES.meets() && FUND_UNITS.meets() && WARRANTS.meets());

impl TickRules {
    /// Whether each band starts at a multiple of both neighbouring steps, so that stepping over a limit never leaves the grid.
    const fn meets(&self) -> bool {
        let mut at = 1;
        while at < self.bands.len() {
            let from = self.bands[at].from.0;
            if from % self.bands[at].tick != 0 || from % self.bands[at - 1].tick != 0 {
                return false;
            }
            at += 1;
        }
        true
    }

    /// The lowest price that there is.
    #[must_use]
    pub const fn lowest(&self) -> Price {
        self.bands[0].from
    }

    fn band_of(&self, price: Price) -> usize {
        self.bands.partition_point(|band| band.from <= price).saturating_sub(1)
    }

    /// The step at `price`, 10⁻⁹ currency units.
    #[must_use]
    pub fn tick_at(&self, price: Price) -> i64 {
        self.bands[self.band_of(price)].tick
    }

    /// Whether an order may carry `price`.
    #[must_use]
    pub fn is_valid(&self, price: Price) -> bool {
        price.is_some() && price >= self.lowest() && price.0 % self.tick_at(price) == 0
    }

    /// The highest valid price at or below `price`, at least the lowest price of the table.
    #[must_use]
    pub fn round_down(&self, price: Price) -> Price {
        Price(price.0.saturating_sub(price.0.rem_euclid(self.tick_at(price)))).max(self.lowest())
    }

    /// The lowest valid price at or above `price`.
    #[must_use]
    pub fn round_up(&self, price: Price) -> Price {
        let down = self.round_down(price);
        if down >= price { down } else { Price(down.0.saturating_add(self.tick_at(down))) }
    }

    /// The valid price `ticks` steps above (negative: below) the valid price `price`, not below the lowest price. A step down
    /// from the start of a band is one of the band below.
    #[must_use]
    pub fn step(&self, price: Price, ticks: i64) -> Price {
        self.price_of_rank(self.rank(price).saturating_add(ticks))
    }

    /// The number of valid prices below `price`, itself rounded down to a valid one. Steps between two prices are the
    /// difference of their ranks, also across band limits.
    #[must_use]
    pub fn rank(&self, price: Price) -> i64 {
        let band = self.band_of(price);
        let below: i64 = (0..band).map(|at| self.steps_of(at)).sum();
        below + (price.max(self.lowest()).0 - self.bands[band].from.0) / self.bands[band].tick
    }

    /// Steps from the start of a band that is not the last to the start of the next.
    fn steps_of(&self, band: usize) -> i64 {
        (self.bands[band + 1].from.0 - self.bands[band].from.0) / self.bands[band].tick
    }

    fn price_of_rank(&self, rank: i64) -> Price {
        let mut rest = rank.max(0);
        let last = self.bands.len() - 1;
        for at in 0..last {
            let steps = self.steps_of(at);
            if rest < steps {
                return Price(self.bands[at].from.0 + rest * self.bands[at].tick);
            }
            rest -= steps;
        }
        let Band { from, tick } = self.bands[last];
        Price(from.0.saturating_add(rest.saturating_mul(tick) / tick * tick))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn price(text: &str) -> Price {
        text.parse().unwrap()
    }

    #[track_caller]
    fn ends(rules: TickRules, table: &[(&str, &str)]) {
        for &(last, start) in table {
            let (last, start) = (price(last), price(start));
            assert!(rules.is_valid(last) && rules.is_valid(start));
            assert_eq!(
                rules.step(last, 1),
                start,
                "one tick up from the last price of a band is the next band's start"
            );
            assert_eq!(rules.step(start, -1), last, "one tick down from a band start uses the lower band's tick");
        }
    }

    #[test]
    fn every_band_ends_at_the_last_price_of_the_table() {
        ends(
            SHARES,
            &[
                ("19.99", "20"),
                ("49.98", "50"),
                ("99.95", "100"),
                ("249.90", "250"),
                ("499.75", "500"),
                ("999.50", "1000"),
                ("2499", "2500"),
            ],
        );
        ends(
            FUND_UNITS,
            &[
                ("49.99", "50"),
                ("99.98", "100"),
                ("249.95", "250"),
                ("499.90", "500"),
                ("999.75", "1000"),
                ("2499.50", "2500"),
            ],
        );
        for off in ["20.35", "0", "20.01", "2501", "-1"] {
            assert!(!SHARES.is_valid(price(off)), "{off}");
        }
        // Quotes of July 2025, which fit no older table.
        assert!(SHARES.is_valid(price("497.25")) && SHARES.is_valid(price("500.50")));
        assert_eq!(SHARES.step(price("0.01"), -5), price("0.01"), "nothing below the lowest price");
        assert!(WARRANTS.is_valid(price("3000.01")) && !SHARES.is_valid(Price::NONE));
    }

    proptest! {
        #[test]
        fn ranks_count_the_valid_prices(kurus in 1..2_000_000i64, ticks in -400..400i64) {
            for rules in [SHARES, FUND_UNITS, WARRANTS] {
                let price = rules.round_down(Price(kurus * 10_000_000));
                prop_assert!(rules.is_valid(price));
                prop_assert_eq!(rules.step(price, 0), price);
                let other = rules.step(price, ticks);
                prop_assert!(rules.is_valid(other));
                if other > rules.lowest() {
                    prop_assert_eq!(rules.rank(other) - rules.rank(price), ticks);
                }
            }
        }

        #[test]
        fn no_price_is_too_large_or_too_small(nanos: i64, ticks: i64) {
            let price = SHARES.round_down(Price(nanos));
            prop_assert!(price >= SHARES.lowest() && SHARES.round_up(Price(nanos)) >= price);
            prop_assert!(SHARES.step(price, ticks) >= SHARES.lowest());
        }
    }
}
