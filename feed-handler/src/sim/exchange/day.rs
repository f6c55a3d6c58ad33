//! The phases of a day, of the whole market and of each book.

use book::Nanos;
use book::exchange::calendar;
use book::exchange::date::Day;
use book::exchange::limits::{CLOSING_PERCENT, SHARES_PERCENT};
use rand::Rng;

use super::agenda::{Event, SessionPhase, Step};
use super::listed::first_id;
use super::pace::{CONTROLS_PER_SECOND, FIRST_MESSAGES_PER_DECISION};
use super::{DAY_GAP_NS, Exchange, SECOND_NS};
use crate::sim::exchange::config::Clock;
use crate::sim::exchange::matching::Matching;
use crate::sim::exchange::ticks::Limits;
use crate::sim::exchange::timeline::{Schedule, Timeline};
use crate::sim::exchange::wire::Output;

/// Shocks that run into the circuit breaker, all shares together, per full day on average.
const SHOCKS_PER_DAY: f64 = 4.0;
/// Changes of one phase do not reach all books in the same instant.
const STAGGER_NS: u64 = 7_000;

impl Exchange {
    pub(super) fn begin_day(&mut self, day: Day, planned_ns: Nanos) {
        self.day = day;
        let ordinary = Schedule::of(day);
        let joined = if self.config.clock == Clock::Real { ordinary.joined(planned_ns) } else { None };
        self.joined = joined.is_some();
        self.schedule = joined.unwrap_or(ordinary);
        self.timeline = Timeline::new(&self.schedule, self.config.clock, self.joined, planned_ns);
        self.now_ns = self.schedule.directory_ns;
        self.common.new_day();
        let number = u64::from(day.yyyymmdd());
        self.encoder.new_day(number << 32);
        let compression = self.config.clock.compression();
        let speed = if self.joined { 1 } else { compression.speed };
        self.speed = f64::from(speed);
        self.control_every_ns = (u64::from(speed) * SECOND_NS / CONTROLS_PER_SECOND).max(1);
        for (number, book) in self.books.iter_mut().enumerate() {
            book.limits = Limits::around(book.base, SHARES_PERCENT);
            book.closing_limits = book.limits;
            book.reference = book.base;
            book.last_trade = None;
            book.matching = Matching::default();
            book.shown = false;
            book.phase = SessionPhase::Before;
            book.phase_number += 1;
            book.last_indicated = None;
            book.resumes_ns = None;
            book.next_id = [first_id(number, day); 2];
            book.flow.new_day(book.base, book.limits, self.schedule.directory_ns);
        }
        let schedule = self.schedule;
        for (at_ns, step) in [
            (schedule.directory_ns, Step::Directory),
            (schedule.collection_ns, Step::Collection),
            (schedule.determination_ns, Step::Determination),
            (schedule.continuous_ns, Step::Continuous),
            (schedule.closing_limits_ns, Step::ClosingLimits),
            (schedule.closing_collection_ns, Step::ClosingCollection),
            (schedule.closing_determination_ns, Step::ClosingDetermination),
            (schedule.at_close_limits_ns, Step::AtCloseLimits),
            (schedule.at_close_ns, Step::AtClose),
            (schedule.end_ns, Step::End),
            (schedule.messages_end_ns, Step::MessagesEnd),
        ] {
            self.plan(at_ns, Event::Step(step));
        }
        if self.config.halts {
            let from_ns = schedule.continuous_ns + 300 * SECOND_NS;
            let until_ns = schedule.closing_limits_ns.saturating_sub(3_600 * SECOND_NS);
            let mut at_ns = from_ns;
            loop {
                let wait: f64 = rand_distr::Distribution::sample(&rand_distr::Exp1, self.common.rng());
                at_ns += (wait * 28_800e9 / SHOCKS_PER_DAY) as u64;
                if at_ns >= until_ns {
                    break;
                }
                let book = self.common.rng().random_range(0..self.books.len()) as u16;
                self.plan(at_ns, Event::Shock(book));
            }
        }
    }

    pub(super) fn end_day(&mut self, out: &mut dyn Output) {
        self.encoder.system_event(out, self.now_ns, b'C');
        out.session_ends();
        self.heap.clear();
        self.day_number += 1;
        let planned_ns = self.timeline.planned_ns(self.now_ns) + DAY_GAP_NS;
        for book in &mut self.books {
            book.base = book.close;
        }
        if self.config.days != 0 && self.day_number >= self.config.days {
            self.ended = true;
            return;
        }
        let day = calendar::trading_day_from(calendar::day_after(self.day));
        self.begin_day(day, planned_ns);
    }

    pub(super) fn market_step(&mut self, step: Step, out: &mut dyn Output) {
        match step {
            Step::Directory => {
                out.session_begins(self.session());
                self.encoder.system_event(out, self.now_ns, b'O');
            }
            Step::Continuous => {
                let control = &mut self.control;
                (control.planned, control.emitted) = (0.0, 0.0);
                (control.recent_messages, control.recent_decisions) = (0.0, 0.0);
                control.target = f64::from(self.config.rate) / self.speed;
                control.decisions = control.target / FIRST_MESSAGES_PER_DECISION;
                self.on_control();
            }
            _ => {}
        }
        for at in 0..self.books.len() {
            self.plan(self.now_ns + at as u64 * STAGGER_NS, Event::BookStep(at as u16, step));
        }
    }

    pub(super) fn book_step(&mut self, at: usize, step: Step, out: &mut dyn Output) {
        let now_ns = self.now_ns;
        let schedule = self.schedule;
        match step {
            Step::Directory => {
                let book = &self.books[at];
                self.encoder.directory(out, now_ns, book.book_id, book.share);
                self.encoder.tick_sizes(out, now_ns, book.book_id, book.limits);
                // Short sales are banned at the time of writing, except (here) in every third share.
                let status = if at % 3 == 2 { 2 } else { 1 };
                self.encoder.short_sell(out, now_ns, book.book_id, status);
                self.encoder.state(out, now_ns, book.book_id, "NONE");
            }
            Step::Collection => {
                self.hide(at, out);
                self.state(at, "P_ACS_EMR_TP_PY_EIY", out);
                self.start_collection(at, SessionPhase::Collection, schedule.determination_ns, self.opening_orders(at));
            }
            Step::Determination => {
                self.state(at, "P_MARJ_YAYIN", out);
                self.plan_uncross(at, schedule.continuous_ns);
            }
            Step::Continuous => self.start_continuous(at, out),
            Step::ClosingLimits => {
                self.hide(at, out);
                self.enter_phase(at, SessionPhase::Frozen);
                self.state(at, "P_MARJ_YAYIN_KAPANIS", out);
                let book = &mut self.books[at];
                book.flow.end_shock();
                let last = book.last_trade.unwrap_or(book.reference);
                book.reference = last;
                book.closing_limits = book.limits.intersect(Limits::around(last, CLOSING_PERCENT));
            }
            Step::ClosingCollection => {
                self.state(at, "P_KAPANIS_EMIR_TPL", out);
                let orders = self.opening_orders(at) * 0.2;
                self.start_collection(at, SessionPhase::Collection, schedule.closing_determination_ns, orders);
            }
            Step::ClosingDetermination => self.plan_uncross(at, schedule.at_close_limits_ns),
            Step::AtCloseLimits => {
                self.state(at, "P_MARJ_YAYIN_KAPANIS", out);
                let book = &mut self.books[at];
                book.close = book.last_trade.unwrap_or(book.base);
            }
            Step::AtClose => {
                self.state(at, "P_KAPANIS_FIY_ISLEM", out);
                self.enter_phase(at, SessionPhase::AtClose);
                self.plan_fresh(at);
            }
            Step::End => {
                self.hide(at, out);
                self.enter_phase(at, SessionPhase::After);
                self.books[at].matching.clear();
                self.state(at, "P_GUNSONU_ISLEMLERI", out);
            }
            Step::MessagesEnd => {}
        }
    }
}
