//! The rings between threads: `rtrb`, wrapped once, with the policy for "full" and a bell for sleepers.
//!
//! Never blocks, never allocates after [`ring`], never drops a slot: a full ring is the caller's decision
//! (feed → book: stop reading; book → reader: that reader resynchronises).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};

use crate::metrics::{Counter, Gauge, MetricSource, Sample};
use crate::slot::Slot;

/// Wakes whoever sleeps at the other end of a ring. Rung only when the sleeper said that it sleeps.
#[derive(Default)]
pub struct Bell {
    sleeping: AtomicBool,
    wake: std::sync::OnceLock<Box<dyn Fn() + Send + Sync>>,
}

impl Bell {
    /// A bell with nobody behind it.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Says how to wake the sleeper (`Thread::unpark`, a poll's waker). The first call counts.
    pub fn hang(&self, wake: impl Fn() + Send + Sync + 'static) {
        let _ = self.wake.set(Box::new(wake));
    }

    /// The sleeper announces that it is about to sleep. It must look at its rings once more after this and
    /// before it sleeps: whatever was written before the announcement became visible rings no bell.
    pub fn about_to_sleep(&self) {
        self.sleeping.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// The sleeper is awake.
    pub fn awake(&self) {
        self.sleeping.store(false, Ordering::Relaxed);
    }

    /// Wakes the sleeper if it sleeps: one fence and one load otherwise.
    #[inline]
    pub fn ring(&self) {
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
            "Share of the ring in use when its producer last looked.",
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

/// The writing end. One thread.
pub struct Producer {
    ring: rtrb::Producer<Slot>,
    bell: Arc<Bell>,
    metrics: Arc<RingMetrics>,
    unrung: u32,
}

/// The reading end. One thread.
pub struct Consumer {
    ring: rtrb::Consumer<Slot>,
}

/// A ring of `slots` slots (64 bytes each) called `name` in the metrics; `bell` wakes its reader.
///
/// All memory is touched here, so that the first turn takes no page fault.
#[must_use]
pub fn ring(name: &'static str, slots: usize, bell: Arc<Bell>) -> (Producer, Consumer) {
    let (mut producer, mut consumer) = rtrb::RingBuffer::<Slot>::new(slots);
    while producer.push(Slot::EMPTY).is_ok() {}
    while consumer.pop().is_ok() {}
    let metrics = Arc::new(RingMetrics { name, capacity: slots as u64, ..RingMetrics::default() });
    (Producer { ring: producer, bell, metrics, unrung: 0 }, Consumer { ring: consumer })
}

/// The ring has no room for all of it; nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl Producer {
    /// Writes one slot. Call [`Producer::flush`] at the end of the turn.
    ///
    /// # Errors
    /// [`Full`]: nothing was written, and it was counted.
    #[inline]
    pub fn push(&mut self, slot: Slot) -> Result<(), Full> {
        match self.ring.push(slot) {
            Ok(()) => {
                self.unrung += 1;
                Ok(())
            }
            Err(_) => {
                self.metrics.full.add(1);
                Err(Full)
            }
        }
    }

    /// Writes all of `slots` at once, or none.
    ///
    /// # Errors
    /// [`Full`]: nothing was written, and it was counted.
    #[inline]
    pub fn push_all(&mut self, slots: &[Slot]) -> Result<(), Full> {
        let Ok(chunk) = self.ring.write_chunk_uninit(slots.len()) else {
            self.metrics.full.add(1);
            return Err(Full);
        };
        chunk.fill_from_iter(slots.iter().copied());
        self.unrung += slots.len() as u32;
        Ok(())
    }

    /// Ends a turn: rings the bell if anything was written, and notes how full the ring is.
    #[inline]
    pub fn flush(&mut self) {
        if self.unrung > 0 {
            self.metrics.written.add(u64::from(self.unrung));
            self.metrics.occupied.set(self.metrics.capacity - self.ring.slots() as u64);
            self.unrung = 0;
            self.bell.ring();
        }
    }

    /// Slots in all.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.ring.buffer().capacity()
    }

    /// Free slots.
    #[inline]
    #[must_use]
    pub fn free(&self) -> usize {
        self.ring.slots()
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

impl Consumer {
    /// Takes one slot.
    #[inline]
    pub fn pop(&mut self) -> Option<Slot> {
        self.ring.pop().ok()
    }

    /// Hands up to `slots_max` waiting slots to `each`, in order, and frees them together.
    ///
    /// Returns how many there were.
    #[inline]
    pub fn drain(&mut self, slots_max: usize, mut each: impl FnMut(&Slot)) -> usize {
        self.drain_runs(slots_max, |run| run.iter().for_each(&mut each))
    }

    /// Hands up to `slots_max` waiting slots to `each` in runs as they lie in memory, in order, and frees them together:
    /// for whoever looks ahead. There are two runs where the ring's end lies between them, else one.
    ///
    /// Returns how many slots there were.
    #[inline]
    pub fn drain_runs(&mut self, slots_max: usize, mut each: impl FnMut(&[Slot])) -> usize {
        let waiting = self.ring.slots().min(slots_max);
        let Ok(chunk) = self.ring.read_chunk(waiting) else { return 0 };
        let (first, second) = chunk.as_slices();
        for run in [first, second] {
            if !run.is_empty() {
                each(run);
            }
        }
        chunk.commit_all();
        waiting
    }

    /// Whether nothing is waiting.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ring.is_empty()
    }

    /// Waiting slots.
    #[inline]
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.ring.slots()
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
        let (mut producer, mut consumer) = ring("test", 4, Bell::new());
        assert_eq!(producer.push_all(&[Slot::EMPTY; 3]), Ok(()));
        assert_eq!(producer.push_all(&[Slot::EMPTY; 2]), Err(Full));
        producer.flush();
        assert_eq!(consumer.drain(10, |_| {}), 3);
        let mut samples = Vec::new();
        producer.metrics().collect(&mut samples);
        assert_eq!(samples[1].value, crate::metrics::Value::Counter(1));
    }

    #[test]
    fn the_bell_rings_only_for_a_sleeper() {
        let bell = Bell::new();
        let rung = Arc::new(AtomicU32::new(0));
        let seen = Arc::clone(&rung);
        bell.hang(move || {
            seen.fetch_add(1, Ordering::Relaxed);
        });
        bell.ring();
        bell.about_to_sleep();
        bell.ring();
        bell.ring();
        assert_eq!(rung.load(Ordering::Relaxed), 1);
    }
}
