//! The order of a stop: from the source to the readers, so that everything received is still sent.
//!
//! Never waits longer than [`STOP_MAX`] in all, and never ends a thread by force.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::threads::Threads;

/// All of a stop: drain, say goodbye, join.
const STOP_MAX: Duration = Duration::from_millis(1_800);
/// Threads in the order in which they end. Of feed, books and fan-out either each has a thread or `hot` has them all.
const ORDER: [&str; 6] = ["sim", "feed", "book", "fan-out", "hot", "view"];

/// A request to stop, seen by every thread.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Asks.
    pub fn ask(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether somebody asked.
    pub fn asked(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    /// The flag itself, for parts that are handed one.
    pub fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.0)
    }
}

/// What the threads are asked, in order.
#[derive(Clone, Debug, Default)]
pub struct Stops {
    /// Source, feed and books: take nothing more in, pass on what is there.
    pub feed: Stop,
    /// Readers of the books: end when nothing waits any more.
    pub readers: Stop,
}

/// Stops every thread. True when all ended in time and none had panicked.
pub fn stop_in_order(threads: &mut Threads, stops: &Stops) -> bool {
    let deadline = Instant::now() + STOP_MAX;
    stops.feed.ask();
    let mut clean = true;
    for name in ORDER {
        if name == "fan-out" {
            stops.readers.ask();
        }
        clean &= threads.join(name, deadline);
    }
    clean
}
