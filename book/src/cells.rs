//! Levels, and the queues of orders on them: one pool of 32-byte units.
//!
//! A unit is a level with its totals, or the *links* of the four orders of a line of the index (`orders.rs`), two numbers
//! each. A level has links of its own and is the sentinel of its queue (level → first order → … → last order → level), so
//! that an order comes and goes without a branch, in a few instructions, and an order that lies between two others
//! touches three links and its level. Where nobody asks for queues there are no links of orders.
//! Never allocates after construction and knows no order but by its number: its id and its quantity are in the index.

use std::hint::select_unpredictable as select;

use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

use crate::memory::{prefetch, table};
use crate::orders::PLACES;

/// "No level", "no order".
pub(crate) const NONE: u32 = u32::MAX;
/// Levels of a ladder come in such groups, each with a word of bits in [`crate::levels`].
pub(crate) const GROUP_LEVELS: u32 = 64;
/// A level that no book has: where an event leads to that leads nowhere.
pub(crate) const SCRATCH: u32 = 0;
/// The first level of the first ladder.
const LADDERS_FIRST: u32 = GROUP_LEVELS;

/// 32 bytes of the pool.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(32))]
struct Unit([Link; PLACES]);

/// A price level.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(32))]
pub(crate) struct LevelCell {
    pub price: i64,
    /// Sum of the visible quantities of its orders.
    pub quantity: u64,
    /// Orders.
    pub count: u32,
    /// Dense index of the book × 2 + side.
    pub book_side: u32,
    /// Its last and its first order; of a free level the next free one.
    link: Link,
}

const _: () = assert!(size_of::<Unit>() == 32 && size_of::<LevelCell>() == 32);

/// Neighbours in a queue, as numbers of links.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct Link {
    previous: u32,
    next: u32,
}

/// Which of the links of its unit is a level's own.
const LEVEL_LINK: u32 = 3;

const _: () = assert!(std::mem::offset_of!(LevelCell, link) == LEVEL_LINK as usize * size_of::<Link>());

/// Where an order ranks inside its level: by time, then by sequence number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, FromZeros)]
#[repr(C)]
pub(crate) struct QueueRank {
    pub ns: u64,
    pub sequence: u32,
}

const _: () = assert!(size_of::<QueueRank>() == 16);

impl QueueRank {
    /// Before every other.
    pub const FIRST: Self = Self { ns: 0, sequence: 0 };
}

/// The pool. Levels of ladders come first, then single levels, then the links of orders.
pub(crate) struct Cells {
    units: Vec<Unit>,
    /// Beside each order; all [`QueueRank::FIRST`] until the feed states a rank.
    ranks: Vec<QueueRank>,
    /// Beside each level: no order on it ranks higher. Few levels are busy, so that these are in the cache where the rank
    /// of a level's last order is not.
    highest: Vec<QueueRank>,
    ranked: bool,
    queues: bool,
    ladder_next: u32,
    levels_first: u32,
    levels_end: u32,
    free_level: u32,
}

impl Cells {
    /// `lines`: lines of the index of orders. `ranked`: the feed is one that states ranks, so that the memory for them is
    /// touched now and not with the first. `queues`: whether orders have places in queues.
    ///
    /// # Panics
    /// When there is not enough memory.
    pub fn new(ladder_slots: usize, levels_max: usize, lines: usize, ranked: bool, queues: bool) -> Self {
        let levels_first = LADDERS_FIRST as usize + ladder_slots;
        let levels_end = levels_first + levels_max;
        let ranks = |length: usize| {
            let length = if queues { length } else { 0 };
            if ranked {
                return table(length, QueueRank::FIRST);
            }
            QueueRank::new_vec_zeroed(length).expect("memory for the ranks of all orders")
        };
        let mut cells = Self {
            units: table(levels_end + if queues { lines } else { 0 }, Unit::new_zeroed()),
            ranks: ranks(lines * PLACES),
            highest: ranks(levels_end),
            ranked: false,
            queues,
            ladder_next: 0,
            levels_first: levels_first as u32,
            levels_end: levels_end as u32,
            free_level: NONE,
        };
        cells.clear();
        cells
    }

    /// Forgets all levels and queues.
    pub fn clear(&mut self) {
        for level in self.levels_first..self.levels_end {
            let next = if level + 1 < self.levels_end { level + 1 } else { NONE };
            self.level_mut(level).link.next = next;
        }
        if self.ranked {
            self.ranks.fill(QueueRank::FIRST);
            self.highest.fill(QueueRank::FIRST);
        }
        self.ranked = false;
        self.ladder_next = LADDERS_FIRST;
        self.free_level = self.levels_first;
    }

    /// Whether the feed has stated a rank, and anybody wants to know.
    #[inline(always)]
    pub fn is_ranked(&self) -> bool {
        self.ranked
    }

    /// Whether orders have places in queues.
    #[inline(always)]
    pub fn has_queues(&self) -> bool {
        self.queues
    }

    /// A level.
    #[inline(always)]
    pub fn level(&self, level: u32) -> &LevelCell {
        zerocopy::transmute_ref!(&self.units[level as usize])
    }

    #[inline(always)]
    fn level_mut(&mut self, level: u32) -> &mut LevelCell {
        zerocopy::transmute_mut!(&mut self.units[level as usize])
    }

    /// How many orders a level has.
    #[inline(always)]
    pub fn count(&self, level: u32) -> u32 {
        self.level(level).count
    }

    /// The links of an order.
    #[inline(always)]
    fn link_of(&self, order: u32) -> u32 {
        self.levels_end * PLACES as u32 + order
    }

    /// The order whose links these are; of a level's own links none that there is.
    #[inline(always)]
    fn order_of(&self, link: u32) -> u32 {
        link.wrapping_sub(self.levels_end * PLACES as u32)
    }

    #[inline(always)]
    fn link(&self, link: u32) -> Link {
        self.units[link as usize / PLACES].0[link as usize % PLACES]
    }

    #[inline(always)]
    fn link_mut(&mut self, link: u32) -> &mut Link {
        &mut self.units[link as usize / PLACES].0[link as usize % PLACES]
    }

    /// Starts to load a level.
    #[inline(always)]
    pub fn prefetch_level(&self, level: u32) {
        prefetch(&self.units, level as usize);
        if self.ranked {
            prefetch(&self.highest, level as usize);
        }
    }

    /// Starts to load the links of the orders of a line, and their ranks.
    #[inline(always)]
    pub fn prefetch_links(&self, line: u32) {
        if self.queues {
            prefetch(&self.units, (self.levels_end + line) as usize);
            if self.ranked {
                prefetch(&self.ranks, line as usize * PLACES);
            }
        }
    }

    /// Starts to load what stands beside an order in its queue, or for an add (`is_order` false) at the end of the level's.
    #[inline(always)]
    pub fn prefetch_neighbours(&self, level: u32, order: u32, is_order: bool) {
        if self.queues {
            // No branch: which of the two it is is hard to predict.
            let link = self.link(select(is_order, self.link_of(order), own_link(level)));
            prefetch(&self.units, link.previous as usize / PLACES);
            prefetch(&self.units, select(is_order, link.next, link.previous) as usize / PLACES);
        }
    }

    /// A level outside all ladders. `None`: none is left.
    pub fn take_level(&mut self, price: i64, book_side: u32) -> Option<u32> {
        let level = self.free_level;
        if level == NONE {
            return None;
        }
        self.free_level = self.level(level).link.next;
        self.lay(level, price, book_side);
        Some(level)
    }

    /// Gives a level back that [`Cells::take_level`] gave.
    pub fn give_level(&mut self, level: u32) {
        self.level_mut(level).link.next = self.free_level;
        self.free_level = level;
    }

    /// So many groups of levels in a row; they are never given back. `None`: not so many are left.
    pub fn take_ladder(&mut self, groups: u32) -> Option<u32> {
        let first = self.ladder_next;
        let end = first.checked_add(groups.checked_mul(GROUP_LEVELS)?)?;
        (end <= self.levels_first).then(|| self.ladder_next = end)?;
        Some(first)
    }

    /// Makes an empty level.
    pub fn lay(&mut self, level: u32, price: i64, book_side: u32) {
        let own = own_link(level);
        let link = Link { previous: own, next: own };
        *self.level_mut(level) = LevelCell { price, quantity: 0, count: 0, book_side, link };
        if self.ranked {
            self.highest[level as usize] = QueueRank::FIRST;
        }
    }

    /// Puts an order behind all others of a level.
    #[inline(always)]
    pub fn add_last(&mut self, level: u32, order: u32, quantity: u64) {
        let queues = self.queues;
        let link = self.link_of(order);
        let cell = self.level_mut(level);
        cell.count += 1;
        cell.quantity = cell.quantity.wrapping_add(quantity);
        if queues {
            let previous = cell.link.previous;
            self.link_mut(previous).next = link;
            *self.link_mut(link) = Link { previous, next: own_link(level) };
            // Behind the line before: an empty level's next is its own.
            self.level_mut(level).link.previous = link;
        }
    }

    /// Takes an order out of its queue and off its level, which may have no order left.
    #[inline(always)]
    pub fn remove(&mut self, level: u32, order: u32, quantity: u64) {
        let cell = self.level_mut(level);
        cell.count -= 1;
        cell.quantity = cell.quantity.wrapping_sub(quantity);
        if self.queues {
            let Link { previous, next } = self.link(self.link_of(order));
            self.link_mut(previous).next = next;
            self.link_mut(next).previous = previous;
        }
    }

    /// Takes a part of an order's quantity off its level.
    #[inline(always)]
    pub fn lessen(&mut self, level: u32, quantity: u64) {
        let cell = self.level_mut(level);
        cell.quantity = cell.quantity.wrapping_sub(quantity);
    }

    /// Puts an order on a level where its rank belongs, behind those of the same rank; without one it stands behind all
    /// others and has the rank of the last. Returns how many stand behind it.
    pub fn add(&mut self, level: u32, order: u32, quantity: u64, rank: Option<QueueRank>) -> u32 {
        if !self.queues {
            self.add_last(level, order, quantity);
            return 0;
        }
        self.ranked |= rank.is_some();
        let last = self.last_rank(level);
        let rank = rank.unwrap_or(last);
        self.add_last(level, order, quantity);
        if self.ranked {
            self.note_rank(level, order, rank.max(self.highest_rank(level)));
            self.ranks[order as usize] = rank;
        }
        if rank < last { self.move_before_higher(level, order, rank) } else { 0 }
    }

    /// A rank that none of a level's orders is above.
    #[inline(always)]
    pub fn highest_rank(&self, level: u32) -> QueueRank {
        self.highest[level as usize]
    }

    /// The rank of a level's last order.
    fn last_rank(&self, level: u32) -> QueueRank {
        let last = self.order_of(self.level(level).link.previous);
        // An empty level's last is no order: its place lies outside.
        self.ranks.get(last as usize).copied().unwrap_or(QueueRank::FIRST)
    }

    /// Notes the rank of a level's last order, which is not below [`Cells::highest_rank`].
    #[inline(always)]
    pub fn note_rank(&mut self, level: u32, order: u32, rank: QueueRank) {
        self.ranks[order as usize] = rank;
        self.highest[level as usize] = rank;
    }

    /// Moves a level's last order in front of all that rank higher, and returns how many these are.
    #[cold]
    fn move_before_higher(&mut self, level: u32, order: u32, rank: QueueRank) -> u32 {
        let (own, link) = (own_link(level), self.link_of(order));
        let last = self.link(link).previous;
        self.link_mut(last).next = own;
        self.link_mut(own).previous = last;
        let (mut before, mut passed) = (last, 0);
        while before != own && self.ranks[self.order_of(before) as usize] > rank {
            before = self.link(before).previous;
            passed += 1;
        }
        let behind = self.link(before).next;
        *self.link_mut(link) = Link { previous: before, next: behind };
        self.link_mut(before).next = link;
        self.link_mut(behind).previous = link;
        passed
    }

    /// The orders of a level, first to last; none where there are no queues.
    pub fn queue(&self, level: u32) -> impl Iterator<Item = u32> + '_ {
        let own = own_link(level);
        let mut at = if self.queues { self.level(level).link.next } else { own };
        std::iter::from_fn(move || {
            let here = (at != own).then_some(at)?;
            at = self.link(here).next;
            Some(self.order_of(here))
        })
    }

    /// Panics when the queue of a level disagrees with it. For tests and simulation only.
    pub fn check_level(&self, level: u32, quantity: impl Fn(u32) -> u64) {
        let (mut before, mut count, mut sum) = (own_link(level), 0, 0u64);
        for order in self.queue(level) {
            assert_eq!(self.link(self.link_of(order)).previous, before);
            before = self.link_of(order);
            count += 1;
            sum = sum.wrapping_add(quantity(order));
        }
        assert_eq!(self.level(level).link.previous, before);
        assert_eq!((self.count(level), self.level(level).quantity), (count, sum));
    }
}

/// The links of a level itself.
#[inline(always)]
const fn own_link(level: u32) -> u32 {
    level * PLACES as u32 + LEVEL_LINK
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_used_up_pool_refuses() {
        let mut cells = Cells::new(64, 1, 2, true, true);
        assert!(cells.take_level(5, 3).is_some());
        assert_eq!(cells.take_level(6, 3), None);
        assert!(cells.take_ladder(1).is_some());
        assert_eq!(cells.take_ladder(1), None);
        assert_eq!(cells.take_ladder(u32::MAX), None);
    }

    #[test]
    fn without_queues_there_are_totals() {
        let mut cells = Cells::new(0, 1, 2, true, false);
        let level = cells.take_level(5, 3).unwrap();
        assert_eq!(cells.add(level, 1, 10, Some(QueueRank { ns: 5, sequence: 1 })), 0);
        assert_eq!(cells.add(level, 2, 20, Some(QueueRank { ns: 4, sequence: 1 })), 0);
        cells.remove(level, 1, 10);
        cells.lessen(level, 5);
        assert_eq!((cells.count(level), cells.level(level).quantity, cells.queue(level).count()), (1, 15, 0));
        assert!(!cells.is_ranked());
    }

    proptest! {
        /// Ranked and unranked orders in and out of two levels, against lists that are sorted by insertion.
        #[test]
        fn a_queue_is_ordered_by_rank(steps in prop::collection::vec((0usize..2, any::<bool>(), prop::option::of((1u64..6, 0u32..4)), 0usize..12), 0..120)) {
            let mut cells = Cells::new(0, 2, 16, true, true);
            let levels = [cells.take_level(1, 3).unwrap(), cells.take_level(2, 3).unwrap()];
            let mut free: Vec<u32> = (0..64).collect();
            let mut lists: [Vec<(u32, QueueRank)>; 2] = Default::default();
            for (of, add, rank, place) in steps {
                let (level, list) = (levels[of], &mut lists[of]);
                if add && let Some(order) = free.pop() {
                    let rank = rank.map(|(ns, sequence)| QueueRank { ns, sequence });
                    let have = rank.unwrap_or(list.last().map_or(QueueRank::FIRST, |last| last.1));
                    let at = list.iter().rposition(|&(_, other)| other <= have).map_or(0, |at| at + 1);
                    prop_assert_eq!(cells.add(level, order, u64::from(order) + 1, rank) as usize, list.len() - at);
                    list.insert(at, (order, have));
                } else if !list.is_empty() {
                    let (order, _) = list.remove(place % list.len());
                    cells.remove(level, order, u64::from(order) + 1);
                    free.push(order);
                }
                for (level, list) in levels.into_iter().zip(&lists) {
                    let have: Vec<u32> = cells.queue(level).collect();
                    let want: Vec<u32> = list.iter().map(|&(order, _)| order).collect();
                    prop_assert_eq!(have, want);
                    cells.check_level(level, |order| u64::from(order) + 1);
                }
            }
        }
    }
}
