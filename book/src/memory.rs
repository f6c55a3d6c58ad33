//! Large tables: taken once, touched at once, on huge pages where the system allows it.
//!
//! Never grows, moves or returns anything while the books run. What is here is about speed only: where advice or
//! prefetching is not to be had, every answer stays the same.

/// A table of `length` times `value`, every page of it present.
///
/// Asks for huge pages first (Linux; `transparent_hugepage` = `madvise` or `always`): orders lie far apart, and with
/// 4 KiB pages most of their misses would also miss the translation.
pub(crate) fn table<T: Copy>(length: usize, value: T) -> Vec<T> {
    let mut table = Vec::with_capacity(length);
    advise_huge_pages(&mut table);
    table.resize(length, value);
    table
}

/// A table with room for `length` values, every page of it present, and nothing in it yet.
pub(crate) fn with_capacity<T>(length: usize, value: impl FnMut() -> T) -> Vec<T> {
    let mut table = Vec::with_capacity(length);
    advise_huge_pages(&mut table);
    table.resize_with(length, value);
    table.clear();
    table
}

#[cfg(target_os = "linux")]
fn advise_huge_pages<T>(table: &mut Vec<T>) {
    const PAGE_BYTES: usize = 4096;
    const HUGE_PAGE_BYTES: usize = 2 << 20;
    let room = table.spare_capacity_mut();
    let bytes = size_of_val(room);
    let begin = room.as_mut_ptr().cast::<u8>();
    let skip = begin.align_offset(PAGE_BYTES);
    if bytes < HUGE_PAGE_BYTES + skip {
        return;
    }
    let (first, length) = (begin.wrapping_add(skip).cast(), (bytes - skip) / PAGE_BYTES * PAGE_BYTES);
    // OK because without huge pages everything works, only slower.
    // SAFETY: the range is whole pages inside one allocation of ours, and this advice changes no content.
    let _ = unsafe { rustix::mm::madvise(first, length, rustix::mm::Advice::LinuxHugepage) };
}

#[cfg(not(target_os = "linux"))]
fn advise_huge_pages<T>(_: &mut Vec<T>) {}

/// Starts to load the cache line of `table[place]`, if there is such a place.
///
/// Costs a slot of the core's fill buffers and nothing else: an answer never depends on it.
#[inline(always)]
pub(crate) fn prefetch<T>(table: &[T], place: usize) {
    prefetch_address(table.as_ptr().wrapping_add(place).cast());
}

/// Starts to load `lines` cache lines from the one that `value` begins in.
#[inline(always)]
pub(crate) fn prefetch_lines<T>(value: &T, lines: usize) {
    let first: *const u8 = std::ptr::from_ref(value).cast();
    (0..lines).for_each(|line| prefetch_address(first.wrapping_add(line * 64)));
}

/// Starts to load the cache line of an address, whatever is there.
#[inline(always)]
pub(crate) fn prefetch_address(address: *const u8) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch reads nothing and faults on no address; the pointer is never dereferenced.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_as_long_and_as_full_as_asked() {
        for length in [0, 1, 1_000, 700_000] {
            let table = table(length, 7u64);
            assert_eq!(table.len(), length);
            assert!(table.iter().all(|&value| value == 7));
            prefetch(&table, 0);
            prefetch(&table, usize::MAX);
        }
    }
}
