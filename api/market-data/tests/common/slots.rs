//! A view filled with slots made by hand.

#![allow(dead_code)] // every test file uses its own part

use api_market_data::view::{View, ViewWorker};
use book::replica::Options;
use book::ring::{Notifier, Producer, ring};
use book::slot::{
    Contract, LevelUpdate, LongName, Mark, Slot, State as BookState, StatisticUpdate, Symbol, System, Terms, TickBand,
    TradeUpdate, rtype, statistic, system,
};
use book::{Phase, Price};

/// 2026-11-23 10:00:00 in Istanbul.
pub const TEN: u64 = 1_795_417_200_000_000_000;

/// A price of two decimals.
pub fn price(cents: i64) -> i64 {
    Price::from_decimal(cents, 2).unwrap().0
}

macro_rules! slot {
    ($kind:ident, $rtype:expr, $book:expr, $seq:expr, $($field:ident : $value:expr),* $(,)?) => {
        Slot::from($kind {
            length: 16,
            rtype: $rtype,
            exchange_ns: TEN + $seq,
            received_ns: TEN + $seq + 1_000,
            seq: $seq,
            book_id: $book,
            $($field: $value,)*
            ..zeroed()
        })
    };
}

fn zeroed<T: zerocopy_free::Zeroed>() -> T {
    T::zeroed()
}

/// Records of zeros, through the only way in that needs no `unsafe`: the view of an empty slot of that kind.
mod zerocopy_free {
    use super::*;
    use book::View;

    pub trait Zeroed {
        fn zeroed() -> Self;
    }

    macro_rules! zeroed {
        ($($kind:ident = $rtype:expr, $variant:ident;)*) => {
            $(impl Zeroed for $kind {
                fn zeroed() -> Self {
                    let mut bytes = [0; 64];
                    bytes[0] = 16;
                    bytes[1] = $rtype;
                    bytes[3] = b'N';
                    match Slot::from_bytes(bytes).view() {
                        View::$variant(record) => *record,
                        other => panic!("{other:?}"),
                    }
                }
            })*
        };
    }

    zeroed! {
        Symbol = rtype::SYMBOL, Symbol;
        LongName = rtype::LONG_NAME, LongName;
        Terms = rtype::TERMS, Terms;
        Contract = rtype::CONTRACT, Contract;
        TickBand = rtype::TICK_BAND, TickBand;
        BookState = rtype::STATE, State;
        LevelUpdate = rtype::LEVEL, Level;
        TradeUpdate = rtype::TRADE_UPDATE, TradeUpdate;
        Mark = rtype::SNAPSHOT_BEGIN, SnapshotBegin;
        StatisticUpdate = rtype::STATISTIC, Statistic;
        System = rtype::SYSTEM, System;
    }
}

fn padded<const N: usize>(text: &str) -> [u8; N] {
    let mut bytes = [b' '; N];
    bytes[..text.len()].copy_from_slice(text.as_bytes());
    bytes
}

/// Says something about the whole feed.
pub fn system_slot(code: u8, seq: u64) -> Slot {
    slot!(System, rtype::SYSTEM, 0, seq, code: code, epoch: 7)
}

/// The definition, an empty snapshot and continuous trading of one share.
pub fn share(book: u32, symbol: &str, name: &str, reference: i64) -> Vec<Slot> {
    let mut state = [0; 24];
    state[..15].copy_from_slice(b"P_SUREKLI_ISLEM");
    vec![
        slot!(Symbol, rtype::SYMBOL, book, 1, symbol: padded(symbol)),
        slot!(LongName, rtype::LONG_NAME, book, 1, name: padded(name)),
        slot!(Terms, rtype::TERMS, book, 1, isin: padded("TRAGARAN91N1"), currency: *b"TRY", product: 5,
            price_decimals: 2, round_lot: 1),
        slot!(Contract, rtype::CONTRACT, book, 1, strike: Price::NONE.0),
        slot!(TickBand, rtype::TICK_BAND, book, 1, tick: price(5), from: price(reference * 9 / 10),
            to: price(reference * 11 / 10), reference: price(reference)),
        slot!(Mark, rtype::SNAPSHOT_BEGIN, book, 1, epoch: 7),
        slot!(StatisticUpdate, rtype::STATISTIC, book, 1, kind: statistic::REFERENCE, price: price(reference)),
        slot!(StatisticUpdate, rtype::STATISTIC, book, 1, kind: statistic::LIMIT_LOW, price: price(reference * 9 / 10)),
        slot!(Mark, rtype::SNAPSHOT_END, book, 1, epoch: 7),
        slot!(BookState, rtype::STATE, book, 1, phase: Phase::Continuous as u8, name_length: 15, name: state),
    ]
}

/// A level's totals.
pub fn level(book: u32, seq: u64, side: u8, cents: i64, quantity: u64, count: u32) -> Slot {
    slot!(LevelUpdate, rtype::LEVEL, book, seq, side: side, price: price(cents), quantity: quantity, count: count)
}

/// A trade.
pub fn trade(book: u32, seq: u64, side: u8, cents: i64, quantity: u64) -> Slot {
    slot!(TradeUpdate, rtype::TRADE_UPDATE, book, seq, side: side, price: price(cents), quantity: quantity,
        match_id: 9_007_199_254_740_993 + seq)
}

/// What the tests look at: two shares that trade, one that does not, one contract.
pub fn market() -> Vec<Slot> {
    let mut slots = vec![system_slot(system::SESSION, 0)];
    slots.extend(share(70, "GARAN.E", "TURKIYE GARANTI BANKASI", 10_000));
    slots.extend(share(71, "THYAO.E", "TURK HAVA YOLLARI", 31_000));
    slots.extend(share(72, "ISCTR.E", "TURKIYE IS BANKASI C", 1_200));
    slots.extend(share(73, "F_GARAN1126", "GARAN FUTURES", 10_100));
    slots.extend([
        level(70, 10, b'B', 10_495, 1_000, 2),
        level(70, 11, b'B', 10_500, 1_500, 3),
        level(70, 12, b'A', 10_510, 700, 1),
        trade(70, 13, b'B', 10_500, 100),
        trade(70, 14, b'A', 10_495, 50),
        trade(70, 15, b'B', 10_510, 250),
        level(71, 16, b'A', 30_900, 10, 1),
        trade(71, 17, b'A', 30_000, 5_000),
    ]);
    slots
}

/// A view fed by hand.
pub struct Fed {
    pub producer: Producer,
    pub worker: ViewWorker,
    pub view: View,
}

/// A view that has taken `slots`.
pub fn fed(slots: &[Slot]) -> Fed {
    let (producer, consumer) = ring("view", 65_536, Notifier::new());
    let (worker, view) = ViewWorker::new(consumer, Options::default());
    let mut fed = Fed { producer, worker, view };
    fed.feed(slots);
    fed
}

impl Fed {
    /// Writes `slots` and lets the view take them.
    pub fn feed(&mut self, slots: &[Slot]) {
        self.producer.push_all(slots).expect("the ring has room");
        self.producer.commit();
        while self.worker.do_work() > 0 {}
    }
}
