//! What is planned: phases of the market and of each book, orders to come, and the order in which they happen.
//!
//! Values only; what an event does stands in the files beside this one.

use book::{Nanos, Side};

use crate::sim::exchange::flow::Cause;

/// Where a book is in its day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SessionPhase {
    Before,
    Collection,
    /// Orders are neither taken nor cancelled.
    Frozen,
    Continuous,
    HaltCollection,
    AtClose,
    After,
}

/// A change of phase of the whole market.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Directory,
    Collection,
    Determination,
    Continuous,
    ClosingLimits,
    ClosingCollection,
    ClosingDetermination,
    AtCloseLimits,
    AtClose,
    End,
    MessagesEnd,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    Step(Step),
    BookStep(u16, Step),
    /// A new decision of somebody, in the phase that had this number.
    Fresh(u16, u32),
    React(u16, u32, Cause),
    /// An order's time is over.
    Due(u16, Side, u64),
    /// Somebody enters an order for an auction.
    Enter(u16, u32),
    /// The auction's price so far.
    Indicate(u16, u32),
    Uncross(u16, u32),
    Resume(u16, u32),
    Shock(u16),
    /// Common factor and rate control.
    Control,
}

/// Heap entry; the running number makes the order of simultaneous events certain.
#[derive(Clone, Copy, Debug)]
pub(super) struct Planned {
    pub(super) at_ns: Nanos,
    pub(super) number: u64,
    pub(super) event: Event,
}

impl PartialEq for Planned {
    fn eq(&self, other: &Self) -> bool {
        (self.at_ns, self.number) == (other.at_ns, other.number)
    }
}
impl Eq for Planned {}
impl PartialOrd for Planned {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Planned {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at_ns, self.number).cmp(&(other.at_ns, other.number))
    }
}
