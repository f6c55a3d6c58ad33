//! Price levels: a dense ladder by tick where the price band is known or can be guessed, a sorted array for every other
//! price.
//!
//! Never allocates after construction. Both structures hold numbers of levels in one pool (`nodes.rs`); a price is on
//! the ladder if it lies on the ladder's grid and in the sorted array otherwise, so no price is ever refused.

use std::hint::select_unpredictable;

use crate::memory::table;
use crate::nodes::{NO_NODE, Nodes};
use crate::tick::TickTable;
use crate::types::Side;

/// Widest ladder, in ticks per side: one 64-bit summary of 64 words. A BIST share needs at most about 1,000
/// (10 % either way, with the step of the finer of its two tick bands).
pub const LADDER_SLOTS_MAX: usize = 64 * 64;

/// Below so many places a guessed ladder is not worth its memory.
const WINDOW_SLOTS_MIN: usize = 32;
/// Ladders a multiple of a page apart would have their touches in the same few sets of the cache.
const STAGGER_SLOTS: u32 = 10;
/// Coarsest step of a guessed ladder: 0.01, in 10⁻⁹ units.
const WINDOW_STEP_MAX: i64 = 10_000_000;

/// The memory of all sorted arrays, and what a side without an announced band may take of the pool.
pub(crate) struct Arena {
    entries: Vec<Entry>,
    next: u32,
    free: [u32; CLASSES],
    window_slots: u32,
}

/// A place in a sorted array.
#[derive(Clone, Copy, Debug)]
struct Entry {
    /// [`key_of`] its price.
    key: i64,
    /// Level; the next free region in the first entry of a free region.
    level: u32,
}

const NO_ENTRY: Entry = Entry { key: 0, level: NO_NODE };

/// Regions of 8, 16, … entries; the largest holds 2^20.
const CLASSES: usize = 18;
const NO_REGION: u8 = u8::MAX;

const fn class_size(class: u8) -> u32 {
    8 << class
}

impl Arena {
    /// For at most `levels_max` levels. Each side of a book whose band was not announced may take `ladder_slots` /
    /// (2 × `books_max`) places for a ladder of its own.
    pub fn new(levels_max: usize, ladder_slots: usize, books_max: usize) -> Self {
        let share = (ladder_slots / (2 * books_max)).min(LADDER_SLOTS_MAX);
        Self {
            // Arrays double when they are full: four times the levels always suffices.
            entries: table(levels_max * 4 + 64, NO_ENTRY),
            next: 0,
            free: [NO_NODE; CLASSES],
            window_slots: if share < WINDOW_SLOTS_MIN { 0 } else { share as u32 },
        }
    }

    /// Forgets all arrays.
    pub fn clear(&mut self) {
        self.next = 0;
        self.free = [NO_NODE; CLASSES];
    }

    fn take_region(&mut self, class: u8) -> Option<u32> {
        let head = self.free.get(usize::from(class)).copied()?;
        if head != NO_NODE {
            self.free[usize::from(class)] = self.entries[head as usize].level;
            return Some(head);
        }
        let offset = self.next;
        let end = offset.checked_add(class_size(class))?;
        (end as usize <= self.entries.len()).then(|| self.next = end)?;
        Some(offset)
    }

    fn give_region(&mut self, offset: u32, class: u8) {
        self.entries[offset as usize].level = self.free[usize::from(class)];
        self.free[usize::from(class)] = offset;
    }
}

/// A price as a number that is the smaller the better it is for its side.
#[inline]
const fn key_of(side: Side, price: i64) -> i64 {
    // All bits turned for bids: reverses the order, and nothing runs over. No branch: sides alternate at random.
    price ^ -((side as u8 == Side::Bid as u8) as i64)
}

/// A sorted array in the arena, best price last: most changes are near the best and move little.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
struct Sorted {
    offset: u32,
    length: u32,
    class: u8,
}

impl Sorted {
    const EMPTY: Self = Self { offset: 0, length: 0, class: NO_REGION };

    #[inline]
    fn entries<'a>(&self, arena: &'a Arena) -> &'a [Entry] {
        &arena.entries[self.offset as usize..(self.offset + self.length) as usize]
    }

    /// Where a key is or would be.
    fn place(&self, arena: &Arena, key: i64) -> Result<usize, usize> {
        let entries = self.entries(arena);
        // From the best outwards: an add is nearly always within a few levels of it.
        let near = entries.len().saturating_sub(8);
        let from = if near > 0 && key > entries[near].key { 0 } else { near };
        let to = if from < near { near } else { entries.len() };
        let at = from + entries[from..to].partition_point(|entry| entry.key > key);
        match entries.get(at) {
            Some(entry) if entry.key == key => Ok(at),
            _ => Err(at),
        }
    }

    fn insert(&mut self, arena: &mut Arena, at: usize, key: i64, level: u32) -> Option<()> {
        let capacity = if self.class == NO_REGION { 0 } else { class_size(self.class) };
        if self.length == capacity {
            self.grow(arena)?;
        }
        let start = self.offset as usize;
        let end = start + self.length as usize;
        arena.entries.copy_within(start + at..end, start + at + 1);
        arena.entries[start + at] = Entry { key, level };
        self.length += 1;
        Some(())
    }

    #[cold]
    fn grow(&mut self, arena: &mut Arena) -> Option<()> {
        let class = if self.class == NO_REGION { 0 } else { self.class + 1 };
        let offset = arena.take_region(class)?;
        let start = self.offset as usize;
        arena.entries.copy_within(start..start + self.length as usize, offset as usize);
        if self.class != NO_REGION {
            arena.give_region(self.offset, self.class);
        }
        self.offset = offset;
        self.class = class;
        Some(())
    }

    fn remove(&mut self, arena: &mut Arena, at: usize) {
        let start = self.offset as usize;
        let end = start + self.length as usize;
        arena.entries.copy_within(start + at + 1..end, start + at);
        self.length -= 1;
    }
}

/// The grid of a dense ladder: `slots` prices from `low` in steps of `step`.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(crate) struct Grid {
    low: i64,
    step: i64,
    /// `step` = odd × 2^shift; `inverse` × odd = 1 (mod 2^64): an exact division is a shift and a multiplication.
    inverse: u64,
    slots: u32,
    shift: u32,
}

impl Grid {
    fn new(low: i64, step: i64, slots: u32) -> Self {
        let shift = step.trailing_zeros();
        Self { low, step, inverse: inverse_of((step >> shift) as u64), slots, shift }
    }

    /// The grid of a tick table, if it has a price band that is narrow enough.
    pub fn of(ticks: &TickTable) -> Option<Self> {
        let (low, high) = ticks.span()?;
        let step = ticks.common_step()?;
        let slots = high.0.checked_sub(low.0)? / step + 1;
        (slots <= LADDER_SLOTS_MAX as i64).then(|| Self::new(low.0, step, slots as u32))
    }

    /// A grid around the first price of a side that nobody announced a band for. The step is the largest power of ten
    /// up to 0.01 that the price is a multiple of.
    fn around(price: i64, slots: u32) -> Option<Self> {
        if price.unsigned_abs() > i64::MAX.unsigned_abs() / 4 {
            return None;
        }
        let mut step = WINDOW_STEP_MAX;
        while price % step != 0 {
            step /= 10;
        }
        Some(Self::new(price - i64::from(slots / 2) * step, step, slots))
    }

    pub fn slots(&self) -> u32 {
        self.slots
    }

    /// A place, and whether it is that of the price.
    #[inline(always)]
    fn nearest(&self, price: i64) -> (u32, bool) {
        let distance = price.wrapping_sub(self.low) as u64;
        let place = (distance >> self.shift).wrapping_mul(self.inverse);
        // A price off the grid gives a wrong place; multiplying back finds it out.
        (place as u32, (place < u64::from(self.slots)) & (place.wrapping_mul(self.step as u64) == distance))
    }

    /// The place of a price on the grid.
    #[inline(always)]
    fn place(&self, price: i64) -> Option<u32> {
        let (place, fits) = self.nearest(price);
        fits.then_some(place)
    }

    fn price(&self, place: u32) -> i64 {
        self.low + i64::from(place) * self.step
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

/// Which places of a ladder hold orders.
#[derive(Clone, Debug)]
struct Bits {
    summary: u64,
    words: [u64; 64],
}

impl Bits {
    const EMPTY: Self = Self { summary: 0, words: [0; 64] };

    /// Says whether a place holds orders. No branch: whether a level has just become empty is hard to predict.
    #[inline(always)]
    fn put(&mut self, place: u32, holds: bool) {
        let (at, bit) = (place as usize >> 6 & 63, place & 63);
        let word = self.words[at] & !(1 << bit) | u64::from(holds) << bit;
        self.words[at] = word;
        self.summary = self.summary & !(1 << at) | u64::from(word != 0) << at;
    }

    /// The lowest place at or above `from`.
    #[inline]
    fn at_or_above(&self, from: u32) -> Option<u32> {
        if from >= LADDER_SLOTS_MAX as u32 {
            return None;
        }
        let word = from >> 6;
        let rest = self.words[word as usize] & (u64::MAX << (from & 63));
        if rest != 0 {
            return Some(word << 6 | rest.trailing_zeros());
        }
        let above = self.summary & (u64::MAX << word) & !(1 << word);
        (above != 0).then(|| {
            let word = above.trailing_zeros();
            word << 6 | self.words[word as usize].trailing_zeros()
        })
    }

    /// The highest place at or below `from`.
    #[inline]
    fn at_or_below(&self, from: u32) -> Option<u32> {
        let word = from >> 6;
        let rest = self.words[word as usize] & (u64::MAX >> (63 - (from & 63)));
        if rest != 0 {
            return Some(word << 6 | (63 - rest.leading_zeros()));
        }
        let below = self.summary & ((1 << word) - 1);
        (below != 0).then(|| {
            let word = 63 - below.leading_zeros();
            word << 6 | (63 - self.words[word as usize].leading_zeros())
        })
    }
}

/// One side of a book: which levels hold orders, best first. All that an add near the touch needs is its first cache
/// line.
#[derive(Clone, Debug)]
#[repr(C, align(64))]
pub(crate) struct LevelIndex {
    grid: Grid,
    /// Key of the best level; nothing without one.
    best_key: i64,
    /// The best level, or [`NO_NODE`].
    best: u32,
    /// First level of the ladder.
    first: u32,
    sorted: Sorted,
    side: Side,
    ladder: Ladder,
    bits: Bits,
}

const _: () = assert!(std::mem::offset_of!(LevelIndex, bits) <= 64, "the hot part is one cache line");

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
    pub fn new(side: Side) -> Self {
        Self {
            grid: Grid::default(),
            best_key: 0,
            best: NO_NODE,
            first: 0,
            sorted: Sorted::EMPTY,
            side,
            ladder: Ladder::Open,
            bits: Bits::EMPTY,
        }
    }

    /// Forgets everything. The pool is cleared by the caller.
    pub fn reset(&mut self) {
        *self = Self::new(self.side);
    }

    pub fn has_ladder(&self) -> bool {
        self.grid.slots > 0
    }

    /// Lays the ladder of a tick table for an empty side. `None`: no ladder memory is left; the sorted array serves
    /// alone.
    ///
    /// The memory of an old ladder is used again when it is large enough; else it stays unused until the next
    /// session, which is bounded by the ladder pool.
    pub fn lay_ladder(&mut self, nodes: &mut Nodes, grid: Grid) -> Option<()> {
        self.lay(nodes, grid, Ladder::Announced)
    }

    fn lay(&mut self, nodes: &mut Nodes, grid: Grid, ladder: Ladder) -> Option<()> {
        debug_assert!(self.best == NO_NODE, "a ladder is laid on an empty side");
        if grid.slots > self.grid.slots {
            self.first = nodes.take_ladder(grid.slots)?;
        }
        self.grid = grid;
        self.ladder = ladder;
        for place in 0..grid.slots {
            nodes.lay(self.first + place, grid.price(place));
        }
        Some(())
    }

    /// The first price of a side without an announced band: a ladder around it, if there is memory for one.
    #[cold]
    fn lay_window(&mut self, nodes: &mut Nodes, arena: &Arena, price: i64) {
        self.ladder = Ladder::Without;
        let slots =
            arena.window_slots.saturating_sub(STAGGER_SLOTS * u32::from(arena.window_slots.is_multiple_of(128)));
        if let (true, Some(grid)) = (slots > 0, Grid::around(price, slots)) {
            // OK because without a ladder the sorted array takes every price.
            let _ = self.lay(nodes, grid, Ladder::Guessed);
        }
    }

    /// The level of a price, if it lies on the ladder: for looking ahead.
    #[inline(always)]
    pub fn on_grid(&self, price: i64) -> u32 {
        let (place, fits) = self.grid.nearest(price);
        select_unpredictable(fits, self.first.wrapping_add(place), NO_NODE)
    }

    /// The level of a price, if it holds orders or lies on the ladder.
    #[cfg(test)]
    fn find(&self, arena: &Arena, price: i64) -> Option<u32> {
        if let Some(place) = self.grid.place(price) {
            return Some(self.first + place);
        }
        let at = self.sorted.place(arena, key_of(self.side, price)).ok()?;
        Some(self.sorted.entries(arena)[at].level)
    }

    /// The level of a price, made if needed, which is about to get an order. `None`: the pool is used up.
    #[inline]
    pub fn find_or_make(&mut self, nodes: &mut Nodes, arena: &mut Arena, price: i64) -> Option<u32> {
        let level = match self.grid.place(price) {
            Some(place) => {
                self.bits.put(place, true);
                self.first + place
            }
            None => self.find_or_make_elsewhere(nodes, arena, price)?,
        };
        let key = key_of(self.side, price);
        let better = (self.best == NO_NODE) | (key < self.best_key);
        self.best = select_unpredictable(better, level, self.best);
        self.best_key = select_unpredictable(better, key, self.best_key);
        Some(level)
    }

    #[inline(never)]
    fn find_or_make_elsewhere(&mut self, nodes: &mut Nodes, arena: &mut Arena, price: i64) -> Option<u32> {
        if self.ladder == Ladder::Open && self.best == NO_NODE {
            self.lay_window(nodes, arena, price);
            if let Some(place) = self.grid.place(price) {
                self.bits.put(place, true);
                return Some(self.first + place);
            }
        }
        let key = key_of(self.side, price);
        match self.sorted.place(arena, key) {
            Ok(at) => Some(self.sorted.entries(arena)[at].level),
            Err(at) => {
                let level = nodes.take_level(price)?;
                if self.sorted.insert(arena, at, key, level).is_none() {
                    nodes.give_level(level);
                    return None;
                }
                Some(level)
            }
        }
    }

    /// Notes that a level lost an order, perhaps its last.
    #[inline(always)]
    pub fn on_less(&mut self, nodes: &mut Nodes, arena: &mut Arena, level: u32) {
        let empty = nodes.get(level).count() == 0;
        let place = level.wrapping_sub(self.first);
        if place < self.grid.slots {
            self.bits.put(place, !empty);
        } else if empty {
            self.on_empty_elsewhere(nodes, arena, level);
        }
        nodes.forget_rank(level, empty);
        if empty & (level == self.best) {
            self.find_best(arena);
        }
    }

    #[inline(never)]
    fn on_empty_elsewhere(&mut self, nodes: &mut Nodes, arena: &mut Arena, level: u32) {
        let key = key_of(self.side, nodes.get(level).price());
        if let Ok(at) = self.sorted.place(arena, key) {
            self.sorted.remove(arena, at);
            nodes.give_level(level);
        }
    }

    #[inline(never)]
    fn find_best(&mut self, arena: &Arena) {
        let best = self.iter(arena).next();
        (self.best, self.best_key) = best.map_or((NO_NODE, 0), |(level, key)| (level, key));
    }

    /// Whether a price lies on the announced ladder; true where none was announced.
    #[inline]
    pub fn fits_band(&self, price: i64) -> bool {
        self.ladder != Ladder::Announced || self.grid.place(price).is_some()
    }

    /// Levels that hold orders, best first.
    pub fn levels<'a>(&'a self, arena: &'a Arena) -> impl Iterator<Item = u32> + 'a {
        self.iter(arena).map(|(level, _)| level)
    }

    fn iter<'a>(&'a self, arena: &'a Arena) -> LevelIter<'a> {
        let ladder = match self.side {
            Side::Bid => self.bits.at_or_below(LADDER_SLOTS_MAX as u32 - 1),
            _ => self.bits.at_or_above(0),
        };
        LevelIter { index: self, sorted: self.sorted.entries(arena), ladder }
    }

    /// The best level that holds orders.
    #[inline]
    pub fn best(&self) -> Option<u32> {
        (self.best != NO_NODE).then_some(self.best)
    }

    /// Whether the best bid reaches the best ask.
    #[inline]
    pub fn cross(bids: &Self, asks: &Self) -> bool {
        (bids.best != NO_NODE) & (asks.best != NO_NODE) & (!bids.best_key >= asks.best_key)
    }
}

/// Levels best first with their keys: the ladder and the sorted array, merged.
struct LevelIter<'a> {
    index: &'a LevelIndex,
    /// What is left of the array.
    sorted: &'a [Entry],
    ladder: Option<u32>,
}

impl Iterator for LevelIter<'_> {
    type Item = (u32, i64);

    #[inline]
    fn next(&mut self) -> Option<(u32, i64)> {
        let index = self.index;
        let on_ladder = self.ladder.map(|place| (place, key_of(index.side, index.grid.price(place))));
        match (on_ladder, self.sorted.split_last()) {
            (Some((place, key)), rest) if rest.is_none_or(|(entry, _)| key <= entry.key) => {
                self.ladder = match index.side {
                    Side::Bid => place.checked_sub(1).and_then(|below| index.bits.at_or_below(below)),
                    _ => index.bits.at_or_above(place + 1),
                };
                Some((index.first + place, key))
            }
            (_, Some((entry, rest))) => {
                self.sorted = rest;
                Some((entry.level, entry.key))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_price_off_the_grid_has_no_place() {
        let grid = Grid::new(1_000, 24, 10);
        assert_eq!(grid.place(1_000), Some(0));
        assert_eq!(grid.place(1_216), Some(9));
        assert_eq!(grid.place(1_240), None);
        assert_eq!(grid.place(976), None);
        for price in 0..5_000 {
            assert_eq!(grid.place(price).is_some(), (1_000..=1_216).contains(&price) && (price - 1_000) % 24 == 0);
        }
        assert_eq!(grid.place(i64::MIN), None);
        assert_eq!(grid.place(i64::MAX), None);
    }

    #[test]
    fn a_ladder_is_laid_around_the_first_price_on_its_own_step() {
        for (price, step) in
            [(5_430_000_000, 10_000_000), (5_431_500_000, 100_000), (7, 1), (0, 10_000_000), (-30_000_000, 10_000_000)]
        {
            let grid = Grid::around(price, 64).unwrap();
            assert_eq!((grid.step, grid.place(price)), (step, Some(32)), "{price}");
        }
        assert!(Grid::around(i64::MAX - 1, 64).is_none());
    }

    proptest! {
        /// Random prices on and off a ladder, announced, guessed or none, both sides, against a sorted set.
        #[test]
        fn the_index_equals_a_set(bid: bool, ladder in 0u8..3, steps in prop::collection::vec((0i64..200, any::<bool>()), 0..400)) {
            let side = if bid { Side::Bid } else { Side::Ask };
            let mut nodes = Nodes::new(4_096, 300, 1, false);
            let mut arena = Arena::new(300, if ladder == 2 { 128 } else { 0 }, 1);
            let mut index = LevelIndex::new(side);
            if ladder == 1 {
                index.lay_ladder(&mut nodes, Grid::new(50, 3, 30)).unwrap();
            }
            let mut set = BTreeSet::new();
            for (price, add) in steps {
                if add {
                    let level = index.find_or_make(&mut nodes, &mut arena, price).unwrap();
                    prop_assert_eq!(nodes.get(level).price(), price);
                    nodes.get_mut(level).owner = 1;
                    set.insert(price);
                } else if set.remove(&price) {
                    let level = index.find(&arena, price).unwrap();
                    nodes.get_mut(level).owner = 0;
                    index.on_less(&mut nodes, &mut arena, level);
                }
                let have: Vec<i64> = index.levels(&arena).map(|level| nodes.get(level).price()).collect();
                let want: Vec<i64> = if bid { set.iter().rev().copied().collect() } else { set.iter().copied().collect() };
                prop_assert_eq!(index.best().map(|level| nodes.get(level).price()), want.first().copied());
                prop_assert_eq!(have, want);
                prop_assert_eq!(index.ladder == Ladder::Guessed, ladder == 2 && index.has_ladder());
            }
        }
    }

    #[test]
    fn a_used_up_pool_refuses_a_new_price_and_keeps_the_old() {
        let mut nodes = Nodes::new(0, 2, 1, false);
        let mut arena = Arena::new(2, 0, 1);
        let mut index = LevelIndex::new(Side::Ask);
        assert!(index.find_or_make(&mut nodes, &mut arena, 1).is_some());
        assert!(index.find_or_make(&mut nodes, &mut arena, 2).is_some());
        assert_eq!(index.find_or_make(&mut nodes, &mut arena, 3), None);
        let first = index.find(&arena, 1).unwrap();
        nodes.get_mut(first).owner = 0;
        index.on_less(&mut nodes, &mut arena, first);
        assert!(index.find_or_make(&mut nodes, &mut arena, 3).is_some());
    }
}
