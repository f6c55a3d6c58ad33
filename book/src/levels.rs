//! Price levels: a dense ladder by tick where the price band is known, a sorted array for every other price.
//!
//! Never allocates after construction. Both structures hold numbers of levels in one pool; a price is in the
//! ladder if it lies on the ladder's grid and in the sorted array otherwise, so no price is ever refused.

use crate::orders::NO_ORDER;
use crate::tick::TickTable;
use crate::types::Side;

/// "No level".
pub(crate) const NO_LEVEL: u32 = u32::MAX;
/// Widest ladder, in ticks per side: one 64-bit summary of 64 words. A BIST share needs at most about 1,000
/// (10 % either way, with the step of the finer of its two tick bands).
pub const LADDER_SLOTS_MAX: usize = 64 * 64;

/// One level of one side.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct LevelSlot {
    pub price: i64,
    pub quantity: u64,
    pub count: u32,
    pub head: u32,
    pub tail: u32,
    /// Next free level while this one is free.
    next_free: u32,
}

const _: () = assert!(size_of::<LevelSlot>() == 32);

const EMPTY_LEVEL: LevelSlot =
    LevelSlot { price: 0, quantity: 0, count: 0, head: NO_ORDER, tail: NO_ORDER, next_free: NO_LEVEL };

/// All levels of a market, and the memory of the sorted arrays.
pub(crate) struct Levels {
    slots: Vec<LevelSlot>,
    /// First slot of the next ladder; ladders grow up to `ladder_end`.
    ladder_next: u32,
    ladder_end: u32,
    free: u32,
    arena: Vec<Entry>,
    arena_next: u32,
    arena_free: [u32; CLASSES],
}

/// A place in a sorted array.
#[derive(Clone, Copy, Debug)]
struct Entry {
    price: i64,
    /// Level; the next free region in the first entry of a free region.
    level: u32,
}

/// Regions of 8, 16, … entries; the largest holds 2^20.
const CLASSES: usize = 18;
const NO_REGION: u8 = u8::MAX;

const fn class_size(class: u8) -> u32 {
    8 << class
}

impl Levels {
    pub fn new(levels_max: usize, ladder_slots: usize) -> Self {
        assert!(levels_max > 0 && levels_max + ladder_slots < NO_LEVEL as usize, "too many levels");
        let mut levels = Self {
            slots: vec![EMPTY_LEVEL; levels_max + ladder_slots],
            ladder_next: 0,
            ladder_end: ladder_slots as u32,
            free: NO_LEVEL,
            // Arrays double when they are full: four times the levels always suffices.
            arena: vec![Entry { price: 0, level: NO_LEVEL }; levels_max * 4 + 64],
            arena_next: 0,
            arena_free: [NO_LEVEL; CLASSES],
        };
        levels.clear();
        levels
    }

    /// Forgets all levels, ladders and arrays.
    pub fn clear(&mut self) {
        let last = self.slots.len() - 1;
        for (at, slot) in self.slots.iter_mut().enumerate() {
            *slot = EMPTY_LEVEL;
            slot.next_free = if at == last { NO_LEVEL } else { at as u32 + 1 };
        }
        self.free = self.ladder_end;
        self.ladder_next = 0;
        self.arena.fill(Entry { price: 0, level: NO_LEVEL });
        self.arena_next = 0;
        self.arena_free = [NO_LEVEL; CLASSES];
    }

    #[inline]
    pub fn get(&self, level: u32) -> &LevelSlot {
        &self.slots[level as usize]
    }

    #[inline]
    pub fn get_mut(&mut self, level: u32) -> &mut LevelSlot {
        &mut self.slots[level as usize]
    }

    /// A single level, outside all ladders.
    pub fn take(&mut self, price: i64) -> Option<u32> {
        let level = self.free;
        let slot = self.slots.get_mut(level as usize)?;
        self.free = slot.next_free;
        *slot = LevelSlot { price, ..EMPTY_LEVEL };
        Some(level)
    }

    /// Gives a single level back.
    pub fn give(&mut self, level: u32) {
        self.slots[level as usize].next_free = self.free;
        self.free = level;
    }

    fn take_ladder(&mut self, slots: u32) -> Option<u32> {
        let first = self.ladder_next;
        let end = first.checked_add(slots)?;
        (end <= self.ladder_end).then(|| self.ladder_next = end)?;
        Some(first)
    }

    fn take_region(&mut self, class: u8) -> Option<u32> {
        let head = self.arena_free.get(usize::from(class)).copied()?;
        if head != NO_LEVEL {
            self.arena_free[usize::from(class)] = self.arena[head as usize].level;
            return Some(head);
        }
        let offset = self.arena_next;
        let end = offset.checked_add(class_size(class))?;
        (end as usize <= self.arena.len()).then(|| self.arena_next = end)?;
        Some(offset)
    }

    fn give_region(&mut self, offset: u32, class: u8) {
        self.arena[offset as usize].level = self.arena_free[usize::from(class)];
        self.arena_free[usize::from(class)] = offset;
    }
}

/// A sorted array in the arena, best price last: most changes are near the best and move little.
#[derive(Clone, Copy, Debug)]
struct Sorted {
    offset: u32,
    length: u32,
    class: u8,
}

impl Sorted {
    const EMPTY: Self = Self { offset: 0, length: 0, class: NO_REGION };

    fn entries<'a>(&self, levels: &'a Levels) -> &'a [Entry] {
        &levels.arena[self.offset as usize..(self.offset + self.length) as usize]
    }

    /// Where `price` is or would be.
    fn place(&self, levels: &Levels, side: Side, price: i64) -> Result<usize, usize> {
        let entries = self.entries(levels);
        // From the best outwards: an add is nearly always within a few levels of it.
        let near = entries.len().saturating_sub(8);
        let from = if near > 0 && behind(side, price, entries[near].price) { 0 } else { near };
        let to = if from == 0 { if near > 0 { near } else { entries.len() } } else { entries.len() };
        let at = from + entries[from..to].partition_point(|entry| behind(side, entry.price, price));
        match entries.get(at) {
            Some(entry) if entry.price == price => Ok(at),
            _ => Err(at),
        }
    }

    fn insert(&mut self, levels: &mut Levels, at: usize, price: i64, level: u32) -> Option<()> {
        let capacity = if self.class == NO_REGION { 0 } else { class_size(self.class) };
        if self.length == capacity {
            self.grow(levels)?;
        }
        let start = self.offset as usize;
        let end = start + self.length as usize;
        levels.arena.copy_within(start + at..end, start + at + 1);
        levels.arena[start + at] = Entry { price, level };
        self.length += 1;
        Some(())
    }

    #[cold]
    fn grow(&mut self, levels: &mut Levels) -> Option<()> {
        let class = if self.class == NO_REGION { 0 } else { self.class + 1 };
        let offset = levels.take_region(class)?;
        let start = self.offset as usize;
        levels.arena.copy_within(start..start + self.length as usize, offset as usize);
        if self.class != NO_REGION {
            levels.give_region(self.offset, self.class);
        }
        self.offset = offset;
        self.class = class;
        Some(())
    }

    fn remove(&mut self, levels: &mut Levels, at: usize) {
        let start = self.offset as usize;
        let end = start + self.length as usize;
        levels.arena.copy_within(start + at + 1..end, start + at);
        self.length -= 1;
    }
}

/// Whether `a` is worse than `b` for a side.
#[inline]
fn behind(side: Side, a: i64, b: i64) -> bool {
    if side == Side::Bid { a < b } else { a > b }
}

/// The grid of a dense ladder: `slots` prices from `low` in steps of `step`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Grid {
    low: i64,
    step: i64,
    slots: u32,
    /// `step` = odd × 2^shift; `inverse` × odd = 1 (mod 2^64): an exact division is a shift and a multiplication.
    shift: u32,
    inverse: u64,
}

impl Grid {
    /// The grid of a tick table, if it has a price band that is narrow enough.
    pub fn of(ticks: &TickTable) -> Option<Self> {
        let (low, high) = ticks.span()?;
        let step = ticks.common_step()?;
        let slots = high.0.checked_sub(low.0)? / step + 1;
        if slots > LADDER_SLOTS_MAX as i64 {
            return None;
        }
        let shift = step.trailing_zeros();
        Some(Self { low: low.0, step, slots: slots as u32, shift, inverse: inverse_of((step >> shift) as u64) })
    }

    pub fn slots(&self) -> u32 {
        self.slots
    }

    /// The place of a price on the grid.
    #[inline]
    fn place(&self, price: i64) -> Option<u32> {
        let distance = price.wrapping_sub(self.low) as u64;
        let place = (distance >> self.shift).wrapping_mul(self.inverse);
        // A price off the grid gives a wrong place; multiplying back finds it out.
        (place < u64::from(self.slots) && place.wrapping_mul(self.step as u64) == distance).then_some(place as u32)
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

    #[inline]
    fn set(&mut self, place: u32) {
        self.words[place as usize >> 6] |= 1 << (place & 63);
        self.summary |= 1 << (place >> 6);
    }

    #[inline]
    fn clear(&mut self, place: u32) {
        let word = &mut self.words[place as usize >> 6];
        *word &= !(1 << (place & 63));
        if *word == 0 {
            self.summary &= !(1 << (place >> 6));
        }
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

/// One side of a book: which levels hold orders, best first.
#[derive(Clone, Debug)]
pub(crate) struct LevelIndex {
    side: Side,
    grid: Grid,
    first: u32,
    bits: Bits,
    sorted: Sorted,
}

impl LevelIndex {
    pub fn new(side: Side) -> Self {
        Self { side, grid: Grid::default(), first: 0, bits: Bits::EMPTY, sorted: Sorted::EMPTY }
    }

    /// Forgets everything. The pool is cleared by the caller.
    pub fn reset(&mut self) {
        *self = Self::new(self.side);
    }

    pub fn has_ladder(&self) -> bool {
        self.grid.slots > 0
    }

    /// Lays a ladder for an empty side. `None`: no ladder memory is left; the sorted array serves alone.
    ///
    /// The memory of an old ladder is used again when it is large enough; else it stays unused until the next
    /// session, which is bounded by the ladder pool.
    pub fn lay_ladder(&mut self, levels: &mut Levels, grid: Grid) -> Option<()> {
        debug_assert!(self.bits.summary == 0, "a ladder is laid on an empty side");
        if grid.slots > self.grid.slots {
            self.first = levels.take_ladder(grid.slots)?;
        }
        self.grid = grid;
        for place in 0..grid.slots {
            let slot = levels.get_mut(self.first + place);
            *slot = LevelSlot { price: grid.price(place), ..EMPTY_LEVEL };
        }
        Some(())
    }

    /// The level of a price, if it holds orders or lies on the ladder.
    #[cfg(test)]
    fn find(&self, levels: &Levels, price: i64) -> Option<u32> {
        if let Some(place) = self.grid.place(price) {
            return Some(self.first + place);
        }
        let at = self.sorted.place(levels, self.side, price).ok()?;
        Some(self.sorted.entries(levels)[at].level)
    }

    /// The level of a price, made if needed. `None`: the pool is used up.
    #[inline]
    pub fn find_or_make(&mut self, levels: &mut Levels, price: i64) -> Option<u32> {
        if let Some(place) = self.grid.place(price) {
            self.bits.set(place);
            return Some(self.first + place);
        }
        match self.sorted.place(levels, self.side, price) {
            Ok(at) => Some(self.sorted.entries(levels)[at].level),
            Err(at) => {
                let level = levels.take(price)?;
                if self.sorted.insert(levels, at, price, level).is_none() {
                    levels.give(level);
                    return None;
                }
                Some(level)
            }
        }
    }

    /// Notes that a level lost its last order.
    #[inline]
    pub fn on_empty(&mut self, levels: &mut Levels, level: u32) {
        let price = levels.get(level).price;
        if let Some(place) = self.grid.place(price) {
            self.bits.clear(place);
        } else if let Ok(at) = self.sorted.place(levels, self.side, price) {
            self.sorted.remove(levels, at);
            levels.give(level);
        }
    }

    /// Whether a price lies on the ladder.
    pub fn on_ladder(&self, price: i64) -> bool {
        self.grid.place(price).is_some()
    }

    /// Levels that hold orders, best first.
    pub fn iter<'a>(&'a self, levels: &'a Levels) -> LevelIter<'a> {
        let ladder = match self.side {
            Side::Bid => self.bits.at_or_below(LADDER_SLOTS_MAX as u32 - 1),
            _ => self.bits.at_or_above(0),
        };
        LevelIter { index: self, levels, ladder, sorted: self.sorted.length }
    }

    /// The best level that holds orders.
    #[inline]
    pub fn best(&self, levels: &Levels) -> Option<u32> {
        self.iter(levels).next()
    }
}

/// Levels best first: the ladder and the sorted array, merged.
pub(crate) struct LevelIter<'a> {
    index: &'a LevelIndex,
    levels: &'a Levels,
    ladder: Option<u32>,
    sorted: u32,
}

impl Iterator for LevelIter<'_> {
    type Item = u32;

    #[inline]
    fn next(&mut self) -> Option<u32> {
        let index = self.index;
        let sorted = self.sorted.checked_sub(1).map(|at| index.sorted.entries(self.levels)[at as usize]);
        let from_ladder = match (self.ladder, sorted) {
            (Some(place), Some(entry)) => !behind(index.side, index.grid.price(place), entry.price),
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (None, None) => return None,
        };
        if from_ladder {
            let place = self.ladder?;
            self.ladder = match index.side {
                Side::Bid => place.checked_sub(1).and_then(|below| index.bits.at_or_below(below)),
                _ => index.bits.at_or_above(place + 1),
            };
            Some(index.first + place)
        } else {
            self.sorted -= 1;
            sorted.map(|entry| entry.level)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn grid(low: i64, step: i64, slots: u32) -> Grid {
        let shift = step.trailing_zeros();
        Grid { low, step, slots, shift, inverse: inverse_of((step >> shift) as u64) }
    }

    #[test]
    fn a_price_off_the_grid_has_no_place() {
        let grid = grid(1_000, 24, 10);
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

    proptest! {
        /// Random prices on and off a ladder, both sides, against a sorted set.
        #[test]
        fn the_index_equals_a_set(bid: bool, ladder: bool, steps in prop::collection::vec((0i64..200, any::<bool>()), 0..400)) {
            let side = if bid { Side::Bid } else { Side::Ask };
            let mut levels = Levels::new(300, 4_096);
            let mut index = LevelIndex::new(side);
            if ladder {
                index.lay_ladder(&mut levels, grid(50, 3, 30)).unwrap();
            }
            let mut set = BTreeSet::new();
            for (price, add) in steps {
                if add {
                    let level = index.find_or_make(&mut levels, price).unwrap();
                    prop_assert_eq!(levels.get(level).price, price);
                    set.insert(price);
                } else if set.remove(&price) {
                    let level = index.find(&levels, price).unwrap();
                    index.on_empty(&mut levels, level);
                }
                let have: Vec<i64> = index.iter(&levels).map(|level| levels.get(level).price).collect();
                let want: Vec<i64> = if bid { set.iter().rev().copied().collect() } else { set.iter().copied().collect() };
                prop_assert_eq!(have, want);
            }
        }
    }

    #[test]
    fn a_used_up_pool_refuses_a_new_price_and_keeps_the_old() {
        let mut levels = Levels::new(2, 0);
        let mut index = LevelIndex::new(Side::Ask);
        assert!(index.find_or_make(&mut levels, 1).is_some());
        assert!(index.find_or_make(&mut levels, 2).is_some());
        assert_eq!(index.find_or_make(&mut levels, 3), None);
        let first = index.find(&levels, 1).unwrap();
        index.on_empty(&mut levels, first);
        assert!(index.find_or_make(&mut levels, 3).is_some());
    }
}
