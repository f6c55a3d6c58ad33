//! What the exchange changes while it trades: tick tables, price limits, states, instruments, and how many there are.
//! Market and reader must agree on it, and no level is lost.

use book::anomaly::Anomaly;
use book::doubt::Doubt;
use book::market::{Limits, Market, OrderKey};
use book::replica::{KeepOrders, Options, Replica};
use book::slot::{self, OrderEvent, Stamp, State, System, TickBand, rtype, system};
use book::types::Level;
use book::{BookId, OrderId, Phase, Price, Side, Slot};

struct Bench {
    market: Market,
    replica: Replica,
    out: Vec<Slot>,
}

impl Bench {
    fn new(books_max: usize) -> Self {
        let limits = Limits {
            books_max,
            orders_max: 30_000,
            levels_max: 30_000,
            ladder_slots: 64_000,
            key: OrderKey::BookSideId,
            seed: 3,
            ..Limits::default()
        };
        let replica = Replica::new(Options { orders: KeepOrders::Always, ..Options::default() });
        let mut bench = Self { market: Market::new(limits), replica, out: Vec::new() };
        bench.event(System::new(system::SESSION, 0, 0, 0, 0, 9));
        bench
    }

    fn event(&mut self, event: impl Into<Slot>) {
        self.market.apply(&event.into(), &mut self.out);
        for slot in self.out.drain(..) {
            self.replica.apply(&slot, &mut |_, _, _| {});
        }
    }

    fn add(&mut self, book: u32, side: Side, id: u64, price: i64) {
        self.event(OrderEvent::add(stamp(book), side, OrderId(id), Price(price), 10, 0));
    }

    fn list(&mut self, book: u32, name: &str) {
        let mut symbol = [b' '; 32];
        symbol[..name.len()].copy_from_slice(name.as_bytes());
        let record = slot::Symbol {
            length: 16,
            rtype: rtype::SYMBOL,
            flags: 0,
            side: b'N',
            book_id: book,
            exchange_ns: 0,
            seq: 0,
            received_ns: 0,
            symbol,
        };
        self.event(record);
    }

    fn band(&mut self, book: u32, from: i64, to: i64, tick: i64) {
        let record = TickBand {
            length: 16,
            rtype: rtype::TICK_BAND,
            flags: 0,
            side: b'N',
            book_id: book,
            exchange_ns: 0,
            seq: 0,
            received_ns: 0,
            tick,
            from,
            to,
            reference: Price::NONE.0,
        };
        self.event(record);
    }

    /// Prices of the bids, the same with market and reader.
    #[track_caller]
    fn bids(&self, book: u32) -> Vec<i64> {
        let levels: Vec<Level> = self.market.levels(BookId(book), Side::Bid).collect();
        let view = self.replica.book(BookId(book)).expect("a book that the reader has");
        assert_eq!(view.bids.iter().copied().collect::<Vec<_>>(), levels);
        self.market.check_invariants();
        levels.into_iter().map(|level| level.price.0).collect()
    }

    fn doubts(&self) -> usize {
        self.replica.books().iter().filter(|book| book.maybe_bad()).count()
    }
}

fn stamp(book: u32) -> Stamp {
    Stamp { book_id: BookId(book), exchange_ns: 1, ..Stamp::default() }
}

#[test]
fn f14_another_tick_table_or_price_band_in_mid_day_loses_no_level() {
    let mut bench = Bench::new(16);
    bench.list(1, "THYAO.E");
    bench.band(1, 1_000, 2_000, 10);
    (0..50).for_each(|at| bench.add(1, Side::Bid, at, 1_000 + 10 * at as i64));
    let before = bench.bids(1);
    assert_eq!(before.len(), 50);
    // A finer tick, then wider limits, while orders rest; orders on the new ticks find their places between the old.
    bench.list(1, "THYAO.E");
    bench.band(1, 1_000, 2_000, 5);
    assert_eq!(bench.bids(1), before);
    bench.add(1, Side::Bid, 100, 1_495);
    bench.list(1, "THYAO.E");
    bench.band(1, 500, 4_000, 5);
    bench.add(1, Side::Bid, 101, 505);
    bench.add(1, Side::Bid, 102, 3_000);
    let mut expected = before.clone();
    expected.extend([1_495, 505, 3_000]);
    expected.sort_unstable_by(|a, b| b.cmp(a));
    expected.dedup();
    assert_eq!(bench.bids(1), expected);
    // They go again one by one, and the ladder that is laid when none is left has the new limits.
    (0..50).chain(100..103).for_each(|at| {
        bench.event(OrderEvent::cancel(stamp(1), Side::Bid, OrderId(at), 10));
    });
    assert_eq!(bench.bids(1), []);
    bench.add(1, Side::Bid, 200, 3_995);
    assert_eq!((bench.bids(1), bench.doubts()), (vec![3_995], 0));
}

#[test]
fn f14_states_of_auction_and_halt_are_shown_and_a_crossed_auction_is_no_fault() {
    let mut bench = Bench::new(16);
    bench.list(1, "THYAO.E");
    for (phase, name) in [
        (Phase::OpeningCollection, "P_ACILIS"),
        (Phase::Continuous, "P_SUREKLI"),
        (Phase::Halt, "P_DURDU"),
        (Phase::VolatilityAuction, "P_DEVRE_KESICI"),
        (Phase::Closed, "P_KAPALI"),
    ] {
        bench.event(State::new(stamp(1), phase, name.as_bytes()));
        let view = bench.replica.book(BookId(1)).expect("a book");
        assert_eq!((view.phase, view.state.as_str()), (phase, name));
    }
    bench.event(State::new(stamp(1), Phase::OpeningCollection, b"P_ACILIS"));
    bench.add(1, Side::Bid, 1, 120);
    bench.add(1, Side::Ask, 2, 110);
    assert_eq!((bench.doubts(), bench.market.anomalies().get(Anomaly::Crossed)), (0, 0));
    bench.event(State::new(stamp(1), Phase::Continuous, b"P_SUREKLI"));
    assert_eq!(
        (bench.doubts(), bench.market.anomalies().get(Anomaly::Crossed)),
        (1, 1),
        "trading cannot go on like that"
    );
}

#[test]
fn f14_an_instrument_of_mid_day_and_one_symbol_in_two_markets_are_books_of_their_own() {
    let mut bench = Bench::new(16);
    assert_eq!(bench.replica.books().len(), 0, "a session without an instrument");
    bench.event(System::new(system::TIME, 5_000_000_000, 0, 0, 0, 9));
    bench.list(1, "GARAN.E");
    bench.add(1, Side::Bid, 1, 100);
    bench.list(2, "GARAN.F");
    bench.add(2, Side::Bid, 1, 300);
    bench.list(3, "YENI.E");
    bench.add(3, Side::Bid, 1, 500);
    let find = |name| bench.replica.find(name).map(|view| view.book_id.0);
    assert_eq!([find("GARAN"), find("GARAN.E"), find("GARAN.F"), find("YENI")], [Some(1), Some(1), Some(2), Some(3)]);
    assert_eq!((bench.bids(1), bench.bids(2), bench.bids(3), bench.doubts()), (vec![100], vec![300], vec![500], 0));
}

/// The exchange's own clear takes a mark away; a message of the book that cannot be read brings it back, for it alone.
#[test]
fn a_message_that_could_not_be_read_marks_the_book_that_it_names_and_no_other() {
    let mut bench = Bench::new(16);
    (1..=2).for_each(|book| bench.add(book, Side::Bid, 1, 100));
    bench.event(System::new(system::JOINED_MIDWAY, 0, 0, 500, 0, 9));
    assert_eq!(bench.doubts(), 2);
    (1..=2).for_each(|book| bench.event(OrderEvent::clear(stamp(book))));
    assert_eq!(bench.doubts(), 0);
    let refused = |book| System { book_id: book, ..System::new(system::REFUSED, 0, 5, 501, 501, 9) };
    bench.event(refused(2));
    let doubt = |bench: &Bench, book| bench.replica.book(BookId(book)).and_then(|view| view.doubt);
    assert_eq!([doubt(&bench, 1), doubt(&bench, 2)], [None, Some(Doubt::RefusedMessage)]);
    assert_eq!(bench.replica.book(BookId(2)).map(|view| view.exchange_ns), Some(1), "the feed has no exchange's clock");
    // A book that is not known is not shown; nothing of it can be wrong.
    bench.event(refused(77));
    assert!(bench.replica.book(BookId(77)).is_none());
}

#[test]
fn f14_ten_thousand_instruments_are_there_and_one_too_many_is_counted_and_spoils_none() {
    let mut bench = Bench::new(10_000);
    for book in 1..=10_001 {
        bench.list(book, &format!("S{book}.E"));
        bench.add(book, Side::Bid, 1, 100 + i64::from(book));
    }
    assert_eq!((bench.market.books().len(), bench.replica.books().len()), (10_000, 10_000));
    for book in 1..=10_000 {
        let view = bench.replica.find(&format!("S{book}")).expect("a listed book");
        assert_eq!(view.bids.best().map(|level| level.price.0), Some(100 + i64::from(book)));
    }
    assert!(bench.replica.find("S10001").is_none());
    assert_eq!((bench.market.anomalies().get(Anomaly::BooksExhausted), bench.doubts()), (2, 0));
}
