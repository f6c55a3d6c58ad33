//! The feed thread's end of the event ring: slots of messages, and slots about the feed itself.
//!
//! Never waits for room and never drops a slot silently: the caller makes sure of room first, and a slot that finds
//! none is an overrun, after which the feed ends.

#![cfg_attr(not(test), deny(clippy::disallowed_types, clippy::disallowed_methods, clippy::disallowed_macros))]

use std::sync::Arc;

use book::ring::Producer;
use book::slot::{System, system};
use book::{Nanos, Slot};

use super::metrics::FeedMetrics;
use crate::decode::sink::Spoils;

/// The writing side, apart from the source so that both can be borrowed at once.
pub struct EventWriter {
    producer: Producer,
    pub(super) metrics: Arc<FeedMetrics>,
    epoch: u64,
    /// Our own bound was wrong: a slot found no room after room was made sure of.
    overrun: bool,
}

impl EventWriter {
    /// Writes to `producer`, in the session `epoch`.
    #[must_use]
    pub fn new(producer: Producer, metrics: Arc<FeedMetrics>, epoch: u64) -> Self {
        Self { producer, metrics, epoch, overrun: false }
    }

    /// Takes one slot, which goes out with its packet.
    #[inline]
    pub fn push(&mut self, slot: Slot) {
        if self.producer.write(slot).is_err() {
            self.overrun = true;
        }
    }

    /// Takes the slots of one message, for which there is room.
    pub fn push_all(&mut self, slots: &[Slot]) {
        slots.iter().for_each(|&slot| self.push(slot));
    }

    /// The slot that says that a session begins. It is counted.
    pub fn session(&self, now_ns: Nanos) -> Slot {
        self.metrics.sessions.add(1);
        System::new(system::SESSION, 0, now_ns, 0, 0, self.epoch).into()
    }

    /// Says that a session begins.
    #[cold]
    pub fn begin_session(&mut self, now_ns: Nanos) {
        let slot = self.session(now_ns);
        self.push(slot);
    }

    /// Says that nothing came for `silence_ns`.
    #[cold]
    pub fn stale(&mut self, now_ns: Nanos, silence_ns: u64) {
        self.metrics.stale.set(1);
        self.push(System::new(system::STALE, 0, now_ns, silence_ns, 0, self.epoch).into());
    }

    /// Says that something came after `silence_ns`.
    #[cold]
    pub fn alive(&mut self, now_ns: Nanos, silence_ns: u64) {
        self.metrics.stale.set(0);
        self.push(System::new(system::ALIVE, 0, now_ns, silence_ns, 0, self.epoch).into());
    }

    /// Says that the session is known from message `from` on only.
    #[cold]
    pub fn joined_midway(&mut self, now_ns: Nanos, from: u64, leaped: bool) {
        self.metrics.joined_midway.set(from);
        self.push(System::new(system::JOINED_MIDWAY, 0, now_ns, from, leaped.into(), self.epoch).into());
    }

    /// The slot that says that message `sequence` could not be read; `None` where no book needs it.
    #[cold]
    pub fn refused(&self, now_ns: Nanos, sequence: u64, spoils: Spoils) -> Option<Slot> {
        let mut record = System::new(system::REFUSED, 0, now_ns, sequence, sequence, self.epoch);
        record.book_id = match spoils {
            Spoils::Nothing => return None,
            Spoils::Book(book_id) => book_id,
            Spoils::Any => 0,
        };
        Some(record.into())
    }

    /// Says that two lines contradict each other about message `sequence`.
    #[cold]
    pub fn line_mismatch(&mut self, now_ns: Nanos, sequence: u64) {
        self.push(System::new(system::LINE_MISMATCH, 0, now_ns, sequence, sequence, self.epoch).into());
    }

    /// Says that these messages are lost.
    #[cold]
    pub fn gap(&mut self, now_ns: Nanos, from: u64, to: u64) {
        self.metrics.gaps.add(1);
        self.metrics.lost.add((to - from).saturating_add(1));
        self.push(System::new(system::GAP, 0, now_ns, from, to, self.epoch).into());
    }

    /// Whether `slots` more find room.
    #[inline]
    pub fn has_room(&mut self, slots: usize) -> bool {
        self.producer.has_room(slots)
    }

    /// Shows the slots so far to the reader, without waking it.
    #[inline]
    pub fn publish(&mut self) {
        self.producer.publish();
    }

    /// Shows the slots so far to the reader and wakes it.
    #[inline]
    pub fn commit(&mut self) {
        self.producer.commit();
    }

    /// What the scrape reads.
    pub fn metrics(&self) -> Arc<FeedMetrics> {
        Arc::clone(&self.metrics)
    }

    /// Whether nobody reads the ring any more.
    pub fn is_abandoned(&self) -> bool {
        self.producer.is_abandoned()
    }

    /// Whether a slot found no room after room was made sure of.
    #[inline]
    pub fn has_overrun(&self) -> bool {
        self.overrun
    }

    /// Epoch of the session in force.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Goes on to the next epoch; its session is announced by [`EventWriter::begin_session`].
    pub fn next_epoch(&mut self) {
        self.epoch += 1;
    }

    /// Counts a turn that stopped for want of room.
    pub fn on_ring_full(&self) {
        self.metrics.ring_full.add(1);
    }
}
