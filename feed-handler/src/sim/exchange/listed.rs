//! One share on the exchange: its book, its order flow, where it is in its day, and the numbers of its orders.

use book::exchange::auction::Equilibrium;
use book::exchange::date::Day;
use book::{Nanos, Side};
use rand::Rng;

use super::agenda::SessionPhase;
use crate::sim::exchange::flow::Flow;
use crate::sim::exchange::matching::Matching;
use crate::sim::exchange::shares::Share;
use crate::sim::exchange::ticks::{Limits, Milli};

pub(super) struct Listed {
    pub(super) book_id: u32,
    pub(super) share: &'static Share,
    pub(super) base: Milli,
    pub(super) limits: Limits,
    pub(super) matching: Matching,
    pub(super) flow: Flow,
    pub(super) phase: SessionPhase,
    /// Raised with every phase, so that events planned in an earlier one are void.
    pub(super) phase_number: u32,
    /// Whether the public feed shows the orders now.
    pub(super) shown: bool,
    /// Share of all messages.
    pub(super) weight: f64,
    /// Last auction price, else the base price.
    pub(super) reference: Milli,
    pub(super) last_trade: Option<Milli>,
    pub(super) closing_limits: Limits,
    pub(super) close: Milli,
    pub(super) last_indicated: Option<Option<Equilibrium>>,
    pub(super) entry_rate: f64,
    pub(super) indicate_every_ns: u64,
    pub(super) collection_ends_ns: Nanos,
    /// When continuous trading goes on after the halt that the book is in.
    pub(super) resumes_ns: Option<Nanos>,
    pub(super) next_id: [u64; 2],
}

impl Listed {
    /// The next order id of a side. Real ids share their upper half and grow in small uneven steps; here every fourth
    /// book counts in the middle bits and every fourth in the upper half, which no hash of the low bits survives.
    /// Both sides and all books draw from the same numbers, so only (book, side, id) is unique.
    pub(super) fn new_id(&mut self, at: usize, side: Side) -> u64 {
        let step = match at % 4 {
            1 => self.flow.rng().random_range(1..=64u64) << 20,
            2 => 1 << 32,
            _ => self.flow.rng().random_range(1..=256),
        };
        let next = &mut self.next_id[side.index()];
        *next = next.wrapping_add(step);
        *next
    }
}

/// Where the order ids of a book begin on a day.
pub(super) fn first_id(number: usize, day: Day) -> u64 {
    let date = u64::from(day.yyyymmdd());
    match number % 4 {
        // Bits 20.. count: the low 20 are the same for all orders of a day.
        1 => 0xE000_0000_0000_0000 | (date & 0xF_FFFF),
        // Bits 32.. count: the whole low half is the same.
        2 => 0x4000_0000_0000_0000 | date,
        _ => 0x6000_0000_0000_0000 | date << 32,
    }
}
