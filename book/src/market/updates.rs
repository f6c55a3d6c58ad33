//! The updates that an event makes: what readers are told.
//!
//! Only writes down what has happened; changes no book but for its clocks.

use super::Output;
use super::trade_log::{Kept, TradeLog};
use crate::market::book::{Book, Touched};
use crate::slot::{Execution, LevelUpdate, Mark, OrderUpdate, Slot, TradeUpdate, conditions, flags, rtype};
use crate::types::{Level, Nanos, Price, Side};

/// What every update of one event shares.
#[derive(Clone, Copy)]
pub(super) struct Stamp {
    pub book_id: u32,
    pub seq: u64,
    pub exchange_ns: Nanos,
    pub received_ns: Nanos,
    pub flags: u8,
}

/// Notes in the book that this event was its newest.
#[inline(always)]
pub(super) fn stamp(book: &mut Book, seq: u64, (exchange_ns, received_ns): (Nanos, Nanos)) -> Stamp {
    book.seq = seq;
    book.exchange_ns = exchange_ns;
    book.received_ns = received_ns;
    let flags = if book.doubt.is_some() { flags::MAYBE_BAD_BOOK } else { 0 };
    Stamp { book_id: book.id.0, seq, exchange_ns, received_ns, flags }
}

#[inline]
pub(super) fn trade(
    log: &mut TradeLog,
    book: &mut Book,
    stamp: Stamp,
    resting: Side,
    price: Price,
    event: &Execution,
    out: &mut impl Output,
) {
    book.statistics.on_trade(price, event.quantity, event.conditions);
    book.candles.on_trade(stamp.exchange_ns, price, event.quantity, event.conditions, &mut |_, _| {});
    if event.conditions & conditions::BROKEN == 0 {
        let (match_id, exchange_ns, quantity) = (event.other_id, stamp.exchange_ns, event.quantity);
        let kept = Kept { match_id, price, quantity, exchange_ns, before: 0, conditions: event.conditions };
        log.keep(&mut book.newest_trade, kept);
    }
    // In an auction both sides meet at one price: nobody is the aggressor.
    let aggressor = if event.conditions & conditions::CROSS != 0 { Side::None } else { resting.opposite() };
    let update = TradeUpdate {
        length: 16,
        rtype: rtype::TRADE_UPDATE,
        flags: stamp.flags,
        side: aggressor as u8,
        book_id: stamp.book_id,
        exchange_ns: stamp.exchange_ns,
        seq: stamp.seq,
        received_ns: stamp.received_ns,
        match_id: event.other_id,
        price: price.0,
        quantity: event.quantity,
        conditions: event.conditions,
        reserved: [0; 7],
    };
    out.push(update.into());
}

/// The order, then its level (market orders have none).
#[inline(always)]
pub(super) fn publish(stamp: Stamp, action: u8, touched: &Touched, out: &mut impl Output) {
    let Touched { side, order_id, price, left, position, level, unchanged, .. } = *touched;
    if unchanged {
        return;
    }
    out.push(order_update(stamp, side, action, order_id, price, left, position));
    if price.is_some() {
        out.push(level_update(stamp, side, level));
    }
}

#[inline(always)]
pub(super) fn order_update(
    stamp: Stamp,
    side: Side,
    action: u8,
    order_id: u64,
    price: Price,
    left: u64,
    place: u32,
) -> Slot {
    let update = OrderUpdate {
        length: 16,
        rtype: rtype::ORDER_UPDATE,
        flags: stamp.flags,
        side: side as u8,
        book_id: stamp.book_id,
        exchange_ns: stamp.exchange_ns,
        seq: stamp.seq,
        received_ns: stamp.received_ns,
        order_id,
        price: price.0,
        quantity: left,
        position: place,
        action,
        reserved: [0; 3],
    };
    update.into()
}

#[inline(always)]
pub(super) fn level_update(stamp: Stamp, side: Side, level: Level) -> Slot {
    let update = LevelUpdate {
        length: 16,
        rtype: rtype::LEVEL,
        flags: stamp.flags,
        side: side as u8,
        book_id: stamp.book_id,
        exchange_ns: stamp.exchange_ns,
        seq: stamp.seq,
        received_ns: stamp.received_ns,
        price: level.price.0,
        quantity: level.quantity,
        count: level.count,
        reserved: 0,
        reserved2: 0,
    };
    update.into()
}

/// What a mark says beside its kind.
#[derive(Clone, Copy, Default)]
pub(super) struct Marked {
    /// First and last number that the reader missed.
    pub missed: (u64, u64),
    /// [`picture`](crate::slot::picture).
    pub orders: u32,
    pub answers: bool,
    pub reason: u8,
    pub epoch: u64,
}

pub(super) fn mark(rtype: u8, stamp: Stamp, marked: Marked) -> Slot {
    let Marked { missed: (from_seq, to_seq), orders, answers, reason, epoch } = marked;
    let mark = Mark {
        length: 16,
        rtype,
        flags: stamp.flags,
        side: b'N',
        book_id: stamp.book_id,
        exchange_ns: stamp.exchange_ns,
        seq: stamp.seq,
        received_ns: stamp.received_ns,
        from_seq,
        to_seq,
        orders,
        answers: u8::from(answers),
        reason,
        reserved: [0; 2],
        epoch,
    };
    mark.into()
}
