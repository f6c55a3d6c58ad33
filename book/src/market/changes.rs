//! What an event says of the order that it changes.
//!
//! Read from the event where it is needed: read beforehand and carried along it would be put aside and taken up again, and
//! the loads and stores of an event are what limits how many of them are done in a second. Knows no book and changes nothing.

use std::hint::select_unpredictable as select;

use crate::anomaly::Anomaly;
use crate::market::book::OrderTerms;
use crate::market::store::node_pool::QueueRank;
use crate::slot::{QUANTITY_REST, Slot, action};
use crate::types::{Nanos, Price, Side};

/// Why an order comes, loses quantity or goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    Order,
    Execution,
    Replace,
}

/// An order that loses quantity or goes.
#[derive(Clone, Copy)]
pub(super) struct Reduction<'a> {
    pub event: &'a Slot,
    pub by: By,
}

impl Reduction<'_> {
    /// As the event states it: `B`, `A`, or anything else for none.
    #[inline(always)]
    pub fn side(&self) -> u8 {
        self.event.as_order().side
    }

    #[inline(always)]
    pub fn id(&self) -> u64 {
        self.event.as_order().order_id
    }

    /// How much of an order that has `rest`: all of it for [`QUANTITY_REST`], and in a cancel for DBN's undefined size, `u32::MAX`.
    #[inline(always)]
    pub fn quantity(&self, rest: u64) -> u64 {
        let stated = match self.by {
            By::Order => self.event.as_order().quantity(),
            By::Execution => return self.event.as_execution().quantity.min(QUANTITY_REST - 1),
            By::Replace => QUANTITY_REST,
        };
        let is_rest = (stated == QUANTITY_REST) | (stated == u64::from(u32::MAX));
        select(is_rest, rest, stated)
    }

    /// What readers are told.
    #[inline(always)]
    pub fn action(&self) -> u8 {
        if self.by == By::Execution { action::FILL } else { action::CANCEL }
    }

    #[cold]
    pub fn excess(&self) -> Anomaly {
        if self.by == By::Execution { Anomaly::OverExecution } else { Anomaly::OverCancel }
    }
}

/// An order that comes, by itself or for another one.
#[derive(Clone, Copy)]
pub(super) struct NewOrder<'a> {
    pub event: &'a Slot,
    pub by: By,
    pub side: Side,
    /// The time that it ranks by, where another event has stated it; else this event's.
    pub rank_ns: Option<Nanos>,
}

impl NewOrder<'_> {
    #[inline(always)]
    pub fn id(&self) -> u64 {
        if self.by == By::Replace { self.event.as_execution().other_id } else { self.event.as_order().order_id }
    }

    #[inline(always)]
    pub fn price(&self) -> Price {
        Price(self.event.as_order().price)
    }

    #[inline(always)]
    pub fn quantity(&self) -> u64 {
        if self.by == By::Replace { self.event.as_execution().quantity } else { self.event.as_order().quantity() }
    }

    /// A replaced order stands behind all others of its new level.
    #[inline(always)]
    pub fn rank(&self) -> QueueRank {
        if self.by == By::Replace {
            QueueRank::FIRST
        } else {
            let event = self.event.as_order();
            QueueRank { ns: self.rank_ns.unwrap_or(event.exchange_ns), sequence: event.rank_sequence }
        }
    }

    #[cold]
    pub fn order(&self, side: Side) -> OrderTerms {
        OrderTerms { side, id: self.id(), price: self.price(), quantity: self.quantity(), rank: self.rank() }
    }
}

/// The exchange's clock and ours.
#[inline(always)]
pub(super) fn times(event: &Slot) -> (Nanos, Nanos) {
    let event = event.as_order();
    (event.exchange_ns, event.received_ns)
}
