//! Where the orders of all books of one replica lie: few large pieces of memory, carved into tables.
//!
//! A table of its own for each book lies on thousands of small pages, whose translation then costs more than the order.
//! Pieces double from [`PIECE_SLOTS_MIN`], so that a reader of one book stays small, up to [`PIECE_SLOTS_MAX`], which lies
//! on huge pages where the system allows it. What a table leaves goes to the next one of its size, and all pieces go back to
//! the system with the last handle. Full is when the system has no memory: what the orders take is bounded by those that the
//! book thread admits. Taken when a table grows, never for an update that finds room. Nothing here is shared between replicas.

use std::mem;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::memory::table;
use crate::types::Price;

/// Slots of the first table of a book.
pub(super) const SLOTS_MIN: usize = 16;
/// Slots of the first piece: 256 KiB.
const PIECE_SLOTS_MIN: usize = (256 << 10) / size_of::<OrderSlot>();
/// Slots of the largest piece: 8 MiB, so that touching a new one takes some three milliseconds and not more.
const PIECE_SLOTS_MAX: usize = (8 << 20) / size_of::<OrderSlot>();

/// A slot of a table; two share a cache line.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(32))]
pub(super) struct OrderSlot {
    pub order_id: u64,
    pub quantity: u64,
    pub price: Price,
    /// Rank among the orders of its price, above 0, and the side in the lowest bit; 0 = nobody is here.
    pub rank_side: u64,
}

const _: () = assert!(size_of::<OrderSlot>() == 32);

impl OrderSlot {
    pub const EMPTY: Self = Self { order_id: 0, quantity: 0, price: Price::NONE, rank_side: 0 };

    pub fn rank(&self) -> u64 {
        self.rank_side >> 1
    }

    pub fn side(&self) -> usize {
        (self.rank_side & 1) as usize
    }
}

/// A table: no slots, or a power of two of them. `'static` stands for "as long as a handle of its slab".
#[derive(Debug, Default)]
pub(super) struct Table(&'static mut [OrderSlot]);

impl Deref for Table {
    type Target = [OrderSlot];

    #[inline(always)]
    fn deref(&self) -> &[OrderSlot] {
        self.0
    }
}

impl DerefMut for Table {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [OrderSlot] {
        self.0
    }
}

/// A handle of a replica's slab; the replica and the orders of each of its books have one. The lock is taken when a table
/// grows or goes, and nobody else waits for it: a replica belongs to one thread.
#[derive(Clone, Debug, Default)]
pub(super) struct OrderSlab(Arc<Mutex<Pool>>);

impl OrderSlab {
    /// A table of at least so many empty slots.
    ///
    /// # Safety
    /// The table must not be used once its last handle, of which the caller has one, is dropped.
    pub unsafe fn take(&self, slots: usize) -> Table {
        let taken = self.pool().take(slots.max(SLOTS_MIN).next_power_of_two());
        taken.fill(OrderSlot::EMPTY);
        Table(taken)
    }

    /// Takes a table back, for the next one of its length.
    pub fn give_back(&self, table: Table) {
        if !table.is_empty() {
            self.pool().give_back(table.0);
        }
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tables that nobody uses.
#[derive(Debug)]
struct Pool {
    /// By the power of two that is their length.
    free: [Vec<&'static mut [OrderSlot]>; usize::BITS as usize],
    /// The end of the newest piece.
    rest: &'static mut [OrderSlot],
    /// How long the next piece will be.
    next_slots: usize,
    pieces: Vec<Piece>,
}

impl Default for Pool {
    fn default() -> Self {
        Self {
            free: [const { Vec::new() }; usize::BITS as usize],
            rest: &mut [],
            next_slots: PIECE_SLOTS_MIN,
            pieces: Vec::new(),
        }
    }
}

impl Pool {
    /// `slots`: a power of two. What is in them is anybody's.
    fn take(&mut self, slots: usize) -> &'static mut [OrderSlot] {
        if let Some(free) = self.free[slots.trailing_zeros() as usize].pop() {
            return free;
        }
        if self.rest.len() < slots {
            self.next_piece(slots);
        }
        let (taken, rest) = mem::take(&mut self.rest).split_at_mut(slots);
        self.rest = rest;
        taken
    }

    fn give_back(&mut self, slots: &'static mut [OrderSlot]) {
        self.free[slots.len().trailing_zeros() as usize].push(slots);
    }

    fn next_piece(&mut self, slots: usize) {
        let mut old = mem::take(&mut self.rest);
        while let Some(bits) = old.len().checked_ilog2() {
            let (table, rest) = old.split_at_mut(1 << bits);
            self.give_back(table);
            old = rest;
        }
        let mut piece = Piece::new(self.next_slots.max(slots));
        // SAFETY: nobody else has slots of this piece yet, and it lives as long as the pool, which is kept until the last
        // handle is dropped; after that no table is used (`OrderSlab::take`).
        self.rest = unsafe { piece.0.as_mut() };
        self.pieces.push(piece);
        self.next_slots = (self.next_slots * 2).min(PIECE_SLOTS_MAX);
    }
}

/// A piece of memory, of which the pool and the tables have parts.
#[derive(Debug)]
struct Piece(NonNull<[OrderSlot]>);

// SAFETY: a piece is plain memory that belongs to one pool, wherever that goes.
unsafe impl Send for Piece {}

impl Piece {
    fn new(slots: usize) -> Self {
        Self(NonNull::from(Box::leak(table(slots, OrderSlot::EMPTY).into_boxed_slice())))
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        // SAFETY: it is the box that was leaked (`Piece::new`), and with the pool all parts of it are gone.
        drop(unsafe { Box::from_raw(self.0.as_ptr()) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_empty_apart_from_each_other_and_used_again() {
        let mut pool = Pool::default();
        let mut taken = Vec::new();
        for round in 0..200_u64 {
            let slots = SLOTS_MIN << (round % 7);
            let table = pool.take(slots);
            assert_eq!(table.len(), slots);
            table.fill(OrderSlot { order_id: round, ..OrderSlot::EMPTY });
            taken.push((round, table));
            if round % 3 == 0 {
                pool.give_back(taken.swap_remove(taken.len() / 2).1);
            }
        }
        assert!(taken.iter().all(|(round, table)| table.iter().all(|slot| slot.order_id == *round)));
        let large = pool.take(2 * PIECE_SLOTS_MAX);
        let address = large.as_ptr();
        assert_eq!(large.len(), 2 * PIECE_SLOTS_MAX);
        pool.give_back(large);
        assert_eq!(pool.take(2 * PIECE_SLOTS_MAX).as_ptr(), address);
    }

    #[test]
    fn a_table_that_is_taken_again_is_empty() {
        let slab = OrderSlab::default();
        // SAFETY: the slab outlives the tables.
        let mut table = unsafe { slab.take(20) };
        assert_eq!(table.len(), 32);
        table[3].order_id = 7;
        let address = table.as_ptr();
        slab.give_back(table);
        slab.give_back(Table::default());
        // SAFETY: the slab outlives the tables.
        let again = unsafe { slab.take(32) };
        assert_eq!(again.as_ptr(), address);
        assert!(again.iter().all(|slot| slot.order_id == 0), "nothing of its user before is left");
    }
}
