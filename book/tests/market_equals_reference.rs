//! Random event sequences through the fast market and the plain one: every level, every queue, every count.

mod steps;

use book::anomaly::Anomaly;
use book::doubt::Doubt;
use book::market::{Limits, Market, OrderKey};
use book::replica::{Options, Replica};
use book::slot::{OrderEvent, QUANTITY_REST, Stamp};
use book::{BookId, OrderId, Phase, Price, Side, Slot};
use proptest::prelude::*;
use steps::{BOOKS, LINES, Step, check, limits};

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
    // Those in steps of its lines are crowded into one line of the index.
    let id =
        prop_oneof![0u64..12, (0u64..12).prop_map(|number| number * LINES), (1u64..4).prop_map(|upper| upper << 62)];
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
fn an_order_that_nobody_added_makes_its_book_known_and_marked() {
    let stamp = |book: u32| Stamp { book_id: BookId(book), exchange_ns: 1, ..Stamp::default() };
    let cancel = |book, id| OrderEvent::cancel(stamp(book), Side::Bid, OrderId(id), 5).into();
    let mut market = Market::new(Limits { books_max: 2, ..limits(OrderKey::BookSideId) });
    let mut replica = Replica::new(Options::default());
    let mut updates: Vec<Slot> = Vec::new();
    // A book below the direct table's end, one beyond it, and one more than there may be.
    for event in [cancel(7, 1), cancel(u32::MAX - 1, 2), cancel(9, 3)] {
        market.apply(&event, &mut updates);
        market.check_invariants();
    }
    updates.iter().for_each(|update| {
        replica.apply(update, &mut |_, _, _| {});
    });
    for book in [7, u32::MAX - 1] {
        assert_eq!(market.book(BookId(book)).unwrap().doubt(), Some(Doubt::UnknownOrder));
        assert_eq!(replica.book(BookId(book)).unwrap().doubt, Some(Doubt::UnknownOrder));
    }
    assert!(market.book(BookId(9)).is_none());
    let counts = [Anomaly::UnknownOrder, Anomaly::BooksExhausted];
    assert_eq!(counts.map(|kind| market.anomalies().get(kind)), [3, 1]);
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
