//! What the slots of frequent messages are made of: tables in place of branches on the message's type.
//!
//! Types alternate at random in a busy market, so that a branch on them is mispredicted every other time. A decoder
//! looks the type up in a table of its own instead, which says where the fields stand, and in [`SlotTemplate`], which
//! says what kind of slot they make. No bytes are trusted here: the caller has checked the message's length.

use std::hint::select_unpredictable;
use std::mem::offset_of;

use book::slot::{Execution, OrderEvent, QUANTITY_REST, Stamp};
use book::{BookId, OrderId, Price, Side, Slot};

/// Upper half of an order event's quantity, in its eighth word.
const SIZE_HIGH: u64 = 0xFFFF_FFFF;
/// Lower half of an order event's quantity, in its fifth word.
const SIZE: u64 = 0xFFFF_FFFF;

/// The constant part of a slot.
#[derive(Clone, Copy)]
pub(crate) struct SlotTemplate {
    /// First word without the book.
    head: u64,
    /// What of a quantity's lower half goes into the fifth word: nothing of an execution's.
    size_and: u32,
    /// Fifth word: flags and action of an order event.
    fifth_or: u64,
    eighth_and: u64,
    eighth_or: u64,
    /// Whether it is an order event, else an execution.
    is_event: bool,
}

/// The rest of a slot. What its layout lacks is not taken.
pub(crate) struct SlotFields {
    /// `B`, `A`, `N`.
    pub side: u8,
    /// Order number.
    pub order_id: u64,
    /// Of an execution: match number or new order number.
    pub other_id: u64,
    /// Price.
    pub price: Price,
    /// Lower half of an event's quantity.
    pub size: u32,
    /// Of an event: upper half of the quantity, above it the ranking sequence number. Of an execution: the quantity.
    pub eighth: u64,
}

impl SlotTemplate {
    /// Of order events that do `action`.
    pub(crate) const fn event(action: u8) -> Self {
        let mut event = OrderEvent::new(NO_STAMP, action, Side::None, OrderId(0), Price(0), 0);
        event.side = 0;
        let words = words_of_event(event);
        let fifth_or = words[4];
        Self { head: words[0], size_and: u32::MAX, fifth_or, eighth_and: u64::MAX, eighth_or: 0, is_event: true }
    }

    /// The same with a quantity that has no upper half, and without a rank.
    pub(crate) const fn of_32_bits(self) -> Self {
        Self { eighth_and: 0, ..self }
    }

    /// The same about the whole rest: [`QUANTITY_REST`] whatever the quantity, and without a rank.
    pub(crate) const fn of_the_rest(self) -> Self {
        Self { fifth_or: self.fifth_or | SIZE, eighth_and: 0, eighth_or: SIZE_HIGH, ..self }
    }

    /// Of executions, replaces and trades, by `rtype`.
    pub(crate) const fn execution(rtype: u8, conditions: u8) -> Self {
        let execution = Execution::new(rtype, NO_STAMP, Side::None, OrderId(0), 0, Price(0), 0, conditions);
        let head = words_of_execution(execution)[0];
        Self { head, size_and: 0, fifth_or: 0, eighth_and: u64::MAX, eighth_or: 0, is_event: false }
    }

    /// The slot, as [`OrderEvent::new`] and [`Execution::new`] make it, without a branch on which of them it is.
    #[inline(always)]
    pub(crate) fn slot(&self, stamp: Stamp, fields: SlotFields) -> Slot {
        let SlotFields { side, order_id, other_id, price, size, eighth } = fields;
        let size = u64::from(size & self.size_and);
        let words: [u64; 8] = [
            self.head | u64::from(stamp.book_id.0) << 32,
            stamp.exchange_ns,
            order_id,
            price.0.cast_unsigned(),
            size | self.fifth_or | u64::from(stamp.channel_id) << 40 | u64::from(side) << 56,
            stamp.received_ns,
            select_unpredictable(self.is_event, stamp.sequence << 32, other_id),
            eighth & self.eighth_and | self.eighth_or,
        ];
        Slot::from_bytes(zerocopy::transmute!(words))
    }
}

/// The bytes at `at`; `None` when the message ends before.
#[inline(always)]
pub(crate) fn bytes_at<const N: usize>(message: &[u8], at: u8) -> Option<[u8; N]> {
    let at = usize::from(at);
    message.get(at..at + N)?.first_chunk().copied()
}

/// The last of all ends of fields, the head's among them.
pub(crate) const fn last_end(head: usize, ends: &[u8]) -> usize {
    let (mut last, mut field) = (head, 0);
    while field < ends.len() {
        if ends[field] as usize > last {
            last = ends[field] as usize;
        }
        field += 1;
    }
    last
}

const NO_STAMP: Stamp = Stamp { book_id: BookId(0), exchange_ns: 0, received_ns: 0, sequence: 0, channel_id: 0 };

const fn words_of_event(event: OrderEvent) -> [u64; 8] {
    zerocopy::transmute!(event)
}

const fn words_of_execution(execution: Execution) -> [u64; 8] {
    zerocopy::transmute!(execution)
}

// The places that `SlotTemplate::slot` writes to.
const _: () = {
    assert!(QUANTITY_REST == SIZE_HIGH << 32 | SIZE);
    assert!(cfg!(target_endian = "little"), "slots are little-endian, as DBN is");
    assert!(offset_of!(OrderEvent, book_id) == 4 && offset_of!(Execution, book_id) == 4);
    assert!(offset_of!(OrderEvent, exchange_ns) == 8 && offset_of!(Execution, exchange_ns) == 8);
    assert!(offset_of!(OrderEvent, order_id) == 16 && offset_of!(Execution, order_id) == 16);
    assert!(offset_of!(OrderEvent, price) == 24 && offset_of!(Execution, price) == 24);
    assert!(offset_of!(OrderEvent, size) == 32);
    assert!(offset_of!(OrderEvent, channel_id) == 32 + 40 / 8 && offset_of!(Execution, channel_id) == 32 + 40 / 8);
    assert!(offset_of!(OrderEvent, side) == 32 + 56 / 8 && offset_of!(Execution, side) == 32 + 56 / 8);
    assert!(offset_of!(OrderEvent, received_ns) == 40 && offset_of!(Execution, received_ns) == 40);
    assert!(offset_of!(OrderEvent, ts_in_delta) == 48 && offset_of!(Execution, other_id) == 48);
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

    fn fields(side: u8, quantity: u64, eighth: u64) -> SlotFields {
        SlotFields {
            side,
            order_id: u64::MAX - 1,
            other_id: u64::MAX - 2,
            price: Price(-7),
            size: quantity as u32,
            eighth,
        }
    }

    #[test]
    fn a_template_of_events_makes_what_the_constructor_makes() {
        for action in [action::ADD, action::CANCEL] {
            let of =
                |quantity| OrderEvent::new(STAMP, action, Side::Bid, OrderId(u64::MAX - 1), Price(-7), quantity).into();
            for quantity in [0, 1, 0xFFFF_FFFF, 0x6162_6364_6566_6768, u64::MAX - 1] {
                let fields = || fields(b'B', quantity, 0x5152_5354 << 32 | quantity >> 32);
                let mut ranked: OrderEvent = zerocopy::transmute!(Slot::as_bytes(&of(quantity)).to_owned());
                ranked.rank_sequence = 0x5152_5354;
                assert_eq!(SlotTemplate::event(action).slot(STAMP, fields()), Slot::from(ranked));
                assert_eq!(SlotTemplate::event(action).of_32_bits().slot(STAMP, fields()), of(quantity & 0xFFFF_FFFF));
                assert_eq!(SlotTemplate::event(action).of_the_rest().slot(STAMP, fields()), of(QUANTITY_REST));
            }
        }
    }

    #[test]
    fn a_template_of_executions_makes_what_the_constructor_makes() {
        for (rtype, conditions) in [(rtype::EXECUTION, 0), (rtype::TRADE, conditions::HIDDEN), (rtype::REPLACE, 0)] {
            for quantity in [0, 1, 0x6162_6364_6566_6768, u64::MAX] {
                let (order, other_id) = (OrderId(u64::MAX - 1), u64::MAX - 2);
                let of =
                    |side| Execution::new(rtype, STAMP, side, order, other_id, Price(-7), quantity, conditions).into();
                let template = SlotTemplate::execution(rtype, conditions);
                assert_eq!(template.slot(STAMP, fields(b'N', 9, quantity)), of(Side::None));
                assert_eq!(template.slot(STAMP, fields(b'A', 9, quantity)), of(Side::Ask));
            }
        }
    }
}
