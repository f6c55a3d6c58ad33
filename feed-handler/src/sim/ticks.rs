//! Price steps and daily price limits of shares, as in force since 6 November 2023.
//!
//! Works on integers only. Never decides whether an order is allowed; it only answers which prices exist.

/// A price in thousandths of a lira: the unit of the feed, whose directory announces three decimals.
pub type Milli = i32;

/// A price that the wire marks as "none": a market order, or no equilibrium.
pub const NO_PRICE: Milli = i32::MIN;

/// One band of the tick table: prices from `from` up to the next band's `from` are multiples of `tick`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Band {
    /// Lowest price of the band.
    pub from: Milli,
    /// Step.
    pub tick: Milli,
}

/// Tick table of shares and pre-emptive rights (exchange notice 19412 of 28 August 2023).
pub const SHARE_BANDS: [Band; 8] = [
    Band { from: 10, tick: 10 },
    Band { from: 20_000, tick: 20 },
    Band { from: 50_000, tick: 50 },
    Band { from: 100_000, tick: 100 },
    Band { from: 250_000, tick: 250 },
    Band { from: 500_000, tick: 500 },
    Band { from: 1_000_000, tick: 1_000 },
    Band { from: 2_500_000, tick: 2_500 },
];

const _: () = {
    // Each band start is a multiple of both neighbouring ticks, so stepping over a limit never leaves the grid.
    let mut at = 1;
    while at < SHARE_BANDS.len() {
        assert!(SHARE_BANDS[at].from % SHARE_BANDS[at].tick == 0);
        assert!(SHARE_BANDS[at].from % SHARE_BANDS[at - 1].tick == 0);
        at += 1;
    }
};

fn band_of(price: Milli) -> usize {
    SHARE_BANDS.partition_point(|band| band.from <= price).saturating_sub(1)
}

/// The tick at `price`: the tick of the order price's own band.
#[must_use]
pub fn tick_at(price: Milli) -> Milli {
    SHARE_BANDS[band_of(price)].tick
}

/// Whether an order may carry `price`.
#[must_use]
pub fn is_valid(price: Milli) -> bool {
    price >= SHARE_BANDS[0].from && price % tick_at(price) == 0
}

/// The highest valid price at or below `price`, at least the lowest price of the table.
#[must_use]
pub fn round_down(price: Milli) -> Milli {
    (price - price.rem_euclid(tick_at(price))).max(SHARE_BANDS[0].from)
}

/// The lowest valid price at or above `price`.
#[must_use]
pub fn round_up(price: Milli) -> Milli {
    let down = round_down(price);
    if down >= price { down } else { down + tick_at(down) }
}

/// The valid price `ticks` steps above (negative: below) the valid price `price`, not below the lowest price.
#[must_use]
pub fn step(price: Milli, ticks: i32) -> Milli {
    from_rank(rank(price).saturating_add(ticks))
}

/// The number of valid prices below `price`, itself rounded down to a valid one. Steps between two prices are the
/// difference of their ranks, also across band limits.
#[must_use]
pub fn rank(price: Milli) -> i32 {
    let band = band_of(price);
    let mut below = 0;
    for at in 0..band {
        below += (SHARE_BANDS[at + 1].from - SHARE_BANDS[at].from) / SHARE_BANDS[at].tick;
    }
    below + (price.max(SHARE_BANDS[0].from) - SHARE_BANDS[band].from) / SHARE_BANDS[band].tick
}

fn from_rank(rank: i32) -> Milli {
    let mut rest = rank.max(0);
    for at in 0..SHARE_BANDS.len() - 1 {
        let steps = (SHARE_BANDS[at + 1].from - SHARE_BANDS[at].from) / SHARE_BANDS[at].tick;
        if rest < steps {
            return SHARE_BANDS[at].from + rest * SHARE_BANDS[at].tick;
        }
        rest -= steps;
    }
    let last = SHARE_BANDS[SHARE_BANDS.len() - 1];
    last.from.saturating_add(rest.saturating_mul(last.tick) / last.tick * last.tick)
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
    /// `base` ± `percent` %, rounded inward: the floor up, the ceiling down, each on the tick of its own band.
    #[must_use]
    pub fn around(base: Milli, percent: u8) -> Self {
        let base = i64::from(base);
        let percent = i64::from(percent);
        // Both products are exact in hundredths; the floor must not lose its fraction before it is rounded up.
        let low = (base * (100 - percent) + 99) / 100;
        let high = base * (100 + percent) / 100;
        let low = Milli::try_from(low).unwrap_or(Milli::MAX);
        let high = Milli::try_from(high).unwrap_or(Milli::MAX);
        Self { low: round_up(low), high: round_down(high) }
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
        (0..SHARE_BANDS.len()).filter_map(move |at| {
            let band = SHARE_BANDS[at];
            let end = SHARE_BANDS.get(at + 1).map_or(Milli::MAX, |next| next.from - band.tick);
            let (from, to) = (band.from.max(self.low), end.min(self.high));
            (from <= to).then_some((band.tick, from, to))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_worked_examples_of_daily_limits_hold() {
        for (base, low, high) in [
            (2_040, 1_840, 2_240),
            (2_750, 2_480, 3_020),
            (21_000, 18_900, 23_100),
            (22_700, 20_440, 24_960),
            (18_500, 16_650, 20_340),
        ] {
            assert_eq!(Limits::around(base, 10), Limits { low, high }, "base {base}");
        }
    }

    #[test]
    fn every_band_ends_at_the_last_price_of_the_table() {
        for (last, start) in [
            (19_990, 20_000),
            (49_980, 50_000),
            (99_950, 100_000),
            (249_900, 250_000),
            (499_750, 500_000),
            (999_500, 1_000_000),
            (2_499_000, 2_500_000),
        ] {
            assert!(is_valid(last) && is_valid(start));
            assert_eq!(step(last, 1), start, "one tick up from the last price of a band is the next band's start");
            assert_eq!(step(start, -1), last, "one tick down from a band start uses the lower band's tick");
        }
        assert!(!is_valid(20_350) && !is_valid(0) && !is_valid(20_010) && !is_valid(2_501_000));
        assert_eq!(step(10, -5), 10, "nothing below the lowest price");
    }

    #[test]
    fn the_tick_table_of_a_day_is_cut_at_its_limits() {
        let bands: Vec<_> = Limits::around(18_500, 10).bands().collect();
        assert_eq!(bands, [(10, 16_650, 19_990), (20, 20_000, 20_340)]);
        let bands: Vec<_> = Limits::around(7_450_000, 10).bands().collect();
        assert_eq!(bands, [(2_500, 6_705_000, 8_195_000)]);
    }

    proptest! {
        #[test]
        fn ranks_count_the_valid_prices(price in 10..20_000_000i32, ticks in -400..400i32) {
            let price = round_down(price);
            prop_assert!(is_valid(price));
            prop_assert_eq!(step(price, 0), price);
            let other = step(price, ticks);
            prop_assert!(is_valid(other));
            if other > SHARE_BANDS[0].from {
                prop_assert_eq!(rank(other) - rank(price), ticks);
            }
        }

        #[test]
        fn rounding_is_inward_and_tight(base in 100..9_000_000i32) {
            let limits = Limits::around(base, 10);
            prop_assert!(is_valid(limits.low) && is_valid(limits.high));
            prop_assert!(i64::from(limits.low) * 100 >= i64::from(base) * 90);
            prop_assert!(i64::from(limits.high) * 100 <= i64::from(base) * 110);
            prop_assert!(i64::from(step(limits.low, -1)) * 100 < i64::from(base) * 90);
            prop_assert!(i64::from(step(limits.high, 1)) * 100 > i64::from(base) * 110);
        }
    }
}
