//! One turn of the book thread: events in, updates out, one ring per reader.
//!
//! Takes what waits in whole runs, so that the books can look ahead.
//!
//! Never blocks, allocates, locks, formats text or waits for a reader. A reader whose ring is full loses updates of
//! single books, is told which numbers it missed, and gets a snapshot of each such book as soon as there is room;
//! nobody else notices.

use std::sync::Arc;

use crate::market::{Market, Output, UPDATES_PER_EVENT_MAX};
use crate::metrics::{Counter, Gauge, Latency, MetricSource, Sample};
use crate::ring::{Consumer, Producer};
use crate::slot::{Slot, View, flags, rtype, system};
use crate::types::Nanos;

/// Events one turn takes at most: bounds how long a turn can be, and how long a reader waits for its bell.
pub const EVENTS_PER_TURN_MAX: usize = 1_024;
/// One event in so many has its latency recorded: 16 keeps the cost below a nanosecond per event.
const LATENCY_SAMPLE: u64 = 16;
/// Older events come from a recording, whose receive time says nothing about us.
const LIVE_MAX_NS: u64 = 60_000_000_000;
/// Different codes of system records that can wait for room in a reader's ring.
const PENDING_SYSTEM: usize = 8;

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

/// Why and since when a reader does not follow a book.
#[derive(Clone, Copy, Default)]
struct Unsynced {
    /// First number it missed; 0 = it has never had this book.
    from_seq: u64,
    waiting: bool,
}

struct Reader {
    ring: Producer,
    orders: bool,
    /// One per book, by the order in which the market first saw them.
    books: Vec<Unsynced>,
    waiting: usize,
    next: usize,
    /// The newest record of each code that found no room, by code.
    pending: [Option<Slot>; PENDING_SYSTEM],
}

/// Writes a snapshot straight into a ring that has room for all of it.
struct RingOutput<'a>(&'a mut Producer);

impl Output for RingOutput<'_> {
    fn push(&mut self, update: Slot) {
        // OK because the caller has seen that there is room; a miscount would show in `bist_ring_full_total`.
        let _ = self.0.stage(update);
    }
}

impl Reader {
    fn has_pending(&self) -> bool {
        self.pending.iter().any(Option::is_some)
    }

    /// Makes room for books seen for the first time. While a system record waits, a new book waits as well: its
    /// updates must not overtake a session, which would void them.
    #[cold]
    fn learn_books(&mut self, books: usize) {
        let waiting = self.has_pending();
        self.waiting += if waiting { books - self.books.len() } else { 0 };
        self.books.resize(books, Unsynced { from_seq: 0, waiting });
    }

    /// Updates of one event of one book.
    #[inline]
    fn publish(&mut self, dense: usize, seq: u64, group: &[Slot]) {
        let book = &mut self.books[dense];
        if book.waiting {
            return;
        }
        let sent = if self.orders {
            self.ring.stage_all(group)
        } else {
            // Order updates come before the others, so the last slot of the group stays the last.
            let keep = group.iter().position(|slot| slot.rtype != rtype::ORDER_UPDATE);
            if group.iter().skip(keep.unwrap_or(group.len())).any(|slot| slot.rtype == rtype::ORDER_UPDATE) {
                group
                    .iter()
                    .filter(|slot| slot.rtype != rtype::ORDER_UPDATE)
                    .try_for_each(|&slot| self.ring.stage(slot))
            } else {
                keep.map_or(Ok(()), |keep| self.ring.stage_all(&group[keep..]))
            }
        };
        if sent.is_err() {
            *book = Unsynced { from_seq: seq, waiting: true };
            self.waiting += 1;
        }
    }

    fn publish_system(&mut self, record: Slot, code: u8) {
        if code == system::SESSION {
            // Whatever it had is void; what waited of the old session is, too.
            self.pending = [None; PENDING_SYSTEM];
        }
        if self.has_pending() || self.ring.stage(record).is_err() {
            // A missed tick of the clock repairs itself with the next one.
            if code != system::TIME {
                self.pending[usize::from(code) % PENDING_SYSTEM] = Some(record);
            }
            if code == system::SESSION {
                self.books.iter_mut().for_each(|book| *book = Unsynced { from_seq: 0, waiting: true });
                self.waiting = self.books.len();
            }
        }
    }

    /// Brings books up to date, as far as there is room. Starts only when half the ring is free, so that a reader that
    /// is only just too slow is not fed snapshots all the time.
    fn resynchronise(&mut self, market: &Market, metrics: &StageMetrics) -> usize {
        let half = self.ring.capacity() / 2;
        if self.ring.free() < half {
            return 0;
        }
        for pending in &mut self.pending {
            if let Some(record) = *pending {
                if self.ring.stage(record).is_err() {
                    return 0;
                }
                *pending = None;
            }
        }
        let mut done = 0;
        let books = market.books();
        for _ in 0..books.len() {
            if self.waiting == 0 {
                break;
            }
            let dense = self.next;
            self.next = (self.next + 1) % books.len();
            if !self.books[dense].waiting {
                continue;
            }
            let book = &books[dense];
            let fits_ever = market.snapshot_slots(book, self.orders) <= half;
            let orders = self.orders && fits_ever;
            if self.ring.free() < market.snapshot_slots(book, orders) {
                break;
            }
            let missed = match self.books[dense].from_seq {
                0 => (0, 0),
                from_seq => (from_seq, market.seq().max(from_seq)),
            };
            market.snapshot(book, missed, orders, &mut RingOutput(&mut self.ring));
            self.books[dense].waiting = false;
            self.waiting -= 1;
            metrics.snapshots.add(1);
            done += 1;
        }
        done
    }
}

/// What the scrape reads of the book thread.
#[derive(Default)]
pub struct StageMetrics {
    events: Counter,
    updates: Counter,
    snapshots: Counter,
    missed: Counter,
    books: Gauge,
    orders: Gauge,
    latency: Latency,
}

impl StageMetrics {
    /// Events applied so far.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.events.get()
    }
}

impl MetricSource for StageMetrics {
    fn stages(&self, each: &mut dyn FnMut(&'static str, &Latency)) {
        each("book", &self.latency);
    }

    fn collect(&self, samples: &mut Vec<Sample>) {
        let counter = |name, help, counter: &Counter| Sample::counter(name, help, &[], counter.get());
        samples.extend([
            counter("bist_book_events_total", "Events applied to the books.", &self.events),
            counter(
                "bist_book_updates_total",
                "Updates made from them, before they are copied to readers.",
                &self.updates,
            ),
            counter("bist_book_snapshots_total", "Snapshots of single books written for readers.", &self.snapshots),
            counter("bist_book_reader_gaps_total", "Books that a full ring took from a reader.", &self.missed),
            Sample::gauge("bist_book_books", "Books known.", &[], self.books.get() as f64),
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
pub struct BookStage {
    events: Consumer,
    market: Market,
    readers: Vec<Reader>,
    batch: Batch,
    books_seen: usize,
    metrics: Arc<StageMetrics>,
}

impl BookStage {
    /// A stage without readers.
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

    /// Adds a reader before the start; `orders` = it also wants every order (else only levels, trades and the rest).
    ///
    /// # Panics
    /// When the ring is too small for any snapshot (1,024 slots).
    pub fn add_reader(&mut self, ring: Producer, orders: bool, books_max: usize) {
        assert!(ring.capacity() >= 1_024, "a reader's ring holds at least 1,024 slots");
        self.readers.push(Reader {
            ring,
            orders,
            books: Vec::with_capacity(books_max),
            waiting: 0,
            next: 0,
            pending: [None; PENDING_SYSTEM],
        });
    }

    /// The books.
    #[must_use]
    pub fn market(&self) -> &Market {
        &self.market
    }

    /// What the scrape reads.
    #[must_use]
    pub fn metrics(&self) -> Arc<StageMetrics> {
        Arc::clone(&self.metrics)
    }

    /// Whether an event is waiting.
    #[must_use]
    pub fn has_work(&self) -> bool {
        !self.events.is_empty()
    }

    /// Whether a reader waits for room: the next turn must not be long in coming.
    #[must_use]
    pub fn has_waiting_readers(&self) -> bool {
        self.readers.iter().any(|reader| reader.waiting > 0 || reader.has_pending())
    }

    /// Whether the feed is gone and everything it sent has been applied.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.events.is_abandoned() && self.events.is_empty()
    }

    /// One turn. `now_ns` is our clock, for the latency histogram alone.
    ///
    /// Returns the events applied and snapshots written; the caller idles only on zero.
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
                    let latency_ns = now_ns.saturating_sub(received_ns(event));
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
            if reader.waiting > 0 || reader.has_pending() {
                snapshots += reader.resynchronise(market, metrics);
            }
            reader.ring.flush();
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
fn distribute(market: &Market, readers: &mut [Reader], group: &[Slot], metrics: &StageMetrics) {
    let system = group.iter().take_while(|slot| slot.rtype == rtype::SYSTEM).count();
    let (system, group) = group.split_at(system);
    for record in system {
        let View::System(view) = record.view() else { continue };
        readers.iter_mut().for_each(|reader| reader.publish_system(*record, view.code));
    }
    let Some(first) = group.first() else { return };
    let Some(dense) = market.dense_of(first) else { return };
    for reader in readers {
        let waiting = reader.waiting;
        reader.publish(dense, market.seq(), group);
        metrics.missed.add((reader.waiting - waiting) as u64);
    }
}

/// Our clock in any event: at offset 40 of an order event, at 24 of every other.
fn received_ns(event: &Slot) -> Nanos {
    let at =
        if matches!(event.rtype, rtype::ORDER | rtype::EXECUTION | rtype::REPLACE | rtype::TRADE) { 40 } else { 24 };
    u64::from_ne_bytes(std::array::from_fn(|byte| event.as_bytes()[at + byte]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market::{Limits, OrderKey};
    use crate::replica::{Options, Replica};
    use crate::ring::{Bell, ring};
    use crate::slot::{OrderEvent, Stamp, System};
    use crate::types::{BookId, OrderId, Price, Side};

    fn limits() -> Limits {
        Limits {
            books_max: 16,
            orders_max: 5_000,
            levels_max: 1_000,
            ladder_slots: 0,
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
        stage: BookStage,
        reader: Consumer,
    }

    fn bench(orders: bool) -> Bench {
        let (events, consumer) = ring("events", 1 << 14, Bell::new());
        let (producer, reader) = ring("reader", 1_024, Bell::new());
        let mut stage = BookStage::new(consumer, Market::new(limits()));
        stage.add_reader(producer, orders, 16);
        Bench { events, stage, reader }
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
        let Bench { mut events, mut stage, mut reader } = bench(true);
        let mut replica = Replica::new(Options { orders: true, ..Options::default() });
        for id in 0..100 {
            events.push(add(1 + (id % 3) as u32, id)).unwrap();
            stage.do_work(0);
            assert_eq!(drain(&mut reader, &mut replica), []);
        }
        assert_same(stage.market(), &replica);
        assert_eq!(replica.seq, 100);
        assert_eq!(replica.book(BookId(1)).unwrap().orders.len(), 34);
    }

    /// A turn takes runs, cut by the bound of a turn, by the end of the ring and by looking ahead: none of it shows.
    #[test]
    fn runs_that_wrap_give_the_same_updates_as_one_event_at_a_time() {
        let (mut events, consumer) = ring("events", 100, Bell::new());
        let (producer, mut reader) = ring("reader", 1 << 14, Bell::new());
        let mut stage = BookStage::new(consumer, Market::new(limits()));
        stage.add_reader(producer, true, 16);
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
            assert_eq!(stage.do_work(0), 67);
            reader.drain(usize::MAX, |slot| got.push(*slot));
        }
        assert_eq!(got.len(), want.len());
        assert!(got.iter().zip(&want).all(|(got, want)| got.as_bytes() == want.as_bytes()));
    }

    #[test]
    fn a_reader_that_stops_is_told_what_it_missed_and_gets_a_snapshot() {
        for orders in [true, false] {
            let Bench { mut events, mut stage, mut reader } = bench(orders);
            let mut replica = Replica::new(Options { orders, ..Options::default() });
            for id in 0..3_000 {
                events.push(add(1 + (id % 3) as u32, id)).unwrap();
            }
            while stage.has_work() {
                stage.do_work(0);
            }
            assert!(stage.has_waiting_readers());
            let mut gaps = drain(&mut reader, &mut replica);
            assert!(gaps.is_empty());
            while stage.has_waiting_readers() {
                assert!(stage.do_work(0) > 0);
                gaps.extend(drain(&mut reader, &mut replica));
            }
            gaps.extend(drain(&mut reader, &mut replica));
            assert_eq!(gaps.len(), 3, "one snapshot for each book");
            assert!(gaps.iter().all(|&(from, to)| from > 300 && to == 3_000), "{gaps:?}");
            assert_same(stage.market(), &replica);
            // A thousand orders do not fit the half ring a snapshot may take: said, not hidden.
            assert!(replica.books().iter().all(|book| book.orders_omitted));
        }
    }

    #[test]
    fn a_session_that_finds_no_room_waits_and_voids_the_books() {
        let Bench { mut events, mut stage, mut reader } = bench(true);
        let mut replica = Replica::new(Options::default());
        for id in 0..600 {
            events.push(add(1, id)).unwrap();
        }
        for _ in 0..2 {
            events.push(System::new(system::STALE, 5, 5, 0, 0, 0).into()).unwrap();
        }
        stage.do_work(0);
        events.push(System::new(system::SESSION, 5, 5, 0, 0, 9).into()).unwrap();
        events.push(add(1, 7)).unwrap();
        stage.do_work(0);
        drain(&mut reader, &mut replica);
        assert_eq!(replica.epoch, 0, "the ring was full");
        stage.do_work(0);
        drain(&mut reader, &mut replica);
        assert_eq!((replica.epoch, replica.seq), (9, 1));
        assert_same(stage.market(), &replica);
    }

    #[test]
    fn a_book_that_appears_while_a_session_waits_does_not_overtake_it() {
        let Bench { mut events, mut stage, mut reader } = bench(true);
        let mut replica = Replica::new(Options::default());
        for id in 0..600 {
            events.push(add(1, id)).unwrap();
        }
        for _ in 0..2 {
            events.push(System::new(system::STALE, 5, 5, 0, 0, 0).into()).unwrap();
        }
        events.push(System::new(system::SESSION, 5, 5, 0, 0, 9).into()).unwrap();
        stage.do_work(0);
        // Some room, but less than half the ring: the session goes on waiting.
        reader.drain(100, |slot| {
            replica.apply(slot, &mut |_, _, _| {});
        });
        events.push(add(2, 7)).unwrap();
        stage.do_work(0);
        drain(&mut reader, &mut replica);
        while stage.has_waiting_readers() {
            assert!(stage.do_work(0) > 0);
            drain(&mut reader, &mut replica);
        }
        assert_eq!(replica.epoch, 9);
        assert_eq!(replica.book(BookId(2)).unwrap().bids.len(), 1);
        assert_same(stage.market(), &replica);
    }
}
