//! Question: how fast do 64-byte slots go from one thread to another through our ring, and how long is a round trip?
//!
//! Input: numbered slots. Two threads, two cores, both spinning. The reader checks number and order of every slot, so
//! that a lost or repeated one gives no figure.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use book::ring::{Consumer, Notifier, Producer, ring};
use book::slot::{Execution, rtype};
use book::{Slot, slot};
use crossbeam_utils::CachePadded;
use hdrhistogram::Histogram;
use zerocopy::FromZeros;

use crate::environment::Environment;
use crate::measure::{BenchError, BenchOptions, Pin, millions_per_s};
use crate::report::{Better, FLOOR, LatencySeries, Report, Row, grouped, histogram};

/// Slots written together, as the feed thread does for a packet.
const BATCH: usize = 32;
/// The peers' capacity in published comparisons, and the program's default.
const CAPACITIES: [usize; 2] = [4_096, 65_536];
/// Capacity for round trips: one slot is under way.
const ROUND_TRIP_SLOTS: usize = 1_024;
/// Looks at a ring before another thread gets the core: only a machine with fewer than two free cores gets here.
const SPINS_MAX: u32 = 20_000;

/// What the project promises: millions of slots per second, and ns.
const TARGET_MILLIONS: f64 = 200.0;
const TARGET_ROUND_TRIP_NS: f64 = 110.0;

struct Sizes {
    batched: usize,
    single: usize,
    trips: usize,
}

/// Runs it.
///
/// # Errors
/// A core that may not be used, or a slot that was lost, repeated or changed.
pub fn run(options: &BenchOptions) -> Result<Report, BenchError> {
    let pin = Pin::choose(options.core)?;
    let environment = Environment::read(&options.build, &pin);
    let sizes = if options.small {
        Sizes { batched: 200_000, single: 50_000, trips: 1_000 }
    } else {
        Sizes { batched: 50_000_000, single: 20_000_000, trips: 1_000_000 }
    };
    pin.measured_thread();
    let mut rows = Vec::new();
    for slots in CAPACITIES {
        let name = format!("batches of {BATCH}, ring of {slots}");
        let samples = options.samples(&name, || pass(&pin, slots, sizes.batched, write_batches))?;
        let row = Row::new(name, "M slots/s", Better::Higher, samples);
        rows.push(if options.small { row } else { row.with_target(TARGET_MILLIONS) });
    }
    let name = format!("written one by one, ring of {}", CAPACITIES[0]);
    let samples = options.samples(&name, || pass(&pin, CAPACITIES[0], sizes.batched, write_one_by_one))?;
    rows.push(Row::new(name, "M slots/s", Better::Higher, samples));
    let name = format!("one by one, ring of {}", CAPACITIES[0]);
    let samples = options.samples(&name, || pass(&pin, CAPACITIES[0], sizes.single, write_singly))?;
    rows.push(Row::new(name, "M slots/s", Better::Higher, samples));

    let floor = options.samples("floor", || line_round_trips(&pin, sizes.trips))?;
    let mut trips = Vec::new();
    let medians = options.samples("round trip", || {
        let trip = round_trips(&pin, sizes.trips)?;
        let median = trip.value_at_quantile(0.5) as f64;
        trips.push(trip);
        Ok(median)
    })?;
    trips.drain(..options.warm_up.min(trips.len()));
    let row = Row::new("round trip, median", "ns", Better::Lower, medians);
    rows.push(if options.small { row } else { row.with_target(TARGET_ROUND_TRIP_NS) });
    rows.push(Row::new(format!("{FLOOR}round trip of a bare cache line, median"), "ns", Better::Lower, floor));
    Ok(Report {
        name: "ring".into(),
        question: "How fast do 64-byte slots go from thread to thread through our ring, and how long is a round trip?"
            .into(),
        input: format!(
            "{} numbered slots in batches, {} one by one, {} round trips; second thread on core {}",
            grouped(sizes.batched as u64),
            grouped(sizes.single as u64),
            grouped(sizes.trips as u64),
            pin.partner.map_or_else(|| "of the scheduler's choice".to_owned(), |core| core.to_string()),
        ),
        command: options.command.clone(),
        environment,
        checked: vec!["every run: every slot arrived once, in order, with its content".into()],
        excluded: vec![
            "decoding and books: a slot is filled with its number and only checked at the other end".into(),
            "sleeping readers: both threads spin".into(),
            "nothing is taken off for the clock: a round trip holds one of its two readings".into(),
            "the floor is one line between the same two cores: their distance, which a virtual machine's host may change"
                .into(),
        ],
        rows,
        latencies: vec![LatencySeries::of_runs("round trip", trips)],
    })
}

#[inline]
fn numbered(number: u64) -> Slot {
    let mut execution = Execution::new_zeroed();
    execution.length = 16;
    execution.rtype = rtype::EXECUTION;
    execution.order_id = number;
    execution.quantity = !number;
    execution.into()
}

#[inline]
fn number_of(slot: &Slot) -> u64 {
    match slot.view() {
        slot::View::Execution(execution) if execution.quantity == !execution.order_id => execution.order_id,
        _ => u64::MAX,
    }
}

/// Waits politely once it has waited long.
#[derive(Default)]
struct Wait(u32);

impl Wait {
    fn turn(&mut self) {
        self.0 += 1;
        if self.0 < SPINS_MAX {
            spin_loop();
        } else {
            std::thread::yield_now();
        }
    }
}

fn write_batches(producer: &mut Producer, count: usize) {
    let mut batch = [Slot::EMPTY; BATCH];
    for first in (0..count as u64).step_by(BATCH) {
        for (n, slot) in batch.iter_mut().enumerate() {
            *slot = numbered(first + n as u64);
        }
        let mut wait = Wait::default();
        while producer.push_all(&batch).is_err() {
            wait.turn();
        }
        producer.commit();
    }
}

/// As the feed thread does: slot by slot, and the reader sees all of a batch at once.
fn write_one_by_one(producer: &mut Producer, count: usize) {
    for number in 0..count as u64 {
        let slot = numbered(number);
        let mut wait = Wait::default();
        while producer.write(slot).is_err() {
            wait.turn();
        }
        if number % BATCH as u64 == BATCH as u64 - 1 {
            producer.commit();
        }
    }
}

/// Each slot a turn of its own: the worst case.
fn write_singly(producer: &mut Producer, count: usize) {
    for number in 0..count as u64 {
        let slot = numbered(number);
        let mut wait = Wait::default();
        while producer.push(slot).is_err() {
            wait.turn();
        }
        producer.commit();
    }
}

/// Sends `count` slots (a multiple of the batch) to a second thread; millions per second.
fn pass(pin: &Pin, capacity: usize, count: usize, write: impl FnOnce(&mut Producer, usize)) -> Result<f64, BenchError> {
    let count = count / BATCH * BATCH;
    let (mut producer, mut consumer) = ring("bench", capacity, Notifier::silent());
    let (in_order, spent) = std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            pin.partner_thread();
            read(&mut consumer, count)
        });
        let start = Instant::now();
        write(&mut producer, count);
        let in_order = reader.join().unwrap_or(0);
        (in_order, start.elapsed())
    });
    if in_order != count {
        return Err(BenchError::Wrong(format!("{in_order} of {count} slots arrived in order with their content")));
    }
    Ok(millions_per_s(spent, count))
}

/// Takes `count` slots; how many were the ones expected.
fn read(consumer: &mut Consumer, count: usize) -> usize {
    let (mut taken, mut in_order) = (0, 0);
    let mut wait = Wait::default();
    while taken < count {
        let got = consumer.drain(usize::MAX, |slot| {
            in_order += usize::from(number_of(slot) == taken as u64);
            taken += 1;
        });
        if got == 0 {
            wait.turn();
        } else {
            wait = Wait::default();
        }
    }
    in_order
}

/// One slot there, the same slot back, again and again.
fn round_trips(pin: &Pin, count: usize) -> Result<Histogram<u64>, BenchError> {
    let (mut there, mut at_echo) = ring("there", ROUND_TRIP_SLOTS, Notifier::silent());
    let (mut back, mut at_home) = ring("back", ROUND_TRIP_SLOTS, Notifier::silent());
    let mut trips = histogram();
    let mut wrong = 0;
    std::thread::scope(|scope| {
        scope.spawn(move || {
            pin.partner_thread();
            for _ in 0..count {
                let slot = take(&mut at_echo);
                // OK because one slot is under way in a ring of a thousand.
                let _ = back.push(slot);
                back.commit();
            }
        });
        for number in 0..count as u64 {
            let slot = numbered(number);
            let start = Instant::now();
            // OK because one slot is under way in a ring of a thousand.
            let _ = there.push(slot);
            there.commit();
            let returned = take(&mut at_home);
            trips.saturating_record(nanos(start.elapsed()));
            wrong += usize::from(number_of(&returned) != number);
        }
    });
    if wrong > 0 {
        return Err(BenchError::Wrong(format!("{wrong} of {count} slots came back changed")));
    }
    Ok(trips)
}

/// One number in one cache line, written by both threads in turn; the median round trip in ns.
fn line_round_trips(pin: &Pin, count: usize) -> Result<f64, BenchError> {
    let line = CachePadded::new(AtomicU64::new(0));
    let mut trips = histogram();
    let wait_for = |number| {
        let mut wait = Wait::default();
        while line.load(Ordering::Acquire) != number {
            wait.turn();
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            pin.partner_thread();
            for number in 0..count as u64 {
                wait_for(2 * number + 1);
                line.store(2 * number + 2, Ordering::Release);
            }
        });
        for number in 0..count as u64 {
            let start = Instant::now();
            line.store(2 * number + 1, Ordering::Release);
            wait_for(2 * number + 2);
            trips.saturating_record(nanos(start.elapsed()));
        }
    });
    if line.load(Ordering::Acquire) != 2 * count as u64 {
        return Err(BenchError::Wrong("the line does not hold the last number".into()));
    }
    Ok(trips.value_at_quantile(0.5) as f64)
}

fn take(consumer: &mut Consumer) -> Slot {
    let mut wait = Wait::default();
    loop {
        if let Some(slot) = consumer.pop() {
            return slot;
        }
        wait.turn();
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_small_mode_answers() {
        let report = run(&BenchOptions::small()).unwrap();
        assert_eq!(report.rows.len(), 6);
        assert_eq!((report.latencies[0].runs.len(), report.latencies[0].corrected.len()), (3, 3_000));
    }

    #[test]
    fn a_lost_slot_gives_no_figure() {
        let pin = Pin::choose(crate::measure::Core::Unpinned).unwrap();
        let skipping = |producer: &mut Producer, count: usize| {
            for number in 1..=count as u64 {
                while producer.push(numbered(number)).is_err() {}
            }
        };
        assert!(matches!(pass(&pin, 64, 320, skipping), Err(BenchError::Wrong(_))));
    }
}
