//! A session whose clock goes back, as each lap of a recording in a loop, begins its candles anew; kept ones stay in order.

use book::candle::{Candle, Interval};
use book::market::{Limits, Market};
use book::replica::{Options, Replica};
use book::slot::{Execution, Stamp, System, rtype, system};
use book::{BookId, OrderId, Price, Side, Slot};

const SECOND: u64 = 1_000_000_000;
/// 2024-03-15 16:10:00 UTC.
const START: u64 = 1_710_519_000 * SECOND;

struct Bench {
    market: Market,
    replica: Replica,
    out: Vec<Slot>,
}

impl Bench {
    fn event(&mut self, event: impl Into<Slot>) {
        self.market.apply(&event.into(), &mut self.out);
        for slot in self.out.drain(..) {
            self.replica.apply(&slot, &mut |_, _, _| {});
        }
    }

    fn trade(&mut self, at_s: u64, price: i64, quantity: u64) {
        let stamp = Stamp { book_id: BookId(1), exchange_ns: START + at_s * SECOND, ..Stamp::default() };
        self.event(Execution::new(rtype::TRADE, stamp, Side::None, OrderId(0), 0, Price(price), quantity, 0));
    }

    fn session(&mut self, epoch: u64) {
        self.event(System::new(system::SESSION, 0, 0, 0, 0, epoch));
    }

    fn forming(&self, interval: Interval) -> Candle {
        *self.replica.books()[0].candles.forming(interval).expect("a candle")
    }

    /// Starts of the closed minutes, seconds from the start.
    fn minutes(&self) -> Vec<u64> {
        let closed = &self.replica.books()[0].closed_candles[Interval::Minute as usize];
        closed.iter().map(|candle| (candle.start_ns - START) / SECOND).collect()
    }
}

#[test]
fn every_lap_begins_its_candles_anew_and_starts_ascend() {
    let mut bench = Bench {
        market: Market::new(Limits {
            books_max: 4,
            orders_max: 100,
            levels_max: 100,
            ladder_slots: 0,
            ..Limits::default()
        }),
        replica: Replica::new(Options { candles_max: 100, ..Options::default() }),
        out: Vec::new(),
    };
    for lap in 1..=4 {
        bench.session(lap);
        bench.trade(0, 10, 100);
        bench.trade(70, 20, 3);
        bench.trade(130, 20, 4);
        assert_eq!(bench.minutes(), [0, 60], "lap {lap}");
        let minute = bench.forming(Interval::Minute);
        assert_eq!((minute.open, minute.low, minute.volume), (Price(20), Price(20), 4), "lap {lap}");
        assert_eq!(bench.forming(Interval::Day).volume, 107, "lap {lap}");
    }
    // A next day keeps what was.
    bench.session(5);
    bench.trade(86_400, 30, 1);
    assert_eq!(bench.minutes(), [0, 60, 120]);
    assert_eq!(bench.forming(Interval::Day).volume, 1);
}
