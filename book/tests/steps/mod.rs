//! A random feed as steps, and what must hold after each: the fast market against the plain one, its replica, its
//! snapshots, the same events looked ahead at, and levels without queues.
//!
//! Where the steps come from is somebody else's business: a property test, or a fuzzer (which compiles this file by path).

use book::anomaly::Anomaly;
use book::market::{Limits, Market, OrderKey};
use book::reference::ReferenceMarket;
use book::replica::{KeepOrders, Options, Replica};
use book::slot::{self, Execution, OrderEvent, Rank, Stamp, State, System, TickBand, rtype, system};
use book::{BookId, OrderId, Phase, Price, Side, Slot};

/// The numbers of the books: two that fit the direct table and one that does not.
pub const BOOKS: [u32; 3] = [1, 7, 4_000_000_000];

/// The lines of the market's index: ids in steps of it share one.
pub const LINES: u64 = 521;

/// One step of a random feed; small ranges, so that ids and prices meet often.
#[derive(Clone, Debug)]
pub enum Step {
    Add { book: usize, side: Side, id: u64, price: i64, quantity: u64, rank: Option<(u64, u32)> },
    Cancel { book: usize, side: Side, id: u64, quantity: u64 },
    Modify { book: usize, side: Side, id: u64, price: i64, quantity: u64 },
    Execute { book: usize, side: Side, id: u64, quantity: u64 },
    Replace { book: usize, side: Side, id: u64, new_id: u64, price: i64, quantity: u64 },
    Clear { book: usize },
    Phase { book: usize, phase: Phase },
    Bands { book: usize, from: i64, slots: i64, step: i64 },
    StrayRank { book: usize },
    Session,
}

/// What the exchange would send.
pub fn events(steps: &[Step]) -> Vec<Slot> {
    let mut slots = Vec::new();
    let mut epoch = 0;
    for (at, step) in steps.iter().enumerate() {
        let ns = 100 + at as u64 * 300_000_000;
        let stamp = |book: usize| Stamp { book_id: BookId(BOOKS[book]), exchange_ns: ns, ..Stamp::default() };
        match *step {
            Step::Add { book, side, id, price, quantity, rank } => {
                if let Some((rank_ns, _)) = rank {
                    slots.push(rank_slot(BOOKS[book], rank_ns));
                }
                let sequence = rank.map_or(0, |(_, sequence)| sequence);
                slots.push(OrderEvent::add(stamp(book), side, OrderId(id), Price(price), quantity, sequence).into());
            }
            Step::Cancel { book, side, id, quantity } => {
                slots.push(OrderEvent::cancel(stamp(book), side, OrderId(id), quantity).into());
            }
            Step::Modify { book, side, id, price, quantity } => {
                let action = slot::action::MODIFY;
                slots.push(OrderEvent::new(stamp(book), action, side, OrderId(id), Price(price), quantity).into());
            }
            Step::Execute { book, side, id, quantity } => slots.push(
                Execution::new(rtype::EXECUTION, stamp(book), side, OrderId(id), 1, Price::NONE, quantity, 0).into(),
            ),
            Step::Replace { book, side, id, new_id, price, quantity } => slots.push(
                Execution::new(rtype::REPLACE, stamp(book), side, OrderId(id), new_id, Price(price), quantity, 0)
                    .into(),
            ),
            Step::Clear { book } => slots.push(OrderEvent::clear(stamp(book)).into()),
            Step::Phase { book, phase } => slots.push(State::new(stamp(book), phase, b"").into()),
            Step::Bands { book, from, slots: places, step } => {
                slots.push(symbol_slot(BOOKS[book]));
                slots.push(band_slot(BOOKS[book], from, from + places * step, step));
            }
            Step::StrayRank { book } => slots.push(rank_slot(BOOKS[book], 1)),
            Step::Session => {
                epoch += 1;
                slots.push(System::new(system::SESSION, ns, ns, 0, 0, epoch).into());
            }
        }
    }
    slots
}

fn rank_slot(book_id: u32, rank_ns: u64) -> Slot {
    let rank = Rank {
        length: 16,
        rtype: rtype::RANK,
        flags: 0,
        side: b'N',
        book_id,
        exchange_ns: 0,
        seq: 0,
        received_ns: 0,
        rank_ns,
        reserved: [0; 3],
    };
    rank.into()
}

fn symbol_slot(book_id: u32) -> Slot {
    let mut symbol = [b' '; 32];
    symbol[..6].copy_from_slice(b"TEST.E");
    let record = slot::Symbol {
        length: 16,
        rtype: rtype::SYMBOL,
        flags: 0,
        side: b'N',
        book_id,
        exchange_ns: 0,
        seq: 0,
        received_ns: 0,
        symbol,
    };
    record.into()
}

fn band_slot(book_id: u32, from: i64, to: i64, tick: i64) -> Slot {
    let band = TickBand {
        length: 16,
        rtype: rtype::TICK_BAND,
        flags: 0,
        side: b'N',
        book_id,
        exchange_ns: 0,
        seq: 0,
        received_ns: 0,
        tick,
        from,
        to,
        reference: Price::NONE.0,
    };
    band.into()
}

/// Room for what the steps can make.
pub fn limits(key: OrderKey) -> Limits {
    Limits {
        books_max: 8,
        orders_max: 256,
        levels_max: 256,
        ladder_slots: 4_096,
        trades_max: 4_096,
        queues: true,
        look_ahead_orders_min: 0,
        key,
        seed: 42,
    }
}

/// Kinds whose count does not depend on bounds or ladders.
const COMPARED: [Anomaly; 7] = [
    Anomaly::UnknownOrder,
    Anomaly::OverExecution,
    Anomaly::OverCancel,
    Anomaly::DuplicateOrder,
    Anomaly::Crossed,
    Anomaly::NoSide,
    Anomaly::StrayRank,
];

/// The same levels, queues, places and counts everywhere.
pub fn compare(market: &Market, reference: &ReferenceMarket, replica: &Replica) {
    for book_id in BOOKS.map(BookId) {
        for side in [Side::Bid, Side::Ask] {
            let want = reference.levels(book_id, side);
            assert_eq!(market.levels(book_id, side).collect::<Vec<_>>(), want, "{book_id:?} {side:?}");
            let queue: Vec<_> = market.queue(book_id, side).map(|(price, id, left, _)| (price, id, left)).collect();
            let orders = reference.orders(book_id, side);
            let plain: Vec<_> = orders.iter().map(|order| (order.price, order.id, order.quantity)).collect();
            assert_eq!(queue, plain, "{book_id:?} {side:?}");
            if let Some(view) = replica.book(book_id) {
                assert_eq!(view.levels(side).iter().copied().collect::<Vec<_>>(), want, "replica");
                let orders: Vec<_> =
                    view.orders.iter(side).map(|(p, order)| (p, order.order_id, order.quantity)).collect();
                assert_eq!(orders, plain, "replica");
            }
            for (at, order) in orders.iter().enumerate() {
                let position = market.position(book_id, side, order.id).unwrap();
                assert_eq!(position.in_side as usize, at + 1);
                let ahead = orders[..at].iter().filter(|other| other.price == order.price).count();
                assert_eq!(position.in_level as usize, ahead + 1);
            }
        }
    }
    for kind in COMPARED {
        assert_eq!(market.anomalies().get(kind), reference.anomalies(kind), "{}", kind.name());
    }
    market.check_invariants();
}

/// Runs the steps through everything there is.
pub fn check(steps: &[Step], key: OrderKey) {
    let mut market = Market::new(limits(key));
    let mut reference = ReferenceMarket::new(key);
    let mut replica = Replica::new(Options { orders: KeepOrders::Always, ..Options::default() });
    let mut updates: Vec<Slot> = Vec::new();
    for event in events(steps) {
        updates.clear();
        market.apply(&event, &mut updates);
        assert!(updates.len() <= book::market::UPDATES_PER_EVENT_MAX);
        reference.apply(&event);
        for update in &updates {
            replica.apply(update, &mut |_, _, _| {});
        }
        compare(&market, &reference, &replica);
    }
    looking_ahead_changes_nothing(steps, key);
    levels_without_queues_are_the_same(&market, steps, key);
    // A reader that comes late learns the same from snapshots.
    let mut late = Replica::new(Options { orders: KeepOrders::Always, ..Options::default() });
    for book in market.books() {
        updates.clear();
        market.snapshot(book, (0, 0), slot::picture::HERE, false, &mut updates);
        assert!(updates.len() <= market.snapshot_slots(book, true));
        for update in &updates {
            late.apply(update, &mut |_, _, _| {});
        }
        let (old, new) = (replica.book(book.id()), late.book(book.id()).unwrap());
        assert!(new.in_sync);
        if let Some(old) = old {
            assert_eq!((&old.statistics, &old.candles, old.phase), (&new.statistics, &new.candles, new.phase));
        }
    }
    compare(&market, &reference, &late);
}

/// Event by event, and all at once with guesses about each: the same updates, bit for bit.
fn looking_ahead_changes_nothing(steps: &[Step], key: OrderKey) {
    let mut one = Market::new(limits(key));
    let events = events(steps);
    let mut want = Vec::new();
    events.iter().for_each(|event| one.apply(event, &mut want));
    // Far, and near as in a small market.
    for look_ahead_orders_min in [0, usize::MAX] {
        let mut all = Market::new(Limits { look_ahead_orders_min, ..limits(key) });
        let (mut updates, mut seen) = (Vec::new(), 0);
        all.apply_all(&events, &mut updates, |market, event, _| {
            assert_eq!(event, &events[seen]);
            seen += 1;
            assert!(market.seq() > 0 || event.rtype == rtype::SYSTEM);
        });
        assert_eq!((seen, &updates), (events.len(), &want));
        all.check_invariants();
    }
}

fn levels_without_queues_are_the_same(market: &Market, steps: &[Step], key: OrderKey) {
    let mut totals = Market::new(Limits { queues: false, ..limits(key) });
    totals.apply_all(&events(steps), &mut (), |_, _, ()| {});
    totals.check_invariants();
    for (book_id, side) in BOOKS.map(BookId).into_iter().flat_map(|book| [(book, Side::Bid), (book, Side::Ask)]) {
        assert_eq!(totals.levels(book_id, side).collect::<Vec<_>>(), market.levels(book_id, side).collect::<Vec<_>>());
        assert_eq!(totals.queue(book_id, side).count(), 0);
    }
    assert_eq!(totals.orders(), market.orders());
    for kind in COMPARED {
        assert_eq!(totals.anomalies().get(kind), market.anomalies().get(kind), "{}", kind.name());
    }
}
