//! The view thread's turn: update ring → [`Replica`], which handlers copy from.
//!
//! The thread takes the write lock for one bounded batch at a time; a handler takes the read lock for the
//! microseconds of a copy ([`View::copy`] lets nothing borrowed out). Whoever is slow here, handler or view
//! thread, can only make this reader's own update ring full. The book thread never waits for it: it marks the
//! books unsynced for this one reader, and a snapshot that names the missed numbers follows when there is room
//! (`book/src/ring.rs`). So the worst that the slow path can do to the fast one is to be told less.
//!
//! Never touches a socket or a clock, and never waits for anything but that lock.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use arc_swap::ArcSwap;
use book::Nanos;
use book::metrics::{Counter, Gauge, MetricSource, Sample};
use book::replica::{Options, Replica};
use book::ring::Consumer;
use book::slot::{Slot, flags, rtype};

use crate::directory::Directory;

/// Slots applied under one write lock: a handler waits 0.07 to 0.2 ms for its copy. A slot costs 130 ns of processor time
/// with 20 levels a side and 360 ns with 200 (600 books in random order, opt-level 3, two shared cores, November 2026).
pub const SLOTS_PER_BATCH_MAX: usize = 512;

/// Slots that a batch may go on for, until the group of updates or the snapshot that it is in is whole: more levels
/// than a book has. What a handler copies is then the state after some `seq`, never the middle of one.
pub const SLOTS_PER_GROUP_MAX: usize = 4_096;

/// Batches of one turn, so that a turn ends (1 to 3 ms) even while the ring is being filled.
pub const BATCHES_PER_TURN_MAX: usize = 16;

/// More waiting slots than this at the end of a turn: the view is behind (a quarter of the default ring).
pub const BEHIND_SLOTS: usize = 65_536 / 4;

/// Turns that do work between two directories while definitions keep coming (a whole market at start).
const TURNS_PER_DIRECTORY: u32 = 64;

/// The view thread's half. One thread calls [`ViewWorker::do_work`].
pub struct ViewWorker {
    consumer: Consumer,
    shared: Arc<Shared>,
    in_snapshot: InSnapshot,
    /// Working turns since the first definition that the directory does not show; 0 = it shows all.
    directory_age_turns: u32,
}

/// The handlers' half: cheap to clone, readable from any thread.
#[derive(Clone)]
pub struct View {
    shared: Arc<Shared>,
}

struct Shared {
    options: Options,
    replica: RwLock<Replica>,
    directory: ArcSwap<Directory>,
    slots: Counter,
    turns: Counter,
    waiting: Gauge,
    ended: AtomicBool,
}

impl ViewWorker {
    /// A worker that reads `consumer`, and the view that handlers read.
    #[must_use]
    pub fn new(consumer: Consumer, options: Options) -> (Self, View) {
        let shared = Arc::new(Shared {
            options,
            replica: RwLock::new(Replica::new(options)),
            directory: ArcSwap::default(),
            slots: Counter::new(),
            turns: Counter::new(),
            waiting: Gauge::new(),
            ended: AtomicBool::new(false),
        });
        (
            Self { consumer, shared: Arc::clone(&shared), in_snapshot: InSnapshot(false), directory_age_turns: 0 },
            View { shared },
        )
    }

    /// One turn: at most [`BATCHES_PER_TURN_MAX`] × [`SLOTS_PER_BATCH_MAX`] slots. Returns how many there were;
    /// the caller idles only on zero.
    pub fn do_work(&mut self) -> usize {
        let mut slots = 0;
        let mut defined = false;
        for _ in 0..BATCHES_PER_TURN_MAX {
            match self.apply_batch(&mut defined) {
                0 => break,
                applied => slots += applied,
            }
        }
        self.shared.waiting.set(self.consumer.waiting() as u64);
        self.shared.turns.add(1);
        self.shared.slots.add(slots as u64);
        self.keep_directory(defined);
        slots
    }

    /// Applies what is waiting under one write lock, up to a batch and the rest of its last group.
    fn apply_batch(&mut self, defined: &mut bool) -> usize {
        if self.consumer.is_empty() {
            return 0;
        }
        let mut replica = self.shared.replica.write().unwrap_or_else(PoisonError::into_inner);
        let open = Cell::new(false);
        let mut apply = |slot: &Slot| {
            *defined |= matches!(slot.rtype, rtype::SYMBOL | rtype::LONG_NAME | rtype::TERMS);
            replica.apply(slot, &mut |_, _, _| {}); // OK because the replica keeps closed candles itself
            open.set(self.in_snapshot.after(slot));
        };
        let mut slots = self.consumer.drain(SLOTS_PER_BATCH_MAX, &mut apply);
        while open.get() && slots < SLOTS_PER_BATCH_MAX + SLOTS_PER_GROUP_MAX {
            match self.consumer.drain(1, &mut apply) {
                0 => break, // the rest is not written yet: waiting for it would keep handlers waiting
                applied => slots += applied,
            }
        }
        slots
    }

    /// Whether the writer of the ring is gone and everything it wrote has been applied.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.consumer.is_abandoned() && self.consumer.is_empty()
    }

    /// Whether slots are waiting: looked at once more before the thread sleeps (`book::ring::Notifier`).
    #[must_use]
    pub fn has_work(&self) -> bool {
        !self.consumer.is_empty()
    }

    fn keep_directory(&mut self, defined: bool) {
        if defined || self.directory_age_turns > 0 {
            self.directory_age_turns += 1;
        }
        if self.directory_age_turns > 0 && (self.consumer.is_empty() || self.directory_age_turns >= TURNS_PER_DIRECTORY)
        {
            let directory = {
                let replica = self.shared.replica.read().unwrap_or_else(PoisonError::into_inner);
                Directory::of(&replica)
            };
            self.shared.directory.store(Arc::new(directory));
            self.directory_age_turns = 0;
        }
    }
}

/// Whether the last slot was inside a snapshot.
struct InSnapshot(bool);

impl InSnapshot {
    /// Whether the group that `slot` belongs to goes on behind it.
    fn after(&mut self, slot: &Slot) -> bool {
        match slot.rtype {
            rtype::SNAPSHOT_BEGIN => self.0 = true,
            rtype::SNAPSHOT_END => {
                self.0 = false;
                return false;
            }
            rtype::SYSTEM => return self.0,
            _ => {}
        }
        self.0 || slot.record().flags & flags::LAST == 0
    }
}

impl Drop for ViewWorker {
    /// Says that nothing will be applied any more, so that readiness does not go on praising old books.
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Release);
    }
}

impl View {
    /// Copies something out of the replica and drops the lock before it returns.
    ///
    /// `'static` is the rule in types: nothing that borrows from the replica, its lock included, can leave, so
    /// formatting and writing happen after it. `copy` must not wait for anything.
    pub fn copy<T: 'static>(&self, copy: impl FnOnce(&Replica) -> T) -> T {
        let replica = self.shared.replica.read().unwrap_or_else(PoisonError::into_inner);
        copy(&replica)
    }

    /// The symbols as last published; a few turns behind the replica at most.
    #[must_use]
    pub fn directory(&self) -> Arc<Directory> {
        self.shared.directory.load_full()
    }

    /// What the replica keeps.
    #[must_use]
    pub fn options(&self) -> Options {
        self.shared.options
    }

    /// Slots that were waiting at the end of the last turn.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.shared.waiting.get() as usize
    }

    /// The view thread is gone.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.shared.ended.load(Ordering::Acquire)
    }

    /// The whole feed in a few numbers.
    #[must_use]
    pub fn summary(&self) -> Summary {
        self.copy(|replica| {
            let mut summary = Summary {
                epoch: replica.epoch,
                seq: replica.seq,
                exchange_ns: replica.exchange_ns,
                stale: replica.stale,
                day_over: replica.day_over,
                ..Summary::default()
            };
            for book in replica.books() {
                summary.books += 1;
                summary.in_sync += usize::from(book.in_sync);
                summary.maybe_bad += usize::from(book.in_sync && book.maybe_bad());
                summary.received_ns = summary.received_ns.max(book.received_ns);
            }
            summary
        })
    }
}

/// The whole feed in a few numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Epoch in force; 0 before the first session.
    pub epoch: u64,
    /// Ingest number of the last update.
    pub seq: u64,
    /// The exchange's clock.
    pub exchange_ns: Nanos,
    /// Our clock at the last update of any book.
    pub received_ns: Nanos,
    /// The feed said that nothing comes any more.
    pub stale: bool,
    /// The exchange sent its last message of the day.
    pub day_over: bool,
    /// Books known.
    pub books: usize,
    /// Of these, in sync.
    pub in_sync: usize,
    /// Of those in sync, marked as possibly wrong.
    pub maybe_bad: usize,
}

impl MetricSource for View {
    fn collect(&self, samples: &mut Vec<Sample>) {
        let shared = &self.shared;
        let summary = self.summary();
        samples.push(Sample::counter("bist_view_slots_total", "Slots applied to the view.", &[], shared.slots.get()));
        samples.push(Sample::counter("bist_view_turns_total", "Turns of the view thread.", &[], shared.turns.get()));
        samples.push(Sample::gauge(
            "bist_view_waiting_slots",
            "Slots waiting in the view's ring after its last turn.",
            &[],
            shared.waiting.get() as f64,
        ));
        for (state, books) in [
            ("in_sync", summary.in_sync),
            ("out_of_sync", summary.books - summary.in_sync),
            ("maybe_bad", summary.maybe_bad),
        ] {
            samples.push(Sample::gauge(
                "bist_view_books",
                "Books of the view, by state; maybe_bad books are also counted as in_sync.",
                &[("state", state)],
                books as f64,
            ));
        }
        samples.push(Sample::gauge("bist_view_epoch", "Epoch in force.", &[], summary.epoch as f64));
        samples.push(Sample::gauge(
            "bist_view_stale",
            "1 while the feed says that nothing comes any more.",
            &[],
            f64::from(u8::from(summary.stale)),
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A slot that is one of a group of `rtype`, the last one or not.
    fn slot(kind: u8, last: bool) -> Slot {
        let mut bytes = [0; 64];
        bytes[1] = kind;
        bytes[std::mem::offset_of!(book::slot::Record, flags)] = if last { flags::LAST } else { 0 };
        Slot::from_bytes(bytes)
    }

    #[test]
    fn a_batch_ends_with_a_whole_group() {
        let (mut producer, consumer) = book::ring::ring("view", 8_192, book::ring::Notifier::new());
        let (mut worker, view) = ViewWorker::new(consumer, Options::default());
        let first = [slot(rtype::LEVEL, true)].repeat(SLOTS_PER_BATCH_MAX - 1);
        producer.push_all(&first).unwrap();
        let group = [slot(rtype::LEVEL, false), slot(rtype::LEVEL, false), slot(rtype::TRADE_UPDATE, true)];
        producer.push_all(&group).unwrap();
        producer.push(slot(rtype::LEVEL, true)).unwrap();
        assert_eq!(worker.apply_batch(&mut false), SLOTS_PER_BATCH_MAX + 2);
        assert_eq!(worker.apply_batch(&mut false), 1);

        producer.push_all(&first).unwrap();
        producer.push(slot(rtype::SNAPSHOT_BEGIN, true)).unwrap();
        producer.push_all(&[slot(rtype::LEVEL, true)].repeat(1_000)).unwrap();
        producer.push(slot(rtype::SNAPSHOT_END, false)).unwrap();
        assert_eq!(worker.apply_batch(&mut false), SLOTS_PER_BATCH_MAX + 1_001);
        assert!(view.copy(|replica| replica.books()[0].in_sync));

        producer.push(slot(rtype::LEVEL, false)).unwrap();
        assert_eq!(worker.apply_batch(&mut false), 1, "what is not written yet is not waited for");
    }

    #[test]
    fn a_group_that_never_ends_does_not_keep_the_lock() {
        let (mut producer, consumer) = book::ring::ring("view", 8_192, book::ring::Notifier::new());
        let (mut worker, _view) = ViewWorker::new(consumer, Options::default());
        producer.push_all(&[slot(rtype::LEVEL, false)].repeat(8_000)).unwrap();
        assert_eq!(worker.apply_batch(&mut false), SLOTS_PER_BATCH_MAX + SLOTS_PER_GROUP_MAX);
    }
}
