//! The grid of a dense ladder: which prices have a place on it, and which place.
//!
//! Knows keys, not prices: a key is a price as a number that is the smaller the better it is for its side, so that both
//! sides are one case. Holds no level.

use crate::tick::TickTable;
use crate::types::{Price, Side};

/// Widest ladder, in ticks per side: one 64-bit summary of 64 words. A BIST share needs at most about 1,000
/// (10 % either way, with the step of the finer of its two tick bands).
pub const LADDER_SLOTS_MAX: usize = 64 * 64;

/// Coarsest step of a guessed ladder: 0.01, in 10⁻⁹ nodes.
const WINDOW_STEP_MAX: i64 = 10_000_000;

/// A price as a number that is the smaller the better it is for its side, and back.
#[inline(always)]
pub(crate) const fn key_of(side: usize, price: i64) -> i64 {
    // All bits turned for bids: reverses the order, and nothing runs over. No branch: sides alternate at random.
    price ^ (side as i64 - 1)
}

/// `slots` keys from `low` in steps of `step`, none of which runs over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grid {
    pub low: i64,
    pub step: i64,
    pub slots: u16,
}

impl Grid {
    /// The grid of a tick table for a side, if it has a price band that is narrow enough.
    pub fn of(ticks: &TickTable, side: Side) -> Option<Self> {
        let (low, high) = ticks.span()?;
        let step = ticks.common_step()?;
        let slots = high.0.checked_sub(low.0)? / step + 1;
        if slots > LADDER_SLOTS_MAX as i64 || low.0 == i64::MIN {
            return None;
        }
        // The band may end between two steps: the grid begins at a price that both sides can have.
        let best = if side == Side::Bid { low.0 + (slots - 1) * step } else { low.0 };
        Some(Self { low: key_of(side.index(), best), step, slots: slots as u16 })
    }

    /// A grid around the first price of a side that nobody announced a band for. The step is the largest power of ten
    /// up to 0.01 that the price is a multiple of.
    pub fn around(price: Price, side: Side, slots: u16) -> Option<Self> {
        if price.0.unsigned_abs() > i64::MAX.unsigned_abs() / 4 {
            return None;
        }
        let mut step = WINDOW_STEP_MAX;
        while price.0 % step != 0 {
            step /= 10;
        }
        Some(Self { low: key_of(side.index(), price.0) - i64::from(slots / 2) * step, step, slots })
    }

    /// What a place needs to be found by.
    pub const fn divisor(&self) -> Divisor {
        let shift = self.step.trailing_zeros();
        Divisor { inverse: inverse_of((self.step >> shift) as u64), shift: shift as u8 }
    }
}

/// An exact division by a step = odd × 2^`shift`, where `inverse` × odd = 1 (mod 2^64).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Divisor {
    pub inverse: u64,
    pub shift: u8,
}

impl Divisor {
    /// How often the step goes into a distance; 2^64 / odd or more where it does not go in exactly (Granlund and
    /// Montgomery, Division by Invariant Integers using Multiplication, 1994, section 9).
    #[inline(always)]
    pub const fn divide(self, distance: u64) -> u64 {
        distance.wrapping_mul(self.inverse).rotate_right(self.shift as u32)
    }
}

/// The inverse of an odd number modulo 2^64, by Newton's iteration (each step doubles the right bits, from 5).
const fn inverse_of(odd: u64) -> u64 {
    let mut inverse = odd.wrapping_mul(3) ^ 2;
    let mut step = 0;
    while step < 4 {
        inverse = inverse.wrapping_mul(2u64.wrapping_sub(odd.wrapping_mul(inverse)));
        step += 1;
    }
    inverse
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_distance_that_is_no_multiple_is_seen(step in 1i64..1_000_000_000, places in 0u64..4_096, off in 0u64..1_000_000_000) {
            let divisor = Grid { low: 0, step, slots: 1 }.divisor();
            let distance = places * step.unsigned_abs();
            prop_assert_eq!(divisor.divide(distance), places);
            let off = off % step.unsigned_abs();
            if off != 0 {
                prop_assert!(divisor.divide(distance + off) >= 1 << 16);
                prop_assert!(divisor.divide(distance.wrapping_sub(off)) >= 1 << 16);
            }
        }
    }

    #[test]
    fn a_better_price_has_a_smaller_key() {
        assert!(key_of(0, 10) < key_of(0, 9) && key_of(1, 9) < key_of(1, 10));
        for price in [i64::MIN, -1, 0, 1, i64::MAX] {
            assert_eq!((key_of(0, key_of(0, price)), key_of(1, price)), (price, price));
        }
    }

    #[test]
    fn a_ladder_is_laid_around_the_first_price_on_its_own_step() {
        for (price, step) in
            [(5_430_000_000, 10_000_000), (5_431_500_000, 100_000), (7, 1), (0, 10_000_000), (-30_000_000, 10_000_000)]
        {
            for side in [Side::Bid, Side::Ask] {
                let grid = Grid::around(Price(price), side, 64).unwrap();
                let distance = key_of(side.index(), price).wrapping_sub(grid.low) as u64;
                assert_eq!((grid.step, grid.divisor().divide(distance)), (step, 32), "{price}");
            }
        }
        assert!(Grid::around(Price(i64::MAX - 1), Side::Ask, 64).is_none());
    }
}
