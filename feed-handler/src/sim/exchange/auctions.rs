//! Auctions: orders are collected, the price so far is told, the book is matched. A volatility halt is one of them.

use book::exchange::auction::{Equilibrium, equilibrium};
use book::{Nanos, Side};
use rand::Rng;

use super::agenda::{Event, SessionPhase};
use super::{Exchange, SECOND_NS};
use crate::sim::exchange::flow::Action;
use crate::sim::exchange::ticks::{milli_of, price_of};
use crate::sim::exchange::wire::Output;

/// Circuit breaker: order collection (10 minutes since 1 September 2025), then matching.
const HALT_COLLECTION_NS: u64 = 600 * SECOND_NS;
const HALT_MATCHING_NS: u64 = 120 * SECOND_NS;
/// Orders entered in the opening auction of the busiest share.
const OPENING_ORDERS: f64 = 1_500.0;

impl Exchange {
    /// Orders entered in an opening auction of full length.
    pub(super) fn opening_orders(&self, at: usize) -> f64 {
        let busiest = self.books.first().map_or(1.0, |book| book.weight);
        OPENING_ORDERS * (self.books[at].weight / busiest).powf(0.35)
    }

    pub(super) fn start_collection(&mut self, at: usize, phase: SessionPhase, ends_ns: Nanos, orders: f64) {
        self.enter_phase(at, phase);
        let duration_ns = ends_ns.saturating_sub(self.now_ns).max(1);
        let compression = self.config.clock.compression();
        // About eight indications per wall second, at least eight in the whole phase.
        let wall_ns = u64::from(if self.joined { 1 } else { compression.auction_speed }) * SECOND_NS / 8;
        let book = &mut self.books[at];
        book.entry_rate = orders * 1e9 / duration_ns as f64;
        book.indicate_every_ns = wall_ns.max(SECOND_NS).min(duration_ns / 8).max(1);
        book.collection_ends_ns = ends_ns;
        book.last_indicated = None;
        let number = book.phase_number;
        let first_ns = book.indicate_every_ns + book.flow.rng().random_range(0..book.indicate_every_ns);
        let enter_ns = book.flow.wait_ns(book.entry_rate);
        self.plan(self.now_ns + enter_ns, Event::Enter(at as u16, number));
        self.plan(self.now_ns + first_ns, Event::Indicate(at as u16, number));
    }

    /// Ends the collection; the book is matched somewhere in the first part of the time until `next_ns`.
    pub(super) fn plan_uncross(&mut self, at: usize, next_ns: Nanos) {
        self.enter_phase(at, SessionPhase::Frozen);
        let window_ns = next_ns.saturating_sub(self.now_ns);
        let book = &mut self.books[at];
        let wait_ns = book.flow.rng().random_range(window_ns / 50..=window_ns * 3 / 4);
        let number = book.phase_number;
        self.plan(self.now_ns + wait_ns, Event::Uncross(at as u16, number));
    }

    pub(super) fn on_enter(&mut self, at: usize, out: &mut dyn Output) {
        let book = &mut self.books[at];
        let limits = if book.phase == SessionPhase::Collection { book.closing_limits } else { book.limits };
        let action = book.flow.enter_auction(&self.common, self.now_ns, limits);
        if let Action::Add { side, price, quantity, display, lifetime_ns } = action {
            self.insert(at, side, price, quantity, display, lifetime_ns, out);
        }
        let book = &mut self.books[at];
        let next_ns = self.now_ns + book.flow.wait_ns(book.entry_rate);
        let number = book.phase_number;
        if next_ns < book.collection_ends_ns {
            self.plan(next_ns, Event::Enter(at as u16, number));
        }
    }

    fn auction_price(&self, at: usize) -> Option<Equilibrium> {
        let book = &self.books[at];
        let (bids, asks) = (book.matching.interest(Side::Bid), book.matching.interest(Side::Ask));
        equilibrium(&bids, &asks, price_of(book.reference), book.closing_limits.prices())
    }

    fn indicate(&mut self, at: usize, out: &mut dyn Output) {
        let price = self.auction_price(at);
        let book = &mut self.books[at];
        if book.last_indicated == Some(price) {
            return;
        }
        book.last_indicated = Some(price);
        let best = [Side::Bid, Side::Ask].map(|side| {
            let price = book.matching.best(side)?;
            Some((price, book.matching.total_at(side, price)))
        });
        let price = price.map(|at| (milli_of(at.price), at.bid, at.ask));
        self.encoder.equilibrium(out, self.now_ns, book.book_id, price, best);
    }

    pub(super) fn on_indicate(&mut self, at: usize, out: &mut dyn Output) {
        self.indicate(at, out);
        let book = &mut self.books[at];
        let wait_ns = book.indicate_every_ns / 2 + book.flow.rng().random_range(0..=book.indicate_every_ns);
        let number = book.phase_number;
        self.plan(self.now_ns + wait_ns, Event::Indicate(at as u16, number));
    }

    pub(super) fn on_uncross(&mut self, at: usize, out: &mut dyn Output) {
        self.indicate(at, out);
        self.state(at, "P_ESLESTIRME", out);
        let price = self.auction_price(at);
        let book = &mut self.books[at];
        let mut changes = std::mem::take(&mut self.changes);
        book.matching.uncross(price, &mut changes);
        debug_assert!(!book.matching.is_crossed(), "an auction leaves no crossed book");
        book.shown = true;
        if let Some(price) = price {
            book.last_trade = Some(milli_of(price.price));
            book.reference = milli_of(price.price);
        }
        self.changes = changes;
        self.publish(at, out);
        self.enter_phase(at, SessionPhase::Frozen);
        let book = &mut self.books[at];
        let number = book.phase_number;
        if let Some(resumes_ns) = book.resumes_ns.take() {
            self.plan(resumes_ns, Event::Resume(at as u16, number));
        }
    }

    fn halt_lengths_ns(&self) -> (u64, u64) {
        let divisor = if self.joined { 1 } else { u64::from(self.config.clock.compression().halt_divisor.max(1)) };
        (HALT_COLLECTION_NS / divisor, HALT_MATCHING_NS / divisor)
    }

    /// Whether a halt that begins now ends before the closing auction.
    pub(super) fn halt_fits(&self) -> bool {
        let (collection_ns, matching_ns) = self.halt_lengths_ns();
        self.now_ns + collection_ns + matching_ns + 60 * SECOND_NS < self.schedule.closing_limits_ns
    }

    pub(super) fn halt(&mut self, at: usize, out: &mut dyn Output) {
        self.halts += 1;
        let (collection_ns, matching_ns) = self.halt_lengths_ns();
        let ends_ns = self.now_ns + collection_ns;
        self.hide(at, out);
        self.state(at, "P_DK_TEKFIY_EMIR_TPL", out);
        self.books[at].flow.end_shock();
        let orders = self.opening_orders(at) * 0.3;
        self.start_collection(at, SessionPhase::HaltCollection, ends_ns, orders);
        let book = &mut self.books[at];
        book.resumes_ns = Some(ends_ns + matching_ns);
        let number = book.phase_number;
        self.plan(ends_ns, Event::Uncross(at as u16, number));
    }
}
