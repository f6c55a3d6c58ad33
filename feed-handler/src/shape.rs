//! What the slots of frequent messages are made of: tables in place of branches on the message's type.
//!
//! Types alternate at random in a busy market, so that a branch on them is mispredicted every other time. A decoder
//! looks the type up in a table of its own instead, which says where the fields stand, and in [`Form`], which says what
//! kind of slot they make. No bytes are trusted here: the caller has checked the message's length.

use std::hint::select_unpredictable;
use std::mem::offset_of;

use book::slot::{Execution, OrderEvent, Stamp};
use book::{BookId, OrderId, Price, Side, Slot};

/// The constant part of a slot.
#[derive(Clone, Copy)]
pub(crate) struct Form {
    /// First word without the book.
    head: u64,
    /// Fifth word of an order event without quantity, channel and side.
    middle: u64,
    /// Whether it is an order event, else an execution.
    is_event: bool,
}

/// The rest of a slot, in the words of both layouts.
pub(crate) struct Fields {
    /// Of an event.
    pub side: u8,
    /// Order number.
    pub order_id: u64,
    /// Of an execution: match number or new order number.
    pub other_id: u64,
    /// Price.
    pub price: Price,
    /// Quantity, or the whole rest.
    pub quantity: u64,
    /// Of an event: ranking sequence number.
    pub rank_sequence: u32,
}

impl Form {
    /// Of order events that do `action`.
    pub(crate) const fn event(action: u8) -> Self {
        let mut event = OrderEvent::new(NO_STAMP, action, Side::None, OrderId(0), Price(0), 0);
        event.side = 0;
        let words = words_of_event(event);
        Self { head: words[0], middle: words[4], is_event: true }
    }

    /// Of executions, replaces and trades, by `rtype`.
    pub(crate) const fn execution(rtype: u8, side: Side, conditions: u8) -> Self {
        let execution = Execution::new(rtype, NO_STAMP, side, OrderId(0), 0, Price(0), 0, conditions);
        Self { head: words_of_execution(execution)[0], middle: 0, is_event: false }
    }

    /// The slot, as [`OrderEvent::new`] and [`Execution::new`] make it, without a branch on which of them it is.
    #[inline(always)]
    pub(crate) fn slot(&self, stamp: Stamp, fields: Fields) -> Slot {
        let either = |event, execution| select_unpredictable(self.is_event, event, execution);
        let Fields { side, order_id, other_id, price, quantity, rank_sequence } = fields;
        let price = price.0.cast_unsigned();
        let size_and_flags =
            quantity & 0xFFFF_FFFF | self.middle | u64::from(stamp.channel_id) << 40 | u64::from(side) << 56;
        let words: [u64; 8] = [
            self.head | u64::from(stamp.book_id.0) << 32,
            stamp.exchange_ns,
            either(order_id, 0),
            either(price, stamp.received_ns),
            either(size_and_flags, order_id),
            either(stamp.received_ns, other_id),
            either(stamp.sequence << 32, price),
            either(quantity >> 32 | u64::from(rank_sequence) << 32, quantity),
        ];
        Slot::from_bytes(zerocopy::transmute!(words))
    }
}

const NO_STAMP: Stamp = Stamp { book_id: BookId(0), exchange_ns: 0, received_ns: 0, sequence: 0, channel_id: 0 };

const fn words_of_event(event: OrderEvent) -> [u64; 8] {
    zerocopy::transmute!(event)
}

const fn words_of_execution(execution: Execution) -> [u64; 8] {
    zerocopy::transmute!(execution)
}

// The places that `Form::slot` writes to.
const _: () = {
    assert!(cfg!(target_endian = "little"), "slots are little-endian, as DBN is");
    assert!(offset_of!(OrderEvent, book_id) == 4 && offset_of!(Execution, book_id) == 4);
    assert!(offset_of!(OrderEvent, exchange_ns) == 8 && offset_of!(Execution, exchange_ns) == 8);
    assert!(offset_of!(OrderEvent, order_id) == 16 && offset_of!(Execution, seq) == 16);
    assert!(offset_of!(OrderEvent, price) == 24 && offset_of!(Execution, received_ns) == 24);
    assert!(offset_of!(OrderEvent, size) == 32 && offset_of!(Execution, order_id) == 32);
    assert!(offset_of!(OrderEvent, channel_id) == 32 + 40 / 8 && offset_of!(OrderEvent, side) == 32 + 56 / 8);
    assert!(offset_of!(OrderEvent, received_ns) == 40 && offset_of!(Execution, other_id) == 40);
    assert!(offset_of!(OrderEvent, ts_in_delta) == 48 && offset_of!(Execution, price) == 48);
    assert!(offset_of!(OrderEvent, sequence) == 48 + 32 / 8);
    assert!(offset_of!(OrderEvent, size_high) == 56 && offset_of!(Execution, quantity) == 56);
    assert!(offset_of!(OrderEvent, rank_sequence) == 56 + 32 / 8);
};

#[cfg(test)]
mod tests {
    use super::*;
    use book::slot::{QUANTITY_REST, action, conditions, rtype};

    const STAMP: Stamp = Stamp {
        book_id: BookId(0x0102_0304),
        exchange_ns: 0x1112_1314_1516_1718,
        received_ns: 0x2122_2324_2526_2728,
        sequence: 0x3132_3334_3536_3738,
        channel_id: 0x41,
    };

    fn fields(quantity: u64) -> Fields {
        Fields {
            side: b'B',
            order_id: u64::MAX - 1,
            other_id: u64::MAX - 2,
            price: Price(-7),
            quantity,
            rank_sequence: 0x5152_5354,
        }
    }

    #[test]
    fn a_form_makes_what_the_constructors_make() {
        let (order, price) = (OrderId(u64::MAX - 1), Price(-7));
        for quantity in [0, 1, 0xFFFF_FFFF, 0x6162_6364_6566_6768, QUANTITY_REST] {
            for action in [action::ADD, action::CANCEL] {
                let mut event = OrderEvent::new(STAMP, action, Side::Bid, order, price, quantity);
                event.rank_sequence = 0x5152_5354;
                assert_eq!(Form::event(action).slot(STAMP, fields(quantity)), Slot::from(event));
            }
            for (rtype, conditions) in [(rtype::EXECUTION, 0), (rtype::TRADE, conditions::HIDDEN), (rtype::REPLACE, 0)]
            {
                let form = Form::execution(rtype, Side::None, conditions);
                let execution =
                    Execution::new(rtype, STAMP, Side::None, order, u64::MAX - 2, price, quantity, conditions);
                assert_eq!(form.slot(STAMP, fields(quantity)), Slot::from(execution));
            }
        }
    }
}
