//! One side's price levels as a reader keeps them: a sorted array whose best end is its last.
//!
//! Most changes are near the best, so they move little and are found from there. Tells what the last change was, so that
//! whoever shows the best levels need not compare them all. Never holds a level without a price or a visible quantity.

use crate::memory::prefetch;
use crate::types::{Level, Price, Side};

/// What a change did to a level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// Its totals are others.
    #[default]
    Totals,
    /// It is new: worse ones have moved one rank away from the best.
    Came,
    /// It is no more: worse ones have moved one rank towards the best.
    Went,
}

/// The last change of a side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Its price.
    pub price: Price,
    /// Rank of the level, 0 = best; of one that went, the rank that it had.
    pub rank: u32,
    /// What happened to it.
    pub kind: Kind,
}

/// One side's levels.
#[derive(Clone, Debug)]
pub struct Levels {
    /// Best last.
    worst_first: Vec<Level>,
    version: u64,
    last: Change,
    side: Side,
}

/// Content alone: how it came about does not count.
impl PartialEq for Levels {
    fn eq(&self, other: &Self) -> bool {
        (self.side, &self.worst_first) == (other.side, &other.worst_first)
    }
}

impl Eq for Levels {}

impl Levels {
    /// No levels.
    #[must_use]
    pub fn new(side: Side) -> Self {
        Self { worst_first: Vec::with_capacity(256), version: 0, last: Change::default(), side }
    }

    /// Best first.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Level> + DoubleEndedIterator {
        self.worst_first.iter().rev()
    }

    /// The best level.
    #[must_use]
    pub fn best(&self) -> Option<&Level> {
        self.worst_first.last()
    }

    /// The level at a rank, 0 = best.
    #[inline]
    #[must_use]
    pub fn at(&self, rank: usize) -> Option<&Level> {
        self.worst_first.get(self.worst_first.len().wrapping_sub(rank + 1))
    }

    /// Number of levels.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.worst_first.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.worst_first.is_empty()
    }

    /// Counts changes: one more, and [`Levels::last_change`] tells all the difference; two or more, and it does not.
    #[inline]
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// What the last change was.
    #[inline]
    #[must_use]
    pub fn last_change(&self) -> Change {
        self.last
    }

    /// Sets a level's totals; one without a price or a visible quantity goes.
    #[inline]
    pub fn set(&mut self, level: Level) {
        let (at, there) = self.find(level.price);
        let shown = level.quantity > 0 && level.price.is_some();
        let kind = match (there, shown) {
            (true, true) if self.worst_first[at] == level => return,
            (true, true) => {
                self.worst_first[at] = level;
                Kind::Totals
            }
            (true, false) => {
                self.worst_first.remove(at);
                Kind::Went
            }
            (false, true) => {
                self.worst_first.insert(at, level);
                Kind::Came
            }
            (false, false) => return,
        };
        let below = at + usize::from(kind != Kind::Went);
        self.last = Change { price: level.price, rank: (self.worst_first.len() - below) as u32, kind };
        self.version += 1;
    }

    /// Number of orders of a level, 0 where there is none.
    #[inline]
    #[must_use]
    pub fn count_at(&self, price: Price) -> u32 {
        let (at, there) = self.find(price);
        if there { self.worst_first[at].count } else { 0 }
    }

    /// Where a price stands or would stand, and whether it does: step by step from the best, where most are.
    #[inline(always)]
    fn find(&self, price: Price) -> (usize, bool) {
        /// Steps after which halving is quicker.
        const STEPS_MAX: usize = 24;
        // Turns asks round, so that the worse price is the smaller number on both sides.
        let turn = -i64::from(self.side != Side::Bid);
        let key = price.0 ^ turn;
        let levels = &self.worst_first[..];
        let steps = levels.iter().rev().take(STEPS_MAX).take_while(|have| have.price.0 ^ turn >= key).count();
        let mut at = levels.len() - steps;
        if steps == STEPS_MAX {
            at = levels[..at].partition_point(|have| have.price.0 ^ turn < key);
        }
        (at, levels.get(at).is_some_and(|have| have.price == price))
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.worst_first.clear();
        self.version += 2; // no single change tells it
    }

    /// Starts to load what a change near the best will touch.
    #[inline(always)]
    pub(super) fn prefetch_best(&self) {
        const LEVELS_PER_LINE: usize = 64 / size_of::<Level>();
        let best = self.worst_first.len().wrapping_sub(1);
        for line in 0..4 {
            prefetch(&self.worst_first, best.wrapping_sub(line * LEVELS_PER_LINE));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(price: i64, quantity: u64) -> Level {
        Level { price: Price(price), quantity, count: u32::from(quantity > 0) }
    }

    #[test]
    fn levels_keep_their_order_and_tell_what_changed() {
        let mut bids = Levels::new(Side::Bid);
        let mut set = |price, quantity| {
            let before = bids.version();
            bids.set(level(price, quantity));
            let Change { rank, kind, price } = bids.last_change();
            (bids.version() - before, rank, kind, price.0)
        };
        assert_eq!(set(10, 1), (1, 0, Kind::Came, 10));
        assert_eq!(set(12, 1), (1, 0, Kind::Came, 12));
        assert_eq!(set(11, 1), (1, 1, Kind::Came, 11));
        assert_eq!(set(11, 5), (1, 1, Kind::Totals, 11));
        assert_eq!(set(11, 5).0, 0, "the same again changes nothing");
        assert_eq!(set(10, 0), (1, 2, Kind::Went, 10));
        assert_eq!(set(9, 0).0, 0, "removing what is not there changes nothing");
        assert_eq!(set(i64::MAX, 3).0, 0, "a market order has no level");
        let prices: Vec<_> = bids.iter().map(|level| level.price.0).collect();
        assert_eq!(prices, [12, 11]);
        assert_eq!((bids.at(1).unwrap().quantity, bids.at(2)), (5, None));
        let version = bids.version();
        bids.clear();
        assert!(bids.version() > version + 1, "no single change tells it");
        let mut asks = Levels::new(Side::Ask);
        asks.set(level(12, 1));
        asks.set(level(10, 1));
        assert_eq!(asks.best().unwrap().price, Price(10));
    }

    #[test]
    fn near_and_far_levels_are_found_alike() {
        for side in [Side::Bid, Side::Ask] {
            let mut levels = Levels::new(side);
            let mut plain = std::collections::BTreeMap::new();
            let mut state = 3_u64;
            for _ in 0..4_000 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let (price, quantity) = ((state >> 33) as i64 % 150, (state >> 50) % 3);
                levels.set(level(price, quantity));
                if quantity > 0 {
                    plain.insert(price, quantity);
                } else {
                    plain.remove(&price);
                }
                let mut want: Vec<_> = plain.iter().map(|(&price, &quantity)| level(price, quantity)).collect();
                if side == Side::Bid {
                    want.reverse();
                }
                assert_eq!(levels.iter().copied().collect::<Vec<_>>(), want);
                assert_eq!(levels.count_at(Price(price)), u32::from(quantity > 0));
            }
        }
    }
}
