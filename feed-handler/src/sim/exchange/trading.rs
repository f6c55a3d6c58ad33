//! Continuous trading: what somebody decides, what becomes of it in the book, and what others do then.

use book::Side;

use super::agenda::{Event, SessionPhase};
use super::{Exchange, SECOND_NS};
use crate::sim::exchange::flow::{Action, Cause, Outcome};
use crate::sim::exchange::matching::{Aggressor, Change, Order, Taken};
use crate::sim::exchange::ticks::{Limits, Milli, NO_PRICE};
use crate::sim::exchange::wire::Output;

/// Deviation from the last auction price that trips the circuit breaker, percent. The exchange's own number is not
/// known for certain (10, 7.5 and 5 are all quoted).
const BREAKER_PERCENT: u8 = 5;
/// Most resting orders of one side of a book; beyond it the last-ranked one is cancelled for each new one.
const ORDERS_PER_SIDE_MAX: usize = 4_000;

impl Exchange {
    pub(super) fn start_continuous(&mut self, at: usize, out: &mut dyn Output) {
        self.state(at, "P_SUREKLI_ISLEM", out);
        self.enter_phase(at, SessionPhase::Continuous);
        self.plan_fresh(at);
    }

    pub(super) fn on_due(&mut self, at: usize, side: Side, id: u64, out: &mut dyn Output) {
        let book = &mut self.books[at];
        match book.phase {
            SessionPhase::Before | SessionPhase::After => {}
            SessionPhase::Frozen => {
                if book.matching.order(side, id).is_some() {
                    self.plan(self.now_ns + 60 * SECOND_NS, Event::Due(at as u16, side, id));
                }
            }
            SessionPhase::Collection | SessionPhase::HaltCollection => {
                book.matching.remove(side, id);
            }
            SessionPhase::Continuous | SessionPhase::AtClose => {
                if book.matching.remove(side, id).is_some() {
                    self.changes.push(Change::Deleted { side, id });
                    self.publish(at, out);
                    self.react(at, Outcome::Quiet);
                }
            }
        }
    }

    pub(super) fn on_decision(&mut self, at: usize, cause: Cause, out: &mut dyn Output) {
        let book = &mut self.books[at];
        let action = match book.phase {
            SessionPhase::Continuous => book.flow.decide(&book.matching, &self.common, self.now_ns, cause),
            SessionPhase::AtClose => book.flow.at_close(book.close),
            _ => return,
        };
        let outcome = match action {
            Action::None => return,
            Action::Add { side, price, quantity, display, lifetime_ns } => {
                self.insert(at, side, price, quantity, display, lifetime_ns, out)
            }
            Action::Take { side, limit, quantity, rests } => self.take(at, side, limit, quantity, rests, None, out),
            Action::Cancel { side, id } => {
                if book.matching.remove(side, id).is_none() {
                    return;
                }
                self.changes.push(Change::Deleted { side, id });
                self.publish(at, out);
                Some(Outcome::Quiet)
            }
            Action::Replace { side, id, price, quantity } => self.replace(at, side, id, price, quantity, out),
        };
        if let Some(outcome) = outcome {
            self.react(at, outcome);
        }
    }

    fn react(&mut self, at: usize, outcome: Outcome) {
        let book = &mut self.books[at];
        if book.phase != SessionPhase::Continuous {
            return;
        }
        let (count, cause) = book.flow.reactions(outcome);
        let number = book.phase_number;
        for _ in 0..count {
            let wait_ns = self.books[at].flow.reaction_ns();
            self.plan(self.now_ns + wait_ns, Event::React(at as u16, number, cause));
        }
    }

    /// A new order: rests where it does not cross, else trades and rests with what is left.
    pub(super) fn insert(
        &mut self,
        at: usize,
        side: Side,
        price: Milli,
        quantity: u64,
        display: u64,
        lifetime_ns: u64,
        out: &mut dyn Output,
    ) -> Option<Outcome> {
        let book = &mut self.books[at];
        let opposite = book.matching.best(side.opposite());
        let crosses = opposite.is_some_and(|opposite| crosses(side, price, opposite));
        if crosses && matches!(book.phase, SessionPhase::Continuous | SessionPhase::AtClose) {
            return self.take(at, side, price, quantity, true, None, out);
        }
        let best = book.matching.best(side);
        let too_many = book.matching.count(side) >= ORDERS_PER_SIDE_MAX;
        if let Some(id) = book.matching.last(side).filter(|_| too_many).map(|order| order.id) {
            book.matching.remove(side, id);
            self.changes.push(Change::Deleted { side, id });
        }
        let id = book.new_id(at, side);
        let visible = if display == 0 { quantity } else { display.min(quantity) };
        let hidden = quantity - visible;
        let order = Order { id, price, visible, hidden, display, rank_ns: 0, rank_sequence: 0 };
        let order = book.matching.insert(side, order, self.now_ns);
        self.changes.push(Change::Added { side, order });
        self.plan(self.now_ns.saturating_add(lifetime_ns), Event::Due(at as u16, side, id));
        self.publish(at, out);
        let improved = best.is_none_or(|best| price != best && crosses_own(side, price, best));
        Some(if improved { Outcome::Improved(side) } else { Outcome::Quiet })
    }

    /// An order that trades at once. `replaced`: it stood in the book under this id, which its rest keeps.
    fn take(
        &mut self,
        at: usize,
        side: Side,
        limit: Milli,
        quantity: u64,
        rests: bool,
        replaced: Option<u64>,
        out: &mut dyn Output,
    ) -> Option<Outcome> {
        let now_ns = self.now_ns;
        let may_halt = self.config.halts && self.halt_fits();
        let book = &mut self.books[at];
        let at_close = book.phase == SessionPhase::AtClose;
        let aggressor = Aggressor {
            side,
            limit,
            quantity,
            fixed_price: at_close.then_some(book.close),
            breaker: (!at_close).then(|| Limits::around(book.reference, BREAKER_PERCENT)),
        };
        let taken: Taken = book.matching.take(aggressor, now_ns, &mut self.changes);
        if taken.quantity > 0 {
            book.last_trade = Some(taken.last_price);
        }
        let left = quantity - taken.quantity;
        let halts = taken.tripped && may_halt;
        // What would trade beyond the breaker's limits without a halt is refused.
        if left > 0 && ((rests && !taken.tripped) || halts) && limit != NO_PRICE {
            let price = book.limits.clamp(limit);
            let id = replaced.unwrap_or_else(|| book.new_id(at, side));
            let order = Order { id, price, visible: left, hidden: 0, display: 0, rank_ns: 0, rank_sequence: 0 };
            let order = book.matching.insert(side, order, now_ns);
            if !halts {
                self.changes.push(Change::Added { side, order });
            }
            let lifetime_ns = book.flow.lifetime_ns(0);
            self.plan(now_ns.saturating_add(lifetime_ns), Event::Due(at as u16, side, id));
        }
        self.publish(at, out);
        if halts {
            self.halt(at, out);
            return None;
        }
        (taken.quantity > 0).then_some(Outcome::Traded(side, taken))
    }

    fn replace(
        &mut self,
        at: usize,
        side: Side,
        id: u64,
        price: Milli,
        quantity: u64,
        out: &mut dyn Output,
    ) -> Option<Outcome> {
        let book = &mut self.books[at];
        let best = book.matching.best(side);
        let order = book.matching.remove(side, id)?;
        self.changes.push(Change::Deleted { side, id });
        let opposite = book.matching.best(side.opposite());
        if opposite.is_some_and(|opposite| crosses(side, price, opposite)) {
            return self.take(at, side, price, quantity, true, Some(id), out);
        }
        let changed = Order { price, visible: quantity, ..order };
        // Less quantity at the same price keeps the place in the queue; anything else goes to the end.
        let changed = if price == order.price && quantity < order.visible {
            book.matching.insert_ranked(side, changed);
            changed
        } else {
            book.matching.insert(side, changed, self.now_ns)
        };
        self.changes.push(Change::Added { side, order: changed });
        self.publish(at, out);
        let improved = best.is_some_and(|best| price != best && crosses_own(side, price, best));
        Some(if improved { Outcome::Improved(side) } else { Outcome::Quiet })
    }
}

/// Whether an order of `side` at `price` trades against the other side's best price.
fn crosses(side: Side, price: Milli, opposite: Milli) -> bool {
    price == NO_PRICE || if side == Side::Bid { price >= opposite } else { price <= opposite }
}

/// Whether `price` is at least as good as the own side's best price.
fn crosses_own(side: Side, price: Milli, best: Milli) -> bool {
    if side == Side::Bid { price >= best } else { price <= best }
}
