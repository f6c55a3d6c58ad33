//! The index of each book of a replica by its number.
//!
//! Small numbers are looked up in an array, others in a map. Never forgets a book and never knows what a book holds.

use std::collections::HashMap;

use crate::types::BookIndex;

/// The index of each book by its number.
#[derive(Debug, Default)]
pub(super) struct IndexOf {
    /// By book number, as far as numbers are small; grows with them.
    direct: Vec<BookIndex>,
    others: HashMap<u32, BookIndex>,
}

impl IndexOf {
    const DIRECT_MAX: usize = 1 << 17;
    pub(super) const UNKNOWN: BookIndex = BookIndex(u32::MAX);

    #[inline(always)]
    pub(super) fn get(&self, book_id: u32) -> Option<BookIndex> {
        let index = match self.direct.get(book_id as usize) {
            Some(&index) => index,
            None if (book_id as usize) < Self::DIRECT_MAX => Self::UNKNOWN,
            None => self.others.get(&book_id).copied().unwrap_or(Self::UNKNOWN),
        };
        (index != Self::UNKNOWN).then_some(index)
    }

    pub(super) fn set(&mut self, book_id: u32, index: BookIndex) {
        let at = book_id as usize;
        if at >= Self::DIRECT_MAX {
            self.others.insert(book_id, index);
            return;
        }
        if at >= self.direct.len() {
            self.direct.resize((at + 1).next_power_of_two(), Self::UNKNOWN);
        }
        self.direct[at] = index;
    }
}
