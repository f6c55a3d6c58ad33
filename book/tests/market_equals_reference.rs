//! Random event sequences through the fast market and the plain one: every level, every queue, every count.

use book::anomaly::Anomaly;
use book::market::{Limits, Market, OrderKey};
use book::reference::ReferenceMarket;
use book::replica::{Options, Replica};
use book::slot::{self, Execution, OrderEvent, QUANTITY_REST, Rank, Stamp, State, System, TickBand, rtype, system};
use book::{BookId, OrderId, Phase, Price, Side, Slot};
use proptest::prelude::*;

const BOOKS: [u32; 3] = [1, 7, 4_000_000_000];

/// One step of a random feed; small ranges, so that ids and prices meet often.
#[derive(Clone, Debug)]
enum Step {
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

fn side() -> impl Strategy<Value = Side> {
    prop_oneof![6 => Just(Side::Bid), 6 => Just(Side::Ask), 1 => Just(Side::None)]
}

fn price() -> impl Strategy<Value = i64> {
    prop_oneof![30 => 90i64..110, 1 => Just(Price::NONE.0), 1 => Just(0), 1 => Just(-5), 1 => Just(i64::MIN), 1 => Just(i64::MAX - 1)]
}

fn quantity() -> impl Strategy<Value = u64> {
    prop_oneof![20 => 1u64..20, 1 => Just(0), 1 => Just(u64::from(u32::MAX) + 5), 1 => Just(u64::MAX - 1)]
}

fn step() -> impl Strategy<Value = Step> {
    let book = 0..BOOKS.len();
    // Those that differ in their upper bits only are crowded into few lines of the index.
    let id = prop_oneof![0u64..12, (0u64..12).prop_map(|upper| upper << 58)];
    let rank = prop::option::of((95u64..105, 0u32..5));
    prop_oneof![
        12 => (book.clone(), side(), id.clone(), price(), quantity(), rank)
            .prop_map(|(book, side, id, price, quantity, rank)| Step::Add { book, side, id, price, quantity, rank }),
        5 => (book.clone(), side(), id.clone(), prop_oneof![quantity(), Just(QUANTITY_REST), Just(u64::from(u32::MAX))])
            .prop_map(|(book, side, id, quantity)| Step::Cancel { book, side, id, quantity }),
        2 => (book.clone(), side(), id.clone(), price(), quantity())
            .prop_map(|(book, side, id, price, quantity)| Step::Modify { book, side, id, price, quantity }),
        5 => (book.clone(), side(), id.clone(), prop_oneof![quantity(), Just(u64::MAX)])
            .prop_map(|(book, side, id, quantity)| Step::Execute { book, side, id, quantity }),
        2 => (book.clone(), side(), id.clone(), id, price(), quantity())
            .prop_map(|(book, side, id, new_id, price, quantity)| Step::Replace { book, side, id, new_id, price, quantity }),
        1 => book.clone().prop_map(|book| Step::Clear { book }),
        1 => (book.clone(), prop_oneof![Just(Phase::Continuous), Just(Phase::OpeningCollection)])
            .prop_map(|(book, phase)| Step::Phase { book, phase }),
        1 => (book.clone(), 85i64..100, 1i64..20, 1i64..4)
            .prop_map(|(book, from, slots, step)| Step::Bands { book, from, slots, step }),
        1 => book.prop_map(|book| Step::StrayRank { book }),
        1 => Just(Step::Session),
    ]
}

fn events(steps: &[Step]) -> Vec<Slot> {
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

fn limits(key: OrderKey) -> Limits {
    Limits {
        books_max: 8,
        orders_max: 256,
        levels_max: 256,
        ladder_slots: 4_096,
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

fn compare(market: &Market, reference: &ReferenceMarket, replica: &Replica) {
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

fn check(steps: &[Step], key: OrderKey) {
    let mut market = Market::new(limits(key));
    let mut reference = ReferenceMarket::new(key);
    let mut replica = Replica::new(Options { orders: true, ..Options::default() });
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
    let mut late = Replica::new(Options { orders: true, ..Options::default() });
    for book in market.books() {
        updates.clear();
        market.snapshot(book, (0, 0), true, &mut updates);
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

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn by_book_side_and_id(steps in prop::collection::vec(step(), 0..120)) {
        check(&steps, OrderKey::BookSideId);
    }

    #[test]
    fn by_id_alone(steps in prop::collection::vec(step(), 0..120)) {
        check(&steps, OrderKey::Id);
    }

    /// Any 64 bytes at all: no panic, and the links still agree.
    #[test]
    fn any_bytes(slots in prop::collection::vec((prop::array::uniform32(any::<u8>()), 0usize..26), 0..200)) {
        let kinds = [0xA0, 0xA0, 0xA0, 0xA1, 0xA2, 0xA3, 0xA4, 0xC0, 0xC8, 0xE0, 0xE1, 0xE2, 0xE3, 0xE4, 0xE5, 0xE6, 0xE7, 0xE8, 0xE9, 0xEA];
        let mut market = Market::new(limits(OrderKey::BookSideId));
        let mut updates = Vec::new();
        for (half, kind) in slots {
            let mut bytes = [0; 64];
            bytes[..32].copy_from_slice(&half);
            bytes[32..].copy_from_slice(&half);
            bytes[1] = kinds.get(kind).copied().unwrap_or(half[5]);
            bytes[4] &= 3;
            (bytes[5], bytes[6], bytes[7]) = (0, 0, 0);
            bytes[38] = b"ACMR"[usize::from(bytes[38]) & 3];
            bytes[39] = b"BA"[usize::from(bytes[39]) & 1];
            market.apply(&Slot::from_bytes(bytes), &mut updates);
            market.check_invariants();
        }
    }
}

#[test]
fn used_up_bounds_refuse_and_count() {
    let mut market = Market::new(Limits {
        books_max: 1,
        orders_max: 2,
        levels_max: 1,
        ladder_slots: 0,
        ..limits(OrderKey::BookSideId)
    });
    let add = |book: u32, id: u64, price: i64| {
        let stamp = Stamp { book_id: BookId(book), exchange_ns: 1, ..Stamp::default() };
        Slot::from(OrderEvent::add(stamp, Side::Bid, OrderId(id), Price(price), 1, 0))
    };
    for event in [add(1, 1, 10), add(2, 1, 10), add(1, 2, 11), add(1, 3, 10), add(1, 4, 10)] {
        market.apply(&event, &mut ());
        market.check_invariants();
    }
    let counts = [Anomaly::BooksExhausted, Anomaly::LevelsExhausted, Anomaly::OrdersExhausted];
    assert_eq!(counts.map(|kind| market.anomalies().get(kind)), [1, 1, 1]);
    assert_eq!(market.orders(), 2);
}
