//! What travels through the rings: one cache line of plain data, told apart by `rtype`.
//!
//! Holds layouts and views only; no behaviour. An order event is DBN v3's MBO record (56 bytes, same
//! offsets) and 8 bytes of ours; executions and replaces have at its offsets what they have in common with it. All other
//! kinds share one frame: the 16-byte head, `seq`, `received_ns` and a body of 32 bytes. Integers are in the machine's own (little-endian) order, as in DBN.
//!
//! In the event ring (feed → book) `seq` of a record is 0: the book thread numbers every slot it takes,
//! 1, 2, 3, … inside an epoch, and writes that number into whatever it publishes.

#![cfg_attr(not(test), deny(clippy::disallowed_types, clippy::disallowed_methods, clippy::disallowed_macros))]

mod codes;
mod events;
mod records;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::types::{BookId, Nanos};
pub use codes::{QUANTITY_REST, action, conditions, flags, picture, rtype, statistic, system};
pub use events::{Execution, OrderEvent, PUBLISHER_XIST, Stamp};
pub use records::*;

/// One ring slot: 64 bytes, its kind at offset 1 in every layout.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(64))]
pub struct Slot {
    /// Length in 4-byte words: 14 for the DBN part of an order event, 16 for everything else.
    pub length: u8,
    /// One of [`rtype`].
    pub rtype: u8,
    rest: [u8; 62],
}

const _: () = assert!(size_of::<Slot>() == 64 && align_of::<Slot>() == 64);

/// A typed look at a slot.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)] // each variant is named after its documented layout
pub enum View<'a> {
    Order(&'a OrderEvent),
    Execution(&'a Execution),
    Replace(&'a Execution),
    Trade(&'a Execution),
    Rank(&'a Rank),
    Level(&'a LevelUpdate),
    OrderUpdate(&'a OrderUpdate),
    TradeUpdate(&'a TradeUpdate),
    Clear(&'a Mark),
    Statistic(&'a StatisticUpdate),
    CandlePrices(&'a CandlePrices),
    CandleAmounts(&'a CandleAmounts),
    SnapshotBegin(&'a Mark),
    SnapshotEnd(&'a Mark),
    OrdersBegin(&'a Mark),
    OrdersEnd(&'a Mark),
    Doubt(&'a Mark),
    Symbol(&'a Symbol),
    LongName(&'a LongName),
    Terms(&'a Terms),
    Contract(&'a Contract),
    TickBand(&'a TickBand),
    Leg(&'a Leg),
    ShortSell(&'a ShortSell),
    State(&'a State),
    Equilibrium(&'a Equilibrium),
    EquilibriumBest(&'a EquilibriumBest),
    System(&'a System),
    /// An `rtype` that this version does not know.
    Unknown(u8),
}

impl Slot {
    /// A slot of zeros, of no known kind.
    pub const EMPTY: Self = Self { length: 16, rtype: 0, rest: [0; 62] };

    /// The typed view.
    #[inline]
    #[must_use]
    pub fn view(&self) -> View<'_> {
        match self.rtype {
            rtype::ORDER => View::Order(zerocopy::transmute_ref!(self)),
            rtype::EXECUTION => View::Execution(zerocopy::transmute_ref!(self)),
            rtype::REPLACE => View::Replace(zerocopy::transmute_ref!(self)),
            rtype::TRADE => View::Trade(zerocopy::transmute_ref!(self)),
            rtype::RANK => View::Rank(zerocopy::transmute_ref!(self)),
            rtype::LEVEL => View::Level(zerocopy::transmute_ref!(self)),
            rtype::ORDER_UPDATE => View::OrderUpdate(zerocopy::transmute_ref!(self)),
            rtype::TRADE_UPDATE => View::TradeUpdate(zerocopy::transmute_ref!(self)),
            rtype::CLEAR => View::Clear(zerocopy::transmute_ref!(self)),
            rtype::STATISTIC => View::Statistic(zerocopy::transmute_ref!(self)),
            rtype::CANDLE_PRICES => View::CandlePrices(zerocopy::transmute_ref!(self)),
            rtype::CANDLE_AMOUNTS => View::CandleAmounts(zerocopy::transmute_ref!(self)),
            rtype::SNAPSHOT_BEGIN => View::SnapshotBegin(zerocopy::transmute_ref!(self)),
            rtype::SNAPSHOT_END => View::SnapshotEnd(zerocopy::transmute_ref!(self)),
            rtype::ORDERS_BEGIN => View::OrdersBegin(zerocopy::transmute_ref!(self)),
            rtype::ORDERS_END => View::OrdersEnd(zerocopy::transmute_ref!(self)),
            rtype::DOUBT => View::Doubt(zerocopy::transmute_ref!(self)),
            rtype::SYMBOL => View::Symbol(zerocopy::transmute_ref!(self)),
            rtype::LONG_NAME => View::LongName(zerocopy::transmute_ref!(self)),
            rtype::TERMS => View::Terms(zerocopy::transmute_ref!(self)),
            rtype::CONTRACT => View::Contract(zerocopy::transmute_ref!(self)),
            rtype::TICK_BAND => View::TickBand(zerocopy::transmute_ref!(self)),
            rtype::LEG => View::Leg(zerocopy::transmute_ref!(self)),
            rtype::SHORT_SELL => View::ShortSell(zerocopy::transmute_ref!(self)),
            rtype::STATE => View::State(zerocopy::transmute_ref!(self)),
            rtype::EQUILIBRIUM => View::Equilibrium(zerocopy::transmute_ref!(self)),
            rtype::EQUILIBRIUM_BEST => View::EquilibriumBest(zerocopy::transmute_ref!(self)),
            rtype::SYSTEM => View::System(zerocopy::transmute_ref!(self)),
            other => View::Unknown(other),
        }
    }

    /// As an order event, which it is if its kind says so. Of an execution or a replace book, times, order, side and price
    /// are right as well; of other kinds only the book and the exchange's time.
    #[inline(always)]
    pub(crate) fn as_order(&self) -> &OrderEvent {
        zerocopy::transmute_ref!(self)
    }

    /// As an execution or a replace, which it is if its kind says so.
    #[inline(always)]
    pub(crate) fn as_execution(&self) -> &Execution {
        zerocopy::transmute_ref!(self)
    }

    /// The 64 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 64] {
        zerocopy::transmute_ref!(self)
    }

    /// The book; 0 where the slot is about the whole feed.
    #[inline(always)]
    #[must_use]
    pub fn book_id(&self) -> BookId {
        BookId(self.record().book_id)
    }

    /// The exchange's clock.
    #[inline(always)]
    #[must_use]
    pub fn exchange_ns(&self) -> Nanos {
        self.record().exchange_ns
    }

    /// Our clock when it was received. Of a slot that is known to be a record, `record().received_ns` is the same without a branch.
    #[inline]
    #[must_use]
    pub fn received_ns(&self) -> Nanos {
        match self.rtype {
            rtype::ORDER | rtype::EXECUTION | rtype::REPLACE | rtype::TRADE => self.as_order().received_ns,
            _ => self.record().received_ns,
        }
    }

    /// What all records have in common. Of order events, executions, replaces and trades, which are no records, only the
    /// book and the exchange's time are right.
    #[inline(always)]
    #[must_use]
    pub fn record(&self) -> &Record {
        zerocopy::transmute_ref!(self)
    }

    #[inline(always)]
    fn record_mut(&mut self) -> &mut Record {
        zerocopy::transmute_mut!(self)
    }

    /// The same slot, of any known kind, received at `received_ns` (our clock, Unix nanoseconds).
    #[must_use]
    pub fn with_received(mut self, received_ns: Nanos) -> Self {
        if matches!(self.rtype, rtype::ORDER | rtype::EXECUTION | rtype::REPLACE | rtype::TRADE) {
            let order: &mut OrderEvent = zerocopy::transmute_mut!(&mut self);
            order.received_ns = received_ns;
        } else {
            self.record_mut().received_ns = received_ns;
        }
        self
    }

    /// The same record with its ingest number. Not for order events, which have no room for one.
    #[must_use]
    pub(crate) fn with_seq(mut self, seq: u64) -> Self {
        self.record_mut().seq = seq;
        self
    }

    /// The same record with a flag set. Not for order events and executions, which keep flags elsewhere.
    #[must_use]
    pub(crate) fn with_flag(mut self, flag: u8) -> Self {
        self.record_mut().flags |= flag;
        self
    }

    /// The same record with the book, exchange time and number that every published record states.
    #[must_use]
    pub(crate) fn stamped(mut self, book_id: u32, exchange_ns: Nanos, seq: u64) -> Self {
        let record = self.record_mut();
        (record.book_id, record.exchange_ns, record.seq) = (book_id, exchange_ns, seq);
        self
    }

    /// A slot from 64 bytes; any bytes are a slot, an unknown kind shows as [`View::Unknown`].
    #[must_use]
    pub fn from_bytes(bytes: [u8; 64]) -> Self {
        zerocopy::transmute!(bytes)
    }
}

impl std::fmt::Debug for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.view().fmt(f)
    }
}

impl PartialEq for Slot {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Slot {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_64_bytes_are_a_slot() {
        for kind in 0..=255u8 {
            let mut bytes = [0xFF; 64];
            bytes[1] = kind;
            let _ = format!("{:?}", Slot::from_bytes(bytes));
        }
    }
}
