//! Virtual time of the calling thread. It moves only when a test moves it.

use std::cell::Cell;

thread_local! {
    static NOW_NS: Cell<u64> = const { Cell::new(0) };
}

/// The virtual time, Unix nanoseconds: for stages that take their clock as a function.
pub fn now_ns() -> u64 {
    NOW_NS.get()
}

/// Sets the virtual time.
pub fn set(now_ns: u64) {
    NOW_NS.set(now_ns);
}

/// Moves the virtual time on.
pub fn advance(ns: u64) {
    NOW_NS.set(NOW_NS.get() + ns);
}
