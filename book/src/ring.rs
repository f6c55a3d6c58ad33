//! The rings between threads: `rtrb`, wrapped once, with the policy for "full" and a notifier for sleepers.
//!
//! Never blocks, never allocates after [`ring`], never drops a slot: a full ring is the caller's decision
//! (feed → book: stop reading; book → reader: that reader resynchronises).
//!
//! A large ring has a small one in front of it. A ring walks through all of its memory, even if its reader keeps up and
//! only a few slots are ever waiting; every slot is then written to a line that left the first cache long ago. The slots
//! of the small ring stay there. What does not fit into it goes to the large ring, and so does all that follows, until
//! the large ring is empty.

#![cfg_attr(not(test), deny(clippy::disallowed_types, clippy::disallowed_methods, clippy::disallowed_macros))]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};

use crate::memory::prefetch_address;
use crate::metrics::{Counter, Gauge, MetricSource, Sample};
use crate::slot::Slot;

/// Slots that [`Producer::write`] gathers before it writes them: two kilobytes, which stay in the first cache.
pub const UNPUBLISHED_MAX: usize = 32;
/// Slots of the small ring: eight kilobytes, a quarter of a first cache. A round trip took 130 ns with half as many, 150
/// with these, 200 with twice as many or without it, where a bare line took 130; groups of 32 fit better into more.
const NEAR_SLOTS: usize = 128;
/// A ring of fewer slots is small enough alone.
const NEAR_FROM_SLOTS: usize = 1_024;
/// Looks whether the small ring has room before the large one is taken: less than a microsecond, and a reader that is at
/// work makes room in it.
const LOOKS_BEFORE_SPILL: u32 = 16;
/// Slots written into the large ring between two looks whether it is empty.
const SPILLED_PER_LOOK: usize = 32;
/// Commits between two looks at how full a ring is: each look fetches a cache line from the reader's core. In between,
/// whoever has to ask for room looks as well.
const COMMITS_PER_LOOK: u32 = 64;

/// Wakes whoever sleeps at the other end of a ring. Rung only when the sleeper said that it sleeps.
///
/// No wake is lost: the writer writes a slot, fences, and looks whether the reader sleeps; the reader says that it
/// sleeps, fences, and looks whether there is a slot. Of two sequentially consistent fences one comes first, and the
/// side of the other one sees what was stored before it. One fence alone, on either side, would not do: a store may
/// stay in its core's buffer while a later load is answered. Where nobody ever sleeps there is nothing to lose, and
/// [`Notifier::silent`] saves the writer its fence.
#[derive(Default)]
pub struct Notifier {
    silent: bool,
    sleeping: AtomicBool,
    wake: std::sync::OnceLock<Box<dyn Fn() + Send + Sync>>,
}

impl Notifier {
    /// A notifier with nobody behind it yet; see [`Notifier::set_waker`].
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// For a reader that never sleeps, because it spins or yields: ringing costs nothing.
    #[must_use]
    pub fn silent() -> Arc<Self> {
        Arc::new(Self { silent: true, ..Self::default() })
    }

    /// Says how to wake the sleeper (`Thread::unpark`, a poll's waker). The first call counts.
    pub fn set_waker(&self, wake: impl Fn() + Send + Sync + 'static) {
        let _ = self.wake.set(Box::new(wake));
    }

    /// The sleeper announces that it is about to sleep. It must look at its rings once more after this and
    /// before it sleeps: whatever was written before the announcement became visible rings no notifier.
    ///
    /// # Panics
    /// When the notifier is [`Notifier::silent`]: nothing would wake the sleeper.
    pub fn prepare_wait(&self) {
        assert!(!self.silent, "who sleeps needs Notifier::new(): a silent notifier wakes nobody");
        self.sleeping.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// The sleeper is awake.
    pub fn cancel_wait(&self) {
        self.sleeping.store(false, Ordering::Relaxed);
    }

    /// Wakes the sleeper if it sleeps: one fence and one load otherwise, and nothing at all if the notifier is silent.
    #[inline]
    pub fn notify(&self) {
        if self.silent {
            return;
        }
        fence(Ordering::SeqCst);
        if self.sleeping.load(Ordering::Relaxed)
            && self.sleeping.swap(false, Ordering::AcqRel)
            && let Some(wake) = self.wake.get()
        {
            wake();
        }
    }
}

/// What both ends of a ring count. The producer writes, the scrape reads.
#[derive(Debug, Default)]
pub struct RingMetrics {
    name: &'static str,
    capacity: u64,
    full: Counter,
    occupied: Gauge,
    written: Counter,
}

impl MetricSource for RingMetrics {
    fn collect(&self, samples: &mut Vec<Sample>) {
        let labels = [("ring", self.name)];
        samples.push(Sample::gauge(
            "bist_ring_occupancy_ratio",
            "Share of the ring in use at its producer's last check.",
            &labels,
            self.occupied.get() as f64 / self.capacity as f64,
        ));
        samples.push(Sample::counter(
            "bist_ring_full_total",
            "Times the producer found the ring full.",
            &labels,
            self.full.get(),
        ));
        samples.push(Sample::counter(
            "bist_ring_written_total",
            "Slots written into the ring.",
            &labels,
            self.written.get(),
        ));
    }
}

/// The writing end. One thread. Dropped, it writes what is still unpublished.
pub struct Producer {
    ring: rtrb::Producer<Slot>,
    /// The small ring.
    near: rtrb::Producer<Slot>,
    /// What is written goes to the large ring: it holds something, and nothing may overtake it.
    spilling: bool,
    /// Slots since it was last looked whether that still holds.
    spilled: usize,
    notifier: Arc<Notifier>,
    metrics: Arc<RingMetrics>,
    unnotified: u32,
    commits: u32,
    /// Free slots at the last commit, as far as was known; 0 makes the next commit tell how full the ring is.
    known_free: usize,
    unpublished: [Slot; UNPUBLISHED_MAX],
    unpublished_count: usize,
}

/// The reading end. One thread.
///
/// Whatever is seen waiting in the large ring was written after all that is in the small one: the writer comes back to
/// the small one only once the large one is empty. So one looks at the large ring first, and takes from the small one
/// first; what was written before is visible then, as the large ring's index was stored after it.
pub struct Consumer {
    ring: rtrb::Consumer<Slot>,
    near: rtrb::Consumer<Slot>,
    /// Address of the slot that comes next, to start loading it; 0 before the first one.
    next: usize,
}

/// A ring of `slots` slots (64 bytes each) called `name` in the metrics; `notifier` wakes its reader.
///
/// All memory is touched here, so that the first turn takes no page fault.
#[must_use]
pub fn ring(name: &'static str, slots: usize, notifier: Arc<Notifier>) -> (Producer, Consumer) {
    let (far_producer, far_consumer) = touched(slots);
    let (near_producer, near_consumer) = touched(if slots < NEAR_FROM_SLOTS { 0 } else { NEAR_SLOTS });
    let metrics = Arc::new(RingMetrics { name, capacity: slots as u64, ..RingMetrics::default() });
    let producer = Producer {
        ring: far_producer,
        near: near_producer,
        spilling: false,
        spilled: 0,
        notifier,
        metrics,
        unnotified: 0,
        commits: 0,
        known_free: 0,
        unpublished: [Slot::EMPTY; UNPUBLISHED_MAX],
        unpublished_count: 0,
    };
    (producer, Consumer { ring: far_consumer, near: near_consumer, next: 0 })
}

fn touched(slots: usize) -> (rtrb::Producer<Slot>, rtrb::Consumer<Slot>) {
    let (mut producer, mut consumer) = rtrb::RingBuffer::<Slot>::new(slots);
    while producer.push(Slot::EMPTY).is_ok() {}
    while consumer.pop().is_ok() {}
    (producer, consumer)
}

/// The ring has no room for all of it; nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl Producer {
    /// Writes one slot, which the reader sees at once. Call [`Producer::commit`] at the end of the turn.
    ///
    /// # Errors
    /// [`Full`]: nothing was written, and it was counted.
    #[inline]
    pub fn push(&mut self, slot: Slot) -> Result<(), Full> {
        self.push_all(std::slice::from_ref(&slot))
    }

    /// Writes all of `slots` at once, or none; the reader sees them at once.
    ///
    /// # Errors
    /// [`Full`]: nothing was written, and it was counted.
    #[inline]
    pub fn push_all(&mut self, slots: &[Slot]) -> Result<(), Full> {
        self.publish();
        if self.copy_in(slots) { Ok(()) } else { self.full() }
    }

    /// Writes all of `slots` or none; says which.
    #[inline]
    fn copy_in(&mut self, slots: &[Slot]) -> bool {
        let written = self.copy_in_near(slots) || self.ring.push_entire_slice(slots).is_ok();
        if written {
            self.unnotified += slots.len() as u32;
        }
        written
    }

    /// The same, into the small ring.
    #[inline]
    fn copy_in_near(&mut self, slots: &[Slot]) -> bool {
        if self.spilling {
            self.spilled += slots.len();
            if self.spilled < SPILLED_PER_LOOK {
                return false;
            }
            self.spilled = 0;
            if self.ring.slots() < self.capacity() {
                return false;
            }
        }
        if slots.len() <= self.near.buffer().capacity() {
            for _ in 0..LOOKS_BEFORE_SPILL {
                if self.near.push_entire_slice(slots).is_ok() {
                    self.spilling = false;
                    return true;
                }
                std::hint::spin_loop();
            }
        }
        self.spilling = true;
        false
    }

    /// Takes one slot, which the reader sees at the next [`Producer::publish`] or [`Producer::commit`], or once
    /// [`UNPUBLISHED_MAX`] are unpublished: many slots then cost one exchange between the cores. Its place is taken at once.
    ///
    /// # Errors
    /// [`Full`]: the slot was not taken, and it was counted. What was unpublished before is published then, so that a
    /// caller who waits for room waits for a reader who has work.
    #[inline]
    pub fn write(&mut self, slot: Slot) -> Result<(), Full> {
        if !self.has_room(1) {
            self.publish();
            return self.full();
        }
        self.unpublished[self.unpublished_count] = slot;
        self.unpublished_count += 1;
        if self.unpublished_count == UNPUBLISHED_MAX {
            self.publish();
        }
        Ok(())
    }

    /// Takes all of `slots` like [`Producer::write`], or none.
    ///
    /// # Errors
    /// [`Full`]: nothing was taken, and it was counted. What was unpublished before is published then.
    #[inline]
    pub fn write_all(&mut self, slots: &[Slot]) -> Result<(), Full> {
        if !self.has_room(slots.len()) {
            self.publish();
            return self.full();
        }
        if self.unpublished_count + slots.len() > UNPUBLISHED_MAX {
            self.publish();
            if slots.len() > UNPUBLISHED_MAX {
                return self.push_all(slots);
            }
        }
        self.unpublished[self.unpublished_count..][..slots.len()].copy_from_slice(slots);
        self.unpublished_count += slots.len();
        if self.unpublished_count == UNPUBLISHED_MAX {
            self.publish();
        }
        Ok(())
    }

    /// Shows the reader what is unpublished, without ringing the notifier.
    #[inline]
    pub fn publish(&mut self) {
        if self.unpublished_count > 0 {
            self.publish_batch();
        }
    }

    fn publish_batch(&mut self) {
        let (unpublished, count) = (self.unpublished, self.unpublished_count);
        // OK because their places were counted when they were unpublished, and nobody else takes places.
        let _ = self.copy_in(&unpublished[..count]);
        self.unpublished_count = 0;
    }

    #[cold]
    fn full(&mut self) -> Result<(), Full> {
        self.metrics.full.add(1);
        self.known_free = 0;
        Err(Full)
    }

    /// Ends a turn: publishes what is unpublished, and rings the notifier if anything was written.
    #[inline]
    pub fn commit(&mut self) {
        self.publish();
        if self.unnotified > 0 {
            self.metrics.written.add(u64::from(self.unnotified));
            self.commits = self.commits.wrapping_add(1);
            let look = self.commits.is_multiple_of(COMMITS_PER_LOOK);
            let free = if look { self.ring.slots() } else { self.ring.cached_slots() };
            // More is free than what was not written since: somebody asked the reader's core, and this is its answer.
            if look || free + self.unnotified as usize > self.known_free {
                self.metrics.occupied.set(self.metrics.capacity - free as u64);
            }
            self.known_free = free;
            self.unnotified = 0;
            self.notifier.notify();
        }
    }

    /// Slots in all, without the few of the small ring.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.ring.buffer().capacity()
    }

    /// Free slots; what is unpublished counts as taken.
    #[inline]
    #[must_use]
    pub fn free(&self) -> usize {
        self.ring.slots() - self.unpublished_count
    }

    /// Whether `slots` more fit. Asks the reader's core only when what it was last known to have freed is not enough.
    #[inline]
    #[must_use]
    pub fn has_room(&self, slots: usize) -> bool {
        let need = self.unpublished_count + slots;
        self.ring.cached_slots() >= need || self.ring.slots() >= need
    }

    /// Whether the reader is gone.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        self.ring.is_abandoned()
    }

    /// What the scrape reads.
    #[must_use]
    pub fn metrics(&self) -> Arc<RingMetrics> {
        Arc::clone(&self.metrics)
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        self.commit();
    }
}

impl Consumer {
    /// Takes one slot.
    #[inline]
    pub fn pop(&mut self) -> Option<Slot> {
        let is_far = !self.ring.is_empty();
        let near = self.near.read_chunk(1);
        let chunk = if is_far { near.or_else(|_| self.ring.read_chunk(1)) } else { near };
        let Ok(chunk) = chunk else {
            self.await_next();
            return None;
        };
        let (first, _) = chunk.as_slices();
        let slot = first.first().copied();
        self.next = first.as_ptr_range().end.addr();
        chunk.commit_all();
        slot
    }

    /// Nothing is waiting: loads the next slot's line at the same time as the writer's index is looked at again, so that
    /// the two come from the writer's core side by side and not one after the other.
    #[inline]
    fn await_next(&self) {
        prefetch_address(std::ptr::without_provenance(self.next));
    }

    /// Hands up to `slots_max` waiting slots to `each`, in order, and frees them together.
    ///
    /// Returns how many there were.
    #[inline]
    pub fn drain(&mut self, slots_max: usize, mut each: impl FnMut(&Slot)) -> usize {
        self.drain_runs(slots_max, |run| run.iter().for_each(&mut each))
    }

    /// Hands up to `slots_max` waiting slots to `each` in runs as they lie in memory, in order, and frees them together:
    /// for whoever looks ahead. There are two runs of a ring where its end lies between them, else one.
    ///
    /// Returns how many slots there were.
    #[inline]
    pub fn drain_runs(&mut self, slots_max: usize, mut each: impl FnMut(&[Slot])) -> usize {
        let far = self.ring.slots();
        let near = self.near.slots().min(slots_max);
        let far = far.min(slots_max - near);
        if near + far == 0 {
            self.await_next();
            return 0;
        }
        for (ring, waiting) in [(&mut self.near, near), (&mut self.ring, far)] {
            let Ok(chunk) = ring.read_chunk(waiting) else { continue };
            let (first, second) = chunk.as_slices();
            for run in [first, second] {
                if !run.is_empty() {
                    self.next = run.as_ptr_range().end.addr();
                    each(run);
                }
            }
            if waiting > 0 {
                chunk.commit_all();
            }
        }
        near + far
    }

    /// Whether nothing is waiting.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ring.is_empty() && self.near.is_empty()
    }

    /// Waiting slots.
    #[inline]
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.ring.slots() + self.near.slots()
    }

    /// Whether the writer is gone; what it wrote may still be waiting.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        self.ring.is_abandoned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU32;

    #[test]
    fn a_full_ring_refuses_the_whole_group_and_counts_it() {
        let (mut producer, mut consumer) = ring("test", 4, Notifier::new());
        assert_eq!(producer.push_all(&[Slot::EMPTY; 3]), Ok(()));
        assert_eq!(producer.push_all(&[Slot::EMPTY; 2]), Err(Full));
        producer.commit();
        assert_eq!(consumer.drain(10, |_| {}), 3);
        let mut samples = Vec::new();
        producer.metrics().collect(&mut samples);
        assert_eq!(samples[1].value, crate::metrics::Value::Counter(1));
    }

    #[test]
    fn only_a_sleeper_is_notified() {
        let notifier = Notifier::new();
        let rung = Arc::new(AtomicU32::new(0));
        let seen = Arc::clone(&rung);
        notifier.set_waker(move || {
            seen.fetch_add(1, Ordering::Relaxed);
        });
        notifier.notify();
        notifier.prepare_wait();
        notifier.notify();
        notifier.notify();
        assert_eq!(rung.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_silent_notifier_says_so_to_whoever_would_sleep() {
        let notifier = Notifier::silent();
        notifier.notify();
        let slept = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| notifier.prepare_wait()));
        assert!(slept.is_err());
    }

    #[test]
    fn written_slots_take_room_at_once_and_show_at_the_commit_in_order() {
        let (mut producer, mut consumer) = ring("test", 8, Notifier::new());
        let numbered = |number: u8| {
            let mut slot = Slot::EMPTY;
            slot.length = number;
            slot
        };
        for number in 0..5 {
            assert_eq!(producer.write(numbered(number)), Ok(()));
        }
        assert_eq!((producer.free(), consumer.waiting()), (3, 0));
        assert!(producer.has_room(3) && !producer.has_room(4));
        assert_eq!(producer.write_all(&[Slot::EMPTY; 4]), Err(Full));
        assert_eq!(consumer.waiting(), 5, "who waits for room waits for a reader with work");
        assert_eq!(producer.write_all(&[]), Ok(()));
        assert_eq!(producer.push(numbered(5)), Ok(()));
        producer.write(numbered(6)).unwrap();
        assert_eq!(producer.push(numbered(7)), Ok(()));
        assert_eq!(consumer.waiting(), 8, "a push shows what was unpublished before it");
        assert_eq!(producer.write(numbered(8)), Err(Full));
        let mut seen = Vec::new();
        consumer.drain(usize::MAX, |slot| seen.push(slot.length));
        assert_eq!(seen, [0, 1, 2, 3, 4, 5, 6, 7]);
        producer.write_all(&[numbered(9), numbered(10)]).unwrap();
        assert_eq!(consumer.waiting(), 0);
        drop(producer);
        assert!(consumer.is_abandoned());
        assert_eq!(consumer.pop().map(|slot| slot.length), Some(9));
    }

    #[test]
    fn enough_written_slots_show_without_a_commit() {
        let (mut producer, consumer) = ring("test", 200, Notifier::new());
        for _ in 0..UNPUBLISHED_MAX {
            producer.write(Slot::EMPTY).unwrap();
        }
        assert_eq!(consumer.waiting(), UNPUBLISHED_MAX);
        producer.write_all(&[Slot::EMPTY; UNPUBLISHED_MAX]).unwrap();
        assert_eq!(consumer.waiting(), 2 * UNPUBLISHED_MAX);
        producer.write_all(&[Slot::EMPTY; UNPUBLISHED_MAX - 1]).unwrap();
        assert_eq!(consumer.waiting(), 2 * UNPUBLISHED_MAX);
        producer.write_all(&[Slot::EMPTY; 2]).unwrap();
        assert_eq!(consumer.waiting(), 3 * UNPUBLISHED_MAX - 1);
        producer.write_all(&[Slot::EMPTY; UNPUBLISHED_MAX + 1]).unwrap();
        assert_eq!((consumer.waiting(), producer.free()), (4 * UNPUBLISHED_MAX + 2, 200 - 4 * UNPUBLISHED_MAX - 2));
    }

    fn of(number: u64) -> Slot {
        let mut bytes = [0; 64];
        bytes[8..16].copy_from_slice(&number.to_ne_bytes());
        Slot::from_bytes(bytes)
    }

    fn number_of(slot: &Slot) -> u64 {
        u64::from_ne_bytes(std::array::from_fn(|at| slot.as_bytes()[8 + at]))
    }

    #[test]
    fn nothing_overtakes_what_was_spilled() {
        let (mut producer, mut consumer) = ring("test", NEAR_FROM_SLOTS, Notifier::new());
        let (mut written, mut seen) = (0, 0);
        let mut write = |producer: &mut Producer, count| {
            for _ in 0..count {
                producer.push(of(written)).unwrap();
                written += 1;
            }
        };
        let mut take = |consumer: &mut Consumer, slots_max| {
            consumer.drain(slots_max, |slot| {
                assert_eq!(number_of(slot), seen);
                seen += 1;
            })
        };
        write(&mut producer, NEAR_SLOTS as u64);
        assert_eq!((producer.free(), consumer.waiting()), (NEAR_FROM_SLOTS, NEAR_SLOTS), "in the small ring");
        write(&mut producer, 1);
        assert_eq!(producer.free(), NEAR_FROM_SLOTS - 1, "spilled");
        assert_eq!(take(&mut consumer, NEAR_SLOTS), NEAR_SLOTS);
        write(&mut producer, 100);
        assert_eq!(producer.free(), NEAR_FROM_SLOTS - 101, "the small ring is empty, and yet behind what was spilled");
        assert_eq!((take(&mut consumer, 50), take(&mut consumer, 1_000)), (50, 51));
        for _ in 0..SPILLED_PER_LOOK {
            write(&mut producer, 1);
            assert_eq!(take(&mut consumer, usize::MAX), 1);
        }
        write(&mut producer, 7);
        assert_eq!((producer.free(), consumer.waiting()), (NEAR_FROM_SLOTS, 7), "back in the small ring");
        assert_eq!(consumer.pop().map(|slot| number_of(&slot)), Some(seen));
        assert!(!consumer.is_empty());
    }

    #[test]
    fn a_large_ring_has_the_room_it_says() {
        let (mut producer, mut consumer) = ring("test", NEAR_FROM_SLOTS, Notifier::new());
        for group in [1, 31, 40, UNPUBLISHED_MAX, UNPUBLISHED_MAX + 1, NEAR_FROM_SLOTS] {
            let mut written = 0;
            while producer.has_room(group) {
                assert_eq!(producer.write_all(&vec![of(1); group]), Ok(()), "there was room for it");
                written += group;
            }
            assert_eq!(producer.write_all(&vec![of(1); group]), Err(Full));
            producer.commit();
            assert_eq!(consumer.drain(usize::MAX, |_| {}), written);
        }
    }

    #[test]
    fn bursts_arrive_in_order_from_both_rings() {
        const COUNT: u64 = 300_000;
        let (mut producer, mut consumer) = ring("test", 4 * NEAR_FROM_SLOTS, Notifier::silent());
        std::thread::scope(|scope| {
            scope.spawn(move || {
                let mut number = 0;
                while number < COUNT {
                    for _ in 0..(number * 7919) % 300 {
                        while producer.write(of(number)).is_err() {
                            std::thread::yield_now();
                        }
                        number += 1;
                    }
                    number += u64::from(producer.push(of(number)).is_ok());
                    producer.commit();
                }
            });
            let mut expected = 0;
            while expected < COUNT {
                let slots_max = 1 + (expected as usize * 31) % 200;
                let taken = consumer.drain(slots_max, |slot| {
                    assert_eq!(number_of(slot), expected);
                    expected += 1;
                });
                if taken == 0 {
                    std::thread::yield_now();
                }
            }
        });
    }

    #[test]
    fn a_ring_that_fills_up_is_looked_at_again_and_again() {
        let (mut producer, mut consumer) = ring("test", 64, Notifier::new());
        let occupied = |producer: &Producer| producer.metrics().occupied.get();
        for _ in 0..COMMITS_PER_LOOK {
            producer.push(Slot::EMPTY).unwrap();
            producer.commit();
        }
        assert_eq!(occupied(&producer), 64);
        consumer.drain(60, |_| {});
        producer.push(Slot::EMPTY).unwrap();
        producer.commit();
        assert_eq!(occupied(&producer), 5);
    }
}
