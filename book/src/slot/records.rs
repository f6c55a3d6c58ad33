//! All records that share the 16-byte head, `seq` and `received_ns`: updates for readers, definitions, states.
//!
//! Layouts and ways to make them; no meaning.

use std::mem::{align_of, offset_of, size_of};

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::{OrderEvent, Slot, Stamp, flags, rtype};
use crate::phase::Phase;
use crate::types::Nanos;

macro_rules! record {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident : $kind:ty,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
        #[repr(C)]
        pub struct $name {
            /// 16.
            pub length: u8,
            /// One of [`rtype`].
            pub rtype: u8,
            /// [`flags`].
            pub flags: u8,
            /// `B`, `A`, `N`.
            pub side: u8,
            /// Book; 0 where the record is about the whole feed.
            pub book_id: u32,
            /// Exchange clock.
            pub exchange_ns: Nanos,
            /// Ingest sequence number; 0 in the event ring.
            pub seq: u64,
            /// Our clock.
            pub received_ns: Nanos,
            $($(#[$field_doc])* pub $field: $kind,)*
        }

        const _: () = {
            assert!(size_of::<$name>() == 64);
            assert!(align_of::<$name>() == 8);
            // What [`Slot::record`](crate::slot::Slot::record) reads of any of them.
            assert!(offset_of!($name, flags) == offset_of!(Record, flags));
            assert!(offset_of!($name, side) == offset_of!(Record, side));
            assert!(offset_of!($name, book_id) == offset_of!(Record, book_id));
            assert!(offset_of!($name, exchange_ns) == offset_of!(Record, exchange_ns));
            assert!(offset_of!($name, seq) == offset_of!(Record, seq));
            assert!(offset_of!($name, received_ns) == offset_of!(Record, received_ns));
        };

        impl From<$name> for Slot {
            fn from(record: $name) -> Self {
                zerocopy::transmute!(record)
            }
        }
    };
}

record!(
    /// What all records have in common.
    Record {
        /// What the kind of record has beside it.
        body: [u64; 4],
    }
);

/// The place of the fields as the rings carry them and recordings keep them.
const _: () = {
    assert!(offset_of!(Record, flags) == 2);
    assert!(offset_of!(Record, side) == 3);
    assert!(offset_of!(Record, book_id) == 4);
    assert!(offset_of!(Record, exchange_ns) == 8);
    assert!(offset_of!(Record, seq) == 16);
    assert!(offset_of!(Record, received_ns) == 24);
    assert!(offset_of!(Record, body) == 32);
    // Every kind of slot has these two at the same place.
    assert!(offset_of!(Record, book_id) == offset_of!(OrderEvent, book_id));
    assert!(offset_of!(Record, exchange_ns) == offset_of!(OrderEvent, exchange_ns));
};

record!(
    /// Ranking time of the very next add of the same book.
    Rank {
        /// Ranking time, Unix nanoseconds (BISTECH ITCH 2112 A, offset 37).
        rank_ns: u64,
        /// 0.
        reserved: [u64; 3],
    }
);

record!(
    /// A price level changed: its new totals. Quantity 0 and count 0: the level is gone.
    LevelUpdate {
        /// Price of the level.
        price: i64,
        /// Total visible quantity.
        quantity: u64,
        /// Number of orders.
        count: u32,
        /// 0.
        reserved: u32,
        /// 0.
        reserved2: u64,
    }
);

record!(
    /// An order changed (`side` = its side).
    OrderUpdate {
        /// The exchange's order number.
        order_id: u64,
        /// Its price; [`Price::NONE`](crate::types::Price::NONE) for a market order.
        price: i64,
        /// Quantity that is left (0: the order is gone).
        quantity: u64,
        /// 1-based place in the queue of its price level, for an add; 0 = gone, or its place among those that are left
        /// did not change.
        position: u32,
        /// [`action`](crate::slot::action): `A`, `C`, `M`, `F`.
        action: u8,
        /// 0.
        reserved: [u8; 3],
    }
);

record!(
    /// A trade (`side` = the aggressor's side, `N` when not known or in an auction).
    TradeUpdate {
        /// The exchange's match number.
        match_id: u64,
        /// Trade price.
        price: i64,
        /// Traded quantity.
        quantity: u64,
        /// [`conditions`](crate::slot::conditions).
        conditions: u8,
        /// 0.
        reserved: [u8; 7],
    }
);

record!(
    /// A mark in the stream of one book: clear, begin or end of a snapshot or of its orders.
    Mark {
        /// Begin of a snapshot: first number the reader missed, 0 when it missed nothing.
        from_seq: u64,
        /// Begin of a snapshot: last number the reader missed, 0 when it missed nothing.
        to_seq: u64,
        /// Begin and end: what is with its orders, one of [`picture`](crate::slot::picture).
        orders: u32,
        /// End: 1 when it answers a [`OrderInterest`](crate::order_interest::OrderInterest).
        answers: u8,
        /// End of a snapshot, and doubt: why the book may be wrong, a [`Doubt`](crate::doubt::Doubt)'s number; 0: it is right.
        reason: u8,
        /// 0.
        reserved: [u8; 2],
        /// Epoch that `seq` belongs to.
        epoch: u64,
    }
);

record!(
    /// One trading statistic (DBN's `stat_type` idea, own numbers: [`statistic`](crate::slot::statistic)).
    StatisticUpdate {
        /// A price, for the kinds that are prices.
        price: i64,
        /// Low 64 bits of an amount, for the kinds that are amounts.
        amount_low: u64,
        /// High 64 bits of an amount.
        amount_high: u64,
        /// One of [`statistic`](crate::slot::statistic).
        kind: u8,
        /// 0.
        reserved: [u8; 7],
    }
);

record!(
    /// Prices of a forming candle; `flags` is its interval's number.
    CandlePrices {
        /// First price.
        open: i64,
        /// Highest price.
        high: i64,
        /// Lowest price.
        low: i64,
        /// Last price.
        close: i64,
    }
);

record!(
    /// Amounts of the candle whose [`CandlePrices`] came right before.
    CandleAmounts {
        /// Start of the interval, Unix nanoseconds.
        start_ns: Nanos,
        /// Traded quantity.
        volume: u64,
        /// Low 64 bits of Σ price × quantity, 10⁻⁹ units.
        turnover_low: u64,
        /// Number of trades in the low 32 bits; bits 64..96 of the turnover in the high 32.
        count_and_turnover_high: u64,
    }
);

record!(
    /// Definition, part 1: symbol as the exchange writes it, right-padded with spaces or zeros.
    Symbol {
        /// Text, e.g. `GARAN.E`.
        symbol: [u8; 32],
    }
);

record!(
    /// Definition, part 2: long name, right-padded, ISO 8859-1 as on the wire.
    LongName {
        /// Text.
        name: [u8; 32],
    }
);

record!(
    /// Definition, part 3: what is traded and in which units.
    Terms {
        /// ISIN, right-padded.
        isin: [u8; 12],
        /// ISO 4217 code.
        currency: [u8; 3],
        /// BISTECH financial product (R, offset 85); 5 = cash share, 0 = not stated.
        product: u8,
        /// Decimals of prices, 0..=9: what is shown and what the checksum is made of.
        price_decimals: u8,
        /// Number of legs of a combination.
        legs: u8,
        /// 0 none, 1 call, 2 put.
        option_type: u8,
        /// 1 = price-time.
        ranking_type: u8,
        /// Round lot.
        round_lot: u32,
        /// Expiration as the number YYYYMMDD, 0 = none.
        expiration: u32,
        /// Underlying book, 0 = none.
        underlying_book_id: u32,
    }
);

record!(
    /// Definition, part 4: the rest of a contract.
    Contract {
        /// Strike, 10⁻⁹ units; [`Price::NONE`](crate::types::Price::NONE) when there is none.
        strike: i64,
        /// Nominal value in its own decimals.
        nominal: u64,
        /// Odd lot size, 0 = undefined.
        odd_lot: u32,
        /// Block lot size, 0 = undefined.
        block_lot: u32,
        /// Decimals of `nominal`.
        nominal_decimals: u16,
        /// 0.
        reserved: [u8; 6],
    }
);

record!(
    /// One band of a tick table. All bands of a book form its table; the span of the whole table is the
    /// day's price band when the last band has an upper end.
    TickBand {
        /// Tick, 10⁻⁹ units.
        tick: i64,
        /// First price.
        from: i64,
        /// Last price; [`Price::NONE`](crate::types::Price::NONE) = no upper end.
        to: i64,
        /// Base price of the day, where known; else [`Price::NONE`](crate::types::Price::NONE).
        reference: i64,
    }
);

record!(
    /// One leg of a combination.
    Leg {
        /// Book of the leg.
        leg_book_id: u32,
        /// Ratio.
        ratio: u32,
        /// `B` as defined, `C` opposite.
        leg_side: u8,
        /// 0.
        reserved: [u8; 23],
    }
);

record!(
    /// Short sell status.
    ShortSell {
        /// 0 allowed, 1 not allowed, 2 allowed under the up-tick rule.
        status: u8,
        /// 0.
        reserved: [u8; 31],
    }
);

record!(
    /// State of a book.
    State {
        /// [`Phase`] as a number.
        phase: u8,
        /// Length of `name` in bytes.
        name_length: u8,
        /// 0.
        reserved: [u8; 6],
        /// The exchange's own name of the state, up to 24 bytes.
        name: [u8; 24],
    }
);

record!(
    /// Auction: equilibrium price and the quantities available at it.
    Equilibrium {
        /// Equilibrium price or [`Price::NONE`](crate::types::Price::NONE).
        price: i64,
        /// Bid quantity available at it.
        bid_quantity: u64,
        /// Ask quantity available at it.
        ask_quantity: u64,
        /// ITCH 5.0 I only: far price; else [`Price::NONE`](crate::types::Price::NONE).
        far_price: i64,
    }
);

record!(
    /// Auction: best prices behind the equilibrium.
    EquilibriumBest {
        /// Best bid or [`Price::NONE`](crate::types::Price::NONE).
        bid_price: i64,
        /// Best ask or [`Price::NONE`](crate::types::Price::NONE).
        ask_price: i64,
        /// Quantity of the best bid.
        bid_quantity: u64,
        /// Quantity of the best ask.
        ask_quantity: u64,
    }
);

record!(
    /// Something about the whole feed.
    System {
        /// First number concerned (a gap: first missing venue sequence number).
        from: u64,
        /// Last number concerned.
        to: u64,
        /// New epoch, for [`system::SESSION`](crate::slot::system::SESSION).
        epoch: u64,
        /// One of [`system`](crate::slot::system).
        code: u8,
        /// 0.
        reserved: [u8; 7],
    }
);

impl State {
    /// A state change with the exchange's own name of it (cut at 24 bytes).
    #[must_use]
    pub fn new(stamp: Stamp, phase: Phase, name: &[u8]) -> Self {
        let mut text = [0; 24];
        let length = name.len().min(24);
        text[..length].copy_from_slice(&name[..length]);
        Self {
            length: 16,
            rtype: rtype::STATE,
            flags: flags::LAST,
            side: b'N',
            book_id: stamp.book_id.0,
            exchange_ns: stamp.exchange_ns,
            seq: 0,
            received_ns: stamp.received_ns,
            phase: phase as u8,
            name_length: length as u8,
            reserved: [0; 6],
            name: text,
        }
    }

    /// The phase as a type.
    #[must_use]
    pub const fn phase(&self) -> Phase {
        Phase::from_byte(self.phase)
    }

    /// The exchange's name of the state; empty if it is not text.
    #[must_use]
    pub fn name(&self) -> &str {
        text(&self.name[..usize::from(self.name_length).min(24)])
    }
}

impl System {
    /// A system record without numbers.
    #[must_use]
    pub const fn new(code: u8, exchange_ns: Nanos, received_ns: Nanos, from: u64, to: u64, epoch: u64) -> Self {
        Self {
            length: 16,
            rtype: rtype::SYSTEM,
            flags: flags::LAST,
            side: b'N',
            book_id: 0,
            exchange_ns,
            seq: 0,
            received_ns,
            from,
            to,
            epoch,
            code,
            reserved: [0; 7],
        }
    }
}

/// Padded wire text without its padding (spaces and zeros at the end); empty if it is not ASCII.
#[must_use]
pub fn text(padded: &[u8]) -> &str {
    let end = padded.iter().rposition(|&byte| byte != b' ' && byte != 0).map_or(0, |at| at + 1);
    match std::str::from_utf8(&padded[..end]) {
        Ok(text) if text.is_ascii() => text,
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padded_text_loses_its_padding_only() {
        assert_eq!(text(b"GARAN.E   \0\0"), "GARAN.E");
        assert_eq!(text(b"  "), "");
        assert_eq!(text(&[0xC7, b'A']), "", "not ASCII");
    }
}
