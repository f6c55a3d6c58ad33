//! A writer and a reader that sleeps, on two threads: no slot may wait beside a sleeper.

use std::hint::spin_loop;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use book::Slot;
use book::ring::{Notifier, ring};

/// Without the writer's fence this fails in three of four runs. The ring holds one slot, so that no later flush makes good
/// for a wake that was lost: both sides would wait.
#[test]
fn no_wake_is_lost_between_a_flush_and_a_sleeper() {
    const SLOTS: usize = 300_000;
    const LOST: Duration = Duration::from_secs(10);
    let notifier = Notifier::new();
    let (mut producer, mut consumer) = ring("test", 1, Arc::clone(&notifier));
    let writer = thread::spawn(move || {
        for _ in 0..SLOTS {
            let mut looks = 0u32;
            while producer.push(Slot::EMPTY).is_err() {
                looks += 1;
                if looks.is_multiple_of(256) { thread::yield_now() } else { spin_loop() }
            }
            producer.commit();
        }
    });
    let thread = thread::current();
    notifier.set_waker(move || thread.unpark());
    let mut taken = 0;
    while taken < SLOTS {
        taken += consumer.drain(usize::MAX, |_| {});
        if taken == SLOTS {
            break;
        }
        // A pause of another length each time: sooner or later the two meet.
        (0..taken % 64).for_each(|_| spin_loop());
        notifier.prepare_wait();
        if consumer.is_empty() {
            let start = Instant::now();
            thread::park_timeout(LOST);
            assert!(start.elapsed() < LOST, "slept beside slot {taken} of {SLOTS}");
        }
        notifier.cancel_wait();
    }
    writer.join().unwrap();
}
