//! Orders in their queues: one pool of 16-byte cells, four to a cache line.
//!
//! A *chunk* is a cache line: a head and three orders that stand one behind the other in the queue of one level. A
//! *level* is half a line: a head of the same shape and its totals; it is the sentinel of its own queue of chunks
//! (level → first chunk → … → last chunk → level). So most changes of a queue touch one line and the level, and a new
//! order, a smaller order and one that goes are one path without a branch ([`Cells::change`]).
//! Never allocates after construction and never looks an order up: that is the index's work (`orders.rs`).

use std::hint::select_unpredictable as select;

use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

use crate::memory::{prefetch, table};

/// "No cell".
pub(crate) const NO_CELL: u32 = u32::MAX;
/// Cells of a chunk, its head among them.
pub(crate) const CHUNK_CELLS: u32 = 4;
/// Cells of a level: head and totals.
pub(crate) const LEVEL_CELLS: u32 = 2;
/// Levels of a ladder come in such groups, each with a word of bits in [`crate::levels`].
pub(crate) const GROUP_LEVELS: u32 = 64;
/// A chunk that nothing is in: what a change does not have to write goes there.
pub(crate) const SCRATCH: u32 = 0;
/// The first cell of the first ladder.
const LADDERS_FIRST: u32 = GROUP_LEVELS * LEVEL_CELLS;
/// Bits of a mark for the orders of a chunk: bit 1, 2, 3 for the cells behind the head.
const PLACES: u32 = 0b1110;
const SCOPE_SHIFT: u32 = 4;

/// 16 bytes of the pool: a [`Head`] or an [`Entry`].
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(16))]
struct Cell([u32; 4]);

const _: () = assert!(size_of::<Cell>() * CHUNK_CELLS as usize == 64);

/// First cell of a chunk or of a level.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct Head {
    /// Chunk: the one before it in the queue, or its level for the first. Level: its last chunk, or itself.
    pub previous: u32,
    /// Chunk: the one behind it in the queue, or its level for the last; the next free chunk while it is free. Level:
    /// its first chunk, or itself.
    pub next: u32,
    /// Chunk: its level. Level: how many orders it has.
    pub owner: u32,
    /// Dense index of the book × 2 + side, above four bits that say which cells of a chunk are orders. A level looks
    /// like a full chunk, so that an order that finds its level empty takes a chunk of its own.
    mark: u32,
}

/// Any other cell.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct Entry {
    /// Order: its id. Level: its price, as bits.
    pub key: u64,
    /// Order: visible quantity that is left, 0 only for an undisclosed order. Level: the sum of its orders'.
    pub quantity: u64,
}

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

/// An order that comes.
#[derive(Clone, Copy)]
pub(crate) struct Coming {
    /// Dense index of the book × 2 + side.
    pub book_side: u32,
    pub id: u64,
    pub quantity: u64,
}

/// The pool. Cells of ladders come first, then single levels, then chunks.
pub(crate) struct Cells {
    /// Some cells that nobody uses, and then all others, whole chunks of them on cache lines.
    all: Vec<Cell>,
    unused: usize,
    /// Beside each cell of a chunk; all [`QueueRank::FIRST`] until the feed states a rank.
    ranks: Vec<QueueRank>,
    /// Ranks at the beginning that nobody uses, so that those of a chunk are one cache line.
    ranks_unused: usize,
    ranked: bool,
    ladder_next: u32,
    levels_first: u32,
    levels_end: u32,
    chunks_first: u32,
    free_level: u32,
    free_chunk: u32,
    live: u32,
    orders_max: u32,
}

impl Cells {
    /// `ranked`: the feed is one that states ranks, so that the memory for them is touched now and not with the first.
    ///
    /// # Panics
    /// When a bound is 0, all together do not fit 31 bits, or there is not enough memory.
    pub fn new(ladder_slots: usize, levels_max: usize, orders_max: usize, ranked: bool) -> Self {
        assert!(levels_max > 0, "levels_max must be above 0");
        assert!(orders_max > 0, "orders_max must be above 0");
        let levels = ladder_slots.saturating_add(levels_max);
        let levels_end = LADDERS_FIRST as usize + levels.saturating_mul(LEVEL_CELLS as usize);
        // Whole lines, so that a chunk is one.
        let chunks_first = levels_end.saturating_add(2) / CHUNK_CELLS as usize * CHUNK_CELLS as usize;
        let all = chunks_first.saturating_add(orders_max.saturating_mul(CHUNK_CELLS as usize));
        assert!(all < 1 << 31, "2 × (ladder_slots + levels_max) + 4 × orders_max must be below 2^31");
        let whole = table(all + CHUNK_CELLS as usize, Cell([0; 4]));
        let unused = whole.as_ptr().cast::<u8>().align_offset(64) / size_of::<Cell>();
        let ranks_all = all - chunks_first + CHUNK_CELLS as usize;
        let ranks = if ranked {
            table(ranks_all, QueueRank::FIRST)
        } else {
            QueueRank::new_vec_zeroed(ranks_all).expect("memory for the ranks of all orders")
        };
        let mut cells = Self {
            all: whole,
            unused,
            ranks_unused: ranks.as_ptr().cast::<u8>().align_offset(64) / size_of::<QueueRank>(),
            ranks,
            ranked: false,
            ladder_next: 0,
            levels_first: LADDERS_FIRST + ladder_slots as u32 * LEVEL_CELLS,
            levels_end: levels_end as u32,
            chunks_first: chunks_first as u32,
            free_level: NO_CELL,
            free_chunk: NO_CELL,
            live: 0,
            orders_max: orders_max as u32,
        };
        cells.clear();
        cells
    }

    /// Forgets all orders and levels.
    pub fn clear(&mut self) {
        let end = self.len();
        for at in (self.levels_first..self.levels_end).step_by(LEVEL_CELLS as usize) {
            self.lay(at, 0, 0);
            let next = at + LEVEL_CELLS;
            self.head_mut(at).next = if next < self.levels_end { next } else { NO_CELL };
        }
        for at in (self.chunks_first..end).step_by(CHUNK_CELLS as usize) {
            let next = at + CHUNK_CELLS;
            let next = if next < end { next } else { NO_CELL };
            *self.head_mut(at) = Head { previous: at, next, owner: 0, mark: 0 };
        }
        if self.ranked {
            self.ranks.fill(QueueRank::FIRST);
        }
        self.ranked = false;
        self.ladder_next = LADDERS_FIRST;
        self.free_level = self.levels_first;
        self.free_chunk = self.chunks_first;
        self.live = 0;
    }

    /// All cells, whatever they are.
    fn len(&self) -> u32 {
        (self.all.len() - CHUNK_CELLS as usize) as u32
    }

    /// Orders in use.
    #[inline]
    pub fn live(&self) -> usize {
        self.live as usize
    }

    /// Whether one more order fits.
    #[inline(always)]
    pub fn has_room(&self) -> bool {
        self.live < self.orders_max
    }

    /// Whether the feed has stated a rank.
    #[inline(always)]
    pub fn is_ranked(&self) -> bool {
        self.ranked
    }

    /// The cells, without those that only fill up a cache line.
    #[inline(always)]
    fn cells(&self) -> &[Cell] {
        &self.all[self.unused..]
    }

    #[inline(always)]
    fn cells_mut(&mut self) -> &mut [Cell] {
        &mut self.all[self.unused..]
    }

    /// The head of a level or chunk.
    #[inline(always)]
    pub fn head(&self, at: u32) -> &Head {
        head(self.cells(), at)
    }

    #[inline(always)]
    fn head_mut(&mut self, at: u32) -> &mut Head {
        head_mut(self.cells_mut(), at)
    }

    /// An order.
    #[inline(always)]
    pub fn order(&self, at: u32) -> &Entry {
        entry(self.cells(), at)
    }

    #[inline(always)]
    fn entry_mut(&mut self, at: u32) -> &mut Entry {
        entry_mut(self.cells_mut(), at)
    }

    /// Price and visible quantity of a level.
    #[inline(always)]
    pub fn totals(&self, level: u32) -> &Entry {
        self.order(level | 1)
    }

    /// How many orders a level has.
    #[inline(always)]
    pub fn count(&self, level: u32) -> u32 {
        self.head(level).owner
    }

    /// The level of an order.
    #[inline(always)]
    pub fn level_of(&self, order: u32) -> u32 {
        self.head(chunk_of(order)).owner
    }

    /// Dense index of the book × 2 + side of an order.
    #[inline(always)]
    pub fn book_side_of(&self, order: u32) -> u32 {
        self.head(chunk_of(order)).mark >> SCOPE_SHIFT
    }

    /// Starts to load a cell.
    #[inline(always)]
    pub fn prefetch(&self, at: u32) {
        prefetch(self.cells(), at as usize);
    }

    /// Starts to load what a change of this order, or an add to this level, touches besides, and returns the level: of
    /// an order its level, and the neighbours of its chunk if it is alone there; of a level its last chunk.
    #[inline(always)]
    pub fn prefetch_around(&self, at: u32) -> u32 {
        // No branch: any line will do where there is none.
        let is_order = at >= self.chunks_first;
        let at = select(is_order, chunk_of(at), at);
        let head = self.head(at);
        let places = head.mark & PLACES;
        let alone = places & places.wrapping_sub(1) == 0;
        self.prefetch(select(alone | !is_order, head.previous, at));
        self.prefetch(select(alone & is_order, head.next, at));
        let level = select(is_order, head.owner, at);
        self.prefetch(level);
        if self.ranked {
            // Only an add looks at ranks, those of its level's last chunk; any place will do where there is no add.
            prefetch(&self.ranks, select(is_order, 0, self.rank_at(head.previous)));
        }
        level
    }

    /// Whether `at` is an order in use with that id, and of that book and side as far as `scope_mask` has bits. Any
    /// number may be asked about that the index gave out once, and [`NO_CELL`].
    #[inline(always)]
    pub fn is(&self, at: u32, id: u64, book_side: u32, scope_mask: u32) -> bool {
        if at >= self.len() {
            return false;
        }
        let mark = self.head(chunk_of(at)).mark;
        let scope = (mark >> SCOPE_SHIFT ^ book_side) & scope_mask;
        (self.order(at).key == id) & (scope == 0) & (mark >> (at % CHUNK_CELLS) & 1 == 1)
    }

    /// A level outside all ladders. `None`: none is left.
    pub fn take_level(&mut self, price: i64, book_side: u32) -> Option<u32> {
        let at = self.free_level;
        if at == NO_CELL {
            return None;
        }
        self.free_level = self.head(at).next;
        self.lay(at, price, book_side);
        Some(at)
    }

    /// Gives a level back that [`Cells::take_level`] gave.
    pub fn give_level(&mut self, at: u32) {
        self.head_mut(at).next = self.free_level;
        self.free_level = at;
    }

    /// So many groups of levels in a row; they are never given back. `None`: not so many are left.
    pub fn take_ladder(&mut self, groups: u32) -> Option<u32> {
        let first = self.ladder_next;
        let end = first.checked_add(groups.checked_mul(GROUP_LEVELS * LEVEL_CELLS)?)?;
        (end <= self.levels_first).then(|| self.ladder_next = end)?;
        Some(first)
    }

    /// Makes an empty level.
    pub fn lay(&mut self, at: u32, price: i64, book_side: u32) {
        *self.head_mut(at) = Head { previous: at, next: at, owner: 0, mark: book_side << SCOPE_SHIFT | PLACES };
        *self.entry_mut(at | 1) = Entry { key: price as u64, quantity: 0 };
    }

    /// Puts an order behind all others of a level and returns its cell. There must be room for it.
    #[inline(always)]
    pub fn add_last(&mut self, level: u32, new: &Coming) -> u32 {
        let Coming { book_side, id, quantity } = *new;
        let free = self.free_chunk;
        let cells = self.cells_mut();
        let last = head(cells, level).previous;
        // A level that is its own last chunk looks full.
        let used = head(cells, last).mark & PLACES;
        let fresh = used >= 1 << (CHUNK_CELLS - 1);
        let chunk = select(fresh, free, last);
        let order = chunk + select(fresh, 1, place_behind(used));
        head_mut(cells, last).next = chunk;
        let head = head_mut(cells, chunk);
        let next_free = head.next;
        head.previous = select(fresh, last, head.previous);
        head.next = level;
        head.owner = level;
        head.mark = select(fresh, book_side << SCOPE_SHIFT, head.mark) | 1 << (order % CHUNK_CELLS);
        *entry_mut(cells, order) = Entry { key: id, quantity };
        let head = head_mut(cells, level);
        head.previous = chunk;
        head.owner += 1;
        let totals = entry_mut(cells, level | 1);
        totals.quantity = totals.quantity.wrapping_add(quantity);
        self.free_chunk = select(fresh, next_free, free);
        self.live += 1;
        order
    }

    /// Takes an order out of its queue and off its level, and returns the level, which may have no order left.
    #[inline(always)]
    pub fn remove(&mut self, order: u32) -> u32 {
        let free = self.free_chunk;
        let cells = self.cells_mut();
        let quantity = entry(cells, order).quantity;
        let chunk = chunk_of(order);
        let head = head_mut(cells, chunk);
        let (previous, next, level) = (head.previous, head.next, head.owner);
        head.mark &= !(1 << (order % CHUNK_CELLS));
        let emptied = head.mark & PLACES == 0;
        head.next = select(emptied, free, next);
        // What stood around an empty chunk is joined.
        head_mut(cells, select(emptied, previous, SCRATCH)).next = next;
        head_mut(cells, select(emptied, next, SCRATCH)).previous = previous;
        head_mut(cells, level).owner -= 1;
        let totals = entry_mut(cells, level | 1);
        totals.quantity = totals.quantity.wrapping_sub(quantity);
        self.free_chunk = select(emptied, chunk, free);
        self.live -= 1;
        level
    }

    /// Takes a part of its quantity from an order, and returns its level.
    #[inline(always)]
    pub fn lessen(&mut self, order: u32, quantity: u64) -> u32 {
        let entry = self.entry_mut(order);
        entry.quantity = entry.quantity.wrapping_sub(quantity);
        let level = self.level_of(order);
        let totals = self.entry_mut(level | 1);
        totals.quantity = totals.quantity.wrapping_sub(quantity);
        level
    }

    /// Puts an order on a level where its rank belongs, behind those of the same rank; without one it stands behind all
    /// others and has the rank of the last. There must be room for it. Returns its cell and how many stand behind it.
    ///
    /// `moved` hears of orders that had to make way: id, old and new cell.
    pub fn add(
        &mut self,
        level: u32,
        new: &Coming,
        rank: Option<QueueRank>,
        moved: impl FnMut(u64, u32, u32),
    ) -> (u32, u32) {
        self.ranked |= rank.is_some();
        match rank {
            Some(rank) if rank < self.last_rank(level) => self.add_before_higher(level, new, rank, moved),
            None if !self.ranked => (self.add_last(level, new), 0),
            rank => {
                let rank = rank.unwrap_or_else(|| self.last_rank(level));
                let order = self.add_last(level, new);
                self.note_rank(order, rank);
                (order, 0)
            }
        }
    }

    /// The rank of a level's last order, which none of it is above.
    #[inline(always)]
    pub fn last_rank(&self, level: u32) -> QueueRank {
        let chunk = self.head(level).previous;
        let places = self.head(chunk).mark & PLACES;
        // An empty level is no chunk: its place lies outside.
        let last = select(chunk == level, level, chunk + places.ilog2());
        self.ranks.get(self.rank_at(last)).copied().unwrap_or(QueueRank::FIRST)
    }

    /// Where the rank of an order is; of what is no order, nowhere.
    #[inline(always)]
    fn rank_at(&self, order: u32) -> usize {
        order.wrapping_sub(self.chunks_first) as usize + self.ranks_unused
    }

    /// Notes the rank of an order, which is not below that of the one before it.
    #[inline(always)]
    pub fn note_rank(&mut self, order: u32, rank: QueueRank) {
        let at = self.rank_at(order);
        self.ranks[at] = rank;
    }

    #[cold]
    fn add_before_higher(
        &mut self,
        level: u32,
        new: &Coming,
        rank: QueueRank,
        mut moved: impl FnMut(u64, u32, u32),
    ) -> (u32, u32) {
        let Coming { book_side, id, quantity } = *new;
        let (before, passed) = self.last_not_above(level, rank);
        let order = match before {
            None => self.take_chunk(level, level, book_side) + 1,
            Some(before) => {
                self.split_behind(before, &mut moved);
                match before % CHUNK_CELLS + 1 {
                    CHUNK_CELLS => self.take_chunk(chunk_of(before), level, book_side) + 1,
                    _ => before + 1,
                }
            }
        };
        *self.entry_mut(order) = Entry { key: id, quantity };
        self.note_rank(order, rank);
        self.head_mut(chunk_of(order)).mark |= 1 << (order % CHUNK_CELLS);
        self.live += 1;
        self.head_mut(level).owner += 1;
        let totals = self.entry_mut(level | 1);
        totals.quantity = totals.quantity.wrapping_add(quantity);
        (order, passed)
    }

    /// The last order of a level that ranks no higher, and how many stand behind it.
    fn last_not_above(&self, level: u32, rank: QueueRank) -> (Option<u32>, u32) {
        let (mut chunk, mut passed) = (self.head(level).previous, 0);
        while chunk != level {
            let head = self.head(chunk);
            for place in (1..CHUNK_CELLS).rev().filter(|place| head.mark >> place & 1 == 1) {
                if self.ranks[self.rank_at(chunk + place)] <= rank {
                    return (Some(chunk + place), passed);
                }
                passed += 1;
            }
            chunk = head.previous;
        }
        (None, passed)
    }

    /// A free chunk, linked in behind another one of its level or in front of all. There is one: no chunk in use is
    /// empty, and there are as many as orders.
    fn take_chunk(&mut self, before: u32, level: u32, book_side: u32) -> u32 {
        let chunk = self.free_chunk;
        self.free_chunk = self.head(chunk).next;
        let behind = self.head(before).next;
        *self.head_mut(chunk) = Head { previous: before, next: behind, owner: level, mark: book_side << SCOPE_SHIFT };
        self.head_mut(before).next = chunk;
        self.head_mut(behind).previous = chunk;
        chunk
    }

    /// Moves the orders that stand behind another one in its chunk to a chunk of their own.
    fn split_behind(&mut self, before: u32, moved: &mut impl FnMut(u64, u32, u32)) {
        let chunk = chunk_of(before);
        let Head { owner, mark, .. } = *self.head(chunk);
        let rest = mark & PLACES & (u32::MAX << (before % CHUNK_CELLS) << 1);
        if rest == 0 {
            return;
        }
        let fresh = self.take_chunk(chunk, owner, mark >> SCOPE_SHIFT);
        for place in (1..CHUNK_CELLS).filter(|place| rest >> place & 1 == 1) {
            let (old, new) = (chunk + place, fresh + place);
            *self.entry_mut(new) = *self.order(old);
            self.note_rank(new, self.ranks[self.rank_at(old)]);
            moved(self.order(new).key, old, new);
        }
        self.head_mut(chunk).mark ^= rest;
        self.head_mut(fresh).mark |= rest;
    }

    /// The first order of a level.
    pub fn first(&self, level: u32) -> Option<u32> {
        let chunk = self.head(level).next;
        let places = self.head(chunk).mark & PLACES;
        (chunk != level).then(|| chunk + places.trailing_zeros())
    }

    /// The orders of a level, first to last.
    pub fn queue(&self, level: u32) -> impl Iterator<Item = (u32, &Entry)> {
        let mut chunk = self.head(level).next;
        let chunks = std::iter::from_fn(move || {
            (chunk != level).then(|| {
                let (this, head) = (chunk, self.head(chunk));
                chunk = head.next;
                (this, head.mark)
            })
        });
        chunks.flat_map(move |(chunk, mark)| {
            let places = (1..CHUNK_CELLS).filter(move |place| mark >> place & 1 == 1);
            places.map(move |place| (chunk + place, self.order(chunk + place)))
        })
    }

    /// Panics when the chunks of a level disagree with it. For tests and simulation only.
    pub fn check_level(&self, level: u32, book_side: u32) {
        let (mut before, mut chunk) = (level, self.head(level).next);
        while chunk != level {
            let Head { previous, next, owner, mark } = *self.head(chunk);
            assert_eq!((previous, owner, mark >> SCOPE_SHIFT), (before, level, book_side));
            assert_ne!(mark & PLACES, 0, "a chunk in use is not empty");
            (before, chunk) = (chunk, next);
        }
        assert_eq!(self.head(level).previous, before);
        let (mut count, mut quantity) = (0, 0u64);
        for (_, order) in self.queue(level) {
            count += 1;
            quantity = quantity.wrapping_add(order.quantity);
        }
        assert_eq!((self.count(level), self.totals(level).quantity), (count, quantity));
    }
}

#[inline(always)]
fn head(cells: &[Cell], at: u32) -> &Head {
    zerocopy::transmute_ref!(&cells[at as usize])
}

#[inline(always)]
fn head_mut(cells: &mut [Cell], at: u32) -> &mut Head {
    zerocopy::transmute_mut!(&mut cells[at as usize])
}

#[inline(always)]
fn entry(cells: &[Cell], at: u32) -> &Entry {
    zerocopy::transmute_ref!(&cells[at as usize])
}

#[inline(always)]
fn entry_mut(cells: &mut [Cell], at: u32) -> &mut Entry {
    zerocopy::transmute_mut!(&mut cells[at as usize])
}

/// The place behind all places in use, one digit for each of their combinations; a full chunk has none.
#[inline(always)]
const fn place_behind(used: u32) -> u32 {
    0x4444_3321 >> (used * 2) & 0xF
}

/// The chunk that a cell is in.
#[inline(always)]
const fn chunk_of(order: u32) -> u32 {
    order / CHUNK_CELLS * CHUNK_CELLS
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn coming(id: u64) -> Coming {
        Coming { book_side: 3, id, quantity: id + 1 }
    }

    #[test]
    fn the_place_behind_is_above_the_highest() {
        for used in (2..=PLACES).step_by(2) {
            assert_eq!(place_behind(used), used.ilog2() + 1);
        }
    }

    #[test]
    fn a_used_up_pool_refuses() {
        let mut cells = Cells::new(64, 1, 2, true);
        let level = cells.take_level(5, 3).unwrap();
        assert_eq!(cells.take_level(6, 3), None);
        let first = cells.add_last(level, &coming(1));
        assert!(cells.has_room());
        cells.add_last(level, &coming(2));
        assert!(!cells.has_room());
        cells.remove(first);
        assert!(cells.has_room());
        assert!(cells.take_ladder(1).is_some());
        assert_eq!(cells.take_ladder(1), None);
        assert_eq!(cells.take_ladder(u32::MAX), None);
    }

    #[test]
    fn a_chunk_is_a_cache_line() {
        let cells = Cells::new(1, 1, 10, false);
        assert!(std::ptr::from_ref(cells.head(cells.chunks_first)).addr().is_multiple_of(64));
    }

    #[test]
    fn what_is_gone_is_no_order() {
        let mut cells = Cells::new(0, 1, 2, true);
        let level = cells.take_level(5, 3).unwrap();
        let order = cells.add_last(level, &coming(7));
        assert!(cells.is(order, 7, 3, u32::MAX) && cells.is(order, 7, 9, 0));
        assert!(!cells.is(order, 7, 2, u32::MAX) && !cells.is(NO_CELL, 7, 3, u32::MAX));
        assert!(!cells.is(chunk_of(order), 7, 3, 0) && !cells.is(order + 1, 0, 3, 0));
        cells.remove(order);
        assert!(!cells.is(order, 7, 3, u32::MAX) && !cells.is(order, 7, 3, 0));
    }

    proptest! {
        /// Ranked and unranked orders in and out of two levels, against lists that are sorted by insertion.
        #[test]
        fn a_queue_is_ordered_by_rank(steps in prop::collection::vec((0usize..2, any::<bool>(), prop::option::of((1u64..6, 0u32..4)), 0usize..12), 0..120)) {
            let mut cells = Cells::new(0, 2, 64, true);
            let levels = [cells.take_level(1, 3).unwrap(), cells.take_level(2, 3).unwrap()];
            let mut lists: [Vec<(u32, u64, QueueRank)>; 2] = Default::default();
            let mut id = 0;
            for (of, add, rank, place) in steps {
                let level = levels[of];
                if add && cells.has_room() {
                    id += 1;
                    let rank = rank.map(|(ns, sequence)| QueueRank { ns, sequence });
                    let have = rank.unwrap_or(lists[of].last().map_or(QueueRank::FIRST, |last| last.2));
                    let at = lists[of].iter().rposition(|&(_, _, other)| other <= have).map_or(0, |at| at + 1);
                    let at = if rank.is_none() { lists[of].len() } else { at };
                    let list = &mut lists[of];
                    let (order, behind) = cells.add(level, &coming(id), rank, |id, old, new| {
                        let moved = list.iter_mut().find(|order| order.1 == id).unwrap();
                        assert_eq!(moved.0, old);
                        moved.0 = new;
                    });
                    prop_assert_eq!(behind as usize, list.len() - at);
                    list.insert(at, (order, id, have));
                } else if !lists[of].is_empty() {
                    let place = place % lists[of].len();
                    let (order, _, _) = lists[of].remove(place);
                    cells.remove(order);
                }
                for (level, list) in levels.into_iter().zip(&lists) {
                    let have: Vec<(u32, u64)> = cells.queue(level).map(|(at, order)| (at, order.key)).collect();
                    let want: Vec<(u32, u64)> = list.iter().map(|&(at, id, _)| (at, id)).collect();
                    prop_assert_eq!(have, want);
                    prop_assert_eq!(cells.first(level), list.first().map(|order| order.0));
                    cells.check_level(level, 3);
                }
                prop_assert_eq!(cells.live(), lists[0].len() + lists[1].len());
            }
        }
    }
}
