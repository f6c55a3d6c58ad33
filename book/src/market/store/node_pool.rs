//! Levels, orders, and the queues of orders on levels: one pool of 32-byte nodes.
//!
//! A node is a level with its totals or an order with all that is known of it, and both have their *link* at the same
//! place, so that a level is the sentinel of its own queue (level → first order → … → last order → level): an order
//! comes and goes without a branch, in a few instructions, and one that lies between two others touches three nodes and
//! its level. Where nobody asks for queues the links of orders stay empty.
//! Orders come last, two to a cache line. Which of them has which name is known to the index (`order_index.rs`) alone.
//! Never allocates after construction.

use crate::market::store::node::{LINE_BYTES, LevelNode, Link, Node, Nodes as _, ORDERS_PER_LINE, OrderNode};
use crate::memory::{prefetch, table};

/// "No level", "no order".
pub(crate) const NONE: u32 = u32::MAX;
/// Levels of a ladder come in such groups, each with a word of bits in [`crate::market::store::levels`].
pub(crate) const GROUP_LEVELS: u32 = 64;
/// The first level of the first ladder.
const LADDERS_FIRST: u32 = GROUP_LEVELS;

/// Where an order ranks inside its level: by time, then by sequence number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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

/// The pool. Levels of ladders come first, then single levels, then orders.
pub(crate) struct NodePool {
    nodes: Vec<Node>,
    /// Beside each order, once the feed has stated a rank; before that there is only room for it.
    ranks: Vec<QueueRank>,
    /// Beside each level, like `ranks`: no order on it ranks higher. Few levels are busy, so that these are in the cache
    /// where the rank of a level's last order is not.
    highest: Vec<QueueRank>,
    ranked: bool,
    queues: bool,
    ladder_next: u32,
    levels_first: u32,
    levels_end: u32,
    orders_first: u32,
    free_level: u32,
}

impl NodePool {
    /// `lines`: lines of orders. `ranked`: the feed is one that states ranks, so that the memory for them is touched now
    /// and not when the first one comes. `queues`: whether orders have places in queues.
    ///
    /// # Panics
    /// When there is not enough memory.
    pub fn new(ladder_slots: usize, levels_max: usize, lines: usize, ranked: bool, queues: bool) -> Self {
        let levels_first = LADDERS_FIRST as usize + ladder_slots;
        let levels_end = levels_first + levels_max;
        let ranks = |length: usize| match (queues, ranked) {
            (true, true) => table(length, QueueRank::FIRST),
            (true, false) => Vec::with_capacity(length),
            (false, _) => Vec::new(),
        };
        // One more than needed, so that the first order can be the first of a cache line.
        let nodes = table(levels_end + 1 + lines * ORDERS_PER_LINE, Node::empty());
        let skew = nodes.as_ptr().cast::<u8>().align_offset(LINE_BYTES) / size_of::<Node>();
        let mut pool = Self {
            nodes,
            ranks: ranks(lines * ORDERS_PER_LINE + 1),
            highest: ranks(levels_end),
            ranked: false,
            queues,
            ladder_next: 0,
            levels_first: levels_first as u32,
            levels_end: levels_end as u32,
            orders_first: (levels_end + ((levels_end ^ skew) & 1)) as u32,
            free_level: NONE,
        };
        pool.clear();
        pool
    }

    /// Forgets all levels, orders and queues.
    pub fn clear(&mut self) {
        self.nodes[self.levels_end as usize..].fill(Node::empty());
        for level in self.levels_first..self.levels_end {
            let next = if level + 1 < self.levels_end { level + 1 } else { NONE };
            self.nodes.link_mut(level).next = next;
        }
        if self.ranked {
            self.ranks.fill(QueueRank::FIRST);
            self.highest.fill(QueueRank::FIRST);
        }
        self.ranked = false;
        self.ladder_next = LADDERS_FIRST;
        self.free_level = self.levels_first;
    }

    /// The first place for an order; a cache line begins there.
    pub fn orders_first(&self) -> u32 {
        self.orders_first
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

    /// Levels and orders.
    #[inline(always)]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Levels and orders, to be changed.
    #[inline(always)]
    pub fn nodes_mut(&mut self) -> &mut [Node] {
        &mut self.nodes
    }

    /// A level.
    #[inline(always)]
    pub fn level(&self, level: u32) -> &LevelNode {
        self.nodes.level(level)
    }

    /// How many orders a level has.
    #[inline(always)]
    pub fn count(&self, level: u32) -> u32 {
        self.level(level).count
    }

    /// An order, or a place for one.
    #[inline(always)]
    pub fn order(&self, order: u32) -> &OrderNode {
        self.nodes.order(order)
    }

    /// Starts to load a line of orders.
    #[inline(always)]
    pub fn prefetch_line(&self, line: u32) {
        prefetch(&self.nodes, line as usize);
    }

    /// Starts to load the ranks of the orders of a line.
    #[inline(always)]
    pub fn prefetch_ranks(&self, line: u32) {
        if self.ranked {
            prefetch(&self.ranks, line.wrapping_sub(self.orders_first) as usize);
        }
    }

    /// Starts to load a level.
    #[inline(always)]
    pub fn prefetch_level(&self, level: u32) {
        prefetch(&self.nodes, level as usize);
        if self.ranked {
            prefetch(&self.highest, level as usize);
        }
    }

    /// Starts to load what stands beside an order in its queue, or for a level what stands at the end of its own.
    #[inline(always)]
    pub fn prefetch_neighbours(&self, node: u32) {
        if self.queues {
            let Link { previous, next } = self.nodes.link(node);
            prefetch(&self.nodes, previous as usize);
            prefetch(&self.nodes, next as usize);
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

    /// Gives a level back that [`NodePool::take_level`] gave.
    pub fn give_level(&mut self, level: u32) {
        self.nodes.level_mut(level).link.next = self.free_level;
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
        let link = Link { previous: level, next: level };
        *self.nodes.level_mut(level) = LevelNode { price, quantity: 0, link, count: 0, book_side };
        if self.ranked {
            self.highest[level as usize] = QueueRank::FIRST;
        }
    }

    /// Puts an order behind all others of a level.
    fn add_last(&mut self, level: u32, order: u32, quantity: u64) {
        self.nodes.add_last(level, order, quantity, self.queues);
    }

    /// Takes an order out of its queue and off its level, which may have no order left.
    pub fn remove(&mut self, level: u32, order: u32, quantity: u64) {
        self.nodes.take_out(level, order, quantity, self.queues);
    }

    /// Puts an order on a level where its rank belongs, behind those of the same rank; without one it stands behind all
    /// others and has the rank of the last. Returns how many stand behind it.
    pub fn add(&mut self, level: u32, order: u32, quantity: u64, rank: Option<QueueRank>) -> u32 {
        if !self.queues {
            self.add_last(level, order, quantity);
            return 0;
        }
        if rank.is_some() && !self.ranked {
            self.begin_ranks();
        }
        let last = self.last_rank(level);
        let rank = rank.unwrap_or(last);
        self.add_last(level, order, quantity);
        if self.ranked {
            self.note_rank(level, order, rank.max(self.highest_rank(level)));
            *self.rank_mut(order) = rank;
        }
        if rank < last { self.move_before_higher(level, order, rank) } else { 0 }
    }

    /// The feed states ranks after all. Within the room taken at construction: no allocation.
    #[cold]
    fn begin_ranks(&mut self) {
        self.ranked = true;
        self.ranks.resize(self.nodes.len() - self.orders_first as usize, QueueRank::FIRST);
        self.highest.resize(self.levels_end as usize, QueueRank::FIRST);
    }

    /// A rank that none of a level's orders is above.
    #[inline(always)]
    pub fn highest_rank(&self, level: u32) -> QueueRank {
        self.highest[level as usize]
    }

    /// The rank of a level's last order.
    fn last_rank(&self, level: u32) -> QueueRank {
        let last = self.level(level).link.previous;
        // An empty level's last is itself and no order: its place lies outside.
        self.ranks.get(last.wrapping_sub(self.orders_first) as usize).copied().unwrap_or(QueueRank::FIRST)
    }

    #[inline(always)]
    fn rank_mut(&mut self, order: u32) -> &mut QueueRank {
        &mut self.ranks[(order - self.orders_first) as usize]
    }

    /// Notes the rank of a level's last order, which is not below [`NodePool::highest_rank`].
    #[inline(always)]
    pub fn note_rank(&mut self, level: u32, order: u32, rank: QueueRank) {
        *self.rank_mut(order) = rank;
        self.highest[level as usize] = rank;
    }

    /// Moves a level's last order in front of all that rank higher, and returns how many these are.
    #[cold]
    fn move_before_higher(&mut self, level: u32, order: u32, rank: QueueRank) -> u32 {
        let last = self.nodes.link(order).previous;
        self.nodes.link_mut(last).next = level;
        self.nodes.link_mut(level).previous = last;
        let (mut before, mut passed) = (last, 0);
        while before != level && *self.rank_mut(before) > rank {
            before = self.nodes.link(before).previous;
            passed += 1;
        }
        let behind = self.nodes.link(before).next;
        *self.nodes.link_mut(order) = Link { previous: before, next: behind };
        self.nodes.link_mut(before).next = order;
        self.nodes.link_mut(behind).previous = order;
        passed
    }

    /// The orders of a level, first to last; none where there are no queues.
    pub fn queue(&self, level: u32) -> impl Iterator<Item = u32> + '_ {
        let mut at = if self.queues { self.level(level).link.next } else { level };
        std::iter::from_fn(move || {
            let here = (at != level).then_some(at)?;
            at = self.nodes.link(here).next;
            Some(here)
        })
    }

    /// Panics when the queue of a level disagrees with it. For tests and simulation only.
    pub fn check_level(&self, level: u32) {
        let (mut before, mut count, mut sum) = (level, 0, 0u64);
        for order in self.queue(level) {
            assert_eq!((self.nodes.link(order).previous, self.order(order).level), (before, level));
            before = order;
            count += 1;
            sum = sum.wrapping_add(self.order(order).quantity);
        }
        assert_eq!(self.level(level).link.previous, before);
        assert_eq!((self.count(level), self.level(level).quantity), (count, sum));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Notes an order of that quantity at a place, as the index does.
    fn note(pool: &mut NodePool, level: u32, order: u32, quantity: u64) {
        let cell = pool.nodes.order_mut(order);
        (cell.id, cell.quantity, cell.level) = (1, quantity, level);
    }

    #[test]
    fn a_used_up_pool_refuses() {
        let mut pool = NodePool::new(64, 1, 2, true, true);
        assert!(pool.take_level(5, 3).is_some());
        assert_eq!(pool.take_level(6, 3), None);
        assert!(pool.take_ladder(1).is_some());
        assert_eq!(pool.take_ladder(1), None);
        assert_eq!(pool.take_ladder(u32::MAX), None);
    }

    #[test]
    fn a_line_of_orders_is_a_cache_line() {
        for (levels, lines) in [(1, 1), (2, 1), (63, 70), (64, 5), (100_000, 40_000)] {
            let pool = NodePool::new(0, levels, lines, false, true);
            let first = pool.orders_first();
            for line in [first, first + (lines as u32 - 1) * 2] {
                assert_eq!(std::ptr::from_ref(pool.nodes.line(line)).addr() % LINE_BYTES, 0, "{levels}");
            }
            assert!(first >= pool.levels_end);
        }
    }

    #[test]
    fn without_queues_there_are_totals() {
        let mut pool = NodePool::new(0, 1, 2, true, false);
        let level = pool.take_level(5, 3).unwrap();
        let [first, second] = [pool.orders_first(), pool.orders_first() + 1];
        note(&mut pool, level, first, 10);
        note(&mut pool, level, second, 20);
        assert_eq!(pool.add(level, first, 10, Some(QueueRank { ns: 5, sequence: 1 })), 0);
        assert_eq!(pool.add(level, second, 20, Some(QueueRank { ns: 4, sequence: 1 })), 0);
        pool.remove(level, first, 10);
        pool.nodes.lessen(level, second, 5);
        assert_eq!((pool.count(level), pool.level(level).quantity, pool.queue(level).count()), (1, 15, 0));
        assert_eq!(pool.order(second).quantity, 15);
        assert!(!pool.is_ranked());
    }

    proptest! {
        /// Ranked and unranked orders in and out of two levels, against lists that are sorted by insertion.
        #[test]
        fn a_queue_is_ordered_by_rank(steps in prop::collection::vec((0usize..2, any::<bool>(), prop::option::of((1u64..6, 0u32..4)), 0usize..12), 0..120)) {
            let mut pool = NodePool::new(0, 2, 16, true, true);
            let levels = [pool.take_level(1, 3).unwrap(), pool.take_level(2, 3).unwrap()];
            let mut free: Vec<u32> = (0..32).map(|place| pool.orders_first() + place).collect();
            let mut lists: [Vec<(u32, QueueRank)>; 2] = Default::default();
            for (of, add, rank, place) in steps {
                let (level, list) = (levels[of], &mut lists[of]);
                if add && let Some(order) = free.pop() {
                    let rank = rank.map(|(ns, sequence)| QueueRank { ns, sequence });
                    let have = rank.unwrap_or(list.last().map_or(QueueRank::FIRST, |last| last.1));
                    let at = list.iter().rposition(|&(_, other)| other <= have).map_or(0, |at| at + 1);
                    note(&mut pool, level, order, u64::from(order) + 1);
                    prop_assert_eq!(pool.add(level, order, u64::from(order) + 1, rank) as usize, list.len() - at);
                    list.insert(at, (order, have));
                } else if !list.is_empty() {
                    let (order, _) = list.remove(place % list.len());
                    pool.remove(level, order, u64::from(order) + 1);
                    free.push(order);
                }
                for (level, list) in levels.into_iter().zip(&lists) {
                    let have: Vec<u32> = pool.queue(level).collect();
                    let want: Vec<u32> = list.iter().map(|&(order, _)| order).collect();
                    prop_assert_eq!(have, want);
                    pool.check_level(level);
                }
            }
        }
    }
}
