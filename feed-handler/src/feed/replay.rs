//! A recording played back: each message into the event ring when it is due, received at that moment.
//!
//! Never sleeps: a turn says how long nothing is due, and the caller waits. Unlike the live path it allocates, when a
//! message has more slots than any before it, and when it opens the file for a further lap.

use std::num::NonZeroU32;
use std::path::PathBuf;

use book::{Nanos, Now, Slot};

use super::event_writer::EventWriter;
use super::turn::{Finished, Turn};
use crate::decode::sink::{Refused, Spoils};
use crate::recording::pacing::{Pacer, Speed};
use crate::recording::{OpenError, ReadError, Recording, RecordingOptions, Step};

/// Recorded messages of one turn.
const MESSAGES_PER_TURN_MAX: usize = 256;
/// Slots given to the ring in one piece. A message has fewer; the end of a partition's session has one for each book.
const SLOTS_AT_ONCE_MAX: usize = 256;

/// How a recording is replayed.
#[derive(Clone, Debug)]
pub struct ReplayOptions {
    /// The file; opened by [`FeedWorker::replay`](super::FeedWorker::replay) and again for each further lap.
    pub path: PathBuf,
    /// How to open it.
    pub recording: RecordingOptions,
    /// How fast.
    pub speed: Speed,
    /// Longest wait between two messages, our time; `u64::MAX` = as recorded.
    pub gap_max_ns: u64,
    /// How often; `None` = for ever. Each lap is a session of its own.
    pub laps: Option<NonZeroU32>,
}

impl ReplayOptions {
    /// Once, at recorded pace.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self {
            path,
            recording: RecordingOptions::default(),
            speed: Speed::RECORDED,
            gap_max_ns: u64::MAX,
            laps: NonZeroU32::new(1),
        }
    }
}

/// A recording being replayed.
pub(super) struct Replay {
    options: ReplayOptions,
    recording: Recording,
    pacer: Pacer,
    /// Slots of the message that is due next. Its memory is kept from message to message.
    pending: Vec<Slot>,
    pending_ns: Option<Nanos>,
    lap: u32,
    /// Wait that the last turn found.
    wait_ns: u64,
    error: Option<ReadError>,
}

impl Replay {
    /// Opens the recording for the first lap.
    pub fn open(options: ReplayOptions) -> Result<Self, OpenError> {
        Ok(Self {
            recording: Recording::open(&options.path, &options.recording)?,
            pacer: Pacer::new(options.speed, options.gap_max_ns),
            options,
            pending: Vec::with_capacity(64),
            pending_ns: None,
            lap: 1,
            wait_ns: 0,
            error: None,
        })
    }

    /// The wait that the last turn found.
    pub fn wait_ns(&self) -> u64 {
        self.wait_ns
    }

    /// The recording of this lap.
    pub fn recording(&self) -> &Recording {
        &self.recording
    }

    /// One turn: the messages that are due, up to a bound.
    pub fn turn(&mut self, Now { monotonic_ns: now_ns, wall_ns }: Now, out: &mut EventWriter) -> (usize, Turn) {
        let mut messages = 0;
        self.wait_ns = 0;
        let turn = loop {
            if let Some(recorded_ns) = self.pending_ns {
                self.wait_ns = self.pacer.due(now_ns, recorded_ns);
                if self.wait_ns > 0 {
                    break Turn::Done;
                }
                let slots = self.pending.len().min(SLOTS_AT_ONCE_MAX);
                if !out.has_room(slots) {
                    break Turn::Full;
                }
                // What the recording says of its receiver's clock, or nothing, would be an age of years here.
                self.pending[..slots].iter_mut().for_each(|slot| *slot = slot.with_received(wall_ns));
                out.push_all(&self.pending[..slots]);
                self.pending.drain(..slots);
                if !self.pending.is_empty() {
                    continue;
                }
                self.pending_ns = None;
                messages += 1;
            }
            if messages >= MESSAGES_PER_TURN_MAX {
                break Turn::Done;
            }
            let pending = &mut self.pending;
            match self.recording.next(&mut |slot| pending.push(slot)) {
                Ok(Step::Message(taken)) => {
                    self.pending_ns = Some(taken.recorded_ns);
                    out.metrics.on_message(taken.kind, taken.position, taken.refused);
                    let spoils = taken.refused.map_or(Spoils::Nothing, Refused::spoils);
                    self.pending.extend(out.refused(taken.recorded_ns, taken.position, spoils));
                }
                Ok(Step::Gap { from, to }) => {
                    // The slot of the gap goes out with the next message's.
                    out.metrics.gaps.add(1);
                    out.metrics.lost.add((to - from).saturating_add(1));
                    self.pending_ns = Some(0);
                }
                Ok(Step::Session) => {
                    out.next_epoch();
                    self.pending.push(out.session(wall_ns));
                    self.pending_ns = Some(0);
                }
                Ok(Step::PartitionSession) => self.pending_ns = Some(0),
                Ok(Step::End) => match self.next_lap(wall_ns, out) {
                    Some(finished) => break Turn::Finished(finished),
                    None => messages += 1,
                },
                Err(error) => {
                    out.metrics.read_errors.add(1);
                    self.error = Some(error);
                }
            }
        };
        if messages > 0 {
            out.metrics.received_ns.set(wall_ns);
            self.show_counts(out);
        }
        (messages, turn)
    }

    /// Shows what the reader counted to the scrape.
    fn show_counts(&self, out: &EventWriter) {
        let (counts, metrics) = (self.recording.counts(), &out.metrics);
        metrics.packets.set(counts.packets);
        metrics.heartbeats.set(counts.heartbeats);
        metrics.repeats.set(counts.repeats);
        metrics.damaged.set(counts.damaged_packets);
    }

    /// Opens the recording again, or says why not.
    #[cold]
    fn next_lap(&mut self, now_ns: Nanos, out: &mut EventWriter) -> Option<Finished> {
        // What could not be read at all will not be read in the next lap either.
        let is_last = self.options.laps.is_some_and(|laps| self.lap >= laps.get());
        if is_last || self.recording.nothing_read().is_some() {
            return Some(Finished::EndOfRecording(self.error.take()));
        }
        match Recording::open(&self.options.path, &self.options.recording) {
            Ok(recording) => self.recording = recording,
            Err(error) => return Some(Finished::NotReopened(error)),
        }
        self.lap = self.lap.saturating_add(1);
        self.error = None;
        self.pacer.restart();
        out.next_epoch();
        self.pending.push(out.session(now_ns));
        self.pending_ns = Some(0);
        None
    }
}
