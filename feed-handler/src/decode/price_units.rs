//! The price unit of every book of a BISTECH partition, looked up once per message.
//!
//! Never grows and never guesses: a book that finds no place is refused, and the table says that one was.

use book::BookId;
use book::types::unit_nanos;

use super::sink::Refused;

/// 10⁻⁹ units of a price step with so many decimals, 0 to 9.
pub(super) const fn unit_of(decimals: u8) -> i32 {
    // OK because the greatest is 10^9.
    unit_nanos(decimals) as i32
}

/// Unit of a book that was announced with decimals that cannot be read.
pub(super) const UNREADABLE: i32 = -1;

/// A place in the table of books.
#[derive(Clone, Copy, Debug, Default)]
struct PriceUnit {
    book_id: u32,
    /// 10⁻⁹ units of a price step, or [`UNREADABLE`]; 0 = free.
    unit: i32,
}

/// Price units by book: open addressing, at most half full, never grown.
#[derive(Debug)]
pub(super) struct PriceUnits {
    /// A power of two, 8 bytes each.
    entries: Box<[PriceUnit]>,
    /// 32 − log2 of the number of entries.
    shift: u32,
    /// Books with a unit.
    pub used: usize,
    books_max: usize,
    /// A book found no place since the last [`PriceUnits::clear`].
    pub overflowed: bool,
}

impl PriceUnits {
    /// A table for at most `books_max` books.
    pub fn new(books_max: usize) -> Self {
        // 2^30 entries at most: ids have 32 bits, and the shift below must stay above zero.
        let books_max = books_max.clamp(1, 1 << 29);
        let capacity = (2 * books_max).next_power_of_two();
        let entries = vec![PriceUnit::default(); capacity].into_boxed_slice();
        Self { entries, shift: 32 - capacity.trailing_zeros(), used: 0, books_max, overflowed: false }
    }

    /// Where the search for a book begins.
    #[inline(always)]
    fn home(&self, book_id: BookId) -> usize {
        // Fibonacci hashing: ids that differ by 1 land far apart, and ids that share low bits do not collide.
        (book_id.0.wrapping_mul(0x9E37_79B9) >> self.shift) as usize
    }

    /// Place of the book, or the free one where it belongs.
    fn find(&self, book_id: BookId) -> usize {
        let mask = self.entries.len() - 1;
        let mut at = self.home(book_id);
        loop {
            let entry = self.entries[at & mask];
            if (entry.unit == 0) | (entry.book_id == book_id.0) {
                return at & mask;
            }
            at += 1;
        }
    }

    /// 10⁻⁹ units of a price step of the book; 0 = unknown book, or [`UNREADABLE`].
    #[inline(always)]
    pub fn unit(&self, book_id: BookId) -> i32 {
        match self.entries.get(self.home(book_id)) {
            // A free place has unit 0, whatever its id.
            Some(entry) if entry.book_id == book_id.0 => entry.unit,
            _ => self.unit_elsewhere(book_id),
        }
    }

    /// Of a book that is not where its search begins.
    #[inline(never)]
    fn unit_elsewhere(&self, book_id: BookId) -> i32 {
        self.entries[self.find(book_id)].unit
    }

    /// Remembers the unit of the book, or that it is [`UNREADABLE`].
    pub fn set(&mut self, book_id: BookId, unit: i32) -> Result<(), Refused> {
        let at = self.find(book_id);
        if self.entries[at].unit == 0 {
            if self.used == self.books_max {
                self.overflowed = true;
                return Err(Refused::TooManyBooks { book_id: book_id.0 });
            }
            self.used += 1;
        }
        self.entries[at] = PriceUnit { book_id: book_id.0, unit };
        Ok(())
    }

    /// Forgets all books.
    pub fn clear(&mut self) {
        self.entries.fill(PriceUnit::default());
        self.used = 0;
        self.overflowed = false;
    }
}
