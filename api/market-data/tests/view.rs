//! The view beside a reader that is slow: who waits for whom, and what is told afterwards.

mod common;

use std::sync::mpsc;

use book::replica::Options;
use book::ring::{Full, Notifier, ring};
use common::{fed, level, market, share};

/// A handler that never lets go of its copy is the worst there can be: the view thread stands still, its ring fills,
/// and the writer is told so at once instead of waiting.
#[test]
fn a_handler_that_hangs_makes_only_this_ring_full() {
    let (mut producer, consumer) = ring("view", 1_024, Notifier::new());
    let (mut worker, view) = api_market_data::view::ViewWorker::new(consumer, Options::default());
    producer.push_all(&share(70, "GARAN.E", "GARANTI", 10_000)).unwrap();
    while worker.do_work() > 0 {}

    let (holding, held) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        let handler = view.clone();
        scope.spawn(move || {
            handler.copy(|_| {
                holding.send(()).unwrap();
                let _ = released.recv();
            });
        });
        held.recv().unwrap();
        let turns = scope.spawn(move || {
            while worker.do_work() == 0 {}
            while worker.do_work() > 0 {}
        });
        // This is the book thread: it never stands still, and it learns that the ring is full.
        let mut seq = 100;
        let full = loop {
            seq += 1;
            if let Err(full) = producer.push(level(70, seq, b'B', 9_900, seq, 1)) {
                break full;
            }
        };
        assert_eq!(full, Full);
        release.send(()).unwrap();
        turns.join().unwrap();
        assert_eq!(view.copy(|replica| replica.books()[0].seq), seq - 1, "all that had room was applied");
    });
}

#[test]
fn the_directory_follows_names() {
    let mut fed = fed(&market());
    let directory = fed.view.directory();
    assert_eq!(directory.near("GARN", 5), ["GARAN"]);
    assert_eq!(directory.near("GARANX.E", 5), ["GARAN"]);
    assert_eq!(directory.near("ISC", 5), ["ISCTR"]);
    assert_eq!(directory.near("QQQQQQ", 5), [""; 0]);
    assert_eq!(directory.near("", 5), [""; 0]);
    assert_eq!(directory.near(&"A".repeat(10_000), 5), [""; 0]);
    fed.feed(&share(70, "GARFA.E", "GARANTI FAKTORING", 2_000));
    let directory = fed.view.directory();
    assert_eq!(directory.find("GARAN"), None, "the book has a new name");
    assert_eq!(directory.find("garfa"), Some(book::BookId(70)));
    assert_eq!(directory.search("faktor").count(), 1);
}
