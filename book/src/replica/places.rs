//! Where the orders of all books of all replicas lie: few large pieces of memory, carved into tables.
//!
//! A table of its own for each book lies on thousands of small pages, whose translation then costs more than the order.
//! Pieces double from [`PIECE_PLACES_MIN`], so that a reader of one book stays small, up to [`PIECE_PLACES_MAX`], which lies
//! on huge pages where the system allows it. What a table leaves goes to the next one of its size and never back to the
//! system. Full is when the system has no memory: what the orders take is bounded by those that the book thread admits.
//! Taken when a table grows, never for an update that finds room.

use std::mem;
use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, PoisonError};

use crate::memory::table;
use crate::types::Price;

/// Places of the first table of a book.
pub(super) const PLACES_MIN: usize = 16;
/// Places of the first piece: 256 KiB.
const PIECE_PLACES_MIN: usize = (256 << 10) / size_of::<Place>();
/// Places of the largest piece: 8 MiB, so that touching a new one takes some three milliseconds and not more.
const PIECE_PLACES_MAX: usize = (8 << 20) / size_of::<Place>();

/// A place of a table; two share a cache line.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(32))]
pub(super) struct Place {
    pub order_id: u64,
    pub quantity: u64,
    pub price: Price,
    /// Rank among the orders of its price, above 0, and the side in the lowest bit; 0 = nobody is here.
    pub rank_side: u64,
}

const _: () = assert!(size_of::<Place>() == 32);

impl Place {
    pub const EMPTY: Self = Self { order_id: 0, quantity: 0, price: Price::NONE, rank_side: 0 };

    pub fn rank(&self) -> u64 {
        self.rank_side >> 1
    }

    pub fn side(&self) -> usize {
        (self.rank_side & 1) as usize
    }
}

/// A table: no places, or a power of two of them.
#[derive(Debug, Default)]
pub(super) struct Table(&'static mut [Place]);

impl Table {
    /// Of at least so many empty places.
    pub fn with_places(places: usize) -> Self {
        let places = places.max(PLACES_MIN).next_power_of_two();
        let taken = POOL.lock().unwrap_or_else(PoisonError::into_inner).take(places);
        taken.fill(Place::EMPTY);
        Self(taken)
    }
}

impl Deref for Table {
    type Target = [Place];

    #[inline(always)]
    fn deref(&self) -> &[Place] {
        self.0
    }
}

impl DerefMut for Table {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [Place] {
        self.0
    }
}

impl Clone for Table {
    fn clone(&self) -> Self {
        if self.is_empty() {
            return Self::default();
        }
        let table = Self::with_places(self.len());
        table.0.copy_from_slice(self.0);
        table
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        if !self.is_empty() {
            POOL.lock().unwrap_or_else(PoisonError::into_inner).give_back(mem::take(&mut self.0));
        }
    }
}

static POOL: Mutex<Pool> = Mutex::new(Pool::new());

/// Tables that nobody uses.
struct Pool {
    /// By the power of two that is their length.
    free: [Vec<&'static mut [Place]>; usize::BITS as usize],
    /// The end of the newest piece.
    rest: &'static mut [Place],
    /// How long the next piece will be.
    next_places: usize,
}

impl Pool {
    const fn new() -> Self {
        Self { free: [const { Vec::new() }; usize::BITS as usize], rest: &mut [], next_places: PIECE_PLACES_MIN }
    }

    /// `places`: a power of two. What is in them is anybody's.
    fn take(&mut self, places: usize) -> &'static mut [Place] {
        if let Some(free) = self.free[places.trailing_zeros() as usize].pop() {
            return free;
        }
        if self.rest.len() < places {
            self.next_piece(places);
        }
        let (taken, rest) = mem::take(&mut self.rest).split_at_mut(places);
        self.rest = rest;
        taken
    }

    fn give_back(&mut self, places: &'static mut [Place]) {
        self.free[places.len().trailing_zeros() as usize].push(places);
    }

    fn next_piece(&mut self, places: usize) {
        let mut old = mem::take(&mut self.rest);
        while let Some(bits) = old.len().checked_ilog2() {
            let (table, rest) = old.split_at_mut(1 << bits);
            self.give_back(table);
            old = rest;
        }
        self.rest = table(self.next_places.max(places), Place::EMPTY).leak();
        self.next_places = (self.next_places * 2).min(PIECE_PLACES_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_empty_apart_from_each_other_and_used_again() {
        let mut pool = Pool::new();
        let mut taken = Vec::new();
        for round in 0..200_u64 {
            let places = PLACES_MIN << (round % 7);
            let table = pool.take(places);
            assert_eq!(table.len(), places);
            table.fill(Place { order_id: round, ..Place::EMPTY });
            taken.push((round, table));
            if round % 3 == 0 {
                pool.give_back(taken.swap_remove(taken.len() / 2).1);
            }
        }
        assert!(taken.iter().all(|(round, table)| table.iter().all(|place| place.order_id == *round)));
        let large = pool.take(2 * PIECE_PLACES_MAX);
        let address = large.as_ptr();
        assert_eq!(large.len(), 2 * PIECE_PLACES_MAX);
        pool.give_back(large);
        assert_eq!(pool.take(2 * PIECE_PLACES_MAX).as_ptr(), address);
    }

    #[test]
    fn a_copy_is_equal_and_its_own() {
        let mut table = Table::with_places(20);
        assert_eq!(table.len(), 32);
        table[3].order_id = 7;
        let copy = table.clone();
        table[3].order_id = 8;
        assert_eq!((copy[3].order_id, copy.len(), Table::default().clone().len()), (7, 32, 0));
        drop(table);
        assert!(Table::with_places(32).iter().all(|place| place.order_id == 0), "nothing of its user before is left");
    }
}
