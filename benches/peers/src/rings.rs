//! Rings between two threads, each on its own core, both spinning: 64-byte messages per second, and the round trip.
//!
//! Every message is counted and one word of each is added up; a sum that is wrong has no figure.

use std::sync::{Arc, Barrier, mpsc};
use std::thread;
use std::time::Instant;

use ::disruptor::{BusySpin, Polling, Producer as _};
use book::Slot;
use book::ring::{Notifier, ring};
use core_affinity::CoreId;

use crate::measure::{Contestant, Row, interleave};

/// Slots of every ring.
const SLOTS: usize = 4_096;
/// Messages that are handed over at once where a ring can.
const BATCH: usize = 32;

/// What the reader found.
#[derive(Default)]
struct Sum {
    count: u64,
    sum: u64,
}

impl Sum {
    #[inline(always)]
    fn add(&mut self, slot: &Slot) {
        self.count += 1;
        self.sum += u64::from(slot.length);
    }
}

/// 32 messages with different contents, so that a repeated or lost one shows in the sum.
fn batch() -> [Slot; BATCH] {
    let mut batch = [Slot::EMPTY; BATCH];
    for (slot, length) in batch.iter_mut().zip(1..) {
        slot.length = length;
    }
    batch
}

/// Everything a writer and a reader need: `push` hands over all of a group before it returns, `drain` takes what
/// is there and may find nothing.
trait Pair {
    type Writer: FnMut(&[Slot]) + Send + 'static;
    type Reader: FnMut(&mut Sum) + Send + 'static;
    fn pair(&self) -> (Self::Writer, Self::Reader);
}

impl<Make, Writer, Reader> Pair for Make
where
    Make: Fn() -> (Writer, Reader),
    Writer: FnMut(&[Slot]) + Send + 'static,
    Reader: FnMut(&mut Sum) + Send + 'static,
{
    type Writer = Writer;
    type Reader = Reader;

    fn pair(&self) -> (Writer, Reader) {
        self()
    }
}

/// Measures how many messages per second go through, in millions. No rows on a machine with one core.
pub fn throughput(cores: &[CoreId], small: bool, rounds: usize, wanted: &impl Fn(&str) -> bool) -> Vec<Row> {
    let &[one, other, ..] = cores else { return Vec::new() };
    let (pair, messages) = ([one, other], if small { 64_000 } else { 16_000_000 });
    let contestants = vec![
        through("ours, batches of 32", "with metrics and a notifier", BATCH, messages, pair, ours),
        through("ours, one by one", "with metrics and a notifier", 1, messages, pair, ours),
        through("rtrb chunks of 32", "", BATCH, messages, pair, rtrb_chunks),
        through("rtrb push and pop", "", 1, messages, pair, rtrb_single),
        through("disruptor 4.4 batches of 32", "", BATCH, messages, pair, disruptor),
        through("disruptor 4.4 one by one", "", 1, messages, pair, disruptor),
        through("crossbeam-channel bounded", "many writers and readers", 1, messages, pair, channel),
        through("crossbeam ArrayQueue", "many writers and readers", 1, messages, pair, array_queue),
        through("std mpsc sync_channel", "many writers", 1, messages, pair, sync_channel),
    ];
    interleave(contestants, rounds, wanted)
}

/// Measures the median time of a message there and one back, in nanoseconds. No rows on a machine with one core.
pub fn round_trips(cores: &[CoreId], small: bool, rounds: usize, wanted: &impl Fn(&str) -> bool) -> Vec<Row> {
    let &[one, other, ..] = cores else { return Vec::new() };
    let (pair, trips) = ([one, other], if small { 2_000 } else { 200_000 });
    let contestants = vec![
        there_and_back("ours", trips, pair, ours),
        there_and_back("rtrb push and pop", trips, pair, rtrb_single),
        there_and_back("disruptor 4.4", trips, pair, disruptor),
        there_and_back("crossbeam-channel bounded", trips, pair, channel),
        there_and_back("crossbeam ArrayQueue", trips, pair, array_queue),
        there_and_back("std mpsc sync_channel", trips, pair, sync_channel),
    ];
    interleave(contestants, rounds, wanted)
}

/// A thread on a core of its own. It works once both threads are where they belong: at real-time priority one that spins
/// would never let go of the core that the other is still to leave.
fn on(core: CoreId, both: &Arc<Barrier>, work: impl FnOnce() + Send + 'static) -> thread::JoinHandle<()> {
    let both = Arc::clone(both);
    thread::spawn(move || {
        core_affinity::set_for_current(core);
        both.wait();
        work();
    })
}

fn through(
    name: &'static str,
    keeps: &'static str,
    group: usize,
    messages: u64,
    [one, other]: [CoreId; 2],
    make: impl Pair + 'static,
) -> Contestant<'static> {
    let run = move || {
        let (mut push, mut drain) = make.pair();
        let (done, took) = mpsc::channel();
        let both = Arc::new(Barrier::new(2));
        let reader = on(other, &both, move || {
            let mut sum = Sum::default();
            let start = Instant::now();
            while sum.count < messages {
                drain(&mut sum);
            }
            // The receiver waits for it.
            let _ = done.send((start.elapsed(), sum.sum));
        });
        let writer = on(one, &both, move || {
            let batch = batch();
            for _ in 0..messages / BATCH as u64 {
                batch.chunks(group).for_each(&mut push);
            }
        });
        let (spent, sum) = took.recv().map_err(|_| "the reader ended early")?;
        let _ = (reader.join(), writer.join());
        let expected = messages / BATCH as u64 * batch().iter().map(|slot| u64::from(slot.length)).sum::<u64>();
        if sum != expected {
            return Err(format!("its messages add up to {sum}, not {expected}"));
        }
        #[allow(clippy::cast_precision_loss)] // millions of messages
        let messages = messages as f64;
        Ok(messages / spent.as_secs_f64() / 1e6)
    };
    Contestant { name, keeps, run: Box::new(run) }
}

fn there_and_back(
    name: &'static str,
    trips: usize,
    [one, other]: [CoreId; 2],
    make: impl Pair + 'static,
) -> Contestant<'static> {
    let run = move || {
        let (mut ask, mut hear) = make.pair();
        let (mut answer, mut receive) = make.pair();
        let both = Arc::new(Barrier::new(2));
        let echo = on(other, &both, move || {
            let mut sum = Sum::default();
            for trip in 1..=trips as u64 {
                while sum.count < trip {
                    hear(&mut sum);
                }
                answer(&[Slot::EMPTY]);
            }
        });
        let (done, took) = mpsc::channel();
        let asker = on(one, &both, move || {
            let mut sum = Sum::default();
            let mut nanos: Vec<u64> = (1..=trips as u64)
                .map(|trip| {
                    let start = Instant::now();
                    ask(&[Slot::EMPTY]);
                    while sum.count < trip {
                        receive(&mut sum);
                    }
                    start.elapsed().as_nanos() as u64
                })
                .collect();
            nanos.sort_unstable();
            let _ = done.send(nanos[trips / 2]);
        });
        let median = took.recv().map_err(|_| "the asking thread ended early")?;
        let _ = (echo.join(), asker.join());
        #[allow(clippy::cast_precision_loss)] // nanoseconds of a round trip
        let median = median as f64;
        Ok(median)
    };
    Contestant { name, keeps: "", run: Box::new(run) }
}

/// Spins until `attempt` succeeds.
#[inline(always)]
fn spin(mut attempt: impl FnMut() -> bool) {
    while !attempt() {
        std::hint::spin_loop();
    }
}

fn ours() -> (impl FnMut(&[Slot]) + Send, impl FnMut(&mut Sum) + Send) {
    let (mut producer, mut consumer) = ring("peers", SLOTS, Notifier::new());
    (
        move |slots: &[Slot]| {
            spin(|| producer.push_all(slots).is_ok());
            producer.commit();
        },
        move |sum: &mut Sum| {
            consumer.drain(usize::MAX, |slot| sum.add(slot));
        },
    )
}

fn rtrb_chunks() -> (impl FnMut(&[Slot]) + Send, impl FnMut(&mut Sum) + Send) {
    let (mut producer, mut consumer) = rtrb::RingBuffer::<Slot>::new(SLOTS);
    (
        move |slots: &[Slot]| {
            spin(|| {
                producer.write_chunk_uninit(slots.len()).is_ok_and(|chunk| {
                    chunk.fill_from_iter(slots.iter().copied());
                    true
                })
            });
        },
        move |sum: &mut Sum| {
            if let Ok(chunk) = consumer.read_chunk(consumer.slots()) {
                let (first, second) = chunk.as_slices();
                first.iter().chain(second).for_each(|slot| sum.add(slot));
                chunk.commit_all();
            }
        },
    )
}

fn rtrb_single() -> (impl FnMut(&[Slot]) + Send, impl FnMut(&mut Sum) + Send) {
    let (mut producer, mut consumer) = rtrb::RingBuffer::<Slot>::new(SLOTS);
    (
        move |slots: &[Slot]| slots.iter().for_each(|slot| spin(|| producer.push(*slot).is_ok())),
        move |sum: &mut Sum| {
            if let Ok(slot) = consumer.pop() {
                sum.add(&slot);
            }
        },
    )
}

fn disruptor() -> (impl FnMut(&[Slot]) + Send, impl FnMut(&mut Sum) + Send) {
    let (mut poller, builder) = ::disruptor::build_single_producer(SLOTS, || Slot::EMPTY, BusySpin).new_event_poller();
    let mut producer = builder.build();
    (
        move |slots: &[Slot]| match slots {
            [slot] => {
                producer.publish(|event| *event = *slot);
            }
            _ => producer.batch_publish(slots.len(), |events| {
                events.zip(slots).for_each(|(event, slot)| *event = *slot);
            }),
        },
        move |sum: &mut Sum| match poller.poll() {
            Ok(mut events) => (&mut events).for_each(|slot| sum.add(slot)),
            Err(Polling::NoEvents | Polling::Shutdown) => (),
        },
    )
}

fn channel() -> (impl FnMut(&[Slot]) + Send, impl FnMut(&mut Sum) + Send) {
    let (sender, receiver) = crossbeam_channel::bounded::<Slot>(SLOTS);
    (
        move |slots: &[Slot]| slots.iter().for_each(|slot| spin(|| sender.try_send(*slot).is_ok())),
        move |sum: &mut Sum| {
            if let Ok(slot) = receiver.try_recv() {
                sum.add(&slot);
            }
        },
    )
}

fn array_queue() -> (impl FnMut(&[Slot]) + Send, impl FnMut(&mut Sum) + Send) {
    let writer = Arc::new(crossbeam_queue::ArrayQueue::<Slot>::new(SLOTS));
    let reader = Arc::clone(&writer);
    (
        move |slots: &[Slot]| slots.iter().for_each(|slot| spin(|| writer.push(*slot).is_ok())),
        move |sum: &mut Sum| {
            if let Some(slot) = reader.pop() {
                sum.add(&slot);
            }
        },
    )
}

fn sync_channel() -> (impl FnMut(&[Slot]) + Send, impl FnMut(&mut Sum) + Send) {
    let (sender, receiver) = mpsc::sync_channel::<Slot>(SLOTS);
    (
        move |slots: &[Slot]| slots.iter().for_each(|slot| spin(|| sender.try_send(*slot).is_ok())),
        move |sum: &mut Sum| {
            if let Ok(slot) = receiver.try_recv() {
                sum.add(&slot);
            }
        },
    )
}
