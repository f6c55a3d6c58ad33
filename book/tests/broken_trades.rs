//! A broken trade leaves volume, turnover, prices and candles, here and at every reader; what is kept no more marks the book.

use book::anomaly::Anomaly;
use book::candle::{Candle, Interval};
use book::doubt::Doubt;
use book::market::{Limits, Market, UPDATES_PER_EVENT_MAX};
use book::replica::{Options, Replica};
use book::slot::{Execution, Stamp, System, conditions, rtype, system};
use book::statistics::Statistics;
use book::{BookId, OrderId, Price, Side, Slot};

const SECOND: u64 = 1_000_000_000;
/// 2024-03-15 16:10:00 UTC.
const START: u64 = 1_710_519_000 * SECOND;

struct Bench {
    market: Market,
    replica: Replica,
    out: Vec<Slot>,
    /// What readers were told of candles that are not forming.
    told: Vec<(Interval, Candle)>,
}

impl Bench {
    fn new(trades_max: usize) -> Self {
        let limits =
            Limits { books_max: 4, orders_max: 100, levels_max: 100, ladder_slots: 0, trades_max, ..Limits::default() };
        let replica = Replica::new(Options { candles_max: 1_000, ..Options::default() });
        let mut bench = Self { market: Market::new(limits), replica, out: Vec::new(), told: Vec::new() };
        bench.event(System::new(system::SESSION, 0, 0, 0, 0, 1));
        bench
    }

    fn event(&mut self, event: impl Into<Slot>) {
        self.market.apply(&event.into(), &mut self.out);
        assert!(self.out.len() <= UPDATES_PER_EVENT_MAX, "{}", self.out.len());
        for slot in self.out.drain(..) {
            self.replica.apply(&slot, &mut |_, interval, candle| self.told.push((interval, candle)));
        }
    }

    fn send(&mut self, book: u32, at_ns: u64, match_id: u64, (price, quantity): (i64, u64), how: u8) {
        let stamp = Stamp { book_id: BookId(book), exchange_ns: START + at_ns, ..Stamp::default() };
        let price = if how == conditions::BROKEN { Price::NONE } else { Price(price) };
        self.event(Execution::new(rtype::TRADE, stamp, Side::None, OrderId(0), match_id, price, quantity, how));
    }

    fn trade(&mut self, at_s: u64, match_id: u64, price: i64, quantity: u64) {
        self.send(1, at_s * SECOND, match_id, (price, quantity), 0);
    }

    fn break_trade(&mut self, at_s: u64, match_id: u64) {
        self.send(1, at_s * SECOND, match_id, (0, 0), conditions::BROKEN);
    }

    fn day(&self) -> Statistics {
        let book = self.market.book(BookId(1)).unwrap();
        let replica = self.replica.book(BookId(1)).unwrap();
        assert_eq!(*book.statistics(), replica.statistics, "readers have the same");
        assert_eq!(book.doubt(), replica.doubt);
        replica.statistics
    }

    fn forming(&self, interval: Interval) -> Option<Candle> {
        self.replica.book(BookId(1)).unwrap().candles.forming(interval).copied()
    }

    fn doubt(&self) -> Option<Doubt> {
        self.replica.book(BookId(1)).unwrap().doubt
    }
}

fn prices(candle: &Candle) -> [i64; 4] {
    [candle.open.0, candle.high.0, candle.low.0, candle.close.0]
}

#[test]
fn a_broken_trade_leaves_the_day_and_its_candles_formed_and_closed() {
    let mut bench = Bench::new(1_024);
    bench.trade(0, 11, 50, 100);
    bench.trade(1, 12, 40, 10);
    bench.trade(70, 13, 45, 5);
    bench.break_trade(71, 11);
    let day = bench.day();
    assert_eq!((day.volume, day.trades, day.turnover), (15, 2, 40 * 10 + 45 * 5));
    assert_eq!([day.open, day.high, day.low, day.last], [40, 45, 40, 45].map(Price));
    let candle = bench.forming(Interval::Day).unwrap();
    assert_eq!((prices(&candle), candle.volume, candle.trades, candle.turnover), ([40, 45, 40, 45], 15, 2, 625));
    assert_eq!(bench.forming(Interval::Minute).unwrap().volume, 5, "the minute after it is untouched");
    // The minute that held it is closed already: kept without it, and told again. Its second has no trade left.
    let closed = &bench.replica.book(BookId(1)).unwrap().closed_candles;
    let minutes: Vec<_> = closed[Interval::Minute as usize].iter().map(|at| (prices(at), at.volume)).collect();
    assert_eq!(minutes, [([40; 4], 10)]);
    let seconds: Vec<_> = closed[Interval::Second as usize].iter().map(|at| (at.start_ns - START) / SECOND).collect();
    assert_eq!(seconds, [1, 70]);
    assert!(bench.told.iter().any(|(at, candle)| (*at, candle.volume, candle.trades) == (Interval::Minute, 10, 1)));
    assert!(
        bench.told.iter().any(|(at, candle)| (*at, candle.start_ns, candle.trades) == (Interval::Second, START, 0))
    );
    assert_eq!((bench.doubt(), bench.market.anomalies().total()), (None, 0));

    // The same again changes nothing, and a day whose trades are all broken is an empty day.
    bench.break_trade(71, 11);
    assert_eq!(bench.day(), day);
    bench.break_trade(71, 13);
    bench.break_trade(71, 12);
    assert_eq!((bench.day(), bench.forming(Interval::Day)), (Statistics::default(), None));
    bench.trade(72, 14, 60, 1);
    assert_eq!((bench.day().open, bench.forming(Interval::Day).unwrap().volume), (Price(60), 1));
    assert_eq!(bench.doubt(), None);
}

#[test]
fn a_break_of_a_trade_that_is_not_known_marks_its_book_and_no_other() {
    let mut bench = Bench::new(1_024);
    bench.send(2, 0, 7, (30, 1), 0);
    bench.trade(0, 11, 50, 100);
    bench.break_trade(1, 7);
    assert_eq!((bench.doubt(), bench.day().volume), (Some(Doubt::BrokenTrade), 100));
    assert_eq!(bench.market.anomalies().get(Anomaly::BrokenTrade), 1);
    assert_eq!(bench.market.book(BookId(2)).unwrap().doubt(), None);
    // What happened on another day does not count for this one.
    bench.event(System::new(system::SESSION, 0, 0, 0, 0, 2));
    bench.trade(0, 21, 50, 3);
    bench.break_trade(1, 11);
    assert_eq!((bench.doubt(), bench.day().volume), (Some(Doubt::BrokenTrade), 3));
}

#[test]
fn amounts_are_right_when_older_trades_are_kept_no_more() {
    let mut bench = Bench::new(4);
    for (at, price) in [10, 90, 50, 51, 52].into_iter().enumerate() {
        bench.trade(at as u64, at as u64, price, 1);
    }
    // Between low and high: nothing but amounts, and the last price, can change.
    bench.break_trade(5, 4);
    assert_eq!((bench.day().volume, bench.day().last, bench.doubt()), (4, Price(51), Some(Doubt::BrokenTrade)));
    let day = bench.forming(Interval::Day).unwrap();
    assert_eq!((day.volume, day.turnover, day.trades), (4, 10 + 90 + 50 + 51, 4));
}

#[test]
fn random_days_equal_days_that_never_had_the_broken_trades() {
    for seed in 1..60u64 {
        let mut state = seed;
        let mut random = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        let mut bench = Bench::new(256);
        let mut trades: Vec<(u64, u64, i64, u64, u8)> = Vec::new();
        let mut now_ns = 0;
        for match_id in 0..60 {
            now_ns += random(40) * SECOND / 4;
            let how = if random(8) == 0 { conditions::NON_PRINTABLE } else { 0 };
            let (price, quantity) = (100 + random(9) as i64, 1 + random(50));
            trades.push((now_ns, match_id, price, quantity, how));
            bench.send(1, now_ns, match_id, (price, quantity), how);
            bench.send(3, now_ns, match_id, (price, quantity), how);
            if random(3) == 0 {
                let broken = trades.remove(random(trades.len() as u64) as usize);
                bench.send(1, now_ns, broken.1, (0, 0), conditions::BROKEN);
            }
            let mut plain = Bench::new(256);
            for &(at_ns, match_id, price, quantity, how) in &trades {
                plain.send(1, at_ns, match_id, (price, quantity), how);
            }
            plain.send(1, now_ns, 999, (1, 1), conditions::NON_PRINTABLE);
            assert_eq!(bench.day(), plain.day(), "seed {seed}, match {match_id}");
            let (have, want) = (bench.replica.book(BookId(1)).unwrap(), plain.replica.book(BookId(1)).unwrap());
            for interval in Interval::ALL {
                let forming = |view: &book::replica::BookView| view.candles.forming(interval).copied();
                assert_eq!(forming(have), forming(want), "seed {seed}, match {match_id}, {interval:?}");
            }
            assert_eq!(have.closed_candles, want.closed_candles, "seed {seed}, match {match_id}");
        }
        assert_eq!(bench.market.anomalies().total(), 0);
    }
}
