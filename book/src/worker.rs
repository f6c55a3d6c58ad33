//! One turn of the book thread: events in, updates out, one ring per reader.
//!
//! Takes what waits in whole runs, so that the books can look ahead.
//!
//! Never blocks, allocates, locks, formats text or waits for a reader. A reader whose ring is full loses updates of
//! single books, is told which numbers it missed, and gets a snapshot of each such book as soon as there is room;
//! nobody else notices. A reader may ask for the orders of single books and get them the same way.

#![cfg_attr(not(test), deny(clippy::disallowed_types, clippy::disallowed_methods, clippy::disallowed_macros))]

mod pending;
mod reader;

use std::sync::Arc;

use crate::market::{Market, Output, UPDATES_PER_EVENT_MAX};
use crate::metrics::{Counter, Gauge, Latency, MetricSource, Sample};
use crate::ring::{Consumer, Producer};
use crate::slot::{Slot, View, flags, rtype};
use crate::types::Nanos;
pub use reader::Detail;
use reader::Reader;

/// Events one turn takes at most: bounds how long a turn can be, and how long a reader waits for its notifier.
pub const EVENTS_PER_TURN_MAX: usize = 1_024;
/// One event in so many has its latency recorded: 16 keeps the cost below a nanosecond per event.
const LATENCY_SAMPLE: u64 = 16;
/// Older events come from a recording, whose receive time says nothing about us.
const LIVE_MAX_NS: u64 = 60_000_000_000;

/// The updates of one event.
struct Batch {
    slots: [Slot; UPDATES_PER_EVENT_MAX],
    length: usize,
}

impl Output for Batch {
    #[inline]
    fn push(&mut self, update: Slot) {
        self.slots[self.length] = update;
        self.length += 1;
    }
}

impl Batch {
    /// Marks the end of the group and hands it out.
    #[inline]
    fn close(&mut self) -> &[Slot] {
        if let Some(last) = self.slots[..self.length].last_mut() {
            *last = last.with_flag(flags::LAST);
        }
        &self.slots[..self.length]
    }
}

/// What the scrape reads of the book thread.
#[derive(Default)]
pub struct BookMetrics {
    events: Counter,
    updates: Counter,
    snapshots: Counter,
    answers: Counter,
    missed: Counter,
    books: Gauge,
    orders: Gauge,
    latency: Latency,
}

impl BookMetrics {
    /// Events applied so far.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.events.get()
    }
}

impl MetricSource for BookMetrics {
    fn stages(&self, each: &mut dyn FnMut(&'static str, &Latency)) {
        each("book", &self.latency);
    }

    fn collect(&self, samples: &mut Vec<Sample>) {
        let counter = |name, help, counter: &Counter| Sample::counter(name, help, &[], counter.get());
        samples.extend([
            counter("bist_book_events_total", "Events applied to the books.", &self.events),
            counter(
                "bist_book_updates_total",
                "Updates produced by these events, before they are copied to readers.",
                &self.updates,
            ),
            counter("bist_book_snapshots_total", "Snapshots of single books written for readers.", &self.snapshots),
            counter(
                "bist_book_order_interest_total",
                "Order interest requests of readers answered: begin or end of the orders of one book.",
                &self.answers,
            ),
            counter(
                "bist_book_reader_gaps_total",
                "Books that fell out of sync for a reader because its update ring was full.",
                &self.missed,
            ),
            Sample::gauge("bist_book_books", "Books.", &[], self.books.get() as f64),
            Sample::gauge("bist_book_orders", "Resting orders.", &[], self.orders.get() as f64),
            Sample::latency(
                "bist_stage_latency_seconds",
                "Time from the receipt of a packet to the end of a stage, by stage (one event in 16).",
                &[("stage", "book")],
                &self.latency,
            ),
        ]);
    }
}

/// The book thread's work, without the thread.
pub struct BookWorker {
    events: Consumer,
    market: Market,
    readers: Vec<Reader>,
    batch: Batch,
    books_seen: usize,
    metrics: Arc<BookMetrics>,
}

impl BookWorker {
    /// A worker without readers.
    #[must_use]
    pub fn new(events: Consumer, market: Market) -> Self {
        Self {
            events,
            market,
            readers: Vec::new(),
            batch: Batch { slots: [Slot::EMPTY; UPDATES_PER_EVENT_MAX], length: 0 },
            books_seen: 0,
            metrics: Arc::default(),
        }
    }

    /// Adds a reader before the start.
    ///
    /// # Panics
    /// When the ring is too small for any snapshot (1,024 slots).
    pub fn add_reader(&mut self, ring: Producer, detail: Detail, books_max: usize) {
        assert!(ring.capacity() >= 1_024, "a reader's ring holds at least 1,024 slots");
        self.readers.push(Reader::new(ring, detail, books_max));
    }

    /// The books.
    #[must_use]
    pub fn market(&self) -> &Market {
        &self.market
    }

    /// What the scrape reads.
    #[must_use]
    pub fn metrics(&self) -> Arc<BookMetrics> {
        Arc::clone(&self.metrics)
    }

    /// Whether an event or a request is waiting.
    #[must_use]
    pub fn has_work(&self) -> bool {
        !self.events.is_empty() || self.readers.iter().any(Reader::has_order_interest)
    }

    /// Whether a reader waits for room: the next turn must not be long in coming.
    #[must_use]
    pub fn has_waiting_readers(&self) -> bool {
        self.readers.iter().any(Reader::is_owed)
    }

    /// Whether the feed is gone and everything it sent has been applied.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.events.is_abandoned() && self.events.is_empty()
    }

    /// One turn. `now_ns` is our clock, for the latency histogram alone.
    ///
    /// Returns the events applied, snapshots written and requests answered; the caller idles only on zero.
    pub fn do_work(&mut self, now_ns: Nanos) -> usize {
        let Self { events, market, readers, batch, books_seen, metrics } = self;
        let before = metrics.events.get();
        let mut updates = 0;
        let mut count = 0;
        let work = events.drain_runs(EVENTS_PER_TURN_MAX, |run| {
            market.apply_all(run, batch, |market, event, batch| {
                count += 1;
                let group = batch.close();
                updates += group.len() as u64;
                if market.books().len() > *books_seen {
                    *books_seen = market.books().len();
                    readers.iter_mut().for_each(|reader| reader.learn_books(*books_seen));
                }
                distribute(market, readers, group, metrics);
                batch.length = 0;
                if (before + count).is_multiple_of(LATENCY_SAMPLE) {
                    let latency_ns = now_ns.saturating_sub(event.received_ns());
                    if latency_ns < LIVE_MAX_NS {
                        metrics.latency.record(latency_ns);
                    }
                }
            });
        });
        metrics.events.add(work as u64);
        metrics.updates.add(updates);
        let mut snapshots = 0;
        for reader in readers.iter_mut() {
            if reader.has_order_interest() {
                reader.take_order_interest(market);
            }
            if reader.is_owed() {
                snapshots += reader.resynchronise(market, metrics);
            }
            reader.commit();
        }
        if work > 0 {
            metrics.books.set(market.books().len() as u64);
            metrics.orders.set(market.orders() as u64);
        }
        work + snapshots
    }
}

/// Copies the updates of one event to every reader. A group is about one book, but for a tick of the clock before it.
#[inline]
fn distribute(market: &Market, readers: &mut [Reader], group: &[Slot], metrics: &BookMetrics) {
    let system = group.iter().take_while(|slot| slot.rtype == rtype::SYSTEM).count();
    let (system, group) = group.split_at(system);
    for record in system {
        let View::System(view) = record.view() else { continue };
        readers.iter_mut().for_each(|reader| reader.publish_system(*record, view.code));
    }
    let Some(first) = group.first() else { return };
    let Some(index) = market.index_of_update(first) else { return };
    for reader in readers {
        let waiting = reader.waiting();
        reader.publish(index, market.seq(), group);
        metrics.missed.add((reader.waiting() - waiting) as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::reader::ORDERS_PER_TURN_MAX;
    use super::*;
    use crate::market::{Limits, OrderKey};
    use crate::order_interest::{OrderInterest, OrderInterestSender, order_interest};
    use crate::replica::{BookView, KeepOrders, Options, Replica};
    use crate::ring::{Notifier, ring};
    use crate::slot::{OrderEvent, Stamp, System, action, picture, system};
    use crate::types::{BookId, OrderId, Price, Side};

    fn limits() -> Limits {
        Limits {
            books_max: 16,
            orders_max: 5_000,
            levels_max: 1_000,
            ladder_slots: 0,
            trades_max: 4_096,
            queues: true,
            look_ahead_orders_min: 0,
            key: OrderKey::BookSideId,
            seed: 1,
        }
    }

    fn add(book: u32, id: u64) -> Slot {
        let stamp = Stamp { book_id: BookId(book), exchange_ns: 1, ..Stamp::default() };
        OrderEvent::add(stamp, Side::Bid, OrderId(id), Price(1 + (id % 50) as i64), 10, 0).into()
    }

    struct Bench {
        events: Producer,
        worker: BookWorker,
        reader: Consumer,
    }

    fn bench(detail: Detail) -> Bench {
        bench_with(detail, 1_024)
    }

    fn bench_with(detail: Detail, reader_slots: usize) -> Bench {
        let (events, consumer) = ring("events", 1 << 14, Notifier::new());
        let (producer, reader) = ring("reader", reader_slots, Notifier::new());
        let mut worker = BookWorker::new(consumer, Market::new(limits()));
        worker.add_reader(producer, detail, 16);
        Bench { events, worker, reader }
    }

    fn drain(reader: &mut Consumer, replica: &mut Replica) -> Vec<(u64, u64)> {
        let mut gaps = Vec::new();
        reader.drain(usize::MAX, |slot| {
            if let View::SnapshotBegin(mark) = slot.view() {
                gaps.push((mark.from_seq, mark.to_seq));
            }
            replica.apply(slot, &mut |_, _, _| {});
        });
        gaps
    }

    fn assert_same(market: &Market, replica: &Replica) {
        for book in market.books() {
            let view = replica.book(book.id()).unwrap();
            let want: Vec<_> = market.levels(book.id(), Side::Bid).collect();
            assert_eq!(view.bids.iter().copied().collect::<Vec<_>>(), want);
        }
    }

    #[test]
    fn a_reader_that_keeps_up_sees_every_group_once() {
        let Bench { mut events, mut worker, mut reader } = bench(Detail::Orders);
        let mut replica = Replica::new(Options { orders: KeepOrders::Always, ..Options::default() });
        for id in 0..100 {
            events.push(add(1 + (id % 3) as u32, id)).unwrap();
            worker.do_work(0);
            assert_eq!(drain(&mut reader, &mut replica), []);
        }
        assert_same(worker.market(), &replica);
        assert_eq!(replica.seq, 100);
        assert_eq!(replica.book(BookId(1)).unwrap().orders.len(), 34);
    }

    /// A turn takes runs, cut by the bound of a turn, by the end of the ring and by looking ahead: none of it shows.
    #[test]
    fn runs_that_wrap_give_the_same_updates_as_one_event_at_a_time() {
        let (mut events, consumer) = ring("events", 100, Notifier::new());
        let (producer, mut reader) = ring("reader", 1 << 14, Notifier::new());
        let mut worker = BookWorker::new(consumer, Market::new(limits()));
        worker.add_reader(producer, Detail::Orders, 16);
        let mut market = Market::new(limits());
        let (mut want, mut got) = (Vec::new(), Vec::new());
        for turn in 0..40 {
            for id in turn * 67..turn * 67 + 67 {
                let event = add(1 + (id % 5) as u32, id);
                events.push(event).unwrap();
                let mut group = Vec::new();
                market.apply(&event, &mut group);
                if let Some(last) = group.last_mut() {
                    *last = last.with_flag(flags::LAST);
                }
                want.extend(group);
            }
            assert_eq!(worker.do_work(0), 67);
            reader.drain(usize::MAX, |slot| got.push(*slot));
        }
        assert_eq!(got.len(), want.len());
        assert!(got.iter().zip(&want).all(|(got, want)| got.as_bytes() == want.as_bytes()));
    }

    #[test]
    fn a_reader_that_stops_is_told_what_it_missed_and_gets_a_snapshot() {
        for (detail, orders) in [(Detail::Orders, KeepOrders::Always), (Detail::Levels, KeepOrders::Never)] {
            let Bench { mut events, mut worker, mut reader } = bench(detail);
            let mut replica = Replica::new(Options { orders, ..Options::default() });
            for id in 0..3_000 {
                events.push(add(1 + (id % 3) as u32, id)).unwrap();
            }
            while worker.has_work() {
                worker.do_work(0);
            }
            assert!(worker.has_waiting_readers());
            let mut gaps = drain(&mut reader, &mut replica);
            assert!(gaps.is_empty());
            while worker.has_waiting_readers() {
                assert!(worker.do_work(0) > 0);
                gaps.extend(drain(&mut reader, &mut replica));
            }
            gaps.extend(drain(&mut reader, &mut replica));
            assert_eq!(gaps.len(), 3, "one snapshot for each book");
            assert!(gaps.iter().all(|&(from, to)| from > 300 && to == 3_000), "{gaps:?}");
            assert_same(worker.market(), &replica);
            // A thousand orders do not fit the half ring a snapshot may take: said, not hidden.
            assert!(replica.books().iter().all(|book| book.orders_omitted));
        }
    }

    #[test]
    fn a_session_that_finds_no_room_waits_and_voids_the_books() {
        let Bench { mut events, mut worker, mut reader } = bench(Detail::Orders);
        let mut replica = Replica::new(Options::default());
        for id in 0..600 {
            events.push(add(1, id)).unwrap();
        }
        for _ in 0..2 {
            events.push(System::new(system::STALE, 5, 5, 0, 0, 0).into()).unwrap();
        }
        worker.do_work(0);
        events.push(System::new(system::SESSION, 5, 5, 0, 0, 9).into()).unwrap();
        events.push(add(1, 7)).unwrap();
        worker.do_work(0);
        drain(&mut reader, &mut replica);
        assert_eq!(replica.epoch, 0, "the ring was full");
        worker.do_work(0);
        drain(&mut reader, &mut replica);
        assert_eq!((replica.epoch, replica.seq), (9, 1));
        assert_same(worker.market(), &replica);
    }

    #[test]
    fn what_is_said_of_a_session_that_waits_comes_behind_it() {
        let Bench { mut events, mut worker, mut reader } = bench(Detail::Orders);
        for id in 0..600 {
            events.push(add(1, id)).unwrap();
        }
        for code in [system::STALE, system::STALE, system::SESSION, system::JOINED_MIDWAY, system::REFUSED] {
            events.push(System::new(code, 5, 5, 0, 0, 9).into()).unwrap();
        }
        worker.do_work(0);
        reader.drain(usize::MAX, |_| {});
        worker.do_work(0);
        let mut codes = Vec::new();
        reader.drain(usize::MAX, |slot| {
            if let View::System(record) = slot.view() {
                codes.push(record.code);
            }
        });
        assert_eq!(codes, [system::SESSION, system::JOINED_MIDWAY, system::REFUSED]);
    }

    #[test]
    fn a_book_that_appears_while_a_session_waits_does_not_overtake_it() {
        let Bench { mut events, mut worker, mut reader } = bench(Detail::Orders);
        let mut replica = Replica::new(Options::default());
        for id in 0..600 {
            events.push(add(1, id)).unwrap();
        }
        for _ in 0..2 {
            events.push(System::new(system::STALE, 5, 5, 0, 0, 0).into()).unwrap();
        }
        events.push(System::new(system::SESSION, 5, 5, 0, 0, 9).into()).unwrap();
        worker.do_work(0);
        // Some room, but less than half the ring: the session goes on waiting.
        reader.drain(100, |slot| {
            replica.apply(slot, &mut |_, _, _| {});
        });
        events.push(add(2, 7)).unwrap();
        worker.do_work(0);
        drain(&mut reader, &mut replica);
        while worker.has_waiting_readers() {
            assert!(worker.do_work(0) > 0);
            drain(&mut reader, &mut replica);
        }
        assert_eq!(replica.epoch, 9);
        assert_eq!(replica.book(BookId(2)).unwrap().bids.len(), 1);
        assert_same(worker.market(), &replica);
    }

    /// A mark that finds no room is read before anything that came behind it.
    #[test]
    fn no_update_overtakes_a_mark_that_waits_for_room() {
        for code in [system::GAP, system::REFUSED, system::JOINED_MIDWAY, system::LINE_MISMATCH] {
            let Bench { mut events, mut worker, mut reader } = bench(Detail::Levels);
            let mut replica = Replica::new(Options::default());
            // Three books, and a ring that is full to its last slot.
            for id in 0..3 {
                events.push(add(1 + id as u32, id)).unwrap();
            }
            worker.do_work(0);
            drain(&mut reader, &mut replica);
            for _ in 0..1_024 {
                events.push(System::new(system::STALE, 0, 0, 0, 0, 0).into()).unwrap();
            }
            worker.do_work(0);
            events.push(System::new(code, 0, 0, 9, 9, 0).into()).unwrap();
            worker.do_work(0);
            // Some room, but less than half the ring: the mark goes on waiting.
            for _ in 0..100 {
                replica.apply(&reader.pop().unwrap(), &mut |_, _, _| {});
            }
            events.push(add(1, 7)).unwrap();
            worker.do_work(0);
            let is_marked_or_old =
                |replica: &Replica| replica.books().iter().all(|book| book.maybe_bad() || book.bids.len() == 1);
            while let Some(slot) = reader.pop() {
                replica.apply(&slot, &mut |_, _, _| {});
                assert!(is_marked_or_old(&replica), "code {code}");
            }
            while worker.has_waiting_readers() {
                worker.do_work(0);
                drain(&mut reader, &mut replica);
            }
            assert!(replica.books().iter().all(BookView::maybe_bad), "code {code}");
            assert_same(worker.market(), &replica);
        }
    }

    /// The orders of the book as the reader has them equal the market's.
    fn assert_same_orders(market: &Market, replica: &Replica, book: u32) {
        let view = replica.book(BookId(book)).unwrap();
        let want: Vec<_> =
            market.queue(BookId(book), Side::Bid).map(|(price, id, quantity, _)| (price, id, quantity)).collect();
        let have: Vec<_> =
            view.orders.iter(Side::Bid).map(|(price, order)| (price, order.order_id, order.quantity)).collect();
        assert_eq!((view.orders_omitted, have), (false, want));
    }

    /// An order that loses its price: its own update is the last of its event, and not sent to this reader.
    #[test]
    fn the_last_update_that_a_reader_gets_of_an_event_says_so() {
        let Bench { mut events, mut worker, mut reader } = bench(Detail::Levels);
        let stamp = Stamp { book_id: BookId(1), exchange_ns: 1, ..Stamp::default() };
        events.push(add(1, 7)).unwrap();
        let event = OrderEvent::new(stamp, action::MODIFY, Side::Bid, OrderId(7), Price::NONE, 10);
        events.push(event.into()).unwrap();
        worker.do_work(0);
        let mut updates = Vec::new();
        reader.drain(usize::MAX, |slot| updates.push(*slot));
        updates.retain(|update| update.rtype != rtype::SYSTEM);
        let kinds: Vec<_> =
            updates.iter().map(|update| (update.rtype, update.record().flags & flags::LAST != 0)).collect();
        assert_eq!(kinds, [(rtype::LEVEL, true); 2]);
    }

    struct OnRequest {
        bench: Bench,
        sender: OrderInterestSender,
        replica: Replica,
        updates: Vec<Slot>,
        next_id: u64,
    }

    impl OnRequest {
        fn new() -> Self {
            Self::with_ring(1_024)
        }

        fn with_ring(slots: usize) -> Self {
            let (sender, receiver) = order_interest(16, Notifier::new());
            let replica = Replica::new(Options { orders: KeepOrders::OnRequest, ..Options::default() });
            let bench = bench_with(Detail::OnRequest(receiver), slots);
            Self { bench, sender, replica, updates: Vec::new(), next_id: 0 }
        }

        fn request(&mut self, book: u32, orders: bool) {
            self.sender.ask(OrderInterest { book_id: BookId(book), orders }).unwrap();
        }

        /// So many adds to three books, a turn, and what comes of it.
        fn turn(&mut self, adds: u64) {
            for id in self.next_id..self.next_id + adds {
                self.bench.events.push(add(1 + (id % 3) as u32, id)).unwrap();
            }
            self.next_id += adds;
            while self.bench.worker.do_work(0) > 0 {}
            self.read();
        }

        fn read(&mut self) {
            self.updates.clear();
            let Self { bench, replica, updates, .. } = self;
            bench.reader.drain(usize::MAX, |slot| {
                updates.push(*slot);
                replica.apply(slot, &mut |_, _, _| {});
            });
        }

        fn count(&self, is: impl Fn(&Slot) -> bool) -> usize {
            self.updates.iter().filter(|update| is(update)).count()
        }

        /// Orders of snapshots and answers, not of events.
        fn of_pictures(&self) -> usize {
            self.count(|slot| slot.rtype == rtype::ORDER_UPDATE && slot.record().flags & flags::SNAPSHOT != 0)
        }

        /// Books and what they were answered.
        fn answers(&self) -> Vec<(u32, bool)> {
            let answer = |slot: &Slot| match slot.view() {
                View::OrdersEnd(mark) | View::SnapshotEnd(mark) if mark.answers == 1 => {
                    Some((mark.book_id, mark.orders == picture::HERE))
                }
                _ => None,
            };
            self.updates.iter().filter_map(answer).collect()
        }
    }

    #[test]
    fn orders_come_for_the_books_that_are_asked_for_and_for_no_other() {
        let mut all = OnRequest::new();
        all.turn(30);
        assert_eq!(all.count(|slot| slot.rtype == rtype::ORDER_UPDATE), 0);
        assert!(all.replica.books().iter().all(|book| book.orders_omitted));
        all.request(2, true);
        assert!(all.bench.worker.has_work());
        all.turn(30);
        assert_eq!(all.answers(), [(2, true)]);
        assert_same_orders(all.bench.worker.market(), &all.replica, 2);
        assert_eq!(all.replica.book(BookId(1)).unwrap().orders.len(), 0);
        all.turn(30);
        assert_eq!(all.count(|slot| slot.rtype == rtype::ORDER_UPDATE), 10);
        assert_same_orders(all.bench.worker.market(), &all.replica, 2);
        all.request(2, false);
        all.turn(30);
        assert_eq!(all.answers(), [(2, false)]);
        assert!(all.replica.book(BookId(2)).unwrap().orders_omitted);
        all.turn(30);
        assert_eq!(all.count(|slot| slot.rtype == rtype::ORDER_UPDATE), 0);
        assert_same(all.bench.worker.market(), &all.replica);
        assert!(!all.bench.worker.has_waiting_readers() && !all.bench.worker.has_work());
    }

    #[test]
    fn interest_in_a_book_that_waits_for_its_snapshot_is_answered_by_it() {
        let mut all = OnRequest::new();
        all.turn(300);
        all.request(1, true);
        all.request(3, true);
        // More than the ring holds: every book is lost before anything is read.
        for id in 300..1_500 {
            all.bench.events.push(add(1 + (id % 6) as u32, id)).unwrap();
        }
        while all.bench.worker.has_work() {
            all.bench.worker.do_work(0);
        }
        let mut answers = Vec::new();
        while all.bench.worker.has_waiting_readers() {
            all.read();
            answers.extend(all.answers());
            all.bench.worker.do_work(0);
        }
        all.read();
        answers.extend(all.answers());
        answers.sort_unstable();
        assert_eq!(answers, [(1, true), (3, true)]);
        assert_same(all.bench.worker.market(), &all.replica);
        assert_same_orders(all.bench.worker.market(), &all.replica, 3);
        assert!(all.replica.book(BookId(2)).unwrap().orders_omitted);
    }

    /// The orders of a book that are more than the ring holds come in parts, and what happens between two of them shows.
    #[test]
    fn many_orders_come_in_parts_while_the_book_goes_on() {
        let mut all = OnRequest::new();
        for _ in 0..20 {
            all.turn(300);
        }
        all.request(1, true);
        let mut turns = 0;
        while all.answers().is_empty() {
            for id in all.next_id..all.next_id + 30 {
                all.bench.events.push(add(1 + (id % 3) as u32, id)).unwrap();
            }
            all.next_id += 30;
            all.bench.worker.do_work(0);
            all.read();
            turns += 1;
            assert!(all.of_pictures() < ORDERS_PER_TURN_MAX + 100, "{} in a turn", all.of_pictures());
        }
        assert!(turns > 3, "{turns} turns for {} orders", all.replica.book(BookId(1)).unwrap().orders.len());
        assert_same(all.bench.worker.market(), &all.replica);
        assert_same_orders(all.bench.worker.market(), &all.replica, 1);
        all.turn(30);
        assert_same_orders(all.bench.worker.market(), &all.replica, 1);
    }

    /// A gap makes no turn longer than a request does, although the ring has room for all orders of all books at once.
    #[test]
    fn orders_after_a_gap_come_in_parts() {
        let mut all = OnRequest::with_ring(1 << 13);
        all.turn(2_700);
        (1..4).for_each(|book| all.request(book, true));
        all.turn(0);
        assert_eq!(all.answers().len(), 3);
        // Nothing is read, and every book is lost.
        for id in (0..2_000).map(|n| 100_000 + n * 50) {
            for book in 1..4 {
                let stamp = Stamp { book_id: BookId(book), ..Stamp::default() };
                all.bench.events.push(add(book, id)).unwrap();
                all.bench.events.push(OrderEvent::cancel(stamp, Side::Bid, OrderId(id), 10).into()).unwrap();
            }
        }
        while all.bench.worker.has_work() {
            all.bench.worker.do_work(0);
        }
        let (mut turns, mut follow) = (0, 0);
        loop {
            all.read();
            turns += 1;
            follow +=
                all.count(|slot| matches!(slot.view(), View::SnapshotEnd(mark) if mark.orders == picture::FOLLOW));
            assert!(turns == 1 || all.of_pictures() < ORDERS_PER_TURN_MAX + 100, "{} in a turn", all.of_pictures());
            if !all.bench.worker.has_waiting_readers() {
                break;
            }
            all.bench.worker.do_work(0);
        }
        assert!(turns > 10 && follow == 3, "{turns} turns for 2,700 orders, {follow} snapshots without them");
        assert_same(all.bench.worker.market(), &all.replica);
        (1..4).for_each(|book| assert_same_orders(all.bench.worker.market(), &all.replica, book));
    }

    #[test]
    fn orders_of_a_level_that_never_fits_are_left_out_and_said_to_be() {
        let mut all = OnRequest::new();
        // All of one book and one price.
        for id in 0..600 {
            all.bench.events.push(add(1, id * 50)).unwrap();
            all.turn(0);
        }
        all.request(1, true);
        all.turn(0);
        assert_eq!(all.answers(), [(1, false)]);
        assert!(all.replica.book(BookId(1)).unwrap().orders_omitted);
        assert!(!all.bench.worker.has_waiting_readers());
    }
}
