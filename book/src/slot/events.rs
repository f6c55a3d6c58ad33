//! What feeds say about orders: events in DBN's layout, executions and replaces in ours.
//!
//! Layouts and ways to make them; what an event means to a book is known there.

use std::mem::offset_of;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::{Slot, action, flags, rtype};
use crate::types::{BookId, Nanos, OrderId, Price, Side};

/// DBN v3 MBO record and 8 bytes of ours.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct OrderEvent {
    /// 14: the DBN part in 4-byte words.
    pub length: u8,
    /// [`rtype::ORDER`].
    pub rtype: u8,
    /// DBN publisher; [`PUBLISHER_XIST`] for Borsa Istanbul.
    pub publisher_id: u16,
    /// Book (DBN `instrument_id`).
    pub book_id: u32,
    /// Exchange clock (DBN `ts_event`).
    pub exchange_ns: Nanos,
    /// The exchange's order number.
    pub order_id: u64,
    /// 10⁻⁹ units; [`Price::NONE`] for a market order, and where a cancel does not state it.
    pub price: i64,
    /// Low 32 bits of the quantity: added, removed, or new.
    pub size: u32,
    /// [`flags`].
    pub flags: u8,
    /// Partition or line it came from.
    pub channel_id: u8,
    /// [`action`].
    pub action: u8,
    /// `B`, `A`, `N`.
    pub side: u8,
    /// Our clock when the packet was received (DBN `ts_recv`).
    pub received_ns: Nanos,
    /// Nanoseconds between sending at the exchange and receiving, 0 when not known.
    pub ts_in_delta: i32,
    /// Low 32 bits of the venue's message sequence number.
    pub sequence: u32,
    /// High 32 bits of the quantity, which DBN has no room for.
    pub size_high: u32,
    /// Ranking sequence number of an add (BISTECH ITCH 2112 A, offset 18); 0 = order of arrival.
    pub rank_sequence: u32,
}

/// DBN publisher id of our own dataset `XIST.ITCH`; outside the range Databento has given out.
pub const PUBLISHER_XIST: u16 = 0xB151;

/// A resting order traded, an order was replaced, or a trade without a visible order, by `rtype`.
///
/// What it says of an order stands where an [`OrderEvent`] has it, so that nobody has to ask which of them an event is.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Execution {
    /// 16.
    pub length: u8,
    /// [`rtype::EXECUTION`], [`rtype::REPLACE`] or [`rtype::TRADE`].
    pub rtype: u8,
    /// [`conditions`](crate::slot::conditions) of the trade.
    pub conditions: u8,
    /// 0.
    pub reserved: u8,
    /// Book.
    pub book_id: u32,
    /// Exchange clock.
    pub exchange_ns: Nanos,
    /// The resting (or replaced) order; 0 for [`rtype::TRADE`].
    pub order_id: u64,
    /// Trade price, or new price of a replace; [`Price::NONE`]: the resting order's own price.
    pub price: i64,
    /// 0.
    pub reserved2: [u8; 5],
    /// Partition or line it came from.
    pub channel_id: u8,
    /// 0.
    pub reserved3: u8,
    /// Side of the resting order: `B`, `A`, `N`.
    pub side: u8,
    /// Our clock.
    pub received_ns: Nanos,
    /// Match id of the trade, or the new order id of a replace.
    pub other_id: u64,
    /// Executed quantity, or new quantity of a replace.
    pub quantity: u64,
}

/// What every order event and execution of one wire message shares.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stamp {
    /// Book.
    pub book_id: BookId,
    /// Exchange clock.
    pub exchange_ns: Nanos,
    /// Our clock.
    pub received_ns: Nanos,
    /// Venue's message sequence number.
    pub sequence: u64,
    /// Partition or line.
    pub channel_id: u8,
}

const _: () = {
    assert!(size_of::<OrderEvent>() == 64);
    assert!(size_of::<Execution>() == 64);
    assert!(offset_of!(Execution, book_id) == offset_of!(OrderEvent, book_id));
    assert!(offset_of!(Execution, exchange_ns) == offset_of!(OrderEvent, exchange_ns));
    assert!(offset_of!(Execution, order_id) == offset_of!(OrderEvent, order_id));
    assert!(offset_of!(Execution, price) == offset_of!(OrderEvent, price));
    assert!(offset_of!(Execution, channel_id) == offset_of!(OrderEvent, channel_id));
    assert!(offset_of!(Execution, side) == offset_of!(OrderEvent, side));
    assert!(offset_of!(Execution, received_ns) == offset_of!(OrderEvent, received_ns));
    assert!(offset_of!(OrderEvent, exchange_ns) == 8);
    assert!(offset_of!(OrderEvent, order_id) == 16);
    assert!(offset_of!(OrderEvent, price) == 24);
    assert!(offset_of!(OrderEvent, size) == 32);
    assert!(offset_of!(OrderEvent, flags) == 36);
    assert!(offset_of!(OrderEvent, channel_id) == 37);
    assert!(offset_of!(OrderEvent, action) == 38);
    assert!(offset_of!(OrderEvent, side) == 39);
    assert!(offset_of!(OrderEvent, received_ns) == 40);
    assert!(offset_of!(OrderEvent, ts_in_delta) == 48);
    assert!(offset_of!(OrderEvent, sequence) == 52);
    assert!(offset_of!(OrderEvent, size_high) == 56);
};

impl From<OrderEvent> for Slot {
    fn from(event: OrderEvent) -> Self {
        zerocopy::transmute!(event)
    }
}

impl From<Execution> for Slot {
    fn from(event: Execution) -> Self {
        zerocopy::transmute!(event)
    }
}

impl OrderEvent {
    /// An event with everything stated; `LAST` is set.
    #[inline]
    #[must_use]
    pub const fn new(stamp: Stamp, action: u8, side: Side, order: OrderId, price: Price, quantity: u64) -> Self {
        Self {
            length: 14,
            rtype: rtype::ORDER,
            publisher_id: PUBLISHER_XIST,
            book_id: stamp.book_id.0,
            exchange_ns: stamp.exchange_ns,
            order_id: order.0,
            price: price.0,
            size: quantity as u32,
            flags: flags::LAST,
            channel_id: stamp.channel_id,
            action,
            side: side as u8,
            received_ns: stamp.received_ns,
            ts_in_delta: 0,
            sequence: stamp.sequence as u32,
            size_high: (quantity >> 32) as u32,
            rank_sequence: 0,
        }
    }

    /// A new order; `rank_sequence` 0 = behind all that are there.
    #[inline]
    #[must_use]
    pub const fn add(
        stamp: Stamp,
        side: Side,
        order: OrderId,
        price: Price,
        quantity: u64,
        rank_sequence: u32,
    ) -> Self {
        let mut event = Self::new(stamp, action::ADD, side, order, price, quantity);
        event.rank_sequence = rank_sequence;
        event
    }

    /// Removes `quantity`, or all that is left for [`QUANTITY_REST`](crate::slot::QUANTITY_REST).
    #[inline]
    #[must_use]
    pub const fn cancel(stamp: Stamp, side: Side, order: OrderId, quantity: u64) -> Self {
        Self::new(stamp, action::CANCEL, side, order, Price::NONE, quantity)
    }

    /// Empties the book.
    #[inline]
    #[must_use]
    pub const fn clear(stamp: Stamp) -> Self {
        Self::new(stamp, action::CLEAR, Side::None, OrderId(0), Price::NONE, 0)
    }

    /// All 64 bits of the quantity.
    #[inline]
    #[must_use]
    pub const fn quantity(&self) -> u64 {
        (self.size_high as u64) << 32 | self.size as u64
    }

    /// The side as a type.
    #[inline]
    #[must_use]
    pub const fn side(&self) -> Side {
        Side::from_byte(self.side)
    }

    /// 0 for bids, 1 for asks, either for neither: [`Side::index`] by the byte's last bit, so that no branch can be made of it.
    #[inline(always)]
    pub(crate) const fn side_index(&self) -> usize {
        (self.side & 1) as usize
    }
}

impl Execution {
    /// One of the three kinds that share this layout.
    #[inline]
    #[must_use]
    pub const fn new(
        rtype: u8,
        stamp: Stamp,
        side: Side,
        order: OrderId,
        other_id: u64,
        price: Price,
        quantity: u64,
        conditions: u8,
    ) -> Self {
        Self {
            length: 16,
            rtype,
            conditions,
            reserved: 0,
            book_id: stamp.book_id.0,
            exchange_ns: stamp.exchange_ns,
            order_id: order.0,
            price: price.0,
            reserved2: [0; 5],
            channel_id: stamp.channel_id,
            reserved3: 0,
            side: side as u8,
            received_ns: stamp.received_ns,
            other_id,
            quantity,
        }
    }

    /// The side as a type.
    #[inline]
    #[must_use]
    pub const fn side(&self) -> Side {
        Side::from_byte(self.side)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slot::View;

    /// The contract: the first 56 bytes are DBN v3's MBO record, offset by offset.
    const _: () = {
        use dbn::{MboMsg, RecordHeader};
        assert!(size_of::<MboMsg>() == 56);
        assert!(offset_of!(MboMsg, hd) == 0);
        assert!(offset_of!(RecordHeader, rtype) == offset_of!(OrderEvent, rtype));
        assert!(offset_of!(RecordHeader, publisher_id) == offset_of!(OrderEvent, publisher_id));
        assert!(offset_of!(RecordHeader, instrument_id) == offset_of!(OrderEvent, book_id));
        assert!(offset_of!(RecordHeader, ts_event) == offset_of!(OrderEvent, exchange_ns));
        assert!(offset_of!(MboMsg, order_id) == offset_of!(OrderEvent, order_id));
        assert!(offset_of!(MboMsg, price) == offset_of!(OrderEvent, price));
        assert!(offset_of!(MboMsg, size) == offset_of!(OrderEvent, size));
        assert!(offset_of!(MboMsg, flags) == offset_of!(OrderEvent, flags));
        assert!(offset_of!(MboMsg, channel_id) == offset_of!(OrderEvent, channel_id));
        assert!(offset_of!(MboMsg, action) == offset_of!(OrderEvent, action));
        assert!(offset_of!(MboMsg, side) == offset_of!(OrderEvent, side));
        assert!(offset_of!(MboMsg, ts_recv) == offset_of!(OrderEvent, received_ns));
        assert!(offset_of!(MboMsg, ts_in_delta) == offset_of!(OrderEvent, ts_in_delta));
        assert!(offset_of!(MboMsg, sequence) == offset_of!(OrderEvent, sequence));
    };

    #[test]
    fn an_order_event_keeps_all_bits_of_a_quantity() {
        let stamp = Stamp { book_id: BookId(7), ..Stamp::default() };
        let event = OrderEvent::add(stamp, Side::Bid, OrderId(u64::MAX), Price(1), u64::MAX - 1, 3);
        assert_eq!(event.quantity(), u64::MAX - 1);
        let slot = Slot::from(event);
        let View::Order(seen) = slot.view() else { panic!("not an order event: {slot:?}") };
        assert_eq!(seen.rank_sequence, 3);
        assert_eq!(u32::from(seen.length) * 4, 56, "the DBN part");
    }
}
