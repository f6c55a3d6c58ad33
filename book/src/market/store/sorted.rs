//! Sorted arrays of levels, for the prices that no ladder has: small regions of one table.
//!
//! Never allocates after construction, never moves more than what lies between a level and the best one.

use crate::market::store::node_pool::NONE;
use crate::memory::table;

/// The memory of all sorted arrays.
pub(crate) struct Regions {
    entries: Vec<Entry>,
    next: u32,
    free: [u32; CLASSES],
}

/// A place in a sorted array.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    /// Key of its price: the smaller the better.
    pub key: i64,
    /// Level; the next free region in the first entry of a free region.
    pub level: u32,
}

/// Arrays double when they are full: four times the levels always suffices.
pub(super) const ENTRIES_PER_LEVEL: usize = 4;
const NO_ENTRY: Entry = Entry { key: 0, level: NONE };

/// Regions of 8, 16, … entries; the largest holds 2^20.
const CLASSES: usize = 18;
const NO_REGION: u8 = u8::MAX;

const fn class_size(class: u8) -> u32 {
    8 << class
}

impl Regions {
    /// For at most `levels_max` levels.
    pub fn new(levels_max: usize) -> Self {
        Self { entries: table(levels_max * ENTRIES_PER_LEVEL + 64, NO_ENTRY), next: 0, free: [NONE; CLASSES] }
    }

    /// Forgets all arrays.
    pub fn clear(&mut self) {
        self.next = 0;
        self.free = [NONE; CLASSES];
    }

    fn take_region(&mut self, class: u8) -> Option<u32> {
        let head = self.free.get(usize::from(class)).copied()?;
        if head != NONE {
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

/// A sorted array in the regions, best price last: most changes are near the best and move little.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct Sorted {
    offset: u32,
    pub length: u32,
    class: u8,
}

impl Sorted {
    pub const EMPTY: Self = Self { offset: 0, length: 0, class: NO_REGION };

    #[inline]
    pub fn entries<'a>(&self, regions: &'a Regions) -> &'a [Entry] {
        &regions.entries[self.offset as usize..(self.offset + self.length) as usize]
    }

    /// Where a key is or would be.
    pub fn place(&self, regions: &Regions, key: i64) -> Result<usize, usize> {
        let entries = self.entries(regions);
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

    pub fn insert(&mut self, regions: &mut Regions, at: usize, key: i64, level: u32) -> Option<()> {
        let capacity = if self.class == NO_REGION { 0 } else { class_size(self.class) };
        if self.length == capacity {
            self.grow(regions)?;
        }
        let start = self.offset as usize;
        let end = start + self.length as usize;
        regions.entries.copy_within(start + at..end, start + at + 1);
        regions.entries[start + at] = Entry { key, level };
        self.length += 1;
        Some(())
    }

    #[cold]
    fn grow(&mut self, regions: &mut Regions) -> Option<()> {
        let class = if self.class == NO_REGION { 0 } else { self.class + 1 };
        let offset = regions.take_region(class)?;
        let start = self.offset as usize;
        regions.entries.copy_within(start..start + self.length as usize, offset as usize);
        if self.class != NO_REGION {
            regions.give_region(self.offset, self.class);
        }
        self.offset = offset;
        self.class = class;
        Some(())
    }

    pub fn remove(&mut self, regions: &mut Regions, at: usize) {
        let start = self.offset as usize;
        let end = start + self.length as usize;
        regions.entries.copy_within(start + at + 1..end, start + at);
        self.length -= 1;
    }
}
