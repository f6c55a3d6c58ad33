//! The exchange as a whole: the phases of a day, the shares, their order flow, and what the public feed says of it.
//!
//! Without I/O: [`Exchange::advance`] is given a time on the exchange's clock and writes every message up to it.
//! Everything that happens has its time planned beforehand, so the bytes do not depend on how often it is called.
//!
//! During auctions nothing of a book is shown: Y empties it, Z tells the price that the auction would give, and
//! afterwards the trades and the orders that are left follow. See docs/simulator.md.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use book::{Nanos, Side};
use rand::Rng;

use super::auction::{Equilibrium, equilibrium};
use super::calendar::{self, Schedule, Timeline};
use super::flow::{Action, Cause, Common, Flow, Outcome};
use super::matching::{Aggressor, Change, LevelView, Matching, Order, Taken};
use super::shares::{SHARES, Share};
use super::ticks::{Limits, Milli, NO_PRICE};
use super::wire::{Encoder, Output};
use super::{BadConfig, Clock, SimConfig};
use crate::layout::moldudp64::Session;
use crate::source::date::Day;

const SECOND_NS: u64 = 1_000_000_000;
/// Exponent of Zipf's law over the shares: the first of 50 gets about one message in seven.
const ZIPF_EXPONENT: f64 = 0.8;
/// Daily limits, percent of the base price.
const DAILY_LIMIT_PERCENT: u8 = 10;
/// Limits of the closing auction, percent of the last price of continuous trading.
const CLOSING_LIMIT_PERCENT: u8 = 3;
/// Deviation from the last auction price that trips the circuit breaker, percent. The exchange's own number is not
/// known for certain (10, 7.5 and 5 are all quoted).
const BREAKER_PERCENT: u8 = 5;
/// Circuit breaker: order collection (10 minutes since 1 September 2025), then matching.
const HALT_COLLECTION_NS: u64 = 600 * SECOND_NS;
const HALT_MATCHING_NS: u64 = 120 * SECOND_NS;
/// Shocks that run into the circuit breaker, all shares together, per full day on average.
const SHOCKS_PER_DAY: f64 = 4.0;
/// Most resting orders of one side of a book; beyond it the last-ranked one is cancelled for each new one.
const ORDERS_PER_SIDE_MAX: usize = 4_000;
/// Orders entered in the opening auction of the busiest share.
const OPENING_ORDERS: f64 = 1_500.0;
/// Changes of one phase do not reach all books in the same instant.
const STAGGER_NS: u64 = 7_000;
/// Steps of the rate control per wall second.
const CONTROLS_PER_SECOND: u64 = 4;
/// The rate control makes up for a lag within about this many wall seconds.
const CONTROL_HORIZON_S: f64 = 8.0;
/// Messages that one decision of somebody leads to, all reactions included, until it is measured.
const FIRST_MESSAGES_PER_DECISION: f64 = 4.2;
/// Seconds after the start of continuous trading in which activity is higher, and how it fades.
const OPENING_BURST_S: f64 = 120.0;
const OPENING_BURST_FADE_S: f64 = 7.5;

/// Where a book is in its day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
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
enum Step {
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
enum Event {
    Step(Step),
    BookStep(u16, Step),
    /// A new decision of somebody, in the stage that had this number.
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
struct Planned {
    at_ns: Nanos,
    number: u64,
    event: Event,
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

struct Listed {
    book_id: u32,
    share: &'static Share,
    base: Milli,
    limits: Limits,
    matching: Matching,
    flow: Flow,
    stage: Stage,
    /// Raised with every stage, so that events planned in an earlier one are void.
    stage_number: u32,
    /// Whether the public feed shows the orders now.
    shown: bool,
    /// Share of all messages.
    weight: f64,
    /// Last auction price, else the base price.
    reference: Milli,
    last_trade: Option<Milli>,
    closing_limits: Limits,
    close: Milli,
    last_indicated: Option<Option<Equilibrium>>,
    entry_rate: f64,
    indicate_every_ns: u64,
    collection_ends_ns: Nanos,
    /// When continuous trading goes on after the halt that the book is in.
    resumes_ns: Option<Nanos>,
    next_id: [u64; 2],
}

/// Keeps the average rate: the flow's own numbers of messages per decision are measured, not computed.
#[derive(Debug)]
struct RateControl {
    /// Messages per exchange second, all shares.
    target: f64,
    planned: f64,
    emitted: f64,
    recent_messages: f64,
    recent_decisions: f64,
    /// Fresh decisions per exchange second for a share of weight 1.
    decisions: f64,
}

/// A simulated exchange.
pub struct Exchange {
    config: SimConfig,
    books: Vec<Listed>,
    heap: BinaryHeap<Reverse<Planned>>,
    next_number: u64,
    common: Common,
    encoder: Encoder,
    control: RateControl,
    day: Day,
    day_number: u32,
    joined: bool,
    schedule: Schedule,
    timeline: Timeline,
    speed: f64,
    control_every_ns: u64,
    now_ns: Nanos,
    changes: Vec<Change>,
    halts: u64,
    ended: bool,
}

impl Exchange {
    /// An exchange whose first day begins at `start_ns` of the wall clock (Unix nanoseconds): on that day in Istanbul,
    /// or on the next trading day.
    ///
    /// # Errors
    /// A number of `config` is out of its range.
    pub fn new(config: &SimConfig, start_ns: Nanos) -> Result<Self, BadConfig> {
        config.check()?;
        let compression = config.clock.compression();
        let speed = f64::from(compression.speed);
        let target = f64::from(config.rate) / speed;
        let weights: Vec<f64> = (1..=config.symbols_max).map(|place| (place as f64).powf(-ZIPF_EXPONENT)).collect();
        let sum: f64 = weights.iter().sum();
        let books = SHARES[..config.symbols_max]
            .iter()
            .zip(weights)
            .enumerate()
            .map(|(number, (share, weight))| Listed {
                // Ids leave holes and are not in the order of activity, as real ones do.
                book_id: 70_616 + 4 * ((number as u32 * 37) % 50),
                share,
                base: share.base,
                limits: Limits::around(share.base, DAILY_LIMIT_PERCENT),
                matching: Matching::default(),
                flow: Flow::new(config.seed, number as u64, share.beta_percent, target * weight / sum),
                stage: Stage::Before,
                stage_number: 0,
                shown: false,
                weight: weight / sum,
                reference: share.base,
                last_trade: None,
                closing_limits: Limits::around(share.base, DAILY_LIMIT_PERCENT),
                close: share.base,
                last_indicated: None,
                entry_rate: 0.0,
                indicate_every_ns: SECOND_NS,
                collection_ends_ns: 0,
                resumes_ns: None,
                next_id: [0; 2],
            })
            .collect();
        let schedule = Schedule::of(Day { year: 1970, month: 1, day: 1 });
        let mut exchange = Self {
            config: config.clone(),
            books,
            heap: BinaryHeap::new(),
            next_number: 0,
            common: Common::new(config.seed),
            encoder: Encoder::default(),
            control: RateControl {
                target,
                planned: 0.0,
                emitted: 0.0,
                recent_messages: 0.0,
                recent_decisions: 0.0,
                decisions: target / FIRST_MESSAGES_PER_DECISION,
            },
            day: Day { year: 1970, month: 1, day: 1 },
            day_number: 0,
            joined: false,
            schedule,
            timeline: Timeline::default(),
            speed,
            control_every_ns: (u64::from(compression.speed) * SECOND_NS / CONTROLS_PER_SECOND).max(1),
            now_ns: 0,
            changes: Vec::new(),
            halts: 0,
            ended: false,
        };
        let day = calendar::trading_day_from(calendar::istanbul_day(start_ns));
        exchange.begin_day(day, start_ns);
        Ok(exchange)
    }

    /// The time of the next thing that happens, on the exchange's clock; `None` after the last day.
    #[must_use]
    pub fn next_ns(&self) -> Option<Nanos> {
        self.heap.peek().map(|Reverse(planned)| planned.at_ns)
    }

    /// Lets everything happen up to and including `until_ns` on the exchange's clock, within the current day.
    ///
    /// Returns `false` when the day's last message was given (then call again for the next day, whose clock and
    /// [`Exchange::timeline`] are new) or there is nothing left at all.
    pub fn advance(&mut self, until_ns: Nanos, out: &mut dyn Output) -> bool {
        while self.next_ns().is_some_and(|at_ns| at_ns <= until_ns) {
            if !self.step(out) {
                return false;
            }
        }
        !self.ended
    }

    /// Lets exactly one thing happen. Returns `false` at the end of a day, as [`Exchange::advance`] does.
    pub fn step(&mut self, out: &mut dyn Output) -> bool {
        let Some(Reverse(planned)) = self.heap.pop() else { return false };
        self.now_ns = planned.at_ns;
        match planned.event {
            Event::Step(Step::MessagesEnd) => {
                self.end_day(out);
                return false;
            }
            Event::Step(step) => self.market_step(step, out),
            Event::BookStep(at, step) => self.book_step(usize::from(at), step, out),
            Event::Control => self.on_control(),
            Event::Due(at, side, id) => self.on_due(usize::from(at), side, id, out),
            Event::Shock(at) => {
                let book = &mut self.books[usize::from(at)];
                if book.stage == Stage::Continuous {
                    book.flow.start_shock(self.now_ns, 1_200 * SECOND_NS);
                }
            }
            Event::Fresh(at, number)
            | Event::React(at, number, _)
            | Event::Enter(at, number)
            | Event::Indicate(at, number)
            | Event::Uncross(at, number)
            | Event::Resume(at, number)
                if self.books[usize::from(at)].stage_number != number => {}
            Event::Fresh(at, _) => {
                let at = usize::from(at);
                self.control.recent_decisions += 1.0;
                self.on_decision(at, Cause::Fresh, out);
                self.plan_fresh(at);
            }
            Event::React(at, _, cause) => self.on_decision(usize::from(at), cause, out),
            Event::Enter(at, _) => self.on_enter(usize::from(at), out),
            Event::Indicate(at, _) => self.on_indicate(usize::from(at), out),
            Event::Uncross(at, _) => self.on_uncross(usize::from(at), out),
            Event::Resume(at, _) => self.start_continuous(usize::from(at), out),
        }
        true
    }

    /// What it was made with.
    #[must_use]
    pub fn config(&self) -> &SimConfig {
        &self.config
    }

    /// The map between the exchange's clock and the planned wall clock of the current day.
    #[must_use]
    pub fn timeline(&self) -> &Timeline {
        &self.timeline
    }

    /// The instants of the current day.
    #[must_use]
    pub fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// The current session.
    #[must_use]
    pub fn session(&self) -> Session {
        session_name(self.day, self.config.run)
    }

    /// The current trading day as the number YYYYMMDD.
    #[must_use]
    pub fn yyyymmdd(&self) -> u32 {
        self.day.yyyymmdd()
    }

    /// The listed books: id, ticker, and today's base price, floor and ceiling.
    pub fn books(&self) -> impl Iterator<Item = (u32, &'static str, Milli, Limits)> + '_ {
        self.books.iter().map(|book| (book.book_id, book.share.ticker, book.base, book.limits))
    }

    /// One side of the public book, best first: what a faultless receiver has after the last message. Empty while
    /// nothing is shown (auctions) and for books that do not exist.
    #[must_use]
    pub fn levels(&self, book_id: u32, side: Side) -> Vec<LevelView> {
        self.shown(book_id).map_or_else(Vec::new, |matching| matching.levels(side).collect())
    }

    /// The shown orders of one side in priority order, as [`Exchange::levels`].
    #[must_use]
    pub fn orders(&self, book_id: u32, side: Side) -> Vec<Order> {
        self.shown(book_id).map_or_else(Vec::new, |matching| matching.orders(side).copied().collect())
    }

    /// Messages given so far with this type byte.
    #[must_use]
    pub fn messages(&self, kind: u8) -> u64 {
        self.encoder.counts.0[usize::from(kind)]
    }

    /// Volatility halts so far.
    #[must_use]
    pub fn halts(&self) -> u64 {
        self.halts
    }

    fn shown(&self, book_id: u32) -> Option<&Matching> {
        self.books.iter().find(|book| book.book_id == book_id && book.shown).map(|book| &book.matching)
    }

    fn plan(&mut self, at_ns: Nanos, event: Event) {
        self.next_number += 1;
        self.heap.push(Reverse(Planned { at_ns, number: self.next_number, event }));
    }

    fn begin_day(&mut self, day: Day, planned_ns: Nanos) {
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
            book.limits = Limits::around(book.base, DAILY_LIMIT_PERCENT);
            book.closing_limits = book.limits;
            book.reference = book.base;
            book.last_trade = None;
            book.matching = Matching::default();
            book.shown = false;
            book.stage = Stage::Before;
            book.stage_number += 1;
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

    fn end_day(&mut self, out: &mut dyn Output) {
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

    fn market_step(&mut self, step: Step, out: &mut dyn Output) {
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

    fn book_step(&mut self, at: usize, step: Step, out: &mut dyn Output) {
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
                self.start_collection(at, Stage::Collection, schedule.determination_ns, self.opening_orders(at));
            }
            Step::Determination => {
                self.state(at, "P_MARJ_YAYIN", out);
                self.plan_uncross(at, schedule.continuous_ns);
            }
            Step::Continuous => self.start_continuous(at, out),
            Step::ClosingLimits => {
                self.hide(at, out);
                self.enter_stage(at, Stage::Frozen);
                self.state(at, "P_MARJ_YAYIN_KAPANIS", out);
                let book = &mut self.books[at];
                book.flow.end_shock();
                let last = book.last_trade.unwrap_or(book.reference);
                book.reference = last;
                book.closing_limits = book.limits.intersect(Limits::around(last, CLOSING_LIMIT_PERCENT));
            }
            Step::ClosingCollection => {
                self.state(at, "P_KAPANIS_EMIR_TPL", out);
                let orders = self.opening_orders(at) * 0.2;
                self.start_collection(at, Stage::Collection, schedule.closing_determination_ns, orders);
            }
            Step::ClosingDetermination => self.plan_uncross(at, schedule.at_close_limits_ns),
            Step::AtCloseLimits => {
                self.state(at, "P_MARJ_YAYIN_KAPANIS", out);
                let book = &mut self.books[at];
                book.close = book.last_trade.unwrap_or(book.base);
            }
            Step::AtClose => {
                self.state(at, "P_KAPANIS_FIY_ISLEM", out);
                self.enter_stage(at, Stage::AtClose);
                self.plan_fresh(at);
            }
            Step::End => {
                self.hide(at, out);
                self.enter_stage(at, Stage::After);
                self.books[at].matching.clear();
                self.state(at, "P_GUNSONU_ISLEMLERI", out);
            }
            Step::MessagesEnd => {}
        }
    }

    fn state(&mut self, at: usize, name: &str, out: &mut dyn Output) {
        self.encoder.state(out, self.now_ns, self.books[at].book_id, name);
    }

    fn hide(&mut self, at: usize, out: &mut dyn Output) {
        self.books[at].shown = false;
        self.encoder.flush(out, self.now_ns, self.books[at].book_id);
    }

    fn enter_stage(&mut self, at: usize, stage: Stage) {
        let book = &mut self.books[at];
        book.stage = stage;
        book.stage_number += 1;
    }

    /// Orders entered in an opening auction of full length.
    fn opening_orders(&self, at: usize) -> f64 {
        let busiest = self.books.first().map_or(1.0, |book| book.weight);
        OPENING_ORDERS * (self.books[at].weight / busiest).powf(0.35)
    }

    fn start_collection(&mut self, at: usize, stage: Stage, ends_ns: Nanos, orders: f64) {
        self.enter_stage(at, stage);
        let duration_ns = ends_ns.saturating_sub(self.now_ns).max(1);
        let compression = self.config.clock.compression();
        // About eight indications per wall second, at least eight in the whole phase.
        let wall_ns = u64::from(if self.joined { 1 } else { compression.auction_speed }) * SECOND_NS / 8;
        let book = &mut self.books[at];
        book.entry_rate = orders * 1e9 / duration_ns as f64;
        book.indicate_every_ns = wall_ns.max(SECOND_NS).min(duration_ns / 8).max(1);
        book.collection_ends_ns = ends_ns;
        book.last_indicated = None;
        let number = book.stage_number;
        let first_ns = book.indicate_every_ns + book.flow.rng().random_range(0..book.indicate_every_ns);
        let enter_ns = book.flow.wait_ns(book.entry_rate);
        self.plan(self.now_ns + enter_ns, Event::Enter(at as u16, number));
        self.plan(self.now_ns + first_ns, Event::Indicate(at as u16, number));
    }

    /// Ends the collection; the book is matched somewhere in the first part of the time until `next_ns`.
    fn plan_uncross(&mut self, at: usize, next_ns: Nanos) {
        self.enter_stage(at, Stage::Frozen);
        let window_ns = next_ns.saturating_sub(self.now_ns);
        let book = &mut self.books[at];
        let wait_ns = book.flow.rng().random_range(window_ns / 50..=window_ns * 3 / 4);
        let number = book.stage_number;
        self.plan(self.now_ns + wait_ns, Event::Uncross(at as u16, number));
    }

    fn on_enter(&mut self, at: usize, out: &mut dyn Output) {
        let book = &mut self.books[at];
        let limits = if book.stage == Stage::Collection { book.closing_limits } else { book.limits };
        let action = book.flow.enter_auction(&self.common, self.now_ns, limits);
        if let Action::Add { side, price, quantity, display, lifetime_ns } = action {
            self.insert(at, side, price, quantity, display, lifetime_ns, out);
        }
        let book = &mut self.books[at];
        let next_ns = self.now_ns + book.flow.wait_ns(book.entry_rate);
        let number = book.stage_number;
        if next_ns < book.collection_ends_ns {
            self.plan(next_ns, Event::Enter(at as u16, number));
        }
    }

    fn auction_price(&self, at: usize) -> Option<Equilibrium> {
        let book = &self.books[at];
        let (bids, asks) = (book.matching.interest(Side::Bid), book.matching.interest(Side::Ask));
        equilibrium(&bids, &asks, book.reference, book.closing_limits)
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
        let price = price.map(|at| (at.price, at.bid, at.ask));
        self.encoder.equilibrium(out, self.now_ns, book.book_id, price, best);
    }

    fn on_indicate(&mut self, at: usize, out: &mut dyn Output) {
        self.indicate(at, out);
        let book = &mut self.books[at];
        let wait_ns = book.indicate_every_ns / 2 + book.flow.rng().random_range(0..=book.indicate_every_ns);
        let number = book.stage_number;
        self.plan(self.now_ns + wait_ns, Event::Indicate(at as u16, number));
    }

    fn on_uncross(&mut self, at: usize, out: &mut dyn Output) {
        self.indicate(at, out);
        self.state(at, "P_ESLESTIRME", out);
        let price = self.auction_price(at);
        let book = &mut self.books[at];
        let mut changes = std::mem::take(&mut self.changes);
        book.matching.uncross(price, &mut changes);
        debug_assert!(!book.matching.is_crossed(), "an auction leaves no crossed book");
        book.shown = true;
        if let Some(price) = price {
            book.last_trade = Some(price.price);
            book.reference = price.price;
        }
        self.changes = changes;
        self.publish(at, out);
        self.enter_stage(at, Stage::Frozen);
        let book = &mut self.books[at];
        let number = book.stage_number;
        if let Some(resumes_ns) = book.resumes_ns.take() {
            self.plan(resumes_ns, Event::Resume(at as u16, number));
        }
    }

    fn start_continuous(&mut self, at: usize, out: &mut dyn Output) {
        self.state(at, "P_SUREKLI_ISLEM", out);
        self.enter_stage(at, Stage::Continuous);
        self.plan_fresh(at);
    }

    fn plan_fresh(&mut self, at: usize) {
        let per_second = self.control.decisions * self.profile();
        let book = &mut self.books[at];
        let per_second = per_second * book.weight * book.flow.excitement(self.now_ns);
        let wait_ns = book.flow.wait_ns(per_second);
        let number = book.stage_number;
        self.plan(self.now_ns + wait_ns, Event::Fresh(at as u16, number));
    }

    /// Activity after the opening against the average: a burst that fades, and as much less in the rest of two
    /// minutes. Smaller at high rates, which would otherwise start with several hundred thousand messages a second.
    fn profile(&self) -> f64 {
        let elapsed = self.now_ns.saturating_sub(self.schedule.continuous_ns) as f64 / 1e9;
        if elapsed >= OPENING_BURST_S || self.now_ns < self.schedule.continuous_ns {
            return 1.0;
        }
        let height = 4.0 * (4_000.0 / f64::from(self.config.rate)).min(1.0);
        1.0 - height * OPENING_BURST_FADE_S / OPENING_BURST_S + height * (-elapsed / OPENING_BURST_FADE_S).exp()
    }

    fn on_control(&mut self) {
        let exchange_s = self.control_every_ns as f64 / 1e9;
        let wall_s = exchange_s / self.speed;
        self.common.pass(exchange_s, wall_s);
        let profile = self.profile();
        let control = &mut self.control;
        // A decision's messages keep coming for a while; the first seconds would tell too little of them.
        let fade = (-wall_s / 15.0).exp();
        let per_decision =
            (control.recent_messages + 20.0 * FIRST_MESSAGES_PER_DECISION) / (control.recent_decisions + 20.0);
        control.recent_messages *= fade;
        control.recent_decisions *= fade;
        let lag = (control.planned - control.emitted) / (control.target * CONTROL_HORIZON_S * self.speed);
        let gain = lag.clamp(-1.5, 1.5).exp();
        control.planned += control.target * profile * exchange_s;
        control.decisions = control.target / per_decision * gain * self.common.activity();
        if self.now_ns < self.schedule.closing_limits_ns {
            self.plan(self.now_ns + self.control_every_ns, Event::Control);
        }
    }

    fn on_due(&mut self, at: usize, side: Side, id: u64, out: &mut dyn Output) {
        let book = &mut self.books[at];
        match book.stage {
            Stage::Before | Stage::After => {}
            Stage::Frozen => {
                if book.matching.order(side, id).is_some() {
                    self.plan(self.now_ns + 60 * SECOND_NS, Event::Due(at as u16, side, id));
                }
            }
            Stage::Collection | Stage::HaltCollection => {
                book.matching.remove(side, id);
            }
            Stage::Continuous | Stage::AtClose => {
                if book.matching.remove(side, id).is_some() {
                    self.changes.push(Change::Deleted { side, id });
                    self.publish(at, out);
                    self.react(at, Outcome::Quiet);
                }
            }
        }
    }

    fn on_decision(&mut self, at: usize, cause: Cause, out: &mut dyn Output) {
        let book = &mut self.books[at];
        let action = match book.stage {
            Stage::Continuous => book.flow.decide(&book.matching, &self.common, self.now_ns, cause),
            Stage::AtClose => book.flow.at_close(book.close),
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
        if book.stage != Stage::Continuous {
            return;
        }
        let (count, cause) = book.flow.reactions(outcome);
        let number = book.stage_number;
        for _ in 0..count {
            let wait_ns = self.books[at].flow.reaction_ns();
            self.plan(self.now_ns + wait_ns, Event::React(at as u16, number, cause));
        }
    }

    /// A new order: rests where it does not cross, else trades and rests with what is left.
    fn insert(
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
        if crosses && matches!(book.stage, Stage::Continuous | Stage::AtClose) {
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
        let at_close = book.stage == Stage::AtClose;
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

    fn halt_lengths_ns(&self) -> (u64, u64) {
        let divisor = if self.joined { 1 } else { u64::from(self.config.clock.compression().halt_divisor.max(1)) };
        (HALT_COLLECTION_NS / divisor, HALT_MATCHING_NS / divisor)
    }

    /// Whether a halt that begins now ends before the closing auction.
    fn halt_fits(&self) -> bool {
        let (collection_ns, matching_ns) = self.halt_lengths_ns();
        self.now_ns + collection_ns + matching_ns + 60 * SECOND_NS < self.schedule.closing_limits_ns
    }

    fn halt(&mut self, at: usize, out: &mut dyn Output) {
        self.halts += 1;
        let (collection_ns, matching_ns) = self.halt_lengths_ns();
        let ends_ns = self.now_ns + collection_ns;
        self.hide(at, out);
        self.state(at, "P_DK_TEKFIY_EMIR_TPL", out);
        self.books[at].flow.end_shock();
        let orders = self.opening_orders(at) * 0.3;
        self.start_collection(at, Stage::HaltCollection, ends_ns, orders);
        let book = &mut self.books[at];
        book.resumes_ns = Some(ends_ns + matching_ns);
        let number = book.stage_number;
        self.plan(ends_ns, Event::Uncross(at as u16, number));
    }

    /// Sends what happened to a book at this instant.
    fn publish(&mut self, at: usize, out: &mut dyn Output) {
        let mut changes = std::mem::take(&mut self.changes);
        let book = &self.books[at];
        if book.shown {
            let before = self.encoder.total;
            for change in &changes {
                self.encoder.change(out, self.now_ns, book.book_id, change);
            }
            if book.stage == Stage::Continuous {
                let messages = (self.encoder.total - before) as f64;
                self.control.emitted += messages;
                self.control.recent_messages += messages;
            }
        }
        changes.clear();
        self.changes = changes;
    }
}

/// Wall time between the last message of a day and the first of the next.
pub(super) const DAY_GAP_NS: u64 = SECOND_NS;

impl Listed {
    /// The next order id of a side. Real ids share their upper half and grow in small uneven steps; here every fourth
    /// book counts in the middle bits and every fourth in the upper half, which no hash of the low bits survives.
    /// Both sides and all books draw from the same numbers, so only (book, side, id) is unique.
    fn new_id(&mut self, at: usize, side: Side) -> u64 {
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

fn first_id(number: usize, day: Day) -> u64 {
    let date = u64::from(day.yyyymmdd());
    match number % 4 {
        // Bits 20.. count: the low 20 are the same for all orders of a day.
        1 => 0xE000_0000_0000_0000 | (date & 0xF_FFFF),
        // Bits 32.. count: the whole low half is the same.
        2 => 0x4000_0000_0000_0000 | date,
        _ => 0x6000_0000_0000_0000 | date << 32,
    }
}

fn session_name(day: Day, run: u32) -> Session {
    let mut name = *b"S000000000";
    let date = day.yyyymmdd() % 1_000_000;
    for (place, digit) in name[1..7].iter_mut().rev().zip(decimal_digits(date)) {
        *place = digit;
    }
    let mut rest = run;
    for place in name[7..].iter_mut().rev() {
        *place = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[(rest % 36) as usize];
        rest /= 36;
    }
    name
}

fn decimal_digits(mut number: u32) -> impl Iterator<Item = u8> {
    std::iter::from_fn(move || {
        let digit = b'0' + (number % 10) as u8;
        number /= 10;
        Some(digit)
    })
}

/// Whether an order of `side` at `price` trades against the other side's best price.
fn crosses(side: Side, price: Milli, opposite: Milli) -> bool {
    price == NO_PRICE || if side == Side::Bid { price >= opposite } else { price <= opposite }
}

/// Whether `price` is at least as good as the own side's best price.
fn crosses_own(side: Side, price: Milli, best: Milli) -> bool {
    if side == Side::Bid { price >= best } else { price <= best }
}
