//! Price levels of one side: a dense ladder by tick where the price band is known or can be guessed, a sorted array for
//! every other price.
//!
//! Never allocates after construction. Both structures hold levels of one pool (`node_pool.rs`); a price is on the ladder if
//! it lies on the ladder's grid and in the sorted array otherwise, so no price is ever refused. Best is always first:
//! ladder and array are laid by key (`ladder.rs`), and the first bit of the ladder is its best level.

use std::hint::select_unpredictable as select;

pub use crate::market::store::ladder::LADDER_SLOTS_MAX;
use crate::market::store::ladder::{Divisor, Grid, key_of};
use crate::market::store::node_pool::{GROUP_LEVELS, NodePool};
use crate::market::store::sorted::{Entry, Regions, Sorted};
use crate::memory::{prefetch, table};
use crate::types::{Price, Side};

/// Key of no level. The worst bid there can be, i64::MIN, has it too and is taken for one better where keys are compared.
pub(crate) const NO_KEY: i64 = i64::MAX;
/// Groups of the widest ladder: a bit for each in the summary.
const GROUPS_MAX: usize = 64;

/// What the sides of all books share.
pub(crate) struct Arena {
    regions: Regions,
    /// A bit for each level of the ladders that holds orders, a word for a group of them.
    occupied: Vec<u64>,
    /// Groups that a side without an announced band may take.
    window_groups: u32,
}

impl Arena {
    /// For at most `levels_max` levels outside ladders. Each side of a book whose band was not announced may take
    /// `ladder_slots` / (2 × `books_max`) places for a ladder of its own.
    pub fn new(levels_max: usize, ladder_slots: usize, books_max: usize) -> Self {
        let share = (ladder_slots / (2 * books_max)).min(LADDER_SLOTS_MAX) / GROUP_LEVELS as usize;
        // Ladders a multiple of 4 KiB apart would have their touches in the same few sets of the cache: an odd number
        // of groups spreads them over all.
        let odd = if share > 1 { (share - 1) | 1 } else { share };
        Self {
            regions: Regions::new(levels_max),
            // The first word is that of no ladder; the last ones can be looked at by a ladder that is shorter.
            occupied: table(ladder_slots / GROUP_LEVELS as usize + 2 + GROUPS_MAX, 0),
            window_groups: odd as u32,
        }
    }

    /// Forgets all levels.
    pub fn clear(&mut self) {
        self.regions.clear();
        self.occupied.fill(0);
    }

    /// Starts to load the bit of a level.
    #[inline(always)]
    pub fn prefetch(&self, level: u32) {
        prefetch(&self.occupied, (level / GROUP_LEVELS) as usize);
    }
}

/// One side of a book: which levels hold orders, best first. One cache line.
#[derive(Clone, Debug)]
#[repr(C, align(64))]
pub(crate) struct LevelIndex {
    /// Key of the ladder's first place.
    low: i64,
    step: i64,
    /// A bit for each group of the ladder that holds orders.
    groups: u64,
    /// Key of the best level of the sorted array, or [`NO_KEY`].
    sorted_best: i64,
    divisor_inverse: u64,
    sorted: Sorted,
    /// First level of the ladder.
    first: u32,
    /// Places of the ladder.
    slots: u16,
    divisor_shift: u8,
    ladder: Ladder,
    side: Side,
}

const _: () = assert!(size_of::<LevelIndex>() == 64);

/// Where a side's ladder comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Ladder {
    /// There is none, and the first price may lay one.
    Open,
    /// There is none and there will be none: no memory is left for it, or no price to lay it around.
    Without,
    /// Laid around the first price.
    Guessed,
    /// Laid by the tick table.
    Announced,
}

impl LevelIndex {
    pub const fn new(side: Side) -> Self {
        Self {
            low: 0,
            step: 0,
            groups: 0,
            sorted_best: NO_KEY,
            divisor_inverse: 0,
            sorted: Sorted::EMPTY,
            first: 0,
            slots: 0,
            divisor_shift: 0,
            ladder: Ladder::Open,
            side,
        }
    }

    /// Forgets everything. The pool is cleared by the caller.
    pub fn reset(&mut self) {
        *self = Self::new(self.side);
    }

    pub fn has_ladder(&self) -> bool {
        self.slots > 0
    }

    /// Lays the ladder of a tick table for an empty side. `None`: no ladder memory is left; the sorted array serves
    /// alone.
    ///
    /// The memory of an old ladder is used again when it is large enough; else it stays unused until the next
    /// session, which is bounded by the ladder pool.
    pub fn lay_ladder(&mut self, pool: &mut NodePool, grid: Grid, book_side: u32) -> Option<()> {
        self.lay(pool, grid, Ladder::Announced, book_side)
    }

    fn lay(&mut self, pool: &mut NodePool, grid: Grid, ladder: Ladder, book_side: u32) -> Option<()> {
        debug_assert!(self.is_empty(), "a ladder is laid on an empty side");
        let groups = |slots: u16| u32::from(slots).div_ceil(GROUP_LEVELS);
        if groups(grid.slots) > groups(self.slots) {
            self.first = pool.take_ladder(groups(grid.slots))?;
        }
        let Divisor { inverse, shift } = grid.divisor();
        (self.low, self.step, self.slots) = (grid.low, grid.step, grid.slots);
        (self.divisor_inverse, self.divisor_shift) = (inverse, shift);
        self.ladder = ladder;
        for place in 0..u32::from(grid.slots) {
            let price = key_of(self.side.index(), self.key(place));
            pool.lay(self.first + place, price, book_side);
        }
        Some(())
    }

    /// The first price of a side without an announced band: a ladder around it, if there is memory for one.
    #[cold]
    fn lay_window(&mut self, pool: &mut NodePool, arena: &Arena, price: i64, book_side: u32) {
        self.ladder = Ladder::Without;
        let slots = (arena.window_groups * GROUP_LEVELS) as u16;
        if let (true, Some(grid)) = (slots > 0, Grid::around(Price(price), self.side, slots)) {
            // OK because without a ladder the sorted array takes every price.
            let _ = self.lay(pool, grid, Ladder::Guessed, book_side);
        }
    }

    #[inline(always)]
    fn key(&self, place: u32) -> i64 {
        self.low.wrapping_add(i64::from(place).wrapping_mul(self.step))
    }

    /// The level of a key on the ladder, and whether there is one.
    #[inline(always)]
    pub fn on_ladder(&self, key: i64) -> (u32, bool) {
        let divisor = Divisor { inverse: self.divisor_inverse, shift: self.divisor_shift };
        let place = divisor.divide(key.wrapping_sub(self.low) as u64);
        (self.first.wrapping_add(place as u32), place < u64::from(self.slots))
    }

    /// Whether a level is one of the ladder's.
    #[inline(always)]
    pub fn has(&self, level: u32) -> bool {
        level.wrapping_sub(self.first) < u32::from(self.slots)
    }

    /// Notes that a level of the ladder holds orders.
    #[inline(always)]
    pub fn set(&mut self, arena: &mut Arena, level: u32) {
        let group = level.wrapping_sub(self.first) / GROUP_LEVELS % GROUPS_MAX as u32;
        arena.occupied[(level / GROUP_LEVELS) as usize] |= 1 << (level % GROUP_LEVELS);
        self.groups |= 1 << group;
    }

    /// Notes that a level of the ladder, which held orders, still does or does not any more. No branch: which of them it
    /// is is hard to predict, and known late. Returns the best key that is left.
    #[inline(always)]
    pub fn on_less(&mut self, arena: &mut Arena, level: u32, is_empty: bool) -> i64 {
        let occupied = &mut arena.occupied[..];
        let group = level.wrapping_sub(self.first) / GROUP_LEVELS % GROUPS_MAX as u32;
        let word = &mut occupied[(level / GROUP_LEVELS) as usize];
        *word ^= u64::from(is_empty) << (level % GROUP_LEVELS);
        self.groups ^= u64::from(*word == 0) << group;
        self.best_in(occupied)
    }

    /// Key of the best level that holds orders, or [`NO_KEY`].
    #[inline(always)]
    pub fn best_key(&self, arena: &Arena) -> i64 {
        self.best_in(&arena.occupied)
    }

    #[inline(always)]
    fn best_in(&self, occupied: &[u64]) -> i64 {
        let group = self.groups.trailing_zeros();
        let word = occupied[(self.first / GROUP_LEVELS + group % GROUPS_MAX as u32) as usize];
        let key = self.key(group * GROUP_LEVELS + word.trailing_zeros());
        select(self.groups == 0, NO_KEY, key).min(self.sorted_best)
    }

    /// Whether no level holds orders.
    pub fn is_empty(&self) -> bool {
        self.groups == 0 && self.sorted.length == 0
    }

    /// The level of a price, if it holds orders or lies on the ladder.
    #[cfg(test)]
    fn find(&self, arena: &Arena, price: i64) -> Option<u32> {
        let key = key_of(self.side.index(), price);
        if let (level, true) = self.on_ladder(key) {
            return Some(level);
        }
        let at = self.sorted.place(&arena.regions, key).ok()?;
        Some(self.sorted.entries(&arena.regions)[at].level)
    }

    /// The level of a price, made if needed, which is about to get an order. `None`: the pool is used up.
    pub fn find_or_make(&mut self, pool: &mut NodePool, arena: &mut Arena, price: i64, book_side: u32) -> Option<u32> {
        let key = key_of(self.side.index(), price);
        if self.ladder == Ladder::Open && self.is_empty() && !self.on_ladder(key).1 {
            self.lay_window(pool, arena, price, book_side);
        }
        if let (level, true) = self.on_ladder(key) {
            self.set(arena, level);
            return Some(level);
        }
        match self.sorted.place(&arena.regions, key) {
            Ok(at) => Some(self.sorted.entries(&arena.regions)[at].level),
            Err(at) => {
                let level = pool.take_level(price, book_side)?;
                if self.sorted.insert(&mut arena.regions, at, key, level).is_none() {
                    pool.give_level(level);
                    return None;
                }
                self.note_sorted_best(arena);
                Some(level)
            }
        }
    }

    /// Notes that a level holds no order any more.
    #[inline]
    pub fn on_empty(&mut self, pool: &mut NodePool, arena: &mut Arena, level: u32) {
        if self.has(level) {
            self.on_less(arena, level, true);
            return;
        }
        let key = key_of(self.side.index(), pool.level(level).price);
        if let Ok(at) = self.sorted.place(&arena.regions, key) {
            self.sorted.remove(&mut arena.regions, at);
            pool.give_level(level);
            self.note_sorted_best(arena);
        }
    }

    fn note_sorted_best(&mut self, arena: &Arena) {
        let best = self.sorted.entries(&arena.regions).last();
        self.sorted_best = best.map_or(NO_KEY, |entry| entry.key.min(NO_KEY - 1));
    }

    /// Whether a price lies on the announced ladder; true where none was announced.
    pub fn fits_band(&self, price: i64) -> bool {
        self.ladder != Ladder::Announced || self.on_ladder(key_of(self.side.index(), price)).1
    }

    /// Levels that hold orders, best first.
    pub fn levels<'a>(&'a self, arena: &'a Arena) -> impl Iterator<Item = u32> + 'a {
        let sorted = self.sorted.entries(&arena.regions);
        LevelIter { index: self, occupied: &arena.occupied, sorted, ladder: self.at_or_above(&arena.occupied, 0) }
    }

    /// The first place of the ladder at or above `from` that holds orders.
    fn at_or_above(&self, occupied: &[u64], from: u32) -> Option<u32> {
        if from >= u32::from(self.slots) {
            return None;
        }
        let first = (self.first / GROUP_LEVELS) as usize;
        let group = from / GROUP_LEVELS;
        let rest = occupied[first + group as usize] & u64::MAX << (from % GROUP_LEVELS);
        if rest != 0 {
            return Some(group * GROUP_LEVELS + rest.trailing_zeros());
        }
        let above = self.groups & u64::MAX << group & !(1 << group);
        let group = above.trailing_zeros();
        (above != 0).then(|| group * GROUP_LEVELS + occupied[first + group as usize].trailing_zeros())
    }
}

/// Levels best first: the ladder and the sorted array, merged.
struct LevelIter<'a> {
    index: &'a LevelIndex,
    occupied: &'a [u64],
    /// What is left of the array.
    sorted: &'a [Entry],
    ladder: Option<u32>,
}

impl Iterator for LevelIter<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let on_ladder = self.ladder.map(|place| (place, self.index.key(place)));
        match (on_ladder, self.sorted.split_last()) {
            (Some((place, key)), rest) if rest.is_none_or(|(entry, _)| key <= entry.key) => {
                self.ladder = self.index.at_or_above(self.occupied, place + 1);
                Some(self.index.first + place)
            }
            (_, Some((entry, rest))) => {
                self.sorted = rest;
                Some(entry.level)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market::store::node::Nodes as _;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn rest(pool: &mut NodePool, level: u32) {
        pool.nodes_mut().add_last(level, 0, 1, false);
    }

    proptest! {
        /// Random prices on and off a ladder, announced, guessed or none, both sides, against a sorted map.
        #[test]
        fn the_index_equals_a_map(bid: bool, ladder in 0u8..3, steps in prop::collection::vec((0i64..400, any::<bool>()), 0..400)) {
            let side = if bid { Side::Bid } else { Side::Ask };
            let mut pool = NodePool::new(4_096, 400, 1, false, false);
            let mut arena = Arena::new(400, if ladder == 2 { 4_096 } else { 0 }, if ladder == 2 { 10 } else { 1 });
            arena.occupied.resize(200, 0);
            let mut index = LevelIndex::new(side);
            if ladder == 1 {
                let low = key_of(side.index(), if bid { 350 } else { 50 });
                index.lay_ladder(&mut pool, Grid { low, step: 3, slots: 101 }, 0).unwrap();
            }
            let mut map = BTreeMap::new();
            for (price, add) in steps {
                if add && !map.contains_key(&price) {
                    let level = index.find_or_make(&mut pool, &mut arena, price, 0).unwrap();
                    prop_assert_eq!(pool.level(level).price, price);
                    rest(&mut pool, level);
                    map.insert(price, ());
                } else if map.remove(&price).is_some() {
                    let level = index.find(&arena, price).unwrap();
                    pool.remove(level, 0, 1);
                    index.on_empty(&mut pool, &mut arena, level);
                }
                let have: Vec<i64> = index.levels(&arena).map(|level| pool.level(level).price).collect();
                let want: Vec<i64> = if bid { map.keys().rev().copied().collect() } else { map.keys().copied().collect() };
                let best = want.first().map_or(NO_KEY, |&price| key_of(side.index(), price));
                prop_assert_eq!((index.best_key(&arena), index.is_empty()), (best, want.is_empty()));
                prop_assert_eq!(have, want);
                prop_assert_eq!(index.ladder == Ladder::Guessed, ladder == 2 && index.has_ladder());
            }
        }
    }

    #[test]
    fn a_used_up_pool_refuses_a_new_price_and_keeps_the_old() {
        let mut pool = NodePool::new(0, 2, 1, false, false);
        let mut arena = Arena::new(2, 0, 1);
        let mut index = LevelIndex::new(Side::Ask);
        let mut make =
            |index: &mut LevelIndex, pool: &mut NodePool, price| index.find_or_make(pool, &mut arena, price, 0);
        let first = make(&mut index, &mut pool, 1).unwrap();
        rest(&mut pool, first);
        assert!(make(&mut index, &mut pool, 2).is_some());
        assert_eq!(make(&mut index, &mut pool, 3), None);
        pool.remove(first, 0, 1);
        index.on_empty(&mut pool, &mut arena, first);
        assert!(index.find_or_make(&mut pool, &mut arena, 3, 0).is_some());
    }

    #[test]
    fn guessed_ladders_do_not_share_the_sets_of_the_cache() {
        for (slots, groups) in [(0, 0), (63, 0), (64, 1), (128, 1), (192, 3), (256, 3), (1_024, 15), (1 << 20, 63)] {
            assert_eq!(Arena::new(1, slots * 2, 1).window_groups, groups, "{slots}");
        }
    }
}
